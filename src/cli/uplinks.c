#include "cli/uplinks.h"

#include "base/cabling.h"

int uplinks_format(const struct uplinks_args *a, struct buf *ret, struct err *e)
{
	const struct {
		const char *word, *option;
		const struct opt_texts *texts;
	} lists[] = { { "zos.uplink=", "--uplink", &a->uplinks }, { "zos.dns=", "--dns", &a->dns } };
	struct cabling c = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (size_t k = 0; k < lists[i].texts->n; k++) {
			size_t before = ret->len;
			int r;

			if (strpbrk(lists[i].texts->texts[k], " \n"))
				return err_set(e, -EINVAL, "%s '%.60s': one uplink or address at a time, without spaces", lists[i].option,
					       lists[i].texts->texts[k]);
			buf_addf(ret, "%s%s\n", lists[i].word, lists[i].texts->texts[k]);
			if (buf_check(ret))
				return err_set(e, -ENOMEM, "write " UPLINKS_CREDENTIAL ": out of memory");
			if ((r = cabling_read(&c, (struct str){ ret->p + before, ret->len - before }, false, e)))
				return r;
		}
	return ret->len <= CABLING_TEXT_MAX ? 0 : err_set(e, -E2BIG, "the uplinks are longer than %d bytes: leave some out", CABLING_TEXT_MAX);
}
