/* test_mem.c - allocators and pools */
#include "support/alloc_fail.h"
#include "support/check.h"

static bool all_zero(const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (at[i] != 0)
			return false;
	}
	return true;
}

static void system_counts_bytes(void **state)
{
	struct pst_mem_system system;
	uint8_t *a, *b;

	(void)state;
	pst_mem_system_init(&system);
	a = pst_mem_alloc(&system.mem, 100);
	assert_non_null(a);
	assert_true(all_zero(a, 100));
	b = system.mem.alloc(&system.mem, 23);
	assert_non_null(b);
	assert_int_equal(system.used_bytes, 123);
	pst_mem_free(&system.mem, a, 100);
	assert_int_equal(system.used_bytes, 23);
	pst_mem_free(&system.mem, NULL, 23);
	pst_mem_free(&system.mem, b, 23);
	assert_int_equal(system.used_bytes, 0);
	check_bug(a = pst_mem_alloc(&system.mem, 0));
}

/* AddressSanitizer would end the program where malloc gives NULL. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static void system_says_when_there_is_none(void **state)
{
	struct pst_mem_system system;

	(void)state;
	pst_mem_system_init(&system);
	/* more than any object may have, on 32-bit machines with much memory, too */
	assert_null(pst_mem_alloc(&system.mem, (size_t)PTRDIFF_MAX + 1));
	assert_int_equal(system.used_bytes, 0);
}

static void memory_is_zeroed_without_the_op_too(void **state)
{
	struct pst_alloc_fail alloc;
	uint8_t *block;

	(void)state;
	pst_alloc_fail_init(&alloc);
	block = pst_mem_alloc(&alloc.mem, 64);
	assert_non_null(block);
	assert_true(all_zero(block, 64));
	pst_mem_free(&alloc.mem, block, 64);
	pst_alloc_fail_at(&alloc, 1, false);
	assert_null(pst_mem_alloc(&alloc.mem, 64));
	assert_int_equal(alloc.block_count, 0);
}

static void failing_allocator_fails_as_told(void **state)
{
	struct pst_alloc_fail alloc;
	void *block;

	(void)state;
	pst_alloc_fail_init(&alloc);
	pst_alloc_fail_at(&alloc, 2, false);
	for (int i = 1; i <= 4; i++) {
		block = pst_mem_alloc(&alloc.mem, 8);
		assert_int_equal(block != NULL, i != 2);
		pst_mem_free(&alloc.mem, block, 8);
	}
	pst_alloc_fail_at(&alloc, 2, true);
	for (int i = 1; i <= 4; i++) {
		block = pst_mem_alloc(&alloc.mem, 8);
		assert_int_equal(block != NULL, i < 2);
		pst_mem_free(&alloc.mem, block, 8);
	}
	assert_int_equal(alloc.failed_count, 4);
	pst_alloc_fail_at(&alloc, 0, false);
	block = pst_mem_alloc(&alloc.mem, 8);
	assert_non_null(block);
	assert_int_equal(alloc.byte_count, 8);
	check_bug(pst_mem_free(&alloc.mem, block, 9));
	pst_mem_free(&alloc.mem, block, 8);
	assert_int_equal(alloc.block_count, 0);
}

static void pool_is_bounded(void **state)
{
	struct pst_alloc_fail alloc;
	struct pst_pool pool;
	void *block[3];

	(void)state;
	pst_alloc_fail_init(&alloc);
	pst_pool_init(&pool, "test", &alloc.mem, 32, 3, 1);
	for (int i = 0; i < 3; i++)
		assert_non_null(block[i] = pst_pool_get_zeroed(&pool));
	assert_null(pst_pool_get_zeroed(&pool));
	assert_null(pst_pool_get(&pool));
	assert_int_equal(pool.refused_count, 2);
	assert_int_equal(pool.used_count, 3);
	assert_int_equal(pool.peak_count, 3);
	pst_pool_put(&pool, block[0]);
	assert_non_null(block[0] = pst_pool_get(&pool));
	check_bug(pst_pool_fini(&pool));
	for (int i = 0; i < 3; i++)
		pst_pool_put(&pool, block[i]);
	check_bug(pst_pool_put(&pool, block[0]));
	pst_pool_put(&pool, NULL);
	pst_pool_fini(&pool);
	assert_int_equal(alloc.block_count, 0);
	check_bug(pst_pool_init(&pool, "small", &alloc.mem, sizeof(void *) - 1, 1, 1));
}

static void pool_keeps_a_few(void **state)
{
	struct pst_alloc_fail alloc;
	struct pst_pool pool;
	void *block[5];

	(void)state;
	pst_alloc_fail_init(&alloc);
	pst_pool_init(&pool, "test", &alloc.mem, 32, 5, 2);
	for (int i = 0; i < 5; i++)
		assert_non_null(block[i] = pst_pool_get(&pool));
	for (int i = 0; i < 5; i++)
		pst_pool_put(&pool, block[i]);
	assert_int_equal(pool.free_count, 2);
	assert_int_equal(alloc.block_count, 2);
	assert_non_null(block[0] = pst_pool_get(&pool));
	assert_non_null(block[1] = pst_pool_get(&pool));
	assert_int_equal(alloc.request_count, 5);
	assert_ptr_not_equal(block[0], block[1]);
	assert_non_null(block[2] = pst_pool_get(&pool));
	assert_int_equal(alloc.request_count, 6);
	for (int i = 0; i < 3; i++)
		pst_pool_put(&pool, block[i]);
	pst_pool_fini(&pool);
	assert_int_equal(alloc.block_count, 0);
	assert_int_equal(pool.free_count, 0);
}

