/* Machines' links and the filter, in namespaces of this test's own: what may be reached is, and what may not is not. */
#include "network/network.h"

#include "base/file.h"
#include "sys/netlink.h"
#include "sys/netns.h"
#include "test/rate.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
	LIMIT = 1 << 20,
	CONNECTIONS = 64 /* that nobody accepts */,
	PATIENCE_MS = 400,
	FLOWS_MAX = 40,
	FLOWS_TRIED = 80,
	FILTER_PATIENCE_US = 20 * 1000000
};

enum { TAP_HEAD = 10, TAP_PACKETS = 60, TAP_PACKET = 1000 + TAP_HEAD };

struct probe {
	const char *to, *from; /* FROM NULL: as the kernel chooses */
	unsigned port;
	int r; /* 0 connected, else the errno, ETIMEDOUT when nothing came back */
};

static int listen_on(void *ctx, struct err *e)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(80) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)e;
	T_NEED(fd >= 0 && !bind(fd, (struct sockaddr *)&any, sizeof(any)) && !listen(fd, CONNECTIONS), "listen: %m");
	*(int *)ctx = fd;
	return 0;
}

static int probe_run(void *ctx, struct err *e)
{
	struct probe *p = ctx;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)p->port) }, from = { .sin_family = AF_INET };
	AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pollfd wait = { .fd = fd, .events = POLLOUT };
	socklen_t n = sizeof(p->r);

	(void)e;
	inet_pton(AF_INET, p->to, &to.sin_addr);
	if (p->from) {
		T_NEED(!setsockopt(fd, SOL_IP, IP_TRANSPARENT, &(int){ 1 }, sizeof(int)), "transparent: %m");
		inet_pton(AF_INET, p->from, &from.sin_addr);
		T_NEED(!bind(fd, (struct sockaddr *)&from, sizeof(from)), "bind %s: %m", p->from);
	}
	if (!connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		p->r = 0;
		return 0;
	}
	if (errno != EINPROGRESS) {
		p->r = errno;
		return 0;
	}
	if (poll(&wait, 1, PATIENCE_MS) != 1)
		p->r = ETIMEDOUT;
	else
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &p->r, &n);
	return 0;
}

static void on_ready(void *ctx, int fd, sd_json_variant *reply, int r, const struct err *e)
{
	(void)reply;
	T_CHECK(!r, "%s", e->msg);
	*(int *)ctx = fd;
}

struct fixture {
	char dir[32], resolv[64], outside[64];
	sd_event *event;
	struct provider *p;
	struct work a, b;
	int node_listener, a_listener, b_listener, out_listener;
};

/* The world beyond the node: a namespace with a public and a private address, both listening on port 80. */
static int outside_inside(void *ctx, struct err *e)
{
	AUTO_FD int nl = -1;

	T_NEED(!netlink_open(&nl, e) && !netlink_up(nl, "lo", e) && !netlink_up(nl, "up", e) &&
		       !netlink_add_address(nl, "up", 0xc0000201, 24, e) /* 192.0.2.1 */ &&
		       !netlink_add_address(nl, "lo", 0x0a090909, 32, e) /* 10.9.9.9 */ &&
		       !netlink_add_address(nl, "lo", 0x0a080808, 32, e) /* 10.8.8.8 */,
	       "%s", e->msg);
	return listen_on(ctx, e);
}

/* As every daemon's loop does. */
static void children_block(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	T_NEED(!sigprocmask(SIG_BLOCK, &set, NULL), "sigprocmask: %m");
}

static void provider_up(struct fixture *f)
{
	struct network_options o = { .dir = f->dir, .resolv_conf = f->resolv, .imaged_uid = 902, .flows_max = FLOWS_MAX, .filter = FILTER_PROGRAM };
	struct err e = { 0 };

	T_NEED(!network_provider_new(f->event, &o, &f->p, &e), "%s", e.msg);
}

