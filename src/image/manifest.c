#include "image/manifest.h"

#include <inttypes.h>
#include <stdio.h>

#define WANT_OS "linux"
#define WANT_ARCHITECTURE "amd64"

static const struct {
	const char *name;
	enum media media;
} medias[] = {
	{ "application/vnd.oci.image.index.v1+json", MEDIA_INDEX },
	{ "application/vnd.docker.distribution.manifest.list.v2+json", MEDIA_INDEX },
	{ "application/vnd.oci.image.manifest.v1+json", MEDIA_MANIFEST },
	{ "application/vnd.docker.distribution.manifest.v2+json", MEDIA_MANIFEST },
	{ "application/vnd.oci.image.config.v1+json", MEDIA_CONFIG },
	{ "application/vnd.docker.container.image.v1+json", MEDIA_CONFIG },
	{ "application/vnd.oci.image.layer.v1.tar", MEDIA_TAR },
	{ "application/vnd.oci.image.layer.v1.tar+gzip", MEDIA_TAR_GZIP },
	{ "application/vnd.oci.image.layer.v1.tar+zstd", MEDIA_TAR_ZSTD },
	{ "application/vnd.docker.image.rootfs.diff.tar", MEDIA_TAR },
	{ "application/vnd.docker.image.rootfs.diff.tar.gzip", MEDIA_TAR_GZIP },
	{ "application/vnd.docker.image.rootfs.diff.tar.zstd", MEDIA_TAR_ZSTD },
};

static enum media media_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(medias); i++)
		if (!strcmp(medias[i].name, name))
			return medias[i].media;
	return MEDIA_UNKNOWN;
}

static const char *type_name(sd_json_variant_type_t type)
{
	return type == SD_JSON_VARIANT_STRING   ? "a string"
	       : type == SD_JSON_VARIANT_ARRAY  ? "a list"
	       : type == SD_JSON_VARIANT_OBJECT ? "an object"
						: "a whole number that is not negative";
}

/* The field NAME of V: NULL in *ret when it is absent or null. A field that stands twice means two things to two readers. */
static int field_get(sd_json_variant *v, const char *name, sd_json_variant_type_t type, sd_json_variant **ret, struct err *e)
{
	size_t n = sd_json_variant_is_object(v) ? sd_json_variant_elements(v) : 0;
	sd_json_variant *found = NULL;

	if (!sd_json_variant_is_object(v))
		return err_set(e, -EBADMSG, "'%s' should stand in an object, and there is none", name);
	for (size_t i = 0; i < n; i += 2) {
		if (strcmp(sd_json_variant_string(sd_json_variant_by_index(v, i)), name))
			continue;
		if (found)
			return err_set(e, -EBADMSG, "'%s' stands twice", name);
		found = sd_json_variant_by_index(v, i + 1);
	}
	if (found && sd_json_variant_is_null(found))
		found = NULL;
	if (found && !sd_json_variant_has_type(found, type))
		return err_set(e, -EBADMSG, "'%s' is of the wrong kind: it must be %s", name, type_name(type));
	*ret = found;
	return 0;
}

static int field_need(sd_json_variant *v, const char *name, sd_json_variant_type_t type, sd_json_variant **ret, struct err *e)
{
	int r = field_get(v, name, type, ret, e);

	return r || *ret ? r : err_set(e, -EBADMSG, "'%s' is missing", name);
}

static int text_get(sd_json_variant *v, const char *name, const char **ret, struct err *e)
{
	sd_json_variant *text;
	int r = field_get(v, name, SD_JSON_VARIANT_STRING, &text, e);

	if (!r)
		*ret = text ? sd_json_variant_string(text) : "";
	return r;
}

static int descriptor_decode(sd_json_variant *v, struct descriptor *ret, struct err *e)
{
	sd_json_variant *size;
	const char *digest, *media;
	int r;

	if ((r = text_get(v, "digest", &digest, e)) || (r = text_get(v, "mediaType", &media, e)) ||
	    (r = field_need(v, "size", SD_JSON_VARIANT_UNSIGNED, &size, e)))
		return r;
	if (!digest_ok(str_c(digest)))
		return err_set(e, -EBADMSG, "the digest '%.80s' is not sha256: and 64 hex digits", digest);
	if (sd_json_variant_type(size) == SD_JSON_VARIANT_REAL || sd_json_variant_unsigned(size) > LAYER_BYTES_MAX)
		return err_set(e, -EBADMSG, "%.30s...: a size that is no whole number of at most %llu bytes", digest, LAYER_BYTES_MAX);
	*ret = (struct descriptor){ .size_bytes = sd_json_variant_unsigned(size), .media = media_find(media) };
	memcpy(ret->digest, digest, DIGEST_LEN + 1);
	return 0;
}

