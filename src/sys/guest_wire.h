/* What a machine's runner and the guest-init in its virtual machine say to each other over one port: doc/guest-channel.md.
 *
 * The runner says CONFIG once and SIGNAL as often as it likes; the guest says READY or FAILED, and EXIT after READY. The guest belongs
 * to a stranger: the runner hears it through `struct guest_ear`, which holds one word and refuses everything else. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "sys/exec_wire.h"
#include "sys/card.h"

#include <stdint.h>

enum {
	GUEST_VERSION = 1,
	GUEST_HEAD = 8,
	GUEST_CONFIG_MAX = 1 << 20, /* bytes */
	GUEST_WORD_MAX = 200,       /* bytes of what a guest says */
	GUEST_LAYERS_MAX = 22, /* virtio slots of a microvm, less one for the ports and one for the way out: layers, mounts and private networks */
	GUEST_RESOLVERS_MAX = 8,
	GUEST_ARGS_MAX = 512,
	GUEST_ENV_MAX = 1024,
	GUEST_MOUNTS_MAX = 16,
	GUEST_LINKS_MAX = 8, /* into private networks */
	GUEST_SEARCH_MAX = 8,
};
enum { GUEST_PORT_CONTROL = 1, GUEST_PORT_OUT = 2, GUEST_PORT_ERR = 3, GUEST_PORT_EXEC = 4 }; /* numbers on the virtio-serial device */
enum { GUEST_EXIT_OOM = 1 << 8 };
enum { GUEST_PORTS = 3 + EXEC_SESSIONS_MAX };

enum guest_type {
	GUEST_CONFIG = 1, /* struct guest_config */
	GUEST_SIGNAL = 2, /* u32: to the program */
	GUEST_READY = 16, /* nothing: the program runs */
	GUEST_FAILED = 17, /* text: it never ran, and why */
	GUEST_EXIT = 18, /* u32: how it ended, 0 to 255 as a shell shows it, and GUEST_EXIT_OOM */
};

#define GUEST_SHARED "virtiofs"
struct guest_mount {
	const char *path, *format; /* of the file system on the disk; GUEST_SHARED = it is none, but a volume of the node's */
	bool read_only;
};

struct guest_config { /* all borrowed */
	uint64_t rootfs_bytes;
	uint32_t address, gateway; /* host byte order; both in one /31 */
	uint32_t n_layers;
	const char *hostname, *workdir, *user;
	struct guest_mount mounts[GUEST_MOUNTS_MAX]; /* outer paths before inner ones */
	size_t n_mounts;
	struct card links[GUEST_LINKS_MAX]; /* eth1 and on; eth0 is the card that none of them names */
	size_t n_links;
	const char *search[GUEST_SEARCH_MAX + 1]; /* domains */
	const char *resolvers[GUEST_RESOLVERS_MAX + 1], *argv[GUEST_ARGS_MAX + 1], *env[GUEST_ENV_MAX + 1]; /* end with NULL */
};

/* Appends a frame's head; the payload follows. */
void guest_head_encode(struct buf *ret, enum guest_type type, size_t payload_bytes);
/* -EBADMSG for another version or a length above MAX. */
MUST_CHECK int guest_head_decode(const uint8_t head[static GUEST_HEAD], size_t max_bytes, enum guest_type *ret_type, size_t *ret_bytes);

/* Appends the whole frame. -E2BIG when it is larger than a guest takes. */
MUST_CHECK int guest_config_encode(const struct guest_config *c, struct buf *ret, struct err *e);
/* From the payload, into which RET then points. -EBADMSG. */
MUST_CHECK int guest_config_decode(const void *p, size_t n, struct guest_config *ret);

struct guest_word {
	enum guest_type type; /* READY, FAILED, EXIT */
	unsigned status; /* EXIT */
	bool oom; /* EXIT: the guest's kernel had killed for want of memory */
	char text[GUEST_WORD_MAX + 1]; /* FAILED: printable ASCII */
};

struct guest_ear {
	uint8_t bytes[GUEST_HEAD + GUEST_WORD_MAX];
	size_t n;
	enum { GUEST_EAR_NEW, GUEST_EAR_READY, GUEST_EAR_OVER } state;
};

enum { GUEST_EAR_MORE = 0, GUEST_EAR_WORD = 1 };
/* Takes bytes off the front of *P, up to the end of one word. MORE when all are taken, WORD with *RET, -EBADMSG for what no guest-init
 * says: the ear is deaf then, and for ever after FAILED and EXIT. */
MUST_CHECK int guest_ear_take(struct guest_ear *ear, struct str *p, struct guest_word *ret);
