#include "network/network.h"

#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"
#include "network/edge.h"
#include "network/outlet.h"
#include "network/port.h"
#include "network/public.h"
#include "network/shape.h"
#include "sys/netlink.h"
#include "sys/netns.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>

enum { CONNECT_TIMEOUT_US = 10 * 1000000, CONNECTS_MAX = 256, RESOLV_CONF_MAX_BYTES = 65536, FLOWS_MIN = 512, FLOWS_MAX = 16384 };

struct networks {
	struct provider provider;
	sd_event *event;
	struct network_options o;
	struct filter filter;
	struct rules rules;
	char open[RULES_RANGES_MAX][19];
	unsigned cut[NETWORK_MACHINES_MAX];
	uint16_t tunnels[NETWORK_MACHINES_MAX];
	struct publics publics;
	struct rules_public public[RULES_PUBLIC_MAX];
	struct segments segments;
	struct edge edge;
	uint64_t bandwidth_max; /* of each machine's links, by the farm; 0 = none */
	sd_event_source *resolv_watch;
	int netlink;
	unsigned n_connects;
};

static struct networks *network_of(struct provider *p)
{
	return container_of(p, struct networks, provider);
}

static void result_fill(struct networks *n, struct work *w, unsigned index)
{
	struct network_result *r = &w->network;
	uint32_t base = RULES_BASE_ADDRESS + index * 2;

	r->index = index;
	snprintf(r->device, sizeof(r->device), RULES_DEVICE "%u", index);
	format_ip4(r->gateway, base);
	format_ip4(r->address, base + 1);
	snprintf(r->mac, sizeof(r->mac), "02:7a:6f:73:%02x:%02x", index >> 8, index & 255); /* locally administered */
	r->netns[0] = '\0';
	if (w->spec.isolation == ISOLATION_CONTAINER)
		snprintf(r->netns, sizeof(r->netns), "%s/%s/netns", n->o.dir, w->id);
}

static int index_read(const struct networks *n, const char *id, uint64_t *ret)
{
	AUTO_BUF struct buf text = { 0 };
	char path[256];

	snprintf(path, sizeof(path), "%s/%s/index", n->o.dir, id);
	if (file_read(AT_FDCWD, path, 16, &text, NULL))
		return -ENOENT;
	return parse_u64(buf_str(&text), NETWORK_MACHINES_MAX - 1, ret);
}

/* The lowest index that no machine has. */
static int index_free(const struct networks *n, uint64_t *ret, struct err *e)
{
	uint8_t taken[NETWORK_MACHINES_MAX] = { 0 };
	AUTO_DIR DIR *d = opendir(n->o.dir);
	struct dirent *entry;
	uint64_t index;

	if (!d)
		return err_set(e, -errno, "list %s: %m", n->o.dir);
	while ((entry = readdir(d)))
		if (entry->d_name[0] != '.' && !index_read(n, entry->d_name, &index))
			taken[index] = 1;
	for (index = 0; index < NETWORK_MACHINES_MAX; index++)
		if (!taken[index]) {
			*ret = index;
			return 0;
		}
	return err_set(e, -ENOSPC, "all %d machine links are in use", NETWORK_MACHINES_MAX);
}

static int index_get(struct networks *n, const char *id, uint64_t *ret, struct err *e)
{
	char path[256], text[16];
	int r;

	if (!index_read(n, id, ret))
		return 0;
	snprintf(path, sizeof(path), "%s/%s", n->o.dir, id);
	if ((r = index_free(n, ret, e)) || (r = dir_make(path, 0700, e)))
		return r;
	snprintf(path, sizeof(path), "%s/%s/index", n->o.dir, id);
	snprintf(text, sizeof(text), "%u", (unsigned)*ret);
	return file_save(AT_FDCWD, path, str_c(text), 0600, e);
}

struct inside {
	const struct network_result *r;
	uint32_t address;
};

/* The namespace belongs to the node, so a container's capabilities do not reach into it: what they would be good for there, low ports and
 * pings, is open to everybody in it, who are the container's own users alone. */
static int configure_inside(void *ctx, struct err *e)
{
	const struct inside *in = ctx;
	AUTO_FD int fd = -1;
	int r;

	if ((r = file_poke(AT_FDCWD, "/proc/sys/net/ipv4/ip_unprivileged_port_start", S("0"), e)) ||
	    (r = file_poke(AT_FDCWD, "/proc/sys/net/ipv4/ping_group_range", S("0 2147483647"), e)) || (r = netlink_open(&fd, e)) ||
	    (r = netlink_up(fd, "lo", e)) || (r = netlink_up(fd, "eth0", e)) || (r = netlink_add_address(fd, "eth0", in->address, 31, e)))
		return r;
	return netlink_add_default(fd, "eth0", in->address - 1, e);
}

