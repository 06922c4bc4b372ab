/* Images lie on one disk, where imaged keeps them; what machines need of them is copied to all others (decision 114). So when the disk with the cache dies while no registry answers,
 * another one has all that its machines need. A disk that comes is asked first whether it has something that the cache lacks: then it is given what that has. */
#include "node/home.h"

#include "base/log.h"
#include "base/parse.h"
#include "image/image.h"

#include <inttypes.h>
#include <stdio.h>

enum {
	MOVE_MS = 600 * 1000,
	COPY_MS = 3600 * 1000,
	COPY_AFTER_US = 2 * 1000000, /* machines that were deployed together are copied for together, and after they have started */
};
#define IMAGES "images"
#define COPY_MARK IMAGES "/copy" /* image/share.h */

static void images_dir(const struct storage_disk *d, char ret[static STORE_DIR_MAX])
{
	snprintf(ret, STORE_DIR_MAX, "%s/" IMAGES, d->path);
}

static void copies_go_on(struct home *h);

static void on_moved(void *ctx, const struct task_end *end)
{
	struct home *h = ctx;
	struct home_images *i = &h->images;

	i->moving = NULL;
	if (!end->went_well) {
		log_err("move the image cache: %s", end->why.msg);
		i->disk[0] = '\0';
		home_again(h);
		return;
	}
	log_info("images are kept %s%s", i->disk[0] ? "on disk " : "in memory", i->disk);
	engine_images_moved(h->engine, take(i->is_lost, false));
	copies_go_on(h);
}

static void images_move(struct home *h, const char *to)
{
	const char *const argv[] = { h->paths.imagemove, h->paths.cache, to, NULL };
	struct home_images *i = &h->images;
	struct err e = { 0 };

	task_drop(take_ptr(i->copying));
	task_drop(take_ptr(i->moving));
	for (size_t k = 0; k < i->n_copies; k++)
		i->copies[k].is_fetched = false; /* into the new place */
	if (task_start(&i->moving, h->event, argv, -1, MOVE_MS, on_moved, h, &e))
		log_err("%s", e.msg);
}

static bool has(const struct storage_disk *d, const char *what)
{
	char path[STORE_DIR_MAX + sizeof(IMAGES "/layers")];

	snprintf(path, sizeof(path), "%s/%s", d->path, what);
	return !access(path, F_OK);
}

/* How much of the cache it has: all that was kept there before, a copy of what was needed, nothing. */
static int rank(const struct storage_disk *d)
{
	return !has(d, IMAGES "/layers") ? 0 : has(d, COPY_MARK) ? 1 : 2;
}

/* Images lie where they were, else where they were copied to, else on a disk that does not turn if there is one, then on the largest. */
static bool is_better(const struct storage_disk *d, const struct storage_disk *than)
{
	if (than && rank(d) != rank(than))
		return rank(d) > rank(than);
	if (!than || d->found.is_rotational != than->found.is_rotational)
		return !than || !d->found.is_rotational;
	return d->found.size_bytes > than->found.size_bytes;
}

static struct home_copy *copy_find(struct home_images *i, const char *disk)
{
	for (size_t k = 0; k < i->n_copies; k++)
		if (!strcmp(i->copies[k].disk, disk))
			return &i->copies[k];
	return NULL;
}

static void copies_note(struct home *h)
{
	struct home_images *i = &h->images;

	for (const struct storage_disk *d = h->storage->disks; d && i->n_copies < ARRAY_LEN(i->copies); d = d->next) {
		if (!home_has(h, d) || !strcmp(d->uuid, i->disk) || copy_find(i, d->uuid))
			continue;
		i->copies[i->n_copies] = (struct home_copy){ .is_due = true };
		snprintf(i->copies[i->n_copies++].disk, sizeof(i->copies->disk), "%s", d->uuid);
	}
}

static void copy_forget(struct home_images *i, const char *disk)
{
	struct home_copy *c = copy_find(i, disk);

	if (c)
		*c = i->copies[--i->n_copies];
}

void home_images_settle(struct home *h)
{
	const struct storage_disk *best = NULL;
	struct home_images *i = &h->images;
	char to[STORE_DIR_MAX];

	for (const struct storage_disk *d = h->storage->disks; d && !i->disk[0]; d = d->next)
		if (home_has(h, d) && is_better(d, best))
			best = d;
	if (best) {
		snprintf(i->disk, sizeof(i->disk), "%s", best->uuid);
		copy_forget(i, best->uuid);
		images_dir(best, to);
		images_move(h, to);
	}
	copies_note(h);
	copies_go_on(h);
}

