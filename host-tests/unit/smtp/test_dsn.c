/* test_dsn.c - what RFC 3461 allows as a parameter's value */
#include "support/check.h"

#include "smtp/dsn.h"

struct row {
	const char *value;
	bool good;
};

static const struct row RETS[] = {
	{"FULL", true}, {"hdrs", true}, {"", false}, {"BODY", false}, {"FULL,HDRS", false},
};

static const struct row ENVIDS[] = {
	{"QQ314159", true}, {"a+2Bb+3D", true}, {"a+2bb", true}, {"<x@y>", true}, {"", false},
	{"+", false}, {"a+2", false}, {"a+2G", false}, {"a=b", false}, {"a b", false},
	{"a\x7f", false}, {"\xc3\xa9", false},
};

static const struct row NOTIFIES[] = {
	{"NEVER", true}, {"never", true}, {"SUCCESS", true}, {"FAILURE", true}, {"DELAY", true},
	{"SUCCESS,FAILURE,DELAY", true}, {"delay,Success", true}, {"", false}, {"ALWAYS", false},
	{"NEVER,SUCCESS", false}, {"SUCCESS,NEVER", false}, {"SUCCESS,", false},
	{",SUCCESS", false}, {"SUCCESS,,DELAY", false}, {"SUCCESS, DELAY", false},
	{"SUCCESS,FAILURE,DELAY,DELAY", false},
};

static const struct row ORCPTS[] = {
	{"rfc822;bob@example.org", true}, {"rfc822;bob+2Bx@example.org", true}, {"x-y;z", true},
	{"utf-8;b\\x{E9}b@example.org", true}, {"", false}, {"rfc822", false}, {";x", false},
	{"rfc822;", false}, {"rfc 822;x", false}, {"rfc.822;x", false}, {"rfc822;a b", false},
	{"rfc822;a=b", false}, {"rfc822;a+b@c", false}, {"utf-8;b\xc3\xa9" "b@example.org", false},
};

static const struct row ORCPTS_UTF8[] = {
	{"rfc822;bob@example.org", true}, {"utf-8;b\xc3\xa9" "b@example.org", true},
	{"UTF-8;\xc3\xa9", true}, {"rfc822;b\xc3\xa9" "b@example.org", false},
	{"\xc3\xa9" ";b", false},
};

static bool orcpt_ascii(struct pst_span value)
{
	return pst_smtp_orcpt_check(value, false);
}

static bool orcpt_utf8(struct pst_span value)
{
	return pst_smtp_orcpt_check(value, true);
}

static void check_rows(const struct row *rows, uint32_t count, bool (*check)(struct pst_span value))
{
	for (uint32_t i = 0; i < count; i++) {
		if (check(pst_span_text(rows[i].value)) != rows[i].good)
			fail_msg("\"%s\" is %s", rows[i].value, rows[i].good ? "good" : "bad");
	}
}

static void test_values(void **state)
{
	(void)state;
	check_rows(RETS, PST_COUNT(RETS), pst_smtp_ret_check);
	check_rows(ENVIDS, PST_COUNT(ENVIDS), pst_smtp_envid_check);
	check_rows(NOTIFIES, PST_COUNT(NOTIFIES), pst_smtp_notify_check);
	check_rows(ORCPTS, PST_COUNT(ORCPTS), orcpt_ascii);
	check_rows(ORCPTS_UTF8, PST_COUNT(ORCPTS_UTF8), orcpt_utf8);
}

static void test_lengths(void **state)
{
	static const uint8_t text[] = {'a', ';', [2 ... PST_SMTP_ORCPT_MAX] = 'x'};

	(void)state;
	assert_true(pst_smtp_envid_check((struct pst_span){text, PST_SMTP_ENVID_MAX}));
	assert_false(pst_smtp_envid_check((struct pst_span){text, PST_SMTP_ENVID_MAX + 1}));
	assert_true(orcpt_ascii((struct pst_span){text, PST_SMTP_ORCPT_MAX}));
	assert_false(orcpt_ascii((struct pst_span){text, PST_SMTP_ORCPT_MAX + 1}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
