/* test_addr.c - addresses and networks: texts in and out */
#include "support/check.h"

#include <arpa/inet.h>

#include "base/addr.h"
#include "support/rng_seed.h"

static const char *text_of(void (*put)(struct pst_buf *, const struct pst_addr *),
	const struct pst_addr *addr)
{
	static char area[PST_ADDR_TEXT_MAX + 1];
	struct pst_buf buf;

	pst_buf_init(&buf, area, PST_ADDR_TEXT_MAX);
	put(&buf, addr);
	area[buf.len] = '\0';
	return area;
}

/* What is read, and how it is written again; NULL: not an address. */
struct row {
	const char *in, *out;
};

static void check_rows(const struct row *rows, size_t count, int (*parse)(struct pst_span,
	struct pst_addr *), void (*put)(struct pst_buf *, const struct pst_addr *))
{
	for (size_t i = 0; i < count; i++) {
		struct pst_addr addr = {.family = 99};
		int ret = parse(pst_span_text(rows[i].in), &addr);

		if (rows[i].out) {
			if (ret)
				print_error("refused: %s\n", rows[i].in);
			assert_int_equal(ret, 0);
			assert_string_equal(text_of(put, &addr), rows[i].out);
		} else {
			if (ret != -PST_E_SYNTAX)
				print_error("taken: %s\n", rows[i].in);
			assert_int_equal(ret, -PST_E_SYNTAX);
			assert_int_equal(addr.family, 99);
		}
	}
}

static void ipv4_texts(void **state)
{
	static const struct row rows[] = {
		{"0.0.0.0", "0.0.0.0"},
		{"192.0.2.1", "192.0.2.1"},
		{"255.255.255.255", "255.255.255.255"},
		{"1.20.100.0", "1.20.100.0"},
		{"", NULL}, {".", NULL}, {"1", NULL}, {"1.2", NULL}, {"1.2.3", NULL},
		{"1.2.3.", NULL}, {"1.2.3.4.", NULL}, {"1.2.3.4.5", NULL}, {".1.2.3.4", NULL},
		{"1..2.3", NULL}, {"256.0.0.1", NULL}, {"1.2.3.256", NULL}, {"1.2.3.999", NULL},
		{"1.2.3.1000", NULL}, {"01.2.3.4", NULL}, {"1.2.3.04", NULL}, {"00.0.0.0", NULL},
		{"0x1.2.3.4", NULL}, {"1.2.3.a", NULL}, {" 1.2.3.4", NULL}, {"1.2.3.4 ", NULL},
		{"1.2.3.-4", NULL}, {"+1.2.3.4", NULL}, {"1,2.3.4", NULL}, {"1.2.3.4/8", NULL},
		{"4294967295.1.1.1", NULL}, {"4294967297.1.1.1", NULL},
	};

	(void)state;
	check_rows(rows, PST_COUNT(rows), pst_addr_parse, pst_addr_put);
}

