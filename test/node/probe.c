/* probe CASE -- sends one order that is wrong in one way, and the same order right, over a real session. Prints "GOOD / BAD", the results
 * of the two: "ok" or the name of the refusal and its sentence. test/node/orders_test.py knows what to expect. */
#include "cli/client.h"

#include "api/call.h"
#include "api/deployment.h"
#include "api/recovery.h"
#include "base/file.h"

#include <stdio.h>
#include <time.h>

struct probe {
	struct client client, farm; /* the farm's is opened by who needs it */
	struct link link, farm_link;
	struct key other;
	uint64_t sequence;
};

static void print(int r, const struct err *e, const char *end)
{
	if (r)
		printf("%s %s%s", call_error_name(r), e->msg, end);
	else
		printf("ok%s", end);
}

static int send_order(struct probe *p, struct str envelope, struct err *e)
{
	return link_send(&p->link, "zos.Order.Call", "order", envelope, e);
}

static int signed_order(struct probe *p, const struct key *by, const struct key_pub *node, const char *method, const char *arguments,
			int64_t expires_s, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	AUTO_JSON sd_json_variant *v = NULL;

	if (json_parse(str_c(arguments), &v, e) || order_sign(by, node, method, v, expires_s, &text))
		return -EINVAL;
	return send_order(p, buf_str(&text), e);
}

#define LIST "zos.Deployment.List", "{}"

static int good(struct probe *p, struct err *e)
{
	return signed_order(p, &p->client.key, &p->link.node, LIST, time(NULL) + 60, e);
}

static int wrong_key(struct probe *p, struct err *e)
{
	return signed_order(p, &p->other, &p->link.node, LIST, time(NULL) + 60, e);
}

static int wrong_node(struct probe *p, struct err *e)
{
	struct key node = KEY_NONE;
	int r = key_new(KEY_NODE, &node);

	return r ? r : signed_order(p, &p->client.key, &node.pub, LIST, time(NULL) + 60, e);
}

static int expired(struct probe *p, struct err *e)
{
	return signed_order(p, &p->client.key, &p->link.node, LIST, time(NULL) - 10 * CLOCK_SLACK_S, e);
}

static int immortal(struct probe *p, struct err *e)
{
	return signed_order(p, &p->client.key, &p->link.node, LIST, time(NULL) + 86400, e);
}

static int unknown_field(struct probe *p, struct err *e)
{
	return signed_order(p, &p->client.key, &p->link.node, "zos.Deployment.List", "{\"colour\":1}", time(NULL) + 60, e);
}

static int unknown_call(struct probe *p, struct err *e)
{
	return signed_order(p, &p->client.key, &p->link.node, "zos.Node.Shell", "{}", time(NULL) + 60, e);
}

static int farm_only(struct probe *p, struct err *e)
{
	return signed_order(p, &p->client.key, &p->link.node, "zos.Node.SetFarm", "{\"document\":{}}", time(NULL) + 60, e);
}

static int used_nonce(struct probe *p, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	int r = order_sign(&p->client.key, &p->link.node, "zos.Deployment.List", NULL, time(NULL) + 60, &text);

	if (!r)
		r = send_order(p, buf_str(&text), e);
	return r ? -EINVAL : send_order(p, buf_str(&text), e);
}

static int changed(struct probe *p, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	char *sig;
	int r = order_sign(&p->client.key, &p->link.node, "zos.Deployment.List", NULL, time(NULL) + 60, &text);

	if (r)
		return -EINVAL;
	sig = strstr(text.p, "\"sig\":\"") + 7;
	*sig = *sig == 'A' ? 'B' : 'A';
	return send_order(p, buf_str(&text), e);
}

static int deploy(struct probe *p, const struct key_pub *node, uint64_t sequence, const char *more, struct err *e)
{
	AUTO_BUF struct buf body = { 0 }, text = { 0 }, arguments = { 0 };
	char owner[KEY_TEXT_SIZE], where[KEY_TEXT_SIZE];

	key_pub_format(owner, &p->client.key.pub);
	key_pub_format(where, node);
	buf_addf(&body, "{\"name\":\"probe\",\"owner\":\"%s\",\"node\":\"%s\",\"sequence\":%llu,%s\"workloads\":[]}", owner, where,
		 (unsigned long long)sequence, more);
	if (dsse_sign(API_TYPE_DEPLOYMENT, buf_str(&body), &p->client.key, 1, &text))
		return -EINVAL;
	buf_addf(&arguments, "{\"document\":%s}", text.p);
	return signed_order(p, &p->client.key, &p->link.node, "zos.Deployment.Deploy", arguments.p, time(NULL) + 60, e);
}

