/* What a document says of peers, what nodes that were met say of themselves, and what the kernel has: brought together, one peer at a time. */
#include "network/span.h"

#include "base/log.h"
#include "network/segment.h"
#include "svc/uplink.h"

#include <linux/rtnetlink.h>
#include <stdio.h>

enum { LOOK_FAST_MS = 3600, LOOK_SLOW_MS = 20000 }; /* two fast ones are more than PATH_TRY_MS */

static bool is_node(const struct network_peer *p)
{
	return p->node.role;
}

static struct meeting_with with_of(const struct segment *g, const struct span_peer *p)
{
	return (struct meeting_with){ .owner = g->owner, .node = p->is.node, .network = g->name };
}

static struct span_peer *peer_find(const struct span *s, const struct network_peer *like)
{
	for (size_t i = 0; i < s->n_peers; i++) {
		const struct network_peer *p = &s->peers[i].is;

		if (is_node(like) ? key_pub_eq(&p->node, &like->node)
				  : !is_node(p) && !memcmp(p->public_key, like->public_key, sizeof(p->public_key)))
			return &s->peers[i];
	}
	return NULL;
}

static struct span_peer *peer_with_key(const struct span *s, const uint8_t key[static WIREGUARD_KEY_LEN])
{
	for (size_t i = 0; i < s->n_peers; i++)
		if (s->peers[i].is_known && !memcmp(s->peers[i].is.public_key, key, WIREGUARD_KEY_LEN))
			return &s->peers[i];
	return NULL;
}

static const struct wireguard_peer_state *state_find(const struct wireguard_state *s, const uint8_t key[static WIREGUARD_KEY_LEN])
{
	for (size_t i = 0; i < s->n_peers; i++)
		if (!memcmp(s->peers[i].public_key, key, WIREGUARD_KEY_LEN))
			return &s->peers[i];
	return NULL;
}

/* The port follows from the network's id, so that it is the same after each start: devices of owners and routers before a node know it. */
static int port_choose(const struct segment *g, uint16_t *ret, struct err *e)
{
	uint8_t start[2];

	BUG_ON(parse_hex((struct str){ g->id, 4 }, start, sizeof(start)));
	for (unsigned i = 0; i < SPAN_PORTS; i++) {
		uint16_t port = (uint16_t)(SPAN_PORT_BASE + ((unsigned)(start[0] << 8 | start[1]) + i) % SPAN_PORTS);
		bool is_free = true;

		for (const struct segment *o = g->all->first; o; o = o->next)
			is_free &= o == g || o->span.port != port;
		if (is_free) {
			*ret = port;
			return 0;
		}
	}
	return err_set(e, -ENOSPC, "all %d ports of networks with peers are in use", SPAN_PORTS);
}

void span_deinit(struct span *s)
{
	genl_close(&s->wg);
	free(s->peers);
	*s = (struct span)SPAN_NONE;
}

void span_end(struct segment *g)
{
	for (size_t i = 0; i < g->span.n_peers; i++) {
		struct meeting_with with = with_of(g, &g->span.peers[i]);

		if (is_node(&g->span.peers[i].is) && g->all->meetings && g->name[0])
			g->all->meetings->forget(g->all->meetings->ctx, &with);
	}
	span_deinit(&g->span);
}

/* What is for P goes into the tunnel. Machines look for a device among themselves, as it has an address of theirs. */
static int way_set(const struct segment *g, const struct span_peer *p, bool is_there, struct err *e)
{
	int r = tunnel_route(g, &p->is, is_there, e);

	return r || !p->device[0] ? r : tunnel_stand_for(g, &p->is, is_there, e);
}

/* One that is not in the document any more. */
static int peer_drop(struct segment *g, const struct span_peer *p, struct err *e)
{
	struct meeting_with with = with_of(g, p);
	int r;

	if (is_node(&p->is))
		g->all->meetings->forget(g->all->meetings->ctx, &with);
	if (!g->span.is_up)
		return 0;
	if (p->is_known && (r = wireguard_remove_peer(&g->span.wg, SPAN_DEVICE, p->is.public_key, e)))
		return r;
	return way_set(g, p, false, e);
}

