/* What becomes of disks, with a kernel and children that do what the test says, and the loop's time passing as it is needed. */
#include "storage/storage_test.h"

static void without_disks_it_has_settled_at_once(void)
{
	struct storage s;
	struct kernel k;

	setup(&s, &k);
	start(&s);
	LOG_IS("SETTLED ");
	storage_deinit(&s);
}

static void a_blank_disk_becomes_ready(void)
{
	struct storage s;
	struct kernel k;

	setup_one(&s, &k);
	END(ANSWER_BLANK);
	END(ANSWER_DONE, .uuid = UUID);
	END(ANSWER_DONE, .is_rotational = true, .key = ANSWER_KEY_DISK);
	T_CHECK(!k.n_settled, "too early");
	END(ANSWER_DONE);
	LOG_IS("probe vda, format vda, unlock vda, mount vda, READY vda, SETTLED ");
	T_CHECK(!strcmp(s.disks->path, STORAGE_ROOT "/" UUID) && s.disks->found.is_rotational && s.disks->key == ANSWER_KEY_DISK, "%s",
		s.disks->path);
	storage_deinit(&s);
}

static void each_is_settled_by_its_own_end(void)
{
	struct storage s;
	struct kernel k;

	setup(&s, &k);
	plug(&k, "vda", "one", 1, STORAGE_VIRTIO);
	plug(&k, "vdb", "two", 2, STORAGE_VIRTIO);
	plug(&k, "sda", "stick", 3, STORAGE_USB);
	start(&s);
	plug(&k, "vdc", "late", 4, STORAGE_VIRTIO); /* not waited for */
	storage_rescan(&s);
	LOG_IS("probe vda, probe vdb, probe vdc");
	END(ANSWER_FOREIGN, .text = "an ext4 file system is on it");
	T_CHECK(s.disks->state == LIFE_FOREIGN && !k.n_settled, "%s", s.disks->sentence);
	END(ANSWER_FAILED, .text = "cannot be read");
	T_CHECK(k.n_settled == 1, "%d", k.n_settled);
	END(ANSWER_FOREIGN, .text = "x");
	T_CHECK(k.n_settled == 1, "once is enough");
	storage_deinit(&s);
}

static void what_failed_is_looked_at_again(void)
{
	struct storage s;
	struct kernel k;

	setup_one(&s, &k);
	END(ANSWER_OURS, .uuid = UUID);
	END(ANSWER_FAILED, .text = "its header is damaged");
	T_CHECK(s.disks->state == LIFE_FAILED && !strcmp(s.disks->sentence, "its header is damaged"), "%s", s.disks->sentence);
	pass(&s);
	LOG_IS("probe vda, unlock vda, SETTLED , probe vda");
	/* PAINS: what was ours is never made anew because it looks blank for once */
	END(ANSWER_BLANK);
	T_CHECK(s.disks->state == LIFE_FOREIGN && strstr(s.disks->sentence, UUID), "%s", s.disks->sentence);
	LOG_IS("");
	storage_deinit(&s);
}

static void a_disk_that_vanishes_comes_back(void)
{
	struct storage s;
	struct kernel k;

	setup_ready(&s, &k);
	k.n = 0;
	storage_rescan(&s);
	LOG_IS("GONE vda, release vda");
	T_CHECK(s.disks->state == LIFE_GONE && s.disks->sentence[0] && !strcmp(s.disks->uuid, UUID), "%s", s.disks->sentence);
	storage_rescan(&s);
	plug(&k, "vdq", "one", 9, STORAGE_VIRTIO); /* in another place, while what is left of it is still being cleared away */
	storage_rescan(&s);
	LOG_IS("");
	END(ANSWER_DONE);
	END(ANSWER_OURS, .uuid = UUID);
	END(ANSWER_DONE, .key = ANSWER_KEY_DISK);
	END(ANSWER_DONE);
	LOG_IS("probe vdq, unlock vdq, mount vdq, READY vdq");
	T_CHECK(!s.disks->next && !strcmp(s.disks->found.name, "vdq"), "it is one disk");
	storage_deinit(&s);
}

