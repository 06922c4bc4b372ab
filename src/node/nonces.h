/* The nonces of orders that were taken and have not expired: none is taken twice, also not after a restart of the daemon.
 *
 * Kept in memory and in an append-only file. Bounded: a full table refuses new orders until old ones expire. */
#pragma once
#include "api/doc.h"

enum { NONCES_MAX = 16384 };

struct nonce {
	uint8_t bytes[ORDER_NONCE_LEN / 2];
	int64_t expires_s;
};

struct nonces {
	struct nonce *all; /* NONCES_MAX of them */
	size_t n;
	int fd;
	off_t size; /* of the file, whole records */
};
#define NONCES_NONE { .fd = -1 }

/* Reads PATH (made when absent), drops what expired, writes the rest back; where there is no room for that, the old file goes on. */
MUST_CHECK int nonces_open(struct nonces *ret, const char *path, int64_t now_s, struct err *e);
void nonces_close(struct nonces *s);

/* Remembers HEX (ORDER_NONCE_LEN digits). -ESTALE when it was used, -EBUSY when the table is full, -EIO when it could
 * not be written: then the order is not taken, and may come again. */
MUST_CHECK int nonces_use(struct nonces *s, const char *hex, int64_t expires_s, int64_t now_s, struct err *e);
