#include "image/pull.h"

#include "base/log.h"
#include "base/parse.h"
#include "image/archive.h"
#include "image/layer.h"
#include "image/registry.h"
#include "sys/sandbox.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

enum { TELL_EVERY_MS = 100, INDEX_LEVELS_MAX = 3 };

const char *const pull_whats[PULL_WHATS] = { "resolving", "pulling", "converting" };

struct pulling;
/* Where an image comes from. */
struct source {
	int (*open)(struct pulling *p, struct err *e);
	int (*manifest)(struct pulling *p, struct buf *ret, struct err *e); /* and its digest */
	int (*config)(struct pulling *p, struct buf *ret, struct err *e);
	int (*layer)(struct pulling *p, const struct descriptor *d, int *ret_fd, struct err *e); /* the file is PATH afterwards */
};

struct pulling {
	const struct pull_job *job;
	const struct source *source;
	struct buf index;             /* of an archive */
	char blob[ARCHIVE_PATH_MAX];  /* the packed layer in hand */
	int fd;
	struct registry registry;
	char password[SEAL_CLEAR_MAX + 1];
	struct manifest manifest;
	struct image_config config;
	char digest[DIGEST_LEN + 1];
	char dir[CACHE_PATH_MAX]; /* of the slot */
	char name[CACHE_REFERENCE_MAX + 1];
	enum pull_what what;
	uint64_t done[PULL_WHATS], total;
	uint64_t told_ms;
};

static void tell(int fd, const char *line)
{
	size_t n = strlen(line);

	if (write(fd, line, n) != (ssize_t)n)
		_exit(EXIT_FAILURE); /* nobody listens any more */
}

static void progress_tell(struct pulling *p)
{
	char line[PULL_LINE_MAX];

	snprintf(line, sizeof(line), "progress %s %" PRIu64 " %" PRIu64 "\n", pull_whats[p->what], p->done[p->what], p->total);
	tell(p->fd, line);
	p->told_ms = log_now_ms();
}

static void progress_begin(struct pulling *p, enum pull_what what)
{
	p->what = what;
	progress_tell(p);
}

static void on_bytes(void *ctx, uint64_t bytes)
{
	struct pulling *p = ctx;

	if (p->what == PULL_RESOLVING)
		return;
	p->done[p->what] += bytes;
	if (log_now_ms() - p->told_ms >= TELL_EVERY_MS)
		progress_tell(p);
}

static int password_read(struct pulling *p, struct err *e)
{
	ssize_t n = pread(p->job->password_fd, p->password, sizeof(p->password), 0);

	if (n < 0)
		return err_set(e, -errno, "read the secret for the registry: %m");
	if (n == sizeof(p->password))
		return err_set(e, -EFBIG, "the secret for the registry is too long");
	p->password[n] = '\0';
	return 0;
}

typedef int named_get(struct pulling *p, const struct descriptor *d, struct buf *ret, struct err *e);

/* Follows indexes, from TEXT on, until TEXT is a manifest. GET brings what a descriptor names. */
static int manifest_follow(struct pulling *p, struct buf *text, named_get *get, struct err *e)
{
	for (int level = 0; level < INDEX_LEVELS_MAX; level++) {
		AUTO_BUF struct buf next = { 0 };
		struct descriptor d;
		int r = manifest_choose(buf_str(text), &d, e);

		if (r != MANIFEST_IS_INDEX)
			return err_wrap(e, r, "the manifest");
		if ((r = get(p, &d, &next, e)))
			return r;
		buf_deinit(text);
		*text = take(next, (struct buf){ 0 });
	}
	return err_set(e, -EBADMSG, "the manifest: more than %d indexes name one another", INDEX_LEVELS_MAX);
}

static int registry_open(struct pulling *p, struct err *e)
{
	const struct registry_login login = { p->job->user[0] ? p->job->user : NULL, p->password };
	int r;

	if ((login.user && (r = password_read(p, e))) || (r = registry_init(&p->registry, &p->job->reference, &p->job->trust, &login, e)))
		return r;
	p->registry.progress = on_bytes;
	p->registry.ctx = p;
	return 0;
}

static int registry_named(struct pulling *p, const struct descriptor *d, struct buf *ret, struct err *e)
{
	return registry_manifest(&p->registry, d->digest, ret, p->digest, e);
}

static int registry_first(struct pulling *p, struct buf *ret, struct err *e)
{
	const struct pull_job *job = p->job;
	const char *name = job->digest[0] ? job->digest : job->reference.digest[0] ? job->reference.digest : job->reference.tag;
	int r = registry_manifest(&p->registry, name, ret, p->digest, e);

	return r ? r : manifest_follow(p, ret, registry_named, e);
}

static int registry_config(struct pulling *p, struct buf *ret, struct err *e)
{
	return registry_blob(&p->registry, &p->manifest.config, ret, e);
}

