/* base/hash.c - SipHash-1-3
 *
 * Spec: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), section 2, with one round
 * a word and three at the end. Every message passes here whole, and SipHash-2-4, which the paper
 * proposes first, costs half as much again of all that is done for a large one. What the second
 * round buys is distance from attackers who see many hashes; ours are shown to nobody.
 */
#include "base/hash.h"

static inline uint64_t rotate_left(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void sip_round(struct pst_hasher *s)
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

static inline void sip_word(struct pst_hasher *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

/* Spelt out byte by byte, so that big-endian boards and unaligned data give the same hash; in this
 * form compilers see that it is one load. */
static inline uint64_t load_word(const uint8_t *at)
{
	return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 |
	       (uint64_t)at[3] << 24 | (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40 |
	       (uint64_t)at[6] << 48 | (uint64_t)at[7] << 56;
}

void pst_hasher_init(struct pst_hasher *hasher, const struct pst_hash_key *key)
{
	*hasher = (struct pst_hasher){
		.v0 = key->k0 ^ UINT64_C(0x736f6d6570736575),
		.v1 = key->k1 ^ UINT64_C(0x646f72616e646f6d),
		.v2 = key->k0 ^ UINT64_C(0x6c7967656e657261),
		.v3 = key->k1 ^ UINT64_C(0x7465646279746573),
	};
}

static inline void add_byte(struct pst_hasher *s, uint8_t byte)
{
	s->tail |= (uint64_t)byte << (8 * (s->len % 8));
	s->len++;
	if (s->len % 8 == 0) {
		sip_word(s, s->tail);
		s->tail = 0;
	}
}

void pst_hasher_add(struct pst_hasher *hasher, struct pst_span data)
{
	struct pst_hasher s = *hasher; /* in registers over the loop */
	uint32_t i = 0;

	while (i < data.len && s.len % 8 != 0)
		add_byte(&s, data.at[i++]);
	for (; data.len - i >= 8; i += 8) {
		sip_word(&s, load_word(data.at + i));
		s.len += 8;
	}
	while (i < data.len)
		add_byte(&s, data.at[i++]);
	*hasher = s;
}

uint64_t pst_hasher_end(struct pst_hasher *hasher)
{
	sip_word(hasher, hasher->tail | hasher->len << 56);
	hasher->v2 ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(hasher);
	return hasher->v0 ^ hasher->v1 ^ hasher->v2 ^ hasher->v3;
}

uint64_t pst_hash(const struct pst_hash_key *key, struct pst_span data)
{
	struct pst_hasher hasher;

	pst_hasher_init(&hasher, key);
	pst_hasher_add(&hasher, data);
	return pst_hasher_end(&hasher);
}
