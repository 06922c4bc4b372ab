#include "grid/hubd.h"

#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"
#include "grid/hubca.h"
#include "grid/jwt.h"

#include <fcntl.h>
#include <nats/nats.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

/* In the order of the lines of DIR/hub.keys. */
enum { OPERATOR, SYSTEM, STORE, GRID, SIGNER, CA, N_KEYS };

static const char keys_file[] = "hub.keys", conf_file[] = "nats.conf", leaf_file[] = "hub.pem", ca_file[] = "ca.pem";

struct keyring {
	struct key key[N_KEYS];
};

static void keyring_wipe(struct keyring *k)
{
	for (int i = 0; i < N_KEYS; i++)
		key_wipe(&k->key[i]);
}
#define AUTO_KEYRING CLEANUP(keyring_wipe)

static char role_of(int which)
{
	return which == OPERATOR || which == CA ? KEY_OPERATOR : KEY_FARM;
}

/* Makes the keys from FIRST on, and saves all. */
static int keyring_create(int dir_fd, int first, struct keyring *k, struct err *e)
{
	AUTO_SECRET struct buf text = { 0 };
	char seed[KEY_SEED_SIZE];

	buf_reserve(&text, N_KEYS * (KEY_SEED_SIZE + 1));
	for (int i = 0; i < N_KEYS; i++) {
		if (i >= first && key_new(role_of(i), &k->key[i]))
			return err_set(e, -ENOMEM, "make the hub's keys: no memory");
		key_seed_format(seed, &k->key[i]);
		buf_addf(&text, "%s\n", seed);
	}
	explicit_bzero(seed, sizeof(seed));
	return file_save(dir_fd, keys_file, buf_str(&text), 0600, e);
}

/* A hub from before it had an authority gets one. */
static int keyring_parse(int dir_fd, struct str text, struct keyring *k, struct err *e)
{
	struct str line;

	for (int i = 0; i < N_KEYS; i++)
		if (i == CA && !text.n)
			return keyring_create(dir_fd, CA, k, e);
		else if (!str_next(&text, '\n', &line) || key_seed_parse(line, &k->key[i]) || k->key[i].pub.role != role_of(i))
			return err_set(e, -EBADMSG,
				       "%s: line %d is no seed of the expected kind; a new file makes a new hub, "
				       "which all nodes must be told of",
				       keys_file, i + 1);
	return 0;
}

static int keyring_load(int dir_fd, struct keyring *k, struct err *e)
{
	AUTO_SECRET struct buf text = { 0 };
	int r;

	if (faccessat(dir_fd, keys_file, F_OK, 0) && errno == ENOENT)
		return keyring_create(dir_fd, 0, k, e);
	r = file_read(dir_fd, keys_file, 4096, &text, e);
	return r ? r : keyring_parse(dir_fd, buf_str(&text), k, e);
}

static const char *key_text(const struct keyring *k, int which, char ret[static KEY_TEXT_SIZE])
{
	key_pub_format(ret, &k->key[which].pub);
	return ret;
}

/* Claims around NATS_PART, which is the JSON of the "nats" member, signed by the operator. */
static int sign_claims(const struct keyring *k, int subject, const char *name, struct str nats_part, struct buf *ret)
{
	AUTO_BUF struct buf claims = { 0 };
	char iss[KEY_TEXT_SIZE], sub[KEY_TEXT_SIZE];

	buf_addf(&claims, "{\"iat\":%lld,\"iss\":\"%s\",\"name\":\"%s\",\"sub\":\"%s\",\"nats\":", (long long)time(NULL), key_text(k, OPERATOR, iss),
		 name, key_text(k, subject, sub));
	buf_add(&claims, nats_part);
	buf_add(&claims, S("}"));
	return claims.failed ? -ENOBUFS : jwt_sign(&k->key[OPERATOR], buf_str(&claims), ret);
}

/* What the store lends and what the grid calls it. The star is the record's key. */
static const struct service {
	const char *name, *subject, *local;
} services[] = {
	{ "put", "$KV.nodes.*", "dir.put.*" },
	{ "get", "$JS.API.DIRECT.GET.KV_nodes.$KV.nodes.*", "dir.get.*" },
	{ "list", "$JS.API.STREAM.INFO.KV_nodes", "dir.list" },
};

