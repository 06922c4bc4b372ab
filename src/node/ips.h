/* Public addresses of the farm's, each with one ip of one deployment: from the yes until that is gone, over updates and restarts. Which it is stands in the
 * store by the ip's id, before its document does. */
#pragma once
#include "node/engine.h"

/* For each ip of D that has no address yet one that is free; the others are left alone. -ENOSPC. */
MUST_CHECK int ips_admit(struct engine *n, const struct deployment *d, uint32_t ret[static DEPLOYMENT_WORKLOADS_MAX], struct err *e);
/* ADDRESS is that of the ip W of D: kept for good when this returns 0. */
MUST_CHECK int ips_keep(struct engine *n, const struct deployment *d, const struct workload *w, uint32_t address, struct err *e);
/* IT, an ip that was accepted, has the address that was kept. */
void ips_load(struct engine *n, struct item *it);
/* The machine W is reached at what its ip is, as long as the farm gives the node that address. */
void ips_use(struct engine *n, struct work *w);
/* IT, an ip, says whether its address is still the node's. */
void ips_judge(const struct engine *n, struct item *it);
/* Which machine is to be reached at the ip of that id; NULL = none. */
const struct item *ips_machine(const struct engine *n, const char *id);

struct ips_count {
	size_t all, used;
};
/* Of what the farm gives the node. */
struct ips_count ips_count(const struct engine *n);
