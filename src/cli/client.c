#include "cli/client.h"

#include "api/call.h"
#include "base/log.h"
#include "base/parse.h"
#include "ident/seal.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

int client_wait(struct client *c, const bool *flag, uint64_t timeout_ms)
{
	uint64_t end = log_now_ms() + timeout_ms;

	while (!*flag) {
		uint64_t now = log_now_ms();
		int r;

		if (timeout_ms && now >= end)
			return -ETIMEDOUT;
		r = sd_event_run(c->event, timeout_ms ? (end - now) * 1000 : UINT64_MAX);
		if (r < 0)
			return r;
		if (sd_event_get_state(c->event) == SD_EVENT_FINISHED)
			return -ECANCELED;
	}
	return 0;
}

static void on_hub_state(void *userdata, bool is_up, const char *why)
{
	struct client_hub *h = userdata;

	h->is_up = is_up;
	h->is_explained &= !is_up;
	if (!is_up && !h->is_explained) /* libnats knows less than what reach found out */
		snprintf(h->why, sizeof(h->why), "%s", why);
}

static void on_reach(void *userdata, const char *why)
{
	struct client_hub *h = userdata;

	h->is_explained = why[0];
	if (why[0])
		snprintf(h->why, sizeof(h->why), "%s", why);
}

/* The records of one hub on their way. */
struct listing {
	struct client_hub *hub;
	struct directory_query *query; /* NULL = ended, or never begun */
	int r;
};

static void place_add(struct client *c, const struct client_place *p)
{
	if (c->n_places == c->max_places) {
		size_t more = c->max_places ? 2 * c->max_places : 64;
		void *at = reallocarray(c->places, more, sizeof(*c->places));

		BUG_ON(!at); /* bounded by DIRECTORY_KEYS_MAX a hub */
		c->places = at;
		c->max_places = more;
	}
	c->places[c->n_places++] = *p;
}

/* Keeps the newest record of each node. */
static void record_keep(struct client *c, struct record *r)
{
	for (size_t i = 0; i < c->n_nodes; i++) {
		if (!key_pub_eq(&c->nodes[i].node, &r->node))
			continue;
		if (c->nodes[i].sequence >= r->sequence) {
			record_deinit(r);
			return;
		}
		record_deinit(&c->nodes[i]);
		c->nodes[i] = *r;
		return;
	}
	if (c->n_nodes == CLIENT_NODES_MAX)
		record_deinit(r);
	else
		c->nodes[c->n_nodes++] = *r;
}

/* What does not verify was never there, nor what somebody put where it does not belong: a record lies under its own inbox, and a copy of
 * it, from another hub or under another key, would lead nowhere. */
static void record_take(struct client *c, size_t hub, const char *key, struct str text)
{
	struct client_place p = { .hub = hub };
	struct record r;

	if (record_open(text, time(NULL), &r, NULL) || strcmp(r.inbox, key)) {
		record_deinit(&r);
		return;
	}
	p.node = r.node;
	p.sequence = r.sequence;
	snprintf(p.inbox, sizeof(p.inbox), "%s", r.inbox);
	snprintf(p.tls_key, sizeof(p.tls_key), "%s", r.tls_key);
	place_add(c, &p);
	record_keep(c, &r);
}

static void on_record(void *userdata, int r, const char *key, struct str record)
{
	struct listing *l = userdata;
	struct client *c = l->hub->client;

	if (key && !r)
		record_take(c, (size_t)(l->hub - c->hubs), key, record);
	if (key)
		return;
	l->r = r;
	l->query = NULL;
}

static void nodes_forget(struct client *c)
{
	while (c->n_nodes)
		record_deinit(&c->nodes[--c->n_nodes]);
	c->n_places = 0;
}

/* Newest first, so that what an earlier run of the node left on some hub is tried last. */
static int place_cmp(const void *a, const void *b)
{
	const struct client_place *p = a, *q = b;

	if (p->sequence != q->sequence)
		return p->sequence < q->sequence ? 1 : -1;
	return (p->hub > q->hub) - (p->hub < q->hub);
}

static bool any_listing(const struct listing *l, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (l[i].query)
			return true;
	return false;
}

static const struct client_hub *hub_any_up(const struct client *c)
{
	for (size_t i = 0; i < c->n_hubs; i++)
		if (c->hubs[i].is_up)
			return &c->hubs[i];
	return NULL;
}

