#include "machine/qemu.h"
#include "test/t.h"

static size_t find(const struct qemu_args *a, const char *option, const char *value)
{
	size_t n = 0;

	for (size_t i = 0; i + 1 < a->n; i++)
		n += !strcmp(a->argv[i], option) && !strcmp(a->argv[i + 1], value);
	return n;
}

static const int fds[GUEST_LAYERS_MAX] = { 20, 21, 22 };
static const struct qemu_link links[] = { { 30, "02:00:00:00:00:05" } };
static const struct qemu small = { .memory_bytes = 128 << 20,
				   .cpus = 2,
				   .mac = "02:7a:6f:73:00:01",
				   .initrd = "/room/initrd",
				   .tap = 7,
				   .console = 8,
				   .ports = { 9, 10, 11 },
				   .layers = fds,
				   .links = links,
				   .n_links = 1,
				   .n_layers = 3 };

static void says_what_it_was_told(void)
{
	static const struct {
		const char *option, *value;
	} rows[] = {
		{ "-m", "131072k" },
		{ "-smp", "2" },
		{ "-initrd", "/room/initrd" },
		{ "-netdev", "tap,id=net,fd=7" },
		{ "-device", "virtio-net-device,netdev=net,mac=02:7a:6f:73:00:01" },
		{ "-netdev", "tap,id=link0,fd=30" },
		{ "-device", "virtio-net-device,netdev=link0,mac=02:00:00:00:00:05" },
		{ "-chardev", "socket,id=console,fd=8" },
		{ "-chardev", "socket,id=port1,fd=9" },
		{ "-device", "virtserialport,chardev=port1,nr=1" },
		{ "-chardev", "socket,id=port3,fd=11" },
		{ "-add-fd", "fd=22,set=2" },
		{ "-blockdev", "driver=file,node-name=layer2,filename=/dev/fdset/2,read-only=on,locking=off" },
		{ "-device", "virtio-blk-device,drive=layer2,serial=layer2" },
	};
	struct qemu_args a;

	qemu_args_make(&small, &a);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		T_CHECK(find(&a, rows[i].option, rows[i].value) == 1, "%s %s", rows[i].option, rows[i].value);
	T_CHECK(!a.argv[a.n] && !strcmp(a.argv[0], QEMU_PROGRAM), "%zu arguments", a.n);
}

