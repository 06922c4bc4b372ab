#include "cli/command.h"

#include "api/recovery.h"
#include "base/parse.h"
#include "cli/pace.h"

#include <stdio.h>
#include <time.h>

static int node_json(const struct record *r, sd_json_variant **ret)
{
	char node[KEY_TEXT_SIZE], farm[KEY_TEXT_SIZE] = "";

	key_pub_format(node, &r->node);
	if (r->farm.role)
		key_pub_format(farm, &r->farm);
	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("node", node), SD_JSON_BUILD_PAIR_STRING("farm", farm),
			      SD_JSON_BUILD_PAIR_STRING("farm_name", r->farm_name ? r->farm_name : ""),
			      SD_JSON_BUILD_PAIR_BOOLEAN("approved", r->approved), SD_JSON_BUILD_PAIR_BOOLEAN("drained", r->is_drained),
			      SD_JSON_BUILD_PAIR_STRING("version", r->version ? r->version : ""),
			      SD_JSON_BUILD_PAIR_STRING("flavour", r->flavour ? r->flavour : ""), SD_JSON_BUILD_PAIR_UNSIGNED("boot_time", r->boot_s),
			      SD_JSON_BUILD_PAIR_CONDITION(r->capacity != NULL, "capacity", SD_JSON_BUILD_VARIANT(r->capacity)));
}

static int nodes_json(const struct client *c, struct err *e)
{
	AUTO_JSON sd_json_variant *list = NULL;
	int r = sd_json_variant_new_array(&list, NULL, 0);

	for (size_t i = 0; r >= 0 && i < c->n_nodes; i++) {
		AUTO_JSON sd_json_variant *one = NULL;

		r = node_json(&c->nodes[i], &one);
		if (r >= 0)
			r = sd_json_variant_append_array(&list, one);
	}
	return r < 0 ? err_set(e, -ENOMEM, "print: out of memory") : out_json(list, e);
}

struct node_row {
	char node[KEY_TEXT_SIZE], cpu[24], memory[40], up[16], version[40];
};

static void nodes_table(const struct client *c)
{
	enum { COLUMNS = 7 };
	static const struct out_column columns[COLUMNS] = { { "NODE" },        { "FARM" }, { "APPROVED" }, { "CPU" },
							    { "MEMORY FREE" }, { "UP" },   { "VERSION" } };
	AUTO_FREE struct node_row *rows = calloc(c->n_nodes + 1, sizeof(*rows));
	AUTO_FREE const char **cells = calloc(COLUMNS * (c->n_nodes + 1), sizeof(*cells));

	BUG_ON(!rows || !cells);
	for (size_t i = 0; i < c->n_nodes; i++) {
		const struct record *r = &c->nodes[i];
		char a[16], b[16];
		const char **cell = &cells[COLUMNS * i];

		key_pub_format(rows[i].node, &r->node);
		snprintf(rows[i].cpu, sizeof(rows[i].cpu), "%u", (unsigned)(out_u64(r->capacity, "cpu_milli") / 1000));
		format_size(a, record_free(r));
		format_size(b, out_u64(r->capacity, "memory"));
		snprintf(rows[i].memory, sizeof(rows[i].memory), "%s of %s", r->is_drained ? "drained: none" : a, b);
		format_duration(rows[i].up, (uint64_t)time(NULL) > r->boot_s ? (uint64_t)time(NULL) - r->boot_s : 0);
		snprintf(rows[i].version, sizeof(rows[i].version), "%s %s", r->version ? r->version : "-", r->flavour ? r->flavour : "");
		cell[0] = rows[i].node;
		cell[1] = r->farm_name ? r->farm_name : "-";
		cell[2] = r->approved ? "yes" : "no";
		cell[3] = rows[i].cpu;
		cell[4] = rows[i].memory;
		cell[5] = rows[i].up;
		cell[6] = rows[i].version;
	}
	out_table(columns, COLUMNS, cells, c->n_nodes);
}

