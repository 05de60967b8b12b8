/* test_path.c - the address grammar, row by row */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/path.h"

#define NUL_PATH PST_SMTP_PATH_NULL
#define QUOTED PST_SMTP_PATH_QUOTED
#define LITERAL PST_SMTP_PATH_LITERAL
#define UTF8 PST_SMTP_PATH_UTF8
#define BARE PST_SMTP_PATH_BARE
#define ROUTE PST_SMTP_PATH_ROUTE

/* A copy that ends where the span ends, for the sanitizers. */
static struct pst_span copy_of(struct pst_span span)
{
	uint8_t *copy = malloc(span.len + 1);

	assert_non_null(copy);
	memcpy(copy, span.at, span.len);
	return (struct pst_span){copy, span.len};
}

static void assert_span(struct pst_span got, const char *want, struct pst_span in)
{
	if (got.len != strlen(want) || (got.len && memcmp(got.at, want, got.len) != 0)) {
		print_error("%.*s: got \"%.*s\", want \"%s\"\n", (int)in.len, (const char *)in.at,
			    (int)got.len, (const char *)got.at, want);
		fail();
	}
}

struct good {
	struct pst_span in;
	const char *local, *domain, *rest;
	uint32_t flags;
};

static const struct good GOOD[] = {
	{PST_SPAN("<>"), "", "", "", NUL_PATH},
	{PST_SPAN("<> SIZE=1"), "", "", " SIZE=1", NUL_PATH},
	{PST_SPAN("<a@b>"), "a", "b", "", 0},
	{PST_SPAN("<a@b>x"), "a", "b", "x", 0},
	{PST_SPAN("<postmaster>"), "postmaster", "", "", BARE},
	{PST_SPAN("<\"a b\">"), "\"a b\"", "", "", BARE | QUOTED},
	{PST_SPAN("<a.b.c+d=e/f@b-c.d9.0a>"), "a.b.c+d=e/f", "b-c.d9.0a", "", 0},
	{PST_SPAN("<!#$%&'*+-/=?^_`{|}~@x>"), "!#$%&'*+-/=?^_`{|}~", "x", "", 0},
	{PST_SPAN("<\"\"@x>"), "\"\"", "x", "", QUOTED},
	{PST_SPAN("<\"quoted local\"@x>"), "\"quoted local\"", "x", "", QUOTED},
	{PST_SPAN("<\"a\\\\b\\\"c\"@x>"), "\"a\\\\b\\\"c\"", "x", "", QUOTED},
	{PST_SPAN("<\"a>b@c,d:e\"@x>"), "\"a>b@c,d:e\"", "x", "", QUOTED},
	{PST_SPAN("<@r.example:a@b>"), "a", "b", "", ROUTE},
	{PST_SPAN("<@r.example,@[192.0.2.1],@s:\"x\"@b>"), "\"x\"", "b", "", ROUTE | QUOTED},
	{PST_SPAN("<a@[192.0.2.1]>"), "a", "[192.0.2.1]", "", LITERAL},
	{PST_SPAN("<a@[IPv6:2001:db8::1]>"), "a", "[IPv6:2001:db8::1]", "", LITERAL},
	{PST_SPAN("<a@[ipV6:1:2:3:4:5:6:7:8]>"), "a", "[ipV6:1:2:3:4:5:6:7:8]", "", LITERAL},
	{PST_SPAN("<a@[IPv6:::]>"), "a", "[IPv6:::]", "", LITERAL},
	{PST_SPAN("<a@[IPv6:1:2:3:4:5:6::]>"), "a", "[IPv6:1:2:3:4:5:6::]", "", LITERAL},
	{PST_SPAN("<a@[IPv6:::3:4:5:6:7:8]>"), "a", "[IPv6:::3:4:5:6:7:8]", "", LITERAL},
	{PST_SPAN("<a@[IPv6:1:2:3:4:5:6:192.0.2.1]>"), "a", "[IPv6:1:2:3:4:5:6:192.0.2.1]", "",
	 LITERAL},
	{PST_SPAN("<a@[IPv6:1:2::3:4:192.0.2.1]>"), "a", "[IPv6:1:2::3:4:192.0.2.1]", "", LITERAL},
	{PST_SPAN("<\xc3\xa9@b>"), "\xc3\xa9", "b", "", UTF8},
	{PST_SPAN("<a@\xe6\x97\xa5.\xf0\x9f\x98\x80>"), "a", "\xe6\x97\xa5.\xf0\x9f\x98\x80", "",
	 UTF8},
	{PST_SPAN("<\"\xc3\xa9 x\"@b>"), "\"\xc3\xa9 x\"", "b", "", UTF8 | QUOTED},
	{PST_SPAN("<a@xn--80aalaxjd5d.xn--c1avg>"), "a", "xn--80aalaxjd5d.xn--c1avg", "", 0},
};

