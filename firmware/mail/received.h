/* mail/received.h - what a Received field says about a hop
 *
 * Layer: mail (pure). Uses: base. Spec: RFC 5321 section 4.4, and what mail software writes instead.
 * Concept: the grammar gives the clauses (from, by, via, with, id, for); what is in the comments of the
 * from clause is nobody's grammar, so its words are told apart by what they look like: an address, a
 * word that says HELO, a name. Which of two names the server has looked up, and which one the client
 * has said, follows from where they stand.
 * Memory: what is found borrows the caller's work space.
 */
#ifndef PST_MAIL_RECEIVED_H
#define PST_MAIL_RECEIVED_H

#include "base/buf.h"

struct pst_mail_received {
	struct pst_span ip, rdns, helo, by, id, ident, envfrom, auth; /* empty: not said */
	bool envfrom_known;  /* a sender is named, maybe an empty one */
	bool no_reverse_dns; /* the server looked the name up, and there was none */
};

enum pst_mail_received_kind {
	PST_MAIL_RECEIVED_HOP,
	PST_MAIL_RECEIVED_SKIP,    /* no hop over a network */
	PST_MAIL_RECEIVED_FETCHER, /* POP3 or IMAP: hops above it are the reader's own affair */
	PST_MAIL_RECEIVED_UNKNOWN, /* it cannot be read */
};

/*  in  value: of the field, folded or not
 *      work: room for the value's length three times; *out borrows it
 *  ret enum pst_mail_received_kind | -PST_E_FULL. *out is set for a HOP; for a SKIP only envfrom */
int pst_mail_received_parse(struct pst_span value, struct pst_buf *work,
			    struct pst_mail_received *out) PST_MUST_CHECK;

#endif
