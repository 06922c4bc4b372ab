#include "network/public.h"

#include "api/pool.h"
#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"
#include "sys/netlink.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

enum { STATE_MAX_BYTES = 64 };
static_assert((int)RULES_PUBLIC_MAX >= (int)POOL_ADDRESSES_MAX);

static struct public_address *find(const struct publics *p, const char *id)
{
	struct public_address *a = p->first;

	while (a && strcmp(a->id, id))
		a = a->next;
	return a;
}

static struct public_address *add(struct publics *p, const struct public_address *is)
{
	struct public_address *a = malloc(sizeof(*a));

	BUG_ON(!a);
	*a = *is;
	a->next = p->first;
	p->first = a;
	return a;
}

static void drop(struct publics *p, struct public_address *a)
{
	struct public_address **at = &p->first;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	free(a);
}

void publics_deinit(struct publics *p)
{
	while (p->first)
		drop(p, p->first);
}

static void path_of(const struct publics *p, const char *id, const char *file, char ret[static 256])
{
	snprintf(ret, 256, "%s/%.16s/%s", p->dir, id, file);
}

/* "ADDRESS CARD" */
static bool public_parse(struct public_address *a, struct str text)
{
	struct str address;

	if (!str_next(&text, ' ', &address) || parse_ip4(address, &a->address) || !text.n || text.n >= sizeof(a->card))
		return false;
	memcpy(a->card, text.p, text.n);
	return true;
}

static void public_load(struct publics *p, const char *id)
{
	AUTO_BUF struct buf text = { 0 }, number = { 0 };
	struct public_address a = { 0 };
	char path[256];
	uint64_t index;

	path_of(p, id, "public", path);
	if (file_read(AT_FDCWD, path, STATE_MAX_BYTES, &text, NULL))
		return;
	path_of(p, id, "index", path);
	snprintf(a.id, sizeof(a.id), "%.16s", id);
	if (file_read(AT_FDCWD, path, STATE_MAX_BYTES, &number, NULL) || parse_u64(buf_str(&number), UINT16_MAX, &index) ||
	    !public_parse(&a, buf_str(&text))) {
		log_warn("the public address of %s cannot be read: it is made anew", a.id); /* and leads nowhere until then */
		return;
	}
	a.index = (unsigned)index;
	add(p, &a);
}

int publics_load(struct publics *p, struct err *e)
{
	AUTO_DIR DIR *d = opendir(p->dir);
	const struct dirent *entry;

	if (!d)
		return err_set(e, -errno, "list %s: %m", p->dir);
	while ((entry = readdir(d)))
		if (strlen(entry->d_name) == WORK_ID_LEN)
			public_load(p, entry->d_name);
	return 0;
}

static struct netlink_net net_of(uint32_t address)
{
	struct netlink_net n = { .family = AF_INET, .prefix = 32 };
	uint32_t wire = htonl(address);

	memcpy(n.address, &wire, sizeof(wire));
	return n;
}

static void device_of(unsigned index, char ret[static 16])
{
	snprintf(ret, 16, RULES_DEVICE "%u", index);
}

/* The kernel answers for an address that it would pass on by another link: so there is a route, by which nothing goes that the filter has not sent there. */
static int open_way(const struct public_address *a, int netlink, struct err *e)
{
	const struct netlink_net net = net_of(a->address);
	char device[16], delay[64]; /* which would be for another who has the address: there is none */
	int r;

	device_of(a->index, device);
	snprintf(delay, sizeof(delay), "/proc/sys/net/ipv4/neigh/%s/proxy_delay", a->card);
	if ((r = netlink_add_route(netlink, device, &net, e)) || (r = netlink_add_proxy(netlink, a->card, &net, e)))
		return r;
	return file_poke(AT_FDCWD, delay, S("0"), e);
}

/* A card, or a link, that is gone took it along. */
static int close_way(const struct public_address *a, int netlink, struct err *e)
{
	const struct netlink_net net = net_of(a->address);
	char device[16];
	int r = netlink_remove_proxy(netlink, a->card, &net, e);

	if (r && r != -ENODEV)
		return r;
	device_of(a->index, device);
	r = netlink_remove_route(netlink, device, &net, e);
	return r == -ENODEV ? 0 : r;
}

static int save(const struct publics *p, const struct public_address *a, struct err *e)
{
	char path[256], text[STATE_MAX_BYTES], address[IP4_TEXT_SIZE];

	path_of(p, a->id, "public", path);
	format_ip4(address, a->address);
	snprintf(text, sizeof(text), "%s %s", address, a->card);
	return file_keep(AT_FDCWD, path, str_c(text), 0600, e);
}

static int is_free(const struct publics *p, const struct work *w, struct err *e)
{
	char address[IP4_TEXT_SIZE];
	size_t n = 0;

	for (const struct public_address *a = p->first; a; a = a->next, n++)
		if (a->address == w->public.address && strcmp(a->id, w->id)) {
			format_ip4(address, a->address);
			return err_set(e, -EEXIST, "the public address %s is another machine's: it is free once that is gone", address);
		}
	return n < RULES_PUBLIC_MAX ? 0 : err_set(e, -ENOSPC, "%d machines of this node have public addresses already", RULES_PUBLIC_MAX);
}

static bool is_same(const struct public_address *a, const struct work *w, unsigned index)
{
	return a->address == w->public.address && a->index == index && !strcmp(a->card, w->public.card);
}

int public_apply(struct publics *p, const struct work *w, unsigned index, int netlink, struct err *e)
{
	struct public_address *a = find(p, w->id), is = { .index = index, .address = w->public.address };
	int r, changed = 0;

	if (a && !is_same(a, w, index)) {
		if ((r = public_remove(p, w->id, netlink, e)) < 0)
			return r;
		changed = PUBLIC_CHANGED;
		a = NULL;
	}
	if (!w->public.address)
		return changed;
	if ((r = is_free(p, w, e)))
		return r;
	if (!a) {
		memcpy(is.id, w->id, sizeof(is.id));
		memcpy(is.card, w->public.card, sizeof(is.card));
		a = add(p, &is);
		changed = PUBLIC_CHANGED;
	}
	return (r = save(p, a, e)) || (r = open_way(a, netlink, e)) ? r : changed;
}

int public_remove(struct publics *p, const char *id, int netlink, struct err *e)
{
	struct public_address *a = find(p, id);
	char path[256];
	int r;

	if (!a)
		return 0;
	if ((r = close_way(a, netlink, e)))
		return r;
	path_of(p, id, "public", path);
	if (unlink(path) && errno != ENOENT)
		return err_set(e, -errno, "remove %s: %m", path);
	drop(p, a);
	return PUBLIC_CHANGED;
}

size_t publics_rules(const struct publics *p, struct rules_public ret[static RULES_PUBLIC_MAX])
{
	size_t n = 0;

	for (const struct public_address *a = p->first; a && n < RULES_PUBLIC_MAX; a = a->next)
		ret[n++] = (struct rules_public){ a->address, RULES_BASE_ADDRESS + a->index * 2 + 1 };
	return n;
}
