/* Nodes that meet for their owners' networks: `meet_net CASE`. Real gridds and engines over a real hub; and engines whose gridd is this program, which
 * may bring what it likes. */
#include "line_lab.h"

#include "relay/relayd.h"
#include "svc/meeting.h"

enum { NODES_MAX = 3, NETS_MAX = 8, KEPT_MAX = 64, PORT = 51820 };
#define NET "blog/net"

static struct key farm, stranger_farm, owner, other_owner, mallory;
static const struct peers_times quick = {
	.first_ms = 2000, .patience_ms = 2000, .answer_ms = 20000, .renew_ms = 6000, .pause_min_ms = 100, .pause_max_ms = 500
};

/* What the test says to an engine's networks, and what they say. */
enum verb { WANT, FORGET, CHANGE, ASK, RELAYS /* NODE is one of the farm's */, NEED /* one, for NODE */ };
struct command {
	enum verb verb;
	struct key_pub node, owner;
	char network[MEET_NETWORK_MAX + 1];
	uint16_t port;
};
struct report {
	bool is_met; /* or the answer to ASK */
	bool is_relayed; /* END has where relays are, and nothing else */
	struct key_pub node;
	char network[MEET_NETWORK_MAX + 1], why[160];
	struct meet_end end;
	uint8_t psk[MEET_KEY_LEN];
	enum peer_state state;
};

/* An engine's side of it, in its process. */
static struct {
	int fd;
	struct serve *serve;
	struct command nets[NETS_MAX];
	size_t n;
	uint16_t port;
} mine;

static int net_find(const struct meeting_with *w)
{
	for (size_t i = 0; i < mine.n; i++)
		if (key_pub_eq(&mine.nets[i].node, &w->node) && key_pub_eq(&mine.nets[i].owner, &w->owner) &&
		    !strcmp(mine.nets[i].network, w->network))
			return (int)i;
	return -ENOENT;
}

static void end_make(const struct key_pub *whose, uint16_t port, struct meet_end *ret)
{
	*ret = (struct meet_end){ .port = port, .n_endpoints = 1 };
	memcpy(ret->public_key, whose->bytes, sizeof(ret->public_key));
	ret->endpoints[0] = (struct endpoint){ .family = AF_INET, .address = { 192, 0, 2, whose->bytes[0] }, .port = port };
}

static int on_own(void *ctx, const struct meeting_with *with, struct meet_end *ret)
{
	(void)ctx;
	if (net_find(with) < 0)
		return -ENOENT;
	end_make(&mine.serve->engine->identity.pub, mine.port, ret);
	return 0;
}

static void on_met(void *ctx, const struct meeting_with *with, const struct meet_end *peer, const uint8_t psk[static MEET_KEY_LEN])
{
	struct report r = { .is_met = true, .node = with->node, .end = *peer };

	(void)ctx;
	snprintf(r.network, sizeof(r.network), "%s", with->network);
	memcpy(r.psk, psk, sizeof(r.psk));
	T_NEED(write(mine.fd, &r, sizeof(r)) == sizeof(r), "report");
}

static void on_relayed(void *ctx, const struct meeting_with *with, const struct endpoint *at, size_t n)
{
	struct report r = { .is_relayed = true, .node = with->node, .end.n_endpoints = n };

	(void)ctx;
	snprintf(r.network, sizeof(r.network), "%s", with->network);
	memcpy(r.end.endpoints, at, n * sizeof(*at));
	T_NEED(write(mine.fd, &r, sizeof(r)) == sizeof(r), "report");
}

static void farm_text(const struct key *by, const struct key_pub *relay, unsigned sequence, struct buf *ret);

/* A farm document that names a relay, or with a key of no role none. */
static void relays_take(const struct key_pub *relay, unsigned sequence)
{
	struct engine *n = mine.serve->engine;
	AUTO_BUF struct buf text = { 0 };
	struct err e = { 0 };

	farm_text(key_pub_eq(&n->farm->farm, &farm.pub) ? &farm : &stranger_farm, relay->role ? relay : NULL, sequence, &text);
	T_NEED(engine_set_farm(n, buf_str(&text), &e) >= 0, "%s", e.msg);
	relaying_configure(&mine.serve->relaying, n);
}

static void relay_need(const struct meeting_with *with)
{
	const struct key_pub *own = &mine.serve->engine->identity.pub;
	struct relay_ends ends;

	memcpy(ends.public_key, own->bytes, sizeof(ends.public_key));
	memcpy(ends.peer_key, with->node.bytes, sizeof(ends.peer_key));
	relays_need(&mine.serve->meet, with, &ends, AF_INET);
}

