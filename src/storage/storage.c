/* The table in life.c says what follows what; this carries it out. A disk does one thing at a time: an act that a child is to carry out
 * waits for drivers and for a place among the children, and is started by jobs_start(), which everything that makes room calls last. */
#include "storage/storage.h"

#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"

#include <stdio.h>
#include <time.h>

static void tell_changed(struct storage *s)
{
	if (s->events.changed)
		s->events.changed(s->events.ctx);
}

static void disk_say(struct storage_disk *d, const char *sentence)
{
	snprintf(d->sentence, sizeof(d->sentence), "%s", sentence);
}

static void uuid_set(struct storage_disk *d, const char *uuid)
{
	snprintf(d->uuid, sizeof(d->uuid), "%s", uuid);
	d->path[0] = '\0';
	if (uuid[0])
		snprintf(d->path, sizeof(d->path), STORAGE_ROOT "/%s", uuid);
}

static void disk_free(struct storage_disk *d)
{
	sd_event_source_disable_unref(d->timer);
	free(d);
}

static void disk_forget(struct storage *s, struct storage_disk *d)
{
	struct storage_disk **at = &s->disks;

	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	disk_free(d);
}

static void order_end(struct storage_disk *d, int r, const char *sentence)
{
	struct err e = { 0 };

	if (!d->ordered)
		return;
	if (r)
		err_set(&e, r, "%s", sentence);
	d->ordered(d->ordered_ctx, r, &e);
	d->ordered = NULL;
}

/* Disks are unlocked while what mounts them, which takes longest, still loads. */
static enum storage_drivers drivers_for(enum life_act act)
{
	static const enum storage_drivers needs[LIFE_CHILDREN + 1] = {
		[LIFE_FORMAT] = STORAGE_UNLOCKS | STORAGE_MOUNTS,
		[LIFE_UNLOCK] = STORAGE_UNLOCKS,
		[LIFE_RENEW] = STORAGE_UNLOCKS,
		[LIFE_MOUNT] = STORAGE_MOUNTS,
	};

	return needs[act];
}

static bool has_drivers(const struct storage *s, enum life_act act)
{
	enum storage_drivers needs = drivers_for(act);

	return !needs || s->ops.has_drivers(s->ops.ctx, needs);
}

/* A place for ACT among the children. */
static struct storage_job *job_free(struct storage *s, enum life_act act)
{
	struct storage_job *free = NULL;
	size_t scrubs = 0;

	for (size_t i = 0; i < STORAGE_JOBS_MAX; i++) {
		free = s->jobs[i].disk ? free : &s->jobs[i];
		scrubs += s->jobs[i].disk && s->jobs[i].act == LIFE_SCRUB;
	}
	return act == LIFE_SCRUB && scrubs >= STORAGE_SCRUBS_MAX ? NULL : free;
}

static void disk_failed(struct storage_disk *d, enum life_act act, const char *sentence);

static void jobs_start(struct storage *s)
{
	struct storage_disk *d = s->disks;

	while (d) {
		struct storage_disk *next = d->next;
		struct storage_job *job = d->todo == LIFE_IGNORE || d->job ? NULL : job_free(s, d->todo);
		struct err e = { 0 };

		if (job && has_drivers(s, d->todo)) {
			*job = (struct storage_job){ .disk = d, .act = take(d->todo, LIFE_IGNORE) };
			d->job = job;
			sd_event_source_set_enabled(d->timer, SD_EVENT_OFF);
			if (s->ops.start(s->ops.ctx, job, &e)) {
				d->job = NULL;
				job->disk = NULL;
				disk_failed(d, job->act, e.msg);
			}
		}
		d = next;
	}
}

static void job_stop(struct storage_disk *d)
{
	d->todo = LIFE_IGNORE;
	explicit_bzero(d->secret, sizeof(d->secret));
	if (!d->job)
		return;
	d->storage->ops.stop(d->storage->ops.ctx, d->job);
	d->job->disk = NULL;
	d->job = NULL;
}

