/* zos farm gateway, farm relay, farm addresses: which of the farm's nodes do something for the others. */
#include "cli/farm.h"

#include "api/relay.h"
#include "base/file.h"
#include "base/parse.h"

#include <fcntl.h>
#include <stdio.h>

struct gateway_args {
	const char *address, *router, *address6, *router6, *card, *domain, *acme, *acme_ca, *acme_email;
	bool forget;
};
static const struct opt gateway_opts[] = {
	OPT(struct gateway_args, address, "address", "A.B.C.D/N", "its public IPv4 address, with the network's prefix"),
	OPT(struct gateway_args, router, "router", "A.B.C.D", "the router on that network"),
	OPT(struct gateway_args, address6, "address6", "IPV6/N", "a public IPv6 address, too"),
	OPT(struct gateway_args, router6, "router6", "IPV6", "and its router"),
	OPT(struct gateway_args, card, "card", "CARD", "the network card on that network (default eth0)"),
	OPT(struct gateway_args, domain, "domain", "DOMAIN", "owners may have names below it: *.DOMAIN leads to the address in your DNS"),
	OPT(struct gateway_args, acme, "acme", "URL",
	    "the directory of an ACME server that gives names certificates: they have HTTPS, and you agree to its terms"),
	OPT(struct gateway_args, acme_ca, "acme-ca", "FILE", "who signed that server's own certificate (PEM), instead of the image's authorities"),
	OPT(struct gateway_args, acme_email, "acme-email", "EMAIL", "whom that server may write to"),
	OPT(struct gateway_args, forget, "forget", NULL, "the node is no gateway any more: what it publishes cannot be reached"),
};

static int text_set(sd_json_variant **row, const char *field, const char *text)
{
	return text ? sd_json_variant_set_field_string(row, field, text) : 0;
}

struct gateway_change {
	const struct gateway_args *args;
	const char *acme_ca; /* PEM, NULL = none */
};

static int gateway_body(const struct client *c, const struct farm *f, const void *change, const char *node, sd_json_variant **ret)
{
	const struct gateway_change *is = change;
	const struct gateway_args *a = is->args;
	AUTO_JSON sd_json_variant *list = NULL, *row = NULL;
	int r = farm_rows_without(f, "gateways", "node", node, &list);

	(void)c;
	if (r < 0 || a->forget)
		return r < 0 ? r : farm_body_change(f, "gateways", list, ret);
	if ((r = text_set(&row, "node", node)) < 0 || (r = text_set(&row, "domain", a->domain)) < 0 ||
	    (r = text_set(&row, "address", a->address)) < 0 || (r = text_set(&row, "router", a->router)) < 0 ||
	    (r = text_set(&row, "address6", a->address6)) < 0 || (r = text_set(&row, "router6", a->router6)) < 0 ||
	    (r = text_set(&row, "card", a->card)) < 0 || (r = text_set(&row, "acme", a->acme)) < 0 ||
	    (r = text_set(&row, "acme_ca", is->acme_ca)) < 0 || (r = text_set(&row, "acme_email", a->acme_email)) < 0 ||
	    (r = sd_json_variant_append_array(&list, row)) < 0)
		return r;
	return farm_body_change(f, "gateways", list, ret);
}

static int farm_gateway(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	const struct gateway_args *a = args;
	struct gateway_change change = { .args = a };
	AUTO_BUF struct buf ca = { 0 };
	struct key_pub node;
	int r;

	if (key_pub_parse(str_c(words[0]), &node) || node.role != KEY_NODE)
		return err_set(e, -EINVAL, "'%s' is no node's key (N...): 'zos node list' shows them", words[0]);
	if (!a->forget == !(a->address && a->router))
		return err_set(e, -EINVAL, "a gateway needs --address and --router, which say where it is reached; --forget goes alone");
	if (!a->acme && (a->acme_ca || a->acme_email))
		return err_set(e, -EINVAL, "--acme-ca and --acme-email go with --acme");
	if (a->acme_ca && (r = file_read(AT_FDCWD, a->acme_ca, 16384, &ca, e)))
		return r;
	change.acme_ca = ca.p;
	if ((r = farm_change(&client, gateway_body, &change, words[0], e)))
		return r;
	if (!c->json)
		printf(a->forget ? "%s is no gateway any more\n" : "%s is a gateway\n", words[0]);
	return 0;
}

struct farm_relay_args {
	const char *address, *address6;
	bool forget;
};
static const struct opt relay_opts[] = {
	OPT(struct farm_relay_args, address, "address", "A.B.C.D", "the IPv4 address at which others reach it"),
	OPT(struct farm_relay_args, address6, "address6", "IPV6", "the IPv6 address, likewise"),
	OPT(struct farm_relay_args, forget, "forget", NULL, "the node is no relay any more"),
};