static void up(struct fixture *f)
{
	struct err e = { 0 };
	AUTO_FD int nl = -1;

	T_NEED(!unshare(CLONE_NEWNET | CLONE_NEWNS), "unshare: %m");
	strcpy(f->dir, "/tmp/network_test.XXXXXX");
	T_NEED(mkdtemp(f->dir) != NULL, "mkdtemp: %m");
	snprintf(f->resolv, sizeof(f->resolv), "%s/.resolv.conf", f->dir);
	snprintf(f->outside, sizeof(f->outside), "%s/.outside", f->dir);
	T_NEED(!netlink_open(&nl, &e) && !netlink_up(nl, "lo", &e) && !netns_make(f->outside, &e), "%s", e.msg);
	AUTO_FD int there = open(f->outside, O_RDONLY | O_CLOEXEC);
	T_NEED(!netlink_add_veth(nl, "eth9", "up", there, &e) && !netlink_up(nl, "eth9", &e) &&
		       !netlink_add_address(nl, "eth9", 0xc0000202, 24, &e) && !netlink_add_default(nl, "eth9", 0xc0000201, &e),
	       "%s", e.msg);
	T_NEED(!netns_run(f->outside, outside_inside, &f->out_listener, &e), "%s", e.msg);
	children_block();
	T_NEED(sd_event_new(&f->event) >= 0, "event");
	provider_up(f);
	strcpy(f->a.id, "000000000000000a");
	strcpy(f->b.id, "000000000000000b");
	f->a.spec.isolation = f->b.spec.isolation = ISOLATION_CONTAINER;
	T_NEED(!f->p->ops->apply(f->p, &f->a, &e) && !f->p->ops->apply(f->p, &f->b, &e), "%s", e.msg);
	listen_on(&f->node_listener, &e);
	T_NEED(!netns_run(f->a.network.netns, listen_on, &f->a_listener, &e) && !netns_run(f->b.network.netns, listen_on, &f->b_listener, &e), "%s",
	       e.msg);
}

static void filter_settle(struct fixture *f)
{
	while (!network_filter_is_current(f->p))
		T_NEED(sd_event_run(f->event, FILTER_PATIENCE_US) > 0, "the filter is not loaded");
}

static void open_range(struct fixture *f, const char *range)
{
	struct farm *farm = calloc(1, sizeof(*farm));

	T_NEED(farm != NULL, "memory");
	farm->open[0].range = range;
	farm->n_open = 1;
	f->p->ops->configure(f->p, NULL, farm);
	filter_settle(f);
	free(farm);
}

static struct fixture f;

static void only_what_is_allowed_gets_through(void)
{
	const struct {
		const char *who, *to, *from;
		bool reaches;
	} rows[] = {
		{ f.a.network.netns, "192.0.2.1", NULL, true },              /* the outside */
		{ f.a.network.netns, "10.9.9.9", NULL, true },               /* a private range that the farm opened */
		{ f.a.network.netns, "10.8.8.8", NULL, false },              /* one that it did not */
		{ f.a.network.netns, f.a.network.gateway, NULL, false },     /* the node, by its end of the link */
		{ f.a.network.netns, "192.0.2.2", NULL, false },             /* the node, by its uplink */
		{ f.a.network.netns, f.b.network.address, NULL, false },     /* another machine */
		{ f.outside, "192.0.2.2", NULL, false },                     /* from outside to the node */
	};

	open_range(&f, "10.9.0.0/16");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct probe p = { .to = rows[i].to, .from = rows[i].from, .port = 80 };
		struct err e = { 0 };

		T_CHECK(!netns_run(rows[i].who, probe_run, &p, &e), "%s", e.msg);
		T_CHECK(rows[i].reaches ? !p.r : p.r == ETIMEDOUT, "row %zu to %s: %s", i, rows[i].to, strerror(p.r));
	}
}

static int udp_listen(void *ctx, struct err *e)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(81) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)e;
	T_NEED(fd >= 0 && !bind(fd, (struct sockaddr *)&any, sizeof(any)), "listen: %m");
	*(int *)ctx = fd;
	return 0;
}

static int udp_send(void *ctx, struct err *e)
{
	const struct probe *p = ctx;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(81) }, from = { .sin_family = AF_INET };
	AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)e;
	inet_pton(AF_INET, p->to, &to.sin_addr);
	inet_pton(AF_INET, p->from, &from.sin_addr);
	T_NEED(!setsockopt(fd, SOL_IP, IP_TRANSPARENT, &(int){ 1 }, sizeof(int)) && !bind(fd, (struct sockaddr *)&from, sizeof(from)), "bind %s: %m",
	       p->from);
	T_NEED(sendto(fd, p->from, strlen(p->from), 0, (struct sockaddr *)&to, sizeof(to)) > 0, "send from %s: %m", p->from);
	return 0;
}