static void a_disk_that_is_gone_says_what_helps_until_it_is_back(void)
{
	struct storage s;
	struct kernel k;

	setup_ready(&s, &k);
	k.n = 0;
	storage_rescan(&s);
	END(ANSWER_DONE); /* what was left of it is cleared away */
	T_CHECK(s.disks->state == LIFE_GONE && strstr(s.disks->sentence, "put it back"), "'%s'", s.disks->sentence);
	plug(&k, "vda", "one", 2, STORAGE_VIRTIO);
	storage_rescan(&s);
	END(ANSWER_OURS, .uuid = UUID);
	T_CHECK(!s.disks->sentence[0], "'%s'", s.disks->sentence);
	storage_deinit(&s);
}

/* One that was in use is gone, and a disk that says SERIAL comes behind another controller. */
static void setup_elsewhere(struct storage *s, struct kernel *k, const char *serial)
{
	setup_ready(s, k);
	k->n = 0;
	storage_rescan(s);
	end(s, k, &(struct answer){ .outcome = ANSWER_DONE });
	plug(k, "sda", serial, 9, STORAGE_SATA);
	snprintf(k->disks[0].model, sizeof(k->disks[0].model), "a disk");
	storage_rescan(s);
}

/* Behind another controller its model is called otherwise, behind an adapter its serial number, too. */
static void one_that_comes_back_elsewhere_is_the_same(void)
{
	static const char *const serials[] = { "one", "adapter" };

	for (size_t i = 0; i < ARRAY_LEN(serials); i++) {
		struct storage s;
		struct kernel k;

		setup_elsewhere(&s, &k, serials[i]);
		END(ANSWER_OURS, .uuid = UUID);
		T_CHECK(!s.disks->next == !i, "what is not opened yet may be another");
		END(ANSWER_DONE, .key = ANSWER_KEY_DISK);
		END(ANSWER_DONE);
		LOG_IS("GONE vda, release vda, probe sda, unlock sda, mount sda, READY sda");
		T_CHECK(!s.disks->next && s.disks->state == LIFE_READY && !strcmp(s.disks->found.name, "sda"), "it is one disk");
		storage_deinit(&s);
	}
}

/* PAINS: no empty replacement for something that existed, wherever it comes back. */
static void one_that_comes_back_blank_is_left_alone(void)
{
	struct storage s;
	struct kernel k;

	setup_elsewhere(&s, &k, "one");
	END(ANSWER_BLANK);
	LOG_IS("GONE vda, release vda, probe sda");
	T_CHECK(s.disks->state == LIFE_FOREIGN && strstr(s.disks->sentence, UUID), "%s", s.disks->sentence);
	storage_deinit(&s);
}

static void who_vanishes_before_it_is_known_is_forgotten(void)
{
	struct storage s;
	struct kernel k;

	setup_one(&s, &k);
	k.n = 0;
	storage_rescan(&s);
	LOG_IS("probe vda, stop vda, SETTLED ");
	T_CHECK(!s.disks, "forgotten");
	storage_deinit(&s);
}

/* One name, another disk: between two looks it was pulled out and something else put in. */
static void another_disk_of_that_name_is_another_disk(void)
{
	struct storage s;
	struct kernel k;

	setup_one(&s, &k);
	k.n = 0;
	plug(&k, "vda", "two", 2, STORAGE_VIRTIO);
	storage_rescan(&s);
	LOG_IS("probe vda, stop vda, SETTLED , probe vda");
	T_CHECK(!s.disks->next && !strcmp(s.disks->found.serial, "two"), "%s", s.disks->found.serial);
	storage_deinit(&s);
}

static void drivers_are_waited_for(void)
{
	struct storage s;
	struct kernel k;

	setup(&s, &k);
	k.drivers = STORAGE_NO_DRIVERS;
	plug(&k, "vda", "one", 1, STORAGE_VIRTIO);
	start(&s);
	END(ANSWER_OURS, .uuid = UUID);
	storage_resume(&s);
	LOG_IS("probe vda");
	k.drivers = STORAGE_UNLOCKS;
	storage_resume(&s);
	LOG_IS("unlock vda");
	END(ANSWER_DONE, .key = ANSWER_KEY_DISK);
	storage_resume(&s);
	LOG_IS("");
	k.drivers |= STORAGE_MOUNTS;
	storage_resume(&s);
	LOG_IS("mount vda");
	storage_deinit(&s);

	setup(&s, &k);
	k.drivers = STORAGE_UNLOCKS;
	plug(&k, "vda", "one", 1, STORAGE_VIRTIO);
	start(&s);
	END(ANSWER_BLANK);
	LOG_IS("probe vda");
	k.drivers |= STORAGE_MOUNTS;
	storage_resume(&s);
	LOG_IS("format vda");
	storage_deinit(&s);
}

