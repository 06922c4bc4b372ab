/* Answers are 0-db's, word for word, where it has them: clients compare them. */
#define OPENSSL_API_COMPAT 10101 /* SHA-1 alone: EVP would link all of libcrypto's algorithms into a static program of half the size */

#include "zdb/command.h"

#include "base/file.h"
#include "base/parse.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <time.h>

enum { CURSOR_BYTES = 12, SHA1_HEX = 40 };

enum command_flags {
	EMPTY_OK = 1, /* arguments may be empty */
	ADMIN = 2,
	READS = 4, /* not from a frozen namespace */
	WRITES = 8, /* nor into a locked one, or by one who may only read */
};

struct command {
	const char *name;
	uint16_t min_words, max_words, flags;
	void (*run)(struct call *c);
};

static void ok(struct call *c)
{
	resp_simple(c->out, "OK");
}

static void refuse(struct call *c, const char *why)
{
	c->shared->counters.failed++;
	resp_error(c->out, why);
}

static struct str word(const struct call *c, size_t i)
{
	return c->in->words[i];
}

static bool is_word(struct str s, const char *upper)
{
	return s.n == strlen(upper) && !strncasecmp(s.p, upper, s.n);
}

void session_begin(const struct shared *s, struct session *ret)
{
	*ret = (struct session){ .space = store_find(&s->store, S(NAMESPACE_DEFAULT)),
				 .is_admin = !s->admin,
				 .is_writable = !s->is_protected || !s->admin };
}

/* Takes as long for each wrong one. */
static bool is_secret(struct str given, const char *secret)
{
	size_t n = strlen(secret);
	uint8_t differs = given.n != n;

	for (size_t i = 0; i < n; i++)
		differs |= (uint8_t)((i < given.n ? given.p[i] : 0) ^ secret[i]);
	return !differs;
}

/* --- the store --- */

static void run_ping(struct call *c)
{
	resp_simple(c->out, "PONG");
}

static void run_time(struct call *c)
{
	char text[2][24];
	struct timeval now;

	gettimeofday(&now, NULL);
	snprintf(text[0], sizeof(text[0]), "%" PRId64, (int64_t)now.tv_sec);
	snprintf(text[1], sizeof(text[1]), "%" PRId64, (int64_t)now.tv_usec);
	resp_array(c->out, 2);
	resp_bulk(c->out, str_c(text[0]));
	resp_bulk(c->out, str_c(text[1]));
}

static void volume(struct buf *b, const char *name, uint64_t bytes)
{
	buf_addf(b, "%s_bytes: %" PRIu64 "\n%s_mb: %.2f\n", name, bytes, name, (double)bytes / (1 << 20));
}

static void run_info(struct call *c)
{
	const struct counters *n = &c->shared->counters;
	AUTO_BUF struct buf b = { 0 };

	buf_addf(&b, "# server\nserver_name: 0-db (zdb)\nserver_revision: zos-" ZOS_VERSION "\nengine_revision: zos-" ZOS_VERSION "\n");
	buf_addf(&b, "instance_id: %u\nboot_time: %" PRId64 "\nuptime: %" PRId64 "\n", c->shared->instance, c->shared->started_s,
		 c->time_s - c->shared->started_s);
	buf_addf(&b, "\n# clients\nclients_lifetime: %" PRIu64 "\n", n->clients);
	buf_addf(&b, "\n# internals\nsequential_key_size: %d\ndata_version: %d\nindex_version: 4\n", SPACE_SEQ_ID_BYTES, DATA_VERSION);
	buf_addf(&b, "\n# stats\ncommands_executed: %" PRIu64 "\ncommands_failed: %" PRIu64 "\ncommands_unauthorized: %" PRIu64 "\n", n->executed,
		 n->failed, n->unauthorized);
	buf_addf(&b,
		 "index_disk_read_failed: 0\nindex_disk_write_failed: 0\ndata_disk_read_failed: %" PRIu64 "\ndata_disk_write_failed: %" PRIu64 "\n",
		 n->read_failed, n->write_failed);
	volume(&b, "data_disk_read", n->read_bytes);
	volume(&b, "data_disk_write", n->written_bytes);
	volume(&b, "network_rx", n->received_bytes);
	volume(&b, "network_tx", n->sent_bytes);
	resp_bulk(c->out, buf_str(&b));
}

