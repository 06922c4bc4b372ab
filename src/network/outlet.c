#include "network/outlet.h"

#include "base/file.h"
#include "base/log.h"
#include "network/edge.h"

#include <fcntl.h>
#include <stdio.h>

static struct outlet *outlet_find(const struct segments *s, const char *id)
{
	for (struct outlet *o = s->outlets; o; o = o->next)
		if (!strcmp(o->id, id))
			return o;
	return NULL;
}

static struct outlet *outlet_new(struct segments *s, const char *id)
{
	struct outlet *o = calloc(1, sizeof(*o));

	BUG_ON(!o);
	snprintf(o->id, sizeof(o->id), "%.16s", id);
	o->next = s->outlets;
	s->outlets = o;
	return o;
}

static void outlet_drop(struct segments *s, struct outlet *o)
{
	struct outlet **at = &s->outlets;

	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	free(o);
}

void outlets_free(struct segments *s)
{
	while (s->outlets)
		outlet_drop(s, s->outlets);
}

static bool is_of(const struct outlet *o, const struct segment *g)
{
	return !strcmp(o->network, g->id);
}

bool outlets_has(const struct segment *g)
{
	for (const struct outlet *o = g->all->outlets; o; o = o->next)
		if (is_of(o, g))
			return true;
	return false;
}

/* Several names may lead to one place, which a set holds once. */
static bool is_before(const struct segment *g, const struct outlet *end, size_t n_of_end, const struct endpoint *at)
{
	for (const struct outlet *o = g->all->outlets; o; o = o->next) {
		for (size_t i = 0; is_of(o, g) && i < (o == end ? n_of_end : o->n_to); i++)
			if (endpoint_eq(&o->to[i], at))
				return true;
		if (o == end)
			break;
	}
	return false;
}

void outlets_format(const struct segment *g, struct buf *ret)
{
	for (const struct outlet *o = g->all->outlets; o; o = o->next)
		for (size_t i = 0; is_of(o, g) && i < o->n_to; i++) {
			const uint8_t *a = o->to[i].address;

			if (!is_before(g, o, i, &o->to[i]))
				buf_addf(ret, "\t\t\t%u.%u.%u.%u . %u,\n", a[0], a[1], a[2], a[3], o->to[i].port);
		}
}

/* "NETWORK", and on a line for each backend "ADDRESS:PORT". */
static int outlet_save(const struct segments *s, const struct outlet *o, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	char path[256], to[ENDPOINT_TEXT_SIZE];

	buf_addf(&text, "%s", o->network);
	for (size_t i = 0; i < o->n_to; i++) {
		endpoint_format(to, &o->to[i]);
		buf_addf(&text, "\n%s", to);
	}
	snprintf(path, sizeof(path), "%s/%s/outlet", s->dir, o->id);
	return buf_check(&text) ? err_set(e, -ENOMEM, "keep what is published: out of memory") : file_keep(AT_FDCWD, path, buf_str(&text), 0600, e);
}

static bool outlet_parse(struct outlet *o, struct str text)
{
	struct str line;

	if (!str_next(&text, '\n', &line) || (line.n && line.n != WORK_ID_LEN))
		return false;
	if (line.n)
		memcpy(o->network, line.p, line.n);
	while (str_next(&text, '\n', &line))
		if (o->n_to == GATEWAY_BACKENDS_MAX || endpoint_parse(line, &o->to[o->n_to++]))
			return false;
	return true;
}

void outlet_load(struct segments *s, const char *id, struct str text)
{
	struct outlet *o = outlet_new(s, id);

	if (outlet_parse(o, text))
		return;
	log_warn("what %.16s publishes cannot be read: it is made anew", id); /* and cannot be reached until then */
	outlet_drop(s, o);
}

static bool is_same(const struct outlet *o, const struct work *w)
{
	bool same = o->n_to == (w->backends_in[0] ? w->n_backends : 0) && !strcmp(o->network, w->backends_in);

	for (size_t i = 0; same && i < o->n_to; i++)
		same = endpoint_eq(&o->to[i], &w->backends[i]);
	return same;
}

static void filter_tell(struct segments *s, const char *network)
{
	struct segment *g = segment_find(s, network);

	if (g && g->filter.event)
		filter_change(&g->filter);
}

/* The link goes with the last that needs it. */
static int link_end(struct segments *s, const char *network, struct err *e)
{
	const struct segment *g = segment_find(s, network);

	return !g || outlets_has(g) ? 0 : edge_unlink(s->edge, g->index, e);
}

static int outlet_change(struct segments *s, struct outlet *o, const struct work *w, struct err *e)
{
	char before[WORK_ID_LEN + 1];

	memcpy(before, o->network, sizeof(before));
	memcpy(o->network, w->backends_in, sizeof(o->network));
	o->n_to = o->network[0] ? w->n_backends : 0;
	memcpy(o->to, w->backends, sizeof(o->to));
	if (strcmp(before, o->network)) {
		filter_tell(s, before);
		int r = link_end(s, before, e);

		if (r)
			return r;
	}
	return outlet_save(s, o, e);
}

int outlet_apply(struct segments *s, struct work *w, struct err *e)
{
	struct segment *g = segment_find(s, w->backends_in);
	struct outlet *o = outlet_find(s, w->id);
	bool is_new = !o;
	int r;

	if (w->backends_in[0] && !g)
		return err_set(e, -ENODEV, "the network of its backends is not there");
	if (is_new)
		o = outlet_new(s, w->id);
	w->network.device[0] = '\0';
	if ((is_new || !is_same(o, w)) && (r = outlet_change(s, o, w, e)))
		return r;
	if (!g)
		return 0;
	if ((r = edge_link(s->edge, g->netns, g->index, e)))
		return r;
	edge_link_name(g->index, w->network.device);
	o->waiting = w;
	filter_change(&g->filter);
	return PROVIDER_BUSY;
}

int outlet_remove(struct segments *s, const char *id, struct err *e)
{
	struct outlet *o = outlet_find(s, id);
	char network[WORK_ID_LEN + 1];

	if (!o)
		return 0;
	memcpy(network, o->network, sizeof(network));
	outlet_drop(s, o);
	filter_tell(s, network);
	return link_end(s, network, e);
}

void outlets_loaded(struct segment *g, int r, const struct err *e)
{
	if (!r && !filter_is_current(&g->filter)) /* that was an older one */
		return;
	for (struct outlet *o = g->all->outlets, *next; o; o = next) {
		struct work *w = is_of(o, g) ? take_ptr(o->waiting) : NULL;

		next = o->next;
		if (w)
			g->all->done(g->all->ctx, w, r, e);
	}
}
