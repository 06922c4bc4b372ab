/* What comes over the kernel's socket for devices. What is found in it lies in it, and ends there. */
#include "sys/uevent.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const names[] = { "ACTION", "DEVNAME", "DEVPATH", "DEVTYPE", "SUBSYSTEM", "MODALIAS" };
	struct uevent *u = malloc(sizeof(*u));

	if (!u)
		abort();
	u->len = n < UEVENT_MAX ? n : UEVENT_MAX;
	memcpy(u->text, data, u->len);
	u->text[u->len] = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = uevent_get(u, names[i]);

		if (value && (value < u->text || value + strlen(value) > u->text + u->len || value[-1] != '='))
			abort();
	}
	free(u);
	return 0;
}
