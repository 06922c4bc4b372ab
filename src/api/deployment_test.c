#include "api/deployment.h"

#include "test/t.h"

#include <stdio.h>

struct fixture {
	struct key owner, node;
	char owner_text[KEY_TEXT_SIZE], node_text[KEY_TEXT_SIZE];
};

static void fixture_new(struct fixture *f)
{
	T_NEED(!key_new(KEY_USER, &f->owner) && !key_new(KEY_NODE, &f->node), "keys");
	key_pub_format(f->owner_text, &f->owner.pub);
	key_pub_format(f->node_text, &f->node.pub);
}

/* Signs a deployment with these WORKLOADS and MORE top fields; opens it again. */
static int opened(const struct fixture *f, const char *more, const char *workloads, struct deployment *d, struct err *e)
{
	AUTO_BUF struct buf body = { 0 }, text = { 0 };

	buf_addf(&body, "{\"name\":\"web\",\"owner\":\"%s\",\"node\":\"%s\",\"sequence\":1,%s\"workloads\":[%s]}", f->owner_text, f->node_text, more,
		 workloads);
	T_NEED(!dsse_sign(API_TYPE_DEPLOYMENT, buf_str(&body), &f->owner, 1, &text), "sign");
	return deployment_open_text(buf_str(&text), d, e);
}

#define WEB(fields) "{\"name\":\"web\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web:1\",\"cpu\":1" fields "}}"
#define DISK(fields) WEB(",\"memory\":536870912,\"boot\":\"disk\"" fields)
#define BOX(mounts) WEB(",\"memory\":134217728,\"isolation\":\"container\",\"mounts\":[" mounts "]")
#define VM(mounts) WEB(",\"memory\":134217728,\"mounts\":[" mounts "]")
#define VOLUME(fields) "{\"name\":\"data\",\"type\":\"volume\",\"data\":{\"size\":104857600" fields "}}"
#define ZMOUNT(fields) "{\"name\":\"disk\",\"type\":\"zmount\",\"data\":{\"size\":104857600" fields "}}"
#define ON(name, path, more) "{\"name\":\"" name "\",\"path\":\"" path "\"" more "}"
#define NET(name, fields) "{\"name\":\"" name "\",\"type\":\"network\",\"data\":{" fields "}}"
#define BLOG NET("blog", "\"subnet\":\"10.20.1.0/24\"")
#define IN(name, networks) \
	"{\"name\":\"" name "\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web:1\",\"cpu\":1,\"memory\":134217728,\"networks\":[" networks "]}}"
#define AT(name, ip) "{\"name\":\"" name "\",\"ip\":\"" ip "\"}"
#define AUTO(name) "{\"name\":\"" name "\"}"
#define HEALTH(what) WEB(",\"memory\":134217728,\"health\":{" what "}")

struct row {
	const char *more, *workloads;
	const char *why; /* NULL: accepted */
};

static void try(const struct row *rows, size_t n)
{
	struct fixture f;

	fixture_new(&f);
	for (size_t i = 0; i < n; i++) {
		AUTO_DEPLOYMENT struct deployment *d = deployment_new();
		struct err e = { 0 };
		int r = opened(&f, rows[i].more, rows[i].workloads, d, &e);

		T_CHECK(rows[i].why ? r == -EBADMSG && strstr(e.msg, rows[i].why) : !r, "row %zu: %d '%s'", i, r, e.msg);
	}
}

static void machines_are_strict(void)
{
	static const struct row rows[] = {
		{ "", "", NULL },
		{ "", WEB(",\"memory\":67108864,\"isolation\":\"container\""), NULL },
		{ "", WEB(",\"memory\":100663296,\"isolation\":\"vm\""), NULL },
		{ "", WEB(",\"memory\":100663295,\"isolation\":\"vm\""), "/workloads/0/data/memory: 100663295 is below the 100663296" },
		{ "", WEB(",\"memory\":67108864"), "that a virtual machine needs" },
		{ "", WEB(",\"memory\":100663296,\"bandwidth\":16384"), NULL },
		{ "", WEB(",\"memory\":100663296,\"bandwidth\":137438953472"), NULL },
		{ "", WEB(",\"memory\":100663296,\"bandwidth\":16383"), "/workloads/0/data/bandwidth: 16383 is below the minimum of 16384" },
		{ "", WEB(",\"memory\":100663296,\"bandwidth\":137438953473"), "/workloads/0/data/bandwidth: 137438953473 is above" },
		{ "", WEB(",\"memory\":100663296,\"bandwidth\":\"1MiB\""), "/workloads/0/data/bandwidth: must be a whole number" },
		{ "\"expires\":null,", "", NULL },
		{ "\"expires\":\"2030-01-01T00:00:00Z\",", "", NULL },
		{ "\"metadata\":{\"a\":\"b\"},", "", NULL },
		{ "", WEB(",\"memory\":134217728,\"isolation\":\"vm\",\"restart\":\"never\",\"env\":{\"A\":\"b\"},\"args\":[\"x\"]"), NULL },
		{ "", WEB(",\"memory\":1048576"), "/workloads/0/data/memory: 1048576 is below the minimum of 67108864" },
		{ "", WEB(""), "/workloads/0/data/memory: is missing" },
		{ "", WEB(",\"memory\":67108864.0"), "/workloads/0/data/memory: must be a whole number" },
		{ "", WEB(",\"memory\":\"64MiB\""), "/workloads/0/data/memory: must be a whole number" },
		{ "", WEB(",\"memory\":67108864,\"colour\":1"), "/workloads/0/data/colour: unknown field" },
		{ "", WEB(",\"memory\":67108864,\"memory\":67108864"), "/workloads/0/data/memory: stands twice" },
		{ "", WEB(",\"memory\":67108864,\"isolation\":\"jail\""), "must be one of: auto, vm, container" },
		{ "", WEB(",\"memory\":67108864,\"workdir\":\"tmp\""), "/workloads/0/data/workdir: 'tmp' is not an absolute path" },
		{ "", WEB(",\"memory\":67108864,\"env\":{\"A\":1}"), "/workloads/0/data/env: 'A' must be a string" },
		{ "", WEB(",\"memory\":67108864,\"gpu\":{}"), "/workloads/0/data/gpu: passing a GPU through is not done by this" },
		{ "", WEB(",\"memory\":134217728") "," WEB(",\"memory\":134217728"), "/workloads/1/name: 'web' stands twice" },
		{ "", "{\"name\":\"v\",\"type\":\"qsfs\",\"data\":{}}", "/workloads/0/type: workloads of type 'qsfs' are not done" },
		{ "", "{\"name\":\"v\",\"type\":\"pod\",\"data\":{}}", "/workloads/0/type: 'pod' is no workload type" },
		{ "", "{\"name\":\"V\",\"type\":\"zmachine\",\"data\":{}}", "/workloads/0/name: 'V' is not a name" },
		{ "\"colour\":1,", "", "/colour: unknown field" },
		{ "\"expires\":\"tomorrow\",", "", "/expires: must be a time" },
		{ "\"name\":\"x\",", "", "/name: stands twice" },
		{ "", WEB(",\"memory\":134217728,\"rootfs_size\":134217727"), NULL },
		{ "", WEB(",\"memory\":134217728,\"rootfs_size\":134217728"),
		  "/workloads/0/data/rootfs_size: 134217728 is not below the machine's memory" },
		{ "", HEALTH("\"http\":{\"port\":80,\"path\":\"/up?x=1\"},\"every\":1,\"timeout\":300,\"failures\":1"), NULL },
		{ "", HEALTH("\"tcp\":5432"), NULL },
		{ "", HEALTH("\"exec\":[\"/bin/check\",\"-q\"]"), NULL },
		{ "", HEALTH("\"tcp\":5432,\"exec\":[\"/bin/check\"]"), "/workloads/0/data/health: say one of" },
		{ "", HEALTH("\"every\":5"), "/workloads/0/data/health: say one of" },
		{ "", HEALTH("\"tcp\":65536"), "/workloads/0/data/health/tcp: 65536" },
		{ "", HEALTH("\"tcp\":80,\"every\":0"), "/workloads/0/data/health/every: 0" },
		{ "", HEALTH("\"tcp\":80,\"often\":1"), "/workloads/0/data/health/often: unknown field" },
		{ "", HEALTH("\"http\":{\"path\":\"/\"}"), "/workloads/0/data/health/http/port: is missing" },
		{ "", HEALTH("\"http\":{\"port\":80,\"path\":\"/a b\"}"), "/workloads/0/data/health/http/path: '/a b' is not" },
		{ "", HEALTH("\"http\":{\"port\":80,\"path\":\"up\"}"), "/workloads/0/data/health/http/path: 'up' is not" },
		{ "", HEALTH("\"exec\":[]"), "/workloads/0/data/health/exec" },
		{ "", WEB(",\"memory\":134217728,\"isolation\":\"vm\",\"modules\":[\"wireguard\",\"br-netfilter\",\"nf_tables\"]"), NULL },
		{ "", WEB(",\"memory\":134217728,\"modules\":[]"), NULL },
		{ "", WEB(",\"memory\":134217728,\"modules\":[\"wireguard\",\"../x\"]"), "/workloads/0/data/modules/1: '../x' is no name" },
		{ "", WEB(",\"memory\":134217728,\"modules\":[\"\"]"), "/workloads/0/data/modules/0: '' is no name" },
		{ "", WEB(",\"memory\":134217728,\"modules\":\"wireguard\""), "/workloads/0/data/modules: must be a list of strings" },
		{ "", WEB(",\"memory\":134217728,\"isolation\":\"container\",\"modules\":[\"overlay\"]"),
		  "/workloads/0/data/modules: a container shares the node's kernel" },
	};

	try(rows, ARRAY_LEN(rows));
}

