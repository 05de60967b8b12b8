/* test_recent.c - what was seen lately */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/recent.h"

static struct pst_recent recent;

static void test_life(void **state)
{
	struct pst_span what = PST_SPAN("bob@example.org");

	(void)state;
	pst_recent_init(&recent, (struct pst_hash_key){1, 2}, 1000);
	assert_false(pst_recent_has(&recent, what, 0));
	pst_recent_add(&recent, what, 100);
	assert_true(pst_recent_has(&recent, what, 1099));
	assert_false(pst_recent_has(&recent, what, 1100));
	pst_recent_add(&recent, what, 1050); /* the same entry, later */
	assert_true(pst_recent_has(&recent, what, 2049));
	assert_false(pst_recent_has(&recent, PST_SPAN("Bob@example.org"), 200));
}

/* Whatever is added: the last one is there, and the table does not grow. */
static void test_full(void **state)
{
	uint32_t kept = 0;

	(void)state;
	pst_recent_init(&recent, (struct pst_hash_key){3, 4}, 1000000);
	for (uint32_t i = 0; i < 100000; i++) {
		struct pst_span what = {(const uint8_t *)&i, sizeof(i)};

		pst_recent_add(&recent, what, i);
		assert_true(pst_recent_has(&recent, what, i));
	}
	for (uint32_t i = 0; i < 100000; i++)
		kept += pst_recent_has(&recent, (struct pst_span){(const uint8_t *)&i, sizeof(i)}, 100000);
	assert_int_equal(kept, PST_RECENT_SETS * PST_RECENT_WAYS);
	/* What gave way was older. */
	for (uint32_t i = 99950; i < 100000; i++)
		assert_true(pst_recent_has(&recent, (struct pst_span){(const uint8_t *)&i, sizeof(i)},
					   100000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
