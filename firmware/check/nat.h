/* check/nat.h - does a router in front hide who the clients are?
 *
 * Layer: check (pure). Uses: base/addr.h.
 * Concept: a port redirect that rewrites sources as well makes every client look like the router: a private
 * address, trusted by default. Counted is an hour of connections; where more than four of five came from one
 * private address, and there were enough to tell, that address hides clients until an hour says otherwise. What
 * checks would find out about it is true of nobody.
 * Of private addresses the first eight of an hour are counted: one that is behind nearly all of it is among them.
 * Memory: embedded in its owner.
 */
#ifndef PST_CHECK_NAT_H
#define PST_CHECK_NAT_H

#include "base/addr.h"

#define PST_NAT_ADDRS 8
#define PST_NAT_HOUR_MS 3600000
#define PST_NAT_CLIENTS_MIN 50 /* fewer prove nothing */
#define PST_NAT_PER_CENT 80

struct pst_nat {
	uint64_t end_ms; /* of this hour; 0: none has begun */
	uint32_t total_count;
	uint32_t addr_count;
	struct pst_addr addrs[PST_NAT_ADDRS];
	uint32_t counts[PST_NAT_ADDRS];
	struct pst_addr hides; /* family NONE: nobody does */
};

/* A client has connected.
 *  ret true: an hour is over, and who hides clients has changed: see nat->hides */
bool pst_nat_note(struct pst_nat *nat, const struct pst_addr *client, uint64_t now_ms) PST_MUST_CHECK;

static inline bool pst_nat_hides(const struct pst_nat *nat, const struct pst_addr *client)
{
	return nat->hides.family != PST_FAMILY_NONE && pst_addr_eq(&nat->hides, client);
}

#endif