static int registry_layer(struct pulling *p, const struct descriptor *d, int *ret_fd, struct err *e)
{
	int r;

	snprintf(p->blob, sizeof(p->blob), "%s/blob", p->dir);
	AUTO_FD int fd = open(p->blob, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, -errno, "make %s: %m", p->blob);
	progress_begin(p, PULL_PULLING);
	if ((r = registry_blob_file(&p->registry, d, fd, e)))
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_set(e, -errno, "read %s: %m", p->blob);
	*ret_fd = take_fd(fd);
	return 0;
}

static const struct source from_registry = { registry_open, registry_first, registry_config, registry_layer };

static int archive_open(struct pulling *p, struct err *e)
{
	int r;

	p->index.limit = MANIFEST_BYTES_MAX + 1;
	progress_begin(p, PULL_PULLING);
	r = archive_read(p->job->archive_fd, p->dir, on_bytes, p, &p->index, e);
	return err_wrap(e, r, "the archive");
}

static int archive_named(struct pulling *p, const struct descriptor *d, struct buf *ret, struct err *e)
{
	memcpy(p->digest, d->digest, sizeof(p->digest));
	return archive_blob(p->dir, d, ret, e);
}

static int archive_first(struct pulling *p, struct buf *ret, struct err *e)
{
	buf_add(ret, buf_str(&p->index));
	if (buf_check(ret))
		return err_set(e, -ENOMEM, "read the index: out of memory");
	return manifest_follow(p, ret, archive_named, e);
}

static int archive_config(struct pulling *p, struct buf *ret, struct err *e)
{
	return archive_blob(p->dir, &p->manifest.config, ret, e);
}

static int archive_layer(struct pulling *p, const struct descriptor *d, int *ret_fd, struct err *e)
{
	struct stat st;

	archive_blob_path(p->dir, d->digest, p->blob);
	AUTO_FD int fd = open(p->blob, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || (uint64_t)st.st_size != d->size_bytes)
		return err_set(e, -EBADMSG, "the archive lacks the layer %s, or has it in another size", d->digest);
	*ret_fd = take_fd(fd);
	return 0;
}

static const struct source from_archive = { archive_open, archive_first, archive_config, archive_layer };

static int resolve(struct pulling *p, struct err *e)
{
	AUTO_BUF struct buf manifest = { 0 }, config = { 0 };
	int r;

	if ((r = p->source->manifest(p, &manifest, e)))
		return r;
	if ((r = manifest_decode(buf_str(&manifest), &p->manifest, e)))
		return err_wrap(e, r, "the manifest");
	if ((r = p->source->config(p, &config, e)))
		return r;
	if ((r = image_config_decode(buf_str(&config), &p->config, e)))
		return err_wrap(e, r, "the image's configuration");
	if (p->config.n_diff_ids != p->manifest.n_layers)
		return err_set(e, -EBADMSG, "the image has %zu layers in its manifest and %zu in its configuration", p->manifest.n_layers,
			       p->config.n_diff_ids);
	return 0;
}

static const char *hex_of(const struct pulling *p, size_t i)
{
	return p->config.diff_ids[i] + strlen("sha256:");
}

/* A layer that comes again higher up: putting it on once more covers all that it did below, and overlayfs takes a layer once. */
static bool comes_again(const struct pulling *p, size_t i)
{
	for (size_t k = i + 1; k < p->config.n_diff_ids; k++)
		if (!strcmp(p->config.diff_ids[i], p->config.diff_ids[k]))
			return true;
	return false;
}

static int layer_get(struct pulling *p, size_t i, struct err *e)
{
	const struct layer_work w = { .dir = p->dir, .mkfs = p->job->mkfs, .progress = on_bytes, .ctx = p };
	const struct descriptor *d = &p->manifest.layers[i];
	char out[CACHE_PATH_MAX + 8];
	AUTO_FD int fd = -1;
	int r;

	snprintf(out, sizeof(out), "%s/out", p->dir);
	if ((r = p->source->layer(p, d, &fd, e)))
		return r;
	progress_begin(p, PULL_CONVERTING);
	if ((r = layer_convert(&w, fd, d->media, p->config.diff_ids[i], out, e)))
		return err_wrap(e, r, "layer %zu", i);
	unlink(p->blob); /* its room may be needed for the next one */
	return cache_slot_add(p->dir, out, hex_of(p, i), e);
}

/* Whether the cache lacks layer I; one that it has is told, so that it stays. */
static bool is_needed(struct pulling *p, size_t i)
{
	char line[PULL_LINE_MAX];

	if (comes_again(p, i))
		return false;
	if (!cache_layer_is_there(p->job->cache, p->job->scope, hex_of(p, i)))
		return true;
	snprintf(line, sizeof(line), "uses %s\n", p->config.diff_ids[i]);
	tell(p->fd, line);
	return false;
}

static int layers_get(struct pulling *p, sd_json_variant **ret, struct err *e)
{
	bool needed[MANIFEST_LAYERS_MAX] = { 0 };
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; i < p->manifest.n_layers; i++) {
		needed[i] = is_needed(p, i);
		p->total += needed[i] ? p->manifest.layers[i].size_bytes : 0;
	}
	for (size_t i = 0; i < p->manifest.n_layers && r >= 0; i++) {
		if (needed[i] && (r = layer_get(p, i, e)))
			return r;
		if (!comes_again(p, i))
			r = sd_json_variant_append_arrayb(ret, SD_JSON_BUILD_STRING(hex_of(p, i)));
	}
	return r < 0 ? err_set(e, r, "note the layers: %s", strerror(-r)) : 0;
}

