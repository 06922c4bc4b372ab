/* A gridd that means harm: `orders_net`. The real engine listens on its socket, and whoever sits there may say what they like: each order that
 * is wrong in one way is refused, and the same order as its caller signed it is taken after it. */
#include "line_lab.h"

static struct key mallory = KEY_NONE; /* gridd's own, for want of anybody else's */

#define LIST "zos.Deployment.List"

static void order(const struct key *by, const struct key_pub *to, const char *method, int64_t life_s, struct buf *ret)
{
	T_NEED(!order_sign(by, to, method, NULL, time(NULL) + life_s, ret), "sign an order");
}

static void good(struct buf *ret)
{
	order(&node.owner, &node.key, LIST, 60, ret);
}

static void envelope_write(const struct dsse *d, struct buf *ret)
{
	char by[KEY_TEXT_SIZE];

	buf_addf(ret, "{\"payload\":\"");
	format_base64(ret, d->payload.p, d->payload.len);
	buf_addf(ret, "\",\"payloadType\":\"%s\",\"signatures\":[", d->type);
	for (size_t i = 0; i < d->n_signatures; i++) {
		key_pub_format(by, &d->signatures[i].by);
		buf_addf(ret, "%s{\"keyid\":\"%s\",\"sig\":\"", i ? "," : "", by);
		format_base64(ret, d->signatures[i].sig, KEY_SIG_LEN);
		buf_addf(ret, "\"}");
	}
	buf_addf(ret, "]}");
}

/* What gridd makes of an order that it was given. */

static void bend_signature(struct dsse *d)
{
	d->signatures[0].sig[7] ^= 1;
}

static void bend_arguments(struct dsse *d)
{
	static const char none[] = "\"arguments\":{";
	char *at = memmem(d->payload.p, d->payload.len, none, sizeof(none) - 1), key[KEY_TEXT_SIZE];
	struct buf bent = { 0 };
	size_t head;

	T_NEED(at, "an order without arguments");
	head = (size_t)(at - d->payload.p) + sizeof(none) - 1;
	key_pub_format(key, &node.farm.pub);
	buf_add_bytes(&bent, d->payload.p, head);
	buf_addf(&bent, "\"owner\":\"%s\"", key);
	buf_add_bytes(&bent, d->payload.p + head, d->payload.len - head);
	buf_deinit(&d->payload);
	d->payload = bent;
}

static void bend_nonce(struct dsse *d)
{
	char *at = memmem(d->payload.p, d->payload.len, "\"nonce\":\"", 9);

	T_NEED(at, "an order without a nonce");
	at[9] = at[9] == '0' ? '1' : '0';
}

static void bend_type(struct dsse *d)
{
	snprintf(d->type, sizeof(d->type), "%s", API_TYPE_LOGIN);
}

/* Signed by KEYS, and by nobody else. */
static void sign_again(struct dsse *d, const struct key *keys, size_t n)
{
	AUTO_BUF struct buf text = { 0 };
	struct buf payload = take(d->payload, (struct buf){ 0 });

	T_NEED(!dsse_sign(API_TYPE_ORDER, buf_str(&payload), keys, n, &text) && !dsse_decode_text(buf_str(&text), d, NULL), "sign again");
	buf_deinit(&payload);
}

static void bend_caller(struct dsse *d)
{
	sign_again(d, &mallory, 1);
	d->signatures[0].by = node.owner.pub;
}

static void bend_own(struct dsse *d)
{
	sign_again(d, &mallory, 1);
}

static void bend_both(struct dsse *d)
{
	const struct key keys[] = { node.owner, mallory };

	sign_again(d, keys, 2);
}

static void bend_none(struct dsse *d)
{
	d->n_signatures = 0;
}

/* Orders that were wrong from the start. */

static void elsewhere(struct buf *ret)
{
	struct key other = KEY_NONE;

	T_NEED(!key_new(KEY_NODE, &other), "key");
	order(&node.owner, &other.pub, LIST, 60, ret);
}

static void expired(struct buf *ret)
{
	order(&node.owner, &node.key, LIST, -10 * CLOCK_SLACK_S, ret);
}

static void immortal(struct buf *ret)
{
	order(&node.owner, &node.key, LIST, 86400, ret);
}

static void of_the_farms(struct buf *ret)
{
	order(&node.owner, &node.key, "zos.Node.Reboot", 60, ret);
}

