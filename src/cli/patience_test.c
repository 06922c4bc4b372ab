/* How long an answer is waited for, on a clock of the test's own: each turn of the loop takes as long as it may. */
#include "cli/client.h"

#include "api/call.h"
#include "test/t.h"

#include <sys/socket.h>

enum { NEVER = INT32_MAX };

static struct {
	uint64_t now_ms, answer_ms; /* the node answers then */
	struct link *link;
} lab;

uint64_t __wrap_log_now_ms(void);
uint64_t __wrap_log_now_ms(void)
{
	return lab.now_ms;
}

int __wrap_sd_event_run(sd_event *event, uint64_t timeout_us);
int __wrap_sd_event_run(sd_event *event, uint64_t timeout_us)
{
	uint64_t end_ms = timeout_us == UINT64_MAX ? NEVER : lab.now_ms + timeout_us / 1000;

	(void)event;
	lab.link->answered = lab.answer_ms <= end_ms;
	lab.now_ms = lab.link->answered ? lab.answer_ms : end_ms;
	return 0;
}

static int ask(const char *method, uint64_t answer_ms, struct err *e)
{
	struct client client = CLIENT_NONE;
	struct link link = { .client = &client };
	struct key node = KEY_NONE;
	int fd[2], r;

	T_NEED(!key_new(KEY_FARM, &client.key) && !key_new(KEY_NODE, &node) && sd_event_new(&client.event) >= 0, "keys");
	T_NEED(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) && sd_varlink_connect_fd(&link.varlink, fd[0]) >= 0, "link");
	link.node = node.pub;
	lab = (typeof(lab)){ .answer_ms = answer_ms, .link = &link };
	r = link_call(&link, method, NULL, NULL, e);
	link_close(&link);
	close(fd[1]);
	sd_event_unref(client.event);
	key_wipe(&client.key);
	return r;
}

static void a_disk_is_waited_for_longer_than_the_node_gives_it(void)
{
	static const struct {
		const char *method;
		uint64_t answer_ms;
		int r;
		const char *says;
	} rows[] = {
		{ "zos.Node.Info", 19000, 0, "" },
		{ "zos.Node.Info", 21000, -ETIMEDOUT, "did not answer within 20 s" },
		{ "zos.Node.WipeDisk", 21000, 0, "" },
		{ "zos.Node.WipeDisk", CALL_DISK_MS + 15000, 0, "" }, /* it says that the disk does not answer */
		{ "zos.Node.WipeDisk", NEVER, -ETIMEDOUT, "did not answer within 320 s" },
		{ "zos.Node.RecoverDisk", CALL_DISK_MS + 15000, 0, "" },
		{ "zos.Node.RecoverDisk", NEVER, -ETIMEDOUT, "did not answer within 320 s" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };
		int r = ask(rows[i].method, rows[i].answer_ms, &e);

		T_CHECK(r == rows[i].r && strstr(e.msg, rows[i].says), "row %zu: %d '%s' after %llu ms", i, r, e.msg, (unsigned long long)lab.now_ms);
	}
}

int main(void)
{
	T_RUN(a_disk_is_waited_for_longer_than_the_node_gives_it);
	return T_END();
}
