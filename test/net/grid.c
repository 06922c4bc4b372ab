/* The grid against a real nats-server: `grid_net CASE`. A node and a client, each a process of its own, a hub that is killed
 * and started again under them, and what the hub must refuse beside what it must allow. */
#include "grid_lab.h"

static void carry(bool kill_hub, size_t bytes)
{
	struct side s;
	struct node n = node_new(false);
	pid_t pid[N_STREAMS][2];
	struct err e = { 0 };
	uint64_t begin;

	side_init(&s);
	dial(&s, &n, NULL);
	UNTIL(&s, s.open || s.over);
	T_NEED(s.open, "%s", s.why);
	begin = log_now_ms();
	for (int i = 0; i < N_STREAMS; i++) {
		UNTIL(&s, s.over || s.last_stream >= 2u * (unsigned)i);
		T_NEED(!session_attach(s.session, 2u * (unsigned)i, traffic_new(i, bytes, pid[i]), &e), "%s", e.msg);
	}
	if (kill_hub) {
		unsigned ups = s.ups;
		uint64_t killed;

		run_for(&s, 60);
		T_CHECK(!s.over, "everything was sent before the hub could be killed");
		hub_kill();
		UNTIL(&s, !s.up);
		run_for(&s, 500);
		hub_start();
		killed = log_now_ms();
		UNTIL(&s, s.ups > ups);
		fprintf(stderr, "# back on the hub %llu ms after it was ready\n", (unsigned long long)(log_now_ms() - killed));
	}
	UNTIL(&s, s.over); /* all streams have ended, so the session does */
	T_CHECK(!strcmp(s.why, "all streams of the session have ended") || !strcmp(s.why, "the other side has finished"), "%s", s.why);
	fprintf(stderr, "# %zu MiB there and back in %llu ms: %.0f MB/s each way\n", bytes * N_STREAMS >> 20,
		(unsigned long long)(log_now_ms() - begin), (double)bytes * N_STREAMS / 1000.0 / (double)(log_now_ms() - begin));
	for (int i = 0; i < N_STREAMS; i++)
		for (int k = 0; k < 2; k++) {
			int status = -1;

			T_CHECK(waitpid(pid[i][k], &status, 0) == pid[i][k] && !status, "stream %d %s: status %x", i, k ? "reader" : "writer",
				status);
		}
	side_deinit(&s);
	node_kill(&n);
}

static void streams_carry_64_mib_both_ways(void)
{
	hub_make();
	carry(false, STREAM_BYTES);
	hub_remove();
}

static void a_killed_hub_loses_no_byte(void)
{
	hub_make();
	carry(true, STREAM_BYTES);
	hub_remove();
}

/* A certificate for NAMES, by a private authority; its files lie in the hub's directory. RET_CA is its authority, as the farm names it. */
static void hub_certify(const struct key *ca, const char *const *names, int64_t now_s, char ret_ca[static HUB_CA_MAX])
{
	static char cert_path[96], key_path[96];
	AUTO_BUF struct buf cert = { 0 }, key = { 0 }, line = { 0 };
	struct err e = { 0 };

	snprintf(cert_path, sizeof(cert_path), "%s/cert.pem", hub.dir);
	snprintf(key_path, sizeof(key_path), "%s/key.pem", hub.dir);
	T_NEED(!hubca_leaf(ca, names, now_s, &cert, &key, &e) && !hubca_line(ca, &line, &e), "%s", e.msg);
	T_NEED(!file_save(AT_FDCWD, cert_path, buf_str(&cert), 0600, &e) && !file_save(AT_FDCWD, key_path, buf_str(&key), 0600, &e), "%s", e.msg);
	hub.options.tls_cert = cert_path;
	hub.options.tls_key = key_path;
	snprintf(ret_ca, HUB_CA_MAX, "%s", line.p);
}

