#include "node/resolver.h"

#include "base/log.h"
#include "sys/resolv.h"

#include <unistd.h>

void resolver_configure(const struct farm *farm)
{
	AUTO_BUF struct buf text = { 0 };
	struct err e = { 0 };

	for (size_t i = 0; farm && i < farm->n_dns; i++)
		buf_addf(&text, "nameserver %s\n", farm->dns[i].server);
	if (access(RESOLV_SOURCES, F_OK)) /* no PID 1 of ours made it: a test */
		return;
	if (resolv_put(RESOLV_SOURCES, RESOLV_CONF, "farm.fallback", buf_str(&text), &e))
		log_err("the node keeps asking the name servers of before: %s", e.msg);
}
