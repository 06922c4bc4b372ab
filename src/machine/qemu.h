/* The command line of QEMU for one virtual machine: pure functions, so that a test can read it. Every file comes as a descriptor that QEMU
 * inherits; what it opens by itself is its own ROMs, the guest's kernel and archive or the layer over a disk image, and /dev/kvm. */
#pragma once
#include "base/buf.h"
#include "sys/guest_wire.h"

#define QEMU_PROGRAM "/usr/bin/qemu-system-x86_64"
#define QEMU_GUEST_DIR "/usr/lib/zos/guest"
#define QEMU_INITRD QEMU_GUEST_DIR "/initrd"
enum { QEMU_ARGS_MAX = 256, QEMU_CPUS_MAX = 255, QEMU_TAG_MAX = 36 /* bytes, the protocol's */ };

/* A raw disk of the machine's owner, which lasts. */
struct qemu_mount {
	int fd;             /* opened for writing unless READ_ONLY */
	const char *serial; /* how the guest finds it */
	bool read_only;
};

/* A volume, which another process serves. */
struct qemu_share {
	int fd;          /* a socket to that */
	const char *tag; /* how the guest finds it, up to QEMU_TAG_MAX bytes */
};

/* A link into a private network. */
struct qemu_link {
	int tap;
	char mac[18];
};

struct qemu {
	uint64_t memory_bytes;
	unsigned cpus;
	const char *mac;
	const char *initrd;       /* path, as QEMU sees it */
	int tap, console;         /* descriptors */
	int ports[GUEST_PORTS];   /* of GUEST_PORT_CONTROL, _OUT, _ERR, then one for each exec session */
	const int *layers;        /* opened for reading, lowest first */
	const struct qemu_mount *mounts;
	const struct qemu_share *shares;
	const struct qemu_link *links;
	size_t n_layers, n_mounts, n_shares, n_links; /* together <= GUEST_LAYERS_MAX */
};

/* A disk image, as a PC boots it. */
struct qemu_disk {
	uint64_t memory_bytes;
	unsigned cpus;
	const char *mac, *format;           /* "raw" or "qcow2" */
	int tap, serial, monitor, image;    /* descriptors */
	const struct qemu_mount *mounts;
	const struct qemu_share *shares;
	const struct qemu_link *links;
	size_t n_mounts, n_shares, n_links;
};
#define QEMU_DISK_LAYER "/room/layer" /* qcow2, over the image */
#define QEMU_DISK_SEED "/room/seed"   /* the directory of what cloud-init is told */

struct qemu_args {
	const char *argv[QEMU_ARGS_MAX + 1]; /* ends with NULL */
	char text[16384];                    /* where they point, where they are not constant */
	size_t n, used;
};

void qemu_disk_args_make(const struct qemu_disk *q, struct qemu_args *ret);
void qemu_args_make(const struct qemu *q, struct qemu_args *ret);
