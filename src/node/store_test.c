#include "node/store.h"

#include "base/file.h"
#include "test/t.h"

#include <fcntl.h>
#include <stdio.h>

struct fixture {
	char top[32], a[64], b[64];
	const char *dirs[2];
	struct store s;
};

static void up(struct fixture *f)
{
	struct err e = { 0 };

	strcpy(f->top, "/tmp/store_test.XXXXXX");
	T_NEED(mkdtemp(f->top) != NULL, "mkdtemp: %m");
	snprintf(f->a, sizeof(f->a), "%s/a", f->top);
	snprintf(f->b, sizeof(f->b), "%s/b", f->top);
	f->dirs[0] = f->a;
	f->dirs[1] = f->b;
	T_NEED(!store_open(&f->s, f->dirs, 2, true, &e), "%s", e.msg);
}

static void down(struct fixture *f)
{
	struct err e = { 0 };

	store_close(&f->s);
	T_CHECK(!tree_remove(AT_FDCWD, f->top, &e), "%s", e.msg);
}

/* Reads NAME; the value as text, "" when absent, "!" when damaged. */
static const char *got(struct fixture *f, const char *name, uint64_t *version)
{
	static char text[64];
	AUTO_BUF struct buf b = { 0 };
	struct err e = { 0 };
	int r = store_get(&f->s, name, version, &b, &e);

	snprintf(text, sizeof(text), "%s", r == 0 ? (b.len ? b.p : "(empty)") : r == STORE_ABSENT ? "" : "!");
	return text;
}

static void puts_and_gets(void)
{
	struct fixture f;
	struct err e = { 0 };
	uint64_t v = 0;

	up(&f);
	T_CHECK(!strcmp(got(&f, "d/x", &v), ""), "absent");
	T_CHECK(!store_put(&f.s, "d/x", 3, S("three"), &e), "%s", e.msg);
	T_CHECK(!strcmp(got(&f, "d/x", &v), "three") && v == 3, "%llu", (unsigned long long)v);
	T_CHECK(!store_put(&f.s, "d/x", 4, S(""), &e), "%s", e.msg);
	T_CHECK(!strcmp(got(&f, "d/x", &v), "(empty)") && v == 4, "an empty value is a value");
	down(&f);
}

/* Damage every byte of one copy in turn: the other serves, and the damaged one is repaired. */
static void any_damaged_byte_is_noticed_and_repaired(void)
{
	struct fixture f;
	struct err e = { 0 };
	AUTO_BUF struct buf whole = { 0 };

	up(&f);
	T_NEED(!store_put(&f.s, "x", 7, S("value"), &e), "%s", e.msg);
	T_NEED(!file_read(f.s.roots[0].fd, "x", 4096, &whole, &e), "%s", e.msg);
	for (size_t i = 0; i < whole.len; i++) {
		AUTO_BUF struct buf again = { 0 };
		uint64_t v = 0;

		whole.p[i] ^= 1;
		T_NEED(!file_save(f.s.roots[i & 1].fd, "x", buf_str(&whole), 0600, &e), "%s", e.msg);
		whole.p[i] ^= 1;
		T_CHECK(!strcmp(got(&f, "x", &v), "value") && v == 7, "byte %zu", i);
		T_CHECK(!file_read(f.s.roots[i & 1].fd, "x", 4096, &again, &e) && str_eq(buf_str(&again), buf_str(&whole)), "byte %zu not repaired",
			i);
	}
	down(&f);
}

/* PAINS: a copy that nobody reads is not left bad until it is the only one. */
static void what_nobody_reads_is_mended_too(void)
{
	struct fixture f;
	struct err e = { 0 };

	up(&f);
	T_NEED(!store_put(&f.s, "d/x", 7, S("value"), &e) && !store_put(&f.s, "d/bad", 1, S("value"), &e), "%s", e.msg);
	T_NEED(!file_save(f.s.roots[1].fd, "d/x", S("noise"), 0600, &e), "%s", e.msg);
	for (int i = 0; i < 2; i++)
		T_NEED(!file_save(f.s.roots[i].fd, "d/bad", S("noise"), 0600, &e), "%s", e.msg);
	store_mend(&f.s);
	for (int i = 0; i < 2; i++) {
		AUTO_BUF struct buf x = { 0 }, bad = { 0 };

		T_NEED(!file_read(f.s.roots[i].fd, "d/x", 4096, &x, &e) && !file_read(f.s.roots[i].fd, "d/bad", 4096, &bad, &e), "%s", e.msg);
		T_CHECK(x.len > 10 && strstr(x.p, "value"), "directory %d: %s", i, x.p);
		T_CHECK(str_eq(buf_str(&bad), S("noise")), "what is damaged everywhere stays: %s", bad.p);
	}
	down(&f);
}