static int node_list(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	int r = client_open(&client, KEY_USER, e);

	(void)args;
	(void)words;
	if (r)
		return r;
	if (c->json)
		return nodes_json(&client, e);
	nodes_table(&client);
	return 0;
}

static void hubs_print(sd_json_variant *list)
{
	for (size_t i = 0; sd_json_variant_is_array(list) && i < sd_json_variant_elements(list); i++) {
		sd_json_variant *one = sd_json_variant_by_index(list, i);
		bool is_up = out_true(one, "up");

		printf("hub        %s, %s%s%s\n", out_text(one, "url", "?"), is_up ? "connected" : "not connected",
		       !is_up && *out_text(one, "why", "") ? ": " : "", is_up ? "" : out_text(one, "why", ""));
	}
}

static void sessions_print(sd_json_variant *s)
{
	if (s)
		printf("sessions   %u of %u, %llu refused since its line was started\n", (unsigned)out_u64(s, "open"), (unsigned)out_u64(s, "max"),
		       (unsigned long long)out_u64(s, "refused"));
}

/* For volumes and disks of machines; a node that has none of the kind says nothing. */
static void room_print(sd_json_variant *capacity, const char *class)
{
	char key[16], free[16], all[16];
	uint64_t total = out_u64(capacity, class), used;

	snprintf(key, sizeof(key), "%s_used", class);
	used = out_u64(capacity, key);
	format_size(free, total > used ? total - used : 0);
	format_size(all, total);
	if (total)
		printf("%-10s %s free of %s for volumes\n", class, free, all);
}

static void relay_print(sd_json_variant *relay)
{
	char passed[16];

	if (!relay)
		return;
	format_size(passed, out_u64(relay, "bytes"));
	printf("relay      of %u pairs of nodes' networks; %s in %llu datagrams passed on, %llu dropped\n", (unsigned)out_u64(relay, "pairs"), passed,
	       (unsigned long long)out_u64(relay, "datagrams"), (unsigned long long)out_u64(relay, "dropped"));
}

static void info_print(sd_json_variant *v)
{
	sd_json_variant *capacity = sd_json_variant_by_key(v, "capacity");
	uint64_t total = out_u64(capacity, "memory"), used = out_u64(capacity, "memory_used");
	char free[16], all[16], reserve[16], up[16];

	format_size(free, total > used ? total - used : 0);
	format_size(all, total);
	format_size(reserve, out_u64(capacity, "memory_reserve"));
	format_duration(up, out_u64(v, "now") - out_u64(v, "boot_time"));
	printf("node       %s\n", out_text(v, "node", "-"));
	printf("farm       %s%s\n", out_text(v, "farm_name", "none"), out_true(v, "approved") ? ", approved" : ", not approved yet");
	printf("version    %s (%s), Linux %s\n", out_text(v, "version", "-"), out_text(v, "flavour", "-"), out_text(v, "kernel", "-"));
	printf("up         %s\n", up);
	printf("cpu        %u\n", (unsigned)(out_u64(capacity, "cpu_milli") / 1000));
	room_print(capacity, "ssd");
	room_print(capacity, "hdd");
	printf("memory     %s free of %s for workloads, %s kept for the node\n", free, all, reserve);
	if (out_true(v, "drained"))
		printf("drained    its machines are stopped and it takes no deployment: 'zos node undrain' ends that\n");
	printf("isolation  %s\n", out_true(capacity, "kvm") ? "vm, container" : "container (no KVM)");
	printf("workloads  %u\n", (unsigned)out_u64(v, "workloads"));
	if (out_u64(capacity, "addresses"))
		printf("addresses  %u public ones for machines, %u of them in use\n", (unsigned)out_u64(capacity, "addresses"),
		       (unsigned)out_u64(capacity, "addresses_used"));
	if (out_true(v, "recovery"))
		printf("recovery   on: the farm's owner can read what is on its disks\n");
	relay_print(sd_json_variant_by_key(v, "relay"));
	hubs_print(sd_json_variant_by_key(v, "hubs"));
	sessions_print(sd_json_variant_by_key(v, "sessions"));
	if (!out_true(v, "durable"))
		printf("state      kept until it is switched off: the node has no data disk\n");
}

