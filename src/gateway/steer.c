#include "gateway/steer.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { NO_SLOT = HAPROXY_SLOTS };

struct steering {
	struct routes *wanted;
	const struct haproxy_seen *seen;
	unsigned slots[GATEWAY_ROUTES_MAX];              /* of each route */
	bool is_taken[HAPROXY_KINDS][HAPROXY_SLOTS];
	struct buf *out;
};

static enum haproxy_kind kind_of(const struct route *r)
{
	return r->tls_passthrough ? HAPROXY_TLS : HAPROXY_WEB;
}

__attribute__((format(printf, 2, 3))) static void tell(struct steering *s, const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	BUG_ON(n < 0 || (size_t)n >= sizeof(line));
	buf_addf(s->out, "%s;", line);
}

/* What belongs together is told together, or at the next look: what began at LEN goes when it does not fit. */
static void tell_end(struct steering *s, size_t len)
{
	if (s->out->len < STEER_TEXT_MAX)
		return;
	s->out->len = len;
	s->out->p[len] = '\0';
}

static const struct haproxy_name *name_find(const struct steering *s, const struct route *r)
{
	for (size_t i = 0; i < s->seen->n_names; i++)
		if (s->seen->names[i].kind == kind_of(r) && !strcmp(s->seen->names[i].fqdn, r->fqdn))
			return &s->seen->names[i];
	return NULL;
}

/* Names that are there keep their backends; of the others none is given away whose servers have not gone yet. */
static void slots_mark(struct steering *s)
{
	for (size_t i = 0; i < s->seen->n_names; i++)
		s->is_taken[s->seen->names[i].kind][s->seen->names[i].slot] = true;
	for (size_t i = 0; i < s->seen->n_servers; i++)
		s->is_taken[s->seen->servers[i].kind][s->seen->servers[i].slot] = true;
}

static unsigned slot_take(struct steering *s, enum haproxy_kind kind)
{
	for (unsigned i = 0; i < HAPROXY_SLOTS; i++)
		if (!s->is_taken[kind][i]) {
			s->is_taken[kind][i] = true;
			return i;
		}
	return NO_SLOT;
}

static void slots_give(struct steering *s)
{
	slots_mark(s);
	for (size_t i = 0; i < s->wanted->n; i++) {
		const struct haproxy_name *is = name_find(s, &s->wanted->list[i]);

		s->slots[i] = is ? is->slot : slot_take(s, kind_of(&s->wanted->list[i]));
	}
}

static const struct haproxy_server *server_find(const struct steering *s, enum haproxy_kind kind, unsigned slot, const char *name)
{
	for (size_t i = 0; i < s->seen->n_servers; i++) {
		const struct haproxy_server *is = &s->seen->servers[i];

		if (is->kind == kind && is->slot == slot && !strcmp(is->name, name))
			return is;
	}
	return NULL;
}

static void server_add(struct steering *s, const struct route *r, size_t i, unsigned slot, const char *name)
{
	const char *kind = haproxy_kind_names[kind_of(r)], *any = r->backends[i].family == AF_INET ? "0.0.0.0" : "::";
	char at[ENDPOINT_TEXT_SIZE];

	endpoint_format(at, &r->backends[i]);
	if (r->device[0])
		tell(s, "add server %s%u/%s %s check inter 5s fastinter 1s rise 1 fall 2 source %s interface %s", kind, slot, name, at, any,
		     r->device);
	else
		tell(s, "add server %s%u/%s %s check inter 5s fastinter 1s rise 1 fall 2", kind, slot, name, at);
	tell(s, "enable health %s%u/%s", kind, slot, name);
	tell(s, "enable server %s%u/%s", kind, slot, name);
}

/* Its servers, and then its name. Servers without a name would be nobody's at the next look. */
static void route_steer(struct steering *s, struct route *r, unsigned slot)
{
	enum haproxy_kind kind = kind_of(r);
	size_t begin = s->out->len;

	r->is_known = true;
	r->n_up = 0;
	for (size_t i = 0; i < r->n_backends; i++) {
		char name[HAPROXY_SERVER_SIZE];
		const struct haproxy_server *is;

		haproxy_server_name(r, i, name);
		is = server_find(s, kind, slot, name);
		if (!is)
			server_add(s, r, i, slot, name);
		r->is_known &= is && is->is_known;
		r->n_up += is && is->is_up;
	}
	r->is_ready = name_find(s, r) && !strcmp(s->seen->thumbprint, s->wanted->thumbprint);
	if (!name_find(s, r)) {
		r->is_known = false;
		tell(s, "add map %s %s %s%u", haproxy_maps[kind], r->fqdn, haproxy_kind_names[kind], slot);
	}
	tell_end(s, begin);
}

static bool is_wanted(const struct steering *s, const struct haproxy_name *is)
{
	for (size_t i = 0; i < s->wanted->n; i++)
		if (kind_of(&s->wanted->list[i]) == is->kind && !strcmp(s->wanted->list[i].fqdn, is->fqdn))
			return true;
	return false;
}

static void names_end(struct steering *s)
{
	for (size_t i = 0; i < s->seen->n_names; i++) {
		size_t begin = s->out->len;

		if (!is_wanted(s, &s->seen->names[i]))
			tell(s, "del map %s %s", haproxy_maps[s->seen->names[i].kind], s->seen->names[i].fqdn);
		tell_end(s, begin);
	}
}