static void torn_everywhere_is_an_error_and_stays(void)
{
	struct fixture f;
	struct err e = { 0 };
	AUTO_BUF struct buf left = { 0 };
	uint64_t v = 0;

	up(&f);
	T_NEED(!store_put(&f.s, "x", 7, S("value"), &e), "%s", e.msg);
	for (int i = 0; i < 2; i++)
		T_NEED(!file_save(f.s.roots[i].fd, "x", S("zos-state 1 7"), 0600, &e), "%s", e.msg);
	T_CHECK(!strcmp(got(&f, "x", &v), "!"), "damaged");
	T_CHECK(!file_read(f.s.roots[0].fd, "x", 64, &left, &e) && str_eq(buf_str(&left), S("zos-state 1 7")), "untouched");
	down(&f);
}

static void the_newest_copy_wins_over_a_disk_that_came_back(void)
{
	struct fixture f;
	struct store old = STORE_NONE;
	struct err e = { 0 };
	uint64_t v = 0;

	up(&f);
	T_NEED(!store_put(&f.s, "x", 7, S("seven"), &e), "%s", e.msg);
	T_NEED(!store_open(&old, f.dirs, 1, true, &e) && !store_put(&old, "x", 8, S("eight"), &e), "%s", e.msg);
	T_CHECK(!strcmp(got(&f, "x", &v), "eight") && v == 8, "%llu", (unsigned long long)v);
	store_close(&old);
	T_NEED(!store_open(&old, f.dirs + 1, 1, true, &e), "%s", e.msg);
	AUTO_BUF struct buf b = { 0 };
	T_CHECK(!store_get(&old, "x", &v, &b, &e) && v == 8, "the second directory caught up");
	store_close(&old);
	down(&f);
}

/* Two disks that were never there together: one of the two wins, the same in whatever order they come. */
static void the_same_of_two_equals_wins(void)
{
	struct fixture f;
	struct err e = { 0 };
	char first[64] = "";

	for (int turn = 0; turn < 2; turn++) {
		struct store one = STORE_NONE;
		uint64_t v = 0;

		up(&f);
		for (int i = 0; i < 2; i++) {
			T_NEED(!store_open(&one, &f.dirs[i], 1, true, &e) && !store_put(&one, "x", 7, i == turn ? S("seven") : S("sieben"), &e), "%s",
			       e.msg);
			store_close(&one);
		}
		snprintf(turn ? (char[64]){ 0 } : first, 64, "%s", got(&f, "x", &v));
		T_CHECK(!strcmp(got(&f, "x", &v), first) && v == 7, "not %s", first);
		T_NEED(!store_open(&one, &f.dirs[turn], 1, true, &e), "%s", e.msg);
		AUTO_BUF struct buf b = { 0 };
		T_CHECK(!store_get(&one, "x", &v, &b, &e) && str_eq(buf_str(&b), str_c(first)), "the other has it too");
		store_close(&one);
		down(&f);
	}
}

/* A disk that comes later has what was there before it, and gives what only it knows. */
static void a_directory_that_is_added_gets_and_gives(void)
{
	struct fixture f;
	struct store old = STORE_NONE;
	struct err e = { 0 };
	char c[64];
	uint64_t v = 0;

	up(&f);
	snprintf(c, sizeof(c), "%s/c", f.top);
	T_NEED(!store_put(&f.s, "d/x", 7, S("seven"), &e) && !store_put(&f.s, "y", 1, S("one"), &e), "%s", e.msg);
	T_NEED(!store_open(&old, (const char *const[]){ c }, 1, true, &e) && !store_put(&old, "d/x", 6, S("six"), &e) &&
		       !store_put(&old, "d/z/w", 3, S("three"), &e),
	       "%s", e.msg);
	T_NEED(!file_save(old.roots[0].fd, "torn", S("zos-state"), 0600, &e), "%s", e.msg);
	T_NEED(!store_add(&f.s, c, true, &e), "%s", e.msg);
	for (int i = 0; i < 3; i++) { /* each alone knows all */
		struct store one = STORE_NONE;

		T_NEED(!store_open(&one, (const char *const[]){ f.s.roots[i].dir }, 1, true, &e), "%s", e.msg);
		AUTO_BUF struct buf b = { 0 };
		T_CHECK(!store_get(&one, "d/x", &v, &b, &e) && v == 7 && !store_get(&one, "y", &v, &b, &e) && !store_get(&one, "d/z/w", &v, &b, &e) &&
				str_eq(buf_str(&b), S("sevenonethree")),
			"%d: %s", i, b.p);
		T_CHECK(store_get(&one, "torn", &v, &b, &e) == (i == 2 ? -EBADMSG : STORE_ABSENT), "what is damaged stays where it is");
		store_close(&one);
	}
	store_close(&old);
	down(&f);
}

