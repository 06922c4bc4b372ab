#include "ident/nkey.h"

#include "base/file.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

enum { SEED_LEN = 34 }; /* "S" with its role, and the seed */

static EVP_PKEY *seed_evp(const uint8_t seed[static 32])
{
	return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
}

/* Derives the public half of ret->seed. */
static int key_complete(char role, struct key *k)
{
	EVP_PKEY *evp = seed_evp(k->seed);
	size_t n = sizeof(k->pub.bytes);
	int r = evp && EVP_PKEY_get_raw_public_key(evp, k->pub.bytes, &n) ? 0 : -ENOMEM;

	k->pub.role = role;
	EVP_PKEY_free(evp);
	return r;
}

int key_seed_parse(struct str s, struct key *ret)
{
	uint8_t raw[SEED_LEN + NKEY_CRC_LEN] = { 0 };
	AUTO_KEY struct key k = KEY_NONE;
	char role;
	int r = -EINVAL;

	if (s.n == KEY_SEED_LEN && !nkey_decode(s, raw, SEED_LEN) && (raw[0] & 0xf8) == NKEY_PREFIX_SEED && !(raw[1] & 7) &&
	    !nkey_role((uint8_t)((raw[0] & 7) << 5 | raw[1] >> 3), &role)) {
		memcpy(k.seed, raw + 2, sizeof(k.seed));
		r = key_complete(role, &k);
	}
	if (!r)
		*ret = k;
	explicit_bzero(raw, sizeof(raw));
	return r;
}

void key_seed_format(char ret[static KEY_SEED_SIZE], const struct key *k)
{
	uint8_t raw[SEED_LEN + NKEY_CRC_LEN], prefix = nkey_prefix(k->pub.role);

	raw[0] = (uint8_t)(NKEY_PREFIX_SEED | prefix >> 5);
	raw[1] = (uint8_t)((prefix & 31) << 3);
	memcpy(raw + 2, k->seed, sizeof(k->seed));
	nkey_encode(ret, raw, SEED_LEN);
	explicit_bzero(raw, sizeof(raw));
}

int key_new(char role, struct key *ret)
{
	AUTO_KEY struct key k = KEY_NONE;
	int r;

	random_bytes(k.seed, sizeof(k.seed));
	r = key_complete(role, &k);
	if (!r)
		*ret = k;
	return r;
}

void key_wipe(struct key *k)
{
	explicit_bzero(k, sizeof(*k));
}

EVP_PKEY *key_evp(const struct key *k)
{
	return seed_evp(k->seed);
}

EVP_PKEY *key_pub_evp(const struct key_pub *k)
{
	return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, k->bytes, sizeof(k->bytes));
}

int key_sign(const struct key *k, const void *p, size_t n, uint8_t ret[static KEY_SIG_LEN])
{
	EVP_PKEY *evp = key_evp(k);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	size_t len = KEY_SIG_LEN;
	bool done = evp && md && EVP_DigestSignInit(md, NULL, NULL, NULL, evp) && EVP_DigestSign(md, ret, &len, p, n);

	EVP_MD_CTX_free(md);
	EVP_PKEY_free(evp);
	return done ? 0 : -ENOMEM;
}

bool key_verify(const struct key_pub *k, const void *p, size_t n, const uint8_t sig[static KEY_SIG_LEN])
{
	EVP_PKEY *evp = key_pub_evp(k);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool holds = evp && md && EVP_DigestVerifyInit(md, NULL, NULL, NULL, evp) == 1 && EVP_DigestVerify(md, sig, KEY_SIG_LEN, p, n) == 1;

	EVP_MD_CTX_free(md);
	EVP_PKEY_free(evp);
	return holds;
}

static void kdf_freep(EVP_KDF **p)
{
	EVP_KDF_free(*p);
}

static void kdf_ctx_freep(EVP_KDF_CTX **p)
{
	EVP_KDF_CTX_free(*p);
}

int key_derive(const struct key *k, const char *label, uint8_t *ret, size_t n)
{
	CLEANUP(kdf_freep) EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	CLEANUP(kdf_ctx_freep) EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)k->seed, sizeof(k->seed)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)label, strlen(label)),
		OSSL_PARAM_construct_end(),
	};

	return ctx && EVP_KDF_derive(ctx, ret, n, params) == 1 ? 0 : -ENOMEM;
}
