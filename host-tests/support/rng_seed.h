/* support/rng_seed.h - randomness that a seed repeats */
#ifndef PST_SUPPORT_RNG_SEED_H
#define PST_SUPPORT_RNG_SEED_H

#include "base/rng.h"

struct pst_rng_seed {
	struct pst_rng rng;
	uint64_t state;
};

void pst_rng_seed_init(struct pst_rng_seed *seed, uint64_t value);
/* A number from 0 to below - 1. */
uint32_t pst_rng_seed_below(struct pst_rng_seed *seed, uint32_t below);

#endif
