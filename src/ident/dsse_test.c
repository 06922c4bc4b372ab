#include "ident/dsse.h"

#include "test/t.h"

#include <stdio.h>

static const char type[] = "application/vnd.zos.test+json";

static void good(struct key *k, struct buf *ret)
{
	T_NEED(!key_new(KEY_USER, k), "key");
	T_NEED(!dsse_sign(type, S("{\"a\":1}"), k, 1, ret), "sign");
}

static void round_trip(void)
{
	AUTO_KEY struct key k = KEY_NONE, other = KEY_NONE;
	AUTO_BUF struct buf text = { 0 };
	AUTO_DSSE struct dsse d = DSSE_NONE;
	struct err e = { 0 };

	good(&k, &text);
	T_NEED(!key_new(KEY_USER, &other), "key");
	T_NEED(!dsse_decode_text(buf_str(&text), &d, &e), "%s", e.msg);
	T_CHECK(!dsse_verify(&d, type, &e), "%s", e.msg);
	T_CHECK(str_eq(buf_str(&d.payload), S("{\"a\":1}")), "%s", d.payload.p);
	T_CHECK(dsse_is_signed_by(&d, &k.pub) && !dsse_is_signed_by(&d, &other.pub), "signer");
	T_CHECK(dsse_verify(&d, "application/vnd.zos.other+json", &e) == -EBADMSG, "another type: %s", e.msg);
	d.payload.p[1] ^= 1;
	T_CHECK(dsse_verify(&d, type, &e) == -EKEYREJECTED, "another payload: %s", e.msg);
}

static void two_signatures_of_which_one_is_wrong(void)
{
	struct key k[2] = { KEY_NONE, KEY_NONE };
	AUTO_BUF struct buf text = { 0 };
	AUTO_DSSE struct dsse d = DSSE_NONE;
	struct err e = { 0 };

	T_NEED(!key_new(KEY_USER, &k[0]) && !key_new(KEY_USER, &k[1]), "keys");
	T_NEED(!dsse_sign(type, S("{}"), k, 2, &text), "sign");
	T_NEED(!dsse_decode_text(buf_str(&text), &d, &e), "%s", e.msg);
	T_CHECK(!dsse_verify(&d, type, &e) && d.n_signatures == 2, "%s", e.msg);
	d.signatures[1].sig[5] ^= 1;
	T_CHECK(dsse_verify(&d, type, &e) == -EKEYREJECTED, "the good one does not save it");
	key_wipe(&k[0]);
	key_wipe(&k[1]);
}

/* What is refused without looking at a signature. */
static void shapes(void)
{
	static const char *const rows[] = {
		"",
		"[]",
		"{}",
		"{\"payload\":\"\",\"payloadType\":\"t\"}",
		"{\"payload\":\"\",\"payloadType\":\"t\",\"signatures\":[]}",
		"{\"payload\":\"\",\"payloadType\":\"t\",\"signatures\":[{}]}",
		"{\"payload\":\"\",\"payloadType\":\"t\",\"signatures\":[{\"keyid\":\"x\",\"sig\":\"\"}]}",
		"{\"payload\":1,\"payloadType\":\"t\",\"signatures\":[{\"keyid\":\"x\",\"sig\":\"\"}]}",
		"{\"payload\":\"\",\"payload\":\"\",\"signatures\":[]}",
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_DSSE struct dsse d = DSSE_NONE;
		struct err e = { 0 };

		T_CHECK(dsse_decode_text(str_c(rows[i]), &d, &e) == -EBADMSG && e.msg[0], "%s", rows[i]);
	}
}

static void an_extra_or_repeated_field_is_refused(void)
{
	AUTO_KEY struct key k = KEY_NONE;
	AUTO_BUF struct buf text = { 0 }, extra = { 0 }, twice = { 0 };
	AUTO_DSSE struct dsse d = DSSE_NONE;
	struct err e = { 0 };

	good(&k, &text);
	T_CHECK(!dsse_decode_text(buf_str(&text), &d, &e), "as it should be: %s", e.msg);
	dsse_deinit(&d);
	buf_addf(&extra, "{\"more\":1,%s", text.p + 1);
	T_CHECK(dsse_decode_text(buf_str(&extra), &d, &e) == -EBADMSG, "an unknown field");
	buf_addf(&twice, "{\"payload\":\"\",%s", text.p + 1);
	T_CHECK(dsse_decode_text(buf_str(&twice), &d, &e) == -EBADMSG, "a field twice");
}

static void too_large(void)
{
	AUTO_BUF struct buf text = { 0 };
	AUTO_DSSE struct dsse d = DSSE_NONE;
	struct err e = { 0 };

	buf_add(&text, S("{\"payload\":\""));
	for (size_t i = 0; i < DSSE_PAYLOAD_MAX / 3 * 4 + 64; i++)
		buf_add(&text, S("A"));
	buf_add(&text, S("\",\"payloadType\":\"t\",\"signatures\":[{}]}"));
	T_CHECK(dsse_decode_text(buf_str(&text), &d, &e) == -EFBIG, "%s", e.msg);
}

/* 100 MB, and 10,000 deep where a field is expected. */
static void bombs(void)
{
	static const char *const begins[] = { "", "{\"payload\":", "{\"payload\":\"\",\"payloadType\":\"t\",\"signatures\":" };
	AUTO_DSSE struct dsse d = DSSE_NONE;
	struct err e = { 0 };
	size_t n = 100 << 20;
	char *large = malloc(n);

	T_NEED(large, "memory");
	memset(large, ' ', n);
	T_CHECK(dsse_decode_text((struct str){ large, n }, &d, &e) == -EFBIG, "%s", e.msg);
	free(large);
	for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
		AUTO_BUF struct buf deep = { 0 };

		buf_add(&deep, str_c(begins[i]));
		for (int k = 0; k < 10000; k++)
			buf_add(&deep, S("["));
		for (int k = 0; k < 10000; k++)
			buf_add(&deep, S("]"));
		buf_add(&deep, i ? S("}") : S(""));
		T_CHECK(dsse_decode_text(buf_str(&deep), &d, &e) == -EBADMSG, "%s", begins[i]);
	}
}

int main(void)
{
	T_RUN(round_trip);
	T_RUN(two_signatures_of_which_one_is_wrong);
	T_RUN(shapes);
	T_RUN(an_extra_or_repeated_field_is_refused);
	T_RUN(too_large);
	T_RUN(bombs);
	return T_END();
}
