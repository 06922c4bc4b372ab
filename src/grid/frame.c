#include "grid/frame.h"

#include "base/rd.h"

static void put_le(uint8_t **at, uint64_t v, unsigned n_bytes)
{
	for (unsigned i = 0; i < n_bytes; i++)
		*(*at)++ = (uint8_t)(v >> (8 * i));
}

void frame_encode(uint8_t ret[static FRAME_HEAD], const struct frame *f)
{
	put_le(&ret, FRAME_VERSION, 1);
	put_le(&ret, f->type, 1);
	put_le(&ret, f->flags, 2);
	put_le(&ret, f->len, 4);
	put_le(&ret, f->session, 8);
	put_le(&ret, f->offset, 8);
	put_le(&ret, f->ack, 8);
	put_le(&ret, f->limit, 8);
}

static bool frame_ok(const struct frame *f, size_t n_payload)
{
	if (f->type < FRAME_OPEN || f->type > FRAME_RESET || f->flags & ~FRAME_ASK || !f->session)
		return false;
	if (f->offset >= INT64_MAX || f->ack >= INT64_MAX || f->limit >= INT64_MAX) /* sums stay in range */
		return false;
	if (f->type == FRAME_RESET)
		return !n_payload && f->len <= UINT16_MAX;
	if (f->type == FRAME_DATA)
		return f->len == n_payload && n_payload && n_payload <= FRAME_DATA_MAX;
	return !n_payload && !f->len;
}

int frame_decode(const void *p, size_t n, struct frame *ret)
{
	struct rd r = rd_over(p, n);
	uint8_t version = (uint8_t)rd_le(&r, 1);
	struct frame f = { .type = (enum frame_type)rd_le(&r, 1) };

	f.flags = (uint16_t)rd_le(&r, 2);
	f.len = (uint32_t)rd_le(&r, 4);
	f.session = rd_le(&r, 8);
	f.offset = rd_le(&r, 8);
	f.ack = rd_le(&r, 8);
	f.limit = rd_le(&r, 8);
	if (r.bad || version != FRAME_VERSION || !frame_ok(&f, rd_left(&r)))
		return -EBADMSG;
	*ret = f;
	return 0;
}
