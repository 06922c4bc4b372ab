/* A program that does one thing beside the loop and ends: with a deadline, and killable, also when it hangs in the kernel.
 *
 * What it says on its standard output, at most TASK_OUTPUT_MAX bytes, is told at its end; its standard error is the daemon's. */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

enum { TASK_OUTPUT_MAX = 32768, TASK_ARGS_MAX = 16 };

struct task_end {
	bool went_well;    /* it ended by itself, with status 0 */
	struct str output; /* without the line break at its end; borrowed for the call */
	struct err why;    /* when it did not go well: its last line of output, or what became of it */
};

struct task;

/* ARGV ends with NULL; its first is the path of the program, which gets no environment. INPUT (borrowed): its standard input, -1 = none. ENDED is called exactly once unless the task is
 * dropped, from the loop. RET is valid until then. */
MUST_CHECK int task_start(struct task **ret, sd_event *event, const char *const *argv, int input, uint64_t deadline_ms,
			  void (*ended)(void *ctx, const struct task_end *end), void *ctx, struct err *e);

/* Nobody waits for it any more: it is killed. NULL is fine. */
void task_drop(struct task *t);
