/* disk-ata NAME-SEQ -- asks a SATA disk for its health. Init's service ata@NAME-SEQ, which `disk smart` starts.
 *
 * To send a disk a command of its own takes CAP_SYS_RAWIO, with which a process could also drive the machine's ports and, where it may open such files, write to the kernel's memory.
 * So this has nothing else, reads nothing of what the disk says, lets go of all files but the disk and that for its answer before it asks, and ends. What it is told comes from
 * init: its one argument. The answer (ata.h) goes into a file that is there already; who asked made it. */
#include "base/log.h"
#include "base/parse.h"
#include "storage/ata_ask.h"
#include "storage/device.h"

#include <fcntl.h>
#include <stdio.h>

enum { NAME_MAX_BYTES = 32 };

static int instance_parse(struct str s, char ret_name[static NAME_MAX_BYTES], struct disk_args *ret, struct err *e)
{
	struct str rest = s, name;
	uint64_t seq;

	str_next(&rest, '-', &name);
	if (!rest.p || parse_u64(rest, UINT64_MAX, &seq) || name.n >= NAME_MAX_BYTES)
		return err_set(e, -EINVAL, "usage: disk-ata NAME-SEQ");
	snprintf(ret_name, NAME_MAX_BYTES, STR_FMT, STR_ARG(name));
	if (!name.n || ret_name[strspn(ret_name, "abcdefghijklmnopqrstuvwxyz0123456789")])
		return err_set(e, -EINVAL, "'%s' is no name of a disk", ret_name);
	*ret = (struct disk_args){ .name = ret_name, .seq = seq };
	return 0;
}

static int answer_open(const char *instance, int *ret, struct err *e)
{
	char path[ATA_PATH_MAX];

	snprintf(path, sizeof(path), ATA_DIR "/%s", instance);
	*ret = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	return *ret < 0 ? err_set(e, -errno, "open %s: %m", path) : 0;
}

static int ask(const struct disk_args *a, struct ata_said *ret, struct err *e)
{
	AUTO_FD int fd = -1;
	uint64_t size;
	int r = device_open(a, O_RDONLY, &fd, &size, e);

	if (!r)
		r = ata_shut_in(e);
	return r ? r : ata_ask(fd, ret, e);
}

int main(int argc, char **argv)
{
	AUTO_FD int out = -1;
	char name[NAME_MAX_BYTES];
	struct disk_args a;
	struct ata_said said = { 0 };
	struct err e = { 0 };

	log_init("disk-ata", getenv("ZOS_DEBUG") != NULL);
	if (instance_parse(str_c(argc == 2 ? argv[1] : ""), name, &a, &e) || answer_open(argv[1], &out, &e)) {
		log_err("%s", e.msg);
		return EXIT_FAILURE;
	}
	if (ask(&a, &said, &e))
		snprintf(said.wrong, sizeof(said.wrong), "%s", e.msg);
	return write(out, &said, sizeof(said)) == (ssize_t)sizeof(said) ? EXIT_SUCCESS : EXIT_FAILURE;
}
