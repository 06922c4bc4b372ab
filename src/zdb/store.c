#include "zdb/store.h"

#include "base/file.h"
#include "base/log.h"
#include "zdb/checkpoint.h"

#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define KEY_NAME "store.key"
#define GONE ".gone-"

static int root_open(const char *path, int *ret_lock, struct err *e)
{
	AUTO_FD int fd = -1;
	int r = dir_make(path, 0700, e);

	if (r)
		return r;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (*ret_lock = openat(fd, ".lockfile", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		return err_set(e, -errno, "open %s: %m", path);
	if (flock(*ret_lock, LOCK_EX | LOCK_NB))
		return err_set(e, -errno, errno == EWOULDBLOCK ? "%s is in use by another process" : "lock %s: %m", path);
	return take_fd(fd);
}

static int key_load(struct store *s, struct err *e)
{
	AUTO_BUF struct buf b = { 0 };
	int r = file_read(s->index, KEY_NAME, sizeof(s->key), &b, e);

	if (!r && b.len != sizeof(s->key))
		return err_set(e, -EBADMSG, "%s/" KEY_NAME " is damaged: without it the passwords of namespaces cannot be read", s->o.index);
	if (!r) {
		memcpy(s->key, b.p, sizeof(s->key));
		explicit_bzero(b.p, b.len);
	}
	if (r != -ENOENT)
		return r;
	random_bytes(s->key, sizeof(s->key));
	return file_save(s->index, KEY_NAME, (struct str){ (char *)s->key, sizeof(s->key) }, 0600, e);
}

/* The folder NAME below ROOT, made when it is not there. */
static int folder_open(int root, const char *name, struct err *e)
{
	int fd;

	if (mkdirat(root, name, 0700) && errno != EEXIST)
		return err_set(e, -errno, "make a folder for namespace '%s': %m", name);
	fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_set(e, -errno, "open the folder of namespace '%s': %m", name) : fd;
}

static void namespace_free(struct namespace *n)
{
	if (n->compact)
		compact_free(n->compact);
	space_close(&n->space);
	explicit_bzero(&n->settings, sizeof(n->settings));
	free(n);
}

static uint32_t last_file(const struct namespace *n)
{
	return n->space.log.n_files ? n->space.log.files[n->space.log.n_files - 1].head.file : 0;
}

/* --- who watches --- */

void store_tell(const struct store *s, const char *event, const struct namespace *n)
{
	if (s->o.watch)
		s->o.watch->tell(s->o.watch->ctx, event, (const char *[]){ n->name, NULL });
}

/* Data files that were ended since it was told last; they are on the disk. */
static void tell_jumps(const struct store *s, struct namespace *n)
{
	uint32_t last = last_file(n);

	for (; n->told_file < last; n->told_file++) {
		char ended[PATH_MAX], next[PATH_MAX];

		snprintf(ended, sizeof(ended), "%s/%s/d%u", s->o.data, n->name, n->told_file);
		snprintf(next, sizeof(next), "%s/%s/d%u", s->o.data, n->name, n->told_file + 1);
		if (s->o.watch && datalog_file(&n->space.log, n->told_file))
			s->o.watch->tell(s->o.watch->ctx, "jump-data", (const char *[]){ ended, next, NULL });
	}
}

static void tell_closing(const struct store *s, const struct namespace *n)
{
	char index[PATH_MAX], data[PATH_MAX];
	AUTO_BUF struct buf changed = { 0 };

	if (!s->o.watch)
		return;
	snprintf(index, sizeof(index), "%s/%s/" CHECKPOINT_NAME, s->o.index, n->name);
	snprintf(data, sizeof(data), "%s/%s/d%u", s->o.data, n->name, last_file(n));
	for (size_t i = 0; i < n->space.log.n_files; i++)
		if (n->space.log.files[i].is_changed)
			buf_addf(&changed, "%s%u", changed.len ? " " : "", n->space.log.files[i].head.file);
	BUG_ON(buf_check(&changed));
	s->o.watch->tell(s->o.watch->ctx, "namespace-closing", (const char *[]){ n->name, index, data, changed.p ? changed.p : "", NULL });
}

/* Files that the checkpoint names and that are not there may be brought back by who watches. */
static int fetch_missing(const struct store *s, const struct namespace *n, int data, int index, struct err *e)
{
	AUTO_FREE uint32_t *missing = NULL;
	size_t n_missing = checkpoint_missing(index, data, &missing);

	for (size_t i = 0; i < n_missing; i++) {
		char path[PATH_MAX], name[16];

		snprintf(name, sizeof(name), "d%u", missing[i]);
		snprintf(path, sizeof(path), "%s/%s/%s", s->o.data, n->name, name);
		if (s->o.watch && !s->o.watch->ask(s->o.watch->ctx, "missing-data", (const char *[]){ path, NULL }) &&
		    !faccessat(data, name, F_OK, 0))
			continue;
		return err_set(e, -ENOENT, "%s is missing: put it back, or remove %s/%s/" CHECKPOINT_NAME " to go on without what was in it", path,
			       s->o.index, n->name);
	}
	return 0;
}

/* Of one that is new, or that the original left without settings: it says itself how its keys are made. */
static int settings_make(const struct store *s, int index, struct str name, struct settings *settings, struct err *e)
{
	int r = settings_original_mode(index, &settings->mode, e);

	return r < 0 ? r : settings_save(index, name, s->key, settings, e);
}

/* Opens what is there; SETTINGS are those of one that is made now. */
static int namespace_open(struct store *s, struct str name, const struct settings *settings, struct err *e)
{
	struct namespace *n = calloc(1, sizeof(*n));
	int r, data = -1, index;

	BUG_ON(!n);
	n->space = (struct space)SPACE_NONE;
	memcpy(n->name, name.p, name.n);
	if ((index = folder_open(s->index, n->name, e)) < 0 || (data = folder_open(s->data, n->name, e)) < 0) {
		fd_close(&index);
		free(n);
		return -EIO;
	}
	n->settings = settings ? *settings : (struct settings){ 0 };
	r = settings ? settings_make(s, index, name, &n->settings, e) : settings_load(index, name, s->key, &n->settings, e);
	if (r || (r = fetch_missing(s, n, data, index, e))) {
		fd_close(&index);
		fd_close(&data);
	} else {
		r = space_open(&n->space, n->settings.mode, data, index, (uint32_t)s->o.file_bytes, e);
	}
	if (r) {
		err_wrap(e, r, "open namespace '%s'", n->name);
		namespace_free(n);
		return r;
	}
	n->space.max_bytes = n->settings.max_bytes;
	n->told_file = last_file(n);
	if (n->space.log.n_gaps)
		log_err("namespace '%s': its files are damaged in %zu places; what stood there is lost", n->name, n->space.log.n_gaps);
	n->next = s->list;
	s->list = n;
	s->n++;
	return 0;
}

/* Those that have settings; one without was never answered for. */
static int namespaces_open(struct store *s, struct err *e)
{
	int copy = openat(s->index, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_DIR DIR *d = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;

	if (!d) {
		fd_close(&copy);
		return err_set(e, -errno, "list the namespaces: %m");
	}
	while ((entry = readdir(d))) {
		char path[NAMESPACE_NAME_MAX + 32];
		int r = 0;

		if (str_starts(str_c(entry->d_name), S(GONE)) &&
		    ((r = tree_remove(s->index, entry->d_name, e)) || (r = tree_remove(s->data, entry->d_name, e))))
			return r;
		if (!namespace_name_ok(str_c(entry->d_name)))
			continue;
		snprintf(path, sizeof(path), "%s/zdb-namespace", entry->d_name);
		if (!faccessat(s->index, path, F_OK, 0) && (r = namespace_open(s, str_c(entry->d_name), NULL, e)))
			return r;
	}
	return 0;
}

int store_open(struct store *ret, const struct store_options *o, struct err *e)
{
	struct store *s = ret;
	struct namespace *n;
	int r;

	*s = (struct store)STORE_NONE;
	s->o = *o;
	BUG_ON(sodium_init() < 0);
	if ((s->index = root_open(o->index, &s->index_lock, e)) < 0)
		return s->index;
	if (strcmp(o->data, o->index) && (s->data = root_open(o->data, &s->data_lock, e)) < 0)
		return s->data;
	if (s->data < 0)
		s->data = fcntl(s->index, F_DUPFD_CLOEXEC, 0);
	if ((r = key_load(s, e)) || (r = namespaces_open(s, e)))
		return r;
	return store_find(s, S(NAMESPACE_DEFAULT)) ? 0 : store_add(s, S(NAMESPACE_DEFAULT), &n, e);
}

void store_close(struct store *s)
{
	while (s->list) {
		struct namespace *n = s->list;
		struct err e = { 0 };

		if (!n->space.log.failed && space_save(&n->space, &e))
			log_warn("namespace '%s': %s", n->name, e.msg);
		tell_jumps(s, n);
		tell_closing(s, n);
		s->list = n->next;
		namespace_free(n);
	}
	fd_close(&s->data);
	fd_close(&s->index);
	fd_close(&s->data_lock);
	fd_close(&s->index_lock);
	explicit_bzero(s->key, sizeof(s->key));
}

struct namespace *store_find(const struct store *s, struct str name)
{
	for (struct namespace *n = s->list; n; n = n->next)
		if (str_eq(str_c(n->name), name))
			return n;
	return NULL;
}

/* Takes N from the list and releases it. */
static void forget(struct store *s, struct namespace *n)
{
	struct namespace **at = &s->list;

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	s->n--;
	namespace_free(n);
}

static int folders_remove(struct store *s, const char *path, struct err *e)
{
	int r = tree_remove(s->data, path, e);

	return r ? r : tree_remove(s->index, path, e);
}

int store_add(struct store *s, struct str name, struct namespace **ret, struct err *e)
{
	const struct settings settings = { .mode = s->o.mode };
	char path[NAMESPACE_NAME_MAX + 1] = { 0 };
	struct err ignored = { 0 };
	int r;

	if (s->n == STORE_NAMESPACES_MAX)
		return err_set(e, -ENOSPC, "there are %d namespaces, and no more can be", STORE_NAMESPACES_MAX);
	if ((r = namespace_open(s, name, &settings, e)))
		return r;
	*ret = s->list;
	if (!fsync(s->index) && !fsync(s->data))
		return 0;
	r = err_set(e, -errno, "make namespace '%s' safe: %m", (*ret)->name);
	memcpy(path, name.p, name.n);
	forget(s, *ret);
	if (folders_remove(s, path, &ignored))
		log_warn("%s: an empty namespace '%s' may be there after the next start", ignored.msg, path);
	return r;
}

static int rename_sync(int root, const char *from, const char *to)
{
	return (renameat(root, from, root, to) && errno != ENOENT) || fsync(root) ? -errno : 0;
}

/* Out of the way first, in one step: one that is half removed is none. Where the disk does not let it, it is put back, and written to no more: by which name
 * a start will find it is not known. */
static int set_aside(struct store *s, struct namespace *n, const char *path, struct err *e)
{
	int r = rename_sync(s->index, n->name, path), data_back, index_back;

	if (!r)
		r = rename_sync(s->data, n->name, path);
	if (!r)
		return 0;
	n->space.log.failed = r;
	data_back = rename_sync(s->data, path, n->name);
	index_back = rename_sync(s->index, path, n->name);
	if (data_back || index_back)
		log_err("namespace '%s' could neither be removed nor kept: it may be gone after the next start", n->name);
	return err_set(e, r, "remove namespace '%s': %s; nothing is written to it any more until the store is started again", n->name, strerror(-r));
}

int store_remove(struct store *s, struct namespace *n, struct err *e)
{
	char path[NAMESPACE_NAME_MAX + 32];
	int r;

	snprintf(path, sizeof(path), GONE "%s", n->name);
	if ((r = set_aside(s, n, path, e)))
		return r;
	store_tell(s, "namespace-deleted", n);
	forget(s, n);
	if (folders_remove(s, path, e))
		log_warn("%s; the next start will", e->msg);
	return 0;
}

int store_set(struct store *s, struct namespace *n, const struct settings *settings, struct err *e)
{
	int r = settings_save(n->space.index, str_c(n->name), s->key, settings, e);

	if (r)
		return r;
	n->settings = *settings;
	n->space.mode = settings->mode;
	n->space.max_bytes = settings->max_bytes;
	return 0;
}

int store_reload(struct store *s, struct namespace *n, struct err *e)
{
	struct space again;
	int data, index, r;

	if ((r = space_sync(&n->space, e)) || (r = checkpoint_remove(&n->space, e)))
		return r;
	index = fcntl(n->space.index, F_DUPFD_CLOEXEC, 0);
	data = fcntl(n->space.log.dir, F_DUPFD_CLOEXEC, 0);
	if (index < 0 || data < 0) {
		r = err_set(e, -errno, "open the folders of namespace '%s' again: %m", n->name);
		fd_close(&index);
		fd_close(&data);
		return r;
	}
	if ((r = space_open(&again, n->settings.mode, data, index, (uint32_t)s->o.file_bytes, e))) {
		space_close(&again);
		return err_wrap(e, r, "reload namespace '%s'", n->name);
	}
	again.max_bytes = n->space.max_bytes;
	again.max_keys = n->space.max_keys;
	if (n->compact)
		compact_free(n->compact);
	n->compact = NULL;
	space_close(&n->space);
	n->space = again;
	n->told_file = last_file(n);
	return 0;
}

/* Once. One that failed in the middle of a command is seen here as well. */
static void tell_failure(struct namespace *n)
{
	if (!n->told_failure)
		log_err("namespace '%s': its data could not be written or made safe: %s; nothing is written any more until the store is started again",
			n->name, strerror(-n->space.log.failed));
	n->told_failure = true;
}

int store_commit(struct store *s, bool safe, struct err *e)
{
	int worst = 0;

	for (struct namespace *n = s->list; n; n = n->next) {
		int r;

		if (n->space.log.failed)
			tell_failure(n);
		if (!n->is_dirty)
			continue;
		if ((r = safe ? datalog_sync(&n->space.log, e) : datalog_flush(&n->space.log, e)))
			worst = r;
		if (r)
			tell_failure(n);
		n->is_dirty = !safe && !r;
		if (!r)
			tell_jumps(s, n);
	}
	return worst;
}

void store_rotate(struct store *s)
{
	for (struct namespace *n = s->list; n; n = n->next) {
		const struct datalog *l = &n->space.log;
		struct err e = { 0 };

		if (l->failed || !l->n_files || l->files[l->n_files - 1].end == l->files[l->n_files - 1].head.n_bytes)
			continue;
		if (l->n_files > DATALOG_FILES_MAX / 2 || datalog_rotate(&n->space.log, &e))
			log_limited("namespace '%s' stays in its data file: %s", n->name, e.code ? e.msg : "it has too many of them");
		else
			n->is_dirty = true;
	}
}

static void compact_end(struct namespace *n, int r, const struct err *e, int64_t now_s)
{
	if (n->compact)
		compact_free(n->compact);
	n->compact = NULL;
	if (!r) {
		n->compactions++;
		return;
	}
	n->compact_at_s = now_s + STORE_COMPACT_RETRY_S;
	log_warn("namespace '%s': %s", n->name, e->msg);
}

static bool compact_start(struct namespace *n, int64_t now_s)
{
	struct err e = { 0 };
	uint32_t file;
	int r;

	if (n->compact || now_s < n->compact_at_s || n->space.log.failed || !compact_find(&n->space, &file))
		return n->compact;
	if ((r = compact_begin(&n->space, file, &n->compact, &e)))
		compact_end(n, r, &e, now_s);
	return !r;
}

/* The other way round it would be of files that are replaced: one after the other. */
static bool save_some(struct namespace *n, int64_t now_s)
{
	struct err e = { 0 };

	if (!n->space.saving && (now_s < n->save_at_s || !space_is_due(&n->space)))
		return false;
	if (space_save_step(&n->space, &e) < 0) { /* the next start is as long as without */
		n->save_at_s = now_s + STORE_SAVE_RETRY_S;
		log_warn("namespace '%s': %s", n->name, e.msg);
	}
	return true;
}

bool store_tidy(struct store *s, int64_t now_s)
{
	for (struct namespace *n = s->list; n; n = n->next) {
		struct err e = { 0 };
		int r;

		if (!n->space.saving && compact_start(n, now_s)) {
			if ((r = compact_step(n->compact, &e)) != COMPACT_MORE)
				compact_end(n, r, &e, now_s);
			return true;
		}
		if (save_some(n, now_s))
			return true;
	}
	return false;
}
