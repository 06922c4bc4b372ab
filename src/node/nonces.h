/* The nonces of orders that were taken and have not expired: none is taken twice, also not after a restart of the daemon or of the node.
 *
 * Kept in memory and in append-only files, one on each disk that has the node's state. Bounded: a full table refuses new orders until old
 * ones expire. */
#pragma once
#include "api/doc.h"

enum { NONCES_MAX = 16384, NONCES_FILES_MAX = 33, NONCES_PATH_MAX = 112 };

struct nonce {
	uint8_t bytes[ORDER_NONCE_LEN / 2];
	int64_t expires_s;
};

struct nonces_file {
	int fd;
	off_t size; /* whole records */
	char path[NONCES_PATH_MAX];
};

struct nonces {
	struct nonce *all; /* NONCES_MAX of them */
	size_t n;
	struct nonces_file files[NONCES_FILES_MAX];
	size_t n_files;
};
#define NONCES_NONE { .n = 0 }

/* Nothing is known, and nothing can be taken before nonces_add(). */
void nonces_init(struct nonces *ret);
void nonces_deinit(struct nonces *s);

/* Reads PATH (made when absent), forgets what expired, and writes all that is known to each file that lacks some of it; where there is no room for that, the
 * old file goes on. Known already is fine. */
MUST_CHECK int nonces_add(struct nonces *s, const char *path, int64_t now_s, struct err *e);
/* PATH is not written any more. */
void nonces_drop(struct nonces *s, const char *path);

/* Remembers HEX (ORDER_NONCE_LEN digits), on disk before it returns. -ESTALE when it was used, -EBUSY when the table is full, -EIO when no
 * file took it: then the order is not taken, and may come again. What only READS is taken all the same: in memory it is known until the daemon ends, and a file
 * that is added until then has it, too. */
MUST_CHECK int nonces_use(struct nonces *s, const char *hex, int64_t expires_s, bool reads, int64_t now_s, struct err *e);