/* Whether it is one of the backends of whoever has its slot. */
static bool is_kept(const struct steering *s, const struct haproxy_server *is)
{
	for (size_t i = 0; i < s->wanted->n; i++) {
		const struct route *r = &s->wanted->list[i];

		for (size_t k = 0; s->slots[i] == is->slot && kind_of(r) == is->kind && k < r->n_backends; k++) {
			char name[HAPROXY_SERVER_SIZE];

			haproxy_server_name(r, k, name);
			if (!strcmp(name, is->name))
				return true;
		}
	}
	return false;
}

/* It goes with its last connection, which ends now: to whom it led is not published any more. */
static void servers_end(struct steering *s)
{
	for (size_t i = 0; i < s->seen->n_servers; i++) {
		const struct haproxy_server *is = &s->seen->servers[i];
		const char *kind = haproxy_kind_names[is->kind];
		size_t begin = s->out->len;

		if (is_kept(s, is))
			continue;
		tell(s, "set server %s%u/%s state maint", kind, is->slot, is->name);
		tell(s, "shutdown sessions server %s%u/%s", kind, is->slot, is->name);
		tell(s, "del server %s%u/%s", kind, is->slot, is->name);
		tell_end(s, begin);
	}
}

static void thumbprint_steer(struct steering *s)
{
	const char *shall = s->wanted->thumbprint, *is = s->seen->thumbprint;

	if (!strcmp(shall, is))
		return;
	if (!shall[0])
		tell(s, "del map " HAPROXY_ACME_MAP " " HAPROXY_ACME_ROW);
	else
		tell(s, "%s map " HAPROXY_ACME_MAP " " HAPROXY_ACME_ROW " %s", is[0] ? "set" : "add", shall);
}

int steer(struct routes *wanted, const struct haproxy_seen *seen, struct buf *ret, struct err *e)
{
	struct steering s = { .wanted = wanted, .seen = seen, .out = ret };
	int r = 0;

	slots_give(&s);
	thumbprint_steer(&s);
	names_end(&s);
	servers_end(&s);
	for (size_t i = 0; i < wanted->n; i++)
		if (s.slots[i] != NO_SLOT)
			route_steer(&s, &wanted->list[i], s.slots[i]);
		else
			r = err_set(e, -ENOSPC, "'%s' waits: all %d backends are taken or still being left", wanted->list[i].fqdn, HAPROXY_SLOTS);
	return r ? r : buf_check(ret);
}

static bool cert_is_wanted(const struct routes *wanted, const struct haproxy_cert *is)
{
	for (size_t i = 0; i < wanted->n; i++)
		if (!strcmp(wanted->list[i].cert_id, is->id) && !strcmp(wanted->list[i].fqdn, is->fqdn))
			return true;
	return false;
}

static bool cert_is_there(const struct haproxy_seen *seen, const char *fqdn, const char *id, bool is_listed)
{
	for (size_t i = 0; i < seen->n_certs; i++)
		if (seen->certs[i].is_listed == is_listed && !strcmp(seen->certs[i].id, id) && !strcmp(seen->certs[i].fqdn, fqdn))
			return true;
	return false;
}

/* What was left half made is begun anew. */
static void cert_add(const struct route *r, const struct haproxy_seen *seen, struct buf *ret)
{
	if (cert_is_there(seen, r->fqdn, r->cert_id, false))
		buf_addf(ret, "del ssl cert " HAPROXY_DIR "/%s/%s\n", r->fqdn, r->cert_id);
	buf_addf(ret, "new ssl cert " HAPROXY_DIR "/%s/%s\n", r->fqdn, r->cert_id);
	buf_addf(ret, "set ssl cert " HAPROXY_DIR "/%s/%s <<\n%s\n", r->fqdn, r->cert_id, r->bundle);
	buf_addf(ret, "commit ssl cert " HAPROXY_DIR "/%s/%s\n", r->fqdn, r->cert_id);
	buf_addf(ret, "add ssl crt-list " HAPROXY_CERTS " " HAPROXY_DIR "/%s/%s\n", r->fqdn, r->cert_id);
}

static void cert_end(const struct haproxy_cert *is, const struct haproxy_seen *seen, struct buf *ret)
{
	if (cert_is_there(seen, is->fqdn, is->id, true))
		buf_addf(ret, "del ssl crt-list " HAPROXY_CERTS " " HAPROXY_DIR "/%s/%s\n", is->fqdn, is->id);
	buf_addf(ret, "del ssl cert " HAPROXY_DIR "/%s/%s\n", is->fqdn, is->id);
}

int steer_certs(const struct routes *wanted, const struct haproxy_seen *seen, struct buf *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < wanted->n && n < STEER_CERTS_MAX; i++) {
		const struct route *r = &wanted->list[i];

		if (!r->bundle || cert_is_there(seen, r->fqdn, r->cert_id, true))
			continue;
		buf_addf(ret, "%s", n++ ? "" : "prompt\n");
		cert_add(r, seen, ret);
	}
	for (size_t i = 0; i < seen->n_certs && n < STEER_CERTS_MAX; i++) {
		if (seen->certs[i].is_listed || cert_is_wanted(wanted, &seen->certs[i]))
			continue;
		buf_addf(ret, "%s", n++ ? "" : "prompt\n");
		cert_end(&seen->certs[i], seen, ret);
	}
	if (n)
		buf_addf(ret, "quit"); /* whoever tells it ends the line */
	return buf_check(ret);
}
