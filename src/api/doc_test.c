#include "api/doc.h"

#include "api/call.h"
#include "test/t.h"

#include <stdio.h>

static const int64_t now_s = 1800000000;

static sd_json_variant *parsed(const struct buf *text)
{
	sd_json_variant *v = NULL;
	struct err e = { 0 };

	T_NEED(!json_parse(buf_str(text), &v, &e), "%s", e.msg);
	return v;
}

static void an_order_opens_once_everything_is_right(void)
{
	AUTO_KEY struct key user = KEY_NONE, node = KEY_NONE, other = KEY_NONE;
	AUTO_BUF struct buf text = { 0 };
	AUTO_JSON sd_json_variant *v = NULL;
	struct err e = { 0 };

	T_NEED(!key_new(KEY_USER, &user) && !key_new(KEY_NODE, &node) && !key_new(KEY_NODE, &other), "keys");
	T_NEED(!order_sign(&user, &node.pub, "zos.Node.Info", NULL, now_s + 60, &text), "sign");
	v = parsed(&text);

	static const struct {
		int64_t at_s;
		bool right_node;
		int r;
	} rows[] = {
		{ now_s, true, 0 },
		{ now_s, false, -EXDEV },
		{ now_s + 60 + CLOCK_SLACK_S, true, 0 },
		{ now_s + 61 + CLOCK_SLACK_S, true, -ETIME },
		{ now_s - ORDER_LIFE_MAX_S - CLOCK_SLACK_S + 59, true, -ETIME },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_ORDER struct order o;
		int r = order_open(v, rows[i].right_node ? &node.pub : &other.pub, rows[i].at_s, &o, &e);

		T_CHECK(r == rows[i].r, "row %zu: %d %s", i, r, e.msg);
		T_CHECK(r || (key_pub_eq(&o.caller, &user.pub) && !strcmp(o.method, "zos.Node.Info")), "row %zu", i);
	}
}

static void a_changed_order_does_not_open(void)
{
	AUTO_KEY struct key user = KEY_NONE, node = KEY_NONE;
	AUTO_BUF struct buf text = { 0 }, other = { 0 }, payload = { 0 };
	AUTO_JSON sd_json_variant *v = NULL, *w = NULL;
	AUTO_ORDER struct order a, b;
	struct err e = { 0 };

	T_NEED(!key_new(KEY_USER, &user) && !key_new(KEY_NODE, &node), "keys");
	T_NEED(!order_sign(&user, &node.pub, "zos.Node.Info", NULL, now_s, &text), "sign");
	T_NEED(!order_sign(&user, &node.pub, "zos.Node.Info", NULL, now_s, &other), "sign");
	v = parsed(&text);
	T_CHECK(!order_open(v, &node.pub, now_s, &a, &e), "%s", e.msg);
	/* the signature of one order under the payload of another */
	char *sig = strstr(text.p, "\"sig\""), *their_sig = strstr(other.p, "\"sig\"");
	buf_add_bytes(&payload, text.p, (size_t)(sig - text.p));
	buf_add(&payload, str_c(their_sig));
	w = parsed(&payload);
	T_CHECK(order_open(w, &node.pub, now_s, &b, &e) == -EKEYREJECTED, "%s", e.msg);
}

static void a_login_is_bound_to_its_session(void)
{
	AUTO_KEY struct key user = KEY_NONE, node = KEY_NONE;
	AUTO_BUF struct buf text = { 0 };
	AUTO_JSON sd_json_variant *v = NULL;
	AUTO_LOGIN struct login good, bad;
	uint8_t tls[32] = { 1, 2, 3 }, other[32] = { 1, 2, 4 };
	struct err e = { 0 };

	T_NEED(!key_new(KEY_USER, &user) && !key_new(KEY_NODE, &node), "keys");
	T_NEED(!login_sign(&user, &node.pub, tls, now_s + 30, &text), "sign");
	v = parsed(&text);
	T_CHECK(!login_open(v, &node.pub, tls, now_s, &good, &e) && key_pub_eq(&good.user, &user.pub), "%s", e.msg);
	T_CHECK(login_open(v, &node.pub, other, now_s, &bad, &e) == -EKEYREJECTED, "%s", e.msg);
}

#define A8 "AAAAAAAA"
#define A64 A8 A8 A8 A8 A8 A8 A8 A8
#define A512 A64 A64 A64 A64 A64 A64 A64 A64
#define PUB A512 A512 A512 A64 A8 A8 "AAAAAA==" /* 1216 bytes, as base64 */

