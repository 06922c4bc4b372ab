#include "zdb/compact.h"

#include "base/file.h"
#include "test/seeds.h"
#include "zdb/checkpoint.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { KEYS = 60, FILE_BYTES = 8192, VALUE_MAX = 3000 };

static char folder[] = "/tmp/space-XXXXXX";

static int folder_new(const char *what, unsigned n)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s%u", folder, what, n);
	T_NEED(!mkdir(path, 0700) || errno == EEXIST, "%s: %m", path);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void open_at(struct space *s, unsigned n, enum space_mode mode)
{
	struct err e = { 0 };

	T_NEED(!space_open(s, mode, folder_new("data", n), folder_new("index", n), FILE_BYTES, &e), "%s", e.msg);
}

static int set(struct space *s, const char *id, struct str value)
{
	char room[SPACE_SEQ_ID_BYTES];
	struct str ret;
	struct err e = { 0 };
	int r = space_set(s, str_c(id), value, 1000, room, &ret, &e);

	T_CHECK(r >= 0, "%s", e.msg);
	return r;
}

/* Whether ID's value is just that; an empty one when it shall have none. */
static bool holds(struct space *s, const char *id, struct str value, bool has)
{
	static uint8_t bytes[VALUE_MAX];
	struct reading r;
	struct place at;
	int k = space_get(s, str_c(id), &at, &r, NULL);

	if (!has || k)
		return k == SPACE_ABSENT && !has;
	return r.record.length == value.n && !datalog_payload(&r, bytes, NULL) && !memcmp(bytes, value.p, value.n);
}

/* --- against a map --- */

static struct {
	char value[KEYS][VALUE_MAX];
	size_t n[KEYS];
	bool has[KEYS];
} map;

static void name_of(unsigned i, char ret[static 16])
{
	snprintf(ret, 16, "key-%u", i);
}

static void change(struct space *s)
{
	unsigned i = (unsigned)random() % KEYS;
	char id[16], value[VALUE_MAX];
	bool is_same;
	size_t n;
	int r;

	name_of(i, id);
	if (random() % 4 == 0) {
		r = space_delete(s, str_c(id), 2000, NULL);
		T_CHECK(r == (map.has[i] ? 0 : SPACE_ABSENT), "%s: deleted with %d", id, r);
		map.has[i] = false;
		return;
	}
	n = (size_t)random() % (random() % 8 ? 40 : VALUE_MAX);
	for (size_t k = 0; k < n; k++)
		value[k] = (char)random();
	is_same = map.has[i] && n == map.n[i] && !memcmp(value, map.value[i], n);
	map.n[i] = n;
	memcpy(map.value[i], value, n);
	r = set(s, id, (struct str){ value, n });
	T_CHECK(r == (is_same ? SPACE_SAME : 0), "%s: set with %d", id, r);
	map.has[i] = true;
}

static void check_map(struct space *s, unsigned seed, const char *when)
{
	uint64_t bytes = 0, n = 0, seen = 0;
	struct place at = { 0 };
	struct reading r;
	char id[16];
	int end;

	for (unsigned i = 0; i < KEYS; i++) {
		name_of(i, id);
		T_CHECK(holds(s, id, (struct str){ map.value[i], map.n[i] }, map.has[i]), "seed %u, %s: %s is not what it was set to", seed, when,
			id);
		bytes += map.has[i] ? map.n[i] : 0;
		n += map.has[i];
	}
	T_CHECK(s->data_bytes == bytes && s->keys.n == n, "seed %u, %s: %llu bytes for %llu", seed, when, (unsigned long long)s->data_bytes,
		(unsigned long long)bytes);
	while (!(end = space_next(s, at, &r, &at, NULL)))
		seen++;
	T_CHECK(seen == n && end == DATALOG_END, "seed %u, %s: a walk sees %llu of %llu", seed, when, (unsigned long long)seen,
		(unsigned long long)n);
	for (at = (struct place){ UINT32_MAX, 0 }; !(end = space_previous(s, at, &r, &at, NULL));)
		seen--;
	T_CHECK(!seen && end == DATALOG_END, "seed %u, %s: a walk back sees %lld less", seed, when, (long long)seen);
}

