/* One file a value and root: a head line "zos-state 1 VERSION LENGTH SHA256\n", then the value. The head's check sum covers version and
 * value, so neither a torn write, nor a stale block, nor a file renamed over another passes for something it is not. */
#include "node/store.h"

#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>

enum { HEAD_MAX = 128 };

static bool store_name_ok(const char *name)
{
	struct str rest = str_c(name), part;

	if (rest.n > STORE_NAME_MAX)
		return false;
	while (str_next(&rest, '/', &part)) {
		if (!part.n || part.p[0] == '.')
			return false;
		for (size_t i = 0; i < part.n; i++)
			if (!(part.p[i] >= 'a' && part.p[i] <= 'z') && !(part.p[i] >= 'A' && part.p[i] <= 'Z') &&
			    !(part.p[i] >= '0' && part.p[i] <= '9') && part.p[i] != '.' && part.p[i] != '-')
				return false;
	}
	return true;
}

static int digest_hex(const char *name, uint64_t version, struct str value, struct buf *ret)
{
	AUTO_BUF struct buf head = { 0 };
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t sum[32];
	bool done;

	buf_addf(&head, "%s %" PRIu64 " %zu ", name, version, value.n);
	done = md && !buf_check(&head) && EVP_DigestInit_ex(md, EVP_sha256(), NULL) && EVP_DigestUpdate(md, head.p, head.len) &&
	       EVP_DigestUpdate(md, value.p, value.n) && EVP_DigestFinal_ex(md, sum, NULL);
	EVP_MD_CTX_free(md);
	if (done)
		format_hex(ret, sum, sizeof(sum));
	return done ? buf_check(ret) : -ENOMEM;
}

static int encode(const char *name, uint64_t version, struct str value, struct buf *ret)
{
	AUTO_BUF struct buf sum = { 0 };
	int r = digest_hex(name, version, value, &sum);

	if (r)
		return r;
	buf_addf(ret, "zos-state 1 %" PRIu64 " %zu %s\n", version, value.n, sum.p);
	buf_add(ret, value);
	return buf_check(ret);
}

/* -EBADMSG unless FILE is exactly what encode() writes under this name. */
static int decode(const char *name, struct str file, uint64_t *ret_version, struct str *ret)
{
	AUTO_BUF struct buf sum = { 0 };
	struct str head, magic, one, version_text, length_text;
	uint64_t version, length;

	if (!str_next(&file, '\n', &head) || head.n > HEAD_MAX || !file.p)
		return -EBADMSG;
	if (!str_next(&head, ' ', &magic) || !str_next(&head, ' ', &one) || !str_next(&head, ' ', &version_text) ||
	    !str_next(&head, ' ', &length_text) || !head.p)
		return -EBADMSG;
	if (!str_eq(magic, S("zos-state")) || !str_eq(one, S("1")) || parse_u64(version_text, UINT64_MAX, &version) ||
	    parse_u64(length_text, STORE_VALUE_MAX, &length) || length != file.n || digest_hex(name, version, file, &sum) ||
	    !str_eq(head, buf_str(&sum)))
		return -EBADMSG;
	*ret_version = version;
	*ret = file;
	return 0;
}

static int root_open(struct store *s, const char *dir, bool durable, struct err *e)
{
	struct store_root *root = &s->roots[s->n_roots];
	int r = dir_make(dir, 0700, e);

	if (r)
		return r;
	BUG_ON((size_t)snprintf(root->dir, sizeof(root->dir), "%s", dir) >= sizeof(root->dir));
	root->is_durable = durable;
	root->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root->fd < 0)
		return err_set(e, -errno, "open the state directory %s: %m", dir);
	s->n_roots++;
	return 0;
}

int store_open(struct store *ret, const char *const *dirs, size_t n_dirs, bool durable, struct err *e)
{
	int r = 0;

	*ret = (struct store)STORE_NONE;
	BUG_ON(!n_dirs || n_dirs > STORE_ROOTS_MAX);
	for (size_t i = 0; i < n_dirs && !r; i++)
		r = root_open(ret, dirs[i], durable, e);
	return r;
}

void store_close(struct store *s)
{
	while (s->n_roots)
		fd_close(&s->roots[--s->n_roots].fd);
}

static void root_remove(struct store *s, size_t at)
{
	fd_close(&s->roots[at].fd);
	s->n_roots--;
	memmove(&s->roots[at], &s->roots[at + 1], (s->n_roots - at) * sizeof(s->roots[0]));
}

