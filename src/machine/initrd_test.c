#include "machine/initrd.h"

#include "base/file.h"
#include "test/t.h"

#include <fcntl.h>
#include <stdio.h>

static char dir[] = "/tmp/initrd_test.XXXXXX";

static void put(const char *name, const char *content)
{
	char path[64];
	struct err e = { 0 };

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	T_NEED(!file_save(AT_FDCWD, path, str_c(content), 0600, &e), "%s", e.msg);
}

/* What cpio, and so the kernel, makes of ARCHIVE: names and contents, one behind the other. */
static void unpacked(const struct buf *archive, char *ret, size_t size)
{
	char command[256];
	struct err e = { 0 };
	FILE *from;

	put("archive", "");
	snprintf(command, sizeof(command), "%s/archive", dir);
	T_NEED(!file_save(AT_FDCWD, command, buf_str(archive), 0600, &e), "%s", e.msg);
	snprintf(command, sizeof(command), "mkdir -p %s/out && cd %s/out && cpio -id --quiet <../archive && tail -n +1 modules/* 2>&1", dir, dir);
	from = popen(command, "r");
	T_NEED(from, "run cpio");
	ret[fread(ret, 1, size - 1, from)] = '\0';
	T_CHECK(!pclose(from), "cpio: %s", ret);
}

static void the_kernel_finds_each_file_once_and_in_order(void)
{
	AUTO_BUF struct buf table = { 0 }, archive = { 0 };
	sd_json_variant *names = NULL;
	char text[1024];
	struct err e = { 0 };

	T_NEED(mkdtemp(dir), "make a directory");
	put("shared.ko", "first");
	put("one.ko", "the one");
	put("two.ko", "another");
	buf_addf(&table, "one %s/shared.ko %s/one.ko\ntwo %s/shared.ko %s/two.ko\nnone\nlost %s/lost.ko\n", dir, dir, dir, dir, dir);
	T_NEED(sd_json_buildo(&names, SD_JSON_BUILD_PAIR_STRV("m", ((char *[]){ (char *)"two", (char *)"one", (char *)"none", NULL }))) >= 0,
	       "names");
	T_NEED(!initrd_add(buf_str(&table), sd_json_variant_by_key(names, "m"), &archive, &e), "%s", e.msg);
	unpacked(&archive, text, sizeof(text));
	T_CHECK(!strcmp(text,
			"==> modules/asked <==\nshared.ko\ntwo.ko\none.ko\n\n==> modules/one.ko <==\nthe one\n==> modules/shared.ko <==\nfirst\n"
			"==> modules/two.ko <==\nanother"),
		"%s", text);
	sd_json_variant_unref(names);
}

static void what_is_not_there_is_said(void)
{
	static const struct {
		const char *name, *why; /* NULL: goes */
	} rows[] = { { "here", NULL }, { "there", "no kernel module 'there'" }, { "lost", "lost.ko" } };
	char table[128];

	put("here.ko", "x");
	snprintf(table, sizeof(table), "here %s/here.ko\nlost %s/lost.ko\n", dir, dir);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_BUF struct buf archive = { 0 };
		sd_json_variant *names = NULL;
		struct err e = { 0 };
		int r;

		T_NEED(sd_json_buildo(&names, SD_JSON_BUILD_PAIR_STRV("m", ((char *[]){ (char *)rows[i].name, NULL }))) >= 0, "names");
		r = initrd_add(str_c(table), sd_json_variant_by_key(names, "m"), &archive, &e);
		T_CHECK(rows[i].why ? r < 0 && strstr(e.msg, rows[i].why) : !r, "%s: %d %s", rows[i].name, r, e.msg);
		sd_json_variant_unref(names);
	}
}

int main(void)
{
	struct err e = { 0 };

	T_RUN(the_kernel_finds_each_file_once_and_in_order);
	T_RUN(what_is_not_there_is_said);
	T_CHECK(!tree_remove(AT_FDCWD, dir, &e), "%s", e.msg);
	return T_END();
}
