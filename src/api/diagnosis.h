/* What a node that reaches no hub says of itself, small enough for a code on its screen and signed by its identity: doc/diagnosis.md.
 *
 * The node makes all of it from what it sees itself. What does not fit is left out: addresses first come first, then texts, the last of
 * them cut. */
#pragma once
#include "base/buf.h"
#include "ident/key.h"

#define API_TYPE_DIAGNOSIS "application/vnd.zos.diagnosis"
#define DIAGNOSIS_HEAD "ZOS:"

enum {
	DIAGNOSIS_VERSION = 1,
	DIAGNOSIS_SHORT = 119, /* bytes with the signature: QR version 6, for a text screen of 25 rows */
	DIAGNOSIS_LONG = 206,  /* version 9, for one of 37 rows: UEFI's smallest */
	DIAGNOSIS_SIZE = sizeof(DIAGNOSIS_HEAD) + (DIAGNOSIS_LONG * 8 + 4) / 5, /* of the text with its NUL */
	DIAGNOSIS_ADDRESSES_MAX = 4,
	DIAGNOSIS_WORDS_MAX = 4,
	DIAGNOSIS_WORDS_SIZE = 96,
};

/* Why no hub is reached: the nearest cause. */
enum diagnosis_cause {
	DIAGNOSIS_NO_CARD,
	DIAGNOSIS_NO_CABLE,
	DIAGNOSIS_NO_ADDRESS,
	DIAGNOSIS_CLOCK,
	DIAGNOSIS_NO_HUB,
	DIAGNOSIS_HUB, /* nothing here stands in the way: the first of the words says more */
	DIAGNOSIS_CAUSES,
};
const char *diagnosis_why(enum diagnosis_cause cause);

struct diagnosis_address {
	bool is_six;
	uint8_t prefix, bytes[16];
};

struct diagnosis {
	struct key_pub node;
	uint32_t time_s; /* Unix */
	uint16_t up_min;
	uint8_t version[3], flavour; /* index of diagnosis_flavours */
	bool is_approved, is_durable;
	enum diagnosis_cause cause;
	struct diagnosis_address addresses[DIAGNOSIS_ADDRESSES_MAX];
	size_t n_addresses;
	char words[DIAGNOSIS_WORDS_MAX][DIAGNOSIS_WORDS_SIZE]; /* why the hub is not reached; then the last warnings. Printable ASCII */
	size_t n_words;
};

enum { DIAGNOSIS_FLAVOURS = 4 };
extern const char *const diagnosis_flavours[DIAGNOSIS_FLAVOURS];

/* "10.0.2.15/24". -EINVAL. */
MUST_CHECK int diagnosis_address_parse(const char *text, struct diagnosis_address *ret);
void diagnosis_address_format(char ret[static 64], const struct diagnosis_address *a);
/* Adds TEXT to the words, what is not printable as '?'; does nothing when there are enough. */
void diagnosis_say(struct diagnosis *d, const char *text);

/* The bytes that are signed, at most MAX of them. Appends. */
void diagnosis_encode(const struct diagnosis *d, size_t max, struct buf *ret);
/* -EBADMSG. */
MUST_CHECK int diagnosis_decode(const void *p, size_t n, struct diagnosis *ret);

/* The text for a code: signature and all in MAX_BYTES (SHORT or LONG). -ENOMEM. */
MUST_CHECK int diagnosis_sign(const struct diagnosis *d, const struct key *node, size_t max_bytes, char ret[static DIAGNOSIS_SIZE]);
/* Takes such a text apart; white space in it is skipped. -EBADMSG, -EKEYREJECTED: the signature is not of the node that it names. */
MUST_CHECK int diagnosis_open(struct str text, struct diagnosis *ret, struct err *e);
