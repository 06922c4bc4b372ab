#include "api/json.h"

#include "base/parse.h"

#include <inttypes.h>
#include <stdio.h>

struct path {
	char text[256];
	size_t n;
	unsigned depth;
};

/* Adds "/KEY"; returns where to cut it off again. */
static size_t path_down(struct path *p, const char *key)
{
	size_t before = p->n;
	int n = snprintf(p->text + p->n, sizeof(p->text) - p->n, "/%.64s", key);

	p->n += (size_t)n < sizeof(p->text) - p->n ? (size_t)n : 0;
	return before;
}

static void path_up(struct path *p, size_t before)
{
	p->n = before;
	p->text[before] = '\0';
}

#define bad(p, e, ...) bad_at((p), (e), __VA_ARGS__)
__attribute__((format(printf, 3, 4))) static int bad_at(const struct path *p, struct err *e, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(e, -EBADMSG, "%s: %s", p->n ? p->text : "/", what);
}

static int object_decode(sd_json_variant *v, const struct json_table *t, void *ret, struct path *p, struct err *e);

static int text_decode(sd_json_variant *v, const struct json_field *f, void *at, struct path *p, struct err *e)
{
	uint64_t max = f->max ? f->max : JSON_TEXT_MAX;
	const char *s;
	size_t n;

	if (!sd_json_variant_is_string(v))
		return bad(p, e, "must be a string");
	s = sd_json_variant_string(v);
	n = strlen(s);
	if (n < f->min || n > max)
		return bad(p, e, "has %zu characters: %" PRIu64 " to %" PRIu64 " are allowed", n, f->min, max);
	if (f->ok && !f->ok((struct str){ s, n }))
		return bad(p, e, "'%.60s' is not %s", s, f->want);
	*(const char **)at = s;
	return 0;
}

static int range_check(uint64_t v, const struct json_field *f, uint64_t scale, struct path *p, struct err *e)
{
	if (v < f->min)
		return bad(p, e, "%" PRIu64 "%s is below the minimum of %" PRIu64 "%s", v, scale > 1 ? "/1000" : "", f->min,
			   scale > 1 ? "/1000" : "");
	if (f->max && v > f->max)
		return bad(p, e, "%" PRIu64 "%s is above the maximum of %" PRIu64 "%s", v, scale > 1 ? "/1000" : "", f->max,
			   scale > 1 ? "/1000" : "");
	return 0;
}

static bool is_u64(sd_json_variant *v)
{
	/* the type, not the value: the library finds that 1.0 "is an integer" */
	return sd_json_variant_type(v) == SD_JSON_VARIANT_UNSIGNED ||
	       (sd_json_variant_type(v) == SD_JSON_VARIANT_INTEGER && sd_json_variant_integer(v) >= 0);
}

static int u64_decode(sd_json_variant *v, const struct json_field *f, void *at, struct path *p, struct err *e)
{
	uint64_t n;
	int r;

	if (!is_u64(v))
		return bad(p, e, "must be a whole number that is not negative");
	n = sd_json_variant_unsigned(v);
	if ((r = range_check(n, f, 1, p, e)))
		return r;
	*(uint64_t *)at = n;
	return 0;
}

static int milli_decode(sd_json_variant *v, const struct json_field *f, void *at, struct path *p, struct err *e)
{
	double n = sd_json_variant_is_number(v) ? sd_json_variant_real(v) : -1;
	uint64_t milli;
	int r;

	if (!(n >= 0 && n <= 1e9))
		return bad(p, e, "must be a number that is not negative");
	milli = (uint64_t)(n * 1000 + 0.5);
	if ((double)milli / 1000 - n > 1e-9 || n - (double)milli / 1000 > 1e-9)
		return bad(p, e, "has more than three decimals");
	if ((r = range_check(milli, f, 1000, p, e)))
		return r;
	*(uint64_t *)at = milli;
	return 0;
}

