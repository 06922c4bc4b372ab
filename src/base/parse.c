#include "base/parse.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The digits at the front of S; *ret_used says how many there are. */
static int digits(struct str s, uint64_t max, uint64_t *ret, size_t *ret_used)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < s.n && is_digit(s.p[i]); i++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, s.p[i] - '0', &v) || v > max)
			return -ERANGE;
	if (!i)
		return -EINVAL;
	*ret = v;
	*ret_used = i;
	return 0;
}

int parse_u64(struct str s, uint64_t max, uint64_t *ret)
{
	uint64_t v;
	size_t used;
	int r = digits(s, max, &v, &used);

	if (r)
		return r;
	if (used != s.n)
		return -EINVAL;
	*ret = v;
	return 0;
}

struct unit {
	struct str name;
	uint64_t factor;
};

static int parse_with_unit(struct str s, const struct unit *units, size_t n_units, uint64_t *ret)
{
	uint64_t v;
	size_t used;
	int r = digits(s, UINT64_MAX, &v, &used);

	if (r)
		return r;
	for (size_t i = 0; i < n_units; i++) {
		if (!str_eq((struct str){ s.p + used, s.n - used }, units[i].name))
			continue;
		if (__builtin_mul_overflow(v, units[i].factor, &v))
			return -ERANGE;
		*ret = v;
		return 0;
	}
	return -EINVAL;
}

int parse_bytes(struct str s, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{ S(""), 1 }, { S("KiB"), 1ull << 10 }, { S("MiB"), 1ull << 20 }, { S("GiB"), 1ull << 30 }, { S("TiB"), 1ull << 40 },
	};

	return parse_with_unit(s, units, ARRAY_LEN(units), ret_bytes);
}

int parse_duration(struct str s, uint64_t *ret_ms)
{
	static const struct unit units[] = {
		{ S("ms"), 1 }, { S("s"), 1000 }, { S("m"), 60000 }, { S("h"), 3600000 }, { S("d"), 86400000 },
	};

	return parse_with_unit(s, units, ARRAY_LEN(units), ret_ms);
}

static int two_digits(const char *p)
{
	return 10 * (p[0] - '0') + p[1] - '0';
}

int parse_utc(struct str s, int64_t *ret_s)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";
	struct tm tm = { 0 };
	char again[24];
	int64_t v;

	if (s.n != sizeof(shape) - 1)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++)
		if (shape[i] == 'd' ? !is_digit(s.p[i]) : s.p[i] != shape[i])
			return -EINVAL;
	tm.tm_year = 100 * two_digits(s.p) + two_digits(s.p + 2) - 1900;
	tm.tm_mon = two_digits(s.p + 5) - 1;
	tm.tm_mday = two_digits(s.p + 8);
	tm.tm_hour = two_digits(s.p + 11);
	tm.tm_min = two_digits(s.p + 14);
	tm.tm_sec = two_digits(s.p + 17);
	v = timegm(&tm);
	format_time(again, v);
	if (!str_eq(s, str_c(again))) /* the 31st of April */
		return -EINVAL;
	*ret_s = v;
	return 0;
}

