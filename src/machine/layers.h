/* The layers of images as mounts, one for each file however many containers use it, so that they share what is read of it.
 *
 * LAYERS_DIR/<device>-<inode>/mount is the mount, beside it users/ has a file for each machine. Runners add, the engine takes away; a lock on
 * LAYERS_DIR keeps them apart. A machine holds a copy of the mount in its own namespace, so that taking it away here hurts nobody. */
#pragma once
#include "base/err.h"

#define LAYERS_DIR "/run/zos/layers"

/* A copy of FILE's mount that nobody sees yet, for machine ID. Returns its descriptor, owned. */
MUST_CHECK int layer_open(const char *file, const char *id, int *ret, struct err *e);

/* Leaves the layers out of the calling process's mount namespace, a new one: it would keep them all for as long as it lives. */
MUST_CHECK int layers_leave(struct err *e);

/* ID is gone: takes away what nobody else uses. */
MUST_CHECK int layers_release(const char *id, struct err *e);