static int bool_decode(sd_json_variant *v, const struct json_field *f, void *at, struct path *p, struct err *e)
{
	(void)f;
	if (!sd_json_variant_is_boolean(v))
		return bad(p, e, "must be true or false");
	*(bool *)at = sd_json_variant_boolean(v);
	return 0;
}

static int choice_decode(sd_json_variant *v, const struct json_field *f, void *at, struct path *p, struct err *e)
{
	char all[128] = "";
	size_t n = 0;

	for (unsigned i = 0; f->names[i]; i++) {
		if (sd_json_variant_is_string(v) && !strcmp(sd_json_variant_string(v), f->names[i])) {
			*(unsigned *)at = i;
			return 0;
		}
		if (n < sizeof(all))
			n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", i ? ", " : "", f->names[i]);
	}
	return bad(p, e, "must be one of: %s", all);
}

static int time_decode(sd_json_variant *v, const struct json_field *f, void *at, struct path *p, struct err *e)
{
	(void)f;
	if (sd_json_variant_is_null(v) && !f->required)
		return 0;
	if (!sd_json_variant_is_string(v) || parse_utc(str_c(sd_json_variant_string(v)), at))
		return bad(p, e, "must be a time such as 2026-01-31T12:00:00Z");
	return 0;
}

static int key_decode(sd_json_variant *v, const struct json_field *f, void *at, struct path *p, struct err *e)
{
	(void)f;
	if (!sd_json_variant_is_string(v) || key_pub_parse(str_c(sd_json_variant_string(v)), at))
		return bad(p, e, "must be a public key (A..., N... or U...)");
	return 0;
}

static int texts_decode(sd_json_variant *v, const struct json_field *f, void *at, struct path *p, struct err *e)
{
	size_t n = sd_json_variant_is_array(v) ? sd_json_variant_elements(v) : 0;
	size_t max = f->max ? f->max : JSON_COUNT_MAX;

	if (!sd_json_variant_is_array(v))
		return bad(p, e, "must be a list of strings");
	if (n < f->min)
		return bad(p, e, "has %zu entries: at least %" PRIu64 " are needed", n, f->min);
	if (n > max)
		return bad(p, e, "has %zu entries: at most %zu are allowed", n, max);
	for (size_t i = 0; i < n; i++) {
		sd_json_variant *one = sd_json_variant_by_index(v, i);

		if (!sd_json_variant_is_string(one) || strlen(sd_json_variant_string(one)) > JSON_TEXT_MAX)
			return bad(p, e, "entry %zu must be a string of at most %d characters", i, JSON_TEXT_MAX);
	}
	*(sd_json_variant **)at = v;
	return 0;
}

static uint64_t text_max(const struct json_field *f)
{
	return f->text_max ? f->text_max : JSON_TEXT_MAX;
}

static bool is_short_text(sd_json_variant *v, const struct json_field *f)
{
	return sd_json_variant_is_string(v) && strlen(sd_json_variant_string(v)) <= text_max(f);
}

/* An object in a text's place. */
static int instead_decode(sd_json_variant *v, const struct json_field *f, struct path *p, struct err *e)
{
	alignas(max_align_t) char looked_at[JSON_MAP_SIZE_MAX] = { 0 };

	BUG_ON(f->table->size > sizeof(looked_at));
	return object_decode(v, f->table, looked_at, p, e);
}

static int value_decode(sd_json_variant *v, const struct json_field *f, void *at, struct path *p, struct err *e)
{
	int r = 0;

	if (f->table && sd_json_variant_is_object(v))
		r = instead_decode(v, f, p, e);
	else if (!is_short_text(v, f))
		r = bad(p, e, "must be a string of at most %" PRIu64 " characters", text_max(f));
	if (!r)
		*(sd_json_variant **)at = v;
	return r;
}

