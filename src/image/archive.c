#include "image/archive.h"

#include "base/file.h"
#include "base/parse.h"
#include "image/tar.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>

enum { READ_BYTES = 64 << 10 };

struct archive {
	const char *dir;
	struct tar tar;
	struct buf *index;
	EVP_MD_CTX *sum;
	enum { SKIPPED, INDEX, BLOB } kind; /* of the entry that is being read */
	char digest[DIGEST_LEN + 1];
	int fd;
	uint64_t left, total;
	size_t n_blobs;
};

static void archive_deinit(struct archive *a)
{
	fd_close(&a->fd);
	tar_deinit(&a->tar);
	EVP_MD_CTX_free(a->sum);
}

void archive_blob_path(const char *dir, const char *digest, char ret[static ARCHIVE_PATH_MAX])
{
	snprintf(ret, ARCHIVE_PATH_MAX, "%s/blob-%s", dir, digest + strlen("sha256:"));
}

static int blob_begin(struct archive *a, struct str hex, struct err *e)
{
	char path[ARCHIVE_PATH_MAX];

	snprintf(a->digest, sizeof(a->digest), "sha256:" STR_FMT, STR_ARG(hex));
	if (!digest_ok(str_c(a->digest)))
		return err_set(e, -EBADMSG, "the archive has a blob with a name that is no digest");
	if (++a->n_blobs > ARCHIVE_BLOBS_MAX)
		return err_set(e, -EBADMSG, "the archive has more than %d blobs", ARCHIVE_BLOBS_MAX);
	archive_blob_path(a->dir, a->digest, path);
	a->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (a->fd < 0)
		return err_set(e, errno == EEXIST ? -EBADMSG : -errno, "keep the blob %.19s... of the archive: %m", a->digest);
	a->kind = BLOB;
	BUG_ON(EVP_DigestInit_ex(a->sum, EVP_sha256(), NULL) != 1);
	return 0;
}

static int entry_end(struct archive *a, struct err *e)
{
	AUTO_BUF struct buf hex = { 0 };
	uint8_t sum[32];

	if (a->kind != BLOB)
		return 0;
	a->kind = SKIPPED;
	fd_close(&a->fd);
	BUG_ON(EVP_DigestFinal_ex(a->sum, sum, NULL) != 1);
	format_hex(&hex, sum, sizeof(sum));
	BUG_ON(buf_check(&hex));
	return strcmp(hex.p, a->digest + strlen("sha256:"))
		       ? err_set(e, -EBADMSG, "the archive holds a damaged or forged part %s: make it again", a->digest)
		       : 0;
}

static int on_entry(void *ctx, struct str name, char kind, uint64_t size, struct err *e)
{
	static const struct str blobs = S("blobs/sha256/");
	struct archive *a = ctx;
	int r = 0;

	if (str_starts(name, S("./")))
		name = (struct str){ name.p + 2, name.n - 2 };
	a->kind = SKIPPED;
	a->left = size;
	if (__builtin_add_overflow(a->total, size, &a->total) || a->total > IMAGE_BYTES_MAX)
		return err_set(e, -EBADMSG, "the archive is larger than is taken (%llu GiB)", IMAGE_BYTES_MAX >> 30);
	if (kind != '0' && kind != '7')
		return 0;
	if (str_eq(name, S("index.json"))) {
		if (a->index->len)
			return err_set(e, -EBADMSG, "the archive has two files called index.json");
		if (size > MANIFEST_BYTES_MAX)
			return err_set(e, -EBADMSG, "the archive's index.json has more than %d bytes", MANIFEST_BYTES_MAX);
		a->kind = INDEX;
	} else if (str_starts(name, blobs)) {
		r = blob_begin(a, (struct str){ name.p + blobs.n, name.n - blobs.n }, e);
	}
	return r || size ? r : entry_end(a, e);
}

static int blob_write(struct archive *a, const uint8_t *p, size_t n, struct err *e)
{
	EVP_DigestUpdate(a->sum, p, n);
	while (n) {
		ssize_t did = write(a->fd, p, n);

		if (did < 0 && (errno == ENOSPC || errno == EFBIG)) /* the latter keeps some room for others */
			return err_set(e, -ENOSPC, "there is no room left for the image: 'zos image prune' makes some");
		if (did < 0 && errno != EINTR)
			return err_set(e, -errno, "keep a blob of the archive: %m");
		p += did > 0 ? did : 0;
		n -= did > 0 ? (size_t)did : 0;
	}
	return 0;
}

/* Content comes here, and headers, which say nothing that on_entry() does not. */
static int on_bytes(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	struct archive *a = ctx;
	int r = 0;

	if (!a->tar.is_content || !a->left)
		return 0;
	n = a->left < n ? (size_t)a->left : n;
	a->left -= n;
	if (a->kind == INDEX)
		buf_add_bytes(a->index, p, n);
	else if (a->kind == BLOB)
		r = blob_write(a, p, n, e);
	return r || a->left ? r : entry_end(a, e);
}

int archive_read(int fd, const char *dir, void (*progress)(void *ctx, uint64_t bytes), void *ctx, struct buf *index, struct err *e)
{
	CLEANUP(archive_deinit) struct archive a = { .dir = dir, .tar = TAR_INIT(on_bytes, &a), .index = index, .fd = -1, .sum = EVP_MD_CTX_new() };
	AUTO_FREE uint8_t *p = malloc(READ_BYTES);
	ssize_t n;
	int r;

	BUG_ON(!p || !a.sum);
	a.tar.entry = on_entry;
	while ((n = read(fd, p, READ_BYTES)) > 0) {
		if ((r = tar_feed(&a.tar, p, (size_t)n, e)))
			return r;
		progress(ctx, (uint64_t)n);
	}
	if (n < 0)
		return err_set(e, -EIO, "the archive broke off: %m: push it again");
	if ((r = tar_finish(&a.tar, e)))
		return err_wrap(e, r, "not all of it came");
	if (buf_check(index))
		return err_set(e, -ENOMEM, "read the archive: out of memory");
	return index->len ? 0 : err_set(e, -EBADMSG, "there is no index.json in it: make it with 'skopeo copy ... oci-archive:FILE'");
}

int archive_blob(const char *dir, const struct descriptor *d, struct buf *ret, struct err *e)
{
	char path[ARCHIVE_PATH_MAX];
	int r;

	archive_blob_path(dir, d->digest, path);
	if ((r = file_read(AT_FDCWD, path, MANIFEST_BYTES_MAX, ret, NULL)) || ret->len != d->size_bytes)
		return err_set(e, -EBADMSG, "the archive lacks the part %s, or has it in another size", d->digest);
	return 0;
}
