/* The façade of struct storage to the real kernel: sysfs, uevents, and children that run the programs `disk` and `disk-keys`. */
#pragma once
#include "storage/storage.h"

struct storage_system {
	sd_event *event;
	const char *programs, *sys;      /* borrowed: the folder of the programs, and where sysfs is mounted */
	struct storage *storage;
	sd_event_source *uevents;
};
#define STORAGE_SYSTEM_NONE { 0 }

/* Makes STORAGE with doors to the real kernel, and follows uevents for it. RET and STORAGE are to be released, STORAGE first, whatever is
 * returned. */
MUST_CHECK int storage_system_init(struct storage_system *ret, struct storage *storage, sd_event *event, const char *programs,
				   const struct storage_events *events, struct err *e);
void storage_system_deinit(struct storage_system *s);