static void command_do(const struct command *c)
{
	struct meeting_with with = { .owner = c->owner, .node = c->node, .network = c->network };
	struct meet *m = &mine.serve->meet;
	struct report r = { 0 };
	struct peer *x;
	struct err e = { 0 };
	int at;

	switch (c->verb) {
	case WANT:
		mine.nets[mine.n++] = *c;
		T_NEED(mine.n < NETS_MAX && !meet_want(m, &with, &e), "%s", e.msg);
		return;
	case FORGET:
		at = net_find(&with);
		T_NEED(at >= 0, "forget");
		mine.nets[at] = mine.nets[--mine.n];
		meet_forget(m, &with);
		return;
	case CHANGE:
		mine.port = c->port;
		meet_changed(m, &c->owner, c->network);
		return;
	case ASK:
		x = peers_find(&m->peers, &c->node, &c->owner, c->network);
		if (x) {
			r.state = x->state;
			snprintf(r.why, sizeof(r.why), "%s", x->why);
		}
		T_NEED(write(mine.fd, &r, sizeof(r)) == sizeof(r), "report");
		return;
	case RELAYS:
		relays_take(&c->node, c->port);
		return;
	case NEED:
		relay_need(&with);
		return;
	}
}

static int on_command(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct command c;

	(void)source;
	(void)revents;
	(void)userdata;
	if (read(fd, &c, sizeof(c)) != sizeof(c))
		_exit(0);
	command_do(&c);
	return 0;
}

/* A relay's process, of whichever node has the role. */

static char relay_dir[64], relay_socket[96];
static pid_t relay_pid;

static _Noreturn void relay_go(void)
{
	static struct relayd d = RELAYD_NONE;
	char table[96];
	sd_event *event;
	struct err e = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(table, sizeof(table), "%s/pairs", relay_dir);
	T_NEED(sd_event_new(&event) >= 0 && !relayd_ports_open(&d, &e) && !relayd_init(&d, event, table, relay_socket, &e), "%s", e.msg);
	sd_event_loop(event);
	_exit(1);
}

static void relay_start(void)
{
	unlink(relay_socket);
	if (!(relay_pid = fork()))
		relay_go();
	for (uint64_t end = log_now_ms() + DEADLINE_S * 1000; access(relay_socket, F_OK) && log_now_ms() < end;)
		poll(NULL, 0, 20);
	T_NEED(!access(relay_socket, F_OK), "the relay does not start");
}

static void relay_kill(void)
{
	kill(relay_pid, SIGKILL);
	T_CHECK(waitpid(relay_pid, NULL, 0) == relay_pid, "wait");
}

/* Nodes. */

struct one {
	char dir[64], socket[96];
	const struct key *farm;
	pid_t engine, gridd;
	int fd, count; /* to the engine's networks, to gridd */
	struct key_pub key;
	struct report kept[KEPT_MAX]; /* meetings of other networks than the one that was asked for */
	size_t n_kept;
};
static struct one nodes[NODES_MAX];

static void farm_text(const struct key *by, const struct key_pub *relay, unsigned sequence, struct buf *ret)
{
	AUTO_BUF struct buf body = { 0 };
	char key[KEY_TEXT_SIZE], relay_key[KEY_TEXT_SIZE];

	key_pub_format(key, &by->pub);
	buf_addf(&body, "{\"name\":\"lab\",\"farm\":\"%s\",\"sequence\":%u,\"hubs\":[{\"url\":\"%s\",\"key\":\"%s\"}]", key, sequence, hub.addr.url,
		 hub.addr.key);
	if (relay) {
		key_pub_format(relay_key, relay);
		buf_addf(&body, ",\"relays\":[{\"node\":\"%s\",\"address\":\"192.0.2.200\"}]", relay_key);
	}
	buf_add(&body, S("}"));
	T_NEED(!dsse_sign(API_TYPE_FARM, buf_str(&body), by, 1, ret), "sign the farm document");
}

static sd_json_variant *approval_of(const struct key *by, const struct key_pub *node_key)
{
	AUTO_BUF struct buf text = { 0 };
	sd_json_variant *v = NULL;

	T_NEED(!approval_sign(by, node_key, &text) && !json_parse(buf_str(&text), &v, NULL), "approve");
	return v;
}

