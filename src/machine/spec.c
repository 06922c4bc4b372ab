#include "machine/spec.h"

#include "base/parse.h"

#include <signal.h>
#include <stdio.h>

enum { ZDB_CPU_MILLI = 1000 }; /* it has one thread */

static const struct json_field mount_fields[] = {
	{ "source", JSON_TEXT, offsetof(struct machine_mount, source), .required = true },
	{ "name", JSON_TEXT, offsetof(struct machine_mount, name), .required = true },
	{ "path", JSON_TEXT, offsetof(struct machine_mount, path) },
	{ "format", JSON_TEXT, offsetof(struct machine_mount, format) },
	{ "read_only", JSON_BOOL, offsetof(struct machine_mount, read_only), .required = true },
};
static const struct json_table mount_table = { mount_fields, ARRAY_LEN(mount_fields), sizeof(struct machine_mount), NULL };

#define LINK_FIELD(f) { #f, JSON_TEXT, offsetof(struct machine_link, f), .required = true }
static const struct json_field link_fields[] = {
	LINK_FIELD(netns),   LINK_FIELD(device),   LINK_FIELD(mac),    LINK_FIELD(address),  LINK_FIELD(range),
	LINK_FIELD(gateway), LINK_FIELD(address6), LINK_FIELD(range6), LINK_FIELD(gateway6),
};
static const struct json_table link_table = { link_fields, ARRAY_LEN(link_fields), sizeof(struct machine_link), NULL };

static const struct json_field zdb_fields[] = {
	{ "path", JSON_TEXT, offsetof(struct zdb_spec, path), .required = true },
	{ "size", JSON_U64, offsetof(struct zdb_spec, size_bytes), .required = true },
	{ "mode", JSON_CHOICE, offsetof(struct zdb_spec, mode), .required = true, .names = zdb_mode_names },
	{ "public", JSON_BOOL, offsetof(struct zdb_spec, is_public), .required = true },
	{ "password", JSON_TEXT, offsetof(struct zdb_spec, password), .max = ZDB_PASSWORD_MAX },
};
static const struct json_table zdb_table = { zdb_fields, ARRAY_LEN(zdb_fields), sizeof(struct zdb_spec), NULL };

/* What only a machine has is there for a store, too, and empty. */
static const struct json_field spec_fields[] = {
	{ "id", JSON_TEXT, offsetof(struct machine_spec, id), .required = true, .min = WORK_ID_LEN, .max = WORK_ID_LEN },
	{ "revision", JSON_TEXT, offsetof(struct machine_spec, revision), .required = true },
	{ "hostname", JSON_TEXT, offsetof(struct machine_spec, hostname), .required = true },
	{ "isolation", JSON_CHOICE, offsetof(struct machine_spec, isolation), .required = true, .names = isolation_names },
	{ "boot", JSON_CHOICE, offsetof(struct machine_spec, boot), .names = boot_names },
	{ "restart", JSON_CHOICE, offsetof(struct machine_spec, restart), .required = true, .names = restart_names },
	{ "cpu_milli", JSON_U64, offsetof(struct machine_spec, cpu_milli), .required = true },
	{ "memory", JSON_U64, offsetof(struct machine_spec, memory_bytes), .required = true },
	{ "zdb", JSON_OBJECT, offsetof(struct machine_spec, zdb), .table = &zdb_table },
	{ "rootfs_size", JSON_U64, offsetof(struct machine_spec, rootfs_bytes), .required = true },
	{ "index", JSON_U64, offsetof(struct machine_spec, index), .required = true, .max = 4095 },
	{ "device", JSON_TEXT, offsetof(struct machine_spec, device), .required = true },
	{ "netns", JSON_TEXT, offsetof(struct machine_spec, netns), .required = true },
	{ "address", JSON_TEXT, offsetof(struct machine_spec, address), .required = true },
	{ "gateway", JSON_TEXT, offsetof(struct machine_spec, gateway), .required = true },
	{ "mac", JSON_TEXT, offsetof(struct machine_spec, mac), .required = true },
	{ "layers", JSON_TEXTS, offsetof(struct machine_spec, layers), .required = true, .max = WORK_LAYERS_MAX },
	{ "argv", JSON_TEXTS, offsetof(struct machine_spec, argv), .required = true, .max = 512 },
	{ "env", JSON_TEXTS, offsetof(struct machine_spec, env), .required = true, .max = 1024 },
	{ "workdir", JSON_TEXT, offsetof(struct machine_spec, workdir), .required = true },
	{ "user", JSON_TEXT, offsetof(struct machine_spec, user), .required = true },
	{ "stop_signal", JSON_TEXT, offsetof(struct machine_spec, stop_signal), .required = true },
	{ "health", JSON_ANY, offsetof(struct machine_spec, check) },
	{ "user_data", JSON_TEXT, offsetof(struct machine_spec, user_data), .max = ZMACHINE_USER_DATA_MAX },
	{ "modules", JSON_TEXTS, offsetof(struct machine_spec, modules), .max = ZMACHINE_MODULES_MAX + ZMACHINE_MOUNTS_MAX },
	{ "mounts", JSON_LIST, offsetof(struct machine_spec, mounts), .max = ZMACHINE_MOUNTS_MAX, .table = &mount_table,
	  .n_off = offsetof(struct machine_spec, n_mounts) },
	{ "resolvers", JSON_TEXTS, offsetof(struct machine_spec, resolvers), .required = true, .max = 8 },
	{ "search", JSON_TEXTS, offsetof(struct machine_spec, search), .max = ZMACHINE_NETWORKS_MAX },
	{ "links", JSON_LIST, offsetof(struct machine_spec, links), .max = ZMACHINE_NETWORKS_MAX, .table = &link_table,
	  .n_off = offsetof(struct machine_spec, n_links) },
};
static const struct json_table spec_table = { spec_fields, ARRAY_LEN(spec_fields), 0, NULL };