static int hex_digit(char c)
{
	return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int parse_hex(struct str s, uint8_t *ret, size_t n)
{
	if (s.n != 2 * n)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++)
		if (hex_digit(s.p[i]) < 0)
			return -EINVAL;
	for (size_t i = 0; i < n; i++)
		ret[i] = (uint8_t)(hex_digit(s.p[2 * i]) << 4 | hex_digit(s.p[2 * i + 1]));
	return 0;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int base64_digit(char c)
{
	const char *at = c ? strchr(base64_digits, c) : NULL;

	return at ? (int)(at - base64_digits) : -1;
}

/* One group of four characters with PAD of them '='; bits that the padding leaves over must be zero. */
static int base64_group(const char *p, unsigned pad, struct buf *ret)
{
	uint32_t v = 0;
	uint8_t bytes[3];

	for (unsigned i = 0; i < 4; i++) {
		int d = i < 4 - pad ? base64_digit(p[i]) : 0;

		if (d < 0)
			return -EINVAL;
		v = v << 6 | (uint32_t)d;
	}
	if ((pad == 1 && (v & 0xff)) || (pad == 2 && (v & 0xffff)))
		return -EINVAL;
	bytes[0] = (uint8_t)(v >> 16);
	bytes[1] = (uint8_t)(v >> 8);
	bytes[2] = (uint8_t)v;
	buf_add_bytes(ret, bytes, 3 - pad);
	return 0;
}

int parse_base64(struct str s, struct buf *ret)
{
	size_t before = ret->len;

	if (s.n % 4)
		return -EINVAL;
	buf_reserve(ret, s.n / 4 * 3);
	for (size_t i = 0; i < s.n; i += 4) {
		bool last = i + 4 == s.n;
		unsigned pad = !last || s.p[i + 3] != '=' ? 0 : s.p[i + 2] != '=' ? 1 : 2;

		if (base64_group(s.p + i, pad, ret)) {
			ret->len = before;
			return -EINVAL;
		}
	}
	return buf_check(ret);
}

static const char base32_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

void format_base32(char *ret, const uint8_t *p, size_t n)
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

int parse_base32(struct str s, uint8_t *ret, size_t n)
{
	uint32_t acc = 0;
	unsigned bits = 0;
	size_t out = 0;

	if (s.n != (8 * n + 4) / 5)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++) {
		const char *at = s.p[i] ? strchr(base32_digits, s.p[i]) : NULL;

		if (!at)
			return -EINVAL;
		acc = acc << 5 | (uint32_t)(at - base32_digits);
		bits += 5;
		if (bits < 8)
			continue;
		bits -= 8;
		ret[out++] = (uint8_t)(acc >> bits);
	}
	return acc & ((1u << bits) - 1) ? -EINVAL : 0;
}

void format_hex(struct buf *b, const void *p, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *bytes = p;

	for (size_t i = 0; i < n; i++)
		buf_add_bytes(b, (char[]){ hex[bytes[i] >> 4], hex[bytes[i] & 15] }, 2);
}

void format_base64(struct buf *b, const void *p, size_t n)
{
	const uint8_t *bytes = p;

	for (size_t i = 0; i < n; i += 3) {
		size_t have = n - i < 3 ? n - i : 3;
		uint32_t v = (uint32_t)bytes[i] << 16;
		char out[4];

		if (have > 1)
			v |= (uint32_t)bytes[i + 1] << 8;
		if (have > 2)
			v |= bytes[i + 2];
		for (unsigned k = 0; k < 4; k++)
			out[k] = k <= have ? base64_digits[v >> (18 - 6 * k) & 63] : '=';
		buf_add_bytes(b, out, 4);
	}
}

void format_size(char ret[static 16], uint64_t size_bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)size_bytes;
	unsigned u = 0;

	while (v >= 1024 && u + 1 < ARRAY_LEN(units)) {
		v /= 1024;
		u++;
	}
	snprintf(ret, 16, u && v < 10 ? "%.1f %s" : "%.0f %s", v, units[u]);
}

void format_time(char ret[static 24], int64_t time_s)
{
	time_t t = time_s;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(ret, 24, "%Y-%m-%dT%H:%M:%SZ", &tm))
		strcpy(ret, "-");
}