/* Doubled with each failure in a row, and somewhere in the upper half of that: many that failed together do not come back together. */
static uint64_t again_ms(unsigned failures)
{
	uint64_t ms = STORAGE_AGAIN_MS;

	while (--failures && ms < STORAGE_AGAIN_MAX_MS)
		ms *= 2;
	ms = ms < STORAGE_AGAIN_MAX_MS ? ms : STORAGE_AGAIN_MAX_MS;
	return ms / 2 + random_u64() % (ms / 2 + 1);
}

static void timer_arm(struct storage_disk *d, uint64_t ms)
{
	BUG_ON(sd_event_source_set_time_relative(d->timer, ms * 1000) < 0 || sd_event_source_set_enabled(d->timer, SD_EVENT_ONESHOT) < 0);
}

static uint64_t now_s(void)
{
	return (uint64_t)time(NULL);
}

/* Every disk has its own time in a month: of its name, which is random. */
static uint64_t seed_of(const struct storage_disk *d)
{
	uint32_t seed = 0;

	BUG_ON(parse_hex((struct str){ d->uuid, 2 * sizeof(seed) }, (uint8_t *)&seed, sizeof(seed))); /* it was checked when it was read */
	return seed;
}

/* What it keeps for the farm's owner is to be another thing than it is. */
static bool escrow_is_due(const struct storage_disk *d)
{
	const struct storage *s = d->storage;

	return d->state == LIFE_READY && d->is_used && s->recovery.farm[0] && !escrow_is(&d->escrow, s->recovery.key) && now_s() >= d->escrow_from_s;
}

/* The time to look how it is doing, to read a slice of it, or to write what it keeps for others. */
static void disk_care(struct storage_disk *d)
{
	bool is_due = !d->is_others && now_s() >= d->scrub_from_s && care_scrub_is_due(&d->care, seed_of(d), now_s());

	d->todo = escrow_is_due(d) ? LIFE_ESCROW : is_due ? LIFE_SCRUB : LIFE_CHECK;
	if (d->todo == LIFE_ESCROW || now_s() < d->smart_from_s)
		return;
	d->smart_from_s = now_s() + STORAGE_SMART_S;
	d->todo = LIFE_SMART;
}

static bool is_care(enum life_act act)
{
	return act == LIFE_CHECK || act == LIFE_SMART || act == LIFE_SCRUB || act == LIFE_ESCROW;
}

static void care_arm(struct storage_disk *d)
{
	bool has_slice = d->care.scrub.at_bytes && now_s() >= d->scrub_from_s;

	timer_arm(d, escrow_is_due(d) ? 0 : has_slice ? STORAGE_SLICE_MS : STORAGE_CHECK_MS);
}

/* Of what a look has found, or that it found nothing out. */
static void disk_judge(struct storage_disk *d, const char *failure)
{
	char sentence[ANSWER_TEXT_MAX];
	bool was = d->is_degraded, is_other;

	snprintf(sentence, sizeof(sentence), "%s", d->remark);
	d->is_degraded = failure || care_judge(&d->care, sentence, sizeof(sentence)) || smart_judge(&d->smart, sentence, sizeof(sentence));
	if (failure)
		snprintf(sentence, sizeof(sentence), "%s", failure);
	is_other = was != d->is_degraded || strcmp(d->sentence, sentence);
	disk_say(d, sentence);
	if (d->is_degraded && is_other)
		log_warn("disk %s: degraded: %s", d->found.name, d->sentence);
	else if (was && is_other)
		log_info("disk %s: is well again", d->found.name);
	if (is_other)
		tell_changed(d->storage);
	d->looked_s = now_s();
	care_arm(d);
}

/* That it failed makes the disk none the worse. */
static void disk_escrowed(struct storage_disk *d, const struct answer *a)
{
	if (a->outcome == ANSWER_DONE) {
		d->escrow = a->escrow;
		log_info("disk %s: the farm's owner can %s it", d->found.name, d->escrow.key[0] ? "recover" : "no longer recover");
	} else {
		d->escrow_from_s = now_s() + STORAGE_ESCROW_AGAIN_S;
		log_warn("disk %s: its recovery key: %s", d->found.name, a->text);
	}
	care_arm(d);
	tell_changed(d->storage);
}

