/* The secret of a disk opens for the farm, the disk and the key that it was sealed for, and for nothing else. */
#include "api/recovery.h"

#include "base/parse.h"
#include "test/t.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"
#define OTHER_UUID "01234567-89ab-cdef-0123-456789abcdee"

static void it_opens_where_it_belongs(void)
{
	AUTO_KEY struct key farm = KEY_NONE, other = KEY_NONE, node = KEY_NONE, recovery = KEY_NONE;
	AUTO_SEAL_KEY struct seal_key right, wrong;
	uint8_t secret[RECOVERY_SECRET_LEN];

	T_NEED(!key_new(KEY_FARM, &farm) && !key_new(KEY_FARM, &other) && !key_new(KEY_NODE, &node) && !key_new(KEY_FARM, &recovery), "keys");
	T_NEED(!seal_key_derive(&recovery, &right) && !seal_key_derive(&farm, &wrong), "derive");
	memset(secret, 0x5a, sizeof(secret));
	const struct {
		const struct seal_key *key;
		struct recovery_place at;
		int r;
	} rows[] = {
		{ &right, { &farm.pub, &farm.pub, UUID }, 0 },          { &wrong, { &farm.pub, &farm.pub, UUID }, -EBADMSG },
		{ &right, { &other.pub, &other.pub, UUID }, -EBADMSG }, { &right, { &farm.pub, &farm.pub, OTHER_UUID }, -EBADMSG },
		{ &right, { &farm.pub, &node.pub, UUID }, -EBADMSG }, /* what lies on a disk is no order to a node */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_BUF struct buf sealed = { 0 };
		uint8_t back[RECOVERY_SECRET_LEN] = { 0 };
		int r;

		T_NEED(!recovery_seal(right.pub, &rows[0].at, secret, &sealed), "seal");
		T_CHECK(sealed.len == RECOVERY_SEALED_TEXT_LEN, "%zu", sealed.len);
		r = recovery_open(rows[i].key, &rows[i].at, buf_str(&sealed), back);
		T_CHECK(r == rows[i].r && (r || !memcmp(back, secret, sizeof(back))), "row %zu: %d", i, r);
	}
}

static void nothing_else_is_taken_for_it(void)
{
	AUTO_KEY struct key farm = KEY_NONE, recovery = KEY_NONE;
	AUTO_SEAL_KEY struct seal_key k;
	AUTO_BUF struct buf sealed = { 0 }, shorter = { 0 };
	uint8_t secret[RECOVERY_SECRET_LEN] = { 1 }, back[RECOVERY_SECRET_LEN];
	struct seal_place place;

	T_NEED(!key_new(KEY_FARM, &farm) && !key_new(KEY_FARM, &recovery) && !seal_key_derive(&recovery, &k), "keys");
	const struct recovery_place at = { &farm.pub, &farm.pub, UUID };
	place = (struct seal_place){ &farm.pub, &farm.pub, "disk " UUID };
	T_NEED(!recovery_seal(k.pub, &at, secret, &sealed) && !recovery_open(&k, &at, buf_str(&sealed), back), "good");
	T_CHECK(recovery_open(&k, &at, (struct str){ sealed.p, sealed.len - 4 }, back) == -EBADMSG, "shorter");
	sealed.p[100] = '!';
	T_CHECK(recovery_open(&k, &at, buf_str(&sealed), back) == -EBADMSG, "no base64");
	AUTO_BUF struct buf bytes = { 0 };
	T_NEED(!seal_value(k.pub, &place, S("short"), &bytes), "seal");
	format_base64(&shorter, bytes.p, bytes.len);
	T_CHECK(recovery_open(&k, &at, buf_str(&shorter), back) == -EBADMSG, "a secret of another length");
}

static void a_public_key_is_text(void)
{
	AUTO_KEY struct key recovery = KEY_NONE;
	AUTO_SEAL_KEY struct seal_key k;
	AUTO_BUF struct buf text = { 0 };
	uint8_t back[SEAL_PUB_LEN];

	T_NEED(!key_new(KEY_FARM, &recovery) && !seal_key_derive(&recovery, &k), "keys");
	format_base64(&text, k.pub, sizeof(k.pub));
	T_CHECK(text.len == RECOVERY_PUB_TEXT_LEN && !recovery_pub_parse(buf_str(&text), back) && !memcmp(back, k.pub, sizeof(back)), "%zu",
		text.len);
	T_CHECK(recovery_pub_parse((struct str){ text.p, text.len - 4 }, back) == -EINVAL, "too short");
	T_CHECK(recovery_pub_parse(S(""), back) == -EINVAL, "empty");
	text.p[0] = ' ';
	T_CHECK(recovery_pub_parse(buf_str(&text), back) == -EINVAL, "no base64");
}

int main(void)
{
	T_RUN(it_opens_where_it_belongs);
	T_RUN(nothing_else_is_taken_for_it);
	T_RUN(a_public_key_is_text);
	return T_END();
}