/* SHA-1 over "CHALLENGE:PASSWORD", in hex. */
static bool is_answer(struct call *c, struct str given, const char *password)
{
	char text[CHALLENGE_HEX + 2 + NAMESPACE_PASSWORD_MAX + 256];
	AUTO_BUF struct buf hex = { 0 };
	uint8_t sum[SHA_DIGEST_LENGTH];
	SHA_CTX sha;
	bool is;

	snprintf(text, sizeof(text), "%s:%s", c->session->challenge, password);
	SHA1_Init(&sha);
	SHA1_Update(&sha, text, strlen(text));
	SHA1_Final(sum, &sha);
	explicit_bzero(text, sizeof(text));
	format_hex(&hex, sum, sizeof(sum));
	is = !buf_check(&hex) && is_secret(given, hex.p);
	c->session->challenge[0] = '\0'; /* once */
	return is;
}

/* Whether what stands at word AT (PASSWORD, or SECURE HASH) is PASSWORD; answers when it is not. */
static bool is_admitted(struct call *c, size_t at, const char *password)
{
	if (c->in->n == at + 1) {
		if (is_secret(word(c, at), password))
			return true;
	} else if (!is_word(word(c, at), "SECURE")) {
		refuse(c, "Only SECURE extra method supported");
		return false;
	} else if (!c->session->challenge[0]) {
		refuse(c, "No CHALLENGE requested, secure authentication not available");
		return false;
	} else if (word(c, at + 1).n != SHA1_HEX) {
		refuse(c, "Invalid hash length");
		return false;
	} else if (is_answer(c, word(c, at + 1), password)) {
		return true;
	}
	c->shared->counters.unauthorized++;
	refuse(c, "Access denied");
	return false;
}

static void run_auth(struct call *c)
{
	AUTO_BUF struct buf hex = { 0 };
	uint8_t nonce[CHALLENGE_HEX / 2];

	if (c->in->n == 3 && is_word(word(c, 1), "SECURE") && is_word(word(c, 2), "CHALLENGE")) {
		random_bytes(nonce, sizeof(nonce));
		format_hex(&hex, nonce, sizeof(nonce));
		BUG_ON(buf_check(&hex));
		memcpy(c->session->challenge, hex.p, CHALLENGE_HEX + 1);
		resp_simple(c->out, c->session->challenge);
		return;
	}
	if (!c->shared->admin) {
		refuse(c, "Authentication disabled");
		return;
	}
	if (!is_admitted(c, 1, c->shared->admin))
		return;
	c->session->is_admin = true;
	ok(c);
}

static void run_wait(struct call *c);

/* --- keys --- */

static void disk_error(struct call *c, int r, const char *otherwise)
{
	c->shared->counters.read_failed += r == -EBADMSG || r == -EIO;
	refuse(c, r == -ENOSPC ? "No space left on device" : r == -EBADMSG ? "Data is damaged on the disk" : otherwise);
}

static bool key_ok(struct call *c, struct str key, const char *otherwise)
{
	if (key.n <= RECORD_ID_MAX)
		return true;
	refuse(c, otherwise);
	return false;
}

/* The record of word 1; answers when there is none, NIL with nil. */
static bool key_get(struct call *c, struct reading *ret, struct place *ret_at, bool nil)
{
	int r;

	if (!key_ok(c, word(c, 1), "Invalid key"))
		return false;
	r = space_get(&c->session->space->space, word(c, 1), ret_at, ret, NULL);
	if (!r)
		return true;
	if (r < 0)
		disk_error(c, r, "Internal Error");
	else if (nil)
		resp_nil(c->out);
	else
		refuse(c, "Key not found");
	return false;
}

