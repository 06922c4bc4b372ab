/* libcapstone.so.5 as this image has it: the five functions that QEMU links, and none of the disassembler of 9 MB behind them. QEMU calls it to
 * print a guest's instructions, which nobody here can ask for, and takes the answer "no such processor" (decision 067). */
#include <stdbool.h>
#include <stddef.h>

enum { CS_ERR_OK = 0, CS_ERR_ARCH = 3 };

int cs_open(int arch, int mode, size_t *ret);
int cs_close(size_t *handle);
int cs_option(size_t handle, int type, size_t value);
void *cs_malloc(size_t handle);
bool cs_disasm_iter(size_t handle, const unsigned char **code, size_t *size, unsigned long *address, void *insn);

int cs_open(int arch, int mode, size_t *ret)
{
	(void)arch;
	(void)mode;
	*ret = 0;
	return CS_ERR_ARCH;
}

int cs_close(size_t *handle)
{
	(void)handle;
	return CS_ERR_OK;
}

int cs_option(size_t handle, int type, size_t value)
{
	(void)handle;
	(void)type;
	(void)value;
	return CS_ERR_OK;
}

void *cs_malloc(size_t handle)
{
	(void)handle;
	return NULL;
}

bool cs_disasm_iter(size_t handle, const unsigned char **code, size_t *size, unsigned long *address, void *insn)
{
	(void)handle;
	(void)code;
	(void)size;
	(void)address;
	(void)insn;
	return false;
}
