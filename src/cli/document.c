#include "cli/document.h"

#include "base/parse.h"

/* Fields that people may write as sizes. */
static const char *const size_fields[] = { "memory", "rootfs_size", "size" };

static int sizes_resolve(sd_json_variant **data, size_t at, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(size_fields); i++) {
		sd_json_variant *field = sd_json_variant_by_key(*data, size_fields[i]);
		AUTO_JSON sd_json_variant *number = NULL;
		uint64_t bytes;

		if (!sd_json_variant_is_string(field))
			continue;
		if (parse_bytes(str_c(sd_json_variant_string(field)), &bytes))
			return err_set(e, -EINVAL, "/workloads/%zu/data/%s: '%s' is no size: write 256MiB or 1GiB", at, size_fields[i],
			               sd_json_variant_string(field));
		if (sd_json_variant_new_unsigned(&number, bytes) < 0 || sd_json_variant_set_field(data, size_fields[i], number) < 0)
			return err_set(e, -ENOMEM, "read the deployment: out of memory");
	}
	return 0;
}

int document_resolve(sd_json_variant **doc, struct err *e)
{
	AUTO_JSON sd_json_variant *list = NULL;
	sd_json_variant *old = sd_json_variant_by_key(*doc, "workloads");
	int r = sd_json_variant_new_array(&list, NULL, 0);

	for (size_t i = 0; r >= 0 && sd_json_variant_is_array(old) && i < sd_json_variant_elements(old); i++) {
		AUTO_JSON sd_json_variant *w = sd_json_variant_ref(sd_json_variant_by_index(old, i));
		AUTO_JSON sd_json_variant *data = sd_json_variant_ref(sd_json_variant_by_key(w, "data"));

		if (sd_json_variant_is_object(data)) {
			if ((r = sizes_resolve(&data, i, e)) < 0)
				return r;
			r = sd_json_variant_set_field(&w, "data", data);
		}
		if (r >= 0)
			r = sd_json_variant_append_array(&list, w);
	}
	if (r >= 0 && old)
		r = sd_json_variant_set_field(doc, "workloads", list);
	return r < 0 ? err_set(e, r, "read the deployment: %s", strerror(-r)) : 0;
}

static int set_text(sd_json_variant **doc, const char *key, const char *value)
{
	AUTO_JSON sd_json_variant *v = NULL;
	int r = sd_json_variant_new_string(&v, value);

	return r < 0 ? r : sd_json_variant_set_field(doc, key, v);
}

int document_sign(sd_json_variant **doc, const struct key *owner, const struct key_pub *node, uint64_t sequence,
                  sd_json_variant **ret_arguments, struct err *e)
{
	AUTO_JSON sd_json_variant *number = NULL, *envelope = NULL;
	AUTO_BUF struct buf text = { 0 }, signed_text = { 0 };
	char owner_text[KEY_TEXT_SIZE], node_text[KEY_TEXT_SIZE];
	int r;

	key_pub_format(owner_text, &owner->pub);
	key_pub_format(node_text, node);
	if (set_text(doc, "owner", owner_text) < 0 || set_text(doc, "node", node_text) < 0 ||
	    sd_json_variant_new_unsigned(&number, sequence) < 0 || sd_json_variant_set_field(doc, "sequence", number) < 0 ||
	    json_format(*doc, &text) || dsse_sign(API_TYPE_DEPLOYMENT, buf_str(&text), owner, 1, &signed_text))
		return err_set(e, -ENOMEM, "sign the deployment: out of memory");
	if ((r = json_parse(buf_str(&signed_text), &envelope, e)))
		return r;
	r = sd_json_buildo(ret_arguments, SD_JSON_BUILD_PAIR_VARIANT("document", envelope));
	return r < 0 ? err_set(e, r, "sign the deployment: %s", strerror(-r)) : 0;
}

int document_bare(sd_json_variant *envelope, sd_json_variant **ret, struct err *e)
{
	char *filled_in[] = { (char *)"owner", (char *)"node", (char *)"sequence", NULL };
	AUTO_DEPLOYMENT struct deployment *d = deployment_new();
	AUTO_JSON sd_json_variant *v = NULL;
	int r;

	BUG_ON(!d);
	if ((r = deployment_open(envelope, d, e)))
		return r;
	v = sd_json_variant_ref(d->doc.body);
	if (sd_json_variant_filter(&v, filled_in) < 0)
		return err_set(e, -ENOMEM, "read the deployment: out of memory");
	*ret = take_ptr(v);
	return 0;
}

uint64_t document_memory(sd_json_variant *doc)
{
	sd_json_variant *list = sd_json_variant_by_key(doc, "workloads");
	uint64_t sum = 0;

	for (size_t i = 0; sd_json_variant_is_array(list) && i < sd_json_variant_elements(list); i++) {
		sd_json_variant *data = sd_json_variant_by_key(sd_json_variant_by_index(list, i), "data");
		sd_json_variant *memory = sd_json_variant_by_key(data, "memory");

		if (sd_json_variant_is_unsigned(memory) && sd_json_variant_unsigned(memory) < UINT64_MAX - sum)
			sum += sd_json_variant_unsigned(memory);
	}
	return sum;
}
