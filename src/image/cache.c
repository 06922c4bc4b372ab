#include "image/cache.h"

#include "base/file.h"
#include "base/parse.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>

/* A name in the cache: SCOPE-HEX. */
enum { NAME_LEN = CACHE_SCOPE_LEN + 1 + DIGEST_HEX_LEN };
enum { CACHE_HOLDER_MAX = 36 };
enum { RECORD_VERSION = 2, RECORD_BYTES_MAX = 4 << 20, FILES_MAX = 65536 };
static const char layer_suffix[] = ".erofs";

void cache_record_deinit(struct cache_record *r)
{
	json_unrefp(&r->data);
	*r = (struct cache_record){ 0 };
}

void cache_slot_path(const struct cache *c, unsigned slot, char ret[static CACHE_PATH_MAX])
{
	snprintf(ret, CACHE_PATH_MAX, "%s/work/%u", c->dir, slot);
}

void cache_scope(const char *host, const char *owner, char ret[static CACHE_SCOPE_LEN + 1])
{
	AUTO_BUF struct buf hex = { 0 }, text = { 0 };
	uint8_t sum[32];

	buf_addf(&text, *owner ? "%s %s" : "%s", host, owner);
	BUG_ON(buf_check(&text) || !EVP_Digest(text.p, text.len, sum, NULL, EVP_sha256(), NULL));
	format_hex(&hex, sum, CACHE_SCOPE_LEN / 2);
	BUG_ON(buf_check(&hex));
	memcpy(ret, hex.p, CACHE_SCOPE_LEN + 1);
}

void cache_layer_path(const struct cache *c, const char *scope, const char *hex, char ret[static CACHE_PATH_MAX])
{
	snprintf(ret, CACHE_PATH_MAX, "%s/layers/%s-%.64s%s", c->dir, scope, hex, layer_suffix);
}

static void record_path(const struct cache *c, const char *scope, const char *digest, char ret[static CACHE_PATH_MAX])
{
	snprintf(ret, CACHE_PATH_MAX, "%s/images/%s-%.64s", c->dir, scope, digest + 7);
}

int cache_open(struct cache *ret, const char *dir, struct err *e)
{
	static const char *const parts[] = { "layers", "images", "held" };
	char path[CACHE_PATH_MAX];
	struct cache c;
	int r = 0;

	if (dir[0] != '/' || strlen(dir) > CACHE_DIR_MAX)
		return err_set(e, -EINVAL, "the cache '%.60s' must be an absolute path of at most %d characters", dir, CACHE_DIR_MAX);
	snprintf(c.dir, sizeof(c.dir), "%s", dir);
	for (size_t i = 0; i < ARRAY_LEN(parts) && !r; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, parts[i]);
		r = dir_make(path, 0755, e);
	}
	snprintf(path, sizeof(path), "%s/work", dir);
	if (!r && !(r = tree_remove(AT_FDCWD, path, e)))
		r = dir_make(path, 0700, e);
	if (!r)
		*ret = c;
	return r;
}

int cache_slot_make(const struct cache *c, unsigned slot, struct err *e)
{
	char path[CACHE_PATH_MAX], fifo[CACHE_PATH_MAX + 8];
	int r;

	cache_slot_path(c, slot, path);
	if ((r = tree_remove(AT_FDCWD, path, e)) || (r = dir_make(path, 0700, e)))
		return r;
	snprintf(fifo, sizeof(fifo), "%s/fifo", path);
	return mkfifo(fifo, 0600) ? err_set(e, -errno, "make %s: %m", fifo) : 0;
}

/* The time of the last change is the time of the last use. */
static bool use(const char *path)
{
	return !utimensat(AT_FDCWD, path, NULL, 0);
}

bool cache_layer_is_there(const struct cache *c, const char *scope, const char *hex)
{
	char path[CACHE_PATH_MAX];

	cache_layer_path(c, scope, hex, path);
	return !access(path, F_OK); /* also true from a pull's sandbox: Landlock does not watch this call */
}

