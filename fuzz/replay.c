/* Runs a fuzz target without a fuzzer: the files named on the command line, and each of them changed a few thousand times in
 * a way that the seed decides. The unit suite runs it. */
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>

enum { CHANGES = 3000, FILE_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint64_t seed = 0x9e3779b97f4a7c15ull;

static size_t draw(size_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return below ? (size_t)(seed >> 3) % below : 0;
}

/* A copy in memory of exactly its size, so that reading past its end is seen. */
static void run(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	if (n)
		memcpy(copy, p, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static void run_changed(const struct buf *b)
{
	size_t n = b->len;
	uint8_t *p = malloc(n + 1);

	if (n)
		memcpy(p, b->p, n);
	for (size_t i = draw(4) + 1; i-- && n;)
		p[draw(n)] = draw(2) ? (uint8_t)draw(256) : (uint8_t)(1u << draw(8));
	run(p, draw(4) ? n : draw(n + 1));
	free(p);
}

int main(int argc, char **argv)
{
	printf("1..%d\n", argc - 1);
	for (int i = 1; i < argc; i++) {
		AUTO_BUF struct buf b = { 0 };
		struct err e = { 0 };

		if (file_read(AT_FDCWD, argv[i], FILE_MAX, &b, &e)) {
			printf("not ok %d - %s\n", i, e.msg);
			return EXIT_FAILURE;
		}
		run((const uint8_t *)b.p, b.len);
		for (int k = 0; k < CHANGES; k++)
			run_changed(&b);
		printf("ok %d - %s\n", i, argv[i]);
	}
	return EXIT_SUCCESS;
}
