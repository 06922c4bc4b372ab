#include "machine/tail.h"

#include "base/parse.h"

#include <stdio.h>
#include <sys/socket.h>

void tail_init(struct tail *t, sd_event *event)
{
	*t = (struct tail){ .event = sd_event_ref(event), .ring = malloc(TAIL_BYTES) };
	BUG_ON(!t->ring);
}

static void follower_end(struct tail_follower *f)
{
	for (size_t i = 0; i < TAIL_FOLLOWERS_MAX; i++)
		if (f->tail->followers[i] == f)
			f->tail->followers[i] = NULL;
	sd_event_source_disable_unref(f->io);
	fd_close(&f->fd);
	free(f);
}

void tail_deinit(struct tail *t)
{
	for (size_t i = 0; i < TAIL_FOLLOWERS_MAX; i++)
		if (t->followers[i])
			follower_end(t->followers[i]);
	for (size_t i = 0; i < TAIL_STREAMS; i++)
		buf_deinit(&t->part[i].text);
	free(t->ring);
	sd_event_unref(t->event);
	*t = (struct tail){ 0 };
}

static void ring_add(struct tail *t, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		t->ring[t->end++ % TAIL_BYTES] = s.p[i];
}

static uint64_t oldest(const struct tail *t)
{
	return t->end > TAIL_BYTES ? t->end - TAIL_BYTES : 0;
}

static void wake(struct tail *t)
{
	for (size_t i = 0; i < TAIL_FOLLOWERS_MAX; i++)
		if (t->followers[i])
			sd_event_source_set_io_events(t->followers[i]->io, EPOLLOUT | EPOLLRDHUP);
}

static void line_end(struct tail *t, enum tail_stream stream, int64_t now_s)
{
	static const char *const names[TAIL_STREAMS] = { "stdout", "stderr", "node" };
	struct buf *text = &t->part[stream].text;
	char head[40], time[24];

	format_time(time, now_s);
	snprintf(head, sizeof(head), "%s %s ", time, names[stream]);
	ring_add(t, str_c(head));
	ring_add(t, buf_str(text));
	ring_add(t, S("\n"));
	text->len = 0;
}

static void part_add(struct tail *t, enum tail_stream stream, struct str bytes, int64_t now_s)
{
	struct tail_part *p = &t->part[stream];

	if (p->skips)
		return;
	if (bytes.n <= TAIL_LINE_MAX - p->text.len) {
		buf_add(&p->text, bytes);
		return;
	}
	buf_add(&p->text, (struct str){ bytes.p, TAIL_LINE_MAX - p->text.len });
	buf_add(&p->text, S(TAIL_CUT));
	line_end(t, stream, now_s);
	p->skips = true;
}

void tail_add(struct tail *t, enum tail_stream stream, struct str bytes, int64_t now_s)
{
	struct tail_part *p = &t->part[stream];

	while (bytes.n) {
		const char *end = memchr(bytes.p, '\n', bytes.n);
		size_t n = end ? (size_t)(end - bytes.p) : bytes.n;

		part_add(t, stream, (struct str){ bytes.p, n }, now_s);
		bytes = (struct str){ bytes.p + n + !!end, bytes.n - n - !!end };
		if (end && !p->skips)
			line_end(t, stream, now_s);
		if (end)
			p->skips = false;
	}
	wake(t);
}

void tail_gap(struct tail *t, enum tail_stream stream, int64_t now_s)
{
	struct tail_part *p = &t->part[stream];

	if (p->text.len) {
		buf_add(&p->text, S(TAIL_CUT));
		line_end(t, stream, now_s);
	}
	p->skips = true;
}

void tail_raw(struct tail *t, struct str bytes)
{
	ring_add(t, bytes);
	wake(t);
}

void tail_end(struct tail *t, int64_t now_s)
{
	for (unsigned stream = 0; stream < TAIL_STREAMS; stream++) {
		if (t->part[stream].text.len)
			line_end(t, stream, now_s);
		t->part[stream].skips = false;
	}
	wake(t);
}

void tail_last(const struct tail *t, char *ret, size_t size)
{
	uint64_t from = t->end, to = t->end;
	size_t n = 0;

	if (to > oldest(t))
		from = --to; /* the newline */
	while (from > oldest(t) && t->ring[(from - 1) % TAIL_BYTES] != '\n')
		from--;
	for (int spaces = 0; from < to && spaces < 2; from++)
		spaces += t->ring[from % TAIL_BYTES] == ' ';
	for (; from < to && n + 1 < size; from++)
		ret[n++] = t->ring[from % TAIL_BYTES];
	ret[n] = '\0';
}

/* A slow follower goes on at the start of the oldest line that is still whole. */
static void catch_up(struct tail_follower *f)
{
	const struct tail *t = f->tail;

	if (f->at >= oldest(t))
		return;
	f->at = oldest(t);
	while (f->at < t->end && t->ring[f->at++ % TAIL_BYTES] != '\n')
		;
}

static int on_writable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct tail_follower *f = userdata;
	const struct tail *t = f->tail;

	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		follower_end(f);
		return 0;
	}
	catch_up(f);
	while (f->at < t->end) {
		size_t at = f->at % TAIL_BYTES, n = TAIL_BYTES - at;
		ssize_t sent;

		if (n > t->end - f->at)
			n = (size_t)(t->end - f->at);
		sent = send(fd, t->ring + at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno == EAGAIN)
			return 0;
		if (sent < 0) {
			follower_end(f);
			return 0;
		}
		f->at += (uint64_t)sent;
	}
	if (!f->stays)
		follower_end(f);
	else
		sd_event_source_set_io_events(source, EPOLLRDHUP);
	return 0;
}

int tail_follow(struct tail *t, int fd, bool follow, struct err *e)
{
	for (size_t i = 0; i < TAIL_FOLLOWERS_MAX; i++) {
		struct tail_follower *f;

		if (t->followers[i])
			continue;
		f = calloc(1, sizeof(*f));
		BUG_ON(!f);
		*f = (struct tail_follower){ .tail = t, .stays = follow, .fd = fd };
		BUG_ON(sd_event_add_io(t->event, &f->io, fd, EPOLLOUT | EPOLLRDHUP, on_writable, f) < 0);
		t->followers[i] = f;
		return 0;
	}
	close(fd);
	return err_set(e, -EBUSY, "%d readers follow this machine's log already", TAIL_FOLLOWERS_MAX);
}
