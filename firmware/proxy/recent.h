/* proxy/recent.h - what was seen lately, in a table of fixed size
 *
 * Layer: proxy. Uses: base.
 * Concept: a set-associative table of hashes, each forgotten a fixed time after it was last added.
 * Loss-tolerant: where a set is full, what would be forgotten first gives way. What is in it is evidence
 * only; nothing may depend on an entry being there.
 * Memory: embedded in its owner; 32 KiB.
 */
#ifndef PST_PROXY_RECENT_H
#define PST_PROXY_RECENT_H

#include "base/hash.h"

#define PST_RECENT_SETS 512
#define PST_RECENT_WAYS 4

struct pst_recent_entry {
	uint64_t hash;
	uint64_t until_ms; /* 0: none */
};

struct pst_recent {
	struct pst_hash_key key;
	uint64_t life_ms;
	struct pst_recent_entry entries[PST_RECENT_SETS][PST_RECENT_WAYS];
};

void pst_recent_init(struct pst_recent *recent, struct pst_hash_key key, uint64_t life_ms);
void pst_recent_add(struct pst_recent *recent, struct pst_span what, uint64_t now_ms);
bool pst_recent_has(const struct pst_recent *recent, struct pst_span what, uint64_t now_ms);

#endif
