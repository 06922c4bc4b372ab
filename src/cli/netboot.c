/* Boot over the network: what a web server gives to iPXE so that a node of the farm starts. The parts of the image as files, the farm document
 * in an archive of its own, which the kernel unpacks behind the image's (newc: buffer-format.rst of the kernel), and the script that names them.
 * The script is written last, so that it never names what is not there yet. */
#include "cli/command.h"
#include "cli/uki.h"
#include "cli/uplinks.h"

#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { URL_MAX = 200, WORDS_MAX = 1024 /* bytes of a command line */ };
#define SCRIPT "boot.ipxe"

struct netboot_args {
	const char *url;
	bool force;
	struct uplinks_args uplinks;
};
static const struct opt netboot_opts[] = {
	OPT(struct netboot_args, url, "url", "URL", "where DIR will be, for a script that iPXE gets from elsewhere: http://server/zos"),
	OPT(struct netboot_args, force, "force", NULL, "write over what is there"),
	UPLINKS_OPTS(struct netboot_args, uplinks),
};

struct netboot {
	const struct cli *cli;
	const struct netboot_args *args;
	const char *uki_path, *dir, *farm; /* borrowed */
	struct uki uki;
	struct buf document, uplinks; /* the farm's; uplink.cred, empty for none */
};

static void netboot_deinit(struct netboot *n)
{
	uki_close(&n->uki);
	buf_deinit(&n->document);
	buf_deinit(&n->uplinks);
}

static void entry_add(struct buf *b, unsigned number, const char *name, unsigned mode, struct str data)
{
	static const char zeros[4];

	buf_addf(b, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", number, mode, 0, 0, 1, 0, data.n, 0, 0, 0, 0, strlen(name) + 1,
		 0);
	buf_add_bytes(b, name, strlen(name) + 1);
	buf_add_bytes(b, zeros, -b->len % 4);
	buf_add(b, data);
	buf_add_bytes(b, zeros, -b->len % 4);
}

/* Where systemd's stub puts what lies beside it, so that init knows one place. */
static void archive_encode(struct buf *ret, struct str farm, struct str uplinks)
{
	entry_add(ret, 1, ".extra", S_IFDIR | 0755, S(""));
	entry_add(ret, 2, ".extra/credentials", S_IFDIR | 0755, S(""));
	entry_add(ret, 3, ".extra/credentials/farm.cred", S_IFREG | 0444, farm);
	if (uplinks.n)
		entry_add(ret, 4, ".extra/credentials/" UPLINKS_CREDENTIAL, S_IFREG | 0444, uplinks);
	entry_add(ret, 0, "TRAILER!!!", 0, S(""));
}

/* One line of words, with which nobody can say anything else to iPXE. */
static bool words_ok(struct str s, size_t max)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~' || s.p[i] == '$')
			return false;
	return s.n <= max;
}

static int url_check(const char *url, struct err *e)
{
	struct str s = str_c(url);

	if ((!str_starts(s, S("http://")) && !str_starts(s, S("https://"))) || strchr(url, ' ') || !words_ok(s, URL_MAX))
		return err_set(e, -EINVAL, "'%.60s' is no address of a web server: http://server/path", url);
	return 0;
}

/* A script that iPXE finds by itself (autoexec.ipxe) has the firmware's address and a card that is closed: dhcp opens it. initrd.magic is all
 * archives as one, for kernels that are started by UEFI; on a BIOS the word says nothing to anybody. */
static void script_write(struct buf *ret, struct str words, const char *farm, const char *url)
{
	const char *slash = url[0] && url[strlen(url) - 1] != '/' ? "/" : "";

	buf_addf(ret, "#!ipxe\n# nodes of farm '%s', by 'zos farm netboot'\ndhcp\n", farm);
	buf_addf(ret, "kernel %s%svmlinuz initrd=initrd.magic " STR_FMT "\n", url, slash, STR_ARG(words));
	buf_addf(ret, "initrd %s%sinitrd.img\ninitrd %s%sfarm.cpio\nboot\n", url, slash, url, slash);
}

