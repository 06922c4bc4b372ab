#include "image/pull.h"

#include "base/file.h"
#include "image/registry.h"
#include "test/t.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define HEX_TAIL "123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX "0" HEX_TAIL
#define SCOPE "00112233445566aa"

static void lines(void)
{
	static const struct {
		const char *in;
		int r;
	} rows[] = {
		{ "progress pulling 1 2", 0 },
		{ "progress converting 18446744073709551615 0", 0 },
		{ "uses sha256:" HEX, 0 },
		{ "uses " HEX, -EBADMSG },
		{ "done sha256:" HEX, 0 },
		{ "failed 2 no such thing", 0 },
		{ "failed 2 ", 0 },
		{ "", -EBADMSG },
		{ "progress", -EBADMSG },
		{ "progress flying 1 2", -EBADMSG },
		{ "progress pulling 1", -EBADMSG },
		{ "progress pulling -1 2", -EBADMSG },
		{ "progress pulling 1 2 3", -EBADMSG },
		{ "done sha256:" HEX "0", -EBADMSG },
		{ "done ../../x", -EBADMSG },
		{ "failed 0 x", -EBADMSG },
		{ "failed 99999 x", -EBADMSG },
		{ "failed 2", -EBADMSG },
		{ "doing x", -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pull_line l;

		T_CHECK(pull_line_decode(str_c(rows[i].in), &l) == rows[i].r, "'%s'", rows[i].in);
	}
}

static void challenges(void)
{
	static const struct {
		const char *in, *want; /* NULL = refused */
	} rows[] = {
		{ " Bearer realm=\"https://a/token\",service=\"s\"", "https://a/token?scope=repository%3Am%2Fapp%3Apull&service=s" },
		{ "bearer service=\"a b\", realm=\"https://a/t?x=1\"\r\n", "https://a/t?x=1&scope=repository%3Am%2Fapp%3Apull&service=a%20b" },
		{ "Bearer realm=\"http://a/token\"", NULL },
		{ "Bearer realm=\"file:///etc/passwd\"", NULL },
		{ "Bearer realm=\"https://a/to ken\"", NULL },
		{ "Bearer realm=\"https://a", NULL },
		{ "Bearer realm", NULL },
		{ "Bearer ", NULL },
		{ "Basic realm=\"x\"", NULL },
		{ "", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_BUF struct buf url = { 0 };
		int r = registry_challenge(str_c(rows[i].in), "m/app", &url);

		T_CHECK(rows[i].want ? !r && !strcmp(url.p, rows[i].want) : r == -EBADMSG, "'%s' gave %d '%s'", rows[i].in, r, url.p ? url.p : "");
	}
}

static int try_write(const char *path)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	return fd < 0 || write(fd, "x", 1) != 1 ? errno : 0;
}

static int try_read(const char *path)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : 0;
}

static int try_unlink(const char *path)
{
	return unlink(path) ? errno : 0;
}

static int try_truncate(const char *path)
{
	return truncate(path, 0) ? errno : 0;
}

static int try_mode(const char *path)
{
	return fchmodat(AT_FDCWD, path, 0666, 0) ? errno : 0;
}

static int try_mkdir(const char *path)
{
	return mkdir(path, 0700) ? errno : 0;
}

static int try_symlink(const char *path)
{
	return symlink("/etc/passwd", path) ? errno : 0;
}

static int try_rename(const char *path)
{
	return rename("work/0/mine", path) ? errno : 0;
}

static int try_link(const char *path)
{
	return link(path, "work/0/stolen") ? errno : 0;
}

static int try_leave(const char *path)
{
	(void)path;
	return setpgid(0, 0) ? errno : 0;
}

/* What the process of a pull may do, by the function that it confines itself with; its working directory is the cache. */
static const struct {
	int (*act)(const char *path);
	const char *path;
	int want;
} doors[] = {
	{ try_write, "work/0/mine", 0 },
	{ try_read, "work/0/mine", 0 },
	{ try_unlink, "work/0/other", 0 },
	{ try_write, "layers/" SCOPE "-" HEX ".erofs", EACCES },
	{ try_truncate, "layers/" SCOPE "-" HEX ".erofs", EACCES },
	{ try_read, "layers/" SCOPE "-" HEX ".erofs", EACCES },
	{ try_unlink, "layers/" SCOPE "-" HEX ".erofs", EACCES },
	{ try_rename, "layers/" SCOPE "-" HEX ".erofs", EACCES },
	{ try_link, "layers/" SCOPE "-" HEX ".erofs", EXDEV },
	{ try_mode, "layers/" SCOPE "-" HEX ".erofs", EPERM },
	{ try_write, "layers/new", EACCES },
	{ try_write, "images/new", EACCES },
	{ try_write, "held/new", EACCES },
	{ try_write, "work/1/new", EACCES },
	{ try_write, "new", EACCES },
	{ try_mkdir, "work/0/dir", EACCES },
	{ try_symlink, "work/0/link", EACCES },
	{ try_leave, NULL, EPERM },
};

