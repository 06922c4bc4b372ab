/* The encrypted layer of a disk of ours: LUKS2 by libcryptsetup, the key as its token says (token.h). */
#pragma once
#include "storage/device.h"
#include "storage/escrow.h"
#include "storage/token.h"

struct crypt_device;
struct luks {
	struct crypt_device *cd;
	char said[160]; /* what libcryptsetup complained about last */
};
#define LUKS_NONE { 0 }
#define AUTO_LUKS CLEANUP(luks_close)
/* Closes the header; what is open stays open. */
void luks_close(struct luks *l);

/* Writes a new header with our unfinished mark and T (its farm, is_rotational set; the key is made here), and opens it. */
MUST_CHECK int luks_make(const struct disk_args *a, struct token *t, struct luks *ret, struct err *e);
/* The finished mark: from now on the disk is ours for good. */
MUST_CHECK int luks_finish(struct luks *l, struct err *e);

/* Reads the header that is there. */
MUST_CHECK int luks_load(const struct disk_args *a, struct luks *ret, struct err *e);
const char *luks_uuid(const struct luks *l);
bool luks_has_mark(const struct luks *l, const char *mark);
MUST_CHECK int luks_token(struct luks *l, struct token *ret, struct err *e);
/* What it keeps for the farm's owner, whatever state that is in. */
void luks_escrow_get(struct luks *l, struct escrow *ret);
/* Keeps X there, and a key slot that SECRET opens, in place of what was there. T opens the disk. Cut off, it leaves something that is of no use, and told so by
 * luks_escrow_get(). */
MUST_CHECK int luks_escrow_set(struct luks *l, const struct token *t, const struct escrow *x, const uint8_t secret[static RECOVERY_SECRET_LEN],
			       struct err *e);
/* Key slot and token are gone, overwritten, when it returns. Fine when there are none. */
MUST_CHECK int luks_escrow_clear(struct luks *l, struct err *e);
/* SECRET opens the disk: the node gets a new secret of its own in T, which the TPM keeps, in place of the old one. Cut off, it leaves a disk that SECRET opens as
 * before. -EACCES: SECRET is another's, or nothing here would keep the new one from whoever takes the disk. */
MUST_CHECK int luks_renew(struct luks *l, const uint8_t secret[static RECOVERY_SECRET_LEN], struct token *t, struct err *e);
/* Opens it with what T keeps; fine when it is open already. */
MUST_CHECK int luks_open(struct luks *l, const struct disk_args *a, const struct token *t, struct err *e);