static const char no_limits[] = "\"subs\":-1,\"data\":-1,\"payload\":-1,\"imports\":-1,\"exports\":-1,\"wildcards\":true,\"leaf\":-1";

static int store_token(const struct keyring *k, struct buf *ret)
{
	AUTO_BUF struct buf nats = { 0 };

	buf_addf(&nats,
		 "{\"limits\":{%s,\"conn\":8,\"mem_storage\":0,\"disk_storage\":-1,\"streams\":4,\"consumer\":16},"
		 "\"exports\":[",
		 no_limits);
	for (size_t i = 0; i < ARRAY_LEN(services); i++)
		buf_addf(&nats, "%s{\"name\":\"%s\",\"subject\":\"%s\",\"type\":\"service\"}", i ? "," : "", services[i].name, services[i].subject);
	buf_add(&nats, S("],\"default_permissions\":{\"pub\":{},\"sub\":{}},\"type\":\"account\",\"version\":2}"));
	return sign_claims(k, STORE, "store", buf_str(&nats), ret);
}

static int grid_token(const struct keyring *k, unsigned max_connections, struct buf *ret)
{
	AUTO_BUF struct buf nats = { 0 };
	char store[KEY_TEXT_SIZE], signer[KEY_TEXT_SIZE];

	key_text(k, STORE, store);
	buf_addf(&nats, "{\"limits\":{%s,\"conn\":%u},\"imports\":[", no_limits, max_connections);
	for (size_t i = 0; i < ARRAY_LEN(services); i++)
		buf_addf(&nats, "%s{\"name\":\"%s\",\"subject\":\"%s\",\"account\":\"%s\",\"local_subject\":\"%s\",\"type\":\"service\"}",
			 i ? "," : "", services[i].name, services[i].subject, store, services[i].local);
	buf_addf(&nats,
		 "],\"signing_keys\":[{\"kind\":\"user_scope\",\"key\":\"%s\",\"role\":\"participant\",\"template\":{"
		 "\"sub\":{\"allow\":[\"n.{{subject()}}.>\"]},"
		 "\"pub\":{\"allow\":[\"n.*.i\",\"n.*.d.*\",\"dir.put.{{subject()}}\",\"dir.get.*\",\"dir.list\"]},"
		 "\"subs\":100,\"data\":-1,\"payload\":%d}}],"
		 "\"default_permissions\":{\"pub\":{},\"sub\":{}},\"type\":\"account\",\"version\":2}",
		 key_text(k, SIGNER, signer), HUB_PAYLOAD_MAX);
	return sign_claims(k, GRID, "grid", buf_str(&nats), ret);
}

static int system_token(const struct keyring *k, struct buf *ret)
{
	AUTO_BUF struct buf nats = { 0 };

	buf_addf(&nats,
		 "{\"limits\":{%s,\"conn\":-1},\"default_permissions\":{\"pub\":{},\"sub\":{}},\"type\":\"account\","
		 "\"version\":2}",
		 no_limits);
	return sign_claims(k, SYSTEM, "system", buf_str(&nats), ret);
}

static int operator_token(const struct keyring *k, struct buf *ret)
{
	return sign_claims(k, OPERATOR, "zos-hub", S("{\"type\":\"operator\",\"version\":2}"), ret);
}

static int conf_accounts(const struct keyring *k, const struct hubd_options *o, struct buf *b)
{
	AUTO_BUF struct buf operator= { 0 };
	AUTO_BUF struct buf system = { 0 };
	AUTO_BUF struct buf store = { 0 };
	AUTO_BUF struct buf grid = { 0 };
	char text[KEY_TEXT_SIZE];
	int r = operator_token(k, &operator);

	if (!r)
		r = system_token(k, &system);
	if (!r)
		r = store_token(k, &store);
	if (!r)
		r = grid_token(k, o->max_connections ? o->max_connections : HUBD_CONNECTIONS_DEFAULT, &grid);
	if (r)
		return r;
	buf_addf(b, "operator: \"%s\"\nsystem_account: %s\n", operator.p, key_text(k, SYSTEM, text));
	buf_addf(b, "resolver: MEMORY\nresolver_preload: {\n\t%s: \"%s\"\n", text, system.p);
	buf_addf(b, "\t%s: \"%s\"\n", key_text(k, STORE, text), store.p);
	buf_addf(b, "\t%s: \"%s\"\n}\n", key_text(k, GRID, text), grid.p);
	return buf_check(b);
}

