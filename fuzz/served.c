/* Arguments of the calls that the engine serves the node's line. What an order within asks for is in fuzz/calls. */
#include "node/serve.h"
#include "table.h"

static const struct {
	const char *name;
	const struct json_table *table;
} rows[] = {
	{ "zos.Line.Watch", &line_watch_table },
	{ "zos.Line.State", &line_state_table },
	{ "zos.Line.Met", &meet_met_table },
	{ "zos.Order.Call", &serve_order_table },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct table_input in = table_input(data, n);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (str_eq(in.name, str_c(rows[i].name)))
			table_try(rows[i].table, rows[i].table->size, in.json);
	return 0;
}
