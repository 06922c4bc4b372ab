#include "cli/farm.h"

#include "api/call.h"
#include "base/file.h"
#include "base/parse.h"
#include "ident/seal.h"

#include <fcntl.h>
#include <stdio.h>

enum { FARM_FILE_MAX = 1 << 20, APPROVAL_LOOKS_MAX = 600, APPROVAL_LOOK_MS = 50 };

/* Signs BODY and keeps it; the next call of a command finds it again. */
static int farm_write(const struct profile *p, const struct key *farm, sd_json_variant *body, struct err *e)
{
	AUTO_BUF struct buf text = { 0 }, envelope = { 0 };
	struct farm *check = calloc(1, sizeof(*check));
	int r;

	BUG_ON(!check);
	if (json_format(body, &text) || dsse_sign(API_TYPE_FARM, buf_str(&text), farm, 1, &envelope)) {
		free(check);
		return err_set(e, -ENOMEM, "sign the farm document: out of memory");
	}
	r = farm_open(buf_str(&envelope), check, e); /* nodes must take what is written here */
	farm_deinit(check);
	free(check);
	return r ? r : file_save(p->dir_fd, "farm.json", buf_str(&envelope), 0600, e);
}

int farm_read(const struct profile *p, struct farm *ret, struct buf *envelope, struct err *e)
{
	int r = file_read(p->dir_fd, "farm.json", FARM_FILE_MAX, envelope, e);

	if (r == -ENOENT)
		return err_set(e, r, "no farm document in %s: 'zos farm init NAME' makes one", p->dir);
	return r ? r : farm_open(buf_str(envelope), ret, e);
}

struct init_args {
	const char *registry, *registry_ca, *open, *hub, *hub_key, *hub_ca;
};
static const struct opt init_opts[] = {
	OPT(struct init_args, registry, "registry", "HOST", "a registry with a certificate of its own"),
	OPT(struct init_args, registry_ca, "registry-ca", "FILE", "that registry's certificate authority (PEM)"),
	OPT(struct init_args, open, "open", "RANGE", "a private IPv4 range that machines may reach"),
	OPT(struct init_args, hub, "hub", "URL", "how nodes reach their hub, when it is not the ones you use"),
	OPT(struct init_args, hub_key, "hub-key", "KEY", "that hub's key, when you use another hub first"),
	OPT(struct init_args, hub_ca, "hub-ca", "CA", "who signed that hub's certificate: a PEM file or one line of base64"),
};

/* The hubs that the farm's nodes are to use: those of the profile, or the one that the options name. */
static int init_hubs(const struct init_args *a, struct profile *p, struct err *e)
{
	AUTO_BUF struct buf ca = { 0 };
	struct hub_addr one;
	int r;

	if (!a->hub && (a->hub_key || a->hub_ca))
		return err_set(e, -EINVAL, "--hub-key and --hub-ca go with --hub");
	if (!a->hub)
		return p->n_hubs ? 0 : err_set(e, -ENOENT, "a farm needs a hub: start one with 'zos hub run', or name one with --hub and --hub-key");
	if (!a->hub_key && !p->n_hubs)
		return err_set(e, -EINVAL, "--hub needs --hub-key: no other hub is known");
	if ((a->hub_ca && (r = hub_ca_read(a->hub_ca, &ca, e))) ||
	    (r = hub_addr_make(&one, a->hub, a->hub_key ? a->hub_key : p->hubs[0].key, ca.p, e)))
		return r;
	p->hubs[0] = one;
	p->n_hubs = 1;
	return 0;
}

static int init_body(const struct init_args *a, const struct profile *hubs_of, const struct key *farm, const char *name, const char *ca,
		     sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *hubs = NULL;
	char key[KEY_TEXT_SIZE];
	int r = profile_hubs_json(hubs_of, &hubs);

	if (r < 0)
		return r;
	key_pub_format(key, &farm->pub);
	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_STRING("name", name), SD_JSON_BUILD_PAIR_STRING("farm", key), SD_JSON_BUILD_PAIR_UNSIGNED("sequence", 1),
		SD_JSON_BUILD_PAIR_VARIANT("hubs", hubs),
		SD_JSON_BUILD_PAIR_CONDITION(
			a->registry != NULL, "registries",
			SD_JSON_BUILD_ARRAY(SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING("host", a->registry ? a->registry : ""),
								 SD_JSON_BUILD_PAIR_STRING("ca", ca)))),
		SD_JSON_BUILD_PAIR_CONDITION(a->open != NULL, "open",
					     SD_JSON_BUILD_ARRAY(SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING("range", a->open ? a->open : "")))));
}