static int step(struct client *c, uint64_t end_ms)
{
	uint64_t now = log_now_ms();

	if (now >= end_ms)
		return -ETIMEDOUT;
	return sd_event_run(c->event, (end_ms - now) * 1000);
}

/* One that answers is enough. */
static int listings_wait(struct client *c, struct listing *l, uint64_t end_ms)
{
	int best = -ENOTCONN, r = 0;

	while (r >= 0 && any_listing(l, c->n_hubs))
		r = step(c, end_ms);
	for (size_t i = 0; i < c->n_hubs; i++) {
		if (l[i].query) {
			directory_cancel(l[i].query);
			l[i].r = -ETIMEDOUT;
		}
		if (!l[i].r)
			best = 0;
		else if (best)
			best = l[i].r;
	}
	return best;
}

int client_refresh(struct client *c, struct err *e)
{
	struct listing l[HUBS_MAX] = { 0 };
	int r;

	nodes_forget(c);
	for (size_t i = 0; i < c->n_hubs; i++) {
		l[i] = (struct listing){ .hub = &c->hubs[i], .r = -ENOTCONN };
		if (c->hubs[i].is_up)
			l[i].r = directory_list(grid_hub(c->hubs[i].grid), on_record, &l[i], &l[i].query);
	}
	r = listings_wait(c, l, log_now_ms() + DIRECTORY_TIMEOUT_MS + 1000);
	if (c->n_places)
		qsort(c->places, c->n_places, sizeof(*c->places), place_cmp);
	return r ? err_set(e, r, "read the hub's directory: %s", strerror(-r)) : 0;
}

static int hub_start(struct client *c, const struct hub_addr *addr, struct err *e)
{
	struct client_hub *h = &c->hubs[c->n_hubs++];
	struct hub_options o = { .addr = *addr };
	struct hub_callbacks cb = { .state = on_hub_state, .userdata = h };
	int r;

	*h = (struct client_hub){ .client = c, .addr = *addr };
	if ((r = reach_init(&h->reach, c->event, &h->addr, on_reach, h, e)) || (r = grid_new(c->event, &o, &cb, &h->grid, e)))
		return r;
	reach_start(&h->reach);
	return 0;
}

static bool all_up(const struct client *c)
{
	for (size_t i = 0; i < c->n_hubs; i++)
		if (!c->hubs[i].is_up)
			return false;
	return true;
}

static void hubs_why(const struct client *c, struct err *e)
{
	struct err all = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < c->n_hubs && n < sizeof(all.msg); i++)
		n += (size_t)snprintf(all.msg + n, sizeof(all.msg) - n, "%sthe hub %.80s does not answer: %s", i ? "; " : "", c->hubs[i].addr.url,
				      c->hubs[i].why[0] ? c->hubs[i].why : "is it running?");
	err_set(e, -ETIMEDOUT, "%s", all.msg);
}

/* Until all are there, or one is and the others had their time, or none is coming. */
static int hubs_open(struct client *c, struct err *e)
{
	uint64_t end = log_now_ms() + CLIENT_TIMEOUT_MS, grace = UINT64_MAX;
	int r = 0;

	if (!c->profile.n_hubs)
		return err_set(e, -ENOENT, "no hub is known: 'zos hub run' starts one, 'zos hub use URL KEY' names one");
	for (size_t i = 0; !r && i < c->profile.n_hubs; i++)
		r = hub_start(c, &c->profile.hubs[i], e);
	if (r)
		return r;
	while (r >= 0 && !all_up(c)) {
		if (grace == UINT64_MAX && hub_any_up(c))
			grace = log_now_ms() + CLIENT_GRACE_MS;
		r = step(c, grace < end ? grace : end);
	}
	if (hub_any_up(c))
		return 0;
	hubs_why(c, e);
	return -ETIMEDOUT;
}

