#include "base/endpoint.h"

#include "test/t.h"

#include <string.h>
#include <sys/socket.h>

static void test_one_spelling(void)
{
	static const char *const good[] = { "192.0.2.1:51820", "0.0.0.0:1", "255.255.255.255:65535", "[2001:db8::1]:51820", "[::]:1", "[fe80::1]:7" };
	static const char *const bad[] = {
		"",
		":",
		"1",
		"192.0.2.1",
		"192.0.2.1:",
		"192.0.2.1:0",
		"192.0.2.1:65536",
		"192.0.2.1:051",
		"192.0.2.1:+1",
		"192.0.2.1: 1",
		"192.0.2.1:1 ",
		"192.0.2.01:1",
		"192.0.2:1",
		"[192.0.2.1]:1",
		"2001:db8::1:1",
		"[2001:db8::1]",
		"[2001:db8::1]1",
		"[2001:DB8::1]:1",
		"[2001:db8:0::1]:1",
		"[::ffff:192.0.2.1]:1",
		"[::192.0.2.1]:1",
		"[fe80::1%1]:7",
		"[]:1",
		"]:1",
		"host:1",
		"[2001:db8:1111:2222:3333:4444:5555:6666]:51820000000000000000000000",
	};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		char again[ENDPOINT_TEXT_SIZE];
		struct endpoint at;

		T_NEED(!endpoint_parse(str_c(good[i]), &at), "%s", good[i]);
		endpoint_format(again, &at);
		T_CHECK(!strcmp(again, good[i]), "%s became %s", good[i], again);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct endpoint at = { .port = 9 };

		T_CHECK(endpoint_parse(str_c(bad[i]), &at) == -EINVAL && at.port == 9, "'%s' is taken", bad[i]);
	}
}

static void test_far(void)
{
	static const struct {
		const char *text;
		bool is_far;
	} rows[] = {
		{ "192.0.2.1:1", true },    { "10.0.0.1:1", true },   { "223.255.255.255:1", true },  { "[2001:db8::1]:1", true },
		{ "[fd00::1]:1", true },    { "0.0.0.0:1", false },   { "0.1.2.3:1", false },         { "127.0.0.1:1", false },
		{ "169.254.1.1:1", false }, { "224.0.0.1:1", false }, { "255.255.255.255:1", false }, { "[::]:1", false },
		{ "[::1]:1", false },       { "[fe80::1]:1", false }, { "[ff02::1]:1", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct endpoint at;

		T_NEED(!endpoint_parse(str_c(rows[i].text), &at), "%s", rows[i].text);
		T_CHECK(endpoint_is_far(&at) == rows[i].is_far, "%s", rows[i].text);
	}
	T_CHECK(!endpoint_is_far(&(struct endpoint){ 0 }), "none");
}

static void test_eq(void)
{
	struct endpoint a, b;

	T_NEED(!endpoint_parse(str_c("192.0.2.1:1"), &a) && !endpoint_parse(str_c("192.0.2.1:1"), &b), "two");
	T_CHECK(endpoint_eq(&a, &b), "the same");
	b.port = 2;
	T_CHECK(!endpoint_eq(&a, &b), "another port");
	b = a;
	b.address[3]++;
	T_CHECK(!endpoint_eq(&a, &b), "another address");
}

int main(void)
{
	T_RUN(test_one_spelling);
	T_RUN(test_far);
	T_RUN(test_eq);
	return T_END();
}
