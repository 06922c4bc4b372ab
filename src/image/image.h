/* The image provider: asks imaged for what a workload's image reference stands for. */
#pragma once
#include "svc/provider.h"

#include <systemd/sd-event.h>

#define IMAGED_SOCKET "/run/zos/imaged/sock" /* init makes its directory, for imaged */
#define IMAGED_CACHE "/run/zos/imaged/cache"
#define IMAGEMOVE_PROGRAM "/usr/lib/zos/imagemove"
#define IMAGECOPY_PROGRAM "/usr/lib/zos/imagecopy"
#define IMAGED_MKFS "/usr/bin/mkfs.erofs"

/* What images may take of a file system: a tenth, but not less than 2 GiB where that is not more than half. */
static inline uint64_t image_limit_default(uint64_t fs_bytes)
{
	uint64_t tenth = fs_bytes / 10, floor = fs_bytes / 2 < 2ull << 30 ? fs_bytes / 2 : 2ull << 30;

	return tenth > floor ? tenth : floor;
}

/* What copies of the images in use may take of a disk that has not the cache: an eighth, at most 8 GiB. */
static inline uint64_t image_copy_limit(uint64_t fs_bytes)
{
	return fs_bytes / 8 < 8ull << 30 ? fs_bytes / 8 : 8ull << 30;
}

struct image_options {
	const char *socket; /* borrowed */
};

extern const struct json_table image_progress_table, image_answer_table; /* what imaged answers to a pull */

/* Returns owned. */
MUST_CHECK int image_provider_new(sd_event *event, const struct image_options *o, struct provider **ret, struct err *e);
void image_provider_free(struct provider *p);
