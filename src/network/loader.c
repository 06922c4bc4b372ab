/* filter [closed | in NETNS] -- hands packet filter rules to the kernel in one transaction, and ends: rules in nft's language from standard input,
 * for the network namespace at the path NETNS or its own; or, `closed`, those of a node that has heard of no farm yet. A program of its own because libnftables is a parser of a megabyte, and
 * because noded, which may do much, need not wait for it. */
#include "base/err.h"
#include "base/log.h"
#include "network/rules.h"

#include <fcntl.h>
#include <nftables/libnftables.h>
#include <sched.h>

enum { UID_IMAGED = 902, RULES_MAX_BYTES = 1 << 20 };

static int input_read(struct buf *ret, struct err *e)
{
	ssize_t n;

	do {
		char bytes[4096];

		n = read(STDIN_FILENO, bytes, sizeof(bytes));
		if (n < 0)
			return err_set(e, -errno, "read the rules: %m");
		buf_add(ret, (struct str){ bytes, (size_t)n });
	} while (n);
	return buf_check(ret) ? err_set(e, -EFBIG, "the rules are larger than %d bytes", RULES_MAX_BYTES) : 0;
}

static void nft_freep(struct nft_ctx **nft)
{
	if (*nft)
		nft_ctx_free(*nft);
}

static int rules_load(struct buf *text, struct err *e)
{
	CLEANUP(nft_freep) struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	const char *said;

	buf_add(text, (struct str){ "", 1 });
	if (!nft || buf_check(text))
		return err_set(e, -ENOMEM, "load the packet filter: out of memory");
	nft_ctx_buffer_output(nft);
	nft_ctx_buffer_error(nft);
	if (!nft_run_cmd_from_buffer(nft, text->p))
		return 0;
	said = nft_ctx_get_error_buffer(nft);
	return err_set(e, -EIO, "load the packet filter: %.200s", said ? said : "no reason given");
}

static int enter(const char *netns, struct err *e)
{
	AUTO_FD int fd = open(netns, O_RDONLY | O_CLOEXEC);

	return fd < 0 || setns(fd, CLONE_NEWNET) ? err_set(e, -errno, "enter the network namespace %s: %m", netns) : 0;
}

int main(int argc, char **argv)
{
	AUTO_BUF struct buf text = { .limit = RULES_MAX_BYTES };
	struct rules closed = { .imaged_uid = UID_IMAGED };
	struct err e = { 0 };
	int r = 0;

	log_init("filter", getenv("ZOS_DEBUG") != NULL);
	if (argc == 2 && !strcmp(argv[1], "closed"))
		rules_format(&closed, &text);
	else if (argc != 3 || strcmp(argv[1], "in") || !(r = enter(argv[2], &e)))
		r = input_read(&text, &e);
	if (!r)
		r = rules_load(&text, &e);
	if (r)
		log_err("%s", e.msg);
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
