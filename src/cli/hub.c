#include "cli/command.h"

#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"
#include "grid/hubd.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum { HUB_START_MS = 10000, HUB_TRY_MS = 2000, HUB_CERTIFY_S = 24 * 3600 };

struct run_args {
	const char *dir, *listen, *public, *advertise, *tls_cert, *tls_key, *server, *cluster, *peers;
	uint32_t port;
};
static const struct opt run_opts[] = {
	OPT(struct run_args, public, "public", "HOST[:PORT]",
	    "serve others: TLS, on all addresses, under this name (port 443 passes most firewalls)"),
	OPT(struct run_args, port, "port", "N", "TCP port (default 4222)"),
	OPT(struct run_args, dir, "dir", "DIR", "keys and directory (default: hub/ beside your keys)"),
	OPT(struct run_args, listen, "listen", "ADDR", "address to listen on (default 127.0.0.1; all with --public)"),
	OPT(struct run_args, advertise, "advertise", "HOST", "name under which others reach it"),
	OPT(struct run_args, tls_cert, "tls-cert", "FILE", "certificate (PEM), instead of one by the hub's own authority"),
	OPT(struct run_args, tls_key, "tls-key", "FILE", "its key (PEM)"),
	OPT(struct run_args, cluster, "cluster", "HOST:PORT",
	    "be one of 3 or 5 servers: where the others reach this one (copy hub.keys to each first)"),
	OPT(struct run_args, peers, "peers", "HOST:PORT,...", "all servers of the cluster, this one too"),
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

static void signals_fill(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGINT);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGCHLD);
	sigaddset(ret, SIGHUP);
}

/* A hub runs for years, its certificate for months. */
static void certificate_look(pid_t pid, const struct hubd_options *o)
{
	struct err e = { 0 };
	int r = hubd_certify(o, time(NULL), &e);

	if (r < 0)
		fprintf(stderr, "zos: %s: trying again tomorrow\n", e.msg);
	else if (r)
		kill(pid, SIGHUP);
}

/* Passes signals on to the server, so that Ctrl-C ends both, and waits for it. SIGHUP looks at the certificate now. */
static int server_wait(pid_t pid, const struct hubd_options *o, struct err *e)
{
	sigset_t set;
	int sig, status;

	signals_fill(&set);
	for (;;) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) && WEXITSTATUS(status) > 1
				       ? err_set(e, -EIO, "nats-server ended with status %d", WEXITSTATUS(status))
				       : 0;
		sig = sigtimedwait(&set, NULL, &(struct timespec){ .tv_sec = HUB_CERTIFY_S });
		if (sig == SIGHUP || (sig < 0 && errno == EAGAIN))
			certificate_look(pid, o);
		else if (sig > 0 && sig != SIGCHLD)
			kill(pid, SIGTERM);
	}
}

static void signals_block(void)
{
	sigset_t set;

	signals_fill(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* HOST[:PORT] or [v6][:PORT]; the port stays when there is none. */
static int place_parse(const char *text, char ret_host[static 256], uint16_t *port)
{
	const char *end = *text == '[' ? strchr(text, ']') : strchrnul(text, ':');
	struct str host = { text, end ? (size_t)(end - text) : 0 };
	uint64_t n = *port;

	if (*text == '[')
		host = (struct str){ text + 1, end ? host.n - 1 : 0 }, end += end != NULL;
	if (!host.n || host.n > 255 || (*end && (*end != ':' || parse_u64(str_c(end + 1), 65535, &n) || !n)))
		return -EINVAL;
	snprintf(ret_host, 256, STR_FMT, STR_ARG(host));
	*port = (uint16_t)n;
	return 0;
}

/* Both families at once, where this machine has both. */
static const char *any_address(void)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT };
	AUTO_FD int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) ? "0.0.0.0" : "::";
}

/* What ARGS ask for; HOST keeps the public name. */
static int options_fill(const struct run_args *a, const char *dir, char host[static 256], struct hubd_options *ret, struct err *e)
{
	uint16_t port = a->port ? (uint16_t)a->port : 4222, public_port = port;

	if (a->port > 65535)
		return err_set(e, -EINVAL, "--port: %u is no port", a->port);
	if (a->public && a->advertise)
		return err_set(e, -EINVAL, "--public names the hub: --advertise does not go with it");
	if (a->cluster && !a->public)
		return err_set(e, -EINVAL, "a cluster serves others: say --public HOST, too");
	if (a->public && place_parse(a->public, host, &public_port))
		return err_set(e, -EINVAL, "--public '%.100s': say HOST or HOST:PORT, an IPv6 address in brackets", a->public);
	if (a->public && !a->port)
		port = public_port;
	*ret = (struct hubd_options){
		.dir = dir,
		.listen = a->listen   ? a->listen
			  : a->public ? any_address()
				      : NULL,
		.port = port,
		.advertise = a->public ? host : a->advertise,
		.advertise_port = public_port,
		.cluster = a->cluster,
		.peers = a->peers,
		.own_ca = a->public && !a->tls_cert,
		.tls_cert = a->tls_cert,
		.tls_key = a->tls_key,
	};
	return 0;
}

