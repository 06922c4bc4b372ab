#include "node/home.h"

#include "base/file.h"
#include "image/image.h"
#include "base/log.h"
#include "node/clock.h"
#include "node/disks.h"
#include "node/resolver.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

enum {
	AGAIN_US = 60 * 1000000,
	PATIENCE_MS = 30 * 1000, /* for disks that are slow to answer at the start: PID 1 waits a minute for noded */
};
#define STATE "state"     /* on each disk */
#define NONCES ".nonces"  /* in each state directory */

enum home_meeting home_meet(const struct home_self *self, const struct key_pub *theirs)
{
	if (!theirs)
		return self->is_durable ? HOME_OURS : HOME_UNKNOWN; /* a damaged copy is written again from the others, where there are others */
	if (!theirs->role)
		return self->is_durable || !self->has_shut ? HOME_OURS : HOME_LATER;
	if (key_pub_eq(&self->identity, theirs))
		return HOME_OURS;
	return self->is_durable || self->has_much ? HOME_FOREIGN : HOME_BECOME;
}

static bool is_lower(const struct key_pub *a, const struct key_pub *b)
{
	char x[KEY_TEXT_SIZE], y[KEY_TEXT_SIZE];

	key_pub_format(x, a);
	key_pub_format(y, b);
	return strcmp(x, y) < 0;
}

struct key_pub home_elect(const struct key_pub *all, size_t n)
{
	struct key_pub best = { 0 };
	size_t most = 0;

	for (size_t i = 0; i < n; i++) {
		size_t votes = 0;

		if (!all[i].role)
			continue;
		for (size_t k = 0; k < n; k++)
			votes += all[k].role && key_pub_eq(&all[i], &all[k]);
		if (votes < most || (votes == most && !is_lower(&all[i], &best)))
			continue;
		best = all[i];
		most = votes;
	}
	return best;
}

/* Who the state in DIR says it is; role 0 = nobody. -EBADMSG when that cannot be read. */
static int identity_of(const char *dir, struct key_pub *ret, struct err *e)
{
	AUTO_BUF struct buf seed = { 0 };
	struct store one = STORE_NONE;
	struct key key = KEY_NONE;
	uint64_t version;
	int r = store_open(&one, &dir, 1, true, e);

	*ret = (struct key_pub){ 0 };
	if (!r)
		r = store_get(&one, "identity", &version, &seed, e);
	store_close(&one);
	if (r)
		return r == STORE_ABSENT ? 0 : r;
	r = key_seed_parse(buf_str(&seed), &key);
	explicit_bzero(seed.p, seed.len);
	*ret = key.pub;
	key_wipe(&key);
	return r || ret->role != KEY_NODE ? err_set(e, -EBADMSG, "the identity in %s is no node's key", dir) : 0;
}

static void state_dir(const struct storage_disk *d, char ret[static STORE_DIR_MAX])
{
	snprintf(ret, STORE_DIR_MAX, "%s/" STATE, d->path);
}

static void nonces_path(const char *dir, char ret[static NONCES_PATH_MAX])
{
	snprintf(ret, NONCES_PATH_MAX, "%s/" NONCES, dir);
}

static bool is_home(const struct home *h, const char *dir)
{
	for (size_t i = 0; i < h->engine->store.n_roots; i++)
		if (!strcmp(h->engine->store.roots[i].dir, dir))
			return true;
	return false;
}

bool home_has(const struct home *h, const struct storage_disk *d)
{
	char dir[STORE_DIR_MAX];

	state_dir(d, dir);
	return d->state == LIFE_READY && is_home(h, dir);
}