void machine_spec_deinit(struct machine_spec *s)
{
	json_unrefp(&s->v);
}

static int mount_order(const void *a, const void *b)
{
	const struct machine_mount *x = a, *y = b;

	return strcmp(x->path ?: x->name, y->path ?: y->name);
}

int machine_spec_read(struct machine_spec *ret, struct str json, struct err *e)
{
	int r;

	*ret = (struct machine_spec){ 0 };
	if ((r = json_parse(json, &ret->v, e)) || (r = json_decode(ret->v, &spec_table, ret, e)) ||
	    (ret->check && (r = health_check_decode(ret->check, &ret->health, e))))
		return err_wrap(e, r, "machine spec");
	qsort(ret->mounts, ret->n_mounts, sizeof(ret->mounts[0]), mount_order);
	return 0;
}

static int mac_parse(const char *text, uint8_t ret[static 6])
{
	struct str s = str_c(text), byte;
	int n = 0;

	while (n < 6 && str_next(&s, ':', &byte))
		if (parse_hex(byte, &ret[n++], 1))
			return -EBADMSG;
	return n == 6 && !s.p ? 0 : -EBADMSG;
}

int machine_link_card(const struct machine_link *l, struct card *ret, struct err *e)
{
	struct card end = { 0 };

	if (mac_parse(l->mac, end.mac) || parse_range4(str_c(l->address), &end.address) || parse_range4(str_c(l->range), &end.range) ||
	    parse_ip4(str_c(l->gateway), &end.gateway) || parse_range6(str_c(l->address6), &end.address6) ||
	    parse_range6(str_c(l->range6), &end.range6) || parse_ip6(str_c(l->gateway6), end.gateway6))
		return err_set(e, -EBADMSG, "machine spec: the link %s is none", l->device);
	*ret = end;
	return 0;
}

/* A list of strings in the image's config, or NULL. */
static sd_json_variant *config_list(const struct work *w, const char *key)
{
	sd_json_variant *v = sd_json_variant_by_key(w->image.config, key);

	return sd_json_variant_is_array(v) ? v : NULL;
}

static const char *config_text(const struct work *w, const char *key, const char *otherwise)
{
	sd_json_variant *v = sd_json_variant_by_key(w->image.config, key);

	return sd_json_variant_is_string(v) && *sd_json_variant_string(v) ? sd_json_variant_string(v) : otherwise;
}

static int append_all(sd_json_variant **to, sd_json_variant *from)
{
	int r = 0;

	for (size_t i = 0; from && r >= 0 && i < sd_json_variant_elements(from); i++)
		r = sd_json_variant_append_array(to, sd_json_variant_by_index(from, i));
	return r;
}

