/* What sessions may take of a node: `line_net CASE`. */
#include "line_lab.h"

enum { MOST = 8, KEPT = 3, EACH = 4, NAMELESS = 4, SLACK = 16 << 10 };

static const struct gridd_limits tight = {
	.sessions = MOST,
	.reserved = KEPT,
	.per_key = EACH,
	.nameless = NAMELESS,
	.peers = 2,
	.login_ms = 10000,
	.idle_ms = 3600000,
	.stranger_idle_ms = 60000,
};

static void close_all(struct visit *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		visit_close(&v[i]);
}

static unsigned told(struct visit *v, const char *what)
{
	sd_json_variant *sessions;

	T_NEED(!visit_call(v, &node.owner, "zos.Node.Info"), "%s", v->why);
	sessions = sd_json_variant_by_key(v->reply, "sessions");
	return (unsigned)sd_json_variant_unsigned(sd_json_variant_by_key(sessions, what));
}

/* The engine hears of it within a second. */
static void await_told(struct side *s, struct visit *v, const char *what, unsigned want)
{
	uint64_t end = log_now_ms() + 10000;
	unsigned got;

	while ((got = told(v, what)) != want && log_now_ms() < end)
		run_for(s, 100);
	T_CHECK(got == want, "%s is %u, not %u", what, got, want);
}

static void strangers_cannot_shut_out_whom_the_farm_names(void)
{
	struct visit stranger[MOST - KEPT], late, silent[NAMELESS + 2], owner, farm;
	struct side s;

	node_make(&tight);
	side_init(&s);
	node_find(&s);
	for (size_t i = 0; i < ARRAY_LEN(stranger); i++)
		T_CHECK(!visit_open(&s, &stranger[i], NULL), "stranger %zu: %s", i, stranger[i].why);
	T_CHECK(visit_open(&s, &late, NULL) == -EBUSY && strstr(late.why, "does not name"), "one stranger too many: %s", late.why);
	T_CHECK(!visit_open(&s, &owner, &node.owner), "a key that the farm names: %s", owner.why);
	T_CHECK(!visit_call(&owner, &node.owner, "zos.Deployment.List"), "%s", owner.why);
	await_told(&s, &owner, "open", MOST - KEPT + 1);
	await_told(&s, &owner, "refused", 1);

	for (size_t i = 0; i < ARRAY_LEN(silent); i++) {
		visit_dial(&s, &silent[i]);
		UNTIL(&s, silent[i].open);
	}
	T_CHECK(!visit_open(&s, &farm, &node.farm), "beside those who do not say who they are: %s", farm.why);
	UNTIL(&s, silent[0].over);
	T_CHECK(strstr(silent[0].why, "takes no more"), "%s", silent[0].why);
	T_CHECK(!silent[ARRAY_LEN(silent) - 1].over, "the newest keeps its place: %s", silent[ARRAY_LEN(silent) - 1].why);

	visit_close(&stranger[0]);
	UNTIL(&s, told(&owner, "open") == MOST - KEPT + 1);
	T_CHECK(!visit_open(&s, &stranger[0], NULL), "a place that is free again: %s", stranger[0].why);
	close_all(stranger, ARRAY_LEN(stranger));
	close_all(silent, ARRAY_LEN(silent));
	visit_close(&late);
	visit_close(&owner);
	visit_close(&farm);
	run_for(&s, 50);
	side_deinit(&s);
	node_remove();
}

static void one_key_has_its_share(void)
{
	struct visit owner[EACH], more, farm;
	struct side s;

	node_make(&tight);
	side_init(&s);
	node_find(&s);
	for (size_t i = 0; i < ARRAY_LEN(owner); i++)
		T_CHECK(!visit_open(&s, &owner[i], &node.owner), "session %zu: %s", i, owner[i].why);
	T_CHECK(visit_open(&s, &more, &node.owner) == -EBUSY && strstr(more.why, "your key has 4 sessions"), "%s", more.why);
	T_CHECK(!visit_open(&s, &farm, &node.farm), "another key: %s", farm.why);
	T_CHECK(!visit_call(&owner[0], &node.owner, "zos.Deployment.List"), "%s", owner[0].why);
	close_all(owner, ARRAY_LEN(owner));
	visit_close(&more);
	visit_close(&farm);
	run_for(&s, 50);
	side_deinit(&s);
	node_remove();
}

