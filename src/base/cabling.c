#include "base/cabling.h"

#include "base/cleanup.h"
#include "base/parse.h"

#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>

#define WORD_UPLINK S("zos.uplink=")
#define WORD_SERVERS S("zos.dns=")
#define SHOWN(s) (int)((s).n < 60 ? (s).n : 60), (s).p

static const struct str bonds[CABLING_BONDS] = { [CABLING_ACTIVE_BACKUP] = S("active-backup"), [CABLING_802_3AD] = S("802.3ad") };

static int family_parse(struct str text, struct cabling_address *ret)
{
	struct cabling_address a = { 0 };
	uint32_t v4;

	if (!parse_ip4(text, &v4)) {
		v4 = htonl(v4);
		memcpy(a.address, &v4, sizeof(v4));
		a.family = AF_INET;
		a.prefix = 32;
	} else if (!parse_ip6(text, a.address)) {
		a.family = AF_INET6;
		a.prefix = 128;
	} else {
		return -EINVAL;
	}
	*ret = a;
	return 0;
}

static bool is_link_local(const struct cabling_address *a)
{
	return a->family == AF_INET6 && a->address[0] == 0xfe && (a->address[1] & 0xc0) == 0x80;
}

/* One machine's: neither nobody's, nor this one's own, nor a group's. */
static bool is_unicast(const struct cabling_address *a)
{
	static const uint8_t nobody[16], loopback[16] = { [15] = 1 };

	if (a->family == AF_INET)
		return a->address[0] && a->address[0] != 127 && a->address[0] < 224;
	return a->address[0] != 0xff && memcmp(a->address, nobody, 16) != 0 && memcmp(a->address, loopback, 16) != 0;
}

static bool bit_get(const uint8_t *p, unsigned i)
{
	return p[i / 8] >> (7 - i % 8) & 1;
}

static bool is_within(const struct cabling_address *range, const struct cabling_address *a)
{
	bool is_same = range->family == a->family;

	for (unsigned i = 0; is_same && i < range->prefix; i++)
		is_same = bit_get(range->address, i) == bit_get(a->address, i);
	return is_same;
}

/* Of an IPv4 network: the address of the network itself, and the one that means all in it. */
static bool is_of_network(const struct cabling_address *a)
{
	bool is_zero = true, is_ones = true;

	if (a->family != AF_INET || a->prefix > 30)
		return false;
	for (unsigned i = a->prefix; i < 32; i++) {
		is_zero &= !bit_get(a->address, i);
		is_ones &= bit_get(a->address, i);
	}
	return is_zero || is_ones;
}

static int server_add(struct cabling_address *list, size_t *n, struct str text, struct err *e)
{
	struct cabling_address a;

	if (family_parse(text, &a) || !is_unicast(&a) || is_link_local(&a))
		return err_set(e, -EINVAL, "'%.*s' is no address of a name server, such as 192.0.2.53", SHOWN(text));
	if (*n == CABLING_SERVERS_MAX)
		return err_set(e, -E2BIG, "more than %d name servers are never asked: leave some out", CABLING_SERVERS_MAX);
	list[(*n)++] = a;
	return 0;
}

static int set_bond(struct cabling_uplink *u, struct str value, struct err *e)
{
	for (size_t i = CABLING_ALONE + 1; i < CABLING_BONDS; i++)
		if (str_eq(value, bonds[i])) {
			u->bond = (enum cabling_bond)i;
			return 0;
		}
	return err_set(e, -EINVAL, "there is no bond '%.*s': it is active-backup or 802.3ad", SHOWN(value));
}

static int set_vlan(struct cabling_uplink *u, struct str value, struct err *e)
{
	uint64_t n;

	if (parse_u64(value, CABLING_VLAN_MAX, &n) || !n)
		return err_set(e, -EINVAL, "'%.*s' is no VLAN: it is a number from 1 to %d", SHOWN(value), CABLING_VLAN_MAX);
	u->vlan = (unsigned)n;
	return 0;
}

static int add_address(struct cabling_uplink *u, struct str value, struct err *e)
{
	struct str rest = value, address = { 0 };
	struct cabling_address a;
	uint64_t prefix;

	str_next(&rest, '/', &address);
	if (family_parse(address, &a) || !rest.p || parse_u64(rest, a.prefix, &prefix) || !is_unicast(&a) || is_link_local(&a))
		return err_set(e, -EINVAL, "'%.*s' is no address with its prefix, such as 192.0.2.10/24 or 2001:db8::10/64", SHOWN(value));
	a.prefix = (unsigned)prefix;
	if (prefix < 8 || is_of_network(&a))
		return err_set(e, -EINVAL, "%.*s means a whole network, not one machine in it", SHOWN(value));
	if (u->n_addresses == CABLING_ADDRESSES_MAX)
		return err_set(e, -E2BIG, "an uplink has at most %d addresses", CABLING_ADDRESSES_MAX);
	u->addresses[u->n_addresses++] = a;
	return 0;
}

