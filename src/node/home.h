/* Where the node's memory is: on every disk of its own, or in RAM for as long as it has none.
 *
 * A node is who its disks say it is. It takes no identity before all disks that were there at its start have been looked at, and one that
 * comes later with an identity of its own is either this node's, or the node starts again as that one, or it is left alone: home_meet(). */
#pragma once
#include "node/engine.h"
#include "node/nonces.h"
#include "storage/storage.h"
#include "storage/volumes.h"
#include "svc/task.h"

struct home_paths {
	const char *ram;  /* the state directory in memory */
	const char *cache, *imagemove, *imagecopy; /* the image cache, and the programs that put it onto a disk, and copies of it onto others */
	const char *mark; /* a file in memory that says who the node is, once a disk does: a daemon that starts again waits for such a disk */
};

/* Images lie on one disk; what machines need of them is on all others, too (home_images.c). */
struct home_images {
	char disk[ANSWER_UUID_SIZE]; /* the disk that has the cache, or is to have it; "" = memory has */
	struct task *moving;         /* the cache is on its way there; NULL = it has arrived */
	bool is_lost;                /* the disk that had it is gone: machines that run have their root there */
	struct home_copy {           /* of a disk that has not the cache */
		char disk[ANSWER_UUID_SIZE];
		bool is_fetched; /* what only it had is in the cache, too */
		bool is_due;     /* it may lack something */
		size_t left_out; /* images for which it had no room */
	} copies[STORAGE_DISKS_MAX];
	size_t n_copies;
	struct task *copying;        /* of the disk TURN; NULL = none */
	char turn[ANSWER_UUID_SIZE];
	sd_event_source *timer;      /* until the next copy */
};

struct home {
	sd_event *event;
	struct home_paths paths;   /* borrowed */
	struct storage *storage;
	struct engine *engine;     /* NULL = not begun */
	struct nonces *nonces;
	struct provider *volumes;
	struct home_images images;
	sd_event_source *timer;    /* to try again what failed once */
};
#define HOME_NONE { 0 }

/* For struct storage_events, with CTX a struct home; and the engine's store tells it of directories that fail. */
extern const struct storage_events home_events;

MUST_CHECK int home_init(struct home *ret, sd_event *event, const struct home_paths *paths, struct storage *storage, struct err *e);
void home_deinit(struct home *h);

/* The disks of the node that have its state, for struct volumes_options. */
size_t home_disks(void *ctx, struct volumes_disk *ret, size_t max);
const char *home_trouble(void *ctx, const char *uuid);

/* Runs the loop until it is known who the node is, or disks have had half a minute to say it, and says where its state is: at most MAX directories, of which RET_DURABLE says whether
 * they last. Returns their number or a negative errno. */
MUST_CHECK int home_wait(struct home *h, char ret[][STORE_DIR_MAX], size_t max, bool *ret_durable, struct err *e);
/* The engine runs in these directories, and nonces are kept there too. */
MUST_CHECK int home_begin(struct home *h, struct engine *n, struct nonces *nonces, struct provider *volumes, struct err *e);

/* What a directory that has come says about who this is. */
enum home_meeting {
	HOME_OURS, /* it is this node's, or says nothing yet */
	HOME_BECOME, /* it is another node's, and this one has nothing to lose by being that one */
	HOME_FOREIGN, /* it is another node's: it is left alone */
	HOME_LATER, /* it says nothing, and a disk that may say who this is is not open */
	HOME_UNKNOWN, /* it cannot be read */
};
/* What a node knows of itself. */
struct home_self {
	struct key_pub identity;
	bool is_durable; /* a disk says so */
	bool has_much; /* to lose: an approval, deployments */
	bool has_shut; /* a disk of its own that is not open */
};
/* THEIRS: the identity in it, role 0 = none, NULL = it cannot be read. */
enum home_meeting home_meet(const struct home_self *self, const struct key_pub *theirs);

/* Of the identities on N disks (role 0 = none) the one that most of them have, of equals the one whose text is lower; role 0 = none has one. */
struct key_pub home_elect(const struct key_pub *all, size_t n);

/* For home.c and home_images.c. */
bool home_has(const struct home *h, const struct storage_disk *d); /* D is mounted, and keeps the node's state */
void home_again(struct home *h); /* what failed is tried again in a while */
MUST_CHECK int home_images_init(struct home *h, struct err *e);
void home_images_deinit(struct home *h);
void home_images_settle(struct home *h); /* disks have come, or the time to try again */
void home_images_went(struct home *h, const char *disk);
void home_images_changed(void *home); /* machines need other images than before */
