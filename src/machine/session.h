/* Exec sessions of one machine: each is a child of the runner that serves one stream (doc/exec.md) and one slot of EXEC_SESSIONS_MAX. */
#pragma once
#include "machine/runner.h"

/* Starts P for whoever holds the other end of STREAM (takes). -EHOSTUNREACH: the machine does not run; -EBUSY: all slots are taken. */
MUST_CHECK int session_start(struct runner *r, const struct exec_program *p, int stream, struct err *e);
/* The machine was started anew: slots that were spoilt are whole again. */
void session_renew(struct runner *r);
void session_deinit(struct runner *r);

/* The method zos.Runner.Exec {argv, tty, rows, cols, user, workdir, term}; its reply carries the stream. */
extern const struct json_table runner_exec_table;
int session_method(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *runner);

/* For the child: closes all but the standard files, A and B (-1 = none). */
void session_keep(int a, int b);
