#include "ident/dsse.h"

#include "base/parse.h"

#include <systemd/sd-json.h>

void dsse_deinit(struct dsse *d)
{
	buf_deinit(&d->payload);
	d->n_signatures = 0;
}

void dsse_pae(struct buf *ret, const char *type, struct str payload)
{
	buf_addf(ret, "DSSEv1 %zu %s %zu ", strlen(type), type, payload.n);
	buf_add(ret, payload);
}

/* The string under KEY, which must be there; borrowed from V. */
static int text_of(sd_json_variant *v, const char *key, size_t max, struct str *ret, struct err *e)
{
	sd_json_variant *field = sd_json_variant_by_key(v, key);

	if (!sd_json_variant_is_string(field))
		return err_set(e, -EBADMSG, "the envelope's '%s' is missing or no string", key);
	*ret = str_c(sd_json_variant_string(field));
	if (ret->n > max)
		return err_set(e, -EFBIG, "the envelope's '%s' has %zu characters: the limit is %zu", key, ret->n, max);
	return 0;
}

/* True when V is an object of exactly these fields, each once. */
static bool has_only(sd_json_variant *v, const char *const *keys, size_t n)
{
	if (!sd_json_variant_is_object(v) || sd_json_variant_elements(v) != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!sd_json_variant_by_key(v, keys[i]))
			return false;
	return true;
}

static int signature_decode(sd_json_variant *v, struct dsse_signature *ret, struct err *e)
{
	static const char *const keys[] = { "keyid", "sig" };
	AUTO_BUF struct buf sig = { .limit = KEY_SIG_LEN + 2 };
	struct str keyid, text;
	int r;

	if (!has_only(v, keys, ARRAY_LEN(keys)))
		return err_set(e, -EBADMSG, "a signature holds 'keyid' and 'sig' and nothing else");
	if ((r = text_of(v, "keyid", KEY_TEXT_LEN, &keyid, e)) || (r = text_of(v, "sig", 88, &text, e)))
		return r;
	if (key_pub_parse(keyid, &ret->by))
		return err_set(e, -EBADMSG, "keyid '" STR_FMT "' is no public key", STR_ARG(keyid));
	if (parse_base64(text, &sig) || sig.len != KEY_SIG_LEN)
		return err_set(e, -EBADMSG, "the signature of " STR_FMT " is not 64 bytes in base64", STR_ARG(keyid));
	memcpy(ret->sig, sig.p, KEY_SIG_LEN);
	return 0;
}

int dsse_decode(sd_json_variant *envelope, struct dsse *ret, struct err *e)
{
	static const char *const keys[] = { "payload", "payloadType", "signatures" };
	struct str payload, type;
	sd_json_variant *signatures;
	size_t n;
	int r;

	*ret = (struct dsse)DSSE_NONE;
	if (!has_only(envelope, keys, ARRAY_LEN(keys)))
		return err_set(e, -EBADMSG, "an envelope holds 'payload', 'payloadType' and 'signatures' and nothing else");
	if ((r = text_of(envelope, "payloadType", DSSE_TYPE_MAX, &type, e)) ||
	    (r = text_of(envelope, "payload", (DSSE_PAYLOAD_MAX + 2) / 3 * 4, &payload, e)))
		return r;
	signatures = sd_json_variant_by_key(envelope, "signatures");
	n = sd_json_variant_is_array(signatures) ? sd_json_variant_elements(signatures) : 0;
	if (!n || n > DSSE_SIGNATURES_MAX)
		return err_set(e, -EBADMSG, "an envelope has 1 to %d signatures", DSSE_SIGNATURES_MAX);
	for (size_t i = 0; i < n; i++)
		if ((r = signature_decode(sd_json_variant_by_index(signatures, i), &ret->signatures[i], e)))
			return r;
	ret->payload.limit = DSSE_PAYLOAD_MAX;
	if ((r = parse_base64(payload, &ret->payload)))
		return err_set(e, r == -ENOBUFS ? -EFBIG : -EBADMSG, "the envelope's payload is not base64 of at most %d bytes", DSSE_PAYLOAD_MAX);
	memcpy(ret->type, type.p, type.n + 1);
	ret->n_signatures = n;
	return 0;
}

static void variant_unrefp(sd_json_variant **v)
{
	sd_json_variant_unref(*v);
}

int dsse_decode_text(struct str json, struct dsse *ret, struct err *e)
{
	CLEANUP(variant_unrefp) sd_json_variant *v = NULL;
	AUTO_BUF struct buf text = { 0 }; /* the parser wants a NUL at the end and none before it */

	*ret = (struct dsse)DSSE_NONE;
	if (json.n > DSSE_TEXT_MAX)
		return err_set(e, -EFBIG, "the envelope has %zu bytes: the limit is %d", json.n, DSSE_TEXT_MAX);
	buf_add(&text, json);
	if (buf_check(&text) || (json.n && memchr(json.p, '\0', json.n)) || sd_json_parse(text.p ? text.p : "", 0, &v, NULL, NULL) < 0)
		return err_set(e, -EBADMSG, "the envelope is not JSON");
	return dsse_decode(v, ret, e);
}

int dsse_verify(const struct dsse *d, const char *type, struct err *e)
{
	AUTO_BUF struct buf signed_text = { 0 };

	if (strcmp(d->type, type))
		return err_set(e, -EBADMSG, "a document of type '%s' stands where '%s' was expected", d->type, type);
	dsse_pae(&signed_text, d->type, buf_str(&d->payload));
	if (buf_check(&signed_text))
		return err_set(e, -ENOMEM, "check a signature: out of memory");
	for (size_t i = 0; i < d->n_signatures; i++) {
		char by[KEY_TEXT_SIZE];

		if (key_verify(&d->signatures[i].by, signed_text.p, signed_text.len, d->signatures[i].sig))
			continue;
		key_pub_format(by, &d->signatures[i].by);
		return err_set(e, -EKEYREJECTED, "the signature of %s does not hold over this document", by);
	}
	return 0;
}

bool dsse_is_signed_by(const struct dsse *d, const struct key_pub *k)
{
	for (size_t i = 0; i < d->n_signatures; i++)
		if (key_pub_eq(&d->signatures[i].by, k))
			return true;
	return false;
}

int dsse_sign(const char *type, struct str payload, const struct key *keys, size_t n_keys, struct buf *ret)
{
	AUTO_BUF struct buf signed_text = { 0 };

	BUG_ON(!n_keys || n_keys > DSSE_SIGNATURES_MAX || payload.n > DSSE_PAYLOAD_MAX || strlen(type) > DSSE_TYPE_MAX);
	dsse_pae(&signed_text, type, payload);
	if (buf_check(&signed_text))
		return -ENOMEM;
	buf_add(ret, S("{\"payload\":\""));
	format_base64(ret, payload.p, payload.n);
	buf_addf(ret, "\",\"payloadType\":\"%s\",\"signatures\":[", type);
	for (size_t i = 0; i < n_keys; i++) {
		uint8_t sig[KEY_SIG_LEN];
		char by[KEY_TEXT_SIZE];
		int r = key_sign(&keys[i], signed_text.p, signed_text.len, sig);

		if (r)
			return r;
		key_pub_format(by, &keys[i].pub);
		buf_addf(ret, "%s{\"keyid\":\"%s\",\"sig\":\"", i ? "," : "", by);
		format_base64(ret, sig, sizeof(sig));
		buf_add(ret, S("\"}"));
	}
	buf_add(ret, S("]}"));
	return buf_check(ret) ? -ENOMEM : 0;
}
