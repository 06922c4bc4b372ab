#include "node/nonces.h"

#include "test/t.h"

#include <fcntl.h>
#include <stdio.h>

static const int64_t now_s = 1800000000;
static const char first[] = "00112233445566778899aabbccddeeff", second[] = "10112233445566778899aabbccddeeff";

static void is_taken_once_also_after_a_restart(void)
{
	char path[] = "/tmp/nonces_test.XXXXXX";
	struct nonces s = NONCES_NONE;
	struct err e = { 0 };
	int fd = mkstemp(path);

	T_NEED(fd >= 0 && !close(fd), "mkstemp: %m");
	T_NEED(!nonces_open(&s, path, now_s, &e), "%s", e.msg);
	T_CHECK(!nonces_use(&s, first, now_s + 60, now_s, &e), "%s", e.msg);
	T_CHECK(nonces_use(&s, first, now_s + 60, now_s, &e) == -ESTALE, "twice");
	T_CHECK(!nonces_use(&s, second, now_s + 600, now_s, &e), "%s", e.msg);
	T_CHECK(nonces_use(&s, "xyz", now_s + 60, now_s, &e) == -EBADMSG, "no nonce");
	nonces_close(&s);

	T_NEED(!nonces_open(&s, path, now_s + 1, &e), "%s", e.msg);
	T_CHECK(nonces_use(&s, first, now_s + 60, now_s + 1, &e) == -ESTALE, "after a restart");
	T_CHECK(nonces_use(&s, first, now_s + 60, now_s + 60 + CLOCK_SLACK_S, &e) == -ESTALE, "as long as an order could be taken");
	nonces_close(&s);

	T_NEED(!nonces_open(&s, path, now_s + 61 + CLOCK_SLACK_S, &e), "%s", e.msg);
	T_CHECK(s.n == 1, "what expired is dropped: %zu left", s.n);
	nonces_close(&s);
	unlink(path);
}

static void is_bounded(void)
{
	char path[] = "/tmp/nonces_test.XXXXXX", hex[ORDER_NONCE_LEN + 1];
	struct nonces s = NONCES_NONE;
	struct err e = { 0 };
	int fd = mkstemp(path);

	T_NEED(fd >= 0 && !close(fd), "mkstemp: %m");
	T_NEED(!nonces_open(&s, path, now_s, &e), "%s", e.msg);
	for (s.n = 0; s.n < NONCES_MAX; s.n++)
		s.all[s.n] = (struct nonce){ .expires_s = now_s + 5, .bytes = { 1, (uint8_t)s.n, (uint8_t)(s.n >> 8) } };
	snprintf(hex, sizeof(hex), "%032x", 7);
	T_CHECK(nonces_use(&s, hex, now_s + 60, now_s, &e) == -EBUSY, "%s", e.msg);
	T_CHECK(!nonces_use(&s, hex, now_s + 600, now_s + 6 + CLOCK_SLACK_S, &e) && s.n == 1, "room again: %s", e.msg);
	nonces_close(&s);
	unlink(path);
}

int main(void)
{
	T_RUN(is_taken_once_also_after_a_restart);
	T_RUN(is_bounded);
	return T_END();
}
