/* The encrypted layer of a disk of ours: LUKS2 by libcryptsetup, the key as its token says (token.h). */
#pragma once
#include "storage/device.h"
#include "storage/token.h"

enum { LUKS_MAPPING_MAX = 48 };
void luks_mapping(char ret[static LUKS_MAPPING_MAX], const char *uuid); /* the name below /dev/mapper */

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
/* Opens it with what T keeps; fine when it is open already. */
MUST_CHECK int luks_open(struct luks *l, const struct disk_args *a, const struct token *t, struct err *e);
/* On what the mapping of UUID lies. A copy of a disk has its UUID: what is open may be the other one. */
enum luks_below {
	LUKS_CLOSED, /* there is none */
	LUKS_OURS,   /* on this disk */
	LUKS_OTHER,  /* on another one that is there */
	LUKS_DEAD,   /* on one that is not there any more */
};
enum luks_below luks_below(const char *uuid, const struct disk_args *a);
/* Takes the mapping away: at once, or with LATER when its last user lets go. Fine when there is none. */
MUST_CHECK int luks_shut(const char *uuid, bool later, struct err *e);
