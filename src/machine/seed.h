/* What a disk image's cloud-init is told, as the NoCloud datasource reads it from a file system labelled CIDATA: three files, of which QEMU makes
 * the file system. All are JSON, which is YAML too, but the owner's own. */
#pragma once
#include "machine/spec.h"

/* Writes meta-data, network-config and user-data into the directory DIR_FD. */
MUST_CHECK int seed_save(int dir_fd, const struct machine_spec *s, struct err *e);
