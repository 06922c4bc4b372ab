/* Images on a node: pushed without a registry, listed, pruned. */
#include "cli/command.h"

#include "base/parse.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

enum { CHUNK = 65536, LINE_MAX_BYTES = 1024 };

struct push {
	const struct cli *cli;
	const char *file;
	int fd;               /* the archive */
	int pipe;             /* our end of the stream */
	sd_event_source *io;
	uint64_t sent, total;
	struct buf heard;     /* lines from the node, the last of them not whole */
	char digest[72];
	char chunk[CHUNK];
	size_t at, n;         /* of the chunk: what is not sent yet */
	bool is_over;
	int r;
	struct err *e;
};

static void push_end(struct push *p, int r)
{
	p->r = r;
	p->is_over = true;
	p->io = sd_event_source_disable_unref(p->io);
}

/* "progress WHAT DONE TOTAL", "done DIGEST", "failed ERRNO SENTENCE": as the node's puller says it. */
static void line_take(struct push *p, struct str line)
{
	struct str word, number, rest = line;
	uint64_t code;

	str_next(&rest, ' ', &word);
	if (str_eq(word, S("done")) && rest.n < sizeof(p->digest)) {
		snprintf(p->digest, sizeof(p->digest), STR_FMT, STR_ARG(rest));
		push_end(p, 0);
	} else if (str_eq(word, S("failed")) && str_next(&rest, ' ', &number) && !parse_u64(number, 4095, &code) && code) {
		push_end(p, err_set(p->e, -(int)code, STR_FMT, STR_ARG(rest)));
	} else if (str_starts(rest, S("converting"))) {
		out_progress(p->cli, "converting", 0, 0);
	}
}

static void lines_take(struct push *p)
{
	struct str rest = buf_str(&p->heard), line;

	while (!p->is_over && rest.n && memchr(rest.p, '\n', rest.n) && str_next(&rest, '\n', &line))
		line_take(p, line);
	buf_drop(&p->heard, p->heard.len - rest.n);
}

