/* base/rng.h - where randomness comes from
 *
 * Layer: base (seam). Implementations: loop/rng_system.c (getrandom), a seeded one in the tests.
 * Concept: every random byte of the process passes here, so that a simulated run replays.
 */
#ifndef PST_BASE_RNG_H
#define PST_BASE_RNG_H

#include "base/base.h"

struct pst_rng {
	/* Never fails and never blocks for long: a system without entropy stops at start-up. */
	void (*fill)(struct pst_rng *self, void *out, size_t len);
};

static inline uint64_t pst_rng_u64(struct pst_rng *rng)
{
	uint64_t value = 0;

	rng->fill(rng, &value, sizeof(value));
	return value;
}

#endif
