#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

/* In brackets, as tools/tidy.h has a macro of that name. */
int(err_set)(struct err *e, int code, const char *fmt, ...)
{
	char text[ERR_MSG_MAX]; /* an argument may point into e->msg */
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(e->msg, text, sizeof(text));
	e->code = code;
	return code;
}

int err_wrap(struct err *e, int code, const char *fmt, ...)
{
	char doing[ERR_MSG_MAX / 2];
	va_list ap;

	if (!e || code >= 0)
		return code;
	va_start(ap, fmt);
	vsnprintf(doing, sizeof(doing), fmt, ap);
	va_end(ap);
	return err_set(e, code, "%s: %s", doing, e->msg);
}

void bug(const char *file, int line, const char *cond)
{
	dprintf(STDERR_FILENO, "<2>bug: %s:%d: %s\n", file, line, cond);
	abort();
}
