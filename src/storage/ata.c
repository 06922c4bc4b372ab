#include "storage/ata.h"

/* SPC, sense data: its format, and what it is about. SAT: what is the ATA device's own in it. */
enum {
	SENSE_FORMAT = 0x7f,
	SENSE_FIXED = 0x70,
	SENSE_DESCRIPTORS = 0x72,
	SENSE_KEY = 0x0f,
	SENSE_KEY_RECOVERED = 1, /* or 0: nothing is wrong */
	ASCQ_ATA = 0x1d,
	DESCRIPTOR_ATA = 0x09,
	DESCRIPTOR_ATA_BYTES = 14,
	STATUS_FAILED = 0x21, /* ERR or DF */
};
/* SMART RETURN STATUS leaves these in the middle and the high byte of the address. */
enum { WELL = 0xc24f, FAILING = 0x2cf4 };
/* SMART READ DATA: 30 attributes, each of 12 bytes, and a sum that makes all 512 bytes 0. */
enum { ATTRIBUTES = 30, ATTRIBUTE_BYTES = 12, ATTRIBUTES_AT = 2, RAW_AT = 5, RAW_BYTES = 6 };

static uint16_t registers(const uint8_t *status, const uint8_t *middle, const uint8_t *high)
{
	return *status & STATUS_FAILED ? 0 : (uint16_t)(*middle | *high << 8);
}

static uint16_t registers_of_descriptors(const uint8_t s[static ATA_SENSE_BYTES])
{
	size_t end = 8u + s[7] < ATA_SENSE_BYTES ? 8u + s[7] : ATA_SENSE_BYTES;

	if ((s[1] & SENSE_KEY) > SENSE_KEY_RECOVERED)
		return 0;
	for (size_t at = 8; at + 1 < end; at += 2u + s[at + 1])
		if (s[at] == DESCRIPTOR_ATA && at + DESCRIPTOR_ATA_BYTES <= end)
			return registers(&s[at + 13], &s[at + 9], &s[at + 11]);
	return 0;
}

/* 0: there are none. */
static uint16_t registers_find(const uint8_t s[static ATA_SENSE_BYTES])
{
	if ((s[0] & SENSE_FORMAT) == SENSE_DESCRIPTORS)
		return registers_of_descriptors(s);
	if ((s[0] & SENSE_FORMAT) != SENSE_FIXED || (s[2] & SENSE_KEY) > SENSE_KEY_RECOVERED || s[12] || s[13] != ASCQ_ATA)
		return 0;
	return registers(&s[4], &s[10], &s[11]);
}

/* Reallocated, pending and uncorrectable sectors: by convention among makers, as attributes have no standard. Of the first, makers use the upper bytes for other things. */
static const struct {
	uint8_t id, bytes;
} bad_sectors[] = { { 5, 2 }, { 197, RAW_BYTES }, { 198, RAW_BYTES } };

static uint64_t attribute_bad_sectors(const uint8_t a[static ATTRIBUTE_BYTES])
{
	uint64_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(bad_sectors); i++)
		for (size_t k = bad_sectors[i].id == a[0] ? bad_sectors[i].bytes : 0; k; k--)
			n = n << 8 | a[RAW_AT + k - 1];
	return n;
}

static uint64_t data_bad_sectors(const uint8_t data[static ATA_DATA_BYTES])
{
	uint64_t n = 0;
	uint8_t sum = 0;

	for (size_t i = 0; i < ATA_DATA_BYTES; i++)
		sum = (uint8_t)(sum + data[i]);
	for (size_t i = 0; i < ATTRIBUTES && !sum; i++)
		n += attribute_bad_sectors(data + ATTRIBUTES_AT + i * ATTRIBUTE_BYTES);
	return n;
}

static bool is_sentence(const char text[static ATA_WRONG_MAX])
{
	size_t n = strnlen(text, ATA_WRONG_MAX);

	for (size_t i = 0; i < n; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return n < ATA_WRONG_MAX;
}

int ata_decode(struct str bytes, struct smart *ret, struct err *e)
{
	struct ata_said said;
	uint16_t how;

	if (bytes.n != sizeof(said))
		return err_set(e, -EBADMSG, "what it says of its health is %zu bytes long instead of %zu", bytes.n, sizeof(said));
	memcpy(&said, bytes.p, sizeof(said));
	if (!is_sentence(said.wrong))
		return err_set(e, -EBADMSG, "what it says of its health is no sentence where one should be");
	if (said.wrong[0])
		return err_set(e, -EIO, "ask for its health: %s", said.wrong);
	how = registers_find(said.sense);
	*ret = (struct smart){ 0 };
	if (how == WELL || how == FAILING)
		*ret = (struct smart){ .is_known = true, .is_failing = how == FAILING, .bad_sectors = data_bad_sectors(said.data) };
	return 0;
}