static _Noreturn void engine_go(const struct one *o, int fd)
{
	static const struct provider_ops ops = { .apply = nothing, .remove = nothing, .hold = nothing };
	static const struct meeting_ends ends = { .own = on_own, .met = on_met, .relayed = on_relayed };
	static struct provider provider = { .name = "any", .ops = &ops };
	static struct serve serve = SERVE_NONE;
	struct provider *providers[STEPS];
	const char *dirs[] = { o->dir };
	struct engine engine = ENGINE_NONE;
	struct storage disks = STORAGE_NONE;
	AUTO_JSON sd_json_variant *approval = NULL;
	AUTO_BUF struct buf text = { 0 };
	char nonces[96];
	sd_event *event;
	struct err e = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(nonces, sizeof(nonces), "%s/nonces", o->dir);
	farm_text(o->farm, NULL, 1, &text);
	for (size_t i = 0; i < STEPS; i++)
		providers[i] = &provider;
	T_NEED(sd_event_new(&event) >= 0 && !engine_init(&engine, event, dirs, 1, true, providers, &e) &&
		       !engine_set_farm(&engine, buf_str(&text), &e),
	       "%s", e.msg);
	approval = approval_of(o->farm, &engine.identity.pub);
	T_NEED(!engine_approve(&engine, approval, &e) && !serve_init(&serve, &engine, &disks, o->socket, &e) &&
		       !nonces_add(&serve.nonces, nonces, time(NULL), &e),
	       "%s", e.msg);
	serve.meet.peers.times = quick;
	serve.relaying.socket = relay_socket;
	mine.fd = fd;
	mine.serve = &serve;
	mine.port = PORT;
	meet_attach(&serve.meet, &ends);
	T_NEED(sd_event_add_io(event, NULL, fd, EPOLLIN, on_command, NULL) >= 0, "event");
	T_NEED(write(fd, &engine.identity.pub, sizeof(engine.identity.pub)) == sizeof(engine.identity.pub), "report");
	sd_event_loop(event);
	_exit(1);
}

static int on_count(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	const struct gridd *g = userdata;
	uint8_t ask;

	(void)source;
	(void)revents;
	if (read(fd, &ask, 1) != 1)
		_exit(0);
	return write(fd, &g->n_dialled, sizeof(g->n_dialled)) == sizeof(g->n_dialled) ? 0 : -EIO;
}

static _Noreturn void gridd_go(const struct one *o, int fd)
{
	struct gridd g = GRIDD_NONE;
	sd_event *event;
	struct err e = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	T_NEED(sd_event_new(&event) >= 0 && !gridd_init(&g, event, o->socket, &e), "%s", e.msg);
	T_NEED(sd_event_add_io(event, NULL, fd, EPOLLIN, on_count, &g) >= 0, "event");
	g.limits.way_idle_ms = 1500; /* so that each renewal has a session of its own */
	g.limits.way_age_ms = 3000;
	sd_event_loop(event);
	_exit(1);
}

static void gridd_start(struct one *o)
{
	int pair[2];

	T_NEED(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "socketpair");
	if (!(o->gridd = fork()))
		gridd_go(o, pair[1]);
	close(pair[1]);
	o->count = pair[0];
}

/* How many sessions to other nodes its gridd has begun. */
static uint64_t dialled(const struct one *o)
{
	uint64_t n = 0;

	T_NEED(write(o->count, "", 1) == 1 && read(o->count, &n, sizeof(n)) == sizeof(n), "gridd is gone");
	return n;
}

static void one_start(struct one *o, const struct key *by, bool with_gridd)
{
	int pair[2];

	*o = (struct one){ .farm = by };
	snprintf(o->dir, sizeof(o->dir), "/tmp/meet-net-XXXXXX");
	T_NEED(mkdtemp(o->dir) && !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "fixture");
	snprintf(o->socket, sizeof(o->socket), "%s/sock", o->dir);
	if (!(o->engine = fork()))
		engine_go(o, pair[1]);
	close(pair[1]);
	o->fd = pair[0];
	T_NEED(read(o->fd, &o->key, sizeof(o->key)) == sizeof(o->key), "the engine did not start");
	if (with_gridd)
		gridd_start(o);
}

static void gridd_kill(struct one *o)
{
	kill(o->gridd, SIGKILL);
	T_CHECK(waitpid(o->gridd, NULL, 0) == o->gridd, "wait");
	close(o->count);
	o->gridd = 0;
}

static void one_stop(struct one *o)
{
	struct err e = { 0 };

	if (o->gridd)
		gridd_kill(o);
	kill(o->engine, SIGKILL);
	T_CHECK(waitpid(o->engine, NULL, 0) == o->engine, "wait");
	close(o->fd);
	T_CHECK(!tree_remove(AT_FDCWD, o->dir, &e), "%s", e.msg);
}

static void say(const struct one *o, enum verb verb, const struct one *other, const struct key *by, const char *network, uint16_t port)
{
	struct command c = { .verb = verb, .node = other->key, .owner = by->pub, .port = port };

	snprintf(c.network, sizeof(c.network), "%s", network);
	T_NEED(write(o->fd, &c, sizeof(c)) == sizeof(c), "command");
}

static void hear(const struct one *o, struct report *ret)
{
	struct pollfd p = { .fd = o->fd, .events = POLLIN };

	T_NEED(poll(&p, 1, DEADLINE_S * 1000) == 1 && read(o->fd, ret, sizeof(*ret)) == sizeof(*ret), "an engine says nothing");
}

