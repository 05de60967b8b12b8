/* base/hash.c - SipHash-2-4
 *
 * Spec: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), section 2.
 */
#include "base/hash.h"

static uint64_t rotate_left(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_round(struct pst_hasher *s)
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

static void sip_word(struct pst_hasher *s, uint64_t word)
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

void pst_hasher_init(struct pst_hasher *hasher, const struct pst_hash_key *key)
{
	*hasher = (struct pst_hasher){
		.v0 = key->k0 ^ UINT64_C(0x736f6d6570736575),
		.v1 = key->k1 ^ UINT64_C(0x646f72616e646f6d),
		.v2 = key->k0 ^ UINT64_C(0x6c7967656e657261),
		.v3 = key->k1 ^ UINT64_C(0x7465646279746573),
	};
}

void pst_hasher_add(struct pst_hasher *hasher, struct pst_span data)
{
	struct pst_hasher s = *hasher; /* in registers over the loop */
	uint32_t i = 0;

	for (; i < data.len && s.len % 8 != 0; i++) {
		s.tail |= (uint64_t)data.at[i] << (8 * (s.len % 8));
		s.len++;
		if (s.len % 8 == 0) {
			sip_word(&s, s.tail);
			s.tail = 0;
		}
	}
	for (; data.len - i >= 8; i += 8)
		sip_word(&s, load_le(data.at + i, 8));
	s.len = hasher->len + i;
	if (data.len > i)
		s.tail = load_le(data.at + i, data.len - i);
	s.len += data.len - i;
	*hasher = s;
}

uint64_t pst_hasher_end(struct pst_hasher *hasher)
{
	sip_word(hasher, hasher->tail | hasher->len << 56);
	hasher->v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
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
