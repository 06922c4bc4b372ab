#include "node/resolved.h"

#include "base/log.h"

#include <stdio.h>

static void resolved_name(const struct work *w, char ret[static STORE_NAME_MAX])
{
	snprintf(ret, STORE_NAME_MAX, "resolved/%s", w->id);
}

bool resolved_is_pinned(const struct work *w)
{
	return w->spec.image && strchr(w->spec.image, '@');
}

void resolved_load(struct engine *n, struct item *it)
{
	struct work *w = &it->work;
	AUTO_BUF struct buf text = { 0 };
	struct str rest, revision;
	char name[STORE_NAME_MAX];
	uint64_t version;

	resolved_name(w, name);
	if (store_get(&n->store, name, &version, &text, NULL))
		return;
	rest = buf_str(&text);
	if (str_next(&rest, ' ', &revision) && str_eq(revision, str_c(w->revision)) && rest.p && rest.n < sizeof(w->image.digest))
		snprintf(w->image.digest, sizeof(w->image.digest), STR_FMT, STR_ARG(rest));
	it->view.stale = w->image.digest[0] && version < it->sequence && !resolved_is_pinned(w);
}

void resolved_save(struct engine *n, const struct item *it)
{
	const struct work *w = &it->work;
	char name[STORE_NAME_MAX], text[128];
	struct err e = { 0 };

	resolved_name(w, name);
	snprintf(text, sizeof(text), "%s %s", w->revision, w->image.digest);
	if (store_put(&n->store, name, it->sequence, str_c(text), &e))
		log_warn("remember the image of %s/%s: %s", w->deployment, w->name, e.msg);
}