static bool kept_take(struct one *o, const char *network, struct report *ret)
{
	for (size_t i = 0; i < o->n_kept; i++)
		if (!strcmp(o->kept[i].network, network)) {
			*ret = o->kept[i];
			memmove(&o->kept[i], &o->kept[i + 1], (--o->n_kept - i) * sizeof(*o->kept));
			return true;
		}
	return false;
}

/* The next meeting of NETWORK that O tells of. */
static void hear_met(struct one *o, const char *network, struct report *ret)
{
	if (kept_take(o, network, ret))
		return;
	for (hear(o, ret); !ret->is_met || strcmp(ret->network, network); hear(o, ret))
		if (ret->is_met && o->n_kept < KEPT_MAX)
			o->kept[o->n_kept++] = *ret;
}

/* Until both have told of the same key, which is none of the N of BEFORE. */
static void hear_both(struct one *x, struct one *y, const char *network, const uint8_t (*before)[MEET_KEY_LEN], size_t n, struct report *ret_x,
		      struct report *ret_y)
{
	bool is_new = false;

	hear_met(y, network, ret_y);
	while (!is_new) {
		hear_met(x, network, ret_x);
		for (int i = 0; i < 8 && memcmp(ret_x->psk, ret_y->psk, MEET_KEY_LEN); i++)
			hear_met(y, network, ret_y); /* what was overtaken on one side alone */
		T_NEED(!memcmp(ret_x->psk, ret_y->psk, MEET_KEY_LEN), "both have the same key");
		is_new = true;
		for (size_t i = 0; i < n; i++)
			is_new &= memcmp(ret_x->psk, before[i], MEET_KEY_LEN) != 0;
	}
}

/* Until O says of its meeting with OTHER what WHY says. */
static void until_why(const struct one *o, const struct one *other, const struct key *by, const char *why)
{
	struct report r = { 0 };

	for (uint64_t end = log_now_ms() + DEADLINE_S * 1000; !strstr(r.why, why) && log_now_ms() < end;) {
		say(o, ASK, other, by, NET, 0);
		do
			hear(o, &r);
		while (r.is_met);
		T_NEED(r.state != PEER_MET, "met, instead of '%s'", why);
		if (!strstr(r.why, why))
			poll(NULL, 0, 20);
	}
	T_CHECK(strstr(r.why, why), "'%s', not '%s'", r.why, why);
}

static bool is_end_of(const struct one *o, uint16_t port, const struct meet_end *end)
{
	struct meet_end want;

	end_make(&o->key, port, &want);
	return !memcmp(&want, end, sizeof(want));
}

static void swap_if(bool swaps, struct one **x, struct one **y)
{
	struct one *z = *x;

	if (!swaps)
		return;
	*x = *y;
	*y = z;
}

/* A has the lower key, and so dials. */
static void two_nodes_meet(void)
{
	static const char other[] = "shop/net";
	struct one *a = &nodes[0], *b = &nodes[1];
	uint8_t seen[6][MEET_KEY_LEN];
	struct report x, y;
	uint64_t n;

	hub_make();
	one_start(a, &farm, true);
	one_start(b, &farm, true);
	swap_if(memcmp(a->key.bytes, b->key.bytes, sizeof(a->key.bytes)) > 0, &a, &b);
	say(b, WANT, a, &owner, NET, 0);
	say(b, WANT, a, &owner, other, 0);
	say(a, WANT, b, &owner, NET, 0);
	say(a, WANT, b, &owner, other, 0);
	hear_both(a, b, NET, NULL, 0, &x, &y);
	memcpy(seen[0], x.psk, MEET_KEY_LEN);
	T_CHECK(is_end_of(b, PORT, &x.end) && is_end_of(a, PORT, &y.end), "each knows the other's end");
	for (size_t i = 1; i < 5; i++) { /* the other network, and renewals of both by themselves */
		n = dialled(a);
		hear_both(a, b, i % 2 ? other : NET, seen, i, &x, &y);
		memcpy(seen[i], x.psk, MEET_KEY_LEN);
		if (i == 2)
			T_CHECK(dialled(a) == n + 1, "a renewal has a session of its own: %llu and %llu", (unsigned long long)n,
				(unsigned long long)dialled(a));
		if (i == 3)
			T_CHECK(dialled(a) == n, "which serves both networks: %llu and %llu", (unsigned long long)n, (unsigned long long)dialled(a));
	}
	T_CHECK(!dialled(b), "the higher key waits");
	say(b, CHANGE, a, &owner, NET, 4500);
	do
		hear_met(a, NET, &x);
	while (!is_end_of(b, 4500, &x.end));
	gridd_kill(a); /* and what it knew */
	gridd_start(a);
	hear_both(a, b, NET, seen, 5, &x, &y);
	one_stop(a);
	one_stop(b);
	hub_remove();
}

