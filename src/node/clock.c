#include "node/clock.h"

#include "base/file.h"
#include "base/log.h"

#include <fcntl.h>
#include <sys/timex.h>
#include <time.h>

void clock_configure(const struct farm *farm)
{
	AUTO_BUF struct buf text = { 0 };
	struct err e;

	for (size_t i = 0; farm && i < farm->n_time; i++) {
		const struct farm_time *t = &farm->time[i];

		buf_addf(&text, "server %s iburst", t->server);
		if (t->port)
			buf_addf(&text, " %s %u", t->nts ? "ntsport" : "port", (unsigned)t->port);
		buf_addf(&text, "%s\n", t->nts ? " nts" : "");
	}
	if (access(CLOCK_DIR, F_OK)) /* no PID 1 of ours made it: a test, where nobody keeps the clock */
		return;
	if (file_save(AT_FDCWD, CLOCK_DIR "/farm", buf_str(&text), 0644, &e))
		log_err("the clock stays with the time servers of before: %s", e.msg);
}

/* Without asking the kernel for anything but what it knows. RET: the state that adjtimex(2) has. */
static bool is_set(struct timex *ret)
{
	*ret = (struct timex){ 0 };
	return adjtimex(ret) >= 0 && !(ret->status & STA_UNSYNC);
}

bool clock_is_well(const struct farm *farm)
{
	struct timespec up;
	struct timex t;

	clock_gettime(CLOCK_BOOTTIME, &up);
	return !farm || !farm->n_time || up.tv_sec < CLOCK_PATIENCE_S || is_set(&t);
}

int clock_json(const struct farm *farm, sd_json_variant **ret)
{
	struct timex t;
	bool set = is_set(&t);

	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_UNSIGNED("servers", farm ? farm->n_time : 0), SD_JSON_BUILD_PAIR_BOOLEAN("set", set),
			      SD_JSON_BUILD_PAIR_CONDITION(set, "error_us", SD_JSON_BUILD_INTEGER(t.maxerror)));
}
