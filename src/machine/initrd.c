#include "machine/initrd.h"

#include "base/file.h"
#include "svc/offers.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static void pad(struct buf *b)
{
	while (b->len % 4 && !b->failed)
		buf_add_bytes(b, "", 1);
}

/* One file, as "newc" has it. */
static void entry_add(struct buf *b, const char *name, unsigned mode, struct str content)
{
	const unsigned fields[] = { 0, mode, 0, 0, 1, 0, (unsigned)content.n, 0, 0, 0, 0, (unsigned)strlen(name) + 1, 0 };

	buf_addf(b, "070701");
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		buf_addf(b, "%08x", fields[i]);
	buf_add_bytes(b, name, strlen(name) + 1);
	pad(b);
	buf_add(b, content);
	pad(b);
}

static struct str name_of(struct str path)
{
	while (path.n && memchr(path.p, '/', path.n))
		path.p++, path.n--;
	return path;
}

static bool has_line(struct str list, struct str want)
{
	struct str line;

	while (str_next(&list, '\n', &line))
		if (str_eq(line, want))
			return true;
	return false;
}

static int file_add(struct buf *b, struct buf *list, struct str path, struct err *e)
{
	AUTO_BUF struct buf content = { 0 };
	char at[256], name[128];
	int r;

	if (has_line(buf_str(list), name_of(path)))
		return 0;
	if (path.n >= sizeof(at) || name_of(path).n + sizeof("modules/") > sizeof(name))
		return err_set(e, -ENAMETOOLONG, OFFERS_TABLE " names '%.80s'", path.p);
	snprintf(at, sizeof(at), STR_FMT, STR_ARG(path));
	snprintf(name, sizeof(name), "modules/" STR_FMT, STR_ARG(name_of(path)));
	if ((r = file_read(AT_FDCWD, at, INITRD_MAX, &content, e)))
		return r;
	entry_add(b, name, S_IFREG | 0644, buf_str(&content));
	buf_addf(list, "%s\n", name + sizeof("modules/") - 1);
	return 0;
}

int initrd_add(struct str table, sd_json_variant *modules, struct buf *archive, struct err *e)
{
	AUTO_BUF struct buf list = { 0 };
	struct str files, file;
	int r;

	pad(archive);
	for (size_t i = 0; i < sd_json_variant_elements(modules); i++) {
		const char *name = sd_json_variant_string(sd_json_variant_by_index(modules, i));

		if (!offers_find(table, name, &files))
			return err_set(e, -ENOENT, "this node has no kernel module '%s' for virtual machines", name);
		while (str_next(&files, ' ', &file))
			if (file.n && (r = file_add(archive, &list, file, e)))
				return r;
	}
	entry_add(archive, "modules/asked", S_IFREG | 0644, buf_str(&list));
	entry_add(archive, "TRAILER!!!", 0, S(""));
	if (buf_check(archive) || buf_check(&list))
		return err_set(e, -E2BIG, "the kernel modules that were asked for are larger than the %d bytes that a virtual machine takes",
			       INITRD_MAX);
	return 0;
}
