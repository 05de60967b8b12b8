/* test_rate.c - so many per period: bursts, refills, others' accounts, and what a full table forgets */
#include "support/check.h"

#include "check/rate.h"

static struct pst_rate rate;
static const struct pst_rate_limit limit = {6, 60000}; /* one every 10 s, six at once */

static int begin(void **state)
{
	(void)state;
	pst_rate_init(&rate, (struct pst_hash_key){1, 2});
	return 0;
}

static uint64_t key(const char *name)
{
	return pst_rate_key(&rate, 1, pst_span_text(name));
}

static bool take(const char *name, uint64_t now_ms)
{
	if (!pst_rate_allows(&rate, &limit, key(name), now_ms))
		return false;
	pst_rate_charge(&rate, &limit, key(name), now_ms);
	return true;
}

static uint32_t take_many(const char *name, uint32_t count, uint64_t now_ms)
{
	uint32_t taken = 0;

	while (count-- > 0)
		taken += take(name, now_ms);
	return taken;
}

static void a_burst_and_its_refill(void **state)
{
	(void)state;
	assert_int_equal(take_many("a", 10, 1000000), 6);
	assert_false(take("a", 1009999)); /* refusing charges nothing */
	assert_true(take("a", 1010000));
	assert_false(take("a", 1010000));
	assert_int_equal(take_many("a", 10, 1030000), 2);
	assert_int_equal(take_many("a", 10, 9000000), 6);
}

static void a_steady_sender(void **state)
{
	(void)state;
	for (uint64_t at = 0; at < 3600000; at += 10000)
		assert_true(take("a", 1000 + at));
}

static void names_have_their_own(void **state)
{
	(void)state;
	assert_int_equal(take_many("a", 10, 1000), 6);
	assert_int_equal(take_many("b", 10, 1000), 6);
	assert_true(pst_rate_allows(&rate, &limit, pst_rate_key(&rate, 2, PST_SPAN("a")), 1000));
}

static void no_limit(void **state)
{
	const struct pst_rate_limit none = {0, 60000};

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_true(pst_rate_allows(&rate, &none, key("a"), 1000));
		pst_rate_charge(&rate, &none, key("a"), 1000);
	}
}

/* A flood of names with one message each cannot wash out an account that is used up. */
static void a_flood_forgets_the_least(void **state)
{
	char name[16];

	(void)state;
	assert_int_equal(take_many("offender", 6, 1000), 6);
	for (uint32_t i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		(void)take(name, 1000);
	}
	assert_false(take("offender", 1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_burst_and_its_refill, begin),
		cmocka_unit_test_setup(a_steady_sender, begin),
		cmocka_unit_test_setup(names_have_their_own, begin),
		cmocka_unit_test_setup(no_limit, begin),
		cmocka_unit_test_setup(a_flood_forgets_the_least, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
