#include "machine/qemu.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const always[] = {
	QEMU_PROGRAM,
	"-nodefaults",
	"-no-user-config",
	"-display",
	"none",
	"-sandbox",
	"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
	"-cpu",
	"host",
};

static const char *const fixed[] = {
	"-no-reboot", /* a guest that restarts has ended: the restart policy is the runner's */
	/* acpi: Debian's kernel takes no virtio-mmio devices from its command line */
	"-M",
	"microvm,accel=kvm,acpi=on,rtc=off,pit=off,pic=off,usb=off,pcie=off,ioapic2=on",
	"-kernel",
	(QEMU_GUEST_DIR "/vmlinuz"),
	"-append",
	/* cmos_init waits for a clock that is not there, 6 of 10 s in an emulator; the time comes from KVM */
	"console=ttyS0 quiet loglevel=4 panic=-1 reboot=t random.trust_cpu=on cryptomgr.notests 8250.nr_uarts=1 initcall_blacklist=cmos_init",
	"-serial",
	"chardev:console",
	"-device",
	"virtio-serial-device,max_ports=12",
};

__attribute__((format(printf, 2, 3))) static void arg(struct qemu_args *a, const char *fmt, ...)
{
	size_t room = sizeof(a->text) - a->used;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(a->text + a->used, room, fmt, ap);
	va_end(ap);
	BUG_ON(n < 0 || (size_t)n >= room || a->n == QEMU_ARGS_MAX);
	a->argv[a->n++] = a->text + a->used;
	a->used += (size_t)n + 1;
}

static void ports_add(const struct qemu *q, struct qemu_args *a)
{
	arg(a, "-chardev");
	arg(a, "socket,id=console,fd=%d", q->console);
	for (unsigned i = 0; i < ARRAY_LEN(q->ports); i++) {
		arg(a, "-chardev");
		arg(a, "socket,id=port%u,fd=%d", i + 1, q->ports[i]);
		arg(a, "-device");
		arg(a, "virtserialport,chardev=port%u,nr=%u", i + 1, i + 1);
	}
}

static void layers_add(const struct qemu *q, struct qemu_args *a)
{
	for (size_t i = 0; i < q->n_layers; i++) {
		arg(a, "-add-fd");
		arg(a, "fd=%d,set=%zu", q->layers[i], i);
		arg(a, "-blockdev");
		arg(a, "driver=file,node-name=layer%zu,filename=/dev/fdset/%zu,read-only=on,locking=off", i, i);
		arg(a, "-device");
		arg(a, "virtio-blk-device,drive=layer%zu,serial=layer%zu", i, i);
	}
}

/* Past the page cache, which would be a second copy of what the guest caches; FIRST: number of the first descriptor set that is free. What
 * the guest discards is free on the node too. */
static void mounts_add(const struct qemu_mount *mounts, size_t n, size_t first, const char *device, unsigned cpus, struct qemu_args *a)
{
	for (size_t i = 0; i < n; i++) {
		const struct qemu_mount *m = &mounts[i];

		arg(a, "-add-fd");
		arg(a, "fd=%d,set=%zu", m->fd, first + i);
		arg(a, "-blockdev");
		arg(a, "driver=file,node-name=mount%zu,filename=/dev/fdset/%zu,read-only=%s,locking=off,aio=io_uring,cache.direct=on,discard=unmap",
		    i, first + i, m->read_only ? "on" : "off");
		arg(a, "-device");
		arg(a, "%s,drive=mount%zu,serial=%s,num-queues=%u,werror=report,rerror=report", device, i, m->serial, cpus);
	}
}

/* Who serves a volume reads from and writes to the guest's memory. */
static void shares_add(const struct qemu_share *shares, size_t n, const char *device, uint64_t memory_bytes, struct qemu_args *a)
{
	if (!n)
		return;
	arg(a, "-object");
	arg(a, "memory-backend-memfd,id=ram,size=%" PRIu64 "k,share=on", memory_bytes >> 10);
	arg(a, "-machine");
	arg(a, "memory-backend=ram");
	for (size_t i = 0; i < n; i++) {
		arg(a, "-chardev");
		arg(a, "socket,id=share%zu,fd=%d", i, shares[i].fd);
		arg(a, "-device");
		arg(a, "%s,chardev=share%zu,tag=%s,queue-size=1024", device, i, shares[i].tag);
	}
}

static void links_add(const struct qemu_link *links, size_t n, const char *device, const char *more, struct qemu_args *a)
{
	for (size_t i = 0; i < n; i++) {
		arg(a, "-netdev");
		arg(a, "tap,id=link%zu,fd=%d", i, links[i].tap);
		arg(a, "-device");
		arg(a, "%s,netdev=link%zu,mac=%s%s", device, i, links[i].mac, more);
	}
}

