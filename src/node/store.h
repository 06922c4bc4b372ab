/* The node's memory: named values, kept on every state directory, each with a version and a check sum. doc/state.md.
 *
 * A value is durable on every directory before store_put() returns. The newest copy that checks wins; store_get() repairs the others from
 * it. Directories come and go with their disks. Nothing is ever removed: what is gone is the next version, empty. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

enum { STORE_ROOTS_MAX = 32, STORE_VALUE_MAX = 4 * 1024 * 1024, STORE_NAME_MAX = 200, STORE_DIR_MAX = 96 };

struct store_root {
	int fd;          /* of the directory */
	bool is_durable; /* survives a power cut */
	char dir[STORE_DIR_MAX];
};

struct store {
	struct store_root roots[STORE_ROOTS_MAX];
	size_t n_roots;
	/* A directory took no value while another did, and is none of the store's any more. DIR is borrowed for the call. May be NULL. */
	void (*lost)(void *ctx, const char *dir, const struct err *why);
	void *ctx;
};
#define STORE_NONE { .n_roots = 0 }

/* Opens the directories (made when absent). RET owns them; store_close() releases, also after a failure. */
MUST_CHECK int store_open(struct store *ret, const char *const *dirs, size_t n_dirs, bool durable, struct err *e);
void store_close(struct store *s);

/* One directory more: each value is then the newest in all of them. Values that are damaged everywhere stay so. When one cannot be
 * written, DIR is not taken. */
MUST_CHECK int store_add(struct store *s, const char *dir, bool durable, struct err *e);
/* Each value is the newest in all directories from now on, also those that nobody reads for long; what cannot be written is left for later. */
void store_mend(struct store *s);
/* DIR is none of the store's any more; what is in it stays. */
void store_drop(struct store *s, const char *dir);

/* At least one directory survives a power cut. */
bool store_is_durable(const struct store *s);

/* NAME is one or more name parts separated by '/', each of [A-Za-z0-9.-], no part starting with a dot. Done when one directory has it, and
 * all that have not are lost; a value that none took is an error. */
MUST_CHECK int store_put(struct store *s, const char *name, uint64_t version, struct str value, struct err *e);

/* STORE_ABSENT, 0, or -EBADMSG when copies exist and none of them checks. */
enum { STORE_ABSENT = 1 };
MUST_CHECK int store_get(struct store *s, const char *name, uint64_t *ret_version, struct buf *ret, struct err *e);

/* Calls EACH for every name below the directory DIR ("" = all), each name once, until it returns something else than 0. */
MUST_CHECK int store_each(struct store *s, const char *dir, int (*each)(void *ctx, const char *name), void *ctx, struct err *e);
