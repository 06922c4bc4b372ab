#include "cli/upload.h"

#include "base/parse.h"
#include "cli/pace.h"

#include <stdio.h>
#include <sys/socket.h>

enum { CHUNK = 65536, LINE_MAX_BYTES = 1024 };

struct push {
	const struct upload *what;
	const struct cli *cli;
	int pipe; /* our end of the stream */
	sd_event_source *io, *input;
	uint64_t sent;
	struct pace pace;
	struct buf heard; /* lines from the node, the last of them not whole */
	char *word;
	char chunk[CHUNK];
	size_t at, n; /* of the chunk: what is not sent yet */
	bool input_over, is_over;
	int r;
	struct err *e;
};

static void push_end(struct push *p, int r)
{
	p->r = r;
	p->is_over = true;
	p->io = sd_event_source_disable_unref(p->io);
	p->input = sd_event_source_disable_unref(p->input);
}

/* "progress WHAT DONE TOTAL", "done WORD", "failed ERRNO SENTENCE": as the node's puller says it. */
static void line_take(struct push *p, struct str line)
{
	struct str word, number, rest = line;
	uint64_t code;

	str_next(&rest, ' ', &word);
	if (str_eq(word, S("done")) && rest.n < UPLOAD_WORD_MAX) {
		snprintf(p->word, UPLOAD_WORD_MAX, STR_FMT, STR_ARG(rest));
		push_end(p, 0);
	} else if (str_eq(word, S("failed")) && str_next(&rest, ' ', &number) && !parse_u64(number, 4095, &code) && code) {
		push_end(p, err_set(p->e, -(int)code, STR_FMT, STR_ARG(rest)));
	} else if (str_starts(rest, S("converting"))) {
		out_progress(p->cli, "converting", 0, 0);
	}
}

static void lines_take(struct push *p)
{
	struct str rest = buf_str(&p->heard), line;

	while (!p->is_over && rest.n && memchr(rest.p, '\n', rest.n) && str_next(&rest, '\n', &line))
		line_take(p, line);
	buf_drop(&p->heard, p->heard.len - rest.n);
}

static void hear(struct push *p)
{
	char text[LINE_MAX_BYTES];
	ssize_t n = recv(p->pipe, text, sizeof(text), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		buf_add_bytes(&p->heard, text, (size_t)n);
	lines_take(p);
	if (n <= 0 && !p->is_over)
		push_end(p, err_set(p->e, -EIO, "what was sent broke off after %llu bytes: try again", (unsigned long long)p->sent));
	else if (buf_check(&p->heard) && !p->is_over)
		push_end(p, err_set(p->e, -EBADMSG, "the node says something that cannot be read"));
}

/* One of the two at a time: what is read is sent before more is. */
static void kick(struct push *p)
{
	bool has_more = p->at < p->n;

	if (p->is_over)
		return;
	sd_event_source_set_io_events(p->io, EPOLLIN | (has_more ? EPOLLOUT : 0u));
	sd_event_source_set_enabled(p->input, has_more || p->input_over ? SD_EVENT_OFF : SD_EVENT_ON);
}

static void speak(struct push *p)
{
	ssize_t n = send(p->pipe, p->chunk + p->at, p->n - p->at, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		p->at = p->n; /* why it takes no more is still to be heard */
		p->input_over = true;
	}
	if (n <= 0)
		return;
	p->at += (size_t)n;
	p->sent += (uint64_t)n;
	pace_show(&p->pace, p->sent, p->what->total);
}

static int on_stream(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	struct push *p = userdata;

	(void)s;
	(void)fd;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		hear(p);
	if (!p->is_over && events & EPOLLOUT && p->at < p->n)
		speak(p);
	kick(p);
	return 0;
}

/* At the end of what there is says so. */
static void input_read(struct push *p)
{
	ssize_t n = read(p->what->fd, p->chunk, CHUNK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	p->at = 0;
	p->n = n > 0 ? (size_t)n : 0;
	if (n < 0)
		push_end(p, err_set(p->e, -errno, "read %s: %m", p->what->name));
	if (!n) {
		p->input_over = true;
		shutdown(p->pipe, SHUT_WR);
		out_progress(p->cli, "waiting for the node", 0, 0);
	}
	kick(p);
}

static int on_input(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	(void)s;
	(void)fd;
	(void)events;
	input_read(userdata);
	return 0;
}

/* A file is always ready, and epoll does not take it. */
static int on_file(sd_event_source *s, void *userdata)
{
	(void)s;
	input_read(userdata);
	return 0;
}

static int sources_add(struct push *p, sd_event *event)
{
	int r = sd_event_add_io(event, &p->io, p->pipe, EPOLLIN, on_stream, p);

	if (r >= 0 && (r = sd_event_add_io(event, &p->input, p->what->fd, EPOLLIN, on_input, p)) == -EPERM)
		r = sd_event_add_defer(event, &p->input, on_file, p);
	return r < 0 ? r : sd_event_source_set_enabled(p->input, SD_EVENT_ON);
}

static void push_free(struct push **p)
{
	sd_event_source_disable_unref((*p)->io);
	sd_event_source_disable_unref((*p)->input);
	fd_close(&(*p)->pipe);
	buf_deinit(&(*p)->heard);
	free(*p);
}

int upload_run(const struct upload *u, const struct cli *c, struct client *client, struct link *l, char ret_word[static UPLOAD_WORD_MAX],
	       struct err *e)
{
	CLEANUP(push_free) struct push *p = calloc(1, sizeof(*p));
	int fds[2], r;

	BUG_ON(!p);
	*p = (struct push){
		.what = u, .cli = c, .pipe = -1, .pace = PACE_INIT(c, u->name), .heard = { .limit = 64 * LINE_MAX_BYTES }, .word = ret_word, .e = e
	};
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return err_set(e, -errno, "make a stream: %m");
	p->pipe = fds[0];
	if ((r = link_stream(l, u->method, u->arguments, fds[1], e)))
		return r;
	if ((r = sources_add(p, client->event)) < 0)
		return err_set(e, r, "send %s: %s", u->name, strerror(-r));
	r = client_wait(client, &p->is_over, 0);
	out_progress_end(c);
	return r ? err_set(e, r, "send %s: %s", u->name, strerror(-r)) : p->r;
}
