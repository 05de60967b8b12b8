/* proxy/txn_priv.h - what the files of a transaction share
 *
 * Layer: proxy. txn.c: its way from MAIL to the final reply. txn_fates.c: what it asks of the ledger
 * and leaves there. txn_record.c: the line that tells of it.
 */
#ifndef PST_PROXY_TXN_PRIV_H
#define PST_PROXY_TXN_PRIV_H

#include "proxy/txn.h"

/* txn_record.c: count the outcome and log the record.
 *  in  final_lost: the dot was sent inside and no answer will come */
void pst_txn_record(struct pst_txn *txn, bool final_lost);

/* txn_fates.c */
bool pst_txn_refused_before(struct pst_txn *txn, struct pst_span mailbox);
/*  in  streaming: recipients can no longer be left out */
void pst_txn_ask_ledger(struct pst_txn *txn, bool streaming);
void pst_txn_note_outcome(struct pst_txn *txn, uint16_t code);
void pst_txn_note_fates(struct pst_txn *txn);
/* The fates of all recipients are known, or will never be: do they differ? */
bool pst_txn_fates_differ(const struct pst_txn *txn);

#endif
