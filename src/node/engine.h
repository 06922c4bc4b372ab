/* The engine: holds what owners want, drives providers until it is true, and knows how things stand.
 *
 * Desired state is in the store before a deployment is accepted. Observed state lives in memory only and is made anew by applying
 * everything again after a start; providers are idempotent. Owned by main; everything runs in its one loop. */
#pragma once
#include "ident/seal.h"
#include "node/plan.h"
#include "node/store.h"
#include "svc/provider.h"

#include <systemd/sd-event.h>
#include <systemd/sd-varlink.h>

enum { ENGINE_DEPLOYMENTS_MAX = 1000, ENGINE_WORKS_MAX = 2000, ENGINE_WATCHERS_MAX = 256 };

struct capacity {
	uint64_t cpu_milli, memory_bytes;                   /* what workloads may have in all */
	uint64_t used_cpu_milli, used_memory_bytes;         /* what accepted deployments ask for */
	uint64_t reserve_bytes;                             /* measured when the engine started, kept for the node itself */
	bool has_kvm;
	const char *offers;     /* path of the table of kernel modules for virtual machines (svc/offers.h) */
};

struct held { /* a deployment that was accepted, or the last word about one that is deleted */
	struct held *next;
	struct deployment *deployment;
	sd_json_variant *secrets; /* opened; NULL = none (secrets.h) */
};

struct item { /* one workload, from when it is wanted until nothing of it is left */
	struct item *next;
	struct work work;
	struct plan_view view;
	char error[ERR_MSG_MAX]; /* of the last failure; "" after a success */
	uint64_t sequence;       /* of the document that WORK was brought up to date with */
	bool is_again;           /* again() was said while a step was under way */
	bool is_behind;          /* a newer one was accepted, and no pass has looked at it yet */
	char waits_for[80];      /* says which volume, zmount or network a machine lacks; "" = none */
	bool is_looking;         /* the image step that is under way looks a tag up again, below a machine that is up */
	char digest_before[sizeof(((struct image_result *)0)->digest)]; /* what it stood for until then */
};

struct watcher {
	sd_varlink *link;
	struct key_pub owner;
	char name[40];
};

struct engine {
	sd_event *event;
	sd_event_source *pass, *timer;
	struct store store;
	struct key identity;
	struct seal_key seal;         /* derived from it */
	struct farm *farm;            /* NULL = none */
	sd_json_variant *approval;    /* NULL = none */
	struct held *held;
	struct item *items;
	struct provider *providers[STEPS];
	struct capacity capacity;
	bool is_drained;
	struct watcher watchers[ENGINE_WATCHERS_MAX];
	size_t n_watchers;
	void (*record_changed)(void *ctx); /* what the directory says about this node is out of date */
	void *record_ctx;
	void (*status_changed)(void *ctx); /* what people see of it, too */
	void *status_ctx;
	void (*images_changed)(void *ctx); /* a machine has its image, or needs it no more */
	void *images_ctx;
};
#define ENGINE_NONE { .store = STORE_NONE, .identity = KEY_NONE }

/* Takes the identity's store entry or makes it; reads farm, approval and deployments. RET is to be released by engine_deinit()
 * whatever is returned. PROVIDERS are borrowed, in the order of enum plan_step. */
MUST_CHECK int engine_init(struct engine *ret, sd_event *event, const char *const *state_dirs, size_t n_dirs, bool durable,
			   struct provider *const providers[static STEPS], struct err *e);
void engine_deinit(struct engine *n);

/* The farm document at boot or from the farm: the first one pins the farm's key, later ones need a higher sequence.
 * ENGINE_SAME when it is the one already held; -EKEYREJECTED (another farm), -ESTALE (older), -EBADMSG. */
enum { ENGINE_SAME = 1 };
MUST_CHECK int engine_set_farm(struct engine *n, struct str envelope, struct err *e);
MUST_CHECK int engine_approve(struct engine *n, sd_json_variant *envelope, struct err *e);
/* For engine_init() and engine_deinit(). */
MUST_CHECK int engine_farm_load(struct engine *n, struct err *e);
void engine_farm_drop(struct engine *n);
/* The farm document is another one: the providers hear of it. */
void engine_configure(struct engine *n);
/* Something changed that the directory and the screen show. */
void engine_tell(struct engine *n);