/* Some steps, perhaps not to the end, with changes between them. */
static void compact_some(struct space *s, unsigned seed)
{
	struct err e = { 0 };
	struct compact *c;
	uint32_t file;
	int r = COMPACT_MORE;

	if (!compact_find(s, &file))
		return;
	T_NEED(!compact_begin(s, file, &c, &e), "seed %u: %s", seed, e.msg);
	while (r == COMPACT_MORE && random() % 8) {
		r = compact_step(c, &e);
		T_CHECK(r >= 0, "seed %u: %s", seed, e.msg);
		change(s);
	}
	compact_free(c);
}

static void compact_all(struct space *s)
{
	struct compact *c;
	uint32_t file;

	while (compact_find(s, &file)) {
		T_NEED(!compact_begin(s, file, &c, NULL), "begin");
		while (compact_step(c, NULL) == COMPACT_MORE)
			;
		compact_free(c);
	}
}

static void run(unsigned seed)
{
	struct err e = { 0 };
	struct space s;

	srandom(seed);
	memset(&map, 0, sizeof(map));
	for (unsigned round = 0; round < 4; round++) {
		open_at(&s, seed, SPACE_USER);
		if (round)
			check_map(&s, seed, "after a start");
		for (unsigned i = 0; i < 150; i++) {
			change(&s);
			if (i % 8 == 0)
				compact_some(&s, seed);
			if (random() % 4 == 0)
				T_CHECK(space_save_step(&s, &e) >= 0, "%s", e.msg);
		}
		check_map(&s, seed, "with changes");
		if (random() % 2)
			T_CHECK(!space_save(&s, &e), "%s", e.msg);
		for (unsigned i = (unsigned)random() % 40; i; i--)
			change(&s);
		T_CHECK(!space_sync(&s, &e), "%s", e.msg);
		space_close(&s);
	}
}

static void test_does_what_a_map_does(void)
{
	seeds_run(run, 30);
}

/* --- what is set, and how --- */

static void test_same_values_limits_and_counted_keys(void)
{
	char room[SPACE_SEQ_ID_BYTES];
	struct space s;
	struct str id;

	open_at(&s, 10000, SPACE_USER);
	T_CHECK(!set(&s, "a", S("1")) && set(&s, "a", S("1")) == SPACE_SAME && !set(&s, "a", S("2")), "the same again");
	s.max_bytes = 10;
	T_CHECK(!set(&s, "b", S("123456789")) && set(&s, "c", S("1")) == SPACE_FULL, "more than it may hold");
	T_CHECK(!set(&s, "b", S("1234567")) && !set(&s, "a", S("")) && s.data_bytes == 7, "less in the place of more: %llu",
		(unsigned long long)s.data_bytes);
	space_close(&s);
	open_at(&s, 10001, SPACE_SEQ);
	for (uint64_t i = 0; i < 5; i++)
		T_CHECK(!space_set(&s, S(""), S("v"), 1, room, &id, NULL) && id.n == 8 && !memcmp(id.p, &i, 8), "number %llu", (unsigned long long)i);
	T_CHECK(space_set(&s, S("\7\0\0\0\0\0\0\0"), S("v"), 1, room, &id, NULL) == SPACE_ABSENT, "a number that nobody was given");
	T_CHECK(!space_set(&s, S("\3\0\0\0\0\0\0\0"), S("w"), 1, room, &id, NULL), "an update");
	T_CHECK(!space_delete(&s, S("\4\0\0\0\0\0\0\0"), 1, NULL) && !space_sync(&s, NULL), "the last one goes");
	space_close(&s);
	open_at(&s, 10001, SPACE_SEQ);
	T_CHECK(!space_set(&s, S(""), S("v"), 1, room, &id, NULL) && id.p[0] == 5, "a number is given twice");
	space_close(&s);
}

