#include "ident/seal.h"

#include "base/parse.h"
#include "ident/openssl.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/hpke.h>

enum { SEAL_VERSION = 1, SHARED_LEN = 32, SUM_LEN = 32 };
#define MLKEM "ML-KEM-768"
#define KEY_LABEL "zos sealing key 1"
#define VALUE_LABEL "zos sealed value 1"

static const OSSL_HPKE_SUITE suite = { OSSL_HPKE_KEM_ID_X25519, OSSL_HPKE_KDF_ID_HKDF_SHA256, OSSL_HPKE_AEAD_ID_AES_GCM_256 };

static void pkey_ctx_freep(EVP_PKEY_CTX **p)
{
	EVP_PKEY_CTX_free(*p);
}

static void hpke_freep(OSSL_HPKE_CTX **p)
{
	OSSL_HPKE_CTX_free(*p);
}

#define AUTO_PKEY_CTX CLEANUP(pkey_ctx_freep) EVP_PKEY_CTX
#define AUTO_HPKE CLEANUP(hpke_freep) OSSL_HPKE_CTX

static EVP_PKEY *mlkem_secret(const uint8_t seed[static 64])
{
	AUTO_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, MLKEM, NULL);
	OSSL_PARAM params[] = { OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_ML_KEM_SEED, (void *)seed, 64), OSSL_PARAM_construct_end() };
	EVP_PKEY *ret = NULL;

	return ctx && EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &ret, EVP_PKEY_KEYPAIR, params) == 1 ? ret : NULL;
}

static bool pub_get(EVP_PKEY *k, uint8_t *ret, size_t n)
{
	size_t got = n;

	return k && EVP_PKEY_get_raw_public_key(k, ret, &got) == 1 && got == n;
}

int seal_key_derive(const struct key *node, struct seal_key *ret)
{
	AUTO_SEAL_KEY struct seal_key k = { 0 };
	uint8_t bytes[sizeof(k.x25519) + sizeof(k.mlkem) + sizeof(k.mark)];
	int r = key_derive(node, KEY_LABEL, bytes, sizeof(bytes));

	memcpy(k.x25519, bytes, sizeof(k.x25519));
	memcpy(k.mlkem, bytes + sizeof(k.x25519), sizeof(k.mlkem));
	memcpy(k.mark, bytes + sizeof(k.x25519) + sizeof(k.mlkem), sizeof(k.mark));
	OPENSSL_cleanse(bytes, sizeof(bytes));
	if (r)
		return r;
	AUTO_PKEY *x25519 = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, k.x25519, sizeof(k.x25519));
	AUTO_PKEY *mlkem = mlkem_secret(k.mlkem);
	if (!pub_get(x25519, k.pub, SEAL_X25519_LEN) || !pub_get(mlkem, k.pub + SEAL_X25519_LEN, SEAL_MLKEM_LEN))
		return -ENOMEM;
	*ret = k;
	return 0;
}

void seal_key_wipe(struct seal_key *k)
{
	OPENSSL_cleanse(k, sizeof(*k));
}

/* What both sides know of a value beside its content: it goes into the key that encrypts. */
static void info_add(struct buf *info, const struct seal_place *at, const uint8_t *mlkem_pub, const uint8_t *mlkem_text)
{
	const struct key_pub *const keys[] = { at->owner, at->node };

	buf_add_bytes(info, VALUE_LABEL, sizeof(VALUE_LABEL)); /* with its NUL */
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		buf_add_bytes(info, &keys[i]->role, 1);
		buf_add_bytes(info, keys[i]->bytes, sizeof(keys[i]->bytes));
	}
	for (size_t i = 0; i < 2; i++) {
		uint8_t sum[SUM_LEN];

		BUG_ON(!EVP_Digest(i ? mlkem_text : mlkem_pub, i ? SEAL_MLKEM_TEXT_LEN : SEAL_MLKEM_LEN, sum, NULL, EVP_sha256(), NULL));
		buf_add_bytes(info, sum, sizeof(sum));
	}
	BUG_ON(buf_check(info));
}

static OSSL_HPKE_CTX *hpke_new(int role, const uint8_t shared[static SHARED_LEN])
{
	AUTO_HPKE *ctx = OSSL_HPKE_CTX_new(OSSL_HPKE_MODE_PSK, suite, role, NULL, NULL);

	return ctx && OSSL_HPKE_CTX_set1_psk(ctx, MLKEM, shared, SHARED_LEN) == 1 ? take_ptr(ctx) : NULL;
}

static int mlkem_encapsulate(const uint8_t *pub, uint8_t text[static SEAL_MLKEM_TEXT_LEN], uint8_t shared[static SHARED_LEN])
{
	AUTO_PKEY *k = EVP_PKEY_new_raw_public_key_ex(NULL, MLKEM, NULL, pub, SEAL_MLKEM_LEN);
	AUTO_PKEY_CTX *ctx = k ? EVP_PKEY_CTX_new_from_pkey(NULL, k, NULL) : NULL;
	size_t n = SEAL_MLKEM_TEXT_LEN, n_shared = SHARED_LEN;

	return ctx && EVP_PKEY_encapsulate_init(ctx, NULL) == 1 && EVP_PKEY_encapsulate(ctx, text, &n, shared, &n_shared) == 1 ? 0 : -EINVAL;
}

