#include "console/screen.h"

#include "console/code.h"
#include "test/t.h"

#include <stdio.h>

#define KEY "NABCDEFGHIJKLMNOPQRSTUVWXYZ234567ABCDEFGHIJKLMNOPQRSTUVW"

static struct snapshot sound(void)
{
	return (struct snapshot){
		.node = KEY,
		.version = "1.2.3",
		.flavour = "cloud",
		.farm = "demo",
		.is_approved = true,
		.is_durable = true,
		.hubs = { { .url = "nats://10.0.2.2:4222", .why = "", .is_up = true, .since_ms = 60000 } },
		.n_hubs = 1,
		.cpu_milli = 4000,
		.cpu_milli_used = 1500,
		.memory_bytes = 4ull << 30,
		.memory_used_bytes = 1ull << 30,
		.services = { { "noded", "up" }, { "gridd", "up" }, { "shell", "skipped" }, { "dhcp", "backoff" } },
		.n_services = 4,
		.workloads = { { "ok", 3 }, { "retrying", 1 } },
		.n_workloads = 2,
		.notes = { { "gridd", "something went wrong", 120000 } },
		.n_notes = 1,
		.uplinks = { { .name = "eth0", .is_used = true, .has_carrier = true, .addresses = "10.0.2.15/24" },
			     { .name = "eth1", .is_used = true },
			     { .name = "eth2" },
			     { .name = "eth3", .is_used = true, .has_carrier = true, .is_part = true } },
		.n_uplinks = 2, /* the others: change_cards() */
		.now_ms = 241000,
		.time_s = 1800000000,
	};
}

static bool has(const struct screen *s, const char *text)
{
	for (unsigned y = 0; y < s->height; y++)
		if (strstr(s->rows[y].text, text))
			return true;
	return false;
}

static void every_row_is_full_and_printable(const struct screen *s, const char *what)
{
	for (unsigned y = 0; y < s->height; y++) {
		T_CHECK(strlen(s->rows[y].text) == s->width, "%s: row %u has %zu characters", what, y, strlen(s->rows[y].text));
		for (unsigned x = 0; x < s->width; x++)
			T_CHECK(s->rows[y].text[x] >= ' ' && s->rows[y].text[x] <= '~' && s->rows[y].style[x] < SCREEN_STYLES, "%s: row %u column %u",
				what, y, x);
	}
}

static void change_nothing(struct snapshot *s)
{
	(void)s;
}
static void change_cards(struct snapshot *s)
{
	s->n_uplinks = 4;
}
static void change_debug(struct snapshot *s)
{
	s->flavour = "debug";
}
static void change_empty(struct snapshot *s)
{
	*s = (struct snapshot)SNAPSHOT_NONE;
	s->now_ms = 3000;
}
static void change_farmless(struct snapshot *s)
{
	s->farm = "";
	s->is_approved = false;
	s->n_hubs = 0;
	s->hubs[0] = (struct snapshot_hub){ 0 };
}
static void change_new(struct snapshot *s)
{
	s->is_approved = s->is_durable = false;
}
static void change_all_down(struct snapshot *s)
{
	s->hubs[0].is_up = false;
	s->is_silent = true;
	s->n_uplinks = s->n_workloads = 0;
	s->hubs[0].why = "nobody there";
}
static void change_hub_down(struct snapshot *s)
{
	s->hubs[0].is_up = false;
	s->hubs[0].why = "the hub does not answer";
}
static void change_two_hubs(struct snapshot *s)
{
	s->hubs[1] = (struct snapshot_hub){ .url = "tls://hub.example:443", .why = "the hub's certificate has expired", .since_ms = 121000 };
	s->n_hubs = 2;
}
static void change_long(struct snapshot *s)
{
	static char text[300];

	memset(text, 'x', sizeof(text) - 1);
	s->farm = s->hubs[0].url = s->notes[0].text = s->version = text;
	s->services[0].name = text;
}
static void change_hostile(struct snapshot *s)
{
	s->farm = s->hubs[0].url = s->notes[0].text = "\033[2J\x9b"
						      "5m\r\n\tend";
	s->services[0].name = s->workloads[0].name = "\033c";
}

