/* The disks of a node: found at any time, adopted when they are proved blank, left alone when they carry anything, unlocked and mounted when
 * they are ours.
 *
 * Owned by main, runs in its loop, and reads no disk itself: whatever touches one is a run of a program (run.h), a child with a
 * deadline. What follows what stands in one table (life.c). README.md has the whole picture. */
#pragma once
#include "base/err.h"
#include "storage/answer.h"
#include "storage/life.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

enum {
	STORAGE_DISKS_MAX = 64,
	STORAGE_JOBS_MAX = 8, /* children at a time; a disk has at most one */
	STORAGE_SCRUBS_MAX = 2, /* of those, what takes as long as a disk is slow */
	STORAGE_NAME_MAX = 32,
	STORAGE_SERIAL_MAX = 64,
	STORAGE_MODEL_MAX = 64,
	STORAGE_PATH_MAX = 64,
	STORAGE_AGAIN_MS = 1000,       /* after the first failure; doubled with each further one, up to */
	STORAGE_AGAIN_MAX_MS = 300000,
	STORAGE_DRIVERS_MS = 60000,    /* to wait for drivers */
	STORAGE_CHECK_MS = 60000,      /* between two looks how a disk is doing, */
	STORAGE_LOOK_S = 5,            /* ... when somebody asks */
	STORAGE_SLICE_MS = 1000,       /* between two slices of a scrub: others come in between */
	STORAGE_SCRUB_AGAIN_S = 3600,  /* after a slice that could not be read to its end */
	STORAGE_SMART_S = 86400,       /* between two questions what it says of itself */
	STORAGE_ESCROW_AGAIN_S = 60,   /* after what it keeps for the farm's owner could not be written */
};
#define STORAGE_ROOT "/zos/disks" /* below it a folder for each disk that is mounted, by its UUID */

enum storage_transport { STORAGE_OTHER, STORAGE_VIRTIO, STORAGE_NVME, STORAGE_SATA, STORAGE_SCSI, STORAGE_USB, STORAGE_TRANSPORTS };
extern const char *const storage_transport_names[STORAGE_TRANSPORTS + 1]; /* ends with NULL */

/* What the kernel says of a disk that is there. */
struct storage_found {
	char name[STORAGE_NAME_MAX];     /* sda, nvme0n1, vdb: the kernel's, another at the next start */
	char serial[STORAGE_SERIAL_MAX]; /* printable; "" = it has none */
	char model[STORAGE_MODEL_MAX];   /* printable; "" = it has none */
	uint64_t size_bytes;
	uint64_t diskseq;                /* the kernel's number of this one, given out once */
	enum storage_transport transport;
	bool is_rotational, is_read_only;
};

struct storage_disk {
	struct storage_found found;      /* is_rotational as its own header remembers it, once that was read */
	enum life_state state;
	char sentence[ANSWER_TEXT_MAX];  /* what was found on it, what went wrong, what would help; "" = nothing to say */
	char uuid[ANSWER_UUID_SIZE];     /* of its header; "" = none known. Stays while it is gone */
	char path[STORAGE_PATH_MAX];     /* where it is mounted; "" = it has no UUID */
	enum answer_key key;             /* how its key is kept; ANSWER_KEY_NONE = not known */
	struct escrow escrow;            /* what it keeps for the farm's owner, as its header said last */
	struct care care;                /* how it was doing when it was looked at last */
	struct smart smart;              /* what it said of itself last */
	bool is_degraded;                /* it is ready, and something is wrong with it: the sentence says what */
	bool is_others;                  /* it is ready, and has what is another node's: it is left alone */
	char remark[ANSWER_TEXT_MAX];    /* what its user says of it: its sentence when there is nothing else to say */

	/* storage.c's own */
	struct storage *storage;
	struct storage_disk *next;
	struct storage_job *job;         /* NULL = none under way */
	sd_event_source *timer;          /* to try again, to wait for drivers no longer, to look how it is doing */
	enum life_act todo;              /* waits for drivers or for a free place; LIFE_IGNORE = nothing */
	unsigned failures;               /* in a row */
	uint64_t looked_s;               /* Unix seconds: it was looked at then; */
	uint64_t scrub_from_s;           /* ... no slice before that, */
	uint64_t smart_from_s;           /* ... no question what it says of itself */
	bool is_first;                   /* was there at the start and has not been looked at yet */
	uint64_t escrow_from_s;          /* ... nothing is written for the farm's owner */
	bool is_used;                    /* it is ready, and its user keeps things there */
	uint8_t secret[RECOVERY_SECRET_LEN]; /* for LIFE_RENEW, until its child has it */
	void (*ordered)(void *ctx, int r, const struct err *e); /* who gave the order that is carried out; NULL = nobody waits */
	void *ordered_ctx;
};

/* Any of them may be NULL. DISK is borrowed for the call; none of them is called from within a call of this header but storage_start(). */
struct storage_events {
	void (*ready)(void *ctx, const struct storage_disk *disk);  /* it is mounted on disk->path */
	void (*gone)(void *ctx, const struct storage_disk *disk);   /* it was ready, and is not any more: it vanished, or is about to be wiped */
	void (*settled)(void *ctx); /* once: all disks that were there at the start are ready, or it is known why they are not */
	void (*changed)(void *ctx); /* something that people see */
	void *ctx;
};