/* Whether it would be accepted, and what it would change (changes.h); nothing is kept. Returns owned. Errors as below. */
MUST_CHECK int engine_check(struct engine *n, const struct key_pub *caller, sd_json_variant *envelope, sd_json_variant **ret_changes, struct err *e);
/* The envelope as its owner sent it. Returns owned. */
MUST_CHECK int engine_document(struct engine *n, const struct held *h, sd_json_variant **ret, struct err *e);
/* Accepts a deployment: checks, stores, then says yes. -EBADMSG, -EKEYREJECTED, -EXDEV, -ESTALE, -EEXIST (a public name), -ENOSPC, -EBUSY
 * (drained), -EIO. */
MUST_CHECK int engine_deploy(struct engine *n, const struct key_pub *caller, sd_json_variant *envelope, uint64_t *ret_sequence, struct err *e);

struct held *engine_held(struct engine *n, const struct key_pub *owner, const char *name);   /* NULL = never heard of */
struct item *engine_item(struct engine *n, const struct key_pub *owner, const char *deployment, const char *name);

/* What the owner of IT wishes: durable before it is acted on. Survives restarts and updates, and ends with the deployment. -EIO. */
MUST_CHECK int engine_hold(struct engine *n, struct item *it, enum work_hold hold, struct err *e);

/* The volume IT goes back to SNAPSHOT: machines that have it are stopped before and started after. */
MUST_CHECK int engine_restore(struct engine *n, struct item *it, const char *snapshot, struct err *e);

/* Stops all machines and takes no deployment any more, or ends that: durable before it is acted on. -EIO. */
MUST_CHECK int engine_drain(struct engine *n, bool on, struct err *e);
/* For engine_init(). */
MUST_CHECK int engine_drain_load(struct engine *n, struct err *e);

/* How one deployment, or one owner's (role 0: everybody's) deployments stand. Return owned. */
MUST_CHECK int engine_status(struct engine *n, const struct held *h, sd_json_variant **ret);
MUST_CHECK int engine_list(struct engine *n, const struct key_pub *owner, sd_json_variant **ret);

/* How many workloads are in which state: [{state, count}]. Returns owned. */
MUST_CHECK int engine_tally(const struct engine *n, sd_json_variant **ret);

/* Sends LINK the status of a deployment now and at every change, until it closes. -ENOENT, -EBUSY (too many watchers). */
MUST_CHECK int engine_watch(struct engine *n, sd_varlink *link, const struct key_pub *owner, const char *name, struct err *e);
void engine_unwatch(struct engine *n, sd_varlink *link);

/* One directory more for the state: what is newer in it holds from now on. */
MUST_CHECK int engine_join(struct engine *n, const char *dir, struct err *e);

/* The image cache is somewhere else, or has more than before, and may lack what it had: each machine's image is asked for again, under what runs. IS_LOST: what runs
 * may have its root on a disk that is gone, and starts again once its image is there. */
void engine_images_moved(struct engine *n, bool is_lost);

/* For accept.c. Takes D and SECRETS: it is what its owner wants from now on. */
void engine_take(struct engine *n, struct deployment *d, sd_json_variant *secrets);
/* What was taken is with the providers when this returns: they say what there is room for. */
void engine_flush(struct engine *n);
/* Of a workload, the same in every document and after every start. */
void engine_work_id(const struct key_pub *owner, const char *deployment, const char *name, char ret[static WORK_ID_LEN + 1]);
/* Whether IT has a runner, beside or without storage. */
bool engine_runs(const struct item *it);
/* The isolation that Z gets on this node. */
unsigned engine_isolation(const struct engine *n, const struct zmachine *z);

/* status.c */
void engine_notify(struct engine *n, const struct item *it); /* IT's deployment changed, or has lost IT */

/* capacity.c */
MUST_CHECK int capacity_measure(struct capacity *ret, struct err *e);
/* Whether D fits beside all that is accepted, in place of OLD (may be NULL). -ENOSPC. */
MUST_CHECK int capacity_check(const struct capacity *c, const struct deployment *d, const struct deployment *old, struct err *e);
void capacity_sum(struct capacity *c, const struct held *all);
/* Whether D, in place of OLD (may be NULL), fits beside all that its owner has on this node into what the farm allows them. -ENOSPC. */
MUST_CHECK int capacity_check_share(const struct farm_allow *allow, const struct held *all, const struct deployment *d, const struct deployment *old,
				    struct err *e);
