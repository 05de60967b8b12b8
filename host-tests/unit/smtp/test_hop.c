/* test_hop.c - the PROXY header, both versions */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/hop.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

enum outcome { BAD = -PST_E_PROTO, MORE = 0, WHOLE = 1 };

struct row {
	const char *bytes;
	uint32_t len;
	enum outcome outcome;
	bool local;
	const char *client; /* with its port; NULL: none */
};

#define ROW(literal, outcome, local, client) {literal, sizeof(literal) - 1, outcome, local, client}

static const struct row rows[] = {
	ROW("PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r\n", WHOLE, false, "192.0.2.1:56324"),
	ROW("PROXY TCP6 2001:db8::1 2001:db8::2 1 25\r\n", WHOLE, false, "[2001:db8::1]:1"),
	ROW("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 25\r\n", WHOLE, false, "192.0.2.1:1"),
	ROW("PROXY UNKNOWN\r\n", WHOLE, true, NULL),
	ROW("PROXY UNKNOWN whatever 1 2 3\r\n", WHOLE, true, NULL),
	ROW("PROXY TCP4 192.0.2.1 192.0.2.2 56324", MORE, false, NULL),
	ROW("PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\n", BAD, false, NULL),
	ROW("PROXY TCP4 192.0.2.1 192.0.2.2 65536 25\r\n", BAD, false, NULL),
	ROW("PROXY TCP4 192.0.2.1 192.0.2.2 025 25\r\n", BAD, false, NULL),
	ROW("PROXY TCP4 192.0.2.1  192.0.2.2 1 25\r\n", BAD, false, NULL),
	ROW("PROXY TCP4 2001:db8::1 192.0.2.2 1 25\r\n", BAD, false, NULL),
	ROW("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", BAD, false, NULL),
	ROW("PROXY TCP4 192.0.2.1 192.0.2.2 1 25 x\r\n", BAD, false, NULL),
	ROW("PROXY UDP4 192.0.2.1 192.0.2.2 1 25\r\n", BAD, false, NULL),
	ROW("proxy TCP4 192.0.2.1 192.0.2.2 1 25\r\n", BAD, false, NULL),
	ROW("PROXY\r\n", BAD, false, NULL),
	ROW("EHLO client.example\r\n", BAD, false, NULL),
	ROW(SIGNATURE "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x12\x34\x00\x19", WHOLE,
	    false, "192.0.2.1:4660"),
	/* with a TLV behind the addresses */
	ROW(SIGNATURE "\x21\x11\x00\x10\xc0\x00\x02\x01\xc0\x00\x02\x02\x12\x34\x00\x19\x04\x00\x01\x00",
	    WHOLE, false, "192.0.2.1:4660"),
	ROW(SIGNATURE "\x21\x21\x00\x24"
		      "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
		      "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
		      "\x00\x01\x00\x19",
	    WHOLE, false, "[2001:db8::1]:1"),
	ROW(SIGNATURE "\x20\x00\x00\x00", WHOLE, true, NULL),
	ROW(SIGNATURE "\x21\x00\x00\x00", WHOLE, true, NULL),
	ROW(SIGNATURE "\x21\x11\x00\x04\xc0\x00\x02\x01", BAD, false, NULL),
	ROW(SIGNATURE "\x21\x31\x00\x00", BAD, false, NULL),
	ROW(SIGNATURE "\x22\x11\x00\x00", BAD, false, NULL),
	ROW(SIGNATURE "\x11\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x12\x34\x00\x19", BAD, false,
	    NULL),
	ROW(SIGNATURE "\x21\x11\xff\xff", BAD, false, NULL),
	ROW(SIGNATURE "\x21\x11\x00\x0c\xc0\x00", MORE, false, NULL),
};

static void check_row(const struct row *row)
{
	struct pst_smtp_hop hop;
	uint8_t area[PST_ADDR_TEXT_MAX];
	struct pst_buf text;
	int ret = pst_smtp_hop_read((struct pst_span){(const uint8_t *)row->bytes, row->len}, &hop);

	if (row->outcome != WHOLE) {
		assert_int_equal(ret, row->outcome);
		return;
	}
	assert_int_equal(ret, row->len);
	assert_int_equal(hop.local, row->local);
	if (!row->client)
		return;
	pst_buf_init(&text, area, sizeof(area));
	pst_addr_put_port(&text, &hop.client);
	assert_true(pst_span_eq(pst_buf_span(&text), pst_span_text(row->client)));
}

static void test_read(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++)
		check_row(&rows[i]);
}

/* What is whole with more behind it says the same; what is cut is never whole. */
static void test_cut(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		const struct row *row = &rows[i];
		struct pst_smtp_hop hop;
		uint8_t area[512];

		memcpy(area, row->bytes, row->len);
		memcpy(area + row->len, "EHLO x\r\n", 8);
		if (row->outcome == WHOLE)
			assert_int_equal(pst_smtp_hop_read((struct pst_span){area, row->len + 8}, &hop),
					 row->len);
		for (uint32_t len = 0; len < row->len; len++) {
			int ret = pst_smtp_hop_read((struct pst_span){area, len}, &hop);

			assert_true(ret == 0 || (row->outcome == BAD && ret == -PST_E_PROTO));
		}
	}
}

static void test_too_long(void **state)
{
	struct pst_smtp_hop hop;
	uint8_t area[200];

	(void)state;
	memcpy(area, "PROXY UNKNOWN ", 14);
	memset(area + 14, 'x', sizeof(area) - 14);
	assert_int_equal(pst_smtp_hop_read((struct pst_span){area, 106}, &hop), 0);
	assert_int_equal(pst_smtp_hop_read((struct pst_span){area, 107}, &hop), -PST_E_PROTO);
}

static void test_round_trip(void **state)
{
	static const char *const addresses[] = {"192.0.2.1:25", "[2001:db8::1]:65535"};

	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		struct pst_addr client, service;
		struct pst_smtp_hop hop;
		uint8_t area[64];
		struct pst_buf out;

		assert_int_equal(pst_addr_parse_port(pst_span_text(addresses[i]), &client), 0);
		service = client;
		service.port = 2525;
		pst_buf_init(&out, area, sizeof(area));
		assert_int_equal(pst_smtp_hop_put(&out, &client, &service), 0);
		assert_int_equal(pst_smtp_hop_read(pst_buf_span(&out), &hop), out.len);
		assert_false(hop.local);
		assert_true(pst_addr_eq(&hop.client, &client) && hop.client.port == client.port);
		assert_true(pst_addr_eq(&hop.service, &service) && hop.service.port == 2525);
		service = (struct pst_addr){0};
		pst_buf_clear(&out);
		assert_int_equal(pst_smtp_hop_put(&out, &client, &service), 0);
		assert_int_equal(pst_smtp_hop_read(pst_buf_span(&out), &hop), out.len);
		assert_true(hop.local);
		pst_buf_init(&out, area, 15);
		assert_int_equal(pst_smtp_hop_put(&out, &client, &client), -PST_E_FULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
