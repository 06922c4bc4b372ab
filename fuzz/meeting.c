/* What one node says of its end: what is taken, said again, is the same, and leads nowhere that only the reader is. */
#include "api/meet.h"

#include <stdlib.h>

static bool taken(sd_json_variant *v, struct meet_args *args, struct meet_end *end)
{
	return !json_decode(v, &meet_table, args, NULL) && !meet_end_decode(args, end, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_JSON sd_json_variant *v = NULL, *again = NULL;
	struct meet_args args = { 0 }, same = { 0 };
	struct meet_end end = { 0 }, other = { 0 };
	struct meet_about about;

	if (json_parse((struct str){ (const char *)data, n }, &v, NULL) || !taken(v, &args, &end))
		return 0;
	about = (struct meet_about){ .owner = &args.owner, .network = args.network, .sequence = args.sequence };
	if (meet_args_build(&about, &end, args.approval, &again) || !taken(again, &same, &other) || memcmp(&end, &other, sizeof(end)) ||
	    strcmp(args.network, same.network) || args.sequence != same.sequence)
		abort();
	for (size_t i = 0; i < end.n_endpoints; i++)
		if (!endpoint_is_far(&end.endpoints[i]))
			abort();
	return 0;
}