/* As everywhere: an entrypoint of the owner's drops the image's command; arguments of the owner's replace it. */
static int argv_build(const struct work *w, sd_json_variant **ret)
{
	const struct zmachine *z = &w->spec;
	int r = append_all(ret, z->entrypoint ? z->entrypoint : config_list(w, "Entrypoint"));

	if (r >= 0)
		r = append_all(ret, z->args ? z->args : z->entrypoint ? NULL : config_list(w, "Cmd"));
	return r;
}

static bool env_names(const char *entry, const char *name)
{
	size_t n = strlen(name);

	return !strncmp(entry, name, n) && entry[n] == '=';
}

static bool env_has(sd_json_variant *env, const char *name)
{
	for (size_t i = 0; env && i < sd_json_variant_elements(env); i++)
		if (env_names(sd_json_variant_string(sd_json_variant_by_index(env, i)), name))
			return true;
	return false;
}

static int env_append(sd_json_variant **ret, const char *name, const char *value)
{
	AUTO_JSON sd_json_variant *one = NULL;
	AUTO_BUF struct buf text = { 0 };

	buf_addf(&text, "%s=%s", name, value);
	if (buf_check(&text) || sd_json_variant_new_string(&one, text.p) < 0)
		return -ENOMEM;
	return sd_json_variant_append_array(ret, one);
}

static int env_build(const struct work *w, sd_json_variant **ret)
{
	sd_json_variant *image = config_list(w, "Env"), *own = w->spec.env;
	int r = 0;

	for (size_t i = 0; image && r >= 0 && i < sd_json_variant_elements(image); i++) {
		sd_json_variant *one = sd_json_variant_by_index(image, i);
		bool replaced = false;

		for (size_t k = 0; own && k < sd_json_variant_elements(own); k += 2)
			replaced |= env_names(sd_json_variant_string(one), sd_json_variant_string(sd_json_variant_by_index(own, k)));
		if (!replaced)
			r = sd_json_variant_append_array(ret, one);
	}
	for (size_t k = 0; own && r >= 0 && k < sd_json_variant_elements(own); k += 2)
		r = env_append(ret, sd_json_variant_string(sd_json_variant_by_index(own, k)),
			       sd_json_variant_string(sd_json_variant_by_index(own, k + 1)));
	if (r >= 0 && !env_has(*ret, "PATH"))
		r = env_append(ret, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	return r;
}

/* V as text, wherever the owner keeps it; NULL = none. */
static const char *text_of(const struct work *w, sd_json_variant *v)
{
	const char *name = v ? secret_ref(v) : NULL;

	return v ? sd_json_variant_string(name ? sd_json_variant_by_key(w->secrets, name) : v) : NULL;
}

/* What makes W a store; NULL for a machine. */
static int zdb_build(const struct work *w, sd_json_variant **ret)
{
	const struct zdb *z = &w->zdb;
	const char *password = text_of(w, z->password);

	if (w->kind != WORKLOAD_ZDB)
		return 0;
	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("path", w->storage.path), SD_JSON_BUILD_PAIR_UNSIGNED("size", z->size_bytes),
			      SD_JSON_BUILD_PAIR_STRING("mode", zdb_mode_names[z->mode]), SD_JSON_BUILD_PAIR_BOOLEAN("public", z->is_public),
			      SD_JSON_BUILD_PAIR_CONDITION(password != NULL, "password", SD_JSON_BUILD_STRING(password)));
}

static int mounts_build(const struct work *w, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && i < w->spec.n_mounts; i++) {
		const struct mount *m = &w->spec.mounts[i];

		r = sd_json_variant_append_arraybo(ret, SD_JSON_BUILD_PAIR_STRING("source", w->sources[i]),
						   SD_JSON_BUILD_PAIR_STRING("name", m->name),
						   SD_JSON_BUILD_PAIR_CONDITION(m->path != NULL, "path", SD_JSON_BUILD_STRING(m->path)),
						   SD_JSON_BUILD_PAIR_CONDITION(w->formats[i] != NULL, "format", SD_JSON_BUILD_STRING(w->formats[i])),
						   SD_JSON_BUILD_PAIR_BOOLEAN("read_only", m->read_only));
	}
	return r;
}

