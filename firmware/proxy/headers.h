/* proxy/headers.h - the header on its way through: what is taken out, what is counted, what we add
 *
 * Layer: proxy. Uses: mail, facts, base. Spec: RFC 5321 section 4.4, RFC 3848, RFC 5322 section 3.3,
 * RFC 8601 section 5.
 */
#ifndef PST_PROXY_HEADERS_H
#define PST_PROXY_HEADERS_H

#include "check/results.h"
#include "facts/facts.h"
#include "proxy/message.h"

/* Look at a complete header: forged fields are cut out in place, facts->hop_count and the facts of
 * form are set. */
void pst_headers_look(struct pst_message *message, struct pst_facts *facts,
		      struct pst_span hostname);

/* Add what makes a message the same one when it is sent again: Message-ID, Date and From. Trace,
 * signatures and X- fields change on the way.
 *  ret false: without a Message-ID or a Date, equal messages cannot be told from a repeated one */
bool pst_headers_identify(const struct pst_message *message, struct pst_hasher *hasher)
	PST_MUST_CHECK;

struct pst_trace {
	struct pst_span hostname;
	struct pst_span rcpt; /* the only recipient's mailbox, or empty */
	const char *id;
	uint64_t wall_ms;
	bool judged; /* its score is told in X-Spam fields */
	bool spam;   /* the verdict says so */
	pst_score spam_line;
	struct pst_span subject; /* stands before the Subject of spam; empty: it stays as it is */
	const struct pst_results *results; /* NULL: nobody was asked anything */
};

/* Write our fields in front of the message: X-Spam-Flag (of spam only), -Score, -Level and -Status as
 * SpamAssassin writes them, because readers' filters look for those, Authentication-Results,
 * Received-SPF, and Received. With trace->subject the Subject of spam is written anew among them, and the
 * old one is taken out; that ends the validity of a signature over it. To be called once.
 *  ret 0 | -PST_E_NOMEM | -PST_E_FULL */
int pst_headers_write(struct pst_message *message, const struct pst_facts *facts,
		      const struct pst_trace *trace) PST_MUST_CHECK;

/* "Sat, 21 Nov 2026 21:44:29 +0000" (RFC 5322 section 3.3). */
int pst_headers_date(struct pst_buf *out, uint64_t wall_ms) PST_MUST_CHECK;

#endif
