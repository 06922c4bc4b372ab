#include "storage/care.h"

#include "api/json.h"

#include <inttypes.h>
#include <stdio.h>

#define NUMBER(T, field, name_) { (name_), JSON_U64, offsetof(T, field), .required = true, .max = INT64_MAX }

static const struct json_field scrub_fields[] = {
	NUMBER(struct care_scrub, at_bytes, "at"),
	NUMBER(struct care_scrub, begun_s, "begun"),
	NUMBER(struct care_scrub, counted, "counted"),
	NUMBER(struct care_scrub, errors, "errors"),
	NUMBER(struct care_scrub, broken, "broken"),
	NUMBER(struct care_scrub, ended_s, "ended"),
	NUMBER(struct care_scrub, last_errors, "last_errors"),
	NUMBER(struct care_scrub, last_broken, "last_broken"),
};
static const struct json_table scrub_table = { scrub_fields, ARRAY_LEN(scrub_fields), 0, NULL };

struct record {
	uint64_t version;
	struct care_scrub scrub;
};
static const struct json_field record_fields[] = {
	{ "version", JSON_U64, offsetof(struct record, version), .required = true, .min = 1, .max = 1 },
	{ "scrub", JSON_OBJECT, offsetof(struct record, scrub), .required = true, .table = &scrub_table },
};
static const struct json_table record_table = { record_fields, ARRAY_LEN(record_fields), 0, NULL };

static const struct json_field care_fields[] = {
	NUMBER(struct care, io_errors, "io_errors"),
	NUMBER(struct care, bad_blocks, "bad_blocks"),
	{ "read_only", JSON_BOOL, offsetof(struct care, is_read_only), .required = true },
	{ "scarce", JSON_BOOL, offsetof(struct care, is_scarce), .required = true },
	{ "scrub", JSON_OBJECT, offsetof(struct care, scrub), .required = true, .table = &scrub_table },
};
static const struct json_table care_table = { care_fields, ARRAY_LEN(care_fields), 0, NULL };

bool care_judge(const struct care *c, char *ret, size_t size)
{
	if (c->is_read_only)
		snprintf(ret, size,
			 "an error ended all writing to it: what is on it can be read as long as that goes well; copy what is wanted, start the node "
			 "again once, and replace the disk if this comes back");
	else if (c->io_errors || c->bad_blocks)
		snprintf(ret, size,
			 "%" PRIu64 " reads or writes failed, and %" PRIu64
			 " blocks that were read were wrong: see its cable, copy what is wanted, and "
			 "replace it if more follow; a scrub that finds nothing ends this",
			 c->io_errors, c->bad_blocks);
	else if (c->is_scarce)
		snprintf(
			ret, size,
			"hardly any room is left on it for names of files, and without that the node takes no orders: volumes here with very many small "
			"files or long links take up to twice their size; remove such files, or one of the volumes");
	return c->is_read_only || c->io_errors || c->bad_blocks || c->is_scarce;
}

bool care_scrub_is_due(const struct care *c, uint64_t seed, uint64_t now_s)
{
	const struct care_scrub *s = &c->scrub;
	uint64_t since_s = now_s > s->ended_s ? now_s - s->ended_s : s->ended_s - now_s; /* clocks may have been wrong then, or be so now */
	uint64_t wait_s = CARE_SCRUB_EVERY_S / 3 * 2 + seed % (CARE_SCRUB_EVERY_S / 3);

	if (c->io_errors || c->bad_blocks)
		wait_s = CARE_SCRUB_AGAIN_S;
	return !c->is_read_only && (s->at_bytes || since_s >= wait_s);
}

bool care_scrub_step(struct care *c, const struct care_slice *slice, uint64_t now_s)
{
	struct care_scrub *s = &c->scrub;
	uint64_t counted = c->io_errors + c->bad_blocks;
	bool is_clean;

	if (!s->at_bytes) {
		s->begun_s = now_s;
		s->counted = counted;
		s->errors = s->broken = 0;
	}
	s->errors += slice->errors;
	s->broken += slice->broken;
	s->at_bytes = slice->end_bytes < slice->size_bytes ? slice->end_bytes : 0;
	if (s->at_bytes)
		return false;
	is_clean = !s->errors && s->counted == counted;
	*s = (struct care_scrub){ .ended_s = now_s, .last_errors = s->errors, .last_broken = s->broken };
	return is_clean;
}

int care_scrub_decode(struct str text, struct care_scrub *ret, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	struct record record = { 0 };
	int r;

	if (text.n > CARE_RECORD_MAX)
		return err_set(e, -EBADMSG, "the record of scrubs is longer than %d bytes", CARE_RECORD_MAX);
	if ((r = json_parse(text, &v, e)) || (r = json_decode(v, &record_table, &record, e)))
		return err_wrap(e, r, "the record of scrubs");
	*ret = record.scrub;
	return 0;
}

int care_decode(sd_json_variant *v, struct care *ret, struct err *e)
{
	struct care c = { 0 };
	int r = json_decode(v, &care_table, &c, e);

	if (!r)
		*ret = c;
	return r;
}

static int scrub_json(const struct care_scrub *s, sd_json_variant **ret)
{
	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_UNSIGNED("at", s->at_bytes), SD_JSON_BUILD_PAIR_UNSIGNED("begun", s->begun_s),
			      SD_JSON_BUILD_PAIR_UNSIGNED("counted", s->counted), SD_JSON_BUILD_PAIR_UNSIGNED("errors", s->errors),
			      SD_JSON_BUILD_PAIR_UNSIGNED("broken", s->broken), SD_JSON_BUILD_PAIR_UNSIGNED("ended", s->ended_s),
			      SD_JSON_BUILD_PAIR_UNSIGNED("last_errors", s->last_errors), SD_JSON_BUILD_PAIR_UNSIGNED("last_broken", s->last_broken));
}

int care_scrub_encode(const struct care_scrub *s, struct buf *ret)
{
	AUTO_JSON sd_json_variant *scrub = NULL, *v = NULL;
	int r = scrub_json(s, &scrub);

	if (r >= 0)
		r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_UNSIGNED("version", 1), SD_JSON_BUILD_PAIR_VARIANT("scrub", scrub));
	return r < 0 ? r : json_format(v, ret);
}

int care_json(const struct care *c, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *scrub = NULL;
	int r = scrub_json(&c->scrub, &scrub);

	return r < 0 ? r
		     : sd_json_buildo(ret, SD_JSON_BUILD_PAIR_UNSIGNED("io_errors", c->io_errors),
				      SD_JSON_BUILD_PAIR_UNSIGNED("bad_blocks", c->bad_blocks),
				      SD_JSON_BUILD_PAIR_BOOLEAN("read_only", c->is_read_only), SD_JSON_BUILD_PAIR_BOOLEAN("scarce", c->is_scarce),
				      SD_JSON_BUILD_PAIR_VARIANT("scrub", scrub));
}
