#include "sys/guest_wire.h"
#include "test/t.h"

static void a_config_comes_back(void)
{
	static const struct guest_config c = { .rootfs_bytes = 1ull << 40,
					       .address = 0x647f0001,
					       .gateway = 0x647f0000,
					       .n_layers = 3,
					       .mounts = { { "/srv", "ext4", true }, { "/srv/db", "btrfs", false } },
					       .n_mounts = 2,
					       .hostname = "box",
					       .workdir = "/",
					       .user = "app:www",
					       .links = { { .mac = { 2, 1 },
							    .address = { 0x0a140105, 24 },
							    .range = { 0x0a140000, 16 },
							    .gateway = 0x0a140101,
							    .address6 = { { 0xfd, [15] = 5 }, 64 },
							    .range6 = { { 0xfd }, 48 },
							    .gateway6 = { 0xfd, [15] = 1 } } },
					       .n_links = 1,
					       .search = { "blog.internal" },
					       .resolvers = { "10.0.2.3" },
					       .argv = { "/bin/sh", "-c", "" },
					       .env = { "A=1", "B=" } };
	AUTO_BUF struct buf frame = { 0 };
	struct guest_config got;
	enum guest_type type;
	size_t bytes;
	int r = guest_config_encode(&c, &frame, NULL);

	T_NEED(!r && !guest_head_decode((uint8_t *)frame.p, GUEST_CONFIG_MAX, &type, &bytes), "%d", r);
	T_CHECK(type == GUEST_CONFIG && bytes == frame.len - GUEST_HEAD, "%d, %zu bytes", type, bytes);
	T_CHECK(!guest_config_decode(frame.p + GUEST_HEAD, bytes, &got), "refused");
	T_CHECK(got.rootfs_bytes == c.rootfs_bytes && got.address == c.address && got.gateway == c.gateway && got.n_layers == 3, "numbers");
	T_CHECK(!strcmp(got.user, "app:www") && !strcmp(got.argv[1], "-c") && !got.argv[2][0] && !got.argv[3], "texts");
	T_CHECK(got.n_mounts == 2 && !strcmp(got.mounts[0].path, "/srv") && got.mounts[0].read_only && !strcmp(got.mounts[1].format, "btrfs") &&
			!got.mounts[1].read_only,
		"mounts");
	T_CHECK(!strcmp(got.env[1], "B=") && !got.env[2] && !got.resolvers[1], "lists");
	const struct card *l = &got.links[0];
	T_CHECK(got.n_links == 1 && l->mac[1] == 1 && l->address.address == 0x0a140105 && l->address.prefix == 24 && l->range.prefix == 16 &&
			l->gateway == 0x0a140101 && l->address6.address[15] == 5 && l->address6.prefix == 64 && l->range6.prefix == 48 &&
			l->gateway6[15] == 1 && !strcmp(got.search[0], "blog.internal") && !got.search[1],
		"links");
	for (size_t n = 0; n < bytes; n++)
		T_CHECK(guest_config_decode(frame.p + GUEST_HEAD, n, &got) == -EBADMSG, "taken with %zu bytes of %zu", n, bytes);
}

static void a_config_is_bounded(void)
{
	AUTO_FREE char *text = calloc(1, GUEST_CONFIG_MAX + 1);
	struct guest_config c = { .n_layers = 1, .hostname = "", .workdir = "", .user = "", .argv = { text } };
	AUTO_BUF struct buf frame = { 0 };
	struct err e = { 0 };

	memset(text, 'x', GUEST_CONFIG_MAX);
	T_CHECK(guest_config_encode(&c, &frame, &e) == -E2BIG && e.msg[0], "'%s'", e.msg);
}

#define READY "\1\20\0\0\0\0\0\0"
#define EXIT(status) "\1\22\0\0\4\0\0\0" status
#define FAILED(n, text) "\1\21\0\0" n "\0\0\0" text

/* Each row byte by byte and at once: the words that are heard, as letters, and ! for a refusal. */
static void the_ear_refuses(void)
{
	static const struct {
		struct str said;
		const char *heard;
	} rows[] = {
		{ S(""), "" },
		{ S("\1\20\0\0\0\0\0"), "" },
		{ S(READY), "R" },
		{ S(READY EXIT("\7\0\0\0")), "RE7" },
		{ S(READY EXIT("\7\0\0")), "R" },
		{ S(FAILED("\5", "no sh")), "F" },
		{ S(FAILED("\5", "no sh") READY), "F!" },   /* nothing after the end */
		{ S(READY READY), "R!" },
		{ S(READY FAILED("\1", "x")), "R!" },
		{ S(EXIT("\0\0\0\0")), "!" },               /* it never ran */
		{ S(READY EXIT("\0\0\0\0") READY), "RE0!" },
		{ S(READY EXIT("\211\1\0\0")), "RE137o" },   /* for want of memory */
		{ S(READY EXIT("\0\2\0\0")), "R!" },        /* 512 */
		{ S(READY EXIT("\377\377\377\377")), "R!" },
		{ S(FAILED("\5", "no\033sh")), "!" },       /* an order to a terminal */
		{ S(FAILED("\0", "")), "!" },
		{ S(FAILED("\311", "x")), "!" },            /* 201 bytes: refused before they come */
		{ S("\1\21\0\0\0\0\0\200"), "!" },
		{ S("\1\20\0\0\1\0\0\0x"), "!" },           /* READY with a payload */
		{ S("\2\20\0\0\0\0\0\0"), "!" },            /* version */
		{ S("\1\20\1\0\0\0\0\0"), "!" },            /* reserved */
		{ S("\1\1\0\0\0\0\0\0"), "!" },             /* CONFIG is not the guest's */
		{ S("\1\2\0\0\4\0\0\0\11\0\0\0"), "!" },    /* nor is SIGNAL */
		{ S("\1\0\0\0\0\0\0\0"), "!" },
		{ S("GET / HTTP/1.1\r\n"), "!" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t piece = 1; piece <= rows[i].said.n + 1; piece++) {
			struct guest_ear ear = { 0 };
			struct guest_word w;
			char heard[16] = "";
			int r = 0;

			for (size_t at = 0; at < rows[i].said.n && r >= 0; at += piece) {
				struct str p = { rows[i].said.p + at, rows[i].said.n - at < piece ? rows[i].said.n - at : piece };

				while ((r = guest_ear_take(&ear, &p, &w)) == GUEST_EAR_WORD)
					if (w.type == GUEST_EXIT)
						snprintf(heard + strlen(heard), 6, "E%u%s", w.status, w.oom ? "o" : "");
					else
						strcat(heard, w.type == GUEST_READY ? "R" : "F");
			}
			if (r < 0)
				strcat(heard, "!");
			T_CHECK(!strcmp(heard, rows[i].heard), "row %zu by %zu bytes: '%s', not '%s'", i, piece, heard, rows[i].heard);
		}
}

static void deaf_after_a_refusal(void)
{
	struct guest_ear ear = { 0 };
	struct guest_word w;
	struct str bad = S("\2\0\0\0\0\0\0\0"), good = S(READY READY);

	T_CHECK(guest_ear_take(&ear, &bad, &w) == -EBADMSG, "heard");
	T_CHECK(guest_ear_take(&ear, &good, &w) == -EBADMSG, "heard again");
}

int main(void)
{
	T_RUN(a_config_comes_back);
	T_RUN(a_config_is_bounded);
	T_RUN(the_ear_refuses);
	T_RUN(deaf_after_a_refusal);
	return T_END();
}