static void hub_make_tls(const struct key *ca, const char *const *names, const char *named)
{
	char line[HUB_CA_MAX];
	struct hub_addr a;
	struct err e = { 0 };

	snprintf(hub.dir, sizeof(hub.dir), "/tmp/grid-net-XXXXXX");
	T_NEED(mkdtemp(hub.dir), "mkdtemp");
	hub.options = (struct hubd_options){ .dir = hub.dir, .port = free_port() };
	hub_certify(ca, names, time(NULL), line);
	T_NEED(!hubd_prepare(&hub.options, &a, &e), "%s", e.msg);
	T_NEED(!hub_addr_make(&hub.addr, a.url, a.key, named ? named : line, &e), "%s", e.msg);
	hub_start();
}

/* Whether a participant gets on the hub within two seconds. */
static bool gets_on(void)
{
	struct side s;
	bool up;

	side_init(&s);
	for (uint64_t end = log_now_ms() + 2000; !s.up && log_now_ms() < end;)
		sd_event_run(s.event, 100000);
	up = s.up;
	side_deinit(&s);
	return up;
}

static void on_why(void *userdata, const char *why)
{
	struct side *s = userdata;

	s->over = true;
	snprintf(s->why, sizeof(s->why), "%s", why);
}

/* What people are told of a hub that they cannot get on. */
static void says(const char *want)
{
	struct side s = { 0 };
	struct reach r;
	struct err e = { 0 };

	T_NEED(sd_event_new(&s.event) >= 0 && !reach_init(&r, s.event, &hub.addr, on_why, &s, &e), "%s", e.msg);
	reach_start(&r);
	UNTIL(&s, s.over);
	T_CHECK(want[0] ? strstr(s.why, want) != NULL : !s.why[0], "'%s' is not '%s'", s.why, want);
	reach_deinit(&r);
	sd_event_unref(s.event);
}

/* The hub's own certificate, from another time. */
static void says_at(const struct key *ca, const char *const *names, int64_t now_s, const char *want)
{
	char line[HUB_CA_MAX];

	hub_make_tls(ca, names, NULL);
	hub_kill();
	hub_certify(ca, names, now_s, line);
	hub_run();
	says(want);
	hub_remove();
}

static void a_wrong_certificate_is_explained(void)
{
	static const char *const here[] = { "127.0.0.1", NULL }, *const elsewhere[] = { "hub.example", "127.0.0.2", NULL };
	struct key ca = KEY_NONE, other = KEY_NONE;
	AUTO_BUF struct buf other_line = { 0 };
	time_t now = time(NULL);

	T_NEED(!key_new(KEY_OPERATOR, &ca) && !key_new(KEY_OPERATOR, &other) && !hubca_line(&other, &other_line, NULL), "keys");
	hub_make_tls(&ca, here, NULL);
	says("");
	hub.addr.ca[0] = '\0';
	says("signed by no authority known here");
	hub_remove();
	hub_make_tls(&ca, here, other_line.p);
	says("signed by another authority");
	hub_remove();
	hub_make_tls(&ca, elsewhere, NULL);
	says("is for another address");
	hub_remove();
	says_at(&ca, here, now, "");
	says_at(&ca, here, now - 100 * 86400, "has expired");
	says_at(&ca, here, now + 100 * 86400, "not valid yet");
	hub_make();
	says("");
	memmove(hub.addr.url, "tls://", 6);
	memmove(hub.addr.url + 6, hub.addr.url + 7, strlen(hub.addr.url + 6));
	says("has no certificate");
	hub_remove();
}

static void only_the_right_certificate_is_taken(void)
{
	static const char *const here[] = { "127.0.0.1", NULL }, *const elsewhere[] = { "hub.example", "127.0.0.2", NULL };
	struct key ca = KEY_NONE, other = KEY_NONE;
	AUTO_BUF struct buf other_line = { 0 };

	T_NEED(!key_new(KEY_OPERATOR, &ca) && !key_new(KEY_OPERATOR, &other) && !hubca_line(&other, &other_line, NULL), "keys");
	hub_make_tls(&ca, here, NULL);
	carry(false, 1 << 20);
	T_CHECK(gets_on(), "the right certificate");
	hub.addr.ca[0] = '\0';
	T_CHECK(!gets_on(), "no authority of the system's signed it");
	hub_remove();
	hub_make_tls(&ca, here, other_line.p);
	T_CHECK(!gets_on(), "another authority's certificate was taken");
	hub_remove();
	hub_make_tls(&ca, elsewhere, NULL);
	T_CHECK(!gets_on(), "a certificate for another name was taken");
	hub_remove();
}

