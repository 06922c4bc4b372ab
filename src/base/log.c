#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const char *log_room = "?";
static bool log_debugging;

void log_init(const char *room, bool debug)
{
	log_room = room;
	log_debugging = debug;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int head, n;

	if (level == LOG_LEVEL_DEBUG && !log_debugging)
		return;
	head = snprintf(line, sizeof(line), "<%d>%s: ", (int)level, log_room);
	va_start(ap, fmt);
	n = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, fmt, ap);
	va_end(ap);
	n = n < 0 ? head : head + n;
	if ((size_t)n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	for (int i = head; i < n; i++) /* one event, one line, also when it quotes what a peer sent */
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = ' ';
	line[n++] = '\n';
	(void)!write(STDERR_FILENO, line, (size_t)n);
}

uint64_t log_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

bool log_limit_pass(struct log_limit *l, uint64_t now_ms)
{
	uint64_t refill = (now_ms - l->last_ms) / LOG_LIMIT_INTERVAL_MS;

	if (refill) {
		l->used = refill >= l->used ? 0 : l->used - (unsigned)refill;
		l->last_ms = now_ms;
	}
	if (l->used >= LOG_LIMIT_BURST) {
		l->dropped++;
		return false;
	}
	l->used++;
	return true;
}