static void test_versions_of_a_key(void)
{
	struct reading r;
	struct place at;
	struct space s;

	open_at(&s, 10002, SPACE_USER);
	T_NEED(!set(&s, "k", S("one")) && !set(&s, "other", S("x")) && !set(&s, "k", S("two")) && !set(&s, "k", S("three")), "set");
	T_NEED(!space_get(&s, S("k"), &at, &r, NULL) && str_eq(r.payload, S("three")), "the newest");
	T_NEED(!space_version(&s, S("k"), r.record.parent, &r, NULL) && str_eq(r.payload, S("two")), "the one before");
	T_CHECK(space_version(&s, S("other"), at, &r, NULL) == SPACE_ABSENT, "another key's");
	T_CHECK(space_version(&s, S("k"), (struct place){ at.file, at.offset + 1 }, &r, NULL) == -EBADMSG, "where none stands");
	T_CHECK(space_version(&s, S("k"), (struct place){ 99, 32 }, &r, NULL) == SPACE_ABSENT, "in no file");
	space_close(&s);
}

/* Whether the kernel gives a page or not is known only when it is touched. */
static void test_a_page_that_is_not_there(void)
{
	struct reading r;
	struct place at;
	struct space s;
	uint8_t bytes[16];
	int fd;

	open_at(&s, 10012, SPACE_USER);
	T_NEED(!set(&s, "k", S("one")) && !space_sync(&s, NULL) && holds(&s, "k", S("one"), true), "set");
	fd = s.log.files[0].fd;
	T_NEED(pread(fd, bytes, sizeof(bytes), 0) == sizeof(bytes) && !ftruncate(fd, 0), "cut: %m");
	for (unsigned i = 0; i < 3; i++)
		T_CHECK(space_get(&s, S("k"), &at, &r, NULL) == -EIO, "it is there");
	T_NEED(!ftruncate(fd, s.log.files[0].end), "%m");
	T_CHECK(space_get(&s, S("k"), &at, &r, NULL) == -EBADMSG, "zeros are taken for it");
	space_close(&s);
}

static void test_cleared_for_good(void)
{
	struct space s;

	open_at(&s, 10003, SPACE_USER);
	T_NEED(!set(&s, "k", S("one")) && !space_save(&s, NULL) && !space_clear(&s, NULL), "cleared");
	T_CHECK(holds(&s, "k", S(""), false) && !s.keys.n && !s.data_bytes, "it is there still");
	T_NEED(!set(&s, "l", S("two")) && !space_sync(&s, NULL), "set");
	space_close(&s);
	open_at(&s, 10003, SPACE_USER);
	T_CHECK(holds(&s, "k", S(""), false) && holds(&s, "l", S("two"), true), "after a start");
	space_close(&s);
}

static void test_room_comes_back(void)
{
	static char value[2000];
	struct space s;

	open_at(&s, 10007, SPACE_USER);
	T_NEED(!set(&s, "kept", S("for ever")) && !set(&s, "gone", S("soon")) && !space_delete(&s, S("gone"), 1, NULL), "set");
	for (unsigned i = 0; i < 200; i++) {
		value[0] = (char)i;
		T_NEED(!set(&s, "k", (struct str){ value, sizeof(value) }), "set");
	}
	T_NEED(s.log.n_files > 40, "%zu files", s.log.n_files);
	compact_all(&s); /* nothing else is made safe: a value may not go before the one after it is */
	T_CHECK(s.log.n_files <= 3 && datalog_bytes(&s.log) < 3 * FILE_BYTES, "%zu files with %llu bytes", s.log.n_files,
		(unsigned long long)datalog_bytes(&s.log));
	T_CHECK(holds(&s, "kept", S("for ever"), true) && holds(&s, "k", (struct str){ value, sizeof(value) }, true) &&
			holds(&s, "gone", S(""), false),
		"what it holds");
	space_close(&s);
	open_at(&s, 10007, SPACE_USER);
	T_CHECK(holds(&s, "kept", S("for ever"), true) && holds(&s, "gone", S(""), false) && s.keys.n == 2, "after a start without a checkpoint");
	space_close(&s);
}