static void who_is_not_expected_is_refused(void)
{
	struct side s;
	struct key other = KEY_NONE;
	struct node nobody = { 0 };

	hub_make();
	struct node n = node_new(false), strict = node_new(true);

	side_init(&s);
	UNTIL(&s, s.up);
	T_NEED(!key_new(KEY_NODE, &other), "key");
	dial(&s, &n, other.pub.bytes);
	UNTIL(&s, s.open || s.over);
	T_CHECK(s.over && strstr(s.why, "another key"), "a wrong node key: %s", s.why);

	dial(&s, &strict, NULL);
	UNTIL(&s, s.over);
	T_CHECK(strstr(s.why, "takes no more"), "a refusing node: %s", s.why);

	T_NEED(!key_new(KEY_USER, &other), "key");
	key_pub_format(nobody.hub_key, &other.pub);
	dial(&s, &nobody, n.key);
	uint64_t begin = log_now_ms();
	UNTIL(&s, s.over);
	T_CHECK(strstr(s.why, "nobody with that address"), "an absent node: %s", s.why);
	T_CHECK(log_now_ms() - begin < 9000, "it took %llu ms", (unsigned long long)(log_now_ms() - begin));

	dial(&s, &n, NULL);
	UNTIL(&s, s.open || s.over);
	T_CHECK(s.open, "the right key: %s", s.why);
	node_kill(&n); /* no good-bye: after half a minute the session notices */
	node_kill(&strict);
	side_deinit(&s);
	hub_remove();
}

/* The keys change many times in both directions while both carry, and no byte is lost or wrong. */
static void keys_change_under_way(void)
{
	enum { BYTES = 16 << 20, EVERY = 1 << 20, LEAST = BYTES / EVERY / 2 };
	struct side s;
	struct tls_updates u;
	struct err e = { 0 };
	pid_t pid[2];

	hub_make();
	test_rekey.bytes = EVERY;
	struct node n = node_new(false);
	side_init(&s);
	dial(&s, &n, NULL);
	UNTIL(&s, s.over || (s.open && s.last_stream >= 2));
	T_NEED(s.open, "%s", s.why);
	u = session_updates(s.session);
	T_CHECK(!u.sent && !u.got, "%u, %u updates before the first byte", u.sent, u.got);
	T_NEED(!session_attach(s.session, 2, traffic_new(0, BYTES, pid), &e), "%s", e.msg);
	UNTIL(&s, s.over || has_ended(pid[1]));
	T_NEED(!s.over, "%s", s.why);
	u = session_updates(s.session);
	T_CHECK(u.sent >= LEAST && u.got >= LEAST, "%u, %u updates for %d bytes each way", u.sent, u.got, BYTES);
	for (int k = 0; k < 2; k++) {
		int status = -1;

		T_CHECK(waitpid(pid[k], &status, 0) == pid[k] && !status, "%s: status %x", k ? "reader" : "writer", status);
	}

	/* and after a while without another byte */
	unsigned sent = session_updates(s.session).sent;
	test_rekey = (struct grid_rekey){ .bytes = UINT64_MAX, .ms = 100 };
	grid_set_rekey(s.grid, &test_rekey);
	UNTIL(&s, s.over || session_updates(s.session).sent > sent);
	T_CHECK(!s.over, "%s", s.why);
	side_deinit(&s);
	node_kill(&n);
	hub_remove();
}

/* BYTES to a node and back; the node changes its keys after each EVERY of them. Returns how often it did; *s is over or not. */
static unsigned node_changes_keys(struct side *s, uint64_t every, size_t bytes)
{
	struct err e = { 0 };
	pid_t pid[2];
	unsigned got;

	test_rekey.bytes = every;
	struct node n = node_new(false);
	test_rekey = (struct grid_rekey)GRID_REKEY;
	side_init(s);
	dial(s, &n, NULL);
	UNTIL(s, s->over || (s->open && s->last_stream >= 2));
	T_NEED(s->open, "%s", s->why);
	T_NEED(!session_attach(s->session, 2, traffic_new(0, bytes, pid), &e), "%s", e.msg);
	UNTIL(s, s->over || has_ended(pid[1]));
	got = s->over ? 0 : session_updates(s->session).got;
	for (int k = 0; k < 2; k++)
		waitpid(pid[k], NULL, 0);
	node_kill(&n);
	return got;
}

