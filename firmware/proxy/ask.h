/* proxy/ask.h - carries the questions of checks to the dns seam and the answers back
 *
 * Layer: proxy. Uses: check, dns, loop, base.
 * Concept: a check is a pure core of the shape in check/question.h. A pst_ask drives one of them:
 * it pulls questions while there are slots, asks them all at once, and hands each answer over. Slots
 * come from one pool of the process; an ask that finds none waits its turn. The deadline is the
 * ask's: what has not been answered by then is answered with PST_DNS_TIMEOUT.
 * Lifetime: embedded by the owner, beside the check. pst_ask_end is legal at any time and final:
 * no answer reaches the check behind it.
 * Re-entry: on_answered comes from the loop, behind each answer; it may end the ask.
 */
#ifndef PST_PROXY_ASK_H
#define PST_PROXY_ASK_H

#include "base/mem.h"
#include "check/question.h"
#include "dns/dns.h"

struct pst_asks {
	struct pst_dns *dns; /* NULL: there is nobody to ask, and every question is PST_DNS_OURS */
	struct pst_loop *loop;
	struct pst_pool slots;
	struct pst_list waiting; /* asks that found no slot, the longest first */
};

struct pst_ask;

struct pst_ask_ops {
	bool (*ask)(void *check, struct pst_question *question);
	void (*answer)(void *check, uint16_t id, const struct pst_dns_answer *answer);
	/* Whose own servers shall be asked, for a question with a zone; NULL: the resolvers. */
	const struct pst_dns_servers *(*servers)(void *check, uint16_t zone);
};

struct pst_ask {
	struct pst_asks *asks; /* NULL: never begun, or ended */
	const struct pst_ask_ops *ops;
	void *check;
	void (*on_answered)(struct pst_ask *ask);
	struct pst_list open; /* slots */
	struct pst_node node; /* in asks->waiting */
	uint64_t deadline_ms;
};

uint64_t pst_asks_bound(uint32_t slot_count);
void pst_asks_init(struct pst_asks *asks, struct pst_dns *dns, struct pst_loop *loop,
		   struct pst_mem *mem, uint32_t slot_count);
/* Every ask must have been ended. */
void pst_asks_fini(struct pst_asks *asks);

/* Begin to drive a check that has been begun.
 *  in  on_answered: called behind each answer */
void pst_ask_begin(struct pst_ask *ask, struct pst_asks *asks, const struct pst_ask_ops *ops,
		   void *check, uint64_t deadline_ms, void (*on_answered)(struct pst_ask *ask));
/* The check has learnt something else and may have new questions. */
void pst_ask_go_on(struct pst_ask *ask);
/* No answer is awaited and nothing waits for a slot. */
bool pst_ask_is_idle(const struct pst_ask *ask);
/* Harmless on a zeroed or ended ask. */
void pst_ask_end(struct pst_ask *ask);

#endif
