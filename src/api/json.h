/* From JSON to structs, by tables, strictly: unknown, repeated, missing and out-of-range fields are refused with their JSON path.
 *
 * sd-json parses; this walks. Texts, lists of texts, maps and `any` stay borrowed from the variant, which must outlive the
 * struct. Fields that are absent keep what the struct held before, so a caller sets the defaults first. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "ident/key.h"

#include <stdint.h>
#include <systemd/sd-json.h>

enum json_kind {
	JSON_TEXT,   /* const char * */
	JSON_U64,    /* uint64_t; an integer, 1.0 is none */
	JSON_MILLI,  /* uint64_t in thousandths; at most three decimals */
	JSON_BOOL,   /* bool */
	JSON_CHOICE, /* unsigned: index into names */
	JSON_TIME,   /* int64_t, Unix seconds, from RFC 3339 in UTC; null = left alone */
	JSON_KEY,    /* struct key_pub */
	JSON_TEXTS,  /* sd_json_variant *: an array of strings */
	JSON_MAP,    /* sd_json_variant *: an object of strings, or, with a table, of strings and objects by that table */
	JSON_VALUE,  /* sd_json_variant *: a string, or, with a table, an object by that table */
	JSON_ANY,    /* sd_json_variant *: an object, not looked into */
	JSON_OBJECT, /* a struct embedded at off, by table */
	JSON_LIST,   /* an array of structs embedded at off, by table; their number, size_t, at n_off */
	JSON_ROWS,   /* sd_json_variant *: an array of objects, each by table; looked at, to be decoded one by one by json_decode() */
	JSON_REFUSED, /* known, but this version does not do it: `want` says why */
};

struct json_table;
struct json_field {
	const char *name;
	enum json_kind kind;
	size_t off;
	bool required;
	uint64_t min, max;         /* U64, MILLI: the value; TEXT: bytes; TEXTS, MAP, LIST, ROWS: how many. max 0 = the kind's own limit */
	const char *const *names;  /* CHOICE: ends with NULL */
	bool (*ok)(struct str);    /* TEXT: must say yes */
	const char *want;          /* what ok() asks for, or why the field is refused */
	const struct json_table *table;
	size_t n_off;
	uint64_t text_max;         /* MAP, VALUE: bytes of one string; 0 = JSON_TEXT_MAX */
};

struct json_table {
	const struct json_field *fields;
	size_t n_fields;
	size_t size;          /* of one struct, for lists */
	const void *defaults; /* of one struct, for lists; NULL = zero */
};

enum { JSON_TEXT_MAX = 4096, JSON_COUNT_MAX = 256, JSON_DEPTH_MAX = 8, JSON_MAP_SIZE_MAX = 96 /* of a map's, a value's or a row's table */ };

/* -EBADMSG with "/path: what is wrong". */
MUST_CHECK int json_decode(sd_json_variant *v, const struct json_table *t, void *ret, struct err *e);

/* Parses JSON text that somebody sent. -EBADMSG. Returns owned. */
MUST_CHECK int json_parse(struct str text, sd_json_variant **ret, struct err *e);

void json_unrefp(sd_json_variant **v);
#define AUTO_JSON CLEANUP(json_unrefp)

/* Appends V as text on one line. */
MUST_CHECK int json_format(sd_json_variant *v, struct buf *ret);