static void who_changes_keys_all_the_time_is_left(void)
{
	enum { BYTES = 16 << 20 };
	struct side s;

	hub_make();
	unsigned got = node_changes_keys(&s, BYTES / 32, BYTES);
	T_CHECK(!s.over && got >= 16 && got <= GRID_UPDATES_MAX, "%u times: %s", got, s.why);
	side_deinit(&s);
	node_changes_keys(&s, 1, BYTES);
	T_CHECK(s.over && strstr(s.why, "changes its keys without need, more than 64 times in 10 s"), "%s", s.why);
	side_deinit(&s);
	hub_remove();
}

/* A local end that breaks is heard of behind its last byte. */
static void last_words_arrive(void)
{
	struct side s;
	struct err e = { 0 };
	static uint8_t bytes[65536];
	size_t at = 0;
	ssize_t n = -1;
	int pair[2];

	hub_make();
	node_end = rude_new;
	struct node n_rude = node_new(false);
	side_init(&s);
	dial(&s, &n_rude, NULL);
	UNTIL(&s, s.open || s.over);
	T_NEED(s.open, "%s", s.why);
	T_NEED(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) && !session_attach(s.session, 0, pair[0], &e), "%s", e.msg);
	T_NEED(write(pair[1], "unread", 6) == 6, "write");
	for (uint64_t end = log_now_ms() + DEADLINE_S * 1000; n && log_now_ms() < end;) {
		n = read(pair[1], bytes, sizeof(bytes));
		for (ssize_t i = 0; i < n; i++, at++)
			T_NEED(bytes[i] == (uint8_t)(at * 2654435761u >> 24), "byte %zu is wrong", at);
		if (n < 0) {
			T_NEED(errno == EAGAIN, "read: %m");
			sd_event_run(s.event, 100000);
		}
	}
	T_CHECK(!n && at == LAST_WORDS, "%zu bytes of %d", at, LAST_WORDS);
	T_CHECK(!s.over, "the session has other streams: %s", s.why);
	close(pair[1]);
	side_deinit(&s);
	node_kill(&n_rude);
	hub_remove();
}

static void handshakes_are_quick(void)
{
	enum { ROUNDS = 200 };
	struct side s;

	hub_make();
	struct node n = node_new(false);
	side_init(&s);
	UNTIL(&s, s.up);
	uint64_t begin = log_now_ms();
	for (int i = 0; i < ROUNDS; i++) {
		dial(&s, &n, NULL);
		UNTIL(&s, s.open || s.over);
		T_NEED(s.open, "round %d: %s", i, s.why);
		session_close(s.session);
		run_for(&s, 1);
	}
	fprintf(stderr, "# %.1f ms a session, opened and closed\n", (double)(log_now_ms() - begin) / ROUNDS);
	side_deinit(&s);
	node_kill(&n);
	hub_remove();
}

/* The directory. */

struct found {
	int n, r;
	bool over;
	char text[64];
};

static void on_found(void *userdata, int r, const char *key, struct str record)
{
	struct found *f = userdata;

	f->r = r;
	if (key && !r) {
		f->n++;
		snprintf(f->text, sizeof(f->text), STR_FMT, STR_ARG(record));
	}
}

static void on_list(void *userdata, int r, const char *key, struct str record)
{
	on_found(userdata, r, key, record);
	((struct found *)userdata)->over |= !key;
}

static void on_one(void *userdata, int r, const char *key, struct str record)
{
	on_found(userdata, r, key, record);
	((struct found *)userdata)->over = true;
}