int client_open(struct client *ret, char role, struct err *e)
{
	struct client *c = ret;
	int r;

	*c = (struct client)CLIENT_NONE;
	c->nodes = calloc(CLIENT_NODES_MAX, sizeof(*c->nodes));
	BUG_ON(!c->nodes);
	if ((r = profile_open(&c->profile, e)) ||
	    (r = profile_key(&c->profile, role == KEY_FARM ? "farm.seed" : "user.seed", role, role == KEY_USER, &c->key, e)))
		return r == -ENOENT && role == KEY_FARM
			       ? err_set(e, r, "this needs the farm's key, and there is none in %s: 'zos farm init' makes one", c->profile.dir)
			       : r;
	if ((r = sd_event_new(&c->event)) < 0)
		return err_set(e, r, "make the event loop: %s", strerror(-r));
	if ((r = hubs_open(c, e)))
		return r;
	return client_refresh(c, e);
}

void client_close(struct client *c)
{
	nodes_forget(c);
	free(c->nodes);
	free(c->places);
	for (size_t i = 0; i < c->n_hubs; i++) {
		reach_deinit(&c->hubs[i].reach);
		grid_free(c->hubs[i].grid);
	}
	if (c->n_hubs)
		hub_library_close();
	sd_event_unref(c->event);
	key_wipe(&c->key);
	profile_close(&c->profile);
	*c = (struct client)CLIENT_NONE;
}

static bool is_ours(const struct client *c, const struct record *r)
{
	return r->approved && c->profile.farm.role && key_pub_eq(&r->farm, &c->profile.farm);
}

int client_node(struct client *c, const char *which, bool unapproved, const struct record **ret, struct err *e)
{
	const struct record *found = NULL;
	size_t n = 0, strangers = 0;

	for (size_t i = 0; i < c->n_nodes; i++) {
		const struct record *r = &c->nodes[i];
		char key[KEY_TEXT_SIZE];

		key_pub_format(key, &r->node);
		if (which && !str_starts(str_c(key), str_c(which)))
			continue;
		if (!unapproved && !is_ours(c, r)) {
			strangers++;
			continue;
		}
		found = r;
		n++;
	}
	if (n == 1) {
		*ret = found;
		return 0;
	}
	if (n > 1)
		return err_set(e, -EEXIST, "%zu nodes fit: say which with --node ('zos node list' shows them)", n);
	if (strangers)
		return err_set(e, -EACCES, "%s not approved by your farm: compare the key with the node's screen, then 'zos farm approve N...'",
			       strangers == 1 ? "the node is" : "the nodes are");
	return err_set(e, -ENOENT, which ? "no node's key starts with '%s': 'zos node list' shows who is there" : "no node is on your hubs%s",
		       which ? which : ": is one running?");
}

int client_roomiest(struct client *c, const struct demand *d, const struct record **ret, struct err *e)
{
	const struct record *best = NULL, *most = NULL;
	char why[DEMAND_WHY_MAX], key[KEY_TEXT_SIZE];
	size_t n = 0, n_drained = 0;

	for (size_t i = 0; i < c->n_nodes; i++) {
		const struct record *r = &c->nodes[i];

		if (!is_ours(c, r))
			continue;
		n++;
		n_drained += r->is_drained;
		if (!most || record_free(r) > record_free(most))
			most = r;
		if (demand_fits(d, r, why) && (!best || record_free(r) > record_free(best)))
			best = r;
	}
	if (n < 2) /* nothing to choose from: its sentences say why */
		return client_node(c, NULL, false, ret, e);
	*ret = best;
	if (best)
		return 0;
	demand_fits(d, most, why);
	key_pub_format(key, &most->node);
	return err_set(e, -ENOSPC, "no node has room for it: of your %zu nodes (%zu drained) the one with most memory free, %.8s, has %s", n,
		       n_drained, key, why);
}

static void on_ready(void *userdata, struct session *s)
{
	struct link *l = userdata;

	(void)s;
	l->ready = true;
}

static void on_closed(void *userdata, struct session *s, const char *why)
{
	struct link *l = userdata;

	(void)s;
	l->session = NULL;
	l->closed = l->ready = l->answered = true;
	snprintf(l->why, sizeof(l->why), "%s", why);
}

static int on_reply(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct link *l = userdata;
	sd_json_variant *message = sd_json_variant_by_key(v, "message");

	(void)link;
	if (!error_id && (flags & SD_VARLINK_REPLY_CONTINUES)) {
		l->result = l->on_more ? l->on_more(l->more_ctx, v) : 0;
		l->answered = l->result != 0;
		return 0;
	}
	l->answered = true;
	l->result = 0;
	if (error_id && (flags & SD_VARLINK_REPLY_LOCAL))
		l->result = err_set(&l->error, -EIO, "the session broke%s%s", l->why[0] ? ": " : "", l->why);
	else if (error_id)
		l->result = err_set(&l->error, call_error_code(error_id), "%s",
				    sd_json_variant_is_string(message) ? sd_json_variant_string(message) : error_id);
	else
		l->reply = sd_json_variant_ref(v);
	return 0;
}

