/* What the kernel said of a peer, asked of it again, is the same bytes as before: nothing is lost or made up in between. */
#include "sys/wireguard.h"

#include <stdlib.h>

static int on_device(void *ctx, struct rd body)
{
	return wireguard_decode(body, ctx);
}

/* P as a message that sets it, decoded. */
static void again(const struct wireguard_peer_state *p)
{
	static const struct wireguard_key key = { "not none" };
	AUTO_WIREGUARD_STATE struct wireguard_state s = WIREGUARD_STATE_NONE;
	struct wireguard_peer set = { .changes = WIREGUARD_KEEPALIVE | WIREGUARD_ALLOWED | WIREGUARD_PRESHARED,
				      .preshared = p->has_preshared ? &key : NULL,
				      .endpoint = p->endpoint,
				      .keepalive_s = p->keepalive_s,
				      .allowed = p->allowed,
				      .n_allowed = p->n_allowed };
	const struct genl g = { .fd = -1, .family = NLMSG_MIN_TYPE };
	struct nlmsg q;

	memcpy(set.public_key, p->public_key, sizeof(set.public_key));
	if (p->endpoint.family)
		set.changes |= WIREGUARD_ENDPOINT;
	wireguard_encode_peer(&q, &g, "wg0", &set);
	if (nlmsg_hear(&(struct nlmsg_ear){ .fn = on_device, .ctx = &s }, &q, q.head.nlmsg_len) != NLMSG_MORE || s.n_peers != 1)
		abort();
	s.peers[0].handshake_s = p->handshake_s;
	s.peers[0].rx_bytes = p->rx_bytes;
	s.peers[0].tx_bytes = p->tx_bytes;
	if (memcmp(&s.peers[0], p, sizeof(*p)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_WIREGUARD_STATE struct wireguard_state s = WIREGUARD_STATE_NONE;
	struct nlmsg_ear ear = { .fn = on_device, .ctx = &s };

	if (nlmsg_hear(&ear, data, n) < 0)
		return 0;
	for (size_t i = 0; !ear.r && i < s.n_peers; i++)
		again(&s.peers[i]);
	return 0;
}