/* Parses a document of the second schema. Returns owned. */
static int document_parse(struct str text, sd_json_variant **ret, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	sd_json_variant *version, *old;
	int r;

	if (text.n > MANIFEST_BYTES_MAX)
		return err_set(e, -EBADMSG, "has %zu bytes: at most %d are taken", text.n, MANIFEST_BYTES_MAX);
	if ((r = json_parse(text, &v, e)) || (r = field_get(v, "signatures", SD_JSON_VARIANT_ARRAY, &old, e)) ||
	    (r = field_need(v, "schemaVersion", SD_JSON_VARIANT_UNSIGNED, &version, e)))
		return r;
	if (old || sd_json_variant_unsigned(version) != 2)
		return err_set(e, -EBADMSG, "is of Docker's schema 1, which is not taken: push the image again with a newer tool");
	*ret = take_ptr(v);
	return 0;
}

/* "linux/arm64, " of one entry, onto LIST while it has room. */
static void platform_note(char *list, size_t size, const char *os, const char *architecture)
{
	size_t n = strlen(list);

	if (n + 1 < size)
		snprintf(list + n, size - n, "%s%.16s/%.16s", n ? ", " : "", os, architecture);
}

/* Is one entry of an index for this machine? */
static int entry_fits(sd_json_variant *entry, char *list, size_t list_size, bool *ret, struct err *e)
{
	sd_json_variant *platform;
	const char *os = "", *architecture = "", *variant = "";
	int r = field_get(entry, "platform", SD_JSON_VARIANT_OBJECT, &platform, e);

	if (r || !platform) {
		*ret = false;
		return r;
	}
	if ((r = text_get(platform, "os", &os, e)) || (r = text_get(platform, "architecture", &architecture, e)) ||
	    (r = text_get(platform, "variant", &variant, e)))
		return r;
	*ret = !strcmp(os, WANT_OS) && !strcmp(architecture, WANT_ARCHITECTURE) && (!variant[0] || !strcmp(variant, "v1"));
	if (!*ret)
		platform_note(list, list_size, os, architecture);
	return 0;
}

static int index_choose(sd_json_variant *entries, struct descriptor *ret, struct err *e)
{
	char list[200] = "";
	size_t n = sd_json_variant_elements(entries);

	if (n > MANIFEST_PLATFORMS_MAX)
		return err_set(e, -EBADMSG, "lists %zu platforms: at most %d are taken", n, MANIFEST_PLATFORMS_MAX);
	for (size_t i = 0; i < n; i++) {
		sd_json_variant *entry = sd_json_variant_by_index(entries, i);
		struct descriptor d;
		bool fits = false;
		int r = entry_fits(entry, list, sizeof(list), &fits, e);

		fits |= n == 1 && !sd_json_variant_by_key(entry, "platform"); /* as tools write the index of a layout */
		if (!r && !fits)
			continue;
		if (r || (r = descriptor_decode(entry, &d, e)))
			return r;
		if (d.media != MEDIA_MANIFEST && d.media != MEDIA_INDEX)
			return err_set(e, -EBADMSG, "names something for " WANT_OS "/" WANT_ARCHITECTURE " that is no image manifest");
		*ret = d;
		return MANIFEST_IS_INDEX;
	}
	return err_set(e, -ENOENT, "has nothing for " WANT_OS "/" WANT_ARCHITECTURE "; it has: %s", list[0] ? list : "no platform");
}

int manifest_choose(struct str text, struct descriptor *ret, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	sd_json_variant *entries, *layers;
	int r;

	if ((r = document_parse(text, &v, e)) || (r = field_get(v, "manifests", SD_JSON_VARIANT_ARRAY, &entries, e)) ||
	    (r = field_get(v, "layers", SD_JSON_VARIANT_ARRAY, &layers, e)))
		return r;
	if (!entries == !layers)
		return err_set(e, -EBADMSG, "must have either 'manifests' or 'layers'");
	return entries ? index_choose(entries, ret, e) : 0;
}

static int layers_decode(sd_json_variant *list, struct manifest *m, struct err *e)
{
	uint64_t total = 0;
	size_t n = sd_json_variant_elements(list);

	if (!n || n > MANIFEST_LAYERS_MAX)
		return err_set(e, -EBADMSG, "has %zu layers: 1 to %d are taken", n, MANIFEST_LAYERS_MAX);
	for (size_t i = 0; i < n; i++) {
		struct descriptor *d = &m->layers[i];
		int r = descriptor_decode(sd_json_variant_by_index(list, i), d, e);

		if (r)
			return err_wrap(e, r, "layer %zu", i);
		if (d->media != MEDIA_TAR && d->media != MEDIA_TAR_GZIP && d->media != MEDIA_TAR_ZSTD)
			return err_set(e, -EBADMSG, "layer %zu is of a kind that is not taken: it must be a tar archive, plain, gzip or zstd", i);
		total += d->size_bytes;
	}
	m->n_layers = n;
	return total > IMAGE_BYTES_MAX ? err_set(e, -EBADMSG, "has %" PRIu64 " bytes: at most %llu are taken", total, IMAGE_BYTES_MAX) : 0;
}

