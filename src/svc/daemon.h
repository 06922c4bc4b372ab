/* What every daemon's main shares: the loop, the signals, readiness, and a varlink socket. One struct, one loop, one thread. */
#pragma once
#include "base/err.h"

#include <sys/types.h>
#include <systemd/sd-event.h>
#include <systemd/sd-json.h>
#include <systemd/sd-varlink.h>

/* Sets up the log under NAME, ignores SIGPIPE, blocks SIGTERM, SIGINT and SIGCHLD for the loop. Returns owned. */
MUST_CHECK int daemon_loop(const char *name, sd_event **ret, struct err *e);

/* Tells the supervisor that the service works, with one line for people. */
void daemon_ready(const char *status);

/* Runs the loop until something ends it, SIGTERM and SIGINT where the daemon has no handler of its own: the exit status for main. */
int daemon_run(sd_event *event);

/* Prints the sentence of E and returns EXIT_FAILURE: the end of a main that could not start. */
int daemon_failed(const struct err *e);

/* A varlink server on the Unix socket PATH. Links get USERDATA. Messages may carry file descriptors out. Returns owned. */
MUST_CHECK int daemon_listen(sd_event *event, const char *path, mode_t mode, void *userdata, sd_varlink_server **ret, struct err *e);

/* A link to the daemon that listens on PATH, attached to the loop; its messages may carry file descriptors in. Returns owned. */
MUST_CHECK int daemon_connect(sd_event *event, const char *path, void *userdata, sd_varlink_reply_t on_reply, sd_varlink **ret, struct err *e);

/* Answers a call with the error for CODE and the sentence: {"message": ...}. */
int daemon_reply_error(sd_varlink *link, int code, const struct err *e);

/* Reads the reverse into E; returns the negative errno. */
int daemon_error_of(const char *error_id, sd_json_variant *parameters, struct err *e);

void event_unrefp(sd_event **p);
void source_unrefp(sd_event_source **p);
void link_closep(sd_varlink **p);
