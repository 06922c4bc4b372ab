/* Words of documents that programs need which open none: apart, so that they do without what checks signatures. */
#include "api/deployment.h"

const char *const isolation_names[] = { "auto", "vm", "container", NULL };
const char *const boot_names[] = { "image", "disk", NULL };
const char *const restart_names[] = { "always", "on-failure", "never", NULL };
const char *const disk_class_names[] = { "any", "ssd", "hdd", NULL };
const char *const zmount_format_names[] = { "ext4", "btrfs", "none", NULL };
const char *const zdb_mode_names[] = { "user", "seq", NULL };
