/* Boot media: the image as one EFI program on a partition that firmware starts from, and the farm document beside it, where systemd's stub
 * looks for it. Debian's tools (sfdisk, mtools, xorriso) make it in a directory of its own, as whoever calls; then it is copied to where it
 * is wanted, so that a failure half-way leaves nothing there that looks like a medium. */
#include "cli/command.h"
#include "cli/uki.h"
#include "cli/uplinks.h"

#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
	MIB = 1 << 20,
	FARM_FILE_MAX = 1 << 20,
	ROOM_BYTES = 8 * MIB, /* for the farm document and the file system's own tables */
	ESP_MIN_BYTES = 40 * MIB, /* FAT32 has no smaller ones */
	CHUNK = MIB,
	PATH_BYTES = 700,
};
#define PROGRAM_AT "::/EFI/BOOT/BOOTX64.EFI" /* what firmware starts on a medium of which it knows nothing: UEFI 2.10, 3.5.1.1 */

struct media_args {
	bool force;
	struct uplinks_args uplinks;
};
static const struct opt media_opts[] = {
	OPT(struct media_args, force, "force", NULL, "write over a file, or a whole disk such as /dev/sdX"),
	UPLINKS_OPTS(struct media_args, uplinks),
};

struct media {
	const struct cli *cli;
	const char *uki, *out;
	bool is_cd;
	char flavour[16];
	uint64_t esp_bytes;
	char farm[PATH_BYTES], dir[PATH_BYTES];
	struct str uplinks;    /* the credential; "" = none */
	char made[PATH_BYTES]; /* the whole medium, below DIR */
	char esp[PATH_BYTES];  /* its partition, as mtools name it: FILE or FILE@@OFFSET */
};

static void media_deinit(struct media *m)
{
	struct err e;

	if (m->dir[0] && tree_remove(AT_FDCWD, m->dir, &e))
		fprintf(stderr, "zos: left behind: %s\n", e.msg);
}

static _Noreturn void tool_exec(char *const argv[], const char *input)
{
	const char *path = getenv("PATH");
	char more[4096];
	int in = open(input ? input : "/dev/null", O_RDONLY | O_CLOEXEC), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	snprintf(more, sizeof(more), "%s:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin"); /* sfdisk, for who is not root */
	if (in >= 0 && null >= 0 && dup2(in, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0 && !setenv("PATH", more, 1))
		execvp(argv[0], argv);
	_exit(127);
}

/* Runs ARGV, its complaints going where ours go. INPUT: the file on its standard input, or NULL. */
static int tool_run(char *const argv[], const char *input, struct err *e)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		tool_exec(argv, input);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return err_set(e, -errno, "run %s: %m", argv[0]);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(e, -ENOENT, "there is no '%s' on this machine: install mtools, fdisk and xorriso", argv[0]);
	return status ? err_set(e, -EIO, "%s could not do its part of the medium; what it said stands above", argv[0]) : 0;
}
#define TOOL(input, e, ...) tool_run((char *[]){ __VA_ARGS__, NULL }, input, e)

static int uki_look(struct media *m, struct err *e)
{
	AUTO_UKI struct uki u = UKI_NONE;
	uint64_t need;
	int r = uki_open(m->uki, &u, e);

	if (r)
		return r;
	uki_warn(&u, m->uki);
	memcpy(m->flavour, u.flavour, sizeof(m->flavour));
	need = u.bytes + ROOM_BYTES;
	m->esp_bytes = (need > ESP_MIN_BYTES ? need : ESP_MIN_BYTES) / MIB * MIB + MIB;
	return 0;
}

static int dir_open(struct media *m, struct err *e)
{
	const char *tmp = getenv("TMPDIR");
	char dir[PATH_BYTES];

	if (snprintf(dir, sizeof(dir) - 32, "%s/zos-media-XXXXXX", tmp ? tmp : "/tmp") >= (int)sizeof(dir) - 32 || !mkdtemp(dir))
		return err_set(e, -errno, "make a directory in %.100s: %m", tmp ? tmp : "/tmp");
	memcpy(m->dir, dir, sizeof(dir));
	snprintf(m->made, sizeof(m->made), "%s/medium", m->dir);
	snprintf(m->esp, sizeof(m->esp), m->is_cd ? "%s/cd/esp.img" : "%s/medium@@1M", m->dir);
	return 0;
}

