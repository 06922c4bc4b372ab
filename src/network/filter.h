/* The packet filter in force in one network namespace: the node's, or a private network's. Whenever the rules change, the latest are handed to
 * the program `filter`, a process of its own, until they are in the kernel; what was in force before stays until then, since tables are replaced
 * whole or not at all.
 *
 * Before all this, PID 1 runs the same program for the node with rules that open nothing (services.c), so that nothing ever runs without. */
#pragma once
#include "base/err.h"
#include "base/buf.h"
#include "svc/task.h"

#include <systemd/sd-event.h>

enum { FILTER_SETTLE_MS = 20, FILTER_AGAIN_MS = 1000, FILTER_DEADLINE_MS = 30000 };

struct filter_options {
	const char *program, *netns;        /* borrowed; the namespace's path, NULL = the node's */
	void (*format)(void *ctx, struct buf *ret); /* appends the latest rules, in nft's language */
	void (*loaded)(void *ctx, int r, const struct err *e); /* after each try; may be NULL */
	void *ctx;
};

struct filter {
	sd_event *event;
	struct filter_options o;
	struct task *task;                  /* the program; NULL = it does not run */
	sd_event_source *timer;             /* the next start */
	bool is_stale;                      /* the program, if it runs, was given older rules */
};
#define FILTER_NONE { 0 }

MUST_CHECK int filter_init(struct filter *ret, sd_event *event, const struct filter_options *o, struct err *e);
void filter_deinit(struct filter *f);

/* The rules have changed: loads them soon, once for several changes in a row. */
void filter_change(struct filter *f);
/* Whether the kernel has the latest. */
bool filter_is_current(const struct filter *f);