static void value_put(struct call *c, const struct reading *r)
{
	size_t before = c->out->len;
	int k;

	resp_bulk_head(c->out, r->record.length);
	buf_reserve(c->out, r->record.length + 2);
	if (buf_check(c->out))
		return;
	if ((k = datalog_payload(r, (uint8_t *)c->out->p + c->out->len, NULL))) {
		c->out->len = before;
		disk_error(c, k, "Internal Error");
		return;
	}
	c->out->len += r->record.length;
	c->shared->counters.read_bytes += r->record.length;
	buf_add(c->out, S("\r\n"));
}

static void run_get(struct call *c)
{
	struct reading r;
	struct place at;

	if (key_get(c, &r, &at, true))
		value_put(c, &r);
}

static void run_mget(struct call *c)
{
	uint64_t bytes = 0;

	resp_array(c->out, c->in->n - 1);
	for (size_t i = 1; i < c->in->n; i++) {
		struct reading r;
		struct place at;
		int k = word(c, i).n > RECORD_ID_MAX ? SPACE_ABSENT : space_get(&c->session->space->space, word(c, i), &at, &r, NULL);

		bytes += k ? 0 : r.record.length;
		if (!k && bytes > MGET_BYTES_MAX)
			refuse(c, "Too much at once: ask for fewer keys");
		else if (!k)
			value_put(c, &r);
		else
			resp_nil(c->out);
	}
}

static void set_answer(struct call *c, int r, struct str id)
{
	switch (r) {
	case 0:
		c->session->space->is_dirty = true;
		c->shared->counters.written_bytes += word(c, 2).n;
		resp_bulk(c->out, id);
		break;
	case SPACE_SAME:
		resp_nil(c->out);
		break;
	case SPACE_ABSENT:
		refuse(c, "Invalid key, only update authorized");
		break;
	case SPACE_FULL:
		refuse(c, "No space left on this namespace");
		break;
	default:
		c->shared->counters.write_failed++;
		disk_error(c, r, "Cannot write data right now");
	}
}

static void run_set(struct call *c)
{
	struct namespace *n = c->session->space;
	char room[SPACE_SEQ_ID_BYTES];
	uint64_t time_s = (uint64_t)c->time_s;
	struct reading old;
	struct place at;
	struct str id = { 0 };

	if (!key_ok(c, word(c, 1), "Key too large"))
		return;
	if (!word(c, 1).n && n->settings.mode == SPACE_USER) {
		refuse(c, "Invalid argument, key needed");
		return;
	}
	if (c->in->n == 4 && !c->session->is_admin) {
		c->shared->counters.unauthorized++;
		refuse(c, "Permission denied");
		return;
	}
	if (c->in->n == 4 && parse_u64(word(c, 3), UINT32_MAX, &time_s)) {
		refuse(c, "Invalid timestamp");
		return;
	}
	if (n->settings.is_worm && word(c, 1).n && !space_get(&n->space, word(c, 1), &at, &old, NULL)) {
		refuse(c, "Cannot overwrite a key when namespace is in worm mode");
		return;
	}
	set_answer(c, space_set(&n->space, word(c, 1), word(c, 2), (uint32_t)time_s, room, &id, NULL), id);
}

static void run_del(struct call *c)
{
	struct namespace *n = c->session->space;
	struct reading r;
	struct place at;
	int k;

	if (!key_get(c, &r, &at, false))
		return;
	if (n->settings.is_worm) {
		refuse(c, "Cannot delete a key when namespace is in worm mode");
		return;
	}
	if ((k = space_delete(&n->space, word(c, 1), (uint32_t)c->time_s, NULL))) {
		c->shared->counters.write_failed++;
		disk_error(c, k, "Cannot delete key");
		return;
	}
	n->is_dirty = true;
	ok(c);
}

static void run_exists(struct call *c)
{
	struct reading r;
	struct place at;
	int k;

	if (!key_ok(c, word(c, 1), "Invalid key"))
		return;
	k = space_get(&c->session->space->space, word(c, 1), &at, &r, NULL);
	if (k < 0)
		disk_error(c, k, "Internal Error");
	else
		resp_number(c->out, !k);
}

