#include "cli/document.h"

#include "base/file.h"
#include "base/parse.h"

/* Fields that people may write as sizes. */
static const char *const size_fields[] = { "memory", "rootfs_size", "size", "bandwidth" };

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

/* Where a value is taken from. */
struct secret_source {
	const char *env, *file;
};
static const struct json_field source_fields[] = {
	{ "env", JSON_TEXT, offsetof(struct secret_source, env), .min = 1 },
	{ "file", JSON_TEXT, offsetof(struct secret_source, file), .min = 1 },
};
static const struct json_table source_table = { source_fields, ARRAY_LEN(source_fields), 0, NULL };

static int source_read(const struct secret_source *s, const char *name, int dir_fd, struct buf *ret, struct err *e)
{
	const char *value = s->env ? getenv(s->env) : NULL;
	int r = 0;

	if (!s->env == !s->file)
		return err_set(e, -EINVAL, "/secrets/%s: write {\"env\": \"NAME\"} or {\"file\": \"PATH\"}", name);
	if (s->env && !value)
		return err_set(e, -ENOENT, "/secrets/%s: there is no %s in the environment: export it first", name, s->env);
	buf_reserve(ret, SEAL_CLEAR_MAX + 1); /* once, so that nothing is copied about */
	if (s->env)
		buf_add(ret, str_c(value));
	else
		r = file_read(dir_fd, s->file, SEAL_CLEAR_MAX + 1, ret, e);
	if (r)
		return err_wrap(e, r, "/secrets/%s", name);
	if (s->file && ret->len && ret->p[ret->len - 1] == '\n')
		ret->p[--ret->len] = '\0'; /* what editors and echo put there */
	if (buf_check(ret) || !ret->len || ret->len > SEAL_CLEAR_MAX)
		return err_set(e, -EINVAL, "/secrets/%s: has %zu bytes: 1 to %d are allowed", name, ret->len, SEAL_CLEAR_MAX);
	return 0;
}

/* As `zos export` prints them. */
static bool is_sealed(sd_json_variant *v)
{
	AUTO_BUF struct buf bytes = { 0 };

	return sd_json_variant_is_string(v) && !parse_base64(str_c(sd_json_variant_string(v)), &bytes) && bytes.len > SEAL_OVERHEAD;
}

static int secret_seal(sd_json_variant *v, const struct seal_place *at, int dir_fd, const uint8_t *seal_key, struct buf *ret, struct err *e)
{
	AUTO_SECRET struct buf clear = { 0 };
	AUTO_BUF struct buf sealed = { 0 };
	struct secret_source s = { 0 };
	struct err below = { 0 };
	int r;

	if (sd_json_variant_is_string(v))
		return err_set(e, -EINVAL,
			       "/secrets/%s: a value in clear has no place in this file: write {\"env\": \"NAME\"} or "
			       "{\"file\": \"PATH\"}",
			       at->name);
	if ((r = json_decode(v, &source_table, &s, &below)))
		return err_set(e, r, "/secrets/%s%s", at->name, below.msg);
	if ((r = source_read(&s, at->name, dir_fd, &clear, e)))
		return r;
	if ((r = seal_value(seal_key, at, buf_str(&clear), &sealed)))
		return err_set(e, r, "/secrets/%s: seal it: %s", at->name, strerror(-r));
	format_base64(ret, sealed.p, sealed.len);
	return buf_check(ret) ? err_set(e, -ENOMEM, "seal: out of memory") : 0;
}

bool document_is_open(sd_json_variant *doc)
{
	sd_json_variant *all = sd_json_variant_by_key(doc, "secrets");

	for (size_t i = 1; sd_json_variant_is_object(all) && i < sd_json_variant_elements(all); i += 2)
		if (!is_sealed(sd_json_variant_by_index(all, i)))
			return true;
	return false;
}

int document_seal(sd_json_variant **doc, int dir_fd, const uint8_t seal_key[static SEAL_PUB_LEN], const struct key_pub *owner,
		  const struct key_pub *node, struct err *e)
{
	AUTO_JSON sd_json_variant *given = sd_json_variant_ref(sd_json_variant_by_key(*doc, "secrets")), *all = sd_json_variant_ref(given);
	size_t n = sd_json_variant_is_object(given) ? sd_json_variant_elements(given) : 0;
	int r;

	for (size_t i = 0; i + 1 < n; i += 2) {
		const struct seal_place at = { owner, node, sd_json_variant_string(sd_json_variant_by_index(given, i)) };
		sd_json_variant *v = sd_json_variant_by_index(given, i + 1);
		AUTO_BUF struct buf text = { 0 };

		if (is_sealed(v))
			continue;
		if ((r = secret_seal(v, &at, dir_fd, seal_key, &text, e)))
			return r;
		if (set_text(&all, at.name, text.p) < 0)
			return err_set(e, -ENOMEM, "seal: out of memory");
	}
	r = sd_json_variant_set_field(doc, "secrets", all);
	return r < 0 ? err_set(e, r, "seal: %s", strerror(-r)) : 0;
}

int document_sign(sd_json_variant **doc, const struct key *owner, const struct key_pub *node, uint64_t sequence, sd_json_variant **ret_arguments,
		  struct err *e)
{
	AUTO_JSON sd_json_variant *number = NULL, *envelope = NULL;
	AUTO_BUF struct buf text = { 0 }, signed_text = { 0 };
	char owner_text[KEY_TEXT_SIZE], node_text[KEY_TEXT_SIZE];
	int r;

	key_pub_format(owner_text, &owner->pub);
	key_pub_format(node_text, node);
	if (set_text(doc, "owner", owner_text) < 0 || set_text(doc, "node", node_text) < 0 || sd_json_variant_new_unsigned(&number, sequence) < 0 ||
	    sd_json_variant_set_field(doc, "sequence", number) < 0 || json_format(*doc, &text) ||
	    dsse_sign(API_TYPE_DEPLOYMENT, buf_str(&text), owner, 1, &signed_text))
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
