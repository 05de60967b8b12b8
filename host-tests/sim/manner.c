/* sim/manner.c - where a client comes from, where it goes, and how its connection behaves */
#include <stdio.h>

#include "sim/sim.h"

static bool one_in(struct pst_rng_seed *rng, uint32_t n)
{
	return pst_rng_seed_below(rng, n) == 0;
}

void sim_client_draw_manner(struct sim_client *client)
{
	struct pst_rng_seed *rng = &client->rng;
	struct pst_peer *peer = client->peer;
	static const uint32_t gaps[] = {1, 100, 2000, 40000, 200000};

	/* One byte a segment is slower than anybody may be. */
	peer->cut = one_in(rng, 8) && client->sim->plan.net == SIM_NET_MEMORY ? PST_CUT_BYTES
		    : one_in(rng, 2)					       ? PST_CUT_RANDOM
										       : PST_CUT_WHOLE;
	switch (client->manner) {
	case SIM_CUT:
		peer->end_early = (uint8_t)(PST_PEER_SHUT + pst_rng_seed_below(rng, 3));
		if (one_in(rng, 4))
			peer->end_in = 1 + pst_rng_seed_below(rng, 600);
		else
			peer->end_out = 1 + pst_rng_seed_below(rng, one_in(rng, 2) ? 400 : 6000);
		break;
	case SIM_SLOW:
		peer->cut = PST_CUT_RANDOM;
		peer->gap_ms = gaps[pst_rng_seed_below(rng, PST_COUNT(gaps))];
		break;
	case SIM_POLITE:
	case SIM_DEAF:
	case SIM_VANISH:
	case SIM_HOSTILE:
	case SIM_MANNERS:
		break;
	}
}

/* Where from, and where to. A few clients share an address. On the wire all of them share two: its hosts
 * have one table of ten neighbours between them, and one that is full loses frames at every turn. */
void sim_client_draw_address(struct sim_client *client)
{
	static const char *const networks[] = {"203.0.113.", "192.168.7.", "198.51.100.",
					       "2001:db8:7:"};
	const struct sim_plan *plan = &client->sim->plan;
	struct pst_rng_seed *rng = &client->rng;
	uint32_t network = pst_rng_seed_below(rng, plan->net == SIM_NET_LWIP ? 2 : 3);
	uint32_t host = 1 + pst_rng_seed_below(rng, plan->net == SIM_NET_LWIP ? 1 : 12);
	char text[40];

	if (plan->submission && one_in(rng, 2)) {
		client->listener = plan->submission_listener;
		client->submits = client->manner != SIM_HOSTILE;
		client->tls_first = plan->submission_tls;
	} else if (plan->tls_listener && client->manner != SIM_HOSTILE && one_in(rng, 4)) {
		client->listener = plan->tls_listener;
		client->tls_first = true;
	} else if (plan->balanced_listener && client->manner != SIM_HOSTILE && one_in(rng, 3)) {
		client->listener = plan->balanced_listener;
		client->balanced = true;
	} else if (plan->ipv6_listener && one_in(rng, 3)) {
		client->listener = plan->ipv6_listener;
		network = 3;
	}
	/* Of IPv6 a network is what one client has. */
	snprintf(text, sizeof(text), "%s%u%s", networks[network], host, network == 3 ? "::1" : "");
	PST_BUG_ON(pst_addr_parse(pst_span_text(text), &client->address) < 0);
	/* Its host is made while there is memory for it. */
	if (client->sim->wire)
		(void)client->sim->wire->net_of(client->sim->wire, &client->address);
}