static void run_check(struct call *c)
{
	AUTO_FREE uint8_t *bytes = NULL;
	struct reading r;
	struct place at;

	if (!key_get(c, &r, &at, true))
		return;
	bytes = malloc(r.record.length + 1);
	if (!bytes) {
		refuse(c, "Internal Error");
		return;
	}
	resp_number(c->out, !datalog_payload(&r, bytes, NULL));
}

static void run_length(struct call *c)
{
	struct reading r;
	struct place at;

	if (key_get(c, &r, &at, true))
		resp_number(c->out, r.record.length);
}

static void run_keytime(struct call *c)
{
	struct reading r;
	struct place at;

	if (key_get(c, &r, &at, true))
		resp_number(c->out, r.record.time_s);
}

/* --- walks --- */

static uint32_t generation_of(const struct call *c, struct place at)
{
	const struct data_file *f = datalog_file(&c->session->space->space.log, at.file);

	return f ? f->head.generation : 0;
}

static struct str cursor_of(const struct call *c, struct place at, char ret[static CURSOR_BYTES])
{
	uint32_t generation = generation_of(c, at);

	memcpy(ret, &at.file, 4);
	memcpy(ret + 4, &at.offset, 4);
	memcpy(ret + 8, &generation, 4);
	return (struct str){ ret, CURSOR_BYTES };
}

/* One from before a compaction of its file stands for that file's beginning, or end: keys may come twice, and none is left out. */
static bool cursor_read(const struct call *c, struct str s, struct place *ret)
{
	uint32_t generation;

	if (s.n != CURSOR_BYTES)
		return false;
	memcpy(&ret->file, s.p, 4);
	memcpy(&ret->offset, s.p + 4, 4);
	memcpy(&generation, s.p + 8, 4);
	if (generation != generation_of(c, *ret))
		ret->offset = 0;
	return true;
}

static uint64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

typedef bool walk_step(struct space *s, struct place at, struct reading *ret, struct place *ret_at);

static void walk(struct call *c, walk_step *step, struct place at)
{
	struct space *s = &c->session->space->space;
	AUTO_BUF struct buf keys = { 0 };
	uint64_t until_us = clock_us() + SCAN_SLICE_US;
	char cursor[CURSOR_BYTES];
	struct reading r;
	size_t n = 0;

	while (n < SCAN_KEYS_MAX && (!n || clock_us() < until_us) && step(s, at, &r, &at)) {
		resp_array(&keys, 3);
		resp_bulk(&keys, r.record.id);
		resp_number(&keys, r.record.length);
		resp_number(&keys, r.record.time_s);
		n++;
	}
	if (!n || buf_check(&keys)) {
		refuse(c, "No more data");
		return;
	}
	resp_array(c->out, 2);
	resp_bulk(c->out, cursor_of(c, at, cursor));
	resp_array(c->out, n);
	buf_add(c->out, buf_str(&keys));
}

static void run_walk(struct call *c, walk_step *step, struct place at)
{
	if (c->in->n == 2 && !cursor_read(c, word(c, 1), &at))
		refuse(c, "Invalid key format");
	else
		walk(c, step, at);
}

static void run_scan(struct call *c)
{
	run_walk(c, space_next, (struct place){ 0 });
}

static void run_rscan(struct call *c)
{
	run_walk(c, space_previous, (struct place){ .file = UINT32_MAX });
}

static void run_keycur(struct call *c)
{
	char cursor[CURSOR_BYTES];
	struct reading r;
	struct place at;

	if (key_get(c, &r, &at, false))
		resp_bulk(c->out, cursor_of(c, at, cursor));
}

/* What was compacted away is no history any more. */
static bool has_older(struct call *c, const struct record *r)
{
	struct reading older;

	return r->parent.offset && !space_version(&c->session->space->space, word(c, 1), r->parent, &older, NULL);
}