static int file_size(const char *path, uint64_t bytes, struct err *e)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd < 0 || ftruncate(fd, (off_t)bytes) ? err_set(e, -errno, "make %s: %m", path) : 0;
}

/* A disk with one partition: 1 MiB before it for the table, 1 MiB behind it for the table's copy. */
static int disk_make(const struct media *m, struct err *e)
{
	char table[128], path[PATH_BYTES + 16];
	int r;

	snprintf(table, sizeof(table), "label: gpt\nstart=1MiB, size=%lluMiB, type=uefi, name=zos\n", (unsigned long long)(m->esp_bytes / MIB));
	snprintf(path, sizeof(path), "%s/table", m->dir);
	if ((r = file_save(AT_FDCWD, path, str_c(table), 0600, e)) || (r = file_size(m->made, m->esp_bytes + 2 * MIB, e)))
		return r;
	return TOOL(path, e, "sfdisk", "--quiet", (char *)m->made);
}

static int cd_folder_make(const struct media *m, struct err *e)
{
	char path[PATH_BYTES + 16];
	int r;

	snprintf(path, sizeof(path), "%s/cd", m->dir);
	r = dir_make(path, 0700, e);
	return r ? r : file_size(m->esp, m->esp_bytes, e);
}

/* What a node shall know of its uplinks, beside the farm document. */
static int uplinks_put(const struct media *m, struct err *e)
{
	char path[PATH_BYTES + 16];
	int r;

	if (!m->uplinks.n)
		return 0;
	snprintf(path, sizeof(path), "%s/uplink", m->dir);
	if ((r = file_save(AT_FDCWD, path, m->uplinks, 0600, e)))
		return r;
	return TOOL(NULL, e, "mcopy", "-i", (char *)m->esp, path, (PROGRAM_AT ".extra.d/" UPLINKS_CREDENTIAL));
}

/* The file system in the partition, and what is in it. */
static int esp_fill(const struct media *m, struct err *e)
{
	char sectors[24], *at = (char *)m->esp;
	int r;

	snprintf(sectors, sizeof(sectors), "%llu", (unsigned long long)(m->esp_bytes / 512));
	if ((r = TOOL(NULL, e, "mformat", "-i", at, "-F", "-T", sectors, "-h", "64", "-s", "32", "-v", "ZOS", "::")) ||
	    (r = TOOL(NULL, e, "mmd", "-i", at, "::/EFI", "::/EFI/BOOT", (PROGRAM_AT ".extra.d"))) ||
	    (r = TOOL(NULL, e, "mcopy", "-i", at, (char *)m->farm, (PROGRAM_AT ".extra.d/farm.cred"))) || (r = uplinks_put(m, e)))
		return r;
	return TOOL(NULL, e, "mcopy", "-i", at, (char *)m->uki, PROGRAM_AT);
}

/* A CD that UEFI starts from that partition, which is a file on it (El Torito). */
static int cd_make(const struct media *m, struct err *e)
{
	char path[PATH_BYTES + 16];

	snprintf(path, sizeof(path), "%s/cd", m->dir);
	return TOOL(NULL, e, "xorriso", "-as", "mkisofs", "-quiet", "-V", "ZOS", "-o", (char *)m->made, "-e", "esp.img", "-no-emul-boot", path);
}

/* A file that is not there yet; with FORCE any file, or a disk that nothing uses. */
static int out_open(const struct media *m, bool force, struct err *e)
{
	struct stat st;
	bool is_there = !stat(m->out, &st), is_disk = is_there && S_ISBLK(st.st_mode);
	int fd;

	if (is_there && !force)
		return err_set(e, -EEXIST, "%s is there already: --force writes over %s", m->out, is_disk ? "the whole disk" : "it");
	if (is_there && !is_disk && !S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "%s is neither a file nor a disk", m->out);
	fd = open(m->out, O_WRONLY | O_CLOEXEC | (is_disk ? O_EXCL : O_CREAT | (force ? O_TRUNC : O_EXCL)), 0644);
	if (fd < 0 && errno == EBUSY)
		return err_set(e, -EBUSY, "%s is in use: unmount it first", m->out);
	return fd < 0 ? err_set(e, -errno, "open %s: %m", m->out) : fd;
}

static int all_write(int fd, const char *p, size_t n)
{
	for (ssize_t done; n; p += done, n -= (size_t)done)
		if ((done = write(fd, p, n)) < 0)
			return -errno;
	return 0;
}

