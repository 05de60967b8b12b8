/* support/rng_seed.c - SplitMix64: small, and any seed will do */
#include "support/rng_seed.h"

static uint64_t next(struct pst_rng_seed *seed)
{
	uint64_t x = seed->state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static void seed_fill(struct pst_rng *rng, void *out, size_t len)
{
	struct pst_rng_seed *seed = PST_CONTAINER(rng, struct pst_rng_seed, rng);
	uint8_t *at = out;
	uint64_t word = 0;

	/* Byte by byte, so that the order of bytes does not depend on the machine. */
	for (size_t i = 0; i < len; i++) {
		if (i % 8 == 0)
			word = next(seed);
		at[i] = (uint8_t)(word >> (8 * (i % 8)));
	}
}

void pst_rng_seed_init(struct pst_rng_seed *seed, uint64_t value)
{
	*seed = (struct pst_rng_seed){.rng = {.fill = seed_fill}, .state = value};
}

uint32_t pst_rng_seed_below(struct pst_rng_seed *seed, uint32_t below)
{
	PST_BUG_ON(below == 0);
	return (uint32_t)(next(seed) % below);
}