static bool same_ranges(const struct network_peer *a, const struct network_peer *b)
{
	return a->subnet.address == b->subnet.address && a->subnet.prefix == b->subnet.prefix && a->subnet6.prefix == b->subnet6.prefix &&
	       !memcmp(a->subnet6.address, b->subnet6.address, sizeof(a->subnet6.address));
}

/* Routes of ranges that P had go before those that it has now come: they may be another's. */
static int peers_leave(struct segment *g, const struct span *next, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < g->span.n_peers && !r; i++) {
		const struct span_peer *p = &g->span.peers[i], *now = peer_find(next, &p->is);

		if (!now)
			r = peer_drop(g, p, e);
		else if (g->span.is_up && !same_ranges(&p->is, &now->is))
			r = way_set(g, p, false, e);
	}
	return r;
}

static void device_read(const struct network *n, size_t i, struct span_peer *ret)
{
	struct network_device d;

	network_device(n, i, &d);
	snprintf(ret->device, sizeof(ret->device), "%s", d.name);
	ret->is.subnet = (struct range4){ d.address, 32 };
	ret->is.subnet6.prefix = 128;
	network_address6(n, d.address, ret->is.subnet6.address);
	memcpy(ret->is.public_key, d.public_key, sizeof(ret->is.public_key));
}

/* Peers first, devices behind them. */
static size_t others(const struct network *n)
{
	return network_n_peers(n) + network_n_devices(n);
}

/* What W names, with what is known of each already. NEXT is to be released whatever is returned. */
static void peers_read(const struct segment *g, const struct work *w, struct span *next, uint64_t now_ms)
{
	*next = (struct span)SPAN_NONE;
	next->n_peers = others(&w->net);
	next->peers = calloc(next->n_peers, sizeof(*next->peers));
	BUG_ON(!next->peers);
	for (size_t i = 0; i < next->n_peers; i++) {
		struct span_peer *p = &next->peers[i];
		const struct span_peer *before;

		*p = (struct span_peer){ .path = PATH_NEW };
		if (i < network_n_peers(&w->net))
			network_peer(&w->net, i, &p->is);
		else
			device_read(&w->net, i - network_n_peers(&w->net), p);
		p->is_known = !is_node(&p->is);
		if ((before = peer_find(&g->span, &p->is))) {
			p->path = before->path;
			p->is_known = before->is_known;
			p->is_met = before->is_met;
			memcpy(p->is.public_key, before->is.public_key, sizeof(p->is.public_key));
		}
		if (!is_node(&p->is))
			path_candidates(&p->path, &p->is.endpoint, p->is.endpoint.family != 0, now_ms);
	}
}

static bool has_ranges(const struct wireguard_peer_state *is, const struct netlink_net *ranges, size_t n)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < is->n_allowed; k++)
			found += is->allowed[k].family == ranges[i].family && is->allowed[k].prefix == ranges[i].prefix &&
				 !memcmp(is->allowed[k].address, ranges[i].address, sizeof(ranges[i].address));
	return found == n && is->n_allowed == n;
}

/* In WireGuard as it is in P; IS: as it is there, NULL = not at all. PSK: a new one, NULL = as it is. */
static int peer_set(const struct segment *g, const struct span_peer *p, const struct wireguard_peer_state *is, const struct wireguard_key *psk,
		    struct err *e)
{
	struct netlink_net ranges[2];
	struct wireguard_peer c = { .preshared = psk, .keepalive_s = SPAN_KEEPALIVE_S, .allowed = ranges };

