#include "grid/hubca.h"

#include "test/t.h"

#include <string.h>

static const char *const names[] = { "hub.example", "10.0.0.1", "2001:db8::1", NULL };
enum { NOW = 1800000000, DAY = 86400 };

static void the_authority_is_always_the_same(void)
{
	struct key ca = KEY_NONE;
	AUTO_BUF struct buf a = { 0 }, b = { 0 }, line = { 0 };

	T_NEED(!key_new(KEY_OPERATOR, &ca), "key");
	T_CHECK(!hubca_pem(&ca, &a, NULL) && !hubca_pem(&ca, &b, NULL) && str_eq(buf_str(&a), buf_str(&b)), "%s%s", a.p, b.p);
	T_CHECK(!hubca_line(&ca, &line, NULL) && line.len % 4 == 0 && line.len < 500 && !strchr(line.p, '\n'), "%zu %s", line.len, line.p);
}

static void a_leaf_is_good_for_its_names_until_near_its_end(void)
{
	static const struct {
		const char *name; /* instead of the first */
		int64_t days;
		bool good;
	} rows[] = {
		{ "hub.example", 0, true },
		{ "hub.example", HUBCA_LEAF_DAYS - HUBCA_RENEW_DAYS - 1, true },
		{ "hub.example", HUBCA_LEAF_DAYS - HUBCA_RENEW_DAYS + 1, false },
		{ "hub.example", HUBCA_LEAF_DAYS + 1, false },
		{ "other.example", 0, false },
		{ "10.0.0.2", 0, false },
		{ "2001:db8::1", 0, true },
	};
	struct key ca = KEY_NONE, other = KEY_NONE;
	AUTO_BUF struct buf cert = { 0 }, key = { 0 };
	struct err e = { 0 };

	T_NEED(!key_new(KEY_OPERATOR, &ca) && !key_new(KEY_OPERATOR, &other), "keys");
	T_NEED(!hubca_leaf(&ca, names, NOW, &cert, &key, &e), "%s", e.msg);
	T_CHECK(strstr(key.p, "PRIVATE KEY") && !strstr(cert.p, "PRIVATE KEY"), "%s", cert.p);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *const want[] = { rows[i].name, "10.0.0.1", NULL };

		T_CHECK(hubca_leaf_is_good(&ca, buf_str(&cert), want, NOW + rows[i].days * DAY) == rows[i].good, "row %zu", i);
	}
	T_CHECK(!hubca_leaf_is_good(&other, buf_str(&cert), names, NOW), "signed by another");
	T_CHECK(!hubca_leaf_is_good(&ca, S("nonsense"), names, NOW), "nonsense");
}

static void a_name_says_no_more_than_a_name(void)
{
	static const char *const bad[] = { "a,DNS:b", "", "a b", "dirName:x/", "a\nb" };
	struct key ca = KEY_NONE;

	T_NEED(!key_new(KEY_OPERATOR, &ca), "key");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *const one[] = { bad[i], NULL };
		AUTO_BUF struct buf cert = { 0 }, key = { 0 };
		struct err e = { 0 };

		T_CHECK(hubca_leaf(&ca, one, NOW, &cert, &key, &e) == -EINVAL && !cert.len, "'%s': %s", bad[i], e.msg);
	}
}

int main(void)
{
	T_RUN(the_authority_is_always_the_same);
	T_RUN(a_leaf_is_good_for_its_names_until_near_its_end);
	T_RUN(a_name_says_no_more_than_a_name);
	return T_END();
}
