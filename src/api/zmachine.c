/* Workloads of type zmachine: a container or a virtual machine. */
#include "api/workload.h"

#include "base/parse.h"

#include <inttypes.h>
#include <stdio.h>

static bool absolute_ok(struct str s)
{
	return s.n && s.p[0] == '/';
}

#define SECRET_FIELD(T) { "secret", JSON_TEXT, offsetof(T, secret), .required = true, .ok = name_ok, .want = "the name of a secret" }

struct secret_value {
	const char *secret;
};
static const struct json_field secret_value_fields[] = { SECRET_FIELD(struct secret_value) };
const struct json_table secret_value_table = { secret_value_fields, ARRAY_LEN(secret_value_fields), sizeof(struct secret_value), NULL };

static const struct json_field pull_fields[] = {
	{ "user", JSON_TEXT, offsetof(struct pull_login, user), .required = true, .min = 1, .max = 256 },
	SECRET_FIELD(struct pull_login),
};
static const struct json_table pull_table = { pull_fields, ARRAY_LEN(pull_fields), 0, NULL };

static bool http_path_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return absolute_ok(s);
}

static const struct json_field http_fields[] = {
	{ "port", JSON_U64, offsetof(struct health_http, port), .required = true, .min = 1, .max = 65535 },
	{ "path", JSON_TEXT, offsetof(struct health_http, path), .max = 512, .ok = http_path_ok, .want = "a path of printable ASCII without spaces" },
};
static const struct json_table http_table = { http_fields, ARRAY_LEN(http_fields), 0, NULL };

static const struct json_field health_fields[] = {
	{ "http", JSON_OBJECT, offsetof(struct health_check, http), .table = &http_table },
	{ "tcp", JSON_U64, offsetof(struct health_check, tcp), .min = 1, .max = 65535 },
	{ "exec", JSON_TEXTS, offsetof(struct health_check, exec), .min = 1, .max = 64 },
	{ "every", JSON_U64, offsetof(struct health_check, every_s), .min = 1, .max = 86400 },
	{ "timeout", JSON_U64, offsetof(struct health_check, timeout_s), .min = 1, .max = 300 },
	{ "failures", JSON_U64, offsetof(struct health_check, failures), .min = 1, .max = 1000 },
};
static const struct json_table health_table = { health_fields, ARRAY_LEN(health_fields), 0, NULL };

int health_check_decode(sd_json_variant *v, struct health_check *ret, struct err *e)
{
	struct health_check c = HEALTH_CHECK_DEFAULTS;
	int r = json_decode(v, &health_table, &c, e);

	if (r)
		return r;
	if (!!c.http.port + !!c.tcp + !!c.exec != 1)
		return err_set(e, -EBADMSG, ": say one of 'http' {port, path}, 'tcp' (a port) and 'exec' (a program and its arguments)");
	*ret = c;
	return 0;
}

static bool mount_path_ok(struct str s)
{
	struct str part;

	if (!absolute_ok(s) || s.n == 1 || s.p[s.n - 1] == '/')
		return false;
	for (s.p++, s.n--; str_next(&s, '/', &part);)
		if (!part.n || str_eq(part, S(".")) || str_eq(part, S("..")))
			return false;
	return true;
}

static const struct json_field mount_fields[] = {
	{ "name", JSON_TEXT, offsetof(struct mount, name), .required = true, .ok = name_ok, .want = "the name of a volume or zmount" },
	{ "path", JSON_TEXT, offsetof(struct mount, path), .max = ZMACHINE_MOUNT_PATH_MAX, .ok = mount_path_ok,
	  .want = "an absolute path without '.', '..' and '/' at its end" },
	{ "read_only", JSON_BOOL, offsetof(struct mount, read_only) },
};
static const struct json_table mount_table = { mount_fields, ARRAY_LEN(mount_fields), sizeof(struct mount), NULL };