	c.n_allowed = tunnel_ranges(&p->is, ranges);
	memcpy(c.public_key, p->is.public_key, sizeof(c.public_key));
	c.changes = psk ? WIREGUARD_PRESHARED : 0;
	if (!is)
		c.changes |= WIREGUARD_MAKE | WIREGUARD_ALLOWED;
	else if (!has_ranges(is, ranges, c.n_allowed))
		c.changes |= WIREGUARD_ALLOWED;
	return c.changes ? wireguard_set_peer(&g->span.wg, SPAN_DEVICE, &c, e) : 0;
}

/* Those of a run before this one. */
static int strangers_remove(const struct segment *g, const struct wireguard_state *is, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < is->n_peers && !r; i++)
		if (!peer_with_key(&g->span, is->peers[i].public_key))
			r = wireguard_remove_peer(&g->span.wg, SPAN_DEVICE, is->peers[i].public_key, e);
	return r;
}

/* A node that is known from before is left as it is until it was met anew, and not made without its pre-shared key. */
static int peer_apply(const struct segment *g, const struct span_peer *p, const struct wireguard_key *psk, const struct wireguard_state *all,
		      struct err *e)
{
	const struct wireguard_peer_state *is = p->is_known ? state_find(all, p->is.public_key) : NULL;
	struct meeting_with with = with_of(g, p);
	int r = way_set(g, p, true, e);

	if (!r && p->is_known && (is || !is_node(&p->is)))
		r = peer_set(g, p, is, psk, e);
	if (r || !is_node(&p->is))
		return r;
	return g->all->meetings->want(g->all->meetings->ctx, &with, e);
}

/* As its owner sealed it to this node; zeros, which is none to WireGuard, where there is none. */
static void device_secret(const struct work *w, size_t i, struct wireguard_key *ret)
{
	struct network_device d;
	sd_json_variant *value;

	network_device(&w->net, i, &d);
	value = d.secret ? sd_json_variant_by_key(w->secrets, d.secret) : NULL;
	if (!value || !network_key_decode(str_c(sd_json_variant_string(value)), ret->bytes))
		memset(ret->bytes, 0, sizeof(ret->bytes));
}

static int peers_apply(const struct segment *g, const struct work *w, struct err *e)
{
	AUTO_WIREGUARD_STATE struct wireguard_state is = WIREGUARD_STATE_NONE;
	int r = wireguard_get(&g->span.wg, SPAN_DEVICE, &is, e);

	if (!r)
		r = strangers_remove(g, &is, e);
	for (size_t i = 0; i < g->span.n_peers && !r; i++) {
		AUTO_WIREGUARD_KEY struct wireguard_key psk;
		const struct span_peer *p = &g->span.peers[i];

		if (p->device[0])
			device_secret(w, i - network_n_peers(&w->net), &psk);
		r = peer_apply(g, p, p->device[0] ? &psk : NULL, &is, e);
	}
	return r;
}

static int device_apply(struct segment *g, int netlink, struct err *e)
{
	const struct meetings *m = g->all->meetings;
	AUTO_WIREGUARD_KEY struct wireguard_key key;
	int r = m->private_key(m->ctx, &g->owner, g->name, key.bytes);

	if (r)
		return err_set(e, r, "derive the key of a network: %s", strerror(-r));
	return tunnel_make(g, &key, netlink, e);
}

static void look(struct segment *g, uint64_t now_ms);
static void look_soon(struct segments *s);

static int nobody(struct segment *g, struct err *e)
{
	const struct span none = SPAN_NONE;
	int r;

	if ((r = peers_leave(g, &none, e)) || (r = tunnel_remove(g, e)))
		return r;
	span_end(g);
	return segment_span_save(g, e);
}

int span_apply(struct segment *g, const struct work *w, int netlink, struct err *e)
{
	struct span next;
	int r = 0;

	if (!others(&w->net))
		return g->span.port ? nobody(g, e) : 0;
	if (!g->all->meetings)
		return err_set(e, -ENOTSUP, "nobody meets other nodes here");
	if (!g->span.port && (r = port_choose(g, &g->span.port, e)))
		return r;
	peers_read(g, w, &next, log_now_ms());
	if ((r = peers_leave(g, &next, e))) {
		span_deinit(&next);
		return r;
	}
	free(g->span.peers);
	g->span.peers = take_ptr(next.peers);
	g->span.n_peers = next.n_peers;
	if ((r = segment_span_save(g, e)) || (r = device_apply(g, netlink, e)) || (r = peers_apply(g, w, e)))
		return r;
	look(g, log_now_ms());
	look_soon(g->all);
	return 0;
}