bool cache_layer_use(const struct cache *c, const char *scope, const char *hex)
{
	char path[CACHE_PATH_MAX];

	cache_layer_path(c, scope, hex, path);
	return use(path);
}

int cache_slot_add(const char *slot_dir, const char *from, const char *hex, struct err *e)
{
	char path[CACHE_PATH_MAX + 80];
	AUTO_FD int fd = open(from, O_RDONLY | O_CLOEXEC);

	snprintf(path, sizeof(path), "%s/%.64s%s", slot_dir, hex, layer_suffix);
	if (fd < 0 || fchmod(fd, 0444) || fsync(fd) || rename(from, path))
		return err_set(e, -errno, "keep the layer as %s: %m", path);
	return 0;
}

struct record {
	uint64_t version;
	const char *reference, *owner;
	sd_json_variant *config, *layers;
};
static const struct json_field record_fields[] = {
	{ "version", JSON_U64, offsetof(struct record, version), .required = true, .min = RECORD_VERSION, .max = RECORD_VERSION },
	{ "reference", JSON_TEXT, offsetof(struct record, reference), .required = true, .max = CACHE_REFERENCE_MAX },
	{ "owner", JSON_TEXT, offsetof(struct record, owner), .required = true, .max = KEY_TEXT_LEN },
	{ "config", JSON_ANY, offsetof(struct record, config), .required = true },
	{ "layers", JSON_TEXTS, offsetof(struct record, layers), .required = true, .max = MANIFEST_LAYERS_MAX },
};
static const struct json_table record_table = { record_fields, ARRAY_LEN(record_fields), 0, NULL };

int cache_slot_record(const char *slot_dir, const struct cache_record *record, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	AUTO_BUF struct buf text = { 0 };
	char path[CACHE_PATH_MAX + 8];
	int r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_UNSIGNED("version", RECORD_VERSION), SD_JSON_BUILD_PAIR_STRING("reference", record->reference),
			       SD_JSON_BUILD_PAIR_STRING("owner", record->owner), SD_JSON_BUILD_PAIR_VARIANT("config", record->config),
			       SD_JSON_BUILD_PAIR_VARIANT("layers", record->layers));

	if (r < 0 || (r = json_format(v, &text)))
		return err_set(e, r, "write the image's record: %s", strerror(-r));
	snprintf(path, sizeof(path), "%s/record", slot_dir);
	return file_save(AT_FDCWD, path, buf_str(&text), 0644, e);
}

static bool hex_ok(struct str s)
{
	uint8_t bytes[DIGEST_HEX_LEN / 2];

	return !parse_hex(s, bytes, sizeof(bytes));
}

/* A record says for whom it is, and lies in the scope of just that: a pull that was broken cannot write it for somebody else. */
static bool is_of_scope(const struct record *it, const char *scope)
{
	char own[CACHE_SCOPE_LEN + 1];
	struct reference reference;

	if (reference_parse(str_c(it->reference), &reference, NULL))
		return false;
	cache_scope(reference.host, it->owner, own);
	return !strcmp(own, scope);
}

static int record_load(const struct cache *c, const char *scope, const char *digest, struct cache_record *ret, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	AUTO_BUF struct buf text = { 0 };
	char path[CACHE_PATH_MAX];
	struct record it = { 0 };
	int r;

	record_path(c, scope, digest, path);
	if ((r = file_read(AT_FDCWD, path, RECORD_BYTES_MAX, &text, e)) || (r = json_parse(buf_str(&text), &v, e)) ||
	    (r = json_decode(v, &record_table, &it, e)))
		return err_wrap(e, r, "the record of %.20s...", digest);
	for (size_t i = 0; i < sd_json_variant_elements(it.layers); i++)
		if (!hex_ok(str_c(sd_json_variant_string(sd_json_variant_by_index(it.layers, i)))))
			return err_set(e, -EBADMSG, "the record of %.20s...: layer %zu is not 64 hex digits", digest, i);
	if (!is_of_scope(&it, scope))
		return err_set(e, -EBADMSG, "the record of %.20s...: is for somebody else", digest);
	*ret = (struct cache_record){ .data = take_ptr(v), .reference = it.reference, .owner = it.owner, .config = it.config, .layers = it.layers };
	return 0;
}

