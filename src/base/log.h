/* One line an event to fd 2: "<level>room: sentence". The supervisor keeps the lines and reads the level.
 *
 * The room's name is set once in main. What a peer can trigger goes through log_limited. Rooms `base` and `ident`
 * never log. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

void log_init(const char *room, bool debug); /* borrows ROOM for ever */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_err(...) log_line(LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* A bucket of BURST lines, refilled one every INTERVAL_MS. */
struct log_limit {
	uint64_t last_ms;
	unsigned used, dropped;
};
enum { LOG_LIMIT_BURST = 10, LOG_LIMIT_INTERVAL_MS = 1000 };
bool log_limit_pass(struct log_limit *l, uint64_t now_ms);

/* A warning that a peer can cause; one bucket per place in the code. */
#define log_limited(...)                                   \
	do {                                               \
		static struct log_limit limit_;            \
		if (log_limit_pass(&limit_, log_now_ms())) \
			log_warn(__VA_ARGS__);             \
	} while (0)
uint64_t log_now_ms(void); /* monotonic */