void format_duration(char ret[static 16], uint64_t s)
{
	if (s >= 86400)
		snprintf(ret, 16, "%" PRIu64 "d %" PRIu64 "h", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		snprintf(ret, 16, "%" PRIu64 "h %" PRIu64 "m", s / 3600, s / 60 % 60);
	else if (s >= 60)
		snprintf(ret, 16, "%" PRIu64 "m %" PRIu64 "s", s / 60, s % 60);
	else
		snprintf(ret, 16, "%" PRIu64 "s", s);
}

static int address_parse(int family, struct str s, void *ret)
{
	char text[IP6_TEXT_SIZE];

	if (!s.n || s.n >= sizeof(text) || memchr(s.p, '\0', s.n))
		return -EINVAL;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	return inet_pton(family, text, ret) == 1 ? 0 : -EINVAL;
}

int parse_ip4(struct str s, uint32_t *ret)
{
	struct in_addr in;
	int r = address_parse(AF_INET, s, &in);

	if (!r)
		*ret = ntohl(in.s_addr);
	return r;
}

int parse_ip6(struct str s, uint8_t ret[static 16])
{
	struct in6_addr in;
	int r = address_parse(AF_INET6, s, &in);

	if (!r)
		memcpy(ret, &in, 16);
	return r;
}

/* ADDRESS and prefix of S, which has one '/'. */
static int range_split(struct str s, unsigned max, struct str *ret_address, unsigned *ret_prefix)
{
	uint64_t prefix;
	int r;

	if (!str_next(&s, '/', ret_address) || !s.p)
		return -EINVAL;
	if ((r = parse_u64(s, max, &prefix)))
		return r;
	*ret_prefix = (unsigned)prefix;
	return 0;
}

int parse_range4(struct str s, struct range4 *ret)
{
	struct range4 got = { 0 };
	struct str address;
	int r;

	if ((r = range_split(s, 32, &address, &got.prefix)) || (r = parse_ip4(address, &got.address)))
		return r;
	*ret = got;
	return 0;
}

int parse_range6(struct str s, struct range6 *ret)
{
	struct range6 got = { 0 };
	struct str address;
	int r;

	if ((r = range_split(s, 128, &address, &got.prefix)) || (r = parse_ip6(address, got.address)))
		return r;
	*ret = got;
	return 0;
}

int parse_mac(struct str s, uint8_t ret[static 6])
{
	char digits[12];
	size_t n = 0;

	if (s.n != 17)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++)
		if (i % 3 != 2)
			digits[n++] = (char)(s.p[i] >= 'A' && s.p[i] <= 'F' ? s.p[i] - 'A' + 'a' : s.p[i]);
		else if (s.p[i] != ':')
			return -EINVAL;
	return parse_hex((struct str){ digits, n }, ret, 6);
}

void format_ip4(char ret[static IP4_TEXT_SIZE], uint32_t address)
{
	struct in_addr in = { htonl(address) };

	inet_ntop(AF_INET, &in, ret, IP4_TEXT_SIZE);
}

void format_ip6(char ret[static IP6_TEXT_SIZE], const uint8_t address[static 16])
{
	inet_ntop(AF_INET6, address, ret, IP6_TEXT_SIZE);
}

void format_range4(char ret[static RANGE4_TEXT_SIZE], const struct range4 *r)
{
	char address[IP4_TEXT_SIZE];

	format_ip4(address, r->address);
	snprintf(ret, RANGE4_TEXT_SIZE, "%s/%u", address, r->prefix & 63);
}

void format_range6(char ret[static RANGE6_TEXT_SIZE], const struct range6 *r)
{
	char address[IP6_TEXT_SIZE];

	format_ip6(address, r->address);
	snprintf(ret, RANGE6_TEXT_SIZE, "%s/%u", address, r->prefix & 255);
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned n)
{
	return !memcmp(a, b, n / 8) && (n % 8 == 0 || !((a[n / 8] ^ b[n / 8]) >> (8 - n % 8)));
}

static struct range6 wide(const struct range4 *r)
{
	return (struct range6){ { (uint8_t)(r->address >> 24), (uint8_t)(r->address >> 16), (uint8_t)(r->address >> 8), (uint8_t)r->address },
				r->prefix };
}

bool range6_has(const struct range6 *outer, const struct range6 *inner)
{
	return outer->prefix <= inner->prefix && same_bits(outer->address, inner->address, outer->prefix);
}

bool range4_has(const struct range4 *outer, const struct range4 *inner)
{
	struct range6 o = wide(outer), i = wide(inner);

	return range6_has(&o, &i);
}

/* What nobody outside this farm should be reachable by: private, shared, link-local, loopback, multicast, reserved. */
const char *const range4_private[RANGE4_PRIVATE] = {
	"0.0.0.0/8",    "10.0.0.0/8",     "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
};

bool range4_is_private(const struct range4 *r)
{
	struct range4 range;

	for (size_t i = 0; i < RANGE4_PRIVATE; i++)
		if (!parse_range4(str_c(range4_private[i]), &range) && (range4_has(&range, r) || range4_has(r, &range)))
			return true;
	return false;
}

bool range6_is_whole(const struct range6 *r)
{
	for (unsigned bit = r->prefix; bit < 128; bit++)
		if (r->address[bit / 8] >> (7 - bit % 8) & 1)
			return false;
	return true;
}

bool range4_is_whole(const struct range4 *r)
{
	struct range6 w = wide(r);

	return range6_is_whole(&w);
}

bool name_ok(struct str s)
{
	if (!s.n || s.n > 36 || s.p[0] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_digit(s.p[i]) && !(s.p[i] >= 'a' && s.p[i] <= 'z') && s.p[i] != '-')
			return false;
	return true;
}
