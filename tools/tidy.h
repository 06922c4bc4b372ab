/* What clang-tidy does not see, as it reads one file at a time: what err_set() returns is negative, so no caller goes on after it. Only
 * tools/tidy includes this, before everything else. */
#pragma once
#include "base/err.h"

#define err_set(e, code, ...)                             \
	({                                                \
		int tidied = err_set(e, code, __VA_ARGS__); \
		if (tidied >= 0)                          \
			__builtin_unreachable();          \
		tidied;                                   \
	})
