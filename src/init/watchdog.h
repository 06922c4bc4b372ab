/* The machine's watchdog: should PID 1 no longer go round its loop, the machine starts again. Hardware comes before the kernel's own timer
 * (softdog). Allocates nothing. */
#pragma once
#include <stdint.h>

enum {
	WATCHDOG_TIMEOUT_S = 30,
	WATCHDOG_PET_MS = 10000,
	WATCHDOG_LAST_S = 600, /* for what comes after the loop: unmounting, writing back */
};

struct watchdog {
	int fd; /* -1 = none found yet: its driver may come later */
	uint64_t due_ms;
	char name[32]; /* as the driver calls it */
};

enum watchdog_result { WATCHDOG_WELL, WATCHDOG_BEGUN };

/* Looks for it or pets it, once DUE_MS has come. */
enum watchdog_result watchdog_step(struct watchdog *w, uint64_t now_ms);

/* The loop is about to end: the rest may take longer, and not for ever. */
void watchdog_last(struct watchdog *w);
