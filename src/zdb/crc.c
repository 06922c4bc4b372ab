#include "zdb/crc.h"

#include <string.h>

enum { POLYNOMIAL = 0x82f63b78 }; /* its bits in reverse */

uint32_t crc32c_soft(uint32_t crc, const void *p, size_t n)
{
	for (const uint8_t *at = p; n--; at++) {
		crc ^= *at;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? (uint32_t)POLYNOMIAL : 0);
	}
	return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc32c_hard(uint32_t crc, const void *p, size_t n)
{
	const uint8_t *at = p;
	uint64_t wide = crc;

	for (; n >= 8; n -= 8, at += 8) {
		uint64_t word;

		memcpy(&word, at, sizeof(word));
		wide = __builtin_ia32_crc32di(wide, word);
	}
	crc = (uint32_t)wide;
	for (; n; n--, at++)
		crc = __builtin_ia32_crc32qi(crc, *at);
	return crc;
}

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
	return __builtin_cpu_supports("sse4.2") ? crc32c_hard(crc, p, n) : crc32c_soft(crc, p, n);
}
#else
uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
	return crc32c_soft(crc, p, n);
}
#endif