static void disk_images_are_strict(void)
{
	static const struct row rows[] = {
		{ "", DISK(""), NULL },
		{ "", DISK(",\"isolation\":\"vm\",\"user_data\":\"#cloud-config\\n\",\"health\":{\"tcp\":22}"), NULL },
		{ "", DISK(",\"isolation\":\"container\""), "/workloads/0/data/isolation: a disk image boots a kernel of its own" },
		{ "", DISK(",\"args\":[\"x\"]"), "/workloads/0/data/args: a disk image decides this by itself" },
		{ "", DISK(",\"entrypoint\":[\"x\"]"), "/workloads/0/data/entrypoint: a disk" },
		{ "", DISK(",\"env\":{\"A\":\"b\"}"), "/workloads/0/data/env: a disk" },
		{ "", DISK(",\"workdir\":\"/\""), "/workloads/0/data/workdir: a disk" },
		{ "", DISK(",\"user\":\"www\""), "/workloads/0/data/user: a disk" },
		{ "", DISK(",\"modules\":[\"wireguard\"]"), "/workloads/0/data/modules: a disk" },
		{ "", DISK(",\"health\":{\"exec\":[\"/bin/true\"]}"), "/workloads/0/data/health/exec: nothing can be run" },
		{ "", DISK(",\"user_data\":1"), "/workloads/0/data/user_data: must be a string of at most 32768" },
		{ "", DISK(",\"user_data\":{\"file\":\"x\"}"), "/workloads/0/data/user_data/file: unknown field" },
		{ "", DISK(",\"user_data\":{\"secret\":\"seed\"}"), "/workloads/0/data: uses the secret 'seed'" },
		{ "\"secrets\":{\"seed\":\"AQ==\"},", DISK(",\"user_data\":{\"secret\":\"seed\"}"), NULL },
		{ "", DISK(",\"rootfs_size\":436207616"), NULL },
		{ "", DISK(",\"rootfs_size\":436207617"), "/workloads/0/data/memory: 536870912 less the 436207617" },
		{ "", WEB(",\"memory\":134217728,\"boot\":\"net\""), "must be one of: image, disk" },
		{ "", WEB(",\"memory\":134217728,\"user_data\":\"x\""), "/workloads/0/data/user_data: is for the cloud-init" },
	};

	try(rows, ARRAY_LEN(rows));
}