static int relay_body(const struct client *c, const struct farm *f, const void *args, const char *node, sd_json_variant **ret)
{
	const struct farm_relay_args *a = args;
	AUTO_JSON sd_json_variant *list = NULL, *row = NULL;
	int r = farm_rows_without(f, "relays", "node", node, &list);

	(void)c;
	if (r >= 0 && !a->forget &&
	    ((r = text_set(&row, "node", node)) < 0 || (r = text_set(&row, "address", a->address)) < 0 ||
	     (r = text_set(&row, "address6", a->address6)) < 0))
		return r;
	if (r >= 0 && row)
		r = sd_json_variant_append_array(&list, row);
	return r < 0 ? r : farm_body_change(f, "relays", list, ret);
}

static int farm_relay(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	const struct farm_relay_args *a = args;
	struct key_pub node;
	int r;

	if (key_pub_parse(str_c(words[0]), &node) || node.role != KEY_NODE)
		return err_set(e, -EINVAL, "'%s' is no node's key (N...): 'zos node list' shows them", words[0]);
	if (!a->forget == !(a->address || a->address6))
		return err_set(e, -EINVAL, "a relay needs --address or --address6, or both, which say where it is reached; --forget goes alone");
	if ((r = farm_change(&client, relay_body, args, words[0], e)))
		return r;
	if (!c->json && a->forget)
		printf("%s is no relay any more\n", words[0]);
	else if (!c->json)
		printf("%s is a relay: others must reach its UDP ports %d to %d\n", words[0], RELAY_PORT_BASE, RELAY_PORT_BASE + RELAY_PORTS - 1);
	return 0;
}

struct addresses_args {
	const char *card;
	bool forget;
};
static const struct opt addresses_opts[] = {
	OPT(struct addresses_args, card, "card", "CARD", "the network card on whose network they are (default eth0)"),
	OPT(struct addresses_args, forget, "forget", NULL, "the node has none any more: machines that have one lose it"),
};

struct addresses_change {
	const struct addresses_args *args;
	const char **ranges; /* end with NULL */
};

static int addresses_body(const struct client *c, const struct farm *f, const void *change, const char *node, sd_json_variant **ret)
{
	const struct addresses_change *is = change;
	AUTO_JSON sd_json_variant *list = NULL, *row = NULL, *ranges = NULL;
	int r = farm_rows_without(f, "addresses", "node", node, &list);

	(void)c;
	if (r < 0 || is->args->forget)
		return r < 0 ? r : farm_body_change(f, "addresses", list, ret);
	if ((r = sd_json_variant_new_array_strv(&ranges, (char **)is->ranges)) < 0 || (r = text_set(&row, "node", node)) < 0 ||
	    (r = text_set(&row, "card", is->args->card)) < 0 || (r = sd_json_variant_set_field(&row, "ranges", ranges)) < 0 ||
	    (r = sd_json_variant_append_array(&list, row)) < 0)
		return r;
	return farm_body_change(f, "addresses", list, ret);
}

static int farm_addresses(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	const struct addresses_args *a = args;
	const struct addresses_change change = { a, words + 1 };
	struct key_pub node;
	int r;

	if (key_pub_parse(str_c(words[0]), &node) || node.role != KEY_NODE)
		return err_set(e, -EINVAL, "'%s' is no node's key (N...): 'zos node list' shows them", words[0]);
	if (a->forget == !!words[1])
		return err_set(e, -EINVAL, "say which addresses the node has, such as 198.51.100.16/29 or 198.51.100.7/32; --forget goes alone");
	if ((r = farm_change(&client, addresses_body, &change, words[0], e)))
		return r;
	if (!c->json)
		printf(a->forget ? "%s has no public addresses for machines any more\n" : "%s has these public addresses for machines\n", words[0]);
	return 0;
}

const struct command farm_role_commands[] = {
	{ .name = "farm gateway",
	  .words = "N...",
	  .help = "let a node publish names at a public address",
	  .opts = gateway_opts,
	  .n_opts = ARRAY_LEN(gateway_opts),
	  .args_size = sizeof(struct gateway_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = farm_gateway },
	{ .name = "farm relay",
	  .words = "N...",
	  .help = "let a node pass on what others of the farm cannot send each other, as all are behind routers",
	  .opts = relay_opts,
	  .n_opts = ARRAY_LEN(relay_opts),
	  .args_size = sizeof(struct farm_relay_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = farm_relay },
	{ .name = "farm addresses",
	  .words = "N... [RANGE...]",
	  .help = "give a node public addresses, in place of those it has, for its owners' machines",
	  .opts = addresses_opts,
	  .n_opts = ARRAY_LEN(addresses_opts),
	  .args_size = sizeof(struct addresses_args),
	  .min_words = 1,
	  .max_words = 1 + POOL_RANGES_MAX,
	  .run = farm_addresses },
};
const size_t n_farm_role_commands = ARRAY_LEN(farm_role_commands);
