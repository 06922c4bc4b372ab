#include "network/segment.h"

#include "base/log.h"
#include "network/outlet.h"
#include "network/port.h"

#include <signal.h>
#include <stdio.h>

static void segment_format(void *ctx, struct buf *ret)
{
	segment_rules_format(ctx, ret);
}

static int names_begin(const struct segment *g, struct err *e)
{
	const struct names_zone z = { g->id, g->family, g->gateway.address, g->gateway6.address, g->outgoing };

	return names_start(&g->all->names, &z, e);
}

static void on_loaded(void *ctx, int r, const struct err *why)
{
	struct segment *g = ctx;
	struct work *w = take_ptr(g->waiting);
	struct err e = *why;

	outlets_loaded(g, r, why);
	if (!w)
		return;
	if (!r)
		r = names_begin(g, &e);
	g->all->done(g->all->ctx, w, r, &e);
}

static int filter_begin(struct segment *g, struct err *e)
{
	const struct filter_options o = { g->all->filter, g->netns, segment_format, on_loaded, g };

	return g->filter.event ? 0 : filter_init(&g->filter, g->all->event, &o, e);
}

int segments_init(struct segments *s, struct err *e)
{
	int r = segments_load(s, e);

	if (!r)
		r = spans_init(s, e);
	for (struct segment *g = s->first; g && !r; g = g->next)
		r = filter_begin(g, e);
	return r;
}

static void segment_free(struct segment *g)
{
	if (g->filter.event)
		filter_deinit(&g->filter);
	span_deinit(&g->span);
	free(g);
}

void segments_deinit(struct segments *s)
{
	spans_deinit(s);
	while (s->first) {
		struct segment *g = s->first;

		s->first = g->next;
		segment_free(g);
	}
	outlets_free(s);
	while (s->members) {
		struct member *m = s->members;

		s->members = m->next;
		free(m);
	}
}

static struct segment *segment_get(struct segments *s, const char *id)
{
	struct segment *g = segment_find(s, id);

	if (g)
		return g;
	g = calloc(1, sizeof(*g));
	BUG_ON(!g);
	*g = (struct segment){ .next = s->first, .all = s, .span = SPAN_NONE };
	snprintf(g->id, sizeof(g->id), "%s", id);
	snprintf(g->netns, sizeof(g->netns), "%s/%s/netns", s->dir, id);
	s->first = g;
	return g;
}

static bool is_elsewhere(const struct segment *g, const struct range4 *gateway, const struct range6 *gateway6)
{
	return g->gateway.prefix &&
	       (g->gateway.address != gateway->address || g->gateway.prefix != gateway->prefix || memcmp(g->gateway6.address, gateway6->address, 16));
}

static void names_tell(const struct segments *s, const char *family)
{
	for (const struct segment *g = s->first; g; g = g->next)
		if (!strcmp(g->family, family))
			names_read(&s->names, g->id);
}

static void name_format(const char *who, const char *network, uint32_t address, const uint8_t address6[static 16], struct buf *ret)
{
	char v4[IP4_TEXT_SIZE], v6[IP6_TEXT_SIZE];

	format_ip4(v4, address);
	format_ip6(v6, address6);
	buf_addf(ret, "%s %s.%s.internal\n%s %s.%s.internal\n", v4, who, network, v6, who, network);
}

/* Names of what has the id ID. */
static int hosts_set(const struct segments *s, const char *family, const char *id, const struct buf *hosts, struct err *e)
{
	int r;

	if (buf_check(hosts))
		return err_set(e, -ENOMEM, "name what is in a network: out of memory");
	if ((r = names_set(&s->names, family, id, buf_str(hosts), e)) > 0)
		names_tell(s, family);
	return r < 0 ? r : 0;
}

static int devices_name(const struct segment *g, const struct work *w, struct err *e)
{
	AUTO_BUF struct buf hosts = { 0 };

	for (size_t i = 0; i < g->span.n_peers; i++) {
		const struct span_peer *p = &g->span.peers[i];

		if (p->device[0])
			name_format(p->device, w->name, p->is.subnet.address, p->is.subnet6.address, &hosts);
	}
	return hosts_set(g->all, g->family, g->id, &hosts, e);
}

int segment_apply(struct segments *s, struct work *w, unsigned index, int netlink, struct err *e)
{
	struct range4 gateway = { network_gateway(&w->net), w->net.subnet.prefix };
	struct range6 gateway6 = { .prefix = w->net.subnet6.prefix };
	struct segment *g = segment_get(s, w->id);
	int r;

	network_address6(&w->net, gateway.address, gateway6.address);
	if (is_elsewhere(g, &gateway, &gateway6)) { /* another network under a name that was free */
		span_end(g);
		if ((r = bridge_remove(g, netlink, e)))
			return r;
	}
	g->index = index;
	g->outgoing = w->net.outgoing;
	g->gateway = gateway;
	g->gateway6 = gateway6;
	g->owner = w->owner;
	snprintf(g->name, sizeof(g->name), "%s/%s", w->deployment, w->name);
	snprintf(g->family, sizeof(g->family), "%s", w->family);
	if ((r = segment_save(g, e)) || (r = bridge_make(g, netlink, e)) || (r = span_apply(g, w, netlink, e)) || (r = devices_name(g, w, e)) ||
	    (r = filter_begin(g, e)))
		return r;
	snprintf(w->network.netns, sizeof(w->network.netns), "%s", g->netns);
	g->waiting = w;
	filter_change(&g->filter);
	return PROVIDER_BUSY;
}