/* Looks at what arrives outside: no answer would come back to a false name in any case. */
static void nothing_leaves_in_somebody_elses_name(void)
{
	const struct {
		const char *from;
		bool arrives;
	} rows[] = { { f.a.network.address, true }, { "192.0.2.77", false }, { f.b.network.address, false }, { "10.9.9.8", false } };
	struct err e = { 0 };
	AUTO_FD int fd = -1;

	T_NEED(!netns_run(f.outside, udp_listen, &fd, &e), "%s", e.msg);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct probe p = { .to = "192.0.2.1", .from = rows[i].from };
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		char text[32] = "";

		T_NEED(!netns_run(f.a.network.netns, udp_send, &p, &e), "%s", e.msg);
		if (poll(&wait, 1, PATIENCE_MS) == 1)
			T_NEED(recv(fd, text, sizeof(text) - 1, 0) > 0, "receive: %m");
		T_CHECK(rows[i].arrives ? !strcmp(text, rows[i].from) : !text[0], "from %s: '%s'", rows[i].from, text);
	}
}

static int udp_send_often(void *ctx, struct err *e)
{
	for (int i = 0; i < FLOWS_TRIED; i++)
		udp_send(ctx, e); /* each from a port of its own */
	return 0;
}

static unsigned arrive(const struct work *from, int fd)
{
	struct probe p = { .to = "192.0.2.1", .from = from->network.address };
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	struct err e = { 0 };
	char text[32];
	unsigned n = 0;

	T_NEED(!netns_run(from->network.netns, udp_send_often, &p, &e), "%s", e.msg);
	for (; poll(&wait, 1, PATIENCE_MS) == 1; n++)
		T_NEED(recv(fd, text, sizeof(text), 0) > 0, "receive: %m");
	return n;
}

/* The kernel remembers a machine's connections for half a minute and more: those of the tests before count. */
static void who_opens_too_many_connections_hinders_nobody_else(void)
{
	struct err e = { 0 };
	AUTO_FD int fd = -1;
	unsigned n;

	T_NEED(!netns_run(f.outside, udp_listen, &fd, &e), "%s", e.msg);
	n = arrive(&f.a, fd);
	T_CHECK(n >= FLOWS_MAX / 2 && n <= FLOWS_MAX, "%u", n);
	open_range(&f, "10.7.0.0/16"); /* other rules count on */
	T_CHECK(!arrive(&f.a, fd), "after a change of the rules");
	n = arrive(&f.b, fd);
	T_CHECK(n >= FLOWS_MAX / 2 && n <= FLOWS_MAX, "the other machine's: %u", n);
	open_range(&f, "10.9.0.0/16");
}

static void the_node_reaches_its_machine_for_the_owner(void)
{
	int fd = -1;
	struct provider_stream s = { .kind = PROVIDER_TCP, .port = 80, .ready = on_ready, .ctx = &fd };
	struct err e = { 0 };

	T_NEED(!f.p->ops->stream(f.p, &f.a, &s, &e), "%s", e.msg);
	for (int i = 0; i < 100 && fd < 0; i++)
		T_NEED(sd_event_run(f.event, 5000000) >= 0, "loop");
	T_CHECK(fd >= 0, "connected");
	fd_close(&fd);
}

static void applying_again_changes_nothing(void)
{
	struct network_result before = f.a.network;
	struct err e = { 0 };

	T_CHECK(!f.p->ops->apply(f.p, &f.a, &e), "%s", e.msg);
	T_CHECK(!strcmp(before.address, f.a.network.address) && before.index == f.a.network.index, "%s", f.a.network.address);
	T_CHECK(strcmp(f.a.network.address, f.b.network.address), "two machines, two addresses");
}

static int bind_low(void *ctx, struct err *e)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(443) };
	AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)e;
	T_NEED(!setresuid(-1, 1000, -1), "setresuid: %m");
	*(int *)ctx = bind(fd, (struct sockaddr *)&any, sizeof(any)) ? errno : 0;
	T_NEED(!setresuid(-1, 0, -1), "setresuid: %m");
	return 0;
}