static void no_more_children_than_there_may_be(void)
{
	struct storage s;
	struct kernel k;

	setup(&s, &k);
	for (unsigned i = 0; i < STORAGE_JOBS_MAX + 2; i++)
		plug(&k, (char[]){ 'v', 'd', (char)('a' + i), '\0' }, "", i + 1, STORAGE_VIRTIO);
	start(&s);
	T_CHECK(k.n_jobs == STORAGE_JOBS_MAX, "%zu", k.n_jobs);
	while (k.n_jobs)
		END(ANSWER_FOREIGN, .text = "x");
	T_CHECK(k.n_settled == 1, "all were looked at: %s", k.log);
	storage_deinit(&s);
}

struct told {
	int n, r;
	char msg[ERR_MSG_MAX];
};

static void on_wiped(void *ctx, int r, const struct err *e)
{
	struct told *t = ctx;

	t->n++;
	t->r = r;
	snprintf(t->msg, sizeof(t->msg), "%s", e->msg);
}

static void the_farm_s_order_alone_wipes(void)
{
	struct storage s;
	struct kernel k;
	struct err e = { 0 };
	struct told told = { 0 };

	setup(&s, &k);
	plug(&k, "vda", "one", 1, STORAGE_VIRTIO);
	plug(&k, "sda", "stick", 2, STORAGE_USB);
	plug(&k, "vdb", "twin", 3, STORAGE_VIRTIO);
	plug(&k, "vdc", "twin", 4, STORAGE_VIRTIO);
	start(&s);
	T_CHECK(storage_wipe(&s, "one", on_wiped, &told, &e) == -EBUSY, "while it is probed");
	END(ANSWER_FOREIGN, .text = "an ext4 file system is on it");
	T_CHECK(storage_wipe(&s, "stick", on_wiped, &told, &e) == -EACCES, "%s", e.msg);
	T_CHECK(storage_wipe(&s, "twin", on_wiped, &told, &e) == -ENOENT && strstr(e.msg, "two disks"), "%s", e.msg);
	T_CHECK(storage_wipe(&s, "", on_wiped, &told, &e) == -ENOENT, "%s", e.msg);
	T_CHECK(storage_wipe(&s, "none", on_wiped, &told, &e) == -ENOENT, "%s", e.msg);
	k.log[0] = '\0';
	T_CHECK(!storage_wipe(&s, "one", on_wiped, &told, &e) && !told.n, "%s", e.msg);
	T_CHECK(storage_wipe(&s, "one", on_wiped, &told, &e) == -EBUSY, "once");
	LOG_IS("erase vda");
	storage_deinit(&s);
}

static void a_wiped_disk_is_a_new_one(void)
{
	struct storage s;
	struct kernel k;
	struct err e = { 0 };
	struct told told = { 0 };

	setup_ready(&s, &k);
	T_CHECK(!storage_wipe(&s, "one", on_wiped, &told, &e), "%s", e.msg);
	END(ANSWER_FAILED, .text = "it is in use");
	T_CHECK(told.n == 1 && told.r == -EIO && !strcmp(told.msg, "it is in use"), "%d %s", told.r, told.msg);
	T_CHECK(s.disks->state == LIFE_FAILED && s.disks->uuid[0], "nothing has happened to it");
	T_CHECK(!storage_wipe(&s, "one", on_wiped, &told, &e), "%s", e.msg);
	END(ANSWER_DONE);
	T_CHECK(told.n == 2 && !told.r && !s.disks->uuid[0], "%d %s", told.r, told.msg);
	LOG_IS("GONE vda, erase vda, erase vda, format vda");
	storage_deinit(&s);
}