static int node_info(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	AUTO_LINK struct link link = { 0 };
	AUTO_JSON sd_json_variant *v = NULL;
	const struct record *node;
	int r;

	(void)args;
	if ((r = client_open(&client, KEY_USER, e)) || (r = client_node(&client, words[0], words[0] != NULL, &node, e)) ||
	    (r = link_open(&client, node, &link, e)) || (r = link_call(&link, "zos.Node.Info", NULL, &v, e)))
		return r;
	if (c->json)
		return out_json(v, e);
	info_print(v);
	return 0;
}

/* What a disk said of itself when it was asked last, after WORDS of N bytes. */
static void smart_says(sd_json_variant *smart, char *words, size_t n, size_t size)
{
	uint64_t bad = out_u64(smart, "bad_sectors"), worn = out_u64(smart, "worn");

	if (smart && n < size)
		n += (size_t)snprintf(words + n, size - n, "; SMART: %s", out_true(smart, "failing") ? "failing" : "well");
	if (bad && n < size)
		n += (size_t)snprintf(words + n, size - n, ", %llu bad sectors", (unsigned long long)bad);
	if (worn && n < size)
		snprintf(words + n, size - n, ", %llu %% worn", (unsigned long long)worn);
}

/* What a disk has to say, or of one that is well when it was read through last, and what it says of itself. */
static const char *disk_says(sd_json_variant *one, char *buf, size_t size)
{
	sd_json_variant *scrub = sd_json_variant_by_key(one, "scrub");
	uint64_t ended_s = out_u64(scrub, "ended"), now_s = (uint64_t)time(NULL);
	char ago[16];
	int n;

	if (!scrub || *out_text(one, "text", ""))
		return out_text(one, "text", "");
	format_duration(ago, now_s > ended_s ? now_s - ended_s : 0);
	n = ended_s ? snprintf(buf, size, "scrubbed %s ago, %llu errors", ago, (unsigned long long)out_u64(scrub, "errors"))
		    : snprintf(buf, size, "not scrubbed yet");
	smart_says(sd_json_variant_by_key(one, "smart"), buf, (size_t)n, size);
	return buf;
}

/* Who opens it. */
static void openers_format(sd_json_variant *one, char *buf, size_t size)
{
	const char *key = out_text(one, "key", "");

	snprintf(buf, size, "%s%s%s", key, *key && out_true(one, "recovery") ? ", " : "", out_true(one, "recovery") ? "farm" : "");
}

static void disks_print(sd_json_variant *list)
{
	enum { COLUMNS = 8, DISK_SAYS_MAX = 128 };
	static const struct out_column columns[COLUMNS] = { { "DISK" },  { "SERIAL" }, { "SIZE" },
							    { "CLASS" }, { "BUS" },    { "STATE", .is_state = true },
							    { "KEY" },   { "SAYS" } };
	size_t n = sd_json_variant_is_array(list) ? sd_json_variant_elements(list) : 0;
	AUTO_FREE const char **cells = calloc(COLUMNS * (n + 1), sizeof(*cells));
	AUTO_FREE char(*sizes)[16] = calloc(n + 1, sizeof(*sizes));
	AUTO_FREE char(*says)[DISK_SAYS_MAX] = calloc(n + 1, sizeof(*says));
	AUTO_FREE char(*who)[32] = calloc(n + 1, sizeof(*who));

	BUG_ON(!cells || !sizes || !says || !who);
	for (size_t i = 0; i < n; i++) {
		static const char *const keys[] = { "name", "serial", NULL, "class", "bus", "state" };
		sd_json_variant *one = sd_json_variant_by_index(list, i);

		format_size(sizes[i], out_u64(one, "size"));
		openers_format(one, who[i], sizeof(who[i]));
		for (size_t k = 0; k + 1 < COLUMNS; k++)
			cells[COLUMNS * i + k] = k == ARRAY_LEN(keys) ? who[i] : keys[k] ? out_text(one, keys[k], "") : sizes[i];
		for (size_t k = 0; k + 1 < COLUMNS; k++)
			if (!cells[COLUMNS * i + k][0])
				cells[COLUMNS * i + k] = "-";
		cells[COLUMNS * i + COLUMNS - 1] = disk_says(one, says[i], sizeof(says[i]));
	}
	out_table(columns, COLUMNS, cells, n);
}

