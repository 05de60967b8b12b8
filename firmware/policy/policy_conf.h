/* policy/policy_conf.h - what the owner says about who may send what to whom
 *
 * Layer: policy. Uses: facts, base.
 * Memory: arrays and spans belong to the configuration generation that holds this struct.
 */
#ifndef PST_POLICY_POLICY_CONF_H
#define PST_POLICY_POLICY_CONF_H

#include "facts/facts.h"

#define PST_POLICY_ENTRIES_MAX 1024
#define PST_POLICY_CIDRS_MAX 256

enum pst_mode {
	PST_MODE_ENFORCE,
	PST_MODE_TAG,     /* never refuses for score */
	PST_MODE_OBSERVE, /* only logs what it would have done */
};

/* What is done with a message, from the mildest to the hardest. */
enum pst_action {
	PST_ACTION_ACCEPT,
	PST_ACTION_TAG,        /* delivered, marked */
	PST_ACTION_DEFER,      /* 451: come back later */
	PST_ACTION_QUARANTINE, /* delivered to the owner's address instead */
	PST_ACTION_REJECT,     /* 550 */
	PST_ACTION_DROP,       /* 250, and thrown away: the owner asked for it */
	PST_ACTION_COUNT
};

enum pst_entry_kind { PST_ENTRY_CLIENT, PST_ENTRY_SENDER, PST_ENTRY_RECIPIENT };

/* One `allow` or `deny` entry. A client entry has networks only; a sender entry may have networks
 * and then acts only for those clients. */
struct pst_policy_entry {
	enum pst_entry_kind kind;
	bool allow;
	struct pst_span address; /* lower-case "local@domain", or "@domain" */
	const struct pst_cidr *networks;
	uint32_t network_count;
};

#define PST_POLICY_SUBJECT_LEN_MAX 40

struct pst_policy_conf {
	enum pst_mode mode;
	pst_score lines[PST_ACTION_COUNT]; /* from which score on; PST_SCORE_NEVER: never */
	struct pst_span quarantine;        /* where to; empty: nowhere */
	struct pst_span subject;           /* put before the Subject of what is tagged; empty: nothing */
	pst_score fact_scores[PST_FACT_NAME_COUNT];
	pst_score system_scores[PST_SYSTEM_COUNT]; /* of the client's operating system */
	const struct pst_cidr *trust;
	uint32_t trust_count;
	const struct pst_policy_entry *entries;
	uint32_t entry_count;
	bool bare_newline_reject;
	const struct pst_cidr *bare_newline_except;
	uint32_t bare_newline_except_count;
	uint64_t message_bytes_max;
	uint32_t recipient_count_max;
	uint32_t hop_count_max;
	const struct pst_span *dry_names; /* hits that are recorded only; `*` at the end stands for any rest */
	uint32_t dry_name_count;
	uint32_t refusal_count_max; /* of a session, for what client or sender are; then 421 */
	uint32_t error_soft_count; /* replies become slow */
	uint32_t error_hard_count; /* 421 */
};

/* "SPF_FAIL" is named by "SPF_FAIL" and by "SPF_*"; letters' case does not count. */
static inline bool pst_policy_names(struct pst_span pattern, struct pst_span name)
{
	if (pattern.len > 0 && pattern.at[pattern.len - 1] == '*')
		return pst_span_starts_nocase(name, pst_span_sub(pattern, 0, pattern.len - 1));
	return pst_span_eq_nocase(pattern, name);
}

#endif
