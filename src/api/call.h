/* The calls of a node: one table that gridd passes on by, noded serves by, and the client knows the names from.
 *
 * Each call is a varlink method with one parameter, `order`: the DSSE envelope of an order that names the method, the node and the
 * arguments. zos.Session.Login, the first call of a session, is the exception and takes `login`. */
#pragma once
#include "api/json.h"

enum call_who {
	CALL_ANYONE,  /* whoever proved a key: tells them what to ask their farmer for */
	CALL_ALLOWED, /* keys that the farm document allows, and the farm */
	CALL_FARM,    /* the farm's key alone */
	CALL_NODE,    /* a node of the same farm, whose approval the arguments bring */
};

enum call_effect {
	CALL_CHANGES, /* something on the node, or may */
	CALL_READS,   /* tells its caller how things are, and leaves them so: taken also where nothing can be kept (decision 132) */
};

struct call {
	const char *method;
	enum call_who who;
	enum call_effect effect;
	bool more;    /* answers with a stream of replies */
	bool stream;  /* its reply carries a file descriptor, which becomes a stream of the session */
	const struct json_table *arguments;
	size_t arguments_size;
};

#define CALL_LOGIN "zos.Session.Login"

extern const struct call calls[];
extern const size_t n_calls;
const struct call *call_find(const char *method); /* NULL = no such call */

enum { CALL_DISK_MS = 300 * 1000 }; /* what a node gives a disk that is wiped or recovered */
/* How long a node may take to answer, when all goes well; 0 = it answers at once. */
uint64_t call_answer_ms(const char *method);

/* Arguments. Texts are borrowed from the order. */
struct call_none {
	char unused;
};
struct call_envelope {
	sd_json_variant *document; /* Approve: approval; SetFarm: farm document; Deploy: deployment */
};
struct call_deployment {
	const char *name;
	struct key_pub owner; /* role 0 = the caller */
};
struct call_drain {
	bool on;
};
struct call_service {
	const char *service;
};
struct call_wipe {
	const char *serial, *confirm; /* the same twice */
};
struct call_recover_token {
	const char *serial;
};
struct call_recover {
	const char *serial, *uuid;
	const char *secret; /* what opens its recovery slot, sealed to the node: recovery.h */
};
struct call_logs {
	const char *deployment, *machine;
	struct key_pub owner;
	bool follow;
};
struct call_machine {
	const char *deployment, *machine;
	struct key_pub owner;
};
enum { CALL_SNAPSHOT_MAX = 40 }; /* bytes */
enum { CALL_EXEC_ARGS_MAX = 256, CALL_TERMINAL_MAX = 65535 };
struct call_exec {
	const char *deployment, *machine;
	struct key_pub owner;
	sd_json_variant *argv;
	const char *user, *workdir, *term; /* NULL = the machine's own; none */
	bool tty;
	uint64_t rows, cols;
};
struct call_volume {
	const char *deployment, *volume, *snapshot; /* SNAPSHOT of an export: NULL = what is in it now */
	struct key_pub owner;
};
struct call_push {
	const char *name;
};
struct call_forward {
	const char *deployment, *machine;
	struct key_pub owner;
	uint64_t port;
};

/* The varlink error for a negative errno, such as "zos.Denied". */
const char *call_error_name(int code);
int call_error_code(const char *name); /* the reverse; -EIO for names that are not ours */
