/* What the client knows without being told: its keys, its hub, the farm it trusts. One directory, mode 0700, secrets 0600.
 *
 *   $ZOS_CONFIG, else $XDG_CONFIG_HOME/zos, else ~/.config/zos
 *     user.seed, farm.seed   secret keys, nkey text
 *     farm.json              the farm document as last signed (only with farm.seed)
 *     profile.json           {"hub": {"url", "key"}, "farm": "A..."}
 *     places/NAME            the node that deployment NAME was last sent to */
#pragma once
#include "api/doc.h"
#include "grid/hub.h"

struct profile {
	char dir[512];
	int dir_fd;
	struct hub_addr hub;   /* url "" = none */
	struct key_pub farm;   /* role 0 = none */
};
#define PROFILE_NONE { .dir_fd = -1 }
#define AUTO_PROFILE CLEANUP(profile_close)

MUST_CHECK int profile_open(struct profile *ret, struct err *e);
void profile_close(struct profile *p);
MUST_CHECK int profile_save(const struct profile *p, struct err *e);

/* The key in FILE; with MAKE it is made when absent. -ENOENT. */
MUST_CHECK int profile_key(const struct profile *p, const char *file, char role, bool make, struct key *ret, struct err *e);

/* Where a deployment was sent; role 0 when not known. */
void profile_place_get(const struct profile *p, const char *deployment, struct key_pub *ret);
void profile_place_set(const struct profile *p, const char *deployment, const struct key_pub *node);
