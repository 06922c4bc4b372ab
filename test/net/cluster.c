/* A hub of three servers on loopback: `cluster_net CASE`. Routes between them are TLS by the hub's own authority. */
#include "grid_lab.h"

enum { MEMBERS = 3, CLUSTER_WAIT_MS = 80000, CLUSTER_TRY_MS = 8000, ELECTION_MS = 150000 };

static struct member {
	char dir[64], place[32];
	uint16_t port, route;
	struct hubd_options options;
	struct hub_addr addr;
	pid_t pid;
} members[MEMBERS];
static char peers[128];

static void keys_copy(const char *from, const char *to)
{
	char a[96], b[96];
	AUTO_BUF struct buf keys = { 0 };
	struct err e = { 0 };

	snprintf(a, sizeof(a), "%s/hub.keys", from);
	snprintf(b, sizeof(b), "%s/hub.keys", to);
	T_NEED(!file_read(AT_FDCWD, a, 4096, &keys, &e) && !file_save(AT_FDCWD, b, buf_str(&keys), 0600, &e), "%s", e.msg);
}

static void member_prepare(struct member *m, const struct member *keys_of)
{
	struct err e = { 0 };

	snprintf(m->dir, sizeof(m->dir), "/tmp/cluster-net-XXXXXX");
	T_NEED(mkdtemp(m->dir), "mkdtemp");
	if (keys_of)
		keys_copy(keys_of->dir, m->dir);
	m->options = (struct hubd_options){ .dir = m->dir, .port = m->port, .cluster = m->place, .peers = peers };
	T_NEED(!hubd_prepare(&m->options, &m->addr, &e), "%s", e.msg);
}

static void member_start(struct member *m)
{
	snprintf(hub.dir, sizeof(hub.dir), "%s", m->dir);
	hub_run();
	m->pid = hub.pid;
}

static void member_kill(struct member *m)
{
	kill(m->pid, SIGKILL);
	waitpid(m->pid, NULL, 0);
	m->pid = 0;
}

/* The others keep their server where `zos hub run` may start its own again: the test has all of them. */
static void directory_await(void)
{
	uint64_t end = log_now_ms() + DEADLINE_S * 1000;
	int i = 0, r;

	while ((r = bucket_create(&members[i].options, CLUSTER_TRY_MS)) && log_now_ms() < end) {
		if (r != HUBD_MUTE)
			continue;
		fprintf(stderr, "# a member is not counted: starting %d again\n", i);
		member_kill(&members[i]);
		member_start(&members[i]);
		i = (i + 1) % MEMBERS;
	}
	T_NEED(!r, "no directory in the cluster");
}

static void places_make(void)
{
	size_t n = 0;

	for (int i = 0; i < MEMBERS; i++) {
		members[i].port = free_port();
		members[i].route = free_port();
		snprintf(members[i].place, sizeof(members[i].place), "127.0.0.1:%u", members[i].route);
		n += (size_t)snprintf(peers + n, sizeof(peers) - n, "%s%s", i ? "," : "", members[i].place);
	}
}

static void cluster_make(void)
{
	size_t n = 0;

	places_make();
	for (int i = 0; i < MEMBERS; i++) {
		member_prepare(&members[i], i ? &members[0] : NULL);
		member_start(&members[i]);
	}
	directory_await();
	hub.addr = members[0].addr;
	for (int i = 0; i < MEMBERS; i++)
		n += (size_t)snprintf(hub.addr.url + n, sizeof(hub.addr.url) - n, "%snats://127.0.0.1:%u", i ? "," : "", members[i].port);
}

static void cluster_remove(void)
{
	struct err e = { 0 };

	for (int i = 0; i < MEMBERS; i++) {
		if (members[i].pid)
			member_kill(&members[i]);
		T_CHECK(!tree_remove(AT_FDCWD, members[i].dir, &e), "%s", e.msg);
	}
}

struct found {
	int r;
	bool over;
	char text[64];
};

static void on_one(void *userdata, int r, const char *key, struct str record)
{
	struct found *f = userdata;

	f->r = r;
	f->over = true;
	if (key && !r)
		snprintf(f->text, sizeof(f->text), STR_FMT, STR_ARG(record));
}