static void run_history(struct call *c)
{
	struct space *s = &c->session->space->space;
	char cursor[CURSOR_BYTES], text[16];
	struct reading r;
	struct place at;

	if (c->in->n == 2) {
		if (!key_get(c, &r, &at, false))
			return;
	} else if (!cursor_read(c, word(c, 2), &at)) {
		refuse(c, "Invalid arguments");
		return;
	} else if (space_version(s, word(c, 1), at, &r, NULL)) {
		refuse(c, at.offset ? "Invalid arguments (invalid key)" : "No more history");
		return;
	}
	resp_array(c->out, 3);
	if (has_older(c, &r.record))
		resp_bulk(c->out, cursor_of(c, r.record.parent, cursor));
	else
		resp_nil(c->out);
	snprintf(text, sizeof(text), "%u", r.record.time_s);
	resp_bulk(c->out, str_c(text));
	value_put(c, &r);
}

/* --- namespaces --- */

static void run_dbsize(struct call *c)
{
	resp_number(c->out, (int64_t)c->session->space->space.keys.n);
}

/* The namespace that word 1 names; answers when there is none. */
static struct namespace *named(struct call *c, const char *otherwise)
{
	struct namespace *n = NULL;

	if (word(c, 1).n > NAMESPACE_NAME_MAX)
		refuse(c, "Namespace too long");
	else if (!(n = store_find(&c->shared->store, word(c, 1))))
		refuse(c, otherwise);
	return n;
}

static void run_nsnew(struct call *c)
{
	struct namespace *n;
	struct err e = { 0 };

	if (word(c, 1).n > NAMESPACE_NAME_MAX)
		refuse(c, "Namespace too long");
	else if (!namespace_name_ok(word(c, 1)))
		refuse(c, "This name is not allowed");
	else if (store_find(&c->shared->store, word(c, 1)))
		refuse(c, "This namespace is not available");
	else if (store_add(&c->shared->store, word(c, 1), &n, &e))
		refuse(c, "Could not create namespace");
	else
		ok(c);
}

static void run_nsdel(struct call *c)
{
	struct namespace *n = named(c, "This namespace doesn't exists");
	struct err e = { 0 };

	if (!n)
		return;
	if (!strcmp(n->name, NAMESPACE_DEFAULT)) {
		refuse(c, "Cannot remove default namespace");
	} else if (n == c->session->space) {
		refuse(c, "Cannot remove namespace you're currently using.");
	} else if (store_remove(&c->shared->store, n, &e)) {
		refuse(c, "Could not delete this namespace");
	} else {
		c->removed = n;
		ok(c);
	}
}

static void run_nslist(struct call *c)
{
	resp_array(c->out, c->shared->store.n);
	for (const struct namespace *n = c->shared->store.list; n; n = n->next)
		resp_bulk(c->out, str_c(n->name));
}

static const char *yes_no(bool is)
{
	return is ? "yes" : "no";
}

static void disk_room(struct buf *b, const char *name, int fd)
{
	struct statvfs st;
	uint64_t bytes = fstatvfs(fd, &st) ? 0 : (uint64_t)st.f_frsize * st.f_bavail;

	buf_addf(b, "%s_bytes: %" PRIu64 "\n%s_mb: %.2f\n", name, bytes, name, (double)bytes / (1 << 20));
}

static void run_nsinfo(struct call *c)
{
	const struct namespace *n = named(c, "Namespace not found");
	AUTO_BUF struct buf b = { 0 };
	const struct data_file *last;
	uint64_t index_bytes, next = 0;

	if (!n)
		return;
	last = n->space.log.n_files ? &n->space.log.files[n->space.log.n_files - 1] : NULL;
	index_bytes = keydir_bytes(&n->space.keys);
	next = n->space.next_id;
	buf_addf(&b, "# namespace\nname: %s\nentries: %" PRIu64 "\npublic: %s\nworm: %s\nlocked: %s\nfrozen: %s\npassword: %s\n", n->name,
		 n->space.keys.n, yes_no(n->settings.is_public), yes_no(n->settings.is_worm), yes_no(n->settings.is_locked),
		 yes_no(n->settings.is_frozen), yes_no(n->settings.password[0]));
	volume(&b, "data_size", n->space.data_bytes);
	buf_addf(&b, "data_limits_bytes: %" PRIu64 "\nindex_size_bytes: %" PRIu64 "\nindex_size_kb: %.2f\n", n->settings.max_bytes, index_bytes,
		 (double)index_bytes / 1024);
	buf_addf(&b, "next_internal_id: 0x%016" PRIx64 "\nmode: %s\n", next, n->settings.mode == SPACE_SEQ ? "sequential" : "userkey");
	disk_room(&b, "index_disk_freespace", n->space.index);
	disk_room(&b, "data_disk_freespace", n->space.log.dir);
	buf_addf(&b, "data_current_id: %u\ndata_current_offset: %u\n", last ? last->head.file : 0, last ? last->end : 0);
	resp_bulk(c->out, buf_str(&b));
}

