#include "zdb/alone.h"

#include "base/log.h"
#include "zdb/hook.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <time.h>

enum { ID_MAX = 512 };

static int stop_fd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int log_to(const char *path, struct err *e)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		return err_set(e, -errno, "--logfile: open %s: %m", path);
	return 0;
}

/* From here on in a child, without the terminal. Locks and listening sockets are its too. */
static int to_background(struct err *e)
{
	AUTO_FD int none = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pid_t pid = fork();

	if (pid < 0 || none < 0)
		return err_set(e, -errno, "go to the background: %m");
	if (pid) {
		printf("%d\n", pid);
		fflush(stdout);
		_exit(0); /* what is open and locked is the child's */
	}
	setsid();
	return dup2(none, STDIN_FILENO) < 0 ? err_set(e, -errno, "go to the background: %m") : 0;
}

static int hooks_start(const struct alone *a, const char *id, struct store_options *store, struct server_options *server, struct hooks **ret,
		       struct err *e)
{
	const char *folders[] = { store->index, store->data, NULL };
	int r = hooks_new(a->hook, id, ret, e);

	if (r)
		return r;
	store->watch = hooks_watch(*ret);
	server->beside = (struct server_beside){ .fd = hooks_fd(*ret), .run = hooks_reap, .ctx = *ret };
	(void)!store->watch->ask(*ret, "namespaces-init", folders); /* whatever it brought: what is there is opened */
	return 0;
}

/* Clients can come. */
static int run(const struct alone *a, struct shared *shared, struct server *server, struct err *e)
{
	const struct store_watch *watch = shared->store.o.watch;
	AUTO_FD int stop = -1;
	int r;

	if (a->in_background && (r = to_background(e)))
		return r;
	if (a->logfile && (r = log_to(a->logfile, e)))
		return r;
	stop = stop_fd();
	log_info("ready, %zu namespaces", shared->store.n);
	if (watch)
		watch->tell(watch->ctx, "ready", (const char *[]){ NULL });
	r = server_run(server, stop, e);
	if (watch)
		watch->tell(watch->ctx, "close", (const char *[]){ NULL });
	return r;
}

int alone_serve(const struct alone *a, struct err *e)
{
	struct shared shared = {
		.store = STORE_NONE, .admin = a->admin, .is_protected = a->is_protected, .instance = a->instance, .started_s = time(NULL)
	};
	struct store_options store = a->store;
	struct server_options options = a->server;
	struct server *server = NULL;
	struct hooks *hooks = NULL;
	char id[ID_MAX];
	int r = 0;

	if (options.socket)
		snprintf(id, sizeof(id), "unix://%s", options.socket);
	else
		snprintf(id, sizeof(id), "tcp://%s:%s", options.listen, options.port);
	if (a->hook)
		r = hooks_start(a, id, &store, &options, &hooks, e);
	if (!r && !(r = store_open(&shared.store, &store, e))) {
		store_find(&shared.store, S(NAMESPACE_DEFAULT))->space.max_bytes = a->max_bytes;
		r = server_new(&shared, &options, &server, e);
	}
	if (!r)
		r = run(a, &shared, server, e);
	if (server)
		server_free(server);
	store_close(&shared.store);
	hooks_free(hooks);
	return r;
}
