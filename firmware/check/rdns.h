/* check/rdns.h - the client's name: asked for, confirmed, looked at
 *
 * Layer: check (pure). Uses: dns/types.h, base. Spec: RFC 1912 section 2.1, RFC 8601 section 3 (iprev).
 * Memory: one struct, about 3 KiB, wanted only while it is being asked.
 */
#ifndef PST_CHECK_RDNS_H
#define PST_CHECK_RDNS_H

#include "check/question.h"

#define PST_RDNS_NAMES_MAX 10

enum pst_rdns_result {
	PST_RDNS_UNKNOWN,     /* not asked, or not answered: says nothing */
	PST_RDNS_NONE,        /* it has no name */
	PST_RDNS_UNCONFIRMED, /* it has one, which is not its own by the other direction */
	PST_RDNS_CONFIRMED,
};

struct pst_rdns {
	struct pst_addr client;
	enum pst_rdns_result result;
	uint32_t chosen; /* index of the name that counts */
	uint32_t name_count, asked, due;
	bool ptr_asked, ptr_answered, trouble;
	struct pst_rdns_name {
		uint8_t len;
		uint8_t at[PST_DNS_NAME_MAX];
	} names[PST_RDNS_NAMES_MAX];
};

void pst_rdns_begin(struct pst_rdns *rdns, const struct pst_addr *client);
bool pst_rdns_ask(struct pst_rdns *rdns, struct pst_question *question);
void pst_rdns_answer(struct pst_rdns *rdns, uint16_t id, const struct pst_dns_answer *answer);
bool pst_rdns_done(const struct pst_rdns *rdns);
/* The confirmed name, or the first of those that are not; empty without one. */
struct pst_span pst_rdns_name(const struct pst_rdns *rdns);

/* Does the name look as if a provider had made it from the address (a dial-up line, a pool of
 * customers), rather than somebody for a mail server? Errs on the side of "no". */
bool pst_rdns_is_generic(struct pst_span name, const struct pst_addr *client);

/* What is odd about a HELO name: a set of enum pst_fact.
 *  in  ours: our host name; service: the address the client came to */
uint32_t pst_helo_facts(struct pst_span helo, const struct pst_addr *client, struct pst_span ours,
			const struct pst_addr *service);

#endif