/* Nodes that an owner's network names get in when strangers have taken all they can, and take nobody else's place. */
static void nodes_have_places_beside_those(void)
{
	struct visit stranger[MOST - KEPT], late, peer[2], more, owner[KEPT];
	struct side s;

	node_make(&tight);
	side_init(&s);
	node_find(&s);
	for (size_t i = 0; i < ARRAY_LEN(stranger); i++)
		T_CHECK(!visit_open(&s, &stranger[i], NULL), "stranger %zu: %s", i, stranger[i].why);
	T_CHECK(visit_open(&s, &late, NULL) == -EBUSY && strstr(late.why, "does not name"), "one stranger too many: %s", late.why);
	for (size_t i = 0; i < ARRAY_LEN(peer); i++)
		T_CHECK(!visit_open(&s, &peer[i], &node.peers[i]), "node %zu: %s", i, peer[i].why);
	T_CHECK(visit_open(&s, &more, &node.peers[0]) == -EBUSY && strstr(more.why, "sessions with other nodes"), "one node too many: %s", more.why);
	for (size_t i = 0; i < ARRAY_LEN(owner); i++)
		T_CHECK(!visit_open(&s, &owner[i], &node.owner), "owner's session %zu: %s", i, owner[i].why);
	T_CHECK(visit_call(&peer[0], &node.peers[0], "zos.Deployment.List") == -EACCES, "a node is no owner: %s", peer[0].why);
	close_all(stranger, ARRAY_LEN(stranger));
	close_all(peer, ARRAY_LEN(peer));
	close_all(owner, ARRAY_LEN(owner));
	visit_close(&late);
	visit_close(&more);
	run_for(&s, 50);
	side_deinit(&s);
	node_remove();
}

static void who_does_nothing_makes_room(void)
{
	struct gridd_limits short_idle = tight;
	struct visit stranger, owner, silent;
	size_t before;
	struct side s;

	short_idle.stranger_idle_ms = 500;
	short_idle.login_ms = 700;
	node_make(&short_idle);
	side_init(&s);
	node_find(&s);
	T_CHECK(!visit_open(&s, &owner, &node.owner), "%s", owner.why);
	for (int round = 0; round < 2; round++) { /* the first one makes what stays */
		before = gridd_memory();
		T_CHECK(!visit_open(&s, &stranger, NULL), "%s", stranger.why);
		T_CHECK(gridd_memory() > before + SLACK, "a session takes memory: %zu, %zu", before, gridd_memory());
		UNTIL(&s, stranger.over);
		T_CHECK(strstr(stranger.why, "has finished"), "%s", stranger.why);
		visit_close(&stranger);
		visit_dial(&s, &silent);
		UNTIL(&s, silent.open);
		UNTIL(&s, silent.over);
		visit_close(&silent);
		await_told(&s, &owner, "open", 1);
	}
	T_CHECK(gridd_memory() < before + SLACK, "%zu bytes before, %zu after", before, gridd_memory());
	visit_close(&owner);
	run_for(&s, 50);
	side_deinit(&s);
	node_remove();
}

/* Also for them it ends; an open stream is not idleness, however silent it is. */
static void whom_the_farm_names_has_a_longer_time(void)
{
	struct gridd_limits short_idle = tight;
	struct visit stranger, idle, busy;
	struct side s;
	uint64_t begin;
	int stream;
	char heard = 0;

	short_idle.stranger_idle_ms = 200;
	short_idle.idle_ms = 1500;
	node_make(&short_idle);
	side_init(&s);
	node_find(&s);
	T_CHECK(!visit_open(&s, &busy, &node.owner), "%s", busy.why);
	stream = visit_stream(&busy, &node.owner);
	begin = log_now_ms();
	T_CHECK(!visit_open(&s, &idle, &node.owner), "%s", idle.why);
	T_CHECK(!visit_open(&s, &stranger, NULL), "%s", stranger.why);
	UNTIL(&s, stranger.over);
	UNTIL(&s, idle.over);
	T_CHECK(log_now_ms() - begin >= short_idle.idle_ms && strstr(idle.why, "has finished"), "after %llu ms: %s",
		(unsigned long long)(log_now_ms() - begin), idle.why);
	run_for(&s, short_idle.idle_ms);
	T_CHECK(!busy.over, "with a stream: %s", busy.why);
	T_CHECK(write(stream, "!", 1) == 1, "write");
	UNTIL(&s, busy.over || read(stream, &heard, 1) == 1 || heard == '!');
	T_CHECK(!busy.over, "it still carries: %s", busy.why);
	close(stream);
	UNTIL(&s, busy.over);
	T_CHECK(strstr(busy.why, "has finished"), "%s", busy.why);
	visit_close(&stranger);
	visit_close(&idle);
	visit_close(&busy);
	run_for(&s, 50);
	side_deinit(&s);
	node_remove();
}

