#include "base/file.h"

#include "base/log.h"
#include "test/t.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static int scratch(char path[static 32])
{
	strcpy(path, "/tmp/file_test.XXXXXX");
	T_NEED(mkdtemp(path), "mkdtemp: %m");
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void saves_and_reads(void)
{
	char path[32];
	AUTO_FD int dir = scratch(path);
	AUTO_BUF struct buf b = { 0 };
	struct err e = { 0 };
	struct stat st;

	T_CHECK(!file_save(dir, "key", S("one"), 0600, &e), "%s", e.msg);
	T_CHECK(!file_save(dir, "key", S("two"), 0600, &e), "%s", e.msg);
	T_CHECK(!fstatat(dir, "key", &st, 0) && (st.st_mode & 0777) == 0600, "mode %o", st.st_mode);
	T_CHECK(!file_read(dir, "key", 3, &b, &e) && str_eq(buf_str(&b), S("two")), "%s", e.msg);
	T_CHECK(file_read(dir, "key", 2, &b, &e) == -EFBIG && strstr(e.msg, "larger than 2"), "%s", e.msg);
	T_CHECK(file_read(dir, "none", 2, &b, &e) == -ENOENT, "%s", e.msg);
	T_CHECK(file_save(dir, "none/key", S("x"), 0600, &e) == -ENOENT, "%s", e.msg);
	T_CHECK(!tree_remove(AT_FDCWD, path, &e), "%s", e.msg);
}

static void keeps_what_is_there(void)
{
	char path[32];
	AUTO_FD int dir = scratch(path);
	struct stat before, after;
	struct err e = { 0 };

	T_NEED(!file_keep(dir, "key", S("one"), 0600, &e) && !fstatat(dir, "key", &before, 0), "made: %s", e.msg);
	T_CHECK(!file_keep(dir, "key", S("one"), 0600, &e) && !fstatat(dir, "key", &after, 0) && before.st_ino == after.st_ino, "the same: %s",
		e.msg);
	T_CHECK(!file_keep(dir, "key", S("on"), 0600, &e) && !fstatat(dir, "key", &after, 0) && after.st_size == 2, "shorter: %s", e.msg);
	T_CHECK(!file_keep(dir, "key", S("one more"), 0600, &e) && !fstatat(dir, "key", &after, 0) && after.st_size == 8, "longer: %s", e.msg);
	T_CHECK(!tree_remove(AT_FDCWD, path, &e), "%s", e.msg);
}

static void removes_a_tree_but_not_through_links(void)
{
	char path[32], other[32];
	AUTO_FD int dir = scratch(path);
	AUTO_FD int out = scratch(other);
	char deep[128];
	struct err e = { 0 };

	T_CHECK(!file_save(out, "kept", S("x"), 0600, &e), "%s", e.msg);
	snprintf(deep, sizeof(deep), "%s/a/b/c", path);
	T_CHECK(!dir_make(deep, 0700, &e) && !dir_make(deep, 0700, &e), "%s", e.msg);
	T_CHECK(!symlinkat(other, dir, "a/link"), "%m");
	T_CHECK(!tree_remove(AT_FDCWD, path, &e) && access(path, F_OK), "%s", e.msg);
	T_CHECK(!faccessat(out, "kept", F_OK, 0), "the file behind the link");
	T_CHECK(!tree_remove(AT_FDCWD, path, &e), "absent is fine");
	T_CHECK(!tree_remove(AT_FDCWD, other, &e), "%s", e.msg);
}

static void a_log_limit_refills(void)
{
	struct log_limit l = { 0 };
	unsigned passed = 0;

	for (int i = 0; i < 100; i++)
		passed += log_limit_pass(&l, 5000);
	T_CHECK(passed == LOG_LIMIT_BURST && l.dropped == 100 - LOG_LIMIT_BURST, "%u", passed);
	T_CHECK(log_limit_pass(&l, 6000) && !log_limit_pass(&l, 6000), "one a second");
}

static void counters_are_found(void)
{
	static const struct {
		const char *text, *key;
		uint64_t want;
	} rows[] = {
		{ "4096\n", NULL, 4096 },
		{ "max\n", NULL, UINT64_MAX },
		{ "low 0\noom 3\noom_kill 7\noom_group_kill 1\n", "oom_kill", 7 },
		{ "low 0\noom 3\noom_kill 7\noom_group_kill 1\n", "oom", 3 },
		{ "low 0\noom 3\n", "oom_kill", 0 },
		{ "max 12\n", "max", 12 },
		{ "oom_kill x\n", "oom_kill", 0 },
		{ "", NULL, 0 },
	};
	char dir[] = "/tmp/zos-count-XXXXXX", path[64];
	struct err e = { 0 };

	T_NEED(mkdtemp(dir), "a directory");
	snprintf(path, sizeof(path), "%s/counts", dir);
	T_CHECK(!file_count(path, NULL), "a file that is not there");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t n;

		T_NEED(!file_save(AT_FDCWD, path, str_c(rows[i].text), 0600, &e), "%s", e.msg);
		n = file_count(path, rows[i].key);
		T_CHECK(n == rows[i].want, "row %zu: %llu", i, (unsigned long long)n);
	}
	T_CHECK(!tree_remove(AT_FDCWD, dir, &e), "%s", e.msg);
}

int main(void)
{
	T_RUN(counters_are_found);
	T_RUN(saves_and_reads);
	T_RUN(keeps_what_is_there);
	T_RUN(removes_a_tree_but_not_through_links);
	T_RUN(a_log_limit_refills);
	return T_END();
}
