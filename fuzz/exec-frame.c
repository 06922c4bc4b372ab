/* However the bytes are cut, the same frames are heard; a frame that is heard, said again, is the same bytes; a START has one spelling. */
#include "sys/exec_wire.h"

#include <stdlib.h>

static int hear(const uint8_t *data, size_t n, size_t piece, enum exec_from from, struct buf *ret)
{
	static struct exec_ear ear;

	ear = (struct exec_ear){ .from = from };
	for (size_t at = 0; at < n; at += piece) {
		struct str p = { (const char *)data + at, n - at < piece ? n - at : piece };
		struct exec_program program;
		struct exec_frame f;
		int r;

		while ((r = exec_ear_take(&ear, &p, &f)) == EXEC_EAR_FRAME) {
			size_t before = ret->len;

			if (f.type == EXEC_START && !exec_start_decode(f.data, &program)) {
				if (exec_put_start(ret, &program, NULL) || ret->len - before != EXEC_HEAD + f.data.n ||
				    memcmp(ret->p + before + EXEC_HEAD, f.data.p, f.data.n))
					abort();
				continue;
			}
			exec_put_frame(ret, &f);
		}
		if (r < 0)
			return -1;
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	for (int from = EXEC_FROM_CALLER; from <= EXEC_FROM_ARCHIVE; from++) {
		AUTO_BUF struct buf whole = { 0 }, cut = { 0 };

		if (hear(data, n, n ? n : 1, from, &whole) != hear(data, n, 1, from, &cut) || whole.len != cut.len ||
		    (whole.len && (memcmp(whole.p, cut.p, whole.len) || memcmp(whole.p, data, whole.len))))
			abort();
	}
	return 0;
}