static int farm_init(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct init_args *a = args;
	AUTO_PROFILE struct profile p = PROFILE_NONE;
	AUTO_FREE struct profile *hubs_of = malloc(sizeof(*hubs_of));
	AUTO_KEY struct key farm = KEY_NONE;
	AUTO_JSON sd_json_variant *body = NULL;
	AUTO_BUF struct buf ca = { 0 };
	char key[KEY_TEXT_SIZE];
	int r;

	(void)c;
	BUG_ON(!hubs_of);
	if ((r = profile_open(&p, e)))
		return r;
	if (!faccessat(p.dir_fd, "farm.json", F_OK, 0))
		return err_set(e, -EEXIST, "there is a farm in %s already: use another ZOS_CONFIG for a second one", p.dir);
	*hubs_of = p;
	if ((r = init_hubs(a, hubs_of, e)))
		return r;
	if (a->registry_ca && (r = file_read(AT_FDCWD, a->registry_ca, 16384, &ca, e)))
		return r;
	if ((r = profile_key(&p, "farm.seed", KEY_FARM, true, &farm, e)))
		return r;
	if (init_body(a, hubs_of, &farm, words[0], ca.p ? ca.p : "", &body) < 0)
		return err_set(e, -ENOMEM, "make the farm document: out of memory");
	p.farm = farm.pub;
	if ((r = farm_write(&p, &farm, body, e)) || (r = profile_save(&p, e)))
		return r;
	key_pub_format(key, &farm.pub);
	printf("farm '%s' is %s\nIts document is %s/farm.json; 'zos farm media' writes it on a boot medium\n", words[0], key, p.dir);
	return 0;
}

static int farm_show(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_PROFILE struct profile p = PROFILE_NONE;
	AUTO_BUF struct buf envelope = { 0 };
	struct farm *f = calloc(1, sizeof(*f));
	int r;

	(void)c;
	(void)args;
	(void)words;
	BUG_ON(!f);
	r = profile_open(&p, e);
	if (!r)
		r = farm_read(&p, f, &envelope, e);
	if (!r)
		r = out_json(f->doc.body, e);
	farm_deinit(f);
	free(f);
	return r;
}

struct approve_args {
	bool yes;
};
static const struct opt approve_opts[] = {
	OPT(struct approve_args, yes, "yes", NULL, "do not ask whether the key was compared"),
};

int farm_confirm(const char *key, struct err *e)
{
	char line[8] = "";

	fprintf(stderr, "The node says it is\n\n  %s\n\nIs that what its screen shows? [y/N] ", key);
	if (!fgets(line, sizeof(line), stdin) || (line[0] != 'y' && line[0] != 'Y'))
		return err_set(e, -ECANCELED, "not confirmed: nothing was done");
	return 0;
}

/* The node writes its record anew when it is approved; until that is read, the next command would not know. */
static int approval_wait(struct client *c, const char *key, struct err *e)
{
	const struct record *node;
	const bool never = false;
	int r = 0;

	for (int i = 0; i < APPROVAL_LOOKS_MAX; i++) {
		if ((r = client_node(c, key, true, &node, e)) || node->approved)
			return r;
		(void)!client_wait(c, &never, APPROVAL_LOOK_MS);
		if ((r = client_refresh(c, e)))
			return r;
	}
	return err_set(e, -ETIMEDOUT, "%.8s... took the approval and has not said so in the directory: see 'zos node list' in a moment", key);
}

