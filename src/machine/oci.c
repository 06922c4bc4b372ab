#include "machine/oci.h"

#include "machine/group.h"
#include "machine/root.h"

#include <stdio.h>

/* What root of a container may do inside its own user namespace: what containers have elsewhere too, so that images work. */
static const char *const capabilities[] = {
	"CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FOWNER",  "CAP_FSETID", "CAP_KILL",       "CAP_NET_BIND_SERVICE",
	"CAP_SETFCAP", "CAP_SETGID",       "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT", NULL,
};

struct oci_mount {
	const char *at, *type, *source;
	const char *options[8];
};

static const struct oci_mount mounts[] = {
	{ "/proc", "proc", "proc", { "nosuid", "noexec", "nodev" } },
	{ "/dev", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" } },
	{ "/dev/pts", "devpts", "devpts", { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5" } },
	{ "/dev/shm", "tmpfs", "shm", { "nosuid", "noexec", "nodev", "mode=1777", "size=65536k" } },
	{ "/dev/mqueue", "mqueue", "mqueue", { "nosuid", "noexec", "nodev" } },
};

static const char *const masked[] = { "/proc/acpi",
				      "/proc/kcore",
				      "/proc/keys",
				      "/proc/latency_stats",
				      "/proc/timer_list",
				      "/proc/sched_debug",
				      "/proc/scsi",
				      "/sys/firmware",
				      "/sys/kernel",
				      "/sys/devices/virtual/powercap",
				      NULL };
static const char *const read_only[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL };

static int mount_add(sd_json_variant **list, const struct oci_mount *m)
{
	AUTO_JSON sd_json_variant *one = NULL;
	int r = sd_json_buildo(&one, SD_JSON_BUILD_PAIR_STRING("destination", m->at), SD_JSON_BUILD_PAIR_STRING("type", m->type),
			       SD_JSON_BUILD_PAIR_STRING("source", m->source), SD_JSON_BUILD_PAIR_STRV("options", (char **)m->options));

	return r < 0 ? r : sd_json_variant_append_array(list, one);
}

/* What the runner made in the machine's own directory. */
static const struct {
	const char *at, *name;
} binds[] = {
	{ "/sys", "sys" },
	{ "/etc/resolv.conf", "resolv.conf" },
	{ "/etc/hosts", "hosts" },
	{ "/etc/hostname", "hostname" },
};
/* After /sys: the machine's own group, so that programs see their limits. */
static const struct oci_mount group = { "/sys/fs/cgroup", "cgroup", "cgroup", { "nosuid", "noexec", "nodev", "relatime", "ro" } };

static int mounts_build(const struct oci *o, sd_json_variant **ret)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(mounts); i++)
		r = mount_add(ret, &mounts[i]);
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(binds); i++) {
		char source[192];

		snprintf(source, sizeof(source), "%s/%s", o->dir, binds[i].name);
		r = mount_add(ret, &(struct oci_mount){ binds[i].at, "bind", source, { "bind", "ro", "nosuid", "noexec", "nodev" } });
	}
	if (r >= 0)
		r = mount_add(ret, &group);
	for (size_t i = 0; r >= 0 && i < o->spec->n_mounts; i++) {
		char source[192];

		snprintf(source, sizeof(source), "%s/" ROOT_VOLUMES "/%zu", o->dir, i);
		r = mount_add(ret, &(struct oci_mount){ o->spec->mounts[i].path,
							"bind",
							source,
							{ "bind", "nosuid", "nodev", o->spec->mounts[i].read_only ? "ro" : "rw" } });
	}
	return r;
}

static int namespaces_build(const struct oci *o, sd_json_variant **ret)
{
	static const char *const types[] = { "pid", "ipc", "uts", "mount", "user", "cgroup" };
	AUTO_JSON sd_json_variant *net = NULL;
	int r = sd_json_buildo(&net, SD_JSON_BUILD_PAIR_STRING("type", "network"), SD_JSON_BUILD_PAIR_STRING("path", o->spec->netns));

	if (r >= 0)
		r = sd_json_variant_append_array(ret, net);
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(types); i++) {
		AUTO_JSON sd_json_variant *one = NULL;

		r = sd_json_buildo(&one, SD_JSON_BUILD_PAIR_STRING("type", types[i]));
		if (r >= 0)
			r = sd_json_variant_append_array(ret, one);
	}
	return r;
}

static int env_build(const struct machine_spec *s, const struct user *user, const char *term, sd_json_variant **ret)
{
	char text[160];
	int r = 0;

	*ret = sd_json_variant_ref(s->env);
	snprintf(text, sizeof(text), "HOME=%s", user->home);
	for (int i = 0; r >= 0 && i < (term[0] ? 2 : 1); i++) {
		AUTO_JSON sd_json_variant *one = NULL;

		if (i)
			snprintf(text, sizeof(text), "TERM=%s", term);
		if ((r = sd_json_variant_new_string(&one, text)) >= 0)
			r = sd_json_variant_append_array(ret, one);
	}
	return r;
}

static int groups_build(const struct user *user, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (uint32_t i = 0; r >= 0 && i < user->n_groups; i++) {
		AUTO_JSON sd_json_variant *one = NULL;

		if ((r = sd_json_variant_new_unsigned(&one, user->groups[i])) >= 0)
			r = sd_json_variant_append_array(ret, one);
	}
	return r;
}

struct process {
	const struct user *user;
	sd_json_variant *argv;
	const char *workdir, *term;
	bool tty;
	uint32_t rows, cols; /* 0: nobody says */
};

