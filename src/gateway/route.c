#include "gateway/route.h"

#include <stdio.h>
#include <stdlib.h>

char *text_copy(const char *text)
{
	char *is = text ? strdup(text) : NULL;

	BUG_ON(text && !is);
	return is;
}

void wipe_free(char **p)
{
	if (*p)
		explicit_bzero(*p, strlen(*p));
	free(*p);
	*p = NULL;
}

void routes_deinit(struct routes *r)
{
	for (size_t i = 0; i < r->n; i++)
		wipe_free(&r->list[i].bundle);
	r->n = 0;
}

void route_set_bundle(struct route *r, const char *bundle)
{
	char *copy = text_copy(bundle);

	wipe_free(&r->bundle);
	r->bundle = copy;
	r->cert_id[0] = '\0';
	if (copy)
		cert_bundle_id(str_c(copy), r->cert_id);
}

static int backends_build(const struct route *r, sd_json_variant **ret)
{
	int n = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; n >= 0 && i < r->n_backends; i++) {
		char text[ENDPOINT_TEXT_SIZE];

		endpoint_format(text, &r->backends[i]);
		n = sd_json_variant_append_arrayb(ret, SD_JSON_BUILD_STRING(text));
	}
	return n;
}

static int list_build(const struct routes *r, sd_json_variant **ret)
{
	int n = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; n >= 0 && i < r->n; i++) {
		AUTO_JSON sd_json_variant *backends = NULL;

		if ((n = backends_build(&r->list[i], &backends)) >= 0)
			n = sd_json_variant_append_arraybo(
				ret, SD_JSON_BUILD_PAIR_STRING("id", r->list[i].id), SD_JSON_BUILD_PAIR_STRING("fqdn", r->list[i].fqdn),
				SD_JSON_BUILD_PAIR_STRING("device", r->list[i].device),
				SD_JSON_BUILD_PAIR_BOOLEAN("tls_passthrough", r->list[i].tls_passthrough),
				SD_JSON_BUILD_PAIR_CONDITION(r->list[i].bundle != NULL, "bundle", SD_JSON_BUILD_STRING(r->list[i].bundle)),
				SD_JSON_BUILD_PAIR_VARIANT("backends", backends));
	}
	return n;
}

int routes_build(const struct routes *r, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *list = NULL;
	int n = list_build(r, &list);

	if (n < 0 || sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("thumbprint", r->thumbprint), SD_JSON_BUILD_PAIR_VARIANT("routes", list)) < 0)
		return -ENOMEM;
	sd_json_variant_sensitive(*ret);
	return 0;
}

bool route_id_ok(struct str s)
{
	uint8_t bytes[WORK_ID_LEN / 2];

	return s.n == WORK_ID_LEN && !parse_hex(s, bytes, sizeof(bytes));
}

static bool device_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9'))
			return false;
	return s.n < sizeof(((struct route *)0)->device);
}

/* They go into another program's commands, a word each. */
static bool fqdn_word_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '-' && s.p[i] != '.')
			return false;
	return s.n && s.n <= GATEWAY_FQDN_MAX;
}

/* None, or one. */
static bool thumbprint_ok(struct str s)
{
	return !s.n || cert_thumbprint_ok(s);
}

/* It goes into another program's commands, up to the first empty line. */
static bool bundle_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\n' ? i + 1 < s.n && s.p[i + 1] == '\n' : s.p[i] < ' ' || s.p[i] > '~')
			return false;
	return str_starts(s, S("-----BEGIN ")) && s.p[s.n - 1] == '\n';
}

struct row {
	const char *id, *fqdn, *device, *bundle;
	bool tls_passthrough;
	sd_json_variant *backends;
};
static const struct json_field row_fields[] = {
	{ "id", JSON_TEXT, offsetof(struct row, id), .required = true, .ok = route_id_ok, .want = "the id of a workload" },
	{ "fqdn", JSON_TEXT, offsetof(struct row, fqdn), .required = true, .ok = fqdn_word_ok, .want = "a name" },
	{ "device", JSON_TEXT, offsetof(struct row, device), .required = true, .ok = device_ok, .want = "a device" },
	{ "tls_passthrough", JSON_BOOL, offsetof(struct row, tls_passthrough), .required = true },
	{ "bundle", JSON_TEXT, offsetof(struct row, bundle), .max = CERT_BUNDLE_MAX },
	{ "backends", JSON_TEXTS, offsetof(struct row, backends), .required = true, .min = 1, .max = GATEWAY_BACKENDS_MAX },
};
static const struct json_table row_table = { row_fields, ARRAY_LEN(row_fields), sizeof(struct row), NULL };

