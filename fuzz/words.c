/* What PID 1 reads: the kernel command line and what services say of themselves; and what cards reads of the former. Whatever comes, the host name is a name, what is
 * borrowed lies in the input, and uplinks have names of their own and no more of anything than there is room for. */
#include "base/cabling.h"
#include "base/parse.h"
#include "init/cmdline.h"
#include "init/notify.h"

#include <stdlib.h>

static bool lies_in(struct str part, struct str whole)
{
	return part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

static void uplinks(struct str text, bool is_command_line)
{
	struct cabling c = { 0 }, again = { 0 };
	struct err e = { 0 };

	if (cabling_read(&c, text, is_command_line, &e)) {
		if (!cabling_is_empty(&c) || !e.msg[0])
			abort();
		return;
	}
	if (cabling_read(&again, text, true, &e) || memcmp(&c, &again, sizeof(c)) != 0 || c.n_uplinks > CABLING_UPLINKS_MAX ||
	    c.n_servers > CABLING_SERVERS_MAX)
		abort();
	for (size_t i = 0; i < c.n_uplinks; i++) {
		const struct cabling_uplink *u = &c.uplinks[i];
		char name[CABLING_NAME_SIZE], other[CABLING_NAME_SIZE];

		if (!u->n_cards || (u->n_cards > 1) != (u->bond != CABLING_ALONE) || ((u->router.family || u->router6.family) && !u->n_addresses))
			abort();
		cabling_name(&c, i, name);
		for (size_t k = 0; k < i; k++) {
			cabling_name(&c, k, other);
			if (!strcmp(name, other))
				abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str text = { (const char *)data, n }, bad = { 0 }, none = { 0 };
	struct cmdline c, again;
	struct notify said;

	if (cmdline_parse(&c, text, &bad)) {
		if (!lies_in(bad, text) || !str_starts(bad, S("zos.")))
			abort();
		if (bad.p[bad.n - 1] != '\n' && cmdline_parse(&again, bad, &none) != 1) /* the line's end would be taken off */
			abort();
	}
	if (!memchr(c.hostname, 0, sizeof(c.hostname)) || !name_ok(str_c(c.hostname)))
		abort();
	uplinks(text, true);
	uplinks(text, false);
	if (!notify_parse(&said, text) && said.status.p && (!lies_in(said.status, text) || memchr(said.status.p, '\n', said.status.n)))
		abort();
	return 0;
}
