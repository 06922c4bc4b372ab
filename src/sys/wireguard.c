/* Setting: one message a call, built on the stack and wiped, as it may hold a key. Reading: a dump, whose messages repeat the last peer's key where its
 * ranges did not fit; the private and the pre-shared keys that it carries are not looked at, and wiped with the datagram. */
#include "sys/wireguard.h"

#include <arpa/inet.h>
#include <linux/wireguard.h>
#include <netinet/in.h>

enum { TRIES = 5, PEER_STEP = 16, MASK_V4 = 32, MASK_V6 = 128 };

void wireguard_key_wipe(struct wireguard_key *k)
{
	explicit_bzero(k, sizeof(*k));
}

void wireguard_state_deinit(struct wireguard_state *s)
{
	free(s->peers);
	*s = (struct wireguard_state)WIREGUARD_STATE_NONE;
}

int wireguard_make(int netlink_fd, const char *name, int netns_fd, struct err *e)
{
	struct err undo = { 0 };
	int r = netlink_add_link(netlink_fd, name, WG_GENL_NAME, e);

	if (r)
		return r;
	r = netlink_move(netlink_fd, name, netns_fd, e);
	if (r && netlink_remove(netlink_fd, name, &undo))
		return err_set(e, r, "%s; and it stays where it is: %s", strerror(-r), undo.msg);
	return r;
}

int wireguard_open(struct genl *ret, struct err *e)
{
	return genl_open(WG_GENL_NAME, WG_GENL_VERSION, ret, e);
}

static struct nlattr *nest(struct nlmsg *q, uint16_t type)
{
	return nlmsg_attr(q, type | NLA_F_NESTED, NULL, 0);
}

static int address_len(int family)
{
	return family == AF_INET ? 4 : 16;
}

static void device_init(struct nlmsg *q, const struct genl *g, const char *name)
{
	genl_init(q, g, WG_CMD_SET_DEVICE, 0);
	nlmsg_attr(q, WGDEVICE_A_IFNAME, name, strlen(name) + 1);
}

/* Sends Q and wipes it. */
static int set(const struct genl *g, struct nlmsg *q, const char *doing, const char *name, struct err *e)
{
	int r = nlmsg_talk(g->fd, q);

	explicit_bzero(q, sizeof(*q));
	return r ? err_set(e, r, "%s %s: %s", doing, name, strerror(-r)) : 0;
}

int wireguard_configure(const struct genl *g, const char *name, const struct wireguard_config *c, struct err *e)
{
	struct nlmsg q;

	device_init(&q, g, name);
	if (c->private_key)
		nlmsg_attr(&q, WGDEVICE_A_PRIVATE_KEY, c->private_key->bytes, WIREGUARD_KEY_LEN);
	if (c->has_port)
		nlmsg_attr(&q, WGDEVICE_A_LISTEN_PORT, &c->port, sizeof(c->port));
	if (c->has_fwmark)
		nlmsg_attr(&q, WGDEVICE_A_FWMARK, &c->fwmark, sizeof(c->fwmark));
	return set(g, &q, "set up the WireGuard device", name, e);
}

static void encode_endpoint(struct nlmsg *q, const struct endpoint *at)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(at->port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(at->port) };

	memcpy(&v4.sin_addr, at->address, sizeof(v4.sin_addr));
	memcpy(&v6.sin6_addr, at->address, sizeof(v6.sin6_addr));
	if (at->family == AF_INET)
		nlmsg_attr(q, WGPEER_A_ENDPOINT, &v4, sizeof(v4));
	else
		nlmsg_attr(q, WGPEER_A_ENDPOINT, &v6, sizeof(v6));
}