/* Who else could read the disks, of which N_BARE keep their key themselves. */
static void keys_print(sd_json_variant *v, size_t n_bare)
{
	if (out_true(v, "keys_sealed"))
		return;
	if (n_bare)
		printf("keys       are not sealed: whoever takes a disk away can read it\n");
	else
		printf("keys       are in the TPM, but Secure Boot is off: a disk taken away is unreadable, yet whoever starts another system on this\n"
		       "           machine can read it. Enrol Secure Boot keys before data matters: doc/boot.md, Keys of disks in the TPM\n");
}

/* What there is to say about disks: those that are not ready, and who else could read the others. */
static void disks_summary(sd_json_variant *v)
{
	sd_json_variant *list = sd_json_variant_by_key(v, "disks");
	size_t n = sd_json_variant_is_array(list) ? sd_json_variant_elements(list) : 0, n_ready = 0, n_bare = 0;

	for (size_t i = 0; i < n; i++) {
		sd_json_variant *one = sd_json_variant_by_index(list, i);
		bool is_ready = !strcmp(out_text(one, "state", ""), "ready");

		n_ready += is_ready;
		n_bare += !strcmp(out_text(one, "key", ""), "on the disk");
		if (!is_ready)
			printf("disk       %s, serial '%s', is %s%s%s\n", *out_text(one, "name", "") ? out_text(one, "name", "") : "-",
			       out_text(one, "serial", ""), out_text(one, "state", "?"), *out_text(one, "text", "") ? ": " : "",
			       out_text(one, "text", ""));
	}
	for (size_t i = 0; i < n; i++) {
		sd_json_variant *one = sd_json_variant_by_index(list, i), *scrub = sd_json_variant_by_key(one, "scrub");

		if (out_u64(scrub, "errors"))
			printf("scrub      of %s found %llu errors, of which %llu cannot be repaired: 'zos node disks' says when\n",
			       out_text(one, "serial", ""), (unsigned long long)out_u64(scrub, "errors"),
			       (unsigned long long)out_u64(scrub, "broken"));
	}
	if (n)
		printf("disks      %zu ready of %zu\n", n_ready, n);
	if (n_ready)
		keys_print(v, n_bare);
}

static void clock_print(sd_json_variant *clock)
{
	uint64_t n = out_u64(clock, "servers"), error_us = out_u64(clock, "error_us");

	if (out_true(clock, "set"))
		printf("clock      set by a time server, right to %llu ms\n", (unsigned long long)((error_us + 999) / 1000));
	else if (n)
		printf("clock      not set: none of %llu time servers has answered\n", (unsigned long long)n);
	else
		printf("clock      set by nobody: 'zos farm time SERVER' names a time server\n");
}

static void health_print(sd_json_variant *v)
{
	enum { COLUMNS = 5 };
	static const struct out_column columns[COLUMNS] = { { "SERVICE" }, { "STATE", .is_state = true }, { "SINCE" }, { "RESTARTS" }, { "SAYS" } };
	sd_json_variant *list = sd_json_variant_by_key(v, "services");
	size_t n = sd_json_variant_is_array(list) ? sd_json_variant_elements(list) : 0;
	AUTO_FREE const char **cells = calloc(COLUMNS * (n + 1), sizeof(*cells));
	AUTO_FREE char(*numbers)[2][24] = calloc(n + 1, sizeof(*numbers));

	BUG_ON(!cells || !numbers);
	for (size_t i = 0; i < n; i++) {
		sd_json_variant *one = sd_json_variant_by_index(list, i);
		const char **cell = &cells[COLUMNS * i];

		format_duration(numbers[i][0], out_u64(one, "since_s"));
		snprintf(numbers[i][1], sizeof(numbers[i][1]), "%u", (unsigned)out_u64(one, "restarts"));
		cell[0] = out_text(one, "name", "?");
		cell[1] = out_text(one, "state", "?");
		cell[2] = numbers[i][0];
		cell[3] = numbers[i][1];
		cell[4] = out_text(one, "text", "");
	}
	out_table(columns, COLUMNS, cells, n);
	printf("\n");
	hubs_print(sd_json_variant_by_key(v, "hubs"));
	sessions_print(sd_json_variant_by_key(v, "sessions"));
	disks_summary(v);
	clock_print(sd_json_variant_by_key(v, "clock"));
}

