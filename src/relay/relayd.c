/* A batch from one port goes out of the other in one call. Nothing is allocated, and nothing is answered to anybody. */
#include "relay/relayd.h"

#include "base/log.h"
#include "svc/daemon.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum {
	BATCH = 32,             /* datagrams at a time, so that no port is kept waiting by another */
	BUFFER_BYTES = 4 << 20, /* of a socket, each way: 30 ms of 1 Gbit/s, while this process is not on a processor */
};

/* IPv4 addresses are inside IPv6 ones here, as the sockets speak both. */
static void at_of(const struct sockaddr_in6 *sa, struct endpoint *ret)
{
	*ret = (struct endpoint){ .port = ntohs(sa->sin6_port), .family = AF_INET6 };
	if (IN6_IS_ADDR_V4MAPPED(&sa->sin6_addr)) {
		ret->family = AF_INET;
		memcpy(ret->address, &sa->sin6_addr.s6_addr[12], 4);
	} else {
		memcpy(ret->address, &sa->sin6_addr, 16);
	}
}

static void sockaddr_of(const struct endpoint *at, struct sockaddr_in6 *ret)
{
	*ret = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(at->port) };
	if (at->family == AF_INET) {
		ret->sin6_addr.s6_addr[10] = ret->sin6_addr.s6_addr[11] = 0xff;
		memcpy(&ret->sin6_addr.s6_addr[12], at->address, 4);
	} else {
		memcpy(&ret->sin6_addr, at->address, 16);
	}
}

/* What goes with a datagram: which address of ours it came to, or goes from. */
union control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

struct batch {
	struct mmsghdr heads[BATCH];
	union control controls[BATCH];
	struct iovec parts[BATCH];
	struct sockaddr_in6 at[BATCH];
	char bytes[BATCH][RELAY_DATAGRAM_MAX];
};

static int batch_receive(struct batch *b, int fd)
{
	for (size_t i = 0; i < BATCH; i++) {
		b->parts[i] = (struct iovec){ b->bytes[i], sizeof(b->bytes[i]) };
		b->heads[i].msg_hdr = (struct msghdr){ .msg_name = &b->at[i],
						       .msg_namelen = sizeof(b->at[i]),
						       .msg_iov = &b->parts[i],
						       .msg_iovlen = 1,
						       .msg_control = &b->controls[i],
						       .msg_controllen = sizeof(b->controls[i]) };
	}
	return recvmmsg(fd, b->heads, BATCH, MSG_DONTWAIT, NULL);
}

static void hop_read(const struct batch *b, size_t i, struct relay_hop *ret)
{
	const struct msghdr *m = &b->heads[i].msg_hdr;
	const struct cmsghdr *c = CMSG_FIRSTHDR(m);
	struct in6_pktinfo info = { 0 };

	if (c && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO && c->cmsg_len == CMSG_LEN(sizeof(info)))
		memcpy(&info, CMSG_DATA(c), sizeof(info));
	at_of(&b->at[i], &ret->at);
	memcpy(ret->by, &info.ipi6_addr, sizeof(ret->by));
}

/* The N-th that goes out. */
static void hop_write(struct batch *b, size_t n, const struct relay_hop *to)
{
	struct in6_pktinfo info = { 0 };
	struct msghdr *m = &b->heads[n].msg_hdr;

	sockaddr_of(&to->at, &b->at[n]);
	memcpy(&info.ipi6_addr, to->by, sizeof(to->by));
	b->controls[n].head = (struct cmsghdr){ .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO, .cmsg_len = CMSG_LEN(sizeof(info)) };
	memcpy(CMSG_DATA(&b->controls[n].head), &info, sizeof(info));
	m->msg_controllen = sizeof(b->controls[n]);
	m->msg_namelen = sizeof(b->at[n]);
}

/* Those that go nowhere are left out; the others keep their places in BYTES. */
static unsigned batch_sort(struct batch *b, struct relayd *d, size_t port, unsigned n)
{
	uint64_t now_ms = log_now_ms();
	unsigned n_out = 0;

	for (unsigned i = 0; i < n; i++) {
		struct str datagram = { b->bytes[i], b->heads[i].msg_len };
		struct relay_hop from, to;

		if (b->heads[i].msg_hdr.msg_flags & MSG_TRUNC) {
			d->pairs->dropped++;
			continue;
		}
		hop_read(b, i, &from);
		if (relay_pairs_take(d->pairs, port, &from, datagram, now_ms, &to) != RELAY_PASS)
			continue;
		b->parts[n_out] = (struct iovec){ b->bytes[i], datagram.n };
		hop_write(b, n_out++, &to);
	}
	return n_out;
}

/* What the kernel does not take is lost, as on any way. */
static void batch_send(struct batch *b, int fd, unsigned n)
{
	for (unsigned i = 0; i < n;) {
		int sent = sendmmsg(fd, b->heads + i, n - i, MSG_DONTWAIT);

		i += sent > 0 ? (unsigned)sent : 1;
	}
}

