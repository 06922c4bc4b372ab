#include "storage/tpm.h"

#include "api/json.h"
#include "base/file.h"
#include "base/parse.h"
#include "ident/openssl.h"
#include "sys/secureboot.h"

#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_tcti_device.h>

#define DEVICE "/dev/tpmrm0"
#define BUILDER_KEY "/run/boot/tpm2-pcr-public-key.pem"
#define BUILDER_SIGNATURES "/run/boot/tpm2-pcr-signature.json"
enum { FILE_MAX = 32768, RSA_BITS = 2048, RSA_BYTES = RSA_BITS / 8, PCR_IMAGE = 11, PCR_FIRMWARE = 7, TCTI_MAX = 1024, UNSEAL_TRIES_MAX = 64 };

static const TPMT_SYM_DEF session_cipher = { .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB };

struct tpm {
	TSS2_TCTI_CONTEXT *tcti;
	ESYS_CONTEXT *esys;
	ESYS_TR primary, builder; /* the key that secrets lie under; the public key of who built this image */
	TPM2B_NAME *builder_name;
	sd_json_variant *signatures;
	char tcti_room[TCTI_MAX] __attribute__((aligned(16)));
};
#define AUTO_TPM CLEANUP(tpm_close)

/* What lies in the TPM goes with our end of its device: the kernel's resource manager sees to that. */
static void tpm_close(struct tpm *t)
{
	Esys_Free(t->builder_name);
	Esys_Finalize(&t->esys);
	if (t->tcti)
		Tss2_Tcti_Finalize(t->tcti);
	json_unrefp(&t->signatures);
}

/* -EAGAIN: something was measured meanwhile. */
static int fail(TSS2_RC rc, const char *doing, struct err *e)
{
	return err_set(e, rc == TPM2_RC_PCR_CHANGED ? -EAGAIN : -EIO, "%s: the TPM says %#x", doing, rc);
}

static int device_open(struct tpm *t, struct err *e)
{
	size_t size = sizeof(t->tcti_room);
	TSS2_RC rc;

	t->tcti = (TSS2_TCTI_CONTEXT *)t->tcti_room;
	rc = Tss2_Tcti_Device_Init(t->tcti, &size, DEVICE);
	if (rc)
		t->tcti = NULL;
	else
		rc = Esys_Initialize(&t->esys, t->tcti, NULL);
	return rc ? fail(rc, "open " DEVICE, e) : 0;
}

static int primary_make(struct tpm *t, struct err *e)
{
	static const TPM2B_PUBLIC template = {
		.publicArea = { .type = TPM2_ALG_ECC,
				.nameAlg = TPM2_ALG_SHA256,
				.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
						    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
				.parameters.eccDetail = { .symmetric = { .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB },
							  .scheme.scheme = TPM2_ALG_NULL,
							  .curveID = TPM2_ECC_NIST_P256,
							  .kdf.scheme = TPM2_ALG_NULL } },
	};
	TSS2_RC rc = Esys_CreatePrimary(t->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &(TPM2B_SENSITIVE_CREATE){ 0 },
					&template, &(TPM2B_DATA){ 0 }, &(TPML_PCR_SELECTION){ 0 }, &t->primary, NULL, NULL, NULL, NULL);

	return rc ? fail(rc, "make its storage key", e) : 0;
}

/* The builder's key as the TPM wants it. */
static int builder_decode(struct str pem, TPM2B_PUBLIC *ret, struct err *e)
{
	AUTO_BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	AUTO_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
	AUTO_BN *n = NULL, *exponent = NULL;

	*ret = (TPM2B_PUBLIC){
		.publicArea = { .type = TPM2_ALG_RSA,
				.nameAlg = TPM2_ALG_SHA256,
				.objectAttributes = TPMA_OBJECT_DECRYPT | TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH,
				.parameters.rsaDetail = { .symmetric.algorithm = TPM2_ALG_NULL, .scheme.scheme = TPM2_ALG_NULL, .keyBits = RSA_BITS },
				.unique.rsa.size = RSA_BYTES }
	};
	if (!key || EVP_PKEY_get_bits(key) != RSA_BITS || !EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) ||
	    !EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) ||
	    BN_bn2binpad(n, ret->publicArea.unique.rsa.buffer, RSA_BYTES) != RSA_BYTES)
		return err_set(e, -EBADMSG, "the builder's key in this image is no RSA key of %d bits", RSA_BITS);
	ret->publicArea.parameters.rsaDetail.exponent = (UINT32)BN_get_word(exponent);
	return 0;
}

