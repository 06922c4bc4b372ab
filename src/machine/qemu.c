#include "machine/qemu.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const fixed[] = {
	QEMU_PROGRAM,
	"-nodefaults",
	"-no-user-config",
	"-no-reboot", /* a guest that restarts has ended: the restart policy is the runner's */
	"-display",
	"none",
	"-sandbox",
	"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
	/* acpi: Debian's kernel takes no virtio-mmio devices from its command line */
	"-M",
	"microvm,accel=kvm,acpi=on,rtc=off,pit=off,pic=off,usb=off,pcie=off,ioapic2=on",
	"-cpu",
	"host",
	"-kernel",
	QEMU_GUEST_DIR "/vmlinuz",
	"-append",
	"console=ttyS0 quiet loglevel=4 panic=-1 reboot=t random.trust_cpu=on cryptomgr.notests 8250.nr_uarts=1",
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

void qemu_args_make(const struct qemu *q, struct qemu_args *ret)
{
	*ret = (struct qemu_args){ 0 };
	BUG_ON(q->n_layers > GUEST_LAYERS_MAX);
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		ret->argv[ret->n++] = fixed[i];
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
	layers_add(q, ret);
}
