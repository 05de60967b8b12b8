/* policy/policy.h - from facts to a verdict
 *
 * Layer: policy (pure). Uses: facts, base.
 * Concept: three questions, each a total function of the configuration and the record: may this
 * recipient be offered, may this message pass, and what has it earned. The first two are about
 * relaying, framing and size, and neither `mode` nor an `allow` entry lifts those; their reasons'
 * replies stand in reasons.def. The third is about the score.
 */
#ifndef PST_POLICY_POLICY_H
#define PST_POLICY_POLICY_H

#include "facts/facts.h"
#include "policy/policy_conf.h"

enum pst_reason {
#define PST_REASON(name, code, class, subject, detail, text) PST_REASON_##name,
#include "policy/reasons.def"
#undef PST_REASON
	PST_REASON_COUNT
};

struct pst_reason_reply {
	const char *name;
	uint16_t code;
	uint8_t class;
	uint16_t subject, detail;
	struct pst_span text;
};

const struct pst_reason_reply *pst_reason_reply(enum pst_reason reason);

/* Is the address in one of our own networks? */
bool pst_policy_trusts(const struct pst_policy_conf *conf, const struct pst_addr *client);

/* What is known about a recipient before anybody inside is asked. */
struct pst_policy_rcpt {
	struct pst_span mailbox; /* as given; compared without case */
	struct pst_span domain;  /* empty for a bare postmaster */
	bool has_route;
	bool routes_onward;      /* holds % ! or @ in its local part */
	bool routing_allowed;    /* by the route */
	bool same_route;         /* as the transaction's other recipients */
};

/* The recipient: what the client's and the sender's entries say is spoken here, too, so that the
 * log knows from whom to whom. Relaying comes first: no entry lifts it. An allow entry beats every
 * deny entry, and neither is asked about users who have logged in. */
enum pst_reason pst_policy_recipient(const struct pst_policy_conf *conf,
				     const struct pst_facts *facts,
				     const struct pst_policy_rcpt *rcpt);

/* The message, at its true end or (with what is known by then) when it begins to stream. */
enum pst_reason pst_policy_message(const struct pst_policy_conf *conf,
				   const struct pst_facts *facts);

/* Does an `allow` entry speak for this client and sender, or for this recipient? Such mail is judged,
 * and the judgement decides nothing. */
bool pst_policy_allows(const struct pst_policy_conf *conf, const struct pst_facts *facts,
		       struct pst_span rcpt);

/* What a client can be seen to do, as named hits. */
const char *pst_policy_fact_name(enum pst_fact_name name);
bool pst_policy_fact_holds(enum pst_fact_name name, const struct pst_facts *facts);

/* Does the owner only want to read of such hits, for now? */
bool pst_policy_is_dry(const struct pst_policy_conf *conf, struct pst_span name);

struct pst_verdict {
	enum pst_action action; /* what is done */
	enum pst_action earned; /* what would be done, were `mode` not tag or observe and no `allow` there */
};

/* From the hits and their sum to what is done. A hit that decides alone is a reject, whatever the
 * sum. What is quarantined without an address, or has begun to stream, is tagged. */
struct pst_verdict pst_policy_verdict(const struct pst_policy_conf *conf,
				      const struct pst_facts *facts);
const char *pst_policy_action_name(enum pst_action action);

#endif
