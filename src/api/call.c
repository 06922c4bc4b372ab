#include "api/call.h"

#include "api/meet.h"
#include "api/recovery.h"
#include "api/relay.h"
#include "base/parse.h"

static const struct json_field envelope_fields[] = {
	{ "document", JSON_ANY, offsetof(struct call_envelope, document), .required = true },
};

#define NAME_FIELD(T, field, is_required) \
	{ #field, JSON_TEXT, offsetof(T, field), .required = (is_required), .ok = name_ok, .want = "a name: a-z, 0-9 and -, at most 36 characters" }

static const struct json_field deployment_fields[] = {
	NAME_FIELD(struct call_deployment, name, true),
	{ "owner", JSON_KEY, offsetof(struct call_deployment, owner) },
};
static const struct json_field list_fields[] = {
	{ "owner", JSON_KEY, offsetof(struct call_deployment, owner) },
};
#define MACHINE_FIELDS(T)                                              \
	NAME_FIELD(T, deployment, true), NAME_FIELD(T, machine, true), \
	{                                                              \
		"owner", JSON_KEY, offsetof(T, owner)                  \
	}
static const struct json_field drain_fields[] = {
	{ "on", JSON_BOOL, offsetof(struct call_drain, on), .required = true },
};
static const struct json_field service_fields[] = {
	{ "service", JSON_TEXT, offsetof(struct call_service, service), .required = true, .min = 1, .max = 63 },
};
static const struct json_field wipe_fields[] = {
	{ "serial", JSON_TEXT, offsetof(struct call_wipe, serial), .required = true, .min = 1, .max = 63 },
	{ "confirm", JSON_TEXT, offsetof(struct call_wipe, confirm), .required = true, .min = 1, .max = 63 },
};
static const struct json_field recover_token_fields[] = {
	{ "serial", JSON_TEXT, offsetof(struct call_recover_token, serial), .required = true, .min = 1, .max = 63 },
};
static const struct json_field recover_fields[] = {
	{ "serial", JSON_TEXT, offsetof(struct call_recover, serial), .required = true, .min = 1, .max = 63 },
	{ "uuid", JSON_TEXT, offsetof(struct call_recover, uuid), .required = true, .min = 36, .max = 36 },
	{ "secret", JSON_TEXT, offsetof(struct call_recover, secret), .required = true, .min = RECOVERY_SEALED_TEXT_LEN,
	  .max = RECOVERY_SEALED_TEXT_LEN },
};
static const struct json_field logs_fields[] = {
	MACHINE_FIELDS(struct call_logs),
	{ "follow", JSON_BOOL, offsetof(struct call_logs, follow) },
};
static const struct json_field forward_fields[] = {
	MACHINE_FIELDS(struct call_forward),
	{ "port", JSON_U64, offsetof(struct call_forward, port), .required = true, .min = 1, .max = 65535 },
};

static const struct json_field push_fields[] = {
	{ "name", JSON_TEXT, offsetof(struct call_push, name), .required = true, .min = 1, .max = 200 },
};

static bool snapshot_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && !((s.p[i] == '-' || s.p[i] == '.') && i))
			return false;
	return s.n && s.n <= CALL_SNAPSHOT_MAX;
}

#define VOLUME_FIELDS                                                                                   \
	NAME_FIELD(struct call_volume, deployment, true), NAME_FIELD(struct call_volume, volume, true), \
	{                                                                                               \
		"owner", JSON_KEY, offsetof(struct call_volume, owner)                                  \
	}
static const struct json_field volume_fields[] = { VOLUME_FIELDS };
#define SNAPSHOT_FIELD(is_required)               \
	{ "snapshot",                             \
	  JSON_TEXT,                              \
	  offsetof(struct call_volume, snapshot), \
	  .required = (is_required),              \
	  .ok = snapshot_ok,                      \
	  .want = "a name: a-z, 0-9, '.' and '-', at most 40 characters" }
static const struct json_field snapshot_fields[] = { VOLUME_FIELDS, SNAPSHOT_FIELD(true) };
static const struct json_field export_fields[] = { VOLUME_FIELDS, SNAPSHOT_FIELD(false) };

static const struct json_field machine_fields[] = { MACHINE_FIELDS(struct call_machine) };

static bool absolute_ok(struct str s)
{
	return s.n && s.p[0] == '/';
}

