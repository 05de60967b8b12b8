/* base/hash.h - a keyed hash for tables whose keys a peer chooses
 *
 * Layer: base.
 * Concept: SipHash-1-3 with a random key, so that nobody outside can pick keys that collide.
 * Not a cryptographic digest: those come from the crypto seam.
 */
#ifndef PST_BASE_HASH_H
#define PST_BASE_HASH_H

#include "base/span.h"

struct pst_hash_key {
	uint64_t k0, k1;
};

uint64_t pst_hash(const struct pst_hash_key *key, struct pst_span data);

/* The same over data that comes in pieces; how it is cut makes no difference. */
struct pst_hasher {
	uint64_t v0, v1, v2, v3;
	uint64_t tail; /* bytes that do not fill a word yet */
	uint64_t len;
};

void pst_hasher_init(struct pst_hasher *hasher, const struct pst_hash_key *key);
void pst_hasher_add(struct pst_hasher *hasher, struct pst_span data);
/* The hash of what was added. The hasher is used up. */
uint64_t pst_hasher_end(struct pst_hasher *hasher);

#endif