static void test_good_paths(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(GOOD); i++) {
		struct pst_span in = copy_of(GOOD[i].in), rest;
		struct pst_smtp_path path;
		char mailbox[600];
		int ret = pst_smtp_path_parse(in, &path, &rest);

		if (ret)
			print_error("refused: %.*s\n", (int)in.len, (const char *)GOOD[i].in.at);
		assert_int_equal(ret, 0);
		assert_span(path.local, GOOD[i].local, in);
		assert_span(path.domain, GOOD[i].domain, in);
		assert_span(rest, GOOD[i].rest, in);
		assert_int_equal(path.flags, GOOD[i].flags);
		strcpy(mailbox, GOOD[i].local);
		if (*GOOD[i].domain) {
			strcat(mailbox, "@");
			strcat(mailbox, GOOD[i].domain);
		}
		assert_span(path.mailbox, mailbox, in);
		assert_int_equal(path.address.family != PST_FAMILY_NONE,
				 (GOOD[i].flags & LITERAL) != 0);
		if (!(GOOD[i].flags & NUL_PATH)) {
			struct pst_smtp_path again;

			/* the mailbox alone says the same, but for the route */
			assert_int_equal(pst_smtp_mailbox_parse(path.mailbox, &again), 0);
			assert_int_equal(again.flags, path.flags & ~(uint32_t)ROUTE);
			assert_ptr_equal(again.domain.at, path.domain.at);
		}
		free((void *)(uintptr_t)in.at);
	}
}

static const struct pst_span BAD[] = {
	PST_SPAN(""), PST_SPAN("<"), PST_SPAN(">"), PST_SPAN("a@b"), PST_SPAN("<a@b"),
	PST_SPAN("< >"), PST_SPAN("< a@b>"), PST_SPAN("<a@b >"), PST_SPAN("<a b@c>"),
	PST_SPAN("<a@@b>"), PST_SPAN("<@b>"), PST_SPAN("<a@>"), PST_SPAN("<a@b@c>"),
	PST_SPAN("<a..b@c>"), PST_SPAN("<.a@c>"), PST_SPAN("<a.@c>"), PST_SPAN("<.>"),
	PST_SPAN("<a@b..c>"), PST_SPAN("<a@.b>"), PST_SPAN("<a@b.>"), PST_SPAN("<a@-b>"),
	PST_SPAN("<a@b->"), PST_SPAN("<a@b-.c>"), PST_SPAN("<a@b.-c>"), PST_SPAN("<a@b_c>"),
	PST_SPAN("<a@b#>"), PST_SPAN("<a@b+c@d>"), PST_SPAN("<(c)a@b>"), PST_SPAN("<a(c)@b>"),
	PST_SPAN("<a@b(c)>"), PST_SPAN("<<a@b>>"), PST_SPAN("<a,b@c>"), PST_SPAN("<a:b@c>"),
	PST_SPAN("<a;b@c>"), PST_SPAN("<a\\b@c>"), PST_SPAN("<a\"b\"@c>"), PST_SPAN("<\"a\"b@c>"),
	PST_SPAN("<\"a\".b@c>"), PST_SPAN("<\"a@c>"), PST_SPAN("<\"a\\\"@c>"),
	PST_SPAN("<\"a\\"), PST_SPAN("<\"a\\\x01\"@c>"), PST_SPAN("<\"a\tb\"@c>"),
	PST_SPAN("<\"a\\\xc3\xa9\"@c>"), PST_SPAN("<a\tb@c>"), PST_SPAN("<a\x7f@c>"),
	PST_SPAN("<\"\x7f\"@c>"), PST_SPAN("<a\0b@c>"), PST_SPAN("<a@b\0>"),
	/* routes */
	PST_SPAN("<@r:>"), PST_SPAN("<@r a@b>"), PST_SPAN("<@r,a@b>"), PST_SPAN("<@r,:a@b>"),
	PST_SPAN("<@:a@b>"), PST_SPAN("<@[1.2.3]:a@b>"), PST_SPAN("<@r,@:a@b>"),
	/* literals */
	PST_SPAN("<a@[]>"), PST_SPAN("<a@[192.0.2]>"), PST_SPAN("<a@[192.0.2.256]>"),
	PST_SPAN("<a@[192.0.2.1>"), PST_SPAN("<a@192.0.2.1]>"), PST_SPAN("<a@[192.0.2.01]>"),
	PST_SPAN("<a@[ 192.0.2.1]>"), PST_SPAN("<a@[192.0.2.1]x>"), PST_SPAN("<a@[2001:db8::1]>"),
	PST_SPAN("<a@[IPv6:192.0.2.1]>"), PST_SPAN("<a@[IPv6:]>"), PST_SPAN("<a@[IPv6:1::2::3]>"),
	PST_SPAN("<a@[IPv6:12345::]>"), PST_SPAN("<a@[IPv6:1:2:3:4:5:6:7]>"),
	PST_SPAN("<a@[IPv6:1:2:3:4:5:6:7:8:9]>"), PST_SPAN("<a@[IPv6:fe80::1%eth0]>"),
	PST_SPAN("<a@[tag:content]>"), PST_SPAN("<a@[IPv6:::1]]>"), PST_SPAN("<[192.0.2.1]>"),
	/* RFC 5321: "::" stands for two groups at least */
	PST_SPAN("<a@[IPv6:1:2:3:4:5:6:7::]>"), PST_SPAN("<a@[IPv6:::2:3:4:5:6:7:8]>"),
	PST_SPAN("<a@[IPv6:1::3:4:5:6:7:8]>"), PST_SPAN("<a@[IPv6:1:2:3::4:5:192.0.2.1]>"),
	/* UTF-8: overlong, surrogate, too high, cut, stray */
	PST_SPAN("<\xc0\xaf@b>"), PST_SPAN("<\xc1\xbf@b>"), PST_SPAN("<\xe0\x9f\xbf@b>"),
	PST_SPAN("<\xf0\x8f\xbf\xbf@b>"), PST_SPAN("<\xed\xa0\x80@b>"),
	PST_SPAN("<\xf4\x90\x80\x80@b>"), PST_SPAN("<\xf5\x80\x80\x80@b>"), PST_SPAN("<\xe6\x97@b>"),
	PST_SPAN("<\xc3"), PST_SPAN("<\xf0\x9f\x98"), PST_SPAN("<\x80@b>"), PST_SPAN("<a@\xff>"),
	PST_SPAN("<a@\xc3\xa9\xe9>"),
};

