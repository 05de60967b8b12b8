/* check/question.h - how a check asks: the one shape of all cores
 *
 * Layer: check (pure). Uses: dns/types.h, base.
 * Concept: a check is a struct that its owner embeds and feeds. It is begun with what is known, then
 * asks and is answered until it is done; it never waits for anything itself. Each core has
 *
 *     pst_<check>_begin(check, ...)            what is known about the client or the sender
 *     pst_<check>_ask(check, &question)        the next question, or false: none just now
 *     pst_<check>_answer(check, id, &answer)   one question's answer, in any order
 *     pst_<check>_done(check)                  nothing is outstanding and the result stands
 *
 * Questions that do not depend on each other are asked at once, so the driver calls _ask until it
 * says false, at the beginning and behind every answer. The driver (proxy/ask.c) owns deadlines:
 * what comes too late is answered for it with PST_DNS_TIMEOUT.
 * Memory: a question is copied by the driver; an answer is borrowed for the call.
 */
#ifndef PST_CHECK_QUESTION_H
#define PST_CHECK_QUESTION_H

#include "dns/types.h"

struct pst_question {
	uint16_t id;   /* the check's own, given back with the answer */
	uint16_t zone; /* 1 + index of the list whose own servers should be asked; 0: the resolvers */
	enum pst_dns_type type;
	uint8_t name_len;
	uint8_t name[PST_DNS_NAME_MAX];
};

#endif
