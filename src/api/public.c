/* Workloads of type ip: a public address of the node's, for one machine of the deployment. */
#include "api/workload.h"

struct ip {
	bool v4;
};
static const struct json_field fields[] = {
	{ "v4", JSON_BOOL, offsetof(struct ip, v4) },
	NOT_YET("v6", "a public IPv6 address"),
};
static const struct json_table table = { fields, ARRAY_LEN(fields), 0, NULL };

int ip_open(struct deployment *d, size_t at, struct err *e)
{
	struct err below = { 0 };
	struct ip ip = { 0 };
	int r = json_decode(d->workloads[at].data, &table, &ip, &below);

	if (r)
		return err_set(e, r, "/workloads/%zu/data%s", at, below.msg);
	return ip.v4 ? 0 : err_set(e, -EBADMSG, "/workloads/%zu/data/v4: must be true: there are public addresses of IPv4 alone", at);
}

/* Whether one of its networks is outgoing, or it is in none: nothing passes its own link otherwise. */
static bool has_way_out(const struct deployment *d, const struct zmachine *z)
{
	bool has = !z->networks.n;

	for (size_t i = 0; i < z->networks.n; i++)
		has |= deployment_workload(d, z->networks.list[i].name)->network.outgoing;
	return has;
}

int public_ip_check(const struct deployment *d, size_t at, struct err *e)
{
	const struct zmachine *z = &d->workloads[at].zmachine;
	const struct workload *ip = z->public_ip ? deployment_workload(d, z->public_ip) : NULL;

	if (!z->public_ip)
		return 0;
	if (!ip || ip->kind != WORKLOAD_IP)
		return err_set(e, -EBADMSG, "/workloads/%zu/data/public_ip: this deployment has no ip '%s': add one to its workloads", at,
			       z->public_ip);
	for (size_t i = 0; i < at; i++)
		if (d->workloads[i].kind == WORKLOAD_ZMACHINE && d->workloads[i].zmachine.public_ip &&
		    !strcmp(d->workloads[i].zmachine.public_ip, z->public_ip))
			return err_set(e, -EBADMSG, "/workloads/%zu/data/public_ip: '%s' is that of '%s' already: an address leads to one machine",
				       at, z->public_ip, d->workloads[i].name);
	if (!has_way_out(d, z))
		return err_set(e, -EBADMSG,
			       "/workloads/%zu/data/public_ip: none of the machine's networks is 'outgoing', so it has no link to the outside: join "
			       "one that is",
			       at);
	return 0;
}
