#include "machine/output.h"

#include "base/log.h"
#include "base/parse.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>

enum { PIPE_READ = 16384 };

struct output_source {
	struct output_source *next;
	struct output *output;
	sd_event_source *io;
	enum output_stream stream;
};

static void source_free(struct output_source *s)
{
	struct output_source **at = &s->output->sources;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	sd_event_source_disable_unref(s->io);
	free(s);
}

static void sources_enable(struct output *o, int enabled)
{
	for (struct output_source *s = o->sources; s; s = s->next)
		sd_event_source_set_enabled(s->io, enabled);
}

static void timer_set(struct output *o, uint64_t delay_ms)
{
	sd_event_source_set_time_relative(o->timer, delay_ms * 1000);
	sd_event_source_set_enabled(o->timer, SD_EVENT_ONESHOT);
}

void output_note(struct output *o, const char *sentence)
{
	tail_add(&o->tail, TAIL_NODE, str_c(sentence), time(NULL));
	tail_add(&o->tail, TAIL_NODE, S("\n"), time(NULL));
}

static void dropped_tell(struct output *o)
{
	char dropped[16], rate[16], text[128];

	if (!o->flood.dropped_bytes)
		return;
	format_size(dropped, o->flood.dropped_bytes);
	format_size(rate, FLOOD_KEEP_BYTES_S);
	snprintf(text, sizeof(text), "%s of output were dropped here: a machine's log takes %s a second", dropped, rate);
	output_note(o, text);
	o->flood.dropped_bytes = 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct output *o = userdata;

	(void)source;
	(void)usec;
	dropped_tell(o);
	sources_enable(o, SD_EVENT_ON);
	return 0;
}

static void keep(struct output *o, enum output_stream stream, struct str bytes)
{
	if (stream != OUTPUT_CONSOLE)
		tail_add(&o->tail, (enum tail_stream)stream, bytes, time(NULL));
	tail_raw(&o->console, bytes);
}

static void heard(struct output_source *s, struct str bytes)
{
	struct output *o = s->output;
	uint64_t now_ms = log_now_ms(), wait_ms;
	bool told = !o->flood.dropped_bytes;

	if (s->stream == OUTPUT_CONSOLE && o->heard)
		o->heard(o->ctx, bytes);
	if (flood_keeps(&o->flood, bytes.n, now_ms))
		keep(o, s->stream, bytes);
	else if (s->stream != OUTPUT_CONSOLE)
		tail_gap(&o->tail, (enum tail_stream)s->stream, time(NULL));
	if ((wait_ms = flood_wait_ms(&o->flood, now_ms))) {
		sources_enable(o, SD_EVENT_OFF);
		timer_set(o, wait_ms);
	} else if (told && o->flood.dropped_bytes) {
		timer_set(o, FLOOD_SECOND_MS);
	}
}

static int on_output(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct output_source *s = userdata;
	char bytes[PIPE_READ];
	ssize_t n = read(fd, bytes, sizeof(bytes));

	(void)source;
	(void)events;
	if (n > 0)
		heard(s, (struct str){ bytes, (size_t)n });
	else if (!n || (errno != EAGAIN && errno != EINTR))
		source_free(s);
	return 0;
}

int output_listen(struct output *o, enum output_stream stream, int fd, struct err *e)
{
	struct output_source *s = calloc(1, sizeof(*s));
	int r;

	BUG_ON(!s);
	*s = (struct output_source){ .next = o->sources, .output = o, .stream = stream };
	o->sources = s;
	if ((r = sd_event_add_io(o->event, &s->io, fd, EPOLLIN, on_output, s)) < 0) {
		source_free(s);
		close(fd);
		return err_set(e, r, "read the machine's output: %s", strerror(-r));
	}
	sd_event_source_set_io_fd_own(s->io, true);
	return 0;
}

int output_pipe(struct output *o, enum output_stream stream, int *ret_fd, struct err *e)
{
	int fd[2], r;

	if (pipe2(fd, O_CLOEXEC))
		return err_set(e, -errno, "make a pipe: %m");
	fcntl(fd[0], F_SETFL, O_NONBLOCK); /* our end alone: the machine's output must be able to wait */
	if ((r = output_listen(o, stream, fd[0], e))) {
		close(fd[1]);
		return r;
	}
	*ret_fd = fd[1];
	return 0;
}

void output_end(struct output *o)
{
	tail_end(&o->tail, time(NULL));
	dropped_tell(o);
}

int output_init(struct output *ret, sd_event *event, struct err *e)
{
	int r;

	*ret = (struct output){ .event = event, .flood = FLOOD_NEW(log_now_ms()) };
	tail_init(&ret->tail, event);
	tail_init(&ret->console, event);
	if ((r = sd_event_add_time(event, &ret->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_timer, ret)) < 0)
		return err_set(e, r, "read the machine's output: %s", strerror(-r));
	return sd_event_source_set_enabled(ret->timer, SD_EVENT_OFF) < 0 ? -EINVAL : 0;
}

void output_deinit(struct output *o)
{
	while (o->sources)
		source_free(o->sources);
	o->timer = sd_event_source_disable_unref(o->timer);
	tail_deinit(&o->tail);
	tail_deinit(&o->console);
}