static int set_router(struct cabling_uplink *u, struct str value, struct err *e)
{
	struct cabling_address a, *at;

	if (family_parse(value, &a) || !is_unicast(&a))
		return err_set(e, -EINVAL, "'%.*s' is no address of a router", SHOWN(value));
	at = a.family == AF_INET ? &u->router : &u->router6;
	if (at->family)
		return err_set(e, -EINVAL, "there is a second router for one family: %.*s", SHOWN(value));
	*at = a;
	return 0;
}

static int add_server(struct cabling_uplink *u, struct str value, struct err *e)
{
	return server_add(u->servers, &u->n_servers, value, e);
}

static const struct {
	struct str name;
	int (*set)(struct cabling_uplink *u, struct str value, struct err *e);
	bool is_once;
} keys[] = {
	{ S("bond"), set_bond, true },      { S("vlan"), set_vlan, true },   { S("address"), add_address, false },
	{ S("router"), set_router, false }, { S("dns"), add_server, false },
};

static int key_apply(struct cabling_uplink *u, struct str part, unsigned *said, struct err *e)
{
	struct str value = part, name;

	str_next(&value, '=', &name);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (!str_eq(name, keys[i].name) || !value.p)
			continue;
		if (keys[i].is_once && *said >> i & 1)
			return err_set(e, -EINVAL, STR_FMT "= stands there twice", STR_ARG(name));
		*said |= 1u << i;
		return keys[i].set(u, value, e);
	}
	return err_set(e, -EINVAL, "'%.*s' means nothing: behind the cards come bond=, vlan=, address=, router= and dns=", SHOWN(part));
}

/* "eth0": what the kernel calls a network card. */
static bool is_card_name(struct str s)
{
	bool is_so = str_starts(s, S("eth")) && s.n > 3 && s.n <= 6;

	for (size_t i = 3; is_so && i < s.n; i++)
		is_so = isdigit((unsigned char)s.p[i]);
	return is_so;
}

static bool card_eq(const struct cabling_card *a, const struct cabling_card *b)
{
	return !strcmp(a->name, b->name) && !memcmp(a->mac, b->mac, sizeof(a->mac));
}

static bool has_card(const struct cabling_uplink *u, const struct cabling_card *card)
{
	for (size_t i = 0; i < u->n_cards; i++)
		if (card_eq(&u->cards[i], card))
			return true;
	return false;
}

static int card_add(struct cabling_uplink *u, struct str text, struct err *e)
{
	struct cabling_card card = { 0 };

	if (is_card_name(text))
		memcpy(card.name, text.p, text.n);
	else if (parse_mac(text, card.mac) || card.mac[0] & 1)
		return err_set(e, -EINVAL, "'%.*s' is no network card: it is a name such as eth0, or a MAC such as 52:54:00:12:34:56", SHOWN(text));
	if (has_card(u, &card))
		return err_set(e, -EINVAL, "the card %.*s stands there twice", SHOWN(text));
	if (u->n_cards == CABLING_CARDS_MAX)
		return err_set(e, -E2BIG, "a bond has at most %d cards", CABLING_CARDS_MAX);
	u->cards[u->n_cards++] = card;
	return 0;
}

static bool is_reached(const struct cabling_uplink *u, const struct cabling_address *router)
{
	for (size_t i = 0; i < u->n_addresses; i++)
		if (is_within(&u->addresses[i], router) && memcmp(u->addresses[i].address, router->address, sizeof(router->address)) != 0)
			return true;
	return is_link_local(router) && u->n_addresses;
}

static int uplink_check(const struct cabling_uplink *u, struct err *e)
{
	const struct cabling_address *const routers[] = { &u->router, &u->router6 };

	if ((u->n_cards > 1) != (u->bond != CABLING_ALONE))
		return err_set(e, -EINVAL, "%s",
			       u->bond ? "a bond needs two cards or more: eth0+eth1"
				       : "several cards are a bond: say bond=active-backup or bond=802.3ad");
	for (size_t i = 0; i < ARRAY_LEN(routers); i++)
		if (routers[i]->family && !is_reached(u, routers[i]))
			return err_set(e, -EINVAL, "the %s router is on no network of an address of this uplink: look at address= and its prefix",
				       i ? "IPv6" : "IPv4");
	return 0;
}

/* Two uplinks share a card only as different VLANs of it. */
static int pair_check(const struct cabling_uplink *a, const struct cabling_uplink *b, struct err *e)
{
	bool are_tags = a->bond == CABLING_ALONE && b->bond == CABLING_ALONE && a->vlan != b->vlan;

	for (size_t i = 0; i < a->n_cards && !are_tags; i++)
		if (has_card(b, &a->cards[i]))
			return err_set(e, -EINVAL, "a card of it is another uplink's already: a card is in one, or has several with different vlan=");
	return 0;
}

