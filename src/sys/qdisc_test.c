/* A link between two namespaces of this test's own, limited both ways. */
#include "sys/qdisc.h"

#include "sys/netlink.h"
#include "test/rate.h"

#include <sched.h>

enum { HERE = 0x0a010001, THERE = 0x0a010002, AMOUNT = 1 << 20 };
#define LIMIT (1ull << 20)

static char here[32], there[32];
static int nl_here, nl_there;

static void enter_new(char path[static 32], int *ret_nl)
{
	struct err e = { 0 };
	int fd;

	T_NEED(!unshare(CLONE_NEWNET) && (fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) >= 0, "unshare: %m");
	T_NEED(!netlink_open(ret_nl, &e) && !netlink_up(*ret_nl, "lo", &e), "%s", e.msg);
	snprintf(path, 32, "/proc/self/fd/%d", fd);
}

static void up(void)
{
	struct err e = { 0 };

	enter_new(there, &nl_there);
	enter_new(here, &nl_here);
	AUTO_FD int fd = open(there, O_RDONLY | O_CLOEXEC);
	T_NEED(!netlink_add_veth(nl_here, "a", "b", fd, &e) && !netlink_up(nl_here, "a", &e) && !netlink_up(nl_there, "b", &e) &&
		       !netlink_add_address(nl_here, "a", HERE, 24, &e) && !netlink_add_address(nl_there, "b", THERE, 24, &e) &&
		       !netlink_add_link(nl_here, "i", "ifb", &e) && !netlink_up(nl_here, "i", &e),
	       "%s", e.msg);
}

/* What leaves here, and what comes. */
static uint64_t rate(bool leaves)
{
	return rate_of(here, there, THERE, leaves, AMOUNT);
}

static bool is_limited(uint64_t rate)
{
	return rate <= LIMIT * 5 / 4 && rate >= LIMIT / 4;
}

static void a_link_without_a_limit_is_fast(void)
{
	T_CHECK(rate(true) > 8 * LIMIT, "leaving: %lu", (unsigned long)rate(true));
	T_CHECK(rate(false) > 8 * LIMIT, "coming: %lu", (unsigned long)rate(false));
}

static void what_leaves_keeps_to_its_rate(void)
{
	struct err e = { 0 };
	uint64_t got;

	for (int i = 0; i < 2; i++)
		T_NEED(!qdisc_set_rate(nl_here, "a", LIMIT, &e), "%d: %s", i, e.msg);
	got = rate(true);
	T_CHECK(is_limited(got), "leaving: %lu", (unsigned long)got);
	got = rate(false);
	T_CHECK(got > 8 * LIMIT, "coming: %lu", (unsigned long)got);
}

static void what_comes_keeps_to_its_own(void)
{
	struct err e = { 0 };
	uint64_t got;

	T_NEED(!qdisc_clear_rate(nl_here, "a", &e) && !qdisc_set_rate(nl_here, "i", LIMIT, &e), "%s", e.msg);
	for (int i = 0; i < 2; i++)
		T_NEED(!qdisc_lead(nl_here, "a", "i", &e), "%d: %s", i, e.msg);
	got = rate(false);
	T_CHECK(is_limited(got), "coming: %lu", (unsigned long)got);
	got = rate(true);
	T_CHECK(got > 8 * LIMIT, "leaving: %lu", (unsigned long)got);
}

static void a_rate_can_change_and_go(void)
{
	struct err e = { 0 };
	uint64_t got;

	T_NEED(!qdisc_set_rate(nl_here, "i", 8 * LIMIT, &e), "%s", e.msg);
	got = rate(false);
	T_CHECK(got > LIMIT * 3 / 2 && got < 10 * LIMIT, "changed: %lu", (unsigned long)got);
	T_NEED(!qdisc_set_rate(nl_here, "i", 1ull << 36, &e), "more than 32 bits: %s", e.msg);
	for (int i = 0; i < 2; i++)
		T_NEED(!qdisc_unlead(nl_here, "a", &e) && !qdisc_clear_rate(nl_here, "a", &e) && !qdisc_clear_rate(nl_here, "none", &e), "%d: %s", i,
		       e.msg);
	got = rate(false);
	T_CHECK(got > 8 * LIMIT, "gone: %lu", (unsigned long)got);
}

static void what_is_not_there_is_said(void)
{
	struct err e = { 0 };

	T_CHECK(!qdisc_set_rate(nl_here, "a", LIMIT, &e), "%s", e.msg);
	T_CHECK(qdisc_set_rate(nl_here, "none", LIMIT, &e) == -ENODEV && e.msg[0], "%s", e.msg);
	T_CHECK(qdisc_lead(nl_here, "a", "none", &e) == -ENODEV && qdisc_lead(nl_here, "none", "i", &e) == -ENODEV, "%s", e.msg);
}

int main(void)
{
	up();
	T_RUN(a_link_without_a_limit_is_fast);
	T_RUN(what_leaves_keeps_to_its_rate);
	T_RUN(what_comes_keeps_to_its_own);
	T_RUN(a_rate_can_change_and_go);
	T_RUN(what_is_not_there_is_said);
	close(nl_here);
	close(nl_there);
	return T_END();
}
