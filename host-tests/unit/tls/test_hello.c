/* test_hello.c - what a ClientHello says about the certificates that the client can check */
#include "support/check.h"
#include "support/rng_seed.h"
#include "tls/hello.h"

/* A body is the fixed part, ciphers, and extensions, each with its lengths. */
struct maker {
	struct pst_buf buf;
	uint8_t area[512];
};

static void put_u16(struct pst_buf *buf, size_t value)
{
	assert_int_equal(pst_buf_put_byte(buf, (uint8_t)(value >> 8)), 0);
	assert_int_equal(pst_buf_put_byte(buf, (uint8_t)value), 0);
}

static void put_list(struct pst_buf *buf, const uint16_t *list)
{
	size_t count = 0;

	while (list[count])
		count++;
	put_u16(buf, count * 2);
	for (size_t i = 0; i < count; i++)
		put_u16(buf, list[i]);
}

static size_t list_bytes(const uint16_t *list)
{
	size_t count = 0;

	while (list[count])
		count++;
	return count * 2 + 2;
}

/* NULL: the extension is missing. */
static struct pst_span make(struct maker *maker, const uint16_t *ciphers, const uint16_t *groups,
	const uint16_t *signatures)
{
	struct pst_buf *buf = &maker->buf;
	size_t bytes = 5; /* one nobody knows */

	pst_buf_init(buf, maker->area, sizeof(maker->area));
	assert_int_equal(pst_buf_put(buf, PST_SPAN("\x03\x03"
						   "0123456789abcdef0123456789abcdef"
						   "\x04sess")),
		0);
	put_list(buf, ciphers);
	assert_int_equal(pst_buf_put(buf, PST_SPAN("\x01\x00")), 0);
	bytes += (groups ? 4 + list_bytes(groups) : 0) +
		 (signatures ? 4 + list_bytes(signatures) : 0);
	put_u16(buf, bytes);
	assert_int_equal(pst_buf_put(buf, PST_SPAN("\x0a\x0a\x00\x01\x00")), 0);
	if (groups) {
		put_u16(buf, 10);
		put_u16(buf, list_bytes(groups));
		put_list(buf, groups);
	}
	if (signatures) {
		put_u16(buf, 13);
		put_u16(buf, list_bytes(signatures));
		put_list(buf, signatures);
	}
	return pst_buf_span(buf);
}

struct row {
	const char *what;
	uint16_t ciphers[8];
	uint16_t groups[8];
	uint16_t signatures[8];
	const char *able_12; /* letters: p for P-256, q for P-384, r for RSA */
	const char *able_13;
};

#define NONE                                                                                       \
	{                                                                                          \
		0xffff                                                                             \
	}

static const struct row rows[] = {
	{"all", {0x1301, 0xc02b, 0xc02f}, {0x001d, 0x0017, 0x0018},
		{0x0403, 0x0503, 0x0804, 0x0401}, "pqr", "pqr"},
	{"RSA first", {0xc02f, 0xc02b}, {0x0017}, {0x0804, 0x0401, 0x0403}, "pr", "pr"},
	{"RSA only, by signature", {0xc02f, 0xc02b}, {0x0017}, {0x0401, 0x0501}, "r", ""},
	{"RSA only, by cipher", {0xc030}, {0x0017}, {0x0403, 0x0804, 0x0601}, "r", "pr"},
	{"ECDSA only", {0xcca9}, {0x0017}, {0x0403}, "p", "p"},
	{"no P-256 as a group", {0xc02b}, {0x001d, 0x0018}, {0x0403, 0x0503}, "q", "pq"},
	{"no groups", {0xc02c}, NONE, {0x0603}, "pq", ""},
	{"no signatures", {0xc02b, 0xcca8}, {0x0017}, NONE, "pr", ""},
	{"nothing at all", {0x1303}, NONE, NONE, "", ""},
	{"CBC only", {0xc013, 0x002f}, {0x0017}, {0x0403, 0x0401}, "", "p"},
	{"PSS is not for TLS 1.2", {0xc02f}, {0x0017}, {0x0805}, "", "r"},
	{"GREASE", {0x0a0a, 0xc02b}, {0x1a1a, 0x0017}, {0x2a2a, 0x0403}, "p", "p"},
	{"Ed25519", {0xc02b}, {0x001d}, {0x0807}, "", ""},
};

static void check_able(const char *what, const bool able[PST_TLS_KEY_COUNT], const char *wanted)
{
	static const char letters[PST_TLS_KEY_COUNT] = {'p', 'q', 'r'};

	for (int i = 0; i < PST_TLS_KEY_COUNT; i++) {
		if (able[i] != !!strchr(wanted, letters[i])) {
			print_error("%s: %c is %d\n", what, letters[i], able[i]);
			fail();
		}
	}
}

static void lists_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		const struct row *row = &rows[i];
		struct pst_tls_hello hello;
		struct maker maker;
		struct pst_span body =
			make(&maker, row->ciphers, row->groups[0] == 0xffff ? NULL : row->groups,
				row->signatures[0] == 0xffff ? NULL : row->signatures);

		assert_true(pst_tls_hello_look(body, &hello));
		check_able(row->what, hello.able_12, row->able_12);
		check_able(row->what, hello.able_13, row->able_13);
	}
}

static void a_hello_without_extensions_is_one(void **state)
{
	struct pst_tls_hello hello;
	struct maker maker;
	struct pst_span body = make(&maker, rows[0].ciphers, NULL, NULL);

	(void)state;
	assert_true(pst_tls_hello_look(pst_span_sub(body, 0, body.len - 7), &hello));
	check_able("bare", hello.able_12, "pqr");
	check_able("bare", hello.able_13, "");
}

static void a_cut_hello_is_none(void **state)
{
	struct pst_tls_hello hello;
	struct maker maker;
	struct pst_span body = make(&maker, rows[0].ciphers, rows[0].groups, rows[0].signatures);

	(void)state;
	for (uint32_t len = 0; len < body.len; len++) {
		/* Its own memory, so that a byte too far is seen. */
		uint8_t *copy = malloc(len + 1);
		bool whole_without = len == 2 + 32 + 5 + 8 + 2;

		assert_non_null(copy);
		memcpy(copy, body.at, len);
		assert_int_equal(
			pst_tls_hello_look((struct pst_span){copy, len}, &hello), whole_without);
		free(copy);
	}
}

static void noise_does_no_harm(void **state)
{
	struct pst_rng_seed rng;
	struct pst_tls_hello hello;

	(void)state;
	pst_rng_seed_init(&rng, 3);
	for (int i = 0; i < 20000; i++) {
		struct maker maker;
		struct pst_span body =
			make(&maker, rows[0].ciphers, rows[0].groups, rows[0].signatures);
		uint8_t *copy = malloc(body.len);

		assert_non_null(copy);
		memcpy(copy, body.at, body.len);
		for (uint32_t n = pst_rng_seed_below(&rng, 4) + 1; n > 0; n--)
			copy[pst_rng_seed_below(&rng, body.len)] =
				(uint8_t)pst_rng_seed_below(&rng, 256);
		pst_tls_hello_look((struct pst_span){copy, body.len}, &hello);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_are_read),
		cmocka_unit_test(a_hello_without_extensions_is_one),
		cmocka_unit_test(a_cut_hello_is_none),
		cmocka_unit_test(noise_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
