#include "ident/seal.h"

#include "test/t.h"

struct fixture {
	struct key node, owner, other;
	struct seal_key key;
};

static void fixture_new(struct fixture *f)
{
	T_NEED(!key_new(KEY_NODE, &f->node) && !key_new(KEY_USER, &f->owner) && !key_new(KEY_USER, &f->other), "keys");
	T_NEED(!seal_key_derive(&f->node, &f->key), "derive");
}

static void what_is_sealed_opens_where_it_belongs(void)
{
	struct fixture f;
	struct key second = KEY_NONE;
	struct seal_key again, strange;

	fixture_new(&f);
	T_NEED(!key_new(KEY_NODE, &second) && !seal_key_derive(&second, &strange) && !seal_key_derive(&f.node, &again), "keys");
	T_CHECK(!memcmp(&again, &f.key, sizeof(again)), "an identity has one sealing key");
	const struct {
		const struct seal_key *key;
		struct seal_place at;
		int r;
	} rows[] = {
		{ &f.key, { &f.owner.pub, &f.node.pub, "db" }, 0 },          { &f.key, { &f.other.pub, &f.node.pub, "db" }, -EBADMSG },
		{ &f.key, { &f.owner.pub, &second.pub, "db" }, -EBADMSG },   { &f.key, { &f.owner.pub, &f.node.pub, "db2" }, -EBADMSG },
		{ &strange, { &f.owner.pub, &f.node.pub, "db" }, -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_SECRET struct buf clear = { 0 };
		AUTO_BUF struct buf sealed = { 0 };
		int r;

		T_NEED(!seal_value(f.key.pub, &rows[0].at, S("hunter2"), &sealed), "seal");
		T_CHECK(sealed.len == strlen("hunter2") + SEAL_OVERHEAD, "%zu", sealed.len);
		r = seal_open(rows[i].key, &rows[i].at, buf_str(&sealed), &clear);
		T_CHECK(r == rows[i].r && (r || str_eq(buf_str(&clear), S("hunter2"))), "row %zu: %d", i, r);
	}
}

static void no_bit_of_it_may_change(void)
{
	struct fixture f;
	AUTO_BUF struct buf sealed = { 0 };

	fixture_new(&f);
	struct seal_place at = { &f.owner.pub, &f.node.pub, "x" };
	T_NEED(!seal_value(f.key.pub, &at, S("v"), &sealed), "seal");
	for (size_t i = 0; i <= sealed.len; i++) { /* the last one changes nothing */
		AUTO_SECRET struct buf clear = { 0 };
		int r;

		if (i < sealed.len)
			sealed.p[i] ^= 1;
		r = seal_open(&f.key, &at, buf_str(&sealed), &clear);
		T_CHECK(r == (i < sealed.len ? -EBADMSG : 0), "byte %zu: %d", i, r);
		if (i < sealed.len)
			sealed.p[i] ^= 1;
	}
	for (size_t n = 0; n < sealed.len; n += 37) {
		AUTO_SECRET struct buf clear = { 0 };

		T_CHECK(seal_open(&f.key, &at, (struct str){ sealed.p, n }, &clear) == -EBADMSG, "%zu bytes", n);
	}
}

/* Both halves are real: the value does not open when one of them is another key's. */
static void both_keys_are_needed(void)
{
	struct fixture f;
	struct key second = KEY_NONE;
	struct seal_key strange, half;

	fixture_new(&f);
	T_NEED(!key_new(KEY_NODE, &second) && !seal_key_derive(&second, &strange), "keys");
	struct seal_place at = { &f.owner.pub, &f.node.pub, "x" };
	for (int i = 0; i < 3; i++) {
		AUTO_SECRET struct buf clear = { 0 };
		AUTO_BUF struct buf sealed = { 0 };

		half = f.key;
		if (i == 1)
			memcpy(half.x25519, strange.x25519, sizeof(half.x25519));
		if (i == 2)
			memcpy(half.mlkem, strange.mlkem, sizeof(half.mlkem));
		T_NEED(!seal_value(f.key.pub, &at, S("v"), &sealed), "seal");
		T_CHECK(seal_open(&half, &at, buf_str(&sealed), &clear) == (i ? -EBADMSG : 0), "half %d", i);
	}
}

static void sizes_have_limits(void)
{
	static char large[SEAL_CLEAR_MAX + 1];
	struct fixture f;
	AUTO_BUF struct buf sealed = { 0 };
	AUTO_SECRET struct buf clear = { 0 };

	fixture_new(&f);
	struct seal_place at = { &f.owner.pub, &f.node.pub, "x" };
	T_CHECK(seal_value(f.key.pub, &at, S(""), &sealed) == -EINVAL, "empty");
	T_CHECK(seal_value(f.key.pub, &at, (struct str){ large, sizeof(large) }, &sealed) == -EINVAL, "too long");
	T_CHECK(!seal_value(f.key.pub, &at, (struct str){ large, SEAL_CLEAR_MAX }, &sealed), "as long as may be");
	T_CHECK(!seal_open(&f.key, &at, buf_str(&sealed), &clear) && clear.len == SEAL_CLEAR_MAX, "and back");
}

static void equal_values_have_equal_marks(void)
{
	char a[SEAL_MARK_LEN + 1], b[SEAL_MARK_LEN + 1], c[SEAL_MARK_LEN + 1], digest[SEAL_DIGEST_LEN + 1];
	struct fixture f;

	fixture_new(&f);
	seal_mark(&f.key, S("one"), a);
	seal_mark(&f.key, S("one"), b);
	seal_mark(&f.key, S("two"), c);
	T_CHECK(!strcmp(a, b) && strcmp(a, c) && strlen(a) == SEAL_MARK_LEN, "%s %s %s", a, b, c);
	seal_digest(f.key.pub, digest);
	T_CHECK(strlen(digest) == SEAL_DIGEST_LEN, "%s", digest);
}

int main(void)
{
	T_RUN(what_is_sealed_opens_where_it_belongs);
	T_RUN(no_bit_of_it_may_change);
	T_RUN(both_keys_are_needed);
	T_RUN(sizes_have_limits);
	T_RUN(equal_values_have_equal_marks);
	return T_END();
}
