/* libnats in somebody else's loop.
 *
 * libnats calls attach, read, write and detach from its own threads too, and sd-event may not be touched from there. So a
 * private epoll instance stands between: it may be changed from any thread, and sd-event watches it as one descriptor.
 * A connect resolves names and blocks: a thread makes it, and ends. `broken` is set by the very call that loses a connection.
 *
 * A connection that is lost is never taken up again, as libnats would: in somebody else's loop its parser keeps the half message that the
 * old hub was cut off in, takes what the new one says for the rest of it, and when little comes is deaf for minutes. So each has one
 * connection's life, and the next is a new one. */
#include "grid/hub.h"

#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"
#include "grid/jwt.h"

#include <nats/nats.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

enum { CLOSE_WAIT_MS = 2000, CONNECT_MS = 500, RECONNECT_MS = 500, REFUSED_MS = 2000 };

struct hub_sub {
	bool used;
	char subject[HUB_SUBJECT_MAX];
	natsSubscription *nats;
	hub_message_fn *fn;
	void *userdata;
};

struct hub_request {
	uint64_t token; /* 0 = free */
	uint64_t deadline_ms;
	hub_reply_fn *fn;
	void *userdata;
};

struct hub {
	sd_event *event;
	sd_event_source *poll_source, *timer;
	struct hub_callbacks cb;
	struct key key;
	char key_text[KEY_TEXT_SIZE], urls[HUB_URL_MAX];
	struct buf jwt;
	int epoll_fd, wake_fd;
	natsOptions *options;
	struct hub_sub subs[HUB_SUBS_MAX];
	struct hub_request requests[HUB_REQUESTS_MAX];
	uint64_t next_token, connect_at_ms;
	int answers; /* number of the subscription */
	unsigned reconnect_ms;
	bool up, congested, connecting, nudged;
	pthread_t connector;

	/* shared with libnats' threads */
	natsConnection *_Atomic nc;
	_Atomic bool broken, connector_done, connection_closed;
	_Atomic natsStatus connected; /* what the connector came back with */
	natsSock socket; /* changed under the connection's mutex only */
	uint32_t interest;
};

static void hub_wake(struct hub *h)
{
	uint64_t one = 1;

	(void)!write(h->wake_fd, &one, sizeof(one));
}

/* The four callbacks of libnats; any thread, the connection's mutex is held. */

static natsStatus on_attach(void **userdata, void *loop, natsConnection *nc, natsSock socket)
{
	struct hub *h = loop;
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = socket };

	*userdata = h;
	h->nc = nc;
	h->socket = socket;
	h->interest = EPOLLIN;
	if (epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, socket, &ev))
		return NATS_ERR;
	h->broken = false;
	return NATS_OK;
}

static natsStatus change_interest(struct hub *h, uint32_t bit, bool add)
{
	struct epoll_event ev = { .events = add ? h->interest | bit : h->interest & ~bit, .data.fd = h->socket };

	h->interest = ev.events;
	if (h->socket >= 0 && epoll_ctl(h->epoll_fd, EPOLL_CTL_MOD, h->socket, &ev))
		return NATS_ERR;
	return NATS_OK;
}

static natsStatus on_read(void *userdata, bool add)
{
	struct hub *h = userdata;

	if (add)
		return change_interest(h, EPOLLIN, true);
	h->broken = true;
	if (h->socket >= 0) {
		epoll_ctl(h->epoll_fd, EPOLL_CTL_DEL, h->socket, NULL);
		natsConnection_ProcessCloseEvent(&h->socket);
		h->socket = -1;
	}
	hub_wake(h);
	return NATS_OK;
}

static natsStatus on_write(void *userdata, bool add)
{
	return change_interest(userdata, EPOLLOUT, add);
}

static natsStatus on_detach(void *userdata)
{
	struct hub *h = userdata;

	h->broken = true;
	hub_wake(h);
	return NATS_OK;
}

static void on_disconnected(natsConnection *nc, void *userdata)
{
	(void)nc;
	hub_wake(userdata);
}

