#include "svc/provider.h"

#include "base/log.h"

void provider_sweep(struct provider *p, const char *dir, bool (*is_wanted)(void *engine, const char *id),
		    int (*take_down)(struct provider *p, const char *id, struct err *e))
{
	AUTO_DIR DIR *d = opendir(dir);
	const struct dirent *entry;

	while (d && (entry = readdir(d))) {
		struct err e = { 0 };

		if (entry->d_name[0] == '.' || is_wanted(p->engine, entry->d_name))
			continue;
		log_info("%s: left from before, nobody wants it", entry->d_name);
		if (take_down(p, entry->d_name, &e) < 0)
			log_warn("remove what is left of %s: %s", entry->d_name, e.msg);
	}
}