/* Ways. */

static int endpoint_set(const struct segment *g, const struct span_peer *p, const struct endpoint *to, struct err *e)
{
	struct wireguard_peer off = { .changes = WIREGUARD_KEEPALIVE }, on = { .changes = WIREGUARD_ENDPOINT | WIREGUARD_KEEPALIVE };
	int r;

	memcpy(off.public_key, p->is.public_key, sizeof(off.public_key));
	memcpy(on.public_key, p->is.public_key, sizeof(on.public_key));
	on.endpoint = *to;
	on.keepalive_s = SPAN_KEEPALIVE_S;
	if ((r = wireguard_set_peer(&g->span.wg, SPAN_DEVICE, &off, e))) /* turned on, it sends one at once: so a handshake is tried */
		return r;
	return wireguard_set_peer(&g->span.wg, SPAN_DEVICE, &on, e);
}

/* Of a family that this node has, IPv4 first: routers know it everywhere. */
static int own_family(const struct segments *s)
{
	for (size_t i = 0; i < s->n_own; i++)
		if (s->own[i].family == AF_INET)
			return AF_INET;
	return s->n_own ? AF_INET6 : AF_INET;
}

static void relay_ask(const struct segment *g, const struct span_peer *p)
{
	struct meeting_with with = with_of(g, p);
	struct relay_ends ends;

	memcpy(ends.public_key, g->span.public_key, sizeof(ends.public_key));
	memcpy(ends.peer_key, p->is.public_key, sizeof(ends.peer_key));
	if (g->all->meetings && g->all->meetings->relay)
		g->all->meetings->relay(g->all->meetings->ctx, &with, &ends, own_family(g->all));
}

static void peer_look(const struct segment *g, struct span_peer *p, const struct wireguard_peer_state *is, uint64_t now_ms)
{
	const struct path_seen seen = {
		.handshake_s = is->handshake_s, .rx_bytes = is->rx_bytes, .tx_bytes = is->tx_bytes, .endpoint = is->endpoint
	};
	struct endpoint to;
	struct err e = { 0 };

	p->has_preshared = is->has_preshared;
	if (path_look(&p->path, &seen, now_ms, &to) == PATH_SET && endpoint_set(g, p, &to, &e))
		log_limited("%s", e.msg);
	if (p->is_met && path_needs_relay(&p->path))
		relay_ask(g, p);
}

static void look(struct segment *g, uint64_t now_ms)
{
	AUTO_WIREGUARD_STATE struct wireguard_state is = WIREGUARD_STATE_NONE;
	struct err e = { 0 };

	if (!g->span.is_up)
		return;
	if (wireguard_get(&g->span.wg, SPAN_DEVICE, &is, &e)) {
		log_limited("%s", e.msg);
		return;
	}
	for (size_t i = 0; i < g->span.n_peers; i++) {
		struct span_peer *p = &g->span.peers[i];
		const struct wireguard_peer_state *one = p->is_known ? state_find(&is, p->is.public_key) : NULL;

		if (one)
			peer_look(g, p, one, now_ms);
	}
}

static void look_in(struct segments *s, uint64_t in_ms)
{
	sd_event_source_set_time_relative(s->look, in_ms * 1000);
	sd_event_source_set_enabled(s->look, SD_EVENT_ONESHOT);
}

