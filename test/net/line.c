/* What sessions may take of a node: `line_net CASE`. */
#include "line_lab.h"

enum { MOST = 8, KEPT = 3, EACH = 4, NAMELESS = 4, SLACK = 16 << 10 };

static const struct gridd_limits tight = {
	.sessions = MOST, .reserved = KEPT, .per_key = EACH, .nameless = NAMELESS, .login_ms = 10000, .idle_ms = 3600000,
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

/* A client that ends, whether it says good-bye or not, takes nothing of the node's any longer. */
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
	visit_close(&owner);
	run_for(&s, 50);
	side_deinit(&s);
	node_remove();
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "strangers", strangers_cannot_shut_out_whom_the_farm_names },
	{ "share", one_key_has_its_share },
	{ "idle", who_does_nothing_makes_room },
	{ "ended", who_has_ended_is_gone },
};

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	log_init("line-net", false);
	maker_start();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (argc < 2 || !strcmp(argv[1], cases[i].name)) {
			void (*const a_case)(void) = cases[i].run;

			T_RUN(a_case);
		}
	return T_END();
}