static void a_machines_users_may_bind_low_ports_and_the_nodes_may_not(void)
{
	int inside = -1, outside = -1;
	struct err e = { 0 };

	T_CHECK(!netns_run(f.a.network.netns, bind_low, &inside, &e) && !inside, "%s %s", e.msg, strerror(inside));
	T_CHECK(!bind_low(&outside, &e) && outside == EACCES, "%s", strerror(outside));
}

/* The process that pulls images reaches what machines reach, and the others of the node what they like. */
static void imaged_reaches_no_more_than_machines(void)
{
	static const struct {
		uid_t uid;
		const char *to;
		bool reaches;
	} rows[] = {
		{ 902, "192.0.2.1", true }, { 902, "10.9.9.9", true }, { 902, "10.8.8.8", false }, { 901, "10.8.8.8", true }, { 0, "10.8.8.8", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct probe p = { .to = rows[i].to, .port = 80 };
		struct err e = { 0 };

		T_NEED(!setresuid(-1, rows[i].uid, -1), "setresuid: %m");
		probe_run(&p, &e);
		T_NEED(!setresuid(-1, 0, -1), "setresuid: %m");
		T_CHECK(rows[i].reaches ? !p.r : p.r == ETIMEDOUT, "row %zu: %s", i, strerror(p.r));
	}
}

static void public_apply_to(struct work *w, uint32_t address)
{
	struct err e = { 0 };

	w->public.address = address;
	strcpy(w->public.card, "eth9");
	T_NEED(!f.p->ops->apply(f.p, w, &e), "%s", e.msg);
	filter_settle(&f);
}

static int reach(const char *from, const char *to, unsigned port)
{
	struct probe p = { .to = to, .port = port };
	struct err e = { 0 };

	T_NEED(!netns_run(from, probe_run, &p, &e), "%s", e.msg);
	return p.r;
}

/* Whoever asked for an address that nobody had asks again after a second. */
static bool is_reached_at_last(const char *from, const char *to, unsigned port)
{
	int r = ETIMEDOUT;

	for (int i = 0; i < 20 && r; i++)
		r = reach(from, to, port);
	return !r;
}

/* Whose source address a packet from W has outside. */
static uint32_t leaves_as(const struct work *w, int outside)
{
	struct probe p = { .to = "192.0.2.1", .from = w->network.address };
	struct pollfd wait = { .fd = outside, .events = POLLIN };
	struct sockaddr_in as = { 0 };
	socklen_t n = sizeof(as);
	struct err e = { 0 };
	char text[32];

	T_NEED(!netns_run(w->network.netns, udp_send, &p, &e), "%s", e.msg);
	if (T_CHECK(poll(&wait, 1, PATIENCE_MS) == 1, "nothing comes"))
		T_NEED(recvfrom(outside, text, sizeof(text), 0, (struct sockaddr *)&as, &n) > 0, "receive: %m");
	return ntohl(as.sin_addr.s_addr);
}

#define OF_A "192.0.2.16"
enum { ADDRESS_OF_A = 0xc0000210, NODE = 0xc0000202 };

static void a_public_address_leads_to_its_machine(void)
{
	struct err e = { 0 };
	AUTO_FD int out = -1;

	T_NEED(!netns_run(f.outside, udp_listen, &out, &e), "%s", e.msg);
	T_CHECK(reach(f.outside, OF_A, 80) && leaves_as(&f.a, out) == NODE, "nobody has it");
	public_apply_to(&f.a, ADDRESS_OF_A);
	T_CHECK(is_reached_at_last(f.outside, OF_A, 80) && reach(f.outside, OF_A, 25) == ECONNREFUSED, "every port is the machine's");
	T_CHECK(leaves_as(&f.a, out) == ADDRESS_OF_A && leaves_as(&f.b, out) == NODE, "it leaves with it, and nobody else");
	T_CHECK(!reach(f.b.network.netns, OF_A, 80) && reach(f.b.network.netns, OF_A, 25) == ETIMEDOUT, "a neighbour is outside, and sends no mail");
	T_CHECK(reach(f.outside, "192.0.2.2", 80) == ETIMEDOUT && reach(f.b.network.netns, f.a.network.address, 80) == ETIMEDOUT,
		"nothing else is open");
}

/* Nobody sends as a machine of this node from outside, or as another's public address from within. */
static void nobody_else_has_a_public_address(void)
{
	const struct {
		const char *netns, *to, *from;
		bool arrives;
	} rows[] = {
		{ f.outside, OF_A, "192.0.2.1", true },
		{ f.outside, OF_A, f.b.network.address, false },
		{ f.b.network.netns, "192.0.2.1", f.b.network.address, true },
		{ f.b.network.netns, "192.0.2.1", OF_A, false },
	};
	struct err e = { 0 };
	AUTO_FD int out = -1, in = -1;

	T_NEED(!netns_run(f.outside, udp_listen, &out, &e) && !netns_run(f.a.network.netns, udp_listen, &in, &e), "%s", e.msg);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct probe p = { .to = rows[i].to, .from = rows[i].from };
		struct pollfd wait = { .fd = i < 2 ? in : out, .events = POLLIN };
		char text[32];

		T_NEED(!netns_run(rows[i].netns, udp_send, &p, &e), "%s", e.msg);
		T_CHECK((poll(&wait, 1, PATIENCE_MS) == 1) == rows[i].arrives, "row %zu", i);
		(void)!recv(wait.fd, text, sizeof(text), MSG_DONTWAIT);
	}
	f.b.public.address = ADDRESS_OF_A;
	strcpy(f.b.public.card, "eth9");
	T_CHECK(f.p->ops->apply(f.p, &f.b, &e) == -EEXIST && strstr(e.msg, OF_A " is another machine's"), "%s", e.msg);
	f.b.public.address = 0;
}