int manifest_decode(struct str text, struct manifest *ret, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	sd_json_variant *config, *layers;
	struct manifest m = { 0 };
	int r;

	if ((r = document_parse(text, &v, e)) || (r = field_need(v, "config", SD_JSON_VARIANT_OBJECT, &config, e)) ||
	    (r = field_need(v, "layers", SD_JSON_VARIANT_ARRAY, &layers, e)) || (r = descriptor_decode(config, &m.config, e)) ||
	    (r = layers_decode(layers, &m, e)))
		return r;
	if (m.config.media != MEDIA_CONFIG)
		return err_set(e, -EBADMSG, "is not the manifest of a container image: its configuration is of another kind");
	if (m.config.size_bytes > MANIFEST_BYTES_MAX)
		return err_set(e, -EBADMSG, "names a configuration of %" PRIu64 " bytes: at most %d are taken", m.config.size_bytes,
			       MANIFEST_BYTES_MAX);
	*ret = m;
	return 0;
}

static int diff_ids_decode(sd_json_variant *v, struct image_config *c, struct err *e)
{
	sd_json_variant *rootfs, *ids;
	int r;

	if ((r = field_need(v, "rootfs", SD_JSON_VARIANT_OBJECT, &rootfs, e)) || (r = field_need(rootfs, "diff_ids", SD_JSON_VARIANT_ARRAY, &ids, e)))
		return r;
	c->n_diff_ids = sd_json_variant_elements(ids);
	if (!c->n_diff_ids || c->n_diff_ids > MANIFEST_LAYERS_MAX)
		return err_set(e, -EBADMSG, "names %zu layers: 1 to %d are taken", c->n_diff_ids, MANIFEST_LAYERS_MAX);
	for (size_t i = 0; i < c->n_diff_ids; i++) {
		sd_json_variant *one = sd_json_variant_by_index(ids, i);

		if (!sd_json_variant_is_string(one) || !digest_ok(str_c(sd_json_variant_string(one))))
			return err_set(e, -EBADMSG, "the digest of layer %zu is not sha256: and 64 hex digits", i);
		memcpy(c->diff_ids[i], sd_json_variant_string(one), DIGEST_LEN + 1);
	}
	return 0;
}

static int platform_check(sd_json_variant *v, struct err *e)
{
	const char *os, *architecture;
	int r;

	if ((r = text_get(v, "os", &os, e)) || (r = text_get(v, "architecture", &architecture, e)))
		return r;
	if (strcmp(os, WANT_OS) || strcmp(architecture, WANT_ARCHITECTURE))
		return err_set(e, -ENOENT, "the image is for %.16s/%.16s; this node runs " WANT_OS "/" WANT_ARCHITECTURE, os, architecture);
	return 0;
}

/* What of the configuration a machine is told; the rest is labels and history. */
static const struct json_field run_fields[] = {
	{ "Env", JSON_TEXTS, 0 },       { "Entrypoint", JSON_TEXTS, 0 }, { "Cmd", JSON_TEXTS, 0 },
	{ "WorkingDir", JSON_TEXT, 0 }, { "User", JSON_TEXT, 0 },        { "StopSignal", JSON_TEXT, 0 },
};

/* Copies field F of V into *RUN when it is there, strictly by its kind. */
static int run_field(sd_json_variant *v, const struct json_field *f, sd_json_variant **run, struct err *e)
{
	const struct json_table table = { f, 1, 0, NULL };
	AUTO_JSON sd_json_variant *alone = NULL;
	sd_json_variant *one;
	union {
		const char *text;
		sd_json_variant *texts;
	} unused;
	int r = field_get(v, f->name, f->kind == JSON_TEXTS ? SD_JSON_VARIANT_ARRAY : SD_JSON_VARIANT_STRING, &one, e);

	if (r || !one)
		return r;
	if ((r = sd_json_variant_set_field(&alone, f->name, one)) < 0)
		return err_set(e, r, "copy %s: %s", f->name, strerror(-r));
	if ((r = json_decode(alone, &table, &unused, e)))
		return r;
	r = sd_json_variant_set_field(run, f->name, one);
	return r < 0 ? err_set(e, r, "copy %s: %s", f->name, strerror(-r)) : 0;
}

static int run_decode(sd_json_variant *v, sd_json_variant **ret, struct err *e)
{
	AUTO_JSON sd_json_variant *run = NULL;
	sd_json_variant *config;
	int r = field_get(v, "config", SD_JSON_VARIANT_OBJECT, &config, e);

	if (!r && sd_json_variant_new_object(&run, NULL, 0) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < ARRAY_LEN(run_fields) && config && !r; i++)
		r = run_field(config, &run_fields[i], &run, e);
	if (!r)
		*ret = take_ptr(run);
	return r;
}

int image_config_decode(struct str text, struct image_config *ret, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	struct image_config c = { 0 };
	int r;

	if (text.n > MANIFEST_BYTES_MAX)
		return err_set(e, -EBADMSG, "has %zu bytes: at most %d are taken", text.n, MANIFEST_BYTES_MAX);
	if ((r = json_parse(text, &v, e)) || (r = platform_check(v, e)) || (r = diff_ids_decode(v, &c, e)) || (r = run_decode(v, &c.run, e)))
		return r;
	*ret = c;
	return 0;
}

void image_config_deinit(struct image_config *c)
{
	json_unrefp(&c->run);
}
