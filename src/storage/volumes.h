/* The provider of volumes and zmounts: places each on a disk, has it made there once, and says where it is for as long as its disk is here.
 *
 * It touches no disk itself: what is done there, the program `volume` does (volume.c). */
#pragma once
#include "storage/place.h"
#include "svc/provider.h"

#include <systemd/sd-event.h>

struct volumes_disk {
	char uuid[STORAGE_UUID_SIZE];
	char path[64];       /* where it is mounted */
	uint64_t size_bytes;
	bool is_rotational;
	uint64_t images_bytes; /* what the image cache may take of it */
};

struct volumes_options {
	const char *program; /* path of `volume`; borrowed */
	/* The disks that are mounted now, at most MAX; their number. */
	size_t (*disks)(void *ctx, struct volumes_disk *ret, size_t max);
	/* What is wrong with a disk that is here, borrowed for the call; NULL = nothing. It takes nothing new. */
	const char *(*trouble)(void *ctx, const char *uuid);
	void *ctx;
};

/* Returns owned. */
MUST_CHECK int volumes_new(sd_event *event, const struct volumes_options *o, struct provider **ret, struct err *e);
void volumes_free(struct provider *p);

/* The disk UUID is mounted: what waits for it goes on, and what was to go from it goes. */
void volumes_came(struct provider *p, const char *uuid);
/* It is not any more: what is on it waits. */
void volumes_went(struct provider *p, const char *uuid);
/* What is wrong with disks may be something else than before: who has something there is told. */
void volumes_judge(struct provider *p);
