/* base/hash.h - a keyed hash for tables whose keys a peer chooses
 *
 * Layer: base.
 * Concept: SipHash-2-4 with a random key, so that nobody outside can pick keys that collide.
 * Not a cryptographic digest: those come from the crypto seam.
 */
#ifndef PST_BASE_HASH_H
#define PST_BASE_HASH_H

#include "base/span.h"

struct pst_hash_key {
	uint64_t k0, k1;
};

uint64_t pst_hash(const struct pst_hash_key *key, struct pst_span data);

#endif
