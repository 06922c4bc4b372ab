/* Images on a node: pushed without a registry, listed, pruned. */
#include "cli/upload.h"

#include "base/parse.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

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

/* A descriptor, owned. */
static int file_open(const char *file, uint64_t *ret_total, struct err *e)
{
	AUTO_FD int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return err_set(e, -errno, "open %s: %m", file);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "%s is no file: make one with 'skopeo copy docker://IMAGE oci-archive:FILE'", file);
	*ret_total = (uint64_t)st.st_size;
	return take_fd(fd);
}

static int image_push(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct push_args *a = args;
	AUTO_CLIENT struct client client = CLIENT_NONE;
	AUTO_LINK struct link link = { 0 };
	AUTO_JSON sd_json_variant *v = NULL, *arguments = NULL;
	struct upload up = { .method = "zos.Image.Push", .name = words[0] };
	const struct record *node;
	char of_file[128], digest[UPLOAD_WORD_MAX], reference[256];
	const char *name = a->name ?: of_file;
	int r;

	name_of_file(words[0], of_file);
	AUTO_FD int fd = up.fd = file_open(words[0], &up.total, e);
	if (fd < 0)
		return fd;
	if (sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_STRING("name", name)) < 0)
		return err_set(e, -ENOMEM, "ask the node: out of memory");
	up.arguments = arguments;
	if ((r = client_open(&client, KEY_USER, e)) || (r = client_node(&client, words[1], false, &node, e)) ||
	    (r = link_open(&client, node, &link, e)) || (r = upload_run(&up, c, &client, &link, digest, e)))
		return r;
	snprintf(reference, sizeof(reference), "local/%s@%s", name, digest);
	if (!c->json)
		return printf("%s\n", reference) < 0 ? err_set(e, -errno, "print: %m") : 0;
	r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("reference", reference), SD_JSON_BUILD_PAIR_STRING("digest", digest));
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
	static const struct out_column columns[COLUMNS] = { { "DIGEST" }, { "SIZE" }, { "USED AGO" }, { "IN USE BY" }, { "IMAGE" } };
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