static const struct json_field zmachine_fields[] = {
	{ "image", JSON_TEXT, offsetof(struct zmachine, image), .required = true, .min = 1, .max = 512 },
	{ "isolation", JSON_CHOICE, offsetof(struct zmachine, isolation), .names = isolation_names },
	{ "boot", JSON_CHOICE, offsetof(struct zmachine, boot), .names = boot_names },
	{ "restart", JSON_CHOICE, offsetof(struct zmachine, restart), .names = restart_names },
	{ "cpu", JSON_MILLI, offsetof(struct zmachine, cpu_milli), .required = true, .min = ZMACHINE_CPU_MILLI_MIN, .max = 1024000 },
	{ "memory", JSON_U64, offsetof(struct zmachine, memory_bytes), .required = true, .min = ZMACHINE_MEMORY_MIN, .max = 1ull << 44 },
	{ "rootfs_size", JSON_U64, offsetof(struct zmachine, rootfs_bytes), .min = 16ull << 20, .max = 1ull << 44 },
	{ "bandwidth", JSON_U64, offsetof(struct zmachine, bandwidth), .min = BANDWIDTH_MIN, .max = BANDWIDTH_MAX },
	{ "entrypoint", JSON_TEXTS, offsetof(struct zmachine, entrypoint), .max = 64 },
	{ "args", JSON_TEXTS, offsetof(struct zmachine, args), .max = 256 },
	{ "env", JSON_MAP, offsetof(struct zmachine, env), .max = 256, .table = &secret_value_table },
	{ "workdir", JSON_TEXT, offsetof(struct zmachine, workdir), .ok = absolute_ok, .want = "an absolute path" },
	{ "user", JSON_TEXT, offsetof(struct zmachine, user), .min = 1, .max = 64 },
	{ "pull", JSON_OBJECT, offsetof(struct zmachine, pull), .table = &pull_table },
	{ "health", JSON_ANY, offsetof(struct zmachine, health) },
	{ "user_data", JSON_VALUE, offsetof(struct zmachine, user_data), .table = &secret_value_table, .text_max = ZMACHINE_USER_DATA_MAX },
	{ "modules", JSON_TEXTS, offsetof(struct zmachine, modules), .max = ZMACHINE_MODULES_MAX },
	{ "mounts", JSON_LIST, offsetof(struct zmachine, mounts), .max = ZMACHINE_MOUNTS_MAX, .table = &mount_table,
	  .n_off = offsetof(struct zmachine, n_mounts) },
	JOINS_FIELD(struct zmachine),
	{ "public_ip", JSON_TEXT, offsetof(struct zmachine, public_ip), .ok = name_ok, .want = "the name of an ip of this deployment" },
	NOT_YET("gpu", "passing a GPU through"),
};
static const struct json_table zmachine_table = { zmachine_fields, ARRAY_LEN(zmachine_fields), 0, NULL };

const char *secret_ref(sd_json_variant *v)
{
	return sd_json_variant_is_object(v) ? sd_json_variant_string(sd_json_variant_by_key(v, "secret")) : NULL;
}

static const char *zmachine_secret(const struct zmachine *z, size_t i)
{
	for (size_t k = 1; z->env && k < sd_json_variant_elements(z->env); k += 2) {
		const char *name = secret_ref(sd_json_variant_by_index(z->env, k));

		if (name && !i--)
			return name;
	}
	return !i && z->user_data ? secret_ref(z->user_data) : NULL;
}

static const char *network_secret(const struct network *n, size_t i)
{
	for (size_t k = 0; k < network_n_devices(n); k++) {
		struct network_device device;

		network_device(n, k, &device);
		if (device.secret && !i--)
			return device.secret;
	}
	return NULL;
}

const char *workload_secret(const struct workload *w, size_t i)
{
	if (w->kind == WORKLOAD_NETWORK)
		return network_secret(&w->network, i);
	if (w->kind == WORKLOAD_ZDB)
		return i || !w->zdb.password ? NULL : secret_ref(w->zdb.password);
	return zmachine_secret(&w->zmachine, i);
}

static int secret_check(const struct deployment *d, size_t at, const char *name, struct err *e)
{
	if (sd_json_variant_by_key(d->secrets, name))
		return 0;
	return err_set(e, -EBADMSG, "/workloads/%zu/data: uses the secret '%s', and /secrets has none of that name", at, name);
}

int secrets_used_check(const struct deployment *d, size_t at, struct err *e)
{
	const struct workload *w = &d->workloads[at];
	const char *pull = w->zmachine.pull.secret;
	int r = pull ? secret_check(d, at, pull, e) : 0;
	const char *name;

	for (size_t i = 0; !r && (name = workload_secret(w, i)); i++)
		r = secret_check(d, at, name, e);
	return r;
}

/* What is written to the root is held in the machine's memory: a root as large would let its own files kill it at every start. */
static int rootfs_check(struct zmachine *z, size_t at, struct err *e)
{
	if (z->rootfs_bytes && z->rootfs_bytes >= z->memory_bytes)
		return err_set(e, -EBADMSG,
			       "/workloads/%zu/data/rootfs_size: %" PRIu64 " is not below the machine's memory of %" PRIu64 ", which holds "
			       "it: ask for more 'memory', or for less root",
			       at, z->rootfs_bytes, z->memory_bytes);
	if (!z->rootfs_bytes)
		z->rootfs_bytes = z->memory_bytes / 2 < ZMACHINE_ROOTFS_DEFAULT ? z->memory_bytes / 2 : ZMACHINE_ROOTFS_DEFAULT;
	if (z->boot == BOOT_DISK && z->memory_bytes - z->rootfs_bytes < ZMACHINE_VM_MEMORY_MIN)
		return err_set(e, -EBADMSG,
			       "/workloads/%zu/data/memory: %" PRIu64 " less the %" PRIu64 " of 'rootfs_size' is below the %llu that a virtual "
			       "machine needs: ask for more",
			       at, z->memory_bytes, z->rootfs_bytes, ZMACHINE_VM_MEMORY_MIN);
	return 0;
}

