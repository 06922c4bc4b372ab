/* A namespace of a store: its keys and values, and what its owner set (doc/disk-zdb.md, Settings). */
#pragma once
#include "zdb/compact.h"

enum {
	NAMESPACE_NAME_MAX = 128,
	NAMESPACE_PASSWORD_MAX = 63,
	STORE_KEY_BYTES = 32,
};
#define NAMESPACE_DEFAULT "default"

struct settings {
	enum space_mode mode;
	bool is_public; /* without the password it can be read */
	bool is_worm; /* nothing in it is changed or deleted */
	bool is_locked; /* nothing is written */
	bool is_frozen; /* nothing is read either */
	uint64_t max_bytes;
	char password[NAMESPACE_PASSWORD_MAX + 1]; /* empty = none */
};

struct namespace
{
	struct namespace *next;
	char name[NAMESPACE_NAME_MAX + 1];
	struct settings settings;
	struct space space;
	bool is_dirty;   /* something was appended that is not on the disk yet */
	bool told_failure; /* it was logged that nothing is written into it any more */
	uint32_t told_file; /* the last data file of which a watcher knows */
	struct compact *compact; /* of one of its files; NULL = none */
	int64_t compact_at_s, save_at_s; /* one failed: not before */
	uint64_t compactions; /* that got to their end */
	uint64_t io_errors;   /* values that the disk did not give or take */
	int64_t io_error_s;   /* when it was last; 0 = never */
};

/* [A-Za-z0-9._-], and does not begin with a point. */
bool namespace_name_ok(struct str name);

/* Passwords lie sealed under the store's KEY; those of the original, in clear, are read. -ENOENT: there are none; -EBADMSG. */
MUST_CHECK int settings_load(int index, struct str name, const uint8_t key[static STORE_KEY_BYTES], struct settings *ret, struct err *e);
/* The mode that the original's index files say, where they are: SETTINGS_NONE. -EPROTONOSUPPORT: one that there is no more. */
enum { SETTINGS_NONE = 1 };
MUST_CHECK int settings_original_mode(int index, enum space_mode *ret, struct err *e);
MUST_CHECK int settings_save(int index, struct str name, const uint8_t key[static STORE_KEY_BYTES], const struct settings *s, struct err *e);