static const struct row {
	const char *name;
	void (*bend)(struct dsse *d);
	void (*make)(struct buf *ret);
	const char *says;
} rows[] = {
	{ "a wrong signature", bend_signature, NULL, "does not hold" },
	{ "changed arguments", bend_arguments, NULL, "does not hold" },
	{ "another nonce", bend_nonce, NULL, "does not hold" },
	{ "another type", bend_type, NULL, "type" },
	{ "another caller's name", bend_caller, NULL, "does not hold" },
	{ "its own name", bend_own, NULL, "does not know the key" },
	{ "its own name beside the caller's", bend_both, NULL, "one signature" },
	{ "nobody's name", bend_none, NULL, "signature" },
	{ "another node's", NULL, elsewhere, "is meant for node" },
	{ "expired", NULL, expired, "expired" },
	{ "lives too long", NULL, immortal, "live" },
	{ "the farm's alone", NULL, of_the_farms, "only the farm" },
};

static void engine_connect(struct side *s, struct visit *v)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*s = (struct side){ 0 };
	*v = (struct visit){ .side = s };
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", node.socket);
	T_NEED(sd_event_new(&s->event) >= 0 && fd >= 0 && !connect(fd, (void *)&a, sizeof(a)), "connect to the engine: %m");
	visit_link(v, fd);
}

static int give(struct visit *v, const struct buf *envelope)
{
	return visit_send(v, "zos.Order.Call", "order", buf_str(envelope));
}

static void row_run(struct visit *v, const struct row *row)
{
	AUTO_BUF struct buf right = { 0 }, wrong = { 0 };
	AUTO_DSSE struct dsse d = DSSE_NONE;

	good(&right);
	T_NEED(!dsse_decode_text(buf_str(&right), &d, NULL), "decode");
	if (row->bend) {
		row->bend(&d);
		envelope_write(&d, &wrong);
	} else {
		row->make(&wrong);
	}
	v->why[0] = '\0';
	T_CHECK(give(v, &wrong) < 0 && strstr(v->why, row->says), "%s: %d '%s'", row->name, v->result, v->why);
	T_CHECK(!give(v, &right), "right after %s: %s", row->name, v->why);
	T_CHECK(give(v, &right) < 0 && strstr(v->why, "carried out before"), "the same again: %d '%s'", v->result, v->why);
}

static void orders_hold_against_who_carries_them(void)
{
	AUTO_BUF struct buf right = { 0 };
	AUTO_JSON sd_json_variant *one = NULL, *parameters = NULL;
	struct side s;
	struct visit v;

	T_NEED(!key_new(KEY_USER, &mallory), "key");
	engine_make();
	engine_connect(&s, &v);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		row_run(&v, &rows[i]);
	good(&right); /* what gridd says of the caller is not asked for */
	T_NEED(!json_parse(buf_str(&right), &one, NULL) &&
		       sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_VARIANT("order", one), SD_JSON_BUILD_PAIR_STRING("caller", "farm")) >= 0,
	       "json");
	v.answered = false;
	T_NEED(sd_varlink_invoke(v.link, "zos.Order.Call", parameters) >= 0, "call");
	UNTIL(&s, v.answered);
	T_CHECK(v.result < 0 && strstr(v.why, "caller"), "a caller by word alone: %d '%s'", v.result, v.why);
	T_CHECK(!give(&v, &right), "without that word: %s", v.why);
	visit_close(&v);
	sd_event_unref(s.event);
	engine_remove();
}

/* The farm's: a change. Returns what came of it. */
static int drain(struct visit *v)
{
	AUTO_JSON sd_json_variant *arguments = NULL;
	AUTO_BUF struct buf envelope = { 0 };

	T_NEED(sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_BOOLEAN("on", false)) >= 0 &&
		       !order_sign(&node.farm, &node.key, "zos.Node.Drain", arguments, time(NULL) + 60, &envelope),
	       "sign an order");
	v->why[0] = '\0';
	return give(v, &envelope);
}

static void looks(struct visit *v)
{
	AUTO_BUF struct buf look = { 0 };

	good(&look);
	T_CHECK(!give(v, &look), "%s", v->why);
	T_CHECK(give(v, &look) < 0 && strstr(v->why, "carried out before"), "the same again: %d '%s'", v->result, v->why);
}

/* One that cannot write down which orders it took answers what changes nothing, once each, and does nothing else. */
static void a_node_without_its_disks_is_only_looked_at(void)
{
	struct side s;
	struct visit v;

	for (int bare = 0; bare < 2; bare++) {
		node.is_bare = bare;
		engine_make();
		engine_connect(&s, &v);
		looks(&v);
		T_CHECK(!drain(&v) == !bare && !!strstr(v.why, "changes nothing while it cannot write down") == !!bare, "%d: %d '%s'", bare, v.result,
			v.why);
		visit_close(&v);
		sd_event_unref(s.event);
		engine_remove();
	}
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	log_init("orders-net", false);
	T_RUN(orders_hold_against_who_carries_them);
	T_RUN(a_node_without_its_disks_is_only_looked_at);
	return T_END();
}
