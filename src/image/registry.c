#include "image/registry.h"

#include "base/parse.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

enum { REDIRECTS_MAX = 5, TOKEN_BYTES_MAX = 64 << 10 };
enum {
	CONNECT_S = 20, /* name, TCP and TLS */
	STALL_S = 30,   /* with less than STALL_BYTES_S a second */
	STALL_BYTES_S = 256,
	SMALL_S = 60,   /* a token, a manifest, a configuration; a layer has the hour of its pull */
};
enum {
	RESUMES_MAX = 100,     /* of one blob */
	RESUMES_IDLE_MAX = 4,  /* in a row that brought nothing */
	RESUME_PAUSE_MS = 100, /* before the first of these, doubling, and up to as much again at random */
};
enum { HTTP_OK = 200, HTTP_PARTIAL = 206, HTTP_UNAUTHORIZED = 401, HTTP_FORBIDDEN = 403, HTTP_NOT_FOUND = 404, HTTP_TOO_MANY = 429 };

#define ACCEPT_MANIFESTS                                                                                \
	"Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " \
	"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"

/* Where the bytes of one answer go. Bytes of an answer that is not 200 go nowhere. */
struct sink {
	struct registry *registry;
	struct buf *buf; /* or */
	int fd;
	uint64_t limit, got;
	uint64_t from;   /* what broken transfers have brought */
	uint64_t skip;   /* of that, what this one sends once more */
	bool is_broken;  /* the last transfer broke, and another may go on where it was */
	EVP_MD_CTX *sum;
	char challenge[1024];
	int r;           /* why it stopped the transfer */
};

static void sum_freep(EVP_MD_CTX **p)
{
	EVP_MD_CTX_free(*p);
}

static bool write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t did = write(fd, p, n);

		if (did < 0 && errno == EINTR)
			continue;
		if (did < 0)
			return false;
		p += did;
		n -= (size_t)did;
	}
	return true;
}

static long status_of(struct registry *g)
{
	long status = 0;

	curl_easy_getinfo(g->curl, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* libcurl's write callback: anything but N stops the transfer. */
static size_t on_body(char *p, size_t one, size_t n, void *userdata)
{
	struct sink *s = userdata;
	long status = status_of(s->registry);
	size_t all = n * one, again;

	if (status == HTTP_PARTIAL && s->from)
		s->skip = 0; /* a server that knows no ranges sends everything anew, with 200 */
	else if (status != HTTP_OK)
		return all;
	again = s->skip < all ? (size_t)s->skip : all;
	s->skip -= again;
	p += again;
	n = all - again;
	s->got += n;
	if (s->got > s->limit) {
		s->r = -EFBIG;
		return 0;
	}
	EVP_DigestUpdate(s->sum, p, n);
	if (s->buf)
		buf_add_bytes(s->buf, p, n);
	else if (!write_all(s->fd, p, n))
		s->r = errno == EFBIG ? -ENOSPC : -errno; /* the sandbox keeps some room for others */
	if (s->buf && buf_check(s->buf))
		s->r = -ENOMEM;
	if (!s->r && s->registry->progress)
		s->registry->progress(s->registry->ctx, n);
	return s->r ? 0 : all;
}

static size_t on_header(char *p, size_t one, size_t n, void *userdata)
{
	static const char name[] = "www-authenticate:";
	struct sink *s = userdata;
	size_t len = one * n, head = sizeof(name) - 1;

	if (len > head && len - head < sizeof(s->challenge) && !strncasecmp(p, name, head)) {
		memcpy(s->challenge, p + head, len - head);
		s->challenge[len - head] = '\0';
	}
	return len;
}

static int options_set(struct registry *g)
{
	struct curl_blob ca = { .data = (void *)g->trust.ca, .len = strlen(g->trust.ca), .flags = CURL_BLOB_NOCOPY };
	CURL *c = g->curl;
	int bad = 0;

	bad |= curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, g->trust.is_plain ? "http,https" : "https");
	bad |= curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "https");
	bad |= curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
	bad |= curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	bad |= curl_easy_setopt(c, CURLOPT_UNRESTRICTED_AUTH, 0L); /* the token stays with the host that it is for */
	bad |= curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	bad |= curl_easy_setopt(c, CURLOPT_PROXY, "");
	bad |= curl_easy_setopt(c, CURLOPT_USERAGENT, "zos/" ZOS_VERSION);
	bad |= curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	bad |= curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	bad |= curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
	bad |= curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)STALL_BYTES_S);
	bad |= curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	bad |= curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	bad |= curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	bad |= curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	bad |= g->trust.ca[0] ? curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &ca) : curl_easy_setopt(c, CURLOPT_CAINFO, REGISTRY_CA_BUNDLE);
	bad |= curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	bad |= curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	return bad;
}