static const struct json_field exec_fields[] = {
	MACHINE_FIELDS(struct call_exec),
	{ "argv", JSON_TEXTS, offsetof(struct call_exec, argv), .required = true, .min = 1, .max = CALL_EXEC_ARGS_MAX },
	{ "user", JSON_TEXT, offsetof(struct call_exec, user), .min = 1, .max = 64 },
	{ "workdir", JSON_TEXT, offsetof(struct call_exec, workdir), .ok = absolute_ok, .want = "an absolute path" },
	{ "term", JSON_TEXT, offsetof(struct call_exec, term), .max = 64 },
	{ "tty", JSON_BOOL, offsetof(struct call_exec, tty) },
	{ "rows", JSON_U64, offsetof(struct call_exec, rows), .max = CALL_TERMINAL_MAX },
	{ "cols", JSON_U64, offsetof(struct call_exec, cols), .max = CALL_TERMINAL_MAX },
};

#define TABLE(name) static const struct json_table name##_table = { name##_fields, ARRAY_LEN(name##_fields), 0, NULL }
TABLE(envelope);
TABLE(deployment);
TABLE(list);
TABLE(drain);
TABLE(service);
TABLE(wipe);
TABLE(recover_token);
TABLE(recover);
TABLE(logs);
TABLE(machine);
TABLE(exec);
TABLE(forward);
TABLE(push);
TABLE(volume);
TABLE(snapshot);
TABLE(export);
static const struct json_table none_table = { NULL, 0, 0, NULL };

const struct call calls[] = {
	{ "zos.Node.Info", CALL_ANYONE, CALL_READS, false, false, &none_table, sizeof(struct call_none) },
	{ "zos.Node.Approve", CALL_FARM, CALL_CHANGES, false, false, &envelope_table, sizeof(struct call_envelope) },
	{ "zos.Node.SetFarm", CALL_FARM, CALL_CHANGES, false, false, &envelope_table, sizeof(struct call_envelope) },
	{ "zos.Node.Health", CALL_ALLOWED, CALL_READS, false, false, &none_table, sizeof(struct call_none) },
	{ "zos.Node.Logs", CALL_FARM, CALL_READS, false, false, &service_table, sizeof(struct call_service) },
	{ "zos.Node.Reboot", CALL_FARM, CALL_CHANGES, false, false, &none_table, sizeof(struct call_none) },
	{ "zos.Node.Drain", CALL_FARM, CALL_CHANGES, false, false, &drain_table, sizeof(struct call_drain) },
	{ "zos.Node.Disks", CALL_ALLOWED, CALL_READS, false, false, &none_table, sizeof(struct call_none) },
	{ "zos.Node.WipeDisk", CALL_FARM, CALL_CHANGES, false, false, &wipe_table, sizeof(struct call_wipe) },
	{ "zos.Node.RecoveryToken", CALL_FARM, CALL_READS, false, false, &recover_token_table, sizeof(struct call_recover_token) },
	{ "zos.Node.RecoverDisk", CALL_FARM, CALL_CHANGES, false, false, &recover_table, sizeof(struct call_recover) },
	{ "zos.Deployment.Deploy", CALL_ALLOWED, CALL_CHANGES, false, false, &envelope_table, sizeof(struct call_envelope) },
	{ "zos.Deployment.Check", CALL_ALLOWED, CALL_READS, false, false, &envelope_table, sizeof(struct call_envelope) },
	{ "zos.Deployment.Document", CALL_ALLOWED, CALL_READS, false, false, &deployment_table, sizeof(struct call_deployment) },
	{ "zos.Deployment.Get", CALL_ALLOWED, CALL_READS, false, false, &deployment_table, sizeof(struct call_deployment) },
	{ "zos.Deployment.List", CALL_ALLOWED, CALL_READS, false, false, &list_table, sizeof(struct call_deployment) },
	{ "zos.Deployment.Watch", CALL_ALLOWED, CALL_READS, true, false, &deployment_table, sizeof(struct call_deployment) },
	{ "zos.Image.Push", CALL_ALLOWED, CALL_CHANGES, false, true, &push_table, sizeof(struct call_push) },
	{ "zos.Image.List", CALL_ALLOWED, CALL_READS, false, false, &none_table, sizeof(struct call_none) },
	{ "zos.Image.Prune", CALL_ALLOWED, CALL_CHANGES, false, false, &none_table, sizeof(struct call_none) },
	{ "zos.Volume.Snapshots", CALL_ALLOWED, CALL_READS, false, false, &volume_table, sizeof(struct call_volume) },
	{ "zos.Volume.Snapshot", CALL_ALLOWED, CALL_CHANGES, false, false, &snapshot_table, sizeof(struct call_volume) },
	{ "zos.Volume.Forget", CALL_ALLOWED, CALL_CHANGES, false, false, &snapshot_table, sizeof(struct call_volume) },
	{ "zos.Volume.Restore", CALL_ALLOWED, CALL_CHANGES, false, false, &snapshot_table, sizeof(struct call_volume) },
	{ "zos.Volume.Export", CALL_ALLOWED, CALL_CHANGES, false, true, &export_table, sizeof(struct call_volume) },
	{ "zos.Volume.Import", CALL_ALLOWED, CALL_CHANGES, false, true, &volume_table, sizeof(struct call_volume) },
	{ "zos.Machine.Logs", CALL_ALLOWED, CALL_READS, false, true, &logs_table, sizeof(struct call_logs) },
	{ "zos.Machine.Exec", CALL_ALLOWED, CALL_CHANGES, false, true, &exec_table, sizeof(struct call_exec) },
	{ "zos.Machine.Console", CALL_ALLOWED, CALL_CHANGES, false, true, &machine_table, sizeof(struct call_machine) },
	{ "zos.Machine.Stats", CALL_ALLOWED, CALL_READS, false, false, &machine_table, sizeof(struct call_machine) },
	{ "zos.Machine.Start", CALL_ALLOWED, CALL_CHANGES, false, false, &machine_table, sizeof(struct call_machine) },
	{ "zos.Machine.Stop", CALL_ALLOWED, CALL_CHANGES, false, false, &machine_table, sizeof(struct call_machine) },
	{ "zos.Machine.Restart", CALL_ALLOWED, CALL_CHANGES, false, false, &machine_table, sizeof(struct call_machine) },
	{ "zos.Machine.Pause", CALL_ALLOWED, CALL_CHANGES, false, false, &machine_table, sizeof(struct call_machine) },
	{ "zos.Machine.Resume", CALL_ALLOWED, CALL_CHANGES, false, false, &machine_table, sizeof(struct call_machine) },
	{ "zos.Machine.Forward", CALL_ALLOWED, CALL_CHANGES, false, true, &forward_table, sizeof(struct call_forward) },
	{ CALL_MEET, CALL_NODE, CALL_CHANGES, false, false, &meet_table, sizeof(struct meet_args) },
	{ CALL_RELAY, CALL_NODE, CALL_READS, false, false, &relay_table, sizeof(struct relay_args) },
};
const size_t n_calls = ARRAY_LEN(calls);

