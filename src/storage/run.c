#include "storage/run.h"

#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "storage/scrub.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>

enum { LOCK_PATIENCE_S = 5 };
#define LOCKS "/run/zos/disks"

static const struct opt opts[] = {
	OPT(struct disk_args, name, "name", "NAME", "below /dev"),
	OPT(struct disk_args, seq, "seq", "N", "the kernel's number of this disk"),
	OPT(struct disk_args, uuid, "uuid", "UUID", "of its header"),
	OPT(struct disk_args, farm, "farm", "KEY", "whose node this is"),
	OPT(struct disk_args, rotational, "rotational", NULL, "it is a hard disk"),
	OPT(struct disk_args, is_ata, "ata", NULL, "it is a SATA disk"),
};

static void on_alarm(int sig)
{
	(void)sig;
}

/* Held until this ends. By the kernel's number of the disk: another one in its place is free. One that was killed a moment ago is waited for. */
static int lock_take(const struct disk_args *a, struct err *e)
{
	char path[64];
	int r = dir_make(LOCKS, 0700, e);

	if (r)
		return r;
	snprintf(path, sizeof(path), LOCKS "/%llu", (unsigned long long)a->seq);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* ends with the process */
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = on_alarm }, NULL); /* ends the wait */
	alarm(LOCK_PATIENCE_S);
	r = fd < 0 || flock(fd, LOCK_EX) ? -errno : 0;
	alarm(0);
	if (r == -EINTR)
		return err_set(e, -EBUSY, "what was begun with it before has not ended: the disk does not answer; see its cable and its health");
	return r ? err_set(e, r, "lock %s: %s", path, strerror(-r)) : 0;
}

static int command_run(const struct run_command *c, const struct disk_args *a, struct answer *ret, struct err *e)
{
	int r = c->scrubbing == RUN_SCRUB ? 0 : lock_take(a, e);

	if (!r && a->uuid && c->scrubbing == RUN_ENDS_SCRUB)
		scrub_cancel(a->uuid);
	return r ? r : c->run(a, ret, e);
}

struct run {
	const char *program;
	const struct run_command *commands;
	size_t n_commands;
};

static int run(const struct run *x, char **argv, struct answer *ret, struct err *e)
{
	struct disk_args a = { 0 };
	const char *words[3];
	struct opt_words w = { words, ARRAY_LEN(words), false };
	int n = opt_parse(opts, ARRAY_LEN(opts), argv, &a, &w, e);

	if (n < 0)
		return n;
	for (const struct run_command *c = x->commands; n == 1 && a.name && c < x->commands + x->n_commands; c++)
		if (!strcmp(c->name, words[0]) && (a.uuid || !c->needs_uuid) && (!a.uuid || answer_uuid_ok(str_c(a.uuid))))
			return command_run(c, &a, ret, e);
	return err_set(e, -EINVAL, "usage: %s COMMAND --name=NAME --seq=N [--uuid=UUID] [--farm=KEY] [--rotational] [--ata]", x->program);
}

int run_main(const char *program, const struct run_command *commands, size_t n_commands, char **argv)
{
	const struct run x = { program, commands, n_commands };
	struct answer a = { .outcome = ANSWER_DONE };
	AUTO_BUF struct buf line = { 0 };
	struct err e = { 0 };

	log_init(program, getenv("ZOS_DEBUG") != NULL);
	if (run(&x, argv + 1, &a, &e) < 0) {
		a = (struct answer){ .outcome = ANSWER_FAILED, .escrow = a.escrow };
		snprintf(a.text, sizeof(a.text), "%s", e.msg);
	}
	if (answer_encode(&a, &line) || write(STDOUT_FILENO, line.p, line.len) != (ssize_t)line.len)
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
