#include "zdb/server.h"

#include "base/log.h"
#include "base/parse.h"
#include "zdb/metrics.h"
#include "zdb/mirror.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

enum {
	LISTENERS_MAX = 4,
	EVENTS_MAX = 1024,
	BACKLOG = 1024,
	KEEP_BYTES = 64 << 10,
	KEEP_STEP_BYTES = 4096,
	MMAP_FROM_BYTES = 4 << 20,
	SPARE_BYTES = 16 << 20,
	ACCEPTS_MAX = 256
};

struct client {
	struct client *next, *before;
	struct client *next_touched; /* in this turn */
	struct session session;
	struct buf in;    /* a command of which not all is here yet */
	struct buf out;
	size_t need;    /* bytes of IN before it is worth a look */
	size_t n_sent;    /* of OUT */
	size_t n_safe;    /* of OUT, that were there before this turn */
	size_t n_counted;  /* of OUT, in the server's sum */
	uint64_t wait_until_ms, stalled_ms; /* 0: does not wait; takes its answers */
	uint32_t wanted;   /* events */
	int fd;
	bool is_touched, is_closing, wrote;
	bool is_full; /* no command is carried out until its answers are gone */
};

struct server {
	struct shared *shared;
	struct server_options o;
	int epoll, listeners[LISTENERS_MAX];
	size_t n_listeners, n_clients, n_waiting, n_mirrors, in_bytes, out_bytes;
	struct client *clients, *touched;
	char *turn; /* what was read last, SERVER_TURN_BYTES */
	struct resp_command command;
	struct client *lends_to; /* it is being served, and its answers are not held; NULL = none */
	struct lending lending;  /* what they show where it lies */
	uint64_t synced_ms, tidy_ms, look_ms,
		rotate_ms; /* when it was made safe last; when to tidy up, UINT64_MAX = nothing was written since; when timers are due; when to rotate */
	bool is_deaf;
};

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t now_ms(void)
{
	return now_us() / 1000;
}

/* --- listening --- */

static int listener_add(struct server *s, int fd, struct err *e)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = s->n_listeners };

	if (listen(fd, BACKLOG) || epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event)) {
		int r = err_set(e, -errno, "listen: %m");

		fd_close(&fd);
		return r;
	}
	s->listeners[s->n_listeners++] = fd;
	return 0;
}

static int listen_unix(struct server *s, const char *path, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(a.sun_path))
		return err_set(e, -ENAMETOOLONG, "the socket's path is longer than %zu characters", sizeof(a.sun_path) - 1);
	memcpy(a.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		fd_close(&fd);
		return err_set(e, -EADDRINUSE, "listen on %s: somebody does already", path);
	}
	unlink(path); /* of one that ended without */
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a))) {
		int r = err_set(e, -errno, "listen on %s: %m", path);

		fd_close(&fd);
		return r;
	}
	return listener_add(s, fd, e);
}

static int listen_tcp(struct server *s, const char *host, const char *port, struct err *e)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct sockaddr_in four = { .sin_family = AF_INET };
	bool is_six = inet_pton(AF_INET6, host, &six.sin6_addr) == 1;
	int on = 1, fd, r;
	uint64_t number;

	if (parse_u64(str_c(port), UINT16_MAX, &number) || (!is_six && inet_pton(AF_INET, host, &four.sin_addr) != 1))
		return err_set(e, -EINVAL, "listen on %s port %s: an address of IPv4 or IPv6 and a port, in numbers", host, port);
	six.sin6_port = four.sin_port = htons((uint16_t)number);
	fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) &&
	    !bind(fd, is_six ? (struct sockaddr *)&six : (struct sockaddr *)&four, is_six ? sizeof(six) : sizeof(four)))
		return listener_add(s, fd, e);
	r = err_set(e, -errno, "listen on %s port %s: %m", host, port);
	fd_close(&fd);
	return r;
}

/* --- clients --- */

static void count_out(struct server *s, struct client *c)
{
	s->out_bytes += c->out.len - c->n_counted;
	c->n_counted = c->out.len;
}

