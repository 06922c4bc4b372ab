#include "api/workload.h"

#include "base/parse.h"
#include "ident/seal.h"

#include <inttypes.h>
#include <stdio.h>

#define NAME_WANT "a name: a-z, 0-9 and -, at most 36 characters, not starting with -"

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

/* Every type an owner may know, so that a refusal can tell "later" from "never heard of"; in the order of enum workload_kind. */
static const struct {
	const char *name;
	int (*open)(struct deployment *d, size_t at, struct err *e); /* NULL: later */
} types[] = {
	[WORKLOAD_ZMACHINE] = { "zmachine", zmachine_open },
	[WORKLOAD_VOLUME] = { "volume", volume_open },
	[WORKLOAD_ZMOUNT] = { "zmount", zmount_open },
	[WORKLOAD_ZDB] = { "zdb", zdb_open },
	[WORKLOAD_NETWORK] = { "network", network_open },
	[WORKLOAD_GATEWAY_NAME] = { "gateway-name-proxy", gateway_name_open },
	[WORKLOAD_GATEWAY_FQDN] = { "gateway-fqdn-proxy", gateway_fqdn_open },
	[WORKLOAD_IP] = { "ip", ip_open },
	{ "qsfs", NULL },
	{ "zlogs", NULL },
};

/* Whom others name comes before them. */
static unsigned rank(unsigned kind)
{
	return workload_is_gateway(kind) ? 2 : kind == WORKLOAD_ZMACHINE || kind == WORKLOAD_ZDB;
}

static int kinds_open(struct deployment *d, unsigned of_rank, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < d->n_workloads && !r; i++)
		if (rank(d->workloads[i].kind) == of_rank)
			r = types[d->workloads[i].kind].open(d, i, e);
	return r;
}

static int kind_find(struct workload *w, size_t at, struct err *e)
{
	for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
		if (strcmp(w->type, types[i].name))
			continue;
		w->kind = i;
		if (types[i].open)
			return 0;
		return err_set(e, -EBADMSG, "/workloads/%zu/type: workloads of type '%s' are not done by this version of the node", at, w->type);
	}
	return err_set(e, -EBADMSG,
		       "/workloads/%zu/type: '%s' is no workload type: this node knows 'zmachine', 'volume', 'zmount', 'zdb', 'network', "
		       "'gateway-name-proxy', 'gateway-fqdn-proxy' and 'ip'",
		       at, w->type);
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

static int kinds_find(struct deployment *d, struct err *e)
{
	int r = 0;

	for (size_t at = 0; at < d->n_workloads && !r; at++) {
		struct workload *w = &d->workloads[at];

		for (size_t i = 0; i < at; i++)
			if (!strcmp(d->workloads[i].name, w->name))
				return err_set(e, -EBADMSG, "/workloads/%zu/name: '%s' stands twice in this deployment", at, w->name);
		r = kind_find(w, at, e);
	}
	return r;
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
	if ((r = secrets_check(d, e)) || (r = kinds_find(d, e)))
		return r;
	if ((r = kinds_open(d, 0, e)) || (r = kinds_open(d, 1, e)) || (r = joins_number(d, e)) || (r = kinds_open(d, 2, e)) ||
	    (r = metadata_check(d, e)) || (r = signers_check(d, e)))
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
