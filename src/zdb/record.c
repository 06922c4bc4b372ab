#include "zdb/record.h"

#include "base/rd.h"
#include "zdb/crc.h"

enum { ORIGINAL_HEAD_BYTES = 18, ORIGINAL_DATA_HEAD_BYTES = 28, HEAD_BYTES = 32, DATA_HEAD_BYTES = 32, FLAGS_AT = 28, RESERVED_AT = 30 };

static const uint8_t magic[4] = "DAT0";

static void le(uint8_t *p, uint64_t v, unsigned n_bytes)
{
	for (unsigned i = 0; i < n_bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

void data_head_encode(const struct data_head *h, uint8_t ret[static DATA_HEAD_MAX])
{
	memcpy(ret, magic, sizeof(magic));
	le(ret + 4, DATA_VERSION, 4);
	le(ret + 8, h->salt, 8);
	le(ret + 16, h->generation, 4);
	le(ret + 20, h->first, 4);
	le(ret + 24, h->file, 4);
	le(ret + 28, ~crc32c(~0u, ret, 28), 4);
}

int data_head_decode(const void *p, size_t n, struct data_head *ret)
{
	struct rd r = rd_over(p, n);
	const uint8_t *begin = rd_take(&r, sizeof(magic));
	struct data_head h = { .version = (uint32_t)rd_le(&r, 4) };

	if (!begin || memcmp(begin, magic, sizeof(magic)))
		return -EBADMSG;
	switch (h.version) {
	case DATA_VERSION_ORIGINAL:
		rd_take(&r, 16); /* two times, of which nobody says anything */
		h.file = (uint32_t)rd_le(&r, 4);
		h.n_bytes = ORIGINAL_DATA_HEAD_BYTES;
		break;
	case DATA_VERSION:
		h.salt = rd_le(&r, 8);
		h.generation = (uint32_t)rd_le(&r, 4);
		h.first = (uint32_t)rd_le(&r, 4);
		h.file = (uint32_t)rd_le(&r, 4);
		if (rd_le(&r, 4) != (uint32_t)~crc32c(~0u, p, r.bad ? 0 : 28))
			return -EBADMSG;
		h.n_bytes = DATA_HEAD_BYTES;
		break;
	default:
		return r.bad ? -EBADMSG : -EPROTONOSUPPORT;
	}
	if (r.bad)
		return -EBADMSG;
	*ret = h;
	return 0;
}

/* Over what it is, and where it stands: a record that was copied to another place is none there. */
static uint32_t head_crc(const struct data_head *h, uint32_t offset, const uint8_t *head, struct str id)
{
	uint8_t where[12];
	uint32_t crc;

	le(where, h->salt, 8);
	le(where + 8, offset, 4);
	crc = crc32c(~0u, where, sizeof(where));
	crc = crc32c(crc, head + 4, HEAD_BYTES - 4);
	return ~crc32c(crc, id.p, id.n);
}

size_t record_encode(const struct data_head *h, uint32_t offset, const struct record *r, uint8_t ret[static RECORD_HEAD_MAX + RECORD_ID_MAX])
{
	le(ret + 4, r->crc, 4);
	le(ret + 8, r->length, 4);
	le(ret + 12, r->time_s, 4);
	le(ret + 16, r->previous, 4);
	le(ret + 20, r->parent.file, 4);
	le(ret + 24, r->parent.offset, 4);
	ret[FLAGS_AT] = r->flags;
	ret[29] = (uint8_t)r->id.n;
	le(ret + RESERVED_AT, 0, 2);
	le(ret, head_crc(h, offset, ret, r->id), 4);
	memcpy(ret + HEAD_BYTES, r->id.p, r->id.n);
	return HEAD_BYTES + r->id.n;
}

static int id_take(struct rd *r, size_t n, struct record *ret)
{
	ret->id = (struct str){ (const char *)rd_take(r, n), n };
	return r->bad ? RECORD_SHORT : 0;
}

static bool is_sane(const struct record *r, size_t id_len)
{
	return id_len && r->length <= RECORD_PAYLOAD_MAX && r->flags <= (RECORD_DELETED | RECORD_TRUNCATED);
}

static int original_decode(const void *p, size_t n, struct record *ret)
{
	struct rd r = rd_over(p, n);
	size_t id_len = rd_le(&r, 1);

	ret->length = (uint32_t)rd_le(&r, 4);
	ret->previous = (uint32_t)rd_le(&r, 4);
	ret->crc = (uint32_t)rd_le(&r, 4);
	ret->flags = (uint8_t)rd_le(&r, 1);
	ret->time_s = (uint32_t)rd_le(&r, 4);
	if (r.bad)
		return RECORD_SHORT;
	return is_sane(ret, id_len) ? id_take(&r, id_len, ret) : -EBADMSG;
}

static int ours_decode(const struct data_head *h, uint32_t offset, const void *p, size_t n, struct record *ret)
{
	struct rd r = rd_over(p, n);
	uint32_t crc = (uint32_t)rd_le(&r, 4);
	size_t id_len;
	int e;

	ret->crc = (uint32_t)rd_le(&r, 4);
	ret->length = (uint32_t)rd_le(&r, 4);
	ret->time_s = (uint32_t)rd_le(&r, 4);
	ret->previous = (uint32_t)rd_le(&r, 4);
	ret->parent.file = (uint32_t)rd_le(&r, 4);
	ret->parent.offset = (uint32_t)rd_le(&r, 4);
	ret->flags = (uint8_t)rd_le(&r, 1);
	id_len = rd_le(&r, 1);
	if (rd_le(&r, 2) || (!r.bad && !is_sane(ret, id_len)))
		return -EBADMSG;
	if (r.bad || (e = id_take(&r, id_len, ret)))
		return RECORD_SHORT;
	return crc == head_crc(h, offset, p, ret->id) ? 0 : -EBADMSG;
}

int record_decode(const struct data_head *h, uint32_t offset, const void *p, size_t n, struct record *ret)
{
	struct record record = { 0 };
	int r = h->version == DATA_VERSION ? ours_decode(h, offset, p, n, &record) : original_decode(p, n, &record);

	if (!r)
		*ret = record;
	return r;
}

uint32_t record_head_bytes(const struct data_head *h, const struct record *r)
{
	return (h->version == DATA_VERSION ? HEAD_BYTES : ORIGINAL_HEAD_BYTES) + (uint32_t)r->id.n;
}

uint32_t record_crc_more(uint32_t crc, struct str part)
{
	return crc32c(crc, part.p, part.n);
}

bool record_may_begin(const struct data_head *h, const uint8_t p[static RECORD_HEAD_MAX])
{
	return h->version == DATA_VERSION && p[29] && p[FLAGS_AT] <= (RECORD_DELETED | RECORD_TRUNCATED) && !p[RESERVED_AT] && !p[RESERVED_AT + 1] &&
	       !p[11] && p[10] <= RECORD_PAYLOAD_MAX >> 16;
}
