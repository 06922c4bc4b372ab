#include "node/engine.h"

#include "base/file.h"
#include "base/parse.h"
#include "svc/offers.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/sysinfo.h>

/* What a virtual machine needs beside its guest's memory: QEMU's own heap and the guest kernel's page tables. */
#define VM_OVERHEAD_BYTES (64ull << 20)
/* What the node keeps beside what it uses when it starts: page cache to read programs from, buffers, one pull at a time. */
#define HEADROOM_BYTES (96ull << 20)

static int meminfo(struct str text, const char *name, uint64_t *ret_bytes)
{
	struct str line, word;

	while (str_next(&text, '\n', &line)) {
		if (!str_starts(line, str_c(name)))
			continue;
		str_next(&line, ':', &word);
		while (line.n && line.p[0] == ' ')
			line.p++, line.n--;
		str_next(&line, ' ', &word);
		if (parse_u64(word, UINT64_MAX >> 10, ret_bytes))
			return -EBADMSG;
		*ret_bytes <<= 10;
		return 0;
	}
	return -EBADMSG;
}

/* By the processor, not by /dev/kvm: its driver is loaded side by side with the start of this process. */
static int kvm_detect(bool *ret, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	struct str rest, line, word;
	int r = file_read(AT_FDCWD, "/proc/cpuinfo", 4 << 20, &text, e);

	if (r)
		return r;
	*ret = false;
	for (rest = buf_str(&text); str_next(&rest, '\n', &line);)
		while (str_next(&line, ' ', &word))
			*ret |= str_eq(word, S("svm")) || str_eq(word, S("vmx"));
	return 0;
}

int capacity_measure(struct capacity *ret, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	uint64_t total, available;
	int r = file_read(AT_FDCWD, "/proc/meminfo", 65536, &text, e);

	if (r)
		return r;
	if (meminfo(buf_str(&text), "MemTotal", &total) || meminfo(buf_str(&text), "MemAvailable", &available))
		return err_set(e, -EBADMSG, "measure memory: /proc/meminfo does not say MemTotal and MemAvailable");
	ret->cpu_milli = (uint64_t)get_nprocs() * 1000;
	ret->reserve_bytes = total - available + HEADROOM_BYTES;
	ret->memory_bytes = total > ret->reserve_bytes ? total - ret->reserve_bytes : 0;
	ret->offers = OFFERS_TABLE;
	return kvm_detect(&ret->has_kvm, e);
}

/* Beside its guest's memory. */
static uint64_t overhead_bytes(const struct deployment *d, const struct zmachine *z)
{
	uint64_t sum = z->isolation == ISOLATION_CONTAINER ? 0 : VM_OVERHEAD_BYTES;

	for (size_t i = 0; sum && i < z->n_mounts; i++)
		if (deployment_workload(d, z->mounts[i].name)->kind == WORKLOAD_VOLUME)
			sum += ZMACHINE_SHARE_OVERHEAD;
	return sum;
}

struct demand {
	uint64_t cpu_milli, memory_bytes;
};

/* D may be NULL: nothing. */
static struct demand demand_of(const struct deployment *d)
{
	struct demand sum = { 0 };

	for (size_t i = 0; d && i < d->n_workloads; i++) {
		const struct zmachine *z = &d->workloads[i].zmachine;

		sum.memory_bytes += d->workloads[i].zdb.memory_bytes;
		if (d->workloads[i].kind != WORKLOAD_ZMACHINE)
			continue;
		sum.cpu_milli += z->cpu_milli;
		sum.memory_bytes += z->memory_bytes + overhead_bytes(d, z);
	}
	return sum;
}

static void demand_add(struct demand *sum, struct demand more)
{
	sum->cpu_milli += more.cpu_milli;
	sum->memory_bytes += more.memory_bytes;
}

