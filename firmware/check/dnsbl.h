/* check/dnsbl.h - is this address, or are these domains, on a list?
 *
 * Layer: check (pure). Uses: check/zones.h, base. Spec: RFC 5782.
 * Concept: all zones are asked at once. Of one zone one hit counts, the weightiest group that an answer
 * falls into: several codes of one list are one opinion. Zones that rest are not asked.
 * Memory: one struct, about 2 KiB; it borrows zones and names until it is done.
 */
#ifndef PST_CHECK_DNSBL_H
#define PST_CHECK_DNSBL_H

#include "check/zones.h"

#define PST_DNSBL_DOMAINS_MAX 6

struct pst_dnsbl_hit {
	uint8_t zone;
	uint8_t domain; /* which one */
	uint8_t group;  /* of the zone's codes */
	struct pst_addr code;
	uint32_t ttl_s;
	bool set;
};

struct pst_dnsbl {
	struct pst_zones *zones;
	struct pst_addr client; /* family NONE: domains are asked about */
	struct pst_span domains[PST_DNSBL_DOMAINS_MAX];
	uint32_t domain_count;
	uint32_t zone, domain;  /* to be asked next */
	uint32_t due_count;     /* answers */
	uint32_t asked_zones, answered_zones, trouble_zones; /* bit sets */
	struct pst_dnsbl_hit hits[PST_DNSBL_ZONES_MAX];
};

void pst_dnsbl_begin(struct pst_dnsbl *dnsbl, struct pst_zones *zones, const struct pst_addr *client);
/* The same for domains: each is asked about as it is, and as its last two and three labels. */
void pst_dnsbl_begin_domains(struct pst_dnsbl *dnsbl, struct pst_zones *zones);
/* Before the first question. What is no name, or was added before, is left out. */
void pst_dnsbl_add_domain(struct pst_dnsbl *dnsbl, struct pst_span domain);
bool pst_dnsbl_ask(struct pst_dnsbl *dnsbl, struct pst_question *question);
void pst_dnsbl_answer(struct pst_dnsbl *dnsbl, uint16_t id, const struct pst_dns_answer *answer);
bool pst_dnsbl_done(const struct pst_dnsbl *dnsbl);

/* Is there a hit that decides alone? Then what is still to come can change nothing. */
bool pst_dnsbl_rejects(const struct pst_dnsbl *dnsbl);
/* Did a list speak for the client? */
bool pst_dnsbl_allows(const struct pst_dnsbl *dnsbl);

static inline const struct pst_dnsbl_code *pst_dnsbl_code_of(const struct pst_dnsbl *dnsbl,
							     const struct pst_dnsbl_hit *hit)
{
	return &dnsbl->zones->conf->zones[hit->zone].codes[hit->group];
}

#endif