/* How a look at one that is ready has ended. It stays ready: what is on it goes on as long as it can. */
static void disk_cared(struct storage_disk *d, enum life_act act, const struct answer *a)
{
	bool went_well = a->outcome == ANSWER_DONE && (a->has_care || act == LIFE_SMART);

	if (act == LIFE_ESCROW) {
		disk_escrowed(d, a);
		return;
	}
	if (act == LIFE_SMART) {
		d->smart = a->smart;
		disk_judge(d, went_well ? NULL : a->text);
		return;
	}
	if (went_well && act == LIFE_SCRUB && a->care.scrub.ended_s != d->care.scrub.ended_s)
		log_info("disk %s: all of it was read: %llu errors, %llu of them stay", d->found.name, (unsigned long long)a->care.scrub.last_errors,
			 (unsigned long long)a->care.scrub.last_broken);
	if (went_well)
		d->care = a->care;
	if (!went_well && act == LIFE_SCRUB)
		d->scrub_from_s = now_s() + STORAGE_SCRUB_AGAIN_S;
	disk_judge(d, went_well ? NULL : a->text);
}

static void disk_step(struct storage_disk *d, enum life_event ev);

static void disk_failed(struct storage_disk *d, enum life_act act, const char *sentence)
{
	struct answer a = { .outcome = ANSWER_FAILED };

	if (!is_care(act)) {
		disk_say(d, sentence);
		disk_step(d, LIFE_FAIL);
		return;
	}
	snprintf(a.text, sizeof(a.text), "%s", sentence);
	disk_cared(d, act, &a);
}

/* The time to try again has come, or to look how it is doing, or that to wait for drivers is over. */
static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct storage_disk *d = userdata;
	struct storage *s = d->storage;

	(void)source;
	(void)usec;
	if (d->state == LIFE_FAILED) {
		disk_step(d, LIFE_AGAIN);
	} else if (d->state == LIFE_READY) {
		disk_care(d);
	} else if (d->todo != LIFE_IGNORE && !has_drivers(s, d->todo)) {
		d->todo = LIFE_IGNORE;
		disk_say(d, "the drivers that unlock and mount it were not loaded: 'zos node logs drivers' says why");
		disk_step(d, LIFE_FAIL);
	}
	jobs_start(s);
	return 0;
}

static void disk_delay(struct storage_disk *d)
{
	uint64_t ms = again_ms(++d->failures);

	log_warn("disk %s: %s; again in %llu ms", d->found.name, d->sentence, (unsigned long long)ms);
	timer_arm(d, ms);
}

static bool is_settled(const struct storage_disk *d)
{
	return d->state == LIFE_READY || d->state == LIFE_FOREIGN || d->state == LIFE_FAILED || d->state == LIFE_GONE;
}

static void settle(struct storage *s)
{
	if (s->is_settled || !s->is_started)
		return;
	for (struct storage_disk *d = s->disks; d; d = d->next) {
		d->is_first &= !is_settled(d);
		if (d->is_first)
			return;
	}
	s->is_settled = true;
	if (s->events.settled)
		s->events.settled(s->events.ctx);
}

static void disk_act(struct storage_disk *d, enum life_act act)
{
	struct storage *s = d->storage;

	switch (act) {
	case LIFE_PROBE:
	case LIFE_FORMAT:
	case LIFE_UNLOCK:
	case LIFE_MOUNT:
	case LIFE_ERASE:
	case LIFE_RENEW:
	case LIFE_RELEASE:
		d->todo = act;
		if (drivers_for(act))
			timer_arm(d, STORAGE_DRIVERS_MS);
		return;
	case LIFE_DELAY:
		disk_delay(d);
		return;
	case LIFE_TELL:
		d->failures = 0;
		log_info("disk %s: ready as %s, %s", d->found.name, d->path, answer_key_names[d->key]);
		disk_judge(d, NULL);
		if (s->events.ready)
			s->events.ready(s->events.ctx, d);
		return;
	case LIFE_FORGET:
		disk_forget(s, d);
		return;
	case LIFE_IGNORE:
	case LIFE_REFUSE:
		return;
	case LIFE_CHECK:
	case LIFE_ESCROW:
	case LIFE_SMART:
	case LIFE_SCRUB:
	case LIFE_UNWRITTEN:
		break;
	}
	bug(__FILE__, __LINE__, "a cell of the table is not written");
}

