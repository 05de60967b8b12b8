/* test_hash.c - SipHash-1-3 against other programs' results, and against itself */
#include "support/check.h"

#include "base/hash.h"

static const struct pst_hash_key paper_key = {
	UINT64_C(0x0706050403020100),
	UINT64_C(0x0f0e0d0c0b0a0908),
};

/* The paper's key, and inputs 00 01 02 ... of a length each: what a plain transcription of the paper
 * into Python gives, which has the paper's own vector right with two and four rounds, and the first
 * of the Rust library's with one and three. */
static void known_hashes(void **state)
{
	static const struct {
		uint32_t len;
		uint64_t wanted;
	} rows[] = {
		{0, UINT64_C(0xabac0158050fc4dc)},
		{1, UINT64_C(0xc9f49bf37d57ca93)},
		{7, UINT64_C(0xd3927d989bb11140)},
		{8, UINT64_C(0x369095118d299a8e)},
		{9, UINT64_C(0x25a48eb36c063de4)},
		{15, UINT64_C(0xd320d86d2a519956)},
		{63, UINT64_C(0x9d199062b7bbb3a8)},
	};
	uint8_t area[64];

	(void)state;
	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		/* At an odd address too. */
		for (uint32_t at = 0; at < 2; at++) {
			for (uint8_t b = 0; b < 63; b++)
				area[at + b] = b;
			assert_true(pst_hash(&paper_key,
					     (struct pst_span){area + at, rows[i].len}) ==
				    rows[i].wanted);
		}
	}
	assert_true(pst_hash(&paper_key, PST_SPAN_NONE) == rows[0].wanted);
}

static void every_bit_counts(void **state)
{
	struct pst_hash_key key = {1, 2};
	uint8_t data[20] = {0};
	uint64_t before;

	(void)state;
	for (uint32_t len = 1; len <= sizeof(data); len++) {
		struct pst_span span = {data, len};

		before = pst_hash(&key, span);
		assert_true(before != pst_hash(&key, (struct pst_span){data, len - 1}));
		for (uint32_t bit = 0; bit < 8 * len; bit++) {
			data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_true(before != pst_hash(&key, span));
			data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
	before = pst_hash(&key, (struct pst_span){data, sizeof(data)});
	key.k1 ^= 1;
	assert_true(before != pst_hash(&key, (struct pst_span){data, sizeof(data)}));
}

/* Every way to cut 40 bytes into three pieces, empty ones too. */
static void pieces_make_no_difference(void **state)
{
	struct pst_hash_key key = {3, 4};
	uint8_t data[40];
	struct pst_span whole = {data, sizeof(data)};
	uint64_t wanted;

	(void)state;
	for (uint8_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(0xff - 5 * i);
	wanted = pst_hash(&key, whole);
	for (uint32_t a = 0; a <= sizeof(data); a++) {
		for (uint32_t b = a; b <= sizeof(data); b++) {
			struct pst_hasher hasher;

			pst_hasher_init(&hasher, &key);
			pst_hasher_add(&hasher, pst_span_sub(whole, 0, a));
			pst_hasher_add(&hasher, pst_span_sub(whole, a, b - a));
			pst_hasher_add(&hasher, pst_span_sub(whole, b, UINT32_MAX));
			pst_hasher_add(&hasher, PST_SPAN_NONE);
			assert_true(pst_hasher_end(&hasher) == wanted);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_hashes),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(pieces_make_no_difference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