static unsigned hubd_port(const struct hubd_options *o)
{
	return o->port ? o->port : 4222;
}

static const char *hubd_host(const struct hubd_options *o)
{
	return o->listen ? o->listen : "127.0.0.1";
}

static bool hubd_is_tls(const struct hubd_options *o)
{
	return o->own_ca || o->tls_cert;
}

static const char *hubd_name(const struct hubd_options *o)
{
	return o->advertise ? o->advertise : hubd_host(o);
}

/* HOST:PORT, with the brackets that an IPv6 address needs. */
static void format_place(struct buf *b, const char *host, unsigned port)
{
	buf_addf(b, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
}

/* Certificate and key are one file, so that they are replaced together. */
static void conf_tls(struct buf *b, const struct hubd_options *o)
{
	if (o->tls_cert)
		buf_addf(b, "tls: { cert_file: \"%s\", key_file: \"%s\" }\n", o->tls_cert, o->tls_key);
	else if (o->own_ca)
		buf_addf(b, "tls: { cert_file: \"%s/%s\", key_file: \"%s/%s\" }\n", o->dir, leaf_file, o->dir, leaf_file);
}

/* How many servers the hub has. The places end up in the configuration: nothing but host names, addresses and ports. */
static int members_count(const struct hubd_options *o, struct err *e)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";
	struct str rest = str_c(o->peers ? o->peers : ""), one;
	char host[256], port[8];
	int n = 0, n_own = 0;

	if (!o->cluster)
		return o->peers ? err_set(e, -EINVAL, "a cluster's members need --cluster HOST:PORT, too: this member's own place") : 1;
	while (str_next(&rest, ',', &one)) {
		char text[280];

		snprintf(text, sizeof(text), STR_FMT, STR_ARG(one));
		if (one.n >= sizeof(text) || !one.n || strspn(text, allowed) != one.n || hub_url_parse(text, host, port))
			return err_set(e, -EINVAL, "--peers '%.100s': say HOST:PORT,HOST:PORT,HOST:PORT", o->peers);
		n_own += !strcmp(text, o->cluster);
		n++;
	}
	if (n_own != 1)
		return err_set(e, -EINVAL, "--peers names all members, also this one (%.100s), each once", o->cluster);
	if (n != 3 && n != HUBD_MEMBERS_MAX)
		return err_set(e, -EINVAL, "a cluster has 3 or %d members, so that a majority is left when one is lost; not %d", HUBD_MEMBERS_MAX, n);
	return n;
}

static void conf_cluster(struct buf *b, const struct hubd_options *o)
{
	struct str rest = str_c(o->peers), one;
	char host[256], port[8];
	uint64_t number;

	BUG_ON(hub_url_parse(o->cluster, host, port) ||
	       parse_u64(str_c(port), UINT16_MAX, &number)); /* it is one of the peers, which were looked at */
	buf_addf(b, "cluster: {\n\tname: zos\n\tlisten: \"");
	format_place(b, hubd_host(o), (unsigned)number);
	buf_addf(b, "\"\n\tno_advertise: true\n\ttls: { cert_file: \"%s/%s\", key_file: \"%s/%s\", ca_file: \"%s/%s\", timeout: 5 }\n\troutes: [",
		 o->dir, leaf_file, o->dir, leaf_file, o->dir, ca_file);
	while (str_next(&rest, ',', &one))
		if (!str_eq(one, str_c(o->cluster)))
			buf_addf(b, "\n\t\t\"nats-route://" STR_FMT "\"", STR_ARG(one));
	buf_addf(b, "\n\t]\n}\n");
}

static int conf_save(int dir_fd, const struct keyring *k, const struct hubd_options *o, struct err *e)
{
	AUTO_BUF struct buf b = { 0 };
	int r;

	buf_addf(&b, "# Written anew at each start of the hub; changes are lost.\nserver_name: \"zos-hub%s%s\"\nlisten: \"", o->cluster ? "-" : "",
		 o->cluster ? o->cluster : "");
	format_place(&b, hubd_host(o), hubd_port(o));
	buf_addf(&b,
		 "\"\nmax_payload: %d\nmax_pending: 64MB\nwrite_deadline: \"10s\"\nping_interval: \"5s\"\nping_max: 2\n"
		 "max_connections: %u\nmax_control_line: 2048\n"
		 "jetstream: { store_dir: \"%s/store\", max_memory_store: 1MB, max_file_store: 1GB }\n",
		 HUB_PAYLOAD_MAX, (o->max_connections ? o->max_connections : HUBD_CONNECTIONS_DEFAULT) + 16, o->dir);
	conf_tls(&b, o);
	if (o->cluster)
		conf_cluster(&b, o);
	r = conf_accounts(k, o, &b);
	if (!r)
		r = buf_check(&b);
	if (r)
		return err_set(e, r, "make the hub's configuration: %s", strerror(-r));
	return file_save(dir_fd, conf_file, buf_str(&b), 0600, e);
}

