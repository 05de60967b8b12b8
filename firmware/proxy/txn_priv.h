/* proxy/txn_priv.h - what the files of a transaction share
 *
 * Layer: proxy. txn.c: its way from MAIL to the final reply. txn_rcpt.c: its recipients. txn_fates.c:
 * what it asks of the ledger and leaves there. txn_record.c: the line that tells of it. txn_judge.c:
 * its score and its verdict. txn_habits.c: who sends too much, and who shall come again.
 */
#ifndef PST_PROXY_TXN_PRIV_H
#define PST_PROXY_TXN_PRIV_H

#include "proxy/txn.h"

/* The rules of the transaction's generation; NULL: none. */
static inline struct pst_rules_set *pst_txn_rules(const struct pst_txn *txn)
{
	return PST_RULES_BUILT ? txn->conf->rules : NULL;
}

/* txn_record.c: count the outcome and log the record.
 *  in  final_lost: the dot was sent inside and no answer will come */
void pst_txn_record(struct pst_txn *txn, bool final_lost);

/* txn_judge.c */
/* Begin to ask about client and sender. */
void pst_txn_begin_checks(struct pst_txn *txn, struct pst_knock *knock);
void pst_txn_end_checks(struct pst_txn *txn);
/* Is everything that was asked at MAIL or before known (or does the rest not matter any more)? If not,
 * pst_txn_settled follows. */
bool pst_txn_is_settled(const struct pst_txn *txn);
/* What client and sender have earned, now that a recipient is named.
 *  ret none | why the recipient is refused */
enum pst_reason pst_txn_judge_sender(struct pst_txn *txn);
/* The message is whole, or is about to stream: judge it. pst_txn_judged follows, possibly at once. */
void pst_txn_judge(struct pst_txn *txn);
/* Begin anew inside, for the quarantine address: an answer to that recipient follows.
 *  ret false: it has no route, or there is no memory */
bool pst_txn_quarantine(struct pst_txn *txn) PST_MUST_CHECK;
/* A finding among the transaction's hits, a dry run where the owner says so. */
void pst_txn_add_hit(struct pst_txn *txn, const struct pst_hit *found);
/* A copy in the transaction's memory; empty without memory. */
struct pst_span pst_txn_keep_text(struct pst_txn *txn, const struct pst_buf *text);

/* txn_habits.c */
/* Has its client's network, or its sender's domain, sent too much lately? If not, this one is charged to them.
 *  ret none | why its recipients are refused for now */
enum pst_reason pst_txn_judge_rate(struct pst_txn *txn);
/* A recipient has been taken inside. Shall its sender come again all the same? */
bool pst_txn_greylisted(struct pst_txn *txn);

/* txn.c */
/* What was asked at MAIL or before is known. */
void pst_txn_settled(struct pst_txn *txn);
/* The verdict is there. */
void pst_txn_judged(struct pst_txn *txn);
/* It is over, for a reason of ours. */
void pst_txn_finish_for(struct pst_txn *txn, enum pst_reason reason, bool final_lost);
/* Remember the internal server's words for the record. */
void pst_txn_note_relay_reply(struct pst_txn *txn, const struct pst_relay_event *event);
/* The internal refusal in our words (or, where the owner wants it, in its own). The code is passed
 * on; where the enhanced code is missing, stage and class make one.
 *  in  area: for the text; borrowed by the reply */
struct pst_smtp_reply pst_txn_refusal(const struct pst_txn *txn,
				      const struct pst_relay_event *event, bool at_rcpt,
				      struct pst_buf *area);

/* txn_rcpt.c */
/* What was asked about client and sender is known: the recipient that waits for it goes on.
 *  ret false: none waits */
bool pst_txn_offer_waiting(struct pst_txn *txn);
void pst_txn_tell_recipient(struct pst_txn *txn, const struct pst_smtp_reply *reply);
/* The internal server's word on the recipient that was offered. */
void pst_txn_on_recipient(struct pst_txn *txn, const struct pst_relay_event *event);

/* txn_fates.c */
bool pst_txn_refused_before(struct pst_txn *txn, struct pst_span mailbox);
/*  in  streaming: recipients can no longer be left out */
void pst_txn_ask_ledger(struct pst_txn *txn, bool streaming);
void pst_txn_note_outcome(struct pst_txn *txn, uint16_t code);
void pst_txn_note_fates(struct pst_txn *txn);
/* The fates of all recipients are known, or will never be: do they differ? */
bool pst_txn_fates_differ(const struct pst_txn *txn);
/* It is over. What the ledger said of recipients who were served before still holds, unless how it ended
 * was noted in its place. */
void pst_txn_return_fates(struct pst_txn *txn);

#endif
