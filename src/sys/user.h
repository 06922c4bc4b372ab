/* "USER" of an image or an owner to numbers: uid, uid:gid, name, name:group, looked up in the image's own passwd and group. Without a
 * group of its own it also brings the groups that list the user. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

enum { USER_ID_MAX = 65535 /* a container's range */, USER_GROUPS_MAX = 32 };
struct user {
	uint32_t uid, gid;
	char home[128];
	uint32_t groups[USER_GROUPS_MAX]; /* further ones */
	uint32_t n_groups;
};

/* PASSWD and GROUP are the files' contents, "" when absent. -ENOENT for names that are not in them, -EBADMSG for no name at all. */
MUST_CHECK int user_resolve(struct str text, struct str passwd, struct str group, struct user *ret, struct err *e);
