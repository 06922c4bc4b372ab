#include "gateway/acmed.h"

#include "base/file.h"
#include "base/log.h"
#include "svc/daemon.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#define ACCOUNT_FILE ACMED_CONF "/private/key.pem"
enum { CHAIN_MAX = 65536, UID_ENGINE = 0 };

static uint64_t now_ms(const struct acmed *d)
{
	uint64_t usec = 0;

	sd_event_now(d->event, CLOCK_MONOTONIC, &usec);
	return usec / 1000;
}

static struct acmed_name *name_find(struct acmed *d, const char *id, const char *fqdn)
{
	for (size_t i = 0; i < d->n; i++)
		if (!strcmp(d->names[i].claim.id, id) && !strcmp(d->names[i].claim.fqdn, fqdn))
			return &d->names[i];
	return NULL;
}

static const struct cert_times *times_of(const struct acmed_name *n)
{
	return n->claim.bundle ? &n->times : NULL;
}

/* What stands in the way of a name: its own last failure, or that nobody knows the gateway at the ACME server. */
static int report_add(const struct acmed *d, struct acmed_name *n, sd_json_variant **list)
{
	bool is_unknown = !d->is_registered && d->registration.n_failed && order_is_due(&n->order, times_of(n), UINT64_MAX, (int64_t)time(NULL));
	struct claim_report one = { .id = n->claim.id,
				    .until_s = n->claim.bundle ? (uint64_t)n->times.until_s : 0,
				    .why = is_unknown ? d->registration.why : n->order.why,
				    .next_s = (uint64_t)(is_unknown          ? d->registration_s
							 : n->order.n_failed ? n->next_s
									     : 0) };

	if (!n->is_told)
		one.bundle = n->claim.bundle;
	return claim_report_add(&one, list);
}

static void report(struct acmed *d)
{
	AUTO_JSON sd_json_variant *list = NULL, *now = NULL;
	int r = sd_json_variant_new_array(&list, NULL, 0);

	for (size_t i = 0; r >= 0 && i < d->n; i++)
		r = report_add(d, &d->names[i], &list);
	if (!d->engine || !d->account || r < 0 || claims_report(d->account, d->thumbprint, list, &now) ||
	    (d->told && sd_json_variant_equal(d->told, now)))
		return;
	json_unrefp(&d->told);
	d->told = sd_json_variant_ref(now);
	if (sd_varlink_notify(d->engine, now) < 0) {
		log_limited("the engine hears nothing any more");
		return;
	}
	for (size_t i = 0; i < d->n; i++)
		d->names[i].is_told = true;
}

/* The account's key is made here, and the engine keeps it. */
static int account_make(struct acmed *d, struct err *e)
{
	AUTO_SECRET struct buf key = { .limit = CERT_KEY_MAX };
	int r = d->account ? 0 : cert_key_make(&key, e);

	if (r)
		return r;
	if (!d->account) {
		d->account = strdup(key.p);
		BUG_ON(!d->account);
		d->is_registered = false;
		d->registration = (struct order_state){ 0 };
		log_info("a new account's key was made");
	}
	if ((r = cert_thumbprint(str_c(d->account), d->thumbprint, e)))
		return err_wrap(e, r, "the account's key");
	return file_save(AT_FDCWD, ACCOUNT_FILE, str_c(d->account), 0600, e);
}

static int ca_save(const struct acmed *d, struct err *e)
{
	return file_save(AT_FDCWD, ACMED_CA_DIR "/" ACMED_CA_FILE, d->ca ? str_c(d->ca) : d->o.ca, 0644, e);
}

static void job_path(const struct acmed_job *j, const char *end, char ret[static 64])
{
	snprintf(ret, 64, ACMED_WORK "/%d%s", (int)(j - j->all->jobs), end);
}

static void job_end(struct acmed_job *j)
{
	static const char *const ends[] = { ".csr", "-cert.pem", "-cert.pem.tmp" };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		char path[64];

		job_path(j, ends[i], path);
		unlink(path);
	}
	buf_wipe(&j->key);
	j->task = NULL;
	j->id[0] = j->fqdn[0] = '\0';
}

