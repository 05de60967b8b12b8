/* test_span.c - borrowed views of bytes */
#include "support/check.h"

/* A byte behind the span that must never be looked at: heap memory of the exact size, for ASan. */
static struct pst_span exact(const char *text)
{
	static uint8_t *area;
	size_t len = strlen(text);

	free(area);
	area = malloc(len ? len : 1);
	assert_non_null(area);
	memcpy(area, text, len);
	return (struct pst_span){area, (uint32_t)len};
}

static void text_and_literals(void **state)
{
	(void)state;
	check_span(pst_span_text("abc"), "abc");
	check_span(pst_span_text(""), "");
	assert_int_equal(pst_span_text(NULL).len, 0);
	check_span(PST_SPAN("abc"), "abc");
	assert_int_equal(PST_SPAN("a\0b").len, 3);
}

static void sub_is_cut_to_what_there_is(void **state)
{
	static const struct {
		uint32_t from, len;
		const char *wanted;
	} rows[] = {
		{0, 5, "hello"}, {0, 6, "hello"}, {0, UINT32_MAX, "hello"}, {1, 3, "ell"},
		{4, 1, "o"}, {4, 2, "o"}, {4, UINT32_MAX, "o"}, {5, 0, ""}, {5, 1, ""},
		{6, 1, ""}, {UINT32_MAX, UINT32_MAX, ""}, {2, 0, ""},
	};
	struct pst_span span = PST_SPAN("hello");

	(void)state;
	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_span sub = pst_span_sub(span, rows[i].from, rows[i].len);

		check_span(sub, rows[i].wanted);
		assert_true(sub.at >= span.at && sub.at <= span.at + span.len);
	}
	assert_int_equal(pst_span_sub(PST_SPAN_NONE, 0, 1).len, 0);
	assert_int_equal(pst_span_sub(PST_SPAN_NONE, 3, 1).len, 0);
}

static void comparing(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal, nocase;
	} rows[] = {
		{"", "", true, true}, {"a", "", false, false}, {"abc", "abc", true, true},
		{"abc", "abd", false, false}, {"abc", "ABC", false, true},
		{"abc", "abcd", false, false}, {"@", "`", false, false}, {"[", "{", false, false},
		{"Z", "z", false, true}, {"A", "a", false, true}, {"1", "\x11", false, false},
		{"\xc3\xa4", "\xc3\x84", false, false}, {"\xe4", "\xc4", false, false},
	};

	(void)state;
	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_span a = pst_span_text(rows[i].a);
		struct pst_span b = pst_span_text(rows[i].b);

		assert_int_equal(pst_span_eq(a, b), rows[i].equal);
		assert_int_equal(pst_span_eq(b, a), rows[i].equal);
		assert_int_equal(pst_span_eq_nocase(a, b), rows[i].nocase);
		assert_int_equal(pst_span_eq_nocase(b, a), rows[i].nocase);
	}
	assert_true(pst_span_eq(PST_SPAN_NONE, PST_SPAN("")));
	assert_true(pst_span_eq_nocase(PST_SPAN_NONE, PST_SPAN("")));
	assert_false(pst_span_eq(PST_SPAN("a\0b"), PST_SPAN("a\0c")));
}

static void starts_and_ends(void **state)
{
	(void)state;
	assert_true(pst_span_starts_nocase(PST_SPAN("MAIL FROM:"), PST_SPAN("mail from:")));
	assert_true(pst_span_starts_nocase(PST_SPAN("MAIL FROM:<>"), PST_SPAN("mail from:")));
	assert_false(pst_span_starts_nocase(PST_SPAN("MAIL FROM"), PST_SPAN("mail from:")));
	assert_true(pst_span_starts_nocase(PST_SPAN("x"), PST_SPAN_NONE));
	assert_true(pst_span_starts_nocase(PST_SPAN_NONE, PST_SPAN_NONE));
	assert_false(pst_span_starts_nocase(PST_SPAN_NONE, PST_SPAN("x")));
	assert_true(pst_span_ends_nocase(PST_SPAN("a.Example.ORG"), PST_SPAN(".example.org")));
	assert_false(pst_span_ends_nocase(PST_SPAN("aexample.org"), PST_SPAN(".example.org")));
	assert_false(pst_span_ends_nocase(PST_SPAN("org"), PST_SPAN(".example.org")));
	assert_true(pst_span_ends_nocase(PST_SPAN("x"), PST_SPAN_NONE));
	assert_true(pst_span_ends_nocase(PST_SPAN_NONE, PST_SPAN_NONE));
}

