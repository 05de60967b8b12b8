/* Scores: what is read, what is written, how it is rounded. */
#include "base/score.h"
#include "support/check.h"

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		int ret;
		pst_score score;
	} rows[] = {
		{"5", 0, 5000},
		{"-1.5", 0, -1500},
		{"+0.001", 0, 1},
		{".5", 0, 500},
		{"5.", 0, 5000},
		{"0.0004", 0, 0},
		{"0.0005", 0, 1},
		{"-0.00059", 0, -1},
		{"9999.999", 0, 9999999},
		{"10000", -PST_E_RANGE, 0},
		{"99999999999999999999", -PST_E_RANGE, 0},
		{"", -PST_E_SYNTAX, 0},
		{"-", -PST_E_SYNTAX, 0},
		{".", -PST_E_SYNTAX, 0},
		{"1.2.3", -PST_E_SYNTAX, 0},
		{"1e3", -PST_E_SYNTAX, 0},
		{" 1", -PST_E_SYNTAX, 0},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		pst_score score = 0;

		assert_int_equal(pst_score_parse(pst_span_text(rows[i].text), &score), rows[i].ret);
		assert_int_equal(score, rows[i].score);
	}
}

static void check_text(const struct pst_buf *out, const char *wanted)
{
	assert_true(pst_span_eq(pst_buf_span(out), pst_span_text(wanted)));
}

static void test_put(void **state)
{
	static const struct {
		pst_score score;
		const char *shortest, *one, *rounded, *rounded_none;
	} rows[] = {
		{5000, "5", "5.0", "5.0", "5"},
		{-1500, "-1.5", "-1.5", "-1.5", "-2"},
		{1, "0.001", "0.001", "0.0", "0"},
		{-1, "-0.001", "-0.001", "0.0", "0"},
		{150, "0.15", "0.15", "0.2", "0"},
		{-14950, "-14.95", "-14.95", "-15.0", "-15"},
		{0, "0", "0.0", "0.0", "0"},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		uint8_t area[32];
		struct pst_buf out;

		pst_buf_init(&out, area, sizeof(area));
		assert_int_equal(pst_score_put(&out, rows[i].score, 0), 0);
		check_text(&out, rows[i].shortest);
		pst_buf_init(&out, area, sizeof(area));
		assert_int_equal(pst_score_put(&out, rows[i].score, 1), 0);
		check_text(&out, rows[i].one);
		pst_buf_init(&out, area, sizeof(area));
		assert_int_equal(pst_score_put_rounded(&out, rows[i].score, 1), 0);
		check_text(&out, rows[i].rounded);
		pst_buf_init(&out, area, sizeof(area));
		assert_int_equal(pst_score_put_rounded(&out, rows[i].score, 0), 0);
		check_text(&out, rows[i].rounded_none);
	}
}

static void test_add(void **state)
{
	(void)state;
	assert_int_equal(pst_score_add(1500, -500), 1000);
	assert_int_equal(pst_score_add(PST_SCORE_MAX, 1), PST_SCORE_MAX);
	assert_int_equal(pst_score_add(PST_SCORE_MIN, -1), PST_SCORE_MIN);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_add),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