/* Whether all layers of IT are there; the first that is not in *RET. */
static bool record_is_whole(const struct cache *c, const char *scope, const struct cache_record *it,
			    bool (*there)(const struct cache *, const char *, const char *), const char **ret)
{
	for (size_t i = 0; i < sd_json_variant_elements(it->layers); i++) {
		*ret = sd_json_variant_string(sd_json_variant_by_index(it->layers, i));
		if (!there(c, scope, *ret))
			return false;
	}
	return true;
}

int cache_record_find(const struct cache *c, const char *scope, const char *digest, struct cache_record *ret, struct err *e)
{
	CLEANUP(cache_record_deinit) struct cache_record it = { 0 };
	const char *hex;
	int r = record_load(c, scope, digest, &it, e);

	if (r)
		return r == -EBADMSG ? -ENOENT : r;
	if (!record_is_whole(c, scope, &it, cache_layer_is_there, &hex))
		return err_set(e, -ENOENT, "layer %.12s... is not in the cache any more", hex);
	*ret = take(it, (struct cache_record){ 0 });
	return 0;
}

int cache_record_use(const struct cache *c, const char *scope, const char *digest, struct cache_record *ret, struct err *e)
{
	CLEANUP(cache_record_deinit) struct cache_record it = { 0 };
	char path[CACHE_PATH_MAX];
	const char *hex;
	int r = record_load(c, scope, digest, &it, e);

	if (r)
		return r == -EBADMSG ? -ENOENT : r; /* pulling it again makes a good one */
	if (!record_is_whole(c, scope, &it, cache_layer_use, &hex))
		return err_set(e, -ENOENT, "layer %.12s... is not in the cache any more", hex);
	record_path(c, scope, digest, path);
	use(path);
	*ret = take(it, (struct cache_record){ 0 });
	return 0;
}

/* Moves a file out of a slot, when it is one: a pull that was broken could have left anything there. Nothing of it runs any more. */
static int file_take(int slot, const char *name, const char *to, struct err *e)
{
	struct stat st;
	AUTO_FD int fd = openat(slot, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st))
		return err_set(e, -errno, "take over %s: %m", name);
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return err_set(e, -EBADMSG, "a pull left something that is no file where %.20s should be", name);
	if (fchmod(fd, 0444) || renameat(slot, name, AT_FDCWD, to))
		return err_set(e, -errno, "keep %s: %m", to);
	return 0;
}

static int layers_take(const struct cache *c, DIR *slot, const char *scope, struct err *e)
{
	int r = 0;

	for (struct dirent *f = readdir(slot); f && !r; f = readdir(slot)) {
		char path[CACHE_PATH_MAX];

		if (strlen(f->d_name) != DIGEST_HEX_LEN + sizeof(layer_suffix) - 1 || !hex_ok((struct str){ f->d_name, DIGEST_HEX_LEN }) ||
		    strcmp(f->d_name + DIGEST_HEX_LEN, layer_suffix) || cache_layer_is_there(c, scope, f->d_name))
			continue;
		cache_layer_path(c, scope, f->d_name, path);
		r = file_take(dirfd(slot), f->d_name, path, e);
	}
	return r;
}

static int record_take(const struct cache *c, DIR *slot, const char *scope, const char *digest, struct err *e)
{
	CLEANUP(cache_record_deinit) struct cache_record it = { 0 };
	char path[CACHE_PATH_MAX];
	const char *hex;

	if (!record_load(c, scope, digest, &it, NULL) && record_is_whole(c, scope, &it, cache_layer_is_there, &hex))
		return 0;
	record_path(c, scope, digest, path);
	return file_take(dirfd(slot), "record", path, e);
}

