#include "node/health.h"

#include "base/log.h"
#include "node/clock.h"
#include "node/disks.h"
#include "sys/secureboot.h"
#include "sys/supervisor.h"

static const struct supervisor supervisor = SUPERVISOR_DEFAULT;

/* A state in which nobody needs to do anything. */
static bool is_well(enum supervisor_state s)
{
	return s == SUPERVISOR_UP || s == SUPERVISOR_DONE || s == SUPERVISOR_SKIPPED || s == SUPERVISOR_DOWN;
}

static int unit_json(const struct supervisor_unit *u, sd_json_variant **ret)
{
	uint64_t now_ms = log_now_ms();

	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("name", u->name), SD_JSON_BUILD_PAIR_STRING("state", supervisor_state_name(u->state)),
			      SD_JSON_BUILD_PAIR_UNSIGNED("restarts", u->restarts),
			      SD_JSON_BUILD_PAIR_UNSIGNED("since_s", now_ms > u->since_ms ? (now_ms - u->since_ms) / 1000 : 0),
			      SD_JSON_BUILD_PAIR_CONDITION(u->text[0] != '\0', "text", SD_JSON_BUILD_STRING(u->text)));
}

int health_build(const struct line *l, const struct storage *s, sd_json_variant **ret, struct err *e)
{
	AUTO_FREE struct supervisor_unit *units = calloc(HEALTH_UNITS_MAX, sizeof(*units));
	AUTO_JSON sd_json_variant *list = NULL, *hubs = NULL, *sessions = NULL, *disks = NULL, *clock = NULL;
	bool ok = disks_are_well(s) && clock_is_well(l->engine->farm), is_secure = secureboot_is_on(SECUREBOOT_PAGE);
	int n, r;

	BUG_ON(!units);
	n = supervisor_list(&supervisor, units, HEALTH_UNITS_MAX, e);
	if (n < 0)
		return n;
	r = sd_json_variant_new_array(&list, NULL, 0);
	for (int i = 0; r >= 0 && i < n; i++) {
		AUTO_JSON sd_json_variant *one = NULL;

		if (strchr(units[i].name, '@'))
			continue;
		ok &= is_well(units[i].state);
		r = unit_json(&units[i], &one);
		if (r >= 0)
			r = sd_json_variant_append_array(&list, one);
	}
	for (size_t i = 0; i < l->n_hubs; i++)
		ok &= l->hubs[i].is_up;
	if (r >= 0)
		r = line_hubs_json(l, &hubs);
	if (r >= 0)
		r = line_sessions_json(l, &sessions);
	if (r >= 0)
		r = disks_json(s, &disks);
	if (r >= 0)
		r = clock_json(l->engine->farm, &clock);
	if (r >= 0)
		r = sd_json_buildo(
			ret, SD_JSON_BUILD_PAIR_BOOLEAN("ok", ok), SD_JSON_BUILD_PAIR_VARIANT("services", list),
			SD_JSON_BUILD_PAIR_VARIANT("hubs", hubs), SD_JSON_BUILD_PAIR_VARIANT("sessions", sessions),
			SD_JSON_BUILD_PAIR_VARIANT("disks", disks), SD_JSON_BUILD_PAIR_VARIANT("clock", clock),
			SD_JSON_BUILD_PAIR_BOOLEAN("secure_boot", is_secure),
			SD_JSON_BUILD_PAIR_CONDITION(s->disks != NULL, "keys_sealed", SD_JSON_BUILD_BOOLEAN(is_secure && disks_are_in_tpm(s))));
	return r < 0 ? err_set(e, r, "describe the services: %s", strerror(-r)) : 0;
}

/* What a program wrote need not be UTF-8, and JSON must be. */
static void make_ascii(struct buf *b)
{
	for (size_t i = 0; i < b->len; i++)
		if ((unsigned char)b->p[i] >= 0x80 || !b->p[i])
			b->p[i] = '?';
}

int health_log(const char *service, struct buf *ret, struct err *e)
{
	struct supervisor_unit unit;
	uint64_t from = 0;
	size_t before;
	int r = supervisor_find(&supervisor, service, &unit, e);

	if (r == SUPERVISOR_UNKNOWN && strcmp(service, "init"))
		return err_set(e, -ENOENT, "there is no service '%s': 'zos node health' lists them", service);
	if (r < 0)
		return r;
	do {
		before = ret->len;
		if ((r = supervisor_log(&supervisor, service, &from, ret, e)) < 0)
			return r;
	} while (ret->len != before);
	if (ret->len > HEALTH_LOG_MAX)
		buf_drop(ret, ret->len - HEALTH_LOG_MAX);
	make_ascii(ret);
	return 0;
}

int health_reboot(struct err *e)
{
	log_info("rebooting: an order of the farm");
	return supervisor_power(&supervisor, true, e);
}
