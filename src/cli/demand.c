#include "cli/demand.h"

#include "api/deployment.h"
#include "base/parse.h"

#include <stdio.h>

static uint64_t u64_of(sd_json_variant *object, const char *key)
{
	sd_json_variant *v = sd_json_variant_by_key(object, key);

	return sd_json_variant_is_unsigned(v) ? sd_json_variant_unsigned(v) : 0;
}

static bool is_text(sd_json_variant *object, const char *key, const char *text)
{
	sd_json_variant *v = sd_json_variant_by_key(object, key);

	return sd_json_variant_is_string(v) && !strcmp(sd_json_variant_string(v), text);
}

/* Sizes that nobody can have stay so. */
static void add(uint64_t *sum, uint64_t n)
{
	*sum = n < UINT64_MAX - *sum ? *sum + n : UINT64_MAX;
}

static void disk_add(sd_json_variant *data, uint64_t bytes, struct demand *ret)
{
	uint64_t *sum = is_text(data, "class", "ssd") ? &ret->ssd_bytes : is_text(data, "class", "hdd") ? &ret->hdd_bytes : &ret->any_bytes;

	add(sum, bytes);
}

static void zmachine_add(sd_json_variant *data, struct demand *ret)
{
	sd_json_variant *cpu = sd_json_variant_by_key(data, "cpu");
	double milli = sd_json_variant_is_number(cpu) ? sd_json_variant_real(cpu) * 1000 : 0;

	add(&ret->memory_bytes, u64_of(data, "memory"));
	if (milli > 0 && milli < 1e9 && (uint64_t)milli > ret->cpu_milli)
		ret->cpu_milli = (uint64_t)milli;
	ret->needs_kvm |= is_text(data, "isolation", "vm");
}

static void fqdn_add(sd_json_variant *data, struct demand *ret)
{
	(void)data;
	ret->needs_gateway = true;
}

static void name_add(sd_json_variant *data, struct demand *ret)
{
	(void)data;
	ret->needs_domain = true;
}

static void ip_add(sd_json_variant *data, struct demand *ret)
{
	(void)data;
	ret->n_addresses++;
}

static void volume_add(sd_json_variant *data, struct demand *ret)
{
	disk_add(data, u64_of(data, "size"), ret);
}

static void zdb_add(sd_json_variant *data, struct demand *ret)
{
	struct zdb z = { .size_bytes = u64_of(data, "size"), .memory_bytes = u64_of(data, "memory") };

	add(&ret->memory_bytes, z.memory_bytes ? z.memory_bytes : ZDB_MEMORY_MIN); /* what it has when nothing is said */
	disk_add(data, z.size_bytes > VOLUME_SIZE_MAX ? UINT64_MAX : zdb_disk_bytes(&z), ret);
}

static const struct {
	const char *type;
	void (*add)(sd_json_variant *data, struct demand *ret);
} kinds[] = { { "zmachine", zmachine_add },       { "volume", volume_add },           { "zmount", volume_add }, { "zdb", zdb_add },
	      { "gateway-fqdn-proxy", fqdn_add }, { "gateway-name-proxy", name_add }, { "ip", ip_add } };

void demand_read(sd_json_variant *doc, struct demand *ret)
{
	sd_json_variant *list = sd_json_variant_by_key(doc, "workloads");

	*ret = (struct demand){ 0 };
	for (size_t i = 0; sd_json_variant_is_array(list) && i < sd_json_variant_elements(list); i++) {
		sd_json_variant *one = sd_json_variant_by_index(list, i);

		for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
			if (is_text(one, "type", kinds[k].type))
				kinds[k].add(sd_json_variant_by_key(one, "data"), ret);
	}
}

static uint64_t left(sd_json_variant *capacity, const char *all, const char *used)
{
	uint64_t total = u64_of(capacity, all), taken = u64_of(capacity, used);

	return total > taken ? total - taken : 0;
}

uint64_t record_free(const struct record *r)
{
	return r->is_drained ? 0 : left(r->capacity, "memory", "memory_used");
}

static bool has(uint64_t asked, uint64_t there, const char *of, char why[static DEMAND_WHY_MAX])
{
	char a[16], b[16];

	if (asked <= there)
		return true;
	format_size(a, asked);
	format_size(b, there);
	snprintf(why, DEMAND_WHY_MAX, "%s of %s free, and %s are asked for", b, of, a);
	return false;
}

bool demand_fits(const struct demand *d, const struct record *r, char ret_why[static DEMAND_WHY_MAX])
{
	sd_json_variant *kvm = sd_json_variant_by_key(r->capacity, "kvm"), *gateway = sd_json_variant_by_key(r->capacity, "gateway");
	uint64_t ssd = left(r->capacity, "ssd", "ssd_used"), hdd = left(r->capacity, "hdd", "hdd_used"), cpu = u64_of(r->capacity, "cpu_milli");

	snprintf(ret_why, DEMAND_WHY_MAX, "%s", r->is_drained ? "been drained" : "");
	if (r->is_drained || !has(d->memory_bytes, record_free(r), "memory", ret_why) || !has(d->ssd_bytes, ssd, "SSD", ret_why) ||
	    !has(d->hdd_bytes, hdd, "HDD", ret_why) || !has(d->any_bytes, ssd - d->ssd_bytes + (hdd - d->hdd_bytes), "disk", ret_why))
		return false;
	if (d->cpu_milli > cpu)
		snprintf(ret_why, DEMAND_WHY_MAX, "%g processors, and a machine asks for %g", (double)cpu / 1000, (double)d->cpu_milli / 1000);
	else if (d->needs_kvm && !(sd_json_variant_is_boolean(kvm) && sd_json_variant_boolean(kvm)))
		snprintf(ret_why, DEMAND_WHY_MAX, "no KVM, and a machine is to be a virtual one");
	else if ((d->needs_gateway || d->needs_domain) && !gateway)
		snprintf(ret_why, DEMAND_WHY_MAX, "no public address to publish names at: the farm makes gateways ('zos farm gateway')");
	else if (d->n_addresses > left(r->capacity, "addresses", "addresses_used"))
		snprintf(ret_why, DEMAND_WHY_MAX, "too few public addresses free for machines: the farm gives them ('zos farm addresses')");
	else if (d->needs_domain && is_text(r->capacity, "gateway", ""))
		snprintf(ret_why, DEMAND_WHY_MAX, "no domain to give a name of: publish a name of your own");
	return !ret_why[0];
}