static void test_bad_paths(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(BAD); i++) {
		struct pst_span in = copy_of(BAD[i]), rest;
		struct pst_smtp_path path;
		int ret = pst_smtp_path_parse(in, &path, &rest);

		if (ret != -PST_E_SYNTAX)
			print_error("%d for row %u: %.*s\n", ret, i, (int)in.len,
				    (const char *)BAD[i].at);
		assert_int_equal(ret, -PST_E_SYNTAX);
		free((void *)(uintptr_t)in.at);
	}
}

static void test_mailboxes(void **state)
{
	static const struct {
		struct pst_span in;
		int ret;
	} rows[] = {
		{PST_SPAN("a@b"), 0},
		{PST_SPAN("postmaster"), 0},
		{PST_SPAN(""), -PST_E_SYNTAX},
		{PST_SPAN("<a@b>"), -PST_E_SYNTAX},
		{PST_SPAN("a@b "), -PST_E_SYNTAX},
		{PST_SPAN("foo@example.com+bob@attacker.com"), -PST_E_SYNTAX},
		{PST_SPAN("@r:a@b"), -PST_E_SYNTAX},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_smtp_path path;

		assert_int_equal(pst_smtp_mailbox_parse(rows[i].in, &path), rows[i].ret);
	}
}

/* Builds "<" local "@" domain ">" of given lengths; labels of `label` octets. */
static int parse_sized(uint32_t local_len, uint32_t domain_len, uint32_t label)
{
	uint8_t text[2048];
	uint32_t len = 0;
	struct pst_smtp_path path;
	struct pst_span rest;

	text[len++] = '<';
	memset(text + len, 'l', local_len);
	len += local_len;
	text[len++] = '@';
	for (uint32_t i = 0; i < domain_len; i++)
		text[len++] = (i + 1) % (label + 1) == 0 ? '.' : 'd';
	text[len++] = '>';
	return pst_smtp_path_parse((struct pst_span){text, len}, &path, &rest);
}

