/* What keeps a copy of a store: which files changed, record after record as they stand, and each change as it happens. */
#include "base/parse.h"
#include "zdb/call.h"

static int by_value(const void *a, const void *b)
{
	uint32_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

static void changed_put(struct call *c, const struct datalog *l)
{
	AUTO_FREE uint32_t *numbers = reallocarray(NULL, l->n_files + l->n_gone + 1, sizeof(*numbers));
	size_t n = 0;

	if (!numbers) {
		call_refuse(c, "Internal Memory Error");
		return;
	}
	for (size_t i = 0; i < l->n_files; i++)
		if (l->files[i].is_changed)
			numbers[n++] = l->files[i].head.file;
	for (size_t i = 0; i < l->n_gone; i++)
		numbers[n++] = l->gone[i];
	qsort(numbers, n, sizeof(*numbers), by_value);
	resp_array(c->out, n);
	for (size_t i = 0; i < n; i++)
		resp_number(c->out, numbers[i]);
}

void command_index(struct call *c)
{
	struct datalog *l = &c->session->space->space.log;

	if (!call_is_word(call_word(c, 1), "DIRTY")) {
		call_refuse(c, "Unknown INDEX subcommand");
	} else if (c->in->n == 2) {
		if (l->n_gone == DATALOG_GONE_MAX)
			call_refuse(c, "Too many files were removed: copy all of them after a reset");
		else
			changed_put(c, l);
	} else if (!call_is_word(call_word(c, 2), "RESET")) {
		call_refuse(c, "Unknown INDEX DIRTY subcommand");
	} else {
		datalog_unmark(l);
		call_ok(c);
	}
}

static bool number_at(struct call *c, size_t word, uint32_t *ret)
{
	uint64_t n = 0;

	if (parse_u64(call_word(c, word), UINT32_MAX, &n))
		return false;
	*ret = (uint32_t)n;
	return true;
}

void command_data(struct call *c)
{
	struct datalog *l = &c->session->space->space.log;
	const struct data_file *f;
	struct reading r;
	struct place at;
	int k;

	if (!call_is_word(call_word(c, 1), "RAW")) {
		call_refuse(c, "Unknown DATA subcommand");
	} else if (c->in->n != 4 || !number_at(c, 2, &at.file) || !number_at(c, 3, &at.offset)) {
		call_refuse(c, "Invalid arguments");
	} else if (!(f = datalog_file(l, at.file))) {
		call_refuse(c, "No such data file");
	} else if ((at.offset = at.offset ? at.offset : f->head.n_bytes) == f->end) {
		call_refuse(c, "EOF");
	} else if ((k = datalog_read(l, at, &r, NULL)) == -ENOENT || k == -EBADMSG) {
		call_refuse(c, "No record at this offset");
	} else if (k) {
		call_disk_error(c, k, "Internal Error");
	} else {
		resp_array(c->out, 6);
		resp_bulk(c->out, r.record.id);
		resp_number(c->out, r.record.previous);
		resp_number(c->out, r.record.crc);
		resp_number(c->out, r.record.flags);
		resp_number(c->out, r.record.time_s);
		call_value(c, &r);
	}
}

void command_nsjump(struct call *c)
{
	struct namespace *n = c->session->space;
	struct err e = { 0 };

	if (datalog_jump(&n->space.log, &e))
		call_refuse(c, "Cannot jump to a next file");
	else {
		n->is_dirty = true; /* its new file is told of when all is safe */
		call_ok(c);
	}
}

void command_reload(struct call *c)
{
	struct namespace *n = call_named(c, "Namespace not found");
	struct err e = { 0 };

	if (n && store_reload(&c->shared->store, n, &e))
		call_refuse(c, "Could not reload this namespace");
	else if (n) {
		store_tell(&c->shared->store, "namespace-reloaded", n);
		call_ok(c);
	}
}

void command_hooks(struct call *c)
{
	const struct store_watch *watch = c->shared->store.o.watch;

	if (watch)
		watch->list(watch->ctx, c->out);
	else
		resp_array(c->out, 0);
}

void command_mirror(struct call *c)
{
	c->session->is_mirror = true;
	resp_simple(c->out, "Starting mirroring");
}

void command_master(struct call *c)
{
	c->session->is_master = true;
	resp_simple(c->out, "Hello, master");
}