/* What a screen of some size says of a snapshot, and does not say. */
static void shows_what_matters(void)
{
	static const struct {
		const char *what;
		void (*change)(struct snapshot *s);
		unsigned width, height;
		const char *yes[8], *no[4];
	} rows[] = {
		{ "sound",
		  change_nothing,
		  80,
		  25,
		  { "Zero-OS 1.2.3  cloud", "up 4m", "NABCDEFG HIJKLMNO PQRSTUVW XYZ23456 7ABCDEFG HIJKLMNO PQRSTUVW", "demo, approved",
		    "connected for 3m", "eth0  10.0.2.15/24", "dhcp backoff", "2m   gridd: something went wrong" },
		  { "skipped", "shell", "not", "engine" } },
		{ "sound, numbers",
		  change_nothing,
		  80,
		  25,
		  { "1.5 of 4 promised", "1.0 GiB of 4.0 GiB promised", "3 ok, 1 retrying", "[#####" },
		  {} },
		{ "large", change_cards, 300, 100, { "1.5 of 4", "eth1  no cable", "eth2  not used", "eth3  connected" }, {} },
		{ "tiny",
		  change_nothing,
		  40,
		  10,
		  { "Zero-OS 1.2.3", "NABCDEFG HIJKLMNO PQRSTUVW", "XYZ23456 7ABCDEFG HIJKLMNO", "connected" },
		  { "[#" } },
		{ "less than tiny", change_all_down, 1, 1, { "NABCDEFG", "not connected" }, {} },
		{ "debug", change_debug, 80, 25, { "debug: its first virtual console is a root shell" }, {} },
		{ "nothing known yet", change_empty, 80, 25, { "the engine is starting", "no network card", "up <1m" }, { "Hub", "Farm", "CPU" } },
		{ "no farm",
		  change_farmless,
		  80,
		  25,
		  { "no farm document", "not connected", "the farm document names no hub" },
		  { "approved", "nats:" } },
		{ "new", change_new, 80, 25, { "demo, not approved", "zos farm approve N...", "no data disk" }, {} },
		{ "everything down",
		  change_all_down,
		  80,
		  25,
		  { "the engine does not answer", "not connected for 3m", "no network card was found" },
		  { "  connected", "nobody there" } },
		{ "hub down", change_hub_down, 80, 25, { "not connected for 3m", "the hub does not answer", "nats://10.0.2.2:4222" }, {} },
		{ "one of two hubs",
		  change_two_hubs,
		  80,
		  25,
		  { "  connected for 3m  nats://10.0.2.2:4222", "not connected for 2m  tls://hub.example:443", "the hub's certificate has expired" },
		  {} },
		{ "long", change_long, 80, 25, { "xxx~" }, {} },
		{ "hostile", change_hostile, 80, 25, { "?[2J?5m???end" }, {} },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct snapshot s = sound();
		struct screen got;

		rows[i].change(&s);
		screen_draw(&got, &s, rows[i].width, rows[i].height);
		every_row_is_full_and_printable(&got, rows[i].what);
		for (size_t k = 0; k < 8 && rows[i].yes[k]; k++)
			T_CHECK(has(&got, rows[i].yes[k]), "%s: no '%s'", rows[i].what, rows[i].yes[k]);
		for (size_t k = 0; k < 4 && rows[i].no[k]; k++)
			T_CHECK(!has(&got, rows[i].no[k]), "%s: says '%s'", rows[i].what, rows[i].no[k]);
	}
}

static void every_size_is_drawn(void)
{
	for (unsigned w = 1; w < 170; w += 3)
		for (unsigned h = 1; h < 66; h += 2) {
			struct snapshot s = sound();
			struct screen got;

			screen_draw(&got, &s, w, h);
			every_row_is_full_and_printable(&got, "any size");
		}
}

