#include "cli/command.h"

#include "base/file.h"
#include "grid/hubd.h"

#include <fcntl.h>
#include <nats/nats.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { HUB_START_MS = 10000 };

struct run_args {
	const char *dir, *listen, *advertise, *tls_cert, *tls_key, *server;
	uint32_t port;
};
static const struct opt run_opts[] = {
	OPT(struct run_args, port, "port", "N", "TCP port (default 4222)"),
	OPT(struct run_args, dir, "dir", "DIR", "keys and directory (default: hub/ beside your keys)"),
	OPT(struct run_args, listen, "listen", "ADDR", "address to listen on (default 127.0.0.1)"),
	OPT(struct run_args, advertise, "advertise", "HOST", "name under which others reach it"),
	OPT(struct run_args, tls_cert, "tls-cert", "FILE", "certificate (PEM), for tls://"),
	OPT(struct run_args, tls_key, "tls-key", "FILE", "its key (PEM)"),
	OPT(struct run_args, server, "server", "PROGRAM", "the nats-server to run (default: from PATH)"),
};

static int server_start(const char *program, const char *dir, pid_t *ret, struct err *e)
{
	char conf[600];
	pid_t pid;

	snprintf(conf, sizeof(conf), "%s/nats.conf", dir);
	pid = fork();
	if (pid < 0)
		return err_set(e, -errno, "start %s: %m", program);
	if (!pid) {
		execlp(program, program, "-c", conf, NULL);
		fprintf(stderr, "zos: start %s: %s\n", program, strerror(errno));
		_exit(127);
	}
	*ret = pid;
	return 0;
}

/* Passes signals on to the server, so that Ctrl-C ends both, and waits for it. */
static int server_wait(pid_t pid, struct err *e)
{
	sigset_t set;
	int sig, status;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	for (;;) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) && WEXITSTATUS(status) > 1 ?
			               err_set(e, -EIO, "nats-server ended with status %d", WEXITSTATUS(status)) :
			               0;
		if (!sigwait(&set, &sig) && sig != SIGCHLD)
			kill(pid, SIGTERM);
	}
}

static void signals_block(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int hub_run(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct run_args *a = args;
	AUTO_PROFILE struct profile p = PROFILE_NONE;
	char dir[600];
	struct hubd_options o = { .listen = a->listen, .advertise = a->advertise, .port = (uint16_t)a->port, .tls_cert = a->tls_cert,
		                  .tls_key = a->tls_key, .dir = dir };
	pid_t pid = 0;
	int r;

	(void)words;
	if (a->port > 65535)
		return err_set(e, -EINVAL, "--port: %u is no port", a->port);
	if ((r = profile_open(&p, e)))
		return r;
	snprintf(dir, sizeof(dir), "%s%s", a->dir ? a->dir : p.dir, a->dir ? "" : "/hub");
	if ((r = dir_make(dir, 0700, e)) || (r = hubd_prepare(&o, &p.hub, e)))
		return r;
	signals_block();
	if ((r = server_start(a->server ? a->server : "nats-server", dir, &pid, e)))
		return r;
	r = hubd_create_bucket(&o, HUB_START_MS, e);
	if (!r)
		r = profile_save(&p, e);
	if (r) {
		kill(pid, SIGTERM);
		waitpid(pid, NULL, 0);
		return r;
	}
	nats_CloseAndWait(1000);
	if (!c->json)
		printf("The hub runs at %s\nIts key, for 'zos hub use' and 'zos farm init': %s\n", p.hub.url, p.hub.key);
	else
		printf("{\"url\":\"%s\",\"key\":\"%s\"}\n", p.hub.url, p.hub.key);
	fflush(stdout);
	return server_wait(pid, e);
}

static int hub_use(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_PROFILE struct profile p = PROFILE_NONE;
	int r = profile_open(&p, e);

	(void)c;
	(void)args;
	if (r)
		return r;
	snprintf(p.hub.url, sizeof(p.hub.url), "%s", words[0]);
	snprintf(p.hub.key, sizeof(p.hub.key), "%s", words[1]);
	if ((r = hub_addr_check(&p.hub, e)))
		return r;
	return profile_save(&p, e);
}

const struct command hub_commands[] = {
	{ .name = "hub run", .help = "run a hub on this machine, in the foreground", .opts = run_opts, .n_opts = ARRAY_LEN(run_opts),
	  .args_size = sizeof(struct run_args), .run = hub_run },
	{ .name = "hub use", .words = "URL KEY", .help = "use a hub that somebody else runs", .min_words = 2, .max_words = 2,
	  .run = hub_use },
};
const size_t n_hub_commands = ARRAY_LEN(hub_commands);
