/* check/zones.h - how well the lists are: which may be asked, and what of their answers counts
 *
 * Layer: check (pure). Uses: dns/types.h, base. Spec: RFC 5782 sections 5 and 7.
 * Concept: a list that answers for an address that nobody may list, that says by its code that it was
 * asked wrongly, or that does not answer at all, would cost mail. Such a zone rests, and is tested
 * before it counts again. Whatever happens to a list, no mail is refused for it.
 * Memory: one struct for a generation's zones; texts are constants.
 */
#ifndef PST_CHECK_ZONES_H
#define PST_CHECK_ZONES_H

#include "check/dnsbl_conf.h"
#include "check/question.h"

#define PST_ZONE_REST_MS 300000      /* at first, and doubled up to */
#define PST_ZONE_REST_MS_MAX 3600000
#define PST_ZONE_TEST_MS 3600000     /* a good zone is tested this often */
#define PST_ZONE_TROUBLE_MAX 5       /* in a row, then it rests */

enum pst_zone_state {
	PST_ZONE_UNTESTED, /* counts; its test is due */
	PST_ZONE_GOOD,
	PST_ZONE_RESTING,
};

struct pst_zone_health {
	uint8_t state;
	uint8_t trouble_count;  /* in a row */
	bool lists_nothing;     /* its test entry is missing: a warning, it counts all the same */
	bool told;              /* the owner has said that it rests */
	const char *why;        /* it rests; NULL */
	uint64_t test_due_ms;
	uint32_t rest_ms;       /* the last rest's length */
	struct pst_dns_servers servers; /* of a `direct` one; none: the resolvers are asked */
	uint64_t asked_count, listed_count;
};

struct pst_zones {
	const struct pst_dnsbl_conf *conf;
	uint64_t now_ms; /* set by the owner before it calls anything here, or hands an answer over */
	struct pst_zone_health health[PST_DNSBL_ZONES_MAX];
	bool changed; /* a zone began or ended to rest: the owner tells of those not told yet */
};

/* What an answer for an address (or domain) says of its zone. */
enum pst_zone_answer {
	PST_ZONE_NOT_LISTED,
	PST_ZONE_LISTED,  /* some of the records are codes */
	PST_ZONE_ERROR,   /* it says that it was asked wrongly, or answers outside of 127/8 */
	PST_ZONE_TROUBLE, /* nobody answered, or it cannot tell */
};

void pst_zones_init(struct pst_zones *zones, const struct pst_dnsbl_conf *conf);
bool pst_zones_usable(const struct pst_zones *zones, uint32_t zone);
/* Is this record a code that may count, rather than an error (127.255.255.x, 127.0.0.1 of a domain list,
 * 127.0.x.255) or no code at all? */
bool pst_zones_is_code(const struct pst_dnsbl_zone *zone, const struct pst_addr *record);
/* Judge an answer, and note what it says of the zone. */
enum pst_zone_answer pst_zones_note(struct pst_zones *zones, uint32_t zone,
				    const struct pst_dns_answer *answer);
/* A zone whose test is due; ret false: none, *next_ms says when the next one is. */
bool pst_zones_due(struct pst_zones *zones, uint32_t *zone, uint64_t *next_ms);
/* Do several zones lack their test entry, and no zone has one? Then the resolver takes 127/8 out of
 * answers, as routers do against DNS rebinding. */
bool pst_zones_rebind_suspected(const struct pst_zones *zones);

/* The test of one zone: finds its own servers where they are to be asked, then asks for the entry that
 * must be there and the one that must not. */
struct pst_zone_test {
	struct pst_zones *zones;
	uint32_t zone;
	uint8_t stage;
	uint8_t asked, due;
	bool listed[2];
	uint8_t heard[2]; /* enum pst_zone_answer */
	struct pst_dns_servers found;
	uint32_t name_count;
	uint32_t above; /* labels taken off in search of the zone's NS records */
	struct pst_zone_test_name {
		uint8_t len;
		uint8_t at[PST_DNS_NAME_MAX];
	} names[PST_DNS_SERVERS_MAX];
};

void pst_zone_test_begin(struct pst_zone_test *test, struct pst_zones *zones, uint32_t zone);
bool pst_zone_test_ask(struct pst_zone_test *test, struct pst_question *question);
void pst_zone_test_answer(struct pst_zone_test *test, uint16_t id,
			  const struct pst_dns_answer *answer);
bool pst_zone_test_done(const struct pst_zone_test *test);

/* NAME.ZONE, for what is asked; the address in reverse, IPv6 as nibbles.
 *  ret false: longer than a name may be */
bool pst_zone_name_of_addr(struct pst_question *question, const struct pst_addr *addr,
			   struct pst_span zone);
bool pst_zone_name_of_text(struct pst_question *question, struct pst_span text,
			   struct pst_span zone);

#endif
