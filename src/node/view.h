/* What the console shows: the engine's, the line's and the services' state in one answer, sent again whenever it
 * changes.
 *
 * The method zos.Console.Watch (more), alone on a socket that the console's uid may reach: it tells, and takes nothing.
 * PID 1 is asked for services while somebody watches, and for their warnings every VIEW_LOGS_MS. */
#pragma once
#include "node/line.h"
#include "svc/uplink.h"
#include "sys/supervisor.h"

enum {
	VIEW_WATCHERS_MAX = 4,
	VIEW_SERVICES_MAX = 32,
	VIEW_UNITS_MAX = 512,
	VIEW_NOTES = 3,
	VIEW_LOGS_MS = 60000, /* each look wakes init and us once a service; what changes its state is looked at then */
	VIEW_SETTLE_MS = 100,
	VIEW_NOTE_MAX = 200,
	VIEW_DIAGNOSES = 2,              /* a long one and a short one */
	VIEW_DIAGNOSE_MS = 10000,        /* no hub is reached for so long: a diagnosis is made, */
	VIEW_DIAGNOSE_AGAIN_MS = 300000, /* ... and with the same content anew, for its time */
};

struct view_service {
	char name[SUPERVISOR_NAME_MAX];
	enum supervisor_state state;
	uint64_t log_at; /* how far its log is read */
};
struct view_note {
	char service[SUPERVISOR_NAME_MAX], text[VIEW_NOTE_MAX];
	uint64_t at_ms; /* 0 = none */
};

/* The last diagnosis, which is signed once for each size. */
struct view_diagnosis {
	struct diagnosis what;
	char texts[VIEW_DIAGNOSES][DIAGNOSIS_SIZE];
	uint64_t at_ms; /* 0 = none */
};

struct view {
	struct engine *engine;
	struct line *line;
	struct supervisor supervisor;
	sd_varlink_server *server;
	sd_varlink *watchers[VIEW_WATCHERS_MAX];
	size_t n_watchers;
	sd_event_source *settle, *logs, *units;
	struct view_service services[VIEW_SERVICES_MAX];
	size_t n_services;
	struct view_note notes[VIEW_NOTES]; /* newest first */
	struct view_diagnosis diagnosis;
	sd_json_variant *said;
};

/* Listens on SOCKET. RET is to be released whatever is returned. */
MUST_CHECK int view_init(struct view *ret, struct engine *engine, struct line *line, const char *socket, struct err *e);
void view_deinit(struct view *v);

/* Takes "<level>seconds.millis text", a line of SERVICE's log: warnings and worse are kept, the newest VIEW_NOTES.
 * Pure. */
void view_note_add(struct view_note notes[static VIEW_NOTES], const char *service, struct str line);

/* diagnose.c */

/* Appends to LIST what the console draws as a code: [{text}], the longest first; nothing while a hub is reached. */
int view_diagnose(struct view *v, sd_json_variant **list);
/* When that will be no longer so, in ms from now; 0 = not by time alone. */
uint64_t view_diagnose_in_ms(const struct view *v);
