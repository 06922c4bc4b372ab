#include "node/holds.h"

#include <stdio.h>

static void hold_name(const struct work *w, char ret[static STORE_NAME_MAX])
{
	snprintf(ret, STORE_NAME_MAX, "holds/%s", w->id);
}

void hold_load(struct engine *n, struct work *w)
{
	AUTO_BUF struct buf text = { 0 };
	char name[STORE_NAME_MAX];
	uint64_t version;

	hold_name(w, name);
	if (store_get(&n->store, name, &version, &text, NULL))
		return;
	for (unsigned i = 0; work_hold_names[i]; i++)
		if (str_eq(buf_str(&text), str_c(work_hold_names[i])))
			w->hold = (enum work_hold)i;
}

int hold_save(struct engine *n, struct work *w, enum work_hold hold, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	char name[STORE_NAME_MAX];
	uint64_t version = 0;
	int r;

	if (w->hold == hold)
		return 0;
	hold_name(w, name);
	(void)!store_get(&n->store, name, &version, &text, NULL);
	if ((r = store_put(&n->store, name, version + 1, str_c(work_hold_names[hold]), e)))
		return err_wrap(e, -EIO, "keep what you wish of '%s'", w->name);
	w->hold = hold;
	return 0;
}