static void on_closed(natsConnection *nc, void *userdata)
{
	struct hub *h = userdata;

	if (nc != h->nc) /* one that was given up before */
		return;
	h->broken = true;
	h->connection_closed = true;
	hub_wake(h);
}

static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus status, void *userdata)
{
	char text[256] = "";

	(void)sub;
	(void)userdata;
	natsConnection_ReadLastError(nc, text, sizeof(text));
	log_limited("hub says: %s (%s)", text[0] ? text : "nothing", natsStatus_GetText(status));
}

static natsStatus on_want_jwt(char **ret, char **custom_error, void *userdata)
{
	struct hub *h = userdata;

	(void)custom_error;
	*ret = strdup(h->jwt.p);
	return *ret ? NATS_OK : NATS_NO_MEMORY;
}

static natsStatus on_want_signature(char **custom_error, unsigned char **ret, int *ret_n, const char *nonce, void *userdata)
{
	struct hub *h = userdata;
	uint8_t *sig = malloc(KEY_SIG_LEN);

	(void)custom_error;
	if (!sig || key_sign(&h->key, nonce, strlen(nonce), sig)) {
		free(sig);
		return NATS_ERR;
	}
	*ret = sig;
	*ret_n = KEY_SIG_LEN;
	return NATS_OK;
}

/* How long it takes now to find all servers by their names, 0 of addresses; whether it succeeds is for the connection to say. */
static int64_t names_find_ms(const struct hub *h)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	char urls[HUB_URL_MAX], host[256], port[8];
	const char *url[HUB_URLS_MAX];
	uint64_t began_ms = log_now_ms();
	int n;

	memcpy(urls, h->urls, sizeof(urls));
	n = hub_urls_split(urls, url);
	for (int i = 0; i < n; i++) {
		struct addrinfo *list = NULL;

		if (!hub_url_parse(url[i], host, port) && !getaddrinfo(host, port, &hints, &list))
			freeaddrinfo(list);
	}
	return (int64_t)(log_now_ms() - began_ms);
}

/* libnats takes the time in which a name is found for that of connecting: with a name server that does not answer none of it would be left. */
static void *connector_run(void *userdata)
{
	struct hub *h = userdata;
	natsConnection *nc = NULL;
	natsStatus s = natsOptions_SetTimeout(h->options, CONNECT_MS + 2 * names_find_ms(h));

	if (s == NATS_OK)
		s = natsConnection_Connect(&nc, h->options);

	h->nc = nc;
	h->connected = s;
	h->connector_done = true;
	nats_ReleaseThreadMemory();
	hub_wake(h);
	return NULL;
}

static int start_connecting(struct hub *h)
{
	h->connector_done = h->connection_closed = false;
	if (pthread_create(&h->connector, NULL, connector_run, h))
		return -EAGAIN;
	h->connecting = true;
	h->nudged = false;
	return 0;
}

/* From here on: the loop's thread. */

static bool hub_usable(const struct hub *h)
{
	return h->up && !h->broken;
}