static int farm_approve(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct approve_args *a = args;
	AUTO_CLIENT struct client client = CLIENT_NONE;
	AUTO_LINK struct link link = { 0 };
	AUTO_BUF struct buf envelope = { 0 };
	AUTO_JSON sd_json_variant *doc = NULL, *arguments = NULL;
	const struct record *node;
	char key[KEY_TEXT_SIZE];
	int r;

	if ((r = client_open(&client, KEY_FARM, e)) || (r = client_node(&client, words[0], true, &node, e)))
		return r;
	key_pub_format(key, &node->node);
	if (!a->yes && strcmp(words[0], key) && (r = farm_confirm(key, e)))
		return r;
	if (approval_sign(&client.key, &node->node, &envelope) || json_parse(buf_str(&envelope), &doc, e) ||
	    sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_VARIANT("document", doc)) < 0)
		return err_set(e, -ENOMEM, "sign the approval: out of memory");
	if ((r = link_open(&client, node, &link, e)) || (r = link_call(&link, "zos.Node.Approve", arguments, NULL, e)) ||
	    (r = approval_wait(&client, key, e)))
		return r;
	if (!c->json)
		printf("%s is approved\n", key);
	return 0;
}

struct allow_args {
	uint64_t memory_bytes;
	uint32_t cpu;
};
static const struct opt allow_opts[] = {
	OPT_SIZE(struct allow_args, memory_bytes, "memory", "at most so much memory on each node"),
	OPT(struct allow_args, cpu, "cpu", "N", "at most so many CPUs for its machines on a node"),
};

int farm_body_change(const struct farm *f, const char *field, sd_json_variant *value, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *sequence = NULL, *body = sd_json_variant_ref(f->doc.body);
	int r;

	r = value ? sd_json_variant_set_field(&body, field, value) : sd_json_variant_filter(&body, (char *[]){ (char *)field, NULL });
	if (r < 0 || (r = sd_json_variant_new_unsigned(&sequence, f->sequence + 1)) < 0 ||
	    (r = sd_json_variant_set_field(&body, "sequence", sequence)) < 0)
		return r;
	*ret = take_ptr(body);
	return 0;
}

int farm_rows_without(const struct farm *f, const char *field, const char *key, const char *value, sd_json_variant **ret)
{
	sd_json_variant *old = sd_json_variant_by_key(f->doc.body, field);
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && old && i < sd_json_variant_elements(old); i++)
		if (strcmp(out_text(sd_json_variant_by_index(old, i), key, ""), value))
			r = sd_json_variant_append_array(ret, sd_json_variant_by_index(old, i));
	return r;
}

/* The document with one more row in `allow` (or a changed one). */
static int allow_body(const struct client *c, const struct farm *f, const void *args, const char *key, sd_json_variant **ret)
{
	const struct allow_args *a = args;
	AUTO_JSON sd_json_variant *list = NULL, *row = NULL;
	int r = farm_rows_without(f, "allow", "key", key, &list);

	(void)c;
	if (r < 0 ||
	    (r = sd_json_buildo(&row, SD_JSON_BUILD_PAIR_STRING("key", key),
				SD_JSON_BUILD_PAIR_CONDITION(a->memory_bytes != 0, "memory", SD_JSON_BUILD_UNSIGNED(a->memory_bytes)),
				SD_JSON_BUILD_PAIR_CONDITION(a->cpu != 0, "cpu", SD_JSON_BUILD_UNSIGNED(a->cpu)))) < 0 ||
	    (r = sd_json_variant_append_array(&list, row)) < 0)
		return r;
	return farm_body_change(f, "allow", list, ret);
}

static int node_tell(struct client *c, const struct key_pub *node, sd_json_variant *arguments, struct err *e)
{
	AUTO_LINK struct link link = { 0 };
	int r = link_open(c, &(struct record){ .node = *node }, &link, e);

	return r ? r : link_call(&link, "zos.Node.SetFarm", arguments, NULL, e);
}

/* Those of the farm's nodes that are in the directory now: it is read again while they are told. */
static size_t nodes_of_farm(const struct client *c, struct key_pub *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_nodes; i++)
		if (key_pub_eq(&c->nodes[i].farm, &c->key.pub) && c->nodes[i].approved)
			ret[n++] = c->nodes[i].node;
	return n;
}

/* Tells NODES, each of which is heard of. One that is not there is passed over: its last record stays in the directory for some minutes. -EIO: one
 * would not have it. */