/* Whichever child cannot be started: the disk is ready in the end, and nothing is told twice. */
static void a_failed_start_is_tried_again(void)
{
	for (int at = 1;; at++) {
		struct storage s;
		struct kernel k;
		bool failed;

		setup(&s, &k);
		k.fail_at = at;
		plug(&k, "vda", "one", 1, STORAGE_VIRTIO);
		start(&s);
		while (s.disks->state != LIFE_READY) {
			while (!k.n_jobs)
				pass(&s);
			if (s.disks->state == LIFE_PROBING)
				END(ANSWER_OURS, .uuid = UUID);
			else
				END(ANSWER_DONE, .key = ANSWER_KEY_DISK);
		}
		failed = !k.fail_at;
		T_CHECK(k.n_settled == 1, "call %d: %s", at, k.log);
		storage_deinit(&s);
		if (!failed)
			return;
	}
}

/* One that carries another node's state, or of which it is not known whose it is. */
static void what_its_user_says_of_one_is_shown(void)
{
	struct storage s;
	struct kernel k;

	setup_ready(&s, &k);
	s.disks->care.scrub.ended_s = 0;
	storage_remark(&s, "of another disk", "what", true);
	T_CHECK(!s.disks->is_others && !s.disks->sentence[0], "%s", s.disks->sentence);
	storage_remark(&s, UUID, "it is another node's", true);
	T_CHECK(s.disks->is_others && !strcmp(s.disks->sentence, "it is another node's"), "%s", s.disks->sentence);
	due(&s);
	CARED(.io_errors = 1);
	T_CHECK(s.disks->is_degraded && strstr(s.disks->sentence, "1 reads"), "%s", s.disks->sentence);
	due(&s);
	CARED();
	T_CHECK(!s.disks->is_degraded && !strcmp(s.disks->sentence, "it is another node's"), "%s", s.disks->sentence);
	LOG_IS("check vda, check vda"); /* a scrub, which writes, was due */
	k.n = 0;
	storage_rescan(&s);
	T_CHECK(!s.disks->is_others && strstr(s.disks->sentence, "pulled out"), "%s", s.disks->sentence);
	storage_deinit(&s);
}

static void usb_is_for_the_farm_to_allow(void)
{
	struct storage s;
	struct kernel k;

	setup(&s, &k);
	plug(&k, "sda", "stick", 1, STORAGE_USB);
	plug(&k, "sdb", "locked", 2, STORAGE_USB);
	k.disks[1].is_read_only = true;
	start(&s);
	storage_allow_usb(&s, false);
	LOG_IS("SETTLED ");
	T_CHECK(s.disks->state == LIFE_FOREIGN && strstr(s.disks->sentence, "zos farm usb yes"), "%s", s.disks->sentence);
	storage_allow_usb(&s, true);
	storage_allow_usb(&s, true);
	LOG_IS("probe sda");
	END(ANSWER_OURS, .uuid = UUID);
	END(ANSWER_DONE, .key = ANSWER_KEY_DISK);
	END(ANSWER_DONE, .has_care = true);
	storage_allow_usb(&s, false);
	T_CHECK(s.disks->state == LIFE_READY, "what is mounted stays");
	LOG_IS("unlock sda, mount sda, READY sda");
	storage_deinit(&s);
}

/* PAINS: something that is wrong with a disk is told, and nothing is done to it. */
static void what_is_wrong_with_one_that_is_ready_is_told(void)
{
	struct storage s;
	struct kernel k;

	setup_ready(&s, &k);
	T_CHECK(!s.disks->is_degraded, "%s", s.disks->sentence);
	due(&s);
	CARED(.bad_blocks = 2);
	T_CHECK(s.disks->is_degraded && s.disks->state == LIFE_READY && strstr(s.disks->sentence, "2 blocks"), "%s", s.disks->sentence);
	due(&s);
	END(ANSWER_FAILED, .text = "the disk does not answer");
	T_CHECK(s.disks->is_degraded && !strcmp(s.disks->sentence, "the disk does not answer"), "%s", s.disks->sentence);
	k.fail_at = 1;
	due(&s);
	T_CHECK(s.disks->is_degraded && s.disks->state == LIFE_READY && strstr(s.disks->sentence, "no process"), "%s", s.disks->sentence);
	due(&s);
	CARED();
	T_CHECK(!s.disks->is_degraded && !s.disks->sentence[0] && s.disks->state == LIFE_READY, "%s", s.disks->sentence);
	LOG_IS("check vda, check vda, check vda");
	storage_deinit(&s);
}

