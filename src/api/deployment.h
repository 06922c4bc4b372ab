/* A deployment: what an owner wants to run on a node. doc/deployment.md is the reference for its fields.
 *
 * deployment_open() accepts or refuses it as a whole, with the JSON path of what is wrong. */
#pragma once
#include "api/doc.h"
#include "base/endpoint.h"
#include "base/parse.h"

enum {
	DEPLOYMENT_WORKLOADS_MAX = 64,
	DEPLOYMENT_SIGNERS_MAX = DSSE_SIGNATURES_MAX,
	DEPLOYMENT_METADATA_MAX = 4096, /* bytes */
	DEPLOYMENT_SECRETS_MAX = 32,
	ZMACHINE_MODULES_MAX = 64,
	ZMACHINE_USER_DATA_MAX = 32768, /* bytes */
	ZMACHINE_MODULE_NAME_MAX = 64, /* bytes; the kernel's own limit is 55 */
	ZMACHINE_CPU_MILLI_MIN = 10,
	ZDB_PASSWORD_MAX = 63, /* bytes, as src/zdb/namespace.h has it */
	ZDB_PORT = 9900,
	ZMACHINE_MOUNTS_MAX = 16,
	ZMACHINE_NETWORKS_MAX = 8,
	NETWORK_PREFIX_MIN = 16, /* of a subnet: 65,536 addresses */
	NETWORK_PREFIX_MAX = 29, /* five machines */
	NETWORK_RANGE_PREFIX_MIN = 8,
	NETWORK_PREFIX6 = 64,    /* of a subnet6 */
	NETWORK_RANGE_PREFIX6_MIN = 32,
	NETWORK_PEERS_MAX = 64,
	NETWORK_ACCESS_MAX = 64,
	NETWORK_KEY_LEN = 32, /* of WireGuard */
	ZMACHINE_MOUNT_PATH_MAX = 256, /* bytes */
	GATEWAY_BACKENDS_MAX = 16,
	GATEWAY_NAME_MAX = 63, /* bytes, as RFC 1035 has both */
	GATEWAY_FQDN_MAX = 253,
	SNAPSHOTS_EVERY_MIN = 60,      /* seconds */
	SNAPSHOTS_EVERY_MAX = 366 * 86400,
	SNAPSHOTS_KEEP_MAX = 1000,
};
#define VOLUME_SIZE_MIN (100ull << 20)
#define VOLUME_SIZE_MAX (1ull << 50)
#define ZDB_MEMORY_MIN (64ull << 20) /* some 1.4 million keys */
#define ZDB_DISK_EXTRA (96ull << 20)
#define ZMACHINE_MEMORY_MIN (64ull << 20)
#define ZMACHINE_VM_MEMORY_MIN (96ull << 20) /* below that the guest's kernel does not come up */
#define ZMACHINE_SHARE_OVERHEAD (64ull << 20) /* for each volume in a virtual machine: what serves it, and 32,768 open files of 2 KiB */
#define ZMACHINE_ROOTFS_DEFAULT (256ull << 20) /* or half of the memory that holds it, when that is less */

enum isolation { ISOLATION_AUTO, ISOLATION_VM, ISOLATION_CONTAINER };
enum boot { BOOT_IMAGE, BOOT_DISK };
enum restart_policy { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER };
extern const char *const isolation_names[], *const boot_names[], *const restart_names[]; /* end with NULL */

/* Who asks a registry, and the name of the secret that proves it. */
struct pull_login {
	const char *user, *secret; /* NULL = everybody may pull it */
};

struct health_http {
	uint64_t port; /* 0 = not this kind */
	const char *path;
};

/* How to see whether a machine is well: one of three kinds. */
struct health_check {
	struct health_http http;
	uint64_t tcp;          /* port; 0 = not this kind */
	sd_json_variant *exec; /* argv; NULL = not this kind */
	uint64_t every_s, timeout_s, failures; /* failures 0 = there is no check */
};
#define HEALTH_CHECK_DEFAULTS { .http.path = "/", .every_s = 10, .timeout_s = 5, .failures = 3 }

/* What a machine has of a volume or zmount of its deployment. */
struct mount {
	const char *name, *path; /* PATH: NULL for a disk image */
	bool read_only;
};

/* One network of its deployment that a machine, or a zdb, joins. */
struct join {
	const char *name;
	const char *ip;   /* as its owner wrote it; NULL = the node chooses */
	uint32_t address; /* host byte order: IP, or what was chosen */
};
struct joins {
	struct join list[ZMACHINE_NETWORKS_MAX];
	size_t n;
};

