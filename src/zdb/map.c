#include "zdb/map.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile sig_atomic_t is_reading;
static struct sigaction before; /* whose SIGBUS it is when nobody reads here */

static void on_bus(int sig)
{
	if (is_reading)
		siglongjmp(back, 1);
	(void)sigaction(sig, &before, NULL); /* what led here is done again, and told to who was asked before */
}

static void watch_bus(void)
{
	const struct sigaction action = { .sa_handler = on_bus, .sa_flags = SA_NODEFER }; /* not blocked: nothing returns from it */
	static bool is_watched;

	if (!is_watched)
		(void)sigaction(SIGBUS, &action, &before);
	is_watched = true;
}

struct map map_open(int fd, size_t n)
{
	void *p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return (struct map){ 0 };
	watch_bus();
	(void)madvise(p, n, MADV_RANDOM); /* a value is not read with all that stands around it */
	return (struct map){ p, n };
}

void map_close(struct map *m)
{
	if (m->p)
		munmap((void *)m->p, m->n);
	*m = (struct map){ 0 };
}

int map_look(const struct map *m, size_t at, size_t n, map_seen *seen, void *ctx)
{
	size_t ahead = at & ~((size_t)sysconf(_SC_PAGESIZE) - 1);

	if (n > MAP_AHEAD_BYTES)
		(void)madvise((void *)(m->p + ahead), at + n - ahead, MADV_WILLNEED);
	if (sigsetjmp(back, 0)) {
		is_reading = false;
		return -EIO;
	}
	is_reading = true;
	seen(ctx, m->p + at, n);
	__asm__ volatile("" ::: "memory"); /* it has happened before this says that it has */
	is_reading = false;
	return 0;
}

static void copy(void *ret, const uint8_t *p, size_t n)
{
	memcpy(ret, p, n);
}

int map_read(const struct map *m, size_t at, void *ret, size_t n)
{
	return map_look(m, at, n, copy, ret);
}
