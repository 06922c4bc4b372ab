#include "sys/genl.h"

#include <linux/genetlink.h>
#include <sys/socket.h>

static int on_family(void *ctx, struct rd body)
{
	uint16_t *id = ctx;
	struct nlmsg_field f;

	genl_skip(&body);
	while (nlmsg_next(&body, &f))
		if (f.type == CTRL_ATTR_FAMILY_ID) {
			*id = (uint16_t)rd_le(&f.body, 2);
			body.bad |= rd_done(&f.body) != 0;
		}
	return rd_done(&body);
}

void genl_init(struct nlmsg *q, const struct genl *g, uint8_t command, uint16_t flags)
{
	struct genlmsghdr head = { .cmd = command, .version = g->version };

	nlmsg_init(q, g->family, flags, &head, sizeof(head));
}

void genl_skip(struct rd *body)
{
	(void)rd_take(body, GENL_HDRLEN);
}

int genl_open(const char *family, uint8_t version, struct genl *ret, struct err *e)
{
	AUTO_GENL struct genl g = { .fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC), .family = GENL_ID_CTRL, .version = 1 };
	struct nlmsg q;
	uint16_t id = 0;
	int r;

	if (g.fd < 0)
		return err_set(e, -errno, "open a generic netlink socket: %m");
	genl_init(&q, &g, CTRL_CMD_GETFAMILY, 0);
	nlmsg_attr(&q, CTRL_ATTR_FAMILY_NAME, family, strlen(family) + 1);
	r = nlmsg_ask(g.fd, &q, on_family, &id);
	if (r == -ENOENT)
		return err_set(e, -EOPNOTSUPP, "this kernel has no %s", family);
	if (r || !id)
		return err_set(e, r ? r : -EBADMSG, "ask the kernel for %s: %s", family, strerror(r ? -r : EBADMSG));
	*ret = (struct genl){ .fd = take_fd(g.fd), .family = id, .version = version };
	return 0;
}

void genl_close(struct genl *g)
{
	fd_close(&g->fd);
}
