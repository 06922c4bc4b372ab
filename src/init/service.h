/* A supervised program, as the table in services.c declares it. Constant data; see init/unit.h for its life. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum service_ready {
	SERVICE_READY_NOTIFY,  /* up when it sends READY=1 */
	SERVICE_READY_EXEC,    /* up when it is started */
	SERVICE_READY_ONESHOT, /* done when it has ended with 0 */
};
enum service_restart {
	SERVICE_RESTART_ALWAYS,
	SERVICE_RESTART_FAILURE, /* ending with 0 is the end */
};

enum { SERVICE_AFTER_MAX = 6, SERVICE_ARGS_MAX = 24, SERVICE_GROUPS_MAX = 4 };

struct service {
	const char *name;
	const char *argv[SERVICE_ARGS_MAX];   /* "%i" alone stands for the instance */
	const char *after[SERVICE_AFTER_MAX]; /* up, done or skipped before it starts; stopped after it */
	const char *warning;                  /* said on the console when it comes up */
	const char *condition;                /* skipped when this file is missing, or its program */
	const char *opens[2];                 /* standard input and output, to write to, instead of /dev/null and its log: /dev/null
	                                       * where it cannot be opened. While it is up, the screen is its own */
	const char *tty;                      /* standard input and output, instead of /dev/null and its log */
	uint64_t caps;   /* bits of CAP_...: what it keeps */
	uint64_t memory_max_bytes;            /* 0 = no limit; so the rest */
	uint32_t nofile, pids_max;
	uint32_t cpu_weight;                  /* 1 to 10000, of the CPUs when they are all busy; 0 = 100, as the kernel has it */
	uid_t uid;
	gid_t gid, groups[SERVICE_GROUPS_MAX]; /* supplementary, up to the first 0 */
	int oom_score_adj;
	uint32_t start_ms, stop_ms;           /* to become ready (0: as long as it takes), to end after SIGTERM */
	enum service_ready ready;
	enum service_restart restart;
	bool is_template;                     /* instances NAME@ID come and go by the control socket */
	bool is_background;                   /* "the system is up" does not wait for it */
};
#define SERVICE_CAP(c) (1ull << (c))

extern const struct service services[];
extern const size_t services_n;