static void hear(struct push *p)
{
	char text[LINE_MAX_BYTES];
	ssize_t n = recv(p->pipe, text, sizeof(text), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		buf_add_bytes(&p->heard, text, (size_t)n);
	lines_take(p);
	if (n <= 0 && !p->is_over)
		push_end(p, err_set(p->e, -EIO, "the push broke off after %llu bytes: try again", (unsigned long long)p->sent));
	else if (buf_check(&p->heard) && !p->is_over)
		push_end(p, err_set(p->e, -EBADMSG, "the node says something that cannot be read"));
}

/* Reads more of the file when all of the chunk is sent; at its end says so. */
static void chunk_next(struct push *p)
{
	ssize_t n = read(p->fd, p->chunk, CHUNK);

	p->at = 0;
	p->n = n > 0 ? (size_t)n : 0;
	if (n < 0)
		push_end(p, err_set(p->e, -errno, "read %s: %m", p->file));
	if (n)
		return;
	shutdown(p->pipe, SHUT_WR);
	sd_event_source_set_io_events(p->io, EPOLLIN);
	out_progress(p->cli, "waiting for the node", 0, 0);
}

static void speak(struct push *p)
{
	ssize_t n;

	if (p->at == p->n)
		chunk_next(p);
	if (p->is_over || p->at == p->n)
		return;
	n = send(p->pipe, p->chunk + p->at, p->n - p->at, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		sd_event_source_set_io_events(p->io, EPOLLIN); /* why it takes no more is still to be heard */
	if (n <= 0)
		return;
	p->at += (size_t)n;
	p->sent += (uint64_t)n;
	out_progress(p->cli, p->file, p->sent, p->total);
}

static int on_stream(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	struct push *p = userdata;

	(void)s;
	(void)fd;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		hear(p);
	if (!p->is_over && (events & EPOLLOUT))
		speak(p);
	return 0;
}

static void push_deinit(struct push *p)
{
	sd_event_source_disable_unref(p->io);
	fd_close(&p->fd);
	fd_close(&p->pipe);
	buf_deinit(&p->heard);
}

struct push_args {
	const char *name;
};
static const struct opt push_opts[] = {
	OPT(struct push_args, name, "name", "NAME", "what to call it (default: from the file's name)"),
};

/* "images/web-app.tar" is web-app. */
static void name_of_file(const char *file, char ret[static 128])
{
	const char *base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
	size_t n = strcspn(base, ".");

	for (size_t i = 0; i < (n < 127 ? n : 127); i++) {
		char c = base[i] >= 'A' && base[i] <= 'Z' ? (char)(base[i] + 32) : base[i];
		bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		ret[i] = fine ? c : '-';
		ret[i + 1] = '\0';
	}
	if (!n)
		snprintf(ret, 128, "image");
}

static int file_open(struct push *p, struct err *e)
{
	struct stat st;

	p->fd = open(p->file, O_RDONLY | O_CLOEXEC);
	if (p->fd < 0 || fstat(p->fd, &st))
		return err_set(e, -errno, "open %s: %m", p->file);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "%s is no file: make one with 'skopeo copy docker://IMAGE oci-archive:FILE'", p->file);
	p->total = (uint64_t)st.st_size;
	return 0;
}

/* Sends the file through a stream of the session, and waits for the node's word. */
static int push_run(struct push *p, struct client *client, struct link *l, const char *name, struct err *e)
{
	AUTO_JSON sd_json_variant *arguments = NULL;
	int fds[2], r;

	if (sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_STRING("name", name)) < 0)
		return err_set(e, -ENOMEM, "ask the node: out of memory");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return err_set(e, -errno, "make a stream: %m");
	p->pipe = fds[0];
	if ((r = link_stream(l, "zos.Image.Push", arguments, fds[1], e)))
		return r;
	if ((r = sd_event_add_io(client->event, &p->io, p->pipe, EPOLLIN | EPOLLOUT, on_stream, p)) < 0)
		return err_set(e, r, "send %s: %s", p->file, strerror(-r));
	r = client_wait(client, &p->is_over, 0);
	out_progress_end(p->cli);
	return r ? err_set(e, r, "send %s: %s", p->file, strerror(-r)) : p->r;
}

static int image_push(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct push_args *a = args;
	AUTO_CLIENT struct client client = CLIENT_NONE;
	AUTO_LINK struct link link = { 0 };
	AUTO_JSON sd_json_variant *v = NULL;
	AUTO_FREE struct push *p = calloc(1, sizeof(*p));
	const struct record *node;
	char name[128], reference[256];
	int r;

	BUG_ON(!p);
	*p = (struct push){ .cli = c, .file = words[0], .fd = -1, .pipe = -1, .heard = { .limit = 64 * LINE_MAX_BYTES }, .e = e };
	name_of_file(words[0], name);
	if (!(r = file_open(p, e)) && !(r = client_open(&client, KEY_USER, e)) && !(r = client_node(&client, words[1], false, &node, e)) &&
	    !(r = link_open(&client, node, &link, e)))
		r = push_run(p, &client, &link, a->name ? a->name : name, e);
	push_deinit(p);
	if (r)
		return r;
	snprintf(reference, sizeof(reference), "local/%s@%s", a->name ? a->name : name, p->digest);
	if (!c->json)
		return printf("%s\n", reference) < 0 ? err_set(e, -errno, "print: %m") : 0;
	r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("reference", reference), SD_JSON_BUILD_PAIR_STRING("digest", p->digest));
	return r < 0 ? err_set(e, r, "print: %s", strerror(-r)) : out_json(v, e);
}

struct farm_args {
	bool farm;
};
static const struct opt farm_opts[] = {
	OPT(struct farm_args, farm, "farm", NULL, "with the farm's key: everybody's"),
};

static int image_call(const struct farm_args *a, const char *which, const char *method, sd_json_variant **ret, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	AUTO_LINK struct link link = { 0 };
	const struct record *node;
	int r;

	if ((r = client_open(&client, a->farm ? KEY_FARM : KEY_USER, e)) || (r = client_node(&client, which, false, &node, e)) ||
	    (r = link_open(&client, node, &link, e)))
		return r;
	return link_call(&link, method, NULL, ret, e);
}

