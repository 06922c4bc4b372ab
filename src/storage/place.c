#include "storage/place.h"

/* A twentieth, at least 256 MiB: btrfs keeps its metadata twice on one disk, and a node that cannot write its own state takes no order. */
#define RESERVE_MIN_BYTES (256ull << 20)
enum { RESERVE_PART = 20 };

uint64_t place_capacity_bytes(const struct place_disk *d)
{
	uint64_t reserve = d->size_bytes / RESERVE_PART > RESERVE_MIN_BYTES ? d->size_bytes / RESERVE_PART : RESERVE_MIN_BYTES;

	reserve += d->images_bytes;
	return d->size_bytes > reserve ? d->size_bytes - reserve : 0;
}

uint64_t place_free_bytes(const struct place_disk *d)
{
	uint64_t all = place_capacity_bytes(d);

	return d->is_ready && all > d->promised_bytes ? all - d->promised_bytes : 0;
}

static bool is_of_class(const struct place_disk *d, enum disk_class class)
{
	return class == DISK_ANY || (class == DISK_HDD) == d->is_rotational;
}

const struct place_disk *place_choose(const struct place_disk *disks, size_t n, enum disk_class class, uint64_t bytes)
{
	const struct place_disk *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (is_of_class(&disks[i], class) && (!best || place_free_bytes(&disks[i]) > place_free_bytes(best)))
			best = &disks[i];
	return best && place_free_bytes(best) >= bytes ? best : NULL;
}
