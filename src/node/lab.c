/* lab COMMAND ID [MORE] -- debug flavour only: what noded does with one machine, by hand, so that tests of machines need no grid.
 *
 *   net ID vm|container   makes the machine's link as the engine would, prints it as JSON
 *   start ID, stop ID     the machine's runner; the spec stands in /run/zos/machines/ID/spec.json. stop waits for the end
 *   wait ID STATE         until the runner says STATE; prints what it said
 *   logs ID               the kept output */
#include "machine/machine.h"
#include "network/network.h"
#include "svc/daemon.h"
#include "sys/supervisor.h"

#include <stdio.h>

enum { UID_IMAGED = 902, UID_QEMU = 904, STOP_TIMEOUT_MS = 60000, WAIT_TIMEOUT_US = 120 * 1000000 };

struct lab {
	sd_event *event;
	const char *id, *more;
};

static void unit_of(const struct lab *l, char ret[static SUPERVISOR_NAME_MAX])
{
	snprintf(ret, SUPERVISOR_NAME_MAX, "machine@%s", l->id);
}

static int cmd_net(struct lab *l, struct err *e)
{
	static const struct network_options o = { .dir = NETWORK_DIR,
						  .resolv_conf = "/run/zos/resolv.conf",
						  .tap_uid = UID_QEMU,
						  .imaged_uid = UID_IMAGED,
						  .filter = "/usr/lib/zos/filter" };
	struct work w = { .spec.isolation = !strcmp(l->more, "vm") ? ISOLATION_VM : ISOLATION_CONTAINER };
	struct provider *p;
	int r = network_provider_new(l->event, &o, &p, e);

	if (r)
		return r;
	snprintf(w.id, sizeof(w.id), "%s", l->id);
	if (!(r = p->ops->apply(p, &w, e)))
		printf("{\"index\":%u,\"device\":\"%s\",\"netns\":\"%s\",\"address\":\"%s\",\"gateway\":\"%s\",\"mac\":\"%s\"}\n", w.network.index,
		       w.network.device, w.network.netns, w.network.address, w.network.gateway, w.network.mac);
	network_provider_free(p);
	return r;
}

static int cmd_start(struct lab *l, struct err *e)
{
	struct supervisor s = SUPERVISOR_DEFAULT;
	struct supervisor_unit u;
	char name[SUPERVISOR_NAME_MAX];
	int r;

	unit_of(l, name);
	if ((r = supervisor_start(&s, name, e)))
		return r;
	return supervisor_wait(&s, name, 1u << SUPERVISOR_UP | 1u << SUPERVISOR_BACKOFF, STOP_TIMEOUT_MS, &u, e);
}

static int cmd_stop(struct lab *l, struct err *e)
{
	struct supervisor s = SUPERVISOR_DEFAULT;
	struct supervisor_unit u;
	char name[SUPERVISOR_NAME_MAX];
	int r;

	unit_of(l, name);
	if ((r = supervisor_stop(&s, name, e)) < 0)
		return r;
	return supervisor_wait(&s, name, 1u << SUPERVISOR_DOWN | 1u << SUPERVISOR_DONE, STOP_TIMEOUT_MS, &u, e);
}

static int on_state(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct lab *l = userdata;
	sd_json_variant *state = sd_json_variant_by_key(v, "state");

	(void)link;
	(void)flags;
	if (error_id || !sd_json_variant_is_string(state))
		return sd_event_exit(l->event, 1);
	if (strcmp(sd_json_variant_string(state), l->more))
		return 0;
	sd_json_variant_dump(v, SD_JSON_FORMAT_NEWLINE, stdout, NULL);
	return sd_event_exit(l->event, 0);
}

static int runner_link(struct lab *l, sd_varlink **ret, struct err *e)
{
	char path[128];

	snprintf(path, sizeof(path), "/run/zos/machines/%s/sock", l->id);
	return daemon_connect(l->event, path, l, on_state, ret, e);
}

static int cmd_wait(struct lab *l, struct err *e)
{
	CLEANUP(link_closep) sd_varlink *link = NULL;
	int r = runner_link(l, &link, e);

	if (r)
		return r;
	if (sd_varlink_observe(link, "zos.Runner.Watch", NULL) < 0 ||
	    sd_event_add_time_relative(l->event, NULL, CLOCK_MONOTONIC, WAIT_TIMEOUT_US, 0, NULL, (void *)1) < 0)
		return err_set(e, -EIO, "watch the runner");
	return sd_event_loop(l->event) ? err_set(e, -ETIMEDOUT, "%s did not become %s", l->id, l->more) : 0;
}

static int cmd_logs(struct lab *l, struct err *e)
{
	CLEANUP(link_closep) sd_varlink *link = NULL;
	AUTO_FD int fd = -1;
	sd_json_variant *v = NULL;
	const char *error_id = NULL;
	char bytes[4096];
	ssize_t n;
	int r = runner_link(l, &link, e);

	if (r)
		return r;
	sd_varlink_set_relative_timeout(link, WAIT_TIMEOUT_US);
	r = sd_varlink_callbo(link, "zos.Runner.Logs", &v, &error_id, SD_JSON_BUILD_PAIR_BOOLEAN("follow", false));
	if (r < 0 || error_id || (fd = sd_varlink_take_fd(link, 0)) < 0)
		return err_set(e, -EIO, "ask for the log: %s", error_id ? error_id : strerror(-r));
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		fwrite(bytes, 1, (size_t)n, stdout);
	return 0;
}

static const struct {
	const char *name;
	int n_args;
	int (*run)(struct lab *l, struct err *e);
} commands[] = {
	{ "net", 4, cmd_net }, { "start", 3, cmd_start }, { "stop", 3, cmd_stop }, { "wait", 4, cmd_wait }, { "logs", 3, cmd_logs },
};

int main(int argc, char **argv)
{
	CLEANUP(event_unrefp) sd_event *event = NULL;
	struct err e = { 0 };
	int r = daemon_loop("lab", &event, &e);

	if (r)
		return daemon_failed(&e);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (argc == commands[i].n_args && !strcmp(argv[1], commands[i].name)) {
			struct lab l = { .event = event, .id = argv[2], .more = argc > 3 ? argv[3] : NULL };

			r = commands[i].run(&l, &e);
			return r < 0 ? daemon_failed(&e) : EXIT_SUCCESS;
		}
	fprintf(stderr, "lab net|start|stop|wait|logs ID [MORE]\n");
	return 2;
}
