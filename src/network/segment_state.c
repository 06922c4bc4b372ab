#include "network/outlet.h"

#include "base/file.h"
#include "base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

enum {
	STATE_MAX_BYTES = 65536, /* 64 peers need a sixth, as many devices less */
	OTHERS_MAX = NETWORK_PEERS_MAX + NETWORK_ACCESS_MAX
};

struct segment *segment_find(const struct segments *s, const char *id)
{
	for (struct segment *g = s->first; g; g = g->next)
		if (!strcmp(g->id, id))
			return g;
	return NULL;
}

struct member *member_find(const struct segments *s, const char *id)
{
	for (struct member *m = s->members; m; m = m->next)
		if (!strcmp(m->id, id))
			return m;
	return NULL;
}

static int save(const struct segments *s, const char *id, const char *file, const struct buf *text, struct err *e)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s/%s", s->dir, id, file);
	return buf_check(text) ? err_set(e, -ENOMEM, "keep what is in a network: out of memory") : file_keep(AT_FDCWD, path, buf_str(text), 0600, e);
}

/* "FAMILY yes|no GATEWAY GATEWAY6" */
int segment_save(const struct segment *g, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	char v4[RANGE4_TEXT_SIZE], v6[RANGE6_TEXT_SIZE];

	format_range4(v4, &g->gateway);
	format_range6(v6, &g->gateway6);
	buf_addf(&text, "%s %s %s %s", g->family, g->outgoing ? "yes" : "no", v4, v6);
	return save(g->all, g->id, "bridge", &text, e);
}

/* "FAMILY", and on a line for each network "NETWORK MAC ADDRESS ADDRESS6". */
int member_save(const struct segments *s, const struct member *m, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };

	buf_addf(&text, "%s", m->family);
	for (size_t i = 0; i < m->n_links; i++) {
		const struct member_link *l = &m->links[i];
		char v4[IP4_TEXT_SIZE], v6[IP6_TEXT_SIZE];

		format_ip4(v4, l->address);
		format_ip6(v6, l->address6);
		buf_addf(&text, "\n%s ", l->network);
		format_hex(&text, l->mac, sizeof(l->mac));
		buf_addf(&text, " %s %s", v4, v6);
	}
	return save(s, m->id, "links", &text, e);
}

/* "PORT", and on a line for each peer "NODE|DEVICE|- KEY|- RANGE RANGE6|-": a node's key is no name of a device. */
int segment_span_save(const struct segment *g, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	char path[256];

	snprintf(path, sizeof(path), "%s/%s/span", g->all->dir, g->id);
	if (!g->span.port)
		return unlink(path) && errno != ENOENT ? err_set(e, -errno, "remove %s: %m", path) : 0;
	buf_addf(&text, "%u", g->span.port);
	for (size_t i = 0; i < g->span.n_peers; i++) {
		const struct span_peer *p = &g->span.peers[i];
		char node[KEY_TEXT_SIZE] = "-", v4[RANGE4_TEXT_SIZE], v6[RANGE6_TEXT_SIZE] = "-";

		if (p->is.node.role)
			key_pub_format(node, &p->is.node);
		else if (p->device[0])
			snprintf(node, sizeof(node), "%s", p->device);
		format_range4(v4, &p->is.subnet);
		if (p->is.subnet6.prefix)
			format_range6(v6, &p->is.subnet6);
		buf_addf(&text, "\n%s ", node);
		if (p->is_known)
			format_hex(&text, p->is.public_key, sizeof(p->is.public_key));
		buf_addf(&text, "%s %s %s", p->is_known ? "" : "-", v4, v6);
	}
	return save(g->all, g->id, "span", &text, e);
}

static bool id_take(struct str s, char ret[static WORK_ID_LEN + 1])
{
	if (s.n != WORK_ID_LEN)
		return false;
	memcpy(ret, s.p, s.n);
	ret[s.n] = '\0';
	return true;
}

static bool segment_parse(struct segment *g, struct str text)
{
	struct str family, outgoing, v4;

	if (!str_next(&text, ' ', &family) || !str_next(&text, ' ', &outgoing) || !str_next(&text, ' ', &v4) || !text.p)
		return false;
	g->outgoing = str_eq(outgoing, S("yes"));
	return id_take(family, g->family) && !parse_range4(v4, &g->gateway) && !parse_range6(text, &g->gateway6);
}

static bool who_parse(struct span_peer *p, struct str who)
{
	if (str_eq(who, S("-")) || !key_pub_parse(who, &p->is.node))
		return true;
	if (!name_ok(who) || who.n >= sizeof(p->device))
		return false;
	memcpy(p->device, who.p, who.n);
	return true;
}