static void orders_start(struct acmed *d);

static void failed(struct acmed *d, struct order_state *o, int64_t *ret_next_s, const char *what, const char *why, bool is_limited)
{
	order_failed(o, str_c(why), is_limited, now_ms(d), random_u64());
	*ret_next_s = (int64_t)time(NULL) + (int64_t)((o->next_ms - now_ms(d)) / 1000);
	log_warn("%s: %s", what, o->why);
}

static int bundle_take(struct acmed_job *j, struct acmed_name *n, struct err *e)
{
	AUTO_BUF struct buf chain = { 0 };
	AUTO_SECRET struct buf bundle = { .limit = CERT_BUNDLE_MAX };
	char path[64];
	int r;

	job_path(j, "-cert.pem", path);
	if ((r = file_read(AT_FDCWD, path, CHAIN_MAX, &chain, e)) ||
	    (r = cert_bundle_make(buf_str(&j->key), buf_str(&chain), n->claim.fqdn, (int64_t)time(NULL), &bundle, &n->times, e)))
		return r;
	wipe_free(&n->claim.bundle);
	n->claim.bundle = strdup(bundle.p);
	BUG_ON(!n->claim.bundle);
	n->is_told = false;
	return 0;
}

/* Why a child failed, in words for people: what it says, or else what became of it. */
static void why_read(const struct task_end *end, char ret[static ORDER_WHY_SIZE])
{
	if (end->output.n)
		order_read_why(end->output, ret);
	else
		order_read_why(str_c(end->why.msg), ret);
}

static void on_named(void *ctx, const struct task_end *end)
{
	struct acmed_job *j = ctx;
	struct acmed *d = j->all;
	struct acmed_name *n = name_find(d, j->id, j->fqdn);
	char why[ORDER_WHY_SIZE] = "";
	struct err e = { 0 };

	if (!end->went_well)
		why_read(end, why);
	else if (n && bundle_take(j, n, &e))
		snprintf(why, sizeof(why), "%s", e.msg);
	if (order_lacks_account(end->output))
		d->is_registered = false; /* before anybody asks again */
	if (n) {
		n->is_asked = false;
		if (why[0])
			failed(d, &n->order, &n->next_s, n->claim.fqdn, why, order_is_limited(end->output));
		else
			order_went_well(&n->order);
	}
	if (n && !why[0])
		log_info("%s: it has a new certificate", n->claim.fqdn);
	job_end(j);
	report(d);
	orders_start(d);
}

static void on_registered(void *ctx, const struct task_end *end)
{
	struct acmed_job *j = ctx;
	struct acmed *d = j->all;
	char why[ORDER_WHY_SIZE];

	d->is_registered = end->went_well || order_has_account(end->output);
	if (d->is_registered) {
		order_went_well(&d->registration);
	} else {
		why_read(end, why);
		failed(d, &d->registration, &d->registration_s, "the ACME server takes no account", why, order_is_limited(end->output));
	}
	job_end(j);
	report(d);
	orders_start(d);
}

static struct acmed_job *job_free(struct acmed *d)
{
	for (size_t i = 0; i < ACMED_JOBS; i++)
		if (!d->jobs[i].task)
			return &d->jobs[i];
	return NULL;
}

static void registration_start(struct acmed *d)
{
	const char *argv[] = { d->o.program, "order", "new", d->directory, d->email[0] ? d->email : NULL, NULL };
	struct acmed_job *j = &d->jobs[0];
	struct err e = { 0 };

	if (task_start(&j->task, d->event, argv, -1, ACMED_DEADLINE_MS, on_registered, j, &e))
		failed(d, &d->registration, &d->registration_s, "the ACME server takes no account", e.msg, false);
}

