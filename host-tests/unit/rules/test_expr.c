/* Expressions: what is understood, what it is worth, what is refused. Names: A=1 B=2 N=-3 H=1/2
 * Z=0. */
#include "rules/expr.h"
#include "support/check.h"

static const struct {
	const char *name;
	struct pst_rules_num value;
} NAMES[] = {
	{"A", {1, 1}},
	{"B", {2, 1}},
	{"N", {-3, 1}},
	{"H", {1, 2}},
	{"Z", {0, 1}},
	{"BIG", {INT32_MAX, 1}},
};

static int64_t find(struct pst_rules_expr_names *self, struct pst_span name)
{
	(void)self;
	for (uint32_t i = 0; i < PST_COUNT(NAMES); i++)
		if (pst_span_eq(name, pst_span_text(NAMES[i].name)))
			return i;
	return -PST_E_NOENT;
}

/* Every name, whatever the glob; "NONE*" matches nothing. */
static int64_t next_matching(struct pst_rules_expr_names *self, struct pst_span glob, uint32_t *at)
{
	(void)self;
	if (pst_span_starts_nocase(glob, PST_SPAN("NONE")) || *at == 3)
		return -PST_E_NOENT;
	return (*at)++;
}

static const char *refused;

static int compile(const char *text, struct pst_buf *code)
{
	struct pst_rules_expr_names names = {find, next_matching};

	return pst_rules_expr_compile(pst_span_text(text), &names, code, &refused);
}

static int evaluate(const char *text, struct pst_rules_num *out)
{
	struct pst_rules_num values[PST_COUNT(NAMES)];
	uint8_t area[4096];
	struct pst_buf code;
	int status;

	for (uint32_t i = 0; i < PST_COUNT(NAMES); i++)
		values[i] = NAMES[i].value;
	pst_buf_init(&code, area, sizeof(area));
	status = compile(text, &code);
	return status ? status : pst_rules_expr_eval(pst_buf_span(&code), values, out);
}

static void test_values(void **state)
{
	static const struct {
		const char *text;
		struct pst_rules_num value;
	} rows[] = {
		{"A", {1, 1}},
		{"UNKNOWN", {0, 1}},
		{"3", {3, 1}},
		{"0.25", {1, 4}},
		{"!A", {0, 1}},
		{"!Z", {1, 1}},
		{"!!B", {1, 1}},
		{"- A", {-1, 1}},
		{"- - A", {1, 1}},
		{"!A + B", {2, 1}},
		{"A+B", {3, 1}},
		{"B - A - A", {0, 1}},
		{"B * 3 + A", {7, 1}},
		{"A + B * 3", {7, 1}},
		{"(A + B) * 3", {9, 1}},
		{"A / 3 * 3 == 1", {1, 1}},
		{"B / 4", {1, 2}},
		{"H * 4", {2, 1}},
		{"A +- B", {-1, 1}},
		{"A > B", {0, 1}},
		{"B>=2", {1, 1}},
		{"A != B", {1, 1}},
		{"A<2", {1, 1}},
		{"H < 0.51", {1, 1}},
		{"N < Z", {1, 1}},
		/* the value that decided */
		{"B || A", {2, 1}},
		{"Z || B", {2, 1}},
		{"A && B", {2, 1}},
		{"Z && B", {0, 1}},
		{"A || Z && Z", {1, 1}},
		{"(A || Z) && Z", {0, 1}},
		{"Z || Z || B", {2, 1}},
		{"A && B && N", {-3, 1}},
		{"A ^ B", {3, 1}},
		{"A ^ A", {0, 1}},
		{"A ? B : N", {2, 1}},
		{"Z ? B : N", {-3, 1}},
		{"Z ? A : Z ? B : N", {-3, 1}},
		{"A ? Z ? 5 : 6 : 7", {6, 1}},
		{"(A && !Z) + (B > 1)", {2, 1}},
		/* chains, as Perl 5.32 has them */
		{"Z < A < B", {1, 1}},
		{"B > A > B", {0, 1}},
		{"B > A < 5 > 4", {1, 1}},
		{"A == A == B", {0, 1}},
		{"A == A != B", {1, 1}},
		{"A < B == 1", {1, 1}},
		{"rules_matching(X_*)", {0, 1}},
		{"rules_matching( X? ) + 2", {2, 1}},
		{"rules_matching(NONE*)", {0, 1}},
		{"rules_matching", {0, 1}},
		{"()", {0, 1}},
		{"( )", {0, 1}},
		{"((((A))))", {1, 1}},
		/* a division by zero that is never reached */
		{"Z && (A / Z)", {0, 1}},
		{"A\t&&\tB", {2, 1}},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_rules_num value = {-99, 1};

		if (evaluate(rows[i].text, &value))
			fail_msg("\"%s\" is refused: %s", rows[i].text, refused);
		if (value.n != rows[i].value.n || value.d != rows[i].value.d)
			fail_msg("\"%s\" is %d/%d", rows[i].text, value.n, value.d);
	}
}

