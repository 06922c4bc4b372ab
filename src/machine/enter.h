/* One more program in a running container: for `zos exec` and for health checks. Runs in a child of the runner. */
#pragma once
#include "machine/runner.h"

/* Starts P in slot SLOT and serves STREAM until it is over. ROOT: path of the container's root. Returns the child's exit status. */
int enter_container(const struct runner *r, const char *root, unsigned slot, const struct exec_program *p, int stream);
