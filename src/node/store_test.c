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
	T_NEED(!file_read(f.s.roots[0], "x", 4096, &whole, &e), "%s", e.msg);
	for (size_t i = 0; i < whole.len; i++) {
		AUTO_BUF struct buf again = { 0 };
		uint64_t v = 0;

		whole.p[i] ^= 1;
		T_NEED(!file_save(f.s.roots[i & 1], "x", buf_str(&whole), 0600, &e), "%s", e.msg);
		whole.p[i] ^= 1;
		T_CHECK(!strcmp(got(&f, "x", &v), "value") && v == 7, "byte %zu", i);
		T_CHECK(!file_read(f.s.roots[i & 1], "x", 4096, &again, &e) && str_eq(buf_str(&again), buf_str(&whole)), "byte %zu not repaired", i);
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
		T_NEED(!file_save(f.s.roots[i], "x", S("zos-state 1 7"), 0600, &e), "%s", e.msg);
	T_CHECK(!strcmp(got(&f, "x", &v), "!"), "damaged");
	T_CHECK(!file_read(f.s.roots[0], "x", 64, &left, &e) && str_eq(buf_str(&left), S("zos-state 1 7")), "untouched");
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

static void a_value_under_another_name_is_refused(void)
{
	struct fixture f;
	struct err e = { 0 };
	AUTO_BUF struct buf file = { 0 };
	uint64_t v = 0;

	up(&f);
	T_NEED(!store_put(&f.s, "x", 7, S("value"), &e) && !file_read(f.s.roots[0], "x", 4096, &file, &e), "%s", e.msg);
	T_NEED(!file_save(f.s.roots[0], "y", buf_str(&file), 0600, &e), "%s", e.msg);
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
	T_NEED(!file_save(f.s.roots[0], "d/a/one.0123456789abcdef", S("torn"), 0600, &e), "%s", e.msg);
	T_CHECK(!store_each(&f.s, "d", count, &names, &e) && str_eq(buf_str(&names), S("d/a/one ")), "%s", names.p);
	T_CHECK(!store_each(&f.s, "none", count, &names, &e), "%s", e.msg);
	down(&f);
}

int main(void)
{
	T_RUN(puts_and_gets);
	T_RUN(any_damaged_byte_is_noticed_and_repaired);
	T_RUN(torn_everywhere_is_an_error_and_stays);
	T_RUN(the_newest_copy_wins_over_a_disk_that_came_back);
	T_RUN(a_value_under_another_name_is_refused);
	T_RUN(lists_each_name_once);
	return T_END();
}
