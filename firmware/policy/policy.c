/* policy/policy.c - the verdict as tables and total functions */
#include "policy/policy.h"

static const struct pst_reason_reply replies[PST_REASON_COUNT] = {
#define PST_REASON(name, code, class, subject, detail, text) \
	{#name, code, class, subject, detail, {(const uint8_t *)text, sizeof(text) - 1}},
#include "policy/reasons.def"
#undef PST_REASON
};

const struct pst_reason_reply *pst_reason_reply(enum pst_reason reason)
{
	PST_BUG_ON(reason >= PST_REASON_COUNT);
	return &replies[reason];
}

static bool in_networks(const struct pst_cidr *networks, uint32_t count, const struct pst_addr *addr)
{
	for (uint32_t i = 0; i < count; i++)
		if (pst_cidr_has(&networks[i], addr))
			return true;
	return false;
}

bool pst_policy_trusts(const struct pst_policy_conf *conf, const struct pst_addr *client)
{
	/* A transport without addresses is one inside our own process. */
	return client->family == PST_FAMILY_NONE ||
	       in_networks(conf->trust, conf->trust_count, client);
}

/* "local@domain" matches the whole mailbox, "@domain" its domain. */
static bool address_matches(struct pst_span pattern, struct pst_span mailbox)
{
	if (pattern.len > 0 && pattern.at[0] == '@') {
		int64_t at = pst_span_rfind(mailbox, '@');

		return at >= 0 && pst_span_eq_nocase(pst_span_sub(mailbox, (uint32_t)at, mailbox.len),
						     pattern);
	}
	return pst_span_eq_nocase(pattern, mailbox);
}

static bool entry_matches(const struct pst_policy_entry *entry, const struct pst_facts *facts,
			  struct pst_span rcpt)
{
	switch (entry->kind) {
	case PST_ENTRY_CLIENT:
		return in_networks(entry->networks, entry->network_count, &facts->client);
	case PST_ENTRY_SENDER:
		/* A sender address alone proves nothing. */
		if (!address_matches(entry->address, facts->sender))
			return false;
		if (entry->network_count > 0)
			return in_networks(entry->networks, entry->network_count, &facts->client);
		return facts->set & PST_FACT_SPF_PASS;
	case PST_ENTRY_RECIPIENT:
		return address_matches(entry->address, rcpt);
	}
	return false;
}

static enum pst_reason denied_by(enum pst_entry_kind kind)
{
	return kind == PST_ENTRY_SENDER      ? PST_REASON_sender_denied
	       : kind == PST_ENTRY_RECIPIENT ? PST_REASON_recipient_denied
					     : PST_REASON_client_denied;
}

enum pst_reason pst_policy_recipient(const struct pst_policy_conf *conf,
				     const struct pst_facts *facts,
				     const struct pst_policy_rcpt *rcpt)
{
	enum pst_reason reason = PST_REASON_none;

	if (!rcpt->has_route)
		return PST_REASON_relay_denied;
	if (rcpt->routes_onward && !rcpt->routing_allowed)
		return PST_REASON_routing_characters;
	if (!rcpt->same_route)
		return PST_REASON_other_route;
	if (facts->rcpt_count >= conf->recipient_count_max)
		return PST_REASON_too_many_recipients;
	if (facts->set & PST_FACT_SUBMITTED)
		return PST_REASON_none;
	for (uint32_t i = 0; i < conf->entry_count; i++) {
		const struct pst_policy_entry *entry = &conf->entries[i];

		if (!entry_matches(entry, facts, rcpt->mailbox))
			continue;
		if (entry->allow)
			return PST_REASON_none;
		if (reason == PST_REASON_none)
			reason = denied_by(entry->kind);
	}
	return reason;
}

enum pst_reason pst_policy_message(const struct pst_policy_conf *conf,
				   const struct pst_facts *facts)
{
	if (facts->set & PST_FACT_OVERSIZE)
		return PST_REASON_message_size;
	if (facts->set & PST_FACT_NUL)
		return PST_REASON_nul_byte;
	/* By BDAT nothing can be smuggled: the length says where a message ends. */
	if ((facts->set & PST_FACT_BARE_NEWLINE) && !(facts->set & PST_FACT_CHUNKED) &&
	    conf->bare_newline_reject &&
	    !in_networks(conf->bare_newline_except, conf->bare_newline_except_count, &facts->client))
		return PST_REASON_bare_newline;
	if (facts->hop_count > conf->hop_count_max)
		return PST_REASON_hops;
	if (facts->set & PST_FACT_OUT_OF_MEMORY)
		return PST_REASON_memory;
	return PST_REASON_none;
}

bool pst_policy_allows(const struct pst_policy_conf *conf, const struct pst_facts *facts,
		       struct pst_span rcpt)
{
	for (uint32_t i = 0; i < conf->entry_count; i++)
		if (conf->entries[i].allow && entry_matches(&conf->entries[i], facts, rcpt))
			return true;
	return false;
}

static const struct {
	const char *name;
	enum pst_fact fact;
} fact_names[PST_FACT_NAME_COUNT] = {
#define PST_FACT(name, fact, points, describe) {#name, PST_FACT_##fact},
#include "facts/facts.def"
#undef PST_FACT
};

const char *pst_policy_fact_name(enum pst_fact_name name)
{
	PST_BUG_ON(name >= PST_FACT_NAME_COUNT);
	return fact_names[name].name;
}

bool pst_policy_fact_holds(enum pst_fact_name name, const struct pst_facts *facts)
{
	PST_BUG_ON(name >= PST_FACT_NAME_COUNT);
	return facts->set & (uint32_t)fact_names[name].fact;
}

bool pst_policy_is_dry(const struct pst_policy_conf *conf, struct pst_span name)
{
	for (uint32_t i = 0; i < conf->dry_name_count; i++)
		if (pst_policy_names(conf->dry_names[i], name))
			return true;
	return false;
}

static enum pst_action earned_action(const struct pst_policy_conf *conf,
				     const struct pst_facts *facts)
{
	enum pst_action earned = PST_ACTION_ACCEPT;

	for (int action = PST_ACTION_TAG; action < PST_ACTION_COUNT; action++)
		if (facts->hits.score >= conf->lines[action])
			earned = (enum pst_action)action;
	if (facts->hits.reject && earned < PST_ACTION_REJECT)
		earned = PST_ACTION_REJECT;
	if (earned == PST_ACTION_QUARANTINE &&
	    (conf->quarantine.len == 0 || (facts->set & PST_FACT_PARTIAL)))
		earned = PST_ACTION_TAG;
	return earned;
}

struct pst_verdict pst_policy_verdict(const struct pst_policy_conf *conf,
				      const struct pst_facts *facts)
{
	struct pst_verdict verdict;

	verdict.earned = earned_action(conf, facts);
	verdict.action = verdict.earned;
	if (conf->mode == PST_MODE_OBSERVE || (facts->set & PST_FACT_EXEMPT))
		verdict.action = PST_ACTION_ACCEPT;
	else if (conf->mode == PST_MODE_TAG)
		verdict.action = PST_MIN(verdict.earned, PST_ACTION_TAG);
	return verdict;
}

const char *pst_policy_action_name(enum pst_action action)
{
	static const char *const names[PST_ACTION_COUNT] = {
		[PST_ACTION_ACCEPT] = "accept",		[PST_ACTION_TAG] = "tag",
		[PST_ACTION_DEFER] = "defer",		[PST_ACTION_QUARANTINE] = "quarantine",
		[PST_ACTION_REJECT] = "reject",		[PST_ACTION_DROP] = "drop",
	};

	PST_BUG_ON(action >= PST_ACTION_COUNT);
	return names[action];
}
