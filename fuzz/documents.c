/* Whatever opens as a deployment has passed every rule that the engine relies on; whatever does not leaves nothing behind. The envelope is
 * signed here, so that the decoder behind the signature is what is fuzzed. */
#include "api/deployment.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct key key;
	AUTO_DEPLOYMENT struct deployment *d = deployment_new();
	AUTO_DSSE struct dsse raw = DSSE_NONE;
	AUTO_BUF struct buf envelope = { 0 };
	struct str input = { (const char *)data, n };

	if (!key.pub.role && key_new(KEY_USER, &key))
		abort();
	if (!dsse_decode_text(input, &raw, NULL) && raw.n_signatures == 0)
		abort();
	if (n > DSSE_PAYLOAD_MAX || dsse_sign(API_TYPE_DEPLOYMENT, input, &key, 1, &envelope))
		return 0;
	if (deployment_open_text(buf_str(&envelope), d, NULL))
		return 0;
	if (!d->sequence || !d->name || !key_pub_eq(&d->owner, &key.pub) || d->n_workloads > DEPLOYMENT_WORKLOADS_MAX)
		abort();
	for (size_t i = 0; i < d->n_workloads; i++)
		if (d->workloads[i].zmachine.memory_bytes < ZMACHINE_MEMORY_MIN || !d->workloads[i].zmachine.image)
			abort();
	return 0;
}
