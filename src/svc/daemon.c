#include "svc/daemon.h"

#include "api/call.h"
#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

static const int quit[] = { SIGTERM, SIGINT };
static const int held[] = { SIGTERM, SIGINT, SIGCHLD }; /* the last for sd_event_add_child(), which asks for it also where it waits by a pidfd */

int daemon_loop(const char *name, sd_event **ret, struct err *e)
{
	CLEANUP(event_unrefp) sd_event *event = NULL;
	sigset_t blocked;
	int r;

	log_init(name, getenv("ZOS_DEBUG") != NULL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&blocked);
	for (size_t i = 0; i < ARRAY_LEN(held); i++)
		sigaddset(&blocked, held[i]);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	if ((r = sd_event_new(&event)) < 0)
		return err_set(e, r, "make the event loop: %s", strerror(-r));
	*ret = take_ptr(event);
	return 0;
}

void daemon_ready(const char *status)
{
	sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

int daemon_run(sd_event *event)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(quit); i++) {
		r = sd_event_add_signal(event, NULL, quit[i], NULL, NULL);
		r = r == -EBUSY ? 0 : r; /* the daemon has a handler of its own */
	}
	if (r >= 0)
		r = sd_event_loop(event);
	sd_notify(0, "STOPPING=1");
	if (r < 0)
		log_err("the event loop ended: %s", strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int daemon_failed(const struct err *e)
{
	log_err("%s", e->msg);
	sd_notifyf(0, "STATUS=%s", e->msg); /* what the supervisor tells of a service that cannot start */
	return EXIT_FAILURE;
}

int daemon_listen(sd_event *event, const char *path, mode_t mode, void *userdata, sd_varlink_server **ret, struct err *e)
{
	sd_varlink_server *server = NULL;
	int r;

	unlink(path); /* of the run before: its owner is gone, or this one would not be started */
	if ((r = sd_varlink_server_new(&server, SD_VARLINK_SERVER_INHERIT_USERDATA)) < 0 ||
	    (r = sd_varlink_server_listen_address(server, path, mode)) < 0 ||
	    (r = sd_varlink_server_attach_event(server, event, SD_EVENT_PRIORITY_NORMAL)) < 0) {
		sd_varlink_server_unref(server);
		return err_set(e, r, "listen on %s: %s", path, strerror(-r));
	}
	sd_varlink_server_set_userdata(server, userdata);
	*ret = server;
	return 0;
}

int daemon_connect(sd_event *event, const char *path, void *userdata, sd_varlink_reply_t on_reply, sd_varlink **ret, struct err *e)
{
	CLEANUP(link_closep) sd_varlink *link = NULL;
	int r;

	if ((r = sd_varlink_connect_address(&link, path)) < 0 || (r = sd_varlink_set_allow_fd_passing_input(link, true)) < 0 ||
	    (r = sd_varlink_bind_reply(link, on_reply)) < 0 || (r = sd_varlink_set_relative_timeout(link, UINT64_MAX)) < 0 ||
	    (r = sd_varlink_attach_event(link, event, SD_EVENT_PRIORITY_NORMAL)) < 0)
		return err_set(e, r, "connect to %s: %s", path, strerror(-r));
	sd_varlink_set_userdata(link, userdata);
	*ret = take_ptr(link);
	return 0;
}

int daemon_reply_error(sd_varlink *link, int code, const struct err *e)
{
	return sd_varlink_errorbo(link, call_error_name(code), SD_JSON_BUILD_PAIR_STRING("message", e && e->msg[0] ? e->msg : strerror(-code)));
}

int daemon_error_of(const char *error_id, sd_json_variant *parameters, struct err *e)
{
	sd_json_variant *message = sd_json_variant_by_key(parameters, "message");
	int code = call_error_code(error_id);

	if (sd_json_variant_is_string(message))
		return err_set(e, code, "%s", sd_json_variant_string(message));
	return err_set(e, code, "%s", error_id);
}

void event_unrefp(sd_event **p)
{
	*p = sd_event_unref(*p);
}

void source_unrefp(sd_event_source **p)
{
	*p = sd_event_source_disable_unref(*p);
}

void link_closep(sd_varlink **p)
{
	*p = sd_varlink_close_unref(*p);
}