static void note_loss(void *ctx, const char *dir, const struct err *why)
{
	(void)why;
	snprintf(ctx, STORE_DIR_MAX, "%s", dir);
}

/* A directory that takes nothing more is given up as long as another has the value; the last one is not. */
static void a_directory_that_fails_is_given_up(void)
{
	struct fixture f;
	struct err e = { 0 };
	char lost[STORE_DIR_MAX] = "";
	uint64_t v = 0;

	up(&f);
	f.s.lost = note_loss;
	f.s.ctx = lost;
	T_NEED(!store_put(&f.s, "x/y", 1, S("one"), &e) && f.s.n_roots == 2, "%s", e.msg);
	T_NEED(!tree_remove(f.s.roots[0].fd, "x", &e) && !file_save(f.s.roots[0].fd, "x", S("no directory"), 0600, &e), "%s", e.msg);
	T_CHECK(!store_put(&f.s, "x/y", 2, S("two"), &e), "%s", e.msg);
	T_CHECK(f.s.n_roots == 1 && !strcmp(lost, f.a) && !strcmp(f.s.roots[0].dir, f.b), "lost '%s'", lost);
	T_CHECK(!strcmp(got(&f, "x/y", &v), "two") && v == 2, "version %llu", (unsigned long long)v);
	T_NEED(!tree_remove(f.s.roots[0].fd, "x", &e) && !file_save(f.s.roots[0].fd, "x", S("no directory"), 0600, &e), "%s", e.msg);
	T_CHECK(store_put(&f.s, "x/y", 3, S("three"), &e) == -ENOTDIR && e.msg[0] && f.s.n_roots == 1, "%s", e.msg);
	store_drop(&f.s, f.b);
	T_CHECK(store_put(&f.s, "z", 3, S("three"), &e) == -EIO && strstr(e.msg, "no disk"), "%s", e.msg);
	T_CHECK(!store_is_durable(&f.s), "nothing is kept");
	down(&f);
}

static void a_value_under_another_name_is_refused(void)
{
	struct fixture f;
	struct err e = { 0 };
	AUTO_BUF struct buf file = { 0 };
	uint64_t v = 0;

	up(&f);
	T_NEED(!store_put(&f.s, "x", 7, S("value"), &e) && !file_read(f.s.roots[0].fd, "x", 4096, &file, &e), "%s", e.msg);
	T_NEED(!file_save(f.s.roots[0].fd, "y", buf_str(&file), 0600, &e), "%s", e.msg);
	T_CHECK(!strcmp(got(&f, "y", &v), "!"), "a copied file");
	down(&f);
}

static int count(void *ctx, const char *name)
{
	struct buf *names = ctx;

	buf_addf(names, "%s ", name);
	return 0;
}

static void lists_each_name_once(void)
{
	struct fixture f;
	struct err e = { 0 };
	AUTO_BUF struct buf names = { 0 };

	up(&f);
	T_NEED(!store_put(&f.s, "d/a/one", 1, S(""), &e), "%s", e.msg);
	T_NEED(!file_save(f.s.roots[0].fd, "d/a/one.0123456789abcdef", S("torn"), 0600, &e), "%s", e.msg);
	T_CHECK(!store_each(&f.s, "d", count, &names, &e) && str_eq(buf_str(&names), S("d/a/one ")), "%s", names.p);
	T_CHECK(!store_each(&f.s, "none", count, &names, &e), "%s", e.msg);
	down(&f);
}

int main(void)
{
	T_RUN(puts_and_gets);
	T_RUN(any_damaged_byte_is_noticed_and_repaired);
	T_RUN(what_nobody_reads_is_mended_too);
	T_RUN(torn_everywhere_is_an_error_and_stays);
	T_RUN(the_newest_copy_wins_over_a_disk_that_came_back);
	T_RUN(the_same_of_two_equals_wins);
	T_RUN(a_directory_that_is_added_gets_and_gives);
	T_RUN(a_directory_that_fails_is_given_up);
	T_RUN(a_value_under_another_name_is_refused);
	T_RUN(lists_each_name_once);
	return T_END();
}
