/* Every file in examples/ is one that a node takes. */
#include "base/file.h"
#include "cli/document.h"
#include "test/t.h"

#include <dirent.h>
#include <fcntl.h>

enum { EXAMPLES_MIN = 12 };

/* What a node says about TEXT, signed. */
static int verdict(struct str text, struct err *e)
{
	AUTO_KEY struct key owner = KEY_NONE, node = KEY_NONE;
	AUTO_JSON sd_json_variant *doc = NULL, *arguments = NULL;
	AUTO_DEPLOYMENT struct deployment *d = deployment_new();
	int r;

	T_NEED(!key_new(KEY_USER, &owner) && !key_new(KEY_NODE, &node), "keys");
	if ((r = json_parse(text, &doc, e)) || (r = document_resolve(&doc, e)) ||
	    (r = document_sign(&doc, &owner, &node.pub, 1, &arguments, e)) ||
	    (r = deployment_open(sd_json_variant_by_key(arguments, "document"), d, e)))
		return r;
	T_CHECK(d->n_workloads && document_memory(doc) >= 64 << 20, "it asks for something");
	return 0;
}

static void every_example_is_taken(void)
{
	DIR *dir = opendir(EXAMPLES_DIR);
	struct dirent *f;
	int n = 0;

	T_NEED(dir, "open " EXAMPLES_DIR);
	while ((f = readdir(dir))) {
		AUTO_BUF struct buf text = { 0 };
		struct err e = { 0 };

		if (!strstr(f->d_name, ".json"))
			continue;
		n++;
		T_CHECK(!file_read(dirfd(dir), f->d_name, 65536, &text, &e) && !verdict(buf_str(&text), &e), "%s: %s", f->d_name, e.msg);
	}
	closedir(dir);
	T_CHECK(n >= EXAMPLES_MIN, "%d examples", n);
}

static void what_is_wrong_is_named(void)
{
	static const struct {
		const char *field, *path;
	} rows[] = {
		{ "\"memory\":\"128MB\"", "/workloads/0/data/memory" },
		{ "\"memory\":\"1MiB\"", "/workloads/0/data/memory" },
		{ "\"memory\":\"128MiB\",\"ram\":1", "/workloads/0/data/ram" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_BUF struct buf text = { 0 };
		struct err e = { 0 };

		buf_addf(&text, "{\"name\":\"a\",\"workloads\":[{\"name\":\"b\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/i:1\",\"cpu\":1,%s}}]}",
		         rows[i].field);
		T_CHECK(verdict(buf_str(&text), &e) && strstr(e.msg, rows[i].path), "%s: %s", rows[i].field, e.msg);
	}
}

static void an_export_can_be_deployed_again(void)
{
	AUTO_KEY struct key owner = KEY_NONE, node = KEY_NONE;
	AUTO_JSON sd_json_variant *doc = NULL, *arguments = NULL, *bare = NULL, *before = NULL;
	struct err e = { 0 };

	T_NEED(!key_new(KEY_USER, &owner) && !key_new(KEY_NODE, &node), "keys");
	T_NEED(!json_parse(S("{\"name\":\"a\",\"workloads\":[{\"name\":\"b\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/i:1\",\"cpu\":1,"
	                     "\"memory\":134217728}}]}"), &doc, &e), "%s", e.msg);
	before = sd_json_variant_ref(doc);
	T_CHECK(!document_sign(&doc, &owner, &node.pub, 7, &arguments, &e) &&
	        !document_bare(sd_json_variant_by_key(arguments, "document"), &bare, &e), "%s", e.msg);
	T_CHECK(sd_json_variant_equal(bare, before), "nothing of who, where and which is left");
}

int main(void)
{
	T_RUN(every_example_is_taken);
	T_RUN(what_is_wrong_is_named);
	T_RUN(an_export_can_be_deployed_again);
	return T_END();
}