int registry_init(struct registry *ret, const struct reference *reference, const struct registry_trust *trust, const struct registry_login *login,
		  struct err *e)
{
	*ret = (struct registry){ .reference = reference, .trust = *trust, .login = *login };
	if (trust->is_plain && login->user)
		return err_set(e, -EACCES,
			       "the secret of '%.60s' would cross the network in clear: give %s a certificate, then 'zos farm registry %s'",
			       login->user, reference->host, reference->host);
	ret->curl = curl_easy_init();
	if (!ret->curl || options_set(ret))
		return err_set(e, -EIO, "set up HTTPS: this build of libcurl lacks something");
	return 0;
}

void registry_deinit(struct registry *g)
{
	if (g->curl)
		curl_easy_cleanup(g->curl);
	g->curl = NULL;
}

/* Why the transfer itself failed, in a sentence. */
static int transfer_failed(struct registry *g, const struct sink *s, CURLcode code, const char *detail, struct err *e)
{
	const char *host = g->reference->host, *why = detail[0] ? detail : curl_easy_strerror(code);

	if (s->r == -EFBIG)
		return err_set(e, -EBADMSG, "%s sends more than the %" PRIu64 " bytes that were announced", host, s->limit);
	if (s->r == -ENOSPC)
		return err_set(e, -ENOSPC, "there is no room left for the image: free some, or give the node a disk");
	if (s->r)
		return err_set(e, s->r, "store what %s sends: %s", host, strerror(-s->r));
	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
		return err_set(e, -EIO, "%s cannot prove who it is (%s): the farm document names the CA of each registry that has its own", host,
			       why);
	case CURLE_SSL_CONNECT_ERROR:
		return err_set(e, -EIO,
			       "%s cannot be spoken to over TLS (%s): if it speaks plain HTTP, its farmer allows that with "
			       "'zos farm registry %s --plain'",
			       host, why, host);
	case CURLE_OPERATION_TIMEDOUT:
		return err_set(e, -EIO, "%s stopped answering: %s", host, why);
	case CURLE_UNSUPPORTED_PROTOCOL:
		return err_set(e, -EIO, "%s sends us on to an address that is not HTTPS", host);
	default:
		return err_set(e, -EIO, "talk to the registry %s: %s", host, why);
	}
}

static bool is_passing(CURLcode code)
{
	static const CURLcode passing[] = { CURLE_PARTIAL_FILE,    CURLE_RECV_ERROR,         CURLE_SEND_ERROR, CURLE_GOT_NOTHING,
					    CURLE_COULDNT_CONNECT, CURLE_OPERATION_TIMEDOUT, CURLE_HTTP2,      CURLE_HTTP2_STREAM };

	for (size_t i = 0; i < ARRAY_LEN(passing); i++)
		if (passing[i] == code)
			return true;
	return false;
}

/* Where the bytes of the next transfer begin: the sum goes on from there. */
static void sink_begin(struct registry *g, struct sink *s)
{
	char range[32];

	s->got = s->skip = s->from;
	s->is_broken = false;
	s->challenge[0] = '\0';
	if (!s->from)
		EVP_DigestInit_ex(s->sum, EVP_sha256(), NULL);
	snprintf(range, sizeof(range), "%" PRIu64 "-", s->from);
	curl_easy_setopt(g->curl, CURLOPT_RANGE, s->from ? range : NULL);
}