/* One value of a map. */
static int entry_decode(sd_json_variant *v, const char *key, const struct json_field *f, struct path *p, struct err *e)
{
	size_t before;
	int r;

	if (is_short_text(v, f))
		return 0;
	if (!f->table || !sd_json_variant_is_object(v))
		return bad(p, e, "'%.60s' must be a string of at most %" PRIu64 " characters", key, text_max(f));
	before = path_down(p, key);
	r = instead_decode(v, f, p, e);
	path_up(p, before);
	return r;
}

static int map_decode(sd_json_variant *v, const struct json_field *f, void *at, struct path *p, struct err *e)
{
	size_t n = sd_json_variant_is_object(v) ? sd_json_variant_elements(v) : 0;
	size_t max = f->max ? f->max : JSON_COUNT_MAX;

	if (!sd_json_variant_is_object(v))
		return bad(p, e, f->table ? "must be an object" : "must be an object of strings");
	if (n / 2 > max)
		return bad(p, e, "has %zu entries: at most %zu are allowed", n / 2, max);
	for (size_t i = 0; i < n; i += 2) {
		const char *key = sd_json_variant_string(sd_json_variant_by_index(v, i));
		sd_json_variant *one = sd_json_variant_by_index(v, i + 1);
		int r = entry_decode(one, key, f, p, e);

		if (r)
			return r;
		if (sd_json_variant_by_key(v, key) != one)
			return bad(p, e, "'%.60s' stands twice", key);
	}
	*(sd_json_variant **)at = v;
	return 0;
}

static int any_decode(sd_json_variant *v, const struct json_field *f, void *at, struct path *p, struct err *e)
{
	if (sd_json_variant_is_null(v) && !f->required)
		return 0;
	if (!sd_json_variant_is_object(v))
		return bad(p, e, "must be an object");
	*(sd_json_variant **)at = v;
	return 0;
}

static int embedded_decode(sd_json_variant *v, const struct json_field *f, void *at, struct path *p, struct err *e)
{
	return object_decode(v, f->table, at, p, e);
}

static int rows_decode(sd_json_variant *v, const struct json_field *f, void *at, struct path *p, struct err *e)
{
	size_t n = sd_json_variant_is_array(v) ? sd_json_variant_elements(v) : 0;
	int r = 0;

	if (!sd_json_variant_is_array(v))
		return bad(p, e, "must be a list");
	if (n < f->min || n > f->max)
		return bad(p, e, "has %zu entries: %" PRIu64 " to %" PRIu64 " are allowed", n, f->min, f->max);
	for (size_t i = 0; i < n && !r; i++) {
		char index[24];
		size_t before;

		snprintf(index, sizeof(index), "%zu", i);
		before = path_down(p, index);
		r = instead_decode(sd_json_variant_by_index(v, i), f, p, e);
		path_up(p, before);
	}
	if (!r)
		*(sd_json_variant **)at = v;
	return r;
}

static int refused_decode(sd_json_variant *v, const struct json_field *f, void *at, struct path *p, struct err *e)
{
	(void)v;
	(void)at;
	return bad(p, e, "%s", f->want);
}

static int list_decode(sd_json_variant *v, const struct json_field *f, void *ret, struct path *p, struct err *e)
{
	size_t n = sd_json_variant_is_array(v) ? sd_json_variant_elements(v) : 0;
	char *at = (char *)ret + f->off;

	if (!sd_json_variant_is_array(v))
		return bad(p, e, "must be a list");
	if (n < f->min || n > f->max)
		return bad(p, e, "has %zu entries: %" PRIu64 " to %" PRIu64 " are allowed", n, f->min, f->max);
	for (size_t i = 0; i < n; i++, at += f->table->size) {
		char index[24];
		size_t before;
		int r;

		snprintf(index, sizeof(index), "%zu", i);
		before = path_down(p, index);
		if (f->table->defaults)
			memcpy(at, f->table->defaults, f->table->size);
		else
			memset(at, 0, f->table->size);
		r = object_decode(sd_json_variant_by_index(v, i), f->table, at, p, e);
		path_up(p, before);
		if (r)
			return r;
	}
	*(size_t *)((char *)ret + f->n_off) = n;
	return 0;
}

