#include "image/cache.h"

#include "base/file.h"
#include "base/parse.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { RECORD_VERSION = 1, RECORD_BYTES_MAX = 4 << 20, FILES_MAX = 65536 };
static const char *const slot_files[] = { "blob", "out" };

void cache_record_deinit(struct cache_record *r)
{
	json_unrefp(&r->data);
	r->config = r->layers = NULL;
}

void cache_slot_path(const struct cache *c, unsigned slot, char ret[static CACHE_PATH_MAX])
{
	snprintf(ret, CACHE_PATH_MAX, "%s/work/%u", c->dir, slot);
}

void cache_layer_path(const struct cache *c, const char *hex, char ret[static CACHE_PATH_MAX])
{
	snprintf(ret, CACHE_PATH_MAX, "%s/layers/%.64s.erofs", c->dir, hex);
}

static void record_path(const struct cache *c, const char *digest, char ret[static CACHE_PATH_MAX])
{
	snprintf(ret, CACHE_PATH_MAX, "%s/images/%.64s", c->dir, digest + 7);
}

static int slots_make(const struct cache *c, struct err *e)
{
	char path[CACHE_PATH_MAX], fifo[CACHE_PATH_MAX + 8];
	int r;

	snprintf(path, sizeof(path), "%s/work", c->dir);
	if ((r = tree_remove(AT_FDCWD, path, e)))
		return r;
	for (unsigned i = 0; i < CACHE_SLOTS; i++) {
		cache_slot_path(c, i, path);
		if ((r = dir_make(path, 0700, e)))
			return r;
		snprintf(fifo, sizeof(fifo), "%s/fifo", path);
		if (mkfifo(fifo, 0600))
			return err_set(e, -errno, "make %s: %m", fifo);
	}
	return 0;
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
	if (!r)
		r = slots_make(&c, e);
	if (!r)
		*ret = c;
	return r;
}

void cache_slot_clear(const struct cache *c, unsigned slot)
{
	char path[CACHE_PATH_MAX], file[CACHE_PATH_MAX + 8];

	cache_slot_path(c, slot, path);
	for (size_t i = 0; i < ARRAY_LEN(slot_files); i++) {
		snprintf(file, sizeof(file), "%s/%s", path, slot_files[i]);
		unlink(file);
	}
}

/* The time of the last change is the time of the last use. */
static bool use(const char *path)
{
	return !utimensat(AT_FDCWD, path, NULL, 0);
}

bool cache_layer_use(const struct cache *c, const char *hex)
{
	char path[CACHE_PATH_MAX];

	cache_layer_path(c, hex, path);
	return use(path);
}

int cache_layer_add(const struct cache *c, const char *from, const char *hex, struct err *e)
{
	char path[CACHE_PATH_MAX], dir[CACHE_PATH_MAX];
	AUTO_FD int fd = open(from, O_RDONLY | O_CLOEXEC);

	cache_layer_path(c, hex, path);
	snprintf(dir, sizeof(dir), "%s/layers", c->dir);
	AUTO_FD int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || dir_fd < 0 || fchmod(fd, 0444) || fsync(fd) || rename(from, path) || fsync(dir_fd))
		return err_set(e, -errno, "keep the layer as %s: %m", path);
	return 0;
}

struct record {
	uint64_t version;
	sd_json_variant *config, *layers;
};
static const struct json_field record_fields[] = {
	{ "version", JSON_U64, offsetof(struct record, version), .required = true, .min = RECORD_VERSION, .max = RECORD_VERSION },
	{ "config", JSON_ANY, offsetof(struct record, config), .required = true },
	{ "layers", JSON_TEXTS, offsetof(struct record, layers), .required = true, .max = MANIFEST_LAYERS_MAX },
};
static const struct json_table record_table = { record_fields, ARRAY_LEN(record_fields), 0, NULL };

int cache_record_save(const struct cache *c, const char *digest, sd_json_variant *config, sd_json_variant *layers, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	AUTO_BUF struct buf text = { 0 };
	char path[CACHE_PATH_MAX];
	int r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_UNSIGNED("version", RECORD_VERSION), SD_JSON_BUILD_PAIR_VARIANT("config", config),
	                       SD_JSON_BUILD_PAIR_VARIANT("layers", layers));

	if (r < 0 || (r = json_format(v, &text)))
		return err_set(e, r, "write the image's record: %s", strerror(-r));
	record_path(c, digest, path);
	return file_save(AT_FDCWD, path, buf_str(&text), 0644, e);
}

static bool hex_ok(sd_json_variant *v)
{
	char digest[DIGEST_LEN + 1];

	return sd_json_variant_is_string(v) && strlen(sd_json_variant_string(v)) == DIGEST_HEX_LEN &&
	       snprintf(digest, sizeof(digest), "sha256:%s", sd_json_variant_string(v)) == DIGEST_LEN && digest_ok(str_c(digest));
}

static int record_load(const struct cache *c, const char *digest, struct cache_record *ret, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	AUTO_BUF struct buf text = { 0 };
	char path[CACHE_PATH_MAX];
	struct record it = { 0 };
	int r;

	record_path(c, digest, path);
	if ((r = file_read(AT_FDCWD, path, RECORD_BYTES_MAX, &text, e)) || (r = json_parse(buf_str(&text), &v, e)) ||
	    (r = json_decode(v, &record_table, &it, e)))
		return err_wrap(e, r, "the record of %.20s...", digest);
	for (size_t i = 0; i < sd_json_variant_elements(it.layers); i++)
		if (!hex_ok(sd_json_variant_by_index(it.layers, i)))
			return err_set(e, -EBADMSG, "the record of %.20s...: layer %zu is not 64 hex digits", digest, i);
	*ret = (struct cache_record){ .data = take_ptr(v), .config = it.config, .layers = it.layers };
	return 0;
}

