/* test_rule_text.c - shapes, decoded values, addresses, dates and Received fields as rules see them */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mail/address.h"
#include "mail/date.h"
#include "mail/shape.h"
#include "mail/word.h"

static void assert_span(struct pst_span span, const char *text)
{
	assert_int_equal(span.len, strlen(text));
	assert_memory_equal(span.at ? span.at : (const uint8_t *)"", text, span.len);
}

static void test_shape(void **state)
{
	static const struct {
		const char *shape, *text;
		bool fits;
	} rows[] = {
		{"a%d+b", "a12b", true}, {"a%d+b", "ab", false}, {"<x|yz>%$", "yz", true},
		{"<x|yz>%$", "yzz", false}, {"%s+ (%i)%$", "h (192.0.2.1)", true},
		{"%s+ (%i)%$", "h (192.0.2.256)", false}, {"[%i]%$", "[IPv6:2001:db8::1]", true},
		{"%d:2-3;%$", "1234", false}, {"%[^a-c]*%$", "xyz", true}, {"%w+%b.", "ab.", true},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++)
		assert_int_equal(pst_shape_match(rows[i].shape, pst_span_text(rows[i].text), NULL), rows[i].fits);
}

static void test_value(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"plain", "plain"},
		{"=?iso-8859-1?Q?caf=E9_x?=", "caf\xc3\xa9 x"},
		{"=?utf-8?B?w6k=?= =?utf-8?B?w6k=?= z", "\xc3\xa9\xc3\xa9 z"},
		{"=?utf-8?Q?=C3?= =?utf-8?Q?=A9?=", "\xc3\xa9"},
		{"caf\xe9", "caf\xc3\xa9"},
		{"=?broken", "=?broken"},
	};
	uint8_t area[512];

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_buf buf;

		pst_buf_init(&buf, area, sizeof(area));
		assert_int_equal(pst_mail_value_decode(pst_span_text(rows[i].in), true, NULL, &buf), 0);
		assert_span(pst_buf_span(&buf), rows[i].out);
	}
}

static void test_addresses(void **state)
{
	static const struct {
		const char *in, *address, *phrase;
	} rows[] = {
		{"a@b.example", "a@b.example", ""},
		{"\"Jo, Doe\" <a@b.example>", "a@b.example", "Jo, Doe"},
		{"a@b.example (Jo Doe)", "a@b.example", "Jo Doe"},
		{"friends: a@b.example;", "a@b.example", ""},
		{"Nobody", "", "Nobody"},
	};
	uint8_t area[512];

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_mail_addresses addresses;
		struct pst_mail_address one;
		struct pst_buf buf;

		pst_buf_init(&buf, area, sizeof(area));
		assert_int_equal(pst_mail_addresses_init(&addresses, pst_span_text(rows[i].in), &buf), 0);
		assert_true(pst_mail_addresses_next(&addresses, &one));
		assert_span(one.address, rows[i].address);
		assert_int_equal(pst_span_starts_nocase(one.phrase, pst_span_text(rows[i].phrase)), 1);
		assert_false(pst_mail_addresses_next(&addresses, &one));
	}
}

static void test_date(void **state)
{
	int64_t at;

	(void)state;
	assert_int_equal(pst_mail_date_parse(PST_SPAN("Tue, 3 Sep 2002 14:18:55 -0700"), &at), 0);
	assert_int_equal(at, 1031087935);
	assert_int_equal(pst_mail_date_parse(PST_SPAN("1 Jan 70 00:00 GMT"), &at), 0);
	assert_int_equal(at, 0);
	assert_int_equal(pst_mail_date_parse(PST_SPAN("yesterday"), &at), -PST_E_SYNTAX);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shape),
		cmocka_unit_test(test_value),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
