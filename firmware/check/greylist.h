/* check/greylist.h - who is asked to come again before mail is taken from it
 *
 * Layer: check (pure). Uses: check/greylist_conf.h, store/types.h, base. Spec: RFC 6647.
 * Concept: spam software seldom comes again; a mail server does. So who looks a little bad, and not bad enough to
 * be marked, is answered 451 at first. What is remembered is who came, not what: the domain whose SPF record
 * has confirmed the HELO name, for large senders retry from another address of theirs, else the /24 or /64.
 * Two questions, each a total function: does this mail come into it, and what does an entry say?
 * Memory: none of its own. The entry is the store's; whoever finds no room there lets the mail pass.
 *
 * Rejected: the triplet of client, sender and recipient. It makes each first letter between two people wait, and
 * costs an entry for each; that a server retries is true of all its mail.
 */
#ifndef PST_CHECK_GREYLIST_H
#define PST_CHECK_GREYLIST_H

#include "base/addr.h"
#include "check/greylist_conf.h"
#include "store/types.h"

/* What is known of a recipient's mail when the internal server has taken that recipient. */
struct pst_greylist_case {
	pst_score score;    /* so far: client and sender */
	pst_score tag_line; /* PST_SCORE_NEVER: nothing is tagged */
	bool trusted;       /* one of our own networks */
	bool exempt;        /* by an `allow` entry, or to postmaster */
	bool bounce;        /* from <>: its server may not retry by queue, and it belongs to mail of ours */
	bool spf_pass;      /* the sender domain stands for it */
};

bool pst_greylist_concerns(const struct pst_greylist_conf *conf,
			   const struct pst_greylist_case *known);

#define PST_GREYLIST_NAME_MAX 256

/* Under which name it is remembered: "example.com" or "192.0.2.0/24".
 *  in  helo: the HELO name where SPF confirmed it, else empty
 *  out area: PST_GREYLIST_NAME_MAX bytes, borrowed by the result */
struct pst_span pst_greylist_name(struct pst_span helo, const struct pst_addr *client,
				  uint8_t *area);

enum pst_greylist_state {
	PST_GREYLIST_NEW,   /* never seen, or too long ago: 451 */
	PST_GREYLIST_EARLY, /* it waits, and not for long enough: 451 */
	PST_GREYLIST_CAME,  /* it came again in time: taken, and known from now on */
	PST_GREYLIST_KNOWN, /* taken */
};

/*  in  entry: the store's; NULL: none */
enum pst_greylist_state pst_greylist_judge(const struct pst_greylist_conf *conf,
					   const struct pst_store_entry *entry);

static inline bool pst_greylist_waits(enum pst_greylist_state state)
{
	return state == PST_GREYLIST_NEW || state == PST_GREYLIST_EARLY;
}

/* What to put into the store for that.
 *  in  entry: as above
 *  ret false: nothing, the entry stays as it is */
bool pst_greylist_entry(const struct pst_greylist_conf *conf, enum pst_greylist_state state,
			const struct pst_store_entry *entry, uint64_t *value, uint32_t *life_s);

#endif
