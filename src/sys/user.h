/* "USER" of an image or an owner to numbers: uid, uid:gid, name, name:group, looked up in the image's own passwd and group. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

struct user {
	uint32_t uid, gid;
	char home[128];
};
enum { USER_ID_MAX = 65535 }; /* a container's range */

/* PASSWD and GROUP are the files' contents, "" when absent. -ENOENT for names that are not in them, -EBADMSG for no name at all. */
MUST_CHECK int user_resolve(struct str text, struct str passwd, struct str group, struct user *ret, struct err *e);
