#include "storage/place.h"

#include "test/t.h"

#define GIB (1ull << 30)

static void the_roomiest_of_its_class_is_chosen(void)
{
	static const struct place_disk disks[] = {
		{ .uuid = "ssd-small", .size_bytes = 10 * GIB, .is_ready = true },
		{ .uuid = "hdd", .size_bytes = 100 * GIB, .promised_bytes = 90 * GIB, .is_rotational = true, .is_ready = true },
		{ .uuid = "ssd-full", .size_bytes = 100 * GIB, .promised_bytes = 95 * GIB, .is_ready = true },
		{ .uuid = "ssd-late", .size_bytes = 500 * GIB },
		{ .uuid = "ssd-large", .size_bytes = 100 * GIB, .promised_bytes = 80 * GIB, .is_ready = true },
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
	struct place_disk d = { .size_bytes = 100 * GIB, .is_ready = true }, small = { .size_bytes = GIB }, tiny = { .size_bytes = 1 << 20 };

	T_CHECK(place_capacity_bytes(&d) == 95 * GIB && place_capacity_bytes(&small) == GIB - (256 << 20), "a twentieth, 256 MiB at least");
	T_CHECK(place_capacity_bytes(&tiny) == 0, "a disk that is too small for anything");
	d.promised_bytes = 95 * GIB - 1;
	T_CHECK(place_free_bytes(&d) == 1, "to the last byte");
	d.promised_bytes = 96 * GIB; /* as after a new version that keeps more */
	T_CHECK(place_free_bytes(&d) == 0, "never below nothing");
	d.promised_bytes = 0;
	d.images_bytes = 10 * GIB;
	T_CHECK(place_free_bytes(&d) == 85 * GIB, "and what images may take");
}

int main(void)
{
	T_RUN(the_roomiest_of_its_class_is_chosen);
	T_RUN(something_is_kept_for_the_node);
	return T_END();
}
