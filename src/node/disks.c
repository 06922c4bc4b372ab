/* Calls about the node's disks. */
#include "api/recovery.h"
#include "base/log.h"
#include "node/disks.h"
#include "node/request.h"
#include "svc/daemon.h"

/* Of one that has been mounted: its last whole scrub, and how far the one under way is. */
static int scrub_json(const struct storage_disk *d, sd_json_variant **ret)
{
	const struct care_scrub *s = &d->care.scrub;

	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_UNSIGNED("ended", s->ended_s), SD_JSON_BUILD_PAIR_UNSIGNED("errors", s->last_errors),
			      SD_JSON_BUILD_PAIR_UNSIGNED("broken", s->last_broken), SD_JSON_BUILD_PAIR_UNSIGNED("at", s->at_bytes));
}

static const char *state_of(const struct storage_disk *d)
{
	if (d->is_others)
		return life_state_names[LIFE_FOREIGN];
	return d->is_degraded ? "degraded" : life_state_names[d->state];
}

static int disk_json(const struct storage_disk *d, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *scrub = NULL, *smart = NULL;
	int r = scrub_json(d, &scrub);

	if (r >= 0)
		r = smart_answer_json(&d->smart, &smart);
	if (r < 0)
		return r;
	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_STRING("name", d->state == LIFE_GONE ? "" : d->found.name),
		SD_JSON_BUILD_PAIR_STRING("serial", d->found.serial), SD_JSON_BUILD_PAIR_STRING("model", d->found.model),
		SD_JSON_BUILD_PAIR_UNSIGNED("size", d->found.size_bytes), SD_JSON_BUILD_PAIR_STRING("class", d->found.is_rotational ? "hdd" : "ssd"),
		SD_JSON_BUILD_PAIR_STRING("bus", storage_transport_names[d->found.transport]), SD_JSON_BUILD_PAIR_STRING("state", state_of(d)),
		SD_JSON_BUILD_PAIR_STRING("uuid", d->uuid), SD_JSON_BUILD_PAIR_STRING("key", answer_key_names[d->key]),
		SD_JSON_BUILD_PAIR_BOOLEAN("recovery", d->escrow.key[0] != '\0'), SD_JSON_BUILD_PAIR_STRING("text", d->sentence),
		SD_JSON_BUILD_PAIR_UNSIGNED("io_errors", d->care.io_errors), SD_JSON_BUILD_PAIR_UNSIGNED("bad_blocks", d->care.bad_blocks),
		SD_JSON_BUILD_PAIR_CONDITION(d->state == LIFE_READY, "scrub", SD_JSON_BUILD_VARIANT(scrub)),
		SD_JSON_BUILD_PAIR_CONDITION(d->state == LIFE_READY && d->smart.is_known, "smart", SD_JSON_BUILD_VARIANT(smart)));
}

int disks_json(const struct storage *s, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (const struct storage_disk *d = s->disks; r >= 0 && d; d = d->next) {
		AUTO_JSON sd_json_variant *one = NULL;

		r = disk_json(d, &one);
		if (r >= 0)
			r = sd_json_variant_append_array(ret, one);
	}
	return r;
}

void disks_configure(struct storage *s, const struct farm *farm)
{
	char key[KEY_TEXT_SIZE] = "";

	if (farm)
		key_pub_format(key, &farm->farm);
	storage_allow_usb(s, farm && farm->usb_disks);
	storage_set_recovery(s, key, farm ? farm->recovery : NULL);
}

bool disks_are_well(const struct storage *s)
{
	for (const struct storage_disk *d = s->disks; d; d = d->next)
		if (d->state == LIFE_FAILED || d->state == LIFE_GONE || d->is_degraded)
			return false;
	return true;
}

bool disks_are_in_tpm(const struct storage *s)
{
	for (const struct storage_disk *d = s->disks; d; d = d->next)
		if (d->state == LIFE_READY && d->key != ANSWER_KEY_TPM)
			return false;
	return true;
}

int node_disks(struct request *q, struct err *e)
{
	AUTO_JSON sd_json_variant *list = NULL;
	int r = disks_json(q->s->storage, &list);

	storage_look(q->s->storage);
	return r < 0 ? err_set(e, r, "list the disks: %s", strerror(-r)) : sd_varlink_replybo(q->link, SD_JSON_BUILD_PAIR_VARIANT("disks", list));
}

static void on_ordered(void *ctx, int r, const struct err *e)
{
	sd_varlink *link = ctx;

	if (r ? daemon_reply_error(link, r, e) : sd_varlink_reply(link, NULL))
		log_debug("whoever gave an order about a disk is gone");
	sd_varlink_unref(link);
}

void disks_forget(struct storage *s, sd_varlink *link)
{
	if (storage_order_forget(s, link))
		sd_varlink_unref(link);
}

int node_wipe_disk(struct request *q, struct err *e)
{
	const struct call_wipe *a = &q->args.wipe;
	int r;

	if (strcmp(a->serial, a->confirm))
		return err_set(e, -EBADMSG, "/confirm: is another serial number than /serial: what is on the disk would be gone for ever");
	r = storage_wipe(q->s->storage, a->serial, on_ordered, q->link, e);
	if (!r)
		sd_varlink_ref(q->link);
	return r;
}

int node_recovery_token(struct request *q, struct err *e)
{
	const struct storage_disk *d;
	int r = storage_find_shut(q->s->storage, q->args.recover_token.serial, &d, e);

	return r ? r
		 : sd_varlink_replybo(q->link, SD_JSON_BUILD_PAIR_STRING("uuid", d->uuid), SD_JSON_BUILD_PAIR_STRING("key", d->escrow.key),
				      SD_JSON_BUILD_PAIR_STRING("sealed", d->escrow.sealed));
}

int node_recover_disk(struct request *q, struct err *e)
{
	const struct call_recover *a = &q->args.recover;
	const struct recovery_place at = { &q->order->caller, &q->s->engine->identity.pub, a->uuid };
	uint8_t secret[RECOVERY_SECRET_LEN];
	int r = recovery_open(&q->s->engine->seal, &at, str_c(a->secret), secret);

	if (r)
		return err_set(e, r, "/secret: was not sealed for this node and this disk");
	r = storage_recover(q->s->storage, a->serial, a->uuid, secret, on_ordered, q->link, e);
	explicit_bzero(secret, sizeof(secret));
	if (!r)
		sd_varlink_ref(q->link);
	return r;
}