static void farm_documents(void)
{
	AUTO_KEY struct key farm = KEY_NONE, user = KEY_NONE;
	char a[KEY_TEXT_SIZE], u[KEY_TEXT_SIZE];
	static const struct {
		const char *body; /* %s: the farm's key */
		const char *why;  /* NULL: accepted */
	} rows[] = {
		{ "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"nats://h:1\"}]}", NULL },
		{ "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"nats://h:1\"}],"
		  "\"registries\":[{\"host\":\"10.0.2.2:5000\",\"ca\":\"x\"}],\"open\":[{\"range\":\"10.0.2.2/32\"}],\"usb_disks\":true}",
		  NULL },
		{ "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"nats://h:1\"}],\"recovery\":\"" PUB "\"}", NULL },
		{ "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"nats://h:1\"}],\"recovery\":\"" A512 "\"}", "/recovery" },
		{ "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"nats://h:1\"}],\"recovery\":\"\"}", "/recovery" },
		{ "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"nats://h:1\"}],"
		  "\"time\":[{\"server\":\"time.example.org\",\"nts\":true},{\"server\":\"fd00::1\",\"port\":1123}]}",
		  NULL },
		{ "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"nats://h:1\"}],\"time\":[{\"server\":\"a b\"}]}",
		  "/time/0/server" },
		{ "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"nats://h:1\"}],\"time\":[{\"server\":\"a\\nallow\"}]}",
		  "/time/0/server" },
		{ "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"nats://h:1\"}],\"time\":[{\"server\":\"-a\"}]}",
		  "/time/0/server" },
		{ "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"nats://h:1\"}],\"time\":[{\"server\":\"a\",\"port\":0}]}",
		  "/time/0/port" },
		{ "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"nats://h:1\"}],\"bandwidth\":16384}", NULL },
		{ "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"nats://h:1\"}],\"bandwidth\":16383}",
		  "/bandwidth: 16383 is below" },
		{ "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[]}", "/hubs: has 0 entries" },
		{ "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"http://h\"}]}", "/hubs/0/url" },
		{ "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":0,\"hubs\":[{\"url\":\"tls://h\"}]}", "/sequence: 0 is below" },
		{ "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1.0,\"hubs\":[{\"url\":\"tls://h\"}]}", "/sequence: must be a whole" },
		{ "{\"name\":\"F\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"tls://h\"}]}", "/name: 'F'" },
		{ "{\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"tls://h\"}]}", "/name: is missing" },
		{ "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"tls://h\",\"x\":1}]}", "/hubs/0/x: unknown" },
		{ "{\"name\":\"f\",\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"tls://h\"}]}", "stands twice" },
		{ "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"tls://h\"}],\"open\":[{\"range\":\"10.0.0/8\"}]}",
		  "/open/0/range" },
	};

	T_NEED(!key_new(KEY_FARM, &farm) && !key_new(KEY_USER, &user), "keys");
	key_pub_format(a, &farm.pub);
	key_pub_format(u, &user.pub);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_BUF struct buf body = { 0 }, text = { 0 };
		struct farm *f = calloc(1, sizeof(*f));
		struct err e = { 0 };
		int r;

		T_NEED(f != NULL, "memory");
		for (const char *p = rows[i].body; *p; p++) /* the one %s */
			if (p[0] == '%')
				buf_add(&body, str_c(a)), p++;
			else
				buf_add_bytes(&body, p, 1);
		T_NEED(!dsse_sign(API_TYPE_FARM, buf_str(&body), &farm, 1, &text), "sign");
		r = farm_open(buf_str(&text), f, &e);
		T_CHECK(rows[i].why ? r == -EBADMSG && strstr(e.msg, rows[i].why) : !r, "row %zu: %d %s", i, r, e.msg);
		farm_deinit(f);
		free(f);
	}
}

static void a_farm_document_of_another_farm_is_refused(void)
{
	AUTO_KEY struct key farm = KEY_NONE, other = KEY_NONE;
	AUTO_BUF struct buf body = { 0 }, text = { 0 };
	char a[KEY_TEXT_SIZE];
	struct farm *f = calloc(1, sizeof(*f));
	struct err e = { 0 };

	T_NEED(f && !key_new(KEY_FARM, &farm) && !key_new(KEY_FARM, &other), "keys");
	key_pub_format(a, &farm.pub);
	buf_addf(&body, "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"tls://h\"}]}", a);
	T_NEED(!dsse_sign(API_TYPE_FARM, buf_str(&body), &other, 1, &text), "sign");
	T_CHECK(farm_open(buf_str(&text), f, &e) == -EKEYREJECTED, "%s", e.msg);
	farm_deinit(f);
	free(f);
}

static void approvals(void)
{
	AUTO_KEY struct key farm = KEY_NONE, node = KEY_NONE, user = KEY_NONE;
	AUTO_BUF struct buf text = { 0 }, forged = { 0 };
	AUTO_JSON sd_json_variant *v = NULL, *w = NULL;
	CLEANUP(approval_deinit) struct approval good = { 0 }, bad = { 0 };
	struct err e = { 0 };

	T_NEED(!key_new(KEY_FARM, &farm) && !key_new(KEY_NODE, &node) && !key_new(KEY_USER, &user), "keys");
	T_NEED(!approval_sign(&farm, &node.pub, &text), "sign");
	v = parsed(&text);
	T_CHECK(!approval_open(v, &good, &e) && key_pub_eq(&good.node, &node.pub), "%s", e.msg);
	T_NEED(!approval_sign(&user, &node.pub, &forged), "sign");
	w = parsed(&forged);
	T_CHECK(approval_open(w, &bad, &e) == -EBADMSG, "a user approves nothing: %s", e.msg);
}

static void every_call_is_found_by_its_name(void)
{
	for (size_t i = 0; i < n_calls; i++)
		T_CHECK(call_find(calls[i].method) == &calls[i] && calls[i].arguments, "%s", calls[i].method);
	T_CHECK(!call_find("zos.Node.Shell"), "no such call");
	T_CHECK(call_error_code(call_error_name(-ESTALE)) == -ESTALE, "errors go there and back");
}

int main(void)
{
	T_RUN(an_order_opens_once_everything_is_right);
	T_RUN(a_changed_order_does_not_open);
	T_RUN(a_login_is_bound_to_its_session);
	T_RUN(farm_documents);
	T_RUN(a_farm_document_of_another_farm_is_refused);
	T_RUN(approvals);
	T_RUN(every_call_is_found_by_its_name);
	return T_END();
}