static void storage_is_strict(void)
{
	static const struct row rows[] = {
		{ "", VOLUME(""), NULL },
		{ "", VOLUME(",\"class\":\"ssd\",\"snapshots\":{\"every\":3600,\"keep\":24}"), NULL },
		{ "", VOLUME(",\"class\":\"tape\""), "/workloads/0/data/class: must be one of: any, ssd, hdd" },
		{ "", VOLUME(",\"snapshots\":{\"every\":3600}"), "/workloads/0/data/snapshots/keep: is missing" },
		{ "", VOLUME(",\"snapshots\":{\"every\":59,\"keep\":1}"), "/workloads/0/data/snapshots/every: 59 is below" },
		{ "", VOLUME(",\"format\":\"ext4\""), "/workloads/0/data/format: unknown field" },
		{ "", "{\"name\":\"data\",\"type\":\"volume\",\"data\":{\"size\":104857599}}", "/workloads/0/data/size: 104857599 is below" },
		{ "", ZMOUNT(""), NULL },
		{ "", ZMOUNT(",\"format\":\"none\",\"class\":\"hdd\""), NULL },
		{ "", ZMOUNT(",\"format\":\"vfat\""), "/workloads/0/data/format: must be one of: ext4, btrfs, none" },
		{ "", ZMOUNT(",\"snapshots\":{\"every\":3600,\"keep\":1}"), "/workloads/0/data/snapshots: unknown field" },
		{ "", BOX(ON("data", "/srv/data", "")) "," VOLUME(""), NULL },
		{ "", VOLUME("") "," BOX(ON("data", "/srv", ",\"read_only\":true") "," ON("data", "/srv/again", "")), NULL },
		{ "", BOX(ON("data", "/srv", "")), "/workloads/0/data/mounts/0/name: this deployment has no volume or zmount 'data'" },
		{ "", BOX(ON("web", "/srv", "")), "/workloads/0/data/mounts/0/name: this deployment has no volume or zmount 'web'" },
		{ "", VOLUME("") "," BOX(ON("data", "srv", "")), "/workloads/1/data/mounts/0/path: 'srv' is not an absolute path" },
		{ "", VOLUME("") "," BOX(ON("data", "/", "")), "/workloads/1/data/mounts/0/path: '/' is not" },
		{ "", VOLUME("") "," BOX(ON("data", "/srv/", "")), "/workloads/1/data/mounts/0/path: '/srv/' is not" },
		{ "", VOLUME("") "," BOX(ON("data", "/srv/../etc", "")), "/workloads/1/data/mounts/0/path: '/srv/../etc' is not" },
		{ "", VOLUME("") "," BOX(ON("data", "/srv//a", "")), "/workloads/1/data/mounts/0/path: '/srv//a' is not" },
		{ "", VOLUME("") "," BOX(ON("data", "/proc/x", "")), "/workloads/1/data/mounts/0/path: /proc is the machine's own" },
		{ "", VOLUME("") "," BOX(ON("data", "/processes", "")), NULL },
		{ "", VOLUME("") "," BOX("{\"name\":\"data\"}"), "/workloads/1/data/mounts/0/path: is missing" },
		{ "", VOLUME("") "," BOX(ON("data", "/a", "") "," ON("data", "/a", "")), "/workloads/1/data/mounts/1/path: '/a' stands twice" },
		{ "", ZMOUNT("") "," BOX(ON("disk", "/srv", "")), "/workloads/1/data/mounts/0: a zmount is a disk" },
		{ "", VM(ON("disk", "/srv", "")) "," ZMOUNT(""), NULL },
		{ "", VM(ON("disk", "/srv", "")) "," ZMOUNT(",\"format\":\"none\""), "/workloads/0/data/mounts/0: the zmount 'disk' has no format" },
		{ "", ZMOUNT("") "," VM(ON("disk", "/a", "") "," ON("disk", "/b", ",\"read_only\":true")),
		  "/workloads/1/data/mounts/1: the zmount 'disk' is mounted by 'web' too" },
		{ "", ZMOUNT("") "," DISK(",\"mounts\":[{\"name\":\"disk\"}]"), NULL },
		{ "", ZMOUNT("") "," DISK(",\"mounts\":[" ON("disk", "/srv", "") "]"),
		  "/workloads/1/data/mounts/0/path: a disk image mounts by itself" },
		{ "", VOLUME("") "," VM(ON("data", "/srv", "")), NULL },
		{ "", VOLUME("") "," DISK(",\"mounts\":[{\"name\":\"data\"}]"), NULL },
		{ "", VOLUME("") "," DISK(",\"mounts\":[" ON("data", "/srv", "") "]"),
		  "/workloads/1/data/mounts/0/path: a disk image mounts by itself" },
	};

	try(rows, ARRAY_LEN(rows));
}

#define ZDB(MORE) "{\"name\":\"kv\",\"type\":\"zdb\",\"data\":{\"size\":104857600" MORE "}}"

static void stores_are_strict(void)
{
	static const struct row rows[] = {
		{ "", ZDB(""), NULL },
		{ "", ZDB(",\"mode\":\"seq\",\"class\":\"hdd\",\"memory\":134217728,\"password\":\"of mine\",\"public\":true"), NULL },
		{ "", ZDB(",\"mode\":\"mixed\""), "/workloads/0/data/mode: must be one of: user, seq" },
		{ "", ZDB(",\"memory\":1048576"), "/workloads/0/data/memory: 1048576 is below" },
		{ "", ZDB(",\"public\":true"), "/workloads/0/data/public: without a password everybody" },
		{ "", ZDB(",\"password\":{\"secret\":\"none\"}"), "/workloads/0/data: uses the secret 'none'" },
		{ "", ZDB(",\"password\":\"0123456789012345678901234567890123456789012345678901234567890123\""), "/workloads/0/data/password: " },
		{ "", ZDB(",\"snapshots\":{\"every\":3600,\"keep\":1}"), "/workloads/0/data/snapshots: unknown field" },
		{ "", ZDB("") "," BOX(ON("kv", "/srv", "")), "/workloads/1/data/mounts/0/name: this deployment has no volume or zmount 'kv'" },
	};

	try(rows, ARRAY_LEN(rows));
}

