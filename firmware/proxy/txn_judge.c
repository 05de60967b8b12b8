/* proxy/txn_judge.c - a transaction's score: what adds to it, and what is done about it
 *
 * The score is looked at twice. At a recipient, with what client and sender have earned, because
 * there a refusal costs least and the log still learns from whom to whom; and when the message is
 * whole, or begins to stream, with everything.
 */
#include "proxy/txn_priv.h"

/* Hits live as long as the transaction. One that finds no room is lost to the score: that is our
 * trouble, not the sender's. */
static void add_hit(struct pst_txn *txn, const struct pst_hit *found)
{
	struct pst_hit *hit = pst_arena_alloc(&txn->arena, sizeof(*hit));

	if (!hit) {
		pst_count(txn->txns->env->counters, PST_COUNTER_hits_lost);
		return;
	}
	*hit = *found;
	pst_hits_add(&txn->facts.hits, hit);
}

/* What the client was seen to do since the last look. */
static void add_facts(struct pst_txn *txn)
{
	for (int name = 0; name < PST_FACT_NAME_COUNT; name++) {
		struct pst_hit hit = {
			.name = pst_span_text(pst_policy_fact_name((enum pst_fact_name)name)),
			.score = txn->conf->policy.fact_scores[name],
		};

		if ((txn->facts_told & 1U << name) || hit.score == 0 ||
		    !pst_policy_fact_holds((enum pst_fact_name)name, &txn->facts))
			continue;
		txn->facts_told |= 1U << name;
		add_hit(txn, &hit);
	}
}

static enum pst_reason refused_as(const struct pst_txn *txn)
{
	switch (txn->verdict.action) {
	case PST_ACTION_REJECT:
		return txn->facts.hits.reject ? PST_REASON_listed : PST_REASON_score;
	case PST_ACTION_DEFER:
		return PST_REASON_score_deferred;
	default:
		return PST_REASON_none;
	}
}

enum pst_reason pst_txn_judge_sender(struct pst_txn *txn)
{
	add_facts(txn);
	txn->verdict = pst_policy_verdict(&txn->conf->policy, &txn->facts);
	/* Milder verdicts wait for the message: what it says of itself may speak for it. */
	return txn->verdict.action == PST_ACTION_REJECT ? refused_as(txn) : PST_REASON_none;
}

void pst_txn_judge(struct pst_txn *txn)
{
	add_facts(txn);
	txn->verdict = pst_policy_verdict(&txn->conf->policy, &txn->facts);
	txn->judged = true;
	txn->reason = (uint8_t)refused_as(txn);
	txn->dropped = txn->verdict.action == PST_ACTION_DROP;
	pst_txn_judged(txn);
}

/* ---- quarantine ------------------------------------------------------------------------------ */

/* The envelope that was offered inside is taken back, and another one begun. Its recipient is not one
 * of the transaction's: nothing that came of it is told to anybody but the log. */
bool pst_txn_quarantine(struct pst_txn *txn)
{
	struct pst_span mailbox = txn->conf->policy.quarantine;
	int64_t at = pst_span_rfind(mailbox, '@');
	const struct pst_route *route = pst_relay_route(
		&txn->conf->relay, pst_span_sub(mailbox, (uint32_t)at + 1, mailbox.len));
	struct pst_rcpt *rcpt = route ? pst_arena_alloc(&txn->arena, sizeof(*rcpt)) : NULL;

	if (!rcpt)
		return false;
	pst_relay_end(&txn->tx);
	txn->tx = (struct pst_relay_tx){
		.on_event = txn->tx.on_event,
		.conf = txn->tx.conf,
		.route = route,
		.identity = txn->tx.identity,
		.mail = txn->tx.mail,
		.body_kept = true,
	};
	txn->quarantined = true;
	txn->route = route;
	rcpt->relay.mailbox = mailbox;
	txn->offered = rcpt;
	pst_relay_begin(txn->txns->relay, &txn->tx);
	pst_relay_offer(&txn->tx, &rcpt->relay);
	return true;
}