static int deploy_good(struct probe *p, struct err *e)
{
	return deploy(p, &p->link.node, ++p->sequence, "", e);
}

static int deploy_old(struct probe *p, struct err *e)
{
	return deploy(p, &p->link.node, p->sequence, "", e);
}

static int deploy_elsewhere(struct probe *p, struct err *e)
{
	struct key node = KEY_NONE;
	int r = key_new(KEY_NODE, &node);

	return r ? r : deploy(p, &node.pub, ++p->sequence, "", e);
}

static int deploy_field(struct probe *p, struct err *e)
{
	return deploy(p, &p->link.node, ++p->sequence, "\"colour\":1,", e);
}

/* Every call into a machine, of the caller's own deployment `web`; WHO may be another key, which then names the owner. */
static const struct {
	const char *method, *more;
} machine_calls[] = {
	{ "zos.Machine.Logs", "" },
	{ "zos.Machine.Console", "" },
	{ "zos.Machine.Stats", "" },
	{ "zos.Machine.Exec", ",\"argv\":[\"/usr/bin/sh\",\"-c\",\"true\"]" },
	{ "zos.Machine.Forward", ",\"port\":80" }, /* before what makes it go away for a moment */
	{ "zos.Machine.Pause", "" },
	{ "zos.Machine.Resume", "" },
	{ "zos.Machine.Stop", "" },
	{ "zos.Machine.Start", "" },
	{ "zos.Machine.Restart", "" },
};

/* The result of the first call that is not answered with WANT. */
static int machine_calls_as(struct probe *p, struct client *c, struct link *l, int want, struct err *e)
{
	char owner[KEY_TEXT_SIZE];
	int r = want;

	key_pub_format(owner, &p->client.key.pub);
	for (size_t i = 0; i < ARRAY_LEN(machine_calls) && r == want; i++) {
		AUTO_BUF struct buf arguments = { 0 }, text = { 0 };
		AUTO_JSON sd_json_variant *v = NULL;

		buf_addf(&arguments, "{\"deployment\":\"web\",\"machine\":\"web\",\"owner\":\"%s\"%s}", owner, machine_calls[i].more);
		if (json_parse(buf_str(&arguments), &v, e) || order_sign(&c->key, &l->node, machine_calls[i].method, v, time(NULL) + 60, &text))
			return -EINVAL;
		r = link_send(l, "zos.Order.Call", "order", buf_str(&text), e);
		if (r != want)
			fprintf(stderr, "probe: %s\n", machine_calls[i].method);
	}
	return r;
}

static int machine_own(struct probe *p, struct err *e)
{
	return machine_calls_as(p, &p->client, &p->link, 0, e);
}

static int machine_farm(struct probe *p, struct err *e)
{
	AUTO_CLIENT struct client farm = CLIENT_NONE;
	AUTO_LINK struct link l = { 0 };
	const struct record *node;
	int r;

	if ((r = client_open(&farm, KEY_FARM, e)) || (r = client_node(&farm, NULL, false, &node, e)) || (r = link_open(&farm, node, &l, e)))
		return -EINVAL;
	return machine_calls_as(p, &farm, &l, -EACCES, e);
}

/* The disk 'vfat', ordered wiped by C's key, with CONFIRM as the serial number said again. */
static int wipe(const struct client *c, struct link *l, const char *confirm, struct err *e)
{
	AUTO_BUF struct buf arguments = { 0 }, text = { 0 };
	AUTO_JSON sd_json_variant *v = NULL;

	buf_addf(&arguments, "{\"serial\":\"vfat\",\"confirm\":\"%s\"}", confirm);
	if (json_parse(buf_str(&arguments), &v, e) || order_sign(&c->key, &l->node, "zos.Node.WipeDisk", v, time(NULL) + 60, &text))
		return -EINVAL;
	return link_send(l, "zos.Order.Call", "order", buf_str(&text), e);
}

static int wipe_owner(struct probe *p, struct err *e)
{
	return wipe(&p->client, &p->link, "vfat", e);
}

static int wipe_farm(struct probe *p, const char *confirm, struct err *e)
{
	const struct record *node;

	if (!p->farm.key.pub.role &&
	    (client_open(&p->farm, KEY_FARM, e) || client_node(&p->farm, NULL, false, &node, e) || link_open(&p->farm, node, &p->farm_link, e)))
		return -EINVAL;
	return wipe(&p->farm, &p->farm_link, confirm, e);
}

static int wipe_good(struct probe *p, struct err *e)
{
	return wipe_farm(p, "vfat", e);
}

static int wipe_other(struct probe *p, struct err *e)
{
	return wipe_farm(p, "lvm", e);
}

