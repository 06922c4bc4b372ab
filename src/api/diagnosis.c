#include "api/diagnosis.h"

#include "base/parse.h"
#include "base/rd.h"
#include "ident/dsse.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { FLAG_APPROVED = 1 << 2, FLAG_DURABLE = 1 << 3, SIX = 64 /* added to the prefix of an IPv6 address */, WORDS_MIN = 12 };

static const char *const causes[DIAGNOSIS_CAUSES] = {
	[DIAGNOSIS_NO_CARD] = "no network card was found",
	[DIAGNOSIS_NO_CABLE] = "no cable is plugged in, or its other end is off",
	[DIAGNOSIS_NO_ADDRESS] = "no address: no DHCP server has answered, or the boot configuration was refused",
	[DIAGNOSIS_CLOCK] = "the clock is far off: set it in the firmware",
	[DIAGNOSIS_NO_HUB] = "the farm document names no hub",
	[DIAGNOSIS_HUB] = "the hub is not reached",
};
const char *const diagnosis_flavours[DIAGNOSIS_FLAVOURS] = { "", "cloud", "metal", "debug" };

const char *diagnosis_why(enum diagnosis_cause cause)
{
	return causes[cause];
}

int diagnosis_address_parse(const char *text, struct diagnosis_address *ret)
{
	struct diagnosis_address a = { .is_six = strchr(text, ':') };
	struct str rest = str_c(text), host;
	char name[INET6_ADDRSTRLEN];
	uint64_t prefix;

	if (!str_next(&rest, '/', &host) || !rest.p || parse_u64(rest, a.is_six ? 128 : 32, &prefix) || host.n >= sizeof(name))
		return -EINVAL;
	memcpy(name, host.p, host.n);
	name[host.n] = '\0';
	if (inet_pton(a.is_six ? AF_INET6 : AF_INET, name, a.bytes) != 1)
		return -EINVAL;
	a.prefix = (uint8_t)prefix;
	*ret = a;
	return 0;
}

void diagnosis_address_format(char ret[static 64], const struct diagnosis_address *a)
{
	char name[INET6_ADDRSTRLEN] = "";

	inet_ntop(a->is_six ? AF_INET6 : AF_INET, a->bytes, name, sizeof(name));
	snprintf(ret, 64, "%s/%u", name, a->prefix);
}

static bool is_printable(char c)
{
	return c >= ' ' && c <= '~';
}

void diagnosis_say(struct diagnosis *d, const char *text)
{
	char *words;

	if (d->n_words == DIAGNOSIS_WORDS_MAX || !text[0])
		return;
	words = d->words[d->n_words++];
	snprintf(words, DIAGNOSIS_WORDS_SIZE, "%s", text);
	for (size_t i = 0; words[i]; i++)
		if (!is_printable(words[i]))
			words[i] = '?';
}

static size_t address_len(const struct diagnosis_address *a)
{
	return a->is_six ? 16 : 4;
}

static size_t addresses_within(const struct diagnosis *d, size_t room)
{
	size_t n = 0;

	for (; n < d->n_addresses && 1 + address_len(&d->addresses[n]) <= room; n++)
		room -= 1 + address_len(&d->addresses[n]);
	return n;
}

void diagnosis_encode(const struct diagnosis *d, size_t max, struct buf *ret)
{
	size_t begin = ret->len, n;

	buf_add_le(ret, DIAGNOSIS_VERSION, 1);
	buf_add_bytes(ret, d->node.bytes, sizeof(d->node.bytes));
	buf_add_le(ret, d->time_s, 4);
	buf_add_le(ret, d->up_min, 2);
	buf_add_bytes(ret, d->version, sizeof(d->version));
	buf_add_le(ret, (uint64_t)(d->flavour | (d->is_approved ? FLAG_APPROVED : 0) | (d->is_durable ? FLAG_DURABLE : 0)), 1);
	buf_add_le(ret, d->cause, 1);
	n = addresses_within(d, max - (ret->len - begin) - 1);
	buf_add_le(ret, n, 1);
	for (size_t i = 0; i < n; i++) {
		buf_add_le(ret, (uint64_t)d->addresses[i].prefix + (d->addresses[i].is_six ? SIX : 0), 1);
		buf_add_bytes(ret, d->addresses[i].bytes, address_len(&d->addresses[i]));
	}
	for (size_t i = 0; i < d->n_words && !ret->failed; i++) {
		size_t room = max - (ret->len - begin), len = strlen(d->words[i]);

		if (room < 1 + (len < WORDS_MIN ? len : WORDS_MIN))
			break;
		len = len < room - 1 ? len : room - 1;
		buf_add_le(ret, len, 1);
		buf_add_bytes(ret, d->words[i], len);
	}
}

static bool address_decode(struct rd *r, struct diagnosis_address *ret)
{
	uint64_t head = rd_le(r, 1);

	*ret = (struct diagnosis_address){ .is_six = head >= SIX, .prefix = (uint8_t)(head >= SIX ? head - SIX : head) };
	rd_bytes(r, ret->bytes, address_len(ret));
	return ret->prefix <= (ret->is_six ? 128 : 32);
}

