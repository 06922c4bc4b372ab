/* What a runner is told. What is taken is within its bounds, and its links are cards or are refused. */
#include "machine/spec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct machine_spec s;
	struct err e = { 0 };
	int r = machine_spec_read(&s, (struct str){ (const char *)data, n }, &e);

	if (r && !e.msg[0])
		abort();
	if (!r && (s.n_links > ZMACHINE_NETWORKS_MAX || s.n_mounts > ZMACHINE_MOUNTS_MAX || strlen(s.id) != WORK_ID_LEN || !s.netns))
		abort();
	for (size_t i = 0; !r && i < s.n_links; i++) {
		struct card end;

		if (machine_link_card(&s.links[i], &end, &e) && !e.msg[0])
			abort();
	}
	for (size_t i = 1; !r && i < s.n_mounts; i++)
		if (strcmp(s.mounts[i - 1].path ?: s.mounts[i - 1].name, s.mounts[i].path ?: s.mounts[i].name) > 0)
			abort();
	machine_spec_deinit(&s);
	return 0;
}
