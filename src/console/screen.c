/* Each part of the screen is a row of the table `parts`, with the function that writes it. A part writes lines into a
 * draft, which has more room than any screen; then the lines with the least to tell are left out until the rest fits.
 */
#include "console/screen.h"

#include "base/parse.h"
#include "console/code.h"

#include <inttypes.h>
#include <stdio.h>

/* Light modules around a code, as the standard asks for and as few as readers make do with; columns that stay for text. */
enum { CODE_EDGE = 4, CODE_SIDE_MIN = 2, CODE_ABOVE_MIN = 1, CODE_LEFT_MIN = 34 };
enum { LABEL_WIDTH = 11, KEY_GROUP = 8, BAR_WIDTH = 20, BLOCK_WIDTH = 100, SERVICE_WIDTH = 17, MARGIN = 1 };
/* How soon a line goes when there is no room: the highest first. */
enum rank { RANK_TITLE, RANK_NODE, RANK_HUB, RANK_UPLINK, RANK_FARM, RANK_WORK, RANK_NOTE, RANK_SERVICE, RANK_DETAIL, RANK_SPACE, RANKS };

struct draft {
	unsigned width;
	bool is_block;
	struct screen_row rows[SCREEN_ROWS_MAX];
	enum rank ranks[SCREEN_ROWS_MAX];
	size_t n;       /* lines begun */
	unsigned at;    /* where the last one goes on */
	enum rank rank; /* of lines to come */
};

static void line_begin(struct draft *d, enum rank rank)
{
	if (d->n == SCREEN_ROWS_MAX)
		d->n--; /* more than any screen has: the last line is written over */
	memset(d->rows[d->n].text, ' ', SCREEN_COLS_MAX);
	memset(d->rows[d->n].style, SCREEN_PLAIN, SCREEN_COLS_MAX);
	d->ranks[d->n++] = rank;
	d->at = MARGIN;
}

/* Text on the last line; what is too long ends in "~". */
__attribute__((format(printf, 3, 4))) static void put(struct draft *d, enum screen_style style, const char *fmt, ...)
{
	struct screen_row *row = &d->rows[d->n - 1];
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (const char *p = text; *p; p++, d->at++) {
		if (d->at >= d->width) {
			row->text[d->width - 1] = '~';
			return;
		}
		row->text[d->at] = *p;
		if (*p < ' ' || *p > '~') /* somebody else's words may be meant for the terminal */
			row->text[d->at] = '?';
		row->style[d->at] = (uint8_t)style;
	}
}

static void label(struct draft *d, enum rank rank, const char *text)
{
	line_begin(d, rank);
	put(d, SCREEN_LABEL, "%s", text);
	d->at = MARGIN + LABEL_WIDTH;
}

/* How much of TEXT to put on a line of ROOM: whole words, unless there is but one. */
static size_t words_within(const char *text, size_t room)
{
	size_t n = strlen(text), at = room;

	if (n <= room)
		return n;
	while (at > room / 2 && text[at] != ' ')
		at--;
	return text[at] == ' ' ? at : room;
}

/* TEXT on as many lines as it needs behind their label, the first of RANK and the others of NEXT. */
static void wrapped(struct draft *d, enum rank rank, enum rank next, enum screen_style style, const char *name, const char *text)
{
	size_t room = d->width - MARGIN - LABEL_WIDTH, cut;

	for (; text[0]; text += cut + (text[cut] == ' '), name = "", rank = next) {
		label(d, rank, name);
		put(d, style, "%.*s", (int)(cut = words_within(text, room)), text);
	}
}

/* "3m", "" when time is left out. In minutes, so that a screen does not change every second. */
static void age(const struct snapshot *s, uint64_t since_ms, char ret[static 16])
{
	uint64_t seconds = s->now_ms > since_ms ? (s->now_ms - since_ms) / 1000 : 0;

	ret[0] = '\0';
	if (!s->now_ms || !since_ms)
		return;
	format_duration(ret, seconds < 60 ? 60 : seconds);
	if (seconds < 3600)
		ret[strcspn(ret, " ")] = '\0';
	if (seconds < 60)
		memcpy(ret, "<1m", 4);
}