/* What comes is counted apart from what the machine opens. */
static void who_knocks_too_often_fills_no_table(void)
{
	struct probe p = { .to = OF_A, .from = "192.0.2.1" };
	struct pollfd wait = { .events = POLLIN };
	struct err e = { 0 };
	AUTO_FD int in = -1;
	unsigned n = 0;
	char text[32];

	public_apply_to(&f.a, ADDRESS_OF_A);
	T_CHECK(is_reached_at_last(f.outside, OF_A, 80), "once");
	T_NEED(!netns_run(f.a.network.netns, udp_listen, &in, &e) && !netns_run(f.outside, udp_send_often, &p, &e), "%s", e.msg);
	for (wait.fd = in; poll(&wait, 1, PATIENCE_MS) == 1; n++)
		T_NEED(recv(in, text, sizeof(text), 0) > 0, "receive: %m");
	T_CHECK(n >= FLOWS_MAX / 2 && n <= FLOWS_MAX, "%u", n);
	T_CHECK(!reach(f.a.network.netns, "192.0.2.1", 80), "the machine's own");
	public_apply_to(&f.a, 0);
}

/* Whether a byte written to FROM comes out of TO. */
static bool passes(int from, int to)
{
	struct pollfd wait = { .fd = to, .events = POLLIN };
	char byte = 0;

	T_NEED(write(from, &byte, 1) == 1, "write: %m");
	return poll(&wait, 1, PATIENCE_MS) == 1 && read(to, &byte, 1) == 1;
}

static void what_is_open_ends_with_the_address(void)
{
	struct rate_end listener = { .fd = -1 }, out = { .to = ADDRESS_OF_A };
	struct err e = { 0 };

	T_NEED(!netns_run(f.a.network.netns, rate_listen, &listener, &e) && !netns_run(f.outside, rate_connect, &out, &e), "%s", e.msg);
	AUTO_FD int in = accept(listener.fd, NULL, NULL);
	T_CHECK(passes(out.fd, in) && passes(in, out.fd), "as long as it is the machine's");
	public_apply_to(&f.a, 0);
	T_CHECK(!passes(out.fd, in) && !passes(in, out.fd), "and no longer");
	public_apply_to(&f.a, ADDRESS_OF_A);
	close(out.fd);
	close(listener.fd);
}

