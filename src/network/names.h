/* Who answers for names in private networks: one dnsmasq for each, a service of PID 1 (names@NETWORK), which outlives the engine.
 *
 * Its configuration is DIR/NETWORK.conf; the addresses it knows are in files of DIR/FAMILY, one for each machine of the deployment, which the
 * networks of a deployment share: a machine in several of them asks one. */
#pragma once
#include "base/err.h"
#include "base/parse.h"
#include "sys/supervisor.h"

#define NAMES_DIR "/run/zos/names"

enum { NAMES_RESOLVERS_MAX = 4 };

struct names {
	const char *dir;        /* NAMES_DIR; NULL = nobody answers: for tests */
	char resolvers[NAMES_RESOLVERS_MAX][IP4_TEXT_SIZE]; /* whom it asks for names outside */
	size_t n_resolvers;
	struct supervisor supervisor;
};

struct names_zone {
	const char *id, *family;
	uint32_t gateway;
	const uint8_t *gateway6; /* 16 bytes */
	bool outgoing;
};

/* Starts who answers in a network; what runs is told when that changed. */
MUST_CHECK int names_start(const struct names *n, const struct names_zone *z, struct err *e);
MUST_CHECK int names_stop(const struct names *n, const char *id, struct err *e);

/* HOSTS: lines as in hosts(5); "" = none. 1 when that is news: names_read() tells each network of FAMILY. */
MUST_CHECK int names_set(const struct names *n, const char *family, const char *machine, struct str hosts, struct err *e);
void names_read(const struct names *n, const char *id);
/* No network of FAMILY is left. */
void names_forget(const struct names *n, const char *family);