static void who_is_no_peer_is_refused(void)
{
	static const char none[] = "no network of that owner names this node";
	struct one *a = &nodes[0], *b = &nodes[1], *c = &nodes[2];
	struct report x, y;

	hub_make();
	one_start(a, &farm, true);
	one_start(b, &farm, true);
	one_start(c, &stranger_farm, true);
	say(a, WANT, b, &owner, NET, 0);
	until_why(a, b, &owner, none);
	say(b, WANT, a, &other_owner, NET, 0); /* another's network of the same name */
	say(b, WANT, c, &owner, NET, 0); /* the owner's, with somebody else */
	until_why(a, b, &owner, none);
	until_why(b, a, &other_owner, none);
	until_why(b, c, &owner, "not approved by this farm");
	say(c, WANT, b, &owner, NET, 0);
	until_why(c, b, &owner, "not approved by this farm");
	say(b, WANT, a, &owner, NET, 0);
	hear_both(a, b, NET, NULL, 0, &x, &y);
	T_CHECK(is_end_of(b, PORT, &x.end) && is_end_of(a, PORT, &y.end), "the right one is taken");
	say(b, FORGET, a, &owner, NET, 0);
	do { /* at the next renewal */
		say(a, ASK, b, &owner, NET, 0);
		do
			hear(a, &x);
		while (x.is_met);
		poll(NULL, 0, 20);
	} while (!strstr(x.why, none));
	T_CHECK(x.state == PEER_STALE || x.state == PEER_RENEWING, "who was a peer and is none: %d", x.state);
	for (size_t i = 0; i < 3; i++)
		one_stop(&nodes[i]);
	hub_remove();
}

/* What relays say to O, when it needs one for its end of NETWORK with OTHER. */
static void need(const struct one *o, const struct one *other, const char *network, struct report *ret)
{
	struct pollfd p = { .fd = o->fd, .events = POLLIN };
	uint64_t end = log_now_ms() + DEADLINE_S * 1000;

	*ret = (struct report){ 0 };
	do {
		if (!poll(&p, 1, 0))
			say(o, NEED, other, &owner, network, 0); /* heard once its gridd is there; again is fine */
		if (poll(&p, 1, 200))
			hear(o, ret);
	} while ((!ret->is_relayed || strcmp(ret->network, network)) && log_now_ms() < end);
	T_NEED(ret->is_relayed && !strcmp(ret->network, network), "nothing is said of a relay");
}

/* The same until one of them answers: those who start come into the directory one by one. A network is asked for once in a while. */
static void need_found(const struct one *o, const struct one *other, struct report *ret)
{
	static unsigned n;
	uint64_t end = log_now_ms() + DEADLINE_S * 1000;

	do {
		char network[32];

		snprintf(network, sizeof(network), "blog/n%u", n++);
		need(o, other, network, ret);
	} while (!ret->end.n_endpoints && log_now_ms() < end);
	T_NEED(ret->end.n_endpoints == 1, "no relay answers");
}

static void ends_meet_at_a_relay(void)
{
	static const struct one nobody;
	struct one *a = &nodes[0], *b = &nodes[1], *c = &nodes[2];
	const struct endpoint at = { .family = AF_INET, .address = { 192, 0, 2, 200 } };
	struct endpoint is;
	struct report x, y;
	struct err e = { 0 };

	snprintf(relay_dir, sizeof(relay_dir), "/tmp/relay-net-XXXXXX");
	T_NEED(mkdtemp(relay_dir), "fixture");
	snprintf(relay_socket, sizeof(relay_socket), "%s/sock", relay_dir);
	hub_make();
	relay_start();
	one_start(a, &farm, true);
	one_start(b, &farm, true);
	one_start(c, &farm, true);
	for (size_t i = 0; i < 3; i++)
		say(&nodes[i], RELAYS, c, &owner, "", 2);
	need_found(a, b, &x);
	need_found(b, a, &y);
	is = x.end.endpoints[0];
	is.port = 0;
	T_CHECK(endpoint_eq(&is, &at), "where the farm says that it is");
	T_CHECK((x.end.endpoints[0].port ^ y.end.endpoints[0].port) == 1 && x.end.endpoints[0].port >= RELAY_PORT_BASE,
		"the two ports of a pair: %u %u", x.end.endpoints[0].port, y.end.endpoints[0].port);
	relay_kill();
	need(a, b, "blog/none", &y);
	T_CHECK(!y.end.n_endpoints, "nobody is there");
	relay_start();
	need(a, b, "blog/again", &y);
	T_CHECK(y.end.n_endpoints == 1 && y.end.endpoints[0].port == x.end.endpoints[0].port,
		"the same keys have the same port, also after a new start");
	say(c, RELAYS, &nobody, &owner, "", 3);
	need(a, b, "blog/later", &y);
	T_CHECK(!y.end.n_endpoints, "who is no relay any more is none");
	say(c, RELAYS, c, &owner, "", 4);
	need_found(a, b, &y);
	one_stop(b);
	one_start(b, &stranger_farm, true);
	say(b, RELAYS, c, &owner, "", 2);
	need(b, a, NET, &x);
	T_CHECK(!x.end.n_endpoints, "another farm's relay is none");
	for (size_t i = 0; i < 3; i++)
		one_stop(&nodes[i]);
	relay_kill();
	hub_remove();
	T_CHECK(!tree_remove(AT_FDCWD, relay_dir, &e), "%s", e.msg);
}

