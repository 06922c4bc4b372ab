/* How a mounted disk of ours is doing: what the kernel counted, and what was found when all of it was read (a scrub). What to do about it is a pure
 * function of that. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-json.h>

#define CARE_SCRUB_EVERY_S (30ull * 24 * 3600) /* somewhere in the third of it that ends there, for each disk another place */
#define CARE_SCRUB_AGAIN_S (24ull * 3600)      /* while errors are counted */
enum { CARE_RECORD_MAX = 512 };

/* What a disk remembers of its scrubs (doc/disk.md). One of them is done in slices, between which the disk does what else there is to do. */
struct care_scrub {
	uint64_t at_bytes;       /* the one under way goes on there; 0 = none is */
	uint64_t begun_s;        /* of it, Unix seconds */
	uint64_t counted;        /* errors that the kernel had counted by then */
	uint64_t errors, broken; /* that it has found so far, and of those what could not be repaired */
	uint64_t ended_s;        /* of the last one that came to its end; 0 = there was none */
	uint64_t last_errors, last_broken;
};

struct care {
	uint64_t io_errors;  /* reads, writes and flushes that failed, */
	uint64_t bad_blocks; /* ... and blocks that were read and were wrong, since the last scrub that found nothing */
	bool is_read_only;   /* the kernel has given up writing */
	bool is_scarce;      /* hardly any room is left for the books of its file system */
	struct care_scrub scrub;
};

/* Whether something is wrong with it; then RET says what, and what would help. */
bool care_judge(const struct care *c, char *ret, size_t size);
/* Whether a scrub is due at NOW_S, or one goes on. SEED: of this disk. */
bool care_scrub_is_due(const struct care *c, uint64_t seed, uint64_t now_s);
struct care_slice {
	uint64_t end_bytes, size_bytes; /* read up to there, of so much in all */
	uint64_t errors, broken;        /* found in it, and of those what stays */
};
/* One slice was read at NOW_S. True when it was the last, nothing was found in any, and nothing was counted meanwhile: what was counted before counts
 * no more. */
bool care_scrub_step(struct care *c, const struct care_slice *slice, uint64_t now_s);

/* -EBADMSG. */
MUST_CHECK int care_decode(sd_json_variant *v, struct care *ret, struct err *e);
/* Returns owned, or a negative errno. */
MUST_CHECK int care_json(const struct care *c, sd_json_variant **ret);

/* As it lies on the disk. -EBADMSG. */
MUST_CHECK int care_scrub_decode(struct str text, struct care_scrub *ret, struct err *e);
MUST_CHECK int care_scrub_encode(const struct care_scrub *s, struct buf *ret);
