/* zos zdb: what a key-value store on a node says of itself, asked through the session. */
#include "api/deployment.h"
#include "cli/bulk.h"
#include "cli/machine.h"

#include <stdio.h>
#include <sys/socket.h>

enum { CHUNK = 16384 };

struct asking {
	struct buf said;
	struct str answer;
	bool is_over;
	int r;
	struct err *e;
};

static void asking_end(struct asking *a, int r)
{
	a->r = r;
	a->is_over = true;
}

static int on_bytes(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct asking *a = userdata;
	char bytes[CHUNK];
	ssize_t n = read(fd, bytes, sizeof(bytes));
	int r;

	(void)source;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0 || a->is_over) {
		if (!a->is_over)
			asking_end(a, err_set(a->e, -EIO, "the store does not answer"));
		return 0;
	}
	buf_add_bytes(&a->said, bytes, (size_t)n);
	r = buf_check(&a->said) ? -EBADMSG : bulk_read(buf_str(&a->said), &a->answer);
	if (r == BULK_ERROR)
		asking_end(a, err_set(a->e, -EPROTO, "the store says: " STR_FMT, STR_ARG(a->answer)));
	else if (r < 0)
		asking_end(a, err_set(a->e, r, "the store says something that cannot be read"));
	else if (!r)
		asking_end(a, 0);
	return 0;
}

static int show(const struct cli *c, struct str text, struct err *e)
{
	AUTO_JSON sd_json_variant *string = NULL, *v = NULL;
	int r;

	if (!c->json)
		return fwrite(text.p, 1, text.n, stdout) == text.n && !fflush(stdout) ? 0 : err_set(e, -errno, "write what it says: %m");
	if ((r = sd_json_variant_new_stringn(&string, text.p, text.n)) >= 0)
		r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_VARIANT("metrics", string));
	return r < 0 ? err_set(e, r, "the store says something that is no text") : out_json(v, e);
}

static int ask(struct machine_client *m, const char *command, struct asking *a, struct err *e)
{
	AUTO_JSON sd_json_variant *arguments = NULL;
	sd_event_source *source = NULL;
	int fd[2], r;

	if (sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_STRING("deployment", m->target.deployment),
			   SD_JSON_BUILD_PAIR_STRING("machine", m->target.machine), SD_JSON_BUILD_PAIR_UNSIGNED("port", ZDB_PORT)) < 0)
		return err_set(e, -ENOMEM, "ask the store: out of memory");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd))
		return err_set(e, -errno, "make a stream: %m");
	AUTO_FD int ours = fd[1];
	if ((r = link_stream(&m->link, "zos.Machine.Forward", arguments, fd[0], e)))
		return r;
	if (write(ours, command, strlen(command)) != (ssize_t)strlen(command))
		return err_set(e, -errno, "ask the store: %m");
	if ((r = sd_event_add_io(m->client.event, &source, ours, EPOLLIN, on_bytes, a)) < 0)
		return err_set(e, r, "read what the store says: %s", strerror(-r));
	r = client_wait(&m->client, &a->is_over, 0);
	sd_event_source_disable_unref(source);
	return r ? err_set(e, r, "read what the store says: %s", strerror(-r)) : a->r;
}

int cmd_zdb_metrics(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct zdb_args *a = args;
	AUTO_MACHINE struct machine_client m = MACHINE_CLIENT_NONE;
	struct asking asking = { .said.limit = BULK_MAX + CHUNK, .e = e };
	int r;

	if (!(r = machine_open(&m, words[0], a->node, e)) && !(r = ask(&m, "METRICS\r\n", &asking, e)))
		r = show(c, asking.answer, e);
	buf_deinit(&asking.said);
	return r;
}
