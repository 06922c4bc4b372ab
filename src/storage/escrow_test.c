/* The token that a disk keeps for its farm's owner: what was written is read, and what a node does not understand is of no use. */
#include "storage/escrow.h"

#include "test/t.h"

#include <stdio.h>

#define X8 "00112233"
#define DIGEST X8 X8 X8 X8 X8 X8 X8 X8
#define OTHER "ffeeddcc" X8 X8 X8 X8 X8 X8 X8
#define A8 "AAAAAAAA"
#define A64 A8 A8 A8 A8 A8 A8 A8 A8
#define A512 A64 A64 A64 A64 A64 A64 A64 A64
#define SEALED A512 A512 A512 A64 "AA==" /* 1201 bytes, as base64 */
#define HEAD "{\"type\":\"zos-recovery\",\"keyslots\":[\"1\"],\"version\":1,"

static void tokens_are_read(void)
{
	static const struct {
		const char *text;
		int r;
	} rows[] = {
		{ HEAD "\"key\":\"" DIGEST "\",\"sealed\":\"" SEALED "\"}", 0 },
		{ HEAD "\"key\":\"" DIGEST "\"}", -EBADMSG },
		{ HEAD "\"sealed\":\"" SEALED "\"}", -EBADMSG },
		{ HEAD "\"key\":\"0011\",\"sealed\":\"" SEALED "\"}", -EBADMSG },
		{ HEAD "\"key\":\"" DIGEST "\",\"sealed\":\"AAAA\"}", -EBADMSG },
		{ HEAD "\"key\":\"" DIGEST "\",\"sealed\":\"" SEALED "\",\"more\":1}", -EBADMSG },
		{ "{\"type\":\"zos-recovery\",\"keyslots\":[\"1\"],\"version\":2,\"key\":\"" DIGEST "\",\"sealed\":\"" SEALED "\"}", -EBADMSG },
		{ "{\"type\":\"zos\",\"keyslots\":[\"1\"],\"version\":1,\"key\":\"" DIGEST "\",\"sealed\":\"" SEALED "\"}", -EBADMSG },
		{ "[]", -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct escrow x = { .key = "left alone" };
		struct err e = { 0 };
		int r = escrow_decode(str_c(rows[i].text), &x, &e);

		T_CHECK(r == rows[i].r && !r == !e.msg[0], "row %zu: %d %s", i, r, e.msg);
		T_CHECK(r ? !strcmp(x.key, "left alone") : x.is_there && !strcmp(x.key, DIGEST) && !strcmp(x.sealed, SEALED), "row %zu", i);
	}
}

static void a_token_comes_back(void)
{
	struct escrow x = { .is_there = true, .key = DIGEST, .sealed = SEALED }, back = { 0 };
	AUTO_BUF struct buf text = { 0 };
	struct err e = { 0 };

	T_NEED(!escrow_encode(&x, "1", &text) && !escrow_decode(buf_str(&text), &back, &e), "%s", e.msg);
	T_CHECK(!memcmp(&x, &back, sizeof(x)) && text.len <= ESCROW_MAX && strstr(text.p, "\"keyslots\":[\"1\"]"), "%s", text.p);
}

static void it_is_as_the_farm_wants_it_or_not(void)
{
	static const struct {
		struct escrow x;
		const char *wanted;
		bool is;
	} rows[] = {
		{ { .is_there = true, .key = DIGEST }, DIGEST, true },
		{ { .is_there = true, .key = DIGEST }, OTHER, false },
		{ { .is_there = true, .key = DIGEST }, "", false },
		{ { .is_there = true }, DIGEST, false }, /* cut off while it was written */
		{ { .is_there = true }, "", false },
		{ { .is_there = false }, DIGEST, false },
		{ { .is_there = false }, "", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		T_CHECK(escrow_is(&rows[i].x, rows[i].wanted) == rows[i].is, "row %zu", i);
}

int main(void)
{
	T_RUN(tokens_are_read);
	T_RUN(a_token_comes_back);
	T_RUN(it_is_as_the_farm_wants_it_or_not);
	return T_END();
}
