/* What becomes of a disk, as data: no system calls, no clock; storage.c acts on it. */
#pragma once

enum life_state {
	LIFE_FOUND,      /* the kernel has it; nothing was read from it yet */
	LIFE_PROBING,    /* a child without rights reads what is on it */
	LIFE_FOREIGN,    /* it carries something that is not ours, or may not be taken: it is left alone */
	LIFE_FORMATTING, /* it was proved blank, bears our own unfinished mark, or was wiped: it becomes ours */
	LIFE_UNLOCKING,  /* it is ours */
	LIFE_MOUNTING,
	LIFE_READY,
	LIFE_FAILED,     /* it is tried again after a while */
	LIFE_WIPING,     /* by an order of the farm */
	LIFE_RECOVERING, /* by an order of the farm, after what opened it was lost */
	LIFE_GONE,       /* it was ours and is not there */
	LIFE_STATES,
};
extern const char *const life_state_names[LIFE_STATES + 1]; /* ends with NULL */

enum life_event {
	LIFE_LOOK,       /* it may be looked at */
	LIFE_BAR,        /* it may not be taken, whatever is on it */
	LIFE_BLANK,      /* how a child's work ended: there is nothing on it, */
	LIFE_ALIEN,      /* ... something that is not ours, */
	LIFE_OURS,       /* ... our finished mark, */
	LIFE_UNFINISHED, /* ... our mark from before it was finished, */
	LIFE_DONE,       /* ... well, */
	LIFE_FAIL,       /* ... badly */
	LIFE_AGAIN,      /* the time to try again has come */
	LIFE_WIPE,       /* the farm's order */
	LIFE_RECOVER,    /* the same, with what opens it */
	LIFE_VANISH,     /* the kernel has it no more, and nothing of ours was known to be on it */
	LIFE_LOSE,       /* the kernel has it no more, and it was ours */
	LIFE_RETURN,     /* one with the same serial number is there */
	LIFE_EVENTS,
};

enum life_act {
	LIFE_UNWRITTEN, /* a hole in the table */
	LIFE_IGNORE,
	LIFE_PROBE,     /* acts that a child carries out */
	LIFE_FORMAT,
	LIFE_UNLOCK,
	LIFE_MOUNT,
	LIFE_ERASE,
	LIFE_RENEW,      /* what opens it */
	LIFE_CHECK,     /* how one that is ready is doing. These four stand in no cell: the time to look has come */
	LIFE_ESCROW,    /* what it keeps for the farm's owner is not as the farm wants it */
	LIFE_SMART,     /* what it says of itself */
	LIFE_SCRUB,     /* a slice of it */
	LIFE_RELEASE,   /* what is left of one that vanished: its mount and mapping. Says that it is gone */
	LIFE_CHILDREN = LIFE_RELEASE,
	LIFE_TELL,      /* that it is ready */
	LIFE_DELAY,     /* until LIFE_AGAIN */
	LIFE_FORGET,    /* nothing of ours was on it */
	LIFE_REFUSE,    /* the order: something is being done with it */
};

struct life_step {
	enum life_act act;
	enum life_state next;
};
/* REFUSE leaves the state as it is, and so does FORGET, which is its end. */
struct life_step life_step(enum life_state now, enum life_event ev);
