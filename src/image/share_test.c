#include "image/share.h"

#include "base/file.h"
#include "test/t.h"

#include <fcntl.h>
#include <sys/stat.h>

#define HOST "registry.example"
enum { LAYER_BYTES = 40960 };

struct fixture {
	char top[64];
	struct cache a, b;
	char scope[CACHE_SCOPE_LEN + 1];
};

static void up(struct fixture *f)
{
	char path[CACHE_DIR_MAX];
	struct err e = { 0 };

	snprintf(f->top, sizeof(f->top), "/tmp/share-XXXXXX");
	T_NEED(mkdtemp(f->top), "a directory");
	snprintf(path, sizeof(path), "%s/a", f->top);
	T_NEED(!dir_make(path, 0700, &e) && !cache_open(&f->a, path, &e), "%s", e.msg);
	f->b = f->a;
	f->b.dir[strlen(path) - 1] = 'b';
	T_NEED(!dir_make(f->b.dir, 0700, &e) && !share_open(&f->b, getuid(), &e), "%s", e.msg);
	cache_scope(HOST, "", f->scope);
}

static void down(struct fixture *f)
{
	struct err e = { 0 };

	T_CHECK(!tree_remove(AT_FDCWD, f->top, &e), "%s", e.msg);
}

/* 64 digits that begin with N. */
static const char *hex(unsigned n)
{
	static char text[4][DIGEST_HEX_LEN + 1];

	snprintf(text[n % 4], sizeof(text[0]), "%08x%056d", n, 0);
	return text[n % 4];
}

static void digest_of(unsigned n, char ret[static DIGEST_LEN + 1])
{
	snprintf(ret, DIGEST_LEN + 1, "sha256:%s", hex(n));
}

/* Image N, of the layers N and N + 1, comes into C as a pull leaves it. */
static void image_add(struct fixture *f, struct cache *c, unsigned n)
{
	char slot[CACHE_PATH_MAX], path[CACHE_PATH_MAX + 8], digest[DIGEST_LEN + 1];
	static const char bytes[LAYER_BYTES] = "a layer";
	struct cache_record it = { .reference = HOST "/image:1", .owner = "" };
	AUTO_JSON sd_json_variant *config = NULL, *layers = NULL;
	struct err e = { 0 };

	digest_of(n, digest);
	T_NEED(sd_json_variant_new_object(&config, NULL, 0) >= 0 &&
		       sd_json_build(&layers, SD_JSON_BUILD_ARRAY(SD_JSON_BUILD_STRING(hex(n)), SD_JSON_BUILD_STRING(hex(n + 1)))) >= 0,
	       "a record");
	it.config = config;
	it.layers = layers;
	T_NEED(!cache_slot_make(c, 0, &e), "%s", e.msg);
	cache_slot_path(c, 0, slot);
	snprintf(path, sizeof(path), "%s/out", slot);
	for (unsigned i = n; i < n + 2; i++)
		T_NEED(!file_save(AT_FDCWD, path, (struct str){ bytes, sizeof(bytes) }, 0600, &e) && !cache_slot_add(slot, path, hex(i), &e), "%s",
		       e.msg);
	T_NEED(!cache_slot_record(slot, &it, &e) && !cache_slot_take(c, 0, f->scope, digest, &e), "%s", e.msg);
}

static void hold(struct fixture *f, struct cache *c, const char *holder, unsigned n)
{
	char digest[DIGEST_LEN + 1];
	struct err e = { 0 };

	digest_of(n, digest);
	T_NEED(!cache_hold(c, holder, f->scope, digest, &e), "%s", e.msg);
}

static bool is_whole(struct fixture *f, const struct cache *c, unsigned n)
{
	CLEANUP(cache_record_deinit) struct cache_record it = { 0 };
	char digest[DIGEST_LEN + 1];

	digest_of(n, digest);
	return !cache_record_find(c, f->scope, digest, &it, NULL);
}

struct asked {
	const char *holder, *hex;
	bool is_so;
};

static int ask(void *ctx, const struct cache_need *n)
{
	struct asked *a = ctx;

	a->is_so |= !strcmp(n->holder, a->holder) && !strcmp(n->digest + strlen("sha256:"), a->hex);
	return 0;
}

static bool needs(const struct cache *c, const char *holder, unsigned n)
{
	struct asked a = { holder, hex(n), false };
	struct err e = { 0 };

	T_CHECK(!cache_needs(c, ask, &a, &e), "%s", e.msg);
	return a.is_so;
}

static struct share_end give(const struct cache *from, const struct cache *to, bool is_newer, uint64_t limit)
{
	struct share_end end = { 0 };
	struct err e = { 0 };

	T_CHECK(!share_give(from, to, is_newer, limit, &end, &e), "%s", e.msg);
	return end;
}

