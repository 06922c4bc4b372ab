/* Looks a user up in an image's own passwd and group. Those files are a stranger's, so a child reads them that can do no more than the
 * container itself: shut into its root, with its root's uid on the node and no capability. */
#pragma once
#include "sys/user.h"

/* ROOT: path of the mounted root. -ENOENT, -EBADMSG as user_resolve(); -ETIMEDOUT. */
enum { LOOK_TIMEOUT_MS = 5000 };
MUST_CHECK int look_user(const char *root, uint32_t uid_base, const char *text, struct user *ret, struct err *e);
