/* check/dnsbl_conf.h - lists of addresses and of domains that are asked by DNS
 *
 * Layer: check. Uses: base. Spec: RFC 5782.
 * Memory: spans and arrays belong to the configuration generation.
 */
#ifndef PST_CHECK_DNSBL_CONF_H
#define PST_CHECK_DNSBL_CONF_H

#include "base/addr.h"
#include "base/score.h"

#define PST_DNSBL_ZONES_MAX 32
#define PST_DNSBL_CODES_MAX 16 /* groups of a zone */

/* "127.0.0.[2-9]": what an answer must be for this group. */
struct pst_dnsbl_code {
	uint8_t low[4], high[4];
	pst_score score;
	bool rejects; /* decides alone */
};

struct pst_dnsbl_zone {
	struct pst_span zone;   /* asked below this name; lower case */
	struct pst_span shown;  /* the same without a key in front: may be told outside */
	struct pst_span name;   /* of its hits: RCVD_IN_... */
	const struct pst_dnsbl_code *codes;
	uint32_t code_count;
	bool is_domain; /* lists domains, not addresses */
	bool direct;    /* ask its own servers, not the resolvers */
	bool selftest;
	bool dry;       /* recorded only */
};

struct pst_dnsbl_conf {
	const struct pst_dnsbl_zone *zones;
	uint32_t zone_count;
};

/* One pattern: four octets, each a number, [LOW-HIGH] or *, within 127/8.
 *  ret 0 | -PST_E_SYNTAX | -PST_E_RANGE: cannot be an answer of a list */
int pst_dnsbl_code_parse(struct pst_span text, struct pst_dnsbl_code *out) PST_MUST_CHECK;
/* The same text again. */
int pst_dnsbl_code_put(struct pst_buf *out, const struct pst_dnsbl_code *code) PST_MUST_CHECK;
bool pst_dnsbl_code_has(const struct pst_dnsbl_code *code, const struct pst_addr *answer);
/* A zone's name without a first label that is long and mixed like a customer's key. */
struct pst_span pst_dnsbl_shown(struct pst_span zone);
/* RCVD_IN_ZEN_EXAMPLE_ORG (of domain lists DOMAIN_IN_...), at most `size` bytes.
 *  ret its length */
uint32_t pst_dnsbl_name(struct pst_span shown, bool is_domain, uint8_t *out, uint32_t size);

#endif
