#include "node/info.h"

#include "base/file.h"
#include "base/parse.h"
#include "node/ips.h"
#include "node/line.h"

#include <stdio.h>
#include <sys/utsname.h>
#include <time.h>

/* What an image holds says what it is: the one with a shell says so wherever it is named. */
static const struct {
	const char *path, *flavour;
} flavours[] = { { "/usr/bin/busybox", "debug" }, { "/usr/lib/firmware", "metal" }, { "/", "cloud" } };

const char *info_flavour(void)
{
	size_t i = 0;

	while (access(flavours[i].path, F_OK))
		i++;
	return flavours[i].flavour;
}

static int capacity_json(const struct engine *n, sd_json_variant **ret)
{
	const struct capacity *c = &n->capacity;
	struct provider *p = n->providers[STEP_STORAGE];
	struct ips_count ips = ips_count(n);
	struct provider_room ssd = { 0 }, hdd = { 0 };
	const struct farm_gateway *gateway = n->farm ? farm_gateway_find(n->farm, &n->identity.pub) : NULL;

	if (p->ops->room)
		p->ops->room(p, &ssd, &hdd);
	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_UNSIGNED("cpu_milli", c->cpu_milli), SD_JSON_BUILD_PAIR_UNSIGNED("cpu_milli_used", c->used_cpu_milli),
		SD_JSON_BUILD_PAIR_UNSIGNED("memory", c->memory_bytes), SD_JSON_BUILD_PAIR_UNSIGNED("memory_used", c->used_memory_bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("memory_reserve", c->reserve_bytes), SD_JSON_BUILD_PAIR_UNSIGNED("ssd", ssd.bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("ssd_used", ssd.used_bytes), SD_JSON_BUILD_PAIR_UNSIGNED("hdd", hdd.bytes),
		SD_JSON_BUILD_PAIR_UNSIGNED("hdd_used", hdd.used_bytes), SD_JSON_BUILD_PAIR_BOOLEAN("kvm", c->has_kvm),
		SD_JSON_BUILD_PAIR_UNSIGNED("addresses", ips.all), SD_JSON_BUILD_PAIR_UNSIGNED("addresses_used", ips.used),
		SD_JSON_BUILD_PAIR_CONDITION(gateway != NULL, "gateway", SD_JSON_BUILD_STRING(gateway && gateway->domain ? gateway->domain : "")));
}

int info_build(const struct engine *n, const struct line *l, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *capacity = NULL, *hubs = NULL, *sessions = NULL;
	char node[KEY_TEXT_SIZE], farm[KEY_TEXT_SIZE] = "";
	AUTO_BUF struct buf seal = { 0 };
	struct utsname uts = { 0 };
	size_t n_works = 0;
	int r;

	if ((r = capacity_json(n, &capacity)) < 0 || (r = line_hubs_json(l, &hubs)) < 0 || (r = line_sessions_json(l, &sessions)) < 0)
		return r;
	uname(&uts);
	for (const struct item *it = n->items; it; it = it->next)
		n_works++;
	key_pub_format(node, &n->identity.pub);
	if (n->farm)
		key_pub_format(farm, &n->farm->farm);
	format_base64(&seal, n->seal.pub, sizeof(n->seal.pub));
	if (buf_check(&seal))
		return -ENOMEM;
	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_STRING("node", node), SD_JSON_BUILD_PAIR_CONDITION(n->farm != NULL, "farm", SD_JSON_BUILD_STRING(farm)),
		SD_JSON_BUILD_PAIR_CONDITION(n->farm != NULL, "farm_name", SD_JSON_BUILD_STRING(n->farm ? n->farm->name : "")),
		SD_JSON_BUILD_PAIR_UNSIGNED("farm_sequence", n->farm ? n->farm->sequence : 0),
		SD_JSON_BUILD_PAIR_BOOLEAN("approved", n->approval != NULL), SD_JSON_BUILD_PAIR_STRING("version", ZOS_VERSION),
		SD_JSON_BUILD_PAIR_STRING("flavour", info_flavour()), SD_JSON_BUILD_PAIR_STRING("kernel", uts.release),
		SD_JSON_BUILD_PAIR_STRING("arch", uts.machine), SD_JSON_BUILD_PAIR_UNSIGNED("boot_time", l->boot_s),
		SD_JSON_BUILD_PAIR_UNSIGNED("now", (uint64_t)time(NULL)), SD_JSON_BUILD_PAIR_BOOLEAN("durable", store_is_durable(&n->store)),
		SD_JSON_BUILD_PAIR_BOOLEAN("drained", n->is_drained), SD_JSON_BUILD_PAIR_BOOLEAN("recovery", n->farm && n->farm->recovery),
		SD_JSON_BUILD_PAIR_UNSIGNED("workloads", n_works), SD_JSON_BUILD_PAIR_VARIANT("hubs", hubs),
		SD_JSON_BUILD_PAIR_VARIANT("sessions", sessions), SD_JSON_BUILD_PAIR_STRING("seal_key", seal.p),
		SD_JSON_BUILD_PAIR_VARIANT("capacity", capacity));
}

