/* test_base.c - error phrases, the bug trap, counters' names, lists */
#include "support/check.h"

#include "base/counters.h"
#include "base/list.h"

static void every_error_has_a_phrase(void **state)
{
	(void)state;
	for (int err = 1; err < PST_E_COUNT; err++) {
		const char *phrase = pst_strerror(err);

		assert_non_null(phrase);
		assert_true(strlen(phrase) > 3);
		assert_string_not_equal(phrase, "unknown error");
		assert_string_equal(pst_strerror(-err), phrase);
		for (int other = 1; other < err; other++)
			assert_string_not_equal(phrase, pst_strerror(other));
	}
	assert_string_equal(pst_strerror(PST_E_REFUSED), "connection refused");
	assert_string_equal(pst_strerror(0), "no error");
}

static void unknown_errors_are_called_so(void **state)
{
	static const int numbers[] = {PST_E_COUNT, -PST_E_COUNT, 1000, -1000, INT32_MAX, INT32_MIN};

	(void)state;
	for (size_t i = 0; i < PST_COUNT(numbers); i++)
		assert_string_equal(pst_strerror(numbers[i]), "unknown error");
}

static void bug_trap_aborts(void **state)
{
	int fine = 1;

	(void)state;
	PST_BUG_ON(!fine);
	check_bug(PST_BUG_ON(fine));
}

static void counters_have_names(void **state)
{
	struct pst_counters counters = {{0}};

	(void)state;
	pst_count(&counters, PST_COUNTER_transactions);
	pst_count(&counters, PST_COUNTER_transactions);
	assert_int_equal(counters.value[PST_COUNTER_transactions], 2);
	assert_int_equal(counters.value[PST_COUNTER_connections], 0);
	assert_string_equal(pst_counter_name(PST_COUNTER_slow_turns), "slow_turns");
	for (unsigned which = 0; which < PST_COUNTER_COUNT; which++) {
		assert_true(strlen(pst_counter_name((enum pst_counter)which)) > 0);
		assert_true(strlen(pst_counter_description((enum pst_counter)which)) > 0);
	}
	check_bug(pst_counter_name(PST_COUNTER_COUNT));
}

struct item {
	struct pst_node node;
	char name;
};

static const char *names(const struct pst_list *list)
{
	static char text[16];
	size_t len = 0;

	for (struct pst_node *node = pst_list_first(list); node; node = pst_list_next(list, node))
		text[len++] = PST_CONTAINER(node, struct item, node)->name;
	text[len] = '\0';
	return text;
}

static void lists_keep_order(void **state)
{
	struct item a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
	struct pst_list list;

	(void)state;
	pst_list_init(&list);
	assert_true(pst_list_empty(&list));
	assert_null(pst_list_first(&list));
	assert_null(pst_list_pop(&list));
	pst_list_append(&list, &a.node);
	pst_list_append(&list, &b.node);
	pst_list_append(&list, &c.node);
	assert_string_equal(names(&list), "abc");
	pst_list_remove(&b.node);
	assert_false(pst_node_linked(&b.node));
	assert_string_equal(names(&list), "ac");
	pst_list_remove(&b.node);
	assert_string_equal(names(&list), "ac");
	assert_ptr_equal(pst_list_pop(&list), &a.node);
	pst_list_append(&list, &a.node);
	assert_string_equal(names(&list), "ca");
	check_bug(pst_list_append(&list, &a.node));
}

static void lists_are_moved_whole(void **state)
{
	struct item a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
	struct pst_list source, target;

	(void)state;
	pst_list_init(&source);
	pst_list_init(&target);
	pst_list_move(&target, &source);
	assert_true(pst_list_empty(&target));
	pst_list_append(&target, &a.node);
	pst_list_append(&source, &b.node);
	pst_list_append(&source, &c.node);
	pst_list_move(&target, &source);
	assert_true(pst_list_empty(&source));
	assert_string_equal(names(&target), "abc");
	pst_list_remove(&c.node);
	pst_list_append(&source, &c.node);
	pst_list_remove(&a.node);
	assert_string_equal(names(&target), "b");
	assert_string_equal(names(&source), "c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_error_has_a_phrase),
		cmocka_unit_test(unknown_errors_are_called_so),
		cmocka_unit_test(bug_trap_aborts),
		cmocka_unit_test(counters_have_names),
		cmocka_unit_test(lists_keep_order),
		cmocka_unit_test(lists_are_moved_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
