/* A QR code of a short text, in the smallest version that holds it (ISO/IEC 18004; by libqrencode, decision 047). */
#pragma once
#include "base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

enum { CODE_SIZE_MAX = 61 }; /* modules a side: version 11 */

struct code {
	unsigned size; /* modules a side, without the light ones around; 0 = none */
	uint8_t dark[CODE_SIZE_MAX][CODE_SIZE_MAX];
};

/* -EFBIG: TEXT needs more modules; -ENOMEM. */
MUST_CHECK int code_make(const char *text, struct code *ret);

/* Whether the module is dark; those outside of the code are not. */
bool code_is_dark(const struct code *c, int x, int y);
