/* When a disk is scrubbed, what a scrub changes, and when something is wrong with one. */
#include "storage/care.h"

#include "base/cleanup.h"
#include "test/t.h"

enum { DAY = 24 * 3600 };
#define NOW 2000000000ull

static void what_is_wrong_is_said(void)
{
	static const struct {
		struct care care;
		const char *words; /* NULL = nothing is wrong */
	} rows[] = {
		{ { 0 }, NULL },
		{ { .scrub = { .ended_s = 1, .last_errors = 3 } }, NULL }, /* repaired, and read again since */
		{ { .io_errors = 2 }, "2 reads or writes failed, and 0 blocks" },
		{ { .bad_blocks = 7 }, "0 reads or writes failed, and 7 blocks" },
		{ { .io_errors = 1, .is_read_only = true }, "ended all writing" },
		{ { .is_scarce = true }, "hardly any room is left on it for names" },
		{ { .is_scarce = true, .io_errors = 1 }, "1 reads or writes failed" }, /* what may lose data is said first */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[300] = "";
		bool is_bad = care_judge(&rows[i].care, text, sizeof(text));

		T_CHECK(is_bad == !!rows[i].words, "row %zu", i);
		T_CHECK(!rows[i].words || strstr(text, rows[i].words), "row %zu: %s", i, text);
		T_CHECK(strlen(text) < sizeof(text) - 1, "row %zu is cut", i);
	}
}

static void a_scrub_is_due_about_monthly(void)
{
	static const struct {
		struct care care;
		uint64_t seed;
		bool is_due;
	} rows[] = {
		{ { 0 }, 5, true }, /* never */
		{ { .scrub.ended_s = NOW - 19 * DAY }, 0, false },
		{ { .scrub.ended_s = NOW - 20 * DAY }, 0, true },
		{ { .scrub.ended_s = NOW - 20 * DAY }, DAY, false }, /* each disk at another time, */
		{ { .scrub.ended_s = NOW - 30 * DAY }, UINT32_MAX, true }, /* ... none later than that */
		{ { .scrub.ended_s = NOW - 1, .scrub.at_bytes = 1 }, 0, true }, /* it goes on */
		{ { .scrub.ended_s = NOW - DAY, .bad_blocks = 1 }, 0, true },
		{ { .scrub.ended_s = NOW - DAY + 60, .bad_blocks = 1 }, 0, false },
		{ { .is_read_only = true }, 0, false },
		{ { .scrub.ended_s = NOW + 60 }, 0, false }, /* the clock is a little behind, */
		{ { .scrub.ended_s = NOW + 100 * DAY }, 0, true }, /* ... or was far ahead once */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		T_CHECK(care_scrub_is_due(&rows[i].care, rows[i].seed, NOW) == rows[i].is_due, "row %zu", i);
}

static void a_scrub_goes_on_where_it_was(void)
{
	struct care c = { .bad_blocks = 2, .scrub = { .ended_s = 7, .last_errors = 1 } };

	T_CHECK(!care_scrub_step(&c, &(struct care_slice){ .end_bytes = 40, .size_bytes = 100 }, NOW), "the first of three");
	T_CHECK(c.scrub.at_bytes == 40 && c.scrub.begun_s == NOW && c.scrub.ended_s == 7, "%llu", (unsigned long long)c.scrub.at_bytes);
	T_CHECK(!care_scrub_step(&c, &(struct care_slice){ 80, 100, 0, 0 }, NOW + 1) && c.scrub.begun_s == NOW, "the second");
	T_CHECK(care_scrub_step(&c, &(struct care_slice){ 120, 100, 0, 0 }, NOW + 2), "all was read, and nothing found");
	T_CHECK(!c.scrub.at_bytes && c.scrub.ended_s == NOW + 2 && !c.scrub.last_errors, "%llu", (unsigned long long)c.scrub.ended_s);
}

/* What was found in any slice, or counted while it went on, keeps what was counted. */
static void only_a_scrub_that_finds_nothing_ends_it(void)
{
	struct care found = { 0 }, counted = { 0 };

	T_CHECK(!care_scrub_step(&found, &(struct care_slice){ 40, 100, 3, 1 }, NOW), "one slice");
	T_CHECK(!care_scrub_step(&found, &(struct care_slice){ 100, 100, 2, 0 }, NOW), "it found something");
	T_CHECK(found.scrub.last_errors == 5 && found.scrub.last_broken == 1 && !found.scrub.at_bytes, "%llu",
		(unsigned long long)found.scrub.last_errors);
	T_CHECK(!care_scrub_step(&counted, &(struct care_slice){ 40, 100, 0, 0 }, NOW), "one slice");
	counted.io_errors = 1;
	T_CHECK(!care_scrub_step(&counted, &(struct care_slice){ 100, 100, 0, 0 }, NOW), "a write failed meanwhile");
}

#define RECORD(version, at, more)                        \
	"{\"version\":" version ",\"scrub\":{\"at\":" at \
	",\"begun\":2,\"counted\":3,\"errors\":4,\"broken\":5,\"ended\":6,\"last_errors\":7,\"last_broken\":8" more "}}"

static void a_record_is_read(void)
{
	static const struct {
		const char *text;
		int r;
	} rows[] = {
		{ RECORD("1", "1", ""), 0 },
		{ RECORD("2", "1", ""), -EBADMSG },
		{ RECORD("1", "-1", ""), -EBADMSG },
		{ RECORD("1", "9223372036854775808", ""), -EBADMSG },
		{ RECORD("1", "1", ",\"more\":1"), -EBADMSG },
		{ RECORD("1", "1", ",\"at\":1"), -EBADMSG },
		{ "{\"version\":1}", -EBADMSG },
		{ "{\"version\":1,\"scrub\":{\"at\":1}}", -EBADMSG },
		{ "", -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct care_scrub s = { .at_bytes = 99 };
		struct err e = { 0 };
		int r = care_scrub_decode(str_c(rows[i].text), &s, &e);

		T_CHECK(r == rows[i].r && !r == !e.msg[0], "row %zu: %d %s", i, r, e.msg);
		T_CHECK(s.at_bytes == (r ? 99 : 1), "row %zu", i);
	}
}

static void a_record_comes_back(void)
{
	struct care_scrub s = { 1, 2, 3, 4, INT64_MAX, 6, 7, 8 }, again = { 0 };
	AUTO_BUF struct buf text = { 0 };
	struct err e = { 0 };

	T_NEED(!care_scrub_encode(&s, &text) && !care_scrub_decode(buf_str(&text), &again, &e), "%s", e.msg);
	T_CHECK(!memcmp(&s, &again, sizeof(s)), "%s", text.p);
	T_CHECK(text.len < CARE_RECORD_MAX, "%zu", text.len);
}

int main(void)
{
	T_RUN(what_is_wrong_is_said);
	T_RUN(a_scrub_is_due_about_monthly);
	T_RUN(a_scrub_goes_on_where_it_was);
	T_RUN(only_a_scrub_that_finds_nothing_ends_it);
	T_RUN(a_record_is_read);
	T_RUN(a_record_comes_back);
	return T_END();
}
