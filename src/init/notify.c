#include "init/notify.h"

#include "base/cleanup.h"

int notify_parse(struct notify *ret, struct str datagram)
{
	struct notify n = { 0 };
	struct str rest = datagram, line;

	if (!datagram.n || memchr(datagram.p, '\0', datagram.n))
		return -EBADMSG;
	while (str_next(&rest, '\n', &line)) {
		if (str_eq(line, S("READY=1")))
			n.is_ready = true;
		else if (str_eq(line, S("STOPPING=1")))
			n.is_stopping = true;
		else if (str_starts(line, S("STATUS=")))
			n.status = (struct str){ line.p + 7, line.n - 7 };
	}
	*ret = n;
	return 0;
}
