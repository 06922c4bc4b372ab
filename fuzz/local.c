/* Arguments of the calls that a node's own programs serve each other, and what they answer. What the engine serves them is in fuzz/served, what
 * the gateway's serve in fuzz/routes. */
#include "image/image.h"
#include "image/imaged.h"
#include "line/gridd.h"
#include "machine/runner.h"
#include "machine/session.h"
#include "relay/relayd.h"
#include "table.h"

static const struct table_row rows[] = {
	{ "zos.Image.Pull", &imaged_pull_table },   { "zos.Image.Push", &imaged_push_table },
	{ "zos.Image.Prune", &imaged_prune_table }, { "zos.Image.Release", &imaged_release_table },
	{ "progress", &image_progress_table },      { "pulled", &image_answer_table },
	{ "zos.Runner.Hold", &runner_hold_table },  { "zos.Runner.Exec", &runner_exec_table },
	{ "zos.Runner.Logs", &runner_logs_table },  { "zos.Runner.Restart", &runner_restart_table },
	{ "zos.Order.Call", &gridd_order_table },   { "zos.Session.Login", &gridd_login_table },
	{ "meeting", &gridd_errand_table },         { RELAY_HOLD, &relayd_hold_table },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	table_rows_try(rows, ARRAY_LEN(rows), data, n);
	return 0;
}
