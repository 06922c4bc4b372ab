/* A container: crun makes it, this waits for it. A start is three children one after the other: crun run, which leaves the container's
 * first process to the runner (its subreaper) and ends; that process; and crun delete, so that the name is free for the next start. */
#include "machine/runner.h"

#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"
#include "machine/enter.h"
#include "machine/group.h"
#include "machine/look.h"
#include "machine/oci.h"
#include "machine/root.h"
#include "sys/cgroup.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define SECCOMP_PROFILE "/usr/share/zos/seccomp.json"

struct container {
	struct root root;
	char group[160]; /* what crun makes at each start; its parent has the limits and stays, as what is written to the root counts there */
	sd_event_source *child;
	pid_t pid; /* the container's first process; 0 = none */
	int exit_status;
	bool failed; /* crun could not make it */
};

static struct container *container_of_runner(const struct runner *r)
{
	return r->box_state;
}

static int seccomp_load(sd_json_variant **ret, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	int r = file_read(AT_FDCWD, SECCOMP_PROFILE, 1 << 20, &text, e);

	return r ? r : json_parse(buf_str(&text), ret, e);
}

static int etc_write(const struct runner *r, struct err *e)
{
	AUTO_BUF struct buf resolv = { 0 }, hosts = { 0 }, hostname = { 0 };
	const struct machine_spec *s = &r->spec;
	const struct {
		const char *name;
		const struct buf *content;
	} files[] = { { "resolv.conf", &resolv }, { "hosts", &hosts }, { "hostname", &hostname } };

	for (size_t i = 0; s->search && i < sd_json_variant_elements(s->search); i++)
		buf_addf(&resolv, "%s%s", i ? " " : "search ", sd_json_variant_string(sd_json_variant_by_index(s->search, i)));
	buf_addf(&resolv, "%s", resolv.len ? "\n" : "");
	for (size_t i = 0; i < sd_json_variant_elements(s->resolvers); i++)
		buf_addf(&resolv, "nameserver %s\n", sd_json_variant_string(sd_json_variant_by_index(s->resolvers, i)));
	buf_addf(&hosts, "127.0.0.1 localhost\n::1 localhost\n%s %s\n", s->address, s->hostname);
	buf_addf(&hostname, "%s\n", s->hostname);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char path[160];
		int ret;

		snprintf(path, sizeof(path), "%s/%s", r->dir, files[i].name);
		if ((ret = file_save(AT_FDCWD, path, buf_str(files[i].content), 0644, e)))
			return ret;
	}
	return 0;
}

static int config_write(struct runner *r, struct err *e)
{
	struct container *c = container_of_runner(r);
	AUTO_BUF struct buf text = { 0 };
	AUTO_JSON sd_json_variant *seccomp = NULL;
	char cgroup[128], path[128];
	struct oci o = { .spec = &r->spec, .root = c->root.path, .dir = r->dir, .cgroup = cgroup, .uid_base = root_uid_base(&r->spec) };
	int ret;

	snprintf(cgroup, sizeof(cgroup), "/zos/machines/%s/box/run", r->spec.id);
	snprintf(path, sizeof(path), "%s/config.json", r->dir);
	if ((ret = look_user(c->root.path, o.uid_base, r->spec.user, &o.user, e)) || (ret = seccomp_load(&seccomp, e)))
		return ret;
	o.seccomp = seccomp;
	if ((ret = oci_format(&o, &text, e)))
		return ret;
	return file_save(AT_FDCWD, path, buf_str(&text), 0600, e);
}

static int on_tasks_refused(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
	char text[128];

	(void)source;
	(void)event;
	snprintf(text, sizeof(text), "had all of the %d processes and threads a machine may have, and was refused more", GROUP_CONTAINER_TASKS_MAX);
	runner_warn(userdata, text);
	return 0;
}