/* As people write it, for lists. */
static const char *reference_of(struct pulling *p)
{
	const struct reference *f = &p->job->reference;

	if (p->job->archive_fd >= 0 || f->digest[0])
		snprintf(p->name, sizeof(p->name), "%s/%s@%s", f->host, f->repository, f->digest[0] ? f->digest : p->digest);
	else
		snprintf(p->name, sizeof(p->name), "%s/%s:%s", f->host, f->repository, f->tag);
	return p->name;
}

static int pull(struct pulling *p, struct err *e)
{
	AUTO_JSON sd_json_variant *layers = NULL;
	int r;

	progress_begin(p, PULL_RESOLVING);
	if ((r = p->source->open(p, e)) || (r = resolve(p, e)) || (r = layers_get(p, &layers, e)))
		return r;
	return cache_slot_record(
		p->dir, &(struct cache_record){ .reference = reference_of(p), .owner = p->job->owner, .config = p->config.run, .layers = layers }, e);
}

/* A sentence is one line, whatever a registry put into it. */
static void line_clean(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = ' ';
}

int pull_confine(const struct pull_job *job, struct err *e)
{
	char dir[CACHE_PATH_MAX];

	cache_slot_path(job->cache, job->slot, dir);
	const struct sandbox s = {
		.paths = { { dir, SANDBOX_READ | SANDBOX_WRITE | SANDBOX_FLAT },
			   { job->mkfs, SANDBOX_READ | SANDBOX_EXEC },
			   { "/lib64/ld-linux-x86-64.so.2", SANDBOX_READ | SANDBOX_EXEC },
			   { "/usr/lib", SANDBOX_READ },
			   { "/etc", SANDBOX_READ },
			   { "/etc/resolv.conf", SANDBOX_READ }, /* a link to where the name servers are */
			   { "/dev/null", SANDBOX_READ | SANDBOX_WRITE } },
		.any_connect = true,
		.calls = SANDBOX_CALLS_FILES | SANDBOX_CALLS_NET | SANDBOX_CALLS_THREADS | SANDBOX_CALLS_SPAWN | SANDBOX_CALLS_NEST,
		.file_size_max = layer_room(dir),
	};

	return sandbox_enter(&s, e);
}

int pull_run(const struct pull_job *job, int fd)
{
	struct pulling p = { .job = job, .fd = fd, .source = job->archive_fd < 0 ? &from_registry : &from_archive };
	char line[PULL_LINE_MAX];
	struct err e = { 0 };
	int r;

	cache_slot_path(job->cache, job->slot, p.dir);
	r = pull_confine(job, &e);
	if (!r && curl_global_init(CURL_GLOBAL_DEFAULT))
		r = err_set(&e, -EIO, "set up HTTPS: libcurl does not start");
	if (!r)
		r = pull(&p, &e);
	line_clean(e.msg);
	if (r)
		snprintf(line, sizeof(line), "failed %d %s\n", -r, e.msg);
	else
		snprintf(line, sizeof(line), "done %s\n", p.digest);
	tell(fd, line);
	registry_deinit(&p.registry);
	explicit_bzero(p.password, sizeof(p.password));
	buf_deinit(&p.index);
	image_config_deinit(&p.config);
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int progress_decode(struct str rest, struct pull_line *ret)
{
	struct str what, done;

	if (!str_next(&rest, ' ', &what) || !str_next(&rest, ' ', &done) || !rest.p || parse_u64(done, UINT64_MAX, &ret->done) ||
	    parse_u64(rest, UINT64_MAX, &ret->total))
		return -EBADMSG;
	for (unsigned i = 0; i < PULL_WHATS; i++)
		if (str_eq(what, str_c(pull_whats[i]))) {
			ret->what = i;
			return 0;
		}
	return -EBADMSG;
}

int pull_line_decode(struct str line, struct pull_line *ret)
{
	struct pull_line it = { 0 };
	struct str rest = line, word, number;
	uint64_t code;
	int r = 0;

	if (!str_next(&rest, ' ', &word) || !rest.p)
		return -EBADMSG;
	if (str_eq(word, S("progress"))) {
		it.kind = PULL_PROGRESS;
		r = progress_decode(rest, &it);
	} else if ((str_eq(word, S("done")) || str_eq(word, S("uses"))) && digest_ok(rest)) {
		it.kind = word.p[0] == 'd' ? PULL_DONE : PULL_USES;
		memcpy(it.digest, rest.p, DIGEST_LEN);
	} else if (str_eq(word, S("failed")) && str_next(&rest, ' ', &number) && rest.p && !parse_u64(number, 4095, &code) && code) {
		it.kind = PULL_FAILED;
		err_set(&it.err, -(int)code, STR_FMT, STR_ARG(rest));
	} else {
		return -EBADMSG;
	}
	if (!r)
		*ret = it;
	return r;
}
