#include "cli/profile.h"

#include "base/file.h"
#include "base/parse.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { PROFILE_SIZE_MAX = 64 * 1024 };

static int dir_find(char *ret, size_t size, struct err *e)
{
	const char *own = getenv("ZOS_CONFIG"), *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int n;

	if (own && *own)
		n = snprintf(ret, size, "%s", own);
	else if (xdg && xdg[0] == '/')
		n = snprintf(ret, size, "%s/zos", xdg);
	else if (home && *home)
		n = snprintf(ret, size, "%s/.config/zos", home);
	else
		return err_set(e, -ENOENT, "no place for keys: set HOME or ZOS_CONFIG");
	return (size_t)n < size ? 0 : err_set(e, -ENAMETOOLONG, "the configuration directory's name is too long");
}

struct profile_doc {
	struct farm_hub hub /* as it was written when there was one only */, hubs[HUBS_MAX];
	size_t n_hubs;
	struct key_pub farm;
};
static const struct json_field hub_fields[] = {
	{ "url", JSON_TEXT, offsetof(struct farm_hub, url), .required = true, .max = HUB_URL_MAX - 1 },
	{ "key", JSON_TEXT, offsetof(struct farm_hub, key), .required = true, .max = HUB_KEY_SIZE - 1 },
	{ "ca", JSON_TEXT, offsetof(struct farm_hub, ca), .max = HUB_CA_MAX - 1 },
};
static const struct json_table hub_table = { hub_fields, ARRAY_LEN(hub_fields), sizeof(struct farm_hub), NULL };
static const struct json_field profile_fields[] = {
	{ "hub", JSON_OBJECT, offsetof(struct profile_doc, hub), .table = &hub_table },
	{ "hubs", JSON_LIST, offsetof(struct profile_doc, hubs), .max = HUBS_MAX, .table = &hub_table,
	  .n_off = offsetof(struct profile_doc, n_hubs) },
	{ "farm", JSON_KEY, offsetof(struct profile_doc, farm) },
};
static const struct json_table profile_table = { profile_fields, ARRAY_LEN(profile_fields), 0, NULL };

static int profile_read(struct profile *p, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	AUTO_JSON sd_json_variant *v = NULL;
	struct profile_doc d = { 0 };
	int r = file_read(p->dir_fd, "profile.json", PROFILE_SIZE_MAX, &text, e);

	if (r)
		return r == -ENOENT ? 0 : r;
	if ((r = json_parse(buf_str(&text), &v, e)) || (r = json_decode(v, &profile_table, &d, e)))
		return err_wrap(e, r, "%s/profile.json", p->dir);
	if (d.hub.url && !d.n_hubs)
		d.hubs[d.n_hubs++] = d.hub;
	for (size_t i = 0; i < d.n_hubs; i++)
		if ((r = hub_addr_make(&p->hubs[p->n_hubs++], d.hubs[i].url, d.hubs[i].key, d.hubs[i].ca, e)))
			return err_wrap(e, r, "%s/profile.json", p->dir);
	p->farm = d.farm;
	return 0;
}

int profile_hub_set(struct profile *p, const struct hub_addr *a, struct err *e)
{
	for (size_t i = 0; i < p->n_hubs; i++)
		if (!strcmp(p->hubs[i].key, a->key)) {
			p->hubs[i] = *a;
			return 0;
		}
	if (p->n_hubs == HUBS_MAX)
		return err_set(e, -ENOSPC, "there are %d hubs already, which is the most: 'zos hub forget' one first", HUBS_MAX);
	p->hubs[p->n_hubs++] = *a;
	return 0;
}

