/* What is taken keeps the promises that the rest relies on: digests are digests, numbers are within their limits. */
#include "image/manifest.h"

#include <stdlib.h>

static void descriptor_check(const struct descriptor *d)
{
	if (!digest_ok(str_c(d->digest)) || d->size_bytes > LAYER_BYTES_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct manifest m;
	static struct image_config c;
	struct str text = { (const char *)data, n };
	struct descriptor d;

	if (manifest_choose(text, &d, NULL) == MANIFEST_IS_INDEX)
		descriptor_check(&d);
	if (!manifest_decode(text, &m, NULL)) {
		if (!m.n_layers || m.n_layers > MANIFEST_LAYERS_MAX)
			abort();
		for (size_t i = 0; i < m.n_layers; i++)
			descriptor_check(&m.layers[i]);
	}
	if (!image_config_decode(text, &c, NULL)) {
		if (!c.n_diff_ids || c.n_diff_ids > MANIFEST_LAYERS_MAX || !digest_ok(str_c(c.diff_ids[0])))
			abort();
		image_config_deinit(&c);
	}
	return 0;
}
