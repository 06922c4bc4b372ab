#include "console/snapshot.h"

#define FIELD(T, text, kind, field) { text, kind, offsetof(T, field), .required = true }
#define TABLE(T, fields) { fields, ARRAY_LEN(fields), sizeof(T), NULL }

static const struct json_field hub_fields[] = {
	FIELD(struct snapshot_hub, "url", JSON_TEXT, url),
	FIELD(struct snapshot_hub, "why", JSON_TEXT, why),
	FIELD(struct snapshot_hub, "up", JSON_BOOL, is_up),
	FIELD(struct snapshot_hub, "since", JSON_U64, since_ms),
};
static const struct json_field service_fields[] = {
	FIELD(struct snapshot_service, "name", JSON_TEXT, name),
	FIELD(struct snapshot_service, "state", JSON_TEXT, state),
};
static const struct json_field state_fields[] = {
	FIELD(struct snapshot_state, "state", JSON_TEXT, name),
	FIELD(struct snapshot_state, "count", JSON_U64, count),
};
static const struct json_field note_fields[] = {
	FIELD(struct snapshot_note, "service", JSON_TEXT, service),
	FIELD(struct snapshot_note, "text", JSON_TEXT, text),
	FIELD(struct snapshot_note, "at", JSON_U64, at_ms),
};
static const struct json_field diagnosis_fields[] = {
	{ "text", JSON_TEXT, offsetof(struct snapshot_diagnosis, text), .required = true, .max = DIAGNOSIS_SIZE - 1 },
};
static const struct json_table hubs_table = TABLE(struct snapshot_hub, hub_fields);
static const struct json_table services_table = TABLE(struct snapshot_service, service_fields);
static const struct json_table workloads_table = TABLE(struct snapshot_state, state_fields);
static const struct json_table notes_table = TABLE(struct snapshot_note, note_fields);
static const struct json_table diagnoses_table = TABLE(struct snapshot_diagnosis, diagnosis_fields);

#define LIST(text, of, limit)            \
	{ text,                          \
	  JSON_LIST,                     \
	  offsetof(struct snapshot, of), \
	  .required = true,              \
	  .max = (limit),                \
	  .table = &of##_table,          \
	  .n_off = offsetof(struct snapshot, n_##of) }

static const struct json_field fields[] = {
	FIELD(struct snapshot, "node", JSON_TEXT, node),
	FIELD(struct snapshot, "version", JSON_TEXT, version),
	FIELD(struct snapshot, "flavour", JSON_TEXT, flavour),
	FIELD(struct snapshot, "farm", JSON_TEXT, farm),
	FIELD(struct snapshot, "approved", JSON_BOOL, is_approved),
	FIELD(struct snapshot, "durable", JSON_BOOL, is_durable),
	LIST("hubs", hubs, SNAPSHOT_HUBS_MAX),
	FIELD(struct snapshot, "cpu_milli", JSON_U64, cpu_milli),
	FIELD(struct snapshot, "cpu_milli_used", JSON_U64, cpu_milli_used),
	FIELD(struct snapshot, "memory", JSON_U64, memory_bytes),
	FIELD(struct snapshot, "memory_used", JSON_U64, memory_used_bytes),
	LIST("services", services, SNAPSHOT_SERVICES_MAX),
	LIST("workloads", workloads, SNAPSHOT_STATES_MAX),
	LIST("notes", notes, SNAPSHOT_NOTES_MAX),
	LIST("diagnoses", diagnoses, SNAPSHOT_DIAGNOSES_MAX),
};
static const struct json_table table = TABLE(struct snapshot, fields);

int snapshot_decode(sd_json_variant *v, struct snapshot *ret, struct err *e)
{
	struct snapshot s = *ret;
	int r = json_decode(v, &table, &s, e);

	if (!r)
		*ret = s;
	return r;
}