static void encode_allowed(struct nlmsg *q, const struct wireguard_peer *p)
{
	struct nlattr *list = nest(q, WGPEER_A_ALLOWEDIPS);

	for (size_t i = 0; i < p->n_allowed; i++) {
		struct nlattr *one = nest(q, 0);
		uint16_t family = (uint16_t)p->allowed[i].family;
		uint8_t mask = (uint8_t)p->allowed[i].prefix;

		nlmsg_attr(q, WGALLOWEDIP_A_FAMILY, &family, sizeof(family));
		nlmsg_attr(q, WGALLOWEDIP_A_IPADDR, p->allowed[i].address, (size_t)address_len(family));
		nlmsg_attr(q, WGALLOWEDIP_A_CIDR_MASK, &mask, sizeof(mask));
		nlmsg_end(q, one);
	}
	nlmsg_end(q, list);
}

void wireguard_encode_peer(struct nlmsg *q, const struct genl *g, const char *name, const struct wireguard_peer *p)
{
	static const struct wireguard_key none; /* all zero: the kernel's word for no pre-shared key */
	uint32_t flags =
		(p->changes & WIREGUARD_MAKE ? 0 : WGPEER_F_UPDATE_ONLY) | (p->changes & WIREGUARD_ALLOWED ? WGPEER_F_REPLACE_ALLOWEDIPS : 0);
	struct nlattr *list, *one;

	device_init(q, g, name);
	list = nest(q, WGDEVICE_A_PEERS);
	one = nest(q, 0);
	nlmsg_attr(q, WGPEER_A_PUBLIC_KEY, p->public_key, WIREGUARD_KEY_LEN);
	nlmsg_attr(q, WGPEER_A_FLAGS, &flags, sizeof(flags));
	if (p->changes & WIREGUARD_PRESHARED)
		nlmsg_attr(q, WGPEER_A_PRESHARED_KEY, (p->preshared ? p->preshared : &none)->bytes, WIREGUARD_KEY_LEN);
	if (p->changes & WIREGUARD_ENDPOINT)
		encode_endpoint(q, &p->endpoint);
	if (p->changes & WIREGUARD_KEEPALIVE)
		nlmsg_attr(q, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, &p->keepalive_s, sizeof(p->keepalive_s));
	if (p->changes & WIREGUARD_ALLOWED)
		encode_allowed(q, p);
	nlmsg_end(q, one);
	nlmsg_end(q, list);
}

int wireguard_set_peer(const struct genl *g, const char *name, const struct wireguard_peer *p, struct err *e)
{
	struct nlmsg q;

	if (p->changes & WIREGUARD_ALLOWED && p->n_allowed > WIREGUARD_ALLOWED_MAX)
		return err_set(e, -E2BIG, "%zu ranges for one peer of %s: there may be %d", p->n_allowed, name, WIREGUARD_ALLOWED_MAX);
	if (p->changes & WIREGUARD_ENDPOINT && p->endpoint.family != AF_INET && p->endpoint.family != AF_INET6)
		return err_set(e, -EAFNOSUPPORT, "an endpoint of a peer of %s is neither IPv4 nor IPv6", name);
	wireguard_encode_peer(&q, g, name, p);
	return set(g, &q, "set a peer of", name, e);
}

int wireguard_remove_peer(const struct genl *g, const char *name, const uint8_t public_key[static WIREGUARD_KEY_LEN], struct err *e)
{
	uint32_t flags = WGPEER_F_REMOVE_ME;
	struct nlattr *list, *one;
	struct nlmsg q;

	device_init(&q, g, name);
	list = nest(&q, WGDEVICE_A_PEERS);
	one = nest(&q, 0);
	nlmsg_attr(&q, WGPEER_A_PUBLIC_KEY, public_key, WIREGUARD_KEY_LEN);
	nlmsg_attr(&q, WGPEER_A_FLAGS, &flags, sizeof(flags));
	nlmsg_end(&q, one);
	nlmsg_end(&q, list);
	return set(g, &q, "remove a peer of", name, e);
}

/* What an answer says of a peer, before it is known whether it goes on with the last one. */
struct heard {
	struct wireguard_peer_state p;
	bool has_key;
};

static int take_preshared(struct heard *h, struct rd *b)
{
	static const uint8_t none[WIREGUARD_KEY_LEN];
	const uint8_t *key = rd_take(b, WIREGUARD_KEY_LEN);

	h->p.has_preshared = key && memcmp(key, none, sizeof(none));
	return 0;
}

