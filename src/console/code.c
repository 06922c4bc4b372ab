#include "console/code.h"

#include <qrencode.h>

static void code_freep(QRcode **c)
{
	if (*c)
		QRcode_free(*c);
}

int code_make(const char *text, struct code *ret)
{
	/* low redundancy: a screen has no scratches, but few rows */
	CLEANUP(code_freep) QRcode *made = QRcode_encodeString(text, 0, QR_ECLEVEL_L, QR_MODE_8, 1);

	if (!made)
		return errno == ERANGE ? -EFBIG : -ENOMEM;
	if (made->width > CODE_SIZE_MAX)
		return -EFBIG;
	ret->size = (unsigned)made->width;
	for (unsigned y = 0; y < ret->size; y++)
		for (unsigned x = 0; x < ret->size; x++)
			ret->dark[y][x] = made->data[y * ret->size + x] & 1;
	return 0;
}

bool code_is_dark(const struct code *c, int x, int y)
{
	return x >= 0 && y >= 0 && x < (int)c->size && y < (int)c->size && c->dark[y][x];
}
