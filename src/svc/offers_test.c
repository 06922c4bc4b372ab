#include "svc/offers.h"

#include "test/t.h"

static void each_name_has_its_files(void)
{
	static const struct {
		const char *name, *files; /* NULL: not there */
	} rows[] = {
		{ "wireguard", "/a/udp_tunnel.ko /a/wireguard.ko" },
		{ "overlay", "" },
		{ "br_netfilter", "/b/br.ko" },
		{ "br-netfilter", "/b/br.ko" },
		{ "wire", NULL },
		{ "wireguards", NULL },
		{ "/a/wireguard.ko", NULL },
		{ "", NULL },
	};
	struct str table = S("wireguard /a/udp_tunnel.ko /a/wireguard.ko\noverlay\nbr_netfilter /b/br.ko\n");

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str files = S("untouched");
		bool there = offers_find(table, rows[i].name, &files);

		T_CHECK(there == !!rows[i].files && str_eq(files, rows[i].files ? str_c(rows[i].files) : S("untouched")), "%s: " STR_FMT,
			rows[i].name, STR_ARG(files));
	}
}

int main(void)
{
	T_RUN(each_name_has_its_files);
	return T_END();
}
