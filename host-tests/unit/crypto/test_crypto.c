/* test_crypto.c - the crypto seam, the accounts, the certificate of our own */
#include "crypto/crypto_mbedtls.h"
#include "support/alloc_fail.h"
#include "support/check.h"
#include "support/rng_seed.h"

/* 2026-11-21T21:00:00Z */
#define WALL_S UINT64_C(1795294800)

struct world {
	struct pst_alloc_fail alloc;
	struct pst_rng_seed rng;
	uint64_t wall_s;
	struct pst_crypto_mbedtls_env env;
};

static struct world world;

static uint64_t mono_ms(void *clock)
{
	(void)clock;
	return 1;
}

static uint64_t wall_ms(void *clock)
{
	return ((struct world *)clock)->wall_s * 1000;
}

static void world_set(uint64_t seed)
{
	pst_alloc_fail_init(&world.alloc);
	pst_rng_seed_init(&world.rng, seed);
	world.wall_s = WALL_S;
	world.env = (struct pst_crypto_mbedtls_env){
		.rng = &world.rng.rng,
		.mem = &world.alloc.mem,
		.clock = &world,
		.mono_ms = mono_ms,
		.wall_ms = wall_ms,
	};
}

static int open_world(void **state)
{
	(void)state;
	world_set(1);
	return pst_crypto_mbedtls_open(&world.env);
}

static int close_world(void **state)
{
	(void)state;
	pst_crypto_mbedtls_close();
	assert_int_equal(world.alloc.block_count, 0);
	return 0;
}

/* --- the seam ------------------------------------------------------------------------------- */

struct digest {
	const char *text;
	uint32_t repeat;
	uint8_t wanted[32];
};

/* FIPS 180-2, appendix B; RFC 6234 section 8.5 */
static const struct digest digests[] = {
	{"", 1,
		{0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f,
			0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95,
			0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55}},
	{"abc", 1,
		{0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae,
			0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10,
			0xff, 0x61, 0xf2, 0x00, 0x15, 0xad}},
	{"a", 1000000,
		{0xcd, 0xc7, 0x6e, 0x5c, 0x99, 0x14, 0xfb, 0x92, 0x81, 0xa1, 0xc7, 0xe2, 0x84, 0xd7,
			0x3e, 0x67, 0xf1, 0x80, 0x9a, 0x48, 0xa4, 0x97, 0x20, 0x0e, 0x04, 0x6d,
			0x39, 0xcc, 0xc7, 0x11, 0x2c, 0xd0}},
};

static void hashes_are_right(void **state)
{
	const struct pst_crypto *crypto = pst_crypto_mbedtls();

	(void)state;
	for (size_t i = 0; i < PST_COUNT(digests); i++) {
		struct pst_crypto_sha256 hash;
		uint8_t out[32];

		crypto->sha256_begin(crypto, &hash);
		for (uint32_t n = 0; n < digests[i].repeat; n++)
			crypto->sha256_add(crypto, &hash, pst_span_text(digests[i].text));
		crypto->sha256_end(crypto, &hash, out);
		assert_memory_equal(out, digests[i].wanted, 32);
	}
}

/* Cut anywhere, it is the same; and it takes no memory. */
static void a_hash_may_come_in_pieces(void **state)
{
	const struct pst_crypto *crypto = pst_crypto_mbedtls();
	uint64_t requests = world.alloc.request_count;
	uint8_t text[200], whole[32], pieces[32];

	(void)state;
	crypto->random(crypto, text, sizeof(text));
	pst_crypto_sha256(crypto, (struct pst_span){text, sizeof(text)}, whole);
	for (uint32_t cut = 0; cut <= sizeof(text); cut++) {
		struct pst_crypto_sha256 hash, forgotten;

		crypto->sha256_begin(crypto, &forgotten);
		crypto->sha256_begin(crypto, &hash);
		crypto->sha256_add(crypto, &hash, (struct pst_span){text, cut});
		crypto->sha256_add(crypto, &forgotten, (struct pst_span){text, cut});
		crypto->sha256_add(
			crypto, &hash, (struct pst_span){text + cut, (uint32_t)sizeof(text) - cut});
		crypto->sha256_end(crypto, &hash, pieces);
		assert_memory_equal(whole, pieces, 32);
	}
	assert_int_equal(world.alloc.request_count, requests);
}

