/* check/results.h - what checks found, as header fields
 *
 * Layer: check (pure). Uses: check/spf.h, check/rdns.h, base. Spec: RFC 8601, RFC 7208 section 9.1.
 * Concept: what the client said goes into our fields quoted, or not at all: nothing of it can end a
 * field or begin another.
 */
#ifndef PST_CHECK_RESULTS_H
#define PST_CHECK_RESULTS_H

#include "check/rdns.h"
#include "check/spf_conf.h"

struct pst_results {
	struct pst_span hostname; /* ours */
	struct pst_addr client;
	struct pst_span helo;
	struct pst_span mailbox;  /* of the sender; empty for a bounce */
	bool helo_asked, mail_asked;
	enum pst_spf_result helo_result, mail_result;
	struct pst_span mechanism; /* that decided about the sender (or HELO, of a bounce); may be empty */
	const char *problem;       /* NULL: none */
	bool relayed; /* client is a hop behind a relay of ours: nothing is said of its name */
	enum pst_rdns_result rdns;
	struct pst_span rdns_name;
};

/* "Authentication-Results: ...\r\n"; with nothing asked: "none".
 *  ret 0 | -PST_E_FULL */
int pst_results_put_authentication(struct pst_buf *out, const struct pst_results *results) PST_MUST_CHECK;
/* "Received-SPF: ...\r\n", about the sender, or HELO of a bounce; nothing if SPF was not asked. */
int pst_results_put_received_spf(struct pst_buf *out, const struct pst_results *results) PST_MUST_CHECK;

#endif