/* A client that ends, whether it says good-bye or not, takes nothing of the node's any longer. */
static void ended_by_a_signal(struct side *s, struct visit *owner)
{
	struct visit killed;
	struct side t;
	uint64_t begin;
	pid_t pid = fork();

	if (!pid) {
		side_init(&t);
		node_find(&t);
		_exit(!!visit_open(&t, &killed, &node.owner)); /* no good-bye */
	}
	T_CHECK(waitpid(pid, NULL, 0) == pid, "wait");
	begin = log_now_ms();
	await_told(s, owner, "open", 2);
	while (told(owner, "open") != 1 && log_now_ms() - begin < LINK_DEAD_MS + 5000)
		run_for(s, 200);
	fprintf(stderr, "# gone after %llu ms\n", (unsigned long long)(log_now_ms() - begin));
	T_CHECK(log_now_ms() - begin < LINK_DEAD_MS - 2000, "it took %llu ms", (unsigned long long)(log_now_ms() - begin));
}

static void who_has_ended_is_gone(void)
{
	struct visit left;
	struct side s, t;
	struct visit owner;
	uint64_t begin;

	node_make(NULL);
	side_init(&s);
	node_find(&s);
	T_CHECK(!visit_open(&s, &owner, &node.owner), "%s", owner.why);
	for (int has_manners = 0; has_manners < 2; has_manners++) {
		side_init(&t);
		UNTIL(&t, t.up);
		T_CHECK(!visit_open(&t, &left, &node.owner), "%s", left.why);
		await_told(&s, &owner, "open", 2);
		begin = log_now_ms();
		if (has_manners)
			visit_close(&left);
		side_deinit(&t);
		await_told(&s, &owner, "open", 1);
		T_CHECK(log_now_ms() - begin < LINK_DEAD_MS / 2, "it took %llu ms", (unsigned long long)(log_now_ms() - begin));
		left.session = NULL; /* the grid's end was its end */
		visit_close(&left);
	}
	ended_by_a_signal(&s, &owner);
	visit_close(&owner);
	run_for(&s, 50);
	side_deinit(&s);
	node_remove();
}

/* Calls without end and never reads. Runs until the session is over; 0 = it was cut off. */
static int deaf_run(void)
{
	AUTO_BUF struct buf call = { 0 };
	struct visit v;
	struct side s;
	uint64_t end = log_now_ms() + DEADLINE_S * 1000;
	int pair[2];

	side_init(&s);
	UNTIL(&s, s.up);
	visit_dial(&s, &v);
	UNTIL(&s, v.open || v.over);
	T_NEED(v.open && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) && !session_attach(v.session, 0, pair[0], NULL),
	       "%s", v.why);
	buf_addf(&call, "{\"method\":\"" CALL_LOGIN "\",\"parameters\":{\"%0400d\":1}}", 0);
	for (size_t at = 0; !v.over && log_now_ms() < end;) { /* the text's end is part of the message */
		ssize_t n = write(pair[1], call.p + at, call.len + 1 - at);

		at = n > 0 ? (at + (size_t)n) % (call.len + 1) : at;
		sd_event_run(s.event, n > 0 ? 0 : 50000);
	}
	return v.over && strstr(v.why, "broke the session off") ? 0 : 1;
}

static void who_never_reads_is_cut_off(void)
{
	enum { DEAF = 4, EACH_MOST = 4 << 20 };
	struct visit owner;
	struct side s;
	pid_t deaf[DEAF];
	size_t before, most = 0;
	unsigned served = 0;

	node_make(NULL);
	for (int i = 0; i < DEAF; i++)
		if (!(deaf[i] = fork())) {
			side_init(&s);
			node_find(&s);
			_exit(deaf_run());
		}
	side_init(&s);
	node_find(&s);
	T_CHECK(!visit_open(&s, &owner, &node.owner), "%s", owner.why);
	before = gridd_memory();
	for (int i = 0; i < DEAF; served++) {
		size_t now = gridd_memory();

		most = now > most ? now : most;
		T_NEED(!visit_call(&owner, &node.owner, "zos.Deployment.List"), "others are served: %s", owner.why);
		run_for(&s, 100);
		i += has_ended(deaf[i]);
	}
	for (int i = 0; i < DEAF; i++) {
		int status = -1;

		T_CHECK(waitpid(deaf[i], &status, 0) == deaf[i] && !status, "client %d was not cut off: %x", i, status);
	}
	T_CHECK(most < before + (size_t)DEAF * EACH_MOST, "%zu bytes before, at most %zu", before, most);
	await_told(&s, &owner, "open", 1);
	fprintf(stderr, "# %zu kB a client at most, %u calls served beside them\n", (most - before) / DEAF >> 10, served);
	visit_close(&owner);
	run_for(&s, 50);
	side_deinit(&s);
	node_remove();
}

