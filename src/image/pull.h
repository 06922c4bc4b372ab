/* One pull, or one push, in a process of its own that may block, hang and be killed. It tells how far it is by lines on a pipe:
 *
 *     progress WHAT DONE TOTAL
 *     uses sha256:...          a layer that the cache has already
 *     done sha256:...          the image's record and its new layers are in the slot
 *     failed ERRNO SENTENCE
 *
 * It may write in its slot and nowhere else; what it leaves there the daemon takes over. */
#pragma once
#include "image/cache.h"
#include "ident/seal.h"
#include "image/registry.h"

enum { PULL_LINE_MAX = 640 };

enum pull_what { PULL_RESOLVING, PULL_PULLING, PULL_CONVERTING, PULL_WHATS };
extern const char *const pull_whats[PULL_WHATS];

struct pull_job {
	const struct cache *cache;
	const char *scope;
	struct reference reference;
	char digest[DIGEST_LEN + 1]; /* the manifest to get, or "" for what the reference says */
	struct registry_trust trust;
	const char *user;            /* "" = ask as anybody */
	const char *owner;           /* whose image it will be; "" = everybody's */
	int password_fd;             /* borrowed: what proves it; only with a user */
	int archive_fd;              /* borrowed: where the image comes from; -1 = from the registry */
	const char *mkfs;
	unsigned slot;
};

/* Shuts the process in: its slot, the network, mkfs.erofs, and what libraries read. */
MUST_CHECK int pull_confine(const struct pull_job *job, struct err *e);
/* Confines itself, does the job, tells FD, returns the exit status. */
int pull_run(const struct pull_job *job, int fd);

struct pull_line {
	enum { PULL_PROGRESS, PULL_USES, PULL_DONE, PULL_FAILED } kind;
	enum pull_what what;
	uint64_t done, total;
	char digest[DIGEST_LEN + 1];
	struct err err;
};
MUST_CHECK int pull_line_decode(struct str line, struct pull_line *ret); /* -EBADMSG */