void store_drop(struct store *s, const char *dir)
{
	for (size_t i = s->n_roots; i-- > 0;)
		if (!strcmp(s->roots[i].dir, dir))
			root_remove(s, i);
}

bool store_is_durable(const struct store *s)
{
	for (size_t i = 0; i < s->n_roots; i++)
		if (s->roots[i].is_durable)
			return true;
	return false;
}

/* Makes the directories above NAME. */
static int parents_make(int root, const char *name, struct err *e)
{
	char part[STORE_NAME_MAX + 1], above[STORE_NAME_MAX + 1] = ".";

	for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - name), name);
		if (!mkdirat(root, part, 0700)) {
			AUTO_FD int fd = openat(root, above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			if (fd < 0 || fsync(fd))
				return err_set(e, -errno, "keep %s in the state directory: %m", part);
		} else if (errno != EEXIST) {
			return err_set(e, -errno, "make %s in the state directory: %m", part);
		}
		memcpy(above, part, sizeof(above));
	}
	return 0;
}

static int root_put(const struct store_root *root, const char *name, const struct buf *file, struct err *e)
{
	int r = parents_make(root->fd, name, e);

	return r ? r : file_save(root->fd, name, buf_str(file), 0600, e);
}

/* The directories in FAILED (a bit each) did not take what another took. */
static void roots_lose(struct store *s, uint64_t failed, const struct err *why)
{
	for (size_t i = s->n_roots; i-- > 0;) {
		char dir[STORE_DIR_MAX];

		if (!(failed & 1ull << i))
			continue;
		memcpy(dir, s->roots[i].dir, sizeof(dir));
		root_remove(s, i);
		log_err("the state directory %s is given up: %s", dir, why->msg);
		if (s->lost)
			s->lost(s->ctx, dir, why);
	}
}

int store_put(struct store *s, const char *name, uint64_t version, struct str value, struct err *e)
{
	AUTO_BUF struct buf file = { 0 };
	struct err why = { 0 };
	uint64_t failed = 0;
	size_t took = 0;

	BUG_ON(!store_name_ok(name) || value.n > STORE_VALUE_MAX);
	if (encode(name, version, value, &file))
		return err_set(e, -ENOMEM, "write %s: out of memory", name);
	for (size_t i = 0; i < s->n_roots; i++) {
		if (root_put(&s->roots[i], name, &file, &why))
			failed |= 1ull << i;
		else
			took++;
	}
	if (!took)
		return s->n_roots ? err_set(e, why.code, "%s", why.msg) : err_set(e, -EIO, "write %s: no disk of this node can be written", name);
	roots_lose(s, failed, &why);
	return 0;
}

/* Writes GOOD over the copies in STALE (a bit each). The last failure is returned, after all were tried. */
static int repair(struct store *s, const char *name, const struct buf *good, uint64_t stale, struct err *e)
{
	int ret = 0;

	for (size_t i = 0; i < s->n_roots; i++) {
		int r = stale & 1ull << i ? root_put(&s->roots[i], name, good, e) : 0;

		if (r)
			ret = err_wrap(e, r, "bring %s up to date", s->roots[i].dir);
		else if (stale & 1ull << i)
			log_info("brought %s in %s up to date", name, s->roots[i].dir);
	}
	return ret;
}

struct found {
	struct buf file; /* the whole of the best copy */
	uint64_t version, stale; /* STALE: a bit for each directory that has it not, or otherwise */
	size_t n_copies;
};

/* Two copies of one version that differ come from disks that were not there together: the same one wins every time. */
static bool is_better(const struct found *f, uint64_t version, const struct buf *file)
{
	struct str a = buf_str(file), b = buf_str(&f->file);
	int order;

	if (!b.n || version != f->version)
		return !b.n || version > f->version;
	order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
	return order ? order > 0 : a.n > b.n;
}

static void value_find(struct store *s, const char *name, struct found *ret)
{
	for (size_t i = 0; i < s->n_roots; i++) {
		AUTO_BUF struct buf file = { 0 };
		uint64_t version;
		struct str value;

		ret->stale |= 1ull << i;
		if (file_read(s->roots[i].fd, name, STORE_VALUE_MAX + HEAD_MAX, &file, NULL))
			continue;
		ret->n_copies++;
		if (decode(name, buf_str(&file), &version, &value))
			continue;
		if (ret->file.len && str_eq(buf_str(&file), buf_str(&ret->file)))
			ret->stale &= ~(1ull << i);
		if (!is_better(ret, version, &file))
			continue;
		ret->stale = (1ull << i) - 1;
		ret->version = version;
		buf_deinit(&ret->file);
		ret->file = take(file, (struct buf){ 0 });
	}
}