int info_record(const struct engine *n, uint64_t boot_s, const char *inbox, const char *tls_key, uint64_t sequence, struct buf *ret, struct err *e)
{
	AUTO_JSON sd_json_variant *capacity = NULL, *body = NULL;
	AUTO_BUF struct buf text = { 0 };
	char node[KEY_TEXT_SIZE], farm[KEY_TEXT_SIZE] = "", expires[24], seal[SEAL_DIGEST_LEN + 1];
	struct utsname uts = { 0 };
	int r = capacity_json(n, &capacity);

	uname(&uts);
	key_pub_format(node, &n->identity.pub);
	if (n->farm)
		key_pub_format(farm, &n->farm->farm);
	format_time(expires, time(NULL) + RECORD_LIFE_S);
	seal_digest(n->seal.pub, seal);
	if (r >= 0)
		r = sd_json_buildo(&body, SD_JSON_BUILD_PAIR_STRING("node", node), SD_JSON_BUILD_PAIR_STRING("inbox", inbox),
				   SD_JSON_BUILD_PAIR_STRING("tls_key", tls_key), SD_JSON_BUILD_PAIR_UNSIGNED("sequence", sequence),
				   SD_JSON_BUILD_PAIR_STRING("expires", expires),
				   SD_JSON_BUILD_PAIR_CONDITION(n->farm != NULL, "farm", SD_JSON_BUILD_STRING(farm)),
				   SD_JSON_BUILD_PAIR_CONDITION(n->farm != NULL, "farm_name", SD_JSON_BUILD_STRING(n->farm ? n->farm->name : "")),
				   SD_JSON_BUILD_PAIR_CONDITION(n->approval != NULL, "approval", SD_JSON_BUILD_VARIANT(n->approval)),
				   SD_JSON_BUILD_PAIR_VARIANT("capacity", capacity), SD_JSON_BUILD_PAIR_STRING("version", ZOS_VERSION),
				   SD_JSON_BUILD_PAIR_STRING("flavour", info_flavour()), SD_JSON_BUILD_PAIR_STRING("arch", uts.machine),
				   SD_JSON_BUILD_PAIR_UNSIGNED("boot_time", boot_s), SD_JSON_BUILD_PAIR_STRING("seal_key", seal),
				   SD_JSON_BUILD_PAIR_CONDITION(n->is_drained, "drained", SD_JSON_BUILD_BOOLEAN(true)));
	if (r < 0 || json_format(body, &text) || dsse_sign(API_TYPE_RECORD, buf_str(&text), &n->identity, 1, ret))
		return err_set(e, -ENOMEM, "sign the node's record: out of memory");
	return 0;
}
