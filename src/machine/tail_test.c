#include "machine/tail.h"

#include "test/t.h"

#include <stdio.h>
#include <sys/socket.h>

enum { NOON = 1700000000 }; /* 2023-11-14T22:13:20Z */
#define HEAD "2023-11-14T22:13:20Z "

/* All that a reader of T gets who does not follow. */
static size_t read_all(struct tail *t, sd_event *event, char *ret, size_t size)
{
	struct err e = { 0 };
	size_t n = 0;
	ssize_t got;
	int fd[2];

	T_NEED(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd), "a pair");
	T_NEED(!tail_follow(t, fd[0], false, &e), "%s", e.msg);
	do {
		T_CHECK(sd_event_run(event, 0) >= 0, "the loop");
		while ((got = read(fd[1], ret + n, size - 1 - n)) > 0)
			n += (size_t)got;
	} while (got < 0 && errno == EAGAIN);
	close(fd[1]);
	ret[n] = '\0';
	return n;
}

static void lines_have_their_time_and_stream(void)
{
	sd_event *event = NULL;
	struct tail t;
	char text[512], last[64];

	T_NEED(sd_event_new(&event) >= 0, "a loop");
	tail_init(&t, event);
	tail_last(&t, last, sizeof(last));
	T_CHECK(!last[0], "nothing was said: '%s'", last);
	tail_add(&t, 0, S("one\ntw"), NOON);
	tail_add(&t, 1, S("bad\n"), NOON);
	tail_add(&t, 0, S("o\n\nrest of it"), NOON);
	tail_end(&t, NOON);
	read_all(&t, event, text, sizeof(text));
	T_CHECK(!strcmp(text, HEAD "stdout one\n" HEAD "stderr bad\n" HEAD "stdout two\n" HEAD "stdout \n" HEAD "stdout rest of it\n"), "%s", text);
	tail_last(&t, last, sizeof(last));
	T_CHECK(!strcmp(last, "rest of it"), "'%s'", last);
	tail_last(&t, last, 5);
	T_CHECK(!strcmp(last, "rest"), "cut to the room: '%s'", last);
	tail_deinit(&t);
	sd_event_unref(event);
}

static void a_line_without_end_is_cut(void)
{
	static char endless[TAIL_LINE_MAX + 3], text[3 * TAIL_LINE_MAX];
	sd_event *event = NULL;
	struct tail t;
	size_t n;

	T_NEED(sd_event_new(&event) >= 0, "a loop");
	tail_init(&t, event);
	memset(endless, 'x', sizeof(endless));
	tail_add(&t, 0, (struct str){ endless, TAIL_LINE_MAX }, NOON);
	tail_add(&t, 0, S("\n"), NOON);
	tail_add(&t, 0, (struct str){ endless, sizeof(endless) }, NOON);
	tail_add(&t, 0, S("yyy"), NOON);
	tail_add(&t, 0, S("\nnext\n"), NOON);
	n = read_all(&t, event, text, sizeof(text));
	T_CHECK(n == 3 * strlen(HEAD "stdout \n") + 2 * TAIL_LINE_MAX + strlen(TAIL_CUT "next"), "%zu", n);
	T_CHECK(!strcmp(text + n - strlen(TAIL_CUT "\n" HEAD "stdout next\n"), TAIL_CUT "\n" HEAD "stdout next\n"), "marked, and the next is whole");
	tail_deinit(&t);
	sd_event_unref(event);
}

static void after_a_gap_lines_are_whole(void)
{
	sd_event *event = NULL;
	struct tail t;
	char text[512];

	T_NEED(sd_event_new(&event) >= 0, "a loop");
	tail_init(&t, event);
	tail_add(&t, 0, S("one\nbegun"), NOON);
	tail_gap(&t, 0, NOON);
	tail_gap(&t, 0, NOON);
	tail_add(&t, 1, S("other\n"), NOON);
	tail_add(&t, 0, S("middle"), NOON);
	tail_add(&t, 0, S(" end\nwhole\n"), NOON);
	read_all(&t, event, text, sizeof(text));
	T_CHECK(!strcmp(text, HEAD "stdout one\n" HEAD "stdout begun" TAIL_CUT "\n" HEAD "stderr other\n" HEAD "stdout whole\n"), "%s", text);
	tail_deinit(&t);
	sd_event_unref(event);
}

/* A flood keeps the newest, begins with a whole line and never takes more room than it has. */
static void a_flood_loses_the_oldest(void)
{
	static char text[TAIL_BYTES + 1];
	sd_event *event = NULL;
	struct tail t;
	char line[64], last[64];
	size_t n;

	T_NEED(sd_event_new(&event) >= 0, "a loop");
	tail_init(&t, event);
	for (int i = 0; i < 100000; i++) {
		int len = snprintf(line, sizeof(line), "line %d\n", i);

		tail_add(&t, 0, (struct str){ line, (size_t)len }, NOON);
	}
	n = read_all(&t, event, text, sizeof(text));
	T_CHECK(n <= TAIL_BYTES && n > TAIL_BYTES - TAIL_LINE_MAX, "%zu", n);
	T_CHECK(!strncmp(text, HEAD "stdout line ", strlen(HEAD "stdout line ")), "begins inside a line: %.40s", text);
	tail_last(&t, last, sizeof(last));
	T_CHECK(!strcmp(last, "line 99999"), "'%s'", last);
	tail_deinit(&t);
	sd_event_unref(event);
}

static void readers_are_counted(void)
{
	sd_event *event = NULL;
	struct err e = { 0 };
	struct tail t;
	int theirs[TAIL_FOLLOWERS_MAX + 1];

	T_NEED(sd_event_new(&event) >= 0, "a loop");
	tail_init(&t, event);
	for (int i = 0; i <= TAIL_FOLLOWERS_MAX; i++) {
		int fd[2];

		T_NEED(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), "a pair");
		theirs[i] = fd[1];
		T_CHECK(tail_follow(&t, fd[0], true, &e) == (i == TAIL_FOLLOWERS_MAX ? -EBUSY : 0), "reader %d", i);
	}
	tail_deinit(&t);
	for (size_t i = 0; i < ARRAY_LEN(theirs); i++)
		close(theirs[i]);
	sd_event_unref(event);
}

int main(void)
{
	T_RUN(lines_have_their_time_and_stream);
	T_RUN(a_line_without_end_is_cut);
	T_RUN(after_a_gap_lines_are_whole);
	T_RUN(a_flood_loses_the_oldest);
	T_RUN(readers_are_counted);
	return T_END();
}
