/* Public addresses in the engine: each is one deployment's, over updates and restarts, until it goes. */
#include "node/engine_test.h"

#include "node/ips.h"

#define IP(name) "{\"name\":\"" name "\",\"type\":\"ip\",\"data\":{\"v4\":true}}"
#define BOX(name, more)                                                                                                               \
	"{\"name\":\"" name "\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web:1\",\"cpu\":1,\"isolation\":\"container\"" more "," \
	"\"memory\":67108864}}"
#define REACHED ",\"public_ip\":\"front\""
enum : uint32_t { FIRST = 0xc6336410 }; /* 198.51.100.16 */

static struct fixture f;
static struct key other; /* somebody else */
static unsigned farm_sequence;

static void farm_gives(const char *ranges)
{
	AUTO_BUF struct buf body = { 0 }, text = { 0 };
	char farm[KEY_TEXT_SIZE], node[KEY_TEXT_SIZE];
	struct err e = { 0 };

	key_pub_format(farm, &f.farm.pub);
	key_pub_format(node, &f.engine.identity.pub);
	buf_addf(&body, "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":%u,\"hubs\":[{\"url\":\"nats://h\"}]", farm, ++farm_sequence);
	if (ranges)
		buf_addf(&body, ",\"addresses\":[{\"node\":\"%s\",\"card\":\"eth7\",\"ranges\":[%s]}]", node, ranges);
	buf_add(&body, S("}"));
	T_NEED(!dsse_sign(API_TYPE_FARM, buf_str(&body), &f.farm, 1, &text) && !engine_set_farm(&f.engine, buf_str(&text), &e), "%s", e.msg);
	settle(&f);
}

static int others_deploy(unsigned sequence, const char *workloads, struct err *e)
{
	struct key own = f.owner;
	int r;

	f.owner = other;
	r = deploy(&f, sequence, "", workloads, e);
	f.owner = own;
	if (!r)
		settle(&f);
	return r;
}

static const struct work *work(const char *name)
{
	const struct item *it = engine_item(&f.engine, &f.owner.pub, "site", name);

	T_NEED(it, "there is no %s", name);
	return &it->work;
}

static void without_a_pool_there_is_none(void)
{
	struct err e = { 0 };

	up(&f);
	T_CHECK(deploy(&f, 1, "", IP("front"), &e) == -ENOSPC && strstr(e.msg, "/workloads/0: this node has no public addresses for machines"), "%s",
		e.msg);
	farm_gives(NULL);
	T_CHECK(deploy(&f, 1, "", IP("front"), &e) == -ENOSPC && strstr(e.msg, "this node has no public addresses"), "%s", e.msg);
	farm_gives("\"198.51.100.16/31\"");
	T_CHECK(ips_count(&f.engine).all == 2 && !ips_count(&f.engine).used, "none is used");
	T_CHECK(!deploy(&f, 1, "", IP("front") "," BOX("web", REACHED), &e), "%s", e.msg);
	settle(&f);
}

static void a_machine_is_reached_at_its_ip(void)
{
	const struct work *web = work("web"), *ip = work("front");
	AUTO_JSON sd_json_variant *v = NULL;
	AUTO_BUF struct buf text = { 0 };

	T_CHECK((ip->public.address | 1) == (FIRST | 1) && web->public.address == ip->public.address && !strcmp(web->public.card, "eth7"),
		"%08x %08x %s", ip->public.address, web->public.address, web->public.card);
	T_CHECK(!strcmp(state_of(&f, "front"), "ok") && ips_count(&f.engine).used == 1, "%s", state_of(&f, "front"));
	T_NEED(engine_status(&f.engine, engine_held(&f.engine, &f.owner.pub, "site"), &v) >= 0 && !json_format(v, &text), "status");
	T_CHECK(strstr(text.p, "\"addresses\":[\"198.51.100.1") && strstr(text.p, "\"machine\":\"web\""), "%s", text.p);
}

static void each_is_one_deployment_s(void)
{
	uint32_t mine = work("front")->public.address;
	const struct item *it;
	struct err e = { 0 };

	T_CHECK(others_deploy(1, IP("front") "," IP("back"), &e) == -ENOSPC &&
			strstr(e.msg, "/workloads/1: all 2 public addresses of this node are in use"),
		"%s", e.msg);
	T_NEED(!others_deploy(1, IP("front"), &e), "%s", e.msg);
	it = engine_item(&f.engine, &other.pub, "site", "front");
	T_CHECK(it && it->work.public.address == (mine ^ 1), "the other one");
	T_CHECK(deploy(&f, 2, "", IP("front") "," IP("more") "," BOX("web", REACHED), &e) == -ENOSPC && strstr(e.msg, "/workloads/1: all 2"), "%s",
		e.msg);
}

