/* When a certificate is asked for, and what uacme's words mean: pure functions.
 *
 * uacme (1.7) ends with 0 when it has what it was to get, and otherwise says on its standard error what it was doing and, where it was told one, the
 * server's own reason (RFC 8555, section 6.7). */
#pragma once
#include "base/str.h"
#include "gateway/cert.h"

enum {
	ORDER_WHY_SIZE = 160,
	/* Between tries after failures: thrice as long each time. A widely used authority refuses a name after five failures in an hour: these are tried after 0, 1,
	 * 4, 13 and 40 minutes, and then after two hours. */
	ORDER_PAUSE_MS = 60 * 1000,
	ORDER_PAUSE_MAX_MS = 6 * 3600 * 1000,
	ORDER_LIMITED_MS = 3600 * 1000, /* at least, once the server has said that it was too often */
};

/* One thing that is asked for again and again until it is there. */
struct order_state {
	unsigned n_failed; /* in a row */
	uint64_t next_ms; /* not before; monotonic */
	char why[ORDER_WHY_SIZE]; /* the last failed; "" = none did */
};

/* When a certificate that holds between TIMES is to be replaced: after two thirds of that. */
int64_t order_renewal_s(const struct cert_times *times);
/* Whether O is to be tried at NOW_MS. TIMES: of the certificate that is there; NULL = none. */
bool order_is_due(const struct order_state *o, const struct cert_times *times, uint64_t now_ms, int64_t now_s);
/* In how many milliseconds it may be, at most ORDER_PAUSE_MAX_MS: a clock may be set meanwhile. */
uint64_t order_due_in_ms(const struct order_state *o, const struct cert_times *times, uint64_t now_ms, int64_t now_s);

/* WHY: printable; cut where it is too long. RANDOM: an eighth of the pause, more or less. */
void order_failed(struct order_state *o, struct str why, bool is_limited, uint64_t now_ms, uint64_t random);
void order_went_well(struct order_state *o);

/* What of uacme's OUTPUT says why it failed: the server's own reason, or else its first line; "?" for what is not printable. */
void order_read_why(struct str output, char ret[static ORDER_WHY_SIZE]);
/* The server has no account with the gateway's key: there it is to be made anew. */
bool order_lacks_account(struct str output);
bool order_has_account(struct str output); /* it exists already: as good as made */
bool order_is_limited(struct str output);