/* Every third key again and again: no file is ever half dead. */
static void test_one_that_has_a_limit_stays_near_it(void)
{
	enum { NUMBER = 300, VALUE = 1000, LIMIT = NUMBER * VALUE };
	static char value[VALUE];
	struct space s;
	char id[16];

	open_at(&s, 10009, SPACE_USER);
	s.max_bytes = LIMIT;
	for (unsigned round = 0; round < 30; round++)
		for (unsigned i = 0; i < NUMBER; i += round ? 3 : 1) {
			name_of(i, id);
			value[0] = (char)round;
			T_NEED(!set(&s, id, (struct str){ value, VALUE }), "round %u, %u", round, i);
			compact_all(&s);
		}
	T_CHECK(datalog_bytes(&s.log) < LIMIT + LIMIT / 4 + 3 * FILE_BYTES, "%llu bytes for a limit of %d", (unsigned long long)datalog_bytes(&s.log),
		LIMIT);
	T_CHECK(s.data_bytes == LIMIT && set(&s, "more", S("1")) == SPACE_FULL, "its limit holds");
	space_close(&s);
}

static void test_more_keys_than_it_may_have(void)
{
	struct space s;

	open_at(&s, 10010, SPACE_USER);
	s.max_keys = 2;
	T_CHECK(!set(&s, "a", S("1")) && !set(&s, "b", S("1")) && set(&s, "c", S("1")) == SPACE_CROWDED, "a third one");
	T_CHECK(!set(&s, "a", S("2")) && !space_delete(&s, S("b"), 1, NULL) && !set(&s, "c", S("1")), "what is there is changed, and makes room");
	space_close(&s);
}

/* --- a checkpoint, written while the table changes --- */

enum { CROWD = 4000, FILES_MAX = 200 };

static struct { /* what a start has to find */
	struct place at[CROWD];
	uint32_t dead_bytes[FILES_MAX];
	uint64_t data_bytes, n;
	size_t n_files;
} was;

static struct place place_of(struct space *s, unsigned i)
{
	struct place at;
	struct reading r;
	char id[16];

	name_of(i, id);
	return space_get(s, str_c(id), &at, &r, NULL) ? (struct place){ 0 } : at;
}

static void remember(struct space *s)
{
	was.data_bytes = s->data_bytes;
	was.n = s->keys.n;
	was.n_files = s->log.n_files;
	T_NEED(was.n_files <= FILES_MAX, "%zu files", was.n_files);
	for (size_t i = 0; i < was.n_files; i++)
		was.dead_bytes[i] = s->log.files[i].dead_bytes;
	for (unsigned i = 0; i < CROWD; i++)
		was.at[i] = place_of(s, i);
}

static void check_remembered(struct space *s, unsigned seed)
{
	T_CHECK(was.data_bytes == s->data_bytes && was.n == s->keys.n && was.n_files == s->log.n_files, "seed %u: %llu bytes, %llu keys, %zu files",
		seed, (unsigned long long)s->data_bytes, (unsigned long long)s->keys.n, s->log.n_files);
	for (size_t i = 0; i < was.n_files && i < s->log.n_files; i++)
		T_CHECK(was.dead_bytes[i] == s->log.files[i].dead_bytes, "seed %u: %u bytes are dead in file %zu, not %u", seed,
			s->log.files[i].dead_bytes, i, was.dead_bytes[i]);
	for (unsigned i = 0; i < CROWD; i++) {
		struct place at = place_of(s, i);

		T_CHECK(at.file == was.at[i].file && at.offset == was.at[i].offset, "seed %u: key %u is at d%u:%u, not d%u:%u", seed, i, at.file,
			at.offset, was.at[i].file, was.at[i].offset);
	}
}

/* N keys are set or deleted. */
static void stir(struct space *s, unsigned n)
{
	while (n--) {
		char id[16], value[16];

		name_of((unsigned)random() % CROWD, id);
		snprintf(value, sizeof(value), "%.*lx", (int)(random() % 8), random());
		if (random() % 3)
			set(s, id, str_c(value));
		else
			T_CHECK(space_delete(s, str_c(id), 1, NULL) >= 0, "%s cannot be deleted", id);
	}
}

