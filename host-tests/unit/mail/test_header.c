/* test_header.c - walking header fields, and knowing the forged ones */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mail/header.h"

/* Each field as `name=value;`, then what ended the header as `|rest`. */
static void test_walk(void **state)
{
	static const struct {
		struct pst_span in;
		const char *trace;
	} rows[] = {
		{PST_SPAN(""), "|"},
		{PST_SPAN("\r\nbody\r\n"), "|\r\nbody\r\n"},
		{PST_SPAN("A: b\r\nC: d\r\n\r\nbody\r\n"), "A= b;C= d;|\r\nbody\r\n"},
		{PST_SPAN("A: b\r\n"), "A= b;|"},
		{PST_SPAN("A: b"), "A= b;|"},
		{PST_SPAN("A: b\r"), "A= b\r;|"},
		{PST_SPAN("A:\r\n"), "A=;|"},
		{PST_SPAN("A:b\r\n c\r\n\td\r\nE:f\r\n"), "A=b\r\n c\r\n\td;E=f;|"},
		{PST_SPAN("A:b\r\n \r\nC:d\r\n"), "A=b\r\n ;C=d;|"},
		{PST_SPAN("A \t: b\r\n"), "A= b;|"},
		{PST_SPAN("A: b\r\nno field\r\nC: d\r\n"), "A= b;|no field\r\nC: d\r\n"},
		{PST_SPAN(" A: b\r\n"), "| A: b\r\n"},
		{PST_SPAN("From a@b Mon Jan 1\r\nA: b\r\n"), "|From a@b Mon Jan 1\r\nA: b\r\n"},
		{PST_SPAN(": b\r\n"), "|: b\r\n"},
		{PST_SPAN("A\r\n: b\r\n"), "|A\r\n: b\r\n"},
		{PST_SPAN("\xc3\xa9: b\r\n"), "|\xc3\xa9: b\r\n"},
		{PST_SPAN("A: \xff\x01\r\n"), "A= \xff\x01;|"},
		/* a lone LF can not come out of the decoder; it would end nothing */
		{PST_SPAN("A: b\nC: d\r\n"), "A= b\nC: d;|"},
		{PST_SPAN("..A: b\r\n"), "..A= b;|"},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		uint8_t *copy = malloc(rows[i].in.len + 1);
		struct pst_span rest = {copy, rows[i].in.len};
		struct pst_mail_field field;
		const uint8_t *at = copy;
		char trace[256];
		size_t len = 0;

		assert_non_null(copy);
		memcpy(copy, rows[i].in.at, rows[i].in.len);
		while (pst_mail_header_next(&rest, &field)) {
			assert_ptr_equal(field.whole.at, at);
			assert_ptr_equal(field.name.at, at);
			at += field.whole.len;
			len += (size_t)snprintf(trace + len, sizeof(trace) - len, "%.*s=%.*s;",
						(int)field.name.len, (const char *)field.name.at,
						(int)field.value.len, (const char *)field.value.at);
		}
		if (rest.len)
			assert_ptr_equal(rest.at, at);
		snprintf(trace + len, sizeof(trace) - len, "|%.*s", (int)rest.len,
			 rest.len ? (const char *)rest.at : "");
		assert_string_equal(trace, rows[i].trace);
		free(copy);
	}
}

static void test_field_starts(void **state)
{
	static const struct {
		struct pst_span line;
		bool starts;
	} rows[] = {
		{PST_SPAN("A:"), true},	      {PST_SPAN("Subject: x"), true},
		{PST_SPAN("X-Y_z.1 : "), true}, {PST_SPAN(""), false},
		{PST_SPAN(":"), false},	      {PST_SPAN(" A:"), false},
		{PST_SPAN("A"), false},	      {PST_SPAN("A B:"), false},
		{PST_SPAN("A\r\n:"), false},    {PST_SPAN("\x7f:"), false},
		{PST_SPAN("\0:"), false},	      {PST_SPAN("http://x"), true},
	};
	uint8_t line[260];

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++)
		assert_int_equal(pst_mail_field_starts(rows[i].line), rows[i].starts);
	memset(line, 'n', sizeof(line));
	line[256] = ':';
	assert_true(pst_mail_field_starts((struct pst_span){line, 257}));
	line[256] = 'n';
	line[257] = ':';
	assert_false(pst_mail_field_starts((struct pst_span){line, 258}));
}

static void test_authserv_id(void **state)
{
	static const struct {
		const char *value, *id;
	} rows[] = {
		{" mx.example.org; spf=pass", "mx.example.org"},
		{"mx.example.org", "mx.example.org"},
		{" mx.example.org 1; none", "mx.example.org"},
		{"\r\n\tmx.example.org;", "mx.example.org"},
		{" (by (nested \\) us)) mx.example.org;", "mx.example.org"},
		{" \"mx.example.org\" ; none", "mx.example.org"},
		{" \"a\\\"b\"; none", "a\\\"b"},
		{" mx.example.org(comment); none", "mx.example.org"},
		{"", ""},
		{" ;", ""},
		{" (open", ""},
		{" (open\\", ""},
		{" \"open", ""},
		{" \"open\\", ""},
		{" \"\"", ""},
		{" \xc3\xa9.example; none", "\xc3\xa9.example"},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_span id = pst_mail_authserv_id(pst_span_text(rows[i].value));

		assert_int_equal(id.len, strlen(rows[i].id));
		assert_memory_equal(id.len ? (const char *)id.at : "", rows[i].id, id.len);
	}
}

static void test_forged(void **state)
{
	static const struct {
		const char *field;
		bool forged;
	} rows[] = {
		{"X-Spam-Flag: YES", true},
		{"x-spam-status : No", true},
		{"X-Spam-: x", true},
		{"X-Spam: x", false},
		{"X-Spammer: x", false},
		{"XX-Spam-Flag: x", false},
		{"Authentication-Results: mx.example.org; spf=pass", true},
		{"AUTHENTICATION-RESULTS:MX.Example.Org;spf=pass", true},
		{"Authentication-Results: (x) mx.example.org 1; spf=pass", true},
		{"Authentication-Results:\r\n \"mx.example.org\"; spf=pass", true},
		{"Authentication-Results: \"mx\\.example.org\"; spf=pass", true},
		{"Authentication-Results: \"\r\n mx.example.org\"; spf=pass", true},
		{"Authentication-Results: mx.example.org.; spf=pass", true},
		{"Authentication-Results: mx.example.org..; spf=pass", false},
		{"Authentication-Results: mx.example.orgx; spf=pass", false},
		{"Authentication-Results: mx.example.or; spf=pass", false},
		{"Authentication-Results: other.example; spf=pass", false},
		{"Authentication-Results: ; mx.example.org", false},
		{"ARC-Authentication-Results: i=1; mx.example.org; spf=pass", false},
		{"Authentication-Results-X: mx.example.org; spf=pass", false},
		{"Received: from mx.example.org", false},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_span rest = pst_span_text(rows[i].field);
		struct pst_mail_field field;

		assert_true(pst_mail_header_next(&rest, &field));
		assert_int_equal(rest.len, 0);
		if (pst_mail_field_forged(&field, PST_SPAN("mx.example.org")) != rows[i].forged)
			print_error("%s\n", rows[i].field);
		assert_int_equal(pst_mail_field_forged(&field, PST_SPAN("mx.example.org")),
				 rows[i].forged);
		assert_false(rows[i].field[0] == 'A' &&
			     pst_mail_field_forged(&field, PST_SPAN_NONE));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_field_starts),
		cmocka_unit_test(test_authserv_id),
		cmocka_unit_test(test_forged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