static void it_stays_over_updates_and_restarts(void)
{
	uint32_t mine = work("front")->public.address;
	struct err e = { 0 };

	log_clear(&f);
	T_NEED(!deploy(&f, 2, "", IP("front") "," BOX("web", REACHED ",\"args\":[\"x\"]"), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(said(&f, "apply machine web;") && work("front")->public.address == mine && work("web")->public.address == mine, "an update");
	engine_deinit(&f.engine);
	engine_up(&f);
	settle(&f);
	T_CHECK(work("front")->public.address == mine && work("web")->public.address == mine, "a restart");
	T_CHECK(engine_item(&f.engine, &other.pub, "site", "front")->work.public.address == (mine ^ 1), "the other's, too");
	T_CHECK(deploy(&f, 3, "", IP("front") "," IP("more"), &e) == -ENOSPC, "none is free after it");
}

static void it_moves_under_what_runs(void)
{
	uint32_t mine = work("front")->public.address;
	struct err e = { 0 };

	log_clear(&f);
	T_NEED(!deploy(&f, 3, "", IP("front") "," BOX("web", ",\"args\":[\"x\"]") "," BOX("db", REACHED), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(said(&f, "apply network web;") && !said(&f, "machine web;") && !work("web")->public.address && work("db")->public.address == mine,
		"%.*s", (int)f.log.len, f.log.p);
}

static void the_farm_takes_it_back(void)
{
	uint32_t mine = work("front")->public.address;

	log_clear(&f);
	farm_gives("\"203.0.113.7/32\"");
	T_CHECK(!work("db")->public.address && said(&f, "apply network db;") && !said(&f, "machine db;"), "%.*s", (int)f.log.len, f.log.p);
	T_CHECK(!strcmp(state_of(&f, "front"), "degraded") && !ips_count(&f.engine).used, "%s", state_of(&f, "front"));
	farm_gives("\"198.51.100.16/31\"");
	T_CHECK(work("db")->public.address == mine && !strcmp(state_of(&f, "front"), "ok"), "%s", state_of(&f, "front"));
}

/* The machine's link takes its time to go: until then nobody else has the address. */
static void it_is_returned_after_its_machine(void)
{
	struct fake *network = &f.fakes[STEP_NETWORK];
	struct err e = { 0 };

	T_NEED(!deploy(&f, 4, "", IP("front") "," BOX("db", REACHED), &e), "%s", e.msg);
	settle(&f);
	log_clear(&f);
	network->later = true;
	T_NEED(!deploy(&f, 5, "", "", &e), "%s", e.msg);
	settle(&f);
	T_CHECK(said(&f, "remove network db;") && !strcmp(state_of(&f, "front"), "stopping"), "%s", state_of(&f, "front"));
	T_CHECK(others_deploy(2, IP("front") "," IP("back"), &e) == -ENOSPC, "not yet");
	network->later = false;
	network->provider.done(&f.engine, take_ptr(network->busy), 0, NULL);
	settle(&f);
	T_CHECK(!strcmp(state_of(&f, "front"), "none") && ips_count(&f.engine).used == 1, "%s", state_of(&f, "front"));
	T_CHECK(!others_deploy(2, IP("front") "," IP("back"), &e), "the next has it: %s", e.msg);
	T_CHECK(ips_count(&f.engine).used == 2 && said_at(&f, "remove machine db;") < said_at(&f, "remove network db;"), "%.*s", (int)f.log.len,
		f.log.p);
	down(&f);
}

int main(void)
{
	T_NEED(!key_new(KEY_USER, &other), "a key");
	T_RUN(without_a_pool_there_is_none);
	T_RUN(a_machine_is_reached_at_its_ip);
	T_RUN(each_is_one_deployment_s);
	T_RUN(it_stays_over_updates_and_restarts);
	T_RUN(it_moves_under_what_runs);
	T_RUN(the_farm_takes_it_back);
	T_RUN(it_is_returned_after_its_machine);
	return T_END();
}