static void look_at(struct server *s, uint64_t due_ms)
{
	s->look_ms = due_ms < s->look_ms ? due_ms : s->look_ms;
}

static void touch(struct server *s, struct client *c)
{
	if (c->is_touched)
		return;
	c->is_touched = true;
	c->n_safe = c->out.len;
	c->next_touched = s->touched;
	s->touched = c;
}

static void watch(struct server *s, struct client *c, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = c };

	if (c->wanted == events)
		return;
	c->wanted = events;
	BUG_ON(epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &event));
}

/* Without a descriptor for one more client, those that come wait until another has gone. */
static void listen_again(struct server *s, bool on)
{
	if (s->is_deaf != on)
		return;
	s->is_deaf = !on;
	for (size_t i = 0; i < s->n_listeners; i++) {
		struct epoll_event event = { .events = on ? EPOLLIN : 0, .data.u64 = i };

		BUG_ON(epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->listeners[i], &event));
	}
}

static void client_free(struct server *s, struct client *c)
{
	*(c->before ? &c->before->next : &s->clients) = c->next;
	if (c->next)
		c->next->before = c->before;
	s->n_clients--;
	s->shared->counters.open_clients--;
	s->n_waiting -= c->wait_until_ms != 0;
	s->n_mirrors -= c->session.is_mirror;
	s->in_bytes -= c->in.len;
	s->out_bytes -= c->n_counted;
	fd_close(&c->fd);
	listen_again(s, true);
	buf_deinit(&c->in);
	buf_deinit(&c->out);
	free(c);
}

static void client_new(struct server *s, int fd)
{
	struct client *c = s->n_clients < SERVER_CLIENTS_MAX ? calloc(1, sizeof(*c)) : NULL;
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
	int on = 1;

	if (!c || epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event)) {
		free(c);
		fd_close(&fd);
		log_limited("a client is turned away: there are %zu", s->n_clients);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* a Unix socket has none */
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	c->fd = fd;
	c->wanted = EPOLLIN;
	session_begin(s->shared, &c->session);
	c->next = s->clients;
	if (c->next)
		c->next->before = c;
	s->clients = c;
	s->n_clients++;
	s->shared->counters.clients++;
	s->shared->counters.open_clients++;
}

static void accept_some(struct server *s, int listener)
{
	for (int i = 0; i < ACCEPTS_MAX; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE)
				listen_again(s, false);
			return;
		}
		client_new(s, fd);
	}
}

/* --- answers --- */

static void drop_out(struct server *s, struct client *c)
{
	c->is_closing = true;
	c->n_sent = c->out.len;
	count_out(s, c);
}

/* With what is lent; what the socket does not take is copied. */
static void send_lent(struct server *s, struct client *c)
{
	struct iovec parts[LENDING_PARTS_MAX];
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = (size_t)lending_parts(&s->lending, &c->out, c->n_sent, parts) };
	ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL);
	bool is_over = n < 0 && errno != EAGAIN && errno != EINTR;

	s->shared->counters.read_failed += is_over && errno == EFAULT; /* the disk did not give it again */
	s->shared->counters.sent_bytes += n > 0 ? (uint64_t)n : 0;
	c->stalled_ms = n > 0 ? 0 : c->stalled_ms;
	lending_end(&s->lending, &c->out, c->n_sent, n > 0 ? (size_t)n : 0);
	c->n_sent = 0;
	c->n_safe = c->out.len;
	count_out(s, c);
	if (is_over || s->lending.failed)
		drop_out(s, c);
}

static void send_out(struct server *s, struct client *c)
{
	if (s->lends_to == c && s->lending.n)
		send_lent(s, c);
	while (c->n_sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.p + c->n_sent, c->out.len - c->n_sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			drop_out(s, c);
			break;
		}
		if (n <= 0)
			break;
		c->n_sent += (size_t)n;
		s->shared->counters.sent_bytes += (uint64_t)n;
		c->stalled_ms = 0;
	}
	if (c->n_sent < c->out.len)
		return;
	c->out.len = c->n_sent = c->n_safe = 0;
	c->is_full = false;
	count_out(s, c);
	if (c->out.cap > KEEP_BYTES)
		buf_deinit(&c->out);
}