static bool words_decode(struct rd *r, char ret[static DIAGNOSIS_WORDS_SIZE])
{
	size_t n = rd_le(r, 1);

	if (!n || n >= DIAGNOSIS_WORDS_SIZE)
		return false;
	rd_bytes(r, ret, n);
	ret[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if (!is_printable(ret[i]))
			return false;
	return true;
}

int diagnosis_decode(const void *p, size_t n, struct diagnosis *ret)
{
	struct diagnosis d = { .node.role = KEY_NODE };
	struct rd r = rd_over(p, n);
	bool ok = rd_le(&r, 1) == DIAGNOSIS_VERSION;
	uint64_t flags, cause;

	rd_bytes(&r, d.node.bytes, sizeof(d.node.bytes));
	d.time_s = (uint32_t)rd_le(&r, 4);
	d.up_min = (uint16_t)rd_le(&r, 2);
	rd_bytes(&r, d.version, sizeof(d.version));
	flags = rd_le(&r, 1);
	cause = rd_le(&r, 1);
	d.n_addresses = rd_le(&r, 1);
	ok = ok && flags < 2 * FLAG_DURABLE && cause < DIAGNOSIS_CAUSES && d.n_addresses <= DIAGNOSIS_ADDRESSES_MAX;
	for (size_t i = 0; ok && i < d.n_addresses; i++)
		ok = address_decode(&r, &d.addresses[i]);
	while (ok && !r.bad && rd_left(&r))
		ok = d.n_words < DIAGNOSIS_WORDS_MAX && words_decode(&r, d.words[d.n_words++]);
	if (!ok || rd_done(&r))
		return -EBADMSG;
	d.flavour = flags % DIAGNOSIS_FLAVOURS;
	d.is_approved = flags & FLAG_APPROVED;
	d.is_durable = flags & FLAG_DURABLE;
	d.cause = (enum diagnosis_cause)cause;
	*ret = d;
	return 0;
}

int diagnosis_sign(const struct diagnosis *d, const struct key *node, size_t max_bytes, char ret[static DIAGNOSIS_SIZE])
{
	AUTO_BUF struct buf bytes = { 0 }, signed_text = { 0 };
	uint8_t sig[KEY_SIG_LEN];

	diagnosis_encode(d, max_bytes - KEY_SIG_LEN, &bytes);
	dsse_pae(&signed_text, API_TYPE_DIAGNOSIS, buf_str(&bytes));
	if (buf_check(&bytes) || buf_check(&signed_text) || key_sign(node, signed_text.p, signed_text.len, sig))
		return -ENOMEM;
	buf_add_bytes(&bytes, sig, sizeof(sig));
	if (buf_check(&bytes))
		return -ENOMEM;
	memcpy(ret, DIAGNOSIS_HEAD, strlen(DIAGNOSIS_HEAD));
	format_base32(ret + strlen(DIAGNOSIS_HEAD), (const uint8_t *)bytes.p, bytes.len);
	return 0;
}

/* Without white space, which comes in when a text is wrapped. -1: too long. */
static int squeeze(struct str text, char ret[static DIAGNOSIS_SIZE])
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == ' ' || text.p[i] == '\n' || text.p[i] == '\r' || text.p[i] == '\t')
			continue;
		if (n == DIAGNOSIS_SIZE - 1)
			return -1;
		ret[n++] = text.p[i];
	}
	return (int)n;
}

int diagnosis_open(struct str text, struct diagnosis *ret, struct err *e)
{
	char plain[DIAGNOSIS_SIZE];
	uint8_t bytes[DIAGNOSIS_LONG];
	AUTO_BUF struct buf signed_text = { 0 };
	struct diagnosis d;
	int n = squeeze(text, plain);
	struct str digits = { plain, n < 0 ? 0 : (size_t)n };

	if (!str_starts(digits, S(DIAGNOSIS_HEAD)))
		return err_set(e, -EBADMSG, "this is no diagnosis: it begins with '%s' and has at most %d letters and digits", DIAGNOSIS_HEAD,
			       DIAGNOSIS_SIZE - 1);
	digits = (struct str){ digits.p + strlen(DIAGNOSIS_HEAD), digits.n - strlen(DIAGNOSIS_HEAD) };
	n = (int)(digits.n * 5 / 8);
	if (parse_base32(digits, bytes, (size_t)n) || n <= KEY_SIG_LEN || diagnosis_decode(bytes, (size_t)n - KEY_SIG_LEN, &d))
		return err_set(e, -EBADMSG, "the diagnosis is not whole, or of a newer version than this program: scan the code again");
	dsse_pae(&signed_text, API_TYPE_DIAGNOSIS, (struct str){ (const char *)bytes, (size_t)n - KEY_SIG_LEN });
	if (buf_check(&signed_text))
		return err_set(e, -ENOMEM, "read the diagnosis: out of memory");
	if (!key_verify(&d.node, signed_text.p, signed_text.len, bytes + n - KEY_SIG_LEN))
		return err_set(e, -EKEYREJECTED, "the node that the diagnosis names has not signed it: somebody has changed it");
	*ret = d;
	return 0;
}
