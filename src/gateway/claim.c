#include "gateway/claim.h"

#include "api/json.h"
#include "api/workload.h"

#include <stdio.h>
#include <stdlib.h>

enum { WHY_MAX = ORDER_WHY_SIZE - 1 };

void claims_deinit(struct claims *c)
{
	for (size_t i = 0; i < c->n; i++)
		wipe_free(&c->list[i].bundle);
	c->n = 0;
	wipe_free(&c->account);
	wipe_free(&c->ca);
}

static int list_build(const struct claims *c, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && i < c->n; i++) {
		const struct claim *is = &c->list[i];

		r = sd_json_variant_append_arraybo(ret, SD_JSON_BUILD_PAIR_STRING("id", is->id), SD_JSON_BUILD_PAIR_STRING("fqdn", is->fqdn),
						   SD_JSON_BUILD_PAIR_BOOLEAN("ready", is->is_ready),
						   SD_JSON_BUILD_PAIR_CONDITION(is->bundle != NULL, "bundle", SD_JSON_BUILD_STRING(is->bundle)));
	}
	return r;
}

int claims_build(const struct claims *c, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *list = NULL;
	int r = list_build(c, &list);

	if (r < 0 || sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("directory", c->directory), SD_JSON_BUILD_PAIR_STRING("email", c->email),
				    SD_JSON_BUILD_PAIR_CONDITION(c->ca != NULL, "ca", SD_JSON_BUILD_STRING(c->ca)),
				    SD_JSON_BUILD_PAIR_CONDITION(c->account != NULL, "account", SD_JSON_BUILD_STRING(c->account)),
				    SD_JSON_BUILD_PAIR_VARIANT("names", list)) < 0)
		return -ENOMEM;
	sd_json_variant_sensitive(*ret);
	return 0;
}

/* They become arguments of another program. */
static bool word_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return !s.n || s.p[0] != '-';
}

struct row {
	const char *id, *fqdn, *bundle;
	bool is_ready;
};
static const struct json_field row_fields[] = {
	{ "id", JSON_TEXT, offsetof(struct row, id), .required = true, .ok = route_id_ok, .want = "the id of a workload" },
	{ "fqdn", JSON_TEXT, offsetof(struct row, fqdn), .required = true, .max = GATEWAY_FQDN_MAX, .ok = fqdn_ok, .want = "a name" },
	{ "ready", JSON_BOOL, offsetof(struct row, is_ready), .required = true },
	{ "bundle", JSON_TEXT, offsetof(struct row, bundle), .max = CERT_BUNDLE_MAX },
};
static const struct json_table row_table = { row_fields, ARRAY_LEN(row_fields), sizeof(struct row), NULL };

struct rows {
	const char *directory, *email, *ca, *account;
	sd_json_variant *list;
};
static const struct json_field rows_fields[] = {
	{ "directory", JSON_TEXT, offsetof(struct rows, directory), .required = true, .max = CLAIM_URL_MAX, .ok = word_ok, .want = "a URL" },
	{ "email", JSON_TEXT, offsetof(struct rows, email), .required = true, .max = CLAIM_EMAIL_MAX, .ok = word_ok, .want = "an address" },
	{ "ca", JSON_TEXT, offsetof(struct rows, ca), .max = CLAIM_CA_MAX },
	{ "account", JSON_TEXT, offsetof(struct rows, account), .max = CERT_KEY_MAX },
	{ "names", JSON_ROWS, offsetof(struct rows, list), .required = true, .max = GATEWAY_ROUTES_MAX, .table = &row_table },
};
static const struct json_table rows_table = { rows_fields, ARRAY_LEN(rows_fields), 0, NULL };

