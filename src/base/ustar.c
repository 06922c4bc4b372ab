#include "base/ustar.h"

#include "base/parse.h"

#include <stdio.h>

int ustar_number(const uint8_t *p, size_t n, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	if (p[0] & 0x80) {
		v = p[0] & 0x7f;
		for (i = 1; i < n; i++) {
			if (v >> 48)
				return -EBADMSG;
			v = v << 8 | p[i];
		}
		*ret = v;
		return v > USTAR_SIZE_MAX ? -EBADMSG : 0;
	}
	while (i < n && p[i] == ' ')
		i++;
	for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
		v = v << 3 | (uint64_t)(p[i] - '0');
	for (; i < n; i++)
		if (p[i] && p[i] != ' ')
			return -EBADMSG;
	*ret = v;
	return v > USTAR_SIZE_MAX ? -EBADMSG : 0;
}

struct str ustar_field(const uint8_t *p, size_t max)
{
	return (struct str){ (const char *)p, strnlen((const char *)p, max) };
}

static uint64_t sum_of(const uint8_t *b)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < USTAR_BLOCK; i++)
		sum += i >= USTAR_AT_SUM && i < USTAR_AT_SUM + USTAR_SUM_LEN ? ' ' : b[i];
	return sum;
}

bool ustar_sum_ok(const uint8_t block[static USTAR_BLOCK])
{
	uint64_t want;

	return !ustar_number(block + USTAR_AT_SUM, USTAR_SUM_LEN, &want) && sum_of(block) == want;
}

void ustar_sum_set(uint8_t block[static USTAR_BLOCK])
{
	char text[USTAR_SUM_LEN];

	snprintf(text, sizeof(text), "%06o", (unsigned)sum_of(block)); /* with its NUL */
	text[USTAR_SUM_LEN - 1] = ' ';
	memcpy(block + USTAR_AT_SUM, text, sizeof(text));
}

bool ustar_is_zero(const uint8_t block[static USTAR_BLOCK])
{
	for (size_t i = 0; i < USTAR_BLOCK; i++)
		if (block[i])
			return false;
	return true;
}

uint64_t ustar_padded(uint64_t n)
{
	return (n + USTAR_BLOCK - 1) / USTAR_BLOCK * USTAR_BLOCK;
}

int pax_next(struct str *rest, struct str *ret_key, struct str *ret_value)
{
	struct str line = *rest, number, key;
	uint64_t n;

	if (!rest->n)
		return PAX_END;
	if (!str_next(&line, ' ', &number) || parse_u64(number, rest->n, &n) || n < number.n + 3 || rest->p[n - 1] != '\n')
		return -EBADMSG;
	line = (struct str){ rest->p + number.n + 1, n - number.n - 2 };
	*rest = (struct str){ rest->p + n, rest->n - n };
	if (!str_next(&line, '=', &key) || !line.p)
		return -EBADMSG;
	*ret_key = key;
	*ret_value = line;
	return PAX_RECORD;
}

static size_t digits_of(size_t n)
{
	size_t digits = 1;

	for (; n >= 10; n /= 10)
		digits++;
	return digits;
}

/* The length counts its own digits. */
void pax_put(struct buf *ret, const char *key, struct str value)
{
	size_t rest = strlen(key) + value.n + 3, n = rest + digits_of(rest);

	if (digits_of(n) + rest > n)
		n++;
	buf_addf(ret, "%zu %s=", n, key);
	buf_add(ret, value);
	buf_add(ret, S("\n"));
}
