/* Namespaces: made, set, selected, removed. */
#include "base/parse.h"
#include "zdb/call.h"
#include "zdb/checkpoint.h"

#include <inttypes.h>
#include <sys/statvfs.h>

void command_dbsize(struct call *c)
{
	resp_number(c->out, (int64_t)c->session->space->space.keys.n);
}

void command_nsnew(struct call *c)
{
	struct namespace *n;
	struct err e = { 0 };

	if (call_word(c, 1).n > NAMESPACE_NAME_MAX)
		call_refuse(c, "Namespace too long");
	else if (!namespace_name_ok(call_word(c, 1)))
		call_refuse(c, "This name is not allowed");
	else if (store_find(&c->shared->store, call_word(c, 1)))
		call_refuse(c, "This namespace is not available");
	else if (store_add(&c->shared->store, call_word(c, 1), &n, &e))
		call_refuse(c, "Could not create namespace");
	else {
		store_tell(&c->shared->store, "namespace-created", n);
		call_ok(c);
	}
}

void command_nsdel(struct call *c)
{
	struct namespace *n = call_named(c, "This namespace doesn't exists");
	struct err e = { 0 };

	if (!n)
		return;
	if (!strcmp(n->name, NAMESPACE_DEFAULT)) {
		call_refuse(c, "Cannot remove default namespace");
	} else if (n == c->session->space) {
		call_refuse(c, "Cannot remove namespace you're currently using.");
	} else if (store_remove(&c->shared->store, n, &e)) {
		call_refuse(c, "Could not delete this namespace");
	} else {
		c->removed = n;
		call_ok(c);
	}
}

void command_nslist(struct call *c)
{
	resp_array(c->out, c->shared->store.n);
	for (const struct namespace *n = c->shared->store.list; n; n = n->next)
		resp_bulk(c->out, str_c(n->name));
}

static const char *yes_no(bool is)
{
	return is ? "yes" : "no";
}

static void disk_room(struct buf *b, const char *name, int fd)
{
	struct statvfs st;
	uint64_t bytes = fstatvfs(fd, &st) ? 0 : (uint64_t)st.f_frsize * st.f_bavail;

	buf_addf(b, "%s_bytes: %" PRIu64 "\n%s_mb: %.2f\n", name, bytes, name, (double)bytes / (1 << 20));
}

void command_nsinfo(struct call *c)
{
	const struct namespace *n = call_named(c, "Namespace not found");
	AUTO_BUF struct buf b = { 0 };
	const struct store_options *o = &c->shared->store.o;
	const struct data_file *last;
	uint64_t index_bytes, next = 0;

	if (!n)
		return;
	last = n->space.log.n_files ? &n->space.log.files[n->space.log.n_files - 1] : NULL;
	index_bytes = keydir_bytes(&n->space.keys);
	next = n->space.next_id;
	buf_addf(&b, "# namespace\nname: %s\nentries: %" PRIu64 "\npublic: %s\nworm: %s\nlocked: %s\nfrozen: %s\npassword: %s\n", n->name,
		 n->space.keys.n, yes_no(n->settings.is_public), yes_no(n->settings.is_worm), yes_no(n->settings.is_locked),
		 yes_no(n->settings.is_frozen), yes_no(n->settings.password[0]));
	call_volume(&b, "data_size", n->space.data_bytes);
	buf_addf(&b, "data_limits_bytes: %" PRIu64 "\nindex_size_bytes: %" PRIu64 "\nindex_size_kb: %.2f\n", n->settings.max_bytes, index_bytes,
		 (double)index_bytes / 1024);
	buf_addf(&b, "next_internal_id: 0x%016" PRIx64 "\nmode: %s\n", next, n->settings.mode == SPACE_SEQ ? "sequential" : "userkey");
	buf_addf(&b, "stats_index_io_errors: 0\nstats_index_io_error_last: 0\nstats_index_faults: 0\n");
	buf_addf(&b, "stats_data_io_errors: %" PRIu64 "\nstats_data_io_error_last: %" PRId64 "\nstats_data_faults: 0\n", n->io_errors, n->io_error_s);
	if (n->settings.max_bytes)
		buf_addf(&b, "space_available: %" PRIu64 "\n",
			 n->settings.max_bytes > n->space.data_bytes ? n->settings.max_bytes - n->space.data_bytes : 0);
	disk_room(&b, "index_disk_freespace", n->space.index);
	disk_room(&b, "data_disk_freespace", n->space.log.dir);
	buf_addf(&b, "data_path: %s/%s\ndata_active: %s/%s/d%u\n", o->data, n->name, o->data, n->name, last ? last->head.file : 0);
	buf_addf(&b, "index_path: %s/%s\nindex_active: %s/%s/" CHECKPOINT_NAME "\n", o->index, n->name, o->index, n->name);
	buf_addf(&b, "data_current_id: %u\ndata_current_offset: %u\n", last ? last->head.file : 0, last ? last->end : 0);
	resp_bulk(c->out, buf_str(&b));
}