int cache_record_use(const struct cache *c, const char *digest, struct cache_record *ret, struct err *e)
{
	CLEANUP(cache_record_deinit) struct cache_record it = { 0 };
	char path[CACHE_PATH_MAX];
	int r = record_load(c, digest, &it, e);

	if (r)
		return r == -EBADMSG ? -ENOENT : r; /* pulling it again makes a good one */
	for (size_t i = 0; i < sd_json_variant_elements(it.layers); i++) {
		const char *hex = sd_json_variant_string(sd_json_variant_by_index(it.layers, i));

		if (!cache_layer_use(c, hex))
			return err_set(e, -ENOENT, "layer %.12s... is not in the cache any more", hex);
	}
	record_path(c, digest, path);
	use(path);
	*ret = take(it, (struct cache_record){ 0 });
	return 0;
}

/* What there is, for eviction. */
struct entry {
	char hex[DIGEST_HEX_LEN + 1];
	int64_t used_s;
	uint64_t size_bytes;
	bool kept;
};
struct entries {
	struct entry *list;
	size_t n;
};

static void entries_deinit(struct entries *e)
{
	free(e->list);
}

static void dir_closep(DIR **d)
{
	if (*d)
		closedir(*d);
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

	if (strnlen(name, DIGEST_HEX_LEN) < DIGEST_HEX_LEN || fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) || all->n >= FILES_MAX)
		return;
	all->list = reallocarray(all->list, all->n + 1, sizeof(*all->list));
	BUG_ON(!all->list);
	it = &all->list[all->n++];
	*it = (struct entry){ .used_s = st.st_mtime, .size_bytes = (uint64_t)st.st_blocks * 512 };
	memcpy(it->hex, name, DIGEST_HEX_LEN);
}

/* The files of one part of the cache, least recently used first. */
static int entries_list(const struct cache *c, const char *part, struct entries *ret, struct err *e)
{
	char path[CACHE_PATH_MAX];
	CLEANUP(dir_closep) DIR *d = NULL;

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

static void layers_keep(struct entries *layers, sd_json_variant *names)
{
	for (size_t i = 0; i < sd_json_variant_elements(names); i++)
		for (size_t k = 0; k < layers->n; k++)
			if (!strcmp(layers->list[k].hex, sd_json_variant_string(sd_json_variant_by_index(names, i))))
				layers->list[k].kept = true;
}

/* Marks the layers of the images that somebody holds. */
static int held_keep(const struct cache *c, struct entries *layers, struct err *e)
{
	char path[CACHE_PATH_MAX];
	CLEANUP(dir_closep) DIR *d = NULL;

	snprintf(path, sizeof(path), "%s/held", c->dir);
	d = opendir(path);
	if (!d)
		return err_set(e, -errno, "list %s: %m", path);
	for (struct dirent *f = readdir(d); f; f = readdir(d)) {
		CLEANUP(cache_record_deinit) struct cache_record it = { 0 };
		AUTO_BUF struct buf digest = { 0 };

		if (name_ok(str_c(f->d_name)) && !file_read(dirfd(d), f->d_name, DIGEST_LEN, &digest, NULL) &&
		    digest_ok(buf_str(&digest)) && !record_load(c, digest.p, &it, NULL))
			layers_keep(layers, it.layers);
	}
	return 0;
}

/* Records of images that lack a layer say nothing any more. */
static int records_drop(const struct cache *c, const struct entries *images)
{
	int n = 0;

	for (size_t i = 0; i < images->n; i++) {
		CLEANUP(cache_record_deinit) struct cache_record it = { 0 };
		char digest[DIGEST_LEN + 1], path[CACHE_PATH_MAX];
		bool whole = true;

		snprintf(digest, sizeof(digest), "sha256:%s", images->list[i].hex);
		whole = !record_load(c, digest, &it, NULL);
		for (size_t k = 0; whole && k < sd_json_variant_elements(it.layers); k++) {
			cache_layer_path(c, sd_json_variant_string(sd_json_variant_by_index(it.layers, k)), path);
			whole = !access(path, F_OK);
		}
		record_path(c, digest, path);
		n += !whole && !unlink(path);
	}
	return n;
}

static void held_path(const struct cache *c, const char *holder, char ret[static CACHE_PATH_MAX])
{
	snprintf(ret, CACHE_PATH_MAX, "%s/held/%s", c->dir, holder);
}

int cache_hold(const struct cache *c, const char *holder, const char *digest, struct err *e)
{
	char path[CACHE_PATH_MAX];

	held_path(c, holder, path);
	return file_save(AT_FDCWD, path, str_c(digest), 0644, e);
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
	CLEANUP(dir_closep) DIR *d = NULL;
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

		cache_layer_path(c, layers.list[i].hex, path);
		if (layers.list[i].kept || layers.list[i].used_s >= since_s || unlink(path))
			continue;
		total -= layers.list[i].size_bytes;
		n++;
	}
	return n + (n ? records_drop(c, &images) : 0);
}