static int process_build(const struct machine_spec *s, const struct process *p, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *caps = NULL, *env = NULL, *groups = NULL;
	int r = sd_json_variant_new_array_strv(&caps, (char **)capabilities);

	if (r < 0 || (r = env_build(s, p->user, p->term, &env)) < 0 || (r = groups_build(p->user, &groups)) < 0)
		return r;
	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_BOOLEAN("terminal", p->tty),
		/* by crun, not by us once it has ended: the program may look at its size before */
		SD_JSON_BUILD_PAIR_CONDITION(
			p->tty && p->rows && p->cols, "consoleSize",
			SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_UNSIGNED("height", p->rows), SD_JSON_BUILD_PAIR_UNSIGNED("width", p->cols))),
		SD_JSON_BUILD_PAIR_OBJECT("user", SD_JSON_BUILD_PAIR_UNSIGNED("uid", p->user->uid), SD_JSON_BUILD_PAIR_UNSIGNED("gid", p->user->gid),
					  SD_JSON_BUILD_PAIR_VARIANT("additionalGids", groups)),
		SD_JSON_BUILD_PAIR_VARIANT("args", p->argv), SD_JSON_BUILD_PAIR_VARIANT("env", env), SD_JSON_BUILD_PAIR_STRING("cwd", p->workdir),
		SD_JSON_BUILD_PAIR_BOOLEAN("noNewPrivileges", true),
		SD_JSON_BUILD_PAIR_OBJECT("capabilities", SD_JSON_BUILD_PAIR_VARIANT("bounding", caps), SD_JSON_BUILD_PAIR_VARIANT("effective", caps),
					  SD_JSON_BUILD_PAIR_VARIANT("permitted", caps)));
}

int oci_process_format(const struct machine_spec *s, const struct exec_program *p, const struct user *user, struct buf *ret, struct err *e)
{
	AUTO_JSON sd_json_variant *argv = NULL, *v = NULL;
	struct process one = {
		.user = user, .workdir = p->workdir[0] ? p->workdir : s->workdir, .term = p->term, .tty = p->tty, .rows = p->rows, .cols = p->cols
	};
	int r = sd_json_variant_new_array_strv(&argv, (char **)p->argv);

	one.argv = argv;
	if (r < 0 || (r = process_build(s, &one, &v)) < 0 || (r = json_format(v, ret)) < 0)
		return err_set(e, r, "describe the program: %s", strerror(-r));
	return 0;
}

static int linux_build(const struct oci *o, sd_json_variant **ret)
{
	const struct machine_spec *s = o->spec;
	AUTO_JSON sd_json_variant *namespaces = NULL, *map = NULL, *maps = NULL;
	int r = sd_json_variant_new_array(&namespaces, NULL, 0);

	if (r < 0 || (r = namespaces_build(o, &namespaces)) < 0 ||
	    (r = sd_json_buildo(&map, SD_JSON_BUILD_PAIR_UNSIGNED("containerID", 0), SD_JSON_BUILD_PAIR_UNSIGNED("hostID", o->uid_base),
				SD_JSON_BUILD_PAIR_UNSIGNED("size", MACHINE_UID_COUNT))) < 0 ||
	    (r = sd_json_variant_new_array(&maps, &map, 1)) < 0)
		return r;
	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_VARIANT("namespaces", namespaces), SD_JSON_BUILD_PAIR_VARIANT("uidMappings", maps),
		SD_JSON_BUILD_PAIR_VARIANT("gidMappings", maps), SD_JSON_BUILD_PAIR_STRING("cgroupsPath", o->cgroup),
		SD_JSON_BUILD_PAIR_OBJECT("resources", SD_JSON_BUILD_PAIR_OBJECT("memory", SD_JSON_BUILD_PAIR_UNSIGNED("limit", s->memory_bytes)),
					  SD_JSON_BUILD_PAIR_OBJECT("cpu", SD_JSON_BUILD_PAIR_UNSIGNED("period", 100000),
								    SD_JSON_BUILD_PAIR_UNSIGNED("quota", s->cpu_milli * 100)),
					  SD_JSON_BUILD_PAIR_OBJECT("pids", SD_JSON_BUILD_PAIR_UNSIGNED("limit", GROUP_CONTAINER_TASKS_MAX)),
					  SD_JSON_BUILD_PAIR_OBJECT("unified", SD_JSON_BUILD_PAIR_STRING("memory.oom.group", "1"))),
		SD_JSON_BUILD_PAIR_STRV("maskedPaths", (char **)masked), SD_JSON_BUILD_PAIR_STRV("readonlyPaths", (char **)read_only),
		SD_JSON_BUILD_PAIR_CONDITION(o->seccomp != NULL, "seccomp", SD_JSON_BUILD_VARIANT(o->seccomp)));
}

int oci_format(const struct oci *o, struct buf *ret, struct err *e)
{
	AUTO_JSON sd_json_variant *process = NULL, *list = NULL, *kernel = NULL, *v = NULL;
	const struct process first = { .user = &o->user, .argv = o->spec->argv, .workdir = o->spec->workdir, .term = "" };
	int r = sd_json_variant_new_array(&list, NULL, 0);

	if (r < 0 || (r = mounts_build(o, &list)) < 0 || (r = process_build(o->spec, &first, &process)) < 0 || (r = linux_build(o, &kernel)) < 0 ||
	    (r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("ociVersion", "1.1.0"), SD_JSON_BUILD_PAIR_VARIANT("process", process),
				SD_JSON_BUILD_PAIR_OBJECT("root", SD_JSON_BUILD_PAIR_STRING("path", o->root)),
				SD_JSON_BUILD_PAIR_STRING("hostname", o->spec->hostname), SD_JSON_BUILD_PAIR_VARIANT("mounts", list),
				SD_JSON_BUILD_PAIR_VARIANT("linux", kernel))) < 0 ||
	    (r = json_format(v, ret)) < 0)
		return err_set(e, r, "describe the container: %s", strerror(-r));
	return 0;
}
