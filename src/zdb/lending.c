#include "zdb/lending.h"

#include "base/err.h"

void lending_add(struct lending *l, const struct buf *out, struct map value)
{
	BUG_ON(l->n == LENDING_MAX);
	l->lent[l->n].at = out->len;
	l->lent[l->n++].value = value;
	l->bytes += value.n;
}

int lending_parts(const struct lending *l, const struct buf *out, size_t from, struct iovec ret[static LENDING_PARTS_MAX])
{
	int n = 0;

	for (size_t i = 0; i < l->n; from = l->lent[i++].at) {
		ret[n++] = (struct iovec){ out->p + from, l->lent[i].at - from };
		ret[n++] = (struct iovec){ (void *)l->lent[i].value.p, l->lent[i].value.n };
	}
	ret[n++] = (struct iovec){ out->p + from, out->len - from };
	return n;
}

static void copy_from(struct lending *l, const struct buf *out, size_t from, size_t n, struct buf *ret)
{
	struct iovec parts[LENDING_PARTS_MAX];
	int n_parts = lending_parts(l, out, from, parts);

	for (int i = 0; i < n_parts && !l->failed; i++) {
		size_t done = n < parts[i].iov_len ? n : parts[i].iov_len, left = parts[i].iov_len - done;

		n -= done;
		if (!left)
			continue;
		buf_reserve(ret, left);
		if (buf_check(ret))
			l->failed = -ENOMEM;
		else if (i % 2) /* every second one is lent */
			l->failed = map_read(&l->lent[i / 2].value, done, ret->p + ret->len, left);
		else
			memcpy(ret->p + ret->len, (char *)parts[i].iov_base + done, left);
		ret->len += l->failed ? 0 : left;
	}
}

void lending_end(struct lending *l, struct buf *out, size_t from, size_t n)
{
	struct buf copy = { 0 };

	if (!l->n)
		return;
	copy_from(l, out, from, n, &copy);
	out->len = 0; /* it keeps its room when all is gone */
	if (copy.len) {
		buf_deinit(out);
		*out = copy;
	} else {
		buf_deinit(&copy);
	}
	l->n = l->bytes = 0;
}
