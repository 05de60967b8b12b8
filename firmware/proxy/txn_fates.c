/* proxy/txn_fates.c - a transaction and the ledger: what was delivered before, what must be remembered,
 * and what one SMTP reply says of several LMTP fates
 */
#include "proxy/txn_priv.h"

/* In the ledger in place of a content hash (which is odd): whatever the message, refused for good. */
#define LEDGER_REFUSED 2

/* An earlier LMTP delivery refused this recipient, but the client could only be told 451. */
bool pst_txn_refused_before(struct pst_txn *txn, struct pst_span mailbox)
{
	struct pst_ledger *ledger = txn->txns->ledger;
	uint64_t envelope;

	if (ledger->entry_count == 0)
		return false;
	envelope = pst_ledger_envelope(ledger, &txn->facts.client, txn->facts.sender, mailbox);
	return pst_ledger_take(ledger, envelope, LEDGER_REFUSED, txn->txns->env->loop->now_ms) > 0;
}

/* Was this delivered before, to a client that never heard of it? Recipients that were served are
 * left out, where that is still possible; a duplicate for them beats a loss for the others. */
void pst_txn_ask_ledger(struct pst_txn *txn, bool streaming)
{
	struct pst_ledger *ledger = txn->txns->ledger;
	struct pst_relay_rcpt **place = &txn->tx.accepted, *rcpt;
	uint64_t now_ms = txn->txns->env->loop->now_ms;
	uint32_t served = 0, unserved = 0;

	for (rcpt = txn->tx.accepted; rcpt; rcpt = rcpt->next) {
		struct pst_rcpt *whole = PST_CONTAINER(rcpt, struct pst_rcpt, relay);
		uint64_t envelope = pst_ledger_envelope(ledger, &txn->facts.client,
							txn->facts.sender, rcpt->mailbox);

		whole->served = pst_ledger_take(ledger, envelope, txn->content_hash, now_ms) / 100 == 2;
		if (whole->served)
			served++;
		else
			unserved++;
	}
	if (served == 0)
		return;
	if (unserved == 0) {
		txn->replayed = true;
		return;
	}
	if (streaming)
		return;
	while ((rcpt = *place)) {
		if (PST_CONTAINER(rcpt, struct pst_rcpt, relay)->served)
			*place = rcpt->next;
		else
			place = &rcpt->next;
	}
	pst_relay_repeat(&txn->tx);
}

/* Remember an outcome: armed at once if nobody was told, else when the session ends silently. */
void pst_txn_note_outcome(struct pst_txn *txn, uint16_t code)
{
	struct pst_ledger *ledger = txn->txns->ledger;
	uint64_t now_ms = txn->txns->env->loop->now_ms, name = 0;
	uint32_t unchained = 0, *chain = &unchained;

	if (!txn->content_hash)
		return;
	txn->noted = true;
	if (txn->session)
		chain = txn->owner->ledger_chain(txn->session, &name);
	for (const struct pst_rcpt *rcpt = txn->rcpts; rcpt; rcpt = rcpt->next) {
		uint64_t envelope;

		if (!rcpt->accepted)
			continue;
		envelope = pst_ledger_envelope(ledger, &txn->facts.client, txn->facts.sender,
					       rcpt->relay.mailbox);
		*chain = pst_ledger_add(ledger, envelope, txn->content_hash, code, name,
					txn->session ? *chain : 0, now_ms);
	}
}

/* LMTP: some were delivered to and some not, and SMTP has one reply for all. 451 makes the client
 * come again; the ledger then knows who was served, and who was refused for good. */
void pst_txn_note_fates(struct pst_txn *txn)
{
	struct pst_ledger *ledger = txn->txns->ledger;
	uint64_t now_ms = txn->txns->env->loop->now_ms;

	txn->noted = true;
	for (const struct pst_rcpt *rcpt = txn->rcpts; rcpt; rcpt = rcpt->next) {
		uint16_t code = rcpt->served ? 250 : rcpt->final_code;
		uint64_t envelope, content = code / 100 == 2 ? txn->content_hash : LEDGER_REFUSED;

		if (!rcpt->accepted || code / 100 == 4 || !code || !content)
			continue;
		envelope = pst_ledger_envelope(ledger, &txn->facts.client, txn->facts.sender,
					       rcpt->relay.mailbox);
		(void)pst_ledger_add(ledger, envelope, content, code, 0, 0, now_ms);
	}
}

void pst_txn_return_fates(struct pst_txn *txn)
{
	struct pst_ledger *ledger = txn->txns->ledger;

	for (const struct pst_rcpt *rcpt = txn->rcpts; rcpt && !txn->noted; rcpt = rcpt->next) {
		uint64_t envelope;

		if (!rcpt->served)
			continue;
		envelope = pst_ledger_envelope(ledger, &txn->facts.client, txn->facts.sender,
					       rcpt->relay.mailbox);
		(void)pst_ledger_add(ledger, envelope, txn->content_hash, 250, 0, 0,
				     txn->txns->env->loop->now_ms);
	}
}

/* The fates of all recipients are known, or will never be; who was served before has had a good one.
 * ret true: they differ */
bool pst_txn_fates_differ(const struct pst_txn *txn)
{
	uint16_t class = 0;

	for (const struct pst_rcpt *rcpt = txn->rcpts; rcpt; rcpt = rcpt->next) {
		uint16_t own = rcpt->served ? 2 : rcpt->final_code / 100;

		if (!rcpt->accepted)
			continue;
		if (class && class != own)
			return true;
		class = own;
	}
	return false;
}