static int builder_load(struct tpm *t, struct str pem, struct err *e)
{
	TPM2B_PUBLIC public;
	TSS2_RC rc;
	int r = builder_decode(pem, &public, e);

	if (r)
		return r;
	rc = Esys_LoadExternal(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL, &public, ESYS_TR_RH_OWNER, &t->builder);
	if (!rc)
		rc = Esys_TR_GetName(t->esys, t->builder, &t->builder_name);
	return rc ? fail(rc, "take the builder's key", e) : 0;
}

/* TPM_NONE where there is no TPM, or nothing that the builder signed. */
static int tpm_open(struct tpm *t, struct err *e)
{
	AUTO_BUF struct buf pem = { 0 }, signatures = { 0 };
	int r;

	*t = (struct tpm){ .primary = ESYS_TR_NONE, .builder = ESYS_TR_NONE };
	setenv("TSS2_LOG", "all+none", 1); /* what it says is said by us */
	if (access(DEVICE, F_OK) || access(BUILDER_KEY, F_OK) || access(BUILDER_SIGNATURES, F_OK))
		return TPM_NONE;
	if ((r = file_read(AT_FDCWD, BUILDER_KEY, FILE_MAX, &pem, e)) || (r = file_read(AT_FDCWD, BUILDER_SIGNATURES, FILE_MAX, &signatures, e)) ||
	    (r = json_parse(buf_str(&signatures), &t->signatures, e)) || (r = device_open(t, e)) || (r = primary_make(t, e)))
		return r;
	return builder_load(t, buf_str(&pem), e);
}

/* Salted by the storage key, parameters encrypted: the bus shows neither secret nor answer. */
static int session_open(struct tpm *t, TPM2_SE type, TPMA_SESSION attributes, ESYS_TR *ret, struct err *e)
{
	TSS2_RC rc = Esys_StartAuthSession(t->esys, t->primary, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL, type, &session_cipher,
					   TPM2_ALG_SHA256, ret);

	if (!rc)
		rc = Esys_TRSess_SetAttributes(t->esys, *ret, TPMA_SESSION_CONTINUESESSION | attributes, 0xff);
	return rc ? fail(rc, "open a session", e) : 0;
}

static TSS2_RC policy_pcr(struct tpm *t, ESYS_TR session, unsigned pcr)
{
	TPML_PCR_SELECTION which = { .count = 1, .pcrSelections = { { .hash = TPM2_ALG_SHA256, .sizeofSelect = 3 } } };

	which.pcrSelections[0].pcrSelect[pcr / 8] = (BYTE)(1u << pcr % 8);
	return Esys_PolicyPCR(t->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &(TPM2B_DIGEST){ 0 }, &which);
}

/* What a secret is sealed under. In a trial nothing has to be signed yet. */
static int policy_make(struct tpm *t, TPM2B_DIGEST *ret, struct err *e)
{
	TPMT_TK_VERIFIED nothing = { .tag = TPM2_ST_VERIFIED, .hierarchy = TPM2_RH_OWNER };
	TPM2B_DIGEST *digest = NULL;
	ESYS_TR session;
	TSS2_RC rc;
	int r = session_open(t, TPM2_SE_TRIAL, 0, &session, e);

	if (r)
		return r;
	rc = Esys_PolicyAuthorize(t->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &(TPM2B_DIGEST){ 0 }, &(TPM2B_NONCE){ 0 },
				  t->builder_name, &nothing);
	if (!rc)
		rc = policy_pcr(t, session, PCR_FIRMWARE);
	if (!rc)
		rc = Esys_PolicyGetDigest(t->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &digest);
	Esys_FlushContext(t->esys, session);
	if (rc)
		return fail(rc, "make the policy", e);
	*ret = *digest;
	Esys_Free(digest);
	return 0;
}

