/* Whatever an archive leaves behind is what its name says: a blob that is kept has the digest that it is called by, or the archive was
 * refused as a whole. */
#include "image/archive.h"

#include "base/parse.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static void ignore(void *ctx, uint64_t bytes)
{
	(void)ctx;
	(void)bytes;
}

static bool name_holds(int dir, const char *name)
{
	AUTO_BUF struct buf hex = { 0 };
	AUTO_FD int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	static uint8_t content[1 << 20];
	ssize_t n = read(fd, content, sizeof(content));
	uint8_t sum[32];

	if (n < 0 || !EVP_Digest(content, (size_t)n, sum, NULL, EVP_sha256(), NULL))
		return false;
	format_hex(&hex, sum, sizeof(sum));
	return n == sizeof(content) || !strcmp(hex.p, name + strlen("blob-"));
}

/* Empties DIR; with CHECK every file's name must hold. */
static void sweep(const char *path, bool check)
{
	DIR *d = opendir(path);

	if (!d)
		abort();
	for (struct dirent *f = readdir(d); f; f = readdir(d)) {
		if (f->d_name[0] == '.')
			continue;
		if (strncmp(f->d_name, "blob-", 5) || (check && !name_holds(dirfd(d), f->d_name)) || unlinkat(dirfd(d), f->d_name, 0))
			abort();
	}
	closedir(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char dir[] = "/dev/shm/fuzz_archive.XXXXXX";
	AUTO_BUF struct buf index = { .limit = MANIFEST_BYTES_MAX + 1 };
	AUTO_FD int fd = memfd_create("archive", MFD_CLOEXEC);
	struct err e = { 0 };
	int r;

	if (!mkdtemp(dir) || fd < 0 || write(fd, data, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET))
		abort();
	r = archive_read(fd, dir, ignore, NULL, &index, &e);
	if (r ? !e.msg[0] : !index.len)
		abort();
	sweep(dir, !r);
	return rmdir(dir) ? (abort(), 0) : 0;
}
