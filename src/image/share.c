#include "image/share.h"

#include "base/file.h"
#include "image/filecopy.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum { FREE_PART = 16 };

struct folders {
	int layers, images, held;
};
#define FOLDERS_NONE { -1, -1, -1 }

static const struct {
	const char *name;
	size_t off;
} parts[] = { { "layers", offsetof(struct folders, layers) },
	      { "images", offsetof(struct folders, images) },
	      { "held", offsetof(struct folders, held) } };

static int *part_of(struct folders *f, size_t i)
{
	return (int *)((char *)f + parts[i].off);
}

static void folders_close(struct folders *f)
{
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		fd_close(part_of(f, i));
}

static int folders_open(const struct cache *c, struct folders *ret, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		char path[CACHE_PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", c->dir, parts[i].name);
		if ((*part_of(ret, i) = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
			return err_set(e, -errno, "open %s: %m", path);
	}
	return 0;
}

int share_open(const struct cache *to, unsigned owner, struct err *e)
{
	char path[CACHE_PATH_MAX];
	bool is_new;
	int r = 0;

	snprintf(path, sizeof(path), "%s/%s", to->dir, parts[0].name);
	is_new = access(path, F_OK);
	snprintf(path, sizeof(path), "%s/" SHARE_MARK, to->dir);
	if (is_new && (r = file_keep(AT_FDCWD, path, S(""), 0644, e)))
		return r;
	for (size_t i = 0; i < ARRAY_LEN(parts) && !r; i++) {
		snprintf(path, sizeof(path), "%s/%s", to->dir, parts[i].name);
		if (!(r = dir_make(path, 0755, e)) && chown(path, owner, owner))
			r = err_set(e, -errno, "give %s to its owner: %m", path);
	}
	return r;
}

struct giving {
	const struct cache *from, *to;
	struct folders there, here; /* of FROM, of TO */
	bool is_newer;
	uint64_t limit_bytes;
	struct share_end end;
	struct err *e;
};

static uint64_t file_bytes(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) ? 0 : (uint64_t)st.st_blocks * 512;
}

static void layer_name(const char *scope, sd_json_variant *layers, size_t i, char ret[static CACHE_PATH_MAX])
{
	snprintf(ret, CACHE_PATH_MAX, "%s-%s.erofs", scope, sd_json_variant_string(sd_json_variant_by_index(layers, i)));
}

/* What the layers of TO take. */
static int used_bytes(const struct giving *g, uint64_t *ret, struct err *e)
{
	AUTO_FD int fd = openat(g->here.layers, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!d)
		return err_set(e, -errno, "list the layers in %s: %m", g->to->dir);
	take_fd(fd);
	*ret = 0;
	while ((entry = readdir(d)))
		*ret += entry->d_name[0] == '.' ? 0 : file_bytes(dirfd(d), entry->d_name);
	return 0;
}

/* Positive: there is room for the layers of IT that TO lacks. */
static int has_room(const struct giving *g, const char *scope, const struct cache_record *it, struct err *e)
{
	uint64_t more = 0, used = 0, part;
	char name[CACHE_PATH_MAX];
	struct statvfs fs;
	int r = used_bytes(g, &used, e);

	if (r)
		return r;
	if (fstatvfs(g->here.layers, &fs))
		return err_set(e, -errno, "see what is free in %s: %m", g->to->dir);
	for (size_t i = 0; i < sd_json_variant_elements(it->layers); i++) {
		layer_name(scope, it->layers, i, name);
		if (faccessat(g->here.layers, name, F_OK, AT_SYMLINK_NOFOLLOW))
			more += file_bytes(g->there.layers, name);
	}
	part = fs.f_blocks / FREE_PART * fs.f_frsize;
	return used + more <= g->limit_bytes && fs.f_bavail * fs.f_frsize >= part + more;
}

static int folder_sync(int dir, const char *of, struct err *e)
{
	return fsync(dir) ? err_set(e, -errno, "write %s: %m", of) : 0;
}

/* 1: it is there now, and was not before. */
static int image_give(const struct giving *g, const struct cache_need *n, const struct cache_record *it, struct err *e)
{
	char name[CACHE_PATH_MAX];
	int r = 0;

	for (size_t i = 0; i < sd_json_variant_elements(it->layers) && !r; i++) {
		layer_name(n->scope, it->layers, i, name);
		r = filecopy(g->there.layers, g->here.layers, name, e);
	}
	if (r || (r = folder_sync(g->here.layers, g->to->dir, e)))
		return r;
	if (unlinkat(g->here.images, n->name, 0) && errno != ENOENT) /* a record that is damaged, or lacks a layer */
		return err_set(e, -errno, "remove the record %s: %m", n->name);
	if ((r = filecopy(g->there.images, g->here.images, n->name, e)))
		return r;
	r = folder_sync(g->here.images, g->to->dir, e);
	return r ? r : 1;
}

/* Whether the same is noted there already. */
static bool is_noted(const struct giving *g, const struct cache_need *n)
{
	AUTO_BUF struct buf text = { 0 };

	return !file_read(g->here.held, n->holder, CACHE_PATH_MAX, &text, NULL) && str_eq(buf_str(&text), str_c(n->name));
}

static int holder_give(const struct giving *g, const struct cache_need *n, struct err *e)
{
	bool is_known = !faccessat(g->here.held, n->holder, F_OK, AT_SYMLINK_NOFOLLOW);
	int r;

	if (is_known && (!g->is_newer || is_noted(g, n)))
		return 0;
	if (is_known && unlinkat(g->here.held, n->holder, 0))
		return err_set(e, -errno, "note who needs %s: %m", n->name);
	r = filecopy(g->there.held, g->here.held, n->holder, e);
	return r ? r : folder_sync(g->here.held, g->to->dir, e);
}

static int need_give(void *ctx, const struct cache_need *n)
{
	CLEANUP(cache_record_deinit) struct cache_record it = { 0 }, old = { 0 };
	struct giving *g = ctx;
	int r;

	if (cache_record_find(g->from, n->scope, n->digest, &it, NULL))
		return 0; /* it is not whole there either */
	if (cache_record_find(g->to, n->scope, n->digest, &old, NULL)) {
		if ((r = has_room(g, n->scope, &it, g->e)) < 0)
			return r;
		if (!r) {
			g->end.n_left_out++;
			return 0;
		}
		if ((r = image_give(g, n, &it, g->e)) < 0)
			return r;
		g->end.n_given++;
	}
	return holder_give(g, n, g->e);
}

int share_give(const struct cache *from, const struct cache *to, bool is_newer, uint64_t limit_bytes, struct share_end *ret, struct err *e)
{
	struct giving g = {
		.from = from, .to = to, .there = FOLDERS_NONE, .here = FOLDERS_NONE, .is_newer = is_newer, .limit_bytes = limit_bytes, .e = e
	};
	int r;

	if (!(r = folders_open(from, &g.there, e)) && !(r = folders_open(to, &g.here, e)) && !(r = cache_needs(from, need_give, &g, e)))
		*ret = g.end;
	folders_close(&g.there);
	folders_close(&g.here);
	return r;
}

struct trimming {
	const struct cache *from, *to;
};

/* Who needs nothing in FROM any more. */
static int need_trim(void *ctx, const struct cache_need *n)
{
	const struct trimming *t = ctx;
	char path[CACHE_PATH_MAX];

	snprintf(path, sizeof(path), "%s/held/%s", t->from->dir, n->holder);
	if (access(path, F_OK) && errno == ENOENT)
		cache_release(t->to, n->holder);
	return 0;
}

int share_trim(const struct cache *from, const struct cache *to, struct err *e)
{
	struct trimming t = { from, to };
	char path[CACHE_PATH_MAX];
	uint64_t freed;
	int r;

	snprintf(path, sizeof(path), "%s/" SHARE_MARK, to->dir);
	if (access(path, F_OK))
		return errno == ENOENT ? 0 : err_set(e, -errno, "look at %s: %m", path);
	if ((r = cache_needs(to, need_trim, &t, e)))
		return r;
	r = cache_prune(to, NULL, INT64_MAX, &freed, e);
	return r < 0 ? r : 0;
}
