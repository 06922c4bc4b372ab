#include "machine/seed.h"

#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>

/* The machine's root is new at each start, so that every boot is an instance's first. */
static int meta_build(const struct machine_spec *s, sd_json_variant **ret)
{
	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("instance-id", s->id), SD_JSON_BUILD_PAIR_STRING("local-hostname", s->hostname));
}

static int nameservers_build(const struct machine_spec *s, sd_json_variant **ret)
{
	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_VARIANT("addresses", s->resolvers),
		SD_JSON_BUILD_PAIR_CONDITION(s->search && sd_json_variant_elements(s->search), "search", SD_JSON_BUILD_VARIANT(s->search)));
}

static int way_out_build(const struct machine_spec *s, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *names = NULL;
	char address[32];

	snprintf(address, sizeof(address), "%s/31", s->address);
	return nameservers_build(s, &names) < 0
		       ? -ENOMEM
		       : sd_json_buildo(ret, SD_JSON_BUILD_PAIR_OBJECT("match", SD_JSON_BUILD_PAIR_STRING("macaddress", s->mac)),
					SD_JSON_BUILD_PAIR_STRING("set-name", "eth0"),
					SD_JSON_BUILD_PAIR_ARRAY("addresses", SD_JSON_BUILD_STRING(address)),
					SD_JSON_BUILD_PAIR_ARRAY("routes", SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING("to", "0.0.0.0/0"),
												SD_JSON_BUILD_PAIR_STRING("via", s->gateway))),
					SD_JSON_BUILD_PAIR_VARIANT("nameservers", names));
}

/* What of the network is not on the machine's own link. */
static int routes_build(const struct machine_link *l, sd_json_variant **ret)
{
	struct card end;
	int r = machine_link_card(l, &end, NULL) ? -EBADMSG : sd_json_variant_new_array(ret, NULL, 0);

	if (r >= 0 && end.range.prefix < end.address.prefix)
		r = sd_json_variant_append_arraybo(ret, SD_JSON_BUILD_PAIR_STRING("to", l->range), SD_JSON_BUILD_PAIR_STRING("via", l->gateway));
	if (r >= 0 && end.range6.prefix < end.address6.prefix)
		r = sd_json_variant_append_arraybo(ret, SD_JSON_BUILD_PAIR_STRING("to", l->range6), SD_JSON_BUILD_PAIR_STRING("via", l->gateway6));
	return r;
}

/* Router advertisements: nobody sends any there. */
static int link_build(const struct machine_link *l, const char *name, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *routes = NULL;
	int r = routes_build(l, &routes);

	return r < 0 ? r
		     : sd_json_buildo(ret, SD_JSON_BUILD_PAIR_OBJECT("match", SD_JSON_BUILD_PAIR_STRING("macaddress", l->mac)),
				      SD_JSON_BUILD_PAIR_STRING("set-name", name), SD_JSON_BUILD_PAIR_BOOLEAN("accept-ra", false),
				      SD_JSON_BUILD_PAIR_ARRAY("addresses", SD_JSON_BUILD_STRING(l->address), SD_JSON_BUILD_STRING(l->address6)),
				      SD_JSON_BUILD_PAIR_VARIANT("routes", routes));
}

/* Version 2, as netplan has it. Nothing on the machine's links hands out addresses. */
static int network_build(const struct machine_spec *s, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *cards = NULL, *first = NULL;
	int r = way_out_build(s, &first);

	if (r >= 0)
		r = sd_json_variant_set_field(&cards, "eth0", first);
	for (size_t i = 0; r >= 0 && i < s->n_links; i++) {
		AUTO_JSON sd_json_variant *one = NULL;
		char name[8];

		snprintf(name, sizeof(name), "eth%zu", i + 1);
		if ((r = link_build(&s->links[i], name, &one)) >= 0)
			r = sd_json_variant_set_field(&cards, name, one);
	}
	return r < 0 ? r : sd_json_buildo(ret, SD_JSON_BUILD_PAIR_UNSIGNED("version", 2), SD_JSON_BUILD_PAIR_VARIANT("ethernets", cards));
}

static int put(int dir_fd, const char *name, int (*build)(const struct machine_spec *s, sd_json_variant **ret), const struct machine_spec *s,
	       struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	AUTO_BUF struct buf text = { 0 };

	if (build(s, &v) < 0 || json_format(v, &text))
		return err_set(e, -ENOMEM, "tell the machine's cloud-init: out of memory");
	buf_addf(&text, "\n");
	return buf_check(&text) ? err_set(e, -ENOMEM, "tell the machine's cloud-init: out of memory")
				: file_save(dir_fd, name, buf_str(&text), 0400, e);
}

int seed_save(int dir_fd, const struct machine_spec *s, struct err *e)
{
	int r;

	if ((r = put(dir_fd, "meta-data", meta_build, s, e)) || (r = put(dir_fd, "network-config", network_build, s, e)))
		return r;
	return file_save(dir_fd, "user-data", str_c(s->user_data ? s->user_data : "#cloud-config\n"), 0400, e);
}