static void look_soon(struct segments *s)
{
	look_in(s, LOOK_FAST_MS);
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct segments *s = userdata;
	bool any = false, tries = false;

	(void)source;
	(void)usec;
	for (struct segment *g = s->first; g; g = g->next) {
		look(g, log_now_ms());
		for (size_t i = 0; i < g->span.n_peers; i++)
			tries |= g->span.peers[i].is_known && g->span.peers[i].path.state == PATH_TRYING;
		any |= g->span.is_up;
	}
	if (any)
		look_in(s, tries ? LOOK_FAST_MS : LOOK_SLOW_MS);
	return 0;
}

/* Where this node can be reached, as its cards have it: all of that may be behind a router that turns strangers away. */
static size_t own_read(struct endpoint ret[static MEET_ENDPOINTS_MAX])
{
	struct uplink cards[UPLINKS_MAX];
	struct err e = { 0 };
	size_t n_cards = 0, n = 0;

	if (uplink_read(cards, &n_cards, &e))
		log_limited("%s", e.msg);
	for (size_t i = 0; i < n_cards; i++) {
		struct str rest = str_c(cards[i].addresses), one, address;

		while (cards[i].has_carrier && n < MEET_ENDPOINTS_MAX && str_next(&rest, ' ', &one)) {
			struct endpoint at = { .port = 1 };
			uint32_t v4;

			str_next(&one, '/', &address);
			if (!parse_ip4(address, &v4)) {
				at.family = AF_INET;
				for (int k = 0; k < 4; k++)
					at.address[k] = (uint8_t)(v4 >> (24 - 8 * k));
			} else if (!parse_ip6(address, at.address)) {
				at.family = AF_INET6;
			}
			if (at.family && endpoint_is_far(&at))
				ret[n++] = at;
		}
	}
	return n;
}

static void own_take(struct segments *s)
{
	memset(s->own, 0, sizeof(s->own));
	s->n_own = own_read(s->own);
}

static int on_address(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct segments *s = userdata;
	struct endpoint before[MEET_ENDPOINTS_MAX];
	size_t n = s->n_own;

	(void)source;
	(void)events;
	netlink_drain(fd);
	memcpy(before, s->own, sizeof(before));
	own_take(s);
	if (n == s->n_own && !memcmp(before, s->own, sizeof(before)))
		return 0;
	for (struct segment *g = s->first; g; g = g->next)
		if (g->span.is_up)
			s->meetings->changed(s->meetings->ctx, &g->owner, g->name);
	return 0;
}

/* Meetings. */

static struct segment *segment_of(struct segments *s, const struct meeting_with *with)
{
	for (struct segment *g = s->first; g; g = g->next)
		if (g->span.is_up && key_pub_eq(&g->owner, &with->owner) && !strcmp(g->name, with->network))
			return g;
	return NULL;
}

static struct span_peer *node_find(const struct segment *g, const struct key_pub *node)
{
	const struct network_peer like = { .node = *node };

	return g ? peer_find(&g->span, &like) : NULL;
}

static int on_own(void *ctx, const struct meeting_with *with, struct meet_end *ret)
{
	struct segments *s = ctx;
	const struct segment *g = segment_of(s, with);

	if (!node_find(g, &with->node))
		return -ENOENT;
	*ret = (struct meet_end){ .port = g->span.port, .n_endpoints = s->n_own };
	memcpy(ret->public_key, g->span.public_key, sizeof(ret->public_key));
	for (size_t i = 0; i < s->n_own; i++) {
		ret->endpoints[i] = s->own[i];
		ret->endpoints[i].port = g->span.port;
	}
	return 0;
}

/* Without those that are this node itself: both may have the same address, each behind a router of its own. */
static size_t far_ends(const struct segments *s, const struct meet_end *end, struct endpoint ret[static MEET_ENDPOINTS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < end->n_endpoints; i++) {
		struct endpoint at = end->endpoints[i];
		bool is_own = false;

		at.port = 1;
		for (size_t k = 0; k < s->n_own; k++)
			is_own |= endpoint_eq(&at, &s->own[k]);
		if (!is_own)
			ret[n++] = end->endpoints[i];
	}
	return n;
}

