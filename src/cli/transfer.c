/* zos volume export, import: what is in a volume as a tar archive, on standard output or from standard input. doc/volume-archive.md. */
#include "cli/machine.h"

#include "cli/document.h"
#include "cli/pace.h"
#include "cli/upload.h"
#include "sys/exec_wire.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { CHUNK = 16384 };

struct download {
	struct pace pace;
	struct exec_ear ear;
	uint64_t bytes, total; /* TOTAL: 0 = not known */
	bool told, is_over; /* the last frame came; nothing more does */
	int r;
	struct err *e;
};

static void download_end(struct download *d, int r)
{
	d->r = r;
	d->told = d->is_over = true;
}

static void frame_take(struct download *d, const struct exec_frame *f)
{
	FILE *to = f->type == EXEC_OUT ? stdout : stderr;

	switch (f->type) {
	case EXEC_OUT:
	case EXEC_ERR:
		if (fwrite(f->data.p, 1, f->data.n, to) != f->data.n)
			download_end(d, err_set(d->e, -errno, "write the archive: %m"));
		d->bytes += f->data.n;
		break;
	case EXEC_TOTAL:
		d->total = (uint64_t)f->b << 32 | f->a;
		break;
	case EXEC_EXIT:
		download_end(d, fflush(stdout) ? err_set(d->e, -errno, "write the archive: %m") : 0);
		break;
	case EXEC_FAILED:
		download_end(d, err_set(d->e, -EIO, STR_FMT, STR_ARG(f->data)));
		break;
	default:
		download_end(d, err_set(d->e, -EBADMSG, "the node says something that cannot be read"));
	}
}

static int on_bytes(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct download *d = userdata;
	struct exec_frame f;
	char bytes[CHUNK];
	ssize_t n = read(fd, bytes, sizeof(bytes));
	struct str p = { bytes, n > 0 ? (size_t)n : 0 };
	int r = 0;

	(void)source;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	while (!d->told && n > 0 && (r = exec_ear_take(&d->ear, &p, &f)) == EXEC_EAR_FRAME)
		frame_take(d, &f);
	if (!d->told && (n <= 0 || r < 0))
		download_end(d, err_set(d->e, -EIO, "the archive broke off after %llu bytes: what came is not all of it, do it again",
					(unsigned long long)d->bytes));
	if (!d->told && d->bytes)
		pace_show(&d->pace, d->bytes, d->total);
	return 0;
}

static int arguments_make(const struct machine_client *m, const char *snapshot, sd_json_variant **ret, struct err *e)
{
	if (sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("deployment", m->target.deployment), SD_JSON_BUILD_PAIR_STRING("volume", m->target.machine),
			   SD_JSON_BUILD_PAIR_CONDITION(snapshot != NULL, "snapshot", SD_JSON_BUILD_STRING(snapshot))) < 0)
		return err_set(e, -ENOMEM, "ask the node: out of memory");
	return 0;
}

int cmd_volume_export(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct export_args *a = args;
	AUTO_MACHINE struct machine_client m = MACHINE_CLIENT_NONE;
	AUTO_JSON sd_json_variant *arguments = NULL;
	struct download d = { .pace = PACE_INIT(c, "exporting"), .ear.from = EXEC_FROM_ARCHIVE, .e = e };
	sd_event_source *source = NULL;
	int fd[2], r;

	if (isatty(STDOUT_FILENO))
		return err_set(e, -EINVAL, "an archive is nothing for a terminal: send it on with '> FILE' or '| zstd > FILE'");
	if ((r = machine_open(&m, words[0], a->node, e)) || (r = arguments_make(&m, a->snapshot, &arguments, e)))
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd))
		return err_set(e, -errno, "make a stream: %m");
	AUTO_FD int ours = fd[1];
	if ((r = link_stream(&m.link, "zos.Volume.Export", arguments, fd[0], e)))
		return r;
	if ((r = sd_event_add_io(m.client.event, &source, ours, EPOLLIN, on_bytes, &d)) < 0)
		return err_set(e, r, "read the archive: %s", strerror(-r));
	r = client_wait(&m.client, &d.is_over, 0);
	sd_event_source_disable_unref(source);
	pace_end(&d.pace);
	return r ? err_set(e, r, "read the archive: %s", strerror(-r)) : d.r;
}

int cmd_volume_import(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct export_args *a = args;
	AUTO_MACHINE struct machine_client m = MACHINE_CLIENT_NONE;
	AUTO_JSON sd_json_variant *arguments = NULL, *status = NULL;
	struct upload up = { .method = "zos.Volume.Import", .name = "the archive", .fd = STDIN_FILENO };
	char left_out[UPLOAD_WORD_MAX];
	struct stat st;
	int r;

	if (isatty(STDIN_FILENO))
		return err_set(e, -EINVAL, "an archive comes on standard input: '< FILE', or 'zstd -d < FILE | zos volume import %s'", words[0]);
	if ((r = machine_open(&m, words[0], a->node, e)) || (r = arguments_make(&m, NULL, &arguments, e)))
		return r;
	up.arguments = arguments;
	if (!fstat(up.fd, &st) && S_ISREG(st.st_mode))
		up.total = (uint64_t)st.st_size;
	if ((r = upload_run(&up, c, &m.client, &m.link, left_out, e)) || (r = deployment_wait(c, &m.link, m.target.deployment, &status, e)))
		return r;
	if (c->json)
		return out_json(status, e);
	if (strcmp(left_out, "0"))
		fprintf(stderr, "zos: left out %s devices or attributes that a volume does not take\n", left_out);
	return 0;
}
