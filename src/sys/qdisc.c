#include "sys/qdisc.h"

#include "sys/netlink.h"
#include "sys/nlmsg.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>

enum {
	BURSTS_A_SECOND = 64,
	BURST_MIN = 16384,          /* a packet of every size that is not cut first */
	BURST_MAX = 4 << 20,
	QUEUES_A_SECOND = 10,       /* without fq_codel */
	QUEUE_MIN = 65536,
	QUEUE_MEMORY_MAX = 4 << 20, /* the kernel's own is 32 MiB, of the node's memory */
	FILTER_PRIORITY = 1,
};
#define RATE_HANDLE (1u << 16)            /* 1: */
#define RATE_QUEUE (RATE_HANDLE | 1)      /* 1:1 */
#define INGRESS_HANDLE 0xffff0000u        /* ffff:, the kernel's own choice */
#define FILTER_HANDLE 0x80000800u         /* 800::800, the first of the first table */

/* Begins a message about a queue, or a filter, of the link NAME. */
static int tc_init(struct nlmsg *q, int fd, uint16_t type, uint16_t flags, const char *name, const struct tcmsg *about, const char *kind,
		   struct err *e)
{
	struct tcmsg msg = *about;
	uint32_t index;
	int r = netlink_index(fd, name, &index, e);

	if (r)
		return r;
	msg.tcm_family = AF_UNSPEC;
	msg.tcm_ifindex = (int)index;
	nlmsg_init(q, type, flags, &msg, sizeof(msg));
	if (kind)
		nlmsg_attr(q, TCA_KIND, kind, strlen(kind) + 1);
	return 0;
}

static uint64_t between(uint64_t least, uint64_t n, uint64_t most)
{
	return n < least ? least : n > most ? most : n;
}

/* tc_ratespec has 32 bits for a rate; what is above stands in an attribute of its own. */
static void rate_put(struct nlmsg *q, uint64_t rate)
{
	uint32_t burst = (uint32_t)between(BURST_MIN, rate / BURSTS_A_SECOND, BURST_MAX);
	struct tc_tbf_qopt o = { .rate = { .linklayer = TC_LINKLAYER_ETHERNET, .rate = (uint32_t)between(0, rate, UINT32_MAX) },
				 .limit = (uint32_t)between(QUEUE_MIN, rate / QUEUES_A_SECOND, QUEUE_MEMORY_MAX) };

	nlmsg_attr(q, TCA_TBF_PARMS, &o, sizeof(o));
	nlmsg_attr(q, TCA_TBF_BURST, &burst, sizeof(burst));
	if (rate > UINT32_MAX)
		nlmsg_attr(q, TCA_TBF_RATE64, &rate, sizeof(rate));
}

/* In the place of the bucket's own queue, which is one for all flows. */
static int flows_take_turns(int fd, const char *name, struct err *e)
{
	const struct tcmsg about = { .tcm_parent = RATE_QUEUE };
	uint32_t most = QUEUE_MEMORY_MAX;
	struct nlattr *options;
	struct nlmsg q;
	int r = tc_init(&q, fd, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, name, &about, "fq_codel", e);

	if (r)
		return r;
	options = nlmsg_attr(&q, TCA_OPTIONS, NULL, 0);
	nlmsg_attr(&q, TCA_FQ_CODEL_MEMORY_LIMIT, &most, sizeof(most));
	nlmsg_end(&q, options);
	r = nlmsg_talk(fd, &q);
	return r && r != -ENOENT ? err_set(e, r, "have the flows of %s take turns: %s", name, strerror(-r)) : 0;
}

