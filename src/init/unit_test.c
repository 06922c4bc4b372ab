/* What needs no process: the transition table, back-off, rings, datagrams and the command line. */
#include "init/unit_fsm.h"

#include "init/backoff.h"
#include "init/cmdline.h"
#include "init/notify.h"
#include "init/ring.h"
#include "init/service.h"
#include "init/setup.h"
#include "test/t.h"

#include <linux/capability.h>

static void every_cell_is_written(void)
{
	for (int s = 0; s < SUPERVISOR_STATES; s++)
		for (int ev = 0; ev < UNIT_EVENTS; ev++)
			T_CHECK(unit_step(s, ev).act != UNIT_ACT_UNWRITTEN, "state %s event %d", supervisor_state_name(s), ev);
}

/* From every state, stopping ends in down, whatever the process answers. */
static void stopping_always_ends(void)
{
	static const enum unit_event course[] = { UNIT_EV_WANT_DOWN, UNIT_EV_TIMEOUT, UNIT_EV_EXIT_AGAIN, UNIT_EV_EMPTY };

	for (int s = 0; s < SUPERVISOR_STATES; s++) {
		enum supervisor_state now = s;

		for (size_t i = 0; i < ARRAY_LEN(course); i++)
			now = unit_step(now, course[i]).next;
		T_CHECK(now == SUPERVISOR_DOWN, "from %s to %s", supervisor_state_name(s), supervisor_state_name(now));
	}
}

static void a_process_is_started_only_when_there_is_none(void)
{
	for (int s = 0; s < SUPERVISOR_STATES; s++)
		for (int ev = 0; ev < UNIT_EVENTS; ev++)
			T_CHECK(unit_step(s, ev).act != UNIT_ACT_SPAWN || s == SUPERVISOR_WAITING, "state %d event %d", s, ev);
}

static void backs_off(void)
{
	struct backoff b = { 0 };
	uint64_t before = 0, delay = 0;

	T_CHECK(backoff_next(&b, 5, 0) == 0, "the first failure is free");
	T_CHECK(backoff_next(&b, 5, 0) == BACKOFF_FIRST_MS, "%u", b.failures);
	for (int i = 0; i < 40; i++) {
		delay = backoff_next(&b, 5, 0);
		T_CHECK(delay >= before && delay <= BACKOFF_MAX_MS, "%llu after %llu", (unsigned long long)delay, (unsigned long long)before);
		before = delay;
	}
	T_CHECK(delay == BACKOFF_MAX_MS, "%llu", (unsigned long long)delay);
	delay = backoff_next(&b, 5, UINT32_MAX);
	T_CHECK(delay > BACKOFF_MAX_MS * 3 / 4 - 1 && delay < BACKOFF_MAX_MS, "jitter %llu", (unsigned long long)delay);
	T_CHECK(backoff_next(&b, BACKOFF_GOOD_RUN_MS, 0) == 0, "a good run forgives");
}

static void rings_keep_the_last_whole_lines(void)
{
	static struct ring r;
	static char got[RING_SIZE];
	uint64_t from = 0;
	char text[64];
	size_t n;

	T_CHECK(ring_read(&r, &from, got, sizeof(got)) == 0, "empty");
	ring_add(&r, 4, 12034, "one", 3);
	n = ring_read(&r, &from, got, sizeof(got));
	T_CHECK(n == 14 && !memcmp(got, "<4>12.034 one\n", 14), "%zu '%.*s'", n, (int)n, got);
	T_CHECK(ring_read(&r, &from, got, sizeof(got)) == 0, "nothing new");
	for (int i = 0; i < 5000; i++)
		ring_add(&r, 6, 0, text, (size_t)snprintf(text, sizeof(text), "line %d", i));
	n = ring_read(&r, &from, got, sizeof(got));
	T_CHECK(n > RING_SIZE - 64 && !memcmp(got, "<6>0.000 line ", 14), "%zu '%.20s'", n, got);
	T_CHECK(!memcmp(got + n - 10, "line 4999\n", 10), "'%.10s'", got + n - 10);
	n = ring_read(&r, &from, got, sizeof(got));
	T_CHECK(n == 0 && from == r.end, "behind the last");
	from = 0;
	n = ring_read(&r, &from, got, 40);
	T_CHECK(n && n <= 40 && got[n - 1] == '\n', "whole lines only: %zu", n);
}

struct lines {
	char text[256];
	int n, level;
};

static void on_line(void *ctx, int level, const char *text, size_t n)
{
	struct lines *l = ctx;

	l->n++;
	l->level = level;
	snprintf(l->text, sizeof(l->text), "%.*s", (int)n, text);
}

static void lines_come_from_pieces(void)
{
	static struct ring_line l;
	struct lines got = { 0 };
	char big[3 * RING_LINE_MAX];

	ring_line_feed(&l, "<3>a\x1b[", 6, on_line, &got);
	T_CHECK(got.n == 0, "not yet");
	ring_line_feed(&l, "b\n\nplain\n", 9, on_line, &got);
	T_CHECK(got.n == 2 && got.level == 6 && !strcmp(got.text, "plain"), "%d %d '%s'", got.n, got.level, got.text);
	ring_line_feed(&l, "<3>a\x1b[b\n", 8, on_line, &got);
	T_CHECK(got.level == 3 && !strcmp(got.text, "a [b"), "%d '%s'", got.level, got.text);
	memset(big, 'x', sizeof(big));
	got.n = 0;
	ring_line_feed(&l, big, sizeof(big), on_line, &got);
	T_CHECK(got.n == 2, "a line without end is cut: %d", got.n);
}