static void networks_are_strict(void)
{
	static const struct row rows[] = {
		{ "", BLOG, NULL },
		{ "", NET("blog", "\"subnet\":\"192.168.0.0/16\",\"range\":\"192.168.0.0/16\",\"outgoing\":false"), NULL },
		{ "",
		  NET("blog", "\"subnet\":\"10.20.1.0/29\",\"range\":\"10.0.0.0/8\",\"subnet6\":\"fd00:1:2:3::/64\",\"range6\":\"fd00:1:2::/48\""),
		  NULL },
		{ "", NET("blog", ""), "/workloads/0/data/subnet: is missing" },
		{ "", NET("blog", "\"subnet\":\"10.20.1.0\""), "/workloads/0/data/subnet: '10.20.1.0' is not an IPv4 range" },
		{ "", NET("blog", "\"subnet\":\"fd00::/64\""), "/workloads/0/data/subnet: 'fd00::/64' is not an IPv4 range" },
		{ "", NET("blog", "\"subnet\":\"10.20.1.1/24\""), "/workloads/0/data/subnet: 10.20.1.1/24 has bits behind its prefix" },
		{ "", NET("blog", "\"subnet\":\"10.20.1.0/30\""), "/workloads/0/data/subnet: 10.20.1.0/30 has a prefix of 30 bits" },
		{ "", NET("blog", "\"subnet\":\"10.0.0.0/15\""), "/workloads/0/data/subnet: 10.0.0.0/15 has a prefix of 15 bits" },
		{ "", NET("blog", "\"subnet\":\"192.0.2.0/24\""), "/workloads/0/data/subnet: 192.0.2.0/24 is not within" },
		{ "", NET("blog", "\"subnet\":\"100.127.0.0/24\""), "/workloads/0/data/subnet: 100.127.0.0/24 is not within" },
		{ "", NET("blog", "\"subnet\":\"10.20.1.0/24\",\"range\":\"10.20.0.0/25\""), "/workloads/0/data/range: 10.20.0.0/25 does not hold" },
		{ "", NET("blog", "\"subnet\":\"10.20.1.0/24\",\"range\":\"0.0.0.0/0\""), "/workloads/0/data/range: 0.0.0.0/0 has a prefix of 0" },
		{ "", NET("blog", "\"subnet\":\"172.16.1.0/24\",\"range\":\"172.0.0.0/8\""), "/workloads/0/data/range: 172.0.0.0/8 is not within" },
		{ "", NET("blog", "\"subnet\":\"10.20.1.0/24\",\"subnet6\":\"fd00:1:2:3::/64\""), "/workloads/0/data/range6: is missing" },
		{ "", NET("blog", "\"subnet\":\"10.20.1.0/24\",\"range6\":\"fd00:1:2::/48\""), "/workloads/0/data/subnet6: is missing" },
		{ "", NET("blog", "\"subnet\":\"10.20.1.0/24\",\"subnet6\":\"fd00:1:2:3::/65\",\"range6\":\"fd00:1:2::/48\""),
		  "/workloads/0/data/subnet6: fd00:1:2:3::/65 has a prefix of 65" },
		{ "", NET("blog", "\"subnet\":\"10.20.1.0/24\",\"subnet6\":\"2001:db8::/64\",\"range6\":\"2001:db8::/48\""),
		  "/workloads/0/data/subnet6: 2001:db8::/64 is not within fd00::/8" },
		{ "", NET("blog", "\"subnet\":\"10.20.1.0/24\",\"subnet6\":\"fd00:1:3::/64\",\"range6\":\"fd00:1:2::/48\""),
		  "/workloads/0/data/range6: fd00:1:2::/48 does not hold" },
		{ "", NET("blog", "\"subnet\":\"10.20.1.0/24\",\"peers\":{}"), "/workloads/0/data/peers: must be a list" },
		{ "", NET("blog", "\"subnet\":\"10.20.1.0/24\",\"access\":{}"), "/workloads/0/data/access: must be a list" },
		{ "", NET("blog", "\"subnet\":\"10.20.1.0/24\",\"colour\":1"), "/workloads/0/data/colour: unknown field" },
		{ "", NET("blog", "\"subnet\":\"10.20.1.0/24\",\"outgoing\":1"), "/workloads/0/data/outgoing: must be" },
	};

	try(rows, ARRAY_LEN(rows));
}

#define NODE_A "NAIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRDOW5"
#define NODE_B "NARCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCE25G"
#define SOMEBODY "UAIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRDXKW"
#define KEY_A "ERERERERERERERERERERERERERERERERERERERERERE="
#define KEY_B "EhISEhISEhISEhISEhISEhISEhISEhISEhISEhISEhI="
#define KEY_NOTHING "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define WIDE "\"subnet\":\"10.20.1.0/24\",\"range\":\"10.20.0.0/16\""
#define WIDE6 WIDE ",\"subnet6\":\"fd00:1:2:1::/64\",\"range6\":\"fd00:1:2::/48\""
#define SPAN(peers) NET("blog", WIDE ",\"peers\":[" peers "]")
#define SPAN6(peers) NET("blog", WIDE6 ",\"peers\":[" peers "]")
#define PEER(who, key, subnet) "{\"" who "\":\"" key "\",\"subnet\":\"" subnet "\"}"
#define PEER_MORE(who, key, subnet, more) "{\"" who "\":\"" key "\",\"subnet\":\"" subnet "\"," more "}"

#define IP "{\"name\":\"front\",\"type\":\"ip\",\"data\":{\"v4\":true}}"
#define AT_FRONT(name, more)                                                                                                                       \
	"{\"name\":\"" name "\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web:1\",\"cpu\":1,\"memory\":134217728,\"public_ip\":\"front\"" more \
	"}}"

static void public_addresses_are_strict(void)
{
	static const struct row rows[] = {
		{ "", IP, NULL },
		{ "", AT_FRONT("web", "") "," IP, NULL },
		{ "", IP "," AT_FRONT("web", ",\"networks\":[{\"name\":\"blog\"}]") "," BLOG, NULL },
		{ "", "{\"name\":\"front\",\"type\":\"ip\",\"data\":{}}", "/workloads/0/data/v4: must be true" },
		{ "", "{\"name\":\"front\",\"type\":\"ip\",\"data\":{\"v4\":false}}", "/workloads/0/data/v4: must be true" },
		{ "", "{\"name\":\"front\",\"type\":\"ip\",\"data\":{\"v4\":1}}", "/workloads/0/data/v4: must be" },
		{ "", "{\"name\":\"front\",\"type\":\"ip\",\"data\":{\"v4\":true,\"v6\":true}}",
		  "/workloads/0/data/v6: a public IPv6 address is not done by this version" },
		{ "", "{\"name\":\"front\",\"type\":\"ip\",\"data\":{\"v4\":true,\"address\":\"198.51.100.7\"}}",
		  "/workloads/0/data/address: unknown field" },
		{ "", AT_FRONT("web", ""), "/workloads/0/data/public_ip: this deployment has no ip 'front'" },
		{ "", AT_FRONT("web", "") "," NET("front", "\"subnet\":\"10.20.1.0/24\""),
		  "/workloads/0/data/public_ip: this deployment has no ip 'front'" },
		{ "", IP "," AT_FRONT("web", "") "," AT_FRONT("db", ""), "/workloads/2/data/public_ip: 'front' is that of 'web' already" },
		{ "", IP "," AT_FRONT("web", ",\"networks\":[{\"name\":\"blog\"}]") "," NET("blog", "\"subnet\":\"10.20.1.0/24\",\"outgoing\":false"),
		  "/workloads/1/data/public_ip: none of the machine's networks is 'outgoing'" },
	};

	try(rows, ARRAY_LEN(rows));
}