static void names_the_nearest_cause(void)
{
	static const struct {
		const char *what;
		size_t n_uplinks;
		bool is_used, has_carrier;
		const char *addresses;
		int64_t time_s;
		const char *url, *why, *want;
	} rows[] = {
		{ "no card", 0, true, false, "", 0, "", "x", "no network card" },
		{ "no cable", 1, true, false, "10.0.0.1/8", 0, "", "x", "no cable" },
		{ "left out", 1, false, false, "", 0, "", "x", "no address" },
		{ "no address", 1, true, true, "", 0, "", "x", "no address" },
		{ "clock of 1970", 1, true, true, "10.0.0.1/8", 5, "u", "x", "clock" },
		{ "clock of 2100", 1, true, true, "10.0.0.1/8", 4102444800, "u", "x", "clock" },
		{ "no hub", 1, true, true, "10.0.0.1/8", 1800000000, "", "x", "names no hub" },
		{ "gridd knows", 1, true, true, "10.0.0.1/8", 1800000000, "u", "hub.example does not resolve", "hub.example does not resolve" },
		{ "nobody knows", 1, true, true, "10.0.0.1/8", 1800000000, "u", "", "connecting" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct snapshot s = sound();

		s.n_uplinks = rows[i].n_uplinks;
		s.uplinks[0].is_used = rows[i].is_used;
		s.uplinks[1].is_used = false;
		s.uplinks[0].has_carrier = rows[i].has_carrier;
		snprintf(s.uplinks[0].addresses, sizeof(s.uplinks[0].addresses), "%s", rows[i].addresses);
		s.time_s = rows[i].time_s;
		s.n_hubs = rows[i].url[0] ? 1 : 0;
		s.hubs[0].why = rows[i].why;
		T_CHECK(strstr(screen_why(&s, 0), rows[i].want), "%s: '%s'", rows[i].what, screen_why(&s, 0));
	}
}

/* Texts as long as a node's, of which only the look matters here. */
static char diagnoses[2][DIAGNOSIS_SIZE];

static void change_unreached(struct snapshot *s)
{
	static const size_t lengths[] = { 334, 195 };
	unsigned seed = 1;

	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < lengths[i]; k++)
			diagnoses[i][k] =
				k < 4 ? DIAGNOSIS_HEAD[k] : "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(seed = seed * 1103515245 + 12345) >> 16 & 31];
		s->diagnoses[i].text = diagnoses[i];
	}
	s->n_diagnoses = 2;
	change_hub_down(s);
	s->hubs[0].why = "no hub runs at hub.example, port 4222";
}

/* The modules as somebody sees them who stands before the screen: a character is two of them. */
static bool seen_dark(const struct screen *s, unsigned left, unsigned x, unsigned y)
{
	char c = s->rows[y / 2].text[left + x];

	T_CHECK(s->rows[y / 2].style[left + x] == SCREEN_CODE && strchr(" ^_#", c), "column %u, row %u: '%c'", left + x, y / 2, c);
	return c == '#' || c == (y % 2 ? '_' : '^');
}

/* A screen has the largest code for which it has room, whole and with light around it, and beside it still says what matters. */
static void the_code_is_drawn_whole(void)
{
	static const struct {
		unsigned width, height;
		int which; /* of the diagnoses; -1 = none */
		unsigned side, above;
	} rows[] = {
		{ 80, 25, 1, 2, 1 }, { 100, 37, 0, 4, 4 }, { 128, 48, 0, 4, 4 }, { 160, 50, 0, 4, 4 }, { 80, 24, -1, 0, 0 }, { 78, 25, -1, 0, 0 }
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct snapshot s = sound();
		struct code code = { 0 };
		struct screen got;
		unsigned left, width;

		change_unreached(&s);
		screen_draw(&got, &s, rows[i].width, rows[i].height);
		every_row_is_full_and_printable(&got, "code");
		T_CHECK(has(&got, "no hub runs at") && has(&got, "NABCDEFG HIJKLMNO") && has(&got, "10.0.2.15/24"), "%ux%u says too little",
			rows[i].width, rows[i].height);
		if (rows[i].which < 0) {
			for (unsigned y = 0; y < got.height; y++)
				T_CHECK(!memchr(got.rows[y].style, SCREEN_CODE, got.width), "%ux%u has a code", rows[i].width, rows[i].height);
			continue;
		}
		T_CHECK(!code_make(diagnoses[rows[i].which], &code), "code");
		width = code.size + 2 * rows[i].side;
		left = got.width - width;
		for (unsigned y = 0; y < code.size + rows[i].above + 1; y++)
			for (unsigned x = 0; x < width; x++)
				T_CHECK(seen_dark(&got, left, x, y) == code_is_dark(&code, (int)(x - rows[i].side), (int)(y - rows[i].above)),
					"%ux%u: module %u, %u", rows[i].width, rows[i].height, x, y);
		T_CHECK(got.rows[0].style[left - 1] != SCREEN_CODE, "%u columns of code", width);
	}
}

static void blocks_are_drawn_in_utf_8(void)
{
	struct screen none = { 0 }, a;
	struct snapshot s = sound();
	AUTO_BUF struct buf out = { 0 };

	change_unreached(&s);
	screen_draw(&a, &s, 80, 25);
	screen_diff(&none, &a, &out);
	T_CHECK(strstr(out.p, "\033[0;30;47m") && strstr(out.p, "\xe2\x96\x80") && strstr(out.p, "\xe2\x96\x84") && strstr(out.p, "\xe2\x96\x88"),
		"no blocks");
}

