#include "sys/nlmsg.h"

#include <string.h>
#include <sys/socket.h>

enum { REPLY_MAX = 8192 };

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