static int part_sync(const struct cache *c, const char *part, struct err *e)
{
	char path[CACHE_PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", c->dir, part);
	AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) ? err_set(e, -errno, "write %s: %m", path) : 0;
}

int cache_slot_take(const struct cache *c, unsigned slot, const char *scope, const char *digest, struct err *e)
{
	AUTO_DIR DIR *d = NULL;
	char path[CACHE_PATH_MAX];
	int r = 0;

	cache_slot_path(c, slot, path);
	d = opendir(path);
	if (!d)
		return err_set(e, -errno, "open %s: %m", path);
	if (!(r = layers_take(c, d, scope, e)) && !(r = part_sync(c, "layers", e)) && digest && !(r = record_take(c, d, scope, digest, e)))
		r = part_sync(c, "images", e);
	return r ? r : tree_remove(AT_FDCWD, path, e);
}

/* What there is, for eviction. */
struct entry {
	char name[NAME_LEN + 1]; /* SCOPE-HEX */
	int64_t used_s;
	uint64_t size_bytes;
	bool kept, gone;
};
struct entries {
	struct entry *list;
	size_t n;
};

static void entries_deinit(struct entries *e)
{
	free(e->list);
}

static int older(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return (x->used_s > y->used_s) - (x->used_s < y->used_s);
}

static void entry_add(struct entries *all, int dir_fd, const char *name)
{
	struct entry *it;
	struct stat st;

	if (strnlen(name, NAME_LEN) < NAME_LEN || fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) || all->n >= FILES_MAX)
		return;
	all->list = reallocarray(all->list, all->n + 1, sizeof(*all->list));
	BUG_ON(!all->list);
	it = &all->list[all->n++];
	*it = (struct entry){ .used_s = st.st_mtime, .size_bytes = (uint64_t)st.st_blocks * 512 };
	memcpy(it->name, name, NAME_LEN);
}

/* The files of one part of the cache, least recently used first. */
static int entries_list(const struct cache *c, const char *part, struct entries *ret, struct err *e)
{
	char path[CACHE_PATH_MAX];
	AUTO_DIR DIR *d = NULL;

	snprintf(path, sizeof(path), "%s/%s", c->dir, part);
	d = opendir(path);
	if (!d)
		return err_set(e, -errno, "list %s: %m", path);
	for (struct dirent *f = readdir(d); f; f = readdir(d))
		entry_add(ret, dirfd(d), f->d_name);
	if (ret->n)
		qsort(ret->list, ret->n, sizeof(*ret->list), older);
	return 0;
}

/* SCOPE-HEX taken apart. */
static bool name_decode(struct str name, char scope[static CACHE_SCOPE_LEN + 1], char digest[static DIGEST_LEN + 1])
{
	uint8_t bytes[CACHE_SCOPE_LEN / 2];
	struct str first;

	if (!str_next(&name, '-', &first) || parse_hex(first, bytes, sizeof(bytes)) || !name.p || !hex_ok(name))
		return false;
	snprintf(scope, CACHE_SCOPE_LEN + 1, STR_FMT, STR_ARG(first));
	snprintf(digest, DIGEST_LEN + 1, "sha256:" STR_FMT, STR_ARG(name));
	return true;
}

static void layers_keep(struct entries *layers, const char *scope, sd_json_variant *hexes)
{
	for (size_t i = 0; i < sd_json_variant_elements(hexes); i++) {
		char name[NAME_LEN + 1];

		snprintf(name, sizeof(name), "%s-%s", scope, sd_json_variant_string(sd_json_variant_by_index(hexes, i)));
		for (size_t k = 0; k < layers->n; k++)
			if (!strcmp(layers->list[k].name, name))
				layers->list[k].kept = true;
	}
}

