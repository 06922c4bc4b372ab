/* What to do next for one workload: a pure function of what is wanted, what is observed, and the time.
 *
 * A machine is brought up step by step (its image, its links, the machine itself) and taken down in reverse; a volume, a disk or a network is one
 * step, a store that, its links, and then what runs on it; a published name is the way to its backends, and then the name; a public address is
 * there from the yes on, and goes after its machine. No failure ever removes anything: a step that failed is tried again, with growing pauses, for as long as it is wanted. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum plan_step { STEP_STORAGE, STEP_IMAGE, STEP_NETWORK, STEP_MACHINE, STEP_GATEWAY, STEPS };
enum plan_step_state {
	STEP_ABSENT,
	STEP_APPLYING,
	STEP_DONE,
	STEP_FAILED,
	STEP_REMOVING,
	STEP_UNKNOWN, /* of an engine before this one, or of an older document: it may be there */
	STEP_STATES,
};
enum plan_want { WANT_UP, WANT_PAUSED, WANT_GONE, WANTS };

enum plan_kind { PLAN_MACHINE, PLAN_STORAGE, PLAN_STORE /* runs on storage of its own */, PLAN_NETWORK, PLAN_GATEWAY, PLAN_IP, PLAN_KINDS };

struct plan_view {
	enum plan_kind kind;
	enum plan_want want;
	enum plan_step_state steps[STEPS];
	int changed;         /* the machine that runs is of an older revision, or of an older image */
	int blocked;         /* of what runs: what it mounts, or runs on, is not there; of storage and networks: a machine still has it */
	int vacate;          /* a machine's: something is to be done with what it mounts while no machine has it */
	int unlinked;        /* a machine's, a store's, a published name's: a network that it joins, or leads to, does not stand yet */
	int exclusive;       /* storage's: what is to be done with it is done when no machine has it */
	int stale;           /* what is up is what the image's tag stood for under an older sequence: it is to be looked up again */
	unsigned attempts;   /* failures in a row */
	uint64_t retry_at_ms; /* when a failed step may be tried again */
};

enum plan_act { PLAN_NOTHING, PLAN_APPLY, PLAN_REMOVE, PLAN_WAIT, PLAN_FORGET };
struct plan_order {
	enum plan_act act;
	enum plan_step step; /* APPLY, REMOVE */
	uint64_t until_ms;   /* WAIT */
};
/* A view of KIND of which nothing is known yet. */
struct plan_view plan_begin(enum plan_kind kind);
/* Whether this engine brought the step up, or tried to. */
bool plan_is_known(const struct plan_view *v, enum plan_step step);
struct plan_order plan_next(const struct plan_view *v, uint64_t now_ms);

/* The pause before the next try after ATTEMPTS failures in a row: 1 s doubling to 5 min, less up to a quarter by JITTER (any number). */
uint64_t plan_backoff_ms(unsigned attempts, uint64_t jitter);