static void a_public_address_outlives_the_engine_and_goes_to_the_next(void)
{
	struct pollfd wait = { .events = POLLIN };
	struct err e = { 0 };

	network_provider_free(f.p);
	provider_up(&f);
	filter_settle(&f);
	T_CHECK(!reach(f.b.network.netns, OF_A, 80), "before its machine is applied");
	public_apply_to(&f.a, ADDRESS_OF_A);
	public_apply_to(&f.a, 0);
	T_CHECK(reach(f.outside, OF_A, 80) == ETIMEDOUT && reach(f.b.network.netns, OF_A, 80), "returned, it is silent");
	public_apply_to(&f.b, ADDRESS_OF_A);
	wait.fd = f.b_listener;
	T_CHECK(is_reached_at_last(f.outside, OF_A, 80) && poll(&wait, 1, PATIENCE_MS) == 1, "and the next machine's");
	T_CHECK(!f.p->ops->remove(f.p, &f.b, &e), "%s", e.msg);
	filter_settle(&f);
	T_CHECK(reach(f.outside, OF_A, 80) == ETIMEDOUT, "it goes with its machine");
	public_apply_to(&f.b, 0);
	open_range(&f, "10.9.0.0/16"); /* as it was */
	T_CHECK(!reach(f.b.network.netns, "192.0.2.1", 80), "as one of the others");
}

static void bandwidth_apply(struct work *w, uint64_t bandwidth)
{
	struct err e = { 0 };

	w->spec.bandwidth = bandwidth;
	T_NEED(!f.p->ops->apply(f.p, w, &e) && w->network.bandwidth == bandwidth, "%s", e.msg);
}

static uint64_t outside_rate(const struct work *w, bool up)
{
	return rate_of(w->network.netns, f.outside, 0xc0000201, up, LIMIT);
}

/* Both ways, as long as it has a limit, and nobody else. */
static void a_machine_keeps_to_its_bandwidth(void)
{
	for (int up = 0; up < 2; up++) {
		uint64_t rate = outside_rate(&f.a, up);

		T_CHECK(rate > 8 * LIMIT, "%d: without a limit %lu", up, (unsigned long)rate);
		bandwidth_apply(&f.a, LIMIT);
		rate = outside_rate(&f.a, up);
		T_CHECK(rate > LIMIT / 4 && rate < LIMIT * 5 / 4, "%d: with one %lu", up, (unsigned long)rate);
		rate = outside_rate(&f.b, up);
		T_CHECK(rate > 8 * LIMIT, "%d: the other %lu", up, (unsigned long)rate);
		bandwidth_apply(&f.a, 8 * LIMIT);
		rate = outside_rate(&f.a, up);
		T_CHECK(rate > LIMIT * 3 / 2 && rate < LIMIT * 10, "%d: with another %lu", up, (unsigned long)rate);
		bandwidth_apply(&f.a, 0);
		T_CHECK(!if_nametoindex("zi0"), "without one there is nothing of it");
	}
}

static void farm_bandwidth(uint64_t bandwidth)
{
	struct farm *farm = calloc(1, sizeof(*farm));

	T_NEED(farm != NULL, "memory");
	farm->bandwidth = bandwidth;
	f.p->ops->configure(f.p, NULL, farm);
	free(farm);
}

static void of_owner_and_farm_the_lesser_holds(void)
{
	static const struct {
		uint64_t owner, farm, holds;
	} rows[] = { { 0, 0, 0 }, { LIMIT, 0, LIMIT }, { 0, LIMIT, LIMIT }, { LIMIT, 2 * LIMIT, LIMIT }, { 2 * LIMIT, LIMIT, LIMIT } };
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		farm_bandwidth(rows[i].farm);
		f.a.spec.bandwidth = rows[i].owner;
		T_CHECK(!f.p->ops->apply(f.p, &f.a, &e) && f.a.network.bandwidth == rows[i].holds, "row %zu: %s", i, e.msg);
		T_CHECK(!if_nametoindex("zi0") == !rows[i].holds, "row %zu", i);
	}
	open_range(&f, "10.9.0.0/16"); /* a farm that says nothing of it, and what the tests behind this one need */
	bandwidth_apply(&f.a, 0);
}

struct tap {
	const char *device;
	const uint8_t *to; /* MAC */
	int fd;
};

static int tap_open(void *ctx, struct err *e)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	struct tap *t = ctx;

	(void)e;
	t->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", t->device);
	T_NEED(t->fd >= 0 && !ioctl(t->fd, TUNSETIFF, &req), "attach to %s: %m", t->device);
	return 0;
}

