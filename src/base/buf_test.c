#include "base/buf.h"

#include "base/rd.h"
#include "base/str.h"
#include "test/t.h"

static void grows_and_stays_text(void)
{
	AUTO_BUF struct buf b = { 0 };

	for (int i = 0; i < 1000; i++)
		buf_addf(&b, "%d,", i);
	T_CHECK(!buf_check(&b) && b.len == strlen(b.p) && b.len == 3890, "%zu", b.len);
	buf_drop(&b, 3886);
	T_CHECK(!strcmp(b.p, "999,"), "'%s'", b.p);
}

static void a_limit_sticks(void)
{
	AUTO_BUF struct buf b = { .limit = 8 };

	buf_add(&b, S("12345678"));
	T_CHECK(!buf_check(&b), "up to the limit");
	buf_add(&b, S("9"));
	T_CHECK(buf_check(&b) == -ENOBUFS && b.len == 8, "one past it");
	buf_drop(&b, 8);
	buf_add(&b, S("1"));
	T_CHECK(buf_check(&b) == -ENOBUFS, "the failure stays");
}

static void reads_back_what_it_wrote(void)
{
	AUTO_BUF struct buf b = { 0 };

	buf_add_le(&b, 0x0102030405060708, 8);
	buf_add_le(&b, 0xfffe, 2);
	struct rd r = rd_over(b.p, b.len);
	T_CHECK(rd_le(&r, 8) == 0x0102030405060708 && rd_le(&r, 2) == 0xfffe && !rd_done(&r), "round trip");
	T_CHECK(rd_le(&r, 1) == 0 && r.bad && rd_done(&r) == -EBADMSG, "one byte past the end");
	struct rd surplus = rd_over(b.p, b.len);
	rd_le(&surplus, 8);
	T_CHECK(rd_done(&surplus) == -EBADMSG, "two bytes left over");
}

static void splits(void)
{
	struct str rest = S("a::b:"), piece;
	AUTO_BUF struct buf seen = { 0 };

	while (str_next(&rest, ':', &piece))
		buf_addf(&seen, "[" STR_FMT "]", STR_ARG(piece));
	T_CHECK(str_eq(buf_str(&seen), S("[a][][b][]")), "%s", seen.p);
}

int main(void)
{
	T_RUN(grows_and_stays_text);
	T_RUN(a_limit_sticks);
	T_RUN(reads_back_what_it_wrote);
	T_RUN(splits);
	return T_END();
}
