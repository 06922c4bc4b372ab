/* A virtual machine that boots a disk image of its owner's: QEMU as a PC, with SeaBIOS and four devices (disk, cloud-init's disk, network card,
 * random numbers) and a serial line, whose output is the machine's log. The image is the one file below /disk in an OCI image.
 *
 * Nobody of ours is inside. The machine runs when QEMU says so on its monitor (qmp.h), is asked to end by its power button, and has ended with
 * status 0 when it was switched off. The node never mounts anything of the image: QEMU reads it, in its cage, as a layer below one in memory that
 * takes what the machine writes, and begins empty at each start. */
#include "base/file.h"
#include "base/parse.h"
#include "machine/cage.h"
#include "machine/diskfile.h"
#include "machine/emulator.h"
#include "machine/layers.h"
#include "machine/qmp.h"
#include "machine/seed.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum {
	WORDS_EVERY_US = 1000000, /* a guest can make QEMU talk: so many readings of the monitor in that time, no more */
	WORDS_MAX = 50,
};

struct disk {
	struct emulator emulator; /* first */
	struct emulator_mounts mounts;
	int image; /* the owner's file; -1 = not opened yet: what is wrong with it is told as an end */
	sd_event_source *monitor;
	struct qmp_ear ear;
	unsigned told; /* bits by enum qmp_word: heard since the start */
};

static struct disk *disk_of(const struct runner *r)
{
	return r->box_state;
}

