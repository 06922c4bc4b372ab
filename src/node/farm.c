/* Whose node this is: the farm document in force, and the farm's approval. */
#include "node/engine.h"

#include "base/log.h"

#include <inttypes.h>

static void farm_free(struct farm *f)
{
	if (f)
		farm_deinit(f);
	free(f);
}

static void farm_freep(struct farm **f)
{
	farm_free(*f);
	*f = NULL;
}

static int farm_newer(const struct farm *held, const struct farm *f, struct err *e)
{
	char ours[KEY_TEXT_SIZE];

	if (!held)
		return 0;
	if (!key_pub_eq(&held->farm, &f->farm)) {
		key_pub_format(ours, &held->farm);
		return err_set(e, -EKEYREJECTED, "this node belongs to farm '%s' (%s): another farm's document is not taken", held->name, ours);
	}
	if (f->sequence == held->sequence)
		return ENGINE_SAME;
	if (f->sequence < held->sequence)
		return err_set(e, -ESTALE, "/sequence: %" PRIu64 " is below %" PRIu64 ", the farm document in force", f->sequence, held->sequence);
	return 0;
}

int engine_set_farm(struct engine *n, struct str envelope, struct err *e)
{
	CLEANUP(farm_freep) struct farm *f = calloc(1, sizeof(*f));
	int r;

	BUG_ON(!f);
	if ((r = farm_open(envelope, f, e)) || (r = farm_newer(n->farm, f, e)))
		return r;
	if ((r = store_put(&n->store, "farm", f->sequence, envelope, e)))
		return r;
	log_info("farm '%s' sequence %" PRIu64 " in force", f->name, f->sequence);
	farm_free(n->farm);
	n->farm = take_ptr(f);
	engine_configure(n);
	return 0;
}

int engine_approve(struct engine *n, sd_json_variant *envelope, struct err *e)
{
	CLEANUP(approval_deinit) struct approval a = { 0 };
	AUTO_BUF struct buf text = { 0 };
	int r = approval_open(envelope, &a, e);

	if (r)
		return r;
	if (!n->farm || !key_pub_eq(&a.farm, &n->farm->farm))
		return err_set(e, -EKEYREJECTED, "the approval is another farm's");
	if (!key_pub_eq(&a.node, &n->identity.pub))
		return err_set(e, -EXDEV, "the approval is another node's");
	if (json_format(envelope, &text))
		return err_set(e, -ENOMEM, "keep the approval: out of memory");
	if ((r = store_put(&n->store, "approval", 1, buf_str(&text), e)))
		return r;
	json_unrefp(&n->approval);
	n->approval = sd_json_variant_ref(envelope);
	log_info("approved by farm '%s'", n->farm->name);
	engine_tell(n);
	return 0;
}

int engine_farm_load(struct engine *n, struct err *e)
{
	AUTO_BUF struct buf text = { 0 }, approval = { 0 };
	uint64_t version;
	int r = store_get(&n->store, "farm", &version, &text, e);

	if (r)
		return r == STORE_ABSENT ? 0 : r;
	n->farm = calloc(1, sizeof(*n->farm));
	BUG_ON(!n->farm);
	if ((r = farm_open(buf_str(&text), n->farm, e)))
		return r;
	r = store_get(&n->store, "approval", &version, &approval, e);
	if (r)
		return r == STORE_ABSENT ? 0 : r;
	return json_parse(buf_str(&approval), &n->approval, e);
}

void engine_farm_drop(struct engine *n)
{
	farm_freep(&n->farm);
	json_unrefp(&n->approval);
}