typedef int (*field_decode)(sd_json_variant *, const struct json_field *, void *, struct path *, struct err *);
static const field_decode decoders[] = {
	[JSON_TEXT] = text_decode,       [JSON_U64] = u64_decode,     [JSON_MILLI] = milli_decode,     [JSON_BOOL] = bool_decode,
	[JSON_CHOICE] = choice_decode,   [JSON_TIME] = time_decode,   [JSON_KEY] = key_decode,         [JSON_TEXTS] = texts_decode,
	[JSON_MAP] = map_decode,         [JSON_ANY] = any_decode,     [JSON_OBJECT] = embedded_decode, [JSON_LIST] = list_decode,
	[JSON_REFUSED] = refused_decode, [JSON_VALUE] = value_decode, [JSON_ROWS] = rows_decode,
};

static const struct json_field *field_find(const struct json_table *t, const char *name)
{
	for (size_t i = 0; i < t->n_fields; i++)
		if (!strcmp(t->fields[i].name, name))
			return &t->fields[i];
	return NULL;
}

static int field_one(sd_json_variant *v, const struct json_field *f, bool again, void *ret, struct path *p, struct err *e)
{
	if (!f)
		return bad(p, e, "unknown field");
	if (again)
		return bad(p, e, "stands twice");
	return decoders[f->kind](v, f, f->kind == JSON_LIST ? ret : (char *)ret + f->off, p, e);
}

static int object_decode(sd_json_variant *v, const struct json_table *t, void *ret, struct path *p, struct err *e)
{
	uint64_t seen = 0;
	size_t n = sd_json_variant_is_object(v) ? sd_json_variant_elements(v) : 0;

	BUG_ON(t->n_fields > 64);
	if (!sd_json_variant_is_object(v))
		return bad(p, e, "must be an object");
	if (p->depth++ > JSON_DEPTH_MAX)
		return bad(p, e, "is nested too deep");
	for (size_t i = 0; i < n; i += 2) {
		const char *name = sd_json_variant_string(sd_json_variant_by_index(v, i));
		const struct json_field *f = field_find(t, name);
		uint64_t bit = f ? 1ull << (f - t->fields) : 0;
		size_t before = path_down(p, name);
		int r = field_one(sd_json_variant_by_index(v, i + 1), f, seen & bit, ret, p, e);

		if (r)
			return r;
		seen |= bit;
		path_up(p, before);
	}
	for (size_t i = 0; i < t->n_fields; i++)
		if (t->fields[i].required && !(seen & 1ull << i)) {
			path_down(p, t->fields[i].name);
			return bad(p, e, "is missing");
		}
	p->depth--;
	return 0;
}

int json_decode(sd_json_variant *v, const struct json_table *t, void *ret, struct err *e)
{
	struct path p = { 0 };

	return object_decode(v, t, ret, &p, e);
}

int json_parse(struct str text, sd_json_variant **ret, struct err *e)
{
	AUTO_BUF struct buf copy = { 0 }; /* the parser wants a NUL at the end and none before it */
	unsigned line = 0, column = 0;

	buf_add(&copy, text);
	if (buf_check(&copy))
		return err_set(e, -ENOMEM, "read JSON: out of memory");
	if (!text.n || memchr(text.p, '\0', text.n))
		return err_set(e, -EBADMSG, "not JSON: %s", text.n ? "it holds a NUL byte" : "it is empty");
	if (sd_json_parse(copy.p, 0, ret, &line, &column) < 0)
		return err_set(e, -EBADMSG, "not JSON: line %u, column %u", line, column);
	return 0;
}

void json_unrefp(sd_json_variant **v)
{
	*v = sd_json_variant_unref(*v);
}

int json_format(sd_json_variant *v, struct buf *ret)
{
	AUTO_FREE char *text = NULL;
	int r = sd_json_variant_format(v, 0, &text);

	if (r < 0)
		return r;
	buf_add(ret, str_c(text));
	return buf_check(ret);
}