static void a_scrub_is_done_in_slices(void)
{
	struct storage s;
	struct kernel k;

	setup_ready(&s, &k);
	s.disks->care.scrub.ended_s = 0;
	due(&s);
	CARED(.scrub.at_bytes = 4096);
	due(&s);
	END(ANSWER_FAILED, .text = "scrub it: Input/output error");
	T_CHECK(s.disks->is_degraded && strstr(s.disks->sentence, "scrub it"), "%s", s.disks->sentence);
	due(&s); /* not at once */
	CARED(.scrub.at_bytes = 4096);
	s.disks->scrub_from_s = 0;
	due(&s);
	CARED();
	due(&s);
	LOG_IS("scrub vda, scrub vda, check vda, scrub vda, check vda");
	storage_deinit(&s);
}

static void a_disk_is_asked_daily_what_it_says_of_itself(void)
{
	struct storage s;
	struct kernel k;

	setup_ready(&s, &k);
	s.disks->smart_from_s = 0;
	due(&s);
	END(ANSWER_DONE, .smart = { .is_known = true, .is_failing = true });
	T_CHECK(s.disks->is_degraded && strstr(s.disks->sentence, "SMART"), "%s", s.disks->sentence);
	due(&s);
	CARED(.bad_blocks = 1);
	T_CHECK(strstr(s.disks->sentence, "1 blocks"), "what is seen comes first: %s", s.disks->sentence);
	due(&s);
	CARED();
	T_CHECK(s.disks->is_degraded && strstr(s.disks->sentence, "SMART"), "%s", s.disks->sentence);
	s.disks->smart_from_s = 0;
	due(&s);
	END(ANSWER_DONE); /* another flavour, which cannot ask */
	T_CHECK(!s.disks->is_degraded, "%s", s.disks->sentence);
	LOG_IS("smart vda, check vda, check vda, smart vda");
	storage_deinit(&s);
}

static void few_are_scrubbed_at_a_time(void)
{
	struct storage s;
	struct kernel k;

	setup(&s, &k);
	for (unsigned i = 0; i < STORAGE_SCRUBS_MAX + 1; i++)
		plug(&k, (char[]){ 'v', 'd', (char)('a' + i), '\0' }, "", i + 1, STORAGE_VIRTIO);
	start(&s);
	for (struct storage_disk *d = s.disks; d; d = d->next)
		END(ANSWER_OURS, .uuid = UUID);
	for (struct storage_disk *d = s.disks; d; d = d->next)
		END(ANSWER_DONE, .key = ANSWER_KEY_DISK);
	for (struct storage_disk *d = s.disks; d; d = d->next)
		END(ANSWER_DONE, .has_care = true);
	k.log[0] = '\0';
	for (struct storage_disk *d = s.disks; d; d = d->next) {
		d->smart_from_s = UINT64_MAX;
		T_NEED(sd_event_source_set_time_relative(d->timer, 0) >= 0, "it waits for no time");
	}
	for (struct storage_disk *d = s.disks; d; d = d->next)
		T_NEED(sd_event_run(s.event, 0) > 0, "its time has come");
	T_CHECK(k.n_jobs == STORAGE_SCRUBS_MAX && strlen(k.log) == strlen("scrub vda, scrub vdb"), "%s", k.log);
	CARED();
	T_CHECK(k.n_jobs == STORAGE_SCRUBS_MAX && strlen(k.log) == strlen("scrub vda, scrub vdb, scrub vdc"), "the next one: %s", k.log);
	storage_deinit(&s);
}

static void who_asks_has_it_looked_at(void)
{
	struct storage s;
	struct kernel k;

	setup_ready(&s, &k);
	due(&s);
	CARED();
	storage_look(&s);
	T_CHECK(!sd_event_run(s.event, 0), "it was looked at a moment ago");
	s.disks->looked_s -= STORAGE_LOOK_S;
	storage_look(&s);
	T_CHECK(sd_event_run(s.event, 0) > 0, "it waits for a minute");
	LOG_IS("check vda, check vda");
	storage_deinit(&s);
}

