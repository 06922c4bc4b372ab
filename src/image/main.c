/* imaged [OPTION...] -- pulls images for the engine. */
#include "image/image.h"
#include "image/imaged.h"

#include "base/opt.h"

static const struct opt opts[] = {
	OPT(struct imaged_options, socket, "socket", "PATH", "listen here (default " IMAGED_SOCKET ")"),
	OPT(struct imaged_options, cache, "cache", "DIR", "keep images here (default " IMAGED_CACHE ")"),
	OPT(struct imaged_options, mkfs, "mkfs", "PATH", "the program that makes EROFS files (default " IMAGED_MKFS ")"),
	OPT(struct imaged_options, stall_s, "stall", "SECONDS", "end a pull that moves nothing for so long (default 120)"),
	OPT_SIZE(struct imaged_options, limit_bytes, "limit", "what the layers may take (default a tenth of the file system)"),
};

int main(int argc, char **argv)
{
	CLEANUP(event_unrefp) sd_event *event = NULL;
	struct imaged_options o = { .socket = IMAGED_SOCKET, .cache = IMAGED_CACHE, .mkfs = IMAGED_MKFS, .stall_s = 120 };
	const char *words[1];
	struct opt_words w = { .words = words, .max = 1 };
	struct imaged d = IMAGED_NONE;
	struct err e = { 0 };
	int r = daemon_loop("imaged", &event, &e);

	if (!r && argc == 2 && !strcmp(argv[1], "--help")) {
		opt_help(stdout, opts, ARRAY_LEN(opts));
		return EXIT_SUCCESS;
	}
	if (!r && (r = opt_parse(opts, ARRAY_LEN(opts), argv + 1, &o, &w, &e)) >= 0)
		r = imaged_init(&d, event, &o, &e);
	if (!r)
		daemon_ready("waits for pulls");
	r = r ? daemon_failed(&e) : daemon_run(event);
	imaged_deinit(&d);
	return r;
}