static int take_public(struct heard *h, struct rd *b)
{
	rd_bytes(b, h->p.public_key, sizeof(h->p.public_key));
	h->has_key = true;
	return 0;
}

static int take_endpoint(struct heard *h, struct rd *b)
{
	uint16_t family = (uint16_t)rd_le(b, 2);
	uint8_t port[2];

	rd_bytes(b, port, sizeof(port));
	if (family != AF_INET && family != AF_INET6)
		return -EBADMSG;
	if (family == AF_INET6)
		(void)rd_take(b, 4); /* flow label */
	h->p.endpoint = (struct endpoint){ .family = family, .port = (uint16_t)(port[0] << 8 | port[1]) };
	rd_bytes(b, h->p.endpoint.address, (size_t)address_len(family));
	(void)rd_take(b, family == AF_INET6 ? 4 : 8); /* scope, or the padding of sockaddr_in */
	return 0;
}

static int take_keepalive(struct heard *h, struct rd *b)
{
	h->p.keepalive_s = (uint16_t)rd_le(b, 2);
	return 0;
}

static int take_handshake(struct heard *h, struct rd *b)
{
	h->p.handshake_s = (int64_t)rd_le(b, 8);
	(void)rd_le(b, 8); /* nanoseconds */
	return h->p.handshake_s < 0 ? -EBADMSG : 0;
}

static int take_rx(struct heard *h, struct rd *b)
{
	h->p.rx_bytes = rd_le(b, 8);
	return 0;
}

static int take_tx(struct heard *h, struct rd *b)
{
	h->p.tx_bytes = rd_le(b, 8);
	return 0;
}

static int take_one_allowed(struct rd *b, struct netlink_net *ret)
{
	struct netlink_net net = { 0 };
	struct rd address = { 0 };
	struct nlmsg_field f;
	bool has_mask = false;

	while (nlmsg_next(b, &f)) {
		if (f.type == WGALLOWEDIP_A_FAMILY)
			net.family = (int)rd_le(&f.body, 2);
		else if (f.type == WGALLOWEDIP_A_IPADDR)
			address = take(f.body, (struct rd){ 0 });
		else if (f.type == WGALLOWEDIP_A_CIDR_MASK) {
			net.prefix = (unsigned)rd_le(&f.body, 1);
			has_mask = true;
		}
		if (rd_done(&f.body) && f.type <= WGALLOWEDIP_A_MAX)
			return -EBADMSG;
	}
	if (!has_mask || (net.family != AF_INET && net.family != AF_INET6) || net.prefix > (net.family == AF_INET ? MASK_V4 : MASK_V6))
		return -EBADMSG;
	rd_bytes(&address, net.address, (size_t)address_len(net.family));
	if (rd_done(&address) || rd_done(b))
		return -EBADMSG;
	*ret = net;
	return 0;
}

static int take_allowed(struct heard *h, struct rd *b)
{
	struct nlmsg_field f;
	int r = 0;

	while (!r && nlmsg_next(b, &f)) {
		if (h->p.n_allowed == WIREGUARD_ALLOWED_MAX)
			return -E2BIG;
		r = take_one_allowed(&f.body, &h->p.allowed[h->p.n_allowed]);
		h->p.n_allowed += !r;
	}
	return r;
}

static int (*const peer_fields[])(struct heard *h, struct rd *b) = {
	[WGPEER_A_PUBLIC_KEY] = take_public,
	[WGPEER_A_PRESHARED_KEY] = take_preshared,
	[WGPEER_A_ENDPOINT] = take_endpoint,
	[WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL] = take_keepalive,
	[WGPEER_A_LAST_HANDSHAKE_TIME] = take_handshake,
	[WGPEER_A_RX_BYTES] = take_rx,
	[WGPEER_A_TX_BYTES] = take_tx,
	[WGPEER_A_ALLOWEDIPS] = take_allowed,
};

