/* proxy/ledger.h - outcomes that a client may not have heard of
 *
 * Layer: proxy. Uses: base. Spec: RFC 1047 (the problem), RFC 5321 section 4.5.4.1.
 * Concept: a client that did not read our final answer sends the message again. The ledger keeps,
 * for each recipient, what became of it inside, and the retry is answered from there instead of
 * being delivered twice. An entry names client network, sender, recipient and content; a client
 * that goes on talking after our answer has heard it, and its entries are void. One retry consumes
 * an entry; two equal messages of one client that both heard their answers are two deliveries.
 * Memory: a table of fixed size, made once. It is loss-tolerant: an entry that had to give way costs
 * a duplicate, as it would have without a ledger.
 */
#ifndef PST_PROXY_LEDGER_H
#define PST_PROXY_LEDGER_H

#include "base/addr.h"
#include "base/hash.h"
#include "base/mem.h"

#define PST_LEDGER_LIFE_MS 86400000
#define PST_LEDGER_WAYS 8 /* entries that one hash may choose among */

struct pst_ledger_entry {
	uint64_t envelope, content;
	uint64_t until_ms;
	uint64_t owner; /* the session that has not spoken since; 0: armed */
	uint32_t next;  /* index + 1 of the same owner's next entry */
	uint16_t code;  /* what the internal server said; 0: a free place */
};

struct pst_ledger {
	struct pst_mem *mem;
	struct pst_hash_key key;
	struct pst_ledger_entry *entries;
	uint32_t entry_count; /* a power of two, at least PST_LEDGER_WAYS; 0: no ledger */
};

uint64_t pst_ledger_bound(uint32_t entry_count);
/*  in  entry_count: rounded up to a power of two; 0 for none
 *  ret 0 | -PST_E_NOMEM */
int pst_ledger_init(struct pst_ledger *ledger, struct pst_mem *mem, struct pst_hash_key key,
		    uint32_t entry_count) PST_MUST_CHECK;
void pst_ledger_fini(struct pst_ledger *ledger);

/* The envelope's half of an entry's name. Addresses are compared without case. */
uint64_t pst_ledger_envelope(const struct pst_ledger *ledger, const struct pst_addr *client,
			     struct pst_span sender, struct pst_span rcpt);

/* Record an outcome.
 *  in  owner: the session that was told, to be voided or armed by it; 0: armed at once
 *      chain: the owner's entries so far, 0 for none
 *  ret the new chain */
uint32_t pst_ledger_add(struct pst_ledger *ledger, uint64_t envelope, uint64_t content,
			uint16_t code, uint64_t owner, uint32_t chain, uint64_t now_ms);

/* The owner spoke again (void) or ended without another word (armed). */
void pst_ledger_settle(struct pst_ledger *ledger, uint32_t chain, uint64_t owner, bool heard);

/* Consume an armed entry.
 *  ret its code | 0: there is none */
uint16_t pst_ledger_take(struct pst_ledger *ledger, uint64_t envelope, uint64_t content,
			 uint64_t now_ms);

#endif