static int hubd_open(const struct hubd_options *o, struct keyring *k, int *ret_fd, struct err *e)
{
	AUTO_FD int fd = open(o->dir, O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return err_set(e, -errno, "open the hub's directory %s: %m", o->dir);
	if (strpbrk(o->dir, "\"\\\n") || (!o->tls_cert != !o->tls_key))
		return err_set(e, -EINVAL, "the hub needs a directory without quotes in its name, and a TLS key with a certificate");
	r = keyring_load(fd, k, e);
	if (!r)
		*ret_fd = take_fd(fd);
	return r;
}

static bool has_leaf(const struct hubd_options *o)
{
	return o->own_ca || o->cluster;
}

/* 1: a new one was written. The names of this machine are there for its own commands, which may not reach it by its public name. */
static int leaf_keep(int dir_fd, const struct keyring *k, const struct hubd_options *o, int64_t now_s, struct err *e)
{
	char host[256] = "localhost", port[8];
	const char *names[] = { hubd_name(o), host, "127.0.0.1", "::1", "localhost", NULL };
	AUTO_SECRET struct buf pem = { 0 };
	AUTO_SECRET struct buf key = { 0 };
	int r = file_read(dir_fd, leaf_file, HUB_CA_MAX, &pem, NULL);

	if (o->cluster && hub_url_parse(o->cluster, host, port))
		return err_set(e, -EINVAL, "--cluster '%.100s': say HOST:PORT", o->cluster);
	if (!r && hubca_leaf_is_good(&k->key[CA], buf_str(&pem), names, now_s))
		return 0;
	pem.len = 0;
	if ((r = hubca_leaf(&k->key[CA], names, now_s, &pem, &key, e)))
		return r;
	buf_add(&pem, buf_str(&key));
	if ((r = buf_check(&pem)))
		return err_set(e, r, "make the hub's certificate: %s", strerror(-r));
	r = file_save(dir_fd, leaf_file, buf_str(&pem), 0600, e);
	return r ? r : 1;
}

int hubd_certify(const struct hubd_options *o, int64_t now_s, struct err *e)
{
	AUTO_KEYRING struct keyring k = { 0 };
	AUTO_FD int fd = -1;
	int r = has_leaf(o) ? hubd_open(o, &k, &fd, e) : 0;

	return r || !has_leaf(o) ? r : leaf_keep(fd, &k, o, now_s, e);
}

/* The other members' addresses: with the same port for clients, unless the operator tells people otherwise. */
static void urls_of_peers(const struct hubd_options *o, struct buf *url)
{
	struct str rest = str_c(o->peers), one;
	char text[280], host[256], port[8];

	while (str_next(&rest, ',', &one)) {
		snprintf(text, sizeof(text), STR_FMT, STR_ARG(one));
		if (!strcmp(text, o->cluster) || hub_url_parse(text, host, port))
			continue;
		buf_addf(url, ",%s://", hubd_is_tls(o) ? "tls" : "nats");
		format_place(url, host, o->advertise_port ? o->advertise_port : hubd_port(o));
	}
}

static int ca_save(int dir_fd, const struct keyring *k, struct err *e)
{
	AUTO_BUF struct buf pem = { 0 };
	int r = hubca_pem(&k->key[CA], &pem, e);

	return r ? r : file_save(dir_fd, ca_file, buf_str(&pem), 0600, e);
}

static int addr_fill(const struct keyring *k, const struct hubd_options *o, struct hub_addr *ret, struct err *e)
{
	AUTO_BUF struct buf url = { 0 }, ca = { 0 };
	char account[KEY_TEXT_SIZE], seed[KEY_SEED_SIZE], key[HUB_KEY_SIZE];
	int r = o->own_ca && !o->tls_cert ? hubca_line(&k->key[CA], &ca, e) : 0;

	key_text(k, GRID, account);
	key_seed_format(seed, &k->key[SIGNER]);
	snprintf(key, sizeof(key), "%s%s", account, seed);
	buf_addf(&url, "%s://", hubd_is_tls(o) ? "tls" : "nats");
	format_place(&url, hubd_name(o), o->advertise_port ? o->advertise_port : hubd_port(o));
	if (o->cluster)
		urls_of_peers(o, &url);
	if (!r && (r = buf_check(&url)))
		return err_set(e, r, "make the hub's address: %s", strerror(-r));
	return r ? r : hub_addr_make(ret, url.p, key, ca.p, e);
}

int hubd_prepare(const struct hubd_options *o, struct hub_addr *ret, struct err *e)
{
	AUTO_KEYRING struct keyring k = { 0 };
	AUTO_FD int fd = -1;
	int r = hubd_open(o, &k, &fd, e);

	if (!r)
		r = members_count(o, e);
	if (r > 0 && has_leaf(o))
		r = leaf_keep(fd, &k, o, time(NULL), e);
	if (r >= 0 && o->cluster)
		r = ca_save(fd, &k, e);
	if (r >= 0)
		r = conf_save(fd, &k, o, e);
	if (!r)
		r = addr_fill(&k, o, ret, e);
	return r ? err_wrap(e, r, "prepare the hub") : 0;
}

/* The hub's own connection: a user that the store's account key has signed, without limits. */

struct admin {
	struct key user;
	struct buf jwt;
	natsOptions *options;
	natsConnection *nc;
	jsCtx *js;
};

static void admin_deinit(struct admin *a)
{
	jsCtx_Destroy(a->js);
	natsConnection_Destroy(a->nc);
	natsOptions_Destroy(a->options);
	key_wipe(&a->user);
	buf_deinit(&a->jwt);
}

static natsStatus on_want_jwt(char **ret, char **custom_error, void *userdata)
{
	struct admin *a = userdata;

	(void)custom_error;
	*ret = strdup(a->jwt.p);
	return *ret ? NATS_OK : NATS_NO_MEMORY;
}

static natsStatus on_want_signature(char **custom_error, unsigned char **ret, int *ret_n, const char *nonce, void *userdata)
{
	struct admin *a = userdata;
	uint8_t *sig = malloc(KEY_SIG_LEN);

	(void)custom_error;
	if (!sig || key_sign(&a->user, nonce, strlen(nonce), sig)) {
		free(sig);
		return NATS_ERR;
	}
	*ret = sig;
	*ret_n = KEY_SIG_LEN;
	return NATS_OK;
}

static natsStatus admin_connect(struct admin *a, const struct hubd_options *o, uint64_t timeout_ms)
{
	uint64_t end = log_now_ms() + timeout_ms;
	AUTO_BUF struct buf url = { 0 };
	const char *urls[1];
	natsStatus s = natsOptions_Create(&a->options);

	buf_addf(&url, "%s://", hubd_is_tls(o) ? "tls" : "nats");
	format_place(&url, !strcmp(hubd_host(o), "0.0.0.0") ? "127.0.0.1" : hubd_host(o), hubd_port(o));
	if (buf_check(&url))
		return NATS_NO_MEMORY;
	urls[0] = url.p;
	if (s == NATS_OK)
		s = natsOptions_SetServers(a->options, urls, 1);
	if (s == NATS_OK && hubd_is_tls(o)) /* to our own child on our own address: whose name may be another's */
		s = natsOptions_SkipServerVerification(a->options, true);
	if (s == NATS_OK && hubd_is_tls(o))
		s = natsOptions_SetSecure(a->options, true);
	if (s == NATS_OK)
		s = natsOptions_SetUserCredentialsCallbacks(a->options, on_want_jwt, a, on_want_signature, a);
	if (s != NATS_OK)
		return s;
	while ((s = natsConnection_Connect(&a->nc, a->options)) != NATS_OK && log_now_ms() < end)
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL); /* the server is starting */
	return s;
}