static void users_put(sd_json_variant *users, char *ret, size_t size)
{
	size_t n = 0;

	snprintf(ret, size, "-");
	for (size_t i = 0; sd_json_variant_is_array(users) && i < sd_json_variant_elements(users) && n + 1 < size; i++)
		n += (size_t)snprintf(ret + n, size - n, "%s%s", i ? ", " : "", sd_json_variant_string(sd_json_variant_by_index(users, i)));
}

/* The reference comes last: it is what is cut on a narrow terminal. */
static void list_print(sd_json_variant *list)
{
	enum { COLUMNS = 5 };
	struct out_column columns[COLUMNS] = { { "DIGEST", 0 }, { "SIZE", 0 }, { "USED AGO", 0 }, { "IN USE BY", 0 }, { "IMAGE", 0 } };
	size_t n = sd_json_variant_is_array(list) ? sd_json_variant_elements(list) : 0;
	AUTO_FREE const char **cells = calloc(COLUMNS * (n + 1), sizeof(*cells));
	AUTO_FREE struct {
		char digest[16], size[16], used[16], users[200];
	} *texts = calloc(n + 1, sizeof(*texts));
	uint64_t now = (uint64_t)time(NULL);

	BUG_ON(!cells || !texts);
	for (size_t i = 0; i < n; i++) {
		sd_json_variant *one = sd_json_variant_by_index(list, i);
		const char *digest = out_text(one, "digest", "?");
		uint64_t used = out_u64(one, "used");

		snprintf(texts[i].digest, sizeof(texts[i].digest), "%.12s", strchr(digest, ':') ? strchr(digest, ':') + 1 : digest);
		format_size(texts[i].size, out_u64(one, "size"));
		format_duration(texts[i].used, now > used ? now - used : 0);
		users_put(sd_json_variant_by_key(one, "used_by"), texts[i].users, sizeof(texts[i].users));
		const char *const row[COLUMNS] = { texts[i].digest, texts[i].size, texts[i].used, texts[i].users, out_text(one, "reference", "?") };
		memcpy(&cells[COLUMNS * i], row, sizeof(row));
	}
	out_table(columns, COLUMNS, cells, n);
}

static int image_list(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	int r = image_call(args, words[0], "zos.Image.List", &v, e);

	if (r || c->json)
		return r ? r : out_json(v, e);
	list_print(sd_json_variant_by_key(v, "images"));
	return 0;
}

static int image_prune(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	char size[16];
	int r = image_call(args, words[0], "zos.Image.Prune", &v, e);

	if (r || c->json)
		return r ? r : out_json(v, e);
	format_size(size, out_u64(v, "bytes"));
	printf("%llu images went, %s are free again; what is in use stays\n", (unsigned long long)out_u64(v, "images"), size);
	return 0;
}

#define FARM_OPTS .opts = farm_opts, .n_opts = ARRAY_LEN(farm_opts), .args_size = sizeof(struct farm_args)
const struct command image_commands[] = {
	{ .name = "image push",
	  .words = "FILE [N...]",
	  .help = "bring an image (an OCI archive) to a node, without a registry",
	  .opts = push_opts,
	  .n_opts = ARRAY_LEN(push_opts),
	  .args_size = sizeof(struct push_args),
	  .min_words = 1,
	  .max_words = 2,
	  .run = image_push },
	{ .name = "image list",
	  .words = "[N...]",
	  .help = "your images in a node's cache, and what needs them",
	  FARM_OPTS,
	  .max_words = 1,
	  .run = image_list },
	{ .name = "image prune",
	  .words = "[N...]",
	  .help = "remove those of your images that nothing needs",
	  FARM_OPTS,
	  .max_words = 1,
	  .run = image_prune },
};
const size_t n_image_commands = ARRAY_LEN(image_commands);