static void peers_are_strict(void)
{
	static const struct row rows[] = {
		{ "", SPAN(""), NULL },
		{ "", NET("blog", "\"subnet\":\"10.20.1.0/24\",\"peers\":[]"), NULL },
		{ "", SPAN(PEER("node", NODE_A, "10.20.2.0/24")), NULL },
		{ "", SPAN(PEER("node", NODE_A, "10.20.2.0/24") "," PEER("node", NODE_B, "10.20.3.0/24") "," PEER("key", KEY_A, "10.20.4.7/32")),
		  NULL },
		{ "", SPAN(PEER_MORE("key", KEY_A, "10.20.4.0/24", "\"endpoint\":\"192.0.2.1:51820\"")), NULL },
		{ "", SPAN6(PEER_MORE("node", NODE_A, "10.20.2.0/24", "\"subnet6\":\"fd00:1:2:2::/64\"")), NULL },
		{ "", SPAN6(PEER_MORE("key", KEY_A, "10.20.2.1/32", "\"subnet6\":\"fd00:1:2:2::7/128\"")), NULL },
		{ "", SPAN6(PEER("key", KEY_A, "10.20.2.1/32")), NULL },
		{ "", SPAN("{\"subnet\":\"10.20.2.0/24\"}"), "/workloads/0/data/peers/0: must have either 'node' or 'key'" },
		{ "", SPAN(PEER_MORE("node", NODE_A, "10.20.2.0/24", "\"key\":\"" KEY_A "\"")), "/workloads/0/data/peers/0: must have either" },
		{ "", SPAN("{\"node\":\"" NODE_A "\"}"), "/workloads/0/data/peers/0/subnet: is missing" },
		{ "", SPAN(PEER("node", NODE_A, "10.20.2.0/24") ",7"), "/workloads/0/data/peers/1: must be an object" },
		{ "", SPAN(PEER("node", "x", "10.20.2.0/24")), "/workloads/0/data/peers/0/node: must be a public key" },
		{ "", SPAN(PEER("node", SOMEBODY, "10.20.2.0/24")), "/workloads/0/data/peers/0/node: must be a node's key" },
		{ "", SPAN(PEER("key", "x", "10.20.2.0/24")), "/workloads/0/data/peers/0/key: 'x' is not a WireGuard public key" },
		{ "", SPAN(PEER("key", KEY_NOTHING, "10.20.2.0/24")), "/workloads/0/data/peers/0/key: 'AAAA" },
		{ "", SPAN(PEER_MORE("node", NODE_A, "10.20.2.0/24", "\"colour\":1")), "/workloads/0/data/peers/0/colour: unknown field" },
		{ "", SPAN(PEER_MORE("node", NODE_A, "10.20.2.0/24", "\"endpoint\":\"192.0.2.1:51820\"")),
		  "/workloads/0/data/peers/0/endpoint: goes with a 'key'" },
		{ "", SPAN(PEER_MORE("key", KEY_A, "10.20.2.0/24", "\"endpoint\":\"192.0.2.1\"")),
		  "/workloads/0/data/peers/0/endpoint: '192.0.2.1' is not" },
		{ "", SPAN(PEER_MORE("key", KEY_A, "10.20.2.0/24", "\"endpoint\":\"127.0.0.1:51820\"")),
		  "/workloads/0/data/peers/0/endpoint: '127.0.0.1" },
		{ "", SPAN(PEER("node", NODE_A, "10.21.2.0/24")),
		  "/workloads/0/data/peers/0/subnet: 10.21.2.0/24 is not within the network's range 10.20.0.0/16" },
		{ "", SPAN(PEER("node", NODE_A, "10.20.2.1/24")), "/workloads/0/data/peers/0/subnet: 10.20.2.1/24 has bits behind its prefix" },
		{ "", SPAN(PEER("node", NODE_A, "10.20.2.0/30")), "/workloads/0/data/peers/0/subnet: 10.20.2.0/30 has a prefix of 30 bits" },
		{ "", SPAN(PEER("node", NODE_A, "10.20.0.0/23")), "/workloads/0/data/peers/0/subnet: 10.20.0.0/23 overlaps with what this node has" },
		{ "", SPAN(PEER("node", NODE_A, "10.20.2.0/24") "," PEER("key", KEY_A, "10.20.2.9/32")),
		  "/workloads/0/data/peers/1/subnet: 10.20.2.9/32 overlaps with what peers/0 has" },
		{ "", SPAN(PEER("node", NODE_A, "10.20.2.0/24") "," PEER("node", NODE_A, "10.20.3.0/24")),
		  "/workloads/0/data/peers/1/node: stands in peers/0, too" },
		{ "", SPAN(PEER("key", KEY_A, "10.20.2.0/24") "," PEER("key", KEY_B, "10.20.4.0/24") "," PEER("key", KEY_A, "10.20.3.0/24")),
		  "/workloads/0/data/peers/2/key: stands in peers/0, too" },
		{ "", SPAN6(PEER("node", NODE_A, "10.20.2.0/24")), "/workloads/0/data/peers/0/subnet6: is missing" },
		{ "", SPAN6(PEER_MORE("node", NODE_A, "10.20.2.0/24", "\"subnet6\":\"fd00:1:3:2::/64\"")),
		  "/workloads/0/data/peers/0/subnet6: fd00:1:3:2::/64 is not within the network's range6 fd00:1:2::/48" },
		{ "", SPAN6(PEER_MORE("node", NODE_A, "10.20.2.0/24", "\"subnet6\":\"fd00:1:2:1::/64\"")),
		  "/workloads/0/data/peers/0/subnet6: fd00:1:2:1::/64 overlaps with what this node has" },
		{ "", SPAN6(PEER_MORE("node", NODE_A, "10.20.2.0/24", "\"subnet6\":\"fd00:1:2:2::/65\"")),
		  "/workloads/0/data/peers/0/subnet6: fd00:1:2:2::/65 has a prefix of 65 bits" },
	};

	try(rows, ARRAY_LEN(rows));
}

static void peers_are_bounded(void)
{
	AUTO_BUF struct buf text = { 0 };
	struct row row = { "", NULL, NULL };

	for (unsigned n = NETWORK_PEERS_MAX; n <= NETWORK_PEERS_MAX + 1; n++) {
		buf_drop(&text, text.len);
		buf_addf(&text, "{\"name\":\"blog\",\"type\":\"network\",\"data\":{" WIDE ",\"peers\":[");
		for (unsigned i = 0; i < n; i++) {
			uint8_t key[NETWORK_KEY_LEN] = { (uint8_t)(i + 1) };

			buf_addf(&text, "%s{\"key\":\"", i ? "," : "");
			format_base64(&text, key, sizeof(key));
			buf_addf(&text, "\",\"subnet\":\"10.20.2.%u/32\"}", i);
		}
		buf_addf(&text, "]}}");
		T_NEED(!buf_check(&text), "out of memory");
		row.workloads = text.p;
		row.why = n > NETWORK_PEERS_MAX ? "/workloads/0/data/peers: has 65 entries: 0 to 64 are allowed" : NULL;
		try(&row, 1);
	}
}

