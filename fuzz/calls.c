/* Arguments of every call that comes by a session. */
#include "api/call.h"
#include "table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct table_input in = table_input(data, n);

	for (size_t i = 0; i < n_calls; i++)
		if (str_eq(in.name, str_c(calls[i].method)))
			table_try(calls[i].arguments, calls[i].arguments_size, in.json);
	return 0;
}