/* Adds H to S, or its ranges to the last peer, which has the same key. */
static int peer_add(struct wireguard_state *s, const struct heard *h)
{
	struct wireguard_peer_state *last = s->n_peers ? &s->peers[s->n_peers - 1] : NULL, *more;

	if (last && !memcmp(last->public_key, h->p.public_key, sizeof(last->public_key))) {
		if (h->p.n_allowed > WIREGUARD_ALLOWED_MAX - last->n_allowed)
			return -E2BIG;
		memcpy(last->allowed + last->n_allowed, h->p.allowed, h->p.n_allowed * sizeof(*last->allowed));
		last->n_allowed += h->p.n_allowed;
		return 0;
	}
	if (s->n_peers == WIREGUARD_PEERS_MAX)
		return -E2BIG;
	if (!s->peers || s->n_peers % PEER_STEP == 0) {
		more = reallocarray(s->peers, s->n_peers + PEER_STEP, sizeof(*more));
		if (!more)
			return -ENOMEM;
		s->peers = more;
	}
	s->peers[s->n_peers++] = h->p;
	return 0;
}

static int take_peer(struct wireguard_state *s, struct rd *b)
{
	struct heard h = { 0 };
	struct nlmsg_field f;
	int r = 0;

	while (!r && nlmsg_next(b, &f)) {
		if (f.type >= ARRAY_LEN(peer_fields) || !peer_fields[f.type])
			continue; /* newer kernels may say more */
		r = peer_fields[f.type](&h, &f.body);
		if (!r)
			r = rd_done(&f.body);
	}
	if (r || (r = rd_done(b)))
		return r;
	return h.has_key ? peer_add(s, &h) : -EBADMSG;
}

static int take_peers(struct wireguard_state *s, struct rd *b)
{
	struct nlmsg_field f;
	int r = 0;

	while (!r && nlmsg_next(b, &f))
		r = take_peer(s, &f.body);
	return r;
}

static int take_own_key(struct wireguard_state *s, struct rd *b)
{
	rd_bytes(b, s->public_key, sizeof(s->public_key));
	s->has_key = !b->bad;
	return 0;
}

static int take_port(struct wireguard_state *s, struct rd *b)
{
	s->port = (uint16_t)rd_le(b, 2);
	return 0;
}

static int take_fwmark(struct wireguard_state *s, struct rd *b)
{
	s->fwmark = (uint32_t)rd_le(b, 4);
	return 0;
}

static int (*const device_fields[])(struct wireguard_state *s, struct rd *b) = {
	[WGDEVICE_A_PUBLIC_KEY] = take_own_key,
	[WGDEVICE_A_LISTEN_PORT] = take_port,
	[WGDEVICE_A_FWMARK] = take_fwmark,
	[WGDEVICE_A_PEERS] = take_peers,
};

int wireguard_decode(struct rd body, struct wireguard_state *s)
{
	struct nlmsg_field f;
	int r = 0;

	genl_skip(&body);
	while (!r && nlmsg_next(&body, &f)) {
		if (f.type >= ARRAY_LEN(device_fields) || !device_fields[f.type])
			continue;
		r = device_fields[f.type](s, &f.body);
		if (!r)
			r = rd_done(&f.body);
	}
	return r ? r : rd_done(&body);
}

static int on_device(void *ctx, struct rd body)
{
	return wireguard_decode(body, ctx);
}

int wireguard_get(const struct genl *g, const char *name, struct wireguard_state *ret, struct err *e)
{
	AUTO_WIREGUARD_STATE struct wireguard_state s = WIREGUARD_STATE_NONE;
	int r = -EAGAIN;

	for (unsigned i = 0; i < TRIES && r == -EAGAIN; i++) {
		struct nlmsg q;

		wireguard_state_deinit(&s);
		genl_init(&q, g, WG_CMD_GET_DEVICE, NLM_F_DUMP);
		nlmsg_attr(&q, WGDEVICE_A_IFNAME, name, strlen(name) + 1);
		r = nlmsg_ask(g->fd, &q, on_device, &s);
	}
	if (r)
		return err_set(e, r, "look at the WireGuard device %s: %s", name, strerror(-r));
	*ret = take(s, (struct wireguard_state)WIREGUARD_STATE_NONE);
	return 0;
}