/* Copies what was made, shows how far it is, and returns once the disk has it. */
static int out_copy(const struct media *m, int out, uint64_t *ret_bytes, struct err *e)
{
	AUTO_FREE char *chunk = malloc(CHUNK);
	AUTO_FD int in = open(m->made, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint64_t done = 0;
	ssize_t n = 1;
	int r = 0;

	BUG_ON(!chunk);
	if (in < 0 || fstat(in, &st))
		return err_set(e, -errno, "open %s: %m", m->made);
	while (!r && (n = read(in, chunk, CHUNK)) > 0) {
		r = all_write(out, chunk, (size_t)n);
		out_progress(m->cli, "writing", done += (uint64_t)n, (uint64_t)st.st_size);
	}
	out_progress(m->cli, "waiting for the disk", 0, 0);
	if (!r && (n < 0 || fsync(out)))
		r = -errno;
	out_progress_end(m->cli);
	*ret_bytes = done;
	return r ? err_set(e, r, "write %s: %s; what is there now starts nothing", m->out, strerror(-r)) : 0;
}

static int media_make(struct media *m, struct err *e)
{
	int r = dir_open(m, e);

	out_progress(m->cli, "making the medium", 0, 0);
	if (!r)
		r = m->is_cd ? cd_folder_make(m, e) : disk_make(m, e);
	if (!r)
		r = esp_fill(m, e);
	if (!r && m->is_cd)
		r = cd_make(m, e);
	out_progress_end(m->cli);
	return r;
}

static int media_tell(const struct media *m, const char *farm, uint64_t bytes, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;

	if (!m->cli->json)
		return printf("%s starts nodes of farm '%s', flavour %s\n", m->out, farm, m->flavour) < 0 ? err_set(e, -errno, "print: %m") : 0;
	return sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("file", m->out), SD_JSON_BUILD_PAIR_STRING("farm", farm),
			      SD_JSON_BUILD_PAIR_STRING("flavour", m->flavour), SD_JSON_BUILD_PAIR_UNSIGNED("bytes", bytes)) < 0
		       ? err_set(e, -ENOMEM, "print: out of memory")
		       : out_json(v, e);
}

static int media_write(struct media *m, bool force, const char *farm, struct err *e)
{
	uint64_t bytes = 0;
	int fd, r;

	if (!force && !access(m->out, F_OK)) /* said before the work is done, and decided when the file is opened */
		return out_open(m, false, e);
	if ((r = uki_look(m, e)) || (r = media_make(m, e)))
		return r;
	fd = out_open(m, force, e);
	if (fd < 0)
		return fd;
	r = out_copy(m, fd, &bytes, e);
	if (close(fd) && !r)
		r = err_set(e, -errno, "write %s: %m", m->out);
	return r ? r : media_tell(m, farm, bytes, e);
}

static int farm_media(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct media_args *a = args;
	AUTO_PROFILE struct profile p = PROFILE_NONE;
	AUTO_BUF struct buf envelope = { 0 }, uplinks = { 0 };
	CLEANUP(media_deinit) struct media m = { .cli = c, .uki = words[0], .out = words[1] };
	struct farm *f = calloc(1, sizeof(*f));
	int r;

	BUG_ON(!f);
	m.is_cd = strlen(m.out) > 4 && !strcmp(m.out + strlen(m.out) - 4, ".iso");
	r = uplinks_format(&a->uplinks, &uplinks, e);
	m.uplinks = buf_str(&uplinks);
	if (!r)
		r = profile_open(&p, e);
	snprintf(m.farm, sizeof(m.farm), "%s/farm.json", p.dir);
	if (!r && !(r = farm_read(&p, f, &envelope, e)))
		r = media_write(&m, a->force, f->name, e);
	farm_deinit(f);
	free(f);
	return r;
}

const struct command media_commands[] = {
	{ .name = "farm media",
	  .words = "ZOS.EFI OUT",
	  .help = "write what a node starts from: a disk for USB, or a CD when OUT ends with .iso",
	  .opts = media_opts,
	  .n_opts = ARRAY_LEN(media_opts),
	  .args_size = sizeof(struct media_args),
	  .min_words = 2,
	  .max_words = 2,
	  .run = farm_media },
};
const size_t n_media_commands = ARRAY_LEN(media_commands);