static void a_text_too_long_is_no_code(void)
{
	static char text[600];
	struct code code = { 0 };

	memset(text, 'A', sizeof(text) - 1);
	T_CHECK(code_make(text, &code) == -EFBIG && !code.size, "%u modules", code.size);
	text[400] = '\0';
	T_CHECK(!code_make(text, &code) && code.size <= CODE_SIZE_MAX, "%u modules", code.size);
}

/* A terminal that knows what screen_diff() writes: positions, and text that moves on. */
static void apply(char cells[SCREEN_ROWS_MAX][SCREEN_COLS_MAX], const struct buf *b)
{
	unsigned y = 0, x = 0;
	char *rest;

	for (size_t i = 0; i < b->len; i++) {
		if (b->p[i] != '\033') {
			cells[y][x++] = b->p[i];
			continue;
		}
		if (b->p[++i] == '7' || b->p[i] == '8')
			continue;
		size_t end = i + strspn(b->p + i, "[?0123456789;");

		if (b->p[end] == 'H') {
			y = (unsigned)strtoul(b->p + i + 1, &rest, 10) - 1;
			x = (unsigned)strtoul(rest + 1, NULL, 10) - 1;
		}
		i = end;
	}
}

static void only_changed_rows_are_sent(void)
{
	static char cells[SCREEN_ROWS_MAX][SCREEN_COLS_MAX];
	struct screen none = { 0 }, a, b;
	struct snapshot s = sound();
	AUTO_BUF struct buf first = { 0 }, same = { 0 }, second = { 0 };

	screen_draw(&a, &s, 80, 25);
	screen_diff(&none, &a, &first);
	T_CHECK(strstr(first.p, "\033[2J") && strstr(first.p, "\033[23;25r"), "the first one clears and leaves rows to the kernel");
	screen_diff(&a, &a, &same);
	T_CHECK(!same.len, "%zu bytes for nothing", same.len);
	s.hubs[0].is_up = false;
	screen_draw(&b, &s, 80, 25);
	screen_diff(&a, &b, &second);
	T_CHECK(!strstr(second.p, "\033[2J") && second.len < first.len, "%zu of %zu bytes", second.len, first.len);
	apply(cells, &first);
	apply(cells, &second);
	for (unsigned y = 0; y < 25 - SCREEN_KERNEL_ROWS; y++)
		T_CHECK(!memcmp(cells[y], b.rows[y].text, 80), "row %u: '%.80s'", y, cells[y]);
}

static void the_block_is_plain_lines(void)
{
	struct snapshot s = sound();
	AUTO_BUF struct buf with = { 0 }, early = { 0 }, late = { 0 };

	screen_block(&s, "|", &with);
	T_CHECK(strstr(with.p, "| Node") && strstr(with.p, "connected for 3m\r\n"), "%s", with.p);
	T_CHECK(!strchr(with.p, '\033') && !strstr(with.p, " \r\n"), "%s", with.p);
	T_CHECK(!strstr(with.p, "Diagnosis"), "%s", with.p);
	s.now_ms = 0;
	screen_block(&s, "", &early);
	s.hubs[0].since_ms = 0;
	screen_block(&s, "", &late);
	T_CHECK(str_eq(buf_str(&early), buf_str(&late)), "time alone changes it: %s", early.p);
}

static void the_block_has_the_shortest_diagnosis(void)
{
	struct snapshot s = sound();
	AUTO_BUF struct buf b = { 0 };

	change_unreached(&s);
	screen_block(&s, "|", &b);
	T_CHECK(strstr(b.p, "| Diagnosis  ZOS:"), "%s", b.p);
	T_CHECK(strstr(b.p, &diagnoses[1][2ul * 88]) && !strstr(b.p, &diagnoses[0][3ul * 88]), "not whole, or the longer one: %s", b.p);
}

int main(void)
{
	T_RUN(shows_what_matters);
	T_RUN(every_size_is_drawn);
	T_RUN(names_the_nearest_cause);
	T_RUN(only_changed_rows_are_sent);
	T_RUN(the_block_is_plain_lines);
	T_RUN(the_code_is_drawn_whole);
	T_RUN(blocks_are_drawn_in_utf_8);
	T_RUN(a_text_too_long_is_no_code);
	T_RUN(the_block_has_the_shortest_diagnosis);
	return T_END();
}
