#include "api/meet.h"

#include "api/call.h"
#include "base/parse.h"
#include "test/t.h"

#include <sys/socket.h>

static const int64_t now_s = 1800000000;

/* doc/network-peers.md: these seeds, this context. */
static const char context_vector[] =
	"4e8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c4e8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394"
	"55ed4928c628d1c2c6eae90338905995612959273a5c63f93636c14614ac8737d10068e5cf8b01000008626c6f672f6e6574";

static struct key a, b, owner, farm, other;

static struct key key_of(char role, uint8_t byte)
{
	struct key k = { .pub.role = role }, ret;
	char text[KEY_SEED_SIZE];

	memset(k.seed, byte, sizeof(k.seed));
	key_seed_format(text, &k);
	T_NEED(!key_seed_parse(str_c(text), &ret), "a seed");
	return ret;
}

static void keys_make(void)
{
	a = key_of(KEY_NODE, 1);
	b = key_of(KEY_NODE, 2);
	owner = key_of(KEY_USER, 3);
	farm = key_of(KEY_FARM, 4);
	other = key_of(KEY_FARM, 5);
}

static struct meet_about about(void)
{
	return (struct meet_about){ .owner = &owner.pub, .network = "blog/net", .sequence = 1700000000000 };
}

static struct meet_end end_of(uint8_t byte)
{
	struct meet_end end = { .port = 51820, .n_endpoints = 2 };

	memset(end.public_key, byte, sizeof(end.public_key));
	T_NEED(!endpoint_parse(S("192.0.2.1:51820"), &end.endpoints[0]) && !endpoint_parse(S("[2001:db8::1]:51820"), &end.endpoints[1]), "endpoints");
	return end;
}

static sd_json_variant *parsed(const struct buf *text)
{
	sd_json_variant *v = NULL;
	struct err e = { 0 };

	T_NEED(!json_parse(buf_str(text), &v, &e), "%s", e.msg);
	return v;
}

static sd_json_variant *approval_of(const struct key *by, const struct key *node)
{
	AUTO_BUF struct buf text = { 0 };

	T_NEED(!approval_sign(by, &node->pub, &text), "sign");
	return parsed(&text);
}

static bool is_end(const struct meet_end *x, const struct meet_end *y)
{
	bool same = !memcmp(x->public_key, y->public_key, sizeof(x->public_key)) && x->port == y->port && x->n_endpoints == y->n_endpoints;

	for (size_t i = 0; same && i < x->n_endpoints; i++)
		same = endpoint_eq(&x->endpoints[i], &y->endpoints[i]);
	return same;
}

static void the_context_is_as_written(void)
{
	uint8_t bytes[MEET_CONTEXT_MAX];
	struct meet_about is = about();
	AUTO_BUF struct buf hex = { 0 };
	size_t n = meet_context(&a.pub, &b.pub, &is, bytes);

	format_hex(&hex, bytes, n);
	T_CHECK(!strcmp(hex.p, context_vector), "%s", hex.p);
}

/* No two meetings have one context: each of its parts counts. */
static void every_part_of_the_context_counts(void)
{
	struct meet_about good = about(), rows[] = { about(), about(), about(), about(), about() };
	uint8_t first[MEET_CONTEXT_MAX], bytes[MEET_CONTEXT_MAX];
	size_t n = meet_context(&a.pub, &b.pub, &good, first);

	T_CHECK(meet_context(&a.pub, &b.pub, &good, bytes) == n && !memcmp(first, bytes, n), "the same is the same");
	rows[0].owner = &b.pub;
	rows[1].network = "blog/net2";
	rows[2].network = "blogs/net";
	rows[3].sequence++;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t m = meet_context(i == 4 ? &b.pub : &a.pub, i == 4 ? &a.pub : &b.pub, &rows[i], bytes);

		T_CHECK(m != n || memcmp(first, bytes, n), "row %zu", i);
	}
}

static void arguments_come_back(void)
{
	AUTO_JSON sd_json_variant *approval = approval_of(&farm, &a), *v = NULL;
	struct meet_about is = about();
	struct meet_end own = end_of(7), again;
	struct meet_args args = { 0 };
	struct err e = { 0 };

	T_NEED(!meet_args_build(&is, &own, approval, &v), "build");
	T_NEED(call_find(CALL_MEET) && !json_decode(v, call_find(CALL_MEET)->arguments, &args, &e), "%s", e.msg);
	T_NEED(!meet_end_decode(&args, &again, &e), "%s", e.msg);
	T_CHECK(is_end(&own, &again) && key_pub_eq(&args.owner, &owner.pub) && !strcmp(args.network, "blog/net") && args.sequence == is.sequence,
		"the same");
	T_CHECK(!meet_approval_check(args.approval, &farm.pub, &a.pub, &e), "%s", e.msg);
}

