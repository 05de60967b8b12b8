/* proxy/txn_priv.h - what the files of a transaction share
 *
 * Layer: proxy. txn.c: its way from MAIL to the final reply. txn_fates.c: what it asks of the ledger
 * and leaves there. txn_record.c: the line that tells of it. txn_judge.c: its score and its verdict.
 */
#ifndef PST_PROXY_TXN_PRIV_H
#define PST_PROXY_TXN_PRIV_H

#include "proxy/txn.h"

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

/* txn.c: what was asked at MAIL or before is known. */
void pst_txn_settled(struct pst_txn *txn);
/* txn.c: the verdict is there. */
void pst_txn_judged(struct pst_txn *txn);

/* txn_fates.c */
bool pst_txn_refused_before(struct pst_txn *txn, struct pst_span mailbox);
/*  in  streaming: recipients can no longer be left out */
void pst_txn_ask_ledger(struct pst_txn *txn, bool streaming);
void pst_txn_note_outcome(struct pst_txn *txn, uint16_t code);
void pst_txn_note_fates(struct pst_txn *txn);
/* The fates of all recipients are known, or will never be: do they differ? */
bool pst_txn_fates_differ(const struct pst_txn *txn);

#endif
