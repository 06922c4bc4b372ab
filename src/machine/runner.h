/* The runner: one small process beside each machine. It starts the machine, keeps its last output, starts it again as its policy says,
 * and answers the engine on a socket. It outlives the engine; PID 1 looks after it.
 *
 * How a machine is started and ended is a `struct box`: a container (container.c) or a virtual machine (vm.c). */
#pragma once
#include "machine/life.h"
#include "machine/spec.h"
#include "machine/tail.h"
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
	/* In a child: runs P in the machine and serves STREAM (session.h). Returns the child's exit status: 0 = the slot can be used again. */
	int (*exec)(struct runner *r, unsigned slot, const struct exec_program *p, int stream);
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
	char dir[96], cgroup[128]; /* its own directory and control group */
	struct life life;
	enum runner_hold hold;
	struct tail tail, console; /* what it said, by lines; the same and a virtual machine's serial console, as it came */
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
void runner_ended(struct runner *r, int exit_status, const char *why); /* WHY: a sentence, NULL = the machine's own end */

const char *runner_state(const struct runner *r); /* one word */

/* Answers a call with a descriptor (takes). */
int runner_reply_fd(sd_varlink *link, int fd);

/* Makes a pipe whose lines go to the log as STREAM; returns the end to write to, for a child. */
MUST_CHECK int runner_pipe(struct runner *r, unsigned stream, int *ret_fd, struct err *e);
/* The same from a stream that there is already: takes FD, which must not block. */
MUST_CHECK int runner_listen(struct runner *r, unsigned stream, int fd, struct err *e);
/* The exit status that a shell would show. */
int runner_exit_status(int wait_status);

extern const struct box_ops container_box, vm_box;