/* One call without arguments but ARGUMENTS, signed by the key of ROLE. A node that is named by its whole key is who is meant, approved or not. */
static int node_open(char role, const char *which, struct client *client, struct link *link, struct err *e)
{
	const struct record *node;
	bool is_meant = which && strlen(which) == KEY_TEXT_LEN;
	int r;

	if ((r = client_open(client, role, e)) || (r = client_node(client, which, is_meant, &node, e)))
		return r;
	return link_open(client, node, link, e);
}

static int node_call(char role, const char *which, const char *method, sd_json_variant *arguments, sd_json_variant **ret, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	AUTO_LINK struct link link = { 0 };
	int r = node_open(role, which, &client, &link, e);

	return r ? r : link_call(&link, method, arguments, ret, e);
}

static int node_health(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	int r = node_call(KEY_USER, words[0], "zos.Node.Health", NULL, &v, e);

	(void)args;
	if (r || c->json)
		return r ? r : out_json(v, e);
	health_print(v);
	return 0;
}

static int node_logs(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_JSON sd_json_variant *arguments = NULL, *v = NULL;
	int r = sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_STRING("service", words[0]));

	(void)args;
	if (r < 0)
		return err_set(e, r, "ask the node: %s", strerror(-r));
	r = node_call(KEY_FARM, words[1], "zos.Node.Logs", arguments, &v, e);
	if (r || c->json)
		return r ? r : out_json(v, e);
	fputs(out_text(v, "lines", ""), stdout);
	return 0;
}

static int node_reboot(const struct cli *c, const void *args, const char **words, struct err *e)
{
	int r = node_call(KEY_FARM, words[0], "zos.Node.Reboot", NULL, NULL, e);

	(void)args;
	if (!r && !c->json)
		printf("It is going down and comes back.\n");
	return r;
}

static int drain(const struct cli *c, const char **words, bool on, struct err *e)
{
	AUTO_JSON sd_json_variant *arguments = NULL;
	int r;

	if (sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_BOOLEAN("on", on)) < 0)
		return err_set(e, -ENOMEM, "ask the node: out of memory");
	if (!(r = node_call(KEY_FARM, words[0], "zos.Node.Drain", arguments, NULL, e)) && !c->json)
		printf(on ? "Its machines are being stopped and it takes no deployment; 'zos node undrain' ends that.\n"
			  : "Its machines are started again as their owners wish, and it takes deployments.\n");
	return r;
}

static int node_drain(const struct cli *c, const void *args, const char **words, struct err *e)
{
	(void)args;
	return drain(c, words, true, e);
}

static int node_undrain(const struct cli *c, const void *args, const char **words, struct err *e)
{
	(void)args;
	return drain(c, words, false, e);
}

static int node_disks(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	int r = node_call(KEY_USER, words[0], "zos.Node.Disks", NULL, &v, e);

	(void)args;
	if (r || c->json)
		return r ? r : out_json(v, e);
	disks_print(sd_json_variant_by_key(v, "disks"));
	return 0;
}

/* What the node does with a disk: it gives that five minutes, and who waits sees for how long. */
static int disk_order(const struct cli *c, struct link *l, const char *what, const char *method, sd_json_variant *arguments, struct err *e)
{
	struct pace pace = PACE_INIT(c, what);
	int r = pace_begin(&pace, l->client->event, e);

	if (!r)
		r = link_call(l, method, arguments, NULL, e);
	pace_end(&pace);
	return r;
}