static bool switch_of(struct str value, bool *ret)
{
	*ret = str_eq(value, S("1"));
	return *ret || str_eq(value, S("0"));
}

/* Sets PROPERTY in S. Returns what is wrong with it, or NULL. */
static const char *setting_put(struct settings *s, struct str property, struct str value, bool is_empty)
{
	const struct {
		const char *name;
		bool *at;
	} switches[] = { { "public", &s->is_public }, { "worm", &s->is_worm }, { "lock", &s->is_locked }, { "freeze", &s->is_frozen } };

	for (size_t i = 0; i < ARRAY_LEN(switches); i++)
		if (str_eq(property, str_c(switches[i].name)))
			return switch_of(value, switches[i].at) ? NULL : "Invalid value";
	if (str_eq(property, S("maxsize")))
		return parse_u64(value, INT64_MAX, &s->max_bytes) ? "Invalid value" : NULL;
	if (str_eq(property, S("password"))) {
		bool none = str_eq(value, S("*"));

		memset(s->password, 0, sizeof(s->password));
		memcpy(s->password, value.p, none ? 0 : value.n);
		return NULL;
	}
	if (!str_eq(property, S("mode")))
		return "Invalid property";
	if (!is_empty)
		return "Cannot change the mode of a namespace that is not empty";
	s->mode = str_eq(value, S("seq")) ? SPACE_SEQ : SPACE_USER;
	return str_eq(value, S("seq")) || str_eq(value, S("user")) ? NULL : "Invalid value";
}

static void run_nsset(struct call *c)
{
	struct namespace *n;
	struct settings settings;
	struct err e = { 0 };
	const char *wrong;

	if (word(c, 3).n > NAMESPACE_PASSWORD_MAX) {
		refuse(c, "Invalid value");
		return;
	}
	if (str_eq(word(c, 1), S(NAMESPACE_DEFAULT))) {
		refuse(c, "Cannot update default namespace");
		return;
	}
	if (!(n = named(c, "Namespace not found")))
		return;
	settings = n->settings;
	if ((wrong = setting_put(&settings, word(c, 2), word(c, 3), !n->space.log.n_files)))
		refuse(c, wrong);
	else if (store_set(&c->shared->store, n, &settings, &e))
		refuse(c, "Could not keep the setting");
	else
		ok(c);
	explicit_bzero(&settings, sizeof(settings));
}

static void run_select(struct call *c)
{
	struct namespace *n = named(c, "Namespace not found");
	bool is_writable = true;

	if (!n)
		return;
	if (n->settings.password[0] && c->in->n == 2 && !n->settings.is_public) {
		c->shared->counters.unauthorized++;
		refuse(c, "Namespace protected and private");
		return;
	}
	if (n->settings.password[0] && c->in->n == 2)
		is_writable = false;
	else if (n->settings.password[0] && !is_admitted(c, 2, n->settings.password))
		return;
	if (!strcmp(n->name, NAMESPACE_DEFAULT))
		is_writable = !c->shared->is_protected || c->session->is_admin;
	c->session->space = n;
	c->session->is_writable = is_writable;
	ok(c);
}

static void run_flush(struct call *c)
{
	struct namespace *n = c->session->space;
	struct err e = { 0 };

	if (n->settings.is_public || !n->settings.password[0])
		refuse(c, "Flushing public namespace denied");
	else if (n->settings.is_worm)
		refuse(c, "Cannot flush a namespace in worm mode");
	else if (space_clear(&n->space, &e))
		refuse(c, "Internal Server Error");
	else
		ok(c);
}

static void run_any(struct call *c)
{
	refuse(c, "This is not a valid command");
}