/* Segment after segment, with changes in between; the table may grow meanwhile. It ends as a crash does. */
static void save_and_stir(unsigned seed)
{
	unsigned n = 20000 + seed;
	struct err e = { 0 };
	struct space s;
	int r;

	srandom(seed);
	open_at(&s, n, SPACE_USER);
	stir(&s, (unsigned)random() % 6000);
	T_NEED(!checkpoint_begin(&s, &s.saving, &e), "%s", e.msg);
	do {
		stir(&s, (unsigned)random() % 400);
		r = checkpoint_step(s.saving, 1, &e);
		T_NEED(r >= 0, "seed %u: %s", seed, e.msg);
	} while (r == CHECKPOINT_MORE);
	checkpoint_free(take(s.saving, NULL));
	T_CHECK(s.saved_records && s.saved_records <= s.n_records, "what is saved");
	stir(&s, (unsigned)random() % 400);
	T_NEED(!space_sync(&s, NULL), "sync");
	remember(&s);
	n = (unsigned)(s.n_records - s.saved_records);
	space_close(&s);
	open_at(&s, 20000 + seed, SPACE_USER);
	T_CHECK(s.replayed == n, "seed %u: %llu records are read, not %u", seed, (unsigned long long)s.replayed, n);
	check_remembered(&s, seed);
	T_NEED(!checkpoint_remove(&s, &e), "%s", e.msg);
	space_close(&s);
	open_at(&s, 20000 + seed, SPACE_USER);
	check_remembered(&s, seed);
	space_close(&s);
}

static void test_saved_while_it_changes(void)
{
	seeds_run(save_and_stir, 6);
}

static void test_when_it_is_worth_it(void)
{
	struct space s;

	open_at(&s, 10013, SPACE_USER);
	T_NEED(!set(&s, "a", S("1")) && !set(&s, "b", S("2")), "set");
	T_CHECK(s.n_records == 2 && !s.saved_records && !space_is_due(&s), "two records");
	s.n_records = SPACE_SAVE_RECORDS;
	T_CHECK(space_is_due(&s), "a million");
	s.keys.n = 10 * SPACE_SAVE_RECORDS;
	T_CHECK(!space_is_due(&s), "of ten");
	s.n_records = 4 * SPACE_SAVE_RECORDS;
	T_CHECK(space_is_due(&s), "four of ten");
	s.keys.n = 2;
	T_CHECK(!space_save(&s, NULL) && !space_is_due(&s) && s.saved_records == s.n_records, "what was saved just now");
	s.log.files[0].end += SPACE_SAVE_BYTES;
	T_CHECK(space_is_due(&s), "large values");
	s.log.files[0].end -= SPACE_SAVE_BYTES;
	s.keys.n = SPACE_SAVE_RECORDS;
	space_outdate(&s);
	T_CHECK(space_is_due(&s), "what was saved is of other files");
	s.keys.n = 2;
	space_close(&s);
}

/* --- the end of the log, damaged in every way --- */

enum { SAFE = 6, TAIL = 2 };

/* IS_SAVED: with a checkpoint of what is safe. */
static void tail_make(struct space *s, bool is_saved, uint32_t *ret_safe, uint32_t *ret_end, struct place at[SAFE + TAIL])
{
	struct reading r;
	char id[16];

	for (unsigned i = 0; i < SAFE + TAIL; i++) {
		name_of(i, id);
		T_NEED(!set(s, id, str_c(id)) && !space_get(s, str_c(id), &at[i], &r, NULL), "set");
		if (i == SAFE - 1) {
			*ret_safe = s->log.files[0].end;
			T_NEED(!is_saved || !space_save(s, NULL), "saved");
		}
	}
	*ret_end = s->log.files[0].end;
	T_NEED(!space_sync(s, NULL), "sync");
}