/* A call without an end, to S's node, by each of its streams, logged in as USER (NULL = not at all). Runs until the session is over; 0 = it was cut off
 * for that. */
static int endless_run(const struct key *user)
{
	static const char piece[] = "a string that never ends, ";
	struct visit v;
	struct side s;
	uint64_t end = log_now_ms() + DEADLINE_S * 1000;
	int pairs[CALLER_LINKS_MAX][2];
	uint32_t id;
	struct err e = { 0 };

	side_init(&s);
	node_find(&s);
	visit_dial(&s, &v);
	UNTIL(&s, v.open || v.over);
	T_NEED(!user || !visit_login(&v, user), "%s", v.why);
	for (size_t i = !!user; i < ARRAY_LEN(pairs); i++) { /* stream 0 is the login's */
		T_NEED(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pairs[i]), "socketpair");
		T_NEED(!(i ? session_open_stream(v.session, pairs[i][0], &id, &e) : session_attach(v.session, 0, pairs[i][0], &e)), "%s", e.msg);
		T_NEED(write(pairs[i][1], "{\"method\":\"", 11) == 11, "begin");
	}
	while (!v.over && log_now_ms() < end) {
		bool took = false;

		for (size_t i = !!user; i < ARRAY_LEN(pairs); i++)
			took |= write(pairs[i][1], piece, sizeof(piece) - 1) > 0;
		sd_event_run(s.event, took ? 0 : 50000);
	}
	return v.over && strstr(v.why, "broke the session off") ? 0 : 1;
}

/* What it orders is no deployment, and is read to its end. */
static int call_large(struct visit *v)
{
	AUTO_BUF struct buf arguments = { 0 }, order = { 0 };
	AUTO_JSON sd_json_variant *a = NULL;

	buf_addf(&arguments, "{\"envelope\":{\"payload\":\"%0*d\"}}", DSSE_PAYLOAD_MAX - 4096, 1);
	T_NEED(!json_parse(buf_str(&arguments), &a, NULL), "arguments");
	T_NEED(!order_sign(&node.owner, &node.key, "zos.Deployment.Deploy", a, time(NULL) + 60, &order), "order");
	return visit_send(v, "zos.Order.Call", "order", buf_str(&order));
}

static void a_call_without_end_takes_no_memory(void)
{
	enum { ENDLESS = 4, EACH_MOST = 4 << 20 };
	struct visit owner;
	struct side s;
	pid_t endless[ENDLESS];
	size_t before, most = 0;

	node_make(NULL);
	side_init(&s);
	node_find(&s);
	T_CHECK(!visit_open(&s, &owner, &node.owner), "%s", owner.why);
	T_CHECK(call_large(&owner) == -EBADMSG && strstr(owner.why, "field"), "a call as large as one may be is read: %s", owner.why);
	before = gridd_memory();
	for (int i = 0; i < ENDLESS; i++)
		if (!(endless[i] = fork()))
			_exit(endless_run(i % 2 ? &node.owner : NULL));
	for (int i = 0; i < ENDLESS;) {
		size_t now = gridd_memory();

		most = now > most ? now : most;
		T_NEED(!visit_call(&owner, &node.owner, "zos.Deployment.List"), "others are served: %s", owner.why);
		run_for(&s, 100);
		i += has_ended(endless[i]);
	}
	for (int i = 0; i < ENDLESS; i++) {
		int status = -1;

		T_CHECK(waitpid(endless[i], &status, 0) == endless[i] && !status, "client %d was not cut off: %x", i, status);
	}
	T_CHECK(most < before + (size_t)ENDLESS * EACH_MOST, "%zu bytes before, at most %zu", before, most);
	fprintf(stderr, "# %zu kB a client at most\n", (most - before) / ENDLESS >> 10);
	visit_close(&owner);
	run_for(&s, 50);
	side_deinit(&s);
	node_remove();
}

