/* What a registry says an image is made of: index, manifest, configuration, of OCI and of Docker's schema 2.
 *
 * Pure functions over bytes whose digest was checked. These documents may carry fields nobody here knows, so the known ones are
 * read, each once, each with a limit. Nothing that is returned points into the input. */
#pragma once
#include "api/json.h"
#include "image/reference.h"

enum { MANIFEST_BYTES_MAX = 4 << 20, MANIFEST_LAYERS_MAX = 128, MANIFEST_PLATFORMS_MAX = 256 };
#define LAYER_BYTES_MAX (16ull << 30) /* of one layer, packed or not */
#define IMAGE_BYTES_MAX (64ull << 30)

enum media { MEDIA_UNKNOWN, MEDIA_INDEX, MEDIA_MANIFEST, MEDIA_CONFIG, MEDIA_TAR, MEDIA_TAR_GZIP, MEDIA_TAR_ZSTD };

struct descriptor {
	char digest[DIGEST_LEN + 1];
	uint64_t size_bytes;
	enum media media;
};

struct manifest {
	struct descriptor config;
	struct descriptor layers[MANIFEST_LAYERS_MAX];
	size_t n_layers;
};

struct image_config {
	char diff_ids[MANIFEST_LAYERS_MAX][DIGEST_LEN + 1]; /* of the unpacked layers, lowest first */
	size_t n_diff_ids;
	sd_json_variant *run; /* owned: Env, Entrypoint, Cmd, WorkingDir, User, StopSignal, as far as they are there */
};

/* The sentence of -EBADMSG says what is wrong with the document; -ENOENT: the index has nothing for this machine. */
enum { MANIFEST_IS_INDEX = 1 };
MUST_CHECK int manifest_choose(struct str text, struct descriptor *ret, struct err *e); /* 0: text is a manifest itself */
MUST_CHECK int manifest_decode(struct str text, struct manifest *ret, struct err *e);
MUST_CHECK int image_config_decode(struct str text, struct image_config *ret, struct err *e);
void image_config_deinit(struct image_config *c);