static int nodes_tell(struct client *c, const struct key_pub *nodes, size_t n, sd_json_variant *arguments, struct err *e)
{
	size_t n_absent = 0, n_refused = 0;

	for (size_t i = 0; i < n; i++) {
		char key[KEY_TEXT_SIZE];
		struct err why = { 0 };
		int r = node_tell(c, &nodes[i], arguments, &why);

		key_pub_format(key, &nodes[i]);
		n_absent += r == -EHOSTUNREACH;
		n_refused += r && r != -EHOSTUNREACH;
		if (r)
			fprintf(stderr, "node %.8s... has not got the new farm document: %s\n", key, why.msg);
		else
			fprintf(stderr, "node %.8s... has the new farm document\n", key);
	}
	if (n_absent)
		fprintf(stderr, "once %s there, 'zos farm tell' brings it to %s\n", n_absent == 1 ? "it is" : "they are",
			n_absent == 1 ? "it" : "them");
	return n_refused ? err_set(e, -EIO, "%zu of %zu nodes would not take the farm document; why stands above", n_refused, n) : 0;
}

static int publish(struct client *c, struct err *e)
{
	AUTO_BUF struct buf envelope = { 0 };
	AUTO_JSON sd_json_variant *doc = NULL, *arguments = NULL;
	AUTO_FREE struct key_pub *nodes = calloc(c->n_nodes + 1, sizeof(*nodes));
	int r = file_read(c->profile.dir_fd, "farm.json", FARM_FILE_MAX, &envelope, e);

	BUG_ON(!nodes);
	if (r || (r = json_parse(buf_str(&envelope), &doc, e)))
		return r;
	if (sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_VARIANT("document", doc)) < 0)
		return err_set(e, -ENOMEM, "send the farm document: out of memory");
	return nodes_tell(c, nodes, nodes_of_farm(c, nodes), arguments, e);
}

static int farm_tell(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	int r = client_open(&client, KEY_FARM, e);

	(void)c;
	(void)args;
	(void)words;
	return r ? r : publish(&client, e);
}

int farm_change(struct client *c, farm_body_fn *change, const void *args, const char *word, struct err *e)
{
	AUTO_BUF struct buf envelope = { 0 };
	AUTO_JSON sd_json_variant *body = NULL;
	struct farm *f;
	int r = client_open(c, KEY_FARM, e);

	if (r)
		return r;
	f = calloc(1, sizeof(*f));
	BUG_ON(!f);
	r = farm_read(&c->profile, f, &envelope, e);
	if (!r && change(c, f, args, word, &body) < 0)
		r = err_set(e, -ENOMEM, "change the farm document: out of memory");
	if (!r)
		r = farm_write(&c->profile, &c->key, body, e);
	farm_deinit(f);
	free(f);
	return r ? r : publish(c, e);
}

static int farm_allow(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	struct key_pub key;
	int r;

	if (key_pub_parse(str_c(words[0]), &key) || key.role != KEY_USER)
		return err_set(e, -EINVAL, "'%s' is no user's key (U...): they see theirs with 'zos key'", words[0]);
	if ((r = farm_change(&client, allow_body, args, words[0], e)))
		return r;
	if (!c->json)
		printf("%s may deploy\n", words[0]);
	return 0;
}

struct registry_args {
	const char *ca;
	bool plain, forget;
};
static const struct opt registry_opts[] = {
	OPT(struct registry_args, ca, "ca", "FILE", "its own certificate authority (PEM), instead of the image's"),
	OPT(struct registry_args, plain, "plain", NULL, "it speaks plain HTTP: nodes may pull from it, without passwords"),
	OPT(struct registry_args, forget, "forget", NULL, "treat it like any other again"),
};

/* What a change of one registry is made of. */
struct registry_change {
	const struct registry_args *args;
	const char *ca; /* PEM, NULL = none */
};