/* D may be freed when this returns. */
static void disk_step(struct storage_disk *d, enum life_event ev)
{
	struct storage *s = d->storage;
	struct life_step step = life_step(d->state, ev);
	bool was_ready = d->state == LIFE_READY && step.next != LIFE_READY, has_changed = d->state != step.next || step.act == LIFE_FORGET;

	if (has_changed)
		sd_event_source_set_enabled(d->timer, SD_EVENT_OFF);
	d->state = step.next;
	if (was_ready) {
		d->is_degraded = d->is_others = d->is_used = false;
		d->remark[0] = '\0';
	}
	if (was_ready && s->events.gone)
		s->events.gone(s->events.ctx, d);
	disk_act(d, step.act);
	settle(s);
	if (has_changed)
		tell_changed(s);
}

static enum life_event event_of(struct storage_disk *d, const struct answer *a)
{
	static const enum life_event events[ANSWER_OUTCOMES] = {
		[ANSWER_BLANK] = LIFE_BLANK,           [ANSWER_FOREIGN] = LIFE_ALIEN, [ANSWER_OURS] = LIFE_OURS,
		[ANSWER_UNFINISHED] = LIFE_UNFINISHED, [ANSWER_DONE] = LIFE_DONE,     [ANSWER_FAILED] = LIFE_FAIL,
	};

	disk_say(d, a->text);
	if (a->outcome != ANSWER_OURS && a->outcome != ANSWER_DONE && a->outcome != ANSWER_FAILED && d->uuid[0]) {
		snprintf(d->sentence, sizeof(d->sentence),
			 "it was ours as %s, and its mark is not there any more: it is left alone; 'zos node disks wipe' makes it a new one",
			 d->uuid);
		return LIFE_ALIEN;
	}
	return events[a->outcome];
}

/* D has been opened: one of that name that is gone was the same disk, in a place that gives it another serial number, as adapters do. */
static void twin_forget(struct storage *s, const struct storage_disk *d)
{
	for (struct storage_disk *one = s->disks; one; one = one->next) {
		if (one->state != LIFE_GONE || strcmp(one->uuid, d->uuid))
			continue;
		job_stop(one);
		disk_forget(s, one);
		return;
	}
}

/* What a child found out about its disk. */
static void disk_learn(struct storage_disk *d, enum life_act act, const struct answer *a)
{
	if (a->outcome == ANSWER_OURS)
		uuid_set(d, a->uuid);
	if (act == LIFE_UNLOCK)
		d->escrow = a->escrow;
	if (a->outcome != ANSWER_DONE)
		return;
	if (act == LIFE_ERASE) {
		uuid_set(d, "");
		d->escrow = (struct escrow){ 0 };
		d->key = ANSWER_KEY_NONE;
	}
	if (act == LIFE_FORMAT)
		uuid_set(d, a->uuid);
	if (act == LIFE_UNLOCK) {
		d->key = a->key;
		d->found.is_rotational = a->is_rotational;
		twin_forget(d->storage, d);
	}
	if (act == LIFE_MOUNT)
		d->care = a->care;
}