/* All but the key whose record holds byte AT are as they were; that one is not there, or said to be damaged, but never wrong. */
static void check_tail(unsigned n, const struct place place[SAFE + TAIL], uint32_t at, uint32_t cut, const char *how)
{
	struct err e = { 0 };
	struct space s;
	char id[16];

	T_NEED(!space_open(&s, SPACE_USER, folder_new("data", n), folder_new("index", n), FILE_BYTES, &e), "%s at %u: %s", how, at, e.msg);
	for (unsigned i = 0; i < SAFE + TAIL; i++) {
		uint32_t begin = place[i].offset, end = i + 1 < SAFE + TAIL ? place[i + 1].offset : UINT32_MAX;
		struct reading r;
		uint8_t bytes[16];
		struct place found;

		name_of(i, id);
		if (end <= at || begin >= cut)
			T_CHECK(holds(&s, id, str_c(id), true), "%s at %u: %s is lost", how, at, id);
		else if (!space_get(&s, str_c(id), &found, &r, NULL))
			T_CHECK(datalog_payload(&r, bytes, NULL) == -EBADMSG || !memcmp(bytes, id, r.record.length), "%s at %u: %s is wrong", how, at,
				id);
	}
	T_CHECK(!set(&s, "after", S("wards")) && !space_sync(&s, NULL), "%s at %u: nothing can be set", how, at);
	space_close(&s);
	T_NEED(!space_open(&s, SPACE_USER, folder_new("data", n), folder_new("index", n), FILE_BYTES, &e), "%s at %u, twice: %s", how, at, e.msg);
	T_CHECK(holds(&s, "after", S("wards"), true), "%s at %u: what was set after it is lost", how, at);
	space_close(&s);
}

static void write_file(unsigned n, const char *bytes, size_t n_bytes)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/data%u/d0", folder, n);
	f = fopen(path, "w");
	T_NEED(f && fwrite(bytes, 1, n_bytes, f) == n_bytes && !fclose(f), "%s: %m", path);
}

static void damage_every_byte(unsigned n, bool is_saved)
{
	static char whole[FILE_BYTES], bytes[FILE_BYTES];
	struct place place[SAFE + TAIL];
	uint32_t safe = 0, end = 0;
	struct space s;

	open_at(&s, n, SPACE_USER);
	tail_make(&s, is_saved, &safe, &end, place);
	T_NEED(pread(s.log.files[0].fd, whole, sizeof(whole), 0) == (ssize_t)end, "read");
	space_close(&s);
	for (uint32_t at = safe; at < end; at++) {
		write_file(n, whole, at);
		check_tail(n, place, at, UINT32_MAX, "cut");
		memcpy(bytes, whole, sizeof(bytes));
		memset(bytes + at, 0, end - at);
		write_file(n, bytes, end);
		check_tail(n, place, at, UINT32_MAX, "zeros");
	}
	for (uint32_t at = place[0].offset; at < end; at++) {
		memcpy(bytes, whole, sizeof(bytes));
		bytes[at] ^= (char)(1 << at % 8);
		write_file(n, bytes, end);
		check_tail(n, place, at, at + 1, "a bit");
	}
}

static void test_a_damaged_end_at_every_byte(void)
{
	damage_every_byte(10004, false);
}

static void test_the_same_behind_a_checkpoint(void)
{
	struct space s;

	damage_every_byte(10014, true);
	open_at(&s, 10014, SPACE_USER);
	T_CHECK(s.replayed < SAFE, "%llu records are read", (unsigned long long)s.replayed);
	space_close(&s);
}

/* --- the original's files --- */

static void test_goes_on_where_the_original_ended(void)
{
	static const char file[] = "DAT0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				   "\1"
				   "\5\0\0\0"
				   "\0\0\0\0"
				   "\x79\xcd\x03\xdf"
				   "\0"
				   "\1\0\0\0"
				   "khello"
				   "\1"
				   "\1\0\0\0"
				   "\x1c\0\0\0"
				   "\xb2\xca\x88\xc2"
				   "\0"
				   "\2\0\0\0"
				   "l1"
				   "\1"
				   "\0\0\0\0"
				   "\x34\0\0\0"
				   "\0\0\0\0"
				   "\1"
				   "\3\0\0\0"
				   "l";
	struct space s;

	close(folder_new("data", 10005));
	write_file(10005, file, sizeof(file) - 1);
	open_at(&s, 10005, SPACE_USER);
	T_CHECK(holds(&s, "k", S("hello"), true) && holds(&s, "l", S(""), false) && s.keys.n == 1, "what is in it");
	T_CHECK(!set(&s, "m", S("new")) && !set(&s, "k", S("other")) && !space_save(&s, NULL), "it cannot go on");
	T_CHECK(s.log.n_files == 2 && s.log.files[0].end == sizeof(file) - 1, "it wrote into the original's file");
	space_close(&s);
	open_at(&s, 10005, SPACE_USER);
	T_CHECK(!s.replayed && holds(&s, "k", S("other"), true) && holds(&s, "m", S("new"), true), "after a start: %llu",
		(unsigned long long)s.replayed);
	space_close(&s);
}

