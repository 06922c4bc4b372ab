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
/* The instruction's result is there after three cycles, and a new one can begin in each: three parts of a longer text are summed up side by side. A sum
 * goes on over N zero bytes by a multiplication with x^(8N - 33) modulo the polynomial (Gopal et al., "Fast CRC Computation for iSCSI Polynomial Using CRC32
 * Instruction", Intel 2011), whose bits stand here in reverse, too. record_test compares with what is
 * summed up bit by bit. Parts of 1 KiB are as slow as one after the other where the text comes from memory: the processor does not read ahead of three in one page. */
struct lanes {
	size_t bytes; /* of each of the three, a multiple of 8 */
	uint32_t over_one, over_two;
};
static const struct lanes lanes[] = { { 4096, 0x82f89c77, 0x54a86326 }, { 256, 0xb9e02b86, 0xdd7e3b0c } };

static inline uint64_t word_at(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

__attribute__((target("sse4.2"))) static uint32_t crc32c_short(uint32_t crc, const uint8_t *at, size_t n)
{
	uint64_t wide = crc;

	for (; n >= 8; n -= 8, at += 8)
		wide = __builtin_ia32_crc32di(wide, word_at(at));
	crc = (uint32_t)wide;
	for (; n; n--, at++)
		crc = __builtin_ia32_crc32qi(crc, *at);
	return crc;
}

typedef long long pair __attribute__((vector_size(16)));

__attribute__((target("sse4.2,pclmul"))) static inline uint64_t times(uint64_t crc, uint32_t k)
{
	return (uint64_t)__builtin_ia32_pclmulqdq128((pair){ (long long)crc, 0 }, (pair){ k, 0 }, 0)[0];
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t crc32c_three(uint32_t crc, const uint8_t *at, const struct lanes *l)
{
	const uint8_t *two = at + l->bytes, *three = two + l->bytes;
	uint64_t a = crc, b = 0, c = 0;

	for (size_t i = 0; i < l->bytes; i += 8) {
		a = __builtin_ia32_crc32di(a, word_at(at + i));
		b = __builtin_ia32_crc32di(b, word_at(two + i));
		c = __builtin_ia32_crc32di(c, word_at(three + i));
	}
	return (uint32_t)(__builtin_ia32_crc32di(0, times(a, l->over_two) ^ times(b, l->over_one)) ^ c);
}

static uint32_t crc32c_long(uint32_t crc, const uint8_t *at, size_t n)
{
	for (size_t i = 0; i < sizeof(lanes) / sizeof(*lanes); i++)
		for (; n >= 3 * lanes[i].bytes; n -= 3 * lanes[i].bytes, at += 3 * lanes[i].bytes)
			crc = crc32c_three(crc, at, &lanes[i]);
	return crc32c_short(crc, at, n);
}

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
	if (n < 3 * lanes[1].bytes || !__builtin_cpu_supports("pclmul"))
		return __builtin_cpu_supports("sse4.2") ? crc32c_short(crc, p, n) : crc32c_soft(crc, p, n);
	return crc32c_long(crc, p, n); /* who has the one has the other */
}
#else
uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
	return crc32c_soft(crc, p, n);
}
#endif