/* From here on this program is gridd. */

static void connect_to(const struct one *o, struct side *s, struct visit *v, sd_varlink_reply_t on_reply)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*v = (struct visit){ .side = s };
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", o->socket);
	T_NEED(fd >= 0 && !connect(fd, (void *)&at, sizeof(at)), "connect to the engine: %m");
	T_NEED(sd_varlink_connect_fd(&v->link, fd) >= 0 && sd_varlink_bind_reply(v->link, on_reply) >= 0 &&
		       sd_varlink_set_relative_timeout(v->link, UINT64_MAX) >= 0 &&
		       sd_varlink_attach_event(v->link, s->event, SD_EVENT_PRIORITY_NORMAL) >= 0,
	       "varlink");
	sd_varlink_set_userdata(v->link, v);
}

static int call(struct visit *v, const char *method, sd_json_variant *parameters)
{
	json_unrefp(&v->reply);
	v->answered = false;
	v->why[0] = '\0';
	T_NEED(sd_varlink_invoke(v->link, method, parameters) >= 0, "call");
	UNTIL(v->side, v->answered);
	return v->result;
}

/* One order to B, wrong in one way. */
struct offer {
	const char *name, *says; /* NULL = it is taken */
	const struct key *by, *approved_by, *whose;
	const char *network;
	int64_t life_s, ahead_ms;
	bool bends, keeps_psk_back;
};

static uint64_t next_sequence;

static struct key peer; /* a node of this program's */

static void offer_make(const struct one *o, const struct offer *f, struct buf *ret)
{
	AUTO_JSON sd_json_variant *approval = approval_of(f->approved_by, &f->by->pub), *args = NULL;
	struct meet_about about = { .owner = &f->whose->pub, .network = f->network, .sequence = ++next_sequence + (uint64_t)f->ahead_ms };
	AUTO_DSSE struct dsse d = DSSE_NONE;
	struct meet_end end;

	end_make(&f->by->pub, PORT, &end);
	T_NEED(!meet_args_build(&about, &end, approval, &args) && !order_sign(f->by, &o->key, CALL_MEET, args, time(NULL) + f->life_s, ret), "sign");
	if (!f->bends)
		return;
	/* another public key in the place of the node's */
	T_NEED(!dsse_decode_text(buf_str(ret), &d, NULL), "decode");
	char *at = memmem(d.payload.p, d.payload.len, "\"public_key\":\"", 14), by[KEY_TEXT_SIZE];

	T_NEED(at, "a key");
	at[14] = at[14] == 'A' ? 'B' : 'A';
	key_pub_format(by, &d.signatures[0].by);
	buf_deinit(ret);
	buf_addf(ret, "{\"payload\":\"");
	format_base64(ret, d.payload.p, d.payload.len);
	buf_addf(ret, "\",\"payloadType\":\"%s\",\"signatures\":[{\"keyid\":\"%s\",\"sig\":\"", d.type, by);
	format_base64(ret, d.signatures[0].sig, KEY_SIG_LEN);
	buf_addf(ret, "\"}]}");
}

static int offer_give(struct visit *v, const struct buf *order, bool with_psk)
{
	AUTO_JSON sd_json_variant *one = NULL, *parameters = NULL;

	T_NEED(!json_parse(buf_str(order), &one, NULL) &&
		       sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_VARIANT("order", one),
				      SD_JSON_BUILD_PAIR_CONDITION(with_psk, "psk",
								   SD_JSON_BUILD_STRING("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="))) >= 0,
	       "json");
	return call(v, "zos.Order.Call", parameters);
}