static void peers_arrive(void)
{
	AUTO_DEPLOYMENT struct deployment *d = deployment_new(), *own = deployment_new();
	const struct network *n = &d->workloads[0].network;
	AUTO_BUF struct buf text = { 0 };
	char node[KEY_TEXT_SIZE];
	struct network_peer p;
	struct fixture f;
	struct err e = { 0 };

	fixture_new(&f);
	T_NEED(!opened(&f, "", SPAN(PEER("node", NODE_A, "10.20.2.0/24") "," PEER_MORE("key", KEY_A, "10.20.4.7/32", "\"endpoint\":\"192.0.2.1:5\"")),
		       d, &e),
	       "%s", e.msg);
	T_CHECK(network_n_peers(n) == 2, "%zu", network_n_peers(n));
	network_peer(n, 0, &p);
	T_CHECK(p.node.role == KEY_NODE && p.node.bytes[0] == 0x11 && p.subnet.address == 0x0a140200 && p.subnet.prefix == 24 && !p.endpoint.family,
		"a node");
	T_CHECK(p.subnet6.prefix == 64 && range6_has(&n->range6, &p.subnet6) && memcmp(p.subnet6.address, n->subnet6.address, 8),
		"its IPv6 part follows from its key");
	network_peer(n, 1, &p);
	T_CHECK(!p.node.role && p.public_key[31] == 0x11 && p.subnet.prefix == 32 && p.endpoint.port == 5 && !p.subnet6.prefix, "somebody else");
	key_pub_format(node, &f.node.pub);
	buf_addf(&text, "{\"name\":\"blog\",\"type\":\"network\",\"data\":{" WIDE ",\"peers\":[{\"node\":\"%s\",\"subnet\":\"10.20.2.0/24\"}]}}",
		 node);
	T_CHECK(opened(&f, "", text.p, own, &e) == -EBADMSG &&
			strstr(e.msg, "/workloads/0/data/peers/0/node: is the node that this deployment is for"),
		"%s", e.msg);
}

#define DEVICE(name, key, ip) "{\"name\":\"" name "\",\"key\":\"" key "\",\"ip\":\"" ip "\"}"
#define SHARED(psk) "{\"name\":\"phone\",\"key\":\"" KEY_A "\",\"ip\":\"10.20.1.9\",\"preshared\":" psk "}"
#define REACHED(access, more) "{\"name\":\"blog\",\"type\":\"network\",\"data\":{" WIDE ",\"access\":[" access "]" more "}}"

static void devices_are_strict(void)
{
	static const char taken[] = REACHED(DEVICE("phone", KEY_A, "10.20.1.9"), "") "," IN("web", AT("blog", "10.20.1.9"));
	static const char beside[] = REACHED(DEVICE("phone", KEY_A, "10.20.1.9"), "") "," IN("web", AT("blog", "10.20.1.10"));
	static const struct row rows[] = {
		{ "", REACHED("", ""), NULL },
		{ "", REACHED(DEVICE("phone", KEY_A, "10.20.1.9") "," DEVICE("desk", KEY_B, "10.20.1.254"), ""), NULL },
		{ "", REACHED(DEVICE("Phone", KEY_A, "10.20.1.9"), ""), "/workloads/0/data/access/0/name: 'Phone' is not a name" },
		{ "", REACHED(DEVICE("phone", "AAAA", "10.20.1.9"), ""), "/workloads/0/data/access/0/key: 'AAAA' is not a WireGuard" },
		{ "", REACHED(DEVICE("phone", KEY_A, "10.20.1.9/32"), ""), "/workloads/0/data/access/0/ip: '10.20.1.9/32' is not an IPv4 address" },
		{ "", REACHED(DEVICE("phone", KEY_A, "10.20.1.0"), ""), "/workloads/0/data/access/0/ip: 10.20.1.0 is none of the addresses" },
		{ "", REACHED(DEVICE("phone", KEY_A, "10.20.1.1"), ""), "/workloads/0/data/access/0/ip: 10.20.1.1 is none of the addresses" },
		{ "", REACHED(DEVICE("phone", KEY_A, "10.20.1.255"), ""), "/workloads/0/data/access/0/ip: 10.20.1.255 is none of the addresses" },
		{ "", REACHED(DEVICE("phone", KEY_A, "10.20.2.9"), ""), "/workloads/0/data/access/0/ip: 10.20.2.9 is none of the addresses" },
		{ "", REACHED(DEVICE("phone", KEY_A, "10.20.1.9") "," DEVICE("phone", KEY_B, "10.20.1.8"), ""),
		  "/workloads/0/data/access/1/name: stands in access/0, too" },
		{ "", REACHED(DEVICE("phone", KEY_A, "10.20.1.9") "," DEVICE("desk", KEY_A, "10.20.1.8"), ""),
		  "/workloads/0/data/access/1/key: stands in access/0, too" },
		{ "", REACHED(DEVICE("phone", KEY_A, "10.20.1.9") "," DEVICE("desk", KEY_B, "10.20.1.9"), ""),
		  "/workloads/0/data/access/1/ip: stands in access/0, too" },
		{ "", REACHED(DEVICE("phone", KEY_A, "10.20.1.9"), ",\"peers\":[" PEER("key", KEY_A, "10.20.2.0/24") "]"),
		  "/workloads/0/data/access/0/key: stands in peers/0, too" },
		{ "\"secrets\":{\"shared\":\"AQ==\"},", REACHED(SHARED("{\"secret\":\"shared\"}"), ""), NULL },
		{ "", REACHED(SHARED("{\"secret\":\"shared\"}"), ""), "/workloads/0/data: uses the secret 'shared', and /secrets has none" },
		{ "", REACHED(SHARED("\"" KEY_B "\""), ""), "/workloads/0/data/access/0/preshared: a key in clear has no place" },
		{ "", beside, NULL },
		{ "", taken, "/workloads/1/data/networks/0/ip: 10.20.1.9 is the address of the device 'phone' in 'blog'" },
	};

	try(rows, ARRAY_LEN(rows));
}

