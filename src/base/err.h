/* An error: a code for the program, one sentence for a person.
 *
 * Lives on the caller's stack. Functions a person may have to understand take `struct err *e` as their last
 * parameter, return the negative errno they recorded, and leave every output untouched. The sentence says what was
 * being done, to what, what went wrong and, where there is one, the way out. */
#pragma once
#include "base/cleanup.h"

enum { ERR_MSG_MAX = 400 };

struct err {
	int code; /* negative errno; 0 = none */
	char msg[ERR_MSG_MAX];
};

/* Records CODE (negative errno) and the sentence; returns CODE. E may be NULL. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "what I was doing: " before the sentence below; outcomes (CODE >= 0) pass unchanged. Returns CODE. */
int err_wrap(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A broken promise of the program itself: says where and aborts, so that the supervisor starts it anew. */
#define BUG_ON(cond)                                    \
	do {                                            \
		if (__builtin_expect(!!(cond), 0))      \
			bug(__FILE__, __LINE__, #cond); \
	} while (0)
[[noreturn]] void bug(const char *file, int line, const char *cond);