static int mlkem_decapsulate(const uint8_t seed[static 64], const uint8_t *text, uint8_t shared[static SHARED_LEN])
{
	AUTO_PKEY *k = mlkem_secret(seed);
	AUTO_PKEY_CTX *ctx = k ? EVP_PKEY_CTX_new_from_pkey(NULL, k, NULL) : NULL;
	size_t n = SHARED_LEN;

	return ctx && EVP_PKEY_decapsulate_init(ctx, NULL) == 1 && EVP_PKEY_decapsulate(ctx, shared, &n, text, SEAL_MLKEM_TEXT_LEN) == 1 ? 0
																	 : -EBADMSG;
}

int seal_value(const uint8_t pub[static SEAL_PUB_LEN], const struct seal_place *at, struct str clear, struct buf *ret)
{
	uint8_t text[SEAL_MLKEM_TEXT_LEN], shared[SHARED_LEN], enc[SEAL_X25519_LEN];
	AUTO_BUF struct buf info = { 0 }, body = { 0 };
	size_t n_enc = sizeof(enc), n_body = clear.n + 16;
	int r;

	if (!clear.n || clear.n > SEAL_CLEAR_MAX)
		return -EINVAL;
	if ((r = mlkem_encapsulate(pub + SEAL_X25519_LEN, text, shared)))
		return r;
	AUTO_HPKE *ctx = hpke_new(OSSL_HPKE_ROLE_SENDER, shared);
	OPENSSL_cleanse(shared, sizeof(shared));
	info_add(&info, at, pub + SEAL_X25519_LEN, text);
	buf_reserve(&body, n_body);
	if (!ctx || buf_check(&body))
		return -ENOMEM;
	if (OSSL_HPKE_encap(ctx, enc, &n_enc, pub, SEAL_X25519_LEN, (uint8_t *)info.p, info.len) != 1 ||
	    OSSL_HPKE_seal(ctx, (uint8_t *)body.p, &n_body, (const uint8_t *)at->name, strlen(at->name), (const uint8_t *)clear.p, clear.n) != 1)
		return -EINVAL;
	body.len = n_body;
	buf_add_le(ret, SEAL_VERSION, 1);
	buf_add_bytes(ret, enc, sizeof(enc));
	buf_add_bytes(ret, text, sizeof(text));
	buf_add(ret, buf_str(&body));
	return buf_check(ret) ? -ENOMEM : 0;
}

int seal_open(const struct seal_key *k, const struct seal_place *at, struct str sealed, struct buf *ret)
{
	const uint8_t *enc = (const uint8_t *)sealed.p + 1, *text = enc + SEAL_X25519_LEN, *body = text + SEAL_MLKEM_TEXT_LEN;
	AUTO_SECRET struct buf clear = { 0 };
	AUTO_BUF struct buf info = { 0 };
	uint8_t shared[SHARED_LEN];
	size_t n;

	if (sealed.n <= SEAL_OVERHEAD || sealed.n > SEAL_CLEAR_MAX + SEAL_OVERHEAD || sealed.p[0] != SEAL_VERSION ||
	    mlkem_decapsulate(k->mlkem, text, shared))
		return -EBADMSG;
	AUTO_HPKE *ctx = hpke_new(OSSL_HPKE_ROLE_RECEIVER, shared);
	AUTO_PKEY *x25519 = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, k->x25519, sizeof(k->x25519));
	OPENSSL_cleanse(shared, sizeof(shared));
	info_add(&info, at, k->pub + SEAL_X25519_LEN, text);
	n = sealed.n - SEAL_OVERHEAD;
	buf_reserve(&clear, n + 16);
	if (!ctx || !x25519 || buf_check(&clear))
		return -ENOMEM;
	if (OSSL_HPKE_decap(ctx, enc, SEAL_X25519_LEN, x25519, (uint8_t *)info.p, info.len) != 1 ||
	    OSSL_HPKE_open(ctx, (uint8_t *)clear.p, &n, (const uint8_t *)at->name, strlen(at->name), body, sealed.n - SEAL_OVERHEAD + 16) != 1)
		return -EBADMSG;
	clear.len = n;
	buf_reserve(ret, n); /* grows at once or not at all: no copy is left behind */
	buf_add(ret, buf_str(&clear));
	return buf_check(ret) ? -ENOMEM : 0;
}

static void hex_put(const uint8_t *p, size_t n, char *ret)
{
	AUTO_BUF struct buf hex = { 0 };

	format_hex(&hex, p, n);
	BUG_ON(buf_check(&hex));
	memcpy(ret, hex.p, 2 * n + 1);
}

void seal_digest(const uint8_t pub[static SEAL_PUB_LEN], char ret[static SEAL_DIGEST_LEN + 1])
{
	uint8_t sum[SUM_LEN];

	BUG_ON(!EVP_Digest(pub, SEAL_PUB_LEN, sum, NULL, EVP_sha256(), NULL));
	hex_put(sum, sizeof(sum), ret);
}

void seal_mark(const struct seal_key *k, struct str clear, char ret[static SEAL_MARK_LEN + 1])
{
	uint8_t sum[SUM_LEN];
	size_t n;

	BUG_ON(!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, k->mark, sizeof(k->mark), (const uint8_t *)clear.p, clear.n, sum, sizeof(sum), &n));
	hex_put(sum, SEAL_MARK_LEN / 2, ret);
}
