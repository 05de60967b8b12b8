/* base/hash.c - SipHash-2-4
 *
 * Spec: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), section 2.
 */
#include "base/hash.h"

struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotate_left(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotate_left(s->v1, 13) ^ s->v0;
	s->v3 = rotate_left(s->v3, 16) ^ s->v2;
	s->v0 = rotate_left(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotate_left(s->v1, 17) ^ s->v2;
	s->v3 = rotate_left(s->v3, 21) ^ s->v0;
	s->v2 = rotate_left(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	sip_round(s);
	s->v0 ^= word;
}

/* Byte by byte, so that big-endian boards and unaligned keys give the same hash; compilers make one
 * load of the full-word case. */
static uint64_t load_le(const uint8_t *at, uint32_t len)
{
	uint64_t word = 0;

	for (uint32_t i = 0; i < len; i++)
		word |= (uint64_t)at[i] << (8 * i);
	return word;
}

uint64_t pst_hash(const struct pst_hash_key *key, struct pst_span data)
{
	struct sip s = {
		.v0 = key->k0 ^ UINT64_C(0x736f6d6570736575),
		.v1 = key->k1 ^ UINT64_C(0x646f72616e646f6d),
		.v2 = key->k0 ^ UINT64_C(0x6c7967656e657261),
		.v3 = key->k1 ^ UINT64_C(0x7465646279746573),
	};
	uint32_t whole = data.len & ~UINT32_C(7);
	uint64_t last = (uint64_t)data.len << 56;

	for (uint32_t i = 0; i < whole; i += 8)
		sip_word(&s, load_le(data.at + i, 8));
	if (data.len > whole)
		last |= load_le(data.at + whole, data.len - whole);
	sip_word(&s, last);
	s.v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
