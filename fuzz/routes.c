/* What the engine tells who steers HAProxy, and what it is told of it. What is taken says the same when it is written and read again, and names are words. */
#include "gateway/route.h"

#include <stdlib.h>

static void on_report(void *ctx, const struct route_report *one)
{
	(void)ctx;
	if (strlen(one->id) != GATEWAY_ID_SIZE - 1 || one->n_up > GATEWAY_BACKENDS_MAX)
		abort();
}

static void again(const struct routes *once)
{
	static struct routes twice;
	AUTO_JSON sd_json_variant *v = NULL;
	struct err e;

	routes_deinit(&twice);
	if (routes_build(once, &v) || routes_decode(v, &twice, &e) || once->n != twice.n)
		abort();
	for (size_t i = 0; i < once->n; i++) {
		const struct route *a = &once->list[i], *b = &twice.list[i];

		if (strcmp(a->id, b->id) || strcmp(a->fqdn, b->fqdn) || strcmp(a->device, b->device) || a->n_backends != b->n_backends ||
		    !a->n_backends || strcmp(a->cert_id, b->cert_id) || (a->bundle && strstr(a->bundle, "\n\n")) || strpbrk(a->fqdn, " ;\n\\\"") ||
		    strpbrk(a->device, " ;\n\\\""))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct routes routes;
	AUTO_JSON sd_json_variant *v = NULL;
	struct err e = { 0 };

	if (json_parse((struct str){ (const char *)data, n }, &v, NULL))
		return 0;
	routes_deinit(&routes);
	(void)!routes_report_each(v, on_report, NULL, &e);
	if (!routes_decode(v, &routes, &e))
		again(&routes);
	return 0;
}