struct zmachine {
	const char *image; /* OCI reference with tag or digest */
	struct pull_login pull;
	unsigned isolation, boot, restart;
	uint64_t cpu_milli, memory_bytes, rootfs_bytes;
	uint64_t bandwidth;                       /* bytes a second, each way, of each of its links; 0 = what they can */
	sd_json_variant *entrypoint, *args, *env; /* NULL = the image's; env adds to it: strings and {"secret": NAME} */
	const char *workdir, *user;               /* NULL = the image's */
	sd_json_variant *health;                  /* NULL = none; by health_table */
	sd_json_variant *user_data;               /* for a disk image's cloud-init: a string or {"secret": NAME}; NULL = none */
	sd_json_variant *modules;                 /* of the kernel, for a virtual machine; NULL = none */
	struct mount mounts[ZMACHINE_MOUNTS_MAX];
	size_t n_mounts;
	struct joins networks;
	const char *public_ip;                    /* the name of an ip of its deployment; NULL = none */
};

enum disk_class { DISK_ANY, DISK_SSD, DISK_HDD };
extern const char *const disk_class_names[];

struct snapshots {
	uint64_t every_s, keep; /* 0 = none are made by themselves */
};

/* A directory with a limit, on one disk of the node. */
struct volume {
	uint64_t size_bytes;
	unsigned class;
	struct snapshots snapshots;
};

enum zmount_format { ZMOUNT_EXT4, ZMOUNT_BTRFS, ZMOUNT_NONE };
extern const char *const zmount_format_names[];

/* A raw disk for a virtual machine, on one disk of the node, which never mounts it. */
struct zmount {
	uint64_t size_bytes;
	unsigned class, format;
};

enum zdb_mode { ZDB_USER, ZDB_SEQ }; /* keys are chosen, or counted */
extern const char *const zdb_mode_names[];

/* A key-value store with one namespace, on one disk of the node (doc/zdb.md). */
struct zdb {
	uint64_t size_bytes;       /* of values */
	uint64_t memory_bytes;     /* for the table of keys, and what clients are sent */
	unsigned class, mode;
	sd_json_variant *password; /* a string or {"secret": NAME}; NULL = none */
	bool is_public;            /* without the password it can be read */
	struct joins networks;     /* whose machines reach it */
};
/* What it may take of its disk: values that were overwritten stay until a file of them is written anew (src/zdb/compact.h). */
static inline uint64_t zdb_disk_bytes(const struct zdb *z)
{
	return z->size_bytes + z->size_bytes / 4 + ZDB_DISK_EXTRA;
}

enum network_text { NETWORK_TEXT_SUBNET, NETWORK_TEXT_RANGE, NETWORK_TEXT_SUBNET6, NETWORK_TEXT_RANGE6, NETWORK_TEXTS };

/* A private network of a deployment's machines (doc/network.md). */
struct network {
	const char *texts[NETWORK_TEXTS]; /* as its owner wrote the next four; NULL = not at all */
	struct range4 subnet, range;    /* the addresses on this node, and in all */
	struct range6 subnet6, range6;
	bool outgoing;                  /* its machines reach what is outside */
	sd_json_variant *peers;         /* who has other parts of the range; NULL = nobody. network_peer() reads them */
	sd_json_variant *access;        /* its owner's devices; NULL = none. network_device() reads them */
};

/* Who has another part of a network: another node, with a network of the same owner, deployment and name, or whoever has a WireGuard key. */
struct network_peer {
	struct key_pub node;                 /* role 0 = none: it is known by the next two */
	uint8_t public_key[NETWORK_KEY_LEN];
	struct endpoint endpoint;            /* family 0 = it comes by itself */
	struct range4 subnet;
	struct range6 subnet6;               /* prefix 0 = none */
};
size_t network_n_peers(const struct network *n);
/* The one at I, of a network that deployment_open() took. */
void network_peer(const struct network *n, size_t i, struct network_peer *ret);

/* A device of the owner's, with an address of the subnet. */
struct network_device {
	const char *name; /* borrowed from the network */
	uint8_t public_key[NETWORK_KEY_LEN];
	uint32_t address;
	const char *secret; /* the name of the one that is the pre-shared key, base64, borrowed from the network; NULL = none */
};
size_t network_n_devices(const struct network *n);
/* The one at I, of a network that deployment_open() took. */
void network_device(const struct network *n, size_t i, struct network_device *ret);
/* A WireGuard key in base64, public or pre-shared; false for anything else, and for one of zeros. */
bool network_key_decode(struct str s, uint8_t ret[static NETWORK_KEY_LEN]);
/* Whether one has ADDRESS; RET is that one then, and spoilt otherwise. */
bool network_device_at(const struct network *n, uint32_t address, struct network_device *ret);

