#include "console/console.h"

#include "base/log.h"
#include "svc/daemon.h"
#include "sys/netlink.h"

#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>

static void arm(sd_event_source *source, uint64_t in_ms)
{
	sd_event_source_set_time_relative(source, in_ms * 1000);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static bool is_armed(sd_event_source *source)
{
	int enabled = SD_EVENT_OFF;

	return sd_event_source_get_enabled(source, &enabled) >= 0 && enabled != SD_EVENT_OFF;
}

/* When the next block may come: soon, but not sooner after the last one than the limit; the first one has time until
 * the engine is up. */
static void block_arm(struct console *c)
{
	uint64_t next_ms = c->told_ms + CONSOLE_BLOCK_MS, now_ms = log_now_ms(), in_ms = c->snapshot.is_silent ? CONSOLE_BLOCK_MS : CONSOLE_SETTLE_MS;

	if (is_armed(c->block))
		return;
	if (c->told_ms && next_ms > now_ms + in_ms)
		in_ms = next_ms - now_ms;
	arm(c->block, in_ms);
}

static void changed(struct console *c)
{
	if (sink_is_open(&c->screen) && !is_armed(c->draw))
		arm(c->draw, CONSOLE_DRAW_MS);
	if (sink_is_open(&c->serial))
		block_arm(c);
}

static void clock_read(struct console *c)
{
	c->snapshot.now_ms = log_now_ms();
	c->snapshot.time_s = time(NULL);
}

static int on_draw(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct console *c = userdata;
	struct winsize size = { 0 };
	struct buf out = { 0 };
	struct screen next;

	(void)source;
	(void)usec;
	if (sink_is_busy(&c->screen))
		return 0; /* on_screen_ready() comes back here */
	if (ioctl(c->screen.fd, TIOCGWINSZ, &size) || !size.ws_row || !size.ws_col)
		size = (struct winsize){ .ws_row = 25, .ws_col = 80 };
	clock_read(c);
	screen_draw(&next, &c->snapshot, size.ws_col, size.ws_row);
	screen_diff(&c->shown, &next, &out);
	c->shown = next;
	sink_write(&c->screen, &out);
	return 0;
}

static void on_screen_ready(void *userdata)
{
	struct console *c = userdata;

	arm(c->draw, 0);
}

static int on_block(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct console *c = userdata;
	struct buf now = { 0 }, out = { 0 };
	struct snapshot timeless;

	(void)source;
	(void)usec;
	clock_read(c);
	timeless = c->snapshot;
	timeless.now_ms = 0;
	screen_block(&timeless, "", &now);
	if (sink_is_busy(&c->serial) || buf_check(&now) || str_eq(buf_str(&now), buf_str(&c->told))) {
		buf_deinit(&now);
		return 0;
	}
	buf_deinit(&c->told);
	c->told = now;
	c->told_ms = c->snapshot.now_ms;
	buf_add(&out, S("\r\n")); /* a line that somebody else has not ended yet stays whole */
	screen_block(&c->snapshot, "|", &out);
	sink_write(&c->serial, &out);
	return 0;
}

static void on_serial_ready(void *userdata)
{
	block_arm(userdata);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct console *c = userdata;

	(void)usec;
	changed(c);
	arm(source, CONSOLE_TICK_MS);
	return 0;
}

static void cards_read(struct console *c)
{
	struct err e = { 0 };

	if (uplink_read(c->snapshot.uplinks, &c->snapshot.n_uplinks, &e))
		log_limited("%s", e.msg);
	changed(c);
}

static int on_cards(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	(void)source;
	(void)events;
	netlink_drain(fd);
	cards_read(userdata);
	return 0;
}

static void engine_lost(struct console *c)
{
	link_closep(&c->link);
	c->snapshot.is_silent = true;
	arm(c->again, CONSOLE_AGAIN_MS);
	changed(c);
}

static int on_engine(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct console *c = userdata;
	struct err e = { 0 };

	(void)link;
	if (error_id || !(flags & SD_VARLINK_REPLY_CONTINUES)) {
		engine_lost(c);
		return 0;
	}
	if (snapshot_decode(v, &c->snapshot, &e)) {
		log_limited("the engine's answer: %s", e.msg);
		return 0;
	}
	if (c->snapshot.is_silent)
		sd_event_source_set_enabled(c->block, SD_EVENT_OFF); /* sooner than it would have been without an engine */
	c->snapshot.is_silent = false;
	sd_json_variant_ref(v);
	json_unrefp(&c->said);
	c->said = v;
	changed(c);
	return 0;
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct console *c = userdata;
	struct err e = { 0 };
	int r = daemon_connect(c->event, c->engine, c, on_engine, &c->link, &e);

	(void)source;
	(void)usec;
	if (!r)
		r = sd_varlink_observe(c->link, "zos.Console.Watch", NULL);
	if (r < 0) {
		link_closep(&c->link);
		arm(c->again, CONSOLE_AGAIN_MS);
	}
	return 0;
}

static int timers_make(struct console *c, struct err *e)
{
	const struct {
		sd_event_source **source;
		sd_event_time_handler_t fn;
	} timers[] = { { &c->tick, on_tick }, { &c->draw, on_draw }, { &c->block, on_block }, { &c->again, on_again } };

	for (size_t i = 0; i < ARRAY_LEN(timers); i++) {
		int r = sd_event_add_time(c->event, timers[i].source, CLOCK_MONOTONIC, 0, 0, timers[i].fn, c);

		if (r < 0)
			return err_set(e, r, "make a timer: %s", strerror(-r));
		sd_event_source_set_enabled(*timers[i].source, SD_EVENT_OFF);
	}
	return 0;
}

/* /dev/console stands for another terminal: on a machine without a serial line, for the screen. */
static bool same_terminal(int a, int b)
{
	unsigned dev_a = 0, dev_b = 0;

	return !ioctl(a, TIOCGDEV, &dev_a) && !ioctl(b, TIOCGDEV, &dev_b) && dev_a == dev_b;
}

int console_init(struct console *ret, sd_event *event, const char *engine, int screen_fd, int serial_fd, struct err *e)
{
	int r;

	*ret = (struct console)CONSOLE_NONE;
	ret->event = sd_event_ref(event);
	ret->engine = engine;
	if (same_terminal(screen_fd, serial_fd))
		serial_fd = -1;
	if ((r = sink_open(&ret->screen, event, screen_fd, true, on_screen_ready, ret, e)) ||
	    (r = sink_open(&ret->serial, event, serial_fd, false, on_serial_ready, ret, e)) || (r = timers_make(ret, e)) ||
	    (r = netlink_watch(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, &ret->cards_fd, e)))
		return r;
	if ((r = sd_event_add_io(event, &ret->cards, ret->cards_fd, EPOLLIN, on_cards, ret)) < 0)
		return err_set(e, r, "watch network cards: %s", strerror(-r));
	cards_read(ret);
	arm(ret->again, 0);
	arm(ret->tick, CONSOLE_TICK_MS);
	return 0;
}

void console_deinit(struct console *c)
{
	sd_event_source **sources[] = { &c->tick, &c->draw, &c->block, &c->again, &c->cards };

	for (size_t i = 0; i < ARRAY_LEN(sources); i++)
		source_unrefp(sources[i]);
	link_closep(&c->link);
	sink_close(&c->screen);
	sink_close(&c->serial);
	fd_close(&c->cards_fd);
	json_unrefp(&c->said);
	buf_deinit(&c->told);
	sd_event_unref(c->event);
	*c = (struct console)CONSOLE_NONE;
}
