/* What a deployment asks of a node, and which node has it, by the records in the directory. The node decides: this only says where to ask first. */
#pragma once
#include "api/doc.h"

struct demand {
	uint64_t memory_bytes;                    /* of all together */
	uint64_t cpu_milli;                       /* of the largest machine: processors are shared */
	uint64_t ssd_bytes, hdd_bytes, any_bytes; /* of disks, by class */
	bool needs_kvm;
	bool needs_gateway, needs_domain; /* it publishes names: of their owner, of the gateway's domain */
	uint64_t n_addresses; /* public ones, for machines */
};

/* DOC: after document_resolve(). */
void demand_read(sd_json_variant *doc, struct demand *ret);

enum { DEMAND_WHY_MAX = 120 };
/* Whether R has what D asks for; RET_WHY says what it lacks. */
bool demand_fits(const struct demand *d, const struct record *r, char ret_why[static DEMAND_WHY_MAX]);

/* Memory for workloads that nobody has, by its record; none where nothing new is taken. */
uint64_t record_free(const struct record *r);
