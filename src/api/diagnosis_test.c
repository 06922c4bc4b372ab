#include "api/diagnosis.h"

#include "base/parse.h"
#include "test/t.h"

#include <stdio.h>

static struct key key;

static struct diagnosis sound(void)
{
	struct diagnosis d = {
		.node = key.pub, .time_s = 1800000000, .up_min = 61, .version = { 1, 2, 3 }, .flavour = 2, .is_approved = true, .cause = DIAGNOSIS_HUB
	};

	T_CHECK(!diagnosis_address_parse("10.0.2.15/24", &d.addresses[0]) && !diagnosis_address_parse("fd00::15/128", &d.addresses[1]), "addresses");
	d.n_addresses = 2;
	diagnosis_say(&d, "no hub runs at 10.0.2.2, port 4222");
	diagnosis_say(&d, "dhcp: the other end is \033 silent");
	return d;
}

static void what_is_signed_opens(void)
{
	struct diagnosis d = sound(), got;
	char text[DIAGNOSIS_SIZE], address[64];
	struct err e = { 0 };

	T_CHECK(!diagnosis_sign(&d, &key, DIAGNOSIS_LONG, text), "sign");
	T_CHECK(!diagnosis_open(str_c(text), &got, &e), "%s", e.msg);
	T_CHECK(key_pub_eq(&got.node, &key.pub) && got.time_s == 1800000000 && got.up_min == 61 && !memcmp(got.version, d.version, 3), "head");
	T_CHECK(got.flavour == 2 && got.is_approved && !got.is_durable && got.cause == DIAGNOSIS_HUB, "flags");
	T_CHECK(got.n_addresses == 2 && got.n_words == 2, "%zu addresses, %zu words", got.n_addresses, got.n_words);
	diagnosis_address_format(address, &got.addresses[1]);
	T_CHECK(!strcmp(address, "fd00::15/128"), "%s", address);
	T_CHECK(!strcmp(got.words[0], "no hub runs at 10.0.2.2, port 4222") && !strcmp(got.words[1], "dhcp: the other end is ? silent"), "'%s' '%s'",
		got.words[0], got.words[1]);
}

/* The longest there is, in both sizes: what is nearest to the reader stays. */
static void what_does_not_fit_is_left_out(void)
{
	static const struct {
		size_t max, text_len, n_addresses, n_words;
	} rows[] = { { DIAGNOSIS_SHORT, 195, 1, 0 }, { DIAGNOSIS_LONG, 334, 2, 1 } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct diagnosis d = sound(), got;
		char text[DIAGNOSIS_SIZE], words[200];
		struct err e = { 0 };

		d.n_words = 0;
		memset(words, 'x', sizeof(words) - 1);
		words[sizeof(words) - 1] = '\0';
		for (int k = 0; k < DIAGNOSIS_WORDS_MAX + 1; k++)
			diagnosis_say(&d, words);
		T_CHECK(!diagnosis_sign(&d, &key, rows[i].max, text) && strlen(text) <= rows[i].text_len, "%zu letters", strlen(text));
		T_CHECK(!diagnosis_open(str_c(text), &got, &e), "%s", e.msg);
		T_CHECK(got.n_addresses == rows[i].n_addresses && got.n_words == rows[i].n_words, "%zu addresses, %zu words", got.n_addresses,
			got.n_words);
	}
}

static void white_space_is_skipped(void)
{
	struct diagnosis d = sound(), got;
	char text[DIAGNOSIS_SIZE], wrapped[2 * DIAGNOSIS_SIZE];
	size_t n = 0;

	T_CHECK(!diagnosis_sign(&d, &key, DIAGNOSIS_LONG, text), "sign");
	for (size_t i = 0; text[i]; i++) {
		wrapped[n++] = text[i];
		if (i % 40 == 39)
			wrapped[n++] = "\n \r\t"[i / 40 % 4];
	}
	T_CHECK(!diagnosis_open((struct str){ wrapped, n }, &got, NULL) && got.time_s == d.time_s, "wrapped");
}

static void every_changed_letter_is_seen(void)
{
	struct diagnosis d = sound(), got;
	char text[DIAGNOSIS_SIZE];

	T_CHECK(!diagnosis_sign(&d, &key, DIAGNOSIS_SHORT, text), "sign");
	for (size_t i = 0; text[i]; i++) {
		char was = text[i];

		text[i] = was == 'B' ? 'C' : 'B';
		T_CHECK(diagnosis_open(str_c(text), &got, NULL), "letter %zu", i);
		text[i] = '\0';
		T_CHECK(diagnosis_open(str_c(text), &got, NULL), "cut at %zu", i);
		text[i] = was;
	}
	T_CHECK(!diagnosis_open(str_c(text), &got, NULL), "and as it was it opens");
}

static void another_node_cannot_sign_it(void)
{
	struct diagnosis d = sound(), got = { .time_s = 7 };
	char text[DIAGNOSIS_SIZE];
	struct err e = { 0 };
	AUTO_KEY struct key other = KEY_NONE;

	T_CHECK(!key_new(KEY_NODE, &other) && !diagnosis_sign(&d, &other, DIAGNOSIS_LONG, text), "sign");
	T_CHECK(diagnosis_open(str_c(text), &got, &e) == -EKEYREJECTED && got.time_s == 7, "%s", e.msg);
}

static void only_addresses_are_addresses(void)
{
	static const char *const wrong[] = { "", "10.0.0.1", "10.0.0.1/33", "10.0.0/8", "::/129", "fe80::1%eth0/64", "10.0.0.1/", "/8" };
	struct diagnosis_address a;

	T_CHECK(!diagnosis_address_parse("0.0.0.0/0", &a) && !diagnosis_address_parse("::/0", &a), "good ones");
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		T_CHECK(diagnosis_address_parse(wrong[i], &a) == -EINVAL, "'%s'", wrong[i]);
}

int main(void)
{
	if (key_new(KEY_NODE, &key))
		return EXIT_FAILURE;
	T_RUN(what_is_signed_opens);
	T_RUN(what_does_not_fit_is_left_out);
	T_RUN(white_space_is_skipped);
	T_RUN(every_changed_letter_is_seen);
	T_RUN(another_node_cannot_sign_it);
	T_RUN(only_addresses_are_addresses);
	return T_END();
}
