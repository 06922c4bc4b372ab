/* A provider makes one step of a workload true: its storage or image is here, its network stands, its machine runs.
 *
 * The engine knows providers through this struct only. Both calls are idempotent: the same input gives the same result, also after a
 * crash in the middle. A provider that cannot answer at once says PROVIDER_BUSY and calls done() later, exactly once per call. */
#pragma once
#include "api/deployment.h"
#include "sys/card.h"

enum { PROVIDER_BUSY = 1, PROVIDER_ABSENT = 1 };
enum { WORK_ID_LEN = 16, WORK_LAYERS_MAX = 128, WORK_PATH_MAX = 128 };

/* What the image step found: all owned, freed by work_results_deinit(). */
struct image_result {
	char digest[80];           /* sha256:... of the manifest; "" = not resolved yet. Set before apply(), it is what to get */
	bool look_up;              /* apply() is to ask what the reference stands for now, whatever DIGEST says; a failure leaves all as it is */
	sd_json_variant *config;   /* the image's config object: Env, Entrypoint, Cmd, WorkingDir, User */
	sd_json_variant *layers;   /* paths of EROFS files, lowest first */
};

/* Of a machine its own link to the node; of a network its link out, and where it is; of a gateway the device that leads to its network. */
struct network_result {
	unsigned index;            /* of the machine on this node */
	char device[16];           /* the node's end: veth or tap */
	char netns[64];            /* path, "" for virtual machines */
	char address[16], gateway[16]; /* IPv4, /31 */
	char mac[18];
	uint64_t bandwidth;        /* of a machine: bytes a second that each of its links carries at most, each way; 0 = what they can */
	sd_json_variant *span;     /* owned; of a network with peers, what look() saw of them (network/span.h): for people. NULL = none */
};

/* A machine's link into one private network. */
struct network_link {
	char network[WORK_ID_LEN + 1]; /* its id */
	char name[37];
	struct card end;
	bool outgoing;             /* the network is */
	char device[16];           /* the network's end: veth or tap, in its namespace; so the next, once applied */
	char netns[64];            /* path */
};

struct machine_result {
	char state[16];            /* "starting", "running", "backoff", "exited", "" */
	uint64_t restarts;
	int64_t exit;              /* last exit status, -1 = none yet */
	char message[200];
	char health[12];           /* of its check: "waiting", "passing", "failing"; "" = it has none, or does not run yet */
};

/* Where a volume, zmount or zdb is. Its data is made once: one that was made and is not found is missing, and never made again. */
enum storage_stage {
	STORAGE_NOWHERE,
	STORAGE_CHOSEN,  /* it is to be made on that disk, or half is */
	STORAGE_MADE,
	STORAGE_UNKNOWN, /* what the node kept about it cannot be read */
};
enum { STORAGE_NAME_SIZE = 48, STORAGE_UUID_SIZE = 40, STORAGE_SNAPSHOT_SIZE = 64, STORAGE_TROUBLE_SIZE = 300 };
#define STORAGE_IMPORTED "/imported" /* in place of a snapshot's name: what came out of an archive */

struct storage_result {
	/* Kept by the engine over restarts (provider.keep). */
	enum storage_stage stage;
	char disk[STORAGE_UUID_SIZE]; /* "" = NOWHERE */
	char name[STORAGE_NAME_SIZE]; /* of it there; another for each that was ever deployed under one name */
	char restore[STORAGE_SNAPSHOT_SIZE]; /* a volume goes back to this snapshot, once no machine has it: apply() does it, clears and keeps this */
	/* Observed. */
	char path[WORK_PATH_MAX]; /* its directory or its raw file; "" = not at hand */
	bool is_waiting; /* apply() failed because that disk is not here: nothing can be done but wait */
	uint64_t used_bytes; /* as look() saw it last */
	char trouble[STORAGE_TROUBLE_SIZE]; /* so, too: what is wrong with its disk, which is here; "" = nothing */
};

/* What its owner wishes of a machine that is deployed: kept by the engine across restarts and updates. */
enum work_hold { WORK_RUNS, WORK_PAUSED, WORK_STOPPED };
static const char *const work_hold_names[] __attribute__((unused)) = { "none", "paused", "stopped", NULL };

