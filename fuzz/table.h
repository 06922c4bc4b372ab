/* Arguments, by name and by their table: what is taken fills its struct and nothing beside it, and says the same when asked again; what is refused names the place. */
#pragma once
#include "api/json.h"

#include <stdlib.h>
#include <string.h>

struct table_input {
	struct str name, json;
};

/* An input is a name, a space and JSON. */
static inline struct table_input table_input(const uint8_t *data, size_t n)
{
	const char *p = (const char *)data, *end = n ? memchr(p, ' ', n) : NULL;
	size_t at = end ? (size_t)(end - p) : n;

	return (struct table_input){ { p, at }, { p + at, n - at } };
}

/* SIZE: bytes of the struct. */
static inline void table_try(const struct json_table *table, size_t size, struct str json)
{
	AUTO_JSON sd_json_variant *v = NULL;
	AUTO_FREE void *once = NULL, *again = NULL;
	struct err e = { 0 };
	int r;

	if (json_parse(json, &v, NULL))
		return;
	once = calloc(1, size); /* no byte more, so that one too many is seen */
	again = calloc(1, size);
	r = json_decode(v, table, once, &e);
	if (r && (e.msg[0] != '/' || r != -EBADMSG))
		abort();
	if (json_decode(v, table, again, NULL) != r || (!r && memcmp(once, again, size)))
		abort();
}

struct table_row {
	const char *name;
	const struct json_table *table;
};

static inline void table_rows_try(const struct table_row *rows, size_t n_rows, const uint8_t *data, size_t n)
{
	struct table_input in = table_input(data, n);

	for (size_t i = 0; i < n_rows; i++)
		if (str_eq(in.name, str_c(rows[i].name)))
			table_try(rows[i].table, rows[i].table->size, in.json);
}