static natsStatus bucket_apply(struct admin *a, const struct hubd_options *o, int n_members, jsErrCode *ret_code)
{
	const char *subjects[] = { "$KV.nodes.*" };
	jsStreamInfo *info = NULL;
	jsStreamConfig c;
	natsStatus s = jsStreamConfig_Init(&c);

	if (s != NATS_OK)
		return s;
	c.Name = "KV_nodes";
	c.Subjects = subjects;
	c.SubjectsLen = 1;
	c.MaxMsgsPerSubject = 1;
	c.MaxMsgSize = HUBD_RECORD_MAX;
	c.MaxBytes = 256 << 20;
	c.MaxAge = (int64_t)(o->record_ttl_s ? o->record_ttl_s : 3600) * 1000000000;
	c.Discard = js_DiscardNew;
	c.Storage = js_FileStorage;
	c.Duplicates = 0;
	c.Replicas = n_members < HUBD_REPLICAS_MAX ? n_members : HUBD_REPLICAS_MAX;
	c.AllowDirect = true;
	c.AllowRollup = false; /* one header would let any participant wipe the bucket */
	c.DenyDelete = true;
	*ret_code = 0;
	s = js_AddStream(&info, a->js, &c, NULL, ret_code);
	if (s != NATS_OK && *ret_code == JSStreamNameExistErr) /* an older hub's bucket */
		s = js_UpdateStream(&info, a->js, &c, NULL, ret_code);
	jsStreamInfo_Destroy(info);
	return s;
}