/* Sends one call with one parameter, an envelope, and waits. */
static int call(struct link *l, const char *method, const char *parameter, struct str envelope, bool more, uint64_t timeout_ms, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL, *parameters = NULL;
	int r = json_parse(envelope, &v, e);

	if (r)
		return r;
	if (!l->varlink || l->closed)
		return err_set(e, -EIO, "the session with the node is closed: %s", l->why);
	if ((r = sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_VARIANT(parameter, v))) < 0)
		return err_set(e, r, "call the node: %s", strerror(-r));
	l->answered = false;
	l->error = (struct err){ 0 };
	json_unrefp(&l->reply);
	r = more ? sd_varlink_observe(l->varlink, method, parameters) : sd_varlink_invoke(l->varlink, method, parameters);
	if (r < 0)
		return err_set(e, r, "call the node: %s", strerror(-r));
	if ((r = client_wait(l->client, &l->answered, timeout_ms)))
		return err_set(e, r, "the node did not answer within %llu s", (unsigned long long)timeout_ms / 1000);
	if (l->closed && !l->result)
		return err_set(e, -EIO, "the session with the node broke: %s", l->why);
	if (l->result < 0 && e)
		*e = l->error;
	return l->result;
}

int link_send(struct link *l, const char *method, const char *parameter, struct str envelope, struct err *e)
{
	return call(l, method, parameter, envelope, false, CLIENT_TIMEOUT_MS, e);
}

static int login(struct link *l, struct err *e)
{
	AUTO_BUF struct buf envelope = { 0 };

	if (login_sign(&l->client->key, &l->node, l->tls.pub.bytes, time(NULL) + 60, &envelope))
		return err_set(e, -ENOMEM, "sign the login: out of memory");
	return link_send(l, CALL_LOGIN, "login", buf_str(&envelope), e);
}

static int varlink_open(struct link *l, struct err *e)
{
	int fd[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd))
		return err_set(e, -errno, "make a link: %m");
	if ((r = session_attach(l->session, 0, fd[0], e))) {
		close(fd[1]);
		return r;
	}
	if ((r = sd_varlink_connect_fd(&l->varlink, fd[1])) < 0) {
		close(fd[1]);
		return err_set(e, r, "make a link: %s", strerror(-r));
	}
	sd_varlink_set_userdata(l->varlink, l);
	if ((r = sd_varlink_bind_reply(l->varlink, on_reply)) < 0 || (r = sd_varlink_set_relative_timeout(l->varlink, UINT64_MAX)) < 0 ||
	    (r = sd_varlink_attach_event(l->varlink, l->client->event, SD_EVENT_PRIORITY_NORMAL)) < 0)
		return err_set(e, r, "make a link: %s", strerror(-r));
	return 0;
}

static int dial(struct client *c, const struct client_place *at, struct link *ret, struct err *e)
{
	struct session_callbacks cb = { .ready = on_ready, .closed = on_closed, .userdata = ret };
	struct link *l = ret;
	uint8_t expected[32];
	int r;

	*l = (struct link){ .client = c, .hub = at->hub, .node = at->node };
	if (parse_hex(str_c(at->tls_key), expected, sizeof(expected)))
		return err_set(e, -EBADMSG, "the node's record names no TLS key");
	if (key_new(KEY_USER, &l->tls))
		return err_set(e, -ENOMEM, "make a session key: out of memory");
	if ((r = session_dial(c->hubs[at->hub].grid, at->inbox, &l->tls, expected, &cb, &l->session, e)))
		return r;
	if (client_wait(c, &l->ready, DIAL_TIMEOUT_MS) || l->closed)
		return err_set(e, -EHOSTUNREACH, "open a session with the node: %s", l->closed ? l->why : "no answer");
	if ((r = varlink_open(l, e)))
		return r;
	return login(l, e);
}

