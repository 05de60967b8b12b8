/* proxy/tally.h - how often an address did something lately, in a table of fixed size
 *
 * Layer: proxy. Uses: base.
 * Concept: a small set-associative table by client network; each count is forgotten a fixed time
 * after its last event. Loss-tolerant: an entry that had to give way starts again at zero.
 * Memory: embedded in its owner.
 */
#ifndef PST_PROXY_TALLY_H
#define PST_PROXY_TALLY_H

#include "base/addr.h"
#include "base/hash.h"

#define PST_TALLY_SETS 64
#define PST_TALLY_WAYS 4

struct pst_tally_entry {
	struct pst_addr network;
	uint64_t until_ms;
	uint32_t count;
};

struct pst_tally {
	struct pst_hash_key key;
	uint64_t life_ms; /* after the last event */
	struct pst_tally_entry entries[PST_TALLY_SETS][PST_TALLY_WAYS];
};

void pst_tally_init(struct pst_tally *tally, struct pst_hash_key key, uint64_t life_ms);
void pst_tally_add(struct pst_tally *tally, const struct pst_addr *addr, uint64_t now_ms);
uint32_t pst_tally_count(const struct pst_tally *tally, const struct pst_addr *addr, uint64_t now_ms);

#endif
