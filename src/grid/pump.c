#include "grid/pump.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static void pump_close(struct pump *p)
{
	p->io = sd_event_source_disable_unref(p->io);
	fd_close(&p->fd);
	p->used = false;
}

static struct pump *pump_find(struct pumps *all, uint32_t id)
{
	for (size_t i = 0; i < MUX_STREAMS_MAX; i++)
		if (all->at[i].used && all->at[i].id == id)
			return &all->at[i];
	return NULL;
}

static int on_pump(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct pump *p = userdata;

	(void)source;
	(void)fd;
	p->readable |= revents & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP);
	p->writable |= revents & (EPOLLOUT | EPOLLHUP | EPOLLERR);
	sd_event_source_set_enabled(p->all->wake, SD_EVENT_ONESHOT);
	return 0;
}

/* True when something moved. */
static bool pump_in(struct pump *p, struct mux_stream *m)
{
	bool moved = false;

	while (p->readable && !m->eof_asked && ring_room(&m->out)) {
		uint8_t *scratch = p->all->scratch;
		size_t room = ring_room(&m->out);
		ssize_t n = p->may_read ? read(p->fd, scratch, room < PUMP_SCRATCH ? room : PUMP_SCRATCH) : 0;

		if (n < 0 && errno == EAGAIN)
			p->readable = false;
		else if (n > 0)
			p->n_read += mux_write(m, scratch, (size_t)n);
		else if (n == 0 && !p->is_cut)
			mux_eof(m);
		else
			mux_break(m);
		moved |= p->readable;
	}
	return moved;
}

static ssize_t pump_put(struct pump *p, const void *at, size_t n)
{
	if (!p->may_write)
		return (ssize_t)n;
	return p->is_socket ? send(p->fd, at, n, MSG_NOSIGNAL) : write(p->fd, at, n);
}

static void calls_count(struct pump *p, const char *at, size_t n)
{
	const char *end = memrchr(at, 0, n);

	p->n_begun = end ? n - 1 - (size_t)(end - at) : p->n_begun + n;
}

static bool pump_waits(const struct pump *p, const struct mux_stream *m)
{
	return p->is_paced && !ring_room(&m->out);
}

static bool pump_out(struct pump *p, struct mux_stream *m)
{
	bool moved = false;

	while (p->writable && m->in.len && !pump_waits(p, m)) {
		const void *at;
		size_t front = ring_front(&m->in, &at);
		ssize_t n = pump_put(p, at, front);

		if (n < 0 && errno == EAGAIN) {
			p->writable = false;
		} else if (n < 0) {
			p->may_write = false, p->is_cut = true;
		} else {
			calls_count(p, at, (size_t)n);
			mux_drop(m, (size_t)n);
		}
		moved |= p->writable;
	}
	if (m->eof_got && !m->in.len && !p->shut) {
		p->shut = true;
		if (p->is_socket)
			shutdown(p->fd, SHUT_WR);
	}
	return moved;
}

bool pumps_move(struct pumps *all)
{
	bool moved = false;

	for (size_t i = 0; i < MUX_STREAMS_MAX; i++) {
		struct mux_stream *m = &all->mux->streams[i];
		struct pump *p = m->used ? pump_find(all, m->id) : NULL;

		if (p) {
			moved |= pump_out(p, m);
			moved |= pump_in(p, m);
		}
		if (!m->used || !mux_stream_done(m))
			continue;
		if (p)
			pump_close(p);
		if (!m->owe_reset && !m->owe_open)
			mux_forget(m);
	}
	return moved;
}

static int pump_start(struct pumps *all, struct pump *p, uint32_t id, int fd, struct err *e)
{
	int flags = fcntl(fd, F_GETFL), type, r;
	socklen_t len = sizeof(type);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return err_set(e, -errno, "attach a descriptor to stream %u: %m", id);
	*p = (struct pump){
		.all = all,
		.id = id,
		.fd = fd,
		.is_socket = !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len),
		.may_read = (flags & O_ACCMODE) != O_WRONLY,
		.may_write = (flags & O_ACCMODE) != O_RDONLY,
	};
	p->readable = !p->may_read;
	p->writable = !p->may_write;
	r = sd_event_add_io(all->event, &p->io, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_pump, p);
	if (r < 0)
		return err_set(e, r, "attach a descriptor to stream %u: %s", id, strerror(-r));
	p->used = true;
	return 0;
}

int pump_attach(struct pumps *all, uint32_t id, int fd, struct err *e)
{
	AUTO_FD int owned = fd;
	struct mux_stream *m = mux_find(all->mux, id);
	int r;

	if (!m)
		return err_set(e, -ENOENT, "attach to stream %u: there is no such stream in this session", id);
	if (pump_find(all, id))
		return err_set(e, -EBUSY, "attach to stream %u: it has a descriptor already", id);
	for (size_t i = 0; i < MUX_STREAMS_MAX; i++) {
		if (all->at[i].used)
			continue;
		r = pump_start(all, &all->at[i], id, owned, e);
		if (r)
			return r;
		(void)take_fd(owned);
		mux_attend(m);
		sd_event_source_set_enabled(all->wake, SD_EVENT_ONESHOT);
		return 0;
	}
	return err_set(e, -EMFILE, "attach to stream %u: too many streams", id);
}

void pump_pace(struct pumps *all, uint32_t id)
{
	pump_find(all, id)->is_paced = true;
}

void pumps_close(struct pumps *all)
{
	for (size_t i = 0; i < MUX_STREAMS_MAX; i++)
		if (all->at[i].used)
			pump_close(&all->at[i]);
}

unsigned pumps_count(const struct pumps *all)
{
	unsigned n = 0;

	for (size_t i = 0; i < MUX_STREAMS_MAX; i++)
		n += all->at[i].used;
	return n;
}

bool pumps_are_empty(struct pumps *all)
{
	for (size_t i = 0; i < MUX_STREAMS_MAX; i++)
		if (all->at[i].used && mux_find(all->mux, all->at[i].id)->in.len)
			return false;
	return true;
}

size_t pumps_begun(const struct pumps *all)
{
	size_t n = 0;

	for (size_t i = 0; i < MUX_STREAMS_MAX; i++)
		if (all->at[i].used && all->at[i].is_paced)
			n += all->at[i].n_begun;
	return n;
}

void pumps_look(struct pumps *all, uint64_t now_ms)
{
	for (size_t i = 0; i < MUX_STREAMS_MAX; i++) {
		struct pump *p = &all->at[i];
		struct mux_stream *m = p->used && p->is_paced ? mux_find(all->mux, p->id) : NULL;

		if (!m || !m->in.len || !pump_waits(p, m)) {
			p->stuck_ms = 0;
		} else if (!p->stuck_ms || p->stuck_n != p->n_read) {
			p->stuck_ms = now_ms;
			p->stuck_n = p->n_read;
		}
	}
}

uint64_t pumps_stuck_ms(const struct pumps *all)
{
	uint64_t since = UINT64_MAX;

	for (size_t i = 0; i < MUX_STREAMS_MAX; i++)
		if (all->at[i].used && all->at[i].stuck_ms && all->at[i].stuck_ms < since)
			since = all->at[i].stuck_ms;
	return since;
}
