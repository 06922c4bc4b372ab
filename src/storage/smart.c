#include "storage/smart.h"

#include "api/json.h"

#include <stdio.h>

/* NVM Express base specification, SMART / health log, critical warning: of these, heat alone is no end. */
enum { NVME_TOO_HOT = 1 << 1 };

static sd_json_variant *at(sd_json_variant *v, const char *a, const char *b)
{
	sd_json_variant *inner = sd_json_variant_by_key(v, a);

	return b ? sd_json_variant_by_key(inner, b) : inner;
}

static uint64_t number(sd_json_variant *v)
{
	return sd_json_variant_is_unsigned(v) ? sd_json_variant_unsigned(v) : 0;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) || sum > INT64_MAX ? INT64_MAX : sum;
}

int smart_decode(struct str text, struct smart *ret, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	sd_json_variant *passed, *nvme;
	struct smart s = { 0 };
	int r;

	if (text.n > SMART_MAX)
		return err_set(e, -EBADMSG, "what it says of its health is longer than %d bytes", SMART_MAX);
	if ((r = json_parse(text, &v, e)))
		return err_wrap(e, r, "what it says of its health");
	passed = at(v, "smart_status", "passed");
	nvme = at(v, "nvme_smart_health_information_log", NULL);
	s.is_known = sd_json_variant_is_boolean(passed);
	s.is_failing = s.is_known && !sd_json_variant_boolean(passed);
	if (nvme)
		s.is_failing &= number(at(nvme, "critical_warning", NULL)) != NVME_TOO_HOT;
	s.worn = plus(number(at(nvme, "percentage_used", NULL)), number(at(v, "scsi_percentage_used_endurance_indicator", NULL)));
	s.bad_sectors = plus(number(at(nvme, "media_errors", NULL)), number(at(v, "scsi_grown_defect_list", NULL)));
	*ret = s.is_known ? s : (struct smart){ 0 };
	return 0;
}

bool smart_judge(const struct smart *s, char *ret, size_t size)
{
	if (s->is_failing)
		snprintf(ret, size, "it says itself that it fails or soon will (SMART): copy what is wanted from it, and replace it");
	return s->is_failing;
}

static const struct json_field fields[] = {
	{ "failing", JSON_BOOL, offsetof(struct smart, is_failing), .required = true },
	{ "worn", JSON_U64, offsetof(struct smart, worn), .required = true, .max = INT64_MAX },
	{ "bad_sectors", JSON_U64, offsetof(struct smart, bad_sectors), .required = true, .max = INT64_MAX },
};
static const struct json_table table = { fields, ARRAY_LEN(fields), 0, NULL };

int smart_answer_decode(sd_json_variant *v, struct smart *ret, struct err *e)
{
	struct smart s = { .is_known = true };
	int r = json_decode(v, &table, &s, e);

	if (!r)
		*ret = s;
	return r;
}

int smart_answer_json(const struct smart *s, sd_json_variant **ret)
{
	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_BOOLEAN("failing", s->is_failing), SD_JSON_BUILD_PAIR_UNSIGNED("worn", s->worn),
			      SD_JSON_BUILD_PAIR_UNSIGNED("bad_sectors", s->bad_sectors));
}
