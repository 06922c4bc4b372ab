/* All namespaces of one process: two folders, which no other process has at the same time. One thread. */
#pragma once
#include "base/buf.h"
#include "zdb/namespace.h"

enum {
	STORE_COMPACT_RETRY_S = 60,
	STORE_SAVE_RETRY_S = 600,
	STORE_NAMESPACES_MAX = 10000,
	STORE_FILE_MIN_BYTES = 512 << 10,
	STORE_FILE_DEFAULT_BYTES = 256 << 20
};

/* Who is told what happens, in the words of 0-db's hooks. WORDS end with NULL. */
struct store_watch {
	void (*tell)(void *ctx, const char *event, const char *const *words);
	int (*ask)(void *ctx, const char *event, const char *const *words); /* waits; 0: it went well */
	void (*list)(void *ctx, struct buf *out);                           /* what was told of late, as HOOKS answers */
	void *ctx;
};

struct store_options {
	const char *data, *index; /* folders; made when they are not there */
	enum space_mode mode;   /* of new namespaces */
	uint64_t file_bytes;   /* of a data file at most */
	const struct store_watch *watch; /* NULL = nobody */
};

struct store {
	struct store_options o;
	int data, index, data_lock, index_lock;
	uint8_t key[STORE_KEY_BYTES];
	struct namespace *list; /* the default one is always there */
	size_t n;
};
#define STORE_NONE { .data = -1, .index = -1, .data_lock = -1, .index_lock = -1 }

MUST_CHECK int store_open(struct store *ret, const struct store_options *o, struct err *e);
/* With a checkpoint of each namespace, so that the next start is short. */
void store_close(struct store *s);

struct namespace *store_find(const struct store *s, struct str name);
MUST_CHECK int store_add(struct store *s, struct str name, struct namespace **ret, struct err *e); /* its name is right and free */
MUST_CHECK int store_remove(struct store *s, struct namespace *n, struct err *e);      /* with all that is in it */

/* Makes SETTINGS N's, for good once it returns. */
MUST_CHECK int store_set(struct store *s, struct namespace *n, const struct settings *settings, struct err *e);

/* Reads N's files anew, all of them: somebody may have put others in their place. What cannot be read changes nothing. */
MUST_CHECK int store_reload(struct store *s, struct namespace *n, struct err *e);

/* Writes what was appended since the last time; SAFE: until it is on the disk. */
MUST_CHECK int store_commit(struct store *s, bool safe, struct err *e);

/* Begins a new data file wherever something was written into the last one. */
void store_rotate(struct store *s);

/* Tells who watches of an EVENT of N. */
void store_tell(const struct store *s, const char *event, const struct namespace *n);

/* A small step towards files without dead records, or else a checkpoint, of one namespace at a time. False: there is nothing to be done now. */
bool store_tidy(struct store *s, int64_t now_s);
