/* What the client knows without being told: its keys, its hubs, the farm it trusts. One directory, mode 0700, secrets 0600.
 *
 *   $ZOS_CONFIG, else $XDG_CONFIG_HOME/zos, else ~/.config/zos
 *     user.seed, farm.seed   secret keys, nkey text
 *     recovery.seed          the farm's recovery key (only with 'zos farm recovery on'): what opens its nodes' disks without their TPMs
 *     farm.json              the farm document as last signed (only with farm.seed)
 *     profile.json           {"hubs": [{"url", "key", "ca"}], "farm": "A..."}
 *     places/NAME            the node that deployment NAME was last sent to */
#pragma once
#include "api/doc.h"
#include "grid/addr.h"

#define PROFILE_RECOVERY "recovery.seed"

struct profile {
	char dir[512];
	int dir_fd;
	struct hub_addr hubs[HUBS_MAX];
	size_t n_hubs;
	struct key_pub farm;   /* role 0 = none */
};
#define PROFILE_NONE { .dir_fd = -1 }
#define AUTO_PROFILE CLEANUP(profile_close)

MUST_CHECK int profile_open(struct profile *ret, struct err *e);
void profile_close(struct profile *p);
MUST_CHECK int profile_save(const struct profile *p, struct err *e);

/* Adds a hub, or gives the one with the same key another address. -ENOSPC. */
MUST_CHECK int profile_hub_set(struct profile *p, const struct hub_addr *a, struct err *e);

/* [{url, key, ca?}], as the profile and the farm document hold them. Returns owned. */
MUST_CHECK int profile_hubs_json(const struct profile *p, sd_json_variant **ret);

/* The key in FILE; with MAKE it is made when absent. -ENOENT. */
MUST_CHECK int profile_key(const struct profile *p, const char *file, char role, bool make, struct key *ret, struct err *e);

/* Where a deployment was sent; role 0 when not known. */
void profile_place_get(const struct profile *p, const char *deployment, struct key_pub *ret);
void profile_place_set(const struct profile *p, const char *deployment, const struct key_pub *node);