static void what_is_needed_is_given_and_nothing_else(void)
{
	struct fixture f;
	struct share_end end;

	up(&f);
	image_add(&f, &f.a, 1);
	image_add(&f, &f.a, 8);
	hold(&f, &f.a, "web", 1);
	hold(&f, &f.a, "lost", 16); /* an image that is not there */
	end = give(&f.a, &f.b, true, UINT64_MAX);
	T_CHECK(end.n_given == 1 && !end.n_left_out, "%zu", end.n_given);
	T_CHECK(is_whole(&f, &f.b, 1) && needs(&f.b, "web", 1), "it is there");
	T_CHECK(!is_whole(&f, &f.b, 8) && !cache_layer_is_there(&f.b, f.scope, hex(8)) && !needs(&f.b, "lost", 16), "nobody needs it");
	end = give(&f.a, &f.b, true, UINT64_MAX);
	T_CHECK(!end.n_given, "once is enough");
	down(&f);
}

/* A power cut, or a disk that was away, leaves less than all. */
static void what_is_half_there_is_made_whole(void)
{
	char path[CACHE_PATH_MAX];
	struct fixture f;

	up(&f);
	image_add(&f, &f.a, 1);
	hold(&f, &f.a, "web", 1);
	(void)give(&f.a, &f.b, true, UINT64_MAX);
	cache_layer_path(&f.b, f.scope, hex(2), path);
	T_NEED(!unlink(path) && !is_whole(&f, &f.b, 1), "a layer is not there");
	T_CHECK(give(&f.a, &f.b, true, UINT64_MAX).n_given == 1 && is_whole(&f, &f.b, 1), "it is whole");
	snprintf(path, sizeof(path), "%s/images/%s-%s", f.b.dir, f.scope, hex(1));
	T_NEED(!chmod(path, 0600) && !truncate(path, 7) && !is_whole(&f, &f.b, 1), "its record says nothing");
	T_CHECK(give(&f.a, &f.b, true, UINT64_MAX).n_given == 1 && is_whole(&f, &f.b, 1), "it is whole");
	down(&f);
}

static void who_knows_less_does_not_say_who_needs_what(void)
{
	struct fixture f;

	up(&f);
	image_add(&f, &f.a, 1);
	image_add(&f, &f.b, 8);
	hold(&f, &f.a, "web", 1);
	hold(&f, &f.b, "web", 8); /* of before */
	hold(&f, &f.b, "db", 8);
	T_CHECK(give(&f.b, &f.a, false, UINT64_MAX).n_given == 1, "one of the two was only there");
	T_CHECK(needs(&f.a, "web", 1) && needs(&f.a, "db", 8) && is_whole(&f, &f.a, 8), "what was known holds");
	(void)give(&f.a, &f.b, true, UINT64_MAX);
	T_CHECK(needs(&f.b, "web", 1) && needs(&f.b, "db", 8), "the newer word holds");
	down(&f);
}

static void a_limit_holds_and_what_is_left_out_is_told(void)
{
	const uint64_t one = 2 * LAYER_BYTES;
	struct fixture f;
	struct share_end end;

	up(&f);
	image_add(&f, &f.a, 1);
	image_add(&f, &f.a, 8);
	hold(&f, &f.a, "one", 1);
	end = give(&f.a, &f.b, true, one);
	T_CHECK(end.n_given == 1 && !end.n_left_out, "it fits: %zu, %zu", end.n_given, end.n_left_out);
	hold(&f, &f.a, "two", 8);
	end = give(&f.a, &f.b, true, 2 * one - 1);
	T_CHECK(!end.n_given && end.n_left_out == 1 && !needs(&f.b, "two", 8), "%zu, %zu", end.n_given, end.n_left_out);
	end = give(&f.a, &f.b, true, 2 * one);
	T_CHECK(end.n_given == 1 && !end.n_left_out && needs(&f.b, "two", 8), "%zu, %zu", end.n_given, end.n_left_out);
	down(&f);
}

static void a_copy_loses_what_nobody_needs_and_nothing_else_does(void)
{
	struct fixture f;
	struct err e = { 0 };

	up(&f);
	image_add(&f, &f.a, 1);
	image_add(&f, &f.a, 8);
	hold(&f, &f.a, "one", 1);
	hold(&f, &f.a, "two", 8);
	(void)give(&f.a, &f.b, true, UINT64_MAX);
	cache_release(&f.a, "two");
	T_CHECK(!share_trim(&f.a, &f.b, &e) && is_whole(&f, &f.b, 1) && needs(&f.b, "one", 1), "%s", e.msg);
	T_CHECK(!is_whole(&f, &f.b, 8) && !cache_layer_is_there(&f.b, f.scope, hex(9)) && !needs(&f.b, "two", 8), "it is gone");
	cache_release(&f.b, "one"); /* the other way round: what is no copy keeps all */
	T_CHECK(!share_trim(&f.b, &f.a, &e) && is_whole(&f, &f.a, 8) && needs(&f.a, "one", 1), "%s", e.msg);
	down(&f);
}

int main(void)
{
	T_RUN(what_is_needed_is_given_and_nothing_else);
	T_RUN(what_is_half_there_is_made_whole);
	T_RUN(who_knows_less_does_not_say_who_needs_what);
	T_RUN(a_limit_holds_and_what_is_left_out_is_told);
	T_RUN(a_copy_loses_what_nobody_needs_and_nothing_else_does);
	return T_END();
}
