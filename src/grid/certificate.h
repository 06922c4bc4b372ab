/* Why a hub's certificate is not taken, for people: libnats does the same handshake and keeps the reason to itself. */
#pragma once
#include "grid/addr.h"

/* FD: a connection to HUB's server HOST, blocking with time-outs, that has said nothing yet. Writes "" when the certificate is good,
 * otherwise a sentence that says what to do. Blocks; any thread. */
void certificate_look(int fd, const char *host, const struct hub_addr *hub, char *ret, size_t n);