int claims_decode(sd_json_variant *v, struct claims *ret, struct err *e)
{
	struct rows rows = { 0 };
	int r = json_decode(v, &rows_table, &rows, e);

	*ret = (struct claims){ 0 };
	if (r)
		return r;
	snprintf(ret->directory, sizeof(ret->directory), "%s", rows.directory);
	snprintf(ret->email, sizeof(ret->email), "%s", rows.email);
	ret->ca = text_copy(rows.ca);
	ret->account = text_copy(rows.account);
	for (size_t i = 0; i < sd_json_variant_elements(rows.list); i++) {
		struct claim *is = &ret->list[ret->n++];
		struct row row = { 0 };

		BUG_ON(json_decode(sd_json_variant_by_index(rows.list, i), &row_table, &row, e)); /* it was looked at */
		is->is_ready = row.is_ready;
		snprintf(is->id, sizeof(is->id), "%s", row.id);
		snprintf(is->fqdn, sizeof(is->fqdn), "%s", row.fqdn);
		is->bundle = text_copy(row.bundle);
	}
	return 0;
}

int claim_report_add(const struct claim_report *one, sd_json_variant **list)
{
	int r = sd_json_variant_append_arraybo(list, SD_JSON_BUILD_PAIR_STRING("id", one->id), SD_JSON_BUILD_PAIR_STRING("why", one->why),
					       SD_JSON_BUILD_PAIR_UNSIGNED("until", one->until_s), SD_JSON_BUILD_PAIR_UNSIGNED("next", one->next_s),
					       SD_JSON_BUILD_PAIR_CONDITION(one->bundle != NULL, "bundle", SD_JSON_BUILD_STRING(one->bundle)));

	return r < 0 ? -ENOMEM : 0;
}

int claims_report(const char *account, const char *thumbprint, sd_json_variant *list, sd_json_variant **ret)
{
	if (sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("account", account), SD_JSON_BUILD_PAIR_STRING("thumbprint", thumbprint),
			   SD_JSON_BUILD_PAIR_VARIANT("names", list)) < 0)
		return -ENOMEM;
	sd_json_variant_sensitive(*ret);
	return 0;
}

static const struct json_field report_fields[] = {
	{ "id", JSON_TEXT, offsetof(struct claim_report, id), .required = true, .ok = route_id_ok, .want = "the id of a workload" },
	{ "bundle", JSON_TEXT, offsetof(struct claim_report, bundle), .max = CERT_BUNDLE_MAX },
	{ "until", JSON_U64, offsetof(struct claim_report, until_s), .required = true, .max = INT64_MAX / 1000 },
	{ "why", JSON_TEXT, offsetof(struct claim_report, why), .required = true, .max = WHY_MAX },
	{ "next", JSON_U64, offsetof(struct claim_report, next_s), .required = true, .max = INT64_MAX / 1000 },
};
static const struct json_table report_table = { report_fields, ARRAY_LEN(report_fields), sizeof(struct claim_report), NULL };
static const struct json_field told_fields[] = {
	{ "account", JSON_TEXT, offsetof(struct claims_told, account), .required = true, .max = CERT_KEY_MAX },
	{ "thumbprint", JSON_TEXT, offsetof(struct claims_told, thumbprint), .required = true, .ok = cert_thumbprint_ok, .want = "a thumbprint" },
	{ "names", JSON_ROWS, offsetof(struct claims_told, list), .required = true, .max = GATEWAY_ROUTES_MAX, .table = &report_table },
};
static const struct json_table told_table = { told_fields, ARRAY_LEN(told_fields), 0, NULL };

int claims_told(sd_json_variant *v, struct claims_told *ret, struct err *e)
{
	struct claims_told told = { 0 };
	int r = json_decode(v, &told_table, &told, e);

	if (r)
		return r;
	told.n = sd_json_variant_elements(told.list);
	*ret = told;
	return 0;
}

void claims_told_at(const struct claims_told *t, size_t i, struct claim_report *ret)
{
	struct err e;

	*ret = (struct claim_report){ .why = "" };
	BUG_ON(json_decode(sd_json_variant_by_index(t->list, i), &report_table, ret, &e)); /* it was looked at */
}
