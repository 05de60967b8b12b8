/* dns/types.h - questions and answers, as checks and the dns seam speak of them
 *
 * Layer: dns (types only, so that pure checks may include it). Uses: base. Spec: RFC 1035, 2308.
 * Concept: names are dotted text without the final dot, at most 253 bytes, ASCII (A-labels); the
 * seam lower-cases what it hands out. An answer is complete or it is not an answer: what was cut by
 * our caps says so. That a name does not exist, that it has no such record, that the servers cannot
 * tell and that nobody answered are four different things; whoever asks must not mix them up.
 * Memory: an answer and everything in it is borrowed for the call that hands it over.
 */
#ifndef PST_DNS_TYPES_H
#define PST_DNS_TYPES_H

#include "base/addr.h"

#define PST_DNS_SERVERS_MAX 4

/* Whom to ask instead of the resolvers, without recursion: a zone's own servers. */
struct pst_dns_servers {
	struct pst_addr addrs[PST_DNS_SERVERS_MAX]; /* port 0: 53 */
	uint32_t count;
};

#define PST_DNS_NAME_MAX 253
#define PST_DNS_RECORDS_MAX 64   /* of one answer; more are cut, and the answer says so */
#define PST_DNS_TEXT_MAX 4096    /* bytes of one TXT record, its strings joined */

enum pst_dns_type {
	PST_DNS_A = 1,
	PST_DNS_NS = 2,
	PST_DNS_PTR = 12,
	PST_DNS_MX = 15,
	PST_DNS_TXT = 16,
	PST_DNS_AAAA = 28,
};

enum pst_dns_status {
	PST_DNS_OK,       /* at least one record of the type asked for */
	PST_DNS_NODATA,   /* the name exists, without such a record */
	PST_DNS_NXDOMAIN, /* the name does not exist */
	PST_DNS_SERVFAIL, /* the servers could not tell: SERVFAIL, REFUSED, a lame or broken answer */
	PST_DNS_TIMEOUT,  /* nobody answered in time */
	PST_DNS_OURS,     /* it was not asked: out of memory, over a budget, a name that is none */
};

struct pst_dns_record {
	struct pst_addr addr;  /* A, AAAA */
	struct pst_span data;  /* MX, NS, PTR: a name; TXT: the strings joined (RFC 7208 section 3.3) */
	uint16_t preference;   /* MX */
};

struct pst_dns_answer {
	enum pst_dns_status status;
	uint32_t ttl_s; /* the least of the records', or of the negative answer */
	const struct pst_dns_record *records; /* in the order of the answer */
	uint32_t record_count;
	bool cut;       /* there were more records, or longer ones, than we keep */
	bool cached;    /* from our own cache */
};

/* Is this an answer that says what there is (or that there is nothing), rather than trouble? */
static inline bool pst_dns_is_definite(enum pst_dns_status status)
{
	return status <= PST_DNS_NXDOMAIN;
}

#endif
