#include "node/secrets.h"

#include "base/parse.h"

#include <openssl/crypto.h>

static int value_open(const struct seal_key *k, const struct deployment *d, const char *name, const char *sealed, sd_json_variant **ret,
		      struct err *e)
{
	const struct seal_place at = { &d->owner, &d->node, name };
	AUTO_SECRET struct buf clear = { 0 };
	AUTO_BUF struct buf bytes = { 0 };
	int r = parse_base64(str_c(sealed), &bytes) ? -EBADMSG : seal_open(k, &at, buf_str(&bytes), &clear);

	if (r == -EBADMSG)
		return err_set(e, r, "/secrets/%s: was not sealed for this node, owner and name: let 'zos deploy' seal it", name);
	if (r)
		return err_set(e, r, "/secrets/%s: %s", name, strerror(-r));
	if (memchr(clear.p, '\0', clear.len) || sd_json_variant_new_stringn(ret, clear.p, clear.len) < 0)
		return err_set(e, -EBADMSG, "/secrets/%s: the value is not UTF-8 text", name);
	sd_json_variant_sensitive(*ret);
	return 0;
}

int secrets_open(const struct seal_key *k, const struct deployment *d, sd_json_variant **ret, struct err *e)
{
	AUTO_JSON sd_json_variant *all = NULL;

	for (size_t i = 0; d->secrets && i < sd_json_variant_elements(d->secrets); i += 2) {
		const char *name = sd_json_variant_string(sd_json_variant_by_index(d->secrets, i));
		AUTO_JSON sd_json_variant *value = NULL;
		int r = value_open(k, d, name, sd_json_variant_string(sd_json_variant_by_index(d->secrets, i + 1)), &value, e);

		if (r)
			return r;
		if ((r = sd_json_variant_set_field(&all, name, value)) < 0)
			return err_set(e, r, "/secrets: %s", strerror(-r));
		sd_json_variant_sensitive(all);
	}
	*ret = take_ptr(all);
	return 0;
}

int secrets_fill(sd_json_variant *env, sd_json_variant *values, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *all = sd_json_variant_ref(env);

	for (size_t i = 0; env && i < sd_json_variant_elements(env); i += 2) {
		const char *name = secret_ref(sd_json_variant_by_index(env, i + 1));

		if (name && sd_json_variant_set_field(&all, sd_json_variant_string(sd_json_variant_by_index(env, i)),
						      sd_json_variant_by_key(values, name)) < 0)
			return -ENOMEM;
	}
	sd_json_variant_sensitive(all);
	*ret = take_ptr(all);
	return 0;
}

static int preshared_fit(const struct deployment *d, size_t at, sd_json_variant *values, struct err *e)
{
	const struct network *n = &d->workloads[at].network;

	for (size_t i = 0; d->workloads[at].kind == WORKLOAD_NETWORK && i < network_n_devices(n); i++) {
		struct network_device device;
		uint8_t key[NETWORK_KEY_LEN];
		bool ok = true;

		network_device(n, i, &device);
		if (device.secret)
			ok = network_key_decode(str_c(sd_json_variant_string(sd_json_variant_by_key(values, device.secret))), key);
		OPENSSL_cleanse(key, sizeof(key));
		if (!ok)
			return err_set(
				e, -EBADMSG,
				"/workloads/%zu/data/access/%zu/preshared: the secret '%s' is not a WireGuard key, base64: 'wg genpsk' makes one", at,
				i, device.secret);
	}
	return 0;
}

int secrets_fit(const struct deployment *d, sd_json_variant *values, struct err *e)
{
	int r;

	for (size_t i = 0; i < d->n_workloads; i++) {
		sd_json_variant *password = d->workloads[i].zdb.password;
		const char *name = password ? secret_ref(password) : NULL;
		size_t length = password ? strlen(sd_json_variant_string(name ? sd_json_variant_by_key(values, name) : password)) : 1;

		if (!length || length > ZDB_PASSWORD_MAX)
			return err_set(e, -EBADMSG, "/workloads/%zu/data/password: has %zu bytes: from 1 to %d are allowed", i, length,
				       ZDB_PASSWORD_MAX);
		if ((r = preshared_fit(d, i, values, e)))
			return r;
	}
	return 0;
}

void secrets_mark(const struct seal_key *k, const struct workload *w, sd_json_variant *values, struct buf *ret)
{
	const char *name;

	for (size_t i = 0; (name = workload_secret(w, i)); i++) {
		char mark[SEAL_MARK_LEN + 1];

		seal_mark(k, str_c(sd_json_variant_string(sd_json_variant_by_key(values, name))), mark);
		buf_addf(ret, "\n%s=%s", name, mark);
	}
}

bool secrets_equal(const struct workload *w, sd_json_variant *a, sd_json_variant *b)
{
	const char *name;

	for (size_t i = 0; (name = workload_secret(w, i)); i++)
		if (!sd_json_variant_equal(sd_json_variant_by_key(a, name), sd_json_variant_by_key(b, name)))
			return false;
	return true;
}
