/* Which disk a volume or a zmount goes to, and whether it may grow there: a pure function of the disks and of what was promised on them. */
#pragma once
#include "svc/provider.h"

enum { PLACE_DISKS_MAX = 64 };

struct place_disk {
	char uuid[STORAGE_UUID_SIZE];
	uint64_t size_bytes;     /* of its file system */
	uint64_t promised_bytes; /* the sizes of all that is on it, or is to be */
	uint64_t images_bytes;   /* what the image cache may take of it; 0 = that is elsewhere */
	bool is_rotational, is_ready;
};

/* What may be promised on a disk in all: its size less what the node keeps for its state, its images and the file system's own books. */
uint64_t place_capacity_bytes(const struct place_disk *d);
/* What is left of that; 0 for one that is not ready. */
uint64_t place_free_bytes(const struct place_disk *d);

/* The disk of that class with most room, if BYTES fit there; of equals the first. NULL = none. */
const struct place_disk *place_choose(const struct place_disk *disks, size_t n, enum disk_class class, uint64_t bytes);
