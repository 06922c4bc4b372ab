/* Borrowed slices of text: by value, not NUL-terminated, never freed through the slice. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
	const char *p;
	size_t n;
};
#define S(lit) ((struct str){ "" lit, sizeof(lit) - 1 })
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_c(const char *s)
{
	return (struct str){ s, strlen(s) };
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n));
}

static inline bool str_starts(struct str s, struct str head)
{
	return s.n >= head.n && !memcmp(s.p, head.p, head.n);
}

/* Takes what stands before the first SEP off the front of *REST, SEP with it; all of it when there is no SEP.
 * False when *REST was used up (p is NULL then), so that a loop sees the empty piece after a trailing SEP too. */
static inline bool str_next(struct str *rest, char sep, struct str *ret)
{
	const char *at;

	if (!rest->p)
		return false;
	at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
	if (!at) {
		*ret = *rest;
		*rest = (struct str){ 0 };
		return true;
	}
	*ret = (struct str){ rest->p, (size_t)(at - rest->p) };
	*rest = (struct str){ at + 1, rest->n - ret->n - 1 };
	return true;
}