static void orders_hold_against_who_carries_them(void)
{
	const struct offer good = { "good", NULL, &peer, &farm, &owner, NET, MEET_LIFE_S, 0, false, false };
	struct offer rows[10];
	struct one *b = &nodes[0], me = { 0 };
	struct report r;
	struct side s = { 0 };
	struct visit v;

	snprintf(hub.addr.url, sizeof(hub.addr.url), "nats://nowhere:1");
	one_start(b, &farm, false);
	T_NEED(sd_event_new(&s.event) >= 0, "event");
	connect_to(b, &s, &v, visit_reply);
	me.key = peer.pub;
	say(b, WANT, &me, &owner, NET, 0);
	next_sequence = (uint64_t)(time(NULL) + 60) * 1000; /* above what the engine itself proposes, and not too far ahead */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		rows[i] = good;
	rows[0] = (struct offer){ "of another farm's node", "another farm", &peer, &stranger_farm, &owner, NET, MEET_LIFE_S, 0, false, false };
	rows[1].by = &mallory, rows[1].says = "no network of that owner names this node";
	rows[2].whose = &other_owner, rows[2].says = rows[1].says;
	rows[3].network = "blog/other", rows[3].says = rows[1].says;
	rows[4].life_s = -10 * CLOCK_SLACK_S, rows[4].says = "expired";
	rows[5].bends = true, rows[5].says = "signature";
	rows[6].keeps_psk_back = true, rows[6].says = "without its key";
	rows[7].ahead_ms = 10 * PEERS_AHEAD_MS, rows[7].says = "future";
	rows[8].ahead_ms = -100000, rows[8].says = "newer meeting";
	rows[9].by = &owner, rows[9].says = "only another node";
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_BUF struct buf wrong = { 0 }, right = { 0 };

		offer_make(b, &good, &right);
		T_CHECK(!offer_give(&v, &right, true), "before row %zu: %s", i, v.why);
		hear_met(b, NET, &r);
		T_CHECK(r.psk[0] == 1 && key_pub_eq(&r.node, &peer.pub) && r.end.port == PORT, "row %zu: what was met", i);
		T_CHECK(offer_give(&v, &right, true) < 0 && strstr(v.why, "carried out before"), "the same again: %s", v.why);
		offer_make(b, &rows[i], &wrong);
		T_CHECK(offer_give(&v, &wrong, !rows[i].keeps_psk_back) < 0 && strstr(v.why, rows[i].says), "row %zu: %d '%s'", i, v.result, v.why);
	}
	struct pollfd quiet = { .fd = b->fd, .events = POLLIN };
	T_CHECK(!poll(&quiet, 1, 0), "nothing else was met");
	visit_close(&v);
	sd_event_unref(s.event);
	one_stop(b);
}

/* The engine's order to dial, as gridd gets it. */
struct heard_errand {
	uint64_t id;
	struct key_pub node, farm;
	uint64_t tries;
	sd_json_variant *login, *order;
};
static const struct json_field errand_fields[] = {
	{ "id", JSON_U64, offsetof(struct heard_errand, id), .required = true },
	{ "node", JSON_KEY, offsetof(struct heard_errand, node), .required = true },
	{ "farm", JSON_KEY, offsetof(struct heard_errand, farm), .required = true },
	{ "tries", JSON_U64, offsetof(struct heard_errand, tries), .required = true },
	{ "login", JSON_ANY, offsetof(struct heard_errand, login), .required = true },
	{ "order", JSON_ANY, offsetof(struct heard_errand, order), .required = true },
};
static const struct json_table errand_table = { errand_fields, ARRAY_LEN(errand_fields), 0, NULL };

/* How an answer is wrong. */
struct bad_answer {
	const char *name, *says;
	const struct key *by, *approved_by;
	const char *network, *nonce;
	bool keeps_psk_back;
};

static void answer_give(struct visit *v, const struct heard_errand *x, const struct bad_answer *f)
{
	AUTO_JSON sd_json_variant *approval = approval_of(f->approved_by, &f->by->pub), *meeting = NULL, *reply = NULL, *what = NULL;
	AUTO_ORDER struct order order = { 0 };
	AUTO_BUF struct buf text = { 0 };
	struct meet_args args = { 0 };
	struct meet_end end;
	struct err e = { 0 };

	T_NEED(!order_open(x->order, &x->node, time(NULL), &order, &e) && !json_decode(order.arguments, &meet_table, &args, &e), "%s", e.msg);
	struct meet_about about = { .owner = &args.owner, .network = f->network ? f->network : args.network, .sequence = args.sequence };
	end_make(&f->by->pub, PORT, &end);
	if (f->nonce)
		order.nonce = f->nonce;
	T_NEED(!meeting_sign(f->by, &order, &about, &end, approval, &text) && !json_parse(buf_str(&text), &meeting, NULL) &&
		       sd_json_buildo(&reply, SD_JSON_BUILD_PAIR_VARIANT("meeting", meeting)) >= 0 &&
		       sd_json_buildo(&what, SD_JSON_BUILD_PAIR_UNSIGNED("id", x->id), SD_JSON_BUILD_PAIR_VARIANT("reply", reply),
				      SD_JSON_BUILD_PAIR_CONDITION(!f->keeps_psk_back, "psk",
								   SD_JSON_BUILD_STRING("AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="))) >= 0,
	       "answer");
	T_CHECK(!call(v, "zos.Line.Met", what), "%s", v->why);
}

