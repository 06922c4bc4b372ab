#include "cli/uki.h"

#include "base/parse.h"
#include "base/rd.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { DOS_HEAD_BYTES = 60, SECTION_NAME_BYTES = 8 };

static const char names[UKI_PARTS][SECTION_NAME_BYTES + 1] = {
	[UKI_KERNEL] = ".linux", [UKI_ARCHIVE] = ".initrd", [UKI_CMDLINE] = ".cmdline", [UKI_RELEASE] = ".osrel"
};

/* One row of the table of sections. The file holds them rounded up, and what is meant of that is the size in memory. */
static void section_take(struct rd *r, const void *p, size_t n, struct str ret[static UKI_PARTS])
{
	const uint8_t *name = rd_take(r, SECTION_NAME_BYTES);
	uint64_t meant = rd_le(r, 4), address = rd_le(r, 4), held = rd_le(r, 4), at = rd_le(r, 4);

	(void)address;
	(void)rd_take(r, 16); /* relocations, line numbers, flags */
	if (r->bad)
		return;
	meant = meant < held ? meant : held;
	if (at + meant > n)
		r->bad = true;
	for (size_t i = 0; i < UKI_PARTS && !r->bad; i++)
		if (!ret[i].p && !memcmp(name, names[i], SECTION_NAME_BYTES)) /* the first profile's, where there are several */
			ret[i] = (struct str){ (const char *)p + at, meant };
}

int uki_decode(const void *p, size_t n, struct str ret[static UKI_PARTS])
{
	struct str found[UKI_PARTS] = { 0 };
	struct rd r = rd_over(p, n);
	const uint8_t *head = rd_take(&r, DOS_HEAD_BYTES), *sign;
	uint64_t at = rd_le(&r, 4), sections, optional;

	if (r.bad || memcmp(head, "MZ", 2) || at > n)
		return -EINVAL;
	r = rd_over((const uint8_t *)p + at, n - at);
	if (!(sign = rd_take(&r, 6)) || memcmp(sign, "PE\0\0", 4)) /* and which processor it is for */
		return -EINVAL;
	sections = rd_le(&r, 2);
	(void)rd_take(&r, 12);
	optional = rd_le(&r, 2);
	(void)rd_take(&r, 2 + optional);
	if (sections > UKI_SECTIONS_MAX)
		return -EBADMSG;
	for (uint64_t i = 0; i < sections && !r.bad; i++)
		section_take(&r, p, n, found);
	for (size_t i = 0; i < UKI_PARTS; i++)
		if (r.bad || !found[i].p)
			return -EBADMSG;
	memcpy(ret, found, sizeof(found));
	return 0;
}

static void flavour_read(struct uki *u)
{
	struct str rest = u->parts[UKI_RELEASE], line, key;

	while (str_next(&rest, '\n', &line))
		if (str_next(&line, '=', &key) && str_eq(key, S("VARIANT_ID")) && name_ok(line))
			snprintf(u->flavour, sizeof(u->flavour), STR_FMT, STR_ARG(line));
}

int uki_open(const char *path, struct uki *ret, struct err *e)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int r;

	*ret = (struct uki)UKI_NONE;
	if (fd < 0 || fstat(fd, &st))
		return err_set(e, -errno, "open %s: %m", path);
	if (!S_ISREG(st.st_mode) || !st.st_size || st.st_size > UKI_MAX_BYTES)
		return err_set(e, -EINVAL, "%s is no EFI program: 'make image' makes build/image/cloud/zos.efi", path);
	ret->map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (ret->map == MAP_FAILED) {
		*ret = (struct uki)UKI_NONE;
		return err_set(e, -errno, "read %s: %m", path);
	}
	ret->bytes = (size_t)st.st_size;
	r = uki_decode(ret->map, ret->bytes, ret->parts);
	if (r == -EINVAL)
		return err_set(e, r, "%s is no EFI program: 'make image' makes build/image/cloud/zos.efi", path);
	if (r)
		return err_set(e, r, "%s has no Zero-OS in it: 'make image' makes build/image/cloud/zos.efi", path);
	flavour_read(ret);
	return 0;
}

void uki_close(struct uki *u)
{
	if (u->map)
		munmap(u->map, u->bytes);
	*u = (struct uki)UKI_NONE;
}

void uki_warn(const struct uki *u, const char *path)
{
	if (!strcmp(u->flavour, "debug"))
		fprintf(stderr, "zos: %s is the debug flavour: whoever reaches a node's first virtual console is root there\n", path);
}
