/* Name servers of several sources in one resolv.conf: who comes first, what there is room for, and that the last place is a fall-back's. */
#include "sys/resolv.h"

#include "base/file.h"
#include "test/t.h"

#include <fcntl.h>
#include <stdio.h>

#define NS "nameserver "
#define OPTIONS "options timeout:2 attempts:2\n"

static void sources_in_order(void)
{
	static const struct {
		struct {
			const char *name, *text;
		} in[5];
		const char *want;
	} rows[] = {
		{ { { NULL, NULL } }, "" },
		{ { { "eth0.dhcp", NS "10.0.2.3\n" } }, NS "10.0.2.3\n" },
		{ { { "eth1.dhcp", NS "1.1.1.1\n" }, { "eth0.ra", NS "fe80::3%eth0\n" }, { "eth0.dhcp", NS "2.2.2.2\n" } },
		  NS "2.2.2.2\n" NS "fe80::3%eth0\n" NS "1.1.1.1\n" OPTIONS },
		{ { { "eth0.dhcp", NS "2.2.2.2\n" }, { "eth9.boot", NS "9.9.9.9\n" } }, NS "9.9.9.9\n" NS "2.2.2.2\n" OPTIONS },
		/* one stands once */
		{ { { "eth0.dhcp", NS "2.2.2.2\n" }, { "eth1.dhcp", NS "2.2.2.2\n" } }, NS "2.2.2.2\n" },
		/* no more than three */
		{ { { "eth0.dhcp", NS "1.1.1.1\n" NS "2.2.2.2\n" }, { "eth1.dhcp", NS "3.3.3.3\n" NS "4.4.4.4\n" } },
		  NS "1.1.1.1\n" NS "2.2.2.2\n" NS "3.3.3.3\n" OPTIONS },
		/* a fall-back comes last, and has a place */
		{ { { "farm.fallback", NS "9.9.9.9\n" }, { "eth0.dhcp", NS "1.1.1.1\n" NS "2.2.2.2\n" NS "3.3.3.3\n" } },
		  NS "1.1.1.1\n" NS "2.2.2.2\n" NS "9.9.9.9\n" OPTIONS },
		{ { { "farm.fallback", NS "9.9.9.9\n" NS "8.8.8.8\n" }, { "boot.fallback", NS "7.7.7.7\n" }, { "eth0.dhcp", NS "1.1.1.1\n" } },
		  NS "1.1.1.1\n" NS "7.7.7.7\n" NS "9.9.9.9\n" OPTIONS },
		/* with no lease they are all there is */
		{ { { "farm.fallback", NS "9.9.9.9\n" NS "8.8.8.8\n" } }, NS "9.9.9.9\n" NS "8.8.8.8\n" OPTIONS },
		{ { { "farm.fallback", NS "1.1.1.1\n" }, { "eth0.dhcp", NS "1.1.1.1\n" } }, NS "1.1.1.1\n" },
		/* what is none of these says nothing, nor does another line */
		{ { { "notes", NS "1.1.1.1\n" }, { "eth0.dhcp", "search example.org\n" NS "2.2.2.2\n" } }, NS "2.2.2.2\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct resolv_source list[5];
		AUTO_BUF struct buf b = { 0 };
		size_t n = 0;

		for (; n < 5 && rows[i].in[n].name; n++) {
			snprintf(list[n].name, sizeof(list[n].name), "%s", rows[i].in[n].name);
			list[n].text = str_c(rows[i].in[n].text);
		}
		resolv_format(list, n, &b);
		T_CHECK(str_eq(buf_str(&b), str_c(rows[i].want)), "row %zu: '" STR_FMT "'", i, STR_ARG(buf_str(&b)));
	}
}

static bool is_in(const char *path, const char *want)
{
	AUTO_BUF struct buf b = { 0 };
	struct err e = { 0 };

	T_CHECK(!file_read(AT_FDCWD, path, 4096, &b, &e), "%s", e.msg);
	return str_eq(buf_str(&b), str_c(want));
}

static void a_source_comes_and_goes(void)
{
	char dir[] = "/tmp/zos-resolv-XXXXXX", sources[64], conf[64];
	struct err e = { 0 };

	T_NEED(mkdtemp(dir), "mkdtemp: %m");
	snprintf(sources, sizeof(sources), "%s/sources", dir);
	snprintf(conf, sizeof(conf), "%s/resolv.conf", dir);
	T_CHECK(resolv_put(sources, conf, "eth0.dhcp", S(NS "1.1.1.1\n"), &e) == -ENOENT && strstr(e.msg, sources), "%s", e.msg);
	T_CHECK(!dir_make(sources, 0755, &e), "%s", e.msg);
	T_CHECK(!resolv_put(sources, conf, "farm.fallback", S(NS "9.9.9.9\n"), &e) && is_in(conf, NS "9.9.9.9\n"), "%s", e.msg);
	T_CHECK(!resolv_put(sources, conf, "eth0.dhcp", S(NS "1.1.1.1\n"), &e) && is_in(conf, NS "1.1.1.1\n" NS "9.9.9.9\n" OPTIONS), "%s", e.msg);
	T_CHECK(!resolv_put(sources, conf, "eth0.dhcp", S(""), &e) && is_in(conf, NS "9.9.9.9\n"), "%s", e.msg);
	T_CHECK(!resolv_put(sources, conf, "eth0.dhcp", S(""), &e) && is_in(conf, NS "9.9.9.9\n"), "twice: %s", e.msg);
	T_CHECK(!tree_remove(AT_FDCWD, dir, &e), "%s", e.msg);
}

int main(void)
{
	T_RUN(sources_in_order);
	T_RUN(a_source_comes_and_goes);
	return T_END();
}
