#include "ident/key.h"

#include "test/t.h"

/* A seed and its public key as the nkeys documentation prints them. */
static const char seed_text[] = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
static const char pub_text[] = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

static void reads_a_foreign_key(void)
{
	AUTO_KEY struct key k = KEY_NONE;
	char text[KEY_TEXT_SIZE], seed[KEY_SEED_SIZE];

	T_NEED(!key_seed_parse(str_c(seed_text), &k), "the documented seed");
	key_pub_format(text, &k.pub);
	T_CHECK(!strcmp(text, pub_text), "%s", text);
	key_seed_format(seed, &k);
	T_CHECK(!strcmp(seed, seed_text), "%s", seed);
}

static void each_role_round_trips(void)
{
	for (const char *role = "ANU"; *role; role++) {
		AUTO_KEY struct key k = KEY_NONE, again = KEY_NONE;
		struct key_pub pub;
		char text[KEY_TEXT_SIZE], seed[KEY_SEED_SIZE];

		T_NEED(!key_new(*role, &k), "new %c", *role);
		key_pub_format(text, &k.pub);
		key_seed_format(seed, &k);
		T_CHECK(text[0] == *role && strlen(text) == KEY_TEXT_LEN, "%s", text);
		T_CHECK(seed[0] == 'S' && seed[1] == *role && strlen(seed) == KEY_SEED_LEN, "%.2s", seed);
		T_CHECK(!key_pub_parse(str_c(text), &pub) && key_pub_eq(&pub, &k.pub), "public");
		T_CHECK(!key_seed_parse(str_c(seed), &again) && key_pub_eq(&again.pub, &k.pub), "seed");
		T_CHECK(key_seed_parse(str_c(text), &again) == -EINVAL, "a public key is no seed");
	}
}

/* Every other spelling of a valid key is refused. */
static void one_wrong_letter_is_refused(void)
{
	struct key_pub k;
	char text[KEY_TEXT_SIZE];

	T_CHECK(!key_pub_parse(str_c(pub_text), &k), "as it should be");
	for (size_t i = 0; i < KEY_TEXT_LEN; i++) {
		strcpy(text, pub_text);
		text[i] = text[i] == 'A' ? 'B' : 'A';
		T_CHECK(key_pub_parse(str_c(text), &k) == -EINVAL, "letter %zu", i);
		text[i] = '1';
		T_CHECK(key_pub_parse(str_c(text), &k) == -EINVAL, "letter %zu not base32", i);
	}
	T_CHECK(key_pub_parse((struct str){ pub_text, KEY_TEXT_LEN - 1 }, &k) == -EINVAL, "short");
}

static void signs(void)
{
	AUTO_KEY struct key k = KEY_NONE, other = KEY_NONE;
	uint8_t sig[KEY_SIG_LEN];

	T_NEED(!key_new(KEY_USER, &k) && !key_new(KEY_USER, &other), "keys");
	T_CHECK(!key_sign(&k, "text", 4, sig) && key_verify(&k.pub, "text", 4, sig), "its own signature");
	T_CHECK(!key_verify(&k.pub, "texT", 4, sig), "another text");
	T_CHECK(!key_verify(&other.pub, "text", 4, sig), "another key");
	sig[0] ^= 1;
	T_CHECK(!key_verify(&k.pub, "text", 4, sig), "another signature");
}

/* What follows from it is secret, always the same, and another for each purpose. */
static void derives(void)
{
	AUTO_KEY struct key k = KEY_NONE, other = KEY_NONE;
	uint8_t a[32], again[32], b[32], c[32];

	T_NEED(!key_new(KEY_NODE, &k) && !key_new(KEY_NODE, &other), "keys");
	T_NEED(!key_derive(&k, "one", a, 32) && !key_derive(&k, "one", again, 32) && !key_derive(&k, "two", b, 32) &&
		       !key_derive(&other, "one", c, 32),
	       "derive");
	T_CHECK(!memcmp(a, again, 32) && memcmp(a, b, 32) && memcmp(a, c, 32) && memcmp(a, k.seed, 32), "of key and purpose");
}

int main(void)
{
	T_RUN(reads_a_foreign_key);
	T_RUN(each_role_round_trips);
	T_RUN(one_wrong_letter_is_refused);
	T_RUN(signs);
	T_RUN(derives);
	return T_END();
}