/* Asks until the record of KEY is WANT. How long that took. */
static uint64_t await_record(struct side *s, const char *key, const char *want)
{
	uint64_t begin = log_now_ms();
	struct found f = { .r = -1 };

	while (strcmp(f.text, want) && log_now_ms() - begin < CLUSTER_WAIT_MS) {
		struct directory_query *q;

		f = (struct found){ 0 };
		if (!s->up || directory_get(grid_hub(s->grid), key, on_one, &f, &q))
			run_for(s, 100);
		else
			UNTIL(s, f.over);
		if (strcmp(f.text, want))
			run_for(s, 100);
	}
	T_CHECK(!strcmp(f.text, want), "'%s' is not '%s'", f.text, want);
	return log_now_ms() - begin;
}

/* With a member gone: what was there is read, and what is new can be written. */
static void directory_works(int gone)
{
	struct side s;
	struct directory_own *own;
	struct err e = { 0 };
	char text[32], key[KEY_TEXT_SIZE];
	uint64_t ms;

	snprintf(text, sizeof(text), "written without %d", gone);
	side_init(&s);
	UNTIL(&s, s.up);
	snprintf(key, sizeof(key), "%s", hub_key(grid_hub(s.grid)));
	T_NEED(!directory_own_new(grid_hub(s.grid), s.event, &own, &e) && !directory_own_set(own, str_c(text)), "%s", e.msg);
	ms = await_record(&s, key, text);
	fprintf(stderr, "# writable %llu ms after member %d was killed\n", (unsigned long long)ms, gone);
	directory_own_free(own);
	side_deinit(&s);
}

static void any_member_may_go_while_a_session_carries(void)
{
	enum { BYTES = 96 << 20 };
	struct side s;
	pid_t pid[2];
	struct err e = { 0 };

	cluster_make();
	struct node n = node_new(false);
	side_init(&s);
	dial(&s, &n, NULL);
	UNTIL(&s, s.open || s.over);
	T_NEED(s.open, "%s", s.why);
	UNTIL(&s, s.last_stream >= 2u * (N_STREAMS - 1));
	T_NEED(!session_attach(s.session, 0, traffic_new(0, BYTES, pid), &e), "%s", e.msg);
	for (int i = 0; i < MEMBERS; i++) {
		run_for(&s, 100);
		T_CHECK(!s.over, "everything was sent before member %d could be killed: %s", i, s.why);
		member_kill(&members[i]);
		run_for(&s, 1500);
		member_start(&members[i]);
		directory_await();
	}
	UNTIL(&s, s.over || has_ended(pid[1]));
	T_CHECK(!s.over, "the session ended: %s", s.why);
	for (int k = 0; k < 2; k++) {
		int status = -1;

		T_CHECK(waitpid(pid[k], &status, 0) == pid[k] && !status, "%s: status %x", k ? "reader" : "writer", status);
	}
	side_deinit(&s);
	node_kill(&n);
	cluster_remove();
}

static void the_directory_outlives_any_member(void)
{
	cluster_make();
	for (int i = 0; i < MEMBERS; i++) {
		member_kill(&members[i]);
		directory_works(i);
		member_start(&members[i]);
		directory_await();
	}
	cluster_remove();
}

static bool log_says(const struct member *m, const char *what)
{
	char path[96];
	AUTO_BUF struct buf log = { 0 };

	snprintf(path, sizeof(path), "%s/log", m->dir);
	return !file_read(AT_FDCWD, path, 16 << 20, &log, NULL) && strstr(log.p, what);
}

/* Two members with the hub's keys find each other; a third with keys of its own does not get in. */
static void strangers_do_not_join(void)
{
	static const char elected[] = "JetStream cluster new metadata leader", refused[] = "TLS route handshake error";

	places_make();
	member_prepare(&members[0], NULL);
	member_prepare(&members[1], &members[0]);
	member_prepare(&members[2], NULL);
	for (int i = 0; i < MEMBERS; i++)
		member_start(&members[i]);
	for (uint64_t end = log_now_ms() + ELECTION_MS; log_now_ms() < end;) {
		if (log_says(&members[2], refused) && (log_says(&members[0], elected) || log_says(&members[1], elected)))
			break;
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
	T_CHECK(log_says(&members[0], elected) || log_says(&members[1], elected), "the two did not find each other");
	T_CHECK(log_says(&members[2], refused) && !log_says(&members[2], elected), "the stranger was not refused");
	cluster_remove();
}

static const struct net_case cases[] = {
	{ "carry", any_member_may_go_while_a_session_carries },
	{ "directory", the_directory_outlives_any_member },
	{ "strangers", strangers_do_not_join },
};

int main(int argc, char **argv)
{
	return cases_run("cluster-net", cases, ARRAY_LEN(cases), argc < 2 ? NULL : argv[1]);
}