static int link_container(struct networks *n, const struct network_result *r, uint32_t base, struct err *e)
{
	struct inside in = { r, base + 1 };
	int ret = netns_make(r->netns, e);
	AUTO_FD int netns = ret ? -1 : open(r->netns, O_RDONLY | O_CLOEXEC);

	if (ret)
		return ret;
	if (netns < 0)
		return err_set(e, -errno, "open %s: %m", r->netns);
	ret = netlink_add_veth(n->netlink, r->device, "eth0", netns, e);
	if (ret && ret != -EEXIST)
		return ret;
	return netns_run(r->netns, configure_inside, &in, e);
}

/* Before anything of it is in the filter: whoever is cut off is so from the start. */
static bool cut_change(struct networks *n)
{
	bool is_other = false;
	size_t n_cut = 0;

	for (const struct member *m = n->segments.members; m; m = m->next)
		if (member_is_cut(&n->segments, m)) {
			is_other |= n_cut >= n->rules.n_cut || n->cut[n_cut] != m->index;
			n->cut[n_cut++] = m->index;
		}
	is_other |= n_cut != n->rules.n_cut;
	n->rules.n_cut = n_cut;
	return is_other;
}

static bool tunnels_change(struct networks *n)
{
	bool is_other = false;
	size_t n_tunnels = 0;

	for (const struct segment *g = n->segments.first; g; g = g->next)
		if (g->span.port) {
			is_other |= n_tunnels >= n->rules.n_tunnels || n->tunnels[n_tunnels] != g->span.port;
			n->tunnels[n_tunnels++] = g->span.port;
		}
	is_other |= n_tunnels != n->rules.n_tunnels;
	n->rules.n_tunnels = n_tunnels;
	return is_other;
}

/* R: as from public.h. Negative: it stays as it is. */
static int public_changed(struct networks *n, int r)
{
	if (r <= 0)
		return r;
	n->rules.n_public = publics_rules(&n->publics, n->public);
	filter_change(&n->filter);
	return 0;
}

/* What the node's filter says of machines and networks. */
static void filter_update(struct networks *n)
{
	bool cut = cut_change(n), tunnels = tunnels_change(n);

	if (cut || tunnels) /* most machines change nothing, and a load costs as much as the start of one */
		filter_change(&n->filter);
}

/* What its owner says, or the farm, whichever is less. */
static uint64_t bandwidth_of(const struct networks *n, const struct work *w)
{
	uint64_t own = w->spec.bandwidth, most = n->bandwidth_max;

	return !own || (most && most < own) ? most : own;
}

static int machine_apply(struct networks *n, struct work *w, unsigned index, struct err *e)
{
	uint32_t base = RULES_BASE_ADDRESS + index * 2;
	int r;

	result_fill(n, w, index);
	w->network.bandwidth = bandwidth_of(n, w);
	r = w->spec.isolation == ISOLATION_CONTAINER ? link_container(n, &w->network, base, e) : tap_make(w->network.device, n->o.tap_uid, e);
	if (r || (r = shape_apply(n->netlink, w->network.device, index, w->network.bandwidth, e)) ||
	    (r = netlink_up(n->netlink, w->network.device, e)) || (r = netlink_add_address(n->netlink, w->network.device, base, 31, e)))
		return r;
	if ((r = public_changed(n, public_apply(&n->publics, w, index, n->netlink, e))))
		return r;
	r = member_apply(&n->segments, w, index, w->network.netns, e);
	filter_update(n);
	return r;
}

/* A store has links into its networks and no other: a namespace in which its runner listens. */
static int store_apply(struct networks *n, struct work *w, unsigned index, struct err *e)
{
	struct network_result *r = &w->network;
	int ret;

	r->index = index;
	snprintf(r->netns, sizeof(r->netns), "%s/%s/netns", n->o.dir, w->id);
	if ((ret = netns_make(r->netns, e)) || (ret = member_apply(&n->segments, w, index, r->netns, e)))
		return ret;
	filter_update(n);
	return 0;
}

/* What is published, and the way to it. */
static int gateway_apply(struct networks *n, struct work *w, struct err *e)
{
	int r = edge_make(&n->edge, n->netlink, e);

	return r ? r : outlet_apply(&n->segments, w, e);
}