void storage_done(struct storage *s, struct storage_job *job, const struct answer *a)
{
	struct storage_disk *d = take_ptr(job->disk);
	enum life_event ev;
	bool was_ordered = job->act == LIFE_ERASE || job->act == LIFE_RENEW;

	d->job = NULL;
	explicit_bzero(d->secret, sizeof(d->secret));
	if (is_care(job->act)) {
		disk_cared(d, job->act, a);
		jobs_start(s);
		return;
	}
	if (job->act == LIFE_RELEASE) { /* it is gone, and has said so */
		if (a->outcome == ANSWER_FAILED)
			log_warn("disk %s, which is gone: %s", d->uuid, a->text);
		jobs_start(s);
		return;
	}
	ev = event_of(d, a);
	disk_learn(d, job->act, a);
	if (was_ordered)
		order_end(d, ev == LIFE_DONE ? 0 : -EIO, d->sentence);
	disk_step(d, ev);
	jobs_start(s);
}

static bool may_be_taken(const struct storage *s, const struct storage_found *f)
{
	return !f->is_read_only && (f->transport != STORAGE_USB || s->allows_usb);
}

/* The first look at one that is there, or there again. */
static void disk_look(struct storage_disk *d, enum life_event ev)
{
	bool may = may_be_taken(d->storage, &d->found);

	if (!may)
		disk_say(d,
			 d->found.is_read_only
				 ? "it is read-only: it is left alone"
				 : "it is on USB, and the farm takes no such disks: it is left alone; 'zos farm usb yes' lets its nodes take them");
	disk_step(d, may ? ev : LIFE_BAR);
}

static void disk_add(struct storage *s, const struct storage_found *f)
{
	struct storage_disk *d = calloc(1, sizeof(*d)), **at = &s->disks;

	BUG_ON(!d);
	*d = (struct storage_disk){ .found = *f, .storage = s, .todo = LIFE_IGNORE, .is_first = !s->is_started };
	BUG_ON(sd_event_add_time(s->event, &d->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_timer, d) < 0);
	BUG_ON(sd_event_source_set_enabled(d->timer, SD_EVENT_OFF) < 0);
	while (*at)
		at = &(*at)->next;
	*at = d;
	log_info("disk %s: %s, serial '%s'", f->name, storage_transport_names[f->transport], f->serial);
	disk_look(d, LIFE_LOOK);
}

static struct storage_disk *disk_find(struct storage *s, uint64_t diskseq)
{
	for (struct storage_disk *d = s->disks; d; d = d->next)
		if (d->found.diskseq == diskseq)
			return d;
	return NULL;
}

static struct storage_disk *disk_find_gone(struct storage *s, const struct storage_found *f)
{
	for (struct storage_disk *d = s->disks; d; d = d->next)
		if (d->state == LIFE_GONE && f->serial[0] &&
		    !strcmp(d->found.serial, f->serial)) /* its model has another name behind another controller */
			return d;
	return NULL;
}

/* What the kernel has no more: before what is new, which may be the same one in another place. */
static void disks_vanish(struct storage *s, const struct storage_found *all, size_t n)
{
	struct storage_disk *next;

	for (struct storage_disk *d = s->disks; d; d = next) {
		bool is_there = false;

		next = d->next;
		for (size_t i = 0; i < n && !is_there; i++)
			is_there = all[i].diskseq == d->found.diskseq;
		if (is_there || d->state == LIFE_GONE)
			continue;
		job_stop(d);
		log_warn("disk %s: gone, serial '%s'%s%s", d->found.name, d->found.serial, d->uuid[0] ? ", it was " : "", d->uuid);
		order_end(d, -EIO, "the disk was pulled out");
		disk_say(d, "it was pulled out or has died; put it back, in whatever place");
		disk_step(d, d->uuid[0] ? LIFE_LOSE : LIFE_VANISH);
	}
}

static void disks_appear(struct storage *s, const struct storage_found *all, size_t n)
{
	size_t have = 0;

	for (struct storage_disk *d = s->disks; d; d = d->next)
		have++;
	for (size_t i = 0; i < n; i++) {
		struct storage_disk *d = disk_find(s, all[i].diskseq);

		if (d)
			continue;
		d = disk_find_gone(s, &all[i]);
		if (d) {
			d->found = all[i];
			disk_look(d, LIFE_RETURN);
		} else if (have++ < STORAGE_DISKS_MAX) {
			disk_add(s, &all[i]);
		} else {
			log_limited("disk %s is not looked at: this node takes %d", all[i].name, STORAGE_DISKS_MAX);
		}
	}
}