/* One of many processes that all come at once; how many of its sessions were taken, how many not, and none left open. */
struct crowd {
	unsigned taken, refused, open;
};

static void crowd_run(int begin, int report, unsigned n)
{
	static struct visit v[HUB_SUBS_MAX];
	struct crowd c = { 0 };
	struct side s;
	char go;

	side_init(&s);
	node_find(&s);
	T_NEED(write(report, "", 1) == 1 && read(begin, &go, 1) == 0, "begin");
	for (unsigned i = 0; i < n; i++)
		visit_dial(&s, &v[i]);
	for (uint64_t end = log_now_ms() + DEADLINE_S * 1000; log_now_ms() < end;) {
		c = (struct crowd){ 0 };
		for (unsigned i = 0; i < n; i++) {
			c.taken += v[i].open;
			c.refused += !v[i].open && v[i].over;
			c.open += !v[i].over;
		}
		if (!c.open)
			break;
		sd_event_run(s.event, 100000);
	}
	T_NEED(write(report, &c, sizeof(c)) == sizeof(c), "report");
	_exit(0);
}

static void a_thousand_at_once_change_nothing(void)
{
	enum { PROCESSES = 20, EACH_DIALS = 50, EACH_MOST = 256 << 10 };
	struct gridd_limits quick = gridd_limits;
	struct crowd all = { 0 };
	struct visit owner;
	struct side s;
	int begin[2], report[2];
	size_t before, most = 0;
	char ready;

	quick.login_ms = 2000; /* nobody in the crowd says who they are */
	node_make(&quick);
	T_NEED(!pipe(begin) && !pipe(report), "pipe");
	for (int i = 0; i < PROCESSES; i++)
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(begin[1]);
			crowd_run(begin[0], report[1], EACH_DIALS);
		}
	for (int i = 0; i < PROCESSES; i++)
		T_NEED(read(report[0], &ready, 1) == 1, "ready");
	side_init(&s);
	node_find(&s);
	T_CHECK(!visit_open(&s, &owner, &node.owner), "%s", owner.why);
	before = gridd_memory();
	close(begin[1]);
	for (int i = 0; i < PROCESSES;) {
		struct pollfd p = { .fd = report[0], .events = POLLIN };
		struct crowd c;
		size_t now = gridd_memory();

		most = now > most ? now : most;
		T_NEED(!visit_call(&owner, &node.owner, "zos.Deployment.List"), "who is there already is served: %s", owner.why);
		run_for(&s, 100);
		if (poll(&p, 1, 0) != 1)
			continue;
		T_NEED(read(report[0], &c, sizeof(c)) == sizeof(c), "report");
		all.taken += c.taken;
		all.refused += c.refused;
		all.open += c.open;
		i++;
	}
	T_CHECK(all.taken + all.refused == PROCESSES * EACH_DIALS && !all.open, "%u taken, %u refused, %u open", all.taken, all.refused, all.open);
	T_CHECK(most < before + (size_t)GRID_SESSIONS_MAX * EACH_MOST, "%zu bytes before, at most %zu", before, most);
	fprintf(stderr, "# %u of %u taken, %zu MB more at most\n", all.taken, PROCESSES * EACH_DIALS, (most - before) >> 20);
	T_CHECK(!has_ended(node.gridd), "gridd is gone");
	visit_close(&owner);
	T_CHECK(!visit_open(&s, &owner, &node.owner), "who comes after it: %s", owner.why);
	visit_close(&owner);
	run_for(&s, 50);
	side_deinit(&s);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	node_remove();
}

static const struct net_case cases[] = {
	{ "strangers", strangers_cannot_shut_out_whom_the_farm_names },
	{ "share", one_key_has_its_share },
	{ "peers", nodes_have_places_beside_those },
	{ "idle", who_does_nothing_makes_room },
	{ "own-idle", whom_the_farm_names_has_a_longer_time },
	{ "ended", who_has_ended_is_gone },
	{ "deaf", who_never_reads_is_cut_off },
	{ "endless", a_call_without_end_takes_no_memory },
	{ "thousand", a_thousand_at_once_change_nothing },
};

int main(int argc, char **argv)
{
	return cases_run("line-net", cases, ARRAY_LEN(cases), argc < 2 ? NULL : argv[1]);
}
