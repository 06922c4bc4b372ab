/* zdb NAMESPACE user|seq SIZE MEMORY public|private joined|alone -- the store of one owner on a node: one namespace, which is as these words say, and nobody
 * who could change that. The password is what can be read from standard input; clients come by the listening socket 3, and by 5 when it is joined to networks; 4 is told when they
 * are served. The machine's runner (machine/zdb.c) starts it in a root that shows ROOM and no more; it shuts itself in further. */
#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"
#include "sys/sandbox.h"
#include "zdb/server.h"

#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <time.h>

#define ROOM "/store"
enum {
	FD_LISTENER = 3,
	FD_READY = 4,
	FD_JOINED = 5,
	FILE_MIN_BYTES = 1 << 20,
	FILE_MAX_BYTES = 256 << 20,
	FILES = 32,
	KEY_BYTES = 24,
	NOFILE = 4096
};

struct words {
	struct str name;
	struct settings settings;
	uint64_t memory_bytes;
	bool is_joined;
};

static int words_parse(char **argv, struct words *ret, struct err *e)
{
	struct settings *s = &ret->settings;

	ret->name = str_c(argv[1]);
	s->mode = strcmp(argv[2], "seq") ? SPACE_USER : SPACE_SEQ;
	s->is_public = !strcmp(argv[5], "public");
	ret->is_joined = !strcmp(argv[6], "joined");
	if (!namespace_name_ok(ret->name) || parse_u64(str_c(argv[3]), UINT64_MAX, &s->max_bytes) ||
	    parse_u64(str_c(argv[4]), UINT64_MAX, &ret->memory_bytes))
		return err_set(e, -EINVAL, "these are not the words that a runner says");
	return 0;
}

static int password_read(char ret[static NAMESPACE_PASSWORD_MAX + 1], struct err *e)
{
	ssize_t n = read(0, ret, NAMESPACE_PASSWORD_MAX);

	return n < 0 ? err_set(e, -errno, "read the password: %m") : 0;
}

/* Its limits follow from what it was given: half of the memory is for the table of keys. */
static int store_prepare(struct shared *shared, const struct words *w, struct err *e)
{
	const uint64_t share = w->settings.max_bytes / FILES;
	const struct store_options o = { .data = ROOM "/data",
					 .index = ROOM "/index",
					 .mode = w->settings.mode,
					 .file_bytes = share < FILE_MIN_BYTES   ? FILE_MIN_BYTES
						       : share > FILE_MAX_BYTES ? FILE_MAX_BYTES
										: share };
	int r = store_open(&shared->store, &o, e);

	if (r)
		return r;
	shared->home = store_find(&shared->store, w->name);
	if (!shared->home && (r = store_add(&shared->store, w->name, &shared->home, e)))
		return r;
	shared->home->space.max_keys = w->memory_bytes / 2 / KEY_BYTES;
	return store_set(&shared->store, shared->home, &w->settings, e);
}

static int shut_in(struct err *e)
{
	static const struct sandbox s = { .paths = { { ROOM, SANDBOX_READ | SANDBOX_WRITE } },
					  .calls = SANDBOX_CALLS_FILES | SANDBOX_CALLS_NET,
					  .files_max = NOFILE };

	return sandbox_enter(&s, e);
}

static int serve(struct shared *shared, const struct words *w, int stop, struct err *e)
{
	const struct server_options o = { .listeners = { FD_LISTENER, FD_JOINED },
					  .n_listeners = w->is_joined ? 2 : 1,
					  .in_total_bytes = w->memory_bytes / 4,
					  .out_total_bytes = w->memory_bytes / 8,
					  .sync = SERVER_SYNC_ALWAYS };
	struct server *server = NULL;
	int r;

	if ((r = store_prepare(shared, w, e)) || (r = server_new(shared, &o, &server, e)))
		return r;
	if (write(FD_READY, "1", 1) != 1)
		r = err_set(e, -errno, "tell the runner: %m");
	close(FD_READY);
	if (!r)
		r = server_run(server, stop, e);
	server_free(server);
	return r;
}

static int stop_fd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(int argc, char **argv)
{
	struct words w = { 0 };
	struct shared shared = { .store = STORE_NONE, .is_protected = true, .instance = (uint32_t)random_u64(), .started_s = time(NULL) };
	char nobody_knows[33];
	AUTO_BUF struct buf hex = { 0 };
	uint8_t bytes[16];
	struct err e = { 0 };
	int stop = stop_fd(), r;

	if (argc != 7)
		return 2;
	log_init("zdb", false);
	random_bytes(bytes, sizeof(bytes));
	format_hex(&hex, bytes, sizeof(bytes));
	BUG_ON(buf_check(&hex));
	snprintf(nobody_knows, sizeof(nobody_knows), "%s", hex.p);
	shared.admin = nobody_knows;
	if (!(r = words_parse(argv, &w, &e)) && !(r = password_read(w.settings.password, &e)) && !(r = shut_in(&e)))
		r = serve(&shared, &w, stop, &e);
	store_close(&shared.store);
	if (r)
		log_err("%s", e.msg);
	return r != 0;
}