static int on_errand(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct visit *who = userdata;

	(void)link;
	(void)flags;
	T_NEED(!error_id, "%s", error_id);
	json_unrefp(&who->reply);
	who->reply = sd_json_variant_ref(v);
	who->answered = true;
	return 0;
}

static void observe(struct visit *v, const char *method, sd_json_variant *parameters)
{
	T_NEED(sd_varlink_observe(v->link, method, parameters) >= 0, "observe");
}

static void answers_hold_against_who_carries_them(void)
{
	const struct bad_answer good = { "good", NULL, &peer, &farm, NULL, NULL, false };
	struct bad_answer rows[] = { good, good, good, good, good };
	struct one *a = &nodes[0], me = { 0 };
	AUTO_JSON sd_json_variant *parameters = NULL;
	struct visit line, work, v;
	struct side s = { 0 };
	struct report r;

	snprintf(hub.addr.url, sizeof(hub.addr.url), "nats://nowhere:1");
	one_start(a, &farm, false);
	T_NEED(sd_event_new(&s.event) >= 0 &&
		       sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR("inboxes", SD_JSON_BUILD_EMPTY_ARRAY),
				      SD_JSON_BUILD_PAIR_STRING("tls_key", "0101010101010101010101010101010101010101010101010101010101010101")) >= 0,
	       "event");
	connect_to(a, &s, &line, on_errand);
	connect_to(a, &s, &work, on_errand);
	connect_to(a, &s, &v, visit_reply);
	observe(&line, "zos.Line.Watch", parameters);
	UNTIL(&s, line.answered);
	observe(&work, "zos.Line.Meetings", NULL);
	me.key = peer.pub;
	say(a, WANT, &me, &owner, NET, 0);
	rows[0].by = &mallory, rows[0].says = "must be signed by";
	rows[1].approved_by = &stranger_farm, rows[1].says = "another farm";
	rows[2].network = "blog/other", rows[2].says = "answers another one";
	rows[3].nonce = "00112233445566778899aabbccddeeff", rows[3].says = "answers another one";
	rows[4].keeps_psk_back = true, rows[4].says = "without its key";
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		const struct bad_answer *f = i % 2 ? &good : &rows[i / 2];
		AUTO_LOGIN struct login l = { 0 };
		struct heard_errand x = { 0 };
		uint8_t tls[32];
		struct err e = { 0 };

		memset(tls, 1, sizeof(tls));
		if (i && i % 2 == 0) /* after a good one the next is asked for by a change */
			say(a, CHANGE, &me, &owner, NET, PORT);
		UNTIL(&s, work.answered);
		AUTO_JSON sd_json_variant *told = take_ptr(work.reply);
		work.answered = false;
		T_NEED(!json_decode(told, &errand_table, &x, &e), "%s", e.msg);
		T_CHECK(key_pub_eq(&x.node, &peer.pub) && key_pub_eq(&x.farm, &farm.pub) && !login_open(x.login, &peer.pub, tls, time(NULL), &l, &e),
			"%s", e.msg);
		T_CHECK(key_pub_eq(&l.user, &a->key), "the node logs in");
		answer_give(&v, &x, f);
		if (f == &good) {
			hear_met(a, NET, &r);
			T_CHECK(r.psk[0] == 2 && key_pub_eq(&r.node, &peer.pub) && r.end.port == PORT, "row %zu: what was met", i);
			continue;
		}
		say(a, ASK, &me, &owner, NET, 0);
		hear(a, &r);
		T_CHECK(!r.is_met && strstr(r.why, f->says), "row %zu: '%s'", i, r.why);
	}
	visit_close(&line);
	visit_close(&work);
	visit_close(&v);
	sd_event_unref(s.event);
	one_stop(a);
}

int main(int argc, char **argv)
{
	static const struct net_case cases[] = {
		{ "meet", two_nodes_meet },
		{ "refusals", who_is_no_peer_is_refused },
		{ "orders", orders_hold_against_who_carries_them },
		{ "relay", ends_meet_at_a_relay },
		{ "answers", answers_hold_against_who_carries_them },
	};

	T_NEED(!key_new(KEY_FARM, &farm) && !key_new(KEY_FARM, &stranger_farm) && !key_new(KEY_USER, &owner) && !key_new(KEY_USER, &other_owner) &&
		       !key_new(KEY_NODE, &mallory) && !key_new(KEY_NODE, &peer),
	       "keys");
	return cases_run("meet-net", cases, ARRAY_LEN(cases), argc < 2 ? NULL : argv[1]);
}
