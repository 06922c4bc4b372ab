/* For tests of the engine: fake providers that record what they are told and fail when asked to, and an engine over them. */
#pragma once
#include "node/engine.h"

#include "base/file.h"
#include "base/parse.h"
#include "test/t.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>

struct fake {
	struct provider provider;
	struct fixture *f;
	bool later;         /* answers when told to, not at once */
	int fail;           /* so many calls fail first */
	bool no_disk;       /* storage is on a disk that is not there */
	int fail_look_up;   /* so many that ask what a tag stands for do */
	struct work *busy;
};

struct fixture {
	char dir[40];
	const char *dirs[1];
	sd_event *event;
	struct fake fakes[STEPS];
	struct provider *providers[STEPS];
	struct engine engine;
	struct key owner, farm;
	struct buf log;
	char meaning;       /* of the tag: a digest of this digit alone */
	unsigned looked_up;
	char password[32];  /* that the machine got in PW */
	char login[32];     /* that the registry would have got */
};

/* What the fakes were told: whether WHAT is in it, where (SIZE_MAX = nowhere), and from here on. */
static inline bool said(const struct fixture *f, const char *what)
{
	return f->log.len && strstr(f->log.p, what);
}

static inline size_t said_at(const struct fixture *f, const char *what)
{
	return said(f, what) ? (size_t)(strstr(f->log.p, what) - f->log.p) : SIZE_MAX;
}

static inline void log_clear(struct fixture *f)
{
	buf_drop(&f->log, f->log.len);
}

/* What the engine is to remember, as a real one would have it do. */
static int fake_storage(struct provider *p, struct work *w, bool apply, struct err *e)
{
	struct storage_result *s = &w->storage;
	bool no_disk = container_of(p, struct fake, provider)->no_disk;

	s->path[0] = '\0';
	s->is_waiting = apply && no_disk;
	if (!apply && no_disk)
		return p->bury(p->engine, w, e);
	if (no_disk)
		return err_set(e, -ENODEV, "fake: no disk");
	if (s->stage == STORAGE_UNKNOWN)
		return err_set(e, -EUCLEAN, "fake: not known");
	if (apply)
		snprintf(s->path, sizeof(s->path), "/fake/%s", w->name);
	if (apply && s->restore[0]) {
		buf_addf(&container_of(p, struct fake, provider)->f->log, "restore %s;", s->restore);
		s->restore[0] = '\0';
		return p->keep(p->engine, w, e);
	}
	if (apply && s->stage == STORAGE_MADE)
		return 0;
	s->stage = apply ? STORAGE_MADE : STORAGE_NOWHERE;
	strcpy(s->disk, apply ? "disk-1" : "");
	return p->keep(p->engine, w, e);
}

static int fake_call(struct provider *p, struct work *w, const char *what, struct err *e)
{
	struct fake *k = container_of(p, struct fake, provider);

	buf_addf(&k->f->log, "%s %s %s;", what, p->name, w->name);
	if (k->fail > 0) {
		k->fail--;
		return err_set(e, -EIO, "fake: out of order");
	}
	if (k->later) {
		k->busy = w;
		return PROVIDER_BUSY;
	}
	if (!strcmp(p->name, "network") && w->kind == WORKLOAD_NETWORK)
		strcpy(w->network.netns, what[0] == 'a' ? "/there" : "");
	if (!strcmp(p->name, "gateway"))
		w->published = (struct gateway_result){ .fqdn = "blog.apps.example.org", .is_seen = true, .n_up = (unsigned)w->n_backends };
	if (!strcmp(p->name, "storage"))
		return fake_storage(p, w, what[0] == 'a', e);
	if (!strcmp(p->name, "image") && w->spec.pull.secret)
		snprintf(k->f->login, sizeof(k->f->login), "%s", sd_json_variant_string(sd_json_variant_by_key(w->secrets, w->spec.pull.secret)));
	if (!strcmp(p->name, "image") && w->image.look_up) {
		k->f->looked_up++;
		if (k->fail_look_up > 0 && k->fail_look_up--)
			return err_set(e, -EIO, "fake: no registry");
		memset(stpcpy(w->image.digest, "sha256:"), k->f->meaning, 64);
		w->image.digest[71] = '\0';
	}
	if (!strcmp(p->name, "machine") && sd_json_variant_by_key(w->spec.env, "PW"))
		snprintf(k->f->password, sizeof(k->f->password), "%s", sd_json_variant_string(sd_json_variant_by_key(w->spec.env, "PW")));
	if (!strcmp(p->name, "machine"))
		strcpy(w->machine.state, what[0] == 'a' ? "running" : "");
	return 0;
}

static int fake_apply(struct provider *p, struct work *w, struct err *e)
{
	return fake_call(p, w, "apply", e);
}

static int fake_remove(struct provider *p, struct work *w, struct err *e)
{
	return fake_call(p, w, "remove", e);
}

