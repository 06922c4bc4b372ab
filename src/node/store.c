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

int store_open(struct store *ret, const char *const *dirs, size_t n_dirs, bool durable, struct err *e)
{
	*ret = (struct store){ .durable = durable };
	BUG_ON(!n_dirs || n_dirs > STORE_ROOTS_MAX);
	for (size_t i = 0; i < n_dirs; i++) {
		int r = dir_make(dirs[i], 0700, e);

		if (r)
			return r;
		ret->roots[i] = open(dirs[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (ret->roots[i] < 0)
			return err_set(e, -errno, "open the state directory %s: %m", dirs[i]);
		ret->n_roots++;
	}
	return 0;
}

void store_close(struct store *s)
{
	while (s->n_roots)
		fd_close(&s->roots[--s->n_roots]);
}

/* Makes the directories above NAME. */
static int parents_make(int root, const char *name, struct err *e)
{
	char part[STORE_NAME_MAX + 1];

	for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - name), name);
		if (mkdirat(root, part, 0700) && errno != EEXIST)
			return err_set(e, -errno, "make %s in the state directory: %m", part);
	}
	return 0;
}

int store_put(struct store *s, const char *name, uint64_t version, struct str value, struct err *e)
{
	AUTO_BUF struct buf file = { 0 };
	int r;

	BUG_ON(!store_name_ok(name) || value.n > STORE_VALUE_MAX);
	if (encode(name, version, value, &file))
		return err_set(e, -ENOMEM, "write %s: out of memory", name);
	for (size_t i = 0; i < s->n_roots; i++)
		if ((r = parents_make(s->roots[i], name, e)) || (r = file_save(s->roots[i], name, buf_str(&file), 0600, e)))
			return r;
	return 0;
}

static void repair(struct store *s, const char *name, const struct buf *good, uint64_t stale)
{
	for (size_t i = 0; i < s->n_roots; i++) {
		struct err e = { 0 };

		if (!(stale & 1ull << i))
			continue;
		if (parents_make(s->roots[i], name, &e) || file_save(s->roots[i], name, buf_str(good), 0600, &e))
			log_warn("repair the copy of %s on state directory %zu: %s", name, i, e.msg);
		else
			log_info("repaired the copy of %s on state directory %zu", name, i);
	}
}

int store_get(struct store *s, const char *name, uint64_t *ret_version, struct buf *ret, struct err *e)
{
	AUTO_BUF struct buf best = { 0 };
	uint64_t best_version = 0, stale = 0;
	size_t n_seen = 0;
	struct str value;

	BUG_ON(!store_name_ok(name));
	for (size_t i = 0; i < s->n_roots; i++) {
		AUTO_BUF struct buf file = { 0 };
		uint64_t version;

		stale |= 1ull << i;
		if (file_read(s->roots[i], name, STORE_VALUE_MAX + HEAD_MAX, &file, NULL))
			continue;
		n_seen++;
		if (decode(name, buf_str(&file), &version, &value))
			continue;
		if (best.len && version < best_version)
			continue;
		stale = best.len && version == best_version ? stale & ~(1ull << i) : (1ull << i) - 1;
		best_version = version;
		buf_deinit(&best);
		best = take(file, (struct buf){ 0 });
	}
	if (!best.len)
		return n_seen ? err_set(e, -EBADMSG, "every copy of %s is damaged: it stays as it is, untouched", name) : STORE_ABSENT;
	repair(s, name, &best, stale);
	if (decode(name, buf_str(&best), &best_version, &value))
		return err_set(e, -ENOMEM, "read %s: out of memory", name);
	*ret_version = best_version;
	buf_add(ret, value);
	return buf_check(ret) ? err_set(e, -ENOMEM, "read %s: out of memory", name) : 0;
}

static void dir_closep(DIR **d)
{
	if (*d)
		closedir(*d);
}

static bool in_an_earlier_root(const struct store *s, size_t root, const char *name)
{
	for (size_t i = 0; i < root; i++)
		if (!faccessat(s->roots[i], name, F_OK, 0))
			return true;
	return false;
}

static int each_in(struct store *s, size_t root, const char *dir, int (*each)(void *, const char *), void *ctx, struct err *e)
{
	char name[STORE_NAME_MAX + 1];
	struct dirent *entry;
	AUTO_FD int fd = openat(s->roots[root], dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_set(e, -errno, "list %s in the state directory: %m", dir);
	CLEANUP(dir_closep) DIR *d = fdopendir(fd);

	if (!d)
		return err_set(e, -errno, "list %s in the state directory: %m", dir);
	take_fd(fd);
	while ((entry = readdir(d))) {
		struct stat st;
		int r;

		if ((size_t)snprintf(name, sizeof(name), "%s/%s", dir, entry->d_name) >= sizeof(name) || !store_name_ok(name) ||
		    in_an_earlier_root(s, root, name) || fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
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