static void begin(struct qemu_args *a, const char *const *more, size_t n)
{
	*a = (struct qemu_args){ 0 };
	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		a->argv[a->n++] = always[i];
	for (size_t i = 0; i < n; i++)
		a->argv[a->n++] = more[i];
}

void qemu_args_make(const struct qemu *q, struct qemu_args *ret)
{
	BUG_ON(q->n_layers + q->n_mounts + q->n_shares + q->n_links > GUEST_LAYERS_MAX);
	begin(ret, fixed, ARRAY_LEN(fixed));
	arg(ret, "-initrd");
	arg(ret, "%s", q->initrd);
	arg(ret, "-m");
	arg(ret, "%" PRIu64 "k", q->memory_bytes >> 10);
	arg(ret, "-smp");
	arg(ret, "%u", q->cpus);
	ports_add(q, ret);
	arg(ret, "-netdev");
	arg(ret, "tap,id=net,fd=%d", q->tap);
	arg(ret, "-device");
	arg(ret, "virtio-net-device,netdev=net,mac=%s", q->mac);
	links_add(q->links, q->n_links, "virtio-net-device", "", ret);
	layers_add(q, ret);
	mounts_add(q->mounts, q->n_mounts, q->n_layers, "virtio-blk-device", q->cpus, ret);
	shares_add(q->shares, q->n_shares, "vhost-user-fs-device", q->memory_bytes, ret);
}

/* graphics=off: SeaBIOS and what it boots find no screen and use the serial line. A restart of the guest is none of the machine's: it keeps
 * what it has written. */
static const char *const fixed_disk[] = {
	"-M",      "q35,accel=kvm,vmport=off,graphics=off,usb=off",
	"-boot",   "strict=on",
	"-serial", "chardev:serial",
	"-mon",    "chardev=monitor,mode=control",
	"-device", "virtio-rng-pci",
};

/* Each block device is named with all that it may consist of: where the image's own header would name a file, there stands another. */
static void disks_add(const struct qemu_disk *q, struct qemu_args *a)
{
	arg(a, "-add-fd");
	arg(a, "fd=%d,set=0", q->image);
	arg(a, "-blockdev");
	arg(a, "{\"driver\":\"file\",\"node-name\":\"image-file\",\"filename\":\"/dev/fdset/0\",\"read-only\":true,\"locking\":\"off\"}");
	arg(a, "-blockdev");
	arg(a, "{\"driver\":\"%s\",\"node-name\":\"image\",\"file\":\"image-file\",\"read-only\":true%s}", q->format,
	    strcmp(q->format, "raw") ? ",\"backing\":null,\"l2-cache-size\":4194304" : "");
	arg(a, "-blockdev");
	arg(a, "{\"driver\":\"file\",\"node-name\":\"layer-file\",\"filename\":\"" QEMU_DISK_LAYER "\",\"discard\":\"unmap\",\"locking\":\"off\"}");
	arg(a, "-blockdev");
	arg(a, "{\"driver\":\"qcow2\",\"node-name\":\"layer\",\"file\":\"layer-file\",\"backing\":\"image\",\"discard\":\"unmap\","
	       "\"l2-cache-size\":4194304}");
	arg(a, "-device");
	arg(a, "virtio-blk-pci,drive=layer,serial=root,bootindex=0,werror=report,rerror=report");
	arg(a, "-blockdev");
	arg(a, "{\"driver\":\"vvfat\",\"node-name\":\"seed\",\"dir\":\"" QEMU_DISK_SEED "\",\"label\":\"CIDATA\",\"read-only\":true}");
	arg(a, "-device");
	arg(a, "virtio-blk-pci,drive=seed,serial=seed");
}

void qemu_disk_args_make(const struct qemu_disk *q, struct qemu_args *ret)
{
	begin(ret, fixed_disk, ARRAY_LEN(fixed_disk));
	arg(ret, "-m");
	arg(ret, "%" PRIu64 "k", q->memory_bytes >> 10);
	arg(ret, "-smp");
	arg(ret, "%u", q->cpus);
	arg(ret, "-chardev");
	arg(ret, "socket,id=serial,fd=%d", q->serial);
	arg(ret, "-chardev");
	arg(ret, "socket,id=monitor,fd=%d", q->monitor);
	arg(ret, "-netdev");
	arg(ret, "tap,id=net,fd=%d", q->tap);
	arg(ret, "-device");
	arg(ret, "virtio-net-pci,netdev=net,mac=%s,romfile=", q->mac);
	links_add(q->links, q->n_links, "virtio-net-pci", ",romfile=", ret);
	disks_add(q, ret);
	mounts_add(q->mounts, q->n_mounts, 1, "virtio-blk-pci", q->cpus, ret);
	shares_add(q->shares, q->n_shares, "vhost-user-fs-pci", q->memory_bytes, ret);
}