static void records_come_back(void)
{
	enum { SIDES = 5 };
	struct side s[SIDES];
	struct directory_own *own[SIDES];
	struct directory_query *q;
	struct found f = { 0 };
	struct err e = { 0 };

	hub_make();
	for (int i = 0; i < SIDES; i++) {
		char text[32];
		int n = snprintf(text, sizeof(text), "record %d", i);

		side_init(&s[i]);
		UNTIL(&s[i], s[i].up);
		T_NEED(!directory_own_new(grid_hub(s[i].grid), s[i].event, &own[i], &e), "%s", e.msg);
		T_NEED(!directory_own_set(own[i], (struct str){ text, (size_t)n }), "set");
		UNTIL(&s[i], directory_own_is_there(own[i]));
	}
	T_NEED(!directory_get(grid_hub(s[0].grid), hub_key(grid_hub(s[3].grid)), on_one, &f, &q), "get");
	UNTIL(&s[0], f.over);
	T_CHECK(!f.r && !strcmp(f.text, "record 3"), "%d '%s'", f.r, f.text);

	f = (struct found){ 0 };
	T_NEED(!directory_list(grid_hub(s[0].grid), on_list, &f, &q), "list");
	UNTIL(&s[0], f.over);
	T_CHECK(!f.r && f.n == SIDES, "%d records, %d", f.n, f.r);

	struct key other = KEY_NONE;
	char absent[KEY_TEXT_SIZE];

	T_NEED(!key_new(KEY_USER, &other), "key");
	key_pub_format(absent, &other.pub);
	f = (struct found){ 0 };
	T_NEED(!directory_get(grid_hub(s[0].grid), absent, on_one, &f, &q), "get");
	UNTIL(&s[0], f.over);
	T_CHECK(f.r == -ENOENT, "an absent record: %d", f.r);

	/* the hub loses its store: the record is put back without anybody asking */
	char store[96];

	hub_kill();
	snprintf(store, sizeof(store), "%s/store", hub.dir);
	T_NEED(!tree_remove(AT_FDCWD, store, &e), "%s", e.msg);
	UNTIL(&s[0], !s[0].up);
	hub_start();
	UNTIL(&s[0], s[0].up);
	directory_own_kick(own[0]);
	run_for(&s[0], 300);
	f = (struct found){ 0 };
	T_NEED(!directory_get(grid_hub(s[0].grid), hub_key(grid_hub(s[0].grid)), on_one, &f, &q), "get");
	UNTIL(&s[0], f.over);
	T_CHECK(!f.r && !strcmp(f.text, "record 0"), "after the loss: %d '%s'", f.r, f.text);
	for (int i = 0; i < SIDES; i++) {
		directory_own_free(own[i]);
		side_deinit(&s[i]);
	}
	hub_remove();
}

/* What the hub allows, seen with the library's plain blocking calls and a key like everybody's. */

#include "grid/jwt.h"

struct plain {
	struct key key;
	char text[KEY_TEXT_SIZE];
	struct buf jwt;
	natsOptions *options;
	natsConnection *nc;
};

static natsStatus give_jwt(char **ret, char **custom, void *userdata)
{
	(void)custom;
	*ret = strdup(((struct plain *)userdata)->jwt.p);
	return NATS_OK;
}

static natsStatus give_signature(char **custom, unsigned char **ret, int *n, const char *nonce, void *userdata)
{
	(void)custom;
	*ret = malloc(KEY_SIG_LEN);
	*n = KEY_SIG_LEN;
	return key_sign(&((struct plain *)userdata)->key, nonce, strlen(nonce), *ret) ? NATS_ERR : NATS_OK;
}

static natsStatus plain_connect(struct plain *p, const struct key *signer, const char *account)
{
	const char *urls[] = { hub.addr.url };

	*p = (struct plain){ .key = KEY_NONE };
	T_NEED(!key_new(KEY_USER, &p->key) && !jwt_user(signer, account, &p->key.pub, false, &p->jwt), "token");
	key_pub_format(p->text, &p->key.pub);
	T_NEED(natsOptions_Create(&p->options) == NATS_OK && natsOptions_SetServers(p->options, urls, 1) == NATS_OK &&
		       natsOptions_SetErrorHandler(p->options, NULL, NULL) == NATS_OK &&
		       natsOptions_SetUserCredentialsCallbacks(p->options, give_jwt, p, give_signature, p) == NATS_OK,
	       "options");
	return natsConnection_Connect(&p->nc, p->options);
}