static int uplink_parse(struct cabling *c, struct str text, struct err *e)
{
	struct cabling_uplink u = { 0 };
	struct str rest = text, cards = { 0 }, part, card;
	unsigned said = 0;
	int r = 0;

	str_next(&rest, ',', &cards);
	while (!r && str_next(&cards, '+', &card))
		r = card_add(&u, card, e);
	while (!r && str_next(&rest, ',', &part))
		r = key_apply(&u, part, &said, e);
	if (!r)
		r = uplink_check(&u, e);
	for (size_t i = 0; i < c->n_uplinks && !r; i++)
		r = pair_check(&u, &c->uplinks[i], e);
	if (!r && c->n_uplinks == CABLING_UPLINKS_MAX)
		r = err_set(e, -E2BIG, "there are more than %d uplinks", CABLING_UPLINKS_MAX);
	if (!r)
		c->uplinks[c->n_uplinks++] = u;
	return r;
}

static int servers_parse(struct cabling *c, struct str text, struct err *e)
{
	struct str one;
	int r = 0;

	while (!r && str_next(&text, ',', &one))
		r = server_add(c->servers, &c->n_servers, one, e);
	return r;
}

static const struct {
	struct str head;
	int (*parse)(struct cabling *c, struct str text, struct err *e);
} words[] = { { WORD_UPLINK, uplink_parse }, { WORD_SERVERS, servers_parse } };

static int word_read(struct cabling *c, struct str word, bool is_command_line, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_starts(word, words[i].head)) {
			const struct str value = { word.p + words[i].head.n, word.n - words[i].head.n };
			int r = words[i].parse(c, value, e);

			return r ? err_wrap(e, r, "%.*s", SHOWN(word)) : 0;
		}
	return is_command_line ? 0 : err_set(e, -EINVAL, "'%.*s' means nothing: a word begins with zos.uplink= or zos.dns=", SHOWN(word));
}

int cabling_read(struct cabling *c, struct str text, bool is_command_line, struct err *e)
{
	struct cabling now = *c;
	struct str line, word;
	int r = 0;

	if (text.n > CABLING_TEXT_MAX)
		return err_set(e, -E2BIG, "it is longer than %d bytes", CABLING_TEXT_MAX);
	while (!r && str_next(&text, '\n', &line))
		while (!r && str_next(&line, ' ', &word))
			if (word.n)
				r = word_read(&now, word, is_command_line, e);
	if (!r)
		*c = now;
	return r;
}

bool cabling_is_empty(const struct cabling *c)
{
	return !c->n_uplinks && !c->n_servers;
}

void cabling_base_name(const struct cabling *c, size_t i, char ret[static CABLING_NAME_SIZE])
{
	const struct cabling_uplink *u = &c->uplinks[i];
	size_t first = 0;

	while (first < i && (c->uplinks[first].bond != CABLING_ALONE || !has_card(&c->uplinks[first], &u->cards[0])))
		first++;
	if (u->bond != CABLING_ALONE)
		snprintf(ret, CABLING_NAME_SIZE, "bond%zu", i);
	else if (u->cards[0].name[0])
		snprintf(ret, CABLING_NAME_SIZE, "%s", u->cards[0].name);
	else
		snprintf(ret, CABLING_NAME_SIZE, "card%zu", first);
}

void cabling_name(const struct cabling *c, size_t i, char ret[static CABLING_NAME_SIZE])
{
	char base[CABLING_NAME_SIZE];

	cabling_base_name(c, i, base);
	if (c->uplinks[i].vlan)
		snprintf(ret, CABLING_NAME_SIZE, "%.8s.%u", base, c->uplinks[i].vlan % 10000);
	else
		memcpy(ret, base, sizeof(base));
}

void cabling_dhcpcd(const struct cabling *c, struct buf *ret)
{
	char name[CABLING_NAME_SIZE];

	buf_add(ret, c->n_uplinks ? S("allowinterfaces none") : S("allowinterfaces eth*")); /* the kernel's own names of real cards */
	for (size_t i = 0; i < c->n_uplinks; i++)
		if (!c->uplinks[i].n_addresses) {
			cabling_name(c, i, name);
			buf_addf(ret, " %s", name);
		}
	buf_add(ret, S("\n"));
	for (size_t i = 0; i < c->n_uplinks; i++)
		if (!c->uplinks[i].n_addresses) {
			cabling_name(c, i, name);
			buf_addf(ret, "interface %s\nmetric %zu\n", name, (i + 1) * CABLING_METRIC);
		}
}

void cabling_address_format(const struct cabling_address *a, struct buf *ret)
{
	char text[IP6_TEXT_SIZE];
	uint32_t v4;

	memcpy(&v4, a->address, sizeof(v4));
	if (a->family == AF_INET)
		format_ip4(text, ntohl(v4));
	else
		format_ip6(text, a->address);
	buf_add(ret, str_c(text));
}

void cabling_servers(const struct cabling_address *servers, size_t n, struct buf *ret)
{
	for (size_t i = 0; i < n; i++) {
		buf_add(ret, S("nameserver "));
		cabling_address_format(&servers[i], ret);
		buf_add(ret, S("\n"));
	}
}
