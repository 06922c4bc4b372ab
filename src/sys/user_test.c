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
		{ "root", 0, 0, 0, "/root" },       { "0", 0, 0, 0, "/root" },        { "www-data", 0, 33, 33, "/var/www" },
		{ "33", 0, 33, 33, "/var/www" },    { "www-data:adm", 0, 33, 4, "/var/www" }, { "33:5", 0, 33, 5, "/var/www" },
		{ "1000", 0, 1000, 0, "/" },        { "1000:1001", 0, 1000, 1001, "/" }, { "nobody", -ENOENT, 7, 7, "" },
		{ "root:none", -ENOENT, 7, 7, "" }, { "bad", -ENOENT, 7, 7, "" },     { "", -EBADMSG, 7, 7, "" },
		{ ":root", -EBADMSG, 7, 7, "" },    { "big", -ENOENT, 7, 7, "" },     { "70000", -ENOENT, 7, 7, "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct user u = { .uid = 7, .gid = 7 };
		struct err e = { 0 };
		int r = user_resolve(str_c(cases[i].in), passwd, group, &u, &e);

		T_CHECK(r == cases[i].r && u.uid == cases[i].uid && u.gid == cases[i].gid && !strcmp(u.home, cases[i].home),
		        "'%s': %d %u:%u %s %s", cases[i].in, r, u.uid, u.gid, u.home, e.msg);
	}
}

int main(void)
{
	T_RUN(rows);
	return T_END();
}
