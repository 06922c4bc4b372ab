/* Arguments of the calls that the engine serves the node's line. What an order within asks for is in fuzz/calls. */
#include "node/serve.h"
#include "table.h"

static const struct table_row rows[] = {
	{ "zos.Line.Watch", &line_watch_table },
	{ "zos.Line.State", &line_state_table },
	{ "zos.Line.Met", &meet_met_table },
	{ "zos.Order.Call", &serve_order_table },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	table_rows_try(rows, ARRAY_LEN(rows), data, n);
	return 0;
}