static int take_down(struct provider *p, const char *id, struct err *e)
{
	struct networks *n = network_of(p);
	char path[256], device[16];
	uint64_t index;
	int r;

	if ((r = outlet_remove(&n->segments, id, e)) || (!n->segments.outlets && (r = edge_remove(&n->edge, e))) ||
	    (r = member_remove(&n->segments, id, e)) || (r = segment_remove(&n->segments, id, n->netlink, e)) < 0)
		return r;
	if ((r = r ? r : public_changed(n, public_remove(&n->publics, id, n->netlink, e))) < 0)
		return r;
	if (!r && !index_read(n, id, &index)) {
		snprintf(device, sizeof(device), RULES_DEVICE "%u", (unsigned)index);
		if ((r = netlink_remove(n->netlink, device, e)) || (r = shape_remove(n->netlink, (unsigned)index, e)))
			return r;
	}
	snprintf(path, sizeof(path), "%s/%s/netns", n->o.dir, id);
	if ((r = netns_remove(path, e)))
		return r;
	filter_update(n);
	snprintf(path, sizeof(path), "%s/%s", n->o.dir, id);
	return tree_remove(AT_FDCWD, path, e);
}

static int network_remove(struct provider *p, struct work *w, struct err *e)
{
	int r = take_down(p, w->id, e);

	if (r)
		return r;
	json_unrefp(&w->network.span);
	w->network = (struct network_result){ 0 };
	return 0;
}

static int network_apply(struct provider *p, struct work *w, struct err *e)
{
	struct networks *n = network_of(p);
	uint64_t index;
	int r;

	if (w->kind == WORKLOAD_ZDB && !w->n_links)
		return network_remove(p, w, e);
	if ((r = index_get(n, w->id, &index, e)))
		return r;
	if (w->kind == WORKLOAD_ZDB)
		return store_apply(n, w, (unsigned)index, e);
	if (workload_is_gateway(w->kind))
		return gateway_apply(n, w, e);
	if (w->kind != WORKLOAD_NETWORK)
		return machine_apply(n, w, (unsigned)index, e);
	w->network.index = (unsigned)index;
	r = segment_apply(&n->segments, w, (unsigned)index, n->netlink, e);
	filter_update(n);
	return r;
}

static void network_sweep(struct provider *p, bool (*is_wanted)(void *engine, const char *id))
{
	provider_sweep(p, network_of(p)->o.dir, is_wanted, take_down);
}

static void resolvers_read(struct networks *n)
{
	AUTO_BUF struct buf text = { 0 };
	struct names *names = &n->segments.names;

	if (!file_read(AT_FDCWD, n->o.resolv_conf, RESOLV_CONF_MAX_BYTES, &text, NULL))
		rules_resolvers(&n->rules, buf_str(&text));
	filter_change(&n->filter);
	edge_rules_changed(&n->edge);
	static_assert(sizeof(names->resolvers) == sizeof(n->rules.resolvers));
	memcpy(names->resolvers, n->rules.resolvers, sizeof(names->resolvers));
	names->n_resolvers = n->rules.n_resolvers;
	segments_resolvers_changed(&n->segments);
}

static void network_configure(struct provider *p, const struct key_pub *node, const struct farm *farm)
{
	struct networks *n = network_of(p);
	struct rules *r = &n->rules;

	r->n_open = 0;
	for (size_t i = 0; farm && i < farm->n_open; i++) {
		snprintf(n->open[i], sizeof(n->open[i]), "%s", farm->open[i].range);
		r->open[r->n_open++] = n->open[i];
	}
	n->bandwidth_max = farm ? farm->bandwidth : 0;
	r->relay_port = RELAY_PORT_BASE;
	r->n_relay_ports = farm && farm_relay_find(farm, node) ? RELAY_PORTS : 0;
	edge_configure(&n->edge, farm ? farm_gateway_find(farm, node) : NULL);
	edge_rules_changed(&n->edge);
	filter_change(&n->filter);
}

static int on_resolv_conf(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
	struct networks *n = userdata;
	const char *name = strrchr(n->o.resolv_conf, '/') + 1;

	(void)source;
	if (event->len && !strcmp(event->name, name))
		resolvers_read(n);
	return 0;
}

/* One connection on its way to a machine. */
struct attempt {
	struct networks *n;
	struct provider_stream s;
	sd_event_source *io, *timer;
	int fd;
	char where[32];
};