static void finding(void **state)
{
	struct pst_span span = PST_SPAN("a\0b\0c");

	(void)state;
	assert_int_equal(pst_span_find(span, 'a'), 0);
	assert_int_equal(pst_span_find(span, 0), 1);
	assert_int_equal(pst_span_rfind(span, 0), 3);
	assert_int_equal(pst_span_rfind(span, 'a'), 0);
	assert_int_equal(pst_span_find(span, 'c'), 4);
	assert_int_equal(pst_span_find(span, 'x'), -PST_E_NOENT);
	assert_int_equal(pst_span_rfind(span, 'x'), -PST_E_NOENT);
	assert_int_equal(pst_span_find(PST_SPAN_NONE, 0), -PST_E_NOENT);
	assert_int_equal(pst_span_rfind(PST_SPAN_NONE, 0), -PST_E_NOENT);
	assert_int_equal(pst_span_find(exact("abc"), 0), -PST_E_NOENT);
	assert_int_equal(pst_span_find(PST_SPAN("\xff"), 0xff), 0);
}

static void trimming(void **state)
{
	(void)state;
	check_span(pst_span_trim(PST_SPAN(" \t a b\t ")), "a b");
	check_span(pst_span_trim(PST_SPAN("a")), "a");
	check_span(pst_span_trim(PST_SPAN(" \t ")), "");
	check_span(pst_span_trim(PST_SPAN_NONE), "");
	check_span(pst_span_trim(PST_SPAN("\r\na\n")), "\r\na\n");
}

static void words(void **state)
{
	struct pst_span rest = PST_SPAN("  relay\texample.org   to ");

	(void)state;
	check_span(pst_span_word(&rest), "relay");
	check_span(pst_span_word(&rest), "example.org");
	check_span(rest, "   to ");
	check_span(pst_span_word(&rest), "to");
	check_span(pst_span_word(&rest), "");
	check_span(pst_span_word(&rest), "");
	rest = PST_SPAN_NONE;
	check_span(pst_span_word(&rest), "");
	rest = exact("one");
	check_span(pst_span_word(&rest), "one");
	assert_int_equal(rest.len, 0);
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		int ret;
		uint64_t value;
	} rows[] = {
		{"0", 0, 0, 0},
		{"1", 0, -PST_E_RANGE, 0},
		{"007", 7, 0, 7},
		{"65535", 65535, 0, 65535},
		{"65536", 65535, -PST_E_RANGE, 0},
		{"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
		{"18446744073709551616", UINT64_MAX, -PST_E_RANGE, 0},
		{"18446744073709551625", UINT64_MAX, -PST_E_RANGE, 0},
		{"28446744073709551615", UINT64_MAX, -PST_E_RANGE, 0},
		{"99999999999999999999999999", UINT64_MAX, -PST_E_RANGE, 0},
		{"99999999999999999999999999x", UINT64_MAX, -PST_E_SYNTAX, 0},
		{"00000000000000000000000000000000001", 9, 0, 1},
		{"", 9, -PST_E_SYNTAX, 0},
		{"-1", 9, -PST_E_SYNTAX, 0},
		{"+1", 9, -PST_E_SYNTAX, 0},
		{" 1", 9, -PST_E_SYNTAX, 0},
		{"1 ", 9, -PST_E_SYNTAX, 0},
		{"0x1", 9, -PST_E_SYNTAX, 0},
		{":", 9, -PST_E_SYNTAX, 0},
		{"/", 9, -PST_E_SYNTAX, 0},
	};

	(void)state;
	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		uint64_t value = 4711;
		int ret = pst_span_u64(exact(rows[i].text), rows[i].max, &value);

		assert_int_equal(ret, rows[i].ret);
		assert_true(value == (ret ? 4711 : rows[i].value));
	}
}

static void classes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		uint8_t c = (uint8_t)i;
		bool digit = i >= 0x30 && i <= 0x39;
		bool upper = i >= 0x41 && i <= 0x5a;
		bool lower = i >= 0x61 && i <= 0x7a;

		assert_int_equal(pst_is_digit(c), digit);
		assert_int_equal(pst_is_alpha(c), upper || lower);
		assert_int_equal(pst_is_alnum(c), digit || upper || lower);
		assert_int_equal(pst_is_blank(c), i == 0x20 || i == 0x09);
		assert_int_equal(pst_is_print(c), i >= 0x20 && i < 0x7f);
		assert_int_equal(pst_lower(c), upper ? i + 0x20 : i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_and_literals),
		cmocka_unit_test(sub_is_cut_to_what_there_is),
		cmocka_unit_test(comparing),
		cmocka_unit_test(starts_and_ends),
		cmocka_unit_test(finding),
		cmocka_unit_test(trimming),
		cmocka_unit_test(words),
		cmocka_unit_test(numbers),
		cmocka_unit_test(classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
