/* PID 1, as one struct: units, the sockets it serves, one loop. Allocates nothing. */
#pragma once
#include "init/unit.h"
#include "init/watchdog.h"

enum {
	INIT_UNITS_MAX = 512,
	INIT_CONNS_MAX = 32,
	INIT_KEYS_MAX = 8,             /* power buttons */
	INIT_SHUTDOWN_MAX_MS = 90000,  /* then the power goes whatever still runs */
	INIT_RECHECK_MS = 1000,        /* how often a group that does not get empty is killed again */
};

enum init_power { INIT_POWER_NONE, INIT_POWER_OFF, INIT_POWER_REBOOT };

struct init_setup { /* borrowed for ever */
	const struct service *services;
	size_t services_n;
	const char *run_dir;      /* sockets go here */
	const char *cgroup_mount; /* where cgroup2 is mounted */
	const char *cgroup_base;  /* below that: "/zos" */
	int console_fd;           /* lines for people; -1 = none */
	bool console_is_screen;   /* they go to the screen, not to a serial line */
	bool is_debug;
	bool has_watchdog;        /* the machine is ours to start again */
	void (*finish)(enum init_power how); /* everything is down; does not return */
};

struct init {
	struct init_setup setup;
	struct unit units[INIT_UNITS_MAX];
	size_t units_n; /* places ever taken: those behind are untouched memory */
	struct ring ring;
	struct {
		char text[8192];
		size_t len;
		uint64_t due_ms; /* when it is tried again */
		unsigned pause_ms;
	} unsaid; /* whole lines that the console did not take yet, the first perhaps in part */
	int epoll_fd, signal_fd, notify_fd, listen_fd, input_fd;
	struct {
		int fd;
		bool is_watching;
	} conns[INIT_CONNS_MAX];
	int key_fds[INIT_KEYS_MAX];
	size_t keys_n;
	char notify_path[128];
	bool is_dirty;  /* a state changed: others may go on */
	bool is_screen_taken; /* a service draws on it */
	bool is_up;     /* "the system is up" has been said */
	enum init_power power;
	uint64_t power_due_ms;
	struct watchdog watchdog;
};

/* What a descriptor in the epoll set is; its number among its kind is in the low half of the key. */
enum init_key { INIT_KEY_SIGNAL, INIT_KEY_NOTIFY, INIT_KEY_LISTEN, INIT_KEY_CONN, INIT_KEY_LOG, INIT_KEY_INPUT, INIT_KEY_BUTTON };
int init_poll(struct init *in, int fd, enum init_key key, size_t number);

MUST_CHECK int init_open(struct init *in, const struct init_setup *setup, struct err *e);

/* Starts the services and supervises until the power goes. */
[[noreturn]] void init_run(struct init *in);

void init_power(struct init *in, enum init_power how, const char *why);

/* A line of init's own: kept, in the kernel's log, and on the console when it is a warning or worse or IS_SHOWN. */
void init_say(struct init *in, int level, bool is_shown, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
#define init_warn(in, ...) init_say(in, 4, true, __VA_ARGS__)
#define init_info(in, ...) init_say(in, 6, false, __VA_ARGS__)

/* Only on the console. While that is busy, with what the screen's service draws or at the speed of a serial line, lines wait; with too many waiting the new
 * ones are dropped. */
void init_show(struct init *in, const char *who, const char *text, size_t n);