static int attempt_end(struct attempt *a, int r)
{
	struct err e = { 0 };

	if (r == -ECONNREFUSED)
		err_set(&e, -EHOSTUNREACH, "nothing listens on %s of the machine: has its program started?", a->where);
	else if (r)
		err_set(&e, -EHOSTUNREACH, "connect to %s of the machine: %s", a->where, strerror(-r));
	r = r ? -EHOSTUNREACH : 0;
	a->s.ready(a->s.ctx, r ? -1 : take_fd(a->fd), NULL, r, &e);
	sd_event_source_disable_unref(a->io);
	sd_event_source_disable_unref(a->timer);
	fd_close(&a->fd);
	a->n->n_connects--;
	free(a);
	return 0;
}

static int on_connected(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	socklen_t n = sizeof(int);
	int r = 0;

	(void)source;
	(void)events;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &r, &n))
		r = errno;
	return attempt_end(userdata, -r);
}

static int on_connect_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	return attempt_end(userdata, -ETIMEDOUT);
}

static int network_stream(struct provider *p, struct work *w, const struct provider_stream *s, struct err *e)
{
	struct networks *n = network_of(p);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)s->port) };
	struct attempt *a;
	AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	BUG_ON(s->kind != PROVIDER_TCP);
	if (n->n_connects == CONNECTS_MAX)
		return err_set(e, -EBUSY, "%d connections are being made already: try again", CONNECTS_MAX);
	if (fd < 0 || inet_pton(AF_INET, w->network.address, &to.sin_addr) != 1)
		return err_set(e, -EIO, "open a socket: %m");
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS)
		return err_set(e, -EHOSTUNREACH, "connect to port %u of the machine: %m", (unsigned)s->port);
	a = calloc(1, sizeof(*a));
	BUG_ON(!a);
	*a = (struct attempt){ .n = n, .s = *s, .fd = take_fd(fd) };
	snprintf(a->where, sizeof(a->where), "port %u", (unsigned)s->port);
	BUG_ON(sd_event_add_io(n->event, &a->io, a->fd, EPOLLOUT, on_connected, a) < 0 ||
	       sd_event_add_time_relative(n->event, &a->timer, CLOCK_MONOTONIC, CONNECT_TIMEOUT_US, 0, on_connect_timeout, a) < 0);
	n->n_connects++;
	return 0;
}

const struct meeting_ends *network_attach(struct provider *p, const struct meetings *m)
{
	struct networks *n = network_of(p);

	n->segments.meetings = m;
	return &n->segments.ends;
}

bool network_filter_is_current(struct provider *p)
{
	const struct networks *n = network_of(p);
	bool all = filter_is_current(&n->filter);

	for (const struct segment *g = n->segments.first; g; g = g->next)
		all &= filter_is_current(&g->filter);
	return all;
}

/* A peer's endpoint is whatever its owner writes, and packets go there. */
static int ends_check(const struct networks *n, const struct network *net, size_t at, struct err *e)
{
	for (size_t i = 0; i < network_n_peers(net); i++) {
		char text[ENDPOINT_TEXT_SIZE];
		struct network_peer p;

		network_peer(net, i, &p);
		if (!p.endpoint.family || rules_may_reach(&n->rules, &p.endpoint))
			continue;
		endpoint_format(text, &p.endpoint);
		return err_set(e, -EBADMSG, "/workloads/%zu/data/peers/%zu/endpoint: %s is a private address that this farm has not opened", at, i,
			       text);
	}
	return 0;
}

/* Neither does a published name lead where its owner could not go. */
static int backends_check(const struct networks *n, const struct deployment *d, size_t at, struct err *e)
{
	const struct gateway *g = &d->workloads[at].gateway;

	for (size_t i = 0; !g->network && i < gateway_n_backends(g); i++) {
		char text[ENDPOINT_TEXT_SIZE];
		struct endpoint to;

		gateway_backend(d, g, i, &to);
		if (rules_may_reach(&n->rules, &to))
			continue;
		endpoint_format(text, &to);
		return err_set(e, -EBADMSG, "/workloads/%zu/data/backends/%zu: %s is a private address that this farm has not opened", at, i, text);
	}
	return 0;
}

static int network_admit(struct provider *p, const struct deployment *d, const struct deployment *old,
			 char ret_disks[static DEPLOYMENT_WORKLOADS_MAX][STORAGE_UUID_SIZE], struct err *e)
{
	int r = 0;

	(void)old;
	(void)ret_disks;
	for (size_t i = 0; i < d->n_workloads && !r; i++)
		r = workload_is_gateway(d->workloads[i].kind) ? backends_check(network_of(p), d, i, e)
							      : ends_check(network_of(p), &d->workloads[i].network, i, e);
	return r;
}