static struct place parent_of(struct space *s, struct place at, const struct record *r)
{
	struct place parent = { 0 };
	struct err e = { 0 };

	T_CHECK(!space_parent(s, at, r, &parent, &e), "%s", e.msg);
	return parent;
}

static void test_what_the_original_had_before(void)
{
	enum { N = 10011, AGAIN = 72 };
	static const char file[] = "DAT0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				   "\1\5\0\0\0\0\0\0\0\x79\xcd\x03\xdf\0\1\0\0\0khello"
				   "\1\1\0\0\0\x1c\0\0\0\xb2\xca\x88\xc2\0\2\0\0\0l1"
				   "\1\1\0\0\0\x34\0\0\0\xb2\xca\x88\xc2\0\3\0\0\0k1";
	char path[64], bytes[64];
	struct place at, parent;
	struct reading r;
	struct space s;

	close(folder_new("data", N));
	write_file(N, file, sizeof(file) - 1);
	for (unsigned start = 0; start < 2; start++) {
		open_at(&s, N, SPACE_USER);
		if (!start)
			T_NEED(!set(&s, "k", S("ours")) && !space_save(&s, NULL), "it cannot go on");
		T_CHECK(s.replayed == (start ? 0 : 3), "%llu records are read", (unsigned long long)s.replayed);
		T_NEED(!space_get(&s, S("k"), &at, &r, NULL), "get");
		parent = parent_of(&s, at, &r.record);
		T_NEED(parent.offset == AGAIN && !space_version(&s, S("k"), parent, &r, NULL), "ours comes behind %u", parent.offset);
		parent = parent_of(&s, parent, &r.record);
		T_NEED(parent.offset == 28 && !space_version(&s, S("k"), parent, &r, NULL) && str_eq(r.payload, S("hello")),
		       "its second one behind %u", parent.offset);
		T_CHECK(!parent_of(&s, parent, &r.record).offset, "something is before the first");
		T_NEED(!space_get(&s, S("l"), &at, &r, NULL) && !parent_of(&s, at, &r.record).offset, "another key's");
		space_close(&s);
	}
	snprintf(path, sizeof(path), "%s/index%u/parents", folder, N);
	for (size_t i = 0; i < 24; i++) {
		int fd = open(path, O_RDWR | O_CLOEXEC);

		T_NEED(fd >= 0 && pread(fd, bytes, sizeof(bytes), 0) == 24, "%m");
		bytes[i] ^= 0x40;
		T_NEED(pwrite(fd, bytes, 24, 0) == 24, "%m");
		open_at(&s, N, SPACE_USER);
		parent = parent_of(&s, (struct place){ 0, AGAIN }, &(struct record){ 0 });
		T_CHECK(!parent.offset || space_version(&s, S("k"), parent, &r, NULL) || parent.offset == 28, "byte %zu leads to %u:%u", i,
			parent.file, parent.offset);
		bytes[i] ^= 0x40;
		T_NEED(pwrite(fd, bytes, 24, 0) == 24, "%m");
		space_close(&s);
		close(fd);
	}
	T_NEED(!unlink(path), "%m");
	open_at(&s, N, SPACE_USER);
	T_CHECK(!parent_of(&s, (struct place){ 0, AGAIN }, &(struct record){ 0 }).offset, "it is not known");
	T_NEED(!mkdir(path, 0700), "%m"); /* which nobody reads */
	T_CHECK(space_parent(&s, (struct place){ 0, AGAIN }, &(struct record){ 0 }, &parent, NULL) == -EISDIR, "it cannot be read");
	space_close(&s);
}

