/* Whether the firmware lets nothing start but what bears a signature that it believes: UEFI Secure Boot, in force when this system was started. */
#pragma once
#include <stdbool.h>

/* What the kernel was handed at its start (x86/zero-page.rst): the same page it goes by itself, when it refuses modules without a signature. */
#define SECUREBOOT_PAGE "/sys/kernel/boot_params/data"

/* PATH is SECUREBOOT_PAGE, or a test's. What the kernel's EFI stub found in the variables SecureBoot and SetupMode, and in what shim says of itself;
 * false where there is none: no UEFI, no such file, a short one, a value that is not known. */
bool secureboot_is_on(const char *path);
