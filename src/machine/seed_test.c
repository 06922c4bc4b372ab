#include "machine/seed.h"

#include "base/file.h"
#include "test/t.h"

#include <fcntl.h>

static void three_files_say_all(void)
{
	static const struct {
		const char *name, *content;
	} files[] = {
		{ "meta-data", "{\"instance-id\":\"0123456789abcdef\",\"local-hostname\":\"box\"}\n" },
		{ "network-config", "{\"version\":2,\"ethernets\":{\"eth0\":{\"match\":{\"macaddress\":\"02:7a:6f:73:00:01\"},\"set-name\":\"eth0\","
				    "\"addresses\":[\"10.1.0.3/31\"],\"routes\":[{\"to\":\"0.0.0.0/0\",\"via\":\"10.1.0.2\"}],"
				    "\"nameservers\":{\"addresses\":[\"10.0.2.3\"]}}}}\n" },
		{ "user-data", "#cloud-config\nruncmd: [[touch, /x]]\n" },
	};
	struct machine_spec s = { .id = "0123456789abcdef",
				  .hostname = "box",
				  .address = "10.1.0.3",
				  .gateway = "10.1.0.2",
				  .mac = "02:7a:6f:73:00:01",
				  .user_data = files[2].content };
	char dir[] = "/tmp/seed_test.XXXXXX";
	struct err e = { 0 };

	T_NEED(mkdtemp(dir) && sd_json_buildo(&s.v, SD_JSON_BUILD_PAIR_ARRAY("r", SD_JSON_BUILD_STRING("10.0.2.3"))) >= 0, "fixture");
	s.resolvers = sd_json_variant_by_key(s.v, "r");
	AUTO_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	T_CHECK(!seed_save(fd, &s, &e), "%s", e.msg);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO_BUF struct buf text = { 0 };

		T_CHECK(!file_read(fd, files[i].name, 4096, &text, &e) && str_eq(buf_str(&text), str_c(files[i].content)), "%s: " STR_FMT,
			files[i].name, STR_ARG(buf_str(&text)));
	}
	s.user_data = NULL;
	AUTO_BUF struct buf text = { 0 };
	T_CHECK(!seed_save(fd, &s, &e) && !file_read(fd, "user-data", 4096, &text, &e) && str_eq(buf_str(&text), S("#cloud-config\n")),
		"cloud-init takes no seed without it");
	T_CHECK(!tree_remove(AT_FDCWD, dir, &e), "%s", e.msg);
	machine_spec_deinit(&s);
}

static void private_networks_are_cards_of_their_own(void)
{
	static const char want[] =
		"{\"version\":2,\"ethernets\":{\"eth0\":{\"match\":{\"macaddress\":\"02:7a:6f:73:00:01\"},\"set-name\":\"eth0\","
		"\"addresses\":[\"10.1.0.3/31\"],\"routes\":[{\"to\":\"0.0.0.0/0\",\"via\":\"10.1.0.2\"}],"
		"\"nameservers\":{\"addresses\":[\"10.20.1.1\"],\"search\":[\"blog.internal\"]}},"
		"\"eth1\":{\"match\":{\"macaddress\":\"02:00:00:00:00:05\"},\"set-name\":\"eth1\",\"accept-ra\":false,"
		"\"addresses\":[\"10.20.1.5/24\",\"fd00::5/64\"],\"routes\":[{\"to\":\"10.20.0.0/16\",\"via\":\"10.20.1.1\"}]}}}\n";
	struct machine_spec s = {
		.id = "0123456789abcdef",
		.hostname = "box",
		.address = "10.1.0.3",
		.gateway = "10.1.0.2",
		.mac = "02:7a:6f:73:00:01",
		.links = { { "/n", "zm1", "02:00:00:00:00:05", "10.20.1.5/24", "10.20.0.0/16", "10.20.1.1", "fd00::5/64", "fd00::/64", "fd00::1" } },
		.n_links = 1,
	};
	AUTO_BUF struct buf text = { 0 };
	char dir[] = "/tmp/seed_test.XXXXXX";
	struct err e = { 0 };

	T_NEED(mkdtemp(dir) && sd_json_buildo(&s.v, SD_JSON_BUILD_PAIR_ARRAY("r", SD_JSON_BUILD_STRING("10.20.1.1")),
					      SD_JSON_BUILD_PAIR_ARRAY("s", SD_JSON_BUILD_STRING("blog.internal"))) >= 0,
	       "fixture");
	s.resolvers = sd_json_variant_by_key(s.v, "r");
	s.search = sd_json_variant_by_key(s.v, "s");
	AUTO_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	T_CHECK(!seed_save(fd, &s, &e) && !file_read(fd, "network-config", 4096, &text, &e) && str_eq(buf_str(&text), str_c(want)), "%s: " STR_FMT,
		e.msg, STR_ARG(buf_str(&text)));
	T_CHECK(!tree_remove(AT_FDCWD, dir, &e), "%s", e.msg);
	machine_spec_deinit(&s);
}

int main(void)
{
	T_RUN(three_files_say_all);
	T_RUN(private_networks_are_cards_of_their_own);
	return T_END();
}
