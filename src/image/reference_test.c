#include "image/reference.h"

#include "test/t.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HUB "registry-1.docker.io"

static void takes_what_people_write(void)
{
	static const struct {
		const char *in, *host, *repository, *tag, *digest;
	} rows[] = {
		{ "nginx", HUB, "library/nginx", "latest", "" },
		{ "nginx:1.27", HUB, "library/nginx", "1.27", "" },
		{ "local/app@sha256:" HEX, "local", "app", "", "sha256:" HEX },
		{ "docker.io/local/app", HUB, "local/app", "latest", "" },
		{ "docker.io/nginx", HUB, "library/nginx", "latest", "" },
		{ "docker.io/me/app:x", HUB, "me/app", "x", "" },
		{ "me/app", HUB, "me/app", "latest", "" },
		{ "localhost/app", "localhost", "app", "latest", "" },
		{ "localhost:5000/app:1", "localhost:5000", "app", "1", "" },
		{ "10.0.2.2:5000/a/b/c:v1", "10.0.2.2:5000", "a/b/c", "v1", "" },
		{ "ghcr.io/a/b@sha256:" HEX, "ghcr.io", "a/b", "", "sha256:" HEX },
		{ "ghcr.io/a/b:t@sha256:" HEX, "ghcr.io", "a/b", "t", "sha256:" HEX },
		{ "ghcr.io/a__b/c.d-e", "ghcr.io", "a__b/c.d-e", "latest", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct reference r;
		struct err e = { 0 };

		if (!T_CHECK(!reference_parse(str_c(rows[i].in), &r, &e), "%s: %s", rows[i].in, e.msg))
			continue;
		T_CHECK(!strcmp(r.host, rows[i].host) && !strcmp(r.repository, rows[i].repository) && !strcmp(r.tag, rows[i].tag) &&
				!strcmp(r.digest, rows[i].digest),
			"%s: %s %s %s %s", rows[i].in, r.host, r.repository, r.tag, r.digest);
	}
}

static void refuses_the_rest(void)
{
	static const char *const rows[] = {
		"",
		"/",
		":",
		"@",
		"Nginx",
		"nginx:",
		"a//b",
		"a/",
		"/a",
		"a/../b",
		"a/./b",
		"ghcr.io/",
		"ghcr.io/../x",
		"a b",
		"a\nb",
		"https://ghcr.io/a",
		"user@ghcr.io/a",
		"ghcr.io:/a",
		"ghcr.io:80x/a",
		"ghcr.io:123456/a",
		"a@sha256:abc",
		("a@md5:" HEX),
		("a@sha256:" HEX "0"),
		"a:-x",
		"a:.x",
		"a:b:c",
		"a?x",
		"a#x",
		"a%2f",
		".a",
		"-a",
		"a..b",
		"[::1]/a",
		"gh/cr.io:5/a",
		("a@sha256:" HEX "@sha256:" HEX),
		"local/app",
		"local/app:1",
		("local/app:1@sha256:" HEX),
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct reference r;
		struct err e = { 0 };

		T_CHECK(reference_parse(str_c(rows[i]), &r, &e) == -EBADMSG && e.msg[0], "'%s' was taken", rows[i]);
	}
}

static void long_ones_end(void)
{
	static const size_t lengths[] = { 129, 256, 300, 600 };

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		char text[700] = "r.io/a:";
		struct reference r;

		memset(text + 7, 'x', lengths[i]);
		T_CHECK(reference_parse((struct str){ text, 7 + lengths[i] }, &r, NULL) == -EBADMSG, "a tag of %zu", lengths[i]);
		T_CHECK(lengths[i] < 256 || reference_parse((struct str){ text + 8, lengths[i] - 1 }, &r, NULL) == -EBADMSG, "a name of %zu",
			lengths[i]);
	}
}

int main(void)
{
	T_RUN(takes_what_people_write);
	T_RUN(refuses_the_rest);
	T_RUN(long_ones_end);
	return T_END();
}