static int tasks_watch(struct runner *r, struct err *e)
{
	char path[160];
	int ret;

	snprintf(path, sizeof(path), "%s/pids.events", r->box_group);
	ret = sd_event_add_inotify(r->event, NULL, path, IN_MODIFY, on_tasks_refused, r);
	return ret < 0 ? err_set(e, ret, "watch %s: %s", path, strerror(-ret)) : 0;
}

/* A runner that died could not have crun forget its container, whose processes PID 1 has ended: its name would be taken. */
static int crun_forget(const struct runner *r, struct err *e)
{
	char state[128];

	snprintf(state, sizeof(state), "%s/crun", r->dir);
	return tree_remove(AT_FDCWD, state, e);
}

static int container_prepare(struct runner *r, struct err *e)
{
	const struct group_limits limits = { r->spec.memory_bytes, r->spec.cpu_milli, GROUP_CONTAINER_TASKS_MAX };
	struct container *c = calloc(1, sizeof(*c));
	int ret;

	BUG_ON(!c);
	r->box_state = c;
	snprintf(c->group, sizeof(c->group), "%s/run", r->box_group);
	if ((ret = crun_forget(r, e)) || (ret = group_make(r->box_group, &limits, e)) || (ret = tasks_watch(r, e)))
		return ret;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		return err_set(e, -errno, "adopt what crun leaves: %m");
	if ((ret = root_make(&r->spec, r->dir, &c->root, e)) || (ret = etc_write(r, e)))
		return ret;
	return config_write(r, e);
}

/* Starts crun with ARGV behind its global options; its and the container's output go to the log. */
static int crun_spawn(struct runner *r, const char *const *argv, sd_event_child_handler_t done, struct err *e)
{
	struct container *c = container_of_runner(r);
	char state[128];
	const char *all[16] = { "crun", "--root", state, "--cgroup-manager=cgroupfs" };
	size_t n = 4;
	AUTO_FD int out = -1, err = -1;
	sigset_t none;
	pid_t pid;
	int ret;

	snprintf(state, sizeof(state), "%s/crun", r->dir);
	while (*argv)
		all[n++] = *argv++;
	if ((ret = output_pipe(&r->output, OUTPUT_OUT, &out, e)) || (ret = output_pipe(&r->output, OUTPUT_ERR, &err, e)))
		return ret;
	pid = fork();
	if (pid < 0)
		return err_set(e, -errno, "start crun: %m");
	if (!pid) {
		static const char *const env[] = { "PATH=/usr/sbin:/usr/bin", NULL }; /* ours names init's socket: not for a container */
		int null = open("/dev/null", O_RDONLY);

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		setsid();
		dup2(null, 0);
		dup2(out, 1);
		dup2(err, 2);
		execve("/usr/bin/crun", (char **)all, (char **)env);
		_exit(127);
	}
	sd_event_source_disable_unref(take_ptr(c->child));
	ret = sd_event_add_child(r->event, &c->child, pid, WEXITED, done, r);
	return ret < 0 ? err_set(e, ret, "wait for crun: %s", strerror(-ret)) : 0;
}

static int on_deleted(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct runner *r = userdata;
	struct container *c = container_of_runner(r);

	(void)source;
	(void)si;
	c->pid = 0;
	runner_ended(r, c->exit_status, false, c->failed ? "crun could not make the container: see 'zos logs'" : NULL);
	return 0;
}

static void clean(struct runner *r)
{
	const char *const argv[] = { "delete", "--force", r->spec.id, NULL };
	struct container *c = container_of_runner(r);
	struct err e = { 0 };

	if (!crun_spawn(r, argv, on_deleted, &e))
		return;
	log_err("%s", e.msg);
	runner_ended(r, c->exit_status, false, e.msg);
}

static int on_container_end(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct runner *r = userdata;
	struct container *c = container_of_runner(r);

	(void)source;
	c->exit_status = si->si_code == CLD_EXITED ? si->si_status : 128 + si->si_status;
	clean(r);
	return 0;
}