/* NAME below DIR_FD, and nothing that a link may lead to. Returns a descriptor or a negative errno. */
static int beneath_open(int dir_fd, const char *name, uint64_t flags)
{
	struct open_how how = { .flags = flags | O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };
	int fd = (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* The one file in the directory FOLDER (takes). */
static int only_file_open(int folder, int *ret, struct err *e)
{
	AUTO_DIR DIR *d = fdopendir(folder);
	AUTO_FD int fd = -1;
	struct dirent *entry;
	struct stat st;
	int n = 0;

	if (!d) {
		close(folder);
		return err_set(e, -errno, "read the image's /disk: %m");
	}
	while (n < 2 && (entry = readdir(d))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		fd_close(&fd);
		fd = beneath_open(dirfd(d), entry->d_name, O_NONBLOCK); /* a pipe would wait for a writer */
		n++;
	}
	if (n != 1 || fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return err_set(e, -EBADMSG, "the image's /disk has to hold one file, the disk image, and it holds %s",
			       n == 1 ? "something else"
			       : n    ? "more"
				      : "none");
	*ret = take_fd(fd);
	return 0;
}

/* /disk in the layer FILE: a descriptor, or -ENOENT without a sentence. */
static int folder_open(const struct runner *r, const char *file, struct err *e)
{
	AUTO_FD int layer = -1;
	int ret = layer_open(file, r->spec.id, &layer, e);

	if (ret)
		return ret == -ENOENT ? -EIO : ret;
	ret = beneath_open(layer, "disk", O_DIRECTORY);
	if (ret < 0 && ret != -ENOENT)
		return err_set(e, -EBADMSG, "the image's /disk is no directory with a disk image in it: %s", strerror(-ret));
	return ret;
}

/* Layers are not laid over one another for this: one of them has to bring all of it. */
static int image_open(const struct runner *r, int *ret, struct err *e)
{
	AUTO_FD int found = -1;

	for (size_t i = 0; i < sd_json_variant_elements(r->spec.layers); i++) {
		AUTO_FD int folder = folder_open(r, sd_json_variant_string(sd_json_variant_by_index(r->spec.layers, i)), e);

		if (folder == -ENOENT)
			continue;
		if (folder < 0)
			return folder;
		if (found >= 0)
			return err_set(e, -EBADMSG, "more than one layer of the image has a /disk: put the disk image into an image of one layer");
		found = take_fd(folder);
	}
	if (found < 0)
		return err_set(e, -EBADMSG, "the image has no /disk with a disk image in it: to run its programs leave out 'boot'");
	return only_file_open(take_fd(found), ret, e);
}

static int disk_prepare(struct runner *r, struct err *e)
{
	struct disk *d = calloc(1, sizeof(*d));

	BUG_ON(!d);
	d->image = -1;
	r->box_state = d;
	r->life.grace_ms = LIFE_GRACE_DISK_MS;
	int ret = emulator_init(&d->emulator, r, e);
	return ret ? ret : emulator_mounts_open(&d->mounts, &r->spec, true, e);
}

/* Sockets to QEMU: in each pair [0] stays here. */
enum { LINK_COMPLAINTS, LINK_SERIAL, LINK_MONITOR, LINKS };
struct links {
	int pairs[LINKS][2];
	struct emulator_taps taps;
};
#define LINKS_NONE { .pairs = { [0 ... LINKS - 1] = { -1, -1 } }, .taps = EMULATOR_TAPS_NONE }

static void links_close(struct links *l)
{
	for (size_t i = 0; i < LINKS; i++) {
		fd_close(&l->pairs[i][0]);
		fd_close(&l->pairs[i][1]);
	}
	emulator_taps_close(&l->taps);
}

static int links_open(const struct runner *r, struct links *l, struct err *e)
{
	for (size_t i = 0; i < LINKS; i++)
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, l->pairs[i]) || fcntl(l->pairs[i][0], F_SETFL, O_NONBLOCK))
			return err_set(e, -errno, "make sockets for the virtual machine: %m");
	return emulator_taps_open(r, &l->taps, e);
}

struct birth {
	const struct runner *runner;
	const struct links *links;
};

/* What the image says is looked at here, where nothing can be reached any more. */
static int image_look(int fd, struct diskfile *ret, struct err *e)
{
	uint8_t head[DISKFILE_HEAD];
	ssize_t n = pread(fd, head, sizeof(head), 0);
	struct stat st;

	if (n < 0 || fstat(fd, &st))
		return err_set(e, -errno, "read the disk image: %m");
	return diskfile_decode(head, (size_t)n, (uint64_t)st.st_size, ret, e);
}

static int room_fill(const struct machine_spec *s, uint64_t size_bytes, struct err *e)
{
	AUTO_FD int layer = open(QEMU_DISK_LAYER, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	AUTO_FD int seed = -1;
	int r;

	if (layer < 0 || mkdir(QEMU_DISK_SEED, 0700) || (seed = open(QEMU_DISK_SEED, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_set(e, -errno, "make the machine's layer over the disk image: %m");
	return (r = diskfile_layer_write(layer, size_bytes, e)) ? r : seed_save(seed, s, e);
}

static int args_make(void *ctx, struct qemu_args *ret, struct err *e)
{
	const struct birth *b = ctx;
	const struct machine_spec *s = &b->runner->spec;
	struct disk *d = disk_of(b->runner);
	struct qemu_disk q = { .memory_bytes = s->memory_bytes - s->rootfs_bytes,
			       .cpus = (unsigned)((s->cpu_milli + 999) / 1000),
			       .mac = s->mac,
			       .tap = b->links->taps.way_out,
			       .links = b->links->taps.links,
			       .n_links = b->links->taps.n_links,
			       .serial = b->links->pairs[LINK_SERIAL][1],
			       .monitor = b->links->pairs[LINK_MONITOR][1],
			       .image = d->image,
			       .mounts = d->mounts.disks,
			       .n_mounts = d->mounts.n_disks,
			       .shares = d->mounts.shares,
			       .n_shares = d->mounts.n_shares };
	struct diskfile image;
	int r;

	if ((r = image_look(q.image, &image, e)) || (r = room_fill(s, image.size_bytes, e)))
		return r;
	q.format = image.format == DISKFILE_QCOW2 ? "qcow2" : "raw";
	emulator_taps_keep(&b->links->taps);
	emulator_keep(q.serial);
	emulator_keep(q.monitor);
	emulator_keep(q.image);
	emulator_mounts_keep(&d->mounts, &d->emulator);
	qemu_disk_args_make(&q, ret);
	return 0;
}

static void say(struct runner *r, struct str words)
{
	struct disk *d = disk_of(r);

	if (!d->monitor || send(sd_event_source_get_io_fd(d->monitor), words.p, words.n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)words.n)
		emulator_kill(r);
}

static void on_word(struct runner *r, int word)
{
	struct disk *d = disk_of(r);
	char room[16], text[160];

	if (d->told & 1u << word)
		return;
	switch (word) {
	case QMP_GREETING:
		say(r, S(QMP_HELLO));
		break;
	case QMP_DONE:
		emulator_up(&d->emulator);
		runner_started(r);
		break;
	case QMP_UNWRITTEN:
		format_size(room, r->spec.rootfs_bytes);
		snprintf(text, sizeof(text), "has written more than its %s over the disk image, and writing fails: give it more with 'rootfs_size'",
			 room);
		runner_warn(r, text);
		break;
	case QMP_UNREAD:
		runner_warn(r, "its disk image could not be read in one place: it was told of an input/output error");
		break;
	default:
		return;
	}
	d->told |= 1u << word; /* a guest can make QEMU say it as often as it likes */
}

static int on_monitor(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct runner *r = userdata;
	struct disk *d = disk_of(r);
	char bytes[QMP_LINE_MAX];
	ssize_t n = read(fd, bytes, sizeof(bytes));
	struct str p = { bytes, n > 0 ? (size_t)n : 0 };
	int word;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
		return 0;
	}
	while ((word = qmp_take(&d->ear, &p)) > 0)
		on_word(r, word);
	if (word < 0) {
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
		emulator_why(&d->emulator, "its monitor said what no QEMU says, and it was killed", "");
		emulator_kill(r);
	}
	return 0;
}

static void on_end(struct runner *r, int status)
{
	struct disk *d = disk_of(r);
	char last[160];

	d->monitor = sd_event_source_disable_unref(d->monitor);
	emulator_last_words(&d->emulator, last, sizeof(last));
	if (!d->emulator.is_up)
		emulator_why(&d->emulator, last[0] ? last : "the virtual machine did not come up, and said nothing", "");
	runner_ended(r, d->emulator.is_up ? status : EMULATOR_FAILED, false, d->emulator.why[0] ? d->emulator.why : NULL);
}

static int sources_add(struct runner *r, struct links *l, struct err *e)
{
	struct disk *d = disk_of(r);
	int ret;

	if ((ret = sd_event_add_io(r->event, &d->monitor, l->pairs[LINK_MONITOR][0], EPOLLIN, on_monitor, r)) < 0 ||
	    (ret = sd_event_source_set_ratelimit(d->monitor, WORDS_EVERY_US, WORDS_MAX)) < 0)
		return err_set(e, ret, "watch the virtual machine: %s", strerror(-ret));
	sd_event_source_set_io_fd_own(d->monitor, true);
	take_fd(l->pairs[LINK_MONITOR][0]);
	if ((ret = output_listen(&r->output, OUTPUT_CONSOLE, take_fd(l->pairs[LINK_COMPLAINTS][0]), e)))
		return ret;
	return output_listen(&r->output, OUTPUT_OUT, take_fd(l->pairs[LINK_SERIAL][0]), e);
}

static int disk_start(struct runner *r, struct err *e)
{
	CLEANUP(links_close) struct links l = LINKS_NONE;
	struct birth b = { r, &l };
	struct disk *d = disk_of(r);
	int ret;

	d->ear.n = 0;
	d->told = 0;
	if (d->image < 0 && (ret = image_open(r, &d->image, e)))
		return ret;
	if ((ret = emulator_limit(&d->emulator, r, e)) || (ret = links_open(r, &l, e)))
		return ret;
	const struct emulator_start s = { r->spec.rootfs_bytes, l.pairs[LINK_COMPLAINTS][1], args_make, &b };
	if ((ret = emulator_spawn(&d->emulator, &s, on_end, e)))
		return ret;
	return (ret = sources_add(r, &l, e)) ? emulator_drop(&d->emulator, ret) : 0;
}

static void disk_term(struct runner *r)
{
	if (disk_of(r)->emulator.is_up)
		say(r, S(QMP_POWER_BUTTON));
	else
		emulator_kill(r);
}

static void disk_deinit(struct runner *r)
{
	struct disk *d = disk_of(r);

	if (!d)
		return;
	emulator_deinit(&d->emulator);
	sd_event_source_disable_unref(d->monitor);
	fd_close(&d->image);
	emulator_mounts_close(&d->mounts);
	free(d);
}

const struct box_ops disk_box = {
	.prepare = disk_prepare,
	.start = disk_start,
	.term = disk_term,
	.kill = emulator_kill,
	.pause = emulator_pause,
	.deinit = disk_deinit,
};