static int link_append(const struct network_link *l, sd_json_variant **ret)
{
	char mac[18], address[RANGE4_TEXT_SIZE], range[RANGE4_TEXT_SIZE], gateway[IP4_TEXT_SIZE];
	char address6[RANGE6_TEXT_SIZE], range6[RANGE6_TEXT_SIZE], gateway6[IP6_TEXT_SIZE];
	const uint8_t *m = l->end.mac;

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	format_range4(address, &l->end.address);
	format_range4(range, &l->end.range);
	format_ip4(gateway, l->end.gateway);
	format_range6(address6, &l->end.address6);
	format_range6(range6, &l->end.range6);
	format_ip6(gateway6, l->end.gateway6);
	return sd_json_variant_append_arraybo(ret, SD_JSON_BUILD_PAIR_STRING("netns", l->netns), SD_JSON_BUILD_PAIR_STRING("device", l->device),
					      SD_JSON_BUILD_PAIR_STRING("mac", mac), SD_JSON_BUILD_PAIR_STRING("address", address),
					      SD_JSON_BUILD_PAIR_STRING("range", range), SD_JSON_BUILD_PAIR_STRING("gateway", gateway),
					      SD_JSON_BUILD_PAIR_STRING("address6", address6), SD_JSON_BUILD_PAIR_STRING("range6", range6),
					      SD_JSON_BUILD_PAIR_STRING("gateway6", gateway6));
}

static int links_build(const struct work *w, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && i < w->n_links; i++)
		r = link_append(&w->links[i], ret);
	return r;
}

/* Who is in private networks asks their gateways alone: the node's own name servers would answer for these networks' names, too, and
 * differently. Those of networks that lead outside come first: only they know the names there. */
static int names_build(const struct work *w, sd_json_variant *resolvers, sd_json_variant **ret_resolvers, sd_json_variant **ret_search)
{
	int r = sd_json_variant_new_array(ret_search, NULL, 0);

	if (r < 0 || !w->n_links) {
		*ret_resolvers = sd_json_variant_ref(resolvers);
		return r;
	}
	for (int outgoing = 1; outgoing >= 0; outgoing--)
		for (size_t i = 0; r >= 0 && i < w->n_links; i++) {
			char gateway[IP4_TEXT_SIZE];

			format_ip4(gateway, w->links[i].end.gateway);
			if (w->links[i].outgoing == outgoing)
				r = sd_json_variant_append_arrayb(ret_resolvers, SD_JSON_BUILD_STRING(gateway));
		}
	for (size_t i = 0; r >= 0 && i < w->n_links; i++) {
		char domain[64];

		snprintf(domain, sizeof(domain), "%s.internal", w->links[i].name);
		r = sd_json_variant_append_arrayb(ret_search, SD_JSON_BUILD_STRING(domain));
	}
	return r;
}

/* What its owner asks for, and what the disks of a machine from an image need. */
static int modules_build(const struct work *w, sd_json_variant **ret)
{
	int r = append_all(ret, w->spec.modules);

	for (size_t i = 0; r >= 0 && w->spec.boot == BOOT_IMAGE && i < w->spec.n_mounts; i++)
		if (w->formats[i])
			r = sd_json_variant_append_arrayb(ret, SD_JSON_BUILD_STRING(w->formats[i]));
	return r;
}