/* Marks the layers of the images that somebody holds. */
static int held_keep(const struct cache *c, struct entries *layers, struct err *e)
{
	char path[CACHE_PATH_MAX];
	AUTO_DIR DIR *d = NULL;

	snprintf(path, sizeof(path), "%s/held", c->dir);
	d = opendir(path);
	if (!d)
		return err_set(e, -errno, "list %s: %m", path);
	for (struct dirent *f = readdir(d); f; f = readdir(d)) {
		CLEANUP(cache_record_deinit) struct cache_record it = { 0 };
		char scope[CACHE_SCOPE_LEN + 1], digest[DIGEST_LEN + 1];
		AUTO_BUF struct buf name = { 0 };

		if (name_ok(str_c(f->d_name)) && !file_read(dirfd(d), f->d_name, NAME_LEN, &name, NULL) &&
		    name_decode(buf_str(&name), scope, digest) && !record_load(c, scope, digest, &it, NULL))
			layers_keep(layers, scope, it.layers);
	}
	return 0;
}

/* Records of images that lack a layer say nothing any more. */
static int records_drop(const struct cache *c, const struct entries *images)
{
	int n = 0;

	for (size_t i = 0; i < images->n; i++) {
		CLEANUP(cache_record_deinit) struct cache_record it = { 0 };
		char scope[CACHE_SCOPE_LEN + 1], digest[DIGEST_LEN + 1], path[CACHE_PATH_MAX];
		const char *hex;

		if (!name_decode(str_c(images->list[i].name), scope, digest) ||
		    (!record_load(c, scope, digest, &it, NULL) && record_is_whole(c, scope, &it, cache_layer_is_there, &hex)))
			continue;
		record_path(c, scope, digest, path);
		n += !unlink(path);
	}
	return n;
}

static void held_path(const struct cache *c, const char *holder, char ret[static CACHE_PATH_MAX])
{
	snprintf(ret, CACHE_PATH_MAX, "%s/held/%s", c->dir, holder);
}

int cache_hold(const struct cache *c, const char *holder, const char *scope, const char *digest, struct err *e)
{
	char path[CACHE_PATH_MAX], name[NAME_LEN + 1];

	held_path(c, holder, path);
	snprintf(name, sizeof(name), "%s-%s", scope, digest + strlen("sha256:"));
	return file_keep(AT_FDCWD, path, str_c(name), 0644, e);
}

void cache_release(const struct cache *c, const char *holder)
{
	char path[CACHE_PATH_MAX];

	held_path(c, holder, path);
	unlink(path);
}

int cache_holders(const struct cache *c, sd_json_variant **ret, struct err *e)
{
	AUTO_JSON sd_json_variant *all = NULL;
	AUTO_DIR DIR *d = NULL;
	char path[CACHE_PATH_MAX];
	int r = sd_json_variant_new_array(&all, NULL, 0);

	snprintf(path, sizeof(path), "%s/held", c->dir);
	d = opendir(path);
	if (!d)
		return err_set(e, -errno, "list %s: %m", path);
	for (struct dirent *f = readdir(d); f && r >= 0; f = readdir(d))
		if (name_ok(str_c(f->d_name)))
			r = sd_json_variant_append_arrayb(&all, SD_JSON_BUILD_STRING(f->d_name));
	if (r < 0)
		return err_set(e, r, "list %s: %s", path, strerror(-r));
	*ret = take_ptr(all);
	return 0;
}

int cache_evict(const struct cache *c, uint64_t limit_bytes, int64_t since_s, struct err *e)
{
	CLEANUP(entries_deinit) struct entries layers = { 0 }, images = { 0 };
	uint64_t total = 0;
	int n = 0, r;

	if ((r = entries_list(c, "layers", &layers, e)) || (r = entries_list(c, "images", &images, e)))
		return r;
	for (size_t i = 0; i < layers.n; i++)
		total += layers.list[i].size_bytes;
	if (total <= limit_bytes)
		return 0;
	if ((r = held_keep(c, &layers, e)))
		return r;
	for (size_t i = 0; i < layers.n && total > limit_bytes; i++) {
		char path[CACHE_PATH_MAX];

		snprintf(path, sizeof(path), "%s/layers/%s%s", c->dir, layers.list[i].name, layer_suffix);
		if (layers.list[i].kept || layers.list[i].used_s >= since_s || unlink(path))
			continue;
		total -= layers.list[i].size_bytes;
		n++;
	}
	return n + (n ? records_drop(c, &images) : 0);
}

