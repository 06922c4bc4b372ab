/* code TEXT -- prints the QR code that a console draws of TEXT, a line a row of modules, '#' for dark ones: test/node/console_test.py. */
#include "console/code.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	struct code c = { 0 };

	if (argc != 2 || code_make(argv[1], &c))
		return EXIT_FAILURE;
	for (unsigned y = 0; y < c.size; y++, putchar('\n'))
		for (unsigned x = 0; x < c.size; x++)
			putchar(code_is_dark(&c, (int)x, (int)y) ? '#' : '.');
	return EXIT_SUCCESS;
}
