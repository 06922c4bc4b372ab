#include "image/manifest.h"

#include "test/t.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST "sha256:" HEX
#define OCI "application/vnd.oci.image."
#define CONFIG "\"config\":{\"mediaType\":\"" OCI "config.v1+json\",\"digest\":\"" DIGEST "\",\"size\":10}"
#define LAYER(media, size) "{\"mediaType\":\"" media "\",\"digest\":\"" DIGEST "\",\"size\":" size "}"
#define GZIP OCI "layer.v1.tar+gzip"
#define MANIFEST(config, layers) "{\"schemaVersion\":2," config ",\"layers\":[" layers "],\"annotations\":{\"x\":\"y\"}}"
#define ENTRY(os, arch, more)                                                                                                                      \
	"{\"mediaType\":\"" OCI "manifest.v1+json\",\"digest\":\"" DIGEST "\",\"size\":5,\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch \
	"\"" more "}}"
#define ANY "{\"mediaType\":\"" OCI "manifest.v1+json\",\"digest\":\"" DIGEST "\",\"size\":5}"
#define INDEX(entries) "{\"schemaVersion\":2,\"manifests\":[" entries "]}"

static void manifests(void)
{
	static const struct {
		const char *in, *words; /* NULL = taken */
	} rows[] = {
		{ MANIFEST(CONFIG, LAYER(GZIP, "7")), NULL },
		{ MANIFEST(CONFIG, LAYER(OCI "layer.v1.tar", "7") "," LAYER(OCI "layer.v1.tar+zstd", "0")), NULL },
		{ MANIFEST(CONFIG, LAYER("application/vnd.docker.image.rootfs.diff.tar.gzip", "7")), NULL },
		{ MANIFEST(CONFIG, LAYER("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "7")), "kind that is not taken" },
		{ MANIFEST(CONFIG, ""), "0 layers" },
		{ MANIFEST(CONFIG, LAYER(GZIP, "-1")), "size" },
		{ MANIFEST(CONFIG, LAYER(GZIP, "1.5")), "size" },
		{ MANIFEST(CONFIG, LAYER(GZIP, "99999999999999")), "size" },
		{ MANIFEST(CONFIG, LAYER(GZIP, "\"7\"")), "size" },
		{ MANIFEST(CONFIG, "[]"), "object" },
		{ MANIFEST("\"config\":{\"digest\":\"sha256:00\",\"size\":1}", LAYER(GZIP, "7")), "64 hex digits" },
		{ MANIFEST("\"config\":{\"digest\":\"" DIGEST "\",\"size\":1}", LAYER(GZIP, "7")), "not the manifest of a container image" },
		{ MANIFEST(CONFIG "," CONFIG, LAYER(GZIP, "7")), "twice" },
		{ "{\"schemaVersion\":1,\"signatures\":[]}", "schema 1" },
		{ "{\"schemaVersion\":2}", "missing" },
		{ "{}", "missing" },
		{ "[]", "object" },
		{ "null", "object" },
		{ "", "empty" },
		{ "{\"schemaVersion\":2", "JSON" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		static struct manifest m;
		struct err e = { 0 };
		int r = manifest_decode(str_c(rows[i].in), &m, &e);

		T_CHECK(rows[i].words ? r == -EBADMSG && strstr(e.msg, rows[i].words) : !r, "row %zu gave %d '%s'", i, r, e.msg);
	}
}

static void indexes(void)
{
	static const struct {
		const char *in;
		int r;
		const char *words;
	} rows[] = {
		{ INDEX(ENTRY("linux", "arm64", "") "," ENTRY("linux", "amd64", "")), MANIFEST_IS_INDEX, "" },
		{ INDEX(ENTRY("linux", "amd64", ",\"variant\":\"v3\"") "," ENTRY("linux", "arm64", "")), -ENOENT, "linux/amd64, linux/arm64" },
		{ INDEX(ENTRY("linux", "arm64", "") "," ENTRY("windows", "amd64", "")), -ENOENT, "linux/arm64, windows/amd64" },
		{ INDEX("{\"digest\":\"" DIGEST "\",\"size\":1}"), -EBADMSG, "no image manifest" },
		{ INDEX(ANY), MANIFEST_IS_INDEX, "" }, /* as tools write the index of a layout */
		{ INDEX(ANY "," ANY), -ENOENT, "no platform" },
		{ INDEX(""), -ENOENT, "no platform" },
		{ INDEX("{\"digest\":\"x\",\"size\":1,\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}}"), -EBADMSG, "digest" },
		{ "{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}", -EBADMSG, "either" },
		{ "{\"schemaVersion\":2}", -EBADMSG, "either" },
		{ MANIFEST(CONFIG, LAYER(GZIP, "7")), 0, "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct descriptor d = { 0 };
		struct err e = { 0 };
		int r = manifest_choose(str_c(rows[i].in), &d, &e);

		T_CHECK(r == rows[i].r && strstr(e.msg, rows[i].words), "row %zu gave %d '%s'", i, r, e.msg);
		T_CHECK(r != MANIFEST_IS_INDEX || !strcmp(d.digest, DIGEST), "row %zu chose %s", i, d.digest);
	}
}

#define IMAGE(run, ids) "{\"os\":\"linux\",\"architecture\":\"amd64\",\"config\":" run ",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[" ids "]}}"

static void configurations(void)
{
	static const struct {
		const char *in;
		int r;
		const char *want; /* of the part that is kept, or of the sentence */
	} rows[] = {
		{ IMAGE("{\"Cmd\":[\"a\"],\"Labels\":{\"x\":\"y\"},\"User\":\"7\",\"Env\":null}", "\"" DIGEST "\""), 0,
		  "{\"Cmd\":[\"a\"],\"User\":\"7\"}" },
		{ IMAGE("null", "\"" DIGEST "\""), 0, "{}" },
		{ IMAGE("{\"Cmd\":\"a\"}", "\"" DIGEST "\""), -EBADMSG, "Cmd" },
		{ IMAGE("{\"Cmd\":[1]}", "\"" DIGEST "\""), -EBADMSG, "Cmd" },
		{ IMAGE("{\"User\":\"a\",\"User\":\"b\"}", "\"" DIGEST "\""), -EBADMSG, "twice" },
		{ IMAGE("{}", ""), -EBADMSG, "0 layers" },
		{ IMAGE("{}", "\"x\""), -EBADMSG, "digest" },
		{ "{\"os\":\"linux\",\"architecture\":\"arm64\"}", -ENOENT, "linux/arm64" },
		{ "{\"os\":\"linux\",\"architecture\":\"amd64\"}", -EBADMSG, "rootfs" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		static struct image_config c;
		AUTO_BUF struct buf text = { 0 };
		struct err e = { 0 };
		int r = image_config_decode(str_c(rows[i].in), &c, &e);

		T_CHECK(r == rows[i].r, "row %zu gave %d '%s'", i, r, e.msg);
		T_CHECK(r || !json_format(c.run, &text), "row %zu", i);
		T_CHECK(r ? strstr(e.msg, rows[i].want) != NULL : !strcmp(text.p, rows[i].want), "row %zu: '%s' '%s'", i, e.msg,
			text.p ? text.p : "");
		if (!r)
			image_config_deinit(&c);
	}
}

int main(void)
{
	T_RUN(manifests);
	T_RUN(indexes);
	T_RUN(configurations);
	return T_END();
}
