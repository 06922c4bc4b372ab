/* Two commands to a SATA disk, by the kernel's pass-through, and the cage for who sends them (decision 110). */
#pragma once
#include "storage/ata.h"

/* From here on nothing can be opened, and of requests to what is open the pass-through alone is left. */
MUST_CHECK int ata_shut_in(struct err *e);

/* FD: the disk, open for reading (borrowed). Waits until it has answered, 40 s at most. What it refuses is zero in RET. Takes CAP_SYS_RAWIO: -EPERM without; -ENOTTY: it is no
 * such disk; -EIO: it did not answer. */
MUST_CHECK int ata_ask(int fd, struct ata_said *ret, struct err *e);