int machine_spec_build(const struct work *w, sd_json_variant *resolvers, struct buf *ret, struct err *e)
{
	AUTO_JSON sd_json_variant *argv = NULL, *env = NULL, *mounts = NULL, *links = NULL, *servers = NULL, *search = NULL, *modules = NULL,
				  *zdb = NULL, *layers = NULL, *v = NULL;
	const struct zmachine *z = &w->spec;
	const struct network_result *n = &w->network;
	const char *user_data = text_of(w, z->user_data);
	bool is_machine = w->kind == WORKLOAD_ZMACHINE;
	int r;

	if (sd_json_variant_new_array(&argv, NULL, 0) < 0 || sd_json_variant_new_array(&env, NULL, 0) < 0 ||
	    sd_json_variant_new_array(&layers, NULL, 0) < 0 || append_all(&layers, w->image.layers) < 0 || zdb_build(w, &zdb) < 0 ||
	    argv_build(w, &argv) < 0 || env_build(w, &env) < 0 || mounts_build(w, &mounts) < 0 || links_build(w, &links) < 0 ||
	    names_build(w, resolvers, &servers, &search) < 0 || modules_build(w, &modules) < 0)
		return err_set(e, -ENOMEM, "describe the machine: out of memory");
	if (is_machine && z->boot == BOOT_IMAGE && !sd_json_variant_elements(argv))
		return err_set(e, -EBADMSG, "the image names no program to run: set 'entrypoint'");
	r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("id", w->id), SD_JSON_BUILD_PAIR_STRING("revision", w->revision),
			   SD_JSON_BUILD_PAIR_STRING("hostname", w->name), SD_JSON_BUILD_PAIR_STRING("isolation", isolation_names[z->isolation]),
			   SD_JSON_BUILD_PAIR_STRING("boot", boot_names[z->boot]),
			   SD_JSON_BUILD_PAIR_CONDITION(user_data != NULL, "user_data", SD_JSON_BUILD_STRING(user_data)),
			   SD_JSON_BUILD_PAIR_STRING("restart", restart_names[z->restart]),
			   SD_JSON_BUILD_PAIR_UNSIGNED("cpu_milli", is_machine ? z->cpu_milli : ZDB_CPU_MILLI),
			   SD_JSON_BUILD_PAIR_UNSIGNED("memory", is_machine ? z->memory_bytes : w->zdb.memory_bytes),
			   SD_JSON_BUILD_PAIR_UNSIGNED("rootfs_size", z->rootfs_bytes), SD_JSON_BUILD_PAIR_UNSIGNED("index", n->index),
			   SD_JSON_BUILD_PAIR_STRING("device", n->device), SD_JSON_BUILD_PAIR_STRING("netns", n->netns),
			   SD_JSON_BUILD_PAIR_STRING("address", n->address), SD_JSON_BUILD_PAIR_STRING("gateway", n->gateway),
			   SD_JSON_BUILD_PAIR_STRING("mac", n->mac), SD_JSON_BUILD_PAIR_VARIANT("layers", layers),
			   SD_JSON_BUILD_PAIR_VARIANT("argv", argv), SD_JSON_BUILD_PAIR_VARIANT("env", env),
			   SD_JSON_BUILD_PAIR_STRING("workdir", z->workdir ? z->workdir : config_text(w, "WorkingDir", "/")),
			   SD_JSON_BUILD_PAIR_STRING("user", z->user ? z->user : config_text(w, "User", "0")),
			   SD_JSON_BUILD_PAIR_CONDITION(z->health != NULL, "health", SD_JSON_BUILD_VARIANT(z->health)),
			   SD_JSON_BUILD_PAIR_CONDITION(modules != NULL, "modules", SD_JSON_BUILD_VARIANT(modules)),
			   SD_JSON_BUILD_PAIR_STRING("stop_signal", config_text(w, "StopSignal", "SIGTERM")),
			   SD_JSON_BUILD_PAIR_CONDITION(zdb != NULL, "zdb", SD_JSON_BUILD_VARIANT(zdb)), SD_JSON_BUILD_PAIR_VARIANT("mounts", mounts),
			   SD_JSON_BUILD_PAIR_VARIANT("links", links), SD_JSON_BUILD_PAIR_VARIANT("search", search),
			   SD_JSON_BUILD_PAIR_VARIANT("resolvers", servers));
	return r < 0 || json_format(v, ret) ? err_set(e, -ENOMEM, "describe the machine: out of memory") : 0;
}

int machine_spec_signal(const struct machine_spec *s)
{
	static const struct {
		const char *name;
		int number;
	} rows[] = {
		{ "SIGTERM", SIGTERM }, { "SIGINT", SIGINT },   { "SIGQUIT", SIGQUIT },   { "SIGHUP", SIGHUP },
		{ "SIGUSR1", SIGUSR1 }, { "SIGUSR2", SIGUSR2 }, { "SIGWINCH", SIGWINCH }, { "SIGKILL", SIGKILL },
	};
	const char *name = s->stop_signal;
	uint64_t number;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!strcmp(rows[i].name, name) || !strcmp(rows[i].name + 3, name))
			return rows[i].number;
	if (!parse_u64(str_c(name), 64, &number) && number)
		return (int)number;
	return !strcmp(name, "SIGRTMIN+3") ? SIGRTMIN + 3 : SIGTERM;
}