static void who_joins_is_strict(void)
{
	static const char two[] = BLOG "," NET("other", "\"subnet\":\"10.20.2.0/24\"") "," IN("web", AUTO("blog") "," AT("other", "10.20.2.254"));
	static const char over[] = NET("blog", "\"subnet\":\"10.20.1.0/24\",\"range\":\"10.20.0.0/16\"") "," NET(
		"other", "\"subnet\":\"10.20.2.0/24\"") "," IN("web", AUTO("blog") "," AUTO("other"));
	static const struct row rows[] = {
		{ "", IN("web", AT("blog", "10.20.1.2")) "," BLOG, NULL },
		{ "", two, NULL },
		{ "", IN("web", AUTO("blog")), "/workloads/0/data/networks/0/name: this deployment has no network 'blog'" },
		{ "", VOLUME("") "," IN("web", AUTO("data")), "/workloads/1/data/networks/0/name: this deployment has no network 'data'" },
		{ "", BLOG "," IN("web", AUTO("blog") "," AUTO("blog")), "/workloads/1/data/networks/1/name: 'blog' stands twice" },
		{ "", over, "/workloads/2/data/networks/1/name: the ranges of 'other' and 'blog' overlap" },
		{ "", BLOG "," IN("web", AT("blog", "10.20.1.1")), "/workloads/1/data/networks/0/ip: 10.20.1.1 is none of the addresses" },
		{ "", BLOG "," IN("web", AT("blog", "10.20.1.0")), "10.20.1.2 to 10.20.1.254" },
		{ "", BLOG "," IN("web", AT("blog", "10.20.1.255")), "/workloads/1/data/networks/0/ip: 10.20.1.255 is none" },
		{ "", BLOG "," IN("web", AT("blog", "10.20.2.5")), "/workloads/1/data/networks/0/ip: 10.20.2.5 is none" },
		{ "", BLOG "," IN("web", AT("blog", "fd00::5")), "/workloads/1/data/networks/0/ip: 'fd00::5' is not an IPv4 address" },
		{ "", BLOG "," IN("a", AT("blog", "10.20.1.9")) "," IN("b", AT("blog", "10.20.1.9")),
		  "/workloads/2/data/networks/0/ip: 10.20.1.9 is the address of 'a' in 'blog'" },
		{ "", BLOG "," IN("web", "{\"name\":\"blog\",\"mac\":\"x\"}"), "/workloads/1/data/networks/0/mac: unknown field" },
		{ "",
		  NET("s", "\"subnet\":\"10.0.0.0/29\"") "," IN("a", AUTO("s")) "," IN("b", AUTO("s")) "," IN("c", AUTO("s")) "," IN(
			  "d", AUTO("s")) "," IN("e", AUTO("s")),
		  NULL },
		{ "",
		  NET("s", "\"subnet\":\"10.0.0.0/29\"") "," IN("a", AUTO("s")) "," IN("b", AUTO("s")) "," IN("c", AUTO("s")) "," IN(
			  "d", AUTO("s")) "," IN("e", AUTO("s")) "," IN("f", AUTO("s")),
		  "/workloads/6/data/networks/0: 's' has no address left" },
	};

	try(rows, ARRAY_LEN(rows));
}

#define KV(networks) "{\"name\":\"kv\",\"type\":\"zdb\",\"data\":{\"size\":104857600,\"networks\":[" networks "]}}"

static void a_store_joins_like_a_machine(void)
{
	static const struct row rows[] = {
		{ "", KV(AT("blog", "10.20.1.2")) "," BLOG, NULL },
		{ "", KV(AUTO("blog")), "/workloads/0/data/networks/0/name: this deployment has no network 'blog'" },
		{ "", BLOG "," KV(AUTO("blog") "," AUTO("blog")), "/workloads/1/data/networks/1/name: 'blog' stands twice" },
		{ "", BLOG "," KV(AT("blog", "10.20.1.1")), "/workloads/1/data/networks/0/ip: 10.20.1.1 is none of the addresses" },
		{ "", BLOG "," KV(AT("blog", "10.20.1.9")) "," IN("b", AT("blog", "10.20.1.9")),
		  "/workloads/2/data/networks/0/ip: 10.20.1.9 is the address of 'kv' in 'blog'" },
		{ "", BLOG "," IN("b", AT("blog", "10.20.1.9")) "," KV(AT("blog", "10.20.1.9")),
		  "/workloads/2/data/networks/0/ip: 10.20.1.9 is the address of 'b' in 'blog'" },
	};
	AUTO_DEPLOYMENT struct deployment *d = deployment_new();
	struct fixture f;
	struct err e = { 0 };

	try(rows, ARRAY_LEN(rows));
	fixture_new(&f);
	T_NEED(!opened(&f, "", KV(AUTO("blog")) "," BLOG "," IN("b", AUTO("blog")), d, &e), "%s", e.msg);
	T_CHECK(workload_joins(&d->workloads[0])->list[0].address && !workload_joins(&d->workloads[1])->n &&
			workload_joins(&d->workloads[0])->list[0].address != workload_joins(&d->workloads[2])->list[0].address,
		"one each");
}

static void a_network_numbers_its_machines(void)
{
	AUTO_DEPLOYMENT struct deployment *d = deployment_new(), *more = deployment_new();
	const struct workload *w = d->workloads, *m = more->workloads;
	struct fixture f;
	struct err e = { 0 };
	uint8_t a6[16];

	fixture_new(&f);
	T_NEED(!opened(&f, "", BLOG "," IN("a", AUTO("blog")) "," IN("b", AUTO("blog")) "," IN("c", AT("blog", "10.20.1.7")), d, &e), "%s", e.msg);
	T_NEED(!opened(&f, "", IN("a", AUTO("blog")) "," IN("b", AUTO("blog")) "," BLOG "," IN("z", AUTO("blog")), more, &e), "%s", e.msg);
	T_CHECK(w[0].network.outgoing && range4_has(&w[0].network.subnet, &w[0].network.range) && network_gateway(&w[0].network) == 0x0a140101,
		"what is not said");
	T_CHECK(w[3].zmachine.networks.list[0].address == 0x0a140107, "as it was asked for");
	T_CHECK(w[1].zmachine.networks.list[0].address != w[2].zmachine.networks.list[0].address, "one each");
	T_CHECK(w[1].zmachine.networks.list[0].address == m[0].zmachine.networks.list[0].address &&
			w[2].zmachine.networks.list[0].address == m[1].zmachine.networks.list[0].address,
		"whoever comes or goes");
	T_CHECK(w[0].network.subnet6.prefix == 64 && w[0].network.range6.prefix == 48 && w[0].network.subnet6.address[0] == 0xfd &&
			range6_has(&w[0].network.range6, &w[0].network.subnet6) &&
			!memcmp(w[0].network.subnet6.address, m[2].network.subnet6.address, 16),
		"IPv6 by itself, and always the same");
	network_address6(&w[0].network, 0x0a140107, a6);
	T_CHECK(!memcmp(a6, w[0].network.subnet6.address, 8) && !memcmp(a6 + 8, "\0\0\0\0\x0a\x14\x01\x07", 8), "both addresses go together");
}

static void secrets_are_strict(void)
{
	static const struct row rows[] = {
		{ "\"secrets\":{},", "", NULL },
		{ "\"secrets\":{\"db\":\"AQ==\"},", WEB(",\"memory\":134217728,\"env\":{\"A\":\"b\",\"B\":{\"secret\":\"db\"}}"), NULL },
		{ "\"secrets\":{\"db\":\"AQ==\"},", WEB(",\"memory\":134217728,\"pull\":{\"user\":\"u\",\"secret\":\"db\"}"), NULL },
		{ "\"secrets\":{\"db\":\"AQ==\"},", WEB(",\"memory\":134217728,\"env\":{\"B\":{\"secret\":\"dc\"}}"),
		  "/workloads/0/data: uses the secret 'dc', and /secrets has none" },
		{ "", WEB(",\"memory\":134217728,\"pull\":{\"user\":\"u\",\"secret\":\"db\"}"), "/workloads/0/data: uses the secret 'db'" },
		{ "", WEB(",\"memory\":134217728,\"pull\":{\"user\":\"u\"}"), "/workloads/0/data/pull/secret: is missing" },
		{ "", WEB(",\"memory\":134217728,\"env\":{\"B\":{\"secret\":\"db\",\"x\":1}}"), "/workloads/0/data/env/B/x: unknown field" },
		{ "", WEB(",\"memory\":134217728,\"env\":{\"B\":{\"secret\":1}}"), "/workloads/0/data/env/B/secret: must be a string" },
		{ "\"secrets\":{\"DB\":\"AQ==\"},", "", "/secrets: 'DB' is not a name" },
		{ "\"secrets\":{\"db\":{\"env\":\"X\"}},", "", "/secrets: 'db' must be a string" },
	};

	try(rows, ARRAY_LEN(rows));
}

