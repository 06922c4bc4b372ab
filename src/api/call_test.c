#include "api/call.h"

#include "test/t.h"

#define WEB "\"deployment\":\"web\",\"machine\":\"db\""
#define EXEC "zos.Machine.Exec"

static void rows(void)
{
	static const struct {
		const char *method, *arguments, *refusal; /* NULL = taken */
	} cases[] = {
		{ EXEC, "{" WEB ",\"argv\":[\"sh\"]}", NULL },
		{ EXEC,
		  "{" WEB ",\"argv\":[\"sh\",\"\"],\"tty\":true,\"rows\":24,\"cols\":80,\"user\":\"app:www\",\"workdir\":\"/x\",\"term\":\"vt\"}",
		  NULL },
		{ EXEC, "{" WEB "}", "/argv" },
		{ EXEC, "{" WEB ",\"argv\":[]}", "/argv" },
		{ EXEC, "{" WEB ",\"argv\":[1]}", "/argv: entry 0" },
		{ EXEC, "{" WEB ",\"argv\":\"sh\"}", "/argv" },
		{ EXEC, "{" WEB ",\"argv\":[\"sh\"],\"rows\":65536}", "/rows" },
		{ EXEC, "{" WEB ",\"argv\":[\"sh\"],\"rows\":-1}", "/rows" },
		{ EXEC, "{" WEB ",\"argv\":[\"sh\"],\"tty\":1}", "/tty" },
		{ EXEC, "{" WEB ",\"argv\":[\"sh\"],\"user\":\"\"}", "/user" },
		{ EXEC, "{" WEB ",\"argv\":[\"sh\"],\"workdir\":\"x\"}", "/workdir" },
		{ EXEC, "{" WEB ",\"argv\":[\"sh\"],\"shell\":true}", "/shell" },
		{ EXEC, "{\"deployment\":\"web\",\"argv\":[\"sh\"]}", "/machine" },
		{ EXEC, "{\"deployment\":\"-web\",\"machine\":\"db\",\"argv\":[\"sh\"]}", "/deployment" },
		{ EXEC, "{" WEB ",\"owner\":\"me\",\"argv\":[\"sh\"]}", "/owner" },
		{ "zos.Machine.Console", "{" WEB "}", NULL },
		{ "zos.Node.Drain", "{\"on\":true}", NULL },
		{ "zos.Node.Drain", "{}", "/on: is missing" },
		{ "zos.Machine.Stats", "{" WEB "}", NULL },
		{ "zos.Machine.Stop", "{" WEB "}", NULL },
		{ "zos.Machine.Stop", "{" WEB ",\"grace\":1}", "/grace" },
		{ "zos.Machine.Resume", "{\"machine\":\"db\"}", "/deployment" },
		{ "zos.Machine.Console", "{" WEB ",\"follow\":true}", "/follow" },
		{ "zos.Node.RecoveryToken", "{\"serial\":\"disk0\"}", NULL },
		{ "zos.Node.RecoveryToken", "{\"serial\":\"\"}", "/serial" },
		{ "zos.Node.RecoverDisk", "{\"serial\":\"disk0\",\"uuid\":\"01234567-89ab-cdef-0123-456789abcdef\",\"secret\":\"AAAA\"}", "/secret" },
		{ "zos.Node.RecoverDisk", "{\"serial\":\"disk0\",\"uuid\":\"0123\",\"secret\":\"AAAA\"}", "/uuid" },
		{ "zos.Node.RecoverDisk", "{\"serial\":\"disk0\",\"uuid\":\"01234567-89ab-cdef-0123-456789abcdef\"}", "/secret: is missing" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct call *call = call_find(cases[i].method);
		_Alignas(max_align_t) char args[512] = { 0 };
		AUTO_JSON sd_json_variant *v = NULL;
		struct err e = { 0 };
		int r;

		T_NEED(call && call->arguments_size <= sizeof(args) && !json_parse(str_c(cases[i].arguments), &v, &e), "row %zu: %s", i, e.msg);
		r = json_decode(v, call->arguments, args, &e);
		T_CHECK(cases[i].refusal ? r == -EBADMSG && str_starts(str_c(e.msg), str_c(cases[i].refusal)) : !r, "row %zu: %d %s", i, r, e.msg);
	}
}

/* What reaches into a machine or says something about it is never anyone's. */
static void machines_are_not_for_anyone(void)
{
	for (size_t i = 0; i < n_calls; i++)
		if (str_starts(str_c(calls[i].method), S("zos.Machine.")))
			T_CHECK(calls[i].who == CALL_ALLOWED, "%s", calls[i].method);
}

int main(void)
{
	T_RUN(rows);
	T_RUN(machines_are_not_for_anyone);
	return T_END();
}
