/* The packets of the control socket, declared once for both ends: doc/wire-init.md. Little-endian. */
#pragma once
#include "sys/supervisor.h"

#include <assert.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the structs below are the bytes on the socket");

enum { SUPERVISOR_VERSION = 1, SUPERVISOR_PAYLOAD_MAX = 16384 };

enum supervisor_op {
	SUPERVISOR_OP_LIST = 1,
	SUPERVISOR_OP_FIND,
	SUPERVISOR_OP_START,
	SUPERVISOR_OP_STOP,
	SUPERVISOR_OP_LOG,
	SUPERVISOR_OP_WATCH,
	SUPERVISOR_OP_POWEROFF,
	SUPERVISOR_OP_REBOOT,
	SUPERVISOR_OPS,
};

struct supervisor_ask {
	uint8_t version, op;
	uint8_t zero[6];
	uint64_t from; /* SUPERVISOR_OP_LOG, else 0 */
	char name[SUPERVISOR_NAME_MAX]; /* NUL-terminated */
};
static_assert(offsetof(struct supervisor_ask, from) == 8 && sizeof(struct supervisor_ask) == 80);

struct supervisor_head {
	uint8_t version, op;
	uint8_t last; /* 0: more answers to the same request follow */
	uint8_t zero;
	uint32_t error; /* errno; the payload is a sentence then */
	uint64_t next;  /* SUPERVISOR_OP_LOG: where to go on */
};
static_assert(offsetof(struct supervisor_head, next) == 8 && sizeof(struct supervisor_head) == 16);

struct supervisor_record {
	char name[SUPERVISOR_NAME_MAX];
	char text[SUPERVISOR_TEXT_MAX];
	uint32_t state, pid, restarts;
	int32_t exit_status;
	uint64_t since_ms;
};
static_assert(offsetof(struct supervisor_record, state) == 160 && sizeof(struct supervisor_record) == 184);

struct supervisor_answer {
	struct supervisor_head head;
	union {
		struct supervisor_record unit;
		char bytes[SUPERVISOR_PAYLOAD_MAX];
	};
};
static_assert(offsetof(struct supervisor_answer, bytes) == 16);