int qdisc_set_rate(int fd, const char *name, uint64_t rate, struct err *e)
{
	const struct tcmsg about = { .tcm_parent = TC_H_ROOT, .tcm_handle = RATE_HANDLE };
	struct nlattr *options;
	struct nlmsg q;
	int r = tc_init(&q, fd, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, name, &about, "tbf", e);

	if (r)
		return r;
	options = nlmsg_attr(&q, TCA_OPTIONS, NULL, 0);
	rate_put(&q, rate);
	nlmsg_end(&q, options);
	r = nlmsg_talk(fd, &q);
	return r ? err_set(e, r, "limit the link %s: %s", name, strerror(-r)) : flows_take_turns(fd, name, e);
}

/* The queue ABOUT of the link NAME goes. The kernel says -EINVAL or -ENOENT where it has none of its own. */
static int queue_remove(int fd, const char *name, const struct tcmsg *about, struct err *e)
{
	struct nlmsg q;
	int r = tc_init(&q, fd, RTM_DELQDISC, 0, name, about, NULL, e);

	if (r)
		return r == -ENODEV ? 0 : r;
	r = nlmsg_talk(fd, &q);
	return r && r != -ENOENT && r != -EINVAL ? err_set(e, r, "take the limit from the link %s: %s", name, strerror(-r)) : 0;
}

int qdisc_clear_rate(int fd, const char *name, struct err *e)
{
	return queue_remove(fd, name, &(struct tcmsg){ .tcm_parent = TC_H_ROOT, .tcm_handle = RATE_HANDLE }, e);
}

int qdisc_unlead(int fd, const char *name, struct err *e)
{
	return queue_remove(fd, name, &(struct tcmsg){ .tcm_parent = TC_H_INGRESS, .tcm_handle = INGRESS_HANDLE }, e);
}

static int entry_make(int fd, const char *name, struct err *e)
{
	const struct tcmsg about = { .tcm_parent = TC_H_INGRESS, .tcm_handle = INGRESS_HANDLE };
	struct nlmsg q;
	int r = tc_init(&q, fd, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, name, &about, "ingress", e);

	if (r)
		return r;
	r = nlmsg_talk(fd, &q);
	return r && r != -EEXIST ? err_set(e, r, "take hold of what comes in by %s: %s", name, strerror(-r)) : 0;
}

/* What is done with every packet: u32's selection by no bits at all, which every kernel of ours has. */
static void action_put(struct nlmsg *q, uint32_t to)
{
	const struct tc_u32_sel all = { .flags = TC_U32_TERMINAL };
	const struct tc_mirred away = { .action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = to };
	struct nlattr *actions, *first, *options;

	nlmsg_attr(q, TCA_U32_SEL, &all, sizeof(all));
	actions = nlmsg_attr(q, TCA_U32_ACT, NULL, 0);
	first = nlmsg_attr(q, 1, NULL, 0);
	nlmsg_attr(q, TCA_ACT_KIND, "mirred", sizeof("mirred"));
	options = nlmsg_attr(q, TCA_ACT_OPTIONS, NULL, 0);
	nlmsg_attr(q, TCA_MIRRED_PARMS, &away, sizeof(away));
	nlmsg_end(q, options);
	nlmsg_end(q, first);
	nlmsg_end(q, actions);
}

int qdisc_lead(int fd, const char *name, const char *to, struct err *e)
{
	const struct tcmsg about = { .tcm_parent = INGRESS_HANDLE,
				     .tcm_handle = FILTER_HANDLE,
				     .tcm_info = TC_H_MAKE((uint32_t)FILTER_PRIORITY << 16, htons(ETH_P_ALL)) };
	struct nlattr *options;
	struct nlmsg q;
	uint32_t index;
	int r;

	if ((r = netlink_index(fd, to, &index, e)) || (r = entry_make(fd, name, e)) ||
	    (r = tc_init(&q, fd, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, name, &about, "u32", e)))
		return r;
	options = nlmsg_attr(&q, TCA_OPTIONS, NULL, 0);
	action_put(&q, index);
	nlmsg_end(&q, options);
	r = nlmsg_talk(fd, &q);
	return r && r != -EEXIST ? err_set(e, r, "lead what comes in by %s to %s: %s", name, to, strerror(-r)) : 0;
}