static int order_start(struct acmed_job *j, struct acmed_name *n, struct err *e)
{
	const char *argv[] = { j->all->o.program, "order", "issue", j->all->directory, NULL, NULL };
	AUTO_BUF struct buf request = { 0 };
	char path[64];
	int r;

	job_path(j, ".csr", path);
	argv[4] = path;
	snprintf(j->id, sizeof(j->id), "%s", n->claim.id);
	snprintf(j->fqdn, sizeof(j->fqdn), "%s", n->claim.fqdn);
	if ((r = cert_key_make(&j->key, e)) || (r = cert_request(buf_str(&j->key), n->claim.fqdn, &request, e)) ||
	    (r = file_save(AT_FDCWD, path, buf_str(&request), 0600, e)) ||
	    (r = task_start(&j->task, j->all->event, argv, -1, ACMED_DEADLINE_MS, on_named, j, e)))
		return r;
	n->is_asked = true;
	return 0;
}

static bool is_due(const struct acmed *d, const struct acmed_name *n)
{
	return n->claim.is_ready && !n->is_asked && order_is_due(&n->order, times_of(n), now_ms(d), (int64_t)time(NULL));
}

static bool is_idle(const struct acmed *d)
{
	for (size_t i = 0; i < ACMED_JOBS; i++)
		if (d->jobs[i].task)
			return false;
	return true;
}

/* The next look: when the first is due that waits for nothing else. */
static void look_arm(struct acmed *d)
{
	uint64_t in_ms = UINT64_MAX;

	for (size_t i = 0; i < d->n; i++) {
		const struct acmed_name *n = &d->names[i];
		uint64_t due =
			n->claim.is_ready && !n->is_asked ? order_due_in_ms(&n->order, times_of(n), now_ms(d), (int64_t)time(NULL)) : UINT64_MAX;

		in_ms = due < in_ms ? due : in_ms;
	}
	if (!d->is_registered && d->registration.next_ms > now_ms(d) && in_ms < d->registration.next_ms - now_ms(d))
		in_ms = d->registration.next_ms - now_ms(d);
	if (in_ms == UINT64_MAX)
		return;
	sd_event_source_set_time_relative(d->timer, (in_ms + 1) * 1000);
	sd_event_source_set_enabled(d->timer, SD_EVENT_ONESHOT);
}

static void orders_start(struct acmed *d)
{
	struct acmed_job *j;

	for (size_t i = 0; i < d->n && (j = job_free(d)); i++) {
		struct acmed_name *n = &d->names[i];
		struct err e = { 0 };

		if (!is_due(d, n))
			continue;
		if (!d->is_registered) {
			if (is_idle(d) && now_ms(d) >= d->registration.next_ms)
				registration_start(d);
			break;
		}
		if (order_start(j, n, &e)) {
			failed(d, &n->order, &n->next_s, n->claim.fqdn, e.msg, false);
			job_end(j);
			report(d);
		}
	}
	if (job_free(d)) /* otherwise whoever ends looks again */
		look_arm(d);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	orders_start(userdata);
	return 0;
}

/* What was got, and what the engine had: the newer one. */
static void bundle_choose(struct acmed_name *n, struct acmed_name *was)
{
	struct err e = { 0 };

	if (n->claim.bundle && cert_bundle_read(str_c(n->claim.bundle), n->claim.fqdn, &n->times, &e)) {
		log_warn("%s: what was kept is of no use: %s", n->claim.fqdn, e.msg);
		wipe_free(&n->claim.bundle);
	}
	n->is_told = true;
	if (!was || !was->claim.bundle || (n->claim.bundle && (!strcmp(n->claim.bundle, was->claim.bundle) || was->times.from_s <= n->times.from_s)))
		return;
	wipe_free(&n->claim.bundle);
	n->claim.bundle = take_ptr(was->claim.bundle);
	n->times = was->times;
	n->is_told = false;
}

static void names_take(struct acmed *d, struct claims *now, bool is_other)
{
	struct acmed_name *names = calloc(GATEWAY_ROUTES_MAX, sizeof(*names));

	BUG_ON(!names);
	for (size_t i = 0; i < now->n; i++) {
		struct acmed_name *n = &names[i], *was = name_find(d, now->list[i].id, now->list[i].fqdn);

		n->claim = now->list[i];
		now->list[i].bundle = NULL;
		bundle_choose(n, was);
		if (!was)
			continue;
		n->is_asked = was->is_asked;
		if (!is_other) {
			n->order = was->order;
			n->next_s = was->next_s;
		}
	}
	for (size_t i = 0; i < d->n; i++)
		wipe_free(&d->names[i].claim.bundle);
	memcpy(d->names, names, sizeof(d->names));
	d->n = now->n;
	free(names);
}