/* Once no network of FAMILY is left and no machine in it. */
static void family_end(const struct segments *s, const char *family)
{
	for (const struct segment *g = s->first; g; g = g->next)
		if (!strcmp(g->family, family))
			return;
	names_forget(&s->names, family);
}

int segment_remove(struct segments *s, const char *id, int netlink, struct err *e)
{
	struct segment **at = &s->first, *g = segment_find(s, id);
	int r;

	if (!g)
		return 0;
	if ((r = names_stop(&s->names, id, e)) || (r = names_set(&s->names, g->family, id, S(""), e)) < 0)
		return r;
	span_end(g);
	if ((r = bridge_remove(g, netlink, e)))
		return r;
	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	family_end(s, g->family);
	segment_free(g);
	return 1;
}

bool member_is_cut(const struct segments *s, const struct member *m)
{
	for (size_t i = 0; i < m->n_links; i++) {
		const struct segment *g = segment_find(s, m->links[i].network);

		if (g && g->outgoing)
			return false;
	}
	return m->n_links;
}

/* The filters of the networks that M is in. */
static void filters_change(struct segments *s, const struct member *m)
{
	for (struct segment *g = s->first; g; g = g->next)
		for (size_t i = 0; i < m->n_links; i++)
			if (!strcmp(m->links[i].network, g->id) && g->filter.event)
				filter_change(&g->filter);
}

static void member_fill(const struct work *w, unsigned index, struct member *ret)
{
	*ret = (struct member){ .index = index, .n_links = w->n_links };
	memcpy(ret->id, w->id, sizeof(ret->id));
	memcpy(ret->family, w->family, sizeof(ret->family));
	for (size_t i = 0; i < w->n_links; i++) {
		const struct network_link *l = &w->links[i];
		struct member_link *to = &ret->links[i];

		to->address = l->end.address.address;
		memcpy(to->network, l->network, sizeof(to->network));
		memcpy(to->mac, l->end.mac, sizeof(to->mac));
		memcpy(to->address6, l->end.address6.address, sizeof(to->address6));
	}
}

static bool is_same(const struct member *a, const struct member *b)
{
	bool same = a->index == b->index && a->n_links == b->n_links;

	for (size_t i = 0; same && i < a->n_links; i++)
		same = !strcmp(a->links[i].network, b->links[i].network) && a->links[i].address == b->links[i].address &&
		       !memcmp(a->links[i].mac, b->links[i].mac, 6) && !memcmp(a->links[i].address6, b->links[i].address6, 16);
	return same;
}

static int ports_remove(const struct segments *s, const struct member *m, struct err *e)
{
	char netns[64];
	int r = 0;

	for (size_t i = 0; i < m->n_links && !r; i++) {
		snprintf(netns, sizeof(netns), "%s/%s/netns", s->dir, m->links[i].network);
		r = port_remove(netns, m->index, e);
	}
	return r;
}

static void member_drop(struct segments *s, struct member *m)
{
	struct member **at = &s->members;
	struct member gone = *m;

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	free(m);
	filters_change(s, &gone);
}

/* Ports of links that it has no more go first: what is left has their names. */
static int member_replace(struct segments *s, const struct member *now, struct err *e)
{
	struct member *m = member_find(s, now->id), *next;
	int r;

	if (m && is_same(m, now))
		return 0;
	if (m && (r = ports_remove(s, m, e)))
		return r;
	if (m)
		member_drop(s, m);
	if (!(m = calloc(1, sizeof(*m))))
		BUG_ON(true);
	next = s->members;
	*m = *now;
	m->next = next;
	s->members = m;
	filters_change(s, m);
	return member_save(s, m, e);
}

static int ports_make(const struct segments *s, struct work *w, unsigned index, const char *container, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < w->n_links && !r; i++) {
		struct network_link *l = &w->links[i];
		char name[16], netns[sizeof(l->netns)];
		const struct port p = { l->netns, container, name, index, s->tap_uid, w->network.bandwidth, &l->end };

		snprintf(netns, sizeof(netns), "%s/%s/netns", s->dir, l->network);
		memcpy(l->netns, netns, sizeof(netns));
		snprintf(l->device, sizeof(l->device), RULES_DEVICE "%u", index);
		snprintf(name, sizeof(name), "eth%zu", i + 1);
		r = port_make(&p, e);
	}
	return r;
}

int member_apply(struct segments *s, struct work *w, unsigned index, const char *container, struct err *e)
{
	AUTO_BUF struct buf hosts = { 0 };
	struct member now;
	int r;

	if (!w->n_links && !member_find(s, w->id))
		return 0;
	member_fill(w, index, &now);
	if ((r = member_replace(s, &now, e)) || (r = ports_make(s, w, index, container, e)))
		return r;
	for (size_t i = 0; i < w->n_links; i++)
		name_format(w->name, w->links[i].name, w->links[i].end.address.address, w->links[i].end.address6.address, &hosts);
	return hosts_set(s, w->family, w->id, &hosts, e);
}

int member_remove(struct segments *s, const char *id, struct err *e)
{
	struct member *m = member_find(s, id);
	char family[WORK_ID_LEN + 1];
	int r;

	if (!m)
		return 0;
	memcpy(family, m->family, sizeof(family));
	if ((r = ports_remove(s, m, e)) || (r = names_set(&s->names, family, id, S(""), e)) < 0)
		return r;
	member_drop(s, m);
	names_tell(s, family);
	family_end(s, family);
	return 0;
}

void segments_resolvers_changed(struct segments *s)
{
	struct err e = { 0 };

	for (const struct segment *g = s->first; g; g = g->next)
		if (g->outgoing && names_begin(g, &e))
			log_warn("the name servers of a network: %s", e.msg);
}
