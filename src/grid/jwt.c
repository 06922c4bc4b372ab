#include "grid/jwt.h"

#include "base/parse.h"

#include <time.h>

void format_base64url(struct buf *b, const void *p, size_t n)
{
	AUTO_BUF struct buf text = { 0 };

	format_base64(&text, p, n);
	for (size_t i = 0; i < text.len; i++)
		text.p[i] = text.p[i] == '+' ? '-' : text.p[i] == '/' ? '_' : text.p[i];
	while (text.len && text.p[text.len - 1] == '=')
		text.len--;
	buf_add(b, buf_str(&text));
}

int jwt_sign(const struct key *issuer, struct str claims, struct buf *ret)
{
	static const struct str head = S("{\"typ\":\"JWT\",\"alg\":\"ed25519-nkey\"}");
	AUTO_BUF struct buf token = { 0 };
	uint8_t sig[KEY_SIG_LEN];
	int r;

	format_base64url(&token, head.p, head.n);
	buf_add(&token, S("."));
	format_base64url(&token, claims.p, claims.n);
	r = buf_check(&token);
	if (!r)
		r = key_sign(issuer, token.p, token.len, sig);
	if (r)
		return r;
	buf_add(&token, S("."));
	format_base64url(&token, sig, sizeof(sig));
	buf_add(ret, buf_str(&token));
	return token.failed ? -ENOBUFS : buf_check(ret);
}

int jwt_user(const struct key *issuer, const char *account, const struct key_pub *user, bool free, struct buf *ret)
{
	AUTO_BUF struct buf claims = { 0 };
	char iss[KEY_TEXT_SIZE], sub[KEY_TEXT_SIZE];

	key_pub_format(iss, &issuer->pub);
	key_pub_format(sub, user);
	buf_addf(&claims,
		 "{\"iat\":%lld,\"iss\":\"%s\",\"name\":\"zos\",\"sub\":\"%s\",\"nats\":{\"issuer_account\":\"%s\","
		 "\"pub\":{},\"sub\":{},%s\"type\":\"user\",\"version\":2}}",
		 (long long)time(NULL), iss, sub, account, free ? "\"subs\":-1,\"data\":-1,\"payload\":-1," : "");
	return claims.failed ? -ENOBUFS : jwt_sign(issuer, buf_str(&claims), ret);
}
