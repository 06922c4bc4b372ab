/* Whatever opens as a deployment has passed every rule that the engine relies on; whatever does not leaves nothing behind. The envelope is
 * signed here, so that the decoder behind the signature is what is fuzzed. */
#include "api/deployment.h"

#include <stdlib.h>

/* In the corpus; the key of this run stands in its place, so that documents pass whose owner must have signed them. */
#define OWNER "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"

static void owner_put(struct buf *text, const struct key_pub *key)
{
	char is[KEY_TEXT_SIZE], *at;

	key_pub_format(is, key);
	while ((at = memmem(text->p, text->len, OWNER, strlen(OWNER))))
		memcpy(at, is, strlen(OWNER));
}

/* What a machine's public_ip names is there, and no other machine's. */
static void check_ip(const struct deployment *d, const struct workload *w)
{
	const struct workload *ip = w->zmachine.public_ip ? deployment_workload(d, w->zmachine.public_ip) : NULL;

	if (!w->zmachine.public_ip)
		return;
	if (!ip || ip->kind != WORKLOAD_IP)
		abort();
	for (size_t i = 0; i < d->n_workloads; i++)
		if (&d->workloads[i] != w && d->workloads[i].zmachine.public_ip && !strcmp(d->workloads[i].zmachine.public_ip, ip->name))
			abort();
}

static void check(const struct workload *w)
{
	if (w->kind == WORKLOAD_ZMACHINE && (w->zmachine.memory_bytes < ZMACHINE_MEMORY_MIN || !w->zmachine.image))
		abort();
	if (w->kind != WORKLOAD_NETWORK)
		return;
	if (!range4_has(&w->network.range, &w->network.subnet) || !range6_has(&w->network.range6, &w->network.subnet6))
		abort();
	for (size_t i = 0; i < network_n_devices(&w->network); i++) {
		struct network_device device;

		network_device(&w->network, i, &device);
		if (!range4_has(&w->network.subnet, &(struct range4){ device.address, 32 }))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct key key;
	AUTO_DEPLOYMENT struct deployment *d = deployment_new();
	AUTO_DSSE struct dsse raw = DSSE_NONE;
	AUTO_BUF struct buf envelope = { 0 }, text = { 0 };
	struct str input = { (const char *)data, n };

	if (!key.pub.role && key_new(KEY_USER, &key))
		abort();
	buf_add(&text, input);
	if (buf_check(&text))
		return 0;
	owner_put(&text, &key.pub);
	if (!dsse_decode_text(input, &raw, NULL) && raw.n_signatures == 0)
		abort();
	if (n > DSSE_PAYLOAD_MAX || dsse_sign(API_TYPE_DEPLOYMENT, buf_str(&text), &key, 1, &envelope))
		return 0;
	if (deployment_open_text(buf_str(&envelope), d, NULL))
		return 0;
	if (!d->sequence || !d->name || !key_pub_eq(&d->owner, &key.pub) || d->n_workloads > DEPLOYMENT_WORKLOADS_MAX)
		abort();
	for (size_t i = 0; i < d->n_workloads; i++) {
		check(&d->workloads[i]);
		check_ip(d, &d->workloads[i]);
	}
	return 0;
}