static int order(struct client *c, struct link *l, const char *method, const char *arguments, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	AUTO_JSON sd_json_variant *v = NULL;

	if (json_parse(str_c(arguments), &v, e) || order_sign(&c->key, &l->node, method, v, time(NULL) + 60, &text))
		return -EINVAL;
	return link_send(l, "zos.Order.Call", "order", buf_str(&text), e);
}

#define TOKEN "zos.Node.RecoveryToken", "{\"serial\":\"disk1\"}"

static int token_owner(struct probe *p, struct err *e)
{
	return order(&p->client, &p->link, TOKEN, e);
}

static int token_good(struct probe *p, struct err *e)
{
	const struct record *node;

	if (client_open(&p->farm, KEY_FARM, e) || client_node(&p->farm, NULL, false, &node, e) || link_open(&p->farm, node, &p->farm_link, e))
		return -EINVAL;
	return order(&p->farm, &p->farm_link, TOKEN, e);
}

/* A secret that opens nothing, for the disk that the token just read is of; sealed to the node, or to nobody. */
static int recover(struct probe *p, bool is_sealed, struct err *e)
{
	const uint8_t secret[RECOVERY_SECRET_LEN] = { 1 };
	AUTO_BUF struct buf pub = { 0 }, sealed = { 0 }, arguments = { 0 };
	AUTO_JSON sd_json_variant *token = sd_json_variant_ref(p->farm_link.reply);
	const char *uuid = sd_json_variant_string(sd_json_variant_by_key(token, "uuid"));
	const struct recovery_place at = { &p->farm.key.pub, is_sealed ? &p->farm_link.node : &p->other.pub, uuid };
	const struct record *node;

	if (!uuid || client_node(&p->farm, NULL, false, &node, e) || link_seal_key(&p->farm_link, node->seal_key, &pub, e) ||
	    recovery_seal((const uint8_t *)pub.p, &at, secret, &sealed))
		return -EINVAL;
	buf_addf(&arguments, "{\"serial\":\"disk1\",\"uuid\":\"%s\",\"secret\":\"%s\"}", uuid, sealed.p);
	return order(&p->farm, &p->farm_link, "zos.Node.RecoverDisk", arguments.p, e);
}

static int recover_wrong(struct probe *p, struct err *e)
{
	return recover(p, true, e);
}

static int recover_elsewhere(struct probe *p, struct err *e)
{
	return recover(p, false, e);
}

static const struct {
	const char *name;
	int (*good)(struct probe *p, struct err *e);
	int (*bad)(struct probe *p, struct err *e);
} cases[] = {
	{ "wrong-key", good, wrong_key },
	{ "wrong-node", good, wrong_node },
	{ "expired", good, expired },
	{ "immortal", good, immortal },
	{ "unknown-field", good, unknown_field },
	{ "unknown-call", good, unknown_call },
	{ "farm-only", good, farm_only },
	{ "used-nonce", good, used_nonce },
	{ "changed", good, changed },
	{ "old-sequence", deploy_good, deploy_old },
	{ "other-node", deploy_good, deploy_elsewhere },
	{ "deployment-field", deploy_good, deploy_field },
	{ "machine", machine_own, machine_farm }, /* workload_test.py */
	{ "wipe-owner", wipe_good, wipe_owner },  /* storage_test.py */
	{ "wipe-serial", wipe_good, wipe_other },
	{ "recover-owner", token_good, token_owner }, /* recovery_test.py */
	{ "recover-secret", token_good, recover_wrong },
	{ "recover-sealed", token_good, recover_elsewhere },
};

static int run(const char *name, struct probe *p, struct err *e)
{
	const struct record *node;
	struct timespec now;
	int r;

	if ((r = client_open(&p->client, KEY_USER, e)) || (r = client_node(&p->client, NULL, false, &node, e)) ||
	    (r = link_open(&p->client, node, &p->link, e)))
		return r;
	clock_gettime(CLOCK_REALTIME, &now);
	p->sequence = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000; /* above that of the run before */
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (strcmp(cases[i].name, name))
			continue;
		r = cases[i].good(p, e);
		print(r, e, " / ");
		r = cases[i].bad(p, e);
		print(r, e, "\n");
		return 0;
	}
	return err_set(e, -ENOENT, "no such case");
}

int main(int argc, char **argv)
{
	struct probe p = { .client = CLIENT_NONE, .farm = CLIENT_NONE };
	struct err e = { 0 };
	int r = argc == 2 && !key_new(KEY_USER, &p.other) ? run(argv[1], &p, &e) : -EINVAL;

	if (r)
		fprintf(stderr, "probe: %s\n", e.msg);
	link_close(&p.farm_link);
	link_close(&p.link);
	client_close(&p.farm);
	client_close(&p.client);
	return r ? 1 : 0;
}
