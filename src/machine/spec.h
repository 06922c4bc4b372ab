/* What a runner is told: one JSON file, written by the engine, read once by the runner at its start. doc/machine.md. */
#pragma once
#include "svc/provider.h"

enum { SPEC_SIZE_MAX = 1 << 20, MACHINE_UID_BASE = 1 << 20, MACHINE_UID_COUNT = 1 << 16 };

/* What is mounted into it. */
struct machine_mount {
	const char *source; /* path: a directory, or of a disk its raw file */
	const char *name;   /* of the volume or zmount */
	const char *path;   /* in the machine; NULL for a disk image */
	const char *format; /* a disk's; NULL = it is none */
	bool read_only;
};

/* A key-value store in the place of a machine. */
struct zdb_spec {
	const char *path; /* its directory; NULL = it is a machine */
	const char *password; /* NULL = none */
	uint64_t size_bytes;
	unsigned mode;
	bool is_public;
};

/* A link into a private network: eth1 and on, in their order. */
struct machine_link {
	const char *netns, *device; /* of the network's end: path of its namespace, name there */
	const char *mac, *address, *range, *gateway, *address6, *range6, *gateway6; /* addresses with their subnet's prefix */
};

struct machine_spec {
	sd_json_variant *v; /* owned: what the texts point into */
	const char *id, *revision, *hostname;
	unsigned isolation, boot, restart;
	uint64_t cpu_milli, memory_bytes, rootfs_bytes;
	uint64_t index; /* of the machine on this node: decides its range of uids */
	const char *device, *netns, *address, *gateway, *mac;
	sd_json_variant *layers; /* paths of EROFS files, lowest first */
	sd_json_variant *argv, *env;
	const char *workdir, *user; /* USER as the image or the owner wrote it: name or number[:group] */
	const char *stop_signal;    /* "SIGTERM" */
	sd_json_variant *resolvers; /* addresses */
	sd_json_variant *search;    /* domains; NULL = none */
	struct machine_link links[ZMACHINE_NETWORKS_MAX];
	size_t n_links;
	const char *user_data;      /* for cloud-init; NULL = none */
	sd_json_variant *modules;   /* names; NULL = none */
	struct zdb_spec zdb;
	struct machine_mount mounts[ZMACHINE_MOUNTS_MAX]; /* outer paths before inner ones */
	size_t n_mounts;
	sd_json_variant *check;     /* the owner's words for it; NULL = none */
	struct health_check health; /* failures 0 = none */
};
void machine_spec_deinit(struct machine_spec *s);

/* Puts the owner's wishes over the image's defaults and appends the JSON. RESOLVERS: whom a machine without private networks asks for names.
 * -EBADMSG when there is nothing to run. */
MUST_CHECK int machine_spec_build(const struct work *w, sd_json_variant *resolvers, struct buf *ret, struct err *e);
MUST_CHECK int machine_spec_read(struct machine_spec *ret, struct str json, struct err *e);
/* -EBADMSG. */
MUST_CHECK int machine_link_card(const struct machine_link *l, struct card *ret, struct err *e);
/* The number of stop_signal; SIGTERM for a name that means nothing. */
int machine_spec_signal(const struct machine_spec *s);