static int fake_hold(struct provider *p, struct work *w, struct err *e)
{
	(void)e;
	buf_addf(&container_of(p, struct fake, provider)->f->log, "%s %s %s;", work_hold_names[work_hold_now(w)], p->name, w->name);
	return 0;
}

static int fake_admit(struct provider *p, const struct deployment *d, const struct deployment *old,
		      char ret_disks[static DEPLOYMENT_WORKLOADS_MAX][STORAGE_UUID_SIZE], struct err *e)
{
	(void)e;
	for (size_t i = 0; !strcmp(p->name, "storage") && i < d->n_workloads; i++)
		if (workload_has_storage(d->workloads[i].kind) && !(old && deployment_workload(old, d->workloads[i].name)))
			strcpy(ret_disks[i], "disk-1");
	return 0;
}

static const struct provider_ops fake_ops = { .admit = fake_admit, .apply = fake_apply, .remove = fake_remove, .hold = fake_hold };

static void engine_up(struct fixture *f)
{
	struct err e = { 0 };

	T_NEED(!engine_init(&f->engine, f->event, f->dirs, 1, true, f->providers, &e), "%s", e.msg);
	f->engine.capacity = (struct capacity){ .cpu_milli = 4000, .memory_bytes = 1ull << 30 };
	capacity_sum(&f->engine.capacity, f->engine.held);
}

static void up(struct fixture *f)
{
	static const char *const names[] = { "storage", "image", "network", "machine", "gateway" };
	static_assert(ARRAY_LEN(names) == STEPS);

	*f = (struct fixture){ .engine = ENGINE_NONE, .meaning = '1' };
	strcpy(f->dir, "/tmp/engine_test.XXXXXX");
	T_NEED(mkdtemp(f->dir) && sd_event_new(&f->event) >= 0, "fixture");
	T_NEED(!key_new(KEY_USER, &f->owner) && !key_new(KEY_FARM, &f->farm), "keys");
	f->dirs[0] = f->dir;
	for (int s = 0; s < STEPS; s++) {
		f->fakes[s] = (struct fake){ .provider = { .name = names[s], .ops = &fake_ops }, .f = f };
		f->providers[s] = &f->fakes[s].provider;
	}
	engine_up(f);
}

static void down(struct fixture *f)
{
	struct err e = { 0 };

	engine_deinit(&f->engine);
	sd_event_unref(f->event);
	buf_deinit(&f->log);
	T_CHECK(!tree_remove(AT_FDCWD, f->dir, &e), "%s", e.msg);
}

/* Lets the engine do all it can without waiting for a timer. */
static void settle(struct fixture *f)
{
	while (sd_event_run(f->event, 0) > 0)
		;
}

#define WEB "{\"name\":\"web\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web:1\",\"cpu\":1,\"memory\":%u,\"isolation\":\"container\"}}"

/* The signed deployment `site` with WORKLOADS; MORE goes before them. */
static void envelope_make(struct fixture *f, unsigned sequence, const char *more, const char *workloads, sd_json_variant **ret)
{
	AUTO_BUF struct buf body = { 0 }, text = { 0 };
	char owner[KEY_TEXT_SIZE], node[KEY_TEXT_SIZE];
	struct err e;

	key_pub_format(owner, &f->owner.pub);
	key_pub_format(node, &f->engine.identity.pub);
	buf_addf(&body, "{\"name\":\"site\",\"owner\":\"%s\",\"node\":\"%s\",\"sequence\":%u,%s\"workloads\":[%s]}", owner, node, sequence, more,
		 workloads);
	T_NEED(!dsse_sign(API_TYPE_DEPLOYMENT, buf_str(&body), &f->owner, 1, &text) && !json_parse(buf_str(&text), ret, &e), "sign");
}

static int deploy(struct fixture *f, unsigned sequence, const char *more, const char *workloads, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	uint64_t taken;

	envelope_make(f, sequence, more, workloads, &v);
	return engine_deploy(&f->engine, &f->owner.pub, v, &taken, e);
}

static inline const char *web(unsigned mib)
{
	static char text[256];

	snprintf(text, sizeof(text), WEB, mib << 20);
	return text;
}

/* Of the workload NAME, NULL = the first. */
static const char *state_of(struct fixture *f, const char *name)
{
	static char text[32];
	AUTO_JSON sd_json_variant *v = NULL;
	struct held *h = engine_held(&f->engine, &f->owner.pub, "site");
	sd_json_variant *list;

	T_NEED(h && engine_status(&f->engine, h, &v) >= 0, "status");
	list = sd_json_variant_by_key(v, "workloads");
	for (size_t i = 0; i < sd_json_variant_elements(list); i++) {
		sd_json_variant *one = sd_json_variant_by_index(list, i);

		if (name && strcmp(name, sd_json_variant_string(sd_json_variant_by_key(one, "name"))))
			continue;
		snprintf(text, sizeof(text), "%s", sd_json_variant_string(sd_json_variant_by_key(one, "state")));
		return text;
	}
	return "none";
}

static inline const char *state(struct fixture *f)
{
	return state_of(f, NULL);
}