static void test_limits(void **state)
{
	uint8_t text[1024];
	struct pst_smtp_path path;
	struct pst_span rest;
	uint32_t len = 0;

	(void)state;
	assert_int_equal(parse_sized(64, 10, 63), 0);
	assert_int_equal(parse_sized(PST_SMTP_LOCAL_MAX, 10, 63), 0);
	assert_int_equal(parse_sized(PST_SMTP_LOCAL_MAX + 1, 10, 63), -PST_E_RANGE);
	assert_int_equal(parse_sized(1, 63, 63), 0);
	assert_int_equal(parse_sized(1, 64, 64), -PST_E_RANGE);
	assert_int_equal(parse_sized(1, PST_SMTP_DOMAIN_MAX, 63), 0);
	assert_int_equal(parse_sized(1, PST_SMTP_DOMAIN_MAX + 1, 62), -PST_E_RANGE);
	/* 256 + 1 + 255 octets between the brackets are just the limit of a path */
	assert_int_equal(parse_sized(PST_SMTP_LOCAL_MAX, PST_SMTP_DOMAIN_MAX, 63), 0);
	/* too long and wrong is wrong */
	assert_int_equal(parse_sized(1000, 0, 63), -PST_E_SYNTAX);

	/* a route counts towards the path */
	text[len++] = '<';
	for (uint32_t i = 0; i < 130; i++) {
		memcpy(text + len, ",@r", 3);
		if (i == 0)
			memcpy(text + len, "@rr", 3);
		len += 3;
	}
	memcpy(text + len, ":a@b>", 5);
	assert_int_equal(pst_smtp_path_parse((struct pst_span){text, len + 5}, &path, &rest), 0);
	for (uint32_t i = 0; i < 45; i++) {
		memcpy(text + len, ",@r", 3);
		len += 3;
	}
	memcpy(text + len, ":a@b>", 5);
	assert_int_equal(pst_smtp_path_parse((struct pst_span){text, len + 5}, &path, &rest),
			 -PST_E_RANGE);
}

static void test_domains(void **state)
{
	static const struct {
		struct pst_span in;
		bool utf8;
		int ret;
	} rows[] = {
		{PST_SPAN("a"), false, 0},
		{PST_SPAN("mx.example.org"), false, 0},
		{PST_SPAN("[192.0.2.1]"), false, 0},
		{PST_SPAN("[IPv6:::1]"), false, 0},
		{PST_SPAN("192.0.2.1"), false, 0},
		{PST_SPAN(""), false, -PST_E_SYNTAX},
		{PST_SPAN("a_b"), false, -PST_E_SYNTAX},
		{PST_SPAN("a."), false, -PST_E_SYNTAX},
		{PST_SPAN("[a"), false, -PST_E_SYNTAX},
		{PST_SPAN("a b"), false, -PST_E_SYNTAX},
		{PST_SPAN("\xc3\xa9.example"), false, -PST_E_SYNTAX},
		{PST_SPAN("\xc3\xa9.example"), true, 0},
		{PST_SPAN("ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"), false,
		 -PST_E_RANGE},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++)
		assert_int_equal(pst_smtp_domain_check(rows[i].in, rows[i].utf8), rows[i].ret);
}

static void test_literal_address(void **state)
{
	struct pst_smtp_path path;
	static const uint8_t ipv4[4] = {192, 0, 2, 1};
	static const uint8_t ipv6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

	(void)state;
	assert_int_equal(pst_smtp_mailbox_parse(PST_SPAN("a@[192.0.2.1]"), &path), 0);
	assert_int_equal(path.address.family, PST_FAMILY_IPV4);
	assert_memory_equal(path.address.ip, ipv4, 4);
	assert_int_equal(pst_smtp_mailbox_parse(PST_SPAN("a@[IPv6:2001:db8::1]"), &path), 0);
	assert_int_equal(path.address.family, PST_FAMILY_IPV6);
	assert_memory_equal(path.address.ip, ipv6, 16);
	assert_int_equal(path.address.port, 0);
}

static void test_local_part(void **state)
{
	static const struct {
		struct pst_span in;
		const char *plain;
		bool routes;
	} rows[] = {
		{PST_SPAN("a@b"), "a", false},
		{PST_SPAN("a+x=y@b"), "a+x=y", false},
		{PST_SPAN("a%c.example@b"), "a%c.example", true},
		{PST_SPAN("c!a@b"), "c!a", true},
		{PST_SPAN("\"a@c\"@b"), "a@c", true},
		{PST_SPAN("\"a\\@c\"@b"), "a@c", true},
		{PST_SPAN("\"a\\%c\"@b"), "a%c", true},
		{PST_SPAN("\"\\!\"@b"), "!", true},
		{PST_SPAN("\"a\\\\\\\"b\"@c"), "a\\\"b", false},
		{PST_SPAN("\"\"@c"), "", false},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		uint8_t area[PST_SMTP_LOCAL_MAX];
		struct pst_smtp_path path;

		assert_int_equal(pst_smtp_mailbox_parse(rows[i].in, &path), 0);
		assert_int_equal(pst_smtp_local_routes(&path), rows[i].routes);
		assert_span(pst_smtp_local_plain(&path, area), rows[i].plain, rows[i].in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_paths),
		cmocka_unit_test(test_bad_paths),
		cmocka_unit_test(test_mailboxes),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_literal_address),
		cmocka_unit_test(test_local_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