static int registry_body(const struct client *c, const struct farm *f, const void *args, const char *host, sd_json_variant **ret)
{
	const struct registry_change *change = args;
	AUTO_JSON sd_json_variant *list = NULL;
	int r = farm_rows_without(f, "registries", "host", host, &list);

	(void)c;
	if (r >= 0 && !change->args->forget)
		r = sd_json_variant_append_arraybo(&list, SD_JSON_BUILD_PAIR_STRING("host", host),
						   SD_JSON_BUILD_PAIR_CONDITION(change->ca != NULL, "ca", SD_JSON_BUILD_STRING(change->ca)),
						   SD_JSON_BUILD_PAIR_CONDITION(change->args->plain, "plain", SD_JSON_BUILD_BOOLEAN(true)));
	return r < 0 ? r : farm_body_change(f, "registries", list, ret);
}

static int farm_registry(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	struct registry_change change = { .args = args };
	AUTO_BUF struct buf ca = { 0 };
	int r;

	if (change.args->ca && (change.args->plain || change.args->forget))
		return err_set(e, -EINVAL, "--ca goes with neither --plain nor --forget");
	if (change.args->ca && (r = file_read(AT_FDCWD, change.args->ca, 16384, &ca, e)))
		return r;
	change.ca = ca.p;
	if ((r = farm_change(&client, registry_body, &change, words[0], e)))
		return r;
	if (!c->json)
		printf("the farm's nodes pull from %s %s\n", words[0],
		       change.args->forget  ? "as from any other"
		       : change.args->plain ? "over plain HTTP"
					    : "over HTTPS");
	return 0;
}

struct time_args {
	uint32_t port;
	bool nts, forget;
};
static const struct opt time_opts[] = {
	OPT(struct time_args, port, "port", "N", "another than that of NTP, or with --nts of NTS"),
	OPT(struct time_args, nts, "nts", NULL, "it proves who it is (NTS): nobody on the way can set the nodes' clocks"),
	OPT(struct time_args, forget, "forget", NULL, "nodes ask it no more"),
};

static int time_body(const struct client *c, const struct farm *f, const void *args, const char *server, sd_json_variant **ret)
{
	const struct time_args *a = args;
	AUTO_JSON sd_json_variant *list = NULL;
	int r = farm_rows_without(f, "time", "server", server, &list);

	(void)c;
	if (r >= 0 && !a->forget)
		r = sd_json_variant_append_arraybo(&list, SD_JSON_BUILD_PAIR_STRING("server", server),
						   SD_JSON_BUILD_PAIR_CONDITION(a->port != 0, "port", SD_JSON_BUILD_UNSIGNED(a->port)),
						   SD_JSON_BUILD_PAIR_CONDITION(a->nts, "nts", SD_JSON_BUILD_BOOLEAN(true)));
	return r < 0 ? r : farm_body_change(f, "time", list, ret);
}

static int farm_time(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	const struct time_args *a = args;
	int r;

	if (a->forget && (a->nts || a->port))
		return err_set(e, -EINVAL, "--forget goes with neither --nts nor --port");
	if ((r = farm_change(&client, time_body, args, words[0], e)))
		return r;
	if (!c->json)
		printf("the farm's nodes %s %s\n", a->forget ? "no longer set their clocks by" : "set their clocks by", words[0]);
	return 0;
}

struct dns_args {
	bool forget;
};
static const struct opt dns_opts[] = {
	OPT(struct dns_args, forget, "forget", NULL, "nodes ask it no more"),
};

static int dns_body(const struct client *c, const struct farm *f, const void *args, const char *server, sd_json_variant **ret)
{
	const struct dns_args *a = args;
	AUTO_JSON sd_json_variant *list = NULL;
	int r = farm_rows_without(f, "dns", "server", server, &list);

	(void)c;
	if (r >= 0 && !a->forget)
		r = sd_json_variant_append_arraybo(&list, SD_JSON_BUILD_PAIR_STRING("server", server));
	return r < 0 ? r : farm_body_change(f, "dns", list, ret);
}

static int farm_dns(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	const struct dns_args *a = args;
	int r = farm_change(&client, dns_body, args, words[0], e);

	if (!r && !c->json)
		printf("the farm's nodes %s %s for names when their own servers do not answer\n", a->forget ? "no longer ask" : "ask", words[0]);
	return r;
}

