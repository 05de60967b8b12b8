/* proxy/conduct.h - what a client was seen to do on its connection
 *
 * Layer: proxy. Uses: facts, smtp, base. Spec: RFC 2920 section 3.1, RFC 3207 section 4.2.
 * Concept: deep tests without a second connection: whatever a client does, the session goes on, and
 * every message that it sends there carries the fact and its evidence. Each is noted once, with the
 * first evidence.
 * Memory: embedded in its session.
 */
#ifndef PST_PROXY_CONDUCT_H
#define PST_PROXY_CONDUCT_H

#include "proxy/txn.h"

#define PST_CONDUCT_SAID_MAX 32

struct pst_conduct {
	uint32_t set;          /* enum pst_fact */
	const char *hasty;     /* evidence of illegal pipelining */
	const char *tls;       /* of STARTTLS abuse */
	uint8_t said_len;
	uint8_t said[PST_CONDUCT_SAID_MAX]; /* the first thing that was no command, or its beginning */
};

/* A command came.
 *  in   secure: by TLS
 *       txn: the transaction that it came in, or NULL */
void pst_conduct_command(struct pst_conduct *conduct, const struct pst_smtp_event *event, bool secure,
			 struct pst_txn *txn);
/* STARTTLS is abused. */
void pst_conduct_tls(struct pst_conduct *conduct, const char *how);
/* A transaction begins: it inherits all of it. */
void pst_conduct_tell(const struct pst_conduct *conduct, struct pst_txn *txn);

#endif
