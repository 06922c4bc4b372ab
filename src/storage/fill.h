/* Fills a directory from an archive that a stranger wrote, in the process that is shut into it (stream.h). */
#pragma once
#include "storage/archive.h"

enum { FILL_DIRS_MAX = 1 << 17 /* whose times are put right at the end; the others keep the time of that */ };

struct fill {
	int root;              /* the directory; borrowed */
	int fd;  /* the file that is being written; -1 = none */
	uint64_t at;           /* bytes of it that have come */
	uint64_t left_out;     /* entries and attributes that a volume does not take */
	struct buf dirs;       /* a time and a name for each */
	size_t n_dirs;
	struct archive archive;
};

void fill_init(struct fill *f, int root);
void fill_deinit(struct fill *f);
/* -EBADMSG, -EDQUOT, -EIO. */
MUST_CHECK int fill_feed(struct fill *f, const uint8_t *p, size_t n, struct err *e);
MUST_CHECK int fill_finish(struct fill *f, struct err *e);
static inline bool fill_at_end(const struct fill *f)
{
	return f->archive.at_end;
}

/* Whether a volume keeps an attribute of that name: what machines can set, by themselves or through the kernel. */
bool fill_takes_xattr(struct str name);