static const struct command commands[] = {
	{ "*", 1, 1, 0, run_any }, /* what WAIT takes for any of them */
	{ "PING", 1, 2, 0, run_ping },
	{ "TIME", 1, 1, 0, run_time },
	{ "AUTH", 2, 3, 0, run_auth },
	{ "INFO", 1, 2, 0, run_info },
	{ "WAIT", 2, 3, 0, run_wait },
	{ "SET", 3, 4, EMPTY_OK | WRITES, run_set },
	{ "SETX", 3, 4, EMPTY_OK | WRITES, run_set },
	{ "GET", 2, 2, READS, run_get },
	{ "MGET", 2, MGET_KEYS_MAX + 1, READS, run_mget },
	{ "DEL", 2, 2, WRITES, run_del },
	{ "EXISTS", 2, 2, READS, run_exists },
	{ "CHECK", 2, 2, READS, run_check },
	{ "LENGTH", 2, 2, READS, run_length },
	{ "KEYTIME", 2, 2, READS, run_keytime },
	{ "SCAN", 1, 2, READS, run_scan },
	{ "SCANX", 1, 2, READS, run_scan },
	{ "RSCAN", 1, 2, READS, run_rscan },
	{ "KEYCUR", 2, 2, READS, run_keycur },
	{ "HISTORY", 2, 3, READS, run_history },
	{ "DBSIZE", 1, 1, 0, run_dbsize },
	{ "FLUSH", 1, 1, WRITES, run_flush },
	{ "SELECT", 2, 4, 0, run_select },
	{ "NSNEW", 2, 2, ADMIN, run_nsnew },
	{ "NSDEL", 2, 2, ADMIN, run_nsdel },
	{ "NSLIST", 1, 1, 0, run_nslist },
	{ "NSINFO", 2, 2, 0, run_nsinfo },
	{ "NSSET", 4, 4, ADMIN, run_nsset },
};

static const struct command *find(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (is_word(name, commands[i].name))
			return &commands[i];
	return NULL;
}

static void run_wait(struct call *c)
{
	const struct command *what = find(word(c, 1));
	uint64_t ms = WAIT_DEFAULT_MS;

	if (!what)
		refuse(c, "Unknown command to watch");
	else if (c->in->n == 3 && (parse_u64(word(c, 2), WAIT_MAX_MS, &ms) || ms < WAIT_MIN_MS))
		refuse(c, "Invalid timeout");
	else {
		c->session->waits_for = what;
		c->session->wait_ms = ms;
	}
}

bool command_wakes(const struct command *waits_for, const struct command *ran)
{
	return waits_for == ran || waits_for->run == run_any;
}

const char *command_name(const struct command *c)
{
	return c->name;
}

/* What forbids it, or NULL. */
static const char *forbidden(struct call *c, const struct command *what)
{
	const struct session *s = c->session;

	if (c->in->n < what->min_words || c->in->n > what->max_words)
		return "Unexpected arguments";
	for (size_t i = 0; i < c->in->n && !(what->flags & EMPTY_OK); i++)
		if (!c->in->words[i].n)
			return "Invalid argument";
	if (what->flags & ADMIN && !s->is_admin) {
		c->shared->counters.unauthorized++;
		return "Permission denied";
	}
	if (what->flags & WRITES && !s->is_writable)
		return "Namespace is in read-only mode";
	if (what->flags & (READS | WRITES) && s->space->settings.is_frozen)
		return "Namespace is temporarily frozen (read-write disabled)";
	if (what->flags & WRITES && s->space->settings.is_locked)
		return "Namespace is temporarily locked (read-only)";
	return NULL;
}

const struct command *command_run(struct call *c)
{
	const struct command *what = find(c->in->words[0]);
	const char *why;

	if (!c->session->space) {
		refuse(c, "Your active namespace is not available anymore (probably removed).");
		return NULL;
	}
	if (!what) {
		refuse(c, "Command not supported");
		return NULL;
	}
	if ((why = forbidden(c, what))) {
		refuse(c, why);
		return NULL;
	}
	c->shared->counters.executed++;
	what->run(c);
	return what;
}
