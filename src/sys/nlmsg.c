#include "sys/nlmsg.h"

#include <string.h>
#include <sys/socket.h>

enum { REPLY_MAX = 8192, NLMSG_HEAD = 16 };

void nlmsg_init(struct nlmsg *q, uint16_t type, uint16_t flags, const void *family, size_t n)
{
	*q = (struct nlmsg){
		.head = { .nlmsg_len = NLMSG_LENGTH(n), .nlmsg_type = type, .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags) }
	};
	memcpy(NLMSG_DATA(&q->head), family, n);
}

struct nlattr *nlmsg_attr(struct nlmsg *q, uint16_t type, const void *p, size_t n)
{
	size_t at = NLMSG_ALIGN(q->head.nlmsg_len);
	struct nlattr *a = (struct nlattr *)((char *)&q->head + at);

	BUG_ON(n > NLMSG_BODY_MAX || at + NLA_HDRLEN + NLA_ALIGN(n) > sizeof(*q));
	a->nla_type = type;
	a->nla_len = (uint16_t)(NLA_HDRLEN + n);
	if (n)
		memcpy((char *)a + NLA_HDRLEN, p, n);
	q->head.nlmsg_len = (uint32_t)(at + NLA_HDRLEN + NLA_ALIGN(n));
	return a;
}

void nlmsg_end(struct nlmsg *q, struct nlattr *a)
{
	a->nla_len = (uint16_t)((char *)&q->head + q->head.nlmsg_len - (char *)a);
}

int nlmsg_talk(int fd, const struct nlmsg *q)
{
	_Alignas(struct nlmsghdr) char reply[REPLY_MAX];
	ssize_t n = send(fd, q, q->head.nlmsg_len, 0);

	if (n < 0)
		return -errno;
	do
		n = recv(fd, reply, sizeof(reply), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (struct nlmsghdr *h = (struct nlmsghdr *)reply; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n))
		if (h->nlmsg_type == NLMSG_ERROR && h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr)))
			return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
	return -EBADMSG;
}

/* The errno that an error or the end of a dump carries; 0 = it went well. */
static int verdict(struct rd *body)
{
	int32_t code = (int32_t)(uint32_t)rd_le(body, 4);

	return body->bad || code > 0 ? -EBADMSG : code;
}

static void spoil(struct nlmsg_ear *ear, int r)
{
	if (!ear->r)
		ear->r = r;
}

/* Takes the next message off D. NLMSG_MORE, or the end. */
static int hear_one(struct nlmsg_ear *ear, struct rd *d)
{
	uint32_t len = (uint32_t)rd_le(d, 4);
	uint16_t type = (uint16_t)rd_le(d, 2), flags = (uint16_t)rd_le(d, 2);
	const uint8_t *p;
	struct rd body;

	(void)rd_le(d, 8); /* sequence and port: one question at a time */
	p = len < NLMSG_HEAD ? NULL : rd_take(d, len - NLMSG_HEAD);
	if (!p)
		return -EBADMSG;
	(void)rd_take(d, rd_left(d) < NLMSG_ALIGN(len) - len ? rd_left(d) : NLMSG_ALIGN(len) - len);
	body = rd_over(p, len - NLMSG_HEAD);
	if (flags & NLM_F_DUMP_INTR)
		spoil(ear, -EAGAIN);
	if (type == NLMSG_ERROR || type == NLMSG_DONE) {
		spoil(ear, verdict(&body));
		return ear->r;
	}
	if (type >= NLMSG_MIN_TYPE && !ear->r)
		ear->r = ear->fn(ear->ctx, body);
	return NLMSG_MORE;
}

int nlmsg_hear(struct nlmsg_ear *ear, const void *p, size_t n)
{
	struct rd d = rd_over(p, n);
	int r = NLMSG_MORE;

	while (r == NLMSG_MORE && rd_left(&d))
		r = hear_one(ear, &d);
	return r;
}

int nlmsg_ask(int fd, const struct nlmsg *q, nlmsg_fn *fn, void *ctx)
{
	_Alignas(struct nlmsghdr) uint8_t reply[NLMSG_DATAGRAM_MAX];
	struct nlmsg_ear ear = { .fn = fn, .ctx = ctx };
	int r = NLMSG_MORE;

	if (send(fd, q, q->head.nlmsg_len, 0) < 0)
		return -errno;
	for (unsigned i = 0; i < NLMSG_DATAGRAMS_MAX && r == NLMSG_MORE; i++) {
		ssize_t n = recv(fd, reply, sizeof(reply), MSG_TRUNC);

		if (n < 0 && errno == EINTR)
			continue;
		r = n<0 ? -errno : n>(ssize_t) sizeof(reply) ? -EMSGSIZE : nlmsg_hear(&ear, reply, (size_t)n);
	}
	explicit_bzero(reply, sizeof(reply));
	return r == NLMSG_MORE ? -E2BIG : r;
}

bool nlmsg_next(struct rd *r, struct nlmsg_field *ret)
{
	uint16_t len, type;
	const uint8_t *p;

	if (!rd_left(r) || r->bad)
		return false;
	len = (uint16_t)rd_le(r, 2);
	type = (uint16_t)rd_le(r, 2);
	p = len < NLA_HDRLEN ? NULL : rd_take(r, (size_t)(len - NLA_HDRLEN));
	if (!p) {
		r->bad = true;
		return false;
	}
	(void)rd_take(r, rd_left(r) < (size_t)(NLA_ALIGN(len) - len) ? rd_left(r) : (size_t)(NLA_ALIGN(len) - len)); /* the last has none */
	*ret = (struct nlmsg_field){ .type = type & NLA_TYPE_MASK, .body = rd_over(p, (size_t)(len - NLA_HDRLEN)) };
	return true;
}