static int pid_read(const struct runner *r, pid_t *ret)
{
	AUTO_BUF struct buf text = { 0 };
	char path[128];
	uint64_t pid;

	snprintf(path, sizeof(path), "%s/pid", r->dir);
	if (file_read(AT_FDCWD, path, 32, &text, NULL) || parse_u64(buf_str(&text), INT32_MAX, &pid))
		return -ENOENT;
	*ret = (pid_t)pid;
	return 0;
}

static bool is_named_crun(pid_t pid)
{
	AUTO_BUF struct buf name = { 0 };
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	return !file_read(AT_FDCWD, path, 32, &name, NULL) && str_eq(buf_str(&name), S("crun\n"));
}

/* It was waited for by being watched. */
static int on_stray(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	(void)si;
	(void)userdata;
	sd_event_source_disable_unref(source);
	return 0;
}

/* Of what crun forks at each start one process ends, now or a little later, that nobody waits for, and falls to this one, the subreaper. The other children are
 * waited for by who started them: CRUN itself, the container's FIRST process, and what looks after sessions and health. */
static void strays_watch(struct runner *r, pid_t crun, pid_t first)
{
	AUTO_BUF struct buf text = { 0 };
	struct str rest, word;
	uint64_t pid;

	if (file_read(AT_FDCWD, "/proc/thread-self/children", 65536, &text, NULL))
		return;
	for (rest = buf_str(&text); str_next(&rest, ' ', &word);) {
		sd_event_source *source;

		if (!parse_u64(word, INT32_MAX, &pid) && (pid_t)pid != crun && (pid_t)pid != first && is_named_crun((pid_t)pid))
			(void)sd_event_add_child(r->event, &source, (pid_t)pid, WEXITED, on_stray, NULL); /* -EBUSY: somebody does */
	}
}

static int on_crun_end(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct runner *r = userdata;
	struct container *c = container_of_runner(r);
	bool is_made = si->si_code == CLD_EXITED && !si->si_status && !pid_read(r, &c->pid);

	(void)source;
	strays_watch(r, si->si_pid, c->pid);
	if (is_made) {
		sd_event_source_disable_unref(take_ptr(c->child));
		if (sd_event_add_child(r->event, &c->child, c->pid, WEXITED, on_container_end, r) >= 0) {
			/* the end comes last: first all that was said */
			sd_event_source_set_priority(c->child, SD_EVENT_PRIORITY_IDLE);
			runner_started(r);
			return 0;
		}
	}
	c->failed = true;
	c->exit_status = 125;
	clean(r);
	return 0;
}

static int container_start(struct runner *r, struct err *e)
{
	struct container *c = container_of_runner(r);
	char pid_file[128];
	const char *const argv[] = { "run", "--detach", "--pid-file", pid_file, "--bundle", r->dir, r->spec.id, NULL };

	snprintf(pid_file, sizeof(pid_file), "%s/pid", r->dir);
	unlink(pid_file);
	c->failed = false;
	return crun_spawn(r, argv, on_crun_end, e);
}

static void container_term(struct runner *r)
{
	struct container *c = container_of_runner(r);

	if (c->pid)
		kill(c->pid, machine_spec_signal(&r->spec));
}

static void container_kill(struct runner *r)
{
	group_end(container_of_runner(r)->group);
}

static void container_pause(struct runner *r, bool on)
{
	group_freeze(container_of_runner(r)->group, on);
}

static int container_exec(struct runner *r, unsigned slot, const struct exec_program *p, int stream)
{
	return enter_container(r, container_of_runner(r)->root.path, slot, p, stream);
}

static void container_deinit(struct runner *r)
{
	struct container *c = container_of_runner(r);

	if (c)
		sd_event_source_disable_unref(c->child);
	free(c);
}

const struct box_ops container_box = {
	.prepare = container_prepare,
	.start = container_start,
	.term = container_term,
	.kill = container_kill,
	.pause = container_pause,
	.exec = container_exec,
	.deinit = container_deinit,
};
