/* An owner's device in a private network: its row in the deployment, and what its WireGuard is told (wg-quick's format, doc/network.md). */
#pragma once
#include "api/deployment.h"

#include "base/buf.h"

enum { ACCESS_KEY_TEXT_SIZE = 45, ACCESS_SECRET_SIZE = 24 }; /* base64 of 32 bytes; each with its NUL */
#define ACCESS_SECRET_ENV "ZOS_NETWORK_PRESHARED" /* where document_seal() finds the pre-shared key */

struct access_device {
	const char *network, *name;          /* of the workload and of the device; borrowed */
	char secret[ACCESS_SECRET_SIZE];     /* the name of the pre-shared key among the deployment's secrets */
	char private_key[ACCESS_KEY_TEXT_SIZE], public_key[ACCESS_KEY_TEXT_SIZE], preshared[ACCESS_KEY_TEXT_SIZE];
	char ip[IP4_TEXT_SIZE];
};

/* Makes D's keys and the name of its secret. To be wiped with access_wipe(). */
MUST_CHECK int access_keys_make(struct access_device *d, struct err *e);
void access_wipe(struct access_device *d);

/* An address for D that nobody has in NETWORK, as a node tells of it ('zos network list --json'). -ENOSPC. */
MUST_CHECK int access_ip_choose(sd_json_variant *network, struct access_device *d, struct err *e);

/* Adds D to DOC, with its secret still to be sealed. -ENOENT without such a network, -EEXIST when there is one of that name. */
MUST_CHECK int access_add(sd_json_variant **doc, const struct access_device *d, struct err *e);
/* Takes the device NAME of NETWORK out of DOC, with its secret. -ENOENT. */
MUST_CHECK int access_remove(sd_json_variant **doc, const char *network, const char *name, struct err *e);

/* Whether TEXT is HOST:PORT, and nothing that would be more than a word of the configuration. */
bool access_is_endpoint(const char *text);

/* D's configuration, as NETWORK says how it is reached: ENDPOINT when that is not NULL, or else what is reached from furthest of the node's own. -EAGAIN while the node does not say where it is, -EINVAL for an ENDPOINT that is none. */
MUST_CHECK int access_format(sd_json_variant *network, const struct access_device *d, const char *endpoint, struct buf *ret, struct err *e);
