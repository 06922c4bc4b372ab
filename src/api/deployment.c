#include "api/deployment.h"

#include "base/parse.h"
#include "ident/seal.h"

#include <inttypes.h>
#include <stdio.h>

#define NAME_WANT "a name: a-z, 0-9 and -, at most 36 characters, not starting with -"

static bool absolute_ok(struct str s)
{
	return s.n && s.p[0] == '/';
}

#define NOT_YET(field, what) { field, JSON_REFUSED, .want = what " is not done by this version of the node" }

#define SECRET_FIELD(T) { "secret", JSON_TEXT, offsetof(T, secret), .required = true, .ok = name_ok, .want = "the name of a secret" }

struct secret_value {
	const char *secret;
};
static const struct json_field secret_value_fields[] = { SECRET_FIELD(struct secret_value) };
static const struct json_table secret_value_table = { secret_value_fields, ARRAY_LEN(secret_value_fields), sizeof(struct secret_value), NULL };

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

static const struct json_field zmachine_fields[] = {
	{ "image", JSON_TEXT, offsetof(struct zmachine, image), .required = true, .min = 1, .max = 512 },
	{ "isolation", JSON_CHOICE, offsetof(struct zmachine, isolation), .names = isolation_names },
	{ "boot", JSON_CHOICE, offsetof(struct zmachine, boot), .names = boot_names },
	{ "restart", JSON_CHOICE, offsetof(struct zmachine, restart), .names = restart_names },
	{ "cpu", JSON_MILLI, offsetof(struct zmachine, cpu_milli), .required = true, .min = ZMACHINE_CPU_MILLI_MIN, .max = 1024000 },
	{ "memory", JSON_U64, offsetof(struct zmachine, memory_bytes), .required = true, .min = ZMACHINE_MEMORY_MIN, .max = 1ull << 44 },
	{ "rootfs_size", JSON_U64, offsetof(struct zmachine, rootfs_bytes), .min = 16ull << 20, .max = 1ull << 44 },
	{ "entrypoint", JSON_TEXTS, offsetof(struct zmachine, entrypoint), .max = 64 },
	{ "args", JSON_TEXTS, offsetof(struct zmachine, args), .max = 256 },
	{ "env", JSON_MAP, offsetof(struct zmachine, env), .max = 256, .table = &secret_value_table },
	{ "workdir", JSON_TEXT, offsetof(struct zmachine, workdir), .ok = absolute_ok, .want = "an absolute path" },
	{ "user", JSON_TEXT, offsetof(struct zmachine, user), .min = 1, .max = 64 },
	{ "pull", JSON_OBJECT, offsetof(struct zmachine, pull), .table = &pull_table },
	{ "health", JSON_ANY, offsetof(struct zmachine, health) },
	{ "user_data", JSON_VALUE, offsetof(struct zmachine, user_data), .table = &secret_value_table, .text_max = ZMACHINE_USER_DATA_MAX },
	{ "modules", JSON_TEXTS, offsetof(struct zmachine, modules), .max = ZMACHINE_MODULES_MAX },
	NOT_YET("mounts", "mounting volumes"),
	NOT_YET("networks", "joining a private network"),
	NOT_YET("public_ip", "a public address"),
	NOT_YET("gpu", "passing a GPU through"),
};
static const struct json_table zmachine_table = { zmachine_fields, ARRAY_LEN(zmachine_fields), 0, NULL };

static const struct json_field workload_fields[] = {
	{ "name", JSON_TEXT, offsetof(struct workload, name), .required = true, .ok = name_ok, .want = NAME_WANT },
	{ "type", JSON_TEXT, offsetof(struct workload, type), .required = true, .max = 32 },
	{ "data", JSON_ANY, offsetof(struct workload, data), .required = true },
	{ "metadata", JSON_MAP, offsetof(struct workload, metadata), .max = 32 },
};

static const struct json_table workload_table = { workload_fields, ARRAY_LEN(workload_fields), sizeof(struct workload), NULL };

static const struct json_field signer_fields[] = {
	{ "key", JSON_KEY, offsetof(struct signer, key), .required = true },
	{ "weight", JSON_U64, offsetof(struct signer, weight), .required = true, .min = 1, .max = 1000000 },
};
static const struct json_table signer_table = { signer_fields, ARRAY_LEN(signer_fields), sizeof(struct signer), NULL };