static bool peer_parse(struct span_peer *p, struct str line)
{
	struct str who, key, v4;

	*p = (struct span_peer){ .path = PATH_NEW };
	if (!str_next(&line, ' ', &who) || !str_next(&line, ' ', &key) || !str_next(&line, ' ', &v4) || !line.p)
		return false;
	p->is_known = !str_eq(key, S("-"));
	return who_parse(p, who) && (!p->is_known || !parse_hex(key, p->is.public_key, sizeof(p->is.public_key))) &&
	       !parse_range4(v4, &p->is.subnet) && (str_eq(line, S("-")) || !parse_range6(line, &p->is.subnet6));
}

static bool span_parse(struct span *s, struct str text)
{
	struct str line;
	uint64_t port;

	if (!str_next(&text, '\n', &line) || parse_u64(line, UINT16_MAX, &port))
		return false;
	s->port = (uint16_t)port;
	s->peers = calloc(OTHERS_MAX, sizeof(*s->peers));
	BUG_ON(!s->peers);
	while (str_next(&text, '\n', &line))
		if (s->n_peers == OTHERS_MAX || !peer_parse(&s->peers[s->n_peers++], line))
			return false;
	return true;
}

static bool link_parse(struct member_link *l, struct str line)
{
	struct str network, mac, v4;

	return str_next(&line, ' ', &network) && str_next(&line, ' ', &mac) && str_next(&line, ' ', &v4) && line.p && id_take(network, l->network) &&
	       !parse_hex(mac, l->mac, 6) && !parse_ip4(v4, &l->address) && !parse_ip6(line, l->address6);
}

static bool member_parse(struct member *m, struct str text)
{
	struct str line;

	if (!str_next(&text, '\n', &line) || !id_take(line, m->family))
		return false;
	while (str_next(&text, '\n', &line))
		if (m->n_links == ZMACHINE_NETWORKS_MAX || !link_parse(&m->links[m->n_links++], line))
			return false;
	return true;
}

static bool state_read(const struct segments *s, const char *id, const char *file, struct buf *ret)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%.16s/%s", s->dir, id, file);
	return !file_read(AT_FDCWD, path, STATE_MAX_BYTES, ret, NULL);
}

static bool index_load(const struct segments *s, const char *id, unsigned *ret)
{
	AUTO_BUF struct buf text = { 0 };
	uint64_t index;

	if (!state_read(s, id, "index", &text) || parse_u64(buf_str(&text), UINT16_MAX, &index))
		return false;
	*ret = (unsigned)index;
	return true;
}

static void member_load(struct segments *s, const char *id, struct str text)
{
	struct member *m = calloc(1, sizeof(*m));

	BUG_ON(!m);
	snprintf(m->id, sizeof(m->id), "%.16s", id);
	if (!index_load(s, id, &m->index) || !member_parse(m, text)) {
		log_warn("what networks %s is in cannot be read: it is made anew", id); /* its ports let nothing pass until then */
		free(m);
		return;
	}
	m->next = s->members;
	s->members = m;
}

static void segment_load(struct segments *s, const char *id, struct str text)
{
	AUTO_BUF struct buf span = { 0 };
	struct segment *g = calloc(1, sizeof(*g));

	BUG_ON(!g);
	*g = (struct segment){ .all = s, .span = SPAN_NONE };
	snprintf(g->id, sizeof(g->id), "%.16s", id);
	snprintf(g->netns, sizeof(g->netns), "%s/%.16s/netns", s->dir, id);
	if (!index_load(s, id, &g->index) || !segment_parse(g, text)) {
		log_warn("the network %s cannot be read: it is made anew", id);
		free(g);
		return;
	}
	if (state_read(s, id, "span", &span) && !span_parse(&g->span, buf_str(&span))) {
		log_warn("the peers of network %s cannot be read: they are met anew", id);
		span_deinit(&g->span);
	}
	g->next = s->first;
	s->first = g;
}

int segments_load(struct segments *s, struct err *e)
{
	AUTO_DIR DIR *d = opendir(s->dir);
	const struct dirent *entry;

	if (!d)
		return err_set(e, -errno, "list %s: %m", s->dir);
	while ((entry = readdir(d))) {
		AUTO_BUF struct buf links = { 0 }, bridge = { 0 }, outlet = { 0 };

		if (strlen(entry->d_name) != WORK_ID_LEN)
			continue;
		if (state_read(s, entry->d_name, "links", &links))
			member_load(s, entry->d_name, buf_str(&links));
		if (state_read(s, entry->d_name, "bridge", &bridge))
			segment_load(s, entry->d_name, buf_str(&bridge));
		if (state_read(s, entry->d_name, "outlet", &outlet))
			outlet_load(s, entry->d_name, buf_str(&outlet));
	}
	return 0;
}
