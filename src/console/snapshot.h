/* What the screen shows, as one struct: the engine's answer decoded, and what this process sees by itself.
 *
 * Texts are borrowed from the JSON that they were decoded from. They may hold anything: screen.c lets only printable
 * ASCII through. */
#pragma once
#include "api/json.h"
#include "svc/uplink.h"

enum { SNAPSHOT_SERVICES_MAX = 32, SNAPSHOT_HUBS_MAX = 4, SNAPSHOT_STATES_MAX = 8, SNAPSHOT_NOTES_MAX = 3, SNAPSHOT_DIAGNOSES_MAX = 2 };

struct snapshot_hub {
	const char *url;
	const char *why; /* why it is down; "" = not known */
	bool is_up;
	uint64_t since_ms; /* monotonic; 0 = not known */
};
struct snapshot_service {
	const char *name, *state;
};
struct snapshot_state { /* of workloads */
	const char *name;
	uint64_t count;
};
struct snapshot_diagnosis { /* no hub is reached: what a code on the screen tells (api/diagnosis.h) */
	const char *text;
};
struct snapshot_note { /* a warning or an error */
	const char *service, *text;
	uint64_t at_ms; /* monotonic */
};
struct snapshot {
	/* the engine's */
	const char *node, *version, *flavour;
	const char *farm; /* its name; "" = none */
	bool is_approved, is_durable;
	struct snapshot_hub hubs[SNAPSHOT_HUBS_MAX];
	uint64_t cpu_milli, cpu_milli_used, memory_bytes, memory_used_bytes;
	struct snapshot_service services[SNAPSHOT_SERVICES_MAX];
	struct snapshot_state workloads[SNAPSHOT_STATES_MAX];
	struct snapshot_note notes[SNAPSHOT_NOTES_MAX]; /* newest first */
	struct snapshot_diagnosis diagnoses[SNAPSHOT_DIAGNOSES_MAX]; /* the longest first */
	size_t n_hubs, n_services, n_workloads, n_notes, n_diagnoses;
	/* this process's */
	struct uplink uplinks[UPLINKS_MAX];
	size_t n_uplinks;
	uint64_t now_ms; /* monotonic; 0 = say nothing that changes with time alone */
	int64_t time_s;  /* Unix */
	bool is_silent;  /* the engine does not answer: what it said last is shown */
};
/* Before the engine's first answer. */
#define SNAPSHOT_NONE { .node = "", .version = ZOS_VERSION, .flavour = "", .farm = "", .is_silent = true }

/* Fills the engine's part of RET from what zos.Console.Watch says; it points into V. -EBADMSG. */
MUST_CHECK int snapshot_decode(sd_json_variant *v, struct snapshot *ret, struct err *e);