static void pool_keeping_none_gives_all_back(void **state)
{
	struct pst_alloc_fail alloc;
	struct pst_pool pool;

	(void)state;
	pst_alloc_fail_init(&alloc);
	pst_pool_init(&pool, "test", &alloc.mem, 32, 5, 0);
	pst_pool_put(&pool, pst_pool_get(&pool));
	assert_int_equal(alloc.block_count, 0);
	pst_pool_fini(&pool);
}

static void pool_zeroes_only_when_asked(void **state)
{
	struct pst_alloc_fail alloc;
	struct pst_pool pool;
	uint8_t *block;

	(void)state;
	pst_alloc_fail_init(&alloc);
	pst_pool_init(&pool, "test", &alloc.mem, 64, 1, 1);
	assert_non_null(block = pst_pool_get_zeroed(&pool));
	assert_true(all_zero(block, 64));
	memset(block, 7, 64);
	pst_pool_put(&pool, block);
	assert_non_null(block = pst_pool_get(&pool));
	assert_int_equal(block[63], 7);
	pst_pool_put(&pool, block);
	assert_non_null(block = pst_pool_get_zeroed(&pool));
	assert_true(all_zero(block, 64));
	pst_pool_put(&pool, block);
	pst_pool_fini(&pool);
}

static void pool_survives_failures(void **state)
{
	struct pst_alloc_fail alloc;
	struct pst_pool pool;
	void *block;

	(void)state;
	pst_alloc_fail_init(&alloc);
	pst_pool_init(&pool, "test", &alloc.mem, 64, 2, 1);
	pst_alloc_fail_at(&alloc, 1, false);
	assert_null(pst_pool_get_zeroed(&pool));
	assert_int_equal(pool.refused_count, 1);
	assert_int_equal(pool.used_count, 0);
	pst_alloc_fail_at(&alloc, 1, false);
	assert_null(pst_pool_get(&pool));
	assert_non_null(block = pst_pool_get(&pool));
	pst_pool_put(&pool, block);
	/* A kept block needs no allocation. */
	pst_alloc_fail_at(&alloc, 1, true);
	assert_non_null(block = pst_pool_get(&pool));
	pst_pool_put(&pool, block);
	pst_pool_fini(&pool);
	assert_int_equal(alloc.block_count, 0);
}

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define WITH_ASAN 1
#endif

/* A free block that the pool keeps is out of bounds for AddressSanitizer. */
static void kept_blocks_are_poisoned(void **state)
{
#ifdef WITH_ASAN
	int __asan_address_is_poisoned(void const volatile *address);
	struct pst_alloc_fail alloc;
	struct pst_pool pool;
	uint8_t *block;

	(void)state;
	pst_alloc_fail_init(&alloc);
	pst_pool_init(&pool, "test", &alloc.mem, 64, 1, 1);
	assert_non_null(block = pst_pool_get(&pool));
	assert_false(__asan_address_is_poisoned(block));
	pst_pool_put(&pool, block);
	assert_true(__asan_address_is_poisoned(block));
	assert_true(__asan_address_is_poisoned(block + 63));
	assert_non_null(block = pst_pool_get(&pool));
	assert_false(__asan_address_is_poisoned(block + 63));
	pst_pool_put(&pool, block);
	pst_pool_fini(&pool);
#else
	(void)state;
#endif
}

/* A reload may lower the bound below what is in use: nothing is taken away, nothing more is given. */
static void bound_may_be_lowered(void **state)
{
	struct pst_alloc_fail alloc;
	struct pst_pool pool;
	void *block[2];

	(void)state;
	pst_alloc_fail_init(&alloc);
	pst_pool_init(&pool, "test", &alloc.mem, 64, 2, 2);
	for (int i = 0; i < 2; i++)
		assert_non_null(block[i] = pst_pool_get(&pool));
	pool.count_max = 1;
	assert_null(pst_pool_get(&pool));
	pst_pool_put(&pool, block[0]);
	assert_null(pst_pool_get(&pool));
	pst_pool_put(&pool, block[1]);
	assert_non_null(block[0] = pst_pool_get(&pool));
	pst_pool_put(&pool, block[0]);
	pst_pool_fini(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(system_counts_bytes),
		cmocka_unit_test(system_says_when_there_is_none),
		cmocka_unit_test(memory_is_zeroed_without_the_op_too),
		cmocka_unit_test(failing_allocator_fails_as_told),
		cmocka_unit_test(pool_is_bounded),
		cmocka_unit_test(pool_keeps_a_few),
		cmocka_unit_test(pool_keeping_none_gives_all_back),
		cmocka_unit_test(pool_zeroes_only_when_asked),
		cmocka_unit_test(pool_survives_failures),
		cmocka_unit_test(kept_blocks_are_poisoned),
		cmocka_unit_test(bound_may_be_lowered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