static void auth_set(struct registry *g, enum registry_auth auth)
{
	static const long kinds[] = {
		[REGISTRY_ANYBODY] = (long)CURLAUTH_NONE, [REGISTRY_BASIC] = (long)CURLAUTH_BASIC, [REGISTRY_BEARER] = (long)CURLAUTH_BEARER
	};

	curl_easy_setopt(g->curl, CURLOPT_HTTPAUTH, kinds[auth]);
	curl_easy_setopt(g->curl, CURLOPT_USERNAME, auth == REGISTRY_BASIC ? g->login.user : NULL);
	curl_easy_setopt(g->curl, CURLOPT_PASSWORD, auth == REGISTRY_BASIC ? g->login.password : NULL);
	curl_easy_setopt(g->curl, CURLOPT_XOAUTH2_BEARER, auth == REGISTRY_BEARER ? g->token : NULL);
}

/* One GET. 0 with the answer's status, or a failed transfer. */
static int fetch_once(struct registry *g, const char *url, struct curl_slist *headers, enum registry_auth auth, struct sink *s, long *ret_status,
		      struct err *e)
{
	char detail[CURL_ERROR_SIZE] = "";
	CURLcode code;

	sink_begin(g, s);
	curl_easy_setopt(g->curl, CURLOPT_URL, url);
	curl_easy_setopt(g->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(g->curl, CURLOPT_WRITEDATA, s);
	curl_easy_setopt(g->curl, CURLOPT_HEADERDATA, s);
	curl_easy_setopt(g->curl, CURLOPT_ERRORBUFFER, detail);
	curl_easy_setopt(g->curl, CURLOPT_TIMEOUT, s->buf ? (long)SMALL_S : 0l);
	auth_set(g, auth);
	code = curl_easy_perform(g->curl);
	curl_easy_setopt(g->curl, CURLOPT_ERRORBUFFER, NULL);
	s->is_broken = !s->r && is_passing(code);
	if (code != CURLE_OK)
		return transfer_failed(g, s, code, detail, e);
	*ret_status = status_of(g);
	return 0;
}

/* The value of NAME="..." in a list of such pairs. */
static bool pair_find(struct str list, struct str name, struct str *ret)
{
	while (list.n) {
		struct str key, value;

		while (list.n && (*list.p == ' ' || *list.p == ','))
			list = (struct str){ list.p + 1, list.n - 1 };
		if (!str_next(&list, '=', &key) || !list.p || !list.n || *list.p != '"')
			return false;
		list = (struct str){ list.p + 1, list.n - 1 };
		if (!str_next(&list, '"', &value) || !list.p)
			return false;
		if (str_eq(key, name)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

static void add_escaped(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c);

		buf_addf(b, plain ? "%c" : "%%%02X", plain ? c : (unsigned char)c);
	}
}

int registry_challenge(struct str header, const char *repository, struct buf *ret_url)
{
	struct str realm, service = S("");
	AUTO_BUF struct buf url = { .limit = 4096 };

	while (header.n && (*header.p == ' ' || *header.p == '\t'))
		header = (struct str){ header.p + 1, header.n - 1 };
	if (header.n < 7 || strncasecmp(header.p, "Bearer ", 7))
		return -EBADMSG;
	header = (struct str){ header.p + 7, header.n - 7 };
	if (!pair_find(header, S("realm"), &realm) || !str_starts(realm, S("https://")))
		return -EBADMSG;
	for (size_t i = 0; i < realm.n; i++)
		if (realm.p[i] <= ' ' || realm.p[i] == 0x7f)
			return -EBADMSG;
	buf_add(&url, realm);
	buf_addf(&url, "%cscope=repository%%3A", memchr(realm.p, '?', realm.n) ? '&' : '?');
	add_escaped(&url, str_c(repository));
	buf_add(&url, S("%3Apull"));
	if (pair_find(header, S("service"), &service)) {
		buf_add(&url, S("&service="));
		add_escaped(&url, service);
	}
	if (buf_check(&url))
		return -EBADMSG;
	buf_add(ret_url, buf_str(&url));
	return buf_check(ret_url);
}

static int denied(struct registry *g, long status, struct err *e)
{
	const struct reference *f = g->reference;

	if (g->login.user)
		return err_set(e, -EACCES, "%s does not let '%.60s' pull '%s' (HTTP %ld): are the user, the secret and the name right?", f->host,
			       g->login.user, f->repository, status);
	return err_set(e, -EACCES,
		       "%s does not let everybody pull '%s' (HTTP %ld; or it does not exist): make it public, or name a user and a "
		       "secret in the workload's 'pull'",
		       f->host, f->repository, status);
}

static int token_decode(struct str text, char *ret, size_t size, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	sd_json_variant *token;
	int r = json_parse(text, &v, e);

	if (r)
		return r;
	token = sd_json_variant_by_key(v, "token") ?: sd_json_variant_by_key(v, "access_token");
	if (!sd_json_variant_is_string(token) || strlen(sd_json_variant_string(token)) >= size || strpbrk(sd_json_variant_string(token), "\r\n"))
		return err_set(e, -EBADMSG, "there is no token in its answer");
	snprintf(ret, size, "%s", sd_json_variant_string(token));
	return 0;
}

/* Asks the place that the challenge names for a token. */
static int token_get(struct registry *g, const char *challenge, struct err *e)
{
	AUTO_BUF struct buf url = { 0 }, body = { .limit = TOKEN_BYTES_MAX };
	CLEANUP(sum_freep) EVP_MD_CTX *sum = EVP_MD_CTX_new();
	struct sink s = { .registry = g, .buf = &body, .limit = TOKEN_BYTES_MAX, .sum = sum };
	const char *host = g->reference->host;
	long status;
	int r;

	if (registry_challenge(str_c(challenge), g->reference->repository, &url))
		return err_set(e, -EACCES, "%s asks for a proof of a kind that is not known here", host);
	if ((r = fetch_once(g, url.p, NULL, g->login.user ? REGISTRY_BASIC : REGISTRY_ANYBODY, &s, &status, e)))
		return err_wrap(e, r, "ask for a token");
	if (status != HTTP_OK)
		return denied(g, status, e);
	if ((r = token_decode(buf_str(&body), g->token, sizeof(g->token), e)))
		return err_wrap(e, -EIO, "ask %s for a token", host);
	g->auth = REGISTRY_BEARER;
	return 0;
}

/* Does what the challenge asks for. */
static int authenticate(struct registry *g, const char *challenge, struct err *e)
{
	while (*challenge == ' ')
		challenge++;
	if (strncasecmp(challenge, "Basic ", 6))
		return token_get(g, challenge, e);
	if (!g->login.user || g->auth == REGISTRY_BASIC)
		return denied(g, HTTP_UNAUTHORIZED, e);
	g->auth = REGISTRY_BASIC;
	return 0;
}

static int status_failed(struct registry *g, long status, const char *what, struct err *e)
{
	const char *host = g->reference->host;

	switch (status) {
	case HTTP_NOT_FOUND:
		return err_set(e, -ENOENT, "%s has no %s in '%s'", host, what, g->reference->repository);
	case HTTP_UNAUTHORIZED:
	case HTTP_FORBIDDEN:
		return denied(g, status, e);
	case HTTP_TOO_MANY:
		return err_set(e, -EBUSY, "%s says that this address pulls too much: it is tried again later", host);
	default:
		return err_set(e, -EIO, "%s answers HTTP %ld for %s", host, status, what);
	}
}

/* One GET, with the proof that is asked for. */
static int fetch(struct registry *g, const char *url, const char *accept, const char *what, struct sink *s, struct err *e)
{
	struct curl_slist *headers = accept ? curl_slist_append(NULL, accept) : NULL;
	long status = 0;
	int r = fetch_once(g, url, headers, g->auth, s, &status, e);

	if (!r && status == HTTP_UNAUTHORIZED && s->challenge[0]) {
		r = authenticate(g, s->challenge, e);
		if (!r)
			r = fetch_once(g, url, headers, g->auth, s, &status, e);
	}
	curl_slist_free_all(headers);
	if (!r && status != HTTP_OK && !(status == HTTP_PARTIAL && s->from))
		r = status_failed(g, status, what, e);
	return r;
}

static void digest_final(EVP_MD_CTX *sum, char ret[static DIGEST_LEN + 1])
{
	AUTO_BUF struct buf hex = { 0 };
	uint8_t bytes[32];

	BUG_ON(EVP_DigestFinal_ex(sum, bytes, NULL) != 1);
	format_hex(&hex, bytes, sizeof(bytes));
	BUG_ON(buf_check(&hex));
	snprintf(ret, DIGEST_LEN + 1, "sha256:%s", hex.p);
}

static void url_make(char *ret, size_t size, const struct registry *g, const char *kind, const char *name)
{
	snprintf(ret, size, "%s://%s/v2/%s/%s/%s", g->trust.is_plain ? "http" : "https", g->reference->host, g->reference->repository, kind, name);
}

int registry_manifest(struct registry *g, const char *name, struct buf *ret, char digest[static DIGEST_LEN + 1], struct err *e)
{
	CLEANUP(sum_freep) EVP_MD_CTX *sum = EVP_MD_CTX_new();
	AUTO_BUF struct buf body = { .limit = MANIFEST_BYTES_MAX };
	struct sink s = { .registry = g, .buf = &body, .limit = MANIFEST_BYTES_MAX, .sum = sum };
	char url[1024], what[160], got[DIGEST_LEN + 1];
	bool by_digest = digest_ok(str_c(name));
	int r;

	BUG_ON(!sum);
	url_make(url, sizeof(url), g, "manifests", name);
	snprintf(what, sizeof(what), by_digest ? "image %s" : "tag '%s'", name);
	if ((r = fetch(g, url, ACCEPT_MANIFESTS, what, &s, e)))
		return r;
	digest_final(sum, got);
	if (by_digest && strcmp(got, name))
		return err_set(e, -EBADMSG, "%s sends other bytes than those of %s", g->reference->host, name);
	memcpy(digest, got, sizeof(got));
	*ret = take(body, (struct buf){ 0 });
	return 0;
}

static void resume_pause(unsigned idle)
{
	unsigned most_ms = RESUME_PAUSE_MS << idle, more = 0;

	(void)!getrandom(&more, sizeof(more), 0);
	most_ms += more % most_ms;
	nanosleep(&(struct timespec){ .tv_sec = most_ms / 1000, .tv_nsec = most_ms % 1000 * 1000000l }, NULL);
}

/* A transfer that breaks is taken up where it was, for as long as that brings something. */
static int fetch_on(struct registry *g, const char *url, const char *what, struct sink *s, struct err *e)
{
	unsigned idle = 0;
	int r = fetch(g, url, NULL, what, s, e);

	for (unsigned n = 0; r && s->is_broken && n < RESUMES_MAX && idle < RESUMES_IDLE_MAX; n++) {
		idle = s->got > s->from ? 0 : idle + 1;
		resume_pause(idle);
		s->from = s->got;
		r = fetch(g, url, NULL, what, s, e);
	}
	return r;
}

static int blob_fetch(struct registry *g, const struct descriptor *d, struct sink *s, struct err *e)
{
	CLEANUP(sum_freep) EVP_MD_CTX *sum = EVP_MD_CTX_new();
	char url[1024], what[160], got[DIGEST_LEN + 1];
	int r;

	BUG_ON(!sum);
	s->registry = g;
	s->limit = d->size_bytes;
	s->sum = sum;
	url_make(url, sizeof(url), g, "blobs", d->digest);
	snprintf(what, sizeof(what), "part %s", d->digest);
	if ((r = fetch_on(g, url, what, s, e)))
		return r;
	digest_final(sum, got);
	if (s->got != d->size_bytes || strcmp(got, d->digest))
		return err_set(e, -EBADMSG, "%s sends a damaged or forged part %s: push the image again", g->reference->host, d->digest);
	return 0;
}

int registry_blob(struct registry *g, const struct descriptor *d, struct buf *ret, struct err *e)
{
	AUTO_BUF struct buf body = { .limit = d->size_bytes };
	struct sink s = { .buf = &body };
	int r = blob_fetch(g, d, &s, e);

	if (!r)
		*ret = take(body, (struct buf){ 0 });
	return r;
}

int registry_blob_file(struct registry *g, const struct descriptor *d, int fd, struct err *e)
{
	struct sink s = { .fd = fd };

	return blob_fetch(g, d, &s, e);
}
