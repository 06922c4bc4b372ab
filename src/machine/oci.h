/* The OCI runtime configuration of a container (opencontainers/runtime-spec 1.2, config.md), made from a machine's spec. */
#pragma once
#include "machine/spec.h"
#include "sys/exec_wire.h"
#include "sys/user.h"

struct oci {
	const struct machine_spec *spec;
	struct user user;
	const char *root;         /* path of the mounted root */
	const char *dir;          /* holds resolv.conf, hosts, hostname */
	const char *cgroup;       /* below the cgroup mount */
	uint32_t uid_base;
	sd_json_variant *seccomp; /* NULL = none */
};

/* Appends config.json. */
MUST_CHECK int oci_format(const struct oci *o, struct buf *ret, struct err *e);
/* Appends the description of one more process of the same container, as `crun exec --process` takes it. USER is P's, looked up. */
MUST_CHECK int oci_process_format(const struct machine_spec *s, const struct exec_program *p, const struct user *user, struct buf *ret,
				  struct err *e);
