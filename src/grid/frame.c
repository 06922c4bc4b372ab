#include "grid/frame.h"

#include "base/rd.h"

#include <zlib.h>

enum { ASK_BIT = 0x80 }; /* in the type's byte */

static void put_le(uint8_t **at, uint64_t v, unsigned n_bytes)
{
	for (unsigned i = 0; i < n_bytes; i++)
		*(*at)++ = (uint8_t)(v >> (8 * i));
}

/* Over the whole message, the sum itself read as zero. */
static uint32_t frame_sum(const uint8_t *msg, size_t n)
{
	static const uint8_t none[4] = { 0 };
	uLong sum = crc32_z(crc32_z(0, msg, 4), none, sizeof(none));

	return (uint32_t)crc32_z(sum, msg + 8, n - 8);
}

void frame_encode(uint8_t *msg, const struct frame *f)
{
	uint8_t *at = msg;

	put_le(&at, FRAME_VERSION, 1);
	put_le(&at, f->type | (f->flags & FRAME_ASK ? ASK_BIT : 0u), 1);
	put_le(&at, f->len, 2);
	put_le(&at, 0, 4);
	put_le(&at, f->session, 8);
	put_le(&at, f->offset, 8);
	put_le(&at, f->ack, 8);
	put_le(&at, f->limit, 8);
	at = msg + 4;
	put_le(&at, frame_sum(msg, FRAME_HEAD + (f->type == FRAME_DATA ? f->len : 0)), 4);
}

static bool frame_ok(const struct frame *f, size_t n_payload)
{
	if (f->type < FRAME_OPEN || f->type > FRAME_RESET || !f->session)
		return false;
	if (f->offset >= INT64_MAX || f->ack >= INT64_MAX || f->limit >= INT64_MAX) /* sums stay in range */
		return false;
	if (f->type == FRAME_RESET)
		return !n_payload && !f->flags;
	if (f->type == FRAME_DATA)
		return f->len == n_payload && n_payload && n_payload <= FRAME_DATA_MAX;
	return !n_payload && !f->len;
}

int frame_decode(const void *p, size_t n, struct frame *ret)
{
	struct rd r = rd_over(p, n);
	uint8_t version = (uint8_t)rd_le(&r, 1);
	uint8_t type = (uint8_t)rd_le(&r, 1);
	struct frame f = { .type = (enum frame_type)(type & ~ASK_BIT), .flags = type & ASK_BIT ? FRAME_ASK : 0 };
	uint32_t sum;

	f.len = (uint32_t)rd_le(&r, 2);
	sum = (uint32_t)rd_le(&r, 4);
	f.session = rd_le(&r, 8);
	f.offset = rd_le(&r, 8);
	f.ack = rd_le(&r, 8);
	f.limit = rd_le(&r, 8);
	if (r.bad || version != FRAME_VERSION || !frame_ok(&f, rd_left(&r)) || sum != frame_sum(p, n))
		return -EBADMSG;
	*ret = f;
	return 0;
}