struct wipe_args {
	const char *confirm;
};
static const struct opt wipe_opts[] = { OPT(struct wipe_args, confirm, "confirm", "SERIAL", "the serial number once more") };

static int node_disks_wipe(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct wipe_args *a = args;
	AUTO_CLIENT struct client client = CLIENT_NONE;
	AUTO_LINK struct link link = { 0 };
	AUTO_JSON sd_json_variant *arguments = NULL;
	int r;

	if (!a->confirm || strcmp(a->confirm, words[0]))
		return err_set(e, -EINVAL, "what is on that disk would be gone for ever: say 'zos node disks wipe %s --confirm %s' if that is wanted",
			       words[0], words[0]);
	if (sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_STRING("serial", words[0]), SD_JSON_BUILD_PAIR_STRING("confirm", a->confirm)) < 0)
		return err_set(e, -ENOMEM, "ask the node: out of memory");
	if (!(r = node_open(KEY_FARM, words[1], &client, &link, e)))
		r = disk_order(c, &link, "wiping the disk", "zos.Node.WipeDisk", arguments, e);
	if (!r && !c->json)
		printf("What was on it is gone for ever, and the node takes it as a new disk: 'zos node disks' shows it.\n");
	return r;
}

/* Opens what the disk keeps for the farm, as TOKEN says it, with the key that 'zos farm recovery on' has made. */
static int secret_open(const struct client *c, sd_json_variant *token, uint8_t ret[static RECOVERY_SECRET_LEN], struct err *e)
{
	const struct recovery_place at = { &c->key.pub, &c->key.pub, out_text(token, "uuid", "") };
	AUTO_KEY struct key key = KEY_NONE;
	AUTO_SEAL_KEY struct seal_key k;
	char digest[SEAL_DIGEST_LEN + 1];
	int r = profile_key(&c->profile, PROFILE_RECOVERY, KEY_FARM, false, &key, e);

	if (r == -ENOENT)
		return err_set(e, r, "there is no " PROFILE_RECOVERY " in %s: put the one there that 'zos farm recovery on' made", c->profile.dir);
	if (r)
		return r;
	if (seal_key_derive(&key, &k))
		return err_set(e, -ENOMEM, "open the recovery token: out of memory");
	seal_digest(k.pub, digest);
	if (strcmp(digest, out_text(token, "key", "")))
		return err_set(e, -EKEYREJECTED,
			       "the disk keeps its secret for another recovery key (%.16s...) than %s/" PROFILE_RECOVERY " is (%.16s...)",
			       out_text(token, "key", ""), c->profile.dir, digest);
	r = recovery_open(&k, &at, str_c(out_text(token, "sealed", "")), ret);
	return r ? err_set(e, r, "the disk's recovery token was not made for this farm and this disk: nothing was sent") : 0;
}

/* The same secret, for the node's eyes. */
static int secret_seal(struct link *l, const char *digest, const char *uuid, const uint8_t secret[static RECOVERY_SECRET_LEN], struct buf *ret,
		       struct err *e)
{
	const struct recovery_place at = { &l->client->key.pub, &l->node, uuid };
	AUTO_BUF struct buf pub = { 0 };
	int r = link_seal_key(l, digest, &pub, e);

	if (!r && (r = recovery_seal((const uint8_t *)pub.p, &at, secret, ret)))
		err_set(e, r, "seal the secret to the node: %s", strerror(-r));
	return r;
}

