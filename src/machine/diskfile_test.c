/* Against qemu-img: what it makes is taken or refused as it should be, and what we make is what it expects. */
#include "machine/diskfile.h"

#include "base/file.h"
#include "test/t.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static char dir[] = "/tmp/diskfile_test.XXXXXX";

static int in_dir(const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && { %s; } >said 2>&1", dir, command);
	return system(line);
}

static int decoded(const char *name, struct diskfile *ret, struct err *e)
{
	uint8_t head[DISKFILE_HEAD];
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	T_NEED(fd >= 0 && !fstat(fd, &st), "%s", path);
	return diskfile_decode(head, (size_t)read(fd, head, sizeof(head)), (uint64_t)st.st_size, ret, e);
}

static void strangers_disks(void)
{
	static const struct {
		const char *made_by;
		int format;
		const char *why; /* NULL: taken */
	} rows[] = {
		{ "qemu-img create -f qcow2 x 3G", DISKFILE_QCOW2, NULL },
		{ "qemu-img create -f qcow2 -o compat=0.10 x 3G", DISKFILE_QCOW2, NULL },
		{ "qemu-img create -f qcow2 -o compression_type=zstd,extended_l2=on x 3G", DISKFILE_QCOW2, NULL },
		{ "truncate -s 3G x; printf '\\125\\252' | dd of=x bs=1 seek=510 conv=notrunc", DISKFILE_RAW, NULL },
		{ "qemu-img create -f qcow2 -F raw -u -b /etc/passwd x 3G", 0, "names another file" },
		{ "qemu-img create -f qcow2 -F raw -u -b 'json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}' x 3G", 0, "names another file" },
		{ "qemu-img create -f qcow2 -o compat=0.10 -F raw -u -b /etc/passwd x 3G", 0, "names another file" },
		{ "qemu-img create -f qcow2 -o data_file=data x 3G", 0, "features that are not taken here (0x4;" },
		{ "qemu-img create -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s --object secret,id=s,data=pw x 3G", 0, "encrypted" },
		{ "qemu-img create -f qcow2 x 3G; printf '\\1' | dd of=x bs=1 seek=79 conv=notrunc", 0, "features that are not taken here (0x1;" },
		{ "qemu-img create -f qcow2 x 3G; printf '\\200' | dd of=x bs=1 seek=72 conv=notrunc", 0, "features that are not taken" },
		{ "qemu-img create -f qcow x 3G", 0, "a qcow of version 1" },
		{ "qemu-img create -f qcow2 x 32T", 0, "a disk of 35184372088832 bytes" },
		{ "qemu-img create -f qcow2 x 3G; truncate -s 71 x", 0, "ends within its header" },
		{ "qemu-img create -f qcow2 x 3G; truncate -s 103 x", 0, "ends within its header" },
		{ "truncate -s 3G x", 0, "neither a qcow2 nor a raw disk" },
		{ "qemu-img create -f vmdk x 3G", 0, "neither a qcow2 nor a raw disk" },
		{ "qemu-img create -f vpc x 3G", 0, "neither a qcow2 nor a raw disk" },
		{ "truncate -s 1000 x; printf '\\125\\252' | dd of=x bs=1 seek=510 conv=notrunc", 0, "a disk of 1000 bytes" },
		{ ": >x", 0, "neither a qcow2 nor a raw disk" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct diskfile d = { 0 };
		struct err e = { 0 };
		int r;

		T_NEED(!in_dir("rm -f x data") && !in_dir(rows[i].made_by), "%s", rows[i].made_by);
		r = decoded("x", &d, &e);
		T_CHECK(rows[i].why ? r == -EBADMSG && strstr(e.msg, rows[i].why)
				    : !r && (int)d.format == rows[i].format && d.size_bytes == 3ull << 30,
			"%s: %d '%s'", rows[i].made_by, r, e.msg);
	}
}

static void the_layer_is_a_qcow2(void)
{
	static const uint64_t sizes[] = { 512, 3ull << 30, (256ull << 20) + 512, DISKFILE_SIZE_MAX };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct diskfile d = { 0 };
		struct err e = { 0 };
		char path[64];

		T_NEED(!in_dir("rm -f layer"), "clear");
		snprintf(path, sizeof(path), "%s/layer", dir);
		AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		T_CHECK(!diskfile_layer_write(fd, sizes[i], &e), "%s", e.msg);
		T_CHECK(!in_dir("qemu-img check layer && qemu-io -c 'write -P 7 0 512' -c 'read -P 7 0 512' layer && qemu-img check layer"),
			"%llu: see %s", (unsigned long long)sizes[i], dir);
		T_CHECK(!decoded("layer", &d, &e) && d.format == DISKFILE_QCOW2 && d.size_bytes == sizes[i], "%s", e.msg);
	}
	T_CHECK(diskfile_layer_write(-1, DISKFILE_SIZE_MAX + 512, NULL) == -EBADMSG, "too large");
}

static void the_layer_shows_what_is_below(void)
{
	T_NEED(!in_dir("rm -f below layer; truncate -s 3G below; qemu-io -f raw -c 'write -P 9 1M 1M' below"), "make a disk");
	struct err e = { 0 };
	char path[64];

	snprintf(path, sizeof(path), "%s/layer", dir);
	AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	T_CHECK(!diskfile_layer_write(fd, 3ull << 30, &e), "%s", e.msg);
	T_CHECK(!in_dir("qemu-io --image-opts driver=qcow2,file.driver=file,file.filename=layer,backing.driver=raw,backing.file.driver=file,"
			"backing.file.filename=below -c 'read -P 9 1M 1M' -c 'write -P 5 1M 4k' -c 'read -P 5 1M 4k' -c 'read -P 9 1028k 4k' "
			"&& ! grep -i fail said && [ $(stat -c %b layer) -lt 1024 ]"),
		"see %s", dir);
}

int main(void)
{
	struct err e = { 0 };

	T_NEED(mkdtemp(dir), "make a directory");
	T_RUN(strangers_disks);
	T_RUN(the_layer_is_a_qcow2);
	T_RUN(the_layer_shows_what_is_below);
	T_CHECK(t_bad || !tree_remove(AT_FDCWD, dir, &e), "%s", e.msg);
	return T_END();
}
