/* zdb -- the key-value store, alone or as a node's: redis protocol, append-only files (doc/zdb.md). */
#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "zdb/alone.h"
#include "zdb/tool.h"

struct args {
	const char *data, *index, *mode, *listen, *port, *socket, *admin, *sync, *hook, *logfile;
	uint64_t file_bytes, max_bytes;
	uint32_t interval_s, instance, rotate_s;
	bool dual, is_protected, verbose, help, dump, background, secure;
};

static const struct opt opts[] = {
	OPT(struct args, data, "data", "DIR", "where values are kept (./zdb-data)"),
	OPT(struct args, index, "index", "DIR", "where settings and checkpoints are kept (./zdb-index)"),
	OPT(struct args, mode, "mode", "user|seq", "of new namespaces: keys are chosen, or counted (user)"),
	OPT_SIZE(struct args, file_bytes, "datasize", "a data file has at most so many bytes (256MiB)"),
	OPT(struct args, listen, "listen", "ADDRESS", "(127.0.0.1)"),
	OPT(struct args, port, "port", "N", "(9900)"),
	OPT(struct args, socket, "socket", "PATH", "listen on a Unix socket instead of TCP"),
	OPT(struct args, dual, "dualnet", NULL, "listen on both"),
	OPT(struct args, admin, "admin", "PASSWORD", "only who gives it makes and changes namespaces"),
	OPT_SIZE(struct args, max_bytes, "maxsize", "the default namespace holds at most so many bytes of values"),
	OPT(struct args, is_protected, "protect", NULL, "the default namespace is read-only but for admins"),
	OPT(struct args, sync, "sync", "always|interval|none",
	    "when what is answered is on the disk: before the answer (always), every --synctime seconds, or some time"),
	OPT(struct args, interval_s, "synctime", "SECONDS", "with --sync interval (1)"),
	OPT(struct args, instance, "id", "N", "what INFO says as instance_id (random)"),
	OPT(struct args, hook, "hook", "PROGRAM", "is run when something happens (doc/zdb.md)"),
	OPT(struct args, background, "background", NULL, "ends when clients are served, by a process whose number it prints"),
	OPT(struct args, logfile, "logfile", "FILE", "what is said goes there, behind what is in it"),
	OPT(struct args, rotate_s, "rotate", "SECONDS", "a data file is written for so long at most"),
	OPT(struct args, dump, "dump", NULL, "list the keys of all namespaces, and end"),
	OPT(struct args, secure, "secure", NULL, "a data file is on the disk before the next one begins: it always is"),
	OPT(struct args, verbose, "verbose", NULL, "say more"),
	OPT(struct args, help, "help", NULL, "this list"),
};

static const char *const sync_names[] = { [SERVER_SYNC_ALWAYS] = "always", [SERVER_SYNC_INTERVAL] = "interval", [SERVER_SYNC_NONE] = "none" };

/* The original's --sync has no value: one that none of ours follows is "always". */
static void sync_complete(char **argv)
{
	static char always[] = "--sync=always";

	for (char **a = argv; *a; a++) {
		bool has = false;

		if (strcmp(*a, "--sync"))
			continue;
		for (size_t i = 0; a[1] && i < ARRAY_LEN(sync_names); i++)
			has |= !strcmp(a[1], sync_names[i]);
		if (!has)
			*a = always;
	}
}

static int choose(const char *option, const char *word, const char *const *names, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(word, names[i]))
			return (int)i;
	return err_set(e, -EINVAL, "--%s: '%s' is none of those that --help lists", option, word);
}

static int prepare(const struct args *a, struct alone *ret, struct err *e)
{
	static const char *const modes[] = { [SPACE_USER] = "user", [SPACE_SEQ] = "seq" };
	int mode = choose("mode", a->mode, modes, ARRAY_LEN(modes), e), sync = choose("sync", a->sync, sync_names, ARRAY_LEN(sync_names), e);

	if (mode < 0 || sync < 0)
		return -EINVAL;
	if (a->file_bytes < STORE_FILE_MIN_BYTES || a->file_bytes > UINT32_MAX - RECORD_PAYLOAD_MAX)
		return err_set(e, -ERANGE, "--datasize is from 512KiB to 4088MiB");
	if (a->admin && strlen(a->admin) > ADMIN_PASSWORD_MAX)
		return err_set(e, -ERANGE, "--admin has at most %d characters", ADMIN_PASSWORD_MAX);
	if (a->is_protected && !a->admin)
		return err_set(e, -EINVAL, "--protect is for others than admins: it wants --admin");
	*ret = (struct alone){
		.admin = a->admin,
		.hook = a->hook,
		.logfile = a->logfile,
		.store = { .data = a->data, .index = a->index, .mode = (enum space_mode)mode, .file_bytes = a->file_bytes },
		.server = { .listen = a->socket && !a->dual ? NULL : a->listen,
			    .port = a->port,
			    .socket = a->socket,
			    .sync = (enum server_sync)sync,
			    .interval_s = a->interval_s,
			    .rotate_s = a->rotate_s,
			    .in_total_bytes = SERVER_IN_TOTAL_BYTES,
			    .out_total_bytes = SERVER_OUT_TOTAL_BYTES },
		.max_bytes = a->max_bytes,
		.instance = a->instance,
		.is_protected = a->is_protected,
		.in_background = a->background,
	};
	return 0;
}

static int handle(const struct tool *tool, const char *space, const struct store_options *o, struct err *e)
{
	struct store s = STORE_NONE;
	int r;

	if (tool->wants_space && !space)
		return err_set(e, -EINVAL, "%s wants the name of a namespace", tool->name);
	r = store_open(&s, o, e);
	r = r ? r : tool->run(&s, space, e);
	store_close(&s);
	return r;
}

static void help(void)
{
	printf("usage: zdb [OPTIONS]\n\nserves keys and values to clients of redis\n\n");
	opt_help(stdout, opts, ARRAY_LEN(opts));
	printf("\nwhile it does not run:\n\n");
	tool_help();
}

int main(int argc, char **argv)
{
	struct args a = { .data = "zdb-data",
			  .index = "zdb-index",
			  .mode = "user",
			  .listen = "127.0.0.1",
			  .port = "9900",
			  .sync = "always",
			  .file_bytes = STORE_FILE_DEFAULT_BYTES,
			  .interval_s = 1,
			  .instance = (uint32_t)random_u64() };
	struct opt_words words = { .words = (const char *[3]){ NULL }, .max = 3 };
	const struct tool *tool = NULL;
	struct alone alone;
	struct err e = { 0 };
	int r;

	(void)argc;
	sync_complete(argv);
	r = opt_parse(opts, ARRAY_LEN(opts), argv + 1, &a, &words, &e);
	log_init("zdb", a.verbose);
	if (a.help) {
		help();
		return 0;
	}
	if (r > 0 && !(tool = tool_find(words.words[0])))
		r = err_set(&e, -EINVAL, "'%s' is none of the commands that --help lists", words.words[0]);
	if (a.dump)
		tool = tool_find("dump");
	if (r >= 0 && !(r = prepare(&a, &alone, &e)))
		r = tool ? handle(tool, words.words[1], &alone.store, &e) : alone_serve(&alone, &e);
	if (r < 0)
		fprintf(stderr, "zdb: %s\n", e.msg);
	return r != 0;
}
