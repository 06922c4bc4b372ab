/* mac1 of WireGuard's handshake messages: BLAKE2s of 16 bytes, keyed with the BLAKE2s of a label and the receiver's public key, over all that comes before it. */
#include "relay/pairs.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

enum { MAC_LEN = 16, MACS_LEN = 2 * MAC_LEN /* mac1, mac2: the end of the message */, HASH_LEN = 32 };
#define LABEL "mac1----"

static void mac_freep(EVP_MAC **p)
{
	EVP_MAC_free(*p);
}

static void mac_ctx_freep(EVP_MAC_CTX **p)
{
	EVP_MAC_CTX_free(*p);
}

static bool key_make(const uint8_t public_key[static MEET_KEY_LEN], uint8_t ret[static HASH_LEN])
{
	uint8_t text[sizeof(LABEL) - 1 + MEET_KEY_LEN];
	unsigned n = 0;

	memcpy(text, LABEL, sizeof(LABEL) - 1);
	memcpy(text + sizeof(LABEL) - 1, public_key, MEET_KEY_LEN);
	return EVP_Digest(text, sizeof(text), ret, &n, EVP_blake2s256(), NULL) == 1 && n == HASH_LEN;
}

bool relay_mac_ok(const uint8_t public_key[static MEET_KEY_LEN], struct str datagram)
{
	CLEANUP(mac_freep) EVP_MAC *mac = EVP_MAC_fetch(NULL, "BLAKE2SMAC", NULL);
	CLEANUP(mac_ctx_freep) EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	size_t size = MAC_LEN, n = 0;
	OSSL_PARAM params[] = { OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size), OSSL_PARAM_construct_end() };
	uint8_t key[HASH_LEN], got[MAC_LEN];

	BUG_ON(!ctx || datagram.n < MACS_LEN || !key_make(public_key, key)); /* OpenSSL without BLAKE2s is another OpenSSL */
	BUG_ON(EVP_MAC_init(ctx, key, sizeof(key), params) != 1 || EVP_MAC_update(ctx, (const uint8_t *)datagram.p, datagram.n - MACS_LEN) != 1 ||
	       EVP_MAC_final(ctx, got, &n, sizeof(got)) != 1 || n != sizeof(got));
	return !CRYPTO_memcmp(got, datagram.p + datagram.n - MACS_LEN, sizeof(got));
}
