#include "sys/user.h"

#include "test/t.h"

static void rows(void)
{
	static const struct str passwd = S("root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/x\nbad:x\nbig:x:70000:1::/:/x\n");
	static const struct str group = S("root:x:0:\nwww-data:x:33:\nadm:x:4:syslog\n");
	static const struct {
		const char *in;
		int r;
		uint32_t uid, gid;
		const char *home;
	} cases[] = {
		{ "root", 0, 0, 0, "/root" },
		{ "0", 0, 0, 0, "/root" },
		{ "www-data", 0, 33, 33, "/var/www" },
		{ "33", 0, 33, 33, "/var/www" },
		{ "www-data:adm", 0, 33, 4, "/var/www" },
		{ "33:5", 0, 33, 5, "/var/www" },
		{ "1000", 0, 1000, 0, "/" },
		{ "1000:1001", 0, 1000, 1001, "/" },
		{ "nobody", -ENOENT, 7, 7, "" },
		{ "root:none", -ENOENT, 7, 7, "" },
		{ "bad", -ENOENT, 7, 7, "" },
		{ "", -EBADMSG, 7, 7, "" },
		{ ":root", -EBADMSG, 7, 7, "" },
		{ "big", -ENOENT, 7, 7, "" },
		{ "70000", -ENOENT, 7, 7, "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct user u = { .uid = 7, .gid = 7 };
		struct err e = { 0 };
		int r = user_resolve(str_c(cases[i].in), passwd, group, &u, &e);

		T_CHECK(r == cases[i].r && u.uid == cases[i].uid && u.gid == cases[i].gid && !strcmp(u.home, cases[i].home), "'%s': %d %u:%u %s %s",
			cases[i].in, r, u.uid, u.gid, u.home, e.msg);
	}
}

static void further_groups(void)
{
	static const struct str passwd = S("root:x:0:0::/root:/x\napp:x:1000:1000::/home/app:/x\n");
	static const struct str group = S("app:x:1000:app\nwww:x:33:app,root\nadm:x:4:root\nbig:x:70000:app\nend:x:5:app");
	static const struct {
		const char *in;
		uint32_t n, first;
	} cases[] = { { "app", 2, 33 }, { "1000", 2, 33 }, { "root", 2, 33 }, { "app:www", 0, 0 }, { "7", 0, 0 } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct user u;

		T_CHECK(!user_resolve(str_c(cases[i].in), passwd, group, &u, NULL) && u.n_groups == cases[i].n &&
				(!u.n_groups || u.groups[0] == cases[i].first),
			"'%s': %u groups", cases[i].in, u.n_groups);
	}
}

int main(void)
{
	T_RUN(further_groups);
	T_RUN(rows);
	return T_END();
}
