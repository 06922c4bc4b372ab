#include "image/reference.h"

#include <stdio.h>

#define HUB_HOST "registry-1.docker.io" /* what "no host" means in a reference: part of the grammar */
static const char *const hub_names[] = { "docker.io", "index.docker.io" };

static bool is_lower_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_word(char c)
{
	return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

bool digest_ok(struct str s)
{
	if (s.n != DIGEST_LEN || !str_starts(s, S("sha256:")))
		return false;
	for (size_t i = 7; i < s.n; i++)
		if (!(s.p[i] >= '0' && s.p[i] <= '9') && !(s.p[i] >= 'a' && s.p[i] <= 'f'))
			return false;
	return true;
}

static bool port_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n >= 1 && s.n <= 5;
}

/* A name or an IPv4 address, perhaps with a port. Addresses of IPv6 have no place in a reference. */
static bool host_ok(struct str s)
{
	struct str name;

	if (!str_next(&s, ':', &name) || !name.n || (s.p && !port_ok(s)))
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!is_word(name.p[i]) && name.p[i] != '.' && name.p[i] != '-')
			return false;
	return is_word(name.p[0]);
}

/* Parts of lower-case letters and digits, joined by single separators: so "." and ".." cannot stand in a URL. */
static bool part_ok(struct str s)
{
	if (!s.n || !is_lower_or_digit(s.p[0]) || !is_lower_or_digit(s.p[s.n - 1]))
		return false;
	for (size_t i = 1; i < s.n; i++)
		if (!is_lower_or_digit(s.p[i]) && s.p[i] != '-' && s.p[i] != '_' && (s.p[i] != '.' || s.p[i - 1] == '.'))
			return false;
	return true;
}

static bool repository_ok(struct str s)
{
	struct str part;

	while (str_next(&s, '/', &part))
		if (!part_ok(part))
			return false;
	return true;
}

static bool tag_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_word(s.p[i]) && (!i || (s.p[i] != '.' && s.p[i] != '-')))
			return false;
	return s.n > 0;
}

/* Cuts what stands behind the last SEP off *S. False when there is none. */
static bool cut_last(struct str *s, char sep, struct str *ret)
{
	const char *at = s->n ? memrchr(s->p, sep, s->n) : NULL;

	if (!at)
		return false;
	*ret = (struct str){ at + 1, (size_t)(s->p + s->n - at - 1) };
	s->n = (size_t)(at - s->p);
	return true;
}

static bool is_hub(struct str host)
{
	for (size_t i = 0; i < ARRAY_LEN(hub_names); i++)
		if (str_eq(host, str_c(hub_names[i])))
			return true;
	return false;
}

/* The host, when there is one, off the front of *REST. */
static struct str host_cut(struct str *rest)
{
	struct str after = *rest, first;

	if (!str_next(&after, '/', &first) || !after.p)
		return S("");
	if (!memchr(first.p, '.', first.n) && !memchr(first.p, ':', first.n) && !str_eq(first, S("localhost")) && !str_eq(first, S(REFERENCE_LOCAL)))
		return S("");
	*rest = after;
	return first;
}

static void fill(char *ret, size_t size, struct str s)
{
	snprintf(ret, size, STR_FMT, STR_ARG(s));
}

static int names_fill(struct str host, struct str repository, struct reference *ret)
{
	bool hub = !host.n || is_hub(host);

	if ((host.n && !host_ok(host)) || host.n > REFERENCE_HOST_MAX || !repository_ok(repository) ||
	    repository.n + sizeof("library/") > REFERENCE_REPOSITORY_MAX)
		return -EBADMSG;
	fill(ret->host, sizeof(ret->host), hub ? S(HUB_HOST) : host);
	snprintf(ret->repository, sizeof(ret->repository), "%s" STR_FMT, hub && !memchr(repository.p, '/', repository.n) ? "library/" : "",
		 STR_ARG(repository));
	return 0;
}

bool reference_is_local(const struct reference *r)
{
	return !strcmp(r->host, REFERENCE_LOCAL);
}

int reference_parse(struct str text, struct reference *ret, struct err *e)
{
	struct reference it = { 0 };
	struct str rest = text, digest = S(""), tag = S(""), host;

	if (cut_last(&rest, '@', &digest) && !digest_ok(digest))
		return err_set(e, -EBADMSG, "image '%.*s': what stands behind @ must be sha256: and 64 hex digits",
			       (int)(text.n < 200 ? text.n : 200), text.p);
	host = host_cut(&rest);
	if (rest.n && memchr(rest.p, ':', rest.n) && (!cut_last(&rest, ':', &tag) || !tag_ok(tag) || tag.n > REFERENCE_TAG_MAX))
		goto bad;
	if (names_fill(host, rest, &it))
		goto bad;
	fill(it.tag, sizeof(it.tag), tag.n ? tag : digest.n ? S("") : S("latest"));
	fill(it.digest, sizeof(it.digest), digest);
	if (reference_is_local(&it) && (tag.n || !digest.n))
		return err_set(e, -EBADMSG,
			       "image '%.*s': what was pushed to a node is named by its digest, " REFERENCE_LOCAL "/NAME@sha256:...: "
			       "'zos image list' shows it",
			       (int)(text.n < 200 ? text.n : 200), text.p);
	*ret = it;
	return 0;
bad:
	return err_set(e, -EBADMSG, "image '%.*s' is not [host[:port]/]name[:tag][@sha256:digest], in lower case", (int)(text.n < 200 ? text.n : 200),
		       text.p);
}
