/* One QEMU, as virtual machines of both kinds run it (vm.c, disk.c): its limits, the way into its cage (cage.h), what serves it volumes
 * (share.h), its complaints and its end. Owned by the box, whose state begins with it; everything runs in the runner's loop but args_make(),
 * which runs in the child between fork and exec. */
#pragma once
#include "machine/qemu.h"
#include "machine/runner.h"
#include "machine/share.h"

enum { EMULATOR_FAILED = 125 }; /* the exit status of a machine that never ran */

/* STATUS as a shell would show it. */
typedef void emulator_end(struct runner *r, int status);

struct emulator {
	struct runner *runner;
	sd_event_source *child, *timer;
	struct share shares[ZMACHINE_MOUNTS_MAX];
	emulator_end *on_end;
	int status;     /* of QEMU, once it has ended; -1 = it has not */
	bool is_killed; /* by us: what ends now is no news */
	struct buf complaints; /* the last of what came as OUTPUT_CONSOLE: why it did not come up, if it did not */
	bool is_up;
	char why[200]; /* why it ended, when that was not its own end; "" = it was, so far */
};

/* Before the first start. M hears what comes as OUTPUT_CONSOLE from here on. -ENODEV without KVM. */
MUST_CHECK int emulator_init(struct emulator *m, struct runner *r, struct err *e);
void emulator_deinit(struct emulator *m);

/* The machine's devices on the node, for QEMU: its way out, and one in each of its private networks. */
struct emulator_taps {
	int way_out;
	struct qemu_link links[ZMACHINE_NETWORKS_MAX];
	size_t n_links;
};
#define EMULATOR_TAPS_NONE { .way_out = -1 }
MUST_CHECK int emulator_taps_open(const struct runner *r, struct emulator_taps *ret, struct err *e);
void emulator_taps_close(struct emulator_taps *t);
/* In the child: they are inherited. */
void emulator_taps_keep(const struct emulator_taps *t);
/* Makes the control group anew, with the machine's limits and room for QEMU itself. */
MUST_CHECK int emulator_limit(struct emulator *m, const struct runner *r, struct err *e);

/* What the child does once it is shut in, as nobody in particular: it prepares files in the room and says what QEMU is called with, and
 * which descriptors it inherits (emulator_keep()). */
struct emulator_start {
	uint64_t room_bytes; /* of CAGE_ROOM; 0 = none */
	int complaints;      /* a socket: where QEMU, and the child before it, say what went wrong */
	int (*args_make)(void *ctx, struct qemu_args *ret, struct err *e);
	void *ctx;
};
void emulator_keep(int fd);

/* What the machine mounts (spec.mounts), in its order, as the guest finds it: disks by serial number and volumes by tag, which are numbers, or
 * (BY_NAME) their names. */
struct emulator_mounts {
	struct qemu_mount disks[ZMACHINE_MOUNTS_MAX];
	struct qemu_share shares[ZMACHINE_MOUNTS_MAX]; /* their descriptors come with emulator_mounts_keep() */
	char names[ZMACHINE_MOUNTS_MAX][40];
	size_t n_disks, n_shares;
};
MUST_CHECK int emulator_mounts_open(struct emulator_mounts *ret, const struct machine_spec *s, bool by_name, struct err *e);
void emulator_mounts_close(struct emulator_mounts *m);
/* In the child: they are inherited. */
void emulator_mounts_keep(struct emulator_mounts *mounts, const struct emulator *m);

/* Starts it, and before it what serves its volumes. ON_END comes after all that was said and when nothing of it is left; when it is not up in three
 * minutes, it is killed. When what serves a volume ends, so does it. */
MUST_CHECK int emulator_spawn(struct emulator *m, const struct emulator_start *s, emulator_end *on_end, struct err *e);
/* After a start that failed later: no end is told. Returns RET. */
int emulator_drop(struct emulator *m, int ret);
/* It has come up: it has all the time there is, until emulator_end_in(). */
void emulator_up(struct emulator *m);
void emulator_end_in(struct emulator *m, uint64_t usec);
/* It is over. */
void emulator_over(struct emulator *m);
/* The first reason is the reason. */
void emulator_why(struct emulator *m, const char *sentence, const char *more);
/* The last line of its complaints that says something, printable; "" for none. */
void emulator_last_words(const struct emulator *m, char *ret, size_t size);

void emulator_kill(struct runner *r);
void emulator_pause(struct runner *r, bool on);
