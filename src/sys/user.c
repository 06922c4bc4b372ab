#include "sys/user.h"

#include "base/parse.h"

#include <stdio.h>

enum { FIELDS = 7 };

/* Splits one line of passwd or group; false when it has fewer than N fields. */
static bool fields_of(struct str line, struct str ret[static FIELDS], size_t n)
{
	size_t i = 0;

	while (i < FIELDS && str_next(&line, ':', &ret[i]))
		i++;
	return i >= n;
}

/* The line whose field WHICH is WANT. */
static bool find(struct str file, size_t which, struct str want, size_t n_fields, struct str ret[static FIELDS])
{
	struct str line;

	while (str_next(&file, '\n', &line))
		if (fields_of(line, ret, n_fields) && str_eq(ret[which], want))
			return true;
	return false;
}

static int group_resolve(struct str text, struct str group, uint32_t *ret, struct err *e)
{
	struct str f[FIELDS];
	uint64_t id;

	if (!parse_u64(text, USER_ID_MAX, &id)) {
		*ret = (uint32_t)id;
		return 0;
	}
	if (!find(group, 0, text, 3, f) || parse_u64(f[2], USER_ID_MAX, &id))
		return err_set(e, -ENOENT, "the image has no group '" STR_FMT "'", STR_ARG(text));
	*ret = (uint32_t)id;
	return 0;
}

/* The groups in whose member list NAME stands; what is beyond USER_GROUPS_MAX is left out. */
static void groups_find(struct str group, struct str name, struct user *u)
{
	struct str line, f[FIELDS], member;
	uint64_t id;

	while (u->n_groups < USER_GROUPS_MAX && str_next(&group, '\n', &line)) {
		bool is_member = false;

		if (!fields_of(line, f, 4) || parse_u64(f[2], USER_ID_MAX, &id) || id == u->gid)
			continue;
		while (str_next(&f[3], ',', &member))
			is_member |= str_eq(member, name);
		if (is_member)
			u->groups[u->n_groups++] = (uint32_t)id;
	}
}

int user_resolve(struct str text, struct str passwd, struct str group, struct user *ret, struct err *e)
{
	struct user u = { .home = "/" };
	struct str rest = text, name, f[FIELDS];
	uint64_t uid, gid = 0;
	bool known;

	if (!str_next(&rest, ':', &name) || !name.n)
		return err_set(e, -EBADMSG, "'" STR_FMT "' names no user", STR_ARG(text));
	known = !parse_u64(name, USER_ID_MAX, &uid) ? find(passwd, 2, name, FIELDS, f) : find(passwd, 0, name, FIELDS, f);
	if (parse_u64(name, USER_ID_MAX, &uid) && (!known || parse_u64(f[2], USER_ID_MAX, &uid)))
		return err_set(e, -ENOENT, "the image has no user '" STR_FMT "'", STR_ARG(name));
	if (known && !parse_u64(f[3], USER_ID_MAX, &gid) && f[5].n && f[5].n < sizeof(u.home))
		snprintf(u.home, sizeof(u.home), STR_FMT, STR_ARG(f[5]));
	u.uid = (uint32_t)uid;
	u.gid = (uint32_t)gid;
	if (rest.p) {
		int r = group_resolve(rest, group, &u.gid, e);

		if (r)
			return r;
	} else if (known) {
		groups_find(group, f[0], &u);
	}
	*ret = u;
	return 0;
}
