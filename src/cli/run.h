/* The document that `zos run` makes of its options: one machine, in a deployment of its name. */
#pragma once
#include "base/opt.h"

#include <systemd/sd-json.h>

struct run_args {
	const char *name, *user_data, *login, *password, *publish;
	struct opt_texts secrets;
	uint64_t memory_bytes, bandwidth;
	uint32_t cpu;
	bool vm, container, disk;
};

/* WORDS: the image, then its arguments. Returns owned, with secrets named and not read yet (cli/document.h). -EINVAL, or as file_read(). */
MUST_CHECK int run_document(const struct run_args *a, const char *const *words, sd_json_variant **ret, struct err *e);
