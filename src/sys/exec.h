/* The two blocking loops of an exec session, each run in a process of its own: serving a program, and carrying frames into a virtual
 * machine. doc/exec.md is the format. SIGCHLD is blocked by the caller of exec_serve(), and SIGPIPE is ignored in both. */
#pragma once
#include "sys/exec_wire.h"

#include <sys/types.h>

struct exec_ends { /* all owned by exec_serve() */
	pid_t pid;   /* a child of ours, leader of its session */
	bool tty;
	int in, out; /* with a tty the same, its master; they block or not, as they like */
	int err;     /* -1 with a tty */
};

/* Until the program has ended and its output is out, or the caller is gone: then SIGHUP, a moment, and KILL_ALL. It is called in any case
 * before the end. EAR is the caller's, from whom START has been heard. Closes ENDS; STREAM is the caller's still. Returns once the caller
 * has said HANGUP or closed. EXEC_LINGER_MS is for the last word to one who is gone. */
enum { EXEC_GRACE_MS = 1000, EXEC_DRAIN_MS = 2000, EXEC_LINGER_MS = 10000 };
void exec_serve(int stream, struct exec_ear *ear, struct exec_ends *ends, void (*kill_all)(void *ctx), void *ctx);

/* Waits for START on STREAM; what is left from before is skipped. RET points into EAR. Negative when the caller is gone. */
MUST_CHECK int exec_wait_start(int stream, struct exec_ear *ear, struct exec_program *ret);
/* The session's only word: FAILED. Waits for HANGUP as exec_serve() does. */
void exec_refuse(int stream, struct exec_ear *ear, const char *sentence);

/* Hands FIRST to SERVER and carries frames both ways until SERVER has said its last and was told HANGUP: 0, the server is free for
 * another. Negative: it is gone or talks nonsense. A caller who breaks the rules is gone. */
MUST_CHECK int exec_relay(int caller, int server, struct str first);

/* A terminal's size; 0 in either says nothing. */
void exec_resize(int master, uint32_t rows, uint32_t cols);