static void title(struct draft *d, const struct snapshot *s)
{
	bool is_debug = !strcmp(s->flavour, "debug");
	char up[16], right[32] = "";

	line_begin(d, RANK_TITLE);
	memset(d->rows[0].style, is_debug ? SCREEN_ALARM : SCREEN_TITLE, d->width);
	put(d, is_debug ? SCREEN_ALARM : SCREEN_TITLE, "Zero-OS %s  %s%s", s->version, s->flavour,
	    is_debug ? ": its first virtual console is a root shell" : "");
	age(s, 1, up); /* the monotonic clock began with the kernel */
	if (up[0])
		snprintf(right, sizeof(right), "up %s", up);
	if (d->at + strlen(right) + 3 > d->width)
		return;
	d->at = d->width - MARGIN - (unsigned)strlen(right);
	put(d, is_debug ? SCREEN_ALARM : SCREEN_TITLE, "%s", right);
}

static void space(struct draft *d, const struct snapshot *s)
{
	(void)s;
	line_begin(d, RANK_SPACE);
}

static void node(struct draft *d, const struct snapshot *s)
{
	size_t n = strlen(s->node);

	label(d, RANK_NODE, "Node");
	if (!n)
		return put(d, SCREEN_WARN, "the engine is starting");
	for (size_t i = 0; i < n; i += KEY_GROUP) {
		size_t len = n - i < KEY_GROUP ? n - i : KEY_GROUP;

		if (d->at + len > d->width)
			label(d, RANK_NODE, "");
		put(d, SCREEN_STRONG, "%.*s", (int)len, s->node + i);
		d->at++;
	}
	if (s->is_silent) {
		wrapped(d, RANK_HUB, RANK_HUB, SCREEN_BAD, "", "the engine does not answer: this is what it said last");
	}
}

static void farm(struct draft *d, const struct snapshot *s)
{
	if (!s->node[0])
		return;
	if (!s->farm[0])
		return wrapped(d, RANK_FARM, RANK_FARM, SCREEN_WARN, "Farm", "none: the boot medium brought no farm document");
	label(d, RANK_FARM, "Farm");
	put(d, SCREEN_PLAIN, "%s, ", s->farm);
	if (s->is_approved)
		return put(d, SCREEN_GOOD, "approved");
	put(d, SCREEN_WARN, "not approved");
	wrapped(d, RANK_FARM, RANK_FARM, SCREEN_PLAIN, "", "compare the key above, then: zos farm approve N...");
}

const char *screen_why(const struct snapshot *s, size_t i)
{
	enum diagnosis_cause cause = uplink_why(s->uplinks, s->n_uplinks, s->time_s, s->n_hubs);

	if (cause != DIAGNOSIS_HUB)
		return diagnosis_why(cause);
	return s->hubs[i].why[0] ? s->hubs[i].why : "connecting";
}

/* Hub number I; with several, each names its address on its line. */
static void hub(struct draft *d, const struct snapshot *s, size_t i)
{
	const struct snapshot_hub *h = &s->hubs[i];
	bool is_up = i < s->n_hubs && h->is_up && !s->is_silent;
	char since[16];

	label(d, RANK_HUB, i ? "" : "Hub");
	put(d, is_up ? SCREEN_GOOD : SCREEN_BAD, is_up ? "connected" : "not connected");
	age(s, h->since_ms, since);
	if (since[0])
		put(d, SCREEN_PLAIN, " for %s", since);
	if (s->n_hubs > 1)
		put(d, SCREEN_PLAIN, "  %s", h->url);
	if (!is_up)
		wrapped(d, RANK_HUB, RANK_HUB, SCREEN_WARN, "", screen_why(s, i));
	if (s->n_hubs == 1) {
		label(d, RANK_DETAIL, "");
		put(d, SCREEN_PLAIN, "%s", h->url);
	}
}

static void hubs(struct draft *d, const struct snapshot *s)
{
	if (!s->node[0])
		return;
	for (size_t i = 0; !i || i < s->n_hubs; i++)
		hub(d, s, i);
}