/* The address that stands for the node in it: the first of the subnet. */
uint32_t network_gateway(const struct network *n);
/* What goes with the IPv4 address: the same 32 bits at the end of the subnet6. */
void network_address6(const struct network *n, uint32_t address, uint8_t ret[static 16]);

/* A public name that leads to backends (doc/gateway.md). */
struct gateway {
	const char *name, *fqdn;   /* a label below the gateway's domain, or a whole name: one of them is NULL */
	const char *network;       /* of the deployment: where the backends are; NULL = they have public addresses */
	sd_json_variant *backends; /* gateway_backend() reads them */
	bool tls_passthrough;      /* backends end TLS themselves */
};
size_t gateway_n_backends(const struct gateway *g);

enum workload_kind {
	WORKLOAD_ZMACHINE,
	WORKLOAD_VOLUME,
	WORKLOAD_ZMOUNT,
	WORKLOAD_ZDB,
	WORKLOAD_NETWORK,
	WORKLOAD_GATEWAY_NAME,
	WORKLOAD_GATEWAY_FQDN,
	WORKLOAD_IP,
};
static inline bool workload_is_gateway(unsigned kind)
{
	return kind == WORKLOAD_GATEWAY_NAME || kind == WORKLOAD_GATEWAY_FQDN;
}
/* Whether one of that kind has data on a disk of the node. */
static inline bool workload_has_storage(unsigned kind)
{
	return kind == WORKLOAD_VOLUME || kind == WORKLOAD_ZMOUNT || kind == WORKLOAD_ZDB;
}

struct workload {
	const char *name, *type;
	unsigned kind;
	sd_json_variant *data, *metadata;
	struct zmachine zmachine; /* one of these, by kind; the others are zero */
	struct volume volume;
	struct zmount zmount;
	struct zdb zdb;
	struct network network;
	struct gateway gateway;
};

struct signer {
	struct key_pub key;
	uint64_t weight;
};

struct signers {
	uint64_t threshold;
	struct signer keys[DEPLOYMENT_SIGNERS_MAX];
	size_t n_keys;
};

struct deployment {
	struct doc doc;
	const char *name;
	struct key_pub owner, node;
	uint64_t sequence;
	int64_t expires_s; /* 0 = never */
	struct signers signers; /* threshold 0 = the owner alone */
	sd_json_variant *metadata;
	sd_json_variant *secrets; /* NULL = none; name -> value sealed to the node (ident/seal.h), base64 */
	struct workload workloads[DEPLOYMENT_WORKLOADS_MAX];
	size_t n_workloads;
};

/* Returns owned; NULL when out of memory. */
struct deployment *deployment_new(void);
struct deployment *deployment_free(struct deployment *d);
void deployment_freep(struct deployment **d);
#define AUTO_DEPLOYMENT CLEANUP(deployment_freep)

/* Opens the envelope into D. -EBADMSG, -EKEYREJECTED (signatures do not suffice). */
MUST_CHECK int deployment_open(sd_json_variant *envelope, struct deployment *d, struct err *e);
MUST_CHECK int deployment_open_text(struct str envelope, struct deployment *d, struct err *e);

/* The workload of that name; NULL = there is none. */
const struct workload *deployment_workload(const struct deployment *d, const char *name);

/* Of neither a machine nor a zdb none. */
static inline const struct joins *workload_joins(const struct workload *w)
{
	return w->kind == WORKLOAD_ZDB ? &w->zdb.networks : &w->zmachine.networks;
}

/* The one at I of G, a workload of D, which deployment_open() took: a machine's name stands for its address in G's network. */
void gateway_backend(const struct deployment *d, const struct gateway *g, size_t i, struct endpoint *ret);

/* Decodes V, an object; -EBADMSG. */
MUST_CHECK int health_check_decode(sd_json_variant *v, struct health_check *ret, struct err *e);

/* The name in {"secret": NAME}; NULL when V is a string. */
const char *secret_ref(sd_json_variant *v);
/* The name of the I-th secret that W's data uses for what runs in it (not for its pull), NULL past the last one. */
const char *workload_secret(const struct workload *w, size_t i);

/* Whether the signatures under D reach what S asks for: for updates, S are the stored ones. -EKEYREJECTED. */
MUST_CHECK int deployment_meets(const struct deployment *d, const struct signers *s, struct err *e);
