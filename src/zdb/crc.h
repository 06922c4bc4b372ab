/* CRC-32C (Castagnoli, RFC 3720 appendix B.4) without inversions: the caller's CRC goes on over N more bytes. By the processor's instruction
 * where it has one. ISA-L has it too, and is not to be had as a static library. */
#pragma once
#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t crc, const void *p, size_t n);
uint32_t crc32c_soft(uint32_t crc, const void *p, size_t n); /* for processors without it */