/* No monitor, no network and no file of the node's but by descriptor. */
static void opens_no_door(void)
{
	static const char *const never[] = { "-monitor", "-qmp", "-vnc", "-drive", "-virtfs", "-fsdev", "-gdb", "-s", "-incoming", "-spice" };
	struct qemu_args a;

	qemu_args_make(&small, &a);
	for (size_t i = 0; i < a.n; i++)
		for (size_t k = 0; k < ARRAY_LEN(never); k++)
			T_CHECK(strcmp(a.argv[i], never[k]), "%s", never[k]);
	for (size_t i = 0; i + 1 < a.n; i++)
		T_CHECK(strcmp(a.argv[i], "-blockdev") || strstr(a.argv[i + 1], "read-only=on"), "%s", a.argv[i + 1]);
	T_CHECK(find(&a, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny") == 1, "no sandbox");
}

static void takes_the_most(void)
{
	struct qemu most = small;
	struct qemu_args a;

	most.n_layers = GUEST_LAYERS_MAX - most.n_links;
	most.memory_bytes = UINT64_MAX;
	most.cpus = QEMU_CPUS_MAX;
	qemu_args_make(&most, &a);
	T_CHECK(find(&a, "-device", "virtio-blk-device,drive=layer20,serial=layer20") == 1, "%zu arguments", a.n);
}

static const struct qemu_mount lasting[] = { { 30, "mount0", false }, { 31, "mount1", true } };

static void disks_that_last_are_written_past_the_cache(void)
{
	struct qemu vm = small;
	struct qemu_args a;

	vm.mounts = lasting;
	vm.n_mounts = 2;
	qemu_args_make(&vm, &a);
	T_CHECK(find(&a, "-add-fd", "fd=30,set=3") == 1 && find(&a, "-add-fd", "fd=31,set=4") == 1, "behind the layers' sets");
	T_CHECK(find(&a, "-blockdev",
		     "driver=file,node-name=mount0,filename=/dev/fdset/3,read-only=off,locking=off,aio=io_uring,cache.direct=on,"
		     "discard=unmap") == 1,
		"written");
	T_CHECK(find(&a, "-blockdev",
		     "driver=file,node-name=mount1,filename=/dev/fdset/4,read-only=on,locking=off,aio=io_uring,cache.direct=on,"
		     "discard=unmap") == 1,
		"read");
	T_CHECK(find(&a, "-device", "virtio-blk-device,drive=mount1,serial=mount1,num-queues=2,werror=report,rerror=report") == 1, "found by number");
}

static void a_volume_is_served_by_another_through_the_guests_memory(void)
{
	static const struct qemu_share shares[] = { { 40, "mount1" }, { 41, "mount2" } };
	static const struct {
		const char *option, *value;
	} rows[] = {
		{ "-object", "memory-backend-memfd,id=ram,size=131072k,share=on" },
		{ "-machine", "memory-backend=ram" },
		{ "-chardev", "socket,id=share0,fd=40" },
		{ "-device", "vhost-user-fs-device,chardev=share0,tag=mount1,queue-size=1024" },
		{ "-chardev", "socket,id=share1,fd=41" },
		{ "-device", "vhost-user-fs-device,chardev=share1,tag=mount2,queue-size=1024" },
	};
	struct qemu vm = small;
	struct qemu_args a;

	qemu_args_make(&vm, &a);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		T_CHECK(!find(&a, rows[i].option, rows[i].value), "nobody shares, and there is %s %s", rows[i].option, rows[i].value);
	vm.shares = shares;
	vm.n_shares = 2;
	qemu_args_make(&vm, &a);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		T_CHECK(find(&a, rows[i].option, rows[i].value) == 1, "%s %s", rows[i].option, rows[i].value);
}

static const struct qemu_disk pc = {
	.memory_bytes = 512 << 20, .cpus = 2, .mac = "02:7a:6f:73:00:01", .format = "qcow2", .tap = 7, .serial = 8, .monitor = 9, .image = 10
};

static void a_disk_image_can_name_no_file(void)
{
	static const struct {
		const char *option, *value;
	} rows[] = {
		{ "-m", "524288k" },
		{ "-add-fd", "fd=10,set=0" },
		{ "-mon", "chardev=monitor,mode=control" },
		{ "-chardev", "socket,id=monitor,fd=9" },
		{ "-device", "virtio-net-pci,netdev=net,mac=02:7a:6f:73:00:01,romfile=" },
		{ "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny" },
		{ "-blockdev", "{\"driver\":\"qcow2\",\"node-name\":\"image\",\"file\":\"image-file\",\"read-only\":true,\"backing\":null,"
			       "\"l2-cache-size\":4194304}" },
		{ "-device", "virtio-blk-pci,drive=layer,serial=root,bootindex=0,werror=report,rerror=report" },
	};
	static const struct qemu_share share = { 40, "data" };
	struct qemu_disk raw = pc;
	struct qemu_args a;

	qemu_disk_args_make(&pc, &a);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		T_CHECK(find(&a, rows[i].option, rows[i].value) == 1, "%s %s", rows[i].option, rows[i].value);
	for (size_t i = 0; i + 1 < a.n; i++)
		if (!strcmp(a.argv[i], "-blockdev")) /* writable: what lies in the room alone */
			T_CHECK(strstr(a.argv[i + 1], "\"read-only\":true") || strstr(a.argv[i + 1], "\"node-name\":\"layer"), "%s", a.argv[i + 1]);
	T_CHECK(!a.argv[a.n] && !strcmp(a.argv[0], QEMU_PROGRAM), "%zu arguments", a.n);
	raw.format = "raw";
	raw.shares = &share;
	raw.n_shares = 1;
	qemu_disk_args_make(&raw, &a);
	T_CHECK(find(&a, "-device", "vhost-user-fs-pci,chardev=share0,tag=data,queue-size=1024") == 1, "a volume");
	T_CHECK(find(&a, "-blockdev", "{\"driver\":\"raw\",\"node-name\":\"image\",\"file\":\"image-file\",\"read-only\":true}") == 1, "raw");
}

int main(void)
{
	T_RUN(a_disk_image_can_name_no_file);
	T_RUN(says_what_it_was_told);
	T_RUN(opens_no_door);
	T_RUN(takes_the_most);
	T_RUN(disks_that_last_are_written_past_the_cache);
	T_RUN(a_volume_is_served_by_another_through_the_guests_memory);
	return T_END();
}