static void server_take(struct acmed *d, struct claims *now, bool is_other)
{
	snprintf(d->directory, sizeof(d->directory), "%s", now->directory);
	snprintf(d->email, sizeof(d->email), "%s", now->email);
	wipe_free(&d->ca);
	d->ca = take_ptr(now->ca);
	if (!is_other && !now->account && d->account) /* it was made a moment ago */
		return;
	wipe_free(&d->account);
	d->account = take_ptr(now->account);
	if (!is_other)
		return;
	d->is_registered = false;
	d->registration = (struct order_state){ 0 };
}

static int on_get(sd_varlink *link, sd_json_variant *v, sd_varlink_method_flags_t flags, void *userdata)
{
	AUTO_CLAIMS struct claims now = { 0 };
	struct acmed *d = userdata;
	struct err e = { 0 };
	uid_t who = (uid_t)-1;
	int r;

	if (sd_varlink_get_peer_uid(link, &who) < 0 || who != UID_ENGINE) /* children have this user, too */
		r = err_set(&e, -EPERM, "the engine alone may ask");
	else
		r = flags & SD_VARLINK_METHOD_MORE ? claims_decode(v, &now, &e) : err_set(&e, -EINVAL, "the caller must want more than one answer");
	if (r)
		return daemon_reply_error(link, r, &e);
	bool is_other = strcmp(d->directory, now.directory) || strcmp(d->ca ? d->ca : "", now.ca ? now.ca : "");
	server_take(d, &now, is_other);
	names_take(d, &now, is_other);
	link_closep(&d->engine);
	d->engine = sd_varlink_ref(link);
	json_unrefp(&d->told);
	if (account_make(d, &e) || ca_save(d, &e))
		return daemon_reply_error(link, -EIO, &e);
	report(d);
	orders_start(d);
	return 0;
}

/* What is said here has keys in it. */
static int on_come(sd_varlink_server *server, sd_varlink *link, void *userdata)
{
	(void)server;
	(void)userdata;
	return sd_varlink_set_input_sensitive(link);
}

static void on_gone(sd_varlink_server *server, sd_varlink *link, void *userdata)
{
	struct acmed *d = userdata;

	(void)server;
	if (d->engine == link)
		d->engine = sd_varlink_unref(link);
}

int acmed_init(struct acmed *d, sd_event *event, const struct acmed_options *o, struct err *e)
{
	int r;

	d->event = sd_event_ref(event);
	d->o = *o;
	for (size_t i = 0; i < ACMED_JOBS; i++)
		d->jobs[i] = (struct acmed_job){ .all = d };
	if ((r = sd_event_add_time(event, &d->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_timer, d)) < 0)
		return err_set(e, r, "make a timer: %s", strerror(-r));
	sd_event_source_set_enabled(d->timer, SD_EVENT_OFF);
	if ((r = daemon_listen(event, o->socket, 0600, d, &d->server, e)))
		return r;
	if ((r = sd_varlink_server_bind_method(d->server, "zos.Acme.Get", on_get)) >= 0)
		r = sd_varlink_server_bind_disconnect(d->server, on_gone);
	if (r >= 0)
		r = sd_varlink_server_bind_connect(d->server, on_come);
	return r < 0 ? err_set(e, r, "listen: %s", strerror(-r)) : 0;
}

void acmed_deinit(struct acmed *d)
{
	for (size_t i = 0; i < ACMED_JOBS; i++) {
		task_drop(d->jobs[i].task);
		buf_wipe(&d->jobs[i].key);
	}
	for (size_t i = 0; i < d->n; i++)
		wipe_free(&d->names[i].claim.bundle);
	wipe_free(&d->account);
	wipe_free(&d->ca);
	sd_event_source_disable_unref(d->timer);
	link_closep(&d->engine);
	sd_varlink_server_unref(d->server);
	json_unrefp(&d->told);
	sd_event_unref(d->event);
}