static void found_deinit(struct found *f)
{
	buf_deinit(&f->file);
}

static int damaged(const char *name, struct err *e)
{
	return err_set(e, -EBADMSG, "every copy of %s is damaged: it stays as it is, untouched", name);
}

int store_get(struct store *s, const char *name, uint64_t *ret_version, struct buf *ret, struct err *e)
{
	CLEANUP(found_deinit) struct found f = { 0 };
	struct err why = { 0 };
	struct str value;

	BUG_ON(!store_name_ok(name));
	value_find(s, name, &f);
	if (!f.file.len)
		return f.n_copies ? damaged(name, e) : STORE_ABSENT;
	if (repair(s, name, &f.file, f.stale, &why))
		log_warn("%s", why.msg);
	if (decode(name, buf_str(&f.file), &f.version, &value))
		return err_set(e, -ENOMEM, "read %s: out of memory", name);
	*ret_version = f.version;
	buf_add(ret, value);
	return buf_check(ret) ? err_set(e, -ENOMEM, "read %s: out of memory", name) : 0;
}

static bool in_an_earlier_root(const struct store *s, size_t root, const char *name)
{
	for (size_t i = 0; i < root; i++)
		if (!faccessat(s->roots[i].fd, name, F_OK, 0))
			return true;
	return false;
}

static int each_in(struct store *s, size_t root, const char *dir, int (*each)(void *, const char *), void *ctx, struct err *e)
{
	char name[STORE_NAME_MAX + 1];
	struct dirent *entry;
	AUTO_FD int fd = openat(s->roots[root].fd, dir[0] ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_set(e, -errno, "list %s in the state directory: %m", dir);
	AUTO_DIR DIR *d = fdopendir(fd);

	if (!d)
		return err_set(e, -errno, "list %s in the state directory: %m", dir);
	take_fd(fd);
	while ((entry = readdir(d))) {
		struct stat st;
		int r;

		if ((size_t)snprintf(name, sizeof(name), "%s%s%s", dir, dir[0] ? "/" : "", entry->d_name) >= sizeof(name) || !store_name_ok(name) ||
		    fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) || (S_ISREG(st.st_mode) && in_an_earlier_root(s, root, name)))
			continue;
		if (S_ISREG(st.st_mode) && strlen(entry->d_name) > 17 && entry->d_name[strlen(entry->d_name) - 17] == '.')
			continue; /* a temporary file of a write that a crash cut off */
		r = S_ISDIR(st.st_mode) ? each_in(s, root, name, each, ctx, e) : each(ctx, name);
		if (r)
			return r;
	}
	return 0;
}

int store_each(struct store *s, const char *dir, int (*each)(void *ctx, const char *name), void *ctx, struct err *e)
{
	int r = 0;

	for (size_t i = 0; !r && i < s->n_roots; i++)
		r = each_in(s, i, dir, each, ctx, e);
	return r;
}

struct update {
	struct store *store;
	struct err *e;
};

/* A value that is damaged everywhere is left as it is: the others are not. */
static int bring_up_to_date(void *ctx, const char *name)
{
	const struct update *u = ctx;
	CLEANUP(found_deinit) struct found f = { 0 };
	struct err why = { 0 };

	value_find(u->store, name, &f);
	if (f.file.len)
		return repair(u->store, name, &f.file, f.stale, u->e);
	damaged(name, &why);
	log_err("%s", why.msg);
	return 0;
}

static int mend(void *ctx, const char *name)
{
	const struct update *u = ctx;

	if (bring_up_to_date(ctx, name))
		log_warn("%s", u->e->msg);
	return 0;
}

void store_mend(struct store *s)
{
	struct err e = { 0 };

	if (store_each(s, "", mend, &(struct update){ s, &e }, &e))
		log_warn("%s", e.msg);
}

int store_add(struct store *s, const char *dir, bool durable, struct err *e)
{
	int r;

	if (s->n_roots == STORE_ROOTS_MAX)
		return err_set(e, -ENOSPC, "the node's state is on %d disks already", STORE_ROOTS_MAX);
	if ((r = root_open(s, dir, durable, e)))
		return r;
	if ((r = store_each(s, "", bring_up_to_date, &(struct update){ s, e }, e)))
		store_drop(s, dir);
	return r;
}