/* The builder's signature of the policy that this system's PCR 11 gives. */
static int signature_find(sd_json_variant *signatures, const TPM2B_DIGEST *policy, TPMT_SIGNATURE *ret)
{
	sd_json_variant *all = sd_json_variant_by_key(signatures, "sha256");
	AUTO_BUF struct buf want = { 0 };

	format_hex(&want, policy->buffer, policy->size);
	for (size_t i = 0; !buf_check(&want) && sd_json_variant_is_array(all) && i < sd_json_variant_elements(all); i++) {
		sd_json_variant *one = sd_json_variant_by_index(all, i);
		sd_json_variant *pol = sd_json_variant_by_key(one, "pol"), *sig = sd_json_variant_by_key(one, "sig");
		AUTO_BUF struct buf bytes = { 0 };

		if (!sd_json_variant_is_string(pol) || !sd_json_variant_is_string(sig) || strcmp(sd_json_variant_string(pol), want.p) ||
		    parse_base64(str_c(sd_json_variant_string(sig)), &bytes) || bytes.len != RSA_BYTES)
			continue;
		*ret = (TPMT_SIGNATURE){ .sigAlg = TPM2_ALG_RSASSA, .signature.rsassa = { .hash = TPM2_ALG_SHA256, .sig.size = RSA_BYTES } };
		memcpy(ret->signature.rsassa.sig.buffer, bytes.p, RSA_BYTES);
		return 0;
	}
	return -ENOENT;
}

static int authorize(struct tpm *t, ESYS_TR session, const TPM2B_DIGEST *policy, struct err *e)
{
	TPM2B_DIGEST signed_digest = { .size = SHA256_DIGEST_LENGTH };
	TPMT_TK_VERIFIED *ticket = NULL;
	TPMT_SIGNATURE signature;
	TSS2_RC rc;

	if (signature_find(t->signatures, policy, &signature))
		return err_set(e, -EACCES,
			       "what runs here is not what its builder signed: the machine's firmware must start the signed image itself");
	SHA256(policy->buffer, policy->size, signed_digest.buffer);
	rc = Esys_VerifySignature(t->esys, t->builder, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &signed_digest, &signature, &ticket);
	if (!rc)
		rc = Esys_PolicyAuthorize(t->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, policy, &(TPM2B_NONCE){ 0 }, t->builder_name,
					  ticket);
	Esys_Free(ticket);
	return rc ? fail(rc, "check the builder's signature", e) : 0;
}

/* The same step by step, each of which the TPM checks. */
static int policy_meet(struct tpm *t, ESYS_TR session, struct err *e)
{
	TPM2B_DIGEST *now = NULL;
	TSS2_RC rc = policy_pcr(t, session, PCR_IMAGE);
	int r;

	if (!rc)
		rc = Esys_PolicyGetDigest(t->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &now);
	if (rc)
		return fail(rc, "read what was measured", e);
	r = authorize(t, session, now, e);
	Esys_Free(now);
	if (!r && (rc = policy_pcr(t, session, PCR_FIRMWARE)))
		r = fail(rc, "read what was measured", e);
	return r;
}

static int blob_put(struct token *t, const TPM2B_PUBLIC *public, const TPM2B_PRIVATE *private, struct err *e)
{
	size_t at = 0;
	TSS2_RC rc = Tss2_MU_TPM2B_PUBLIC_Marshal(public, t->sealed, sizeof(t->sealed), &at);

	if (!rc)
		rc = Tss2_MU_TPM2B_PRIVATE_Marshal(private, t->sealed, sizeof(t->sealed), &at);
	t->sealed_len = at;
	return rc ? fail(rc, "keep what it sealed", e) : 0;
}

static int seal(struct tpm *tpm, struct token *t, struct err *e)
{
	TPM2B_SENSITIVE_CREATE secret = { .sensitive.data.size = TOKEN_SECRET_LEN };
	TPM2B_PUBLIC template = { .publicArea = { .type = TPM2_ALG_KEYEDHASH,
						  .nameAlg = TPM2_ALG_SHA256,
						  .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA,
						  .parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL } };
	TPM2B_PRIVATE *private = NULL;
	TPM2B_PUBLIC *public = NULL;
	ESYS_TR session;
	TSS2_RC rc;
	int r;

	if ((r = policy_make(tpm, &template.publicArea.authPolicy, e)) || (r = session_open(tpm, TPM2_SE_HMAC, TPMA_SESSION_DECRYPT, &session, e)))
		return r;
	memcpy(secret.sensitive.data.buffer, t->secret, TOKEN_SECRET_LEN);
	rc = Esys_Create(tpm->esys, tpm->primary, session, ESYS_TR_NONE, ESYS_TR_NONE, &secret, &template, &(TPM2B_DATA){ 0 },
			 &(TPML_PCR_SELECTION){ 0 }, &private, &public, NULL, NULL, NULL);
	explicit_bzero(&secret, sizeof(secret));
	r = rc ? fail(rc, "seal the key", e) : blob_put(t, public, private, e);
	Esys_Free(private);
	Esys_Free(public);
	Esys_FlushContext(tpm->esys, session);
	return r;
}