static const struct json_field signers_fields[] = {
	{ "threshold", JSON_U64, offsetof(struct signers, threshold), .required = true, .min = 1, .max = 8000000 },
	{ "keys", JSON_LIST, offsetof(struct signers, keys), .required = true, .min = 1, .max = DEPLOYMENT_SIGNERS_MAX, .table = &signer_table,
	  .n_off = offsetof(struct signers, n_keys) },
};
static const struct json_table signers_table = { signers_fields, ARRAY_LEN(signers_fields), 0, NULL };

static const struct json_field deployment_fields[] = {
	{ "name", JSON_TEXT, offsetof(struct deployment, name), .required = true, .ok = name_ok, .want = NAME_WANT },
	{ "owner", JSON_KEY, offsetof(struct deployment, owner), .required = true },
	{ "node", JSON_KEY, offsetof(struct deployment, node), .required = true },
	{ "sequence", JSON_U64, offsetof(struct deployment, sequence), .required = true, .min = 1, .max = UINT64_MAX - 1 },
	{ "expires", JSON_TIME, offsetof(struct deployment, expires_s) },
	{ "signers", JSON_OBJECT, offsetof(struct deployment, signers), .table = &signers_table },
	{ "metadata", JSON_MAP, offsetof(struct deployment, metadata), .max = 64 },
	{ "workloads", JSON_LIST, offsetof(struct deployment, workloads), .required = true, .max = DEPLOYMENT_WORKLOADS_MAX, .table = &workload_table,
	  .n_off = offsetof(struct deployment, n_workloads) },
	{ "secrets", JSON_MAP, offsetof(struct deployment, secrets), .max = DEPLOYMENT_SECRETS_MAX, .text_max = SEAL_TEXT_MAX },
};
static const struct json_table deployment_table = { deployment_fields, ARRAY_LEN(deployment_fields), 0, NULL };

/* Every type an owner may know, so that a refusal can tell "later" from "never heard of". */
static const struct {
	const char *name;
	bool done;
} types[] = {
	{ "zmachine", true },
	{ "volume", false },
	{ "zmount", false },
	{ "network", false },
	{ "ip", false },
	{ "zdb", false },
	{ "qsfs", false },
	{ "zlogs", false },
	{ "gateway-name-proxy", false },
	{ "gateway-fqdn-proxy", false },
};

static int type_check(const struct workload *w, size_t at, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (strcmp(w->type, types[i].name))
			continue;
		if (types[i].done)
			return 0;
		return err_set(e, -EBADMSG, "/workloads/%zu/type: workloads of type '%s' are not done by this version of the node", at, w->type);
	}
	return err_set(e, -EBADMSG, "/workloads/%zu/type: '%s' is no workload type: this node runs 'zmachine'", at, w->type);
}

const char *secret_ref(sd_json_variant *v)
{
	return sd_json_variant_is_object(v) ? sd_json_variant_string(sd_json_variant_by_key(v, "secret")) : NULL;
}

const char *zmachine_secret(const struct zmachine *z, size_t i)
{
	for (size_t k = 1; z->env && k < sd_json_variant_elements(z->env); k += 2) {
		const char *name = secret_ref(sd_json_variant_by_index(z->env, k));

		if (name && !i--)
			return name;
	}
	return !i && z->user_data ? secret_ref(z->user_data) : NULL;
}

static int secrets_check(const struct deployment *d, struct err *e)
{
	for (size_t i = 0; d->secrets && i < sd_json_variant_elements(d->secrets); i += 2) {
		const char *name = sd_json_variant_string(sd_json_variant_by_index(d->secrets, i));

		if (!name_ok(str_c(name)))
			return err_set(e, -EBADMSG, "/secrets: '%.60s' is not " NAME_WANT, name);
	}
	return 0;
}

static int secret_check(const struct deployment *d, size_t at, const char *name, struct err *e)
{
	if (sd_json_variant_by_key(d->secrets, name))
		return 0;
	return err_set(e, -EBADMSG, "/workloads/%zu/data: uses the secret '%s', and /secrets has none of that name", at, name);
}

