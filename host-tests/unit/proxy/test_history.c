/* test_history.c - the last verdicts, and how many by minute and hour */
#include "support/check.h"

#include "proxy/history.h"

static struct pst_history history;

static int set_up(void **state)
{
	(void)state;
	memset(&history, 0, sizeof(history));
	return 0;
}

static void add(uint64_t now_ms, enum pst_history_kind kind, uint16_t code)
{
	struct pst_history_record record = {.kind = (uint8_t)kind, .code = code};

	pst_history_add(&history, now_ms, &record);
}

static void the_last_come_first(void **state)
{
	(void)state;
	assert_null(pst_history_record(&history, 0));
	for (uint16_t i = 1; i <= 70; i++) {
		add(i, PST_HISTORY_ACCEPTED, i);
		assert_int_equal(pst_history_record(&history, 0)->code, i);
	}
	assert_int_equal(pst_history_record(&history, 49)->code, 21);
	assert_null(pst_history_record(&history, 50));
}

static void minutes_and_hours(void **state)
{
	const uint64_t minute = 60000, hour = 60 * minute, now = 1000 * hour;

	(void)state;
	assert_int_equal(pst_history_minute(&history, now, 0, PST_HISTORY_REFUSED), 0);
	add(now, PST_HISTORY_REFUSED, 1);
	add(now + 59999, PST_HISTORY_REFUSED, 1);
	add(now + minute, PST_HISTORY_TAGGED, 1);
	assert_int_equal(pst_history_minute(&history, now + minute, 0, PST_HISTORY_REFUSED), 0);
	assert_int_equal(pst_history_minute(&history, now + minute, 1, PST_HISTORY_REFUSED), 2);
	assert_int_equal(pst_history_minute(&history, now + minute, 0, PST_HISTORY_TAGGED), 1);
	/* Later, with nothing in between: looking changes nothing and shows nothing twice. */
	assert_int_equal(pst_history_minute(&history, now + 59 * minute, 59, PST_HISTORY_REFUSED), 2);
	assert_int_equal(pst_history_minute(&history, now + 60 * minute, 59, PST_HISTORY_REFUSED), 0);
	assert_int_equal(pst_history_minute(&history, now + 60 * minute, 0, PST_HISTORY_REFUSED), 0);
	assert_int_equal(pst_history_hour(&history, now + 60 * minute, 1, PST_HISTORY_REFUSED), 2);
	/* A place that is used again was emptied. */
	add(now + 60 * minute, PST_HISTORY_ACCEPTED, 1);
	assert_int_equal(pst_history_minute(&history, now + 60 * minute, 0, PST_HISTORY_REFUSED), 0);
	assert_int_equal(pst_history_minute(&history, now + 60 * minute, 0, PST_HISTORY_ACCEPTED), 1);
	add(now + 24 * hour, PST_HISTORY_ACCEPTED, 1);
	assert_int_equal(pst_history_hour(&history, now + 24 * hour, 23, PST_HISTORY_ACCEPTED), 1);
	assert_int_equal(pst_history_hour(&history, now + 24 * hour, 0, PST_HISTORY_REFUSED), 0);
	add(now + 1000 * hour, PST_HISTORY_ACCEPTED, 1);
	for (uint32_t back = 1; back < PST_HISTORY_HOURS; back++)
		assert_int_equal(pst_history_hour(&history, now + 1000 * hour, back, PST_HISTORY_ACCEPTED), 0);
}

/* Just after the machine has started there is no hour before. */
static void at_the_beginning_of_time(void **state)
{
	(void)state;
	add(10, PST_HISTORY_ACCEPTED, 1);
	assert_int_equal(pst_history_minute(&history, 10, 0, PST_HISTORY_ACCEPTED), 1);
	assert_int_equal(pst_history_minute(&history, 10, 1, PST_HISTORY_ACCEPTED), 0);
	assert_int_equal(pst_history_hour(&history, 10, 23, PST_HISTORY_ACCEPTED), 0);
}

static void long_texts_are_cut(void **state)
{
	struct pst_history_text text;
	uint8_t area[300];

	(void)state;
	memset(area, 'x', sizeof(area));
	pst_history_text_set(&text, (struct pst_span){area, sizeof(area)});
	assert_int_equal(text.len, PST_HISTORY_TEXT);
	pst_history_text_set(&text, PST_SPAN_NONE);
	assert_int_equal(text.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_last_come_first, set_up),
		cmocka_unit_test_setup(minutes_and_hours, set_up),
		cmocka_unit_test_setup(at_the_beginning_of_time, set_up),
		cmocka_unit_test_setup(long_texts_are_cut, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