static int look(struct storage *s, struct err *e)
{
	AUTO_FREE struct storage_found *all = calloc(STORAGE_DISKS_MAX, sizeof(*all));
	int n;

	BUG_ON(!all);
	n = s->ops.list(s->ops.ctx, all, STORAGE_DISKS_MAX, e);
	if (n < 0)
		return n;
	disks_vanish(s, all, (size_t)n);
	disks_appear(s, all, (size_t)n);
	jobs_start(s);
	return 0;
}

void storage_init(struct storage *ret, sd_event *event, const struct storage_ops *ops, const struct storage_events *events)
{
	*ret = (struct storage){ .event = sd_event_ref(event), .ops = *ops };
	if (events)
		ret->events = *events;
}

void storage_deinit(struct storage *s)
{
	s->events = (struct storage_events){ 0 };
	for (struct storage_disk *d = s->disks; d; d = d->next)
		job_stop(d);
	while (s->disks)
		disk_forget(s, s->disks);
	sd_event_unref(s->event);
	*s = (struct storage)STORAGE_NONE;
}

void storage_set_farm(struct storage *s, const char *farm)
{
	snprintf(s->farm, sizeof(s->farm), "%s", farm);
}

static bool is_barred(const struct storage_disk *d)
{
	return d->state == LIFE_FOREIGN && d->found.transport == STORAGE_USB && !d->found.is_read_only;
}

void storage_set_recovery(struct storage *s, const char *farm, const char *pub)
{
	uint8_t bytes[SEAL_PUB_LEN];

	snprintf(s->recovery.farm, sizeof(s->recovery.farm), "%s", farm);
	snprintf(s->recovery.pub, sizeof(s->recovery.pub), "%s", pub ? pub : "");
	s->recovery.key[0] = '\0';
	if (s->recovery.pub[0]) {
		BUG_ON(recovery_pub_parse(str_c(s->recovery.pub), bytes));
		seal_digest(bytes, s->recovery.key);
	}
	for (struct storage_disk *d = s->disks; d; d = d->next)
		if (!d->job && escrow_is_due(d))
			timer_arm(d, 0);
}

void storage_allow_usb(struct storage *s, bool allows)
{
	struct storage_disk *next;

	if (s->allows_usb == allows)
		return;
	s->allows_usb = allows;
	for (struct storage_disk *d = s->disks; d && allows; d = next) {
		next = d->next;
		if (is_barred(d))
			disk_look(d, LIFE_LOOK);
	}
	jobs_start(s);
}

int storage_start(struct storage *s, struct err *e)
{
	int r = look(s, e);

	s->is_started = true;
	settle(s);
	return r;
}

void storage_rescan(struct storage *s)
{
	struct err e = { 0 };

	if (look(s, &e))
		log_err("%s", e.msg);
}

void storage_remark(struct storage *s, const char *uuid, const char *remark, bool is_others)
{
	for (struct storage_disk *d = s->disks; d; d = d->next) {
		if (d->state != LIFE_READY || strcmp(d->uuid, uuid))
			continue;
		d->is_used = !remark[0];
		if (!d->job && escrow_is_due(d))
			timer_arm(d, 0);
		if (d->is_others == is_others && !strcmp(d->remark, remark))
			continue;
		d->is_others = is_others;
		snprintf(d->remark, sizeof(d->remark), "%s", remark);
		if (!d->is_degraded)
			disk_say(d, remark);
		tell_changed(s);
	}
}

void storage_resume(struct storage *s)
{
	jobs_start(s);
}

static struct storage_disk *disk_find_serial(struct storage *s, const char *serial, struct err *e)
{
	struct storage_disk *found = NULL;