static void uplinks(struct draft *d, const struct snapshot *s)
{
	for (size_t i = 0; i < s->n_uplinks; i++) {
		const struct uplink *u = &s->uplinks[i];

		label(d, RANK_UPLINK, i ? "" : "Network");
		put(d, SCREEN_PLAIN, "%s  ", u->name);
		if (!u->is_used)
			put(d, SCREEN_PLAIN, "not used");
		else if (!u->has_carrier)
			put(d, SCREEN_WARN, "no cable");
		else if (!u->addresses[0])
			put(d, u->is_part ? SCREEN_PLAIN : SCREEN_WARN, u->is_part ? "connected" : "no address");
		else
			put(d, SCREEN_PLAIN, "%s", u->addresses);
	}
	if (!s->n_uplinks) {
		label(d, RANK_UPLINK, "Network");
		put(d, SCREEN_BAD, "no network card");
	}
}

static void bar(struct draft *d, uint64_t used, uint64_t total)
{
	unsigned full = total ? (unsigned)((used > total ? total : used) * BAR_WIDTH / total) : 0;
	char text[BAR_WIDTH + 1];

	if (used && !full)
		full = 1;
	memset(text, '.', BAR_WIDTH);
	memset(text, '#', full);
	text[BAR_WIDTH] = '\0';
	if (d->width < 60)
		return;
	put(d, SCREEN_PLAIN, "[");
	put(d, used > total ? SCREEN_WARN : SCREEN_GOOD, "%.*s", (int)full, text);
	put(d, SCREEN_PLAIN, "%s]  ", text + full);
}

static void capacity(struct draft *d, const struct snapshot *s)
{
	char used[16], total[16];

	if (!s->node[0])
		return;
	label(d, RANK_WORK, "CPU");
	bar(d, s->cpu_milli_used, s->cpu_milli);
	put(d, SCREEN_PLAIN, "%" PRIu64 ".%" PRIu64 " of %" PRIu64 " promised", s->cpu_milli_used / 1000, s->cpu_milli_used % 1000 / 100,
	    s->cpu_milli / 1000);
	format_size(used, s->memory_used_bytes);
	format_size(total, s->memory_bytes);
	label(d, RANK_WORK, "Memory");
	bar(d, s->memory_used_bytes, s->memory_bytes);
	put(d, SCREEN_PLAIN, "%s of %s promised", used, total);
}

static const struct {
	const char *name;
	enum screen_style style;
} styles[] = {
	{ "ok", SCREEN_GOOD },       { "up", SCREEN_GOOD },      { "done", SCREEN_GOOD },     { "retrying", SCREEN_BAD },
	{ "backoff", SCREEN_BAD },   { "draining", SCREEN_BAD }, { "down", SCREEN_BAD },      { "pending", SCREEN_WARN },
	{ "starting", SCREEN_WARN }, { "waiting", SCREEN_WARN }, { "stopping", SCREEN_WARN }, { "paused", SCREEN_WARN },
};

static enum screen_style style_of(const char *state)
{
	for (size_t i = 0; i < ARRAY_LEN(styles); i++)
		if (!strcmp(styles[i].name, state))
			return styles[i].style;
	return SCREEN_PLAIN;
}

static void workloads(struct draft *d, const struct snapshot *s)
{
	if (!s->node[0])
		return;
	label(d, RANK_WORK, "Workloads");
	if (!s->n_workloads)
		put(d, SCREEN_PLAIN, "none");
	for (size_t i = 0; i < s->n_workloads; i++) {
		put(d, SCREEN_PLAIN, "%s%" PRIu64 " ", i ? ", " : "", s->workloads[i].count);
		put(d, style_of(s->workloads[i].name), "%s", s->workloads[i].name);
	}
	if (!s->is_durable)
		wrapped(d, RANK_DETAIL, RANK_DETAIL, SCREEN_WARN, "", "no data disk: all of this is forgotten when the power goes");
}