/* What holders need: a bounded list of {holder, image}. */
struct held {
	char (*holders)[CACHE_HOLDER_MAX + 1], (*names)[NAME_LEN + 1];
	size_t n;
};

static void held_deinit(struct held *h)
{
	free(h->holders);
	free(h->names);
}

static void held_add(struct held *h, int dir_fd, const char *holder)
{
	AUTO_BUF struct buf name = { 0 };
	char scope[CACHE_SCOPE_LEN + 1], digest[DIGEST_LEN + 1];

	if (!name_ok(str_c(holder)) || h->n >= FILES_MAX || file_read(dir_fd, holder, NAME_LEN, &name, NULL) ||
	    !name_decode(buf_str(&name), scope, digest))
		return;
	h->holders = reallocarray(h->holders, h->n + 1, sizeof(*h->holders));
	h->names = reallocarray(h->names, h->n + 1, sizeof(*h->names));
	BUG_ON(!h->holders || !h->names);
	snprintf(h->holders[h->n], sizeof(*h->holders), "%s", holder);
	snprintf(h->names[h->n++], sizeof(*h->names), "%s", name.p);
}

static int held_list(const struct cache *c, struct held *ret, struct err *e)
{
	AUTO_DIR DIR *d = NULL;
	char path[CACHE_PATH_MAX];

	snprintf(path, sizeof(path), "%s/held", c->dir);
	d = opendir(path);
	if (!d)
		return err_set(e, -errno, "list %s: %m", path);
	for (struct dirent *f = readdir(d); f; f = readdir(d))
		held_add(ret, dirfd(d), f->d_name);
	return 0;
}

int cache_needs(const struct cache *c, int (*each)(void *ctx, const struct cache_need *n), void *ctx, struct err *e)
{
	CLEANUP(held_deinit) struct held held = { 0 };
	int r = held_list(c, &held, e);

	for (size_t i = 0; i < held.n && !r; i++) {
		struct cache_need n = { .holder = held.holders[i], .name = held.names[i] };

		BUG_ON(!name_decode(str_c(n.name), n.scope, n.digest)); /* held_add() has looked */
		r = each(ctx, &n);
	}
	return r;
}

static bool is_held(const struct held *h, const char *name)
{
	for (size_t i = 0; i < h->n; i++)
		if (!strcmp(h->names[i], name))
			return true;
	return false;
}

