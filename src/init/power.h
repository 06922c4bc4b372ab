/* The last steps: everything dead, file systems unmounted, power off or on again. */
#pragma once
#include "init/init.h"

[[noreturn]] void power_finish(enum init_power how);