void home_images_went(struct home *h, const char *disk)
{
	struct home_images *i = &h->images;

	copy_forget(i, disk);
	if (i->copying && !strcmp(i->turn, disk))
		task_drop(take_ptr(i->copying));
	if (strcmp(i->disk, disk))
		return copies_go_on(h);
	i->disk[0] = '\0';
	i->is_lost = true;
	home_images_settle(h);
	if (!i->disk[0])
		images_move(h, "-");
}

static void on_fetched(struct home *h, struct home_copy *c, uint64_t n)
{
	c->is_fetched = true;
	if (!n)
		return;
	log_info("%" PRIu64 " images were on disk %s alone", n, c->disk);
	engine_images_moved(h->engine, false);
}

static void on_kept(struct home_copy *c, uint64_t n)
{
	if (n && n != c->left_out)
		log_warn("disk %s has no room for copies of %" PRIu64 " images: what needs them depends on the disk that has them, or a registry",
			 c->disk, n);
	c->left_out = n;
}

static void on_copied(void *ctx, const struct task_end *end)
{
	struct home *h = ctx;
	struct home_images *i = &h->images;
	struct home_copy *c = copy_find(i, i->turn);
	uint64_t n;

	i->copying = NULL;
	if (!end->went_well || parse_u64(end->output, UINT64_MAX, &n)) {
		log_warn("copy images from or to disk %s: %s", i->turn, end->went_well ? "it says what it never says" : end->why.msg);
		if (c)
			c->is_due = true;
		home_again(h);
		return;
	}
	if (c && !c->is_fetched)
		on_fetched(h, c, n);
	else if (c)
		on_kept(c, n);
	copies_go_on(h);
}

/* What changes from now on is for the next time. */
static int copy_start(struct home *h, struct home_copy *c, const struct storage_disk *d, struct err *e)
{
	char dir[STORE_DIR_MAX], limit[24];
	const char *const fetch[] = { h->paths.imagecopy, "fetch", h->paths.cache, dir, NULL };
	const char *const keep[] = { h->paths.imagecopy, "keep", h->paths.cache, dir, limit, NULL };

	images_dir(d, dir);
	snprintf(limit, sizeof(limit), "%" PRIu64, image_copy_limit(d->found.size_bytes));
	memcpy(h->images.turn, c->disk, sizeof(h->images.turn));
	c->is_due &= !c->is_fetched;
	return task_start(&h->images.copying, h->event, c->is_fetched ? keep : fetch, -1, COPY_MS, on_copied, h, e);
}

static const struct storage_disk *disk_of(const struct home *h, const char *uuid)
{
	for (const struct storage_disk *d = h->storage->disks; d; d = d->next)
		if (!strcmp(d->uuid, uuid) && home_has(h, d))
			return d;
	return NULL;
}

/* One disk at a time: what only one has comes before anything is copied. */
static struct home_copy *copy_next(struct home *h)
{
	struct home_images *i = &h->images;
	struct home_copy *due = NULL;

	for (size_t k = 0; k < i->n_copies; k++) {
		struct home_copy *c = &i->copies[k];

		if (!disk_of(h, c->disk))
			continue;
		if (!c->is_fetched)
			return c;
		due = c->is_due ? c : due;
	}
	return due;
}

static void copies_go_on(struct home *h)
{
	struct home_images *i = &h->images;
	struct home_copy *next = i->disk[0] && !i->moving && !i->copying ? copy_next(h) : NULL;
	int is_armed = 0;
	struct err e = { 0 };

	if (!next)
		return;
	if (next->is_fetched && sd_event_source_get_enabled(i->timer, &is_armed) > 0)
		return; /* a little later */
	if (copy_start(h, next, disk_of(h, next->disk), &e)) {
		log_warn("%s", e.msg);
		next->is_due = true;
		home_again(h);
	}
}

static int on_due(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	copies_go_on(userdata);
	return 0;
}

void home_images_changed(void *home)
{
	struct home *h = home;
	struct home_images *i = &h->images;

	for (size_t k = 0; k < i->n_copies; k++)
		i->copies[k].is_due = true;
	if (!i->n_copies)
		return;
	(void)sd_event_source_set_time_relative(i->timer, COPY_AFTER_US);
	(void)sd_event_source_set_enabled(i->timer, SD_EVENT_ONESHOT);
}

int home_images_init(struct home *h, struct err *e)
{
	int r = sd_event_add_time(h->event, &h->images.timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_due, h);

	if (r < 0)
		return err_set(e, r, "make a timer: %s", strerror(-r));
	(void)sd_event_source_set_enabled(h->images.timer, SD_EVENT_OFF);
	return 0;
}

void home_images_deinit(struct home *h)
{
	task_drop(h->images.moving);
	task_drop(h->images.copying);
	sd_event_source_disable_unref(h->images.timer);
}