/* The exit status tells the row that surprised, 0 = none. */
[[noreturn]] static void doors_try(const struct pull_job *job)
{
	struct err e;

	if (chdir(job->cache->dir) || pull_confine(job, &e))
		_exit(255);
	for (size_t i = 0; i < ARRAY_LEN(doors); i++)
		if (doors[i].act(doors[i].path) != doors[i].want) {
			fprintf(stderr, "door %zu: %m\n", i);
			_exit((int)i + 1);
		}
	_exit(0);
}

static void a_pull_reaches_its_slot_and_nothing_else(void)
{
	char dir[] = "/tmp/pull_test.XXXXXX", path[CACHE_PATH_MAX];
	struct cache cache;
	struct pull_job job = { .cache = &cache, .scope = SCOPE, .mkfs = "/usr/bin/mkfs.erofs" };
	struct err e;
	int status = 0;
	pid_t pid;

	T_NEED(mkdtemp(dir) && !cache_open(&cache, dir, &e) && !cache_slot_make(&cache, 0, &e) && !cache_slot_make(&cache, 1, &e), "%s", e.msg);
	cache_layer_path(&cache, SCOPE, HEX, path);
	T_NEED(!file_save(AT_FDCWD, path, S("somebody's layer"), 0644, &e), "%s", e.msg);
	snprintf(path, sizeof(path), "%s/work/0/other", dir);
	T_NEED(!file_save(AT_FDCWD, path, S("x"), 0600, &e), "%s", e.msg);
	pid = fork();
	if (!pid)
		doors_try(&job);
	T_CHECK(waitpid(pid, &status, 0) == pid && status == 0, "row %d", WEXITSTATUS(status) - 1);
	T_CHECK(!tree_remove(AT_FDCWD, dir, &e), "%s", e.msg);
}

/* What a broken pull left is looked at before it is taken: in a slot are files, and what the cache has is not replaced. */
static void only_files_are_taken_over(void)
{
	static const char *const hexes[] = { HEX, "1" HEX_TAIL, "2" HEX_TAIL, "3" HEX_TAIL };
	char dir[] = "/tmp/pull_test.XXXXXX", path[CACHE_PATH_MAX], slot[CACHE_PATH_MAX], at[4][CACHE_PATH_MAX + 80];
	AUTO_BUF struct buf text = { 0 };
	struct cache cache;
	struct err e;

	T_NEED(mkdtemp(dir) && !cache_open(&cache, dir, &e) && !cache_slot_make(&cache, 0, &e), "%s", e.msg);
	cache_slot_path(&cache, 0, slot);
	for (size_t i = 0; i < ARRAY_LEN(hexes); i++)
		snprintf(at[i], sizeof(at[i]), "%s/%s.erofs", slot, hexes[i]);
	cache_layer_path(&cache, SCOPE, HEX, path);
	T_NEED(!file_save(AT_FDCWD, path, S("old"), 0644, &e) && !file_save(AT_FDCWD, at[0], S("new"), 0644, &e) &&
		       !file_save(AT_FDCWD, at[1], S("fine"), 0644, &e),
	       "%s", e.msg);
	T_CHECK(!cache_slot_take(&cache, 0, SCOPE, NULL, &e), "%s", e.msg);
	T_CHECK(cache_layer_is_there(&cache, SCOPE, hexes[1]), "a finished layer is kept");
	T_CHECK(!cache_layer_is_there(&cache, "0000000000000000", hexes[1]), "and is another scope's business");
	T_CHECK(!file_read(AT_FDCWD, path, 10, &text, &e) && str_eq(buf_str(&text), S("old")), "nothing is replaced");
	T_CHECK(access(slot, F_OK), "the slot is gone");

	T_NEED(!cache_slot_make(&cache, 0, &e) && !symlink("/etc/passwd", at[2]), "%m");
	T_CHECK(cache_slot_take(&cache, 0, SCOPE, NULL, &e) == -ELOOP, "a link");
	T_NEED(!cache_slot_make(&cache, 0, &e) && !mkfifo(at[2], 0600), "%m");
	T_CHECK(cache_slot_take(&cache, 0, SCOPE, NULL, &e) == -EBADMSG, "a pipe");
	T_NEED(!cache_slot_make(&cache, 0, &e) && !file_save(AT_FDCWD, at[3], S("x"), 0600, &e) && !link(at[3], at[2]), "%m");
	T_CHECK(cache_slot_take(&cache, 0, SCOPE, NULL, &e) == -EBADMSG, "a file with two names");
	T_CHECK(!tree_remove(AT_FDCWD, dir, &e), "%s", e.msg);
}

int main(void)
{
	T_RUN(lines);
	T_RUN(challenges);
	T_RUN(a_pull_reaches_its_slot_and_nothing_else);
	T_RUN(only_files_are_taken_over);
	return T_END();
}