/* The farm's order does not wait for what takes an hour. */
static void a_wipe_ends_a_scrub(void)
{
	struct storage s;
	struct kernel k;
	struct err e = { 0 };
	struct told told = { 0 };

	setup_ready(&s, &k);
	s.disks->care.scrub.ended_s = 0;
	due(&s);
	T_CHECK(!storage_wipe(&s, "one", on_wiped, &told, &e), "%s", e.msg);
	LOG_IS("scrub vda, stop vda, GONE vda, erase vda");
	storage_deinit(&s);
}

#define FARM "AFARM"
#define OTHER "other"

/* A public key, as base64, and its digest. */
static void pub_make(char text[static RECOVERY_PUB_TEXT_LEN + 1], struct escrow *ret)
{
	AUTO_KEY struct key recovery = KEY_NONE;
	AUTO_SEAL_KEY struct seal_key k;
	AUTO_BUF struct buf b = { 0 };

	T_NEED(!key_new(KEY_FARM, &recovery) && !seal_key_derive(&recovery, &k), "a key");
	format_base64(&b, k.pub, sizeof(k.pub));
	memcpy(text, b.p, b.len + 1);
	*ret = (struct escrow){ .is_there = true, .sealed = "sealed" };
	seal_digest(k.pub, ret->key);
}

static bool is_idle(struct storage *s)
{
	return !sd_event_run(s->event, 0);
}

static void disks_in_use_keep_what_the_farm_wants(void)
{
	char pub[RECOVERY_PUB_TEXT_LEN + 1], pub2[RECOVERY_PUB_TEXT_LEN + 1];
	struct escrow x, x2;
	struct storage s;
	struct kernel k;

	pub_make(pub, &x);
	pub_make(pub2, &x2);
	setup_ready(&s, &k);
	storage_set_recovery(&s, FARM, pub);
	T_CHECK(is_idle(&s), "it is not known yet whose it is");
	storage_remark(&s, UUID, "it is another node's", true);
	T_CHECK(is_idle(&s), "another node's");
	storage_remark(&s, UUID, "", false);
	T_CHECK(!is_idle(&s), "the time has come");
	END(ANSWER_FAILED, .text = "no room");
	T_CHECK(!s.disks->is_degraded && is_idle(&s), "later: %s", s.disks->sentence);
	s.disks->escrow_from_s = 0;
	due(&s);
	END(ANSWER_DONE, .escrow = x);
	T_CHECK(!strcmp(s.disks->escrow.key, x.key) && is_idle(&s), "%s", s.disks->escrow.key);
	storage_set_recovery(&s, FARM, pub);
	T_CHECK(is_idle(&s), "nothing has changed");
	LOG_IS("escrow vda, escrow vda");
	storage_set_recovery(&s, FARM, pub2); /* another key: */
	T_CHECK(!is_idle(&s), "the time has come");
	storage_set_recovery(&s, FARM, NULL); /* ... and none, before that was done */
	END(ANSWER_DONE, .escrow = x2);
	T_CHECK(!is_idle(&s), "the time has come");
	END(ANSWER_DONE);
	T_CHECK(!s.disks->escrow.is_there && is_idle(&s), "gone");
	LOG_IS("escrow vda, escrow vda");
	storage_deinit(&s);
}

/* A node that knows no farm any more takes nothing from anybody. */
static void without_a_farm_nothing_is_taken_away(void)
{
	char pub[RECOVERY_PUB_TEXT_LEN + 1];
	struct escrow x;
	struct storage s;
	struct kernel k;

	pub_make(pub, &x);
	setup_ready(&s, &k);
	s.disks->escrow = x;
	storage_set_recovery(&s, "", NULL);
	storage_remark(&s, UUID, "", false);
	T_CHECK(is_idle(&s), "nothing to do");
	storage_set_recovery(&s, FARM, NULL);
	T_CHECK(!is_idle(&s), "the farm wants none");
	LOG_IS("escrow vda");
	storage_deinit(&s);
}

