#include "machine/flood.h"

bool flood_keeps(struct flood *f, size_t n, uint64_t now_ms)
{
	f->credit_bytes += (int64_t)((now_ms - f->seen_ms) * FLOOD_KEEP_BYTES_S / FLOOD_SECOND_MS);
	if (f->credit_bytes > FLOOD_BURST_BYTES)
		f->credit_bytes = FLOOD_BURST_BYTES;
	f->seen_ms = now_ms;
	if (now_ms - f->second_ms >= FLOOD_SECOND_MS) {
		f->second_ms = now_ms;
		f->read_bytes = 0;
	}
	f->read_bytes += n;
	if (f->credit_bytes <= 0) {
		f->dropped_bytes += n;
		return false;
	}
	f->credit_bytes -= (int64_t)n;
	return true;
}

uint64_t flood_wait_ms(const struct flood *f, uint64_t now_ms)
{
	if (f->read_bytes < FLOOD_READ_BYTES_S || now_ms - f->second_ms >= FLOOD_SECOND_MS)
		return 0;
	return FLOOD_SECOND_MS - (now_ms - f->second_ms);
}