/* --- commands --- */

static void wait_end(struct server *s, struct client *c, const char *text, bool is_error)
{
	touch(s, c);
	c->wait_until_ms = 0;
	c->session.waits_for = NULL;
	s->n_waiting--;
	(is_error ? resp_error : resp_simple)(&c->out, text);
	count_out(s, c);
}

static void wake(struct server *s, const struct client *by, const struct command *ran)
{
	for (struct client *c = s->clients; c && s->n_waiting; c = c->next)
		if (c != by && c->wait_until_ms && c->session.space == by->session.space && command_wakes(c->session.waits_for, ran))
			wait_end(s, c, command_name(ran), false);
}

static void detach(struct server *s, const struct namespace *gone)
{
	for (struct client *c = s->clients; c; c = c->next)
		if (c->session.space == gone)
			c->session.space = NULL;
}

/* A mirror is told in the same turn, so that it hears of no write that does not become safe. */
static void tell_mirrors(struct server *s, const struct client *by, const char *space, uint32_t owner, int64_t time_s)
{
	for (struct client *c = s->clients; c; c = c->next) {
		if (c == by || !c->session.is_mirror || c->is_closing)
			continue;
		touch(s, c);
		c->wrote = true;
		if (c->out.len - c->n_sent > MIRROR_OUT_BYTES) {
			log_limited("a mirror is closed: it does not read what it is told");
			c->is_closing = true;
			c->n_sent = c->out.len;
			continue;
		}
		mirror_put(&c->out, time_s, space, owner, &s->command);
		count_out(s, c);
	}
}

/* Whose command it is; answers when a master does not say so, or says ours: then it has gone round. */
static bool owner_of(struct server *s, struct client *c, uint32_t *ret)
{
	*ret = s->shared->instance;
	if (!c->session.is_master)
		return true;
	if (mirror_owner(&s->command, ret))
		resp_error(&c->out, "A master says whose a command is, as its last word");
	else if (*ret == s->shared->instance)
		resp_error(&c->out, "This command came from here");
	else
		return true;
	return false;
}

/* Whether what is said of N now waits for the end of the turn: something in it is not as safe yet as its answer says. */
static bool is_held(const struct server *s, const struct namespace *n)
{
	return s->o.sync == SERVER_SYNC_ALWAYS ? n->is_dirty : n->space.log.n_gathered > 0;
}

static void run_one(struct server *s, struct client *c, int64_t time_s)
{
	bool was_waiting = c->wait_until_ms, was_mirror = c->session.is_mirror;
	const struct namespace *space = c->session.space;
	struct call call = { .shared = s->shared, .session = &c->session, .in = &s->command, .out = &c->out, .time_s = time_s };
	const struct command *ran;
	uint32_t owner;

	if (!owner_of(s, c, &owner))
		return;
	if (s->lends_to == c && !c->wrote && space && !is_held(s, space))
		call.lending = &s->lending;
	ran = command_run(&call);
	if (s->lending.failed)
		drop_out(s, c);
	c->wrote |= c->session.space && is_held(s, c->session.space);
	if (c->session.space && c->session.space->is_dirty && s->tidy_ms == UINT64_MAX)
		s->tidy_ms = now_ms() + SERVER_TIDY_LOOK_MS;
	if (call.removed)
		detach(s, call.removed);
	if (c->session.waits_for && !was_waiting) {
		c->wait_until_ms = now_ms() + c->session.wait_ms;
		look_at(s, c->wait_until_ms);
		s->n_waiting++;
	}
	s->n_mirrors += c->session.is_mirror && !was_mirror;
	if (ran && s->n_mirrors && owner && command_changes(ran) && !call.is_refused)
		tell_mirrors(s, c, space->name, owner, time_s);
	if (ran && s->n_waiting)
		wake(s, c, ran);
	if (!c->session.space)
		c->is_closing = true;
}

