/* proxy/sender.h - what is asked about one envelope: SPF of HELO and sender, lists of domains
 *
 * Layer: proxy. Uses: proxy/checks.h, proxy/knock.h, check.
 * Concept: begun at MAIL (of a trusted relay's mail: when its header has told of the hop before), told once
 * when everything has settled. HELO comes first: of a bounce it is all there is (RFC 7208 section 2.3, 2.4).
 * Memory: about 17 KiB while it is being asked; the owner takes what it wants and gives it back.
 */
#ifndef PST_PROXY_SENDER_H
#define PST_PROXY_SENDER_H

#include "check/dnsbl.h"
#include "check/spf.h"
#include "proxy/knock.h"

struct pst_sender_params {
	struct pst_addr client;
	struct pst_span helo;
	struct pst_span mailbox; /* of MAIL; empty: a bounce */
	struct pst_knock *knock; /* of the same client; may be NULL */
	void *owner;
};

struct pst_sender {
	struct pst_checks *checks;
	struct pst_proxy_conf *conf;
	struct pst_sender_params params; /* spans borrowed from the owner until the end */
	void (*on_done)(struct pst_sender *sender);

	enum pst_spf_result helo_result, mail_result;
	bool helo_asked, mail_asked;
	bool done;
	struct pst_spf spf;     /* of the sender, once it is done; of HELO for a bounce */
	struct pst_dnsbl lists;

	struct pst_ask spf_ask, lists_ask;
	struct pst_knock_wait wait;
	struct pst_task task;
	uint64_t deadline_ms; /* of both SPF questions together */
	bool spf_done, lists_begun, lists_done;
};

/* on_done follows, from the loop.
 *  ret NULL: nobody can be asked, or there is no memory */
struct pst_sender *pst_sender_new(struct pst_checks *checks, struct pst_proxy_conf *conf,
				  const struct pst_sender_params *params,
				  void (*on_done)(struct pst_sender *sender)) PST_MUST_CHECK;
/* Legal at any time. NULL is harmless. */
void pst_sender_free(struct pst_sender *sender);

#endif
