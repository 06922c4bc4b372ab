#include "sys/exec_wire.h"

#include "test/t.h"

static void a_start_comes_back(void)
{
	static const struct exec_program p = {
		.tty = true, .rows = 24, .cols = 80, .user = "app:www", .workdir = "/srv", .term = "xterm", .argv = { "/bin/sh", "-c", "" }
	};
	static struct exec_ear ear = { .from = EXEC_FROM_RUNNER };
	AUTO_BUF struct buf b = { 0 };
	struct exec_program got;
	struct exec_frame f;
	struct str all;

	T_NEED(!exec_put_start(&b, &p, NULL), "encode");
	all = buf_str(&b);
	T_NEED(exec_ear_take(&ear, &all, &f) == EXEC_EAR_FRAME && f.type == EXEC_START && !all.n, "heard");
	T_CHECK(!exec_start_decode(f.data, &got) && got.tty && got.rows == 24 && got.cols == 80, "numbers");
	T_CHECK(!strcmp(got.user, "app:www") && !strcmp(got.workdir, "/srv") && !strcmp(got.term, "xterm"), "texts");
	T_CHECK(!strcmp(got.argv[1], "-c") && !got.argv[2][0] && !got.argv[3], "argv");
	for (size_t n = 0; n < f.data.n; n++)
		T_CHECK(exec_start_decode((struct str){ f.data.p, n }, &got) == -EBADMSG, "taken with %zu bytes", n);
}

static void a_start_is_bounded(void)
{
	AUTO_FREE char *text = calloc(1, EXEC_DATA_MAX + 1);
	struct exec_program p = { .user = "", .workdir = "", .term = "", .argv = { text } };
	AUTO_BUF struct buf b = { 0 };
	struct err e = { 0 };

	memset(text, 'x', EXEC_DATA_MAX);
	T_CHECK(exec_put_start(&b, &p, &e) == -E2BIG && e.msg[0], "'%s'", e.msg);
}

static void data_is_cut_into_frames(void)
{
	static struct exec_ear ear = { .from = EXEC_FROM_SERVER };
	AUTO_FREE char *bytes = calloc(1, 40000);
	AUTO_BUF struct buf b = { 0 };
	struct exec_frame f;
	struct str all;
	size_t n = 0, frames = 0;

	exec_put_data(&b, EXEC_ERR, (struct str){ bytes, 40000 });
	exec_put(&b, EXEC_EXIT, 7, 0);
	for (all = buf_str(&b); exec_ear_take(&ear, &all, &f) == EXEC_EAR_FRAME && f.type == EXEC_ERR; frames++)
		n += f.data.n;
	T_CHECK(n == 40000 && frames == 3 && f.type == EXEC_EXIT && f.a == 7, "%zu bytes in %zu frames", n, frames);
	T_CHECK(exec_ear_take(&ear, &all, &f) == EXEC_EAR_MORE, "the end");
}

/* Each row byte by byte and at once: the frames heard, as letters, and ! for a refusal. */
static void the_ear_refuses(void)
{
	static const struct {
		enum exec_from from;
		struct str said;
		const char *heard;
	} rows[] = {
		{ EXEC_FROM_CALLER, S(""), "" },
		{ EXEC_FROM_CALLER, S("\1\0\2\0ab\2\0\0\0"), "ab" },
		{ EXEC_FROM_CALLER, S("\3\0\4\0\30\0\120\0"), "c" },
		{ EXEC_FROM_CALLER, S("\4\0\4\0\2\0\0\0\5\0\0\0"), "de" },
		{ EXEC_FROM_CALLER, S("\4\0\4\0\0\0\0\0"), "!" },        /* signal 0 */
		{ EXEC_FROM_CALLER, S("\4\0\4\0\101\0\0\0"), "!" },      /* signal 65 */
		{ EXEC_FROM_CALLER, S("\1\0\0\0"), "!" },                /* no bytes */
		{ EXEC_FROM_CALLER, S("\1\0\1\100x"), "!" },             /* 16385 bytes */
		{ EXEC_FROM_CALLER, S("\1\1\1\0x"), "!" },               /* reserved */
		{ EXEC_FROM_CALLER, S("\6\0\1\0x"), "!" },               /* START is the runner's */
		{ EXEC_FROM_RUNNER, S("\6\0\1\0x"), "f" },
		{ EXEC_FROM_CALLER, S("\20\0\1\0x"), "!" },              /* OUT is the server's */
		{ EXEC_FROM_SERVER, S("\1\0\1\0x"), "!" },
		{ EXEC_FROM_SERVER, S("\20\0\1\0x\21\0\1\0x"), "pq" },
		{ EXEC_FROM_SERVER, S("\22\0\4\0\1\0\1\0"), "!" },       /* 65537 bytes of credit */
		{ EXEC_FROM_SERVER, S("\22\0\4\0\0\0\1\0"), "r" },
		{ EXEC_FROM_SERVER, S("\23\0\4\0\7\0\0\0"), "s" },
		{ EXEC_FROM_SERVER, S("\23\0\4\0\7\0\0\0\20\0\1\0x"), "s!" }, /* nothing after the end */
		{ EXEC_FROM_SERVER, S("\23\0\4\0\0\1\0\0"), "!" },       /* 256 */
		{ EXEC_FROM_SERVER, S("\24\0\2\0no\22\0\4\0\1\0\0\0"), "t!" },
		{ EXEC_FROM_SERVER, S("\24\0\2\0n\33"), "!" },           /* an order to a terminal */
		{ EXEC_FROM_SERVER, S("GET / HTTP/1.1\r\n"), "!" },
		{ EXEC_FROM_ARCHIVE, S("\25\0\10\0\1\2\3\4\5\6\7\10\20\0\1\0x"), "up" },
		{ EXEC_FROM_ARCHIVE, S("\25\0\4\0\1\2\3\4"), "!" },   /* a total has 8 bytes */
		{ EXEC_FROM_SERVER, S("\25\0\10\0\1\2\3\4\5\6\7\10"), "!" }, /* nobody knows how much a program says */
		{ EXEC_FROM_ARCHIVE, S("\22\0\4\0\0\0\1\0"), "!" },   /* it takes no input */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t piece = 1; piece <= rows[i].said.n + 1; piece++) {
			static struct exec_ear ear;
			struct exec_frame f;
			char heard[16] = "";
			int r = 0;

			ear = (struct exec_ear){ .from = rows[i].from };
			for (size_t at = 0; at < rows[i].said.n && r >= 0; at += piece) {
				struct str p = { rows[i].said.p + at, rows[i].said.n - at < piece ? rows[i].said.n - at : piece };

				while ((r = exec_ear_take(&ear, &p, &f)) == EXEC_EAR_FRAME)
					heard[strlen(heard)] = (char)('a' + f.type - 1);
			}
			if (r < 0)
				strcat(heard, "!");
			T_CHECK(!strcmp(heard, rows[i].heard), "row %zu by %zu bytes: '%s', not '%s'", i, piece, heard, rows[i].heard);
		}
}

int main(void)
{
	T_RUN(a_start_comes_back);
	T_RUN(a_start_is_bounded);
	T_RUN(data_is_cut_into_frames);
	T_RUN(the_ear_refuses);
	return T_END();
}