/* The other end may be made anew, with another key. */
static int key_take(struct segment *g, struct span_peer *p, const uint8_t key[static WIREGUARD_KEY_LEN], struct err *e)
{
	const struct span_peer *other = peer_with_key(&g->span, key);
	int r;

	if ((other && other != p) || !memcmp(key, g->span.public_key, WIREGUARD_KEY_LEN))
		return err_set(e, -EEXIST, "its key is another's");
	if (other == p)
		return 0;
	if (p->is_known && (r = wireguard_remove_peer(&g->span.wg, SPAN_DEVICE, p->is.public_key, e)))
		return r;
	memcpy(p->is.public_key, key, WIREGUARD_KEY_LEN);
	p->is_known = true;
	return segment_span_save(g, e);
}

static int met(struct segment *g, struct span_peer *p, const struct meet_end *end, const uint8_t psk[static MEET_KEY_LEN], struct err *e)
{
	AUTO_WIREGUARD_STATE struct wireguard_state all = WIREGUARD_STATE_NONE;
	AUTO_WIREGUARD_KEY struct wireguard_key key;
	struct endpoint ends[MEET_ENDPOINTS_MAX];
	int r;

	memcpy(key.bytes, psk, sizeof(key.bytes));
	if ((r = key_take(g, p, end->public_key, e)) || (r = wireguard_get(&g->span.wg, SPAN_DEVICE, &all, e)) ||
	    (r = peer_set(g, p, state_find(&all, p->is.public_key), &key, e)))
		return r;
	p->is_met = true;
	path_candidates(&p->path, ends, far_ends(g->all, end, ends), log_now_ms());
	look(g, log_now_ms());
	look_soon(g->all);
	return 0;
}

static void on_met(void *ctx, const struct meeting_with *with, const struct meet_end *end, const uint8_t psk[static MEET_KEY_LEN])
{
	struct segment *g = segment_of(ctx, with);
	struct span_peer *p = node_find(g, &with->node);
	char node[KEY_TEXT_SIZE];
	struct err e = { 0 };

	if (!p || !met(g, p, end, psk, &e))
		return;
	key_pub_format(node, &with->node);
	log_limited("the end of network %s on node %s: %s", with->network, node, e.msg);
}

static void on_relayed(void *ctx, const struct meeting_with *with, const struct endpoint *at, size_t n)
{
	struct segment *g = segment_of(ctx, with);
	struct span_peer *p = node_find(g, &with->node);

	if (!p)
		return;
	path_relays(&p->path, at, n, log_now_ms());
	look(g, log_now_ms());
	look_soon(g->all);
}

/* For people. */

static const char *state_name(const struct span_peer *p)
{
	static const char *const names[] = { [PATH_TRYING] = "trying", [PATH_SETTLED] = "ok", [PATH_LOST] = "lost" };

	if (!p->is_known || (is_node(&p->is) && !p->is_met && !p->has_preshared))
		return "unmet";
	return p->path.state == PATH_LOST && !p->path.n_ways && !p->path.seen.handshake_s ? "unheard" : names[p->path.state];
}

