#include "storage/ata_ask.h"

#include "sys/sandbox.h"

#include <scsi/sg.h>
#include <sys/ioctl.h>

/* SAT, ATA PASS-THROUGH (16): a command without data whose registers are told, or one that reads as many blocks as its count says. ATA: SMART, whose address is a key. */
enum {
	PASS_THROUGH = 0x85,
	CDB_BYTES = 16,
	NO_DATA = 3 << 1,
	PIO_IN = 4 << 1,
	TELL_REGISTERS = 1 << 5,
	READS_COUNTED_BLOCKS = 1 << 3 | 1 << 2 | 2,
	SMART = 0xb0,
	SMART_READ_DATA = 0xd0,
	SMART_RETURN_STATUS = 0xda,
	KEY_MIDDLE = 0x4f,
	KEY_HIGH = 0xc2,
};
enum { PATIENCE_MS = 20000, FILES_MAX = 8, ATA_REFUSED = 1 };

int ata_shut_in(struct err *e)
{
	static const struct sandbox box = { .ioctls = { SG_IO }, .files_max = FILES_MAX, .file_size_max = sizeof(struct ata_said) };

	return sandbox_enter(&box, e);
}

/* Or ATA_REFUSED: what stands in RET then is worth nothing. RET may be NULL with N 0. */
static int command_send(int fd, uint8_t feature, uint8_t *ret, size_t n, uint8_t ret_sense[static ATA_SENSE_BYTES], struct err *e)
{
	uint8_t cdb[CDB_BYTES] = { PASS_THROUGH, n ? PIO_IN : NO_DATA, n ? READS_COUNTED_BLOCKS : TELL_REGISTERS };
	struct sg_io_hdr h = { .interface_id = 'S',
			       .dxfer_direction = n ? SG_DXFER_FROM_DEV : SG_DXFER_NONE,
			       .cmd_len = CDB_BYTES,
			       .cmdp = cdb,
			       .mx_sb_len = ATA_SENSE_BYTES,
			       .sbp = ret_sense,
			       .dxfer_len = (unsigned)n,
			       .dxferp = ret,
			       .timeout = PATIENCE_MS };

	cdb[4] = feature;
	cdb[6] = (uint8_t)(n / ATA_DATA_BYTES);
	cdb[10] = KEY_MIDDLE;
	cdb[12] = KEY_HIGH;
	cdb[14] = SMART;
	if (ioctl(fd, SG_IO, &h))
		return err_set(e, -errno, "send it a command: %m");
	if (h.host_status)
		return err_set(e, -EIO, "it does not answer: see its cable (%u)", h.host_status);
	return h.status ? ATA_REFUSED : 0;
}

int ata_ask(int fd, struct ata_said *ret, struct err *e)
{
	uint8_t unread[ATA_SENSE_BYTES];
	struct ata_said said = { 0 };
	int r = command_send(fd, SMART_RETURN_STATUS, NULL, 0, said.sense, e); /* told registers come as an error that is none */

	if (r >= 0)
		r = command_send(fd, SMART_READ_DATA, said.data, sizeof(said.data), unread, e);
	if (r < 0)
		return r;
	if (r == ATA_REFUSED)
		memset(said.data, 0, sizeof(said.data));
	*ret = said;
	return 0;
}