static void ipv6_texts(void **state)
{
	static const struct row rows[] = {
		{"::", "::"},
		{"::1", "::1"},
		{"1::", "1::"},
		{"2001:DB8::1", "2001:db8::1"},
		{"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"0:0:0:0:0:0:0:0", "::"},
		{"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
		{"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
		{"1:2::7:8", "1:2::7:8"},
		{"0001:02::0:8", "1:2::8"},
		{"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
		{"1:2:3:4:5:6:192.0.2.1", "1:2:3:4:5:6:c000:201"},
		{"::192.0.2.1", "::c000:201"},
		/* Mapped: one client, one name. */
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"::FFFF:c000:0201", "192.0.2.1"},
		{"0:0:0:0:0:ffff:0.0.0.0", "0.0.0.0"},
		{":", NULL}, {":::", NULL}, {"::1::", NULL}, {"1::2::3", NULL}, {":1", NULL},
		{"1:", NULL}, {":1:2:3:4:5:6:7:8", NULL}, {"1:2:3:4:5:6:7:8:", NULL},
		{"1:2:3:4:5:6:7", NULL}, {"1:2:3:4:5:6:7:8:9", NULL}, {"1:2:3:4:5:6:7:8::", NULL},
		{"::1:2:3:4:5:6:7:8", NULL}, {"1:2:3:4::5:6:7:8", NULL}, {"12345::", NULL},
		{"00001::", NULL}, {"g::", NULL}, {"fe80::1%eth0", NULL}, {"[::1]", NULL},
		{"::1/128", NULL}, {" ::1", NULL}, {"::1 ", NULL}, {"1:2:3:4:5:6:7:192.0.2.1", NULL},
		{"1:2:3:4:5:192.0.2.1", NULL}, {"::192.0.2", NULL}, {"::192.0.2.256", NULL},
		{"::192.0.2.01", NULL}, {"192.0.2.1::", NULL}, {"::1.2.3.4:5", NULL},
		{"::ffff:1.2.3.4.5", NULL}, {"1:2:3:4:5:6::192.0.2.1", NULL}, {"::a.2.3.4", NULL},
		{"IPv6:::1", NULL}, {"1:::2", NULL}, {"-1::", NULL},
	};

	(void)state;
	check_rows(rows, PST_COUNT(rows), pst_addr_parse, pst_addr_put);
}

/* The recommendations of RFC 5952 section 4, one by one. */
static void rfc5952_output(void **state)
{
	static const struct row rows[] = {
		{"2001:0db8::0001", "2001:db8::1"},                     /* 4.1 */
		{"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},              /* 4.2.1 */
		{"2001:db8::0:1", "2001:db8::1"},                       /* 4.2.1 */
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},       /* 4.2.2 */
		{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},                /* 4.2.3 */
		{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},          /* 4.2.3 */
		{"2001:DB8::AAAA:BBBB", "2001:db8::aaaa:bbbb"},         /* 4.3 */
		{"0:0:1:0:0:0:0:0", "0:0:1::"},
		{"0:0:0:0:1:0:0:0", "::1:0:0:0"},
		{"1:0:0:0:0:0:0:0", "1::"},
		{"0:1:0:1:0:1:0:1", "0:1:0:1:0:1:0:1"},
		{"a0:b00:c000:d:10:100:1000:0", "a0:b00:c000:d:10:100:1000:0"},
	};

	(void)state;
	check_rows(rows, PST_COUNT(rows), pst_addr_parse, pst_addr_put);
}

static void ports(void **state)
{
	static const struct row rows[] = {
		{"192.0.2.1:25", "192.0.2.1:25"},
		{"192.0.2.1:0", "192.0.2.1:0"},
		{"192.0.2.1:65535", "192.0.2.1:65535"},
		{"[2001:db8::1]:10025", "[2001:db8::1]:10025"},
		{"[::]:25", "[::]:25"},
		{"[::ffff:192.0.2.1]:25", "192.0.2.1:25"},
		{"", NULL}, {"192.0.2.1", NULL}, {"192.0.2.1:", NULL}, {":25", NULL},
		{"192.0.2.1:65536", NULL}, {"192.0.2.1:99999", NULL}, {"192.0.2.1:100000", NULL},
		{"192.0.2.1:025", NULL}, {"192.0.2.1:25 ", NULL}, {"192.0.2.1:x", NULL},
		{"192.0.2.1:25:25", NULL}, {"192.0.2.1:-1", NULL}, {"192.0.2.1: 25", NULL},
		{"[192.0.2.1]:25", NULL}, {"[::1]", NULL}, {"[::1]:", NULL}, {"[::1]25", NULL},
		{"::1:25", NULL}, {"[::1:25", NULL}, {"::1]:25", NULL}, {"[]:25", NULL},
		{"[[::1]]:25", NULL}, {"[::1]x:25", NULL}, {"x[::1]:25", NULL}, {"[", NULL},
		{"mx.example.org:25", NULL}, {"*:25", NULL},
	};

	(void)state;
	check_rows(rows, PST_COUNT(rows), pst_addr_parse_port, pst_addr_put_port);
}

static void networks(void **state)
{
	static const struct {
		const char *in;
		int ret;
		const char *out;
	} rows[] = {
		{"192.0.2.0/24", 0, "192.0.2.0/24"},
		{"192.0.2.1", 0, "192.0.2.1/32"},
		{"0.0.0.0/0", 0, "0.0.0.0/0"},
		{"10.128.0.0/9", 0, "10.128.0.0/9"},
		{"192.0.2.254/31", 0, "192.0.2.254/31"},
		{"::/0", 0, "::/0"},
		{"::1", 0, "::1/128"},
		{"fd00::/8", 0, "fd00::/8"},
		{"fe80::/10", 0, "fe80::/10"},
		{"2001:db8:8000::/33", 0, "2001:db8:8000::/33"},
		{"::ffff:192.0.2.0/120", 0, "192.0.2.0/24"},
		{"::ffff:0:0/96", 0, "0.0.0.0/0"},
		{"192.0.2.1/24", -PST_E_RANGE, NULL},
		{"192.0.2.1/31", -PST_E_RANGE, NULL},
		{"128.0.0.0/0", -PST_E_RANGE, NULL},
		{"192.0.2.0/33", -PST_E_RANGE, NULL},
		{"192.0.2.0/256", -PST_E_RANGE, NULL},
		{"::1/127", -PST_E_RANGE, NULL},
		{"::/129", -PST_E_RANGE, NULL},
		{"fd00::1/8", -PST_E_RANGE, NULL},
		{"::ffff:0:0/95", -PST_E_RANGE, NULL},
		{"::ffff:192.0.2.1/120", -PST_E_RANGE, NULL},
		{"192.0.2.0/", -PST_E_SYNTAX, NULL},
		{"192.0.2.0/024", -PST_E_SYNTAX, NULL},
		{"192.0.2.0/1000", -PST_E_SYNTAX, NULL},
		{"192.0.2.0/24 ", -PST_E_SYNTAX, NULL},
		{"192.0.2.0/-1", -PST_E_SYNTAX, NULL},
		{"192.0.2.0/24/24", -PST_E_SYNTAX, NULL},
		{"192.0.2.0/255.255.255.0", -PST_E_SYNTAX, NULL},
		{"192.0.2/24", -PST_E_SYNTAX, NULL},
		{"/24", -PST_E_SYNTAX, NULL},
		{"", -PST_E_SYNTAX, NULL},
	};

	(void)state;
	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_cidr cidr = {.bits = 99};
		uint8_t area[PST_ADDR_TEXT_MAX];
		struct pst_buf buf;
		int ret = pst_cidr_parse(pst_span_text(rows[i].in), &cidr);

		if (ret != rows[i].ret)
			print_error("%s gives %d\n", rows[i].in, ret);
		assert_int_equal(ret, rows[i].ret);
		if (ret) {
			assert_int_equal(cidr.bits, 99);
			continue;
		}
		pst_buf_init(&buf, area, sizeof(area));
		pst_cidr_put(&buf, &cidr);
		check_buf(&buf, rows[i].out);
	}
}

static struct pst_addr addr_of(const char *text)
{
	struct pst_addr addr = {.family = PST_FAMILY_NONE};

	if (*text)
		assert_int_equal(pst_addr_parse(pst_span_text(text), &addr), 0);
	return addr;
}

static void nothing_is_in_no_network(void **state)
{
	struct pst_cidr none = {.bits = 0};
	struct pst_addr addr = addr_of("");

	(void)state;
	assert_false(pst_cidr_has(&none, &addr));
}

static void membership(void **state)
{
	static const struct {
		const char *cidr, *addr;
		bool has;
	} rows[] = {
		{"192.0.2.0/24", "192.0.2.0", true},
		{"192.0.2.0/24", "192.0.2.255", true},
		{"192.0.2.0/24", "192.0.3.0", false},
		{"192.0.2.0/24", "192.0.1.255", false},
		{"10.128.0.0/9", "10.128.0.1", true},
		{"10.128.0.0/9", "10.127.255.255", false},
		{"192.0.2.254/31", "192.0.2.255", true},
		{"192.0.2.254/31", "192.0.2.253", false},
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.0", false},
		{"0.0.0.0/0", "255.1.2.3", true},
		{"0.0.0.0/0", "::1", false},
		{"::/0", "1.2.3.4", false},
		{"::/0", "ffff::", true},
		{"192.0.2.0/24", "::ffff:192.0.2.9", true},
		{"::ffff:192.0.2.0/120", "192.0.2.9", true},
		{"fe80::/10", "febf:ffff::1", true},
		{"fe80::/10", "fec0::", false},
		{"::1", "::1", true},
		{"::1", "::2", false},
		{"::/0", "", false},
		{"0.0.0.0/0", "", false},
	};

	(void)state;
	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_cidr cidr;
		struct pst_addr addr = addr_of(rows[i].addr);

		assert_int_equal(pst_cidr_parse(pst_span_text(rows[i].cidr), &cidr), 0);
		if (pst_cidr_has(&cidr, &addr) != rows[i].has)
			print_error("%s has %s\n", rows[i].cidr, rows[i].addr);
		assert_int_equal(pst_cidr_has(&cidr, &addr), rows[i].has);
	}
}

static void equality_is_without_port(void **state)
{
	struct pst_addr a = addr_of("192.0.2.1");
	struct pst_addr b = addr_of("::ffff:192.0.2.1");
	struct pst_addr c = addr_of("c000:201::");

	(void)state;
	a.port = 25;
	assert_true(pst_addr_eq(&a, &b));
	assert_false(pst_addr_eq(&a, &c));
	b.ip[3] = 2;
	assert_false(pst_addr_eq(&a, &b));
}

static void networks_for_limits(void **state)
{
	struct pst_addr a = addr_of("2001:db8:1:2:ffff:ffff:ffff:ffff");
	struct pst_addr b = addr_of("192.0.2.1");
	struct pst_addr c = addr_of("");

	(void)state;
	a.port = b.port = 1;
	a = pst_addr_network(&a);
	b = pst_addr_network(&b);
	c = pst_addr_network(&c);
	assert_string_equal(text_of(pst_addr_put_port, &a), "[2001:db8:1:2::]:0");
	assert_string_equal(text_of(pst_addr_put_port, &b), "192.0.2.1:0");
	assert_string_equal(text_of(pst_addr_put_port, &c), "none");
	assert_string_equal(text_of(pst_addr_put, &c), "none");
}

static void output_is_cut(void **state)
{
	struct pst_addr addr = addr_of("192.0.2.1");
	uint8_t area[5];
	struct pst_buf buf;

	(void)state;
	addr.port = 25;
	pst_buf_init(&buf, area, sizeof(area));
	pst_addr_put_port(&buf, &addr);
	check_buf(&buf, "192.0");
	pst_addr_put_port(&buf, &addr);
	check_buf(&buf, "192.0");
	pst_buf_init(&buf, NULL, 0);
	pst_addr_put(&buf, &addr);
	assert_int_equal(buf.len, 0);
}

static void longest_texts_fit(void **state)
{
	struct pst_cidr cidr;
	struct pst_addr *addr = &cidr.net;

	(void)state;
	*addr = addr_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	addr->port = 65535;
	assert_string_equal(text_of(pst_addr_put_port, addr),
		"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

/* What is written is read back, for any address. */
static void round_trip(void **state)
{
	struct pst_rng_seed seed;

	(void)state;
	pst_rng_seed_init(&seed, 2);
	for (int i = 0; i < 50000; i++) {
		struct pst_addr addr = {.family = PST_FAMILY_IPV6}, again;

		if (pst_rng_seed_below(&seed, 4) == 0) {
			addr.family = PST_FAMILY_IPV4;
			seed.rng.fill(&seed.rng, addr.ip, 4);
		} else {
			seed.rng.fill(&seed.rng, addr.ip, 16);
			for (uint32_t group = 0; group < 8; group++) {
				if (pst_rng_seed_below(&seed, 2))
					memset(addr.ip + 2 * group, 0, 2);
			}
		}
		addr.port = (uint16_t)pst_rng_seed_below(&seed, 65536);
		assert_int_equal(pst_addr_parse_port(
			pst_span_text(text_of(pst_addr_put_port, &addr)), &again), 0);
		assert_true(pst_addr_eq(&addr, &again));
		assert_int_equal(addr.port, again.port);
		assert_int_equal(pst_addr_parse(
			pst_span_text(text_of(pst_addr_put, &addr)), &again), 0);
		assert_true(pst_addr_eq(&addr, &again));
	}
}

/* Random texts that look like addresses: the C library takes exactly the same ones for the same. */
static void agrees_with_libc(void **state)
{
	static const char *const parts[] = {
		"0", "1", "10", "255", "256", "01", "ffff", "abcd", "12345", "g", ":", ":", ":",
		"::", "::", ".", ".", "1.2.3.4", "192.0.2.1", "1:2:3:4", "ffff:", "%", " ", "/",
	};
	struct pst_rng_seed seed;
	uint32_t taken = 0;

	(void)state;
	pst_rng_seed_init(&seed, 8);
	for (int i = 0; i < 400000; i++) {
		char text[200] = "";
		uint32_t count = 1 + pst_rng_seed_below(&seed, 14);
		struct pst_addr addr;
		uint8_t ip[16] = {0};
		bool libc_takes;

		for (uint32_t k = 0; k < count; k++)
			strcat(text, parts[pst_rng_seed_below(&seed, PST_COUNT(parts))]);
		libc_takes = inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, ip) == 1;
		if ((pst_addr_parse(pst_span_text(text), &addr) == 0) != libc_takes)
			fail_msg("\"%s\" is %san address to libc", text, libc_takes ? "" : "not ");
		if (!libc_takes)
			continue;
		taken++;
		if (strchr(text, ':') && addr.family == PST_FAMILY_IPV4)
			assert_memory_equal(addr.ip, ip + 12, 4);
		else
			assert_memory_equal(addr.ip, ip, 16);
	}
	assert_true(taken > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv4_texts),
		cmocka_unit_test(ipv6_texts),
		cmocka_unit_test(rfc5952_output),
		cmocka_unit_test(ports),
		cmocka_unit_test(networks),
		cmocka_unit_test(membership),
		cmocka_unit_test(nothing_is_in_no_network),
		cmocka_unit_test(equality_is_without_port),
		cmocka_unit_test(networks_for_limits),
		cmocka_unit_test(output_is_cut),
		cmocka_unit_test(longest_texts_fit),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(agrees_with_libc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
