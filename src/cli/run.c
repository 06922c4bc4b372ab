#include "cli/run.h"

#include "api/deployment.h"
#include "base/file.h"
#include "base/parse.h"

#include <fcntl.h>
#include <stdio.h>

#define PUBLISH_SUBNET "10.20.1.0/24" /* of a network that nobody else is in */
#define REGISTRY_SECRET "registry" /* no --secret has that name: those have numbers */

/* "registry/team/web-app:1.2" is web-app. */
static void name_of_image(const char *image, char ret[static 40])
{
	const char *base = strrchr(image, '/');
	size_t n = 0;

	for (base = base ? base + 1 : image; *base && *base != ':' && *base != '@' && n < 36; base++) {
		char ch = *base >= 'A' && *base <= 'Z' ? (char)(*base + 32) : *base;

		ret[n++] = (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') ? ch : '-';
	}
	ret[n] = '\0';
}

/* A disk image brings a whole system, and half of it is for what it writes. */
static uint64_t run_memory(const struct run_args *a)
{
	return a->memory_bytes ? a->memory_bytes : a->disk ? 1ull << 30 : 256ull << 20;
}

static int args_check(const struct run_args *a, struct err *e)
{
	if (a->container && (a->vm || a->disk))
		return err_set(e, -EINVAL, "--container and --%s exclude each other", a->vm ? "vm" : "disk");
	if (a->user_data && !a->disk)
		return err_set(e, -EINVAL, "--user-data is for a disk image's cloud-init: add --disk");
	if (!a->login != !a->password)
		return err_set(e, -EINVAL, "--login USER and --password FILE go together: the registry asks for both");
	return 0;
}

/* Where SECRETS takes the value of NAME from: {"file": FILE}, or {"env": VARIABLE}. */
static int source_add(sd_json_variant **secrets, const char *name, const char *file, const char *variable)
{
	AUTO_JSON sd_json_variant *source = NULL;
	int r = sd_json_buildo(&source, SD_JSON_BUILD_PAIR_STRING(file ? "file" : "env", file ? file : variable));

	return r < 0 ? r : sd_json_variant_set_field(secrets, name, source);
}

/* "TOKEN=FILE", or "TOKEN", which is in the environment here. */
static int secret_add(const char *text, size_t at, sd_json_variant **secrets, sd_json_variant **env, struct err *e)
{
	AUTO_JSON sd_json_variant *use = NULL;
	AUTO_FREE char *variable = strdup(text);
	char name[24], *file = strchr(text, '=') ? variable + (strchr(text, '=') - text) : NULL;
	int r;

	BUG_ON(!variable);
	if (file)
		*file++ = '\0';
	if (!variable[0] || (file && !file[0]))
		return err_set(e, -EINVAL, "--secret '%s': write NAME=FILE, or NAME for a variable that is set here", text);
	snprintf(name, sizeof(name), "secret-%zu", at + 1);
	if ((r = source_add(secrets, name, file, variable)) < 0 || (r = sd_json_buildo(&use, SD_JSON_BUILD_PAIR_STRING("secret", name))) < 0 ||
	    (r = sd_json_variant_set_field(env, variable, use)) < 0)
		return err_set(e, r, "--secret '%s': %s", text, strerror(-r));
	return 0;
}

/* The network and the published name, and what the machine has of them. */
struct publish {
	sd_json_variant *network, *site, *networks; /* NULL = none */
};

static void publish_unref(struct publish *p)
{
	sd_json_variant_unref(p->network);
	sd_json_variant_unref(p->site);
	sd_json_variant_unref(p->networks);
}

/* A name with a dot is a whole one, its owner's own. MACHINE is what answers. */
static int publish_make(const char *text, const char *machine, struct publish *ret, struct err *e)
{
	AUTO_FREE char *name = strdup(text);
	char *port = strchr(name ? name : "", ':'), backend[64];
	const char *network = strcmp(machine, "net") ? "net" : "network", *site = strcmp(machine, "site") ? "site" : "gateway";
	uint64_t number = 80;
	bool is_whole = strchr(name ? name : "", '.');
	int r;

	BUG_ON(!name);
	if (port)
		*port++ = '\0';
	if (!name[0] || (port && (parse_u64(str_c(port), 65535, &number) || !number)))
		return err_set(e, -EINVAL, "--publish '%s': write NAME or NAME:PORT, a port from 1 to 65535", text);
	snprintf(backend, sizeof(backend), "%s:%u", machine, (unsigned)number);
	if ((r = sd_json_buildo(&ret->network, SD_JSON_BUILD_PAIR_STRING("name", network), SD_JSON_BUILD_PAIR_STRING("type", "network"),
				SD_JSON_BUILD_PAIR_OBJECT("data", SD_JSON_BUILD_PAIR_STRING("subnet", PUBLISH_SUBNET)))) < 0 ||
	    (r = sd_json_buildo(&ret->site, SD_JSON_BUILD_PAIR_STRING("name", site),
				SD_JSON_BUILD_PAIR_STRING("type", is_whole ? "gateway-fqdn-proxy" : "gateway-name-proxy"),
				SD_JSON_BUILD_PAIR_OBJECT("data", SD_JSON_BUILD_PAIR_STRING(is_whole ? "fqdn" : "name", name),
							  SD_JSON_BUILD_PAIR_STRING("network", network),
							  SD_JSON_BUILD_PAIR_ARRAY("backends", SD_JSON_BUILD_STRING(backend))))) < 0 ||
	    (r = sd_json_variant_new_array(&ret->networks, NULL, 0)) < 0 ||
	    (r = sd_json_variant_append_arraybo(&ret->networks, SD_JSON_BUILD_PAIR_STRING("name", network))) < 0)
		return err_set(e, r, "--publish '%s': %s", text, strerror(-r));
	return 0;
}

/* What the machine is made of. */
struct parts {
	sd_json_variant *secrets, *env, *argv, *workloads;
	struct publish publish;
	struct buf user_data;
};

static void parts_deinit(struct parts *p)
{
	publish_unref(&p->publish);
	sd_json_variant_unref(p->secrets);
	sd_json_variant_unref(p->env);
	sd_json_variant_unref(p->argv);
	sd_json_variant_unref(p->workloads);
	buf_deinit(&p->user_data);
}

static int parts_make(const struct run_args *a, const char *const *words, const char *name, struct parts *p, struct err *e)
{
	int r = a->user_data ? file_read(AT_FDCWD, a->user_data, ZMACHINE_USER_DATA_MAX, &p->user_data, e) : 0;

	if (r || (a->publish && (r = publish_make(a->publish, name, &p->publish, e))))
		return r;
	for (size_t i = 0; i < a->secrets.n; i++)
		if ((r = secret_add(a->secrets.texts[i], i, &p->secrets, &p->env, e)))
			return r;
	if ((a->login && source_add(&p->secrets, REGISTRY_SECRET, a->password, NULL) < 0) ||
	    sd_json_variant_new_array_strv(&p->argv, (char **)words + 1) < 0 || sd_json_variant_new_array(&p->workloads, NULL, 0) < 0)
		return err_set(e, -ENOMEM, "read the options: out of memory");
	return 0;
}

static int machine_append(const struct run_args *a, const char *const *words, const char *name, struct parts *p)
{
	return sd_json_variant_append_arraybo(
		&p->workloads, SD_JSON_BUILD_PAIR_STRING("name", name), SD_JSON_BUILD_PAIR_STRING("type", "zmachine"),
		SD_JSON_BUILD_PAIR_OBJECT(
			"data", SD_JSON_BUILD_PAIR_STRING("image", words[0]),
			SD_JSON_BUILD_PAIR_STRING("isolation", a->vm          ? "vm"
							       : a->container ? "container"
									      : "auto"),
			SD_JSON_BUILD_PAIR_CONDITION(a->login != NULL, "pull",
						     SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING("user", a->login),
									  SD_JSON_BUILD_PAIR_STRING("secret", REGISTRY_SECRET))),
			SD_JSON_BUILD_PAIR_CONDITION(a->disk, "boot", SD_JSON_BUILD_STRING("disk")),
			SD_JSON_BUILD_PAIR_CONDITION(a->user_data != NULL, "user_data", SD_JSON_BUILD_STRING(p->user_data.p)),
			SD_JSON_BUILD_PAIR_CONDITION(p->env != NULL, "env", SD_JSON_BUILD_VARIANT(p->env)),
			SD_JSON_BUILD_PAIR_CONDITION(p->publish.networks != NULL, "networks", SD_JSON_BUILD_VARIANT(p->publish.networks)),
			SD_JSON_BUILD_PAIR_UNSIGNED("cpu", a->cpu ? a->cpu : 1), SD_JSON_BUILD_PAIR_UNSIGNED("memory", run_memory(a)),
			SD_JSON_BUILD_PAIR_CONDITION(a->bandwidth != 0, "bandwidth", SD_JSON_BUILD_UNSIGNED(a->bandwidth)),
			SD_JSON_BUILD_PAIR_CONDITION(words[1] != NULL, "args", SD_JSON_BUILD_VARIANT(p->argv))));
}

int run_document(const struct run_args *a, const char *const *words, sd_json_variant **ret, struct err *e)
{
	CLEANUP(parts_deinit) struct parts p = { 0 };
	char name[40];
	int r = args_check(a, e);

	if (r)
		return r;
	name_of_image(words[0], name);
	if (a->name)
		snprintf(name, sizeof(name), "%s", a->name);
	if ((r = parts_make(a, words, name, &p, e)))
		return r;
	if ((a->publish && (r = sd_json_variant_append_array(&p.workloads, p.publish.network)) < 0) || (r = machine_append(a, words, name, &p)) < 0 ||
	    (a->publish && (r = sd_json_variant_append_array(&p.workloads, p.publish.site)) < 0) ||
	    (r = sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("name", name),
				SD_JSON_BUILD_PAIR_CONDITION(p.secrets != NULL, "secrets", SD_JSON_BUILD_VARIANT(p.secrets)),
				SD_JSON_BUILD_PAIR_VARIANT("workloads", p.workloads))) < 0)
		return err_set(e, r, "describe the deployment: %s", strerror(-r));
	return 0;
}