static void plain_close(struct plain *p)
{
	natsConnection_Destroy(p->nc);
	natsOptions_Destroy(p->options);
	buf_deinit(&p->jwt);
}

/* Does the answer to a request come, and does it contain WANT? */
static bool answers(struct plain *p, const char *subject, const char *data, const char *want)
{
	char inbox[128];
	natsSubscription *sub = NULL;
	natsMsg *m = NULL;
	bool yes = false;

	snprintf(inbox, sizeof(inbox), "n.%s.r.%llx", p->text, (unsigned long long)random_u64());
	if (natsConnection_SubscribeSync(&sub, p->nc, inbox) == NATS_OK &&
	    natsConnection_PublishRequest(p->nc, subject, inbox, data, (int)strlen(data)) == NATS_OK &&
	    natsSubscription_NextMsg(&m, sub, 400) == NATS_OK)
		yes = memmem(natsMsg_GetData(m), (size_t)natsMsg_GetDataLength(m), want, strlen(want));
	natsMsg_Destroy(m);
	natsSubscription_Destroy(sub);
	return yes;
}

/* Does a message published by FROM on SUBJECT reach a subscription of TO's on PATTERN? */
static bool arrives(struct plain *from, struct plain *to, const char *subject, const char *pattern)
{
	natsSubscription *sub = NULL;
	natsMsg *m = NULL;
	bool yes;

	if (natsConnection_SubscribeSync(&sub, to->nc, pattern) != NATS_OK)
		return false;
	natsConnection_Flush(to->nc);
	natsConnection_PublishString(from->nc, subject, "knock");
	natsConnection_Flush(from->nc);
	yes = natsSubscription_NextMsg(&m, sub, 300) == NATS_OK;
	natsMsg_Destroy(m);
	natsSubscription_Destroy(sub);
	return yes;
}

static char *subject_of(char ret[static 128], const char *fmt, const struct plain *p) __attribute__((format_arg(2)));
static char *subject_of(char ret[static 128], const char *fmt, const struct plain *p)
{
	const char *at = strchr(fmt, '@');

	snprintf(ret, 128, "%.*s%s%s", (int)(at - fmt), fmt, p->text, at + 1);
	return ret;
}

static void permissions_hold_on(struct plain *me, struct plain *other)
{
	char mine[128], theirs[128], pattern[128];

	subject_of(mine, "n.@.i", me);
	subject_of(theirs, "n.@.i", other);
	T_CHECK(arrives(other, me, mine, mine), "my own inbox");
	T_CHECK(!arrives(me, me, theirs, theirs), "another's inbox");
	T_CHECK(!arrives(me, me, theirs, ">"), "everything");
	T_CHECK(!arrives(me, me, theirs, "n.*.i"), "all inboxes");
	subject_of(mine, "n.@.r.x", me);
	subject_of(pattern, "n.@.r.*", me);
	T_CHECK(!arrives(other, me, mine, pattern), "a forged answer");
	subject_of(mine, "dir.put.@", me);
	subject_of(theirs, "dir.put.@", other);
	T_CHECK(answers(me, mine, "mine", "\"seq\""), "my own record");
	T_CHECK(!answers(me, theirs, "stolen", "\"seq\""), "another's record");
	subject_of(theirs, "dir.get.@", me);
	T_CHECK(answers(other, theirs, "", "mine"), "reading my record");
	T_CHECK(answers(other, "dir.list", "{\"subjects_filter\":\">\"}", me->text), "listing");
}

static const struct forbidden {
	const char *subject, *data;
} forbidden[] = {
	{ "$JS.API.STREAM.PURGE.KV_nodes", "" },
	{ "$JS.API.STREAM.DELETE.KV_nodes", "" },
	{ "$JS.API.STREAM.CREATE.mine", "{\"name\":\"mine\",\"subjects\":[\"x\"]}" },
	{ "$JS.API.STREAM.UPDATE.KV_nodes", "{\"name\":\"KV_nodes\"}" },
	{ "$JS.API.STREAM.MSG.DELETE.KV_nodes", "{\"seq\":1}" },
	{ "$JS.API.CONSUMER.CREATE.KV_nodes", "{\"stream_name\":\"KV_nodes\",\"config\":{}}" },
	{ "$JS.API.INFO", "" },
	{ "$SYS.REQ.SERVER.PING", "" },
};