static void values_arrive(void)
{
	AUTO_DEPLOYMENT struct deployment *d = deployment_new();
	struct fixture f;
	struct err e = { 0 };

	fixture_new(&f);
	T_NEED(!opened(&f, "\"expires\":\"2027-01-15T08:00:00Z\",",
		       WEB(",\"memory\":134217728,\"isolation\":\"container\",\"restart\":\"on-failure\",\"user\":\"www\""), d, &e),
	       "%s", e.msg);
	T_CHECK(!strcmp(d->name, "web") && key_pub_eq(&d->owner, &f.owner.pub) && d->sequence == 1, "head");
	T_CHECK(d->expires_s == 1800000000, "%lld", (long long)d->expires_s);
	T_CHECK(d->workloads[0].zmachine.memory_bytes == 134217728 && d->workloads[0].zmachine.cpu_milli == 1000, "sizes");
	T_CHECK(d->workloads[0].zmachine.isolation == ISOLATION_CONTAINER, "isolation");
	T_CHECK(d->workloads[0].zmachine.restart == RESTART_ON_FAILURE, "restart");
	T_CHECK(d->workloads[0].zmachine.rootfs_bytes == 67108864, "half of its memory");
	d = deployment_free(d);
	d = deployment_new();
	T_NEED(!opened(&f, "", WEB(",\"memory\":134217728,\"modules\":[\"overlay\"]"), d, &e), "%s", e.msg);
	T_CHECK(d->workloads[0].zmachine.isolation == ISOLATION_VM, "who asks for modules has asked for a kernel");
}

static void what_is_mounted_arrives(void)
{
	AUTO_DEPLOYMENT struct deployment *d = deployment_new();
	const struct zmachine *z;
	struct fixture f;
	struct err e = { 0 };

	fixture_new(&f);
	T_NEED(!opened(&f, "", VM(ON("disk", "/db", "")) "," VOLUME(",\"class\":\"hdd\"") "," ZMOUNT(""), d, &e), "%s", e.msg);
	z = &d->workloads[0].zmachine;
	T_CHECK(z->n_mounts == 1 && !strcmp(z->mounts[0].path, "/db") && !z->mounts[0].read_only, "%zu", z->n_mounts);
	T_CHECK(z->isolation == ISOLATION_VM, "who mounts a disk has asked for a virtual machine");
	T_CHECK(d->workloads[1].kind == WORKLOAD_VOLUME && d->workloads[1].volume.size_bytes == 100 << 20 && d->workloads[1].volume.class == DISK_HDD,
		"volume");
	T_CHECK(deployment_workload(d, "disk") == &d->workloads[2] && d->workloads[2].zmount.format == ZMOUNT_EXT4 && !deployment_workload(d, "x"),
		"zmount");
}

static void a_store_arrives(void)
{
	AUTO_DEPLOYMENT struct deployment *d = deployment_new();
	const struct zdb *z = &d->workloads[0].zdb;
	struct fixture f;
	struct err e = { 0 };

	fixture_new(&f);
	T_NEED(!opened(&f, "", ZDB(",\"mode\":\"seq\",\"password\":\"of mine\""), d, &e), "%s", e.msg);
	T_CHECK(d->workloads[0].kind == WORKLOAD_ZDB && z->size_bytes == 100 << 20 && z->mode == ZDB_SEQ && z->memory_bytes == ZDB_MEMORY_MIN &&
			!strcmp(sd_json_variant_string(z->password), "of mine") && !z->is_public,
		"as it was written, and with the least memory");
	T_CHECK(zdb_disk_bytes(z) == (125ull << 20) + ZDB_DISK_EXTRA, "its disk: %llu", (unsigned long long)zdb_disk_bytes(z));
}

static void somebody_elses_name_as_owner(void)
{
	AUTO_DEPLOYMENT struct deployment *d = deployment_new();
	struct fixture f, thief;
	struct err e = { 0 };

	fixture_new(&f);
	fixture_new(&thief);
	f.owner = thief.owner; /* signs with another key than the one it names */
	T_CHECK(opened(&f, "", "", d, &e) == -EKEYREJECTED && strstr(e.msg, "/owner"), "%s", e.msg);
}

static void signers_weigh(void)
{
	struct fixture f;
	struct key second = KEY_NONE;
	char second_text[KEY_TEXT_SIZE], more[512];
	struct err e = { 0 };

	fixture_new(&f);
	T_NEED(!key_new(KEY_USER, &second), "key");
	key_pub_format(second_text, &second.pub);
	for (unsigned threshold = 1; threshold <= 3; threshold++) {
		AUTO_DEPLOYMENT struct deployment *d = deployment_new();
		int r;

		snprintf(more, sizeof(more),
			 "\"signers\":{\"threshold\":%u,\"keys\":[{\"key\":\"%s\",\"weight\":1},"
			 "{\"key\":\"%s\",\"weight\":1}]},",
			 threshold, f.owner_text, second_text);
		r = opened(&f, more, "", d, &e);
		T_CHECK(r == (threshold == 1 ? 0 : threshold == 2 ? -EKEYREJECTED : -EBADMSG), "threshold %u: %d %s", threshold, r, e.msg);
	}
}

int main(void)
{
	T_RUN(machines_are_strict);
	T_RUN(disk_images_are_strict);
	T_RUN(storage_is_strict);
	T_RUN(stores_are_strict);
	T_RUN(networks_are_strict);
	T_RUN(public_addresses_are_strict);
	T_RUN(peers_are_strict);
	T_RUN(peers_are_bounded);
	T_RUN(peers_arrive);
	T_RUN(devices_are_strict);
	T_RUN(who_joins_is_strict);
	T_RUN(a_network_numbers_its_machines);
	T_RUN(a_store_joins_like_a_machine);
	T_RUN(secrets_are_strict);
	T_RUN(values_arrive);
	T_RUN(what_is_mounted_arrives);
	T_RUN(a_store_arrives);
	T_RUN(somebody_elses_name_as_owner);
	T_RUN(signers_weigh);
	return T_END();
}
