/* The runner: one small process beside each machine. It starts the machine, keeps its last output, starts it again as its policy says,
 * and answers the engine on a socket. It outlives the engine; PID 1 looks after it.
 *
 * How a machine is started and ended is a `struct box`: a container (container.c), a virtual machine that runs an image's program (vm.c), one
 * that boots a disk image (disk.c), or no machine but a key-value store (zdb.c). */
#pragma once
#include "machine/group.h"
#include "machine/life.h"
#include "machine/output.h"
#include "machine/probe.h"
#include "machine/spec.h"
#include "sys/exec_wire.h"

#include <systemd/sd-varlink.h>

#define MACHINES_DIR "/run/zos/machines"
#define MACHINE_CGROUP "/sys/fs/cgroup/zos/machines"

struct runner;
struct box_ops {
	/* Once, before the first start: mounts, cgroups, files. */
	int (*prepare)(struct runner *r, struct err *e);
	/* Begins a start. The box says runner_started() when the machine runs and runner_ended() when it does not any more, exactly once each
	 * start (ended alone when it never ran). */
	int (*start)(struct runner *r, struct err *e);
	void (*term)(struct runner *r); /* asks it to end */
	void (*kill)(struct runner *r); /* makes it end */
	/* Freezes the running machine, or lets it go on. */
	void (*pause)(struct runner *r, bool on);
	/* In a child: runs P in the machine and serves STREAM (session.h). Returns the child's exit status: 0 = the slot can be used again. NULL:
	 * nothing can be run in it. */
	int (*exec)(struct runner *r, unsigned slot, const struct exec_program *p, int stream);
	/* A connection to what it serves; NULL: machines are reached by their network. Returns a descriptor. */
	int (*connect)(struct runner *r, struct err *e);
	void (*deinit)(struct runner *r);
};

struct runner_session {
	struct runner *runner;
	sd_event_source *child; /* NULL = free */
	bool spoilt;            /* until the machine's next start */
};

/* What the owner wants of a machine that is up otherwise. */
enum runner_hold { RUNNER_HOLD_NONE, RUNNER_HOLD_PAUSED, RUNNER_HOLD_STOPPED };

struct runner {
	sd_event *event;
	sd_event_source *timer;
	struct machine_spec spec;
	char dir[96], cgroup[128], box_group[144]; /* its own directory and control group, and the one of what runs in it */
	struct life life;
	enum runner_hold hold;
	struct output output;
	struct probe probe;
	uint64_t oom_kills; /* in its group, up to the last start */
	struct runner_session sessions[EXEC_SESSIONS_MAX];
	sd_varlink_server *server;
	sd_varlink *watchers[16];
	const struct box_ops *box;
	void *box_state; /* owned by the box */
	char message[200];
};

MUST_CHECK int runner_init(struct runner *ret, sd_event *event, const char *id, struct err *e);
void runner_deinit(struct runner *r);

void runner_started(struct runner *r);
/* WHY: a sentence, NULL = the machine's own end. OOM: killed for want of memory, as far as the box knows. */
void runner_ended(struct runner *r, int exit_status, bool oom, const char *why);

/* Something its owner should know of a machine that goes on: once each start, into its log and its state. */
void runner_warn(struct runner *r, const char *sentence);

void runner_looked(struct runner *r); /* the health check has failed, or no longer does */
void runner_unwell(struct runner *r); /* it has failed too often */

const char *runner_state(const struct runner *r); /* one word */

/* Answers a call with a descriptor (takes). */
int runner_reply_fd(sd_varlink *link, int fd);

/* The exit status that a shell would show. */
int runner_exit_status(int wait_status);

extern const struct json_table runner_hold_table, runner_restart_table, runner_logs_table; /* arguments of its calls */

extern const struct box_ops container_box, vm_box, disk_box, zdb_box;
