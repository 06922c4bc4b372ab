#include "sys/guest_wire.h"

#include "base/rd.h"

enum { EXIT_STATUS_MAX = 255 };

void guest_head_encode(struct buf *ret, enum guest_type type, size_t payload_bytes)
{
	buf_add_le(ret, GUEST_VERSION, 1);
	buf_add_le(ret, type, 1);
	buf_add_le(ret, 0, 2);
	buf_add_le(ret, payload_bytes, 4);
}

int guest_head_decode(const uint8_t head[static GUEST_HEAD], size_t max_bytes, enum guest_type *ret_type, size_t *ret_bytes)
{
	struct rd r = rd_over(head, GUEST_HEAD);
	uint64_t version = rd_le(&r, 1), type = rd_le(&r, 1), zero = rd_le(&r, 2), bytes = rd_le(&r, 4);

	if (version != GUEST_VERSION || zero || bytes > max_bytes)
		return -EBADMSG;
	*ret_type = (enum guest_type)type;
	*ret_bytes = bytes;
	return 0;
}

/* A text travels with its NUL, so that it can be used where it lies. */
static void text_encode(struct buf *ret, const char *text)
{
	size_t n = strlen(text) + 1;

	buf_add_le(ret, n, 4);
	buf_add_bytes(ret, text, n);
}

static void texts_encode(struct buf *ret, const char *const *texts)
{
	size_t n = 0;

	while (texts[n])
		n++;
	buf_add_le(ret, n, 4);
	for (size_t i = 0; i < n; i++)
		text_encode(ret, texts[i]);
}

static void mounts_encode(struct buf *ret, const struct guest_config *c)
{
	buf_add_le(ret, c->n_mounts, 4);
	for (size_t i = 0; i < c->n_mounts; i++) {
		text_encode(ret, c->mounts[i].path);
		text_encode(ret, c->mounts[i].format);
		buf_add_le(ret, c->mounts[i].read_only, 1);
	}
}

static void links_encode(struct buf *ret, const struct guest_config *c)
{
	buf_add_le(ret, c->n_links, 4);
	for (size_t i = 0; i < c->n_links; i++) {
		const struct card *l = &c->links[i];

		buf_add_bytes(ret, l->mac, sizeof(l->mac));
		buf_add_le(ret, l->address.address, 4);
		buf_add_le(ret, l->address.prefix, 1);
		buf_add_le(ret, l->range.address, 4);
		buf_add_le(ret, l->range.prefix, 1);
		buf_add_le(ret, l->gateway, 4);
		buf_add_bytes(ret, l->address6.address, 16);
		buf_add_le(ret, l->address6.prefix, 1);
		buf_add_bytes(ret, l->range6.address, 16);
		buf_add_le(ret, l->range6.prefix, 1);
		buf_add_bytes(ret, l->gateway6, 16);
	}
}

int guest_config_encode(const struct guest_config *c, struct buf *ret, struct err *e)
{
	AUTO_BUF struct buf b = { .limit = GUEST_CONFIG_MAX };

	buf_add_le(&b, c->rootfs_bytes, 8);
	buf_add_le(&b, c->address, 4);
	buf_add_le(&b, c->gateway, 4);
	buf_add_le(&b, c->n_layers, 4);
	text_encode(&b, c->hostname);
	text_encode(&b, c->workdir);
	text_encode(&b, c->user);
	texts_encode(&b, c->resolvers);
	texts_encode(&b, c->argv);
	texts_encode(&b, c->env);
	mounts_encode(&b, c);
	links_encode(&b, c);
	texts_encode(&b, c->search);
	if (buf_check(&b))
		return err_set(e, -E2BIG, "arguments and environment are longer than the %d bytes that a virtual machine takes", GUEST_CONFIG_MAX);
	guest_head_encode(ret, GUEST_CONFIG, b.len);
	buf_add(ret, buf_str(&b));
	return buf_check(ret);
}

static const char *text_decode(struct rd *r)
{
	size_t n = rd_le(r, 4);
	const uint8_t *at = rd_take(r, n);

	if (!at || !n || memchr(at, '\0', n) != at + n - 1) {
		r->bad = true;
		return "";
	}
	return (const char *)at;
}

static void texts_decode(struct rd *r, const char **ret, size_t max)
{
	size_t n = rd_le(r, 4);

	if (n > max)
		r->bad = true;
	for (size_t i = 0; i < n && !r->bad; i++)
		ret[i] = text_decode(r);
}

static void mounts_decode(struct rd *r, struct guest_config *ret)
{
	size_t n = rd_le(r, 4);

	if (n > GUEST_MOUNTS_MAX)
		r->bad = true;
	for (size_t i = 0; i < n && !r->bad; i++) {
		struct guest_mount *m = &ret->mounts[ret->n_mounts++];
		uint64_t read_only;

		m->path = text_decode(r);
		m->format = text_decode(r);
		read_only = rd_le(r, 1);
		m->read_only = read_only;
		r->bad |= read_only > 1 || m->path[0] != '/';
	}
}

static void bytes_decode(struct rd *r, uint8_t *ret, size_t n)
{
	const uint8_t *at = rd_take(r, n);

	if (at)
		memcpy(ret, at, n);
}

static void range4_decode(struct rd *r, struct range4 *ret)
{
	ret->address = (uint32_t)rd_le(r, 4);
	ret->prefix = (unsigned)rd_le(r, 1);
	r->bad |= ret->prefix > 32;
}

