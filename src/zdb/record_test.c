#include "zdb/record.h"

#include "test/t.h"
#include "zdb/crc.h"

static const struct data_head ours = { .version = DATA_VERSION, .file = 7, .generation = 2, .first = 3, .salt = 0x1122334455667788, .n_bytes = 32 };

/* What the original computes, seen with it. */
static void test_crc_is_the_original_s(void)
{
	T_CHECK(record_crc(S("1")) == 0xc288cab2, "%08x", record_crc(S("1")));
	T_CHECK(record_crc(S("hello")) == 0xdf03cd79, "%08x", record_crc(S("hello")));
	for (size_t n = 0; n < 40; n++)
		T_CHECK(crc32c(7, "some bytes, longer than a word or five of them", n) ==
				crc32c_soft(7, "some bytes, longer than a word or five of them", n),
			"%zu bytes: the instruction says another", n);
	T_CHECK(record_crc_more(record_crc_more(0, S("hel")), S("lo")) == record_crc(S("hello")), "in two parts it is another");
}

static void test_crc_of_what_is_summed_up_side_by_side(void)
{
	static uint8_t many[26000];
	uint32_t seed = 1;

	for (size_t i = 0; i < sizeof(many); i++)
		many[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
	for (size_t from = 0; from < 3; from++) {
		uint32_t want = 7;

		for (size_t n = 0; from + n < sizeof(many); n++) {
			if (n < 2000 || n % 61 == 0 || (n > 12200 && n < 13100))
				T_CHECK(crc32c(7, many + from, n) == want, "%zu bytes from %zu on: the instruction says another", n, from);
			want = crc32c_soft(want, many + from + n, 1);
		}
	}
}

static void test_data_heads(void)
{
	static const uint8_t original[28] = "DAT0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\5\0\0";
	uint8_t bytes[DATA_HEAD_MAX];
	struct data_head h;

	data_head_encode(&ours, bytes);
	T_CHECK(!data_head_decode(bytes, sizeof(bytes), &h) && data_head_eq(&h, &ours), "it does not come back");
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] ^= 1;
		T_CHECK(data_head_decode(bytes, sizeof(bytes), &h) < 0, "byte %zu is not looked at", i);
		bytes[i] ^= 1;
		T_CHECK(data_head_decode(bytes, i, &h) == -EBADMSG, "%zu bytes are taken for all", i);
	}
	T_CHECK(!data_head_decode(original, sizeof(original), &h) && h.version == DATA_VERSION_ORIGINAL && h.file == 5 && h.n_bytes == 28,
		"the original's");
	T_CHECK(data_head_decode("DAT0\11\0\0\0", 8, &h) == -EPROTONOSUPPORT, "a version of the future");
}

static void test_records_of_ours(void)
{
	const struct record r = {
		.length = 100, .time_s = 1234, .crc = 5, .previous = 32, .parent = { 1, 99 }, .flags = RECORD_DELETED, .id = S("key")
	};
	uint8_t bytes[RECORD_HEAD_MAX + RECORD_ID_MAX];
	size_t n = record_encode(&ours, 500, &r, bytes);
	struct record back;

	T_NEED(n == 35 && !record_decode(&ours, 500, bytes, n, &back), "it does not come back");
	T_CHECK(back.length == 100 && back.time_s == 1234 && back.crc == 5 && back.previous == 32 && back.parent.file == 1 &&
			back.parent.offset == 99 && back.flags == RECORD_DELETED && str_eq(back.id, S("key")),
		"it is another");
	T_CHECK(record_bytes(&ours, &back) == 135 && record_may_begin(&ours, bytes), "its size, and that it may be one");
	T_CHECK(record_decode(&ours, 501, bytes, n, &back) == -EBADMSG, "it is taken at another place");
	for (size_t i = 0; i < n; i++) {
		T_CHECK(record_decode(&ours, 500, bytes, i, &back) == RECORD_SHORT, "%zu bytes are taken for all", i);
		bytes[i] ^= 4;
		T_CHECK(record_decode(&ours, 500, bytes, n, &back), "byte %zu is not looked at", i);
		bytes[i] ^= 4;
	}
}

static void test_records_of_the_original(void)
{
	static const struct data_head head = { .version = DATA_VERSION_ORIGINAL, .n_bytes = 28 };
	static const uint8_t bytes[] = "\3"
				       "\5\0\0\0"
				       "\x1c\0\0\0"
				       "\x79\xcd\x03\xdf"
				       "\0"
				       "\x10\x20\x30\x40"
				       "keyhello";
	struct record r;

	T_NEED(!record_decode(&head, 28, bytes, sizeof(bytes) - 1, &r), "it is not read");
	T_CHECK(str_eq(r.id, S("key")) && r.length == 5 && r.previous == 28 && r.crc == record_crc(S("hello")) && r.time_s == 0x40302010,
		"it is another");
	T_CHECK(record_head_bytes(&head, &r) == 21, "%u", record_head_bytes(&head, &r));
	T_CHECK(record_decode(&head, 28, "\0\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18, &r) == -EBADMSG, "one without a key");
}

int main(void)
{
	T_RUN(test_crc_is_the_original_s);
	T_RUN(test_crc_of_what_is_summed_up_side_by_side);
	T_RUN(test_data_heads);
	T_RUN(test_records_of_ours);
	T_RUN(test_records_of_the_original);
	return T_END();
}
