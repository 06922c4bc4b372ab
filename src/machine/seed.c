#include "machine/seed.h"

#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>

/* The machine's root is new at each start, so that every boot is an instance's first. */
static int meta_build(const struct machine_spec *s, sd_json_variant **ret)
{
	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("instance-id", s->id), SD_JSON_BUILD_PAIR_STRING("local-hostname", s->hostname));
}

/* Version 2, as netplan has it. Nothing on the machine's link hands out addresses. */
static int network_build(const struct machine_spec *s, sd_json_variant **ret)
{
	char address[32];

	snprintf(address, sizeof(address), "%s/31", s->address);
	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_UNSIGNED("version", 2),
		SD_JSON_BUILD_PAIR_OBJECT(
			"ethernets",
			SD_JSON_BUILD_PAIR_OBJECT(
				"eth0", SD_JSON_BUILD_PAIR_OBJECT("match", SD_JSON_BUILD_PAIR_STRING("macaddress", s->mac)),
				SD_JSON_BUILD_PAIR_STRING("set-name", "eth0"), SD_JSON_BUILD_PAIR_ARRAY("addresses", SD_JSON_BUILD_STRING(address)),
				SD_JSON_BUILD_PAIR_ARRAY("routes", SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING("to", "0.0.0.0/0"),
											SD_JSON_BUILD_PAIR_STRING("via", s->gateway))),
				SD_JSON_BUILD_PAIR_OBJECT("nameservers", SD_JSON_BUILD_PAIR_VARIANT("addresses", s->resolvers)))));
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
