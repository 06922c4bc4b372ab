/* The token of a disk: what is kept comes back, and a token that a node does not understand opens nothing. */
#include "storage/token.h"

#include "test/t.h"

#include <stdio.h>

#define SECRET "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQQ=="
#define HEAD "{\"type\":\"zos\",\"keyslots\":[\"0\"],\"version\":1,\"farm\":\"AFARM\",\"rotational\":true,"

static void tokens_are_read(void)
{
	static const struct {
		const char *text;
		int r;
	} rows[] = {
		{ HEAD "\"key\":\"on the disk\",\"secret\":\"" SECRET "\"}", 0 },
		{ HEAD "\"key\":\"tpm\",\"sealed\":\"AAAA\"}", 0 },
		{ HEAD "\"key\":\"on the disk\"}", -EBADMSG },
		{ HEAD "\"key\":\"on the disk\",\"secret\":\"AAAA\"}", -EBADMSG },
		{ HEAD "\"key\":\"\",\"secret\":\"" SECRET "\"}", -EBADMSG },
		{ HEAD "\"key\":\"tpm\",\"secret\":\"" SECRET "\"}", -EBADMSG },
		{ HEAD "\"key\":\"tpm\",\"sealed\":\"AAAA\",\"secret\":\"" SECRET "\"}", -EBADMSG }, /* then it would not be sealed */
		{ HEAD "\"key\":\"smoke\",\"secret\":\"" SECRET "\"}", -EBADMSG },
		{ HEAD "\"key\":\"on the disk\",\"secret\":\"" SECRET "\",\"more\":1}", -EBADMSG },
		{ "{\"type\":\"zos\",\"keyslots\":[],\"version\":2,\"farm\":\"\",\"rotational\":true,\"key\":\"on the disk\",\"secret\":\"" SECRET
		  "\"}",
		  -EBADMSG },
		{ "{\"type\":\"luks2-keyring\",\"keyslots\":[],\"version\":1,\"farm\":\"\",\"rotational\":true,\"key\":\"on the disk\",\"secret\":\"" SECRET
		  "\"}",
		  -EBADMSG },
		{ "[]", -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_TOKEN struct token t = { .sealed_len = 7 };
		struct err e = { 0 };
		int r = token_decode(str_c(rows[i].text), &t, &e);

		T_CHECK(r == rows[i].r && !r == !e.msg[0], "row %zu: %d %s", i, r, e.msg);
		T_CHECK(r || (t.is_rotational && !strcmp(t.farm, "AFARM")), "row %zu", i);
		T_CHECK(!r || t.sealed_len == 7, "row %zu was written to", i);
	}
}

static void a_token_comes_back(void)
{
	for (enum answer_key key = ANSWER_KEY_DISK; key < ANSWER_KEYS; key++) {
		AUTO_TOKEN struct token t = { .farm = "AFARM", .is_rotational = true, .key = key }, back = { 0 };
		AUTO_BUF struct buf text = { 0 };
		struct err e = { 0 };

		if (key == ANSWER_KEY_DISK)
			memset(t.secret, 0xa5, sizeof(t.secret));
		else
			memset(t.sealed, 0x5a, t.sealed_len = sizeof(t.sealed));
		T_NEED(!token_encode(&t, &text) && !token_decode(buf_str(&text), &back, &e), "%s", e.msg);
		T_CHECK(!memcmp(&t, &back, sizeof(t)), "%s", text.p);
		T_CHECK(text.len <= TOKEN_MAX, "%zu bytes", text.len);
	}
}

int main(void)
{
	T_RUN(tokens_are_read);
	T_RUN(a_token_comes_back);
	return T_END();
}