/* As a guest would send it: a virtio header without any offload, Ethernet, and UDP in IPv4 to 192.0.2.1, port 81, without checksums of UDP. */
static size_t guest_packet(const struct work *w, const uint8_t to[static 6], uint8_t ret[static TAP_PACKET])
{
	uint8_t *ether = ret + TAP_HEAD, *ip = ether + 14, *udp = ip + 20;
	const size_t n = TAP_PACKET - TAP_HEAD - 14;
	uint32_t from, sum = 0;

	memset(ret, 0, TAP_PACKET);
	memcpy(ether, to, 6);
	memcpy(ether + 6, (uint8_t[]){ 2, 0, 0, 0, 0, 9, 8, 0 }, 8);
	memcpy(ip, (uint8_t[]){ 0x45, 0, (uint8_t)(n >> 8), (uint8_t)n, 0, 0, 0, 0, 64, 17 }, 10);
	T_NEED(inet_pton(AF_INET, w->network.address, &from) == 1, "%s", w->network.address);
	memcpy(ip + 12, &from, 4);
	memcpy(ip + 16, (uint8_t[]){ 192, 0, 2, 1 }, 4);
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16));
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
	memcpy(udp, (uint8_t[]){ 0, 9, 0, 81, (uint8_t)((n - 20) >> 8), (uint8_t)(n - 20) }, 6);
	return TAP_PACKET;
}

/* How long the outside waits for the last of some packets that a guest sends at once. */
static uint64_t guest_sends_us(const struct work *w, const struct tap *t, int out)
{
	uint8_t packet[TAP_PACKET], got[TAP_PACKET];
	size_t n = guest_packet(w, t->to, packet);
	struct pollfd wait = { .fd = out, .events = POLLIN };
	uint64_t begun = rate_now_us();

	for (int i = 0; i < TAP_PACKETS; i++)
		T_NEED(write(t->fd, packet, n) == (ssize_t)n, "send: %m");
	for (int i = 0; i < TAP_PACKETS; i++)
		T_NEED(poll(&wait, 1, RATE_PATIENCE_MS) == 1 && recv(out, got, sizeof(got), 0) > 0, "packet %d does not come", i);
	return rate_now_us() - begun;
}

static void link_mac(const char *device, uint8_t ret[static 6])
{
	struct ifreq req = { 0 };
	AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", device);
	T_NEED(!ioctl(fd, SIOCGIFHWADDR, &req), "MAC of %s: %m", device);
	memcpy(ret, req.ifr_hwaddr.sa_data, 6);
}

/* 60,000 bytes at 65,536 a second, of which 16,384 pass at once. */
static void a_virtual_machine_does_so_too(void)
{
	struct work vm = { .id = "00000000000000d0", .kind = WORKLOAD_ZMACHINE, .spec.isolation = ISOLATION_VM };
	uint8_t mac[6];
	struct tap t = { .device = vm.network.device, .to = mac, .fd = -1 };
	struct err e = { 0 };
	AUTO_FD int out = -1;
	uint64_t us;

	bandwidth_apply(&vm, 0);
	T_NEED(!tap_open(&t, &e) && !netns_run(f.outside, udp_listen, &out, &e), "%s", e.msg);
	link_mac(t.device, mac);
	us = guest_sends_us(&vm, &t, out);
	T_CHECK(us < 400000, "without a limit %lu", (unsigned long)us);
	bandwidth_apply(&vm, 65536);
	us = guest_sends_us(&vm, &t, out);
	T_CHECK(us > 500000, "with one %lu", (unsigned long)us);
	close(t.fd);
	T_CHECK(if_nametoindex("zi2") && !f.p->ops->remove(f.p, &vm, &e) && !if_nametoindex("zi2"), "gone: %s", e.msg);
}

static bool is_done;

static void on_done(void *engine, struct work *w, int r, const struct err *e)
{
	(void)engine;
	(void)w;
	T_CHECK(!r, "%s", e->msg);
	is_done = true;
}

static void network_apply_to(struct work *net, bool outgoing)
{
	struct err e = { 0 };

	is_done = false;
	net->net.outgoing = outgoing;
	T_NEED(f.p->ops->apply(f.p, net, &e) == PROVIDER_BUSY, "%s", e.msg);
	while (!is_done)
		T_NEED(sd_event_run(f.event, FILTER_PATIENCE_US) > 0, "the network does not stand");
	filter_settle(&f);
}