static int blob_load(struct tpm *tpm, const struct token *t, ESYS_TR *ret, struct err *e)
{
	TPM2B_PRIVATE private = { 0 };
	TPM2B_PUBLIC public = { 0 };
	size_t at = 0;
	TSS2_RC rc = Tss2_MU_TPM2B_PUBLIC_Unmarshal(t->sealed, t->sealed_len, &at, &public);

	if (!rc)
		rc = Tss2_MU_TPM2B_PRIVATE_Unmarshal(t->sealed, t->sealed_len, &at, &private);
	if (rc)
		return err_set(e, -EBADMSG, "what the TPM sealed is damaged in its header");
	rc = Esys_Load(tpm->esys, tpm->primary, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &private, &public, ret);
	return rc ? err_set(e, -EACCES,
			    "its key was sealed by another TPM, or this one was cleared (%#x): only the machine that made the disk opens it", rc)
		  : 0;
}

static int secret_take(const TPM2B_SENSITIVE_DATA *secret, struct token *t, struct err *e)
{
	if (secret->size != TOKEN_SECRET_LEN)
		return err_set(e, -EBADMSG, "what the TPM gave back is no key");
	memcpy(t->secret, secret->buffer, TOKEN_SECRET_LEN);
	return 0;
}

/* What Secure Boot is now is said because it is what a farmer may just have switched. */
static int kept(TSS2_RC rc, struct err *e)
{
	return err_set(
		e, -EACCES,
		"the TPM keeps its key (%#x): it was sealed for another builder's images, or under other Secure Boot settings or keys (it is %s now): "
		"as they were, it opens",
		rc, secureboot_is_on(SECUREBOOT_PAGE) ? "on" : "off");
}

static int unseal_once(struct tpm *tpm, ESYS_TR object, struct token *t, struct err *e)
{
	TPM2B_SENSITIVE_DATA *secret = NULL;
	ESYS_TR session;
	TSS2_RC rc;
	int r = session_open(tpm, TPM2_SE_POLICY, TPMA_SESSION_ENCRYPT, &session, e);

	if (r)
		return r;
	r = policy_meet(tpm, session, e);
	if (!r && (rc = Esys_Unseal(tpm->esys, object, session, ESYS_TR_NONE, ESYS_TR_NONE, &secret)))
		r = rc == TPM2_RC_PCR_CHANGED ? fail(rc, "unseal the key", e) : kept(rc, e);
	if (!r) {
		r = secret_take(secret, t, e);
		explicit_bzero(secret, sizeof(*secret));
		Esys_Free(secret);
	}
	Esys_FlushContext(tpm->esys, session);
	return r;
}

/* Under Secure Boot the kernel measures each module that it loads, into a PCR that is none of ours: the TPM then wants the policy met anew. */
static int unseal(struct tpm *tpm, struct token *t, struct err *e)
{
	ESYS_TR object;
	int r = blob_load(tpm, t, &object, e);

	if (r)
		return r;
	for (unsigned i = 0; i < UNSEAL_TRIES_MAX && (!i || r == -EAGAIN); i++)
		r = unseal_once(tpm, object, t, e);
	Esys_FlushContext(tpm->esys, object);
	return r;
}

int tpm_seal(struct token *t, struct err *e)
{
	AUTO_TOKEN struct token back = { 0 };
	AUTO_TPM struct tpm tpm;
	int r = tpm_open(&tpm, e);

	if (r || (r = seal(&tpm, t, e)))
		return r;
	back = *t;
	explicit_bzero(back.secret, sizeof(back.secret));
	r = unseal(&tpm, &back, e);
	return r ? r : memcmp(back.secret, t->secret, sizeof(t->secret)) ? err_set(e, -EIO, "the TPM gave back another key than it was given") : 0;
}

int tpm_unseal(struct token *t, struct err *e)
{
	AUTO_TPM struct tpm tpm;
	int r = tpm_open(&tpm, e);

	if (r == TPM_NONE)
		return err_set(e, -EACCES, "its key is in a TPM, for images that their builder signed: %s",
			       access(DEVICE, F_OK) ? "there is no TPM here" : "this one is not signed");
	return r ? r : unseal(&tpm, t, e);
}
