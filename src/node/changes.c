#include "node/changes.h"
#include "node/secrets.h"

static const struct workload *workload_find(const struct deployment *d, const char *name)
{
	for (size_t i = 0; d && i < d->n_workloads; i++)
		if (!strcmp(d->workloads[i].name, name))
			return &d->workloads[i];
	return NULL;
}

/* The keys of A that B has not, or has otherwise; with ONLY_MISSING just the former. */
static int fields_add(sd_json_variant **list, sd_json_variant *a, sd_json_variant *b, bool only_missing)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i + 1 < sd_json_variant_elements(a); i += 2) {
		sd_json_variant *key = sd_json_variant_by_index(a, i), *other = sd_json_variant_by_key(b, sd_json_variant_string(key));

		if (!other || (!only_missing && !sd_json_variant_equal(sd_json_variant_by_index(a, i + 1), other)))
			r = sd_json_variant_append_array(list, key);
	}
	return r;
}

static int change_add(sd_json_variant **list, const char *name, const char *change, sd_json_variant *fields)
{
	return sd_json_variant_append_arraybo(list, SD_JSON_BUILD_PAIR_STRING("workload", name), SD_JSON_BUILD_PAIR_STRING("change", change),
					      SD_JSON_BUILD_PAIR_CONDITION(fields != NULL, "fields", SD_JSON_BUILD_VARIANT(fields)));
}

/* Of a machine's data: what its links take on while it runs. */
static char *const light[] = { "bandwidth", "public_ip", NULL };

int changes_essence(const struct workload *w, struct buf *ret)
{
	AUTO_JSON sd_json_variant *data = sd_json_variant_ref(w->data);

	if (w->kind == WORKLOAD_ZMACHINE && sd_json_variant_filter(&data, (char **)light) < 0)
		return -ENOMEM;
	return json_format(data, ret);
}

/* Whether what runs has to run anew. 1, 0, or -ENOMEM. */
static int is_anew(const struct workload *before, const struct workload *w)
{
	AUTO_BUF struct buf a = { 0 }, b = { 0 };

	if (changes_essence(before, &a) || changes_essence(w, &b))
		return -ENOMEM;
	return (w->kind == WORKLOAD_ZMACHINE || w->kind == WORKLOAD_ZDB) && !str_eq(buf_str(&a), buf_str(&b));
}

static int change_of(sd_json_variant **list, const struct workload *before, const struct workload *w, bool has_same_secrets)
{
	AUTO_JSON sd_json_variant *fields = NULL;
	int r;

	if (!before)
		return change_add(list, w->name, "add", NULL);
	if ((r = sd_json_variant_new_array(&fields, NULL, 0)) < 0 || (r = fields_add(&fields, w->data, before->data, false)) < 0 ||
	    (r = fields_add(&fields, before->data, w->data, true)) < 0)
		return r;
	if (!has_same_secrets && (r = sd_json_variant_append_arrayb(&fields, SD_JSON_BUILD_STRING("secrets"))) < 0)
		return r;
	if (!sd_json_variant_elements(fields))
		return change_add(list, w->name, "keep", fields);
	if ((r = is_anew(before, w)) < 0)
		return r;
	return change_add(list, w->name, r || !has_same_secrets ? "restart" : "update", fields);
}

int changes_build(const struct held *old, const struct held *wanted, sd_json_variant **ret)
{
	const struct deployment *before = old ? old->deployment : NULL, *after = wanted->deployment;
	AUTO_JSON sd_json_variant *list = NULL;
	int r = sd_json_variant_new_array(&list, NULL, 0);

	for (size_t i = 0; r >= 0 && i < after->n_workloads; i++) {
		const struct workload *w = &after->workloads[i];

		r = change_of(&list, workload_find(before, w->name), w, !old || secrets_equal(w, old->secrets, wanted->secrets));
	}
	for (size_t i = 0; r >= 0 && before && i < before->n_workloads; i++)
		if (!workload_find(after, before->workloads[i].name))
			r = change_add(&list, before->workloads[i].name, "remove", NULL);
	if (r < 0)
		return -ENOMEM;
	*ret = take_ptr(list);
	return 0;
}
