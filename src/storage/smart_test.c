/* What smartctl 7.4 prints of disks (shortened where it is long), and what is made of it. */
#include "storage/smart.h"

#include "base/cleanup.h"
#include "test/t.h"

#define HEAD "{\"json_format_version\":[1,0],\"smartctl\":{\"version\":[7,4],\"exit_status\":0},"
#define NVME(passed, warning, used, media)                                                                                                    \
	HEAD "\"device\":{\"name\":\"/dev/nvme0n1\",\"type\":\"nvme\",\"protocol\":\"NVMe\"},\"smart_status\":{\"passed\":" passed            \
	     ",\"nvme\":{\"value\":" warning "}},\"nvme_smart_health_information_log\":{\"critical_warning\":" warning ",\"temperature\":40," \
	     "\"available_spare\":100,\"percentage_used\":" used ",\"media_errors\":" media ",\"power_on_hours\":7}}"

static void what_disks_say_is_read(void)
{
	static const struct {
		const char *text;
		struct smart want;
	} rows[] = {
		{ NVME("true", "0", "3", "0"), { true, false, 3, 0 } },
		{ NVME("false", "4", "101", "17"), { true, true, 101, 17 } },
		{ NVME("false", "2", "0", "0"), { true, false, 0, 0 } }, /* hot, and nothing else */
		{ NVME("false", "6", "0", "0"), { true, true, 0, 0 } },
		{ HEAD "\"smart_status\":{\"passed\":true},\"scsi_grown_defect_list\":4,\"scsi_percentage_used_endurance_indicator\":5}",
		  { true, false, 5, 4 } },
		/* a disk that has no such thing, or was not let ask */
		{ HEAD "\"device\":{\"name\":\"/dev/vda\"}}", { 0 } },
		{ HEAD "\"smart_status\":{\"passed\":\"yes\"},\"scsi_grown_defect_list\":4}", { 0 } },
		{ "{\"smart_status\":[],\"scsi_grown_defect_list\":{\"table\":[1]}}", { 0 } },
		{ NVME("true", "0", "9223372036854775807", "9223372036854775807"), { true, false, INT64_MAX, INT64_MAX } },
		{ "[]", { 0 } },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct smart s = { .worn = 99 };
		struct err e = { 0 };

		T_CHECK(!smart_decode(str_c(rows[i].text), &s, &e), "row %zu: %s", i, e.msg);
		T_CHECK(s.is_known == rows[i].want.is_known && s.is_failing == rows[i].want.is_failing, "row %zu: %d %d", i, s.is_known,
			s.is_failing);
		T_CHECK(s.worn == rows[i].want.worn && s.bad_sectors == rows[i].want.bad_sectors, "row %zu: %llu %llu", i, (unsigned long long)s.worn,
			(unsigned long long)s.bad_sectors);
	}
}

static void what_is_no_json_is_refused(void)
{
	static const char *const rows[] = { "", "smartctl: command not found", "{\"smart_status\":{\"passed\":true}" };
	struct smart s = { .worn = 99 };
	AUTO_FREE char *long_one = calloc(1, SMART_MAX + 2);
	struct err e = { 0 };

	T_NEED(long_one, "memory");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		T_CHECK(smart_decode(str_c(rows[i]), &s, &e) == -EBADMSG && e.msg[0] && s.worn == 99, "row %zu", i);
	memset(long_one, ' ', SMART_MAX + 1);
	long_one[0] = '1';
	T_CHECK(smart_decode((struct str){ long_one, SMART_MAX }, &s, &e) == 0, "%s", e.msg);
	T_CHECK(smart_decode(str_c(long_one), &s, &e) == -EBADMSG && strstr(e.msg, "longer than"), "%s", e.msg);
}

static void one_that_fails_is_told(void)
{
	char text[300] = "";

	T_CHECK(!smart_judge(&(struct smart){ .is_known = true, .worn = 100, .bad_sectors = 9 }, text, sizeof(text)) && !text[0],
		"it says it is well");
	T_CHECK(smart_judge(&(struct smart){ .is_known = true, .is_failing = true }, text, sizeof(text)) && strstr(text, "replace it"), "%s", text);
}

int main(void)
{
	T_RUN(what_disks_say_is_read);
	T_RUN(what_is_no_json_is_refused);
	T_RUN(one_that_fails_is_told);
	return T_END();
}