static void the_farm_s_order_recovers_one_that_is_shut(void)
{
	static const uint8_t secret[RECOVERY_SECRET_LEN] = { 7 };
	char pub[RECOVERY_PUB_TEXT_LEN + 1];
	const struct storage_disk *shut;
	struct told told = { 0 };
	struct err e = { 0 };
	struct escrow x;
	struct storage s;
	struct kernel k;

	pub_make(pub, &x);
	setup_one(&s, &k);
	T_CHECK(storage_find_shut(&s, "one", &shut, &e) == -EBUSY && strstr(e.msg, "probing"), "%s", e.msg);
	END(ANSWER_OURS, .uuid = UUID);
	END(ANSWER_FAILED, .text = "the TPM was cleared");
	T_CHECK(storage_find_shut(&s, "one", &shut, &e) == -ENOENT && strstr(e.msg, "keeps no recovery key"), "%s", e.msg);
	pass(&s);
	END(ANSWER_OURS, .uuid = UUID);
	END(ANSWER_FAILED, .text = "the TPM was cleared", .escrow = x);
	T_CHECK(!storage_find_shut(&s, "one", &shut, &e) && !strcmp(shut->escrow.key, x.key), "%s", e.msg);
	T_CHECK(storage_find_shut(&s, "none", &shut, &e) == -ENOENT, "%s", e.msg);
	T_CHECK(storage_recover(&s, "one", "76543210-89ab-cdef-0123-456789abcdef", secret, on_wiped, &told, &e) == -ESTALE, "%s", e.msg);
	k.log[0] = '\0';
	T_CHECK(!storage_recover(&s, "one", UUID, secret, on_wiped, &told, &e) && !told.n, "%s", e.msg);
	T_CHECK(!memcmp(s.disks->secret, secret, sizeof(secret)), "its child is told");
	T_CHECK(storage_recover(&s, "one", UUID, secret, on_wiped, &told, &e) == -EBUSY, "once");
	END(ANSWER_FAILED, .text = "the secret does not open it");
	T_CHECK(told.n == 1 && told.r == -EIO && !strcmp(told.msg, "the secret does not open it"), "%d %s", told.r, told.msg);
	T_CHECK(s.disks->state == LIFE_FAILED && !s.disks->secret[0], "as before");
	T_CHECK(!storage_recover(&s, "one", UUID, secret, on_wiped, &told, &e), "%s", e.msg);
	END(ANSWER_DONE);
	T_CHECK(told.n == 2 && !told.r && !s.disks->secret[0], "%d %s", told.r, told.msg);
	END(ANSWER_OURS, .uuid = UUID);
	END(ANSWER_DONE, .key = ANSWER_KEY_TPM, .escrow = x);
	END(ANSWER_DONE, .has_care = true);
	LOG_IS("renew vda, renew vda, probe vda, unlock vda, mount vda, READY vda");
	T_CHECK(storage_find_shut(&s, "one", &shut, &e) == -EBUSY && strstr(e.msg, "is open"), "%s", e.msg);
	storage_deinit(&s);
}

int main(void)
{
	T_RUN(without_disks_it_has_settled_at_once);
	T_RUN(a_blank_disk_becomes_ready);
	T_RUN(each_is_settled_by_its_own_end);
	T_RUN(what_failed_is_looked_at_again);
	T_RUN(a_disk_that_vanishes_comes_back);
	T_RUN(a_disk_that_is_gone_says_what_helps_until_it_is_back);
	T_RUN(one_that_comes_back_elsewhere_is_the_same);
	T_RUN(one_that_comes_back_blank_is_left_alone);
	T_RUN(who_vanishes_before_it_is_known_is_forgotten);
	T_RUN(another_disk_of_that_name_is_another_disk);
	T_RUN(drivers_are_waited_for);
	T_RUN(no_more_children_than_there_may_be);
	T_RUN(the_farm_s_order_alone_wipes);
	T_RUN(a_wiped_disk_is_a_new_one);
	T_RUN(a_failed_start_is_tried_again);
	T_RUN(what_its_user_says_of_one_is_shown);
	T_RUN(usb_is_for_the_farm_to_allow);
	T_RUN(what_is_wrong_with_one_that_is_ready_is_told);
	T_RUN(a_scrub_is_done_in_slices);
	T_RUN(a_disk_is_asked_daily_what_it_says_of_itself);
	T_RUN(few_are_scrubbed_at_a_time);
	T_RUN(who_asks_has_it_looked_at);
	T_RUN(a_wipe_ends_a_scrub);
	T_RUN(disks_in_use_keep_what_the_farm_wants);
	T_RUN(without_a_farm_nothing_is_taken_away);
	T_RUN(the_farm_s_order_recovers_one_that_is_shut);
	return T_END();
}