static int on_port(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	static struct batch b; /* 130 kB, and there is one thread */
	struct relay_port *p = userdata;
	size_t port = (size_t)(p - p->relayd->ports);
	int n = batch_receive(&b, fd);

	(void)source;
	(void)events;
	if (n > 0)
		batch_send(&b, p->relayd->ports[port ^ 1].fd, batch_sort(&b, p->relayd, port, (unsigned)n));
	return 0;
}

struct hold_args {
	struct key_pub node;
	sd_json_variant *ask;
};
static const struct json_field hold_fields[] = {
	{ "node", JSON_KEY, offsetof(struct hold_args, node), .required = true },
	{ "ask", JSON_ANY, offsetof(struct hold_args, ask), .required = true },
};
const struct json_table relayd_hold_table = { hold_fields, ARRAY_LEN(hold_fields), sizeof(struct hold_args), NULL };

static int on_hold(sd_varlink *link, sd_json_variant *v, sd_varlink_method_flags_t flags, void *userdata)
{
	struct relayd *d = userdata;
	struct hold_args a = { 0 };
	struct relay_args ask = { 0 };
	struct relay_ends ends;
	uint16_t port;
	struct err e = { 0 };
	int r;

	(void)flags;
	if ((r = json_decode(v, &relayd_hold_table, &a, &e)) || (r = json_decode(a.ask, &relay_table, &ask, &e)) ||
	    (r = relay_ends_decode(&ask, &a.node, &ends, &e)) || (r = relay_pairs_ask(d->pairs, &a.node, &ask.peer, &ends, log_now_ms(), &port, &e)))
		return daemon_reply_error(link, r, &e);
	return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_UNSIGNED("port", port));
}

static int on_count(sd_varlink *link, sd_json_variant *v, sd_varlink_method_flags_t flags, void *userdata)
{
	const struct relay_pairs *p = ((struct relayd *)userdata)->pairs;

	(void)v;
	(void)flags;
	return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_UNSIGNED("pairs", relay_pairs_count(p, log_now_ms())),
				  SD_JSON_BUILD_PAIR_UNSIGNED("datagrams", p->datagrams), SD_JSON_BUILD_PAIR_UNSIGNED("bytes", p->bytes),
				  SD_JSON_BUILD_PAIR_UNSIGNED("dropped", p->dropped));
}

static int port_open(uint16_t port, int *ret, struct err *e)
{
	const struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	const int no = 0, yes = 1, size = BUFFER_BYTES;
	AUTO_FD int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)) ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &yes, sizeof(yes)) || bind(fd, (const struct sockaddr *)&at, sizeof(at)))
		return err_set(e, -errno, "open UDP port %u: %m", port);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)); /* as much as anybody may have */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	*ret = take_fd(fd);
	return 0;
}

int relayd_ports_open(struct relayd *ret, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < RELAY_PORTS; i++)
		ret->ports[i] = (struct relay_port){ .relayd = ret, .fd = -1 };
	for (size_t i = 0; i < RELAY_PORTS && !r; i++)
		r = port_open((uint16_t)(RELAY_PORT_BASE + i), &ret->ports[i].fd, e);
	return r;
}

/* What is there of a process before this one, if it is the same table; else an empty one. */
static int table_map(struct relayd *d, const char *table, struct err *e)
{
	AUTO_FD int fd = open(table, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;
	void *at;

	if (fd < 0 || fstat(fd, &st) || (st.st_size != sizeof(*d->pairs) && (ftruncate(fd, 0) || ftruncate(fd, sizeof(*d->pairs)))))
		return err_set(e, -errno, "keep pairs in %s: %m", table);
	at = mmap(NULL, sizeof(*d->pairs), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return err_set(e, -errno, "keep pairs in %s: %m", table);
	d->pairs = at;
	if (d->pairs->version != RELAY_VERSION)
		*d->pairs = (struct relay_pairs){ .version = RELAY_VERSION };
	return 0;
}

int relayd_init(struct relayd *d, sd_event *event, const char *table, const char *socket, struct err *e)
{
	int r;

	d->event = sd_event_ref(event);
	if ((r = table_map(d, table, e)) || (r = daemon_listen(event, socket, 0600, d, &d->server, e)))
		return r;
	for (size_t i = 0; i < RELAY_PORTS && r >= 0; i++)
		r = sd_event_add_io(event, &d->ports[i].source, d->ports[i].fd, EPOLLIN, on_port, &d->ports[i]);
	if (r < 0 || (r = sd_varlink_server_bind_method(d->server, RELAY_HOLD, on_hold)) < 0 ||
	    (r = sd_varlink_server_bind_method(d->server, RELAY_COUNT, on_count)) < 0)
		return err_set(e, r, "relay: %s", strerror(-r));
	return 0;
}

void relayd_deinit(struct relayd *d)
{
	for (size_t i = 0; i < RELAY_PORTS && d->ports[i].relayd; i++) {
		sd_event_source_disable_unref(d->ports[i].source);
		fd_close(&d->ports[i].fd);
	}
	sd_varlink_server_unref(d->server);
	if (d->pairs)
		munmap(d->pairs, sizeof(*d->pairs));
	sd_event_unref(d->event);
	*d = (struct relayd)RELAYD_NONE;
}