static int disk_recover(const struct cli *c, struct link *l, const char *digest, const char *serial, struct err *e)
{
	AUTO_JSON sd_json_variant *which = NULL, *token = NULL, *arguments = NULL;
	AUTO_BUF struct buf sealed = { 0 };
	uint8_t secret[RECOVERY_SECRET_LEN];
	const char *uuid;
	int r;

	if (sd_json_buildo(&which, SD_JSON_BUILD_PAIR_STRING("serial", serial)) < 0)
		return err_set(e, -ENOMEM, "ask the node: out of memory");
	if ((r = link_call(l, "zos.Node.RecoveryToken", which, &token, e)) || (r = secret_open(l->client, token, secret, e)))
		return r;
	uuid = out_text(token, "uuid", "");
	r = secret_seal(l, digest, uuid, secret, &sealed, e);
	explicit_bzero(secret, sizeof(secret));
	if (r)
		return r;
	if (sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_STRING("serial", serial), SD_JSON_BUILD_PAIR_STRING("uuid", uuid),
			   SD_JSON_BUILD_PAIR_STRING("secret", sealed.p)) < 0)
		return err_set(e, -ENOMEM, "ask the node: out of memory");
	return disk_order(c, l, "recovering the disk", "zos.Node.RecoverDisk", arguments, e);
}

/* A node whose disks are all shut has forgotten that it was approved, and must not be approved as somebody new: it is the old one again once a disk of it is
 * open. So its key is compared here. */
static int node_disks_recover(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	AUTO_LINK struct link link = { 0 };
	const struct record *node;
	char key[KEY_TEXT_SIZE], digest[SEAL_DIGEST_LEN + 1];
	bool is_ours;
	int r;

	(void)args;
	if ((r = client_open(&client, KEY_FARM, e)) || (r = client_node(&client, words[1], true, &node, e)))
		return r;
	key_pub_format(key, &node->node);
	snprintf(digest, sizeof(digest), "%s", node->seal_key ? node->seal_key : "");
	is_ours = node->approved && key_pub_eq(&node->farm, &client.key.pub);
	if (!is_ours && (!words[1] || strcmp(words[1], key)) && (r = farm_confirm(key, e)))
		return r;
	if ((r = link_open(&client, node, &link, e)) || (r = disk_recover(c, &link, digest, words[0], e)))
		return r;
	if (!c->json)
		printf("It is opened, and its key is the TPM's again: 'zos node disks' shows it. A node that had no disk open starts again as who it was.\n");
	return 0;
}

const struct command node_commands[] = {
	{ .name = "node list", .help = "the nodes on your hubs", .run = node_list },
	{ .name = "node info", .words = "[N...]", .help = "ask a node about itself", .max_words = 1, .run = node_info },
	{ .name = "node health", .words = "[N...]", .help = "a node's services, hubs and disks", .max_words = 1, .run = node_health },
	{ .name = "node disks", .words = "[N...]", .help = "a node's disks, and what it found on them", .max_words = 1, .run = node_disks },
	{ .name = "node disks wipe",
	  .words = "SERIAL [N...]",
	  .help = "make a disk the node's, whatever is on it (with the farm's key)",
	  .opts = wipe_opts,
	  .n_opts = ARRAY_LEN(wipe_opts),
	  .args_size = sizeof(struct wipe_args),
	  .min_words = 1,
	  .max_words = 2,
	  .run = node_disks_wipe },
	{ .name = "node disks recover",
	  .words = "SERIAL [N...]",
	  .help = "open a disk whose TPM was lost or cleared (with the farm's key and its recovery key)",
	  .min_words = 1,
	  .max_words = 2,
	  .run = node_disks_recover },
	{ .name = "node logs",
	  .words = "SERVICE [N...]",
	  .help = "the last lines of a service (with the farm's key)",
	  .min_words = 1,
	  .max_words = 2,
	  .run = node_logs },
	{ .name = "node drain",
	  .words = "[N...]",
	  .help = "stop a node's machines and take no deployment (with the farm's key)",
	  .max_words = 1,
	  .run = node_drain },
	{ .name = "node undrain", .words = "[N...]", .help = "end that: the machines are started again", .max_words = 1, .run = node_undrain },
	{ .name = "node reboot", .words = "[N...]", .help = "reboot a node (with the farm's key)", .max_words = 1, .run = node_reboot },
};
const size_t n_node_commands = ARRAY_LEN(node_commands);
