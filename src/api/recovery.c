#include "api/recovery.h"

#include "base/parse.h"

enum { NAME_MAX_LEN = 48 };

/* No secret in a deployment can be called that: its name has no space. */
static struct seal_place place_of(const struct recovery_place *at, char name[static NAME_MAX_LEN])
{
	AUTO_BUF struct buf b = { 0 };

	buf_addf(&b, "disk %.36s", at->uuid);
	BUG_ON(buf_check(&b) || b.len >= NAME_MAX_LEN);
	memcpy(name, b.p, b.len + 1);
	return (struct seal_place){ at->farm, at->to, name };
}

int recovery_pub_parse(struct str text, uint8_t ret[static SEAL_PUB_LEN])
{
	AUTO_BUF struct buf b = { 0 };

	if (text.n != RECOVERY_PUB_TEXT_LEN || parse_base64(text, &b) || b.len != SEAL_PUB_LEN)
		return -EINVAL;
	memcpy(ret, b.p, b.len);
	return 0;
}

int recovery_seal(const uint8_t pub[static SEAL_PUB_LEN], const struct recovery_place *at, const uint8_t secret[static RECOVERY_SECRET_LEN],
		  struct buf *ret)
{
	AUTO_BUF struct buf sealed = { 0 };
	char name[NAME_MAX_LEN];
	struct seal_place place = place_of(at, name);
	int r = seal_value(pub, &place, (struct str){ (const char *)secret, RECOVERY_SECRET_LEN }, &sealed);

	if (r)
		return r;
	format_base64(ret, sealed.p, sealed.len);
	return buf_check(ret) ? -ENOMEM : 0;
}

int recovery_open(const struct seal_key *k, const struct recovery_place *at, struct str sealed, uint8_t ret[static RECOVERY_SECRET_LEN])
{
	AUTO_SECRET struct buf clear = { 0 };
	AUTO_BUF struct buf bytes = { 0 };
	char name[NAME_MAX_LEN];
	struct seal_place place = place_of(at, name);
	int r;

	if (sealed.n != RECOVERY_SEALED_TEXT_LEN || parse_base64(sealed, &bytes))
		return -EBADMSG;
	if ((r = seal_open(k, &place, buf_str(&bytes), &clear)))
		return r;
	if (clear.len != RECOVERY_SECRET_LEN)
		return -EBADMSG;
	memcpy(ret, clear.p, clear.len);
	return 0;
}