/* A participant chooses the reply subject of its requests: the hub's answer must not become an order there. */
static void answers_are_no_orders(struct plain *me, struct plain *other)
{
	static const char *const targets[] = { "$JS.API.STREAM.PURGE.KV_nodes", "$JS.API.STREAM.DELETE.KV_nodes" };
	char put[128], get[128];

	subject_of(put, "dir.put.@", me);
	subject_of(get, "dir.get.@", me);
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		natsConnection_PublishRequestString(me->nc, put, targets[i], "{}");
		natsConnection_PublishRequestString(me->nc, get, targets[i], "");
		natsConnection_Flush(me->nc);
	}
	T_CHECK(answers(other, get, "", "{}"), "the record is gone: an answer became an order");
}

static bool put_with_rollup(struct plain *me, const char *subject)
{
	char inbox[128];
	natsSubscription *sub = NULL;
	natsMsg *m = NULL, *answer = NULL;
	bool taken;

	subject_of(inbox, "n.@.r.rollup", me);
	natsConnection_SubscribeSync(&sub, me->nc, inbox);
	natsMsg_Create(&m, subject, inbox, "x", 1);
	natsMsgHeader_Set(m, "Nats-Rollup", "all");
	natsConnection_PublishMsg(me->nc, m);
	taken = natsSubscription_NextMsg(&answer, sub, 1000) != NATS_OK ||
		!memmem(natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer), "\"error\"", 7);
	natsMsg_Destroy(m);
	natsMsg_Destroy(answer);
	natsSubscription_Destroy(sub);
	return taken;
}

static void the_hub_keeps_everybody_in_place(void)
{
	struct plain me, other, stranger;
	struct key signer = KEY_NONE, forger = KEY_NONE;
	char account[KEY_TEXT_SIZE], subject[128];

	hub_make();
	snprintf(account, sizeof(account), "%.*s", KEY_TEXT_LEN, hub.addr.key);
	T_NEED(!key_seed_parse(str_c(hub.addr.key + KEY_TEXT_LEN), &signer), "signer");
	T_NEED(plain_connect(&me, &signer, account) == NATS_OK && plain_connect(&other, &signer, account) == NATS_OK, "connect");
	permissions_hold_on(&me, &other);
	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
		T_CHECK(!answers(&me, forbidden[i].subject, forbidden[i].data, ""), "%s was answered", forbidden[i].subject);
	answers_are_no_orders(&me, &other);
	T_CHECK(!put_with_rollup(&me, subject_of(subject, "dir.put.@", &me)), "one message may not wipe the bucket");
	T_NEED(!key_new(KEY_FARM, &forger), "key");
	T_CHECK(plain_connect(&stranger, &forger, account) != NATS_OK, "a token of somebody else's was taken");
	plain_close(&stranger);
	plain_close(&me);
	plain_close(&other);
	hub_remove();
}

static const struct net_case cases[] = {
	{ "carry", streams_carry_64_mib_both_ways },
	{ "certificates", a_wrong_certificate_is_explained },
	{ "tls", only_the_right_certificate_is_taken },
	{ "killed-hub", a_killed_hub_loses_no_byte },
	{ "refusals", who_is_not_expected_is_refused },
	{ "handshakes", handshakes_are_quick },
	{ "rekey", keys_change_under_way },
	{ "rekey-flood", who_changes_keys_all_the_time_is_left },
	{ "last-words", last_words_arrive },
	{ "directory", records_come_back },
	{ "permissions", the_hub_keeps_everybody_in_place },
};

int main(int argc, char **argv)
{
	int r = cases_run("grid-net", cases, ARRAY_LEN(cases), argc < 2 ? NULL : argv[1]);

	hub_library_close(); /* whose threads have things of OpenSSL's until they end */
	return r;
}