/* A cluster takes some seconds to elect who decides, and as long as it likes for its members to come. */
static natsStatus bucket_wait(struct admin *a, const struct hubd_options *o, int n_members, uint64_t end_ms, jsErrCode *ret_code)
{
	natsStatus s;

	while ((s = bucket_apply(a, o, n_members, ret_code)) != NATS_OK && n_members > 1 && log_now_ms() < end_ms)
		nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
	return s;
}

static bool place_answers(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	struct timeval limit = { .tv_sec = 1 };
	bool yes = false;

	if (getaddrinfo(host, port, &hints, &list))
		return false;
	for (struct addrinfo *a = list; a && !yes; a = a->ai_next) {
		AUTO_FD int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

		yes = fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) && !connect(fd, a->ai_addr, a->ai_addrlen);
	}
	freeaddrinfo(list);
	return yes;
}

static bool members_run(const struct hubd_options *o)
{
	struct str rest = str_c(o->peers), one;
	char text[280], host[256], port[8];

	while (str_next(&rest, ',', &one)) {
		snprintf(text, sizeof(text), STR_FMT, STR_ARG(one));
		if (hub_url_parse(text, host, port) || !place_answers(host, port))
			return false;
	}
	return true;
}

int hubd_create_bucket(const struct hubd_options *o, uint64_t timeout_ms, struct err *e)
{
	AUTO_KEYRING struct keyring k = { 0 };
	CLEANUP(admin_deinit) struct admin a = { .user = KEY_NONE };
	char store[KEY_TEXT_SIZE];
	AUTO_FD int fd = -1;
	uint64_t end = log_now_ms() + timeout_ms;
	jsErrCode code = 0;
	natsStatus s;
	int n_members = members_count(o, e), r = n_members < 0 ? n_members : hubd_open(o, &k, &fd, e);

	if (!r)
		r = key_new(KEY_USER, &a.user);
	if (!r)
		r = jwt_user(&k.key[STORE], key_text(&k, STORE, store), &a.user.pub, true, &a.jwt);
	if (r)
		return err_wrap(e, r, "set up the hub's directory");
	s = nats_Open(-1);
	if (s == NATS_OK)
		s = admin_connect(&a, o, timeout_ms);
	if (s != NATS_OK)
		return err_set(e, -ECONNREFUSED, "set up the hub's directory: no nats-server answers on %s port %u: %s", hubd_host(o), hubd_port(o),
			       natsStatus_GetText(s));
	s = natsConnection_JetStream(&a.js, a.nc, NULL);
	if (s == NATS_OK)
		s = bucket_wait(&a, o, n_members, end, &code);
	if (s != NATS_OK && code == JSClusterNoPeersErr && members_run(o)) {
		err_set(e, -EAGAIN, "set up the hub's directory: all %d members run, and the cluster counts too few", n_members);
		return HUBD_MUTE;
	}
	if (s != NATS_OK && n_members > 1)
		return err_set(e, -EAGAIN, "set up the hub's directory: too few of the %d members are there (%s)", n_members,
			       nats_GetLastError(NULL));
	return s == NATS_OK ? 0 : err_set(e, -EIO, "set up the hub's directory: create the bucket: %s", natsStatus_GetText(s));
}