static int dir_open(const char *path, bool force, struct err *e)
{
	int r = dir_make(path, 0755, e), fd;

	if (r)
		return r;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, -errno, "open %s: %m", path);
	if (!force && !faccessat(fd, SCRIPT, F_OK, 0)) {
		close(fd);
		return err_set(e, -EEXIST, "%s has a %s already: --force writes over it", path, SCRIPT);
	}
	return fd;
}

static int files_write(const struct netboot *n, struct str archive, struct str script, int dir, struct err *e)
{
	const struct {
		const char *name;
		struct str content;
	} files[] = {
		{ "vmlinuz", n->uki.parts[UKI_KERNEL] }, { "initrd.img", n->uki.parts[UKI_ARCHIVE] }, { "farm.cpio", archive }, { SCRIPT, script }
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(files) && !r; i++) {
		out_progress(n->cli, files[i].name, 0, 0);
		r = file_save(dir, files[i].name, files[i].content, 0644, e);
	}
	out_progress_end(n->cli);
	return r ? err_wrap(e, r, "%s", n->dir) : 0;
}

static int netboot_tell(const struct netboot *n, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;

	if (!n->cli->json)
		return printf("%s starts nodes of farm '%s', flavour %s: point iPXE at %s in it\n", n->dir, n->farm, n->uki.flavour, SCRIPT) < 0
			       ? err_set(e, -errno, "print: %m")
			       : 0;
	return sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("dir", n->dir), SD_JSON_BUILD_PAIR_STRING("script", SCRIPT),
			      SD_JSON_BUILD_PAIR_STRING("farm", n->farm), SD_JSON_BUILD_PAIR_STRING("flavour", n->uki.flavour)) < 0
		       ? err_set(e, -ENOMEM, "print: out of memory")
		       : out_json(v, e);
}

static int netboot_write(const struct netboot *n, struct err *e)
{
	AUTO_BUF struct buf archive = { 0 }, script = { 0 };
	struct str line = n->uki.parts[UKI_CMDLINE];
	int r;

	while (line.n && (line.p[line.n - 1] == '\n' || !line.p[line.n - 1]))
		line.n--;
	if (!words_ok(line, WORDS_MAX))
		return err_set(e, -EBADMSG, "%s has a command line that no script can hold", n->uki_path);
	archive_encode(&archive, buf_str(&n->document), buf_str(&n->uplinks));
	script_write(&script, line, n->farm, n->args->url ? n->args->url : "");
	if (buf_check(&archive) || buf_check(&script))
		return err_set(e, -ENOMEM, "write %s: out of memory", n->dir);
	AUTO_FD int dir = dir_open(n->dir, n->args->force, e);
	if (dir < 0)
		return dir;
	r = files_write(n, buf_str(&archive), buf_str(&script), dir, e);
	return r ? r : netboot_tell(n, e);
}

static int farm_netboot(const struct cli *c, const void *args, const char **words, struct err *e)
{
	CLEANUP(netboot_deinit) struct netboot n = { .cli = c, .args = args, .uki_path = words[0], .dir = words[1] };
	AUTO_PROFILE struct profile p = PROFILE_NONE;
	struct farm *f = calloc(1, sizeof(*f));
	int r;

	BUG_ON(!f);
	r = n.args->url ? url_check(n.args->url, e) : 0;
	if (!r)
		r = uplinks_format(&n.args->uplinks, &n.uplinks, e);
	if (!r && !(r = profile_open(&p, e)) && !(r = farm_read(&p, f, &n.document, e)) && !(r = uki_open(n.uki_path, &n.uki, e))) {
		n.farm = f->name;
		uki_warn(&n.uki, n.uki_path);
		r = netboot_write(&n, e);
	}
	farm_deinit(f);
	free(f);
	return r;
}

const struct command netboot_commands[] = {
	{ .name = "farm netboot",
	  .words = "ZOS.EFI DIR",
	  .help = "write what a node starts from over the network: files for a web server and an iPXE script",
	  .opts = netboot_opts,
	  .n_opts = ARRAY_LEN(netboot_opts),
	  .args_size = sizeof(struct netboot_args),
	  .min_words = 2,
	  .max_words = 2,
	  .run = farm_netboot },
};
const size_t n_netboot_commands = ARRAY_LEN(netboot_commands);
