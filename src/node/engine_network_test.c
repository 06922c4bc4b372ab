/* Private networks in the engine: machines wait for them, and are left alone when only the network changes. */
#include "node/engine_test.h"

#define BLOG(more) "{\"name\":\"blog\",\"type\":\"network\",\"data\":{\"subnet\":\"10.20.1.0/24\"" more "}}"
#define BOX(name, networks)                                                                                                                       \
	"{\"name\":\"" name "\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web:1\",\"cpu\":1,\"memory\":67108864,\"isolation\":\"container\"," \
	"\"networks\":[" networks "]}}"
#define IN_BLOG "{\"name\":\"blog\"}"

static struct fixture f;

static void a_machine_waits_for_its_network(void)
{
	struct err e = { 0 };

	up(&f);
	f.fakes[STEP_NETWORK].later = true;
	T_NEED(!deploy(&f, 1, "", BOX("web", IN_BLOG) "," BLOG(""), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(said(&f, "apply image web;") && said(&f, "apply network blog;") && !said(&f, "network web"), "%.*s", (int)f.log.len, f.log.p);
	T_CHECK(!strcmp(state_of(&f, "web"), "waiting") && !strcmp(state_of(&f, "blog"), "starting"), "%s", state_of(&f, "web"));
	f.fakes[STEP_NETWORK].later = false;
	strcpy(f.fakes[STEP_NETWORK].busy->network.netns, "/there");
	f.fakes[STEP_NETWORK].provider.done(&f.engine, f.fakes[STEP_NETWORK].busy, 0, NULL);
	settle(&f);
	T_CHECK(said_at(&f, "apply network web;") < said_at(&f, "apply machine web;") && !strcmp(state_of(&f, "web"), "ok") &&
			!strcmp(state_of(&f, "blog"), "ok"),
		"%.*s", (int)f.log.len, f.log.p);
}

static void a_network_that_changes_leaves_its_machines_alone(void)
{
	struct err e = { 0 };

	log_clear(&f);
	T_NEED(!deploy(&f, 2, "", BOX("web", IN_BLOG) "," BLOG(",\"outgoing\":false"), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(said(&f, "apply network blog;") && !said(&f, "machine web") && !said(&f, "network web"), "%.*s", (int)f.log.len, f.log.p);
	T_CHECK(deploy(&f, 3, "", "{\"name\":\"blog\",\"type\":\"network\",\"data\":{\"subnet\":\"10.20.2.0/24\"}}", &e) == -EBADMSG &&
			strstr(e.msg, "/workloads/0/data/subnet: cannot change while 'blog' is there"),
		"%s", e.msg);
}

static void whoever_joins_or_leaves_starts_anew(void)
{
	struct err e = { 0 };

	log_clear(&f);
	T_NEED(!deploy(&f, 3, "", BOX("web", "") "," BOX("db", IN_BLOG) "," BLOG(",\"outgoing\":false"), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(said_at(&f, "remove machine web;") < said_at(&f, "apply network web;") &&
			said_at(&f, "apply network web;") < said_at(&f, "apply machine web;"),
		"%.*s", (int)f.log.len, f.log.p);
	T_CHECK(said(&f, "apply machine db;") && !said(&f, "network blog;"), "%.*s", (int)f.log.len, f.log.p);
	log_clear(&f);
	T_NEED(!deploy(&f, 4, "", BOX("web", "") "," BOX("db", "{\"name\":\"blog\",\"ip\":\"10.20.1.9\"}") "," BLOG(",\"outgoing\":false"), &e), "%s",
	       e.msg);
	settle(&f);
	T_CHECK(said_at(&f, "remove machine db;") < said_at(&f, "apply network db;") &&
			said_at(&f, "apply network db;") < said_at(&f, "apply machine db;") && !said(&f, "network web;") && !said(&f, "machine web;"),
		"%.*s", (int)f.log.len, f.log.p);
}

static void a_neighbour_s_address_is_nobody_s_business(void)
{
	struct err e = { 0 };

	log_clear(&f);
	T_NEED(!deploy(&f, 5, "",
		       BOX("web", "") "," BOX("db", "{\"name\":\"blog\",\"ip\":\"10.20.1.9\"}") "," BLOG(",\"outgoing\":false") "," BOX("new",
																	IN_BLOG),
		       &e),
	       "%s", e.msg);
	settle(&f);
	T_CHECK(said(&f, "apply machine new;") && !said(&f, "machine db;") && !said(&f, "network db;") && !said(&f, "machine web;") &&
			!said(&f, "network web;") && !said(&f, "blog;"),
		"%.*s", (int)f.log.len, f.log.p);
}

static void a_network_goes_after_its_machines(void)
{
	struct err e = { 0 };

	log_clear(&f);
	T_NEED(!deploy(&f, 6, "", "", &e), "%s", e.msg);
	settle(&f);
	T_CHECK(said_at(&f, "remove machine db;") < said_at(&f, "remove network blog;") &&
			said_at(&f, "remove machine new;") < said_at(&f, "remove network blog;") && !strcmp(state_of(&f, "blog"), "none"),
		"%.*s", (int)f.log.len, f.log.p);
	down(&f);
}

#define KV(networks) "{\"name\":\"kv\",\"type\":\"zdb\",\"data\":{\"size\":104857600,\"networks\":[" networks "]}}"

/* A store is to networks what a machine is. */
static void a_store_joins_and_leaves_too(void)
{
	struct err e = { 0 };

	log_clear(&f);
	up(&f);
	f.fakes[STEP_NETWORK].later = true;
	T_NEED(!deploy(&f, 1, "", KV(IN_BLOG) "," BLOG(""), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(said(&f, "apply storage kv;") && said(&f, "apply network blog;") && !said(&f, "network kv") && !strcmp(state_of(&f, "kv"), "waiting"),
		"%.*s", (int)f.log.len, f.log.p);
	f.fakes[STEP_NETWORK].later = false;
	strcpy(f.fakes[STEP_NETWORK].busy->network.netns, "/there");
	f.fakes[STEP_NETWORK].provider.done(&f.engine, f.fakes[STEP_NETWORK].busy, 0, NULL);
	settle(&f);
	T_CHECK(said_at(&f, "apply network kv;") < said_at(&f, "apply machine kv;") && !strcmp(state_of(&f, "kv"), "ok"), "%.*s", (int)f.log.len,
		f.log.p);
	log_clear(&f);
	T_NEED(!deploy(&f, 2, "", KV("") "," BLOG(""), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(said_at(&f, "remove machine kv;") < said_at(&f, "apply network kv;") &&
			said_at(&f, "apply network kv;") < said_at(&f, "apply machine kv;"),
		"%.*s", (int)f.log.len, f.log.p);
	log_clear(&f);
	T_NEED(!deploy(&f, 3, "", KV("{\"name\":\"blog\",\"ip\":\"10.20.1.9\"}") "," BLOG(""), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(said_at(&f, "remove machine kv;") < said_at(&f, "apply network kv;") &&
			said_at(&f, "apply network kv;") < said_at(&f, "apply machine kv;") && !said(&f, "network blog;"),
		"%.*s", (int)f.log.len, f.log.p);
	log_clear(&f);
	T_NEED(!deploy(&f, 4, "", "", &e), "%s", e.msg);
	settle(&f);
	T_CHECK(said_at(&f, "remove machine kv;") < said_at(&f, "remove network blog;") && said(&f, "remove network kv;"), "%.*s", (int)f.log.len,
		f.log.p);
	down(&f);
}

#define SITE(name, backends) \
	"{\"name\":\"site\",\"type\":\"gateway-name-proxy\",\"data\":{\"name\":\"" name "\",\"network\":\"blog\",\"backends\":[" backends "]}}"
#define AT(ip) BOX("web", "{\"name\":\"blog\",\"ip\":\"" ip "\"}")

static void a_name_waits_for_its_network(void)
{
	struct err e = { 0 };

	log_clear(&f);
	up(&f);
	f.fakes[STEP_NETWORK].later = true;
	T_NEED(!deploy(&f, 1, "", SITE("blog", "\"web:80\"") "," AT("10.20.1.5") "," BLOG(""), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!said(&f, "site;") && !strcmp(state_of(&f, "site"), "waiting"), "%.*s", (int)f.log.len, f.log.p);
	f.fakes[STEP_NETWORK].later = false;
	strcpy(f.fakes[STEP_NETWORK].busy->network.netns, "/there");
	f.fakes[STEP_NETWORK].provider.done(&f.engine, f.fakes[STEP_NETWORK].busy, 0, NULL);
	settle(&f);
	T_CHECK(said_at(&f, "apply network site;") < said_at(&f, "apply gateway site;") && !strcmp(state_of(&f, "site"), "ok"), "%.*s",
		(int)f.log.len, f.log.p);
}

/* A machine's name stands for its address: when that is another one, so is the backend. */
static void a_name_follows_its_backends(void)
{
	struct err e = { 0 };

	log_clear(&f);
	T_NEED(!deploy(&f, 2, "", SITE("blog", "\"web:80\",\"10.20.1.9:81\"") "," AT("10.20.1.5") "," BLOG(""), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(said_at(&f, "apply network site;") < said_at(&f, "apply gateway site;") && !said(&f, "remove") && !said(&f, "machine web;"), "%.*s",
		(int)f.log.len, f.log.p);
	log_clear(&f);
	T_NEED(!deploy(&f, 3, "", SITE("blog", "\"web:80\",\"10.20.1.9:81\"") "," AT("10.20.1.5") "," BLOG(""), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!said(&f, "site;"), "nothing of it is new: %.*s", (int)f.log.len, f.log.p);
	T_NEED(!deploy(&f, 4, "", SITE("blog", "\"web:80\",\"10.20.1.9:81\"") "," AT("10.20.1.6") "," BLOG(""), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(said(&f, "apply gateway site;") && engine_item(&f.engine, &f.owner.pub, "site", "site")->work.backends[0].address[3] == 6, "%.*s",
		(int)f.log.len, f.log.p);
	T_CHECK(deploy(&f, 5, "", SITE("shop", "\"web:80\"") "," AT("10.20.1.6") "," BLOG(""), &e) == -EBADMSG &&
			strstr(e.msg, "/workloads/0/data/name: cannot change"),
		"%s", e.msg);
}

/* WHO is somebody else. */
static int others_deploy(const struct key *who, unsigned sequence, const char *workloads, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	struct key own = f.owner;
	uint64_t taken;

	f.owner = *who;
	envelope_make(&f, sequence, "", workloads, &v);
	f.owner = own;
	return engine_deploy(&f.engine, &who->pub, v, &taken, e);
}

#define OTHERS(name) "{\"name\":\"mine\",\"type\":\"gateway-name-proxy\",\"data\":{\"name\":\"" name "\",\"backends\":[\"203.0.113.5:80\"]}}"

static void a_name_is_whose_it_was_first(void)
{
	struct err e = { 0 };
	struct key other;

	T_NEED(!key_new(KEY_USER, &other), "a key");
	T_CHECK(!others_deploy(&other, 1, OTHERS("shop"), &e), "a free name: %s", e.msg);
	T_CHECK(!others_deploy(&other, 2, OTHERS("shop"), &e), "it stays theirs: %s", e.msg);
	T_CHECK(!others_deploy(&other, 3, "", &e), "and is given back: %s", e.msg);
	settle(&f);
	T_CHECK(others_deploy(&other, 4, OTHERS("blog"), &e) == -EEXIST && strstr(e.msg, "/workloads/0/data: the name is published already"), "%s",
		e.msg);
}

/* What a provider says to be true no more while it is being applied is applied once more after that. */
static void a_word_in_between_is_not_lost(void)
{
	struct err e = { 0 };
	struct fake *gateway = &f.fakes[STEP_GATEWAY];

	gateway->later = true;
	T_NEED(!deploy(&f, 5, "", SITE("blog", "\"web:80\"") "," AT("10.20.1.6") "," BLOG(""), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(gateway->busy && !strcmp(state_of(&f, "site"), "starting"), "it is being applied: %s", state_of(&f, "site"));
	gateway->provider.again(&f.engine, gateway->busy);
	log_clear(&f);
	settle(&f);
	T_CHECK(!f.log.len, "not two at once: %.*s", (int)f.log.len, f.log.p);
	gateway->later = false;
	gateway->provider.done(&f.engine, take_ptr(gateway->busy), 0, NULL);
	settle(&f);
	T_CHECK(said_at(&f, "apply network site;") < said_at(&f, "apply gateway site;") && !strcmp(state_of(&f, "site"), "ok"), "%.*s",
		(int)f.log.len, f.log.p);
}

static void a_name_goes_before_its_network(void)
{
	struct err e = { 0 };

	log_clear(&f);
	T_NEED(!deploy(&f, 6, "", "", &e), "%s", e.msg);
	settle(&f);
	T_CHECK(said_at(&f, "remove gateway site;") < said_at(&f, "remove network site;") &&
			said_at(&f, "remove network site;") < said_at(&f, "remove network blog;") && !strcmp(state_of(&f, "site"), "none"),
		"%.*s", (int)f.log.len, f.log.p);
	down(&f);
}

/* What a provider of names remembers outlives the engine, until it says that it is nothing any more. */
static void what_is_remembered_is_recalled(void)
{
	struct err e = { 0 };
	struct provider *p;

	up(&f);
	p = &f.fakes[STEP_GATEWAY].provider;
	AUTO_BUF struct buf nothing = { 0 }, first = { 0 }, second = { 0 };
	T_CHECK(p->recall(p->engine, "0123456789abcdef", &nothing, &e) == PROVIDER_ABSENT && !nothing.len, "nothing yet");
	T_CHECK(!p->remember(p->engine, "0123456789abcdef", S("one"), &e) && !p->remember(p->engine, "0123456789abcdef", S("two"), &e), "%s", e.msg);
	engine_deinit(&f.engine);
	engine_up(&f);
	T_CHECK(!p->recall(p->engine, "0123456789abcdef", &first, &e) && str_eq(buf_str(&first), S("two")), "%s", e.msg);
	T_CHECK(!p->remember(p->engine, "0123456789abcdef", S(""), &e) && !p->recall(p->engine, "0123456789abcdef", &second, &e) && !second.len, "%s",
		e.msg);
	down(&f);
}

#define LIMITED(more) "{\"name\":\"web\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web:1\",\"cpu\":1,\"isolation\":\"container\"," more "}}"

/* Nothing of it is in what a runner is started for: not at an update, and not at a start of the engine. */
static void a_machine_runs_on_under_another_bandwidth(void)
{
	static const struct {
		const char *workload, *change; /* NULL = the machine starts anew */
		bool is_linked;                /* its links are made once more */
	} rows[] = {
		{ LIMITED("\"memory\":67108864,\"bandwidth\":1048576"), "\"change\":\"update\",\"fields\":[\"bandwidth\"]", true },
		{ LIMITED("\"bandwidth\":1048576,\"memory\":67108864"), "\"change\":\"keep\"", false },
		{ LIMITED("\"memory\":67108864,\"bandwidth\":2097152"), "\"change\":\"update\"", true },
		{ LIMITED("\"memory\":67108864"), "\"change\":\"update\"", true },
		{ LIMITED("\"memory\":67108865,\"bandwidth\":2097152"), NULL, true },
		{ LIMITED("\"memory\":67108864,\"bandwidth\":2097152"), NULL, false },
	};
	struct err e = { 0 };

	up(&f);
	T_NEED(!deploy(&f, 1, "", LIMITED("\"memory\":67108864"), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(said(&f, "apply machine web;"), "%.*s", (int)f.log.len, f.log.p);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_JSON sd_json_variant *v = NULL, *changes = NULL;
		AUTO_BUF struct buf text = { 0 };

		log_clear(&f);
		envelope_make(&f, i + 2, "", rows[i].workload, &v);
		T_NEED(!engine_check(&f.engine, &f.owner.pub, v, &changes, &e) && !json_format(changes, &text), "%s", e.msg);
		T_CHECK(strstr(text.p, rows[i].change ? rows[i].change : "\"change\":\"restart\""), "row %u: %s", i, text.p);
		T_NEED(!deploy(&f, i + 2, "", rows[i].workload, &e), "%s", e.msg);
		settle(&f);
		T_CHECK(said(&f, "network web;") == rows[i].is_linked && said(&f, "machine web;") == !rows[i].change, "row %u: %.*s", i,
			(int)f.log.len, f.log.p);
		T_CHECK(!strcmp(state_of(&f, "web"), "ok"), "row %u: %s", i, state_of(&f, "web"));
	}
	down(&f);
}

/* What the farm lets each machine have is with the links at once. */
static void links_hear_of_another_farm_document(void)
{
	AUTO_BUF struct buf body = { 0 }, text = { 0 };
	char key[KEY_TEXT_SIZE];
	struct err e = { 0 };

	up(&f);
	T_NEED(!deploy(&f, 1, "", BOX("web", IN_BLOG) "," BLOG(""), &e), "%s", e.msg);
	settle(&f);
	log_clear(&f);
	key_pub_format(key, &f.farm.pub);
	buf_addf(&body, "{\"name\":\"f\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"nats://h\"}],\"bandwidth\":1048576}", key);
	T_NEED(!dsse_sign(API_TYPE_FARM, buf_str(&body), &f.farm, 1, &text) && !engine_set_farm(&f.engine, buf_str(&text), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(said(&f, "apply network web;") && !said(&f, "network blog;") && !said(&f, "machine web;"), "%.*s", (int)f.log.len, f.log.p);
	down(&f);
}

int main(void)
{
	T_RUN(a_machine_waits_for_its_network);
	T_RUN(a_network_that_changes_leaves_its_machines_alone);
	T_RUN(whoever_joins_or_leaves_starts_anew);
	T_RUN(a_neighbour_s_address_is_nobody_s_business);
	T_RUN(a_network_goes_after_its_machines);
	T_RUN(a_store_joins_and_leaves_too);
	T_RUN(a_name_waits_for_its_network);
	T_RUN(a_name_follows_its_backends);
	T_RUN(a_name_is_whose_it_was_first);
	T_RUN(a_word_in_between_is_not_lost);
	T_RUN(a_name_goes_before_its_network);
	T_RUN(what_is_remembered_is_recalled);
	T_RUN(a_machine_runs_on_under_another_bandwidth);
	T_RUN(links_hear_of_another_farm_document);
	return T_END();
}
