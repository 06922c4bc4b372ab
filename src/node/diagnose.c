/* A node that reaches no hub says why, signed: by noded, which has the identity and sees all that is told by itself; what is signed comes from
 * nobody else but for the hub's state, of which gridd told, and warnings of services, as words that are cut and made printable. */
#include "node/info.h"
#include "node/view.h"

#include "base/log.h"
#include "base/parse.h"

#include <stdio.h>
#include <time.h>

static uint8_t flavour_number(void)
{
	for (size_t i = 0; i < DIAGNOSIS_FLAVOURS; i++)
		if (!strcmp(diagnosis_flavours[i], info_flavour()))
			return (uint8_t)i;
	return 0;
}

/* "1.2.3"; what is no number is 0. */
static void version_numbers(uint8_t ret[static 3])
{
	struct str rest = str_c(ZOS_VERSION), part;
	uint64_t n;

	for (size_t i = 0; i < 3 && str_next(&rest, '.', &part); i++)
		if (!parse_u64(part, UINT8_MAX, &n))
			ret[i] = (uint8_t)n;
}

static void addresses_add(struct diagnosis *d, const struct uplink *u)
{
	struct str rest = str_c(u->addresses), one;
	char text[64];

	while (u->has_carrier && d->n_addresses < DIAGNOSIS_ADDRESSES_MAX && str_next(&rest, ' ', &one)) {
		snprintf(text, sizeof(text), STR_FMT, STR_ARG(one));
		if (!diagnosis_address_parse(text, &d->addresses[d->n_addresses]))
			d->n_addresses++;
	}
}

static void what_is(const struct view *v, struct diagnosis *ret)
{
	const struct engine *n = v->engine;
	struct uplink uplinks[UPLINKS_MAX];
	size_t n_uplinks = 0, n_hubs = n->farm ? n->farm->n_hubs : 0;
	char words[VIEW_NOTE_MAX + SUPERVISOR_NAME_MAX + 2];
	struct err e = { 0 };

	if (uplink_read(uplinks, &n_uplinks, &e))
		log_limited("%s", e.msg);
	memset(ret, 0, sizeof(*ret)); /* compared as bytes */
	ret->node = n->identity.pub;
	ret->flavour = flavour_number();
	version_numbers(ret->version);
	ret->is_approved = n->approval != NULL;
	ret->is_durable = store_is_durable(&n->store);
	ret->cause = uplink_why(uplinks, n_uplinks, time(NULL), n_hubs);
	for (size_t i = 0; i < n_uplinks; i++)
		addresses_add(ret, &uplinks[i]);
	if (ret->cause == DIAGNOSIS_HUB && v->line->n_hubs)
		diagnosis_say(ret, v->line->hubs[0].why);
	for (size_t i = 0; i < VIEW_NOTES && v->notes[i].at_ms; i++) {
		snprintf(words, sizeof(words), "%s: %s", v->notes[i].service, v->notes[i].text);
		diagnosis_say(ret, words);
	}
}

/* How long no hub has been reached; 0 = one is. The kernel's start counts as the loss of a hub that nobody spoke of yet. */
static uint64_t down_ms(const struct view *v)
{
	uint64_t now_ms = log_now_ms(), since_ms = 0;

	for (size_t i = 0; i < v->line->n_hubs; i++) {
		if (v->line->hubs[i].is_up)
			return 0;
		if (v->line->hubs[i].since_ms > since_ms)
			since_ms = v->line->hubs[i].since_ms;
	}
	return now_ms > since_ms ? now_ms - since_ms : 1;
}

uint64_t view_diagnose_in_ms(const struct view *v)
{
	uint64_t down = down_ms(v);

	return down && down < VIEW_DIAGNOSE_MS ? VIEW_DIAGNOSE_MS - down : 0;
}

static int sign(struct view *v, const struct diagnosis *now)
{
	static const size_t sizes[VIEW_DIAGNOSES] = { DIAGNOSIS_LONG, DIAGNOSIS_SHORT };
	struct view_diagnosis *d = &v->diagnosis;
	struct diagnosis timed = *now;
	int r = 0;

	timed.time_s = (uint32_t)time(NULL);
	timed.up_min = (uint16_t)(log_now_ms() / 60000 < UINT16_MAX ? log_now_ms() / 60000 : UINT16_MAX);
	for (size_t i = 0; i < VIEW_DIAGNOSES && !r; i++)
		r = diagnosis_sign(&timed, &v->engine->identity, sizes[i], d->texts[i]);
	memcpy(&d->what, now, sizeof(d->what));
	d->at_ms = r ? 0 : log_now_ms();
	return r;
}

int view_diagnose(struct view *v, sd_json_variant **list)
{
	struct view_diagnosis *d = &v->diagnosis;
	struct diagnosis now;
	int r = 0;

	if (down_ms(v) < VIEW_DIAGNOSE_MS) {
		d->at_ms = 0;
		return 0;
	}
	what_is(v, &now);
	if (!d->at_ms || log_now_ms() - d->at_ms > VIEW_DIAGNOSE_AGAIN_MS || memcmp(&now, &d->what, sizeof(now)))
		r = sign(v, &now);
	for (size_t i = 0; i < VIEW_DIAGNOSES && r >= 0; i++)
		r = sd_json_variant_append_arraybo(list, SD_JSON_BUILD_PAIR_STRING("text", d->texts[i]));
	return r;
}