static int peer_describe(const struct span_peer *p, sd_json_variant **ret)
{
	const struct path_seen *seen = &p->path.seen;
	char who[KEY_TEXT_SIZE], subnet[RANGE4_TEXT_SIZE], subnet6[RANGE6_TEXT_SIZE] = "", endpoint[ENDPOINT_TEXT_SIZE] = "", time[24] = "";
	AUTO_BUF struct buf key = { 0 };

	format_range4(subnet, &p->is.subnet);
	if (p->is.subnet6.prefix)
		format_range6(subnet6, &p->is.subnet6);
	if (is_node(&p->is))
		key_pub_format(who, &p->is.node);
	format_base64(&key, p->is.public_key, sizeof(p->is.public_key));
	if (buf_check(&key))
		return -ENOMEM;
	if (seen->endpoint.family)
		endpoint_format(endpoint, &seen->endpoint);
	if (seen->handshake_s)
		format_time(time, seen->handshake_s);
	return sd_json_variant_append_arraybo(
		ret, SD_JSON_BUILD_PAIR_CONDITION(is_node(&p->is), "node", SD_JSON_BUILD_STRING(who)),
		SD_JSON_BUILD_PAIR_CONDITION(p->device[0] != '\0', "device", SD_JSON_BUILD_STRING(p->device)),
		SD_JSON_BUILD_PAIR_CONDITION(p->is_known, "key", SD_JSON_BUILD_STRING(key.p)), SD_JSON_BUILD_PAIR_STRING("subnet", subnet),
		SD_JSON_BUILD_PAIR_CONDITION(subnet6[0] != '\0', "subnet6", SD_JSON_BUILD_STRING(subnet6)),
		SD_JSON_BUILD_PAIR_STRING("state", state_name(p)), SD_JSON_BUILD_PAIR_STRING("way", path_kind_names[path_kind(&p->path)]),
		SD_JSON_BUILD_PAIR_CONDITION(endpoint[0] != '\0', "endpoint", SD_JSON_BUILD_STRING(endpoint)),
		SD_JSON_BUILD_PAIR_CONDITION(time[0] != '\0', "handshake", SD_JSON_BUILD_STRING(time)),
		SD_JSON_BUILD_PAIR_UNSIGNED("received", seen->rx_bytes), SD_JSON_BUILD_PAIR_UNSIGNED("sent", seen->tx_bytes),
		SD_JSON_BUILD_PAIR_BOOLEAN("preshared", p->has_preshared));
}

static int ends_describe(const struct segment *g, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; i < g->all->n_own && r >= 0; i++) {
		struct endpoint at = g->all->own[i];
		char text[ENDPOINT_TEXT_SIZE];

		at.port = g->span.port;
		endpoint_format(text, &at);
		r = sd_json_variant_append_arrayb(ret, SD_JSON_BUILD_STRING(text));
	}
	return r;
}

int span_describe(struct segment *g, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *ends = NULL, *peers = NULL;
	AUTO_BUF struct buf key = { 0 };
	int r = ends_describe(g, &ends);

	look(g, log_now_ms());
	if (r >= 0)
		r = sd_json_variant_new_array(&peers, NULL, 0);
	for (size_t i = 0; i < g->span.n_peers && r >= 0; i++)
		r = peer_describe(&g->span.peers[i], &peers);
	format_base64(&key, g->span.public_key, sizeof(g->span.public_key));
	if (r < 0 || buf_check(&key))
		return r < 0 ? r : -ENOMEM;
	r = sd_json_buildo(ret, SD_JSON_BUILD_PAIR_CONDITION(g->span.is_up, "public_key", SD_JSON_BUILD_STRING(key.p)),
			   SD_JSON_BUILD_PAIR_UNSIGNED("listen_port", g->span.port), SD_JSON_BUILD_PAIR_VARIANT("endpoint", ends),
			   SD_JSON_BUILD_PAIR_VARIANT("peers", peers));
	return r < 0 ? r : 0;
}

int spans_init(struct segments *s, struct err *e)
{
	int r = netlink_watch(RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_LINK, &s->addresses_fd, e);

	s->ends = (struct meeting_ends){ .own = on_own, .met = on_met, .relayed = on_relayed, .ctx = s };
	if (r)
		return r;
	own_take(s);
	if ((r = sd_event_add_io(s->event, &s->addresses, s->addresses_fd, EPOLLIN, on_address, s)) < 0 ||
	    (r = sd_event_add_time(s->event, &s->look, CLOCK_MONOTONIC, UINT64_MAX, 0, on_look, s)) < 0)
		return err_set(e, r, "look after networks with peers: %s", strerror(-r));
	sd_event_source_set_enabled(s->look, SD_EVENT_OFF);
	return 0;
}

void spans_deinit(struct segments *s)
{
	sd_event_source_disable_unref(s->addresses);
	sd_event_source_disable_unref(s->look);
	fd_close(&s->addresses_fd);
}