size_t home_disks(void *ctx, struct volumes_disk *ret, size_t max)
{
	const struct home *h = ctx;
	size_t n = 0;

	for (const struct storage_disk *d = h->storage->disks; h->engine && d && n < max; d = d->next) {
		struct volumes_disk *one = &ret[n];

		if (!home_has(h, d))
			continue;
		*one = (struct volumes_disk){ .size_bytes = d->found.size_bytes, .is_rotational = d->found.is_rotational };
		snprintf(one->uuid, sizeof(one->uuid), "%s", d->uuid);
		snprintf(one->path, sizeof(one->path), "%s", d->path);
		one->images_bytes =
			strcmp(d->uuid, h->images.disk) ? image_copy_limit(d->found.size_bytes) : image_limit_default(d->found.size_bytes);
		n++;
	}
	return n;
}

const char *home_trouble(void *ctx, const char *uuid)
{
	const struct home *h = ctx;

	for (const struct storage_disk *d = h->storage->disks; d; d = d->next)
		if (d->is_degraded && !strcmp(d->uuid, uuid))
			return d->sentence;
	return NULL;
}

/* The state in memory is over: left there, it would come back as something old. */
static int ram_clear(const struct home *h, struct err *e)
{
	AUTO_DIR DIR *d = opendir(h->paths.ram);
	const struct dirent *entry;
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : err_set(e, -errno, "open %s: %m", h->paths.ram);
	while (!r && (entry = readdir(d)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			r = tree_remove(dirfd(d), entry->d_name, e);
	return r;
}

static int mark_write(const struct home *h, const struct key_pub *who, struct err *e)
{
	char text[KEY_TEXT_SIZE];

	key_pub_format(text, who);
	return file_keep(AT_FDCWD, h->paths.mark, str_c(text), 0600, e);
}

/* Role 0 = there is none. */
static struct key_pub mark_read(const struct home *h)
{
	AUTO_BUF struct buf text = { 0 };
	struct key_pub who = { 0 };

	if (file_read(AT_FDCWD, h->paths.mark, KEY_TEXT_SIZE, &text, NULL) || key_pub_parse(buf_str(&text), &who))
		return (struct key_pub){ 0 };
	return who;
}

static int durable_begin(struct home *h, struct err *e)
{
	char path[NONCES_PATH_MAX];
	int r = mark_write(h, &h->engine->identity.pub, e);

	nonces_path(h->paths.ram, path);
	store_drop(&h->engine->store, h->paths.ram);
	nonces_drop(h->nonces, path);
	return r ? r : ram_clear(h, e);
}

static int dir_join(struct home *h, const char *dir, struct err *e)
{
	char path[NONCES_PATH_MAX];
	int r;

	nonces_path(dir, path);
	if ((r = engine_join(h->engine, dir, e)) || (r = nonces_add(h->nonces, path, time(NULL), e)))
		return r;
	return durable_begin(h, e);
}

static bool may_be_shut(const struct storage_disk *d)
{
	switch (d->state) {
	case LIFE_FOUND:
	case LIFE_PROBING:
	case LIFE_UNLOCKING:
	case LIFE_MOUNTING:
		return true;
	case LIFE_READY:
	case LIFE_FOREIGN:
		return false;
	default:
		return d->uuid[0];
	}
}

/* One of ours that is not open, or one that has not been looked at yet, may say who this is: the node does not make itself a new identity on another
 * disk meanwhile. */
static bool has_shut_disk(const struct home *h)
{
	for (const struct storage_disk *d = h->storage->disks; d; d = d->next)
		if (may_be_shut(d))
			return true;
	return false;
}

static struct home_self self_of(const struct home *h)
{
	const struct engine *n = h->engine;

	return (struct home_self){ .identity = n->identity.pub,
				   .is_durable = store_is_durable(&n->store),
				   .has_much = n->approval || n->held,
				   .has_shut = has_shut_disk(h) };
}

/* A disk that is ready, and not home yet. */
static int disk_meet(struct home *h, const struct storage_disk *d, struct err *e)
{
	struct home_self self = self_of(h);
	char dir[STORE_DIR_MAX];
	struct key_pub theirs;
	int r;

	state_dir(d, dir);
	if (is_home(h, dir))
		return 0;
	r = identity_of(dir, &theirs, e);
	switch (home_meet(&self, r ? NULL : &theirs)) {
	case HOME_OURS:
		break;
	case HOME_BECOME:
		log_info("disk %s has the identity of this machine from before: starting again with it", d->uuid);
		(void)sd_event_exit(h->event, EXIT_SUCCESS);
		return 0;
	case HOME_FOREIGN:
		return err_set(e, -EXDEV, "it has the state of another node: it is left alone; 'zos node disks wipe' makes it this one's");
	case HOME_LATER:
		return err_set(e, -EAGAIN, "a disk that may say who this node is is not open: until it is, or is wiped, nothing is kept on this one");
	case HOME_UNKNOWN:
		return err_wrap(e, r, "who it belongs to cannot be read");
	}
	if ((r = dir_join(h, dir, e)))
		return r;
	log_info("disk %s keeps the node's state", d->uuid);
	volumes_came(h->volumes, d->uuid);
	return 0;
}

void home_again(struct home *h)
{
	(void)sd_event_source_set_time_relative(h->timer, AGAIN_US);
	(void)sd_event_source_set_enabled(h->timer, SD_EVENT_ONESHOT);
}

static void all_meet(struct home *h)
{
	for (const struct storage_disk *d = h->storage->disks; d; d = d->next) {
		struct err e = { 0 };
		int r = d->state == LIFE_READY ? disk_meet(h, d, &e) : 0;

		if (d->state == LIFE_READY)
			storage_remark(h->storage, d->uuid, r ? e.msg : "", r == -EXDEV);
		if (!r)
			continue;
		log_err("disk %s: %s", d->uuid, e.msg);
		if (r != -EXDEV)
			home_again(h);
	}
	disks_configure(h->storage, h->engine->farm); /* one that came may have brought a newer document */
	clock_configure(h->engine->farm);
	resolver_configure(h->engine->farm);
	home_images_settle(h);
	engine_tell(h->engine);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	all_meet(userdata);
	return 0;
}

static void on_ready(void *ctx, const struct storage_disk *d)
{
	struct home *h = ctx;

	(void)d;
	if (h->engine)
		all_meet(h);
}

static void on_gone(void *ctx, const struct storage_disk *d)
{
	struct home *h = ctx;
	char dir[STORE_DIR_MAX], path[NONCES_PATH_MAX];

	if (!h->engine)
		return;
	state_dir(d, dir);
	nonces_path(dir, path);
	store_drop(&h->engine->store, dir);
	nonces_drop(h->nonces, path);
	volumes_went(h->volumes, d->uuid);
	home_images_went(h, d->uuid);
	engine_tell(h->engine);
}

static void on_changed(void *ctx)
{
	struct home *h = ctx;

	if (!h->engine)
		return;
	volumes_judge(h->volumes);
	engine_tell(h->engine);
}

const struct storage_events home_events = { .ready = on_ready, .gone = on_gone, .changed = on_changed };

/* The disk is there, and takes no more: what is on it goes on as long as it can; its state is tried again later. */
static void on_lost(void *ctx, const char *dir, const struct err *why)
{
	struct home *h = ctx;
	char path[NONCES_PATH_MAX];

	(void)why;
	nonces_path(dir, path);
	nonces_drop(h->nonces, path);
	home_again(h);
}

int home_init(struct home *ret, sd_event *event, const struct home_paths *paths, struct storage *storage, struct err *e)
{
	int r;

	*ret = (struct home){ .event = sd_event_ref(event), .paths = *paths, .storage = storage };
	if ((r = sd_event_add_time(event, &ret->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_timer, ret)) < 0)
		return err_set(e, r, "make a timer: %s", strerror(-r));
	(void)sd_event_source_set_enabled(ret->timer, SD_EVENT_OFF);
	return home_images_init(ret, e);
}

void home_deinit(struct home *h)
{
	home_images_deinit(h);
	sd_event_source_disable_unref(h->timer);
	sd_event_unref(h->event);
	*h = (struct home)HOME_NONE;
}

/* Who the disks say this is, and the directories of those that say so, or say nothing yet; role 0 when none says anything. */
static struct key_pub disks_ask(const struct home *h, char ret[][STORE_DIR_MAX], size_t max, size_t *ret_n)
{
	struct key_pub all[STORAGE_DISKS_MAX] = { 0 }, who;
	char dirs[STORAGE_DISKS_MAX][STORE_DIR_MAX];
	bool is_bad[STORAGE_DISKS_MAX] = { 0 };
	size_t n = 0;

	for (const struct storage_disk *d = h->storage->disks; d && n < STORAGE_DISKS_MAX; d = d->next) {
		struct err e = { 0 };

		if (d->state != LIFE_READY)
			continue;
		state_dir(d, dirs[n]);
		is_bad[n] = identity_of(dirs[n], &all[n], &e);
		if (is_bad[n])
			log_err("disk %s: %s", d->uuid, e.msg);
		n++;
	}
	who = home_elect(all, n);
	*ret_n = 0;
	for (size_t i = 0; i < n && *ret_n < max; i++)
		if (who.role ? is_bad[i] || !all[i].role || key_pub_eq(&all[i], &who) : !is_bad[i])
			memcpy(ret[(*ret_n)++], dirs[i], STORE_DIR_MAX);
	return who;
}

int home_wait(struct home *h, char ret[][STORE_DIR_MAX], size_t max, bool *ret_durable, struct err *e)
{
	struct key_pub mark = mark_read(h), who;
	uint64_t end_ms = log_now_ms() + PATIENCE_MS;
	bool has_said = false;
	size_t n;

	for (;;) {
		uint64_t now_ms = log_now_ms();
		bool is_time = h->storage->is_settled || now_ms >= end_ms;
		int r;

		if (is_time) { /* not before: it reads all of them, and nothing of it is used until then */
			who = disks_ask(h, ret, max, &n);
			if (!mark.role || key_pub_eq(&mark, &who))
				break;
			if (!has_said)
				log_err("none of the disks that say who this node is is here: waiting for one");
			has_said = true;
		}
		if ((r = sd_event_run(h->event, is_time ? UINT64_MAX : (end_ms - now_ms) * 1000)) < 0)
			return err_set(e, r, "wait for the disks: %s", strerror(-r));
		if (sd_event_get_state(h->event) == SD_EVENT_FINISHED)
			return err_set(e, -ECANCELED, "ended before it was known who this node is");
	}
	*ret_durable = n && (who.role || !has_shut_disk(h));
	if (*ret_durable)
		return (int)n;
	snprintf(ret[0], STORE_DIR_MAX, "%s", h->paths.ram);
	return 1;
}

int home_begin(struct home *h, struct engine *n, struct nonces *nonces, struct provider *volumes, struct err *e)
{
	int r = 0;

	h->engine = n;
	h->nonces = nonces;
	h->volumes = volumes;
	n->store.lost = on_lost;
	n->store.ctx = h;
	n->images_changed = home_images_changed;
	n->images_ctx = h;
	for (size_t i = 0; i < n->store.n_roots && !r; i++) {
		char path[NONCES_PATH_MAX];

		nonces_path(n->store.roots[i].dir, path);
		r = nonces_add(nonces, path, time(NULL), e);
	}
	if (!r && store_is_durable(&n->store)) {
		store_mend(&n->store);
		r = durable_begin(h, e);
	}
	for (const struct storage_disk *d = h->storage->disks; d && !r; d = d->next) {
		char dir[STORE_DIR_MAX];

		state_dir(d, dir);
		if (is_home(h, dir))
			volumes_came(volumes, d->uuid);
	}
	if (!r)
		all_meet(h);
	return r;
}