/* True when the server has ended, or somebody wants it to. */
static bool is_over(pid_t pid)
{
	sigset_t set;
	siginfo_t info = { 0 };
	int sig;

	signals_fill(&set);
	sigdelset(&set, SIGCHLD);
	sig = sigtimedwait(&set, NULL, &(struct timespec){ 0 });
	return sig == SIGINT || sig == SIGTERM || waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid;
}

static int server_again(const char *program, const char *dir, pid_t *pid, struct err *e)
{
	kill(*pid, SIGTERM);
	waitpid(*pid, NULL, 0);
	return server_start(program, dir, pid, e);
}

/* One server answers at once or never; a cluster's others may be started tomorrow. The member that is not counted may be any: each throws
 * dice, so that they do not all go down at once. */
static int directory_make(const struct hubd_options *o, const char *program, pid_t *pid, struct err *e)
{
	uint64_t end = log_now_ms() + HUB_START_MS;
	bool told = false;
	int r;

	while ((r = hubd_create_bucket(o, HUB_TRY_MS, e)) && !is_over(*pid)) {
		if (r < 0 && r != -EAGAIN && (r != -ECONNREFUSED || log_now_ms() >= end))
			return r;
		if (r == -EAGAIN && !told)
			fprintf(stderr, "zos: waiting for the cluster's other members: %s\n", o->peers);
		told |= r == -EAGAIN;
		if (r != HUBD_MUTE || random_u64() % HUBD_MEMBERS_MAX)
			continue;
		if ((r = server_again(program, o->dir, pid, e)))
			return r;
		end = log_now_ms() + HUB_START_MS;
	}
	return r > 0 ? -EAGAIN : r;
}

static int tell(const struct cli *c, const struct hub_addr *hub, bool is_public, struct err *e)
{
	AUTO_BUF struct buf ca = { 0 }, text = { 0 };
	AUTO_JSON sd_json_variant *v = NULL;

	hub_ca_line(hub->ca, &ca);
	if (buf_check(&ca) ||
	    sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("url", hub->url), SD_JSON_BUILD_PAIR_STRING("key", hub->key),
			   SD_JSON_BUILD_PAIR_CONDITION(ca.len, "ca", SD_JSON_BUILD_STRING(ca.p))) < 0 ||
	    json_format(v, &text))
		return err_set(e, -ENOMEM, "print: out of memory");
	if (c->json) { /* one line: the reader waits for it */
		printf("%s\n", text.p);
		return 0;
	}
	printf("The hub runs at %s\n", hub->url);
	if (is_public)
		printf("\nOthers use it with:\n  zos hub use %s %s%s%s\n\nA farm whose nodes use it is made with:\n"
		       "  zos farm init NAME --hub %s --hub-key %s%s%s\n",
		       hub->url, hub->key, ca.len ? " " : "", ca.len ? ca.p : "", hub->url, hub->key, ca.len ? " --hub-ca " : "", ca.len ? ca.p : "");
	else
		printf("Its key, for 'zos hub use' and 'zos farm init': %s\n", hub->key);
	return 0;
}

static int hub_run(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct run_args *a = args;
	const char *server = a->server ? a->server : "nats-server";
	AUTO_PROFILE struct profile p = PROFILE_NONE;
	char dir[600], host[256];
	struct hub_addr hub = { 0 };
	struct hubd_options o;
	pid_t pid = 0;
	int r;

	(void)words;
	if ((r = profile_open(&p, e)))
		return r;
	snprintf(dir, sizeof(dir), "%s%s", a->dir ? a->dir : p.dir, a->dir ? "" : "/hub");
	if ((r = options_fill(a, dir, host, &o, e)) || (r = dir_make(dir, 0700, e)) || (r = hubd_prepare(&o, &hub, e)) ||
	    (r = profile_hub_set(&p, &hub, e)))
		return r;
	signals_block();
	if ((r = server_start(server, dir, &pid, e)))
		return r;
	r = directory_make(&o, server, &pid, e);
	if (!r)
		r = profile_save(&p, e);
	if (!r)
		r = tell(c, &hub, a->public, e);
	if (r) {
		kill(pid, SIGTERM);
		waitpid(pid, NULL, 0);
		return r;
	}
	hub_library_close();
	fflush(stdout);
	return server_wait(pid, &o, e);
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
	static const struct out_column columns[COLUMNS] = { { "URL" }, { "CERTIFICATE" }, { "KEY" } };
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
	{ .name = "hub run",
	  .help = "run a hub on this machine, in the foreground",
	  .opts = run_opts,
	  .n_opts = ARRAY_LEN(run_opts),
	  .args_size = sizeof(struct run_args),
	  .run = hub_run },
	{ .name = "hub use",
	  .words = "URL KEY [CA]",
	  .help = "add a hub that somebody else runs, or change its address",
	  .min_words = 2,
	  .max_words = 3,
	  .run = hub_use },
	{ .name = "hub list", .help = "the hubs that you use, all at once", .run = hub_list },
	{ .name = "hub forget", .words = "URL|KEY", .help = "use a hub no more", .min_words = 1, .max_words = 1, .run = hub_forget },
};
const size_t n_hub_commands = ARRAY_LEN(hub_commands);