static bool may_run(const struct server *s, const struct client *c)
{
	return !c->is_closing && !c->wait_until_ms && !c->is_full && c->out.len - c->n_sent < SERVER_OUT_BYTES &&
	       s->out_bytes < (size_t)s->o.out_total_bytes;
}

/* Carries out the commands in TEXT; returns how much of it they were. */
static size_t run_all(struct server *s, struct client *c, struct str text)
{
	int64_t time_s = time(NULL);
	size_t done = 0;

	c->need = 0;
	while (done < text.n && may_run(s, c)) {
		const char *why;
		size_t n;
		int r = resp_parse((struct str){ text.p + done, text.n - done }, &s->command, &n, &why);

		if (r == RESP_MORE) {
			c->need = n;
			break;
		}
		if (r) {
			resp_error(&c->out, why);
			c->is_closing = true;
			break;
		}
		if (s->command.n)
			run_one(s, c, time_s);
		count_out(s, c);
		done += n;
		if (s->lends_to == c && s->lending.bytes >= LENDING_BYTES) {
			send_out(s, c); /* behind what is in the socket a value would be copied; what asks for it is shorter */
			c->is_full = c->n_sent < c->out.len && text.n - done < KEEP_STEP_BYTES;
		}
	}
	count_out(s, c);
	return done;
}

/* Keeps what is left of a command until the rest comes. */
static void keep(struct server *s, struct client *c, struct str rest)
{
	if (s->in_bytes + rest.n > s->o.in_total_bytes) {
		resp_error(&c->out, "Too many clients send too much at once");
		c->is_closing = true;
		return;
	}
	buf_add(&c->in, rest);
	BUG_ON(buf_check(&c->in));
	s->in_bytes += rest.n;
}

static void run_kept(struct server *s, struct client *c)
{
	size_t done;

	if (!c->in.len || c->in.len < c->need)
		return;
	done = run_all(s, c, buf_str(&c->in));
	s->in_bytes -= done;
	if (done == c->in.len) {
		buf_deinit(&c->in);
		return;
	}
	buf_drop(&c->in, done);
}

/* Adds as much of TEXT to what was kept as the command there lacks, so that what is behind it is carried out where it lies. Returns how much. */
static size_t complete_kept(struct server *s, struct client *c, struct str text)
{
	size_t done = 0;

	while (c->in.len && done < text.n && !c->is_closing && may_run(s, c)) {
		size_t lacks = c->need > c->in.len + 1 ? c->need - c->in.len : KEEP_STEP_BYTES; /* it is not known yet */

		lacks = lacks < text.n - done ? lacks : text.n - done;
		keep(s, c, (struct str){ text.p + done, lacks });
		done += lacks;
		run_kept(s, c);
	}
	return done;
}

static void on_readable(struct server *s, struct client *c)
{
	ssize_t n = recv(c->fd, s->turn, SERVER_TURN_BYTES, 0);
	size_t done = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	touch(s, c);
	if (n <= 0) {
		c->is_closing = true;
		c->out.len = n ? c->n_sent : c->out.len; /* who says no more may still read what was asked for */
		return;
	}
	s->shared->counters.received_bytes += (uint64_t)n;
	done = complete_kept(s, c, (struct str){ s->turn, (size_t)n });
	if (!c->in.len)
		done += run_all(s, c, (struct str){ s->turn + done, (size_t)n - done });
	if (done < (size_t)n && !c->is_closing)
		keep(s, c, (struct str){ s->turn + done, (size_t)n - done });
	run_kept(s, c);
}

/* --- the end of a turn --- */

/* What was said in this turn of writes that did not become safe is not said. */
static void take_back(struct server *s, struct client *c, const char *why)
{
	if (!c->wrote)
		return;
	c->out.len = c->n_safe;
	resp_error(&c->out, why);
	count_out(s, c);
	c->is_closing = true;
}