/* On each hub where the node is, until one leads to it. -EHOSTUNREACH: none did. */
static int dial_anywhere(struct client *c, const struct key_pub *node, struct link *ret, struct err *e)
{
	int r = err_set(e, -EHOSTUNREACH, "the node has left the directory");

	for (size_t i = 0; i < c->n_places; i++) {
		if (!key_pub_eq(&c->places[i].node, node) || !c->hubs[c->places[i].hub].is_up)
			continue;
		if ((r = dial(c, &c->places[i], ret, e)) != -EHOSTUNREACH)
			return r;
		link_close(ret);
	}
	return r;
}

/* A node that has just restarted its line has a new inbox, and the record in hand still names the old one: then the directories are read
 * again, until the node has been silent for longer than a restart takes. */
int link_open(struct client *c, const struct record *node, struct link *ret, struct err *e)
{
	uint64_t end = log_now_ms() + CLIENT_TIMEOUT_MS;
	struct key_pub wanted = node->node;
	int r;

	for (;;) {
		r = dial_anywhere(c, &wanted, ret, e);
		if (r != -EHOSTUNREACH || log_now_ms() >= end)
			return r;
		if (client_refresh(c, e))
			(void)step(c, log_now_ms() + CLIENT_GRACE_MS); /* no hub at all: it may come back */
	}
}

void link_close(struct link *l)
{
	if (l->varlink)
		sd_varlink_close_unref(l->varlink);
	if (l->session)
		session_close(l->session);
	json_unrefp(&l->reply);
	key_wipe(&l->tls);
	l->varlink = NULL;
	l->session = NULL;
}

static int order(struct link *l, const char *method, sd_json_variant *arguments, bool more, uint64_t timeout_ms, struct err *e)
{
	AUTO_BUF struct buf envelope = { 0 };

	if (order_sign(&l->client->key, &l->node, method, arguments, time(NULL) + 120, &envelope))
		return err_set(e, -ENOMEM, "sign the order: out of memory");
	return call(l, "zos.Order.Call", "order", buf_str(&envelope), more, timeout_ms, e);
}

int link_call(struct link *l, const char *method, sd_json_variant *arguments, sd_json_variant **ret, struct err *e)
{
	int r = order(l, method, arguments, false, CLIENT_TIMEOUT_MS + call_answer_ms(method), e);

	if (!r && ret)
		*ret = take_ptr(l->reply);
	return r;
}

int link_watch(struct link *l, const char *method, sd_json_variant *arguments, uint64_t timeout_ms, int (*each)(void *ctx, sd_json_variant *reply),
	       void *ctx, struct err *e)
{
	l->on_more = each;
	l->more_ctx = ctx;
	return order(l, method, arguments, true, timeout_ms, e);
}

int link_stream(struct link *l, const char *method, sd_json_variant *arguments, int fd, struct err *e)
{
	AUTO_JSON sd_json_variant *reply = NULL;
	AUTO_FD int held = fd;
	sd_json_variant *stream;
	int r = link_call(l, method, arguments, &reply, e);

	if (r)
		return r;
	stream = sd_json_variant_by_key(reply, "stream");
	if (!sd_json_variant_is_unsigned(stream))
		return err_set(e, -EBADMSG, "the node named no stream");
	if (!l->session)
		return err_set(e, -EIO, "the session with the node broke: %s", l->why);
	return session_attach(l->session, (uint32_t)sd_json_variant_unsigned(stream), take_fd(held), e);
}

int link_seal_key(struct link *l, const char *digest, struct buf *ret, struct err *e)
{
	AUTO_JSON sd_json_variant *info = NULL;
	sd_json_variant *key;
	char got[SEAL_DIGEST_LEN + 1] = "";
	int r;

	if (!digest[0])
		return err_set(e, -EINVAL, "this node's version takes no sealed values: update it, or choose another node");
	if ((r = link_call(l, "zos.Node.Info", NULL, &info, e)))
		return r;
	key = sd_json_variant_by_key(info, "seal_key");
	if (sd_json_variant_is_string(key) && !parse_base64(str_c(sd_json_variant_string(key)), ret) && ret->len == SEAL_PUB_LEN)
		seal_digest((const uint8_t *)ret->p, got);
	return strcmp(got, digest) ? err_set(e, -EKEYREJECTED, "the node names another key than its signed record does: nothing was sent") : 0;
}