static uint64_t layer_bytes(const struct cache *c, const char *scope, const char *hex)
{
	char path[CACHE_PATH_MAX];
	struct stat st;

	cache_layer_path(c, scope, hex, path);
	return stat(path, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

/* One row of the list; nothing for a record that lacks a layer. */
static int row_append(const struct cache *c, const struct entry *image, const struct held *held, sd_json_variant **list)
{
	CLEANUP(cache_record_deinit) struct cache_record it = { 0 };
	AUTO_JSON sd_json_variant *holders = NULL;
	char scope[CACHE_SCOPE_LEN + 1], digest[DIGEST_LEN + 1];
	uint64_t size = 0;
	const char *hex;
	int r = sd_json_variant_new_array(&holders, NULL, 0);

	if (r < 0 || !name_decode(str_c(image->name), scope, digest) || record_load(c, scope, digest, &it, NULL) ||
	    !record_is_whole(c, scope, &it, cache_layer_is_there, &hex))
		return r;
	for (size_t i = 0; i < sd_json_variant_elements(it.layers); i++)
		size += layer_bytes(c, scope, sd_json_variant_string(sd_json_variant_by_index(it.layers, i)));
	for (size_t i = 0; i < held->n && r >= 0; i++)
		if (!strcmp(held->names[i], image->name))
			r = sd_json_variant_append_arrayb(&holders, SD_JSON_BUILD_STRING(held->holders[i]));
	return r < 0 ? r
		     : sd_json_variant_append_arraybo(
			       list, SD_JSON_BUILD_PAIR_STRING("reference", it.reference), SD_JSON_BUILD_PAIR_STRING("digest", digest),
			       SD_JSON_BUILD_PAIR_STRING("owner", it.owner), SD_JSON_BUILD_PAIR_UNSIGNED("size", size),
			       SD_JSON_BUILD_PAIR_UNSIGNED("used", (uint64_t)image->used_s), SD_JSON_BUILD_PAIR_VARIANT("holders", holders));
}

int cache_list(const struct cache *c, sd_json_variant **ret, struct err *e)
{
	CLEANUP(entries_deinit) struct entries images = { 0 };
	CLEANUP(held_deinit) struct held held = { 0 };
	AUTO_JSON sd_json_variant *list = NULL;
	int r;

	if ((r = entries_list(c, "images", &images, e)) || (r = held_list(c, &held, e)))
		return r;
	r = sd_json_variant_new_array(&list, NULL, 0);
	for (size_t i = images.n; i-- > 0 && r >= 0;) /* the last used one first */
		r = row_append(c, &images.list[i], &held, &list);
	if (r < 0)
		return err_set(e, r, "list the images: %s", strerror(-r));
	*ret = take_ptr(list);
	return 0;
}

/* Removes what no record of SCOPE, the start of a name, needs. */
static uint64_t scope_sweep(const struct cache *c, const char *scope, struct entries *layers, const struct entries *images, int64_t since_s)
{
	uint64_t freed = 0;

	for (size_t i = 0; i < images->n; i++) {
		CLEANUP(cache_record_deinit) struct cache_record it = { 0 };
		char of[CACHE_SCOPE_LEN + 1], digest[DIGEST_LEN + 1];

		if (name_decode(str_c(images->list[i].name), of, digest) && !strncmp(of, scope, CACHE_SCOPE_LEN) &&
		    !record_load(c, of, digest, &it, NULL))
			layers_keep(layers, of, it.layers);
	}
	for (size_t i = 0; i < layers->n; i++) {
		const struct entry *it = &layers->list[i];
		char path[CACHE_PATH_MAX];

		snprintf(path, sizeof(path), "%s/layers/%s%s", c->dir, it->name, layer_suffix);
		if (!it->kept && it->used_s < since_s && !strncmp(it->name, scope, CACHE_SCOPE_LEN) && !unlink(path))
			freed += it->size_bytes;
	}
	return freed;
}

int cache_prune(const struct cache *c, const char *owner, int64_t since_s, uint64_t *ret_bytes, struct err *e)
{
	CLEANUP(entries_deinit) struct entries layers = { 0 }, images = { 0 };
	CLEANUP(held_deinit) struct held held = { 0 };
	int n = 0, r;

	if ((r = entries_list(c, "layers", &layers, e)) || (r = entries_list(c, "images", &images, e)) || (r = held_list(c, &held, e)))
		return r;
	*ret_bytes = 0;
	for (size_t i = 0; i < images.n; i++) {
		CLEANUP(cache_record_deinit) struct cache_record it = { 0 };
		char scope[CACHE_SCOPE_LEN + 1], digest[DIGEST_LEN + 1], path[CACHE_PATH_MAX];

		if (is_held(&held, images.list[i].name) || images.list[i].used_s >= since_s ||
		    !name_decode(str_c(images.list[i].name), scope, digest) ||
		    (owner && (record_load(c, scope, digest, &it, NULL) || strcmp(it.owner, owner))))
			continue;
		record_path(c, scope, digest, path);
		images.list[i].gone = !unlink(path);
		n += images.list[i].gone;
	}
	for (size_t i = 0; i < images.n; i++)
		if (images.list[i].gone)
			*ret_bytes += scope_sweep(c, images.list[i].name, &layers, &images, since_s);
	return n;
}