/* There was no room for its answers; when there is now, what it asked for is carried out. */
static void resume(struct server *s, struct client *c)
{
	if (c->in.len && c->in.len >= c->need && may_run(s, c)) {
		touch(s, c);
		run_kept(s, c);
	}
}

static void settle(struct server *s, struct client *c)
{
	c->is_touched = c->wrote = false;
	send_out(s, c);
	if (c->is_closing && c->n_sent == c->out.len) {
		client_free(s, c);
		return;
	}
	if (c->n_sent < c->out.len && !c->stalled_ms) {
		c->stalled_ms = now_ms();
		look_at(s, c->stalled_ms + SERVER_STALL_MS);
	}
	resume(s, c);
	watch(s, c, (c->n_sent < c->out.len ? EPOLLOUT : 0u) | (may_run(s, c) ? EPOLLIN : 0u));
}

static void commit(struct server *s)
{
	bool safe = s->o.sync == SERVER_SYNC_ALWAYS;
	int r;

	if (s->o.sync == SERVER_SYNC_INTERVAL && now_ms() - s->synced_ms >= (uint64_t)s->o.interval_s * 1000) {
		safe = true;
		s->synced_ms = now_ms();
	}
	if (!(r = store_commit(&s->shared->store, safe, NULL)))
		return;
	s->shared->counters.write_failed++;
	for (struct client *c = s->touched; c; c = c->next_touched)
		take_back(s, c, r == -ENOSPC ? "No space left on device" : "Cannot write data right now");
}

static void turn_end(struct server *s)
{
	do {
		struct client *list;

		commit(s); /* also without any: it may be due */
		list = s->touched;
		s->touched = NULL;
		for (struct client *c = list, *next; c; c = next) {
			next = c->next_touched;
			settle(s, c);
		}
	} while (s->touched);
}

/* A client whose answers wait for nothing gets them at once, while they are in the processor's cache and their room serves the next one, too. */
static void serve(struct server *s, struct client *c, bool is_readable)
{
	bool is_alone = !c->is_touched;

	s->lends_to = is_alone ? c : NULL;
	s->lending.n = s->lending.bytes = 0;
	s->lending.failed = 0;
	touch(s, c);
	if (is_readable) {
		on_readable(s, c);
	} else if (is_alone) {
		send_out(s, c);
		resume(s, c);
	}
	if (is_alone && !c->wrote && s->touched == c) {
		send_out(s, c);
		s->lends_to = NULL;
		s->touched = c->next_touched;
		settle(s, c);
		return;
	}
	lending_end(&s->lending, &c->out, 0, 0);
	s->lends_to = NULL;
	if (s->lending.failed)
		drop_out(s, c);
}

static void look(struct server *s, struct client *c, uint64_t now)
{
	uint64_t due = c->wait_until_ms ? c->wait_until_ms : c->stalled_ms ? c->stalled_ms + SERVER_STALL_MS : UINT64_MAX;

	if (due > now) {
		look_at(s, due);
	} else if (c->wait_until_ms) {
		wait_end(s, c, "Timeout", true);
	} else {
		touch(s, c);
		c->is_closing = true;
		c->out.len = c->n_sent;
	}
}

static bool has_unsafe(const struct server *s)
{
	for (const struct namespace *n = s->shared->store.list; n; n = n->next)
		if (n->is_dirty)
			return true;
	return false;
}

/* Ends those that wait too long or take nothing. Returns when to come again, in ms; -1: when something comes. */
static int timers(struct server *s)
{
	uint64_t now = now_ms();

	if (now >= s->look_ms) {
		s->look_ms = UINT64_MAX;
		for (struct client *c = s->clients; c; c = c->next)
			look(s, c, now);
	}
	if (now >= s->tidy_ms)
		s->tidy_ms = store_tidy(&s->shared->store, time(NULL)) ? now + SERVER_TIDY_MS : UINT64_MAX;
	look_at(s, s->tidy_ms);
	if (now >= s->rotate_ms) {
		s->rotate_ms = now + (uint64_t)s->o.rotate_s * 1000;
		store_rotate(&s->shared->store);
	}
	look_at(s, s->rotate_ms);
	if (s->o.sync == SERVER_SYNC_INTERVAL && has_unsafe(s))
		look_at(s, s->synced_ms + (uint64_t)s->o.interval_s * 1000);
	if (s->look_ms == UINT64_MAX)
		return -1;
	return s->look_ms <= now ? 0 : s->look_ms - now > INT32_MAX ? INT32_MAX : (int)(s->look_ms - now);
}