static void wrong_arguments_are_refused(void)
{
	static const struct {
		const char *field, *value, *says;
	} rows[] = {
		{ "network", "\"blog/net\"", NULL },
		{ "network", "\"blog\"", "/network" },
		{ "network", "\"blog/net/x\"", "/network" },
		{ "network", "\"/net\"", "/network" },
		{ "network", "\"Blog/net\"", "/network" },
		{ "sequence", "0", "/sequence" },
		{ "sequence", "9223372036854775808", "/sequence" },
		{ "public_key", "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\"", NULL },
		{ "public_key", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"", "/public_key" },
		{ "public_key", "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwd=\"", "/public_key" },
		{ "public_key", "\"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\"", "/public_key" },
		{ "port", "65535", NULL },
		{ "port", "65536", "/port" },
		{ "endpoints", "[]", NULL },
		{ "endpoints", "[\"192.0.2.1\"]", "/endpoints/0" },
		{ "endpoints", "[\"192.0.2.1:1\",\"127.0.0.1:1\"]", "/endpoints/1" },
		{ "endpoints", "[\"[fe80::1]:1\"]", "/endpoints/0" },
		{ "endpoints", "[\"1.1.1.1:1\",\"1.1.1.1:1\",\"1.1.1.1:1\",\"1.1.1.1:1\",\"1.1.1.1:1\",\"1.1.1.1:1\",\"1.1.1.1:1\",\"1.1.1.1:1\"]",
		  NULL },
		{ "endpoints",
		  "[\"1.1.1.1:1\",\"1.1.1.1:1\",\"1.1.1.1:1\",\"1.1.1.1:1\",\"1.1.1.1:1\",\"1.1.1.1:1\",\"1.1.1.1:1\",\"1.1.1.1:1\",\"1.1.1.1:1\"]",
		  "/endpoints" },
		{ "more", "1", "/more" },
	};
	AUTO_JSON sd_json_variant *approval = approval_of(&farm, &a);
	struct meet_about is = about();
	struct meet_end own = end_of(7);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_JSON sd_json_variant *v = NULL, *value = NULL;
		struct meet_args args = { 0 };
		struct meet_end end;
		struct err e = { 0 };
		int r;

		T_NEED(!meet_args_build(&is, &own, approval, &v) && sd_json_parse(rows[i].value, 0, &value, NULL, NULL) >= 0 &&
			       sd_json_variant_set_field(&v, rows[i].field, value) >= 0,
		       "row %zu", i);
		r = json_decode(v, &meet_table, &args, &e);
		if (!r)
			r = meet_end_decode(&args, &end, &e);
		T_CHECK(rows[i].says ? r == -EBADMSG && strstr(e.msg, rows[i].says) : !r, "row %zu: %d %s", i, r, e.msg);
	}
}

static void approvals_of_others_are_refused(void)
{
	AUTO_JSON sd_json_variant *good = approval_of(&farm, &a), *of_other = approval_of(&other, &a), *for_b = approval_of(&farm, &b);
	AUTO_JSON sd_json_variant *none = NULL;
	struct err e = { 0 };

	T_NEED(sd_json_buildo(&none, SD_JSON_BUILD_PAIR_STRING("payload", "")) >= 0, "json");
	T_CHECK(!meet_approval_check(good, &farm.pub, &a.pub, &e), "%s", e.msg);
	T_CHECK(meet_approval_check(of_other, &farm.pub, &a.pub, &e) == -EACCES && strstr(e.msg, "another farm"), "%s", e.msg);
	T_CHECK(meet_approval_check(for_b, &farm.pub, &a.pub, &e) == -EACCES && strstr(e.msg, "another node's"), "%s", e.msg);
	T_CHECK(meet_approval_check(none, &farm.pub, &a.pub, &e) == -EACCES && strstr(e.msg, "does not hold"), "%s", e.msg);
}

/* One answer, and what is wanted of it changed in one way a row. */
static void an_answer_answers_one_order(void)
{
	AUTO_JSON sd_json_variant *approval = approval_of(&farm, &b), *sent = NULL, *v = NULL;
	AUTO_BUF struct buf text = { 0 }, order_text = { 0 };
	struct meet_about is = about();
	struct meet_end own = end_of(9);
	AUTO_ORDER struct order o = { 0 };
	struct err e = { 0 };
	struct meeting_want good, rows[9];
	static const int says[] = { 0, -EKEYREJECTED, -EXDEV, -EXDEV, -EXDEV, -EXDEV, -EXDEV, -EACCES, -ETIME };

	T_NEED(!order_sign(&a, &b.pub, CALL_MEET, NULL, now_s + MEET_LIFE_S, &order_text), "sign");
	sent = parsed(&order_text);
	T_NEED(!order_open(sent, &b.pub, now_s, &o, &e) && !meeting_sign(&b, &o, &is, &own, approval, &text), "%s", e.msg);
	v = parsed(&text);
	good = (struct meeting_want){ .node = &b.pub, .peer = &a.pub, .farm = &farm.pub, .nonce = o.nonce, .about = is };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		rows[i] = good;
	rows[1].node = &a.pub;
	rows[2].peer = &b.pub;
	rows[3].nonce = "00112233445566778899aabbccddeeff";
	rows[4].about.owner = &farm.pub;
	rows[5].about.network = "blog/net2";
	rows[6].about.sequence++;
	rows[7].farm = &other.pub;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_MEETING struct meeting m;
		int r = meeting_open(v, &rows[i], i == 8 ? now_s + MEET_LIFE_S + CLOCK_SLACK_S + 1 : now_s, &m, &e);

		T_CHECK(r == says[i], "row %zu: %d %s", i, r, e.msg);
		T_CHECK(r || is_end(&m.end, &own), "row %zu", i);
	}
}

int main(void)
{
	keys_make();
	T_RUN(the_context_is_as_written);
	T_RUN(every_part_of_the_context_counts);
	T_RUN(arguments_come_back);
	T_RUN(wrong_arguments_are_refused);
	T_RUN(approvals_of_others_are_refused);
	T_RUN(an_answer_answers_one_order);
	return T_END();
}
