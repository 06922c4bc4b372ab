#include "ident/key.h"

#include "base/file.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

/* The first byte of an nkey holds the role in its upper five bits, so that the text starts with the role's letter. A seed
 * starts with "S" and carries the role across its first two bytes. */
enum { PREFIX_SEED = 18 << 3 };

static const struct {
	char letter;
	uint8_t prefix;
} roles[] = {
	{ KEY_FARM, 0 << 3 },
	{ KEY_NODE, 13 << 3 },
	{ KEY_OPERATOR, 14 << 3 },
	{ KEY_USER, 20 << 3 },
};

static const char base32_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static uint16_t crc16(const uint8_t *p, size_t n)
{
	uint16_t crc = 0;

	while (n--) {
		crc ^= (uint16_t)(*p++ << 8);
		for (int bit = 0; bit < 8; bit++)
			crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
	}
	return crc;
}

/* Writes the base32 text of the N bytes at P without padding, and a NUL. */
static void base32_format(char *ret, const uint8_t *p, size_t n)
{
	uint32_t acc = 0;
	unsigned bits = 0;

	for (size_t i = 0; i < n; i++) {
		acc = acc << 8 | p[i];
		for (bits += 8; bits >= 5; bits -= 5)
			*ret++ = base32_digits[acc >> (bits - 5) & 31];
	}
	if (bits)
		*ret++ = base32_digits[acc << (5 - bits) & 31];
	*ret = '\0';
}

/* The reverse: exactly N bytes, unused bits zero. */
static int base32_parse(struct str s, uint8_t *ret, size_t n)
{
	uint32_t acc = 0;
	unsigned bits = 0;
	size_t out = 0;

	for (size_t i = 0; i < s.n; i++) {
		const char *at = s.p[i] ? strchr(base32_digits, s.p[i]) : NULL;

		if (!at)
			return -EINVAL;
		acc = acc << 5 | (uint32_t)(at - base32_digits);
		bits += 5;
		if (bits < 8)
			continue;
		bits -= 8;
		if (out == n)
			return -EINVAL;
		ret[out++] = (uint8_t)(acc >> bits);
	}
	return out == n && !(acc & ((1u << bits) - 1)) ? 0 : -EINVAL;
}

static uint8_t role_prefix(char letter)
{
	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		if (roles[i].letter == letter)
			return roles[i].prefix;
	bug(__FILE__, __LINE__, "a key without a role");
}

static int prefix_role(uint8_t prefix, char *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		if (roles[i].prefix == prefix) {
			*ret = roles[i].letter;
			return 0;
		}
	return -EINVAL;
}

static void seal_crc(uint8_t *bytes, size_t n)
{
	uint16_t crc = crc16(bytes, n);

	bytes[n] = (uint8_t)crc;
	bytes[n + 1] = (uint8_t)(crc >> 8);
}

static bool crc_holds(const uint8_t *bytes, size_t n)
{
	return crc16(bytes, n) == (uint16_t)(bytes[n] | bytes[n + 1] << 8);
}

int key_pub_parse(struct str s, struct key_pub *ret)
{
	uint8_t raw[35];
	struct key_pub k;

	if (s.n != KEY_TEXT_LEN || base32_parse(s, raw, sizeof(raw)) || !crc_holds(raw, 33) || prefix_role(raw[0], &k.role))
		return -EINVAL;
	memcpy(k.bytes, raw + 1, sizeof(k.bytes));
	*ret = k;
	return 0;
}

void key_pub_format(char ret[static KEY_TEXT_SIZE], const struct key_pub *k)
{
	uint8_t raw[35];

	raw[0] = role_prefix(k->role);
	memcpy(raw + 1, k->bytes, sizeof(k->bytes));
	seal_crc(raw, 33);
	base32_format(ret, raw, sizeof(raw));
}

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
	uint8_t raw[36] = { 0 };
	AUTO_KEY struct key k = KEY_NONE;
	char role;
	int r = -EINVAL;

	if (s.n == KEY_SEED_LEN && !base32_parse(s, raw, sizeof(raw)) && crc_holds(raw, 34) && (raw[0] & 0xf8) == PREFIX_SEED &&
	    !(raw[1] & 7) && !prefix_role((uint8_t)((raw[0] & 7) << 5 | raw[1] >> 3), &role)) {
		memcpy(k.seed, raw + 2, sizeof(k.seed));
		r = key_complete(role, &k);
	}
	if (!r)
		*ret = k;
	OPENSSL_cleanse(raw, sizeof(raw));
	return r;
}

void key_seed_format(char ret[static KEY_SEED_SIZE], const struct key *k)
{
	uint8_t raw[36], prefix = role_prefix(k->pub.role);

	raw[0] = (uint8_t)(PREFIX_SEED | prefix >> 5);
	raw[1] = (uint8_t)((prefix & 31) << 3);
	memcpy(raw + 2, k->seed, sizeof(k->seed));
	seal_crc(raw, 34);
	base32_format(ret, raw, sizeof(raw));
	OPENSSL_cleanse(raw, sizeof(raw));
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
	OPENSSL_cleanse(k, sizeof(*k));
}

bool key_pub_eq(const struct key_pub *a, const struct key_pub *b)
{
	return a->role == b->role && !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
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
	bool holds = evp && md && EVP_DigestVerifyInit(md, NULL, NULL, NULL, evp) == 1 &&
	             EVP_DigestVerify(md, sig, KEY_SIG_LEN, p, n) == 1;

	EVP_MD_CTX_free(md);
	EVP_PKEY_free(evp);
	return holds;
}