static void test_refused(void **state)
{
	static const char *const rows[] = {
		"",
		" ",
		"A B",
		"A &&",
		"&& A",
		"A & B",
		"A | B",
		"A = B",
		"A -1",
		"A+1",
		"3A",
		"1.",
		".5",
		"A and B",
		"A or B",
		"not A",
		"A ++",
		"A -- B",
		"A ** B",
		"A * * B",
		"A % B",
		"$A",
		"A;B",
		"A::b",
		"A->b",
		"{A}",
		"(A",
		"A)",
		")",
		"A ? B",
		"A : B",
		"A ? : B",
		"? A : B",
		"A !",
		"! ",
		"A ! B",
		"A . B",
		"A()",
		"(A)(B)",
		"A (B)",
		"!",
		"1 2",
		"1234567890",
		"A:B",
		"== A",
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		uint8_t area[4096];
		struct pst_buf code;

		pst_buf_init(&code, area, sizeof(area));
		refused = NULL;
		if (compile(rows[i], &code) != -PST_E_SYNTAX || !refused)
			fail_msg("\"%s\" is taken", rows[i]);
	}
}

static void test_no_number(void **state)
{
	static const char *const rows[] = {
		"A / Z",
		"A / (B - 2)",
		"BIG * 2",
		"BIG + 1",
		"- BIG - BIG",
		"1 / BIG / 2",
		"0.3 / BIG",
	};
	struct pst_rules_num value;

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++)
		if (evaluate(rows[i], &value) != -PST_E_RANGE)
			fail_msg("\"%s\" has a value", rows[i]);
}

static void test_bounds(void **state)
{
	char text[4 * PST_RULES_EXPR_OPEN_MAX + 16];
	uint8_t area[4096];
	struct pst_buf code;
	uint32_t len = 0;

	(void)state;
	for (uint32_t i = 0; i < PST_RULES_EXPR_OPEN_MAX + 1; i++)
		text[len++] = '(';
	text[len++] = 'A';
	text[len] = 0;
	pst_buf_init(&code, area, sizeof(area));
	assert_int_equal(compile(text, &code), -PST_E_SYNTAX);
	/* operands that wait for their operator */
	len = 0;
	for (uint32_t i = 0; i < PST_RULES_EXPR_DEPTH_MAX + 1; i++) {
		memcpy(text + len, "A+(", 3);
		len += 3;
	}
	text[len++] = 'A';
	text[len] = 0;
	pst_buf_clear(&code);
	assert_int_equal(compile(text, &code), -PST_E_SYNTAX);
	pst_buf_init(&code, area, 12);
	assert_int_equal(compile("A && B && A", &code), -PST_E_FULL);
}

static void test_names(void **state)
{
	static const uint32_t wanted[] = {0, 1, 4, 0, 1, 2};
	uint8_t area[4096];
	struct pst_buf code;
	uint32_t at = 0;

	(void)state;
	pst_buf_init(&code, area, sizeof(area));
	assert_int_equal(compile("A < B < 3 && (Z || 4) + UNKNOWN + rules_matching(*)", &code), 0);
	for (uint32_t i = 0; i < PST_COUNT(wanted); i++)
		assert_int_equal(pst_rules_expr_next_name(pst_buf_span(&code), &at), wanted[i]);
	assert_int_equal(pst_rules_expr_next_name(pst_buf_span(&code), &at), -PST_E_NOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_number),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