/* In columns; what is not in the image is left out. */
static void services(struct draft *d, const struct snapshot *s)
{
	unsigned left = MARGIN + LABEL_WIDTH, column = 0, columns = (d->width - left) / SERVICE_WIDTH;

	for (size_t i = 0; i < s->n_services; i++) {
		const struct snapshot_service *v = &s->services[i];

		if (!strcmp(v->state, "skipped"))
			continue;
		if (column % columns == 0)
			label(d, RANK_SERVICE, column ? "" : "Services");
		d->at = left + column++ % columns * SERVICE_WIDTH;
		put(d, SCREEN_PLAIN, "%.8s ", v->name);
		put(d, style_of(v->state), "%.8s", v->state);
	}
}

static void notes(struct draft *d, const struct snapshot *s)
{
	char text[300], ago[16];

	for (size_t i = 0; i < s->n_notes; i++) {
		const struct snapshot_note *n = &s->notes[i];

		age(s, n->at_ms, ago);
		snprintf(text, sizeof(text), "%-4s %s: %s", ago, n->service, n->text);
		wrapped(d, RANK_NOTE, RANK_DETAIL, SCREEN_PLAIN, i ? "" : "Warnings", text);
	}
}

/* For who has a line instead of a screen: the shortest, in words of which none is longer than a line. */
static void diagnosis(struct draft *d, const struct snapshot *s)
{
	if (d->is_block && s->n_diagnoses)
		wrapped(d, RANK_DETAIL, RANK_DETAIL, SCREEN_PLAIN, "Diagnosis", s->diagnoses[s->n_diagnoses - 1].text);
}

static const struct {
	void (*write)(struct draft *d, const struct snapshot *s);
	bool in_block;
} parts[] = {
	{ title, true },  { space, false },   { node, true },   { farm, true },     { space, false },
	{ hubs, true },   { uplinks, true },  { space, false }, { capacity, true }, { workloads, true },
	{ space, false }, { services, true }, { space, false }, { notes, false },   { diagnosis, true },
};

static void draft(struct draft *ret, const struct snapshot *s, unsigned width, bool is_block)
{
	ret->width = width;
	ret->is_block = is_block;
	ret->n = 0;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (parts[i].in_block || !is_block)
			parts[i].write(ret, s);
}

/* Takes out the last line of the highest rank. */
static void shorten(struct draft *d)
{
	size_t out = 0;

	for (size_t i = 0; i < d->n; i++)
		if (d->ranks[i] >= d->ranks[out])
			out = i;
	d->n--;
	memmove(&d->rows[out], &d->rows[out + 1], (d->n - out) * sizeof(d->rows[0]));
	memmove(&d->ranks[out], &d->ranks[out + 1], (d->n - out) * sizeof(d->ranks[0]));
}

static unsigned clamp(unsigned v, unsigned min, unsigned max)
{
	return v < min ? min : v > max ? max : v;
}

static unsigned rows_of_kernel(unsigned height)
{
	return height >= SCREEN_KERNEL_FROM ? SCREEN_KERNEL_ROWS : 0;
}

/* The first of the diagnoses whose code has room. HEIGHT: rows there are. */
static bool code_fits(const struct snapshot *s, unsigned width, unsigned height, struct code *ret)
{
	for (size_t i = 0; i < s->n_diagnoses; i++)
		if (!code_make(s->diagnoses[i].text, ret) && ret->size + 2 * CODE_ABOVE_MIN <= 2 * height &&
		    ret->size + 2 * CODE_SIDE_MIN + CODE_LEFT_MIN <= width)
			return true;
	return false;
}

static unsigned code_side(const struct code *c, unsigned width)
{
	return c->size + 2 * CODE_EDGE + CODE_LEFT_MIN <= width ? CODE_EDGE : CODE_SIDE_MIN;
}

/* In the right corner, two modules a character, one above the other. HEIGHT: rows there are. */
static void code_draw(struct screen *s, const struct code *c, unsigned height)
{
	static const char blocks[] = { ' ', '_', '^', '#' };
	unsigned side = code_side(c, s->width), left = s->width - c->size - 2 * side, wanted = (c->size + 1) / 2 + CODE_EDGE;
	int above;

	height = height < wanted ? height : wanted;
	above = (int)(2 * height - c->size) / 2;
	for (unsigned y = 0; y < height; y++)
		for (unsigned x = left; x < s->width; x++) {
			int mx = (int)(x - left - side), my = (int)(2 * y) - above;

			s->rows[y].text[x] = blocks[2 * code_is_dark(c, mx, my) + code_is_dark(c, mx, my + 1)];
			s->rows[y].style[x] = SCREEN_CODE;
		}
}

