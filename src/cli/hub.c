#include "cli/command.h"

#include "base/file.h"
#include "grid/hubd.h"

#include <fcntl.h>
#include <nats/nats.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
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
		prctl(PR_SET_PDEATHSIG, SIGTERM); /* a hub whose keeper was killed would hold the port for ever */
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
	struct hub_addr hub = { 0 };
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
	if ((r = dir_make(dir, 0700, e)) || (r = hubd_prepare(&o, &hub, e)) || (r = profile_hub_set(&p, &hub, e)))
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
		printf("The hub runs at %s\nIts key, for 'zos hub use' and 'zos farm init': %s\n", hub.url, hub.key);
	else
		printf("{\"url\":\"%s\",\"key\":\"%s\"}\n", hub.url, hub.key);
	fflush(stdout);
	return server_wait(pid, e);
}

/* CA: a file of PEM, or the line that 'zos hub run --public' prints. Appends PEM or the line. */
int hub_ca_read(const char *ca, struct buf *ret, struct err *e)
{
	if (access(ca, F_OK)) {
		buf_addf(ret, "%s", ca);
		return buf_check(ret);
	}
	return file_read(AT_FDCWD, ca, HUB_CA_MAX - 1, ret, e);
}

static int hub_use(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_PROFILE struct profile p = PROFILE_NONE;
	AUTO_BUF struct buf ca = { 0 };
	struct hub_addr hub;
	int r = profile_open(&p, e);

	(void)c;
	(void)args;
	if (r || (words[2] && (r = hub_ca_read(words[2], &ca, e))) || (r = hub_addr_make(&hub, words[0], words[1], ca.p, e)) ||
	    (r = profile_hub_set(&p, &hub, e)))
		return r;
	return profile_save(&p, e);
}

static int hub_list_json(const struct profile *p, struct err *e)
{
	AUTO_JSON sd_json_variant *list = NULL;

	return profile_hubs_json(p, &list) < 0 ? err_set(e, -ENOMEM, "print: out of memory") : out_json(list, e);
}

static int hub_list(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_PROFILE struct profile p = PROFILE_NONE;
	enum { COLUMNS = 3 };
	struct out_column columns[COLUMNS] = { { "URL", 0 }, { "CERTIFICATE", 0 }, { "KEY", 0 } };
	const char *cells[COLUMNS * HUBS_MAX];
	int r = profile_open(&p, e);

	(void)args;
	(void)words;
	if (r || c->json)
		return r ? r : hub_list_json(&p, e);
	for (size_t i = 0; i < p.n_hubs; i++) {
		bool is_tls = !strncmp(p.hubs[i].url, "tls://", 6);

		cells[COLUMNS * i] = p.hubs[i].url;
		cells[COLUMNS * i + 1] = !is_tls ? "none" : p.hubs[i].ca[0] ? "of its own authority" : "of a public authority";
		cells[COLUMNS * i + 2] = p.hubs[i].key;
	}
	if (p.n_hubs)
		out_table(columns, COLUMNS, cells, p.n_hubs);
	else
		printf("No hub is known: 'zos hub run' starts one, 'zos hub use URL KEY' names one.\n");
	return 0;
}

static int hub_forget(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_PROFILE struct profile p = PROFILE_NONE;
	size_t n = 0;
	int r = profile_open(&p, e);

	(void)c;
	(void)args;
	if (r)
		return r;
	for (size_t i = 0; i < p.n_hubs; i++)
		if (strcmp(p.hubs[i].url, words[0]) && strcmp(p.hubs[i].key, words[0]))
			p.hubs[n++] = p.hubs[i];
	if (n == p.n_hubs)
		return err_set(e, -ENOENT, "no hub has the address or the key '%.100s': 'zos hub list' shows them", words[0]);
	p.n_hubs = n;
	return profile_save(&p, e);
}

const struct command hub_commands[] = {
	{ .name = "hub run", .help = "run a hub on this machine, in the foreground", .opts = run_opts, .n_opts = ARRAY_LEN(run_opts),
	  .args_size = sizeof(struct run_args), .run = hub_run },
	{ .name = "hub use", .words = "URL KEY [CA]", .help = "add a hub that somebody else runs, or change its address", .min_words = 2,
	  .max_words = 3, .run = hub_use },
	{ .name = "hub list", .help = "the hubs that you use, all at once", .run = hub_list },
	{ .name = "hub forget", .words = "URL|KEY", .help = "use a hub no more", .min_words = 1, .max_words = 1, .run = hub_forget },
};
const size_t n_hub_commands = ARRAY_LEN(hub_commands);
