/* The image as one EFI program (decision 072), read: a PE file of which some sections are the kernel, the archive behind it, the command line
 * and what this is. Sections as UAPI.5 names them, their table as Microsoft's PE/COFF specification has it. */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum { UKI_MAX_BYTES = 512 << 20, UKI_SECTIONS_MAX = 96 };

enum uki_part { UKI_KERNEL, UKI_ARCHIVE, UKI_CMDLINE, UKI_RELEASE, UKI_PARTS };

struct uki {
	void *map; /* the whole file */
	size_t bytes;
	struct str parts[UKI_PARTS];
	char flavour[16]; /* VARIANT_ID of its os-release: "cloud", "metal", "debug"; "" when that says nothing */
};
#define UKI_NONE { .map = NULL }
#define AUTO_UKI CLEANUP(uki_close)

/* Finds the parts in the N bytes at P, into which RET points then. -EINVAL: no EFI program; -EBADMSG: one without them. */
MUST_CHECK int uki_decode(const void *p, size_t n, struct str ret[static UKI_PARTS]);

/* RET is to be released whatever is returned. */
MUST_CHECK int uki_open(const char *path, struct uki *ret, struct err *e);
void uki_close(struct uki *u);

/* Warns on standard error of an image that has a shell. */
void uki_warn(const struct uki *u, const char *path);