int profile_hubs_json(const struct profile *p, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && i < p->n_hubs; i++) {
		AUTO_JSON sd_json_variant *one = NULL;

		r = sd_json_buildo(&one, SD_JSON_BUILD_PAIR_STRING("url", p->hubs[i].url), SD_JSON_BUILD_PAIR_STRING("key", p->hubs[i].key),
				   SD_JSON_BUILD_PAIR_CONDITION(p->hubs[i].ca[0] != '\0', "ca", SD_JSON_BUILD_STRING(p->hubs[i].ca)));
		if (r >= 0)
			r = sd_json_variant_append_array(ret, one);
	}
	return r;
}

int profile_open(struct profile *ret, struct err *e)
{
	struct profile p = PROFILE_NONE;
	int r;

	*ret = p;
	if ((r = dir_find(p.dir, sizeof(p.dir), e)) || (r = dir_make(p.dir, 0700, e)))
		return r;
	p.dir_fd = open(p.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.dir_fd < 0)
		return err_set(e, -errno, "open %s: %m", p.dir);
	*ret = p;
	return profile_read(ret, e);
}

void profile_close(struct profile *p)
{
	fd_close(&p->dir_fd);
}

int profile_save(const struct profile *p, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL, *hubs = NULL;
	AUTO_BUF struct buf text = { 0 };
	char farm[KEY_TEXT_SIZE] = "";

	if (p->farm.role)
		key_pub_format(farm, &p->farm);
	if (profile_hubs_json(p, &hubs) < 0 ||
	    sd_json_buildo(&v, SD_JSON_BUILD_PAIR_VARIANT("hubs", hubs),
			   SD_JSON_BUILD_PAIR_CONDITION(p->farm.role != 0, "farm", SD_JSON_BUILD_STRING(farm))) < 0 ||
	    json_format(v, &text))
		return err_set(e, -ENOMEM, "write the profile: out of memory");
	return file_save(p->dir_fd, "profile.json", buf_str(&text), 0600, e);
}

static int key_make(const struct profile *p, const char *file, char role, struct key *ret, struct err *e)
{
	char seed[KEY_SEED_SIZE + 1];
	int r;

	if (key_new(role, ret))
		return err_set(e, -ENOMEM, "make a key: out of memory");
	key_seed_format(seed, ret);
	strcat(seed, "\n");
	r = file_save(p->dir_fd, file, str_c(seed), 0600, e);
	explicit_bzero(seed, sizeof(seed));
	return r;
}

int profile_key(const struct profile *p, const char *file, char role, bool make, struct key *ret, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	struct str line, rest;
	struct stat st;
	int r = file_read(p->dir_fd, file, 256, &text, e);

	if (r == -ENOENT && make)
		return key_make(p, file, role, ret, e);
	if (r)
		return r;
	if (fstatat(p->dir_fd, file, &st, 0) || (st.st_mode & 077))
		return err_set(e, -EPERM, "%s/%s can be read by others: make a new key, or 'chmod 600' it if nobody did", p->dir, file);
	rest = buf_str(&text);
	r = str_next(&rest, '\n', &line) ? key_seed_parse(line, ret) : -EINVAL;
	explicit_bzero(text.p, text.len);
	return r || ret->pub.role != role ? err_set(e, -EBADMSG, "%s/%s holds no secret key of the right kind", p->dir, file) : 0;
}

void profile_place_get(const struct profile *p, const char *deployment, struct key_pub *ret)
{
	AUTO_BUF struct buf text = { 0 };
	char path[64];

	*ret = (struct key_pub){ 0 };
	snprintf(path, sizeof(path), "places/%s", deployment);
	if (!file_read(p->dir_fd, path, KEY_TEXT_LEN, &text, NULL))
		(void)!key_pub_parse(buf_str(&text), ret);
}

void profile_place_set(const struct profile *p, const char *deployment, const struct key_pub *node)
{
	char path[64], text[KEY_TEXT_SIZE];

	key_pub_format(text, node);
	mkdirat(p->dir_fd, "places", 0700);
	snprintf(path, sizeof(path), "places/%s", deployment);
	(void)!file_save(p->dir_fd, path, str_c(text), 0600, NULL); /* a convenience: without it --node is needed */
}
