/* The OCI runtime configuration of a container (opencontainers/runtime-spec 1.2, config.md), made from a machine's spec. */
#pragma once
#include "machine/spec.h"
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