static void arm_timer(struct hub *h)
{
	uint64_t due = h->connect_at_ms ? h->connect_at_ms : UINT64_MAX;

	for (size_t i = 0; i < HUB_REQUESTS_MAX; i++)
		if (h->requests[i].token && h->requests[i].deadline_ms < due)
			due = h->requests[i].deadline_ms;
	sd_event_source_set_time(h->timer, due == UINT64_MAX ? 0 : due * 1000);
	sd_event_source_set_enabled(h->timer, due == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static void request_end(struct hub *h, struct hub_request *q, int r, unsigned status, struct str body)
{
	struct hub_request copy = *q;

	*q = (struct hub_request){ 0 };
	arm_timer(h);
	copy.fn(copy.userdata, r, status, body);
}

static void on_answer(void *userdata, const char *subject, const void *data, size_t n, unsigned status)
{
	struct hub *h = userdata;
	const char *dot = strrchr(subject, '.');
	uint64_t token;

	if (!dot || parse_u64(str_c(dot + 1), UINT64_MAX, &token) || !token)
		return;
	for (size_t i = 0; i < HUB_REQUESTS_MAX; i++)
		if (h->requests[i].token == token) {
			request_end(h, &h->requests[i], 0, status, (struct str){ data, n });
			return;
		}
}

static void drop_message(natsMsg **m)
{
	natsMsg_Destroy(*m);
}

static void deliver(struct hub *h, int i, natsMsg *m)
{
	struct hub_sub *s = &h->subs[i];
	const char *text = NULL;
	uint64_t status = 0;

	if (i != h->answers) {
		s->fn(s->userdata, natsMsg_GetReply(m), natsMsg_GetData(m), (size_t)natsMsg_GetDataLength(m), false);
		return;
	}
	if (natsMsgHeader_Get(m, "Status", &text) == NATS_OK && parse_u64(str_c(text), 999, &status))
		status = 500;
	on_answer(h, natsMsg_GetSubject(m), natsMsg_GetData(m), (size_t)natsMsg_GetDataLength(m), (unsigned)status);
}

static void drain(struct hub *h, int i)
{
	while (h->subs[i].used && h->subs[i].nats) {
		CLEANUP(drop_message) natsMsg *m = NULL;
		natsStatus s = natsSubscription_NextMsg(&m, h->subs[i].nats, 0);

		if (s == NATS_NO_RESPONDERS && i != h->answers)
			h->subs[i].fn(h->subs[i].userdata, NULL, NULL, 0, true);
		else if (s != NATS_OK)
			return;
		else
			deliver(h, i, m);
	}
}

static void drain_all(struct hub *h)
{
	for (int i = 0; i < HUB_SUBS_MAX; i++)
		drain(h, i);
}

static void subscribe_now(struct hub *h, struct hub_sub *s)
{
	if (s->used && !s->nats && natsConnection_SubscribeSync(&s->nats, h->nc, s->subject) != NATS_OK)
		log_limited("cannot subscribe to %s", s->subject);
}

static void go_down(struct hub *h, const char *why)
{
	h->up = h->congested = false;
	for (size_t i = 0; i < HUB_REQUESTS_MAX; i++)
		if (h->requests[i].token)
			request_end(h, &h->requests[i], -ENOTCONN, 0, (struct str){ 0 });
	h->cb.state(h->cb.userdata, false, why);
}

static void go_up(struct hub *h)
{
	h->up = true;
	for (int i = 0; i < HUB_SUBS_MAX; i++)
		subscribe_now(h, &h->subs[i]);
	h->cb.state(h->cb.userdata, true, NULL);
}

static void drop_connection(struct hub *h)
{
	for (int i = 0; i < HUB_SUBS_MAX; i++) {
		natsSubscription_Destroy(h->subs[i].nats);
		h->subs[i].nats = NULL;
	}
	natsConnection_Destroy(h->nc);
	h->nc = NULL;
}

static void connect_in(struct hub *h, uint64_t in_ms)
{
	h->connect_at_ms = log_now_ms() + in_ms;
	arm_timer(h);
}

/* Half of a wait is random. A hub that refuses is asked less often, but never given up. */
static void notice_unconnected(struct hub *h)
{
	bool is_refused = h->connected == NATS_CONNECTION_AUTH_FAILED;
	unsigned wait_ms = is_refused ? 2 * REFUSED_MS : h->reconnect_ms;

	connect_in(h, h->nudged ? 0 : wait_ms / 2 + random_u64() % wait_ms);
	if (is_refused)
		h->cb.state(h->cb.userdata, false, "the hub refuses the connection");
}

/* Sooner than that: a cluster has other servers. */
static void notice_lost(struct hub *h)
{
	drop_connection(h);
	h->connection_closed = false;
	connect_in(h, h->reconnect_ms / 4 + random_u64() % h->reconnect_ms / 2);
}

static void notice_changes(struct hub *h)
{
	bool is_done = h->connecting && h->connector_done;

	if (is_done) {
		pthread_join(h->connector, NULL);
		h->connecting = false;
	}
	if (h->up && h->broken)
		go_down(h, "the connection to the hub is lost");
	if (is_done && h->connected == NATS_OK && !h->broken)
		go_up(h);
	if (is_done && h->connected != NATS_OK)
		notice_unconnected(h);
	else if (h->connection_closed && !h->connecting)
		notice_lost(h);
}

static void notice_room(struct hub *h)
{
	if (!h->congested || !hub_usable(h) || natsConnection_Buffered(h->nc) > HUB_BUFFERED_MAX / 2)
		return;
	h->congested = false;
	h->cb.writable(h->cb.userdata);
}

/* Hands libnats what has happened to its socket, and waits for it as long as WAIT_MS. */
static void sockets_serve(struct hub *h, int wait_ms)
{
	struct epoll_event ev[4];
	int n = epoll_wait(h->epoll_fd, ev, ARRAY_LEN(ev), wait_ms);

	for (int i = 0; i < n; i++) {
		uint64_t count;

		if (ev[i].data.fd == h->wake_fd)
			(void)!read(h->wake_fd, &count, sizeof(count));
		else if (h->nc && !h->broken) {
			if (ev[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
				natsConnection_ProcessReadEvent(h->nc);
			if (ev[i].events & EPOLLOUT && !h->broken)
				natsConnection_ProcessWriteEvent(h->nc);
		}
	}
}

static int on_poll(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct hub *h = userdata;

	(void)source;
	(void)fd;
	(void)revents;
	sockets_serve(h, 0);
	notice_changes(h);
	drain_all(h);
	notice_room(h);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct hub *h = userdata;
	uint64_t now = log_now_ms();

	(void)source;
	(void)usec;
	if (h->connect_at_ms && h->connect_at_ms <= now)
		h->connect_at_ms = start_connecting(h) ? now + REFUSED_MS : 0;
	for (size_t i = 0; i < HUB_REQUESTS_MAX; i++)
		if (h->requests[i].token && h->requests[i].deadline_ms <= now)
			request_end(h, &h->requests[i], -ETIMEDOUT, 0, (struct str){ 0 });
	arm_timer(h);
	return 0;
}

static int options_tls(natsOptions *n, const struct hub_addr *a)
{
	if (natsOptions_SetSecure(n, true) != NATS_OK)
		return -EINVAL;
	if (a->ca[0])
		return natsOptions_SetCATrustedCertificates(n, a->ca) == NATS_OK ? 0 : -EINVAL;
	return hub_ca_file() && natsOptions_LoadCATrustedCertificates(n, hub_ca_file()) != NATS_OK ? -EINVAL : 0;
}

static int options_fill(struct hub *h, const struct hub_options *o)
{
	char urls[HUB_URL_MAX], prefix[HUB_SUBJECT_MAX];
	const char *url[HUB_URLS_MAX];
	natsOptions *n = h->options;
	int n_urls;

	snprintf(h->urls, sizeof(h->urls), "%s", o->addr.url);
	memcpy(urls, h->urls, sizeof(urls));
	n_urls = hub_urls_split(urls, url);
	snprintf(prefix, sizeof(prefix), "n.%s.r", h->key_text);
	natsStatus s[] = {
		natsOptions_SetServers(n, url, n_urls),
		natsOptions_SetName(n, "zos"),
		natsOptions_SetCustomInboxPrefix(n, prefix),
		natsOptions_SetAllowReconnect(n, false),
		natsOptions_SetIgnoreDiscoveredServers(n, true), /* where to go is the farm's to say, not the hub's */
		natsOptions_SetPingInterval(n, 5000),
		natsOptions_SetMaxPingsOut(n, 2),
		natsOptions_SetSendAsap(n, true),
		natsOptions_SetNoEcho(n, false),
		natsOptions_SetDisconnectedCB(n, on_disconnected, h),
		natsOptions_SetClosedCB(n, on_closed, h),
		natsOptions_SetErrorHandler(n, on_error, h),
		natsOptions_SetEventLoop(n, h, on_attach, on_read, on_write, on_detach),
		natsOptions_SetUserCredentialsCallbacks(n, on_want_jwt, h, on_want_signature, h),
	};

	for (size_t i = 0; i < ARRAY_LEN(s); i++)
		if (s[i] != NATS_OK)
			return -EINVAL;
	return strncmp(o->addr.url, "tls://", 6) ? 0 : options_tls(n, &o->addr);
}

static int hub_wire(struct hub *h, const struct hub_options *o, struct err *e)
{
	struct epoll_event ev = { .events = EPOLLIN };
	char answers[HUB_SUBJECT_MAX];
	int r;

	h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	h->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ev.data.fd = h->wake_fd;
	if (h->epoll_fd < 0 || h->wake_fd < 0 || epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, h->wake_fd, &ev))
		return err_set(e, -errno, "prepare the connection to the hub: %m");
	r = sd_event_add_io(h->event, &h->poll_source, h->epoll_fd, EPOLLIN, on_poll, h);
	if (r >= 0)
		r = sd_event_add_time(h->event, &h->timer, CLOCK_MONOTONIC, 0, 10000, on_timer, h);
	if (r < 0)
		return err_set(e, r, "prepare the connection to the hub: %s", strerror(-r));
	sd_event_source_set_enabled(h->timer, SD_EVENT_OFF);
	if (nats_Open(-1) != NATS_OK || natsOptions_Create(&h->options) != NATS_OK || options_fill(h, o))
		return err_set(e, -EINVAL, "the NATS library does not take the settings for %.100s", o->addr.url);
	snprintf(answers, sizeof(answers), "n.%s.r.*", h->key_text);
	h->answers = hub_subscribe(h, answers, NULL, h);
	return start_connecting(h) ? err_set(e, -EAGAIN, "cannot start a thread to connect to the hub") : 0;
}

static void hub_freep(struct hub **h)
{
	hub_free(*h);
}

int hub_new(sd_event *event, const struct hub_options *o, const struct hub_callbacks *cb, struct hub **ret, struct err *e)
{
	struct key_pub account;
	AUTO_KEY struct key signer = KEY_NONE;
	char account_text[KEY_TEXT_SIZE];
	CLEANUP(hub_freep) struct hub *h = NULL;
	int r = hub_addr_parse(&o->addr, &account, &signer, e);

	if (r)
		return r;
	h = calloc(1, sizeof(*h));
	BUG_ON(!h);
	h->event = sd_event_ref(event);
	h->cb = *cb;
	h->epoll_fd = h->wake_fd = h->socket = -1;
	h->answers = -1;
	h->next_token = 1;
	h->reconnect_ms = o->reconnect_ms ? o->reconnect_ms : RECONNECT_MS;
	key_pub_format(account_text, &account);
	r = key_new(KEY_USER, &h->key);
	if (!r)
		r = jwt_user(&signer, account_text, &h->key.pub, false, &h->jwt);
	if (r)
		return err_set(e, r, "make a key for the hub: %s", strerror(-r));
	key_pub_format(h->key_text, &h->key.pub);
	r = hub_wire(h, o, e);
	if (r)
		return r;
	*ret = take_ptr(h);
	return 0;
}

static void *closer_run(void *userdata)
{
	struct hub *h = userdata;

	natsConnection_Close(h->nc);
	nats_ReleaseThreadMemory();
	return NULL;
}

/* libnats may still be about to call back; its last call is on_closed(). It asks the hub for a last answer, for which its socket is
 * served meanwhile: it would wait for half a second otherwise. */
static bool wait_until_closed(struct hub *h)
{
	uint64_t due_ms = log_now_ms() + CLOSE_WAIT_MS, now_ms;
	pthread_t closer;
	bool is_thread;

	if (h->connecting)
		pthread_join(h->connector, NULL);
	if (!h->nc)
		return true;
	is_thread = !pthread_create(&closer, NULL, closer_run, h);
	if (!is_thread)
		closer_run(h);
	while (!h->connection_closed && (now_ms = log_now_ms()) < due_ms)
		sockets_serve(h, (int)(due_ms - now_ms));
	if (is_thread)
		pthread_join(closer, NULL);
	return h->connection_closed;
}

void hub_free(struct hub *h)
{
	bool quiet;

	if (!h)
		return;
	quiet = wait_until_closed(h);
	drop_connection(h);
	natsOptions_Destroy(h->options);
	sd_event_source_disable_unref(h->poll_source);
	sd_event_source_disable_unref(h->timer);
	sd_event_unref(h->event);
	if (!quiet) /* rather a leak than a call into freed memory */
		return;
	fd_close(&h->epoll_fd);
	fd_close(&h->wake_fd);
	key_wipe(&h->key);
	buf_deinit(&h->jwt);
	free(h);
}

void hub_nudge(struct hub *h)
{
	h->nudged = true; /* an attempt under way may have begun too early */
	if (h->connect_at_ms)
		connect_in(h, 0);
}

const char *hub_key(const struct hub *h)
{
	return h->key_text;
}

bool hub_is_up(const struct hub *h)
{
	return hub_usable(h);
}

int hub_subscribe(struct hub *h, const char *subject, hub_message_fn *fn, void *userdata)
{
	for (int i = 0; i < HUB_SUBS_MAX; i++) {
		struct hub_sub *s = &h->subs[i];

		if (s->used)
			continue;
		*s = (struct hub_sub){ .used = true, .fn = fn, .userdata = userdata };
		snprintf(s->subject, sizeof(s->subject), "%s", subject);
		if (hub_usable(h))
			subscribe_now(h, s);
		return i;
	}
	return -EMFILE;
}

void hub_unsubscribe(struct hub *h, int sub)
{
	if (sub < 0)
		return;
	natsSubscription_Destroy(h->subs[sub].nats);
	h->subs[sub] = (struct hub_sub){ 0 };
}

bool hub_has_room(struct hub *h)
{
	if (!hub_usable(h))
		return false;
	if (natsConnection_Buffered(h->nc) > HUB_BUFFERED_MAX)
		h->congested = true;
	return !h->congested;
}

int hub_publish(struct hub *h, const char *subject, const char *reply, const void *data, size_t n)
{
	natsStatus s;

	if (n > HUB_PAYLOAD_MAX)
		return -EMSGSIZE;
	if (!hub_usable(h))
		return -ENOTCONN;
	if (!hub_has_room(h))
		return -EAGAIN;
	s = reply ? natsConnection_PublishRequest(h->nc, subject, reply, data, (int)n) : natsConnection_Publish(h->nc, subject, data, (int)n);
	return s == NATS_OK ? 0 : s == NATS_MAX_PAYLOAD ? -EMSGSIZE : -ENOTCONN;
}

int hub_request(struct hub *h, const char *subject, struct str data, uint64_t timeout_ms, hub_reply_fn *fn, void *userdata)
{
	for (size_t i = 0; i < HUB_REQUESTS_MAX; i++) {
		struct hub_request *q = &h->requests[i];
		char reply[HUB_SUBJECT_MAX];
		int r;

		if (q->token)
			continue;
		snprintf(reply, sizeof(reply), "n.%s.r.%llu", h->key_text, (unsigned long long)h->next_token);
		r = hub_publish(h, subject, reply, data.p, data.n);
		if (r)
			return r;
		*q = (struct hub_request){ h->next_token++, log_now_ms() + timeout_ms, fn, userdata };
		arm_timer(h);
		return 0;
	}
	return -EAGAIN;
}

void hub_cancel(struct hub *h, void *userdata)
{
	for (size_t i = 0; i < HUB_REQUESTS_MAX; i++)
		if (h->requests[i].token && h->requests[i].userdata == userdata)
			h->requests[i] = (struct hub_request){ 0 };
	arm_timer(h);
}

static void comp_free(SSL_COMP *c)
{
	OPENSSL_free(c);
}

/* libnats 3.10 frees OpenSSL's list of compression methods when it has used TLS, and OpenSSL frees it again at exit: it finds none. */
void hub_library_close(void)
{
	sk_SSL_COMP_pop_free(SSL_COMP_set0_compression_methods(NULL), comp_free);
	nats_CloseAndWait(CLOSE_WAIT_MS);
}