/* WORD: a size, or none. */
static int bandwidth_body(const struct client *c, const struct farm *f, const void *args, const char *word, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *value = NULL;
	uint64_t rate;
	int r = parse_bytes(str_c(word), &rate) ? 0 : sd_json_variant_new_unsigned(&value, rate);

	(void)c;
	(void)args;
	return r < 0 ? r : farm_body_change(f, "bandwidth", value, ret);
}

static int farm_bandwidth(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	bool is_off = !strcmp(words[0], "off");
	uint64_t rate;
	int r;

	if (!is_off && parse_bytes(str_c(words[0]), &rate))
		return err_set(e, -EINVAL, "'%s': say how many bytes a second, such as 12MiB, or 'off'", words[0]);
	if ((r = farm_change(&client, bandwidth_body, args, words[0], e)))
		return r;
	if (!c->json)
		printf(is_off ? "machines have the bandwidth that their owners say, or all there is\n"
			      : "each machine has at most %s a second, each way\n",
		       words[0]);
	return 0;
}

static int usb_body(const struct client *c, const struct farm *f, const void *args, const char *word, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *value = NULL;
	int r = sd_json_variant_new_boolean(&value, !strcmp(word, "yes"));

	(void)c;
	(void)args;
	return r < 0 ? r : farm_body_change(f, "usb_disks", value, ret);
}

static int farm_usb(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	bool is_yes = !strcmp(words[0], "yes");
	int r;

	if (!is_yes && strcmp(words[0], "no"))
		return err_set(e, -EINVAL, "say 'zos farm usb yes' or 'zos farm usb no'");
	if ((r = farm_change(&client, usb_body, args, words[0], e)))
		return r;
	if (!c->json)
		printf(is_yes ? "the farm's nodes take disks on USB: blank ones become theirs\n"
			      : "the farm's nodes take no disks on USB; one that is in use stays until it is pulled out or the node starts again\n");
	return 0;
}

/* WORD: the public key, or "" for none. */
static int recovery_body(const struct client *c, const struct farm *f, const void *args, const char *word, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *value = NULL;
	int r = word[0] ? sd_json_variant_new_string(&value, word) : 0;

	(void)c;
	(void)args;
	return r < 0 ? r : farm_body_change(f, "recovery", value, ret);
}

/* The public part of the profile's recovery key, which is made when there is none yet. */
static int recovery_pub(struct buf *ret, struct err *e)
{
	AUTO_PROFILE struct profile p = PROFILE_NONE;
	AUTO_KEY struct key key = KEY_NONE;
	AUTO_SEAL_KEY struct seal_key k;
	int r;

	if ((r = profile_open(&p, e)) || (r = profile_key(&p, PROFILE_RECOVERY, KEY_FARM, true, &key, e)))
		return r;
	if (seal_key_derive(&key, &k))
		return err_set(e, -ENOMEM, "make the recovery key: out of memory");
	format_base64(ret, k.pub, sizeof(k.pub));
	return buf_check(ret) ? err_set(e, -ENOMEM, "make the recovery key: out of memory") : 0;
}

static void recovery_print(const struct client *c, bool is_on)
{
	if (is_on)
		printf("Disks of the farm's nodes keep a key for you from now on. What opens it is in\n\n  %s/" PROFILE_RECOVERY "\n\n"
		       "Keep a copy of that file away from the farm: without it no disk is recovered, and whoever has it and a disk can read\n"
		       "what is on the disk. 'zos farm recovery off' takes the key off the disks again.\n",
		       c->profile.dir);
	else
		printf("The farm's nodes take your key off their disks; one that is not there does so when it has this document.\n"
		       "%s/" PROFILE_RECOVERY " is still there: delete it when no disk needs it any more.\n",
		       c->profile.dir);
}

static int farm_recovery(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	AUTO_BUF struct buf pub = { 0 };
	bool is_on = !strcmp(words[0], "on");
	int r;

	if (!is_on && strcmp(words[0], "off"))
		return err_set(e, -EINVAL, "say 'zos farm recovery on' or 'zos farm recovery off'");
	if ((is_on && (r = recovery_pub(&pub, e))) || (r = farm_change(&client, recovery_body, args, is_on ? pub.p : "", e)))
		return r;
	if (!c->json)
		recovery_print(&client, is_on);
	return 0;
}