struct rows {
	const char *thumbprint;
	sd_json_variant *list;
};
static const struct json_field rows_fields[] = {
	{ "thumbprint", JSON_TEXT, offsetof(struct rows, thumbprint), .required = true, .ok = thumbprint_ok, .want = "a thumbprint" },
	{ "routes", JSON_ROWS, offsetof(struct rows, list), .required = true, .max = GATEWAY_ROUTES_MAX, .table = &row_table },
};
static const struct json_table rows_table = { rows_fields, ARRAY_LEN(rows_fields), 0, NULL };

static int route_take(const struct row *row, struct route *ret, struct err *e)
{
	*ret = (struct route){ .tls_passthrough = row->tls_passthrough };
	if (row->bundle && !bundle_ok(str_c(row->bundle))) /* said without a word of it: there is a key in it */
		return err_set(e, -EBADMSG, "what is to be the certificate of '%s' is no PEM", row->fqdn);
	snprintf(ret->id, sizeof(ret->id), "%s", row->id);
	snprintf(ret->fqdn, sizeof(ret->fqdn), "%s", row->fqdn);
	snprintf(ret->device, sizeof(ret->device), "%s", row->device);
	route_set_bundle(ret, row->bundle);
	for (; ret->n_backends < sd_json_variant_elements(row->backends); ret->n_backends++) {
		const char *text = sd_json_variant_string(sd_json_variant_by_index(row->backends, ret->n_backends));

		if (endpoint_parse(str_c(text), &ret->backends[ret->n_backends]))
			return err_set(e, -EBADMSG, "'%.60s' is no backend", text);
	}
	return 0;
}

int routes_decode(sd_json_variant *v, struct routes *ret, struct err *e)
{
	struct rows rows = { 0 };
	int r = json_decode(v, &rows_table, &rows, e);

	ret->n = 0;
	snprintf(ret->thumbprint, sizeof(ret->thumbprint), "%s", r ? "" : rows.thumbprint);
	for (size_t i = 0; !r && i < sd_json_variant_elements(rows.list); i++) {
		struct row row = { 0 };

		if (!(r = json_decode(sd_json_variant_by_index(rows.list, i), &row_table, &row, e)))
			r = route_take(&row, &ret->list[ret->n++], e);
	}
	return r;
}

int routes_report(const struct routes *r, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *list = NULL;
	int n = sd_json_variant_new_array(&list, NULL, 0);

	for (size_t i = 0; n >= 0 && i < r->n; i++)
		n = sd_json_variant_append_arraybo(
			&list, SD_JSON_BUILD_PAIR_STRING("id", r->list[i].id), SD_JSON_BUILD_PAIR_BOOLEAN("known", r->list[i].is_known),
			SD_JSON_BUILD_PAIR_BOOLEAN("ready", r->list[i].is_ready), SD_JSON_BUILD_PAIR_UNSIGNED("up", r->list[i].n_up));
	return n < 0 || sd_json_buildo(ret, SD_JSON_BUILD_PAIR_VARIANT("routes", list)) < 0 ? -ENOMEM : 0;
}

static const struct json_field report_fields[] = {
	{ "id", JSON_TEXT, offsetof(struct route_report, id), .required = true, .ok = route_id_ok, .want = "the id of a workload" },
	{ "known", JSON_BOOL, offsetof(struct route_report, is_known), .required = true },
	{ "ready", JSON_BOOL, offsetof(struct route_report, is_ready), .required = true },
	{ "up", JSON_U64, offsetof(struct route_report, n_up), .required = true, .max = GATEWAY_BACKENDS_MAX },
};
static const struct json_table report_table = { report_fields, ARRAY_LEN(report_fields), sizeof(struct route_report), NULL };
static const struct json_field reports_fields[] = {
	{ "routes", JSON_ROWS, offsetof(struct rows, list), .required = true, .max = GATEWAY_ROUTES_MAX, .table = &report_table },
};
static const struct json_table reports_table = { reports_fields, ARRAY_LEN(reports_fields), 0, NULL };

int routes_report_each(sd_json_variant *v, void (*fn)(void *ctx, const struct route_report *one), void *ctx, struct err *e)
{
	struct rows rows = { 0 };
	int r = json_decode(v, &reports_table, &rows, e);

	for (size_t i = 0; !r && i < sd_json_variant_elements(rows.list); i++) {
		struct route_report one = { 0 };

		BUG_ON(json_decode(sd_json_variant_by_index(rows.list, i), &report_table, &one, e)); /* it was looked at */
		fn(ctx, &one);
	}
	return r;
}
