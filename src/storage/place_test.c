#include "storage/place.h"

#include "test/t.h"

#define GIB (1ull << 30)

static void the_roomiest_of_its_class_is_chosen(void)
{
	static const struct place_disk disks[] = {
		{ "ssd-small", 10 * GIB, 0, false, true },         { "hdd", 100 * GIB, 90 * GIB, true, true },
		{ "ssd-full", 100 * GIB, 95 * GIB, false, true },  { "ssd-late", 500 * GIB, 0, false, false },
		{ "ssd-large", 100 * GIB, 80 * GIB, false, true },
	};
	static const struct {
		enum disk_class class;
		uint64_t bytes;
		const char *want; /* NULL = none */
	} rows[] = {
		{ DISK_ANY, GIB, "ssd-large" }, { DISK_SSD, 15 * GIB, "ssd-large" }, { DISK_SSD, 16 * GIB, NULL },
		{ DISK_HDD, 5 * GIB, "hdd" },   { DISK_HDD, 6 * GIB, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct place_disk *d = place_choose(disks, ARRAY_LEN(disks), rows[i].class, rows[i].bytes);

		T_CHECK(rows[i].want ? d && !strcmp(d->uuid, rows[i].want) : !d, "row %zu: %s", i, d ? d->uuid : "none");
	}
	T_CHECK(!place_choose(disks, 0, DISK_ANY, 1), "no disks");
}

static void something_is_kept_for_the_node(void)
{
	struct place_disk d = { .size_bytes = 100 * GIB, .is_ready = true };

	T_CHECK(place_capacity_bytes(100 * GIB) == 95 * GIB && place_capacity_bytes(GIB) == GIB - (256 << 20), "a twentieth, 256 MiB at least");
	T_CHECK(place_capacity_bytes(1 << 20) == 0, "a disk that is too small for anything");
	d.promised_bytes = 95 * GIB - 1;
	T_CHECK(place_free_bytes(&d) == 1, "to the last byte");
	d.promised_bytes = 96 * GIB; /* as after a new version that keeps more */
	T_CHECK(place_free_bytes(&d) == 0, "never below nothing");
}

int main(void)
{
	T_RUN(the_roomiest_of_its_class_is_chosen);
	T_RUN(something_is_kept_for_the_node);
	return T_END();
}