static int secrets_used_check(const struct deployment *d, size_t at, struct err *e)
{
	const struct zmachine *z = &d->workloads[at].zmachine;
	int r = z->pull.secret ? secret_check(d, at, z->pull.secret, e) : 0;
	const char *name;

	for (size_t i = 0; !r && (name = zmachine_secret(z, i)); i++)
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

static int workload_check(struct deployment *d, size_t at, struct err *e)
{
	struct workload *w = &d->workloads[at];
	struct err below = { 0 };
	int r;

	for (size_t i = 0; i < at; i++)
		if (!strcmp(d->workloads[i].name, w->name))
			return err_set(e, -EBADMSG, "/workloads/%zu/name: '%s' stands twice in this deployment", at, w->name);
	if ((r = type_check(w, at, e)))
		return r;
	w->zmachine = (struct zmachine){ 0 };
	if ((r = json_decode(w->data, &zmachine_table, &w->zmachine, &below)))
		return err_set(e, r, "/workloads/%zu/data%s", at, below.msg);
	if ((r = boot_check(&w->zmachine, at, e)) || (r = modules_check(&w->zmachine, at, e)))
		return r;
	if (w->zmachine.isolation != ISOLATION_CONTAINER && w->zmachine.memory_bytes < ZMACHINE_VM_MEMORY_MIN)
		return err_set(e, -EBADMSG,
			       "/workloads/%zu/data/memory: %llu is below the %llu that a virtual machine needs: ask for more, or "
			       "set 'isolation' to 'container'",
			       at, (unsigned long long)w->zmachine.memory_bytes, (unsigned long long)ZMACHINE_VM_MEMORY_MIN);
	if ((r = rootfs_check(&w->zmachine, at, e)) || (r = health_check(&w->zmachine, at, e)))
		return r;
	return secrets_used_check(d, at, e);
}

static int metadata_check(const struct deployment *d, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };

	if (!d->metadata)
		return 0;
	if (json_format(d->metadata, &text) || text.len > DEPLOYMENT_METADATA_MAX)
		return err_set(e, -EBADMSG, "/metadata: is larger than %d bytes", DEPLOYMENT_METADATA_MAX);
	return 0;
}

static int signers_check(const struct deployment *d, struct err *e)
{
	const struct signers *s = &d->signers;
	uint64_t sum = 0;

	for (size_t i = 0; i < s->n_keys; i++) {
		sum += s->keys[i].weight;
		for (size_t k = 0; k < i; k++)
			if (key_pub_eq(&s->keys[i].key, &s->keys[k].key))
				return err_set(e, -EBADMSG, "/signers/keys/%zu/key: stands twice", i);
	}
	if (s->threshold > sum)
		return err_set(e, -EBADMSG, "/signers/threshold: %" PRIu64 " can never be reached: all weights together are %" PRIu64, s->threshold,
			       sum);
	return 0;
}

int deployment_meets(const struct deployment *d, const struct signers *s, struct err *e)
{
	uint64_t sum = 0;

	if (!s->threshold)
		return 0;
	for (size_t i = 0; i < s->n_keys; i++)
		if (dsse_is_signed_by(&d->doc.envelope, &s->keys[i].key))
			sum += s->keys[i].weight;
	if (sum < s->threshold)
		return err_set(e, -EKEYREJECTED, "the signatures weigh %" PRIu64 " and the deployment's signers ask for %" PRIu64, sum, s->threshold);
	return 0;
}

static int deployment_body(struct deployment *d, struct err *e)
{
	char owner[KEY_TEXT_SIZE];
	int r;

	if ((r = dsse_verify(&d->doc.envelope, API_TYPE_DEPLOYMENT, e)) || (r = json_parse(buf_str(&d->doc.envelope.payload), &d->doc.body, e)) ||
	    (r = json_decode(d->doc.body, &deployment_table, d, e)))
		return r;
	if (!dsse_is_signed_by(&d->doc.envelope, &d->owner)) {
		key_pub_format(owner, &d->owner);
		return err_set(e, -EKEYREJECTED, "/owner: the signature of %s is missing", owner);
	}
	if ((r = secrets_check(d, e)))
		return r;
	for (size_t i = 0; i < d->n_workloads; i++)
		if ((r = workload_check(d, i, e)))
			return r;
	if ((r = metadata_check(d, e)) || (r = signers_check(d, e)))
		return r;
	return deployment_meets(d, &d->signers, e);
}

int deployment_open(sd_json_variant *envelope, struct deployment *d, struct err *e)
{
	int r = dsse_decode(envelope, &d->doc.envelope, e);

	return err_wrap(e, r ? r : deployment_body(d, e), "deployment");
}

int deployment_open_text(struct str envelope, struct deployment *d, struct err *e)
{
	int r = dsse_decode_text(envelope, &d->doc.envelope, e);

	return err_wrap(e, r ? r : deployment_body(d, e), "deployment");
}

struct deployment *deployment_new(void)
{
	return calloc(1, sizeof(struct deployment));
}

struct deployment *deployment_free(struct deployment *d)
{
	if (d)
		doc_deinit(&d->doc);
	free(d);
	return NULL;
}

void deployment_freep(struct deployment **d)
{
	*d = deployment_free(*d);
}