/* What was seen of a published name. */
struct gateway_result {
	char fqdn[GATEWAY_FQDN_MAX + 1];
	bool is_seen; /* with the next two */
	unsigned n_up; /* backends that answer */
	char message[200]; /* what it lacks; "" = nothing */
	uint64_t cert_until_s; /* its certificate holds; 0 = it has none */
	char cert_message[320]; /* why the last try to get one failed; "" = it did not */
};

/* One workload of one deployment, as the providers see it. */
struct work {
	char id[WORK_ID_LEN + 1]; /* hex, stable across restarts: from owner, deployment and workload names */
	struct key_pub owner;
	const char *deployment, *name;
	char family[WORK_ID_LEN + 1]; /* the same for all of the deployment */
	char revision[17]; /* hex: says whether two specs are the same */
	sd_json_variant *data; /* owned: what spec's texts point into */
	sd_json_variant *env; /* owned, wiped: what spec.env is, values in place of secrets' names */
	sd_json_variant *secrets; /* owned, wiped: name -> value; for spec.pull */
	enum work_hold hold;
	bool is_drained; /* its node is: it is stopped, whatever hold says */
	unsigned kind; /* enum workload_kind */
	struct zmachine spec; /* a zmachine's; isolation is decided: never ISOLATION_AUTO */
	char sources[ZMACHINE_MOUNTS_MAX][WORK_PATH_MAX]; /* what spec.mounts are of: storage.path of each */
	const char *formats[ZMACHINE_MOUNTS_MAX]; /* of those that are disks; NULL = a directory */
	struct volume volume; /* a volume's */
	struct zmount zmount; /* a zmount's */
	struct zdb zdb; /* a zdb's */
	struct network net; /* a network's */
	struct gateway gateway; /* a gateway's, and what its backends' texts stand for; "" = they have public addresses */
	struct endpoint backends[GATEWAY_BACKENDS_MAX];
	size_t n_backends;
	char backends_in[WORK_ID_LEN + 1]; /* the id of their network */
	struct network_link links[ZMACHINE_NETWORKS_MAX]; /* of spec.networks, in their order */
	size_t n_links;
	struct {
		char ip[WORK_ID_LEN + 1]; /* of a machine: the id of its ip; "" = none */
		uint32_t address; /* of a machine: at which it is reached from everywhere (IPv4, host byte order), of an ip: which it is; 0 = none */
		char card[16]; /* of the node, on the network of the address */
	} public;
	struct storage_result storage;
	struct image_result image;
	struct network_result network;
	struct machine_result machine;
	struct gateway_result published;
	struct {
		const char *what; /* static text, such as "pulling"; NULL = nothing to tell */
		uint64_t done, total; /* bytes; total 0 = not known */
	} progress;
};

/* What is to be true of it now. */
static inline enum work_hold work_hold_now(const struct work *w)
{
	return w->is_drained ? WORK_STOPPED : w->hold;
}

/* A byte stream into a workload, or an answer from it, for its owner; or the same of the provider itself, without a workload. */
struct provider_stream {
	enum { PROVIDER_RUNNER, PROVIDER_TCP, PROVIDER_CALL } kind; /* CALL of storage: "export" {snapshot?} and "import" of a volume */
	uint64_t port; /* TCP */
	const char *method; /* RUNNER: a call to the machine's runner, CALL: to the provider's daemon; static text */
	sd_json_variant *parameters; /* RUNNER, CALL: borrowed for the call; may be NULL */
	bool has_stream; /* CALL: the daemon gets the other end of FD */
	/* Called exactly once when stream() returns 0, before or after that: takes FD, which is -1 when R is a negative errno or there is only REPLY (borrowed). */
	void (*ready)(void *ctx, int fd, sd_json_variant *reply, int r, const struct err *e);
	void *ctx;
};

