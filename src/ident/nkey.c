#include "ident/nkey.h"

#include "base/parse.h"

enum { PUB_LEN = 33 }; /* its role and the key */

static const struct {
	char letter;
	uint8_t prefix;
} roles[] = {
	{ KEY_FARM, 0 << 3 },
	{ KEY_NODE, 13 << 3 },
	{ KEY_OPERATOR, 14 << 3 },
	{ KEY_USER, 20 << 3 },
};

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

uint8_t nkey_prefix(char letter)
{
	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		if (roles[i].letter == letter)
			return roles[i].prefix;
	bug(__FILE__, __LINE__, "a key without a role");
}

int nkey_role(uint8_t prefix, char *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		if (roles[i].prefix == prefix) {
			*ret = roles[i].letter;
			return 0;
		}
	return -EINVAL;
}

static uint16_t crc_at(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

void nkey_encode(char *ret, uint8_t *bytes, size_t n)
{
	uint16_t crc = crc16(bytes, n);

	bytes[n] = (uint8_t)crc;
	bytes[n + 1] = (uint8_t)(crc >> 8);
	format_base32(ret, bytes, n + NKEY_CRC_LEN);
}

int nkey_decode(struct str s, uint8_t *ret, size_t n)
{
	if (parse_base32(s, ret, n + NKEY_CRC_LEN) || crc16(ret, n) != crc_at(ret + n))
		return -EINVAL;
	return 0;
}

int key_pub_parse(struct str s, struct key_pub *ret)
{
	uint8_t raw[PUB_LEN + NKEY_CRC_LEN];
	struct key_pub k;

	if (s.n != KEY_TEXT_LEN || nkey_decode(s, raw, PUB_LEN) || nkey_role(raw[0], &k.role))
		return -EINVAL;
	memcpy(k.bytes, raw + 1, sizeof(k.bytes));
	*ret = k;
	return 0;
}

void key_pub_format(char ret[static KEY_TEXT_SIZE], const struct key_pub *k)
{
	uint8_t raw[PUB_LEN + NKEY_CRC_LEN];

	raw[0] = nkey_prefix(k->role);
	memcpy(raw + 1, k->bytes, sizeof(k->bytes));
	nkey_encode(ret, raw, PUB_LEN);
}

bool key_pub_eq(const struct key_pub *a, const struct key_pub *b)
{
	return a->role == b->role && !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}