void capacity_sum(struct capacity *c, const struct held *all)
{
	struct demand sum = { 0 };

	for (const struct held *h = all; h; h = h->next)
		demand_add(&sum, demand_of(h->deployment));
	c->used_cpu_milli = sum.cpu_milli;
	c->used_memory_bytes = sum.memory_bytes;
}

static int modules_check(const struct capacity *c, sd_json_variant *modules, size_t at, struct err *e)
{
	AUTO_BUF struct buf table = { 0 };
	struct str files;
	int r;

	if (!modules || !sd_json_variant_elements(modules))
		return 0;
	if ((r = file_read(AT_FDCWD, c->offers, OFFERS_MAX, &table, e)))
		return r;
	for (size_t i = 0; i < sd_json_variant_elements(modules); i++) {
		const char *name = sd_json_variant_string(sd_json_variant_by_index(modules, i));

		if (!offers_find(buf_str(&table), name, &files))
			return err_set(e, -EBADMSG,
				       "/workloads/%zu/data/modules/%zu: this node has no kernel module '%s' for virtual machines: leave it out, "
				       "or boot a disk image that brings it",
				       at, i, name);
	}
	return 0;
}

/* Memory is never promised twice. CPU is shared fairly, so only a single machine that is larger than the node is refused. */
int capacity_check(const struct capacity *c, const struct deployment *d, const struct deployment *old, struct err *e)
{
	uint64_t before = demand_of(old).memory_bytes, after = demand_of(d).memory_bytes;
	char want[16], have[16];
	int r;

	for (size_t i = 0; i < d->n_workloads; i++) {
		const struct zmachine *z = &d->workloads[i].zmachine;

		if (z->cpu_milli > c->cpu_milli)
			return err_set(e, -ENOSPC, "/workloads/%zu/data/cpu: %" PRIu64 ".%03u is more than the node's %" PRIu64, i,
				       z->cpu_milli / 1000, (unsigned)(z->cpu_milli % 1000), c->cpu_milli / 1000);
		if (z->isolation == ISOLATION_VM && !c->has_kvm)
			return err_set(e, -ENOSPC, "/workloads/%zu/data/isolation: this node has no KVM: use 'container'", i);
		if ((r = modules_check(c, z->modules, i, e)))
			return r;
	}
	if (after <= before || c->used_memory_bytes - before + after <= c->memory_bytes)
		return 0;
	format_size(want, after);
	format_size(have, c->memory_bytes > c->used_memory_bytes - before ? c->memory_bytes - (c->used_memory_bytes - before) : 0);
	return err_set(e, -ENOSPC, "the deployment needs %s of memory and this node has %s left", want, have);
}

/* What asks for no more than before is taken also where the farm has cut the limit since. */
int capacity_check_share(const struct farm_allow *allow, const struct held *all, const struct deployment *d, const struct deployment *old,
			 struct err *e)
{
	struct demand sum = demand_of(d), before = demand_of(old);
	char want[16], have[16];

	for (const struct held *h = all; h; h = h->next)
		if (h->deployment != old && key_pub_eq(&h->deployment->owner, &d->owner))
			demand_add(&sum, demand_of(h->deployment));
	if (allow->cpu_milli && sum.cpu_milli > allow->cpu_milli && demand_of(d).cpu_milli > before.cpu_milli)
		return err_set(e, -ENOSPC,
			       "the farm allows this key %g CPUs on this node, and its machines would have %g: make them smaller, "
			       "delete one, or ask the farmer for more",
			       (double)allow->cpu_milli / 1000, (double)sum.cpu_milli / 1000);
	if (!allow->memory_bytes || sum.memory_bytes <= allow->memory_bytes || demand_of(d).memory_bytes <= before.memory_bytes)
		return 0;
	format_size(have, allow->memory_bytes);
	format_size(want, sum.memory_bytes);
	return err_set(e, -ENOSPC,
		       "the farm allows this key %s of memory on this node, and its machines would have %s: make them smaller, "
		       "delete one, or ask the farmer for more",
		       have, want);
}
