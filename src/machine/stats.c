#include "machine/stats.h"

#include "base/file.h"
#include "base/log.h"
#include "svc/daemon.h"

#include <stdio.h>
#include <sys/statvfs.h>

/* TX is what the node sends, and the machine receives. */
static const struct {
	const char *name, *dir, *file, *key;
} counters[] = {
	{ "cpu_usec", NULL, "cpu.stat", "usage_usec" },
	{ "memory", NULL, "memory.current", NULL },
	{ "memory_cache", NULL, "memory.stat", "inactive_file" }, /* part of memory, and given back when something needs it */
	{ "memory_limit", NULL, "memory.max", NULL },
	{ "tasks", NULL, "pids.current", NULL },
	{ "tasks_limit", NULL, "pids.max", NULL },
	{ "received", "/sys/class/net", "statistics/tx_bytes", NULL },
	{ "sent", "/sys/class/net", "statistics/rx_bytes", NULL },
};

static int counter_add(const struct runner *r, size_t i, sd_json_variant **to)
{
	char path[256];

	if (counters[i].dir)
		snprintf(path, sizeof(path), "%s/%s/%s", counters[i].dir, r->spec.device, counters[i].file);
	else
		snprintf(path, sizeof(path), "%s/%s", r->box_group, counters[i].file);
	return sd_json_variant_set_field_unsigned(to, counters[i].name, file_count(path, counters[i].key));
}

/* Of a virtual machine's root only its guest knows. */
static int root_add(const struct runner *r, sd_json_variant **to)
{
	struct statvfs s;
	char path[128];
	int ret;

	snprintf(path, sizeof(path), "%s/rw", r->dir);
	if (r->spec.isolation != ISOLATION_CONTAINER || statvfs(path, &s))
		return 0;
	ret = sd_json_variant_set_field_unsigned(to, "root", (s.f_blocks - s.f_bfree) * s.f_frsize);
	return ret < 0 ? ret : sd_json_variant_set_field_unsigned(to, "root_limit", s.f_blocks * s.f_frsize);
}

int stats_method(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *runner)
{
	const struct runner *r = runner;
	AUTO_JSON sd_json_variant *v = NULL;
	int ret = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("state", runner_state(r)), SD_JSON_BUILD_PAIR_UNSIGNED("at_ms", log_now_ms()),
				 SD_JSON_BUILD_PAIR_UNSIGNED("cpu_milli_limit", r->spec.cpu_milli),
				 SD_JSON_BUILD_PAIR_UNSIGNED("restarts", r->life.restarts));

	(void)parameters;
	(void)flags;
	for (size_t i = 0; ret >= 0 && i < ARRAY_LEN(counters); i++)
		ret = counter_add(r, i, &v);
	if (ret >= 0)
		ret = root_add(r, &v);
	return ret < 0 ? daemon_reply_error(link, ret, NULL) : sd_varlink_reply(link, v);
}