static void run_beside(const struct server_beside *b)
{
	BUG_ON(!b->run); /* nobody else is told under that number */
	b->run(b->ctx);
}

int server_run(struct server *s, int stop_fd, struct err *e)
{
	struct epoll_event events[EVENTS_MAX], stop = { .events = EPOLLIN, .data.u64 = LISTENERS_MAX };
	struct epoll_event beside = { .events = EPOLLIN, .data.u64 = LISTENERS_MAX + 1 };
	int pause = timers(s);

	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, stop_fd, &stop) || (s->o.beside.run && epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->o.beside.fd, &beside)))
		return err_set(e, -errno, "watch for the end: %m");
	for (;;) {
		int n = epoll_wait(s->epoll, events, EVENTS_MAX, pause);
		uint64_t before = s->shared->counters.executed, began_us = now_us();

		if (n < 0 && errno != EINTR)
			return err_set(e, -errno, "wait for clients: %m");
		for (int i = 0; i < n; i++) {
			struct client *c = events[i].data.ptr;

			if (events[i].data.u64 == LISTENERS_MAX)
				return 0;
			if (events[i].data.u64 < LISTENERS_MAX)
				accept_some(s, s->listeners[events[i].data.u64]);
			else if (events[i].data.u64 == LISTENERS_MAX + 1)
				run_beside(&s->o.beside);
			else
				serve(s, c, events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR));
		}
		turn_end(s);
		metrics_turn(&s->shared->counters, s->shared->counters.executed - before, now_us() - began_us);
		pause = timers(s);
		turn_end(s);
	}
}

/* --- life --- */

/* Room for answers and for cut commands comes and goes with each large value: it is not given back to the kernel each time, which would clear
 * every page of it for the next one. */
static void memory_prepare(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, MMAP_FROM_BYTES); /* these fail for numbers alone */
	(void)mallopt(M_TRIM_THRESHOLD, SPARE_BYTES);
}

static void files_raise(void)
{
	struct rlimit most;

	if (!getrlimit(RLIMIT_NOFILE, &most)) {
		most.rlim_cur = most.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &most);
	}
}

int server_new(struct shared *shared, const struct server_options *o, struct server **ret, struct err *e)
{
	struct server *s = calloc(1, sizeof(*s));
	int r = 0;

	BUG_ON(!s);
	*s = (struct server){ .shared = shared,
			      .o = *o,
			      .tidy_ms = 0,
			      .look_ms = UINT64_MAX,
			      .rotate_ms = o->rotate_s ? now_ms() + (uint64_t)o->rotate_s * 1000 : UINT64_MAX,
			      .epoll = epoll_create1(EPOLL_CLOEXEC),
			      .turn = malloc(SERVER_TURN_BYTES) };
	files_raise();
	memory_prepare();
	if (s->epoll < 0 || !s->turn)
		r = err_set(e, -ENOMEM, "serve clients: out of memory");
	if (!r && o->socket)
		r = listen_unix(s, o->socket, e);
	for (size_t i = 0; !r && i < o->n_listeners; i++)
		r = listener_add(s, o->listeners[i], e);
	if (!r && o->listen)
		r = listen_tcp(s, o->listen, o->port, e);
	if (r) {
		server_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void server_free(struct server *s)
{
	while (s->clients)
		client_free(s, s->clients);
	for (size_t i = 0; i < s->n_listeners; i++)
		fd_close(&s->listeners[i]);
	fd_close(&s->epoll);
	free(s->turn);
	free(s);
}
