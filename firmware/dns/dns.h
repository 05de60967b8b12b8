/* dns/dns.h - the dns seam: one question, one answer, later
 *
 * Layer: dns (seam). Uses: base.
 * Implementations: dns/dns_cares.c (the network), dns/cache.c (in front of another one),
 * host-tests/support (a scripted zone). One contract suite, host-tests/contract/test_dns.c.
 * Concept: the query is embedded by the caller in memory that lives until the answer or the cancel.
 * Lifetime: on_answer comes exactly once, from the loop, never inside `query`; after `cancel` never.
 * In on_answer the query is the caller's again: it may be asked anew or freed.
 */
#ifndef PST_DNS_DNS_H
#define PST_DNS_DNS_H

#include "base/list.h"
#include "dns/types.h"
#include "loop/loop.h"

struct pst_dns;
struct pst_dns_query;

struct pst_dns_query {
	/* The caller's, kept until the answer. */
	void (*on_answer)(struct pst_dns_query *query, const struct pst_dns_answer *answer);
	struct pst_span name;         /* borrowed until the answer or the cancel */
	enum pst_dns_type type;
	const struct pst_dns_servers *servers; /* NULL: the resolvers */
	uint64_t deadline_ms;         /* absolute, monotonic: TIMEOUT then at the latest */

	/* The implementation's. */
	struct pst_node node;
	struct pst_task task;
	struct pst_timer timer; /* the deadline; counts in the loop's timers_max */
	void *impl;
	bool open; /* between query and answer or cancel */
};

struct pst_dns_ops {
	/* Ask. The answer may be known at once, and still comes later. Never fails: what cannot be
	 * asked is answered with PST_DNS_OURS. */
	void (*query)(struct pst_dns *dns, struct pst_dns_query *query);
	/* No answer is wanted any more. Harmless when the query is not open. */
	void (*cancel)(struct pst_dns *dns, struct pst_dns_query *query);
};

struct pst_dns {
	const struct pst_dns_ops *ops;
};

static inline void pst_dns_query(struct pst_dns *dns, struct pst_dns_query *query)
{
	dns->ops->query(dns, query);
}

static inline void pst_dns_cancel(struct pst_dns *dns, struct pst_dns_query *query)
{
	dns->ops->cancel(dns, query);
}

#endif