static bool bytes_at(const char *path, char *bytes, size_t n, bool is_write)
{
	AUTO_FD int fd = open(path, is_write ? O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0600);

	return fd >= 0 && (is_write ? write(fd, bytes, n) : read(fd, bytes, n)) == (ssize_t)n;
}

static void test_a_checkpoint_that_is_wrong_is_no_loss(void)
{
	AUTO_FREE char *whole = NULL;
	char path[64];
	struct space s;
	struct stat st;

	open_at(&s, 10006, SPACE_USER);
	T_NEED(!set(&s, "k", S("one")) && !space_save(&s, NULL), "saved");
	space_close(&s);
	open_at(&s, 10006, SPACE_USER);
	T_NEED(!s.replayed && holds(&s, "k", S("one"), true), "the good one is not used");
	space_close(&s);
	snprintf(path, sizeof(path), "%s/index10006/checkpoint", folder);
	T_NEED(!stat(path, &st), "%m");
	whole = malloc((size_t)st.st_size);
	T_NEED(whole && bytes_at(path, whole, (size_t)st.st_size, false), "read it");
	for (off_t at = 0; at < st.st_size; at += at < 200 ? 1 : 97) {
		whole[at] ^= 0x10;
		T_NEED(bytes_at(path, whole, (size_t)st.st_size, true), "%m");
		open_at(&s, 10006, SPACE_USER);
		T_CHECK(s.replayed == 1 && holds(&s, "k", S("one"), true), "byte %lld is not looked at", (long long)at);
		space_close(&s);
		T_CHECK(stat(path, &st) && errno == ENOENT, "it stays");
		whole[at] ^= 0x10;
	}
}

/* Files of before, put back: a checkpoint that waits for longer ones than these must not be taken when they have grown, as it does not know them. */
static void test_a_checkpoint_of_longer_files_is_not_taken_later(void)
{
	char whole[FILE_BYTES];
	struct space s;
	ssize_t n;

	open_at(&s, 10008, SPACE_USER);
	T_NEED(!set(&s, "k", S("one")) && !space_sync(&s, NULL), "set");
	n = pread(s.log.files[0].fd, whole, sizeof(whole), 0);
	T_NEED(n > 0 && !set(&s, "l", S("two, which is longer than what comes")) && !space_save(&s, NULL), "saved");
	space_close(&s);
	write_file(10008, whole, (size_t)n);
	open_at(&s, 10008, SPACE_USER);
	T_CHECK(holds(&s, "k", S("one"), true) && holds(&s, "l", S(""), false), "what was put back");
	T_CHECK(!set(&s, "m", S("three")) && !set(&s, "n", S("four, and so long that the file is longer than it was with two")) &&
			!space_sync(&s, NULL),
		"set");
	space_close(&s);
	open_at(&s, 10008, SPACE_USER);
	T_CHECK(holds(&s, "k", S("one"), true) && holds(&s, "m", S("three"), true) &&
			holds(&s, "n", S("four, and so long that the file is longer than it was with two"), true),
		"what was set afterwards");
	space_close(&s);
}

int main(void)
{
	struct err e = { 0 };

	T_NEED(mkdtemp(folder), "%m");
	T_RUN(test_does_what_a_map_does);
	T_RUN(test_same_values_limits_and_counted_keys);
	T_RUN(test_versions_of_a_key);
	T_RUN(test_a_page_that_is_not_there);
	T_RUN(test_cleared_for_good);
	T_RUN(test_room_comes_back);
	T_RUN(test_one_that_has_a_limit_stays_near_it);
	T_RUN(test_more_keys_than_it_may_have);
	T_RUN(test_saved_while_it_changes);
	T_RUN(test_when_it_is_worth_it);
	T_RUN(test_a_damaged_end_at_every_byte);
	T_RUN(test_the_same_behind_a_checkpoint);
	T_RUN(test_goes_on_where_the_original_ended);
	T_RUN(test_what_the_original_had_before);
	T_RUN(test_a_checkpoint_that_is_wrong_is_no_loss);
	T_RUN(test_a_checkpoint_of_longer_files_is_not_taken_later);
	T_CHECK(!tree_remove(AT_FDCWD, folder, &e), "%s", e.msg);
	return T_END();
}