static int hubs_body(const struct client *c, const struct farm *f, const void *args, const char *word, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *hubs = NULL;
	int r = profile_hubs_json(&c->profile, &hubs);

	(void)args;
	(void)word;
	return r < 0 ? r : farm_body_change(f, "hubs", hubs, ret);
}

static int farm_hubs(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	int r = farm_change(&client, hubs_body, args, words[0], e);

	if (r)
		return r;
	if (!c->json)
		printf("the farm's nodes use %zu hub%s\n", client.profile.n_hubs, client.profile.n_hubs == 1 ? "" : "s");
	return 0;
}

static int farm_trust(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_PROFILE struct profile p = PROFILE_NONE;
	int r = profile_open(&p, e);

	(void)c;
	(void)args;
	if (r)
		return r;
	if (key_pub_parse(str_c(words[0]), &p.farm) || p.farm.role != KEY_FARM)
		return err_set(e, -EINVAL, "'%s' is no farm's key (A...)", words[0]);
	return profile_save(&p, e);
}

const struct command farm_commands[] = {
	{ .name = "farm init",
	  .words = "NAME",
	  .help = "make a farm: its key and its document for boot media",
	  .opts = init_opts,
	  .n_opts = ARRAY_LEN(init_opts),
	  .args_size = sizeof(struct init_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = farm_init },
	{ .name = "farm show", .help = "print the farm document", .run = farm_show },
	{ .name = "farm approve",
	  .words = "N...",
	  .help = "sign a node's key after comparing it with its screen",
	  .opts = approve_opts,
	  .n_opts = ARRAY_LEN(approve_opts),
	  .args_size = sizeof(struct approve_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = farm_approve },
	{ .name = "farm allow",
	  .words = "U...",
	  .help = "let a user deploy on the farm's nodes",
	  .opts = allow_opts,
	  .n_opts = ARRAY_LEN(allow_opts),
	  .args_size = sizeof(struct allow_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = farm_allow },
	{ .name = "farm registry",
	  .words = "HOST[:PORT]",
	  .help = "say how the farm's nodes pull from a registry of its own kind",
	  .opts = registry_opts,
	  .n_opts = ARRAY_LEN(registry_opts),
	  .args_size = sizeof(struct registry_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = farm_registry },
	{ .name = "farm time",
	  .words = "SERVER",
	  .help = "name a time server by which the farm's nodes set their clocks",
	  .opts = time_opts,
	  .n_opts = ARRAY_LEN(time_opts),
	  .args_size = sizeof(struct time_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = farm_time },
	{ .name = "farm dns",
	  .words = "ADDRESS",
	  .help = "name a name server that the farm's nodes ask when those of their networks do not answer",
	  .opts = dns_opts,
	  .n_opts = ARRAY_LEN(dns_opts),
	  .args_size = sizeof(struct dns_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = farm_dns },
	{ .name = "farm bandwidth",
	  .words = "SIZE|off",
	  .help = "say how many bytes a second each machine on the farm's nodes may receive, and send",
	  .min_words = 1,
	  .max_words = 1,
	  .run = farm_bandwidth },
	{ .name = "farm usb",
	  .words = "yes|no",
	  .help = "say whether the farm's nodes take disks on USB",
	  .min_words = 1,
	  .max_words = 1,
	  .run = farm_usb },
	{ .name = "farm recovery",
	  .words = "on|off",
	  .help = "let disks keep a key with which you can open them when their TPM is lost; you can read them, then",
	  .min_words = 1,
	  .max_words = 1,
	  .run = farm_recovery },
	{ .name = "farm hubs", .help = "let the farm's nodes use the hubs that you use ('zos hub list')", .run = farm_hubs },
	{ .name = "farm tell", .help = "bring the farm document to the nodes that were not there when it changed", .run = farm_tell },
	{ .name = "farm trust", .words = "A...", .help = "use the nodes of this farm", .min_words = 1, .max_words = 1, .run = farm_trust },
};
const size_t n_farm_commands = ARRAY_LEN(farm_commands);
