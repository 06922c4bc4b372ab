/* The node's memory: named values, kept on every state directory, each with a version and a check sum. doc/state.md.
 *
 * A value is durable on every directory before store_put() returns. The newest copy that checks wins; store_open() repairs the
 * others from it. Nothing is ever removed: what is gone is the next version, empty. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

enum { STORE_ROOTS_MAX = 32, STORE_VALUE_MAX = 4 * 1024 * 1024, STORE_NAME_MAX = 200 };

struct store {
	int roots[STORE_ROOTS_MAX]; /* directory fds */
	size_t n_roots;
	bool durable; /* at least one root survives a power cut */
};
#define STORE_NONE { .n_roots = 0 }

/* Opens the directories (made when absent). RET owns them; store_close() releases, also after a failure. */
MUST_CHECK int store_open(struct store *ret, const char *const *dirs, size_t n_dirs, bool durable, struct err *e);
void store_close(struct store *s);

/* NAME is one or more name parts separated by '/', each of [A-Za-z0-9.-], no part starting with a dot. */
MUST_CHECK int store_put(struct store *s, const char *name, uint64_t version, struct str value, struct err *e);

/* STORE_ABSENT, 0, or -EBADMSG when copies exist and none of them checks. */
enum { STORE_ABSENT = 1 };
MUST_CHECK int store_get(struct store *s, const char *name, uint64_t *ret_version, struct buf *ret, struct err *e);

/* Calls EACH for every name below the directory DIR, each name once, until it returns something else than 0. */
MUST_CHECK int store_each(struct store *s, const char *dir, int (*each)(void *ctx, const char *name), void *ctx, struct err *e);