void screen_draw(struct screen *ret, const struct snapshot *s, unsigned width, unsigned height)
{
	struct code code = { 0 };
	struct draft d;
	unsigned ours;
	bool has_code;

	ret->width = clamp(width, SCREEN_COLS_MIN, SCREEN_COLS_MAX);
	ret->height = clamp(height, SCREEN_ROWS_MIN, SCREEN_ROWS_MAX);
	ours = ret->height - rows_of_kernel(ret->height);
	has_code = code_fits(s, ret->width, ours, &code);
	draft(&d, s, ret->width - (has_code ? code.size + 2 * code_side(&code, ret->width) : 0), false);
	while (d.n > ours)
		shorten(&d);
	while (d.n < ret->height)
		line_begin(&d, RANK_SPACE);
	memcpy(ret->rows, d.rows, ret->height * sizeof(d.rows[0]));
	if (has_code)
		code_draw(ret, &code, ours);
	for (unsigned y = 0; y < ret->height; y++)
		ret->rows[y].text[ret->width] = '\0';
}

static const char *const codes[SCREEN_STYLES] = {
	[SCREEN_PLAIN] = "0",    [SCREEN_LABEL] = "0;36", [SCREEN_STRONG] = "0;1",      [SCREEN_GOOD] = "0;32",    [SCREEN_WARN] = "0;1;33",
	[SCREEN_BAD] = "0;1;31", [SCREEN_TITLE] = "0;7",  [SCREEN_ALARM] = "0;1;37;41", [SCREEN_CODE] = "0;30;47",
};

/* What a character of SCREEN_CODE stands for, in UTF-8: these are in the fonts of VGA and of the kernel. */
static struct str block_of(char c)
{
	return c == '^' ? S("\xe2\x96\x80") : c == '_' ? S("\xe2\x96\x84") : c == '#' ? S("\xe2\x96\x88") : S(" ");
}

static void row_write(const struct screen *s, unsigned y, struct buf *ret)
{
	const struct screen_row *row = &s->rows[y];
	unsigned style = SCREEN_STYLES;

	buf_addf(ret, "\033[%u;1H", y + 1);
	for (unsigned x = 0; x < s->width; x++) {
		if (row->style[x] != style)
			buf_addf(ret, "\033[%sm", codes[style = row->style[x]]);
		buf_add(ret, style == SCREEN_CODE ? block_of(row->text[x]) : (struct str){ &row->text[x], 1 });
	}
}

static bool row_same(const struct screen *a, const struct screen *b, unsigned y)
{
	return !memcmp(a->rows[y].text, b->rows[y].text, b->width) && !memcmp(a->rows[y].style, b->rows[y].style, b->width);
}

void screen_diff(const struct screen *before, const struct screen *after, struct buf *ret)
{
	bool all = before->width != after->width || before->height != after->height;
	unsigned kernel = rows_of_kernel(after->height), ours = after->height - kernel;
	size_t begin;

	if (all) /* no cursor, nothing on it; the lowest rows scroll for the kernel, whose cursor waits in the last */
		buf_addf(ret, "\033[?25l\033[0m\033[r\033[2J\033[%u;%ur\033[%u;1H", kernel ? ours + 1 : 1, after->height, after->height);
	buf_add(ret, S("\0337"));
	begin = ret->len;
	for (unsigned y = 0; y < ours; y++)
		if (all || !row_same(before, after, y))
			row_write(after, y, ret);
	if (ret->len == begin)
		ret->len = begin - 2;
	else
		buf_add(ret, S("\033[0m\0338"));
}

void screen_block(const struct snapshot *s, const char *prefix, struct buf *ret)
{
	struct draft d;

	draft(&d, s, BLOCK_WIDTH, true);
	for (size_t i = 0; i < d.n; i++) {
		unsigned n = d.width;

		while (n && d.rows[i].text[n - 1] == ' ')
			n--;
		buf_addf(ret, "%s%.*s\r\n", prefix, (int)n, d.rows[i].text);
	}
}