/* B in a network that leads nowhere, A in none. */
static void whoever_is_in_closed_networks_alone_has_no_way_out(void)
{
	struct work net = { .kind = WORKLOAD_NETWORK, .id = "00000000000000c0", .family = "00000000000000f0" };
	const struct probe out = { .to = "192.0.2.1", .port = 80 };
	struct err e = { 0 };

	f.p->done = on_done;
	net.net = (struct network){
		.subnet = { 0x0a140100, 24 }, .range = { 0x0a140100, 24 }, .subnet6 = { { 0xfd }, 64 }, .range6 = { { 0xfd }, 64 }
	};
	strcpy(f.b.family, net.family);
	strcpy(f.b.links[0].network, net.id);
	f.b.name = "b";
	f.b.links[0].end = (struct card){ .mac = { 2, 1 },
					  .address = { 0x0a140105, 24 },
					  .range = { 0x0a140100, 24 },
					  .gateway = 0x0a140101,
					  .address6 = { { 0xfd, [15] = 5 }, 64 },
					  .range6 = { { 0xfd }, 64 } };
	f.b.n_links = 1;
	for (int outgoing = 0; outgoing < 2; outgoing++) {
		struct probe by_a = out, by_b = out;

		network_apply_to(&net, outgoing);
		T_NEED(!f.p->ops->apply(f.p, &f.b, &e), "%s", e.msg);
		filter_settle(&f);
		T_CHECK(!netns_run(f.a.network.netns, probe_run, &by_a, &e) && !by_a.r, "%s", strerror(by_a.r));
		T_CHECK(!netns_run(f.b.network.netns, probe_run, &by_b, &e) && by_b.r == (outgoing ? 0 : ETIMEDOUT), "%d: %s", outgoing,
			strerror(by_b.r));
	}
	f.b.n_links = 0;
	T_CHECK(!f.p->ops->apply(f.p, &f.b, &e) && !f.p->ops->remove(f.p, &net, &e), "%s", e.msg);
	filter_settle(&f);
}

static bool nobody(void *engine, const char *id)
{
	(void)engine;
	(void)id;
	return false;
}

static void nothing_is_left(void)
{
	struct err e = { 0 };
	char path[128];

	T_CHECK(!f.p->ops->remove(f.p, &f.b, &e), "%s", e.msg);
	T_CHECK(!if_nametoindex("zm1") && if_nametoindex("zm0"), "the other stays");
	f.p->ops->sweep(f.p, nobody);
	snprintf(path, sizeof(path), "%s/%s", f.dir, f.a.id);
	T_CHECK(!if_nametoindex("zm0") && access(path, F_OK), "swept");
	T_CHECK(!f.p->ops->remove(f.p, &f.a, &e), "absent is fine: %s", e.msg);
}

int main(void)
{
	struct err e = { 0 };

	up(&f);
	T_RUN(only_what_is_allowed_gets_through);
	T_RUN(nothing_leaves_in_somebody_elses_name);
	T_RUN(a_machine_keeps_to_its_bandwidth);
	T_RUN(of_owner_and_farm_the_lesser_holds);
	T_RUN(a_virtual_machine_does_so_too);
	T_RUN(a_public_address_leads_to_its_machine);
	T_RUN(nobody_else_has_a_public_address);
	T_RUN(what_is_open_ends_with_the_address);
	T_RUN(a_public_address_outlives_the_engine_and_goes_to_the_next);
	T_RUN(who_knocks_too_often_fills_no_table);
	T_RUN(the_node_reaches_its_machine_for_the_owner);
	T_RUN(applying_again_changes_nothing);
	T_RUN(a_machines_users_may_bind_low_ports_and_the_nodes_may_not);
	T_RUN(imaged_reaches_no_more_than_machines);
	T_RUN(whoever_is_in_closed_networks_alone_has_no_way_out);
	T_RUN(who_opens_too_many_connections_hinders_nobody_else);
	T_RUN(nothing_is_left);
	network_provider_free(f.p);
	sd_event_unref(f.event);
	close(f.node_listener);
	close(f.a_listener);
	close(f.b_listener);
	close(f.out_listener);
	T_CHECK(!netns_remove(f.outside, &e) && !tree_remove(AT_FDCWD, f.dir, &e), "%s", e.msg);
	return T_END();
}