/* What a machine from an image is told, and a disk image decides by itself. */
static const struct {
	const char *field;
	size_t off;
} of_images[] = {
	{ "entrypoint", offsetof(struct zmachine, entrypoint) },
	{ "args", offsetof(struct zmachine, args) },
	{ "env", offsetof(struct zmachine, env) },
	{ "workdir", offsetof(struct zmachine, workdir) },
	{ "user", offsetof(struct zmachine, user) },
	{ "modules", offsetof(struct zmachine, modules) },
};

static bool has_field(const struct zmachine *z, size_t off)
{
	return *(void *const *)((const char *)z + off);
}

static int boot_check(struct zmachine *z, size_t at, struct err *e)
{
	if (z->boot == BOOT_IMAGE)
		return !z->user_data ? 0
				     : err_set(e, -EBADMSG,
					       "/workloads/%zu/data/user_data: is for the cloud-init of a disk image: set 'boot' to 'disk', or "
					       "give an image its 'env' and 'args'",
					       at);
	if (z->isolation == ISOLATION_CONTAINER)
		return err_set(e, -EBADMSG, "/workloads/%zu/data/isolation: a disk image boots a kernel of its own: set it to 'vm'", at);
	z->isolation = ISOLATION_VM;
	for (size_t i = 0; i < ARRAY_LEN(of_images); i++)
		if (has_field(z, of_images[i].off))
			return err_set(e, -EBADMSG,
				       "/workloads/%zu/data/%s: a disk image decides this by itself: leave it out, and tell its cloud-init in "
				       "'user_data'",
				       at, of_images[i].field);
	return 0;
}

/* Nobody of ours is in a disk image to run a program. */
static int health_check(const struct zmachine *z, size_t at, struct err *e)
{
	struct health_check c = { 0 };
	struct err below = { 0 };
	int r = z->health ? health_check_decode(z->health, &c, &below) : 0;

	if (r)
		return err_set(e, r, "/workloads/%zu/data/health%s", at, below.msg);
	if (c.exec && z->boot == BOOT_DISK)
		return err_set(e, -EBADMSG, "/workloads/%zu/data/health/exec: nothing can be run in a disk image: use 'http' or 'tcp'", at);
	return 0;
}

static bool module_name_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '_' && s.p[i] != '-')
			return false;
	return s.n && s.n <= ZMACHINE_MODULE_NAME_MAX;
}

/* A container has no kernel of its own to load anything into. */
static int modules_check(struct zmachine *z, size_t at, struct err *e)
{
	size_t n = z->modules ? sd_json_variant_elements(z->modules) : 0;

	for (size_t i = 0; i < n; i++) {
		const char *name = sd_json_variant_string(sd_json_variant_by_index(z->modules, i));

		if (!module_name_ok(str_c(name)))
			return err_set(e, -EBADMSG, "/workloads/%zu/data/modules/%zu: '%.60s' is no name of a kernel module", at, i, name);
	}
	if (n && z->isolation == ISOLATION_CONTAINER)
		return err_set(e, -EBADMSG,
			       "/workloads/%zu/data/modules: a container shares the node's kernel and loads nothing into it: set 'isolation' to 'vm'",
			       at);
	if (n)
		z->isolation = ISOLATION_VM;
	return 0;
}

int zmachine_open(struct deployment *d, size_t at, struct err *e)
{
	struct zmachine *z = &d->workloads[at].zmachine;
	struct err below = { 0 };
	int r;

	if ((r = json_decode(d->workloads[at].data, &zmachine_table, z, &below)))
		return err_set(e, r, "/workloads/%zu/data%s", at, below.msg);
	if ((r = boot_check(z, at, e)) || (r = modules_check(z, at, e)) || (r = mounts_check(d, at, e)) || (r = joins_check(d, at, e)) ||
	    (r = public_ip_check(d, at, e)))
		return r;
	if (z->isolation != ISOLATION_CONTAINER && z->memory_bytes < ZMACHINE_VM_MEMORY_MIN)
		return err_set(e, -EBADMSG,
			       "/workloads/%zu/data/memory: %llu is below the %llu that a virtual machine needs: ask for more, or "
			       "set 'isolation' to 'container'",
			       at, (unsigned long long)z->memory_bytes, (unsigned long long)ZMACHINE_VM_MEMORY_MIN);
	if ((r = rootfs_check(z, at, e)) || (r = health_check(z, at, e)))
		return r;
	return secrets_used_check(d, at, e);
}