/* What comes later than the disks themselves: as bits. */
enum storage_drivers { STORAGE_NO_DRIVERS = 0, STORAGE_UNLOCKS = 1, STORAGE_MOUNTS = 2 };

/* The doors to the kernel: system.c has the real ones, the tests their own. */
struct storage_job {
	struct storage_disk *disk;
	enum life_act act;
	struct task *task; /* system.c's own */
};
struct storage_ops {
	/* Disks that are there, at most MAX: their number. */
	int (*list)(void *ctx, struct storage_found *ret, size_t max, struct err *e);
	/* Whether the drivers in NEEDS are in the kernel, and work. */
	bool (*has_drivers)(void *ctx, enum storage_drivers needs);
	/* Starts JOB, whose end is told by storage_done(), exactly once unless it is stopped. */
	int (*start)(void *ctx, struct storage_job *job, struct err *e);
	void (*stop)(void *ctx, struct storage_job *job);
	void *ctx;
};

struct storage {
	sd_event *event;
	struct storage_ops ops;          /* ctx borrowed */
	struct storage_events events;
	struct storage_disk *disks;      /* in the order in which they were found */
	struct storage_job jobs[STORAGE_JOBS_MAX];
	char farm[ANSWER_FARM_SIZE];     /* its key's text; "" = none known */
	struct {
		char farm[ANSWER_FARM_SIZE];        /* whose document says so; "" = it is not known: nothing is done */
		char pub[RECOVERY_PUB_TEXT_LEN + 1]; /* base64; "" = disks keep nothing for the farm's owner */
		char key[SEAL_DIGEST_LEN + 1];      /* its digest */
	} recovery;
	bool allows_usb, is_started, is_settled;
};
#define STORAGE_NONE { 0 }

/* Nothing is looked for yet. RET is to be released by storage_deinit(). */
void storage_init(struct storage *ret, sd_event *event, const struct storage_ops *ops, const struct storage_events *events);
/* Children are stopped; what is mounted stays: the next run finds it so. */
void storage_deinit(struct storage *s);

/* FARM: the text of the farm's key, "" for none. A disk that another farm's node made is not opened. Before storage_start(). */
void storage_set_farm(struct storage *s, const char *farm);

/* Whether the farm takes disks on USB. Those that are there are looked at when it does so from now on; what is mounted stays. */
void storage_allow_usb(struct storage *s, bool allows);

/* What the farm document in force says: whether the disks in use keep a key slot for the owner of FARM (its key's text, "" for none), sealed to the public
 * key PUB (base64, valid; NULL or "" for no slot). Those that are ready are brought in line, and others when they are. */
void storage_set_recovery(struct storage *s, const char *farm, const char *pub);

/* Looks for disks the first time. With none there it has settled when it returns. */
MUST_CHECK int storage_start(struct storage *s, struct err *e);
/* Something came or went: looks again. */
void storage_rescan(struct storage *s);
/* What there is to say of the disk UUID, which is ready: "" = nothing, it is used. IS_OTHERS: it has another node's state. */
void storage_remark(struct storage *s, const char *uuid, const char *remark, bool is_others);
/* Drivers came: goes on with what waits for them. */
void storage_resume(struct storage *s);
/* JOB's child has ended with ANSWER (answer.h). */
void storage_done(struct storage *s, struct storage_job *job, const struct answer *a);

/* Somebody asks how the disks are doing: who asks again in a moment hears of it. */
void storage_look(struct storage *s);

/* The farm's order: what is on the disk with this serial number is gone for ever, and the node takes it as a new one. WIPED is told once
 * that is done or refused, unless this returns an error: -ENOENT (no such disk, or more than one), -EBUSY (something is being done with
 * it, ask again), -EACCES (the farm takes no such disks). */
MUST_CHECK int storage_wipe(struct storage *s, const char *serial, void (*wiped)(void *ctx, int r, const struct err *e), void *ctx, struct err *e);
/* The disk with this serial number when it is shut and keeps a secret for the owner of its farm (its escrow). Borrowed. -ENOENT (no such disk, or it keeps
 * none), -EBUSY (it is open, or something is being done with it), -EACCES (it is not this node's). */
MUST_CHECK int storage_find_shut(struct storage *s, const char *serial, const struct storage_disk **ret, struct err *e);
/* The farm's order: SECRET opens that slot of the disk UUID, and the TPM keeps its key from now on. RECOVERED is told as WIPED is, before the disk is looked at
 * anew. Errors as above, and -ESTALE (it is another disk). */
MUST_CHECK int storage_recover(struct storage *s, const char *serial, const char *uuid, const uint8_t secret[static RECOVERY_SECRET_LEN],
			       void (*recovered)(void *ctx, int r, const struct err *e), void *ctx, struct err *e);
/* Whoever is behind CTX does not want to hear of an order any more: whether there was one. */
bool storage_order_forget(struct storage *s, void *ctx);
