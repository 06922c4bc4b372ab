#include "gateway/order.h"

#include "test/t.h"

#include <string.h>

enum { MIN_MS = 60 * 1000 };

static void it_is_renewed_after_two_thirds(void)
{
	const struct cert_times days90 = { 1000, 1000 + 90 * 86400 };
	const struct order_state none = { 0 };

	T_CHECK(order_renewal_s(&days90) == 1000 + 60 * 86400, "a usual one");
	T_CHECK(order_is_due(&none, NULL, 0, 5), "what is not there is due");
	T_CHECK(!order_is_due(&none, &days90, 0, 1000 + 60 * 86400 - 1) && order_is_due(&none, &days90, 0, 1000 + 60 * 86400), "at that time");
	T_CHECK(order_due_in_ms(&none, &days90, 0, 1000 + 60 * 86400 - 5) == 5000, "which is known before");
	T_CHECK(order_due_in_ms(&none, &days90, 0, 1000) == ORDER_PAUSE_MAX_MS, "and looked at now and then until then");
	T_CHECK(!order_due_in_ms(&none, &days90, 7, 1000 + 80 * 86400) && !order_due_in_ms(&none, NULL, 7, 0), "late is now");
}

/* No name is asked for more often than five times in its first hour. */
static void pauses_grow(void)
{
	static const struct {
		uint64_t random, first, limited;
	} rows[] = { { 0, MIN_MS * 7 / 8, 60ull * MIN_MS * 7 / 8 }, { MIN_MS / 8, MIN_MS, 60ull * MIN_MS - 60ull * MIN_MS / 8 + MIN_MS / 8 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct order_state o = { 0 }, limited = { 0 };
		uint64_t now = 1000;
		unsigned n_hour = 1;

		order_failed(&o, S("no"), false, now, rows[i].random);
		T_CHECK(o.next_ms - now == rows[i].first, "row %zu: %llu", i, (unsigned long long)(o.next_ms - now));
		T_CHECK(!order_is_due(&o, NULL, o.next_ms - 1, 0) && order_is_due(&o, NULL, o.next_ms, 0), "then and not before");
		order_failed(&limited, S("no"), true, now, rows[i].random);
		T_CHECK(limited.next_ms - now == rows[i].limited, "row %zu: %llu", i, (unsigned long long)(limited.next_ms - now));
		for (; o.next_ms < 1000 + 60ull * MIN_MS; n_hour++) {
			now = o.next_ms;
			order_failed(&o, S("no"), false, now, rows[i].random);
		}
		T_CHECK(n_hour == 5, "row %zu: %u in an hour", i, n_hour);
		for (int k = 0; k < 100; k++)
			order_failed(&o, S("no"), false, now, UINT64_MAX);
		T_CHECK(o.next_ms - now <= ORDER_PAUSE_MAX_MS / 8 * 9 && o.next_ms - now >= ORDER_PAUSE_MAX_MS / 8 * 7, "and no longer");
		order_went_well(&o);
		T_CHECK(!o.n_failed && !o.next_ms && !o.why[0], "all is forgotten");
	}
}

static const struct {
	const char *output, *why;
} words[] = {
	{ "uacme: the server reported the following error:\n{\n    \"type\": \"urn:ietf:params:acme:error:connection\",\n"
	  "    \"detail\": \"192.0.2.1: Connection refused\"\n}\nuacme: failed to authorize order at https://ca.example/order/1\n",
	  "192.0.2.1: Connection refused" },
	{ "    \"detail\": \"first\",\n    \"detail\": \"says \\\"last\\\"\",\n", "says \\\"last\\\"" },
	{ "uacme: curl_get: GET https://ca.example/directory failed: Could not connect to server\nuacme: acme_get: curl_get failed\n",
	  "curl_get: GET https://ca.example/directory failed: Could not connect to server" },
	{ "\nsomething\n", "something" },
	{ "    \"detail\": \"\033[31mred\xc3\xa4\"\n", "?[31mred??" },
	{ "    \"detail\": \"\"\n", "    \"detail\": \"\"" },
	{ "    \"detail\"\n", "    \"detail\"" },
	{ "    \"detail\": \"\n", "    \"detail\": \"" },
	{ "", "uacme does not say why" },
};

static void what_uacme_says_is_read(void)
{
	char why[ORDER_WHY_SIZE], longer[1000];

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		order_read_why(str_c(words[i].output), why);
		T_CHECK(!strcmp(why, words[i].why), "row %zu: '%s'", i, why);
	}
	memset(longer, 'x', sizeof(longer));
	order_read_why((struct str){ longer, sizeof(longer) }, why);
	T_CHECK(strlen(why) == ORDER_WHY_SIZE - 1, "bounded: %zu", strlen(why));
	T_CHECK(order_lacks_account(S("uacme: no account associated with /x/key.pem found at https://ca.example")) && !order_lacks_account(S("x")),
		"unknown");
	T_CHECK(order_has_account(S("uacme: Account already exists at https://ca.example/1")) && !order_has_account(S("")), "known");
	T_CHECK(order_is_limited(S("\"type\": \"urn:ietf:params:acme:error:rateLimited\"")) && !order_is_limited(S("limited")), "too often");
}

int main(void)
{
	T_RUN(it_is_renewed_after_two_thirds);
	T_RUN(pauses_grow);
	T_RUN(what_uacme_says_is_read);
	return T_END();
}
