/* PROGRAM COMMAND --name=NAME --seq=N [--uuid=UUID] [--farm=KEY] [--rotational] [--ata] -- one thing done with one disk, for noded, which waits no longer than it
 * has patience and can kill this. The answer is one line of JSON (answer.h). PROGRAM is `disk` (disk.c) or `disk-keys` (keys.c).
 *
 * Each may be repeated, also after it was killed in the middle; but not while one that hangs in the kernel over a broken disk is still there. */
#pragma once
#include "storage/answer.h"
#include "storage/device.h"

/* A scrub that was killed goes on in the kernel until its slice ends: it keeps nobody from the disk, as nothing else does, and who takes the disk away
 * ends it. */
enum run_scrubbing { RUN_ALONE, RUN_ENDS_SCRUB, RUN_SCRUB };
struct run_command {
	const char *name;
	bool needs_uuid;
	enum run_scrubbing scrubbing;
	int (*run)(const struct disk_args *a, struct answer *ret, struct err *e);
};

/* Does the command that ARGV names, and says how it went. Returns the exit status. */
MUST_CHECK int run_main(const char *program, const struct run_command *commands, size_t n_commands, char **argv);