static bool switch_of(struct str value, bool *ret)
{
	*ret = str_eq(value, S("1"));
	return *ret || str_eq(value, S("0"));
}

/* Sets PROPERTY in S. Returns what is wrong with it, or NULL. */
static const char *setting_put(struct settings *s, struct str property, struct str value, bool is_empty)
{
	const struct {
		const char *name;
		bool *at;
	} switches[] = { { "public", &s->is_public }, { "worm", &s->is_worm }, { "lock", &s->is_locked }, { "freeze", &s->is_frozen } };

	for (size_t i = 0; i < ARRAY_LEN(switches); i++)
		if (str_eq(property, str_c(switches[i].name)))
			return switch_of(value, switches[i].at) ? NULL : "Invalid value";
	if (str_eq(property, S("maxsize")))
		return parse_u64(value, INT64_MAX, &s->max_bytes) ? "Invalid value" : NULL;
	if (str_eq(property, S("password"))) {
		bool none = str_eq(value, S("*"));

		memset(s->password, 0, sizeof(s->password));
		memcpy(s->password, value.p, none ? 0 : value.n);
		return NULL;
	}
	if (!str_eq(property, S("mode")))
		return "Invalid property";
	if (!is_empty)
		return "Cannot change the mode of a namespace that is not empty";
	s->mode = str_eq(value, S("seq")) ? SPACE_SEQ : SPACE_USER;
	return str_eq(value, S("seq")) || str_eq(value, S("user")) ? NULL : "Invalid value";
}

void command_nsset(struct call *c)
{
	struct namespace *n;
	struct settings settings;
	struct err e = { 0 };
	const char *wrong;

	if (call_word(c, 3).n > NAMESPACE_PASSWORD_MAX) {
		call_refuse(c, "Invalid value");
		return;
	}
	if (str_eq(call_word(c, 1), S(NAMESPACE_DEFAULT))) {
		call_refuse(c, "Cannot update default namespace");
		return;
	}
	if (!(n = call_named(c, "Namespace not found")))
		return;
	settings = n->settings;
	if ((wrong = setting_put(&settings, call_word(c, 2), call_word(c, 3), !n->space.log.n_files)))
		call_refuse(c, wrong);
	else if (store_set(&c->shared->store, n, &settings, &e))
		call_refuse(c, "Could not keep the setting");
	else {
		store_tell(&c->shared->store, "namespace-updated", n);
		call_ok(c);
	}
	explicit_bzero(&settings, sizeof(settings));
}

void command_select(struct call *c)
{
	struct namespace *n = call_named(c, "Namespace not found");
	bool is_writable = true;

	if (!n)
		return;
	if (n->settings.password[0] && c->in->n == 2 && !n->settings.is_public) {
		c->shared->counters.unauthorized++;
		call_refuse(c, "Namespace protected and private");
		return;
	}
	if (n->settings.password[0] && c->in->n == 2)
		is_writable = false;
	else if (n->settings.password[0] && !call_is_admitted(c, 2, n->settings.password))
		return;
	if (!strcmp(n->name, NAMESPACE_DEFAULT))
		is_writable = !c->shared->is_protected || c->session->is_admin;
	c->session->space = n;
	c->session->is_writable = is_writable;
	call_ok(c);
}

void command_flush(struct call *c)
{
	struct namespace *n = c->session->space;
	struct err e = { 0 };

	if (n->settings.is_public || !n->settings.password[0])
		call_refuse(c, "Flushing public namespace denied");
	else if (n->settings.is_worm)
		call_refuse(c, "Cannot flush a namespace in worm mode");
	else if (space_clear(&n->space, &e))
		call_refuse(c, "Internal Server Error");
	else
		call_ok(c);
}
