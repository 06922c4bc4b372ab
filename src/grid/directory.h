/* The grid's directory: one record a participant, bytes that mean nothing here. Whoever reads one checks its signature.
 *
 * A record is written under the hub key of its writer, but any participant can bring another's record to be overwritten
 * with old or foreign bytes in some way or other: the hub is trusted with delivery only. So one's own is looked at from time
 * to time and put back. All calls return at once; one thread, the loop's. */
#pragma once
#include "grid/hub.h"

enum {
	DIRECTORY_RECORD_MAX = 8192,  /* bytes */
	DIRECTORY_TIMEOUT_MS = 5000,  /* for each answer of the hub */
	DIRECTORY_KEYS_MAX = 100000,
	DIRECTORY_LOOK_MS = 30000,    /* between two looks at one's own record */
	DIRECTORY_RENEW_MS = 600000,  /* it is written again this often, so that the hub does not let it expire */
};

/* Keeps one's own record in place. */
struct directory_own;
MUST_CHECK int directory_own_new(struct hub *hub, sd_event *event, struct directory_own **ret, struct err *e);
void directory_own_free(struct directory_own *o);
/* RECORD is copied; -EMSGSIZE beyond DIRECTORY_RECORD_MAX. Written now and whenever it is not there. */
MUST_CHECK int directory_own_set(struct directory_own *o, struct str record);
void directory_own_kick(struct directory_own *o); /* the hub is (back) up */
/* True when the hub has confirmed the present record. */
bool directory_own_is_there(const struct directory_own *o);

/* R: 0, -ENOENT, -ETIMEDOUT, -ENOTCONN. RECORD is borrowed for the call. */
typedef void directory_get_fn(void *userdata, int r, const char *key, struct str record);

/* FN is called once, later. KEY is a hub key. directory_cancel() takes it back. -EAGAIN, -ENOTCONN, -EINVAL. */
struct directory_query;
MUST_CHECK int directory_get(struct hub *hub, const char *key, directory_get_fn *fn, void *userdata, struct directory_query **ret);

/* FN once for each record, then once more with KEY = NULL and how it went (0 also when there was none). */
MUST_CHECK int directory_list(struct hub *hub, directory_get_fn *fn, void *userdata, struct directory_query **ret);

/* For a query whose last call has not come yet; none comes then. */
void directory_cancel(struct directory_query *q);
