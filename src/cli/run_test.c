#include "cli/run.h"

#include "api/json.h"
#include "cli/document.h"
#include "test/t.h"

#define MACHINE(name, more) "\"workloads\":[{\"name\":\"" name "\",\"type\":\"zmachine\",\"data\":{" more "}}]}"

static const struct row {
	struct run_args args;
	const char *words[4];
	const char *want; /* the document, or part of the sentence */
	int error;
} rows[] = {
	{ { 0 },
	  { "Registry.example/team/Web_App:1.2" },
	  "{\"name\":\"web-app\"," MACHINE("web-app", "\"image\":\"Registry.example/team/Web_App:1.2\",\"isolation\":\"auto\",\"cpu\":1,"
						      "\"memory\":268435456"),
	  0 },
	{ { .name = "db", .vm = true, .cpu = 2, .memory_bytes = 64 << 20 },
	  { "r/pg", "-c", "x" },
	  "{\"name\":\"db\"," MACHINE("db", "\"image\":\"r/pg\",\"isolation\":\"vm\",\"cpu\":2,\"memory\":67108864,\"args\":[\"-c\",\"x\"]"),
	  0 },
	{ { .name = "db", .bandwidth = 1 << 20 },
	  { "r/pg" },
	  "{\"name\":\"db\"," MACHINE("db", "\"image\":\"r/pg\",\"isolation\":\"auto\",\"cpu\":1,\"memory\":268435456,\"bandwidth\":1048576"),
	  0 },
	{ { .disk = true },
	  { "r/debian" },
	  "{\"name\":\"debian\"," MACHINE("debian",
					  "\"image\":\"r/debian\",\"isolation\":\"auto\",\"boot\":\"disk\",\"cpu\":1,\"memory\":1073741824"),
	  0 },
	{ { .login = "shop", .password = "token", .secrets = { { "DB_PASSWORD", "KEY=a/key=1" }, 2 } },
	  { "r/web" },
	  "{\"name\":\"web\",\"secrets\":{\"secret-1\":{\"env\":\"DB_PASSWORD\"},\"secret-2\":{\"file\":\"a/key=1\"},"
	  "\"registry\":{\"file\":\"token\"}}," MACHINE(
		  "web", "\"image\":\"r/web\",\"isolation\":\"auto\",\"pull\":{\"user\":\"shop\",\"secret\":\"registry\"},"
			 "\"env\":{\"DB_PASSWORD\":{\"secret\":\"secret-1\"},\"KEY\":{\"secret\":\"secret-2\"}},\"cpu\":1,\"memory\":268435456"),
	  0 },
	{ { .publish = "blog:8080" },
	  { "r/web" },
	  "{\"name\":\"web\",\"workloads\":[{\"name\":\"net\",\"type\":\"network\",\"data\":{\"subnet\":\"10.20.1.0/24\"}},"
	  "{\"name\":\"web\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web\",\"isolation\":\"auto\",\"networks\":[{\"name\":\"net\"}],\"cpu\":1,"
	  "\"memory\":268435456}},{\"name\":\"site\",\"type\":\"gateway-name-proxy\",\"data\":{\"name\":\"blog\",\"network\":\"net\",\"backends\":[\"web:8080\"]}}]}",
	  0 },
	{ { .publish = "www.example.org", .name = "net" },
	  { "r/web" },
	  "{\"name\":\"net\",\"workloads\":[{\"name\":\"network\",\"type\":\"network\",\"data\":{\"subnet\":\"10.20.1.0/24\"}},"
	  "{\"name\":\"net\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web\",\"isolation\":\"auto\",\"networks\":[{\"name\":\"network\"}],\"cpu\":1,"
	  "\"memory\":268435456}},{\"name\":\"site\",\"type\":\"gateway-fqdn-proxy\",\"data\":{\"fqdn\":\"www.example.org\",\"network\":\"network\","
	  "\"backends\":[\"net:80\"]}}]}",
	  0 },
	{ { .publish = "blog:0" }, { "r/web" }, "a port from 1 to 65535", -EINVAL },
	{ { .publish = ":80" }, { "r/web" }, "write NAME or NAME:PORT", -EINVAL },
	{ { .vm = true, .container = true }, { "r/web" }, "--container and --vm exclude each other", -EINVAL },
	{ { .user_data = "file" }, { "r/web" }, "add --disk", -EINVAL },
	{ { .user_data = "/nonexistent", .disk = true }, { "r/web" }, "/nonexistent", -ENOENT },
	{ { .login = "shop" }, { "r/web" }, "go together", -EINVAL },
	{ { .password = "token" }, { "r/web" }, "go together", -EINVAL },
	{ { .secrets = { { "=file" }, 1 } }, { "r/web" }, "write NAME=FILE", -EINVAL },
	{ { .secrets = { { "NAME=" }, 1 } }, { "r/web" }, "write NAME=FILE", -EINVAL },
};

static void options_make_a_document(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_JSON sd_json_variant *doc = NULL;
		AUTO_BUF struct buf text = { 0 };
		struct err e = { 0 };
		int r = run_document(&rows[i].args, rows[i].words, &doc, &e);

		T_CHECK(r == rows[i].error, "row %zu: %d %s", i, r, e.msg);
		if (r) {
			T_CHECK(!doc && strstr(e.msg, rows[i].want), "row %zu: '%s'", i, e.msg);
			continue;
		}
		T_CHECK(!json_format(doc, &text) && !strcmp(text.p, rows[i].want), "row %zu: %s", i, text.p);
		T_CHECK(document_is_open(doc) == (rows[i].args.secrets.n > 0), "row %zu: what is to be sealed", i);
	}
}

int main(void)
{
	T_RUN(options_make_a_document);
	return T_END();
}