static void comparing_compares(void **state)
{
	const struct pst_crypto *crypto = pst_crypto_mbedtls();
	uint8_t a[33], b[33];

	(void)state;
	crypto->random(crypto, a, sizeof(a));
	memcpy(b, a, sizeof(a));
	assert_true(crypto->equal(crypto, a, b, sizeof(a)));
	assert_true(crypto->equal(crypto, a, b, 0));
	for (uint32_t bit = 0; bit < sizeof(a) * 8; bit++) {
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(crypto->equal(crypto, a, b, sizeof(a)));
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	b[32] ^= 1;
	assert_true(crypto->equal(crypto, a, b, 32));
}

static void randomness_is_the_seams(void **state)
{
	const struct pst_crypto *crypto = pst_crypto_mbedtls();
	struct pst_rng_seed twin = world.rng;
	uint8_t theirs[40], ours[40];

	(void)state;
	crypto->random(crypto, theirs, sizeof(theirs));
	twin.rng.fill(&twin.rng, ours, sizeof(ours));
	assert_memory_equal(theirs, ours, sizeof(ours));
}

/* --- accounts ------------------------------------------------------------------------------- */

static void blocks_belong_to_their_account(void **state)
{
	struct pst_crypto_account *a = pst_crypto_mbedtls_account(1000);
	struct pst_crypto_account *b = pst_crypto_mbedtls_account(1000);
	void *one, *two, *three;

	(void)state;
	assert_true(a && b);
	assert_null(pst_crypto_mbedtls_enter(a));
	one = pst_crypto_mbedtls_alloc(100);
	assert_ptr_equal(pst_crypto_mbedtls_enter(b), a);
	two = pst_crypto_mbedtls_alloc(200);
	assert_ptr_equal(pst_crypto_mbedtls_enter(NULL), b);
	three = pst_crypto_mbedtls_alloc(5000);
	assert_true(one && two && three);
	assert_int_equal(a->used_bytes, 100 + PST_CRYPTO_HEAD_BYTES);
	assert_int_equal(b->used_bytes, 200 + PST_CRYPTO_HEAD_BYTES);
	assert_int_equal(a->block_count, 1);
	/* Freed elsewhere, it still leaves its own. */
	assert_null(pst_crypto_mbedtls_enter(b));
	pst_crypto_mbedtls_free(one);
	pst_crypto_mbedtls_free(NULL);
	pst_crypto_mbedtls_enter(NULL);
	assert_int_equal(a->used_bytes, 0);
	assert_int_equal(a->peak_bytes, 100 + PST_CRYPTO_HEAD_BYTES);
	assert_int_equal(b->used_bytes, 200 + PST_CRYPTO_HEAD_BYTES);
	pst_crypto_mbedtls_free(two);
	pst_crypto_mbedtls_free(three);
	pst_crypto_mbedtls_account_close(a);
	pst_crypto_mbedtls_account_close(b);
	pst_crypto_mbedtls_account_close(NULL);
}

static void an_account_is_bounded(void **state)
{
	struct pst_crypto_account *account = pst_crypto_mbedtls_account(84 + PST_CRYPTO_HEAD_BYTES);
	void *block;

	(void)state;
	assert_non_null(account);
	pst_crypto_mbedtls_enter(account);
	assert_null(pst_crypto_mbedtls_alloc(85));
	assert_int_equal(account->refused_count, 1);
	block = pst_crypto_mbedtls_alloc(84);
	assert_non_null(block);
	assert_null(pst_crypto_mbedtls_alloc(1));
	account->bytes_max = 34 + PST_CRYPTO_HEAD_BYTES;
	assert_null(pst_crypto_mbedtls_alloc(1));
	pst_crypto_mbedtls_free(block);
	block = pst_crypto_mbedtls_alloc(34);
	assert_non_null(block);
	assert_null(pst_crypto_mbedtls_alloc(SIZE_MAX));
	pst_crypto_mbedtls_enter(NULL);
	pst_crypto_mbedtls_free(block);
	pst_crypto_mbedtls_account_close(account);
}

static void an_account_lives_as_long_as_its_blocks(void **state)
{
	struct pst_crypto_account *account = pst_crypto_mbedtls_account(100);
	uint64_t blocks = world.alloc.block_count;
	void *block;

	(void)state;
	assert_non_null(account);
	pst_crypto_mbedtls_enter(account);
	block = pst_crypto_mbedtls_alloc(10);
	assert_non_null(block);
	check_bug(pst_crypto_mbedtls_account_close(account));
	pst_crypto_mbedtls_enter(NULL);
	pst_crypto_mbedtls_account_close(account);
	assert_int_equal(world.alloc.block_count, blocks + 1);
	pst_crypto_mbedtls_free(block);
	assert_int_equal(world.alloc.block_count, blocks - 1);
}

static void want_of_memory_is_said(void **state)
{
	struct pst_crypto_account *account;

	(void)state;
	pst_alloc_fail_at(&world.alloc, 1, false);
	assert_null(pst_crypto_mbedtls_account(100));
	account = pst_crypto_mbedtls_account(100);
	assert_non_null(account);
	pst_crypto_mbedtls_enter(account);
	pst_alloc_fail_at(&world.alloc, 1, false);
	assert_null(pst_crypto_mbedtls_alloc(10));
	pst_crypto_mbedtls_enter(NULL);
	assert_int_equal(account->refused_count, 1);
	pst_crypto_mbedtls_account_close(account);
}

/* --- opening -------------------------------------------------------------------------------- */

static void opening_survives_want_of_memory(void **state)
{
	uint64_t n;

	(void)state;
	for (n = 1; n < 100; n++) {
		int ret;

		world_set(1);
		pst_alloc_fail_at(&world.alloc, n, false);
		ret = pst_crypto_mbedtls_open(&world.env);
		if (ret == 0) {
			pst_crypto_mbedtls_close();
			assert_int_equal(world.alloc.block_count, 0);
			if (world.alloc.failed_count == 0)
				break;
			continue;
		}
		assert_int_equal(ret, -PST_E_NOMEM);
		assert_int_equal(world.alloc.block_count, 0);
	}
	assert_true(n > 1 && n < 100);
}

static void it_is_opened_once(void **state)
{
	(void)state;
	check_bug((void)!pst_crypto_mbedtls_open(&world.env));
}

/* --- a certificate of our own --------------------------------------------------------------- */

struct pems {
	struct pst_buf key, certificate;
	uint8_t key_area[PST_CRYPTO_SELF_SIGNED_KEY_BYTES];
	uint8_t certificate_area[PST_CRYPTO_SELF_SIGNED_CERTIFICATE_BYTES];
};

static int make(struct pems *pems, struct pst_span host)
{
	pst_buf_init(&pems->key, pems->key_area, sizeof(pems->key_area));
	pst_buf_init(&pems->certificate, pems->certificate_area, sizeof(pems->certificate_area));
	return pst_crypto_mbedtls_self_signed(host, &pems->key, &pems->certificate);
}

static void a_certificate_is_made(void **state)
{
	struct pems pems, again;
	uint8_t host[253];

	(void)state;
	assert_int_equal(make(&pems, PST_SPAN("mx.example.org")), 0);
	assert_memory_equal(pems.key.area, "-----BEGIN EC PRIVATE KEY-----\n", 31);
	assert_memory_equal(pems.certificate.area, "-----BEGIN CERTIFICATE-----\n", 28);
	assert_int_equal(pst_buf_span(&pems.key).at[pems.key.len - 1], '\n');
	assert_int_equal(pst_buf_span(&pems.certificate).at[pems.certificate.len - 1], '\n');
	/* Another key, another serial number. */
	assert_int_equal(make(&again, PST_SPAN("mx.example.org")), 0);
	assert_false(pst_span_eq(pst_buf_span(&pems.key), pst_buf_span(&again.key)));
	/* The longest name. */
	memset(host, 'a', sizeof(host));
	assert_int_equal(make(&pems, (struct pst_span){host, sizeof(host)}), 0);
}

static void not_every_name_gets_one(void **state)
{
	static const char *const names[] = {
		"", "mx.example.org,O=Evil", "mx example", "mx\"", "a/b"};
	struct pems pems;
	uint8_t host[254];

	(void)state;
	for (size_t i = 0; i < PST_COUNT(names); i++)
		assert_int_equal(make(&pems, pst_span_text(names[i])), -PST_E_SYNTAX);
	memset(host, 'a', sizeof(host));
	assert_int_equal(make(&pems, (struct pst_span){host, sizeof(host)}), -PST_E_SYNTAX);
}

static void a_small_buffer_is_left_alone(void **state)
{
	struct pems pems;

	(void)state;
	pst_buf_init(&pems.key, pems.key_area, 20);
	pst_buf_init(&pems.certificate, pems.certificate_area, sizeof(pems.certificate_area));
	assert_int_equal(pst_buf_put_text(&pems.key, "head"), 0);
	assert_int_equal(pst_buf_put_text(&pems.certificate, "head"), 0);
	assert_int_equal(pst_crypto_mbedtls_self_signed(
				 PST_SPAN("mx.example.org"), &pems.key, &pems.certificate),
		-PST_E_FULL);
	check_buf(&pems.key, "head");
	check_buf(&pems.certificate, "head");
}

static void making_one_survives_want_of_memory(void **state)
{
	uint64_t blocks = world.alloc.block_count;
	struct pems pems;
	uint64_t n;

	(void)state;
	for (n = 1; n < 5000; n += n < 300 ? 1 : 11) {
		int ret;

		pst_alloc_fail_at(&world.alloc, n, false);
		ret = make(&pems, PST_SPAN("mx.example.org"));
		assert_int_equal(world.alloc.block_count, blocks);
		if (world.alloc.request_count < n) {
			assert_int_equal(ret, 0);
			break;
		}
		if (ret) {
			assert_int_equal(ret, -PST_E_NOMEM);
			assert_int_equal(pems.key.len, 0);
			assert_int_equal(pems.certificate.len, 0);
		}
	}
	assert_true(n < 5000);
}

int main(void)
{
#define WITH_WORLD(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
	const struct CMUnitTest tests[] = {
		WITH_WORLD(hashes_are_right),
		WITH_WORLD(a_hash_may_come_in_pieces),
		WITH_WORLD(comparing_compares),
		WITH_WORLD(randomness_is_the_seams),
		WITH_WORLD(blocks_belong_to_their_account),
		WITH_WORLD(an_account_is_bounded),
		WITH_WORLD(an_account_lives_as_long_as_its_blocks),
		WITH_WORLD(want_of_memory_is_said),
		cmocka_unit_test(opening_survives_want_of_memory),
		WITH_WORLD(it_is_opened_once),
		WITH_WORLD(a_certificate_is_made),
		WITH_WORLD(not_every_name_gets_one),
		WITH_WORLD(a_small_buffer_is_left_alone),
		WITH_WORLD(making_one_survives_want_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
