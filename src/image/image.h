/* The image provider: asks imaged for what a workload's image reference stands for. */
#pragma once
#include "svc/provider.h"

#include <systemd/sd-event.h>

#define IMAGED_SOCKET "/run/zos/imaged/sock" /* init makes its directory, for imaged */
#define IMAGED_CACHE "/run/zos/imaged/cache"
#define IMAGED_MKFS "/usr/bin/mkfs.erofs"

struct image_options {
	const char *socket; /* borrowed */
};

/* Returns owned. */
MUST_CHECK int image_provider_new(sd_event *event, const struct image_options *o, struct provider **ret, struct err *e);
void image_provider_free(struct provider *p);
