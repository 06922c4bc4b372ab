#define OPENSSL_API_COMPAT 10101 /* SHA-1 alone: EVP would link all of libcrypto's algorithms into a static program of half the size */

#include "zdb/call.h"

#include "base/parse.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>

enum { SHA1_HEX = 40 };

void call_ok(struct call *c)
{
	resp_simple(c->out, "OK");
}

void call_refuse(struct call *c, const char *why)
{
	c->shared->counters.failed++;
	c->is_refused = true;
	resp_error(c->out, why);
}

struct str call_word(const struct call *c, size_t i)
{
	return c->in->words[i];
}

bool call_is_word(struct str s, const char *upper)
{
	return s.n == strlen(upper) && !strncasecmp(s.p, upper, s.n);
}

/* Takes as long for each wrong one. */
static bool is_secret(struct str given, const char *secret)
{
	size_t n = strlen(secret);
	uint8_t differs = given.n != n;

	for (size_t i = 0; i < n; i++)
		differs |= (uint8_t)((i < given.n ? given.p[i] : 0) ^ secret[i]);
	return !differs;
}

/* SHA-1 over "CHALLENGE:PASSWORD", in hex. */
static bool is_answer(struct call *c, struct str given, const char *password)
{
	char text[CHALLENGE_HEX + 2 + ADMIN_PASSWORD_MAX]; /* a namespace's is no longer */
	AUTO_BUF struct buf hex = { 0 };
	uint8_t sum[SHA_DIGEST_LENGTH];
	SHA_CTX sha;
	bool is;

	snprintf(text, sizeof(text), "%s:%s", c->session->challenge, password);
	SHA1_Init(&sha);
	SHA1_Update(&sha, text, strlen(text));
	SHA1_Final(sum, &sha);
	explicit_bzero(text, sizeof(text));
	format_hex(&hex, sum, sizeof(sum));
	is = !buf_check(&hex) && is_secret(given, hex.p);
	c->session->challenge[0] = '\0'; /* once */
	return is;
}

bool call_is_admitted(struct call *c, size_t at, const char *password)
{
	if (c->in->n == at + 1) {
		if (is_secret(call_word(c, at), password))
			return true;
	} else if (!call_is_word(call_word(c, at), "SECURE")) {
		call_refuse(c, "Only SECURE extra method supported");
		return false;
	} else if (!c->session->challenge[0]) {
		call_refuse(c, "No CHALLENGE requested, secure authentication not available");
		return false;
	} else if (call_word(c, at + 1).n != SHA1_HEX) {
		call_refuse(c, "Invalid hash length");
		return false;
	} else if (is_answer(c, call_word(c, at + 1), password)) {
		return true;
	}
	c->shared->counters.unauthorized++;
	call_refuse(c, "Access denied");
	return false;
}

void call_volume(struct buf *b, const char *name, uint64_t bytes)
{
	buf_addf(b, "%s_bytes: %" PRIu64 "\n%s_mb: %.2f\n", name, bytes, name, (double)bytes / (1 << 20));
}

void call_disk_error(struct call *c, int r, const char *otherwise)
{
	if (r == -EBADMSG || r == -EIO) {
		c->shared->counters.read_failed++;
		c->session->space->io_errors++;
		c->session->space->io_error_s = c->time_s;
	}
	call_refuse(c, r == -ENOSPC ? "No space left on device" : r == -EBADMSG ? "Data is damaged on the disk" : otherwise);
}

struct namespace *call_named(struct call *c, const char *otherwise)
{
	struct namespace *n = NULL;

	if (call_word(c, 1).n > NAMESPACE_NAME_MAX)
		call_refuse(c, "Namespace too long");
	else if (!(n = store_find(&c->shared->store, call_word(c, 1))))
		call_refuse(c, otherwise);
	return n;
}