static void notifications(void)
{
	static const struct {
		struct str in;
		int r;
		bool is_ready;
		struct str status;
	} rows[] = {
		{ S("READY=1"), 0, true, { 0 } },           { S("STATUS=eth0 has 10.0.2.15\nREADY=1\n"), 0, true, S("eth0 has 10.0.2.15") },
		{ S("READY=0"), 0, false, { 0 } },          { S("READY=11"), 0, false, { 0 } },
		{ S("STATUS="), 0, false, S("") },          { S("X=READY=1"), 0, false, { 0 } },
		{ S("READY=1\0"), -EBADMSG, false, { 0 } }, { S(""), -EBADMSG, false, { 0 } },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct notify n = { 0 };
		int r = notify_parse(&n, rows[i].in);

		T_CHECK(r == rows[i].r && n.is_ready == rows[i].is_ready && str_eq(n.status, rows[i].status), "row %zu", i);
	}
}

static void command_lines(void)
{
	static const struct {
		const char *in;
		unsigned n_bad;
		bool is_debug;
		const char *hostname;
	} rows[] = {
		{ "", 0, false, "zos" },
		{ "quiet console=ttyS0\n", 0, false, "zos" },
		{ "zos.debug quiet zos.hostname=node-1\n", 0, true, "node-1" },
		{ "zos.debug=1", 1, false, "zos" },
		{ "zos.hostname", 1, false, "zos" },
		{ "zos.hostname=", 1, false, "zos" },
		{ "zos.hostname=Up", 1, false, "zos" },
		{ "zos.hostname=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 1, false, "zos" },
		{ "zos.uplink=eth0,vlan=7 zos.dns=192.0.2.1 zos.uplink=eth1", 0, false, "zos" },
		{ "zos.uplink zos.uplinks=x", 2, false, "zos" },
		{ "zos.none zos.debug zos.x=", 2, true, "zos" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct cmdline c;
		struct str bad = { 0 };
		unsigned n = cmdline_parse(&c, str_c(rows[i].in), &bad);

		T_CHECK(n == rows[i].n_bad && c.is_debug == rows[i].is_debug && !strcmp(c.hostname, rows[i].hostname) && !!bad.p == !!n,
			"'%s' gave %u bad, %s", rows[i].in, n, c.hostname);
	}
}

/* The table that the image runs: names are unique, what comes before exists, nothing waits for itself. */
static void the_service_table_holds_together(void)
{
	for (size_t i = 0; i < services_n; i++) {
		const struct service *s = &services[i];

		T_CHECK(s->argv[0] && s->argv[0][0] == '/' && s->stop_ms, "%s", s->name);
		T_CHECK(!s->uid || !(s->caps & (s->caps - 1)), "%s has both a user of its own and more than one capability", s->name);
		for (size_t k = 0; k < i; k++)
			T_CHECK(strcmp(services[k].name, s->name), "%s stands twice", s->name);
		for (size_t a = 0; a < SERVICE_AFTER_MAX && s->after[a]; a++) {
			size_t k = 0;

			while (k < services_n && strcmp(services[k].name, s->after[a]))
				k++;
			T_CHECK(k < services_n && (k < i || services[k].is_template), "%s after %s", s->name, s->after[a]);
		}
	}
}

/* With SYS_RAWIO a process can drive the machine's ports: who has it has nothing else, is there for a moment, and nobody else has it but whoever has everything. */
static void ports_are_one_program_s(void)
{
	const uint64_t raw = SERVICE_CAP(CAP_SYS_RAWIO);
	size_t n = 0;

	for (size_t i = 0; i < services_n; i++) {
		const struct service *s = &services[i];

		if (!(s->caps & raw) || !~s->caps)
			continue;
		T_CHECK(s->caps == raw && !strcmp(s->name, "ata") && s->ready == SERVICE_READY_ONESHOT && s->pids_max == 1, "%s", s->name);
		n++;
	}
	T_CHECK(n == 1, "%zu", n);
}

static void reserve_follows_memory(void)
{
	static const struct {
		unsigned long memory_kb, low, high;
	} rows[] = {
		{ 1 << 18, 8192, 8192 }, { 1 << 20, 8192, 8192 }, { 1 << 24, 16384, 16448 }, { 1 << 26, 32768, 32832 }, { 1ul << 30, 65536, 65536 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned long kb = setup_min_free_kb(rows[i].memory_kb);

		T_CHECK(kb >= rows[i].low && kb <= rows[i].high, "%lu kB: %lu", rows[i].memory_kb, kb);
	}
}

int main(void)
{
	T_RUN(every_cell_is_written);
	T_RUN(stopping_always_ends);
	T_RUN(a_process_is_started_only_when_there_is_none);
	T_RUN(backs_off);
	T_RUN(rings_keep_the_last_whole_lines);
	T_RUN(lines_come_from_pieces);
	T_RUN(notifications);
	T_RUN(command_lines);
	T_RUN(the_service_table_holds_together);
	T_RUN(ports_are_one_program_s);
	T_RUN(reserve_follows_memory);
	return T_END();
}
