/* Every file in examples/ is one that a node takes. */
#include "base/file.h"
#include "base/parse.h"
#include "cli/demand.h"
#include "cli/document.h"
#include "test/t.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

enum { EXAMPLES_MIN = 12 };

/* What a node says about TEXT, signed. */
static int verdict(struct str text, struct err *e)
{
	AUTO_KEY struct key owner = KEY_NONE, node = KEY_NONE;
	AUTO_JSON sd_json_variant *doc = NULL, *arguments = NULL;
	AUTO_DEPLOYMENT struct deployment *d = deployment_new();
	AUTO_SEAL_KEY struct seal_key seal;
	struct demand demand;
	int r;

	T_NEED(!key_new(KEY_USER, &owner) && !key_new(KEY_NODE, &node) && !seal_key_derive(&node, &seal), "keys");
	if ((r = json_parse(text, &doc, e)) || (r = document_resolve(&doc, e)) ||
	    (document_is_open(doc) && (r = document_seal(&doc, AT_FDCWD, seal.pub, &owner.pub, &node.pub, e))) ||
	    (r = document_sign(&doc, &owner, &node.pub, 1, &arguments, e)) ||
	    (r = deployment_open(sd_json_variant_by_key(arguments, "document"), d, e)))
		return r;
	demand_read(doc, &demand);
	T_CHECK(d->n_workloads && demand.memory_bytes >= 64 << 20, "it asks for something");
	return 0;
}

static void every_example_is_taken(void)
{
	DIR *dir = opendir(EXAMPLES_DIR);
	struct dirent *f;
	int n = 0;

	T_NEED(dir, "open " EXAMPLES_DIR);
	setenv("POSTGRES_PASSWORD", "for the example", 1);
	setenv("BACKUP_PASSWORD", "for the example", 1);
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
			     "\"memory\":134217728}}]}"),
			   &doc, &e),
	       "%s", e.msg);
	before = sd_json_variant_ref(doc);
	T_CHECK(!document_sign(&doc, &owner, &node.pub, 7, &arguments, &e) &&
			!document_bare(sd_json_variant_by_key(arguments, "document"), &bare, &e),
		"%s", e.msg);
	T_CHECK(sd_json_variant_equal(bare, before), "nothing of who, where and which is left");
}

/* Secrets are taken from where the file says, leave it sealed, and open for this node alone. */
static void secrets_are_sealed_where_they_are_named(void)
{
	static const struct {
		const char *source, *want, *why; /* the value, or what is said */
	} rows[] = {
		{ "{\"env\":\"ZOS_TEST_SECRET\"}", "hunter2", NULL },
		{ "{\"file\":\"secret.txt\"}", "from a file", NULL },
		{ "{\"env\":\"ZOS_TEST_NOTHING\"}", NULL, "/secrets/db: there is no ZOS_TEST_NOTHING in the environment" },
		{ "{\"file\":\"nothing.txt\"}", NULL, "/secrets/db: open nothing.txt" },
		{ "{\"file\":\"empty.txt\"}", NULL, "/secrets/db: has 0 bytes" },
		{ "\"hunter2\"", NULL, "/secrets/db: a value in clear has no place in this file" },
		{ "{}", NULL, "/secrets/db: write {" },
		{ "{\"env\":\"A\",\"file\":\"b\"}", NULL, "/secrets/db: write {" },
		{ "{\"vault\":\"x\"}", NULL, "/secrets/db/vault: unknown field" },
	};
	AUTO_KEY struct key owner = KEY_NONE, node = KEY_NONE;
	AUTO_SEAL_KEY struct seal_key seal;
	char dir[] = "/tmp/examples_test.XXXXXX";
	struct err e = { 0 };

	T_NEED(mkdtemp(dir) && !key_new(KEY_USER, &owner) && !key_new(KEY_NODE, &node) && !seal_key_derive(&node, &seal), "keys");
	AUTO_FD int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	T_NEED(!file_save(dir_fd, "secret.txt", S("from a file\n"), 0600, &e) && !file_save(dir_fd, "empty.txt", S("\n"), 0600, &e), "%s", e.msg);
	setenv("ZOS_TEST_SECRET", "hunter2", 1);
	unsetenv("ZOS_TEST_NOTHING");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct seal_place at = { &owner.pub, &node.pub, "db" };
		AUTO_SECRET struct buf clear = { 0 };
		AUTO_BUF struct buf text = { 0 }, bytes = { 0 };
		AUTO_JSON sd_json_variant *doc = NULL;
		sd_json_variant *value;
		int r;

		buf_addf(&text, "{\"secrets\":{\"db\":%s,\"one\":{\"env\":\"ZOS_TEST_SECRET\"},\"two\":{\"env\":\"ZOS_TEST_SECRET\"}}}",
			 rows[i].source);
		T_NEED(!json_parse(buf_str(&text), &doc, &e) && document_is_open(doc), "%s", rows[i].source);
		r = document_seal(&doc, dir_fd, seal.pub, &owner.pub, &node.pub, &e);
		T_CHECK(rows[i].why ? r < 0 && strstr(e.msg, rows[i].why) : !r, "%s: %d '%s'", rows[i].source, r, e.msg);
		if (r)
			continue;
		value = sd_json_variant_by_key(sd_json_variant_by_key(doc, "secrets"), "db");
		T_CHECK(!document_is_open(doc) && !parse_base64(str_c(sd_json_variant_string(value)), &bytes) &&
				!seal_open(&seal, &at, buf_str(&bytes), &clear) && str_eq(buf_str(&clear), str_c(rows[i].want)),
			"%s", rows[i].source);
	}
	T_CHECK(!tree_remove(AT_FDCWD, dir, &e), "%s", e.msg);
}

int main(void)
{
	T_RUN(secrets_are_sealed_where_they_are_named);
	T_RUN(every_example_is_taken);
	T_RUN(what_is_wrong_is_named);
	T_RUN(an_export_can_be_deployed_again);
	return T_END();
}