	for (struct storage_disk *d = s->disks; d; d = d->next) {
		if (strcmp(d->found.serial, serial) || !serial[0] || d->state == LIFE_GONE)
			continue;
		if (found) {
			err_set(e, -ENOENT, "there are two disks with the serial number '%s', %s and %s: pull one out", serial, found->found.name,
				d->found.name);
			return NULL;
		}
		found = d;
	}
	if (!found)
		err_set(e, -ENOENT, "there is no disk with the serial number '%s' here: 'zos node disks' lists them", serial);
	return found;
}

void storage_look(struct storage *s)
{
	for (struct storage_disk *d = s->disks; d; d = d->next)
		if (d->state == LIFE_READY && !d->job && now_s() >= d->looked_s + STORAGE_LOOK_S)
			timer_arm(d, 0);
}

int storage_wipe(struct storage *s, const char *serial, void (*wiped)(void *ctx, int r, const struct err *e), void *ctx, struct err *e)
{
	struct storage_disk *d = disk_find_serial(s, serial, e);

	if (!d)
		return -ENOENT;
	if (!may_be_taken(s, &d->found))
		return err_set(e, -EACCES, "disk %s is not for this node to wipe: %s", d->found.name, d->sentence);
	if (d->job && is_care(d->job->act))
		job_stop(d);
	if (life_step(d->state, LIFE_WIPE).act == LIFE_REFUSE || d->job)
		return err_set(e, -EBUSY, "disk %s is %s: ask again in a moment", d->found.name, life_state_names[d->state]);
	log_warn("disk %s: wiped by an order of the farm, serial '%s'", d->found.name, serial);
	d->ordered = wiped;
	d->ordered_ctx = ctx;
	disk_step(d, LIFE_WIPE);
	jobs_start(s);
	return 0;
}

static int shut_find(struct storage *s, const char *serial, struct storage_disk **ret, struct err *e)
{
	struct storage_disk *d = disk_find_serial(s, serial, e);

	if (!d)
		return -ENOENT;
	if (d->state == LIFE_FOREIGN)
		return err_set(e, -EACCES, "disk %s is not this node's: %s", d->found.name, d->sentence);
	if (d->state == LIFE_READY)
		return err_set(e, -EBUSY, "disk %s is open: there is nothing to recover", d->found.name);
	if (d->state != LIFE_FAILED)
		return err_set(e, -EBUSY, "disk %s is %s: ask again in a moment", d->found.name, life_state_names[d->state]);
	if (!d->escrow.key[0])
		return err_set(e, -ENOENT, "disk %s keeps no recovery key: 'zos farm recovery' was off when the node last had it open",
			       d->found.name);
	*ret = d;
	return 0;
}

int storage_find_shut(struct storage *s, const char *serial, const struct storage_disk **ret, struct err *e)
{
	struct storage_disk *d = NULL;
	int r = shut_find(s, serial, &d, e);

	if (!r)
		*ret = d;
	return r;
}

int storage_recover(struct storage *s, const char *serial, const char *uuid, const uint8_t secret[static RECOVERY_SECRET_LEN],
		    void (*recovered)(void *ctx, int r, const struct err *e), void *ctx, struct err *e)
{
	struct storage_disk *d = NULL;
	int r = shut_find(s, serial, &d, e);

	if (r)
		return r;
	if (strcmp(d->uuid, uuid))
		return err_set(e, -ESTALE, "disk %s is another one than a moment ago: ask for its recovery token again", d->found.name);
	log_warn("disk %s: recovered by an order of the farm, serial '%s'", d->found.name, d->found.serial);
	memcpy(d->secret, secret, sizeof(d->secret));
	d->ordered = recovered;
	d->ordered_ctx = ctx;
	disk_step(d, LIFE_RECOVER);
	jobs_start(s);
	return 0;
}

bool storage_order_forget(struct storage *s, void *ctx)
{
	for (struct storage_disk *d = s->disks; d; d = d->next)
		if (d->ordered && d->ordered_ctx == ctx) {
			d->ordered = NULL;
			return true;
		}
	return false;
}
