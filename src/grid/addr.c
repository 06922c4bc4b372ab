#include "grid/addr.h"

#include <stdio.h>
#include <unistd.h>

int hub_urls_split(char *urls, const char *ret[static HUB_URLS_MAX])
{
	int n = 0;

	for (char *save, *at = strtok_r(urls, ",", &save); at; at = strtok_r(NULL, ",", &save)) {
		char host[256], port[8];

		if (n == HUB_URLS_MAX || (strncmp(at, "nats://", 7) && strncmp(at, "tls://", 6)) || hub_url_parse(at, host, port))
			return -EINVAL;
		ret[n++] = at;
	}
	return n ? n : -EINVAL;
}

int hub_url_parse(const char *urls, char ret_host[static 256], char ret_port[static 8])
{
	const char *at = strstr(urls, "://");
	struct str rest = str_c(at ? at + 3 : urls), one, host, port;
	size_t colon;

	str_next(&rest, ',', &one);
	for (colon = one.n; colon && one.p[colon - 1] != ':'; colon--)
		;
	if (!colon)
		return -EINVAL;
	host = (struct str){ one.p, colon - 1 };
	port = (struct str){ one.p + colon, one.n - colon };
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = (struct str){ host.p + 1, host.n - 2 };
	if (!host.n || host.n > 255 || !port.n || port.n > 7)
		return -EINVAL;
	snprintf(ret_host, 256, STR_FMT, STR_ARG(host));
	snprintf(ret_port, 8, STR_FMT, STR_ARG(port));
	return 0;
}

int hub_addr_parse(const struct hub_addr *a, struct key_pub *ret_account, struct key *ret_signer, struct err *e)
{
	const char *url[HUB_URLS_MAX];
	char urls[HUB_URL_MAX];
	int n;

	snprintf(urls, sizeof(urls), "%s", a->url);
	if ((n = hub_urls_split(urls, url)) < 0)
		return err_set(e, -EINVAL, "hub '%.100s': an address looks like nats://host:4222 or tls://host:4222", a->url);
	for (int i = 1; i < n; i++)
		if (strncmp(url[i], url[0], 4))
			return err_set(e, -EINVAL, "hub '%.100s': all servers of one hub have nats:// addresses, or all tls://", a->url);
	if (a->ca[0] && strncmp(a->url, "tls://", 6))
		return err_set(e, -EINVAL, "hub '%.100s': a certificate authority goes with a tls:// address", a->url);
	if (strlen(a->key) != HUB_KEY_SIZE - 1 || key_pub_parse((struct str){ a->key, KEY_TEXT_LEN }, ret_account) ||
	    key_seed_parse(str_c(a->key + KEY_TEXT_LEN), ret_signer) || ret_account->role != KEY_FARM)
		return err_set(e, -EINVAL, "hub %.100s: its key is damaged: take it from 'zos hub' again", a->url);
	return 0;
}

int hub_addr_check(const struct hub_addr *a, struct err *e)
{
	struct key_pub account;
	AUTO_KEY struct key signer = KEY_NONE;

	return hub_addr_parse(a, &account, &signer, e);
}

static int ca_take(char ret[static HUB_CA_MAX], const char *ca)
{
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	AUTO_BUF struct buf pem = { .limit = HUB_CA_MAX };
	size_t n = strlen(ca), body = strspn(ca, base64);

	if (str_starts(str_c(ca), S("-----BEGIN"))) {
		buf_addf(&pem, "%s", ca);
	} else {
		if (!body || n % 4 || n - body > 2 || strspn(ca + body, "=") != n - body)
			return -EINVAL;
		buf_add(&pem, S("-----BEGIN CERTIFICATE-----\n"));
		for (size_t at = 0; at < n; at += 64)
			buf_addf(&pem, "%.64s\n", ca + at);
		buf_add(&pem, S("-----END CERTIFICATE-----\n"));
	}
	if (buf_check(&pem) || pem.len >= HUB_CA_MAX)
		return -EMSGSIZE;
	snprintf(ret, HUB_CA_MAX, "%s", pem.p);
	return 0;
}

void hub_ca_line(const char *pem, struct buf *ret)
{
	struct str rest = str_c(pem), line;

	while (str_next(&rest, '\n', &line) && !str_starts(line, S("-----END")))
		if (!str_starts(line, S("-----")))
			buf_add(ret, line);
}

int hub_addr_make(struct hub_addr *ret, const char *url, const char *key, const char *ca, struct err *e)
{
	struct hub_addr a = { 0 };
	int r;

	if ((size_t)snprintf(a.url, sizeof(a.url), "%s", url) >= sizeof(a.url) || (size_t)snprintf(a.key, sizeof(a.key), "%s", key) >= sizeof(a.key))
		return err_set(e, -EMSGSIZE, "hub %.100s: its address or its key is too long", url);
	r = ca && *ca ? ca_take(a.ca, ca) : 0;
	if (r)
		return err_set(e, r, "hub %.100s: its certificate authority is no certificate in PEM or base64, or longer than %d bytes", url,
			       HUB_CA_MAX - 1);
	if ((r = hub_addr_check(&a, e)))
		return r;
	*ret = a;
	return 0;
}

int hub_addrs_add(struct hub_addr list[static HUBS_MAX], size_t *n, const struct hub_addr *a, struct err *e)
{
	for (size_t i = 0; i < *n; i++) {
		size_t len = strlen(list[i].url);
		struct hub_addr both = list[i];

		if (strcmp(list[i].key, a->key))
			continue;
		if (strcmp(list[i].ca, a->ca))
			return err_set(e, -EINVAL, "hub %.100s: its servers have different certificate authorities", a->url);
		if ((size_t)snprintf(both.url + len, sizeof(both.url) - len, ",%s", a->url) >= sizeof(both.url) - len)
			return err_set(e, -EMSGSIZE, "hub %.100s: too many servers", list[i].url);
		if (hub_addr_check(&both, e))
			return -EINVAL;
		list[i] = both;
		return 0;
	}
	if (*n == HUBS_MAX)
		return err_set(e, -ENOSPC, "hub %.100s: %d hubs are the most there can be", a->url, HUBS_MAX);
	list[(*n)++] = *a;
	return 0;
}

const char *hub_ca_file(void)
{
	static const char *const files[] = {
		"/etc/ssl/certs/ca-certificates.crt", /* Debian, and a node */
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem",
		"/etc/ssl/cert.pem",
	};

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (!access(files[i], R_OK))
			return files[i];
	return NULL;
}