const struct call *call_find(const char *method)
{
	for (size_t i = 0; i < n_calls; i++)
		if (!strcmp(calls[i].method, method))
			return &calls[i];
	return NULL;
}

static const struct {
	const char *method;
	uint64_t ms;
} slow[] = {
	{ "zos.Node.WipeDisk", CALL_DISK_MS },
	{ "zos.Node.RecoverDisk", CALL_DISK_MS },
};

uint64_t call_answer_ms(const char *method)
{
	for (size_t i = 0; i < ARRAY_LEN(slow); i++)
		if (!strcmp(slow[i].method, method))
			return slow[i].ms;
	return 0;
}

static const struct {
	int code;
	const char *name;
} errors[] = {
	{ -EBADMSG, "zos.Invalid" }, { -EKEYREJECTED, "zos.BadSignature" }, { -EACCES, "zos.Denied" }, { -ENOENT, "zos.NotFound" },
	{ -ESTALE, "zos.Stale" },    { -EXDEV, "zos.WrongNode" },           { -ETIME, "zos.Expired" }, { -ENOSPC, "zos.NoCapacity" },
	{ -EBUSY, "zos.Busy" },      { -EHOSTUNREACH, "zos.NotReady" },     { -EIO, "zos.Failed" },
};

const char *call_error_name(int code)
{
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		if (errors[i].code == code)
			return errors[i].name;
	return "zos.Failed";
}

int call_error_code(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		if (!strcmp(errors[i].name, name))
			return errors[i].code;
	return -EIO;
}