static void network_look(struct provider *p, struct work *w)
{
	struct segment *g = segment_find(&network_of(p)->segments, w->id);

	json_unrefp(&w->network.span);
	if (g && g->span.port && span_describe(g, &w->network.span) < 0)
		json_unrefp(&w->network.span);
}

static const struct provider_ops network_ops = {
	.admit = network_admit,
	.apply = network_apply,
	.remove = network_remove,
	.configure = network_configure,
	.stream = network_stream,
	.sweep = network_sweep,
	.look = network_look,
};

static void node_format(void *ctx, struct buf *ret)
{
	rules_format(&((struct networks *)ctx)->rules, ret);
}

/* A network that was applied stands, or does not. */
static void on_segment(void *ctx, struct work *w, int r, const struct err *e)
{
	struct provider *p = &((struct networks *)ctx)->provider;

	p->done(p->engine, w, r, e);
}

static int segments_begin(struct networks *n, struct err *e)
{
	const struct network_options *o = &n->o;
	int r;

	n->edge = (struct edge){ .dir = o->edge_dir, .rules = &n->rules, .filter_program = o->filter, .event = n->event };
	n->segments = (struct segments){ .event = n->event,
					 .edge = &n->edge,
					 .dir = o->dir,
					 .filter = o->filter,
					 .names = { .dir = o->names_dir, .supervisor = SUPERVISOR_DEFAULT },
					 .tap_uid = o->tap_uid,
					 .addresses_fd = -1,
					 .done = on_segment,
					 .ctx = n };
	if (o->names_dir && (r = dir_make(o->names_dir, 0755, e)))
		return r;
	return segments_init(&n->segments, e);
}

/* One for each MiB of memory: between a thirty-second and an eighth of what the kernel keeps, whose own number is not there before its module. */
static unsigned flows_max(void)
{
	struct sysinfo s;
	uint64_t mib;

	BUG_ON(sysinfo(&s));
	mib = (uint64_t)s.totalram * s.mem_unit >> 20;
	return mib < FLOWS_MIN ? FLOWS_MIN : mib > FLOWS_MAX ? FLOWS_MAX : (unsigned)mib;
}

static int parts_begin(struct networks *n, const char *resolv_dir, struct err *e)
{
	const struct network_options *o = &n->o;
	const struct filter_options filter = { .program = o->filter, .format = node_format, .ctx = n };
	int r;

	n->rules.imaged_uid = o->imaged_uid;
	n->rules.flows_max = o->flows_max ? o->flows_max : flows_max();
	n->rules.cut = n->cut;
	n->rules.tunnels = n->tunnels;
	n->rules.public = n->public;
	n->publics.dir = o->dir;
	if ((r = netlink_open(&n->netlink, e)) || (r = dir_make(o->dir, 0700, e)) || (r = dir_make(resolv_dir, 0755, e)) ||
	    (r = file_poke(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", S("1"), e)) || (r = filter_init(&n->filter, n->event, &filter, e)) ||
	    (r = segments_begin(n, e)) || (r = publics_load(&n->publics, e)))
		return r;
	n->rules.n_public = publics_rules(&n->publics, n->public);
	filter_update(n);
	resolvers_read(n);
	r = sd_event_add_inotify(n->event, &n->resolv_watch, resolv_dir, IN_CLOSE_WRITE | IN_MOVED_TO, on_resolv_conf, n);
	return r < 0 ? err_set(e, r, "watch %s: %s", resolv_dir, strerror(-r)) : 0;
}

int network_provider_new(sd_event *event, const struct network_options *o, struct provider **ret, struct err *e)
{
	struct networks *n = calloc(1, sizeof(*n));
	AUTO_FREE char *dir = strdup(o->resolv_conf);
	int r;

	BUG_ON(!n || !dir);
	*n = (struct networks){ .provider = { .name = "network", .ops = &network_ops }, .o = *o, .segments = SEGMENTS_NONE, .netlink = -1 };
	n->event = sd_event_ref(event);
	*strrchr(dir, '/') = '\0';
	if ((r = parts_begin(n, dir, e))) {
		network_provider_free(&n->provider);
		return r;
	}
	*ret = &n->provider;
	return 0;
}

void network_provider_free(struct provider *p)
{
	struct networks *n = network_of(p);

	sd_event_source_disable_unref(n->resolv_watch);
	segments_deinit(&n->segments);
	publics_deinit(&n->publics);
	edge_deinit(&n->edge);
	if (n->filter.event)
		filter_deinit(&n->filter);
	fd_close(&n->netlink);
	sd_event_unref(n->event);
	free(n);
}