static void range6_decode(struct rd *r, struct range6 *ret)
{
	bytes_decode(r, ret->address, sizeof(ret->address));
	ret->prefix = (unsigned)rd_le(r, 1);
	r->bad |= ret->prefix > 128;
}

static void links_decode(struct rd *r, struct guest_config *ret)
{
	size_t n = rd_le(r, 4);

	if (n > GUEST_LINKS_MAX)
		r->bad = true;
	for (size_t i = 0; i < n && !r->bad; i++) {
		struct card *l = &ret->links[ret->n_links++];

		bytes_decode(r, l->mac, sizeof(l->mac));
		range4_decode(r, &l->address);
		range4_decode(r, &l->range);
		l->gateway = (uint32_t)rd_le(r, 4);
		range6_decode(r, &l->address6);
		range6_decode(r, &l->range6);
		bytes_decode(r, l->gateway6, sizeof(l->gateway6));
	}
}

int guest_config_decode(const void *p, size_t n, struct guest_config *ret)
{
	struct rd r = rd_over(p, n);
	struct guest_config c = { 0 };

	c.rootfs_bytes = rd_le(&r, 8);
	c.address = (uint32_t)rd_le(&r, 4);
	c.gateway = (uint32_t)rd_le(&r, 4);
	c.n_layers = (uint32_t)rd_le(&r, 4);
	c.hostname = text_decode(&r);
	c.workdir = text_decode(&r);
	c.user = text_decode(&r);
	texts_decode(&r, c.resolvers, GUEST_RESOLVERS_MAX);
	texts_decode(&r, c.argv, GUEST_ARGS_MAX);
	texts_decode(&r, c.env, GUEST_ENV_MAX);
	mounts_decode(&r, &c);
	links_decode(&r, &c);
	texts_decode(&r, c.search, GUEST_SEARCH_MAX);
	if (rd_done(&r) || !c.argv[0] || !c.n_layers || c.n_layers > GUEST_LAYERS_MAX || c.n_layers + c.n_mounts + c.n_links > GUEST_LAYERS_MAX)
		return -EBADMSG;
	*ret = c;
	return 0;
}

/* The sentence lands in logs and on terminals: letters only, no orders to a terminal. */
static bool text_ok(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] < ' ' || p[i] > '~')
			return false;
	return n;
}

static const struct {
	enum guest_type type;
	unsigned before, after; /* states of the ear */
	size_t min, max;        /* bytes of payload */
} words[] = {
	{ GUEST_READY, GUEST_EAR_NEW, GUEST_EAR_READY, 0, 0 },
	{ GUEST_FAILED, GUEST_EAR_NEW, GUEST_EAR_OVER, 1, GUEST_WORD_MAX },
	{ GUEST_EXIT, GUEST_EAR_READY, GUEST_EAR_OVER, 4, 4 },
};

static int word_decode(struct guest_ear *ear, enum guest_type type, const uint8_t *p, size_t n, struct guest_word *ret)
{
	struct guest_word w = { .type = type };
	struct rd r = rd_over(p, n);

	if (type == GUEST_EXIT) {
		w.status = (unsigned)rd_le(&r, 4);
		w.oom = w.status & GUEST_EXIT_OOM;
		w.status &= ~(unsigned)GUEST_EXIT_OOM;
		if (w.status > EXIT_STATUS_MAX)
			return -EBADMSG;
	}
	if (type == GUEST_FAILED) {
		if (!text_ok(p, n))
			return -EBADMSG;
		memcpy(w.text, p, n);
	}
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (words[i].type == type)
			ear->state = words[i].after;
	ear->n = 0;
	*ret = w;
	return GUEST_EAR_WORD;
}

/* How many bytes the word has whose head is there; -EBADMSG when it may not come now. */
static int word_size(const struct guest_ear *ear, enum guest_type *ret_type, size_t *ret_bytes)
{
	if (guest_head_decode(ear->bytes, GUEST_WORD_MAX, ret_type, ret_bytes))
		return -EBADMSG;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (words[i].type == *ret_type && words[i].before == ear->state && *ret_bytes >= words[i].min && *ret_bytes <= words[i].max)
			return 0;
	return -EBADMSG;
}

static void fill(struct guest_ear *ear, struct str *p, size_t up_to)
{
	size_t n = ear->n < up_to ? up_to - ear->n : 0;

	if (n > p->n)
		n = p->n;
	memcpy(ear->bytes + ear->n, p->p, n);
	ear->n += n;
	*p = (struct str){ p->p + n, p->n - n };
}

int guest_ear_take(struct guest_ear *ear, struct str *p, struct guest_word *ret)
{
	enum guest_type type;
	size_t bytes;
	int r;

	if (!p->n)
		return GUEST_EAR_MORE;
	fill(ear, p, GUEST_HEAD);
	if (ear->n < GUEST_HEAD)
		return GUEST_EAR_MORE;
	if (!(r = word_size(ear, &type, &bytes))) {
		fill(ear, p, GUEST_HEAD + bytes);
		if (ear->n < GUEST_HEAD + bytes)
			return GUEST_EAR_MORE;
		r = word_decode(ear, type, ear->bytes + GUEST_HEAD, bytes, ret);
	}
	if (r < 0)
		ear->state = GUEST_EAR_OVER;
	return r;
}
