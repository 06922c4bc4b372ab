#include "init/boot.h"

#include "sys/mnt.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define BOOT_INIT "/usr/lib/zos/init"

/* The drivers without which there is no root; in this order, before anything that could look them up. */
static const char *const modules[] = { "/modules/crc32c_generic.ko", "/modules/libcrc32c.ko", "/modules/netfs.ko", "/modules/erofs.ko" };

static int module_load(const char *path, struct err *e)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : err_set(e, -errno, "open %s: %m", path); /* built in, then */
	if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)
		return err_set(e, -errno, "load %s: %m", path);
	unlink(path);
	return 0;
}

static const struct mnt_spec root = { "/root.erofs", "/sysroot", "erofs", NULL, MS_RDONLY, .make_dir = true };
static const struct mnt_spec run = { "run", "/run", "tmpfs", "mode=0755,size=20%", MS_NOSUID | MS_NODEV | MS_NOEXEC };

/* What the boot loader or a second archive brought along stays readable under /run/boot. */
static int extra_keep(struct err *e)
{
	if (access("/.extra", F_OK))
		return 0;
	if (mkdir("/sysroot/run/boot", 0700))
		return err_set(e, -errno, "make /run/boot: %m");
	return mnt_bind("/.extra", "/sysroot/run/boot", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, e);
}

/* What the archive brought and nobody needs again: this program's text stays as long as it runs, and the kernel keeps what it took of
 * the microcode. */
static const char *const spent[] = { "/init", "/kernel/x86/microcode/GenuineIntel.bin", "/kernel/x86/microcode/AuthenticAMD.bin" };

static int root_switch(struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(spent); i++)
		unlink(spent[i]);
	if (chdir("/sysroot") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		return err_set(e, -errno, "switch to the root file system: %m");
	execv(BOOT_INIT, (char *[]){ (char *)BOOT_INIT, NULL });
	return err_set(e, -errno, "run %s: %m", BOOT_INIT);
}

int boot_root(struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(modules) && !r; i++)
		r = module_load(modules[i], e);
	if (!r)
		r = mnt_make("", &root, e);
	if (!r)
		r = mnt_make("/sysroot", &run, e);
	if (!r)
		r = extra_keep(e);
	return r ? r : root_switch(e);
}
