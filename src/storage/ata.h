/* What a SATA disk says of its own health, as it says it: the bytes that two ATA commands bring (ATA/ATAPI command set, SMART RETURN STATUS and SMART READ DATA).
 *
 * The program `disk-ata` (disk_ata.c), which may send commands to disks, writes them down and looks at none; what reads them may do nothing (decision 110). Its layout is that of
 * the file between them, doc/disk.md. */
#pragma once
#include "base/err.h"
#include "storage/smart.h"

#include <assert.h>

enum { ATA_SENSE_BYTES = 32, ATA_DATA_BYTES = 512, ATA_WRONG_MAX = 240, ATA_PATH_MAX = 96 };
#define ATA_DIR "/run/zos/ata" /* a file for each disk that is being asked: NAME-SEQ */
#define ATA_UNIT "ata" /* init's service, of which each disk has an instance: NAME-SEQ */

struct ata_said {
	uint8_t sense[ATA_SENSE_BYTES]; /* behind the first: its registers, as SCSI's sense data has them (SAT, ATA PASS-THROUGH); zero = none came */
	uint8_t data[ATA_DATA_BYTES]; /* of the second; zero = it was refused */
	char wrong[ATA_WRONG_MAX]; /* why it could not be asked, as a sentence that ends with NUL; "" = it was */
};
static_assert(offsetof(struct ata_said, data) == 32 && offsetof(struct ata_said, wrong) == 544 && sizeof(struct ata_said) == 784);

/* BYTES: the content of the file. RET is not known when the disk does not say how it is. -EBADMSG: it is no such content; -EIO: the disk could not be asked. */
MUST_CHECK int ata_decode(struct str bytes, struct smart *ret, struct err *e);
