/* The engine over fake providers: the whole life of a deployment without a node. */
#include "node/engine_test.h"

#define MODULES(names) \
	"{\"name\":\"web\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web:1\",\"cpu\":1,\"memory\":134217728,\"modules\":[" names "]}}"

/* "passing 80": of the first machine and the port that is looked at. */
static const char *health(struct fixture *f)
{
	static char text[32];
	AUTO_JSON sd_json_variant *v = NULL;
	sd_json_variant *h;

	T_NEED(engine_status(&f->engine, engine_held(&f->engine, &f->owner.pub, "site"), &v) >= 0, "status");
	h = sd_json_variant_by_key(sd_json_variant_by_index(sd_json_variant_by_key(v, "workloads"), 0), "health");
	if (!h)
		return "none";
	snprintf(text, sizeof(text), "%s %u", sd_json_variant_string(sd_json_variant_by_key(h, "state")),
		 (unsigned)sd_json_variant_unsigned(sd_json_variant_by_key(sd_json_variant_by_key(h, "check"), "tcp")));
	return text;
}

static void a_deployment_comes_up_changes_and_goes(void)
{
	struct fixture f;
	struct err e = { 0 };

	up(&f);
	T_CHECK(!deploy(&f, 1, "", web(64), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(f.log.p, "apply image web;apply network web;apply machine web;"), "%s", f.log.p);
	T_CHECK(!strcmp(state(&f), "ok"), "%s", state(&f));

	f.log.len = 0;
	T_CHECK(!deploy(&f, 2, "", web(64), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(f.log.p, "apply image web;"), "the same again touches no machine: %s", f.log.p);
	f.log.len = 0;
	T_CHECK(!deploy(&f, 3, "", web(128), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(f.log.p, "apply image web;remove machine web;apply machine web;"), "%s", f.log.p);

	f.log.len = 0;
	T_CHECK(!deploy(&f, 4, "", "", &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(f.log.p, "remove machine web;remove network web;remove image web;"), "%s", f.log.p);
	T_CHECK(!strcmp(state(&f), "none") && !f.engine.capacity.used_memory_bytes, "nothing left");
	T_CHECK(deploy(&f, 4, "", web(64), &e) == -ESTALE, "an old document resurrects nothing: %s", e.msg);
	down(&f);
}

static void a_health_check_is_shown(void)
{
	struct fixture f;
	struct err e = { 0 };

	up(&f);
	T_CHECK(!deploy(&f, 1, "", web(64), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(health(&f), "none"), "%s", health(&f));
	T_CHECK(!deploy(&f, 2, "",
			"{\"name\":\"web\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web:1\",\"cpu\":1,\"memory\":67108864,"
			"\"isolation\":\"container\",\"health\":{\"tcp\":80}}}",
			&e),
		"%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(health(&f), "waiting 80"), "%s", health(&f));
	strcpy(f.engine.items->work.machine.health, "failing");
	T_CHECK(!strcmp(health(&f), "failing 80"), "%s", health(&f));
	down(&f);
}

static void isolation_does_not_change_in_place(void)
{
	struct fixture f;
	struct err e = { 0 };

	up(&f);
	f.engine.capacity.has_kvm = true;
	T_CHECK(!deploy(&f, 1, "", web(128), &e), "%s", e.msg);
	T_CHECK(deploy(&f, 2, "", "{\"name\":\"web\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web:1\",\"cpu\":1,\"memory\":134217728}}", &e) ==
				-EBADMSG &&
			strstr(e.msg, "/workloads/0/data/isolation"),
		"%s", e.msg);
	T_CHECK(!deploy(&f, 2, "", web(96), &e), "the refused one changed nothing: %s", e.msg);
	down(&f);
}

static void a_restart_brings_back_what_was_accepted(void)
{
	struct fixture f;
	struct err e = { 0 };
	struct key_pub before;

	up(&f);
	before = f.engine.identity.pub;
	T_CHECK(!deploy(&f, 7, "", web(64), &e), "%s", e.msg);
	settle(&f);
	engine_deinit(&f.engine);
	f.log.len = 0;
	engine_up(&f);
	settle(&f);
	T_CHECK(key_pub_eq(&before, &f.engine.identity.pub), "the same node");
	T_CHECK(!strcmp(f.log.p, "apply image web;apply network web;apply machine web;"), "%s", f.log.p);
	T_CHECK(deploy(&f, 7, "", web(64), &e) == -ESTALE && !deploy(&f, 8, "", web(64), &e), "%s", e.msg);
	down(&f);
}

/* What the owner wished last is there after a restart and an update, and not for whoever comes next under the same name. */
static void a_wish_lasts_as_long_as_its_deployment(void)
{
	struct fixture f;
	struct err e = { 0 };
	struct item *it;

	up(&f);
	T_CHECK(!deploy(&f, 1, "", web(64), &e), "%s", e.msg);
	settle(&f);
	f.log.len = 0;
	T_NEED((it = engine_item(&f.engine, &f.owner.pub, "site", "web")), "item");
	T_CHECK(!engine_hold(&f.engine, it, WORK_STOPPED, &e) && !strcmp(f.log.p, "stopped machine web;"), "%s %s", e.msg, f.log.p);
	engine_deinit(&f.engine);
	engine_up(&f);
	settle(&f);
	it = engine_item(&f.engine, &f.owner.pub, "site", "web");
	T_CHECK(it && it->work.hold == WORK_STOPPED, "forgotten by a restart");
	T_CHECK(!deploy(&f, 2, "", web(65), &e), "%s", e.msg);
	settle(&f);
	it = engine_item(&f.engine, &f.owner.pub, "site", "web");
	T_CHECK(it && it->work.hold == WORK_STOPPED, "forgotten by an update");
	T_CHECK(!deploy(&f, 3, "", "", &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!engine_item(&f.engine, &f.owner.pub, "site", "web") && !deploy(&f, 4, "", web(64), &e), "%s", e.msg);
	settle(&f);
	it = engine_item(&f.engine, &f.owner.pub, "site", "web");
	T_CHECK(it && it->work.hold == WORK_RUNS, "a new one inherited it");
	down(&f);
}

/* The farm's drain stops what runs, takes nothing new, lasts over a restart, and leaves the owner's wishes as they were. */
static void a_drain_lies_over_the_wishes(void)
{
	struct fixture f;
	struct err e = { 0 };
	struct item *it;

	up(&f);
	T_CHECK(!deploy(&f, 1, "", web(64), &e), "%s", e.msg);
	settle(&f);
	f.log.len = 0;
	T_CHECK(!engine_drain(&f.engine, true, &e) && !strcmp(f.log.p, "stopped machine web;"), "%s %s", e.msg, f.log.p);
	T_CHECK(deploy(&f, 2, "", web(65), &e) == -EBUSY && strstr(e.msg, "draining"), "%s", e.msg);
	engine_deinit(&f.engine);
	engine_up(&f);
	settle(&f);
	it = engine_item(&f.engine, &f.owner.pub, "site", "web");
	T_NEED(it && work_hold_now(&it->work) == WORK_STOPPED && it->work.hold == WORK_RUNS, "forgotten by a restart");
	f.log.len = 0;
	T_CHECK(!engine_drain(&f.engine, false, &e) && !strcmp(f.log.p, "none machine web;"), "%s %s", e.msg, f.log.p);
	T_CHECK(!engine_hold(&f.engine, it, WORK_STOPPED, &e) && !engine_drain(&f.engine, true, &e), "%s", e.msg);
	f.log.len = 0;
	T_CHECK(!engine_drain(&f.engine, false, &e) && !strcmp(f.log.p, "stopped machine web;"), "%s %s", e.msg, f.log.p);
	T_CHECK(!engine_drain(&f.engine, true, &e) && !deploy(&f, 2, "", "", &e), "what is drained can be deleted: %s", e.msg);
	settle(&f);
	T_CHECK(!engine_item(&f.engine, &f.owner.pub, "site", "web"), "it is there still");
	T_CHECK(deploy(&f, 3, "", web(64), &e) == -EBUSY && !engine_drain(&f.engine, false, &e) && !deploy(&f, 3, "", web(64), &e), "%s", e.msg);
	down(&f);
}

static void a_failure_is_told_and_tried_again(void)
{
	struct fixture f;
	struct err e = { 0 };
	time_t patience = time(NULL) + 20;

	up(&f);
	f.fakes[STEP_IMAGE].fail = 1;
	T_CHECK(!deploy(&f, 1, "", web(64), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(state(&f), "retrying") && !strcmp(f.engine.items->error, "fake: out of order"), "%s", state(&f));
	while (strcmp(state(&f), "ok") && time(NULL) < patience) /* the engine's own timer ends the wait */
		T_NEED(sd_event_run(f.event, 20000000) >= 0, "loop");
	T_CHECK(!strcmp(f.log.p, "apply image web;apply image web;apply network web;apply machine web;"), "%s", f.log.p);
	down(&f);
}

static char digit(struct fixture *f)
{
	return f->engine.items->work.image.digest[7];
}

static void restart(struct fixture *f)
{
	engine_deinit(&f->engine);
	f->log.len = 0;
	engine_up(f);
	settle(f);
}

static void a_tag_is_looked_up_once_for_each_sequence(void)
{
	struct fixture f;
	struct err e = { 0 };

	up(&f);
	T_CHECK(!deploy(&f, 1, "", web(64), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(f.looked_up == 1 && digit(&f) == '1', "%u", f.looked_up);
	f.meaning = '2';
	restart(&f);
	T_CHECK(f.looked_up == 1 && digit(&f) == '1' && !strcmp(state(&f), "ok"), "a restart asked: %u", f.looked_up);
	f.log.len = 0;
	T_CHECK(!deploy(&f, 2, "", web(64), &e) && !strcmp(state(&f), "pending"), "%s, %s", e.msg, state(&f));
	settle(&f);
	T_CHECK(f.looked_up == 2 && digit(&f) == '2' && !strcmp(state(&f), "ok"), "%u %s", f.looked_up, state(&f));
	T_CHECK(!strcmp(f.log.p, "apply image web;remove machine web;apply machine web;"), "%s", f.log.p);
	restart(&f);
	T_CHECK(f.looked_up == 2 && digit(&f) == '2', "a restart asked: %u", f.looked_up);
	down(&f);
}

static void a_registry_out_of_reach_takes_nothing_away(void)
{
	struct fixture f;
	struct err e = { 0 };
	time_t patience = time(NULL) + 20;

	up(&f);
	T_CHECK(!deploy(&f, 1, "", web(64), &e), "%s", e.msg);
	settle(&f);
	f.meaning = '2';
	f.fakes[STEP_IMAGE].fail_look_up = 3;
	f.log.len = 0;
	T_CHECK(!deploy(&f, 2, "", web(64), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(f.log.p, "apply image web;") && !strcmp(state(&f), "degraded") && digit(&f) == '1', "%s %s", f.log.p, state(&f));
	restart(&f);
	T_CHECK(!strcmp(f.log.p, "apply image web;apply network web;apply machine web;apply image web;") && digit(&f) == '1',
		"what ran comes up, then the tag is looked up: %s", f.log.p);
	restart(&f);
	T_CHECK(!strcmp(state(&f), "degraded") && f.looked_up == 4, "a second restart does not pass for an answer: %s", state(&f));
	f.log.len = 0;
	while (strcmp(state(&f), "ok") && time(NULL) < patience) /* the engine's own timer ends the wait */
		T_NEED(sd_event_run(f.event, 20000000) >= 0, "loop");
	T_CHECK(!strcmp(f.log.p, "apply image web;remove machine web;apply machine web;") && digit(&f) == '2', "%s", f.log.p);
	T_CHECK(f.looked_up == 5, "%u", f.looked_up);
	down(&f);
}

static void a_digest_is_never_looked_up_again(void)
{
#define PINNED                                                                        \
	"{\"name\":\"web\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web@sha256:" \
	"1111111111111111111111111111111111111111111111111111111111111111\",\"cpu\":1,\"memory\":67108864,\"isolation\":\"container\"}}"
	struct fixture f;
	struct err e = { 0 };

	up(&f);
	T_CHECK(!deploy(&f, 1, "", PINNED, &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!deploy(&f, 2, "", PINNED, &e), "%s", e.msg);
	settle(&f);
	T_CHECK(f.looked_up == 1 && !strcmp(f.log.p, "apply image web;apply network web;apply machine web;"), "%s", f.log.p);
	T_CHECK(!strcmp(state(&f), "ok"), "%s", state(&f));
	down(&f);
}

#define SECRETIVE                                                                                                \
	"{\"name\":\"web\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web:1\",\"cpu\":1,\"memory\":67108864," \
	"\"isolation\":\"container\",\"env\":{\"TZ\":\"UTC\",\"PW\":{\"secret\":\"db\"}}}}"

/* The field `secrets` with VALUE as "db", sealed as if it were called NAME. */
static const char *sealed(struct fixture *f, const char *name, const char *value)
{
	static struct buf text = { 0 };
	const struct seal_place at = { &f->owner.pub, &f->engine.identity.pub, name };
	AUTO_BUF struct buf bytes = { 0 };

	T_NEED(!seal_value(f->engine.seal.pub, &at, str_c(value), &bytes), "seal");
	text.len = 0;
	buf_add(&text, S("\"secrets\":{\"db\":\""));
	format_base64(&text, bytes.p, bytes.len);
	buf_add(&text, S("\"},"));
	return text.p;
}

static int holds_word(void *ctx, const char *name)
{
	struct fixture *f = ctx;
	AUTO_BUF struct buf text = { 0 };
	uint64_t version;

	T_CHECK(!store_get(&f->engine.store, name, &version, &text, NULL), "%s", name);
	buf_add(&text, (struct str){ "", 1 });
	return strstr(text.p, "hunter2") ? 1 : 0;
}

static void a_secret_reaches_its_machine_and_nobody_else(void)
{
	AUTO_JSON sd_json_variant *v = NULL, *changes = NULL, *status = NULL;
	AUTO_BUF struct buf text = { 0 };
	struct fixture f;
	struct err e = { 0 };

	up(&f);
	T_CHECK(deploy(&f, 1, sealed(&f, "other", "hunter2"), SECRETIVE, &e) == -EBADMSG && strstr(e.msg, "/secrets/db: was not sealed"), "%s",
		e.msg);
	T_CHECK(!deploy(&f, 1, sealed(&f, "db", "hunter2"), SECRETIVE, &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(f.password, "hunter2") && !strcmp(state(&f), "ok"), "'%s' %s", f.password, state(&f));
	T_NEED(engine_list(&f.engine, &(struct key_pub){ 0 }, &status) >= 0 && !json_format(status, &text), "status");
	T_CHECK(strstr(text.p, "r/web:1") && !strstr(text.p, "hunter2"), "it is told: %s", text.p);
	T_CHECK(!store_each(&f.engine.store, "deployments", holds_word, &f, &e) && !store_each(&f.engine.store, "resolved", holds_word, &f, &e),
		"it lies about in clear");
	f.password[0] = '\0';
	restart(&f);
	T_CHECK(!strcmp(f.password, "hunter2"), "a restart lost it: '%s'", f.password);

	f.log.len = 0;
	T_CHECK(!deploy(&f, 2, sealed(&f, "db", "hunter2"), SECRETIVE, &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(f.log.p, "apply image web;"), "the same value sealed again changes nothing: %s", f.log.p);
	envelope_make(&f, 3, sealed(&f, "db", "*****"), SECRETIVE, &v);
	T_CHECK(!engine_check(&f.engine, &f.owner.pub, v, &changes, &e), "%s", e.msg);
	text.len = 0;
	T_CHECK(!json_format(changes, &text) && strstr(text.p, "\"change\":\"restart\",\"fields\":[\"secrets\"]"), "%s", text.p);
	f.log.len = 0;
	T_CHECK(!deploy(&f, 3, sealed(&f, "db", "*****"), SECRETIVE, &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(f.log.p, "apply image web;remove machine web;apply machine web;") && !strcmp(f.password, "*****"), "%s %s", f.log.p,
		f.password);
	down(&f);
}

#define PRIVATE                                                                                                  \
	"{\"name\":\"web\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web:1\",\"cpu\":1,\"memory\":67108864," \
	"\"isolation\":\"container\",\"pull\":{\"user\":\"u\",\"secret\":\"db\"}}}"

static void a_registrys_new_password_touches_no_machine(void)
{
	struct fixture f;
	struct err e = { 0 };

	up(&f);
	f.fakes[STEP_IMAGE].fail = 1;
	T_CHECK(!deploy(&f, 1, sealed(&f, "db", "wrong"), PRIVATE, &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(state(&f), "retrying"), "%s", state(&f));
	T_CHECK(!deploy(&f, 2, sealed(&f, "db", "right"), PRIVATE, &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(state(&f), "ok") && !strcmp(f.login, "right"), "a new password is tried at once: %s '%s'", state(&f), f.login);
	f.log.len = 0;
	T_CHECK(!deploy(&f, 3, sealed(&f, "db", "rotated"), PRIVATE, &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(f.log.p, "apply image web;") && !strcmp(f.login, "rotated"), "%s '%s'", f.log.p, f.login);
	down(&f);
}

static void an_update_while_a_step_is_under_way_waits_for_it(void)
{
	struct fixture f;
	struct err e = { 0 };

	up(&f);
	f.fakes[STEP_IMAGE].later = true;
	T_CHECK(!deploy(&f, 1, "", web(64), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!deploy(&f, 2, "", "", &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(f.log.p, "apply image web;"), "%s", f.log.p);
	f.fakes[STEP_IMAGE].later = false;
	f.providers[STEP_IMAGE]->done(&f.engine, f.fakes[STEP_IMAGE].busy, 0, NULL);
	settle(&f);
	T_CHECK(!strcmp(f.log.p, "apply image web;remove machine web;remove network web;remove image web;") && !f.engine.items, "%s", f.log.p);
	down(&f);
}

/* Its image is looked for when it is deleted, or expires: what an engine before this one started goes all the same. */
static void what_runs_since_before_a_restart_goes(void)
{
	struct fixture f;
	struct err e = { 0 };

	up(&f);
	T_CHECK(!deploy(&f, 1, "", web(64), &e), "%s", e.msg);
	settle(&f);
	f.fakes[STEP_IMAGE].later = true;
	restart(&f);
	T_CHECK(!strcmp(f.log.p, "apply image web;"), "%s", f.log.p);
	T_CHECK(!deploy(&f, 2, "\"expires\":\"2020-01-01T00:00:00Z\",", web(64), &e), "%s", e.msg);
	f.fakes[STEP_IMAGE].later = false;
	f.providers[STEP_IMAGE]->done(&f.engine, f.fakes[STEP_IMAGE].busy, -EIO, &(struct err){ .msg = "fake: not at hand" });
	settle(&f);
	T_CHECK(!strcmp(f.log.p, "apply image web;remove machine web;") && !strcmp(state(&f), "paused"), "%s %s", f.log.p, state(&f));
	restart(&f);
	T_CHECK(!deploy(&f, 3, "", "", &e), "%s", e.msg);
	f.log.len = 0;
	settle(&f);
	T_CHECK(!strcmp(f.log.p, "remove network web;remove image web;") && !f.engine.items, "%s", f.log.p);
	down(&f);
}

static void an_expired_deployment_is_paused_not_removed(void)
{
	struct fixture f;
	struct err e = { 0 };

	up(&f);
	T_CHECK(!deploy(&f, 1, "", web(64), &e), "%s", e.msg);
	settle(&f);
	f.log.len = 0;
	T_CHECK(!deploy(&f, 2, "\"expires\":\"2020-01-01T00:00:00Z\",", web(64), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(f.log.p, "remove machine web;"), "%s", f.log.p);
	T_CHECK(!strcmp(state(&f), "paused"), "%s", state(&f));
	T_CHECK(!deploy(&f, 3, "", web(64), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(state(&f), "ok"), "and goes on: %s", state(&f));
	down(&f);
}

/* The change that CHECK names for the first workload, or the error. */
static const char *checked(struct fixture *f, unsigned sequence, const char *workloads, struct err *e)
{
	static struct buf text = { 0 }; /* a root for the leak checker */
	AUTO_JSON sd_json_variant *v = NULL, *changes = NULL;

	text.len = 0;
	envelope_make(f, sequence, "", workloads, &v);
	if (engine_check(&f->engine, &f->owner.pub, v, &changes, e) || json_format(changes, &text))
		return "refused";
	buf_add(&text, (struct str){ "", 1 });
	return text.p;
}

static void a_check_says_what_would_change_and_keeps_nothing(void)
{
	struct fixture f;
	struct err e = { 0 };

	up(&f);
	T_CHECK(!strcmp(checked(&f, 1, web(64), &e), "[{\"workload\":\"web\",\"change\":\"add\"}]"), "%s", e.msg);
	T_CHECK(!deploy(&f, 1, "", web(64), &e), "the check took no sequence: %s", e.msg);
	T_CHECK(strstr(checked(&f, 2, web(64), &e), "\"change\":\"keep\",\"fields\":[]"), "%s", checked(&f, 2, web(64), &e));
	T_CHECK(strstr(checked(&f, 2, web(65), &e), "\"change\":\"restart\",\"fields\":[\"memory\"]"), "%s", checked(&f, 2, web(65), &e));
	T_CHECK(strstr(checked(&f, 2, "", &e), "\"change\":\"remove\""), "%s", checked(&f, 2, "", &e));
	T_CHECK(!strcmp(checked(&f, 1, web(64), &e), "refused") && e.code == -ESTALE, "%s", e.msg);
	T_CHECK(!strcmp(checked(&f, 2, web(1025), &e), "refused") && e.code == -ENOSPC, "%s", e.msg);
	down(&f);
}

static void capacity_is_kept(void)
{
	struct fixture f;
	struct err e = { 0 };

	up(&f);
	T_CHECK(deploy(&f, 1, "", web(1025), &e) == -ENOSPC && strstr(e.msg, "1.0 GiB"), "%s", e.msg);
	T_CHECK(!deploy(&f, 1, "", web(1024), &e), "exactly what there is: %s", e.msg);
	T_CHECK(!deploy(&f, 2, "", web(1000), &e), "in place of the old: %s", e.msg);
	T_CHECK(f.engine.capacity.used_memory_bytes == 1000ull << 20, "%llu", (unsigned long long)f.engine.capacity.used_memory_bytes);
	down(&f);
}

/* They share the processors: each may have all of them, and none more. */
static void no_machine_has_more_processors_than_the_node(void)
{
#define OF(name, cpu)                                                                                                       \
	"{\"name\":\"" name "\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web:1\",\"cpu\":" cpu ",\"memory\":67108864," \
	"\"isolation\":\"container\"}}"
	static const struct {
		const char *workloads, *why;
		uint64_t then_milli; /* what is promised after it */
	} rows[] = {
		{ OF("a", "4"), NULL, 4000 },
		{ OF("a", "4.001"), "/workloads/0/data/cpu: 4.001 is more than the node's 4", 4000 },
		{ OF("a", "4") "," OF("b", "4"), NULL, 8000 },
		{ OF("a", "4") "," OF("b", "5"), "/workloads/1/data/cpu: 5.000 is more than the node's 4", 8000 },
		{ OF("a", "0.25"), NULL, 250 },
	};
	struct fixture f;

	up(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };
		int r = deploy(&f, (unsigned)i + 1, "", rows[i].workloads, &e);

		T_CHECK(r == (rows[i].why ? -ENOSPC : 0) && (!r || strstr(e.msg, rows[i].why)), "row %zu: %d %s", i, r, e.msg);
		T_CHECK(f.engine.capacity.used_cpu_milli == rows[i].then_milli, "row %zu: %llu", i,
			(unsigned long long)f.engine.capacity.used_cpu_milli);
		settle(&f);
	}
	down(&f);
#undef OF
}

static void modules_are_those_that_the_node_has(void)
{
	struct fixture f;
	char path[64];
	struct err e = { 0 };

	up(&f);
	snprintf(path, sizeof(path), "%s/offers", f.dir);
	T_NEED(!file_save(AT_FDCWD, path, S("wireguard /a.ko\noverlay\n"), 0600, &e), "%s", e.msg);
	f.engine.capacity.has_kvm = true;
	f.engine.capacity.offers = path;
	T_CHECK(!deploy(&f, 1, "", MODULES("\"wireguard\",\"overlay\""), &e), "%s", e.msg);
	T_CHECK(deploy(&f, 2, "", MODULES("\"overlay\",\"zfs\""), &e) == -EBADMSG &&
			strstr(e.msg, "/workloads/0/data/modules/1: this node has no kernel module 'zfs'"),
		"%s", e.msg);
	f.engine.capacity.has_kvm = false;
	T_CHECK(deploy(&f, 2, "", MODULES("\"overlay\""), &e) == -ENOSPC && strstr(e.msg, "no KVM"), "%s", e.msg);
	down(&f);
}

static void a_farms_limits_for_a_key_are_kept(void)
{
	static const struct {
		const char *limit;
		int r;
	} rows[] = { { "\"cpu\":1", 0 }, { "\"cpu\":0.5", -ENOSPC }, { "\"memory\":67108864", 0 }, { "\"memory\":67108863", -ENOSPC } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_BUF struct buf body = { 0 }, text = { 0 };
		char a[KEY_TEXT_SIZE], u[KEY_TEXT_SIZE];
		struct fixture f;
		struct err e = { 0 };
		int r;

		up(&f);
		key_pub_format(a, &f.farm.pub);
		key_pub_format(u, &f.owner.pub);
		buf_addf(&body, "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"nats://h:1\"}],\"allow\":[{\"key\":\"%s\",%s}]}",
			 a, u, rows[i].limit);
		T_NEED(!dsse_sign(API_TYPE_FARM, buf_str(&body), &f.farm, 1, &text) && !engine_set_farm(&f.engine, buf_str(&text), &e), "%s", e.msg);
		r = deploy(&f, 1, "", web(64), &e);
		T_CHECK(r == rows[i].r, "%s: %d %s", rows[i].limit, r, e.msg);
		down(&f);
	}
}

/* Deployments of one owner add up; another's do not count, and what shrinks is always taken. */
static void a_farms_limits_hold_for_the_sum(void)
{
	static const struct {
		unsigned cpu_milli, memory_mib, cpu_limit_milli, memory_limit_mib;
		bool is_update;
		int r;
	} rows[] = {
		{ 500, 100, 2000, 300, false, 0 }, { 501, 100, 2000, 300, false, -ENOSPC }, { 500, 101, 2000, 300, false, -ENOSPC },
		{ 9000, 9000, 0, 0, false, 0 },    { 2000, 300, 2000, 300, true, 0 },       { 2001, 200, 2000, 300, true, -ENOSPC },
		{ 1400, 200, 1000, 300, true, 0 }, { 1500, 200, 1000, 100, true, 0 },       { 1501, 200, 1000, 300, true, -ENOSPC },
	};
	AUTO_DEPLOYMENT struct deployment *mine = deployment_new(), *theirs = deployment_new(), *new = deployment_new();

	T_NEED(mine && theirs && new, "memory");
	mine->owner = new->owner = (struct key_pub){ .role = KEY_USER, .bytes = { 1 } };
	theirs->owner = (struct key_pub){ .role = KEY_USER, .bytes = { 2 } };
	mine->n_workloads = theirs->n_workloads = new->n_workloads = 1;
	mine->workloads[0].zmachine = (struct zmachine){ .isolation = ISOLATION_CONTAINER, .cpu_milli = 1500, .memory_bytes = 200ull << 20 };
	theirs->workloads[0].zmachine = mine->workloads[0].zmachine;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct held held[] = { { .next = &held[1], .deployment = mine }, { .deployment = theirs } };
		struct farm_allow allow = { .cpu_milli = rows[i].cpu_limit_milli, .memory_bytes = (uint64_t)rows[i].memory_limit_mib << 20 };
		struct err e = { 0 };

		new->workloads[0].zmachine = (struct zmachine){ .isolation = ISOLATION_CONTAINER,
								.cpu_milli = rows[i].cpu_milli,
								.memory_bytes = (uint64_t)rows[i].memory_mib << 20 };
		T_CHECK(capacity_check_share(&allow, held, new, rows[i].is_update ? mine : NULL, &e) == rows[i].r, "row %zu: %s", i, e.msg);
	}
}

static void the_farm_document_is_pinned(void)
{
	struct fixture f;
	struct err e = { 0 };
	struct key other = KEY_NONE;

	up(&f);
	T_NEED(!key_new(KEY_FARM, &other), "key");
	for (int i = 0; i < 5; i++) {
		const struct {
			const struct key *key;
			unsigned sequence;
			int r;
		} rows[] = {
			{ &f.farm, 2, 0 }, { &f.farm, 2, ENGINE_SAME }, { &f.farm, 1, -ESTALE }, { &other, 9, -EKEYREJECTED }, { &f.farm, 3, 0 }
		};
		AUTO_BUF struct buf body = { 0 }, text = { 0 };
		char a[KEY_TEXT_SIZE];
		int r;

		key_pub_format(a, &rows[i].key->pub);
		buf_addf(&body, "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":%u,\"hubs\":[{\"url\":\"nats://h:1\"}]}", a, rows[i].sequence);
		T_NEED(!dsse_sign(API_TYPE_FARM, buf_str(&body), rows[i].key, 1, &text), "sign");
		r = engine_set_farm(&f.engine, buf_str(&text), &e);
		T_CHECK(r == rows[i].r, "row %d: %d %s", i, r, e.msg);
	}
	down(&f);
}

int main(void)
{
	T_RUN(a_deployment_comes_up_changes_and_goes);
	T_RUN(a_health_check_is_shown);
	T_RUN(isolation_does_not_change_in_place);
	T_RUN(a_restart_brings_back_what_was_accepted);
	T_RUN(a_drain_lies_over_the_wishes);
	T_RUN(a_wish_lasts_as_long_as_its_deployment);
	T_RUN(a_failure_is_told_and_tried_again);
	T_RUN(a_tag_is_looked_up_once_for_each_sequence);
	T_RUN(a_registry_out_of_reach_takes_nothing_away);
	T_RUN(a_digest_is_never_looked_up_again);
	T_RUN(a_secret_reaches_its_machine_and_nobody_else);
	T_RUN(a_registrys_new_password_touches_no_machine);
	T_RUN(an_update_while_a_step_is_under_way_waits_for_it);
	T_RUN(what_runs_since_before_a_restart_goes);
	T_RUN(an_expired_deployment_is_paused_not_removed);
	T_RUN(a_check_says_what_would_change_and_keeps_nothing);
	T_RUN(capacity_is_kept);
	T_RUN(no_machine_has_more_processors_than_the_node);
	T_RUN(modules_are_those_that_the_node_has);
	T_RUN(a_farms_limits_for_a_key_are_kept);
	T_RUN(a_farms_limits_hold_for_the_sum);
	T_RUN(the_farm_document_is_pinned);
	return T_END();
}