/* About a volume's snapshots. */
struct provider_ask {
	enum { PROVIDER_SNAPSHOT, PROVIDER_SNAPSHOTS, PROVIDER_FORGET } what;
	const char *snapshot; /* its name; "" for SNAPSHOTS; borrowed for the call */
	/* Called exactly once after ask() returned 0; LINES (borrowed): of SNAPSHOTS, "NAME TIME" each. */
	void (*answered)(void *ctx, struct str lines, int r, const struct err *e);
	void *ctx;
};

/* What may be promised to volumes and zmounts of one class in all, and what is. */
struct provider_room {
	uint64_t bytes, used_bytes;
};

struct provider;
struct provider_ops {
	int (*apply)(struct provider *p, struct work *w, struct err *e); /* 0, PROVIDER_BUSY, or -errno */
	int (*remove)(struct provider *p, struct work *w, struct err *e); /* the same; absent is fine */
	/* The rest may be NULL. */
	/* Whether D, in place of OLD (NULL = nothing), can be done beside all that is applied: asked before D is accepted. RET_DISKS: for each
	 * workload of D that is to be made, the UUID of its disk; the others are left alone. -ENOSPC, -EBADMSG. */
	int (*admit)(struct provider *p, const struct deployment *d, const struct deployment *old,
		     char ret_disks[static DEPLOYMENT_WORKLOADS_MAX][STORAGE_UUID_SIZE], struct err *e);
	/* NODE: who this is; FARM: borrowed for the call; NULL = none. */
	void (*configure)(struct provider *p, const struct key_pub *node, const struct farm *farm);
	int (*stream)(struct provider *p, struct work *w, const struct provider_stream *s, struct err *e); /* copies *s */
	/* W was removed and will not be applied again: what was remembered for it goes, too. */
	void (*forget)(struct provider *p, struct work *w);
	/* Makes work_hold_now(W) true of a machine that was applied; apply() does the same for one that comes up. */
	int (*hold)(struct provider *p, struct work *w, struct err *e);
	/* Once, after the desired state was read: takes down what is left from before and is not wanted any more. */
	void (*sweep)(struct provider *p, bool (*is_wanted)(void *engine, const char *id));
	int (*ask)(struct provider *p, struct work *w, const struct provider_ask *a, struct err *e); /* copies *a. -EBUSY, -ENODEV */
	void (*room)(struct provider *p, struct provider_room *ret_ssd, struct provider_room *ret_hdd);
	/* Brings what is observed of W, which was applied, up to date: before somebody is told. */
	void (*look)(struct provider *p, struct work *w);
};

struct provider {
	const char *name;
	const struct provider_ops *ops;
	/* Set by the engine. R as from apply() or remove(); E may be NULL when R is 0. */
	void (*done)(void *engine, struct work *w, int r, const struct err *e);
	/* Something observed about W changed: progress, state of the machine. */
	void (*changed)(void *engine, struct work *w);
	/* What was applied is not true any more, or what failed could be done now: apply W's storage, or the published name that it is, again, at once. */
	void (*again)(void *engine, struct work *w);
	/* W's stage, disk, name and restore: remembered for good when this returns 0. */
	int (*keep)(void *engine, struct work *w, struct err *e);
	/* W's data is to go and its disk is not here: remembered for good for when it comes, and W is NOWHERE. */
	int (*bury)(void *engine, struct work *w, struct err *e);
	/* VALUE is the gateways' under NAME, a name part of the store's: kept for good when this returns 0; "" = nothing any more. */
	int (*remember)(void *engine, const char *name, struct str value, struct err *e);
	/* Appends what was remembered: 0, PROVIDER_ABSENT, or -errno. */
	int (*recall)(void *engine, const char *name, struct buf *ret, struct err *e);
	bool (*is_buried)(void *engine, const char *disk, const char *name);
	void *engine;
};

/* For ops->sweep of who keeps a folder in DIR for each ID: TAKE_DOWN each that is not wanted. What fails is told, and done at the next start. */
void provider_sweep(struct provider *p, const char *dir, bool (*is_wanted)(void *engine, const char *id),
		    int (*take_down)(struct provider *p, const char *id, struct err *e));

static inline void work_image_clear(struct work *w)
{
	json_unrefp(&w->image.config);
	json_unrefp(&w->image.layers);
	w->image.digest[0] = '\0';
}
