#include "cli/run.h"

#include "api/deployment.h"
#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>

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

int run_document(const struct run_args *a, const char *const *words, sd_json_variant **ret, struct err *e)
{
	AUTO_JSON sd_json_variant *argv = NULL, *secrets = NULL, *env = NULL;
	AUTO_BUF struct buf user_data = { 0 };
	char name[40];
	int r = args_check(a, e);

	if (r || (a->user_data && (r = file_read(AT_FDCWD, a->user_data, ZMACHINE_USER_DATA_MAX, &user_data, e))))
		return r;
	name_of_image(words[0], name);
	if (a->name)
		snprintf(name, sizeof(name), "%s", a->name);
	for (size_t i = 0; i < a->secrets.n; i++)
		if ((r = secret_add(a->secrets.texts[i], i, &secrets, &env, e)))
			return r;
	if ((a->login && source_add(&secrets, REGISTRY_SECRET, a->password, NULL) < 0) ||
	    sd_json_variant_new_array_strv(&argv, (char **)words + 1) < 0)
		return err_set(e, -ENOMEM, "read the options: out of memory");
	r = sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_STRING("name", name),
		SD_JSON_BUILD_PAIR_CONDITION(secrets != NULL, "secrets", SD_JSON_BUILD_VARIANT(secrets)),
		SD_JSON_BUILD_PAIR_ARRAY(
			"workloads",
			SD_JSON_BUILD_OBJECT(
				SD_JSON_BUILD_PAIR_STRING("name", name), SD_JSON_BUILD_PAIR_STRING("type", "zmachine"),
				SD_JSON_BUILD_PAIR_OBJECT(
					"data", SD_JSON_BUILD_PAIR_STRING("image", words[0]),
					SD_JSON_BUILD_PAIR_STRING("isolation", a->vm          ? "vm"
									       : a->container ? "container"
											      : "auto"),
					SD_JSON_BUILD_PAIR_CONDITION(a->login != NULL, "pull",
								     SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING("user", a->login),
											  SD_JSON_BUILD_PAIR_STRING("secret", REGISTRY_SECRET))),
					SD_JSON_BUILD_PAIR_CONDITION(a->disk, "boot", SD_JSON_BUILD_STRING("disk")),
					SD_JSON_BUILD_PAIR_CONDITION(a->user_data != NULL, "user_data", SD_JSON_BUILD_STRING(user_data.p)),
					SD_JSON_BUILD_PAIR_CONDITION(env != NULL, "env", SD_JSON_BUILD_VARIANT(env)),
					SD_JSON_BUILD_PAIR_UNSIGNED("cpu", a->cpu ? a->cpu : 1), SD_JSON_BUILD_PAIR_UNSIGNED("memory", run_memory(a)),
					SD_JSON_BUILD_PAIR_CONDITION(words[1] != NULL, "args", SD_JSON_BUILD_VARIANT(argv))))));
	return r < 0 ? err_set(e, r, "describe the deployment: %s", strerror(-r)) : 0;
}
