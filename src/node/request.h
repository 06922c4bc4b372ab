/* One call that has passed all checks, and the handlers of calls for machines (machines.c), images (images.c), volumes (snapshots.c) and disks (disks.c); the others stand in
 * serve.c. */
#pragma once
#include "api/call.h"
#include "node/serve.h"

struct request {
	struct serve *s;
	sd_varlink *link;
	const struct order *order;
	union {
		struct call_envelope envelope;
		struct call_deployment deployment;
		struct call_drain drain;
		struct call_service service;
		struct call_wipe wipe;
		struct call_recover_token recover_token;
		struct call_recover recover;
		struct call_logs logs;
		struct call_machine machine;
		struct call_exec exec;
		struct call_forward forward;
		struct call_push push;
		struct call_volume volume;
		struct meet_args meet;
		struct relay_args relay;
	} args;
	const char *psk; /* of a meeting; NULL = none came */
};

/* Each answers Q, or returns a negative errno with a sentence. */
int machine_logs(struct request *q, struct err *e);
int machine_exec(struct request *q, struct err *e);
int machine_console(struct request *q, struct err *e);
int machine_stats(struct request *q, struct err *e);
int machine_start(struct request *q, struct err *e);
int machine_stop(struct request *q, struct err *e);
int machine_restart(struct request *q, struct err *e);
int machine_pause(struct request *q, struct err *e);
int machine_resume(struct request *q, struct err *e);
int machine_forward(struct request *q, struct err *e);
int node_disks(struct request *q, struct err *e);
int node_wipe_disk(struct request *q, struct err *e);
int node_recovery_token(struct request *q, struct err *e);
int node_recover_disk(struct request *q, struct err *e);
int volume_snapshot(struct request *q, struct err *e);
int volume_snapshots(struct request *q, struct err *e);
int volume_forget(struct request *q, struct err *e);
int volume_restore(struct request *q, struct err *e);
int volume_export(struct request *q, struct err *e);
int volume_import(struct request *q, struct err *e);
int image_push(struct request *q, struct err *e);
int image_list(struct request *q, struct err *e);
int image_prune(struct request *q, struct err *e);

/* For provider_stream.ready: hands FD or REPLY to the caller behind CTX, a link whose reference is taken. */
void request_stream_ready(void *ctx, int fd, sd_json_variant *reply, int r, const struct err *e);
