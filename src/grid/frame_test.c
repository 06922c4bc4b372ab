#include "grid/frame.h"

#include "base/parse.h"
#include "test/t.h"

/* The vectors of doc/wire-session.md. */
static const struct {
	const char *hex;
	struct frame f;
} vectors[] = {
	{ "018100005e241dde"
	  "efcdab8967452301"
	  "0000000000000000"
	  "0000000000000000"
	  "0000040000000000",
	  { FRAME_OPEN, FRAME_ASK, 0, 0x0123456789abcdef, 0, 0, 262144 } },
	{ "01030000fd4dcb05"
	  "efcdab8967452301"
	  "0000000000000000"
	  "0000000000000000"
	  "0000040000000000",
	  { FRAME_CREDIT, 0, 0, 0x0123456789abcdef, 0, 0, 262144 } },
	{ "0102030069fbdcc0"
	  "efcdab8967452301"
	  "0a00000000000000"
	  "1400000000000000"
	  "1400040000000000"
	  "7a6f73",
	  { FRAME_DATA, 0, 3, 0x0123456789abcdef, 10, 20, 262164 } },
	{ "01040000edf3ccc7"
	  "efcdab8967452301"
	  "0d00000000000000"
	  "1400000000000000"
	  "1400040000000000",
	  { FRAME_SYNC, 0, 0, 0x0123456789abcdef, 13, 20, 262164 } },
	{ "0105000044f84589"
	  "efcdab8967452301"
	  "0d00000000000000"
	  "1400000000000000"
	  "1400040000000000",
	  { FRAME_FIN, 0, 0, 0x0123456789abcdef, 13, 20, 262164 } },
	{ "010602003a19be9a"
	  "efcdab8967452301"
	  "0d00000000000000"
	  "1400000000000000"
	  "1400040000000000",
	  { FRAME_RESET, 0, 2, 0x0123456789abcdef, 13, 20, 262164 } },
};

static size_t unhex(const char *hex, uint8_t *ret)
{
	size_t n = strlen(hex) / 2;

	T_NEED(!parse_hex(str_c(hex), ret, n), "%s", hex);
	return n;
}

static void vectors_are_frozen(void)
{
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		uint8_t want[64], got[64];
		size_t n = unhex(vectors[i].hex, want);
		struct frame f = { 0 };

		T_CHECK(!frame_decode(want, n, &f), "vector %zu", i);
		T_CHECK(!memcmp(&f, &vectors[i].f, sizeof(f)), "vector %zu", i);
		memcpy(got + FRAME_HEAD, "zos", 3);
		frame_encode(got, &vectors[i].f);
		T_CHECK(!memcmp(got, want, FRAME_HEAD), "vector %zu", i);
	}
}

/* One byte of the DATA vector changed, or its length: each must be refused. */
static void refuses_what_is_not_a_frame(void)
{
	static const struct {
		const char *what;
		size_t at;
		uint8_t value;
		size_t len;
	} rows[] = {
		{ "version", 0, 2, 43 },
		{ "type 0", 1, 0, 43 },
		{ "type 7", 1, 7, 43 },
		{ "credit with payload", 1, 3, 43 },
		{ "reset with payload", 1, 6, 43 },
		{ "unknown flag", 1, 0x42, 43 },
		{ "check sum", 4, 0, 43 },
		{ "length short", 2, 2, 43 },
		{ "length long", 2, 4, 43 },
		{ "payload changed", 42, 0, 43 },
		{ "offset sign", 23, 0x80, 43 },
		{ "ack sign", 31, 0x80, 43 },
		{ "limit sign", 39, 0x80, 43 },
		{ "payload cut", 0, 1, 42 },
		{ "payload gone", 0, 1, 40 },
		{ "header cut", 0, 1, 39 },
		{ "empty", 0, 1, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t msg[64];
		struct frame f = { .len = 77 };

		unhex(vectors[2].hex, msg);
		msg[rows[i].at] = rows[i].value;
		T_CHECK(frame_decode(msg, rows[i].len, &f) == -EBADMSG, "%s", rows[i].what);
		T_CHECK(f.len == 77, "%s touched its output", rows[i].what);
	}
}

static void session_zero_is_nobody(void)
{
	uint8_t msg[FRAME_HEAD];
	struct frame f = { .type = FRAME_OPEN };

	frame_encode(msg, &f);
	T_CHECK(frame_decode(msg, sizeof(msg), &f) == -EBADMSG, "session 0");
}

int main(void)
{
	T_RUN(vectors_are_frozen);
	T_RUN(refuses_what_is_not_a_frame);
	T_RUN(session_zero_is_nobody);
	return T_END();
}
