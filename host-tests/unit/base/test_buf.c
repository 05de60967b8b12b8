/* test_buf.c - the bounded buffer: every bound from both sides */
#include "support/check.h"

#include "base/buf.h"
#include "support/rng_seed.h"

static void starts_empty(void **state)
{
	uint8_t area[8];
	struct pst_buf buf;

	(void)state;
	pst_buf_init(&buf, area, sizeof(area));
	assert_int_equal(pst_buf_room(&buf), 8);
	assert_int_equal(pst_buf_tail_room(&buf), 8);
	assert_int_equal(pst_buf_span(&buf).len, 0);
	assert_ptr_equal(pst_buf_tail(&buf), area);
}

static void absent_buffer_has_no_room(void **state)
{
	struct pst_buf buf;

	(void)state;
	pst_buf_init(&buf, NULL, 0);
	assert_int_equal(pst_buf_room(&buf), 0);
	assert_null(pst_buf_tail(&buf));
	assert_null(pst_buf_span(&buf).at);
	assert_int_equal(pst_buf_put(&buf, PST_SPAN("a")), -PST_E_FULL);
	assert_int_equal(pst_buf_put(&buf, PST_SPAN_NONE), 0);
	assert_int_equal(pst_buf_put_byte(&buf, 'a'), -PST_E_FULL);
	assert_int_equal(pst_buf_put_u64(&buf, 1), -PST_E_FULL);
	assert_int_equal(pst_buf_printf(&buf, "a"), -PST_E_FULL);
	pst_buf_put_escaped(&buf, PST_SPAN("a"), 10);
	pst_buf_consume(&buf, 0);
	pst_buf_compact(&buf);
	pst_buf_clear(&buf);
	assert_int_equal(buf.len, 0);
	check_bug(pst_buf_init(&buf, NULL, 1));
}

static void put_is_all_or_nothing(void **state)
{
	uint8_t area[8];
	struct pst_buf buf;

	(void)state;
	pst_buf_init(&buf, area, sizeof(area));
	assert_int_equal(pst_buf_put(&buf, PST_SPAN("12345")), 0);
	assert_int_equal(pst_buf_put(&buf, PST_SPAN("6789")), -PST_E_FULL);
	check_buf(&buf, "12345");
	assert_int_equal(pst_buf_put_text(&buf, "678"), 0);
	check_buf(&buf, "12345678");
	assert_int_equal(pst_buf_put_byte(&buf, '9'), -PST_E_FULL);
	assert_int_equal(pst_buf_put(&buf, PST_SPAN_NONE), 0);
	assert_int_equal(pst_buf_room(&buf), 0);
}

static void put_compacts_where_that_makes_room(void **state)
{
	uint8_t area[8];
	struct pst_buf buf;

	(void)state;
	pst_buf_init(&buf, area, sizeof(area));
	assert_int_equal(pst_buf_put(&buf, PST_SPAN("12345678")), 0);
	pst_buf_consume(&buf, 3);
	assert_int_equal(pst_buf_tail_room(&buf), 0);
	assert_int_equal(pst_buf_room(&buf), 3);
	assert_int_equal(pst_buf_put(&buf, PST_SPAN("abcd")), -PST_E_FULL);
	check_buf(&buf, "45678");
	assert_int_equal(pst_buf_put(&buf, PST_SPAN("abc")), 0);
	check_buf(&buf, "45678abc");
	pst_buf_consume(&buf, 1);
	assert_int_equal(pst_buf_put_byte(&buf, 'd'), 0);
	check_buf(&buf, "5678abcd");
}

static void consuming(void **state)
{
	uint8_t area[8];
	struct pst_buf buf;

	(void)state;
	pst_buf_init(&buf, area, sizeof(area));
	assert_int_equal(pst_buf_put(&buf, PST_SPAN("12345")), 0);
	pst_buf_consume(&buf, 4);
	check_buf(&buf, "5");
	assert_int_equal(pst_buf_tail_room(&buf), 3);
	pst_buf_consume(&buf, 1);
	assert_int_equal(pst_buf_tail_room(&buf), 8);
	pst_buf_consume(&buf, 0);
	check_bug(pst_buf_consume(&buf, 1));
}

static void reading_into_the_tail(void **state)
{
	uint8_t area[8];
	struct pst_buf buf;

	(void)state;
	pst_buf_init(&buf, area, sizeof(area));
	memcpy(pst_buf_tail(&buf), "abcdef", 6);
	pst_buf_commit(&buf, 6);
	pst_buf_consume(&buf, 4);
	memcpy(pst_buf_tail(&buf), "gh", 2);
	pst_buf_commit(&buf, 2);
	check_buf(&buf, "efgh");
	assert_int_equal(pst_buf_tail_room(&buf), 0);
	check_bug(pst_buf_commit(&buf, 1));
	pst_buf_compact(&buf);
	check_buf(&buf, "efgh");
	assert_int_equal(pst_buf_tail_room(&buf), 4);
	pst_buf_commit(&buf, 4);
	pst_buf_clear(&buf);
	assert_int_equal(pst_buf_tail_room(&buf), 8);
}

static void numbers(void **state)
{
	uint8_t area[20];
	struct pst_buf buf;

	(void)state;
	pst_buf_init(&buf, area, sizeof(area));
	assert_int_equal(pst_buf_put_u64(&buf, 0), 0);
	assert_int_equal(pst_buf_put_u64(&buf, 10), 0);
	assert_int_equal(pst_buf_put_u64(&buf, 987654321), 0);
	check_buf(&buf, "010987654321");
	pst_buf_clear(&buf);
	assert_int_equal(pst_buf_put_u64(&buf, UINT64_MAX), 0);
	check_buf(&buf, "18446744073709551615");
	pst_buf_init(&buf, area, 19);
	assert_int_equal(pst_buf_put_u64(&buf, UINT64_MAX), -PST_E_FULL);
	assert_int_equal(buf.len, 0);
}

/* Texts of every length around the bounds, into every room around their length. */
static void printf_fits_exactly(void **state)
{
	static const uint32_t lens[] = {0, 1, 7, 500, 510, 511, 512, 513, 1000};
	uint8_t area[1100];
	char text[1001];
	struct pst_buf buf;

	(void)state;
	for (size_t i = 0; i < PST_COUNT(lens); i++) {
		uint32_t len = lens[i];
		uint32_t spare = len > PST_BUF_PRINTF_EXACT ? 1 : 0;

		memset(text, 'x', len);
		text[len] = '\0';
		for (uint32_t room = len > 2 ? len - 2 : 0; room < len + 3; room++) {
			memset(area, '#', sizeof(area));
			pst_buf_init(&buf, area, room + 3);
			assert_int_equal(pst_buf_put(&buf, PST_SPAN("bcd")), 0);
			if (room > 0) {
				/* The last byte of room lies in front of what is unread. */
				pst_buf_consume(&buf, 1);
				assert_int_equal(pst_buf_put_byte(&buf, 'e'), 0);
			}
			if (room < len + spare) {
				assert_int_equal(pst_buf_printf(&buf, "%s", text), -PST_E_FULL);
				check_buf(&buf, room > 0 ? "cde" : "bcd");
			} else {
				assert_int_equal(pst_buf_printf(&buf, "%s", text), 0);
				check_span(pst_span_sub(pst_buf_span(&buf), 3, UINT32_MAX), text);
			}
			assert_int_equal(area[room + 3], '#');
		}
	}
}

static void printf_formats(void **state)
{
	uint8_t area[64];
	struct pst_buf buf;

	(void)state;
	pst_buf_init(&buf, area, sizeof(area));
	assert_int_equal(pst_buf_printf(&buf, "%s %d", "a", -5), 0);
	assert_int_equal(pst_buf_printf(&buf, ", %x", 255u), 0);
	check_buf(&buf, "a -5, ff");
}

static void escaping(void **state)
{
	static const struct {
		struct pst_span in;
		uint32_t max;
		const char *wanted;
	} rows[] = {
		{PST_SPAN("plain text"), 100, "plain text"},
		{PST_SPAN(""), 100, ""},
		{PST_SPAN("a\"b\\c"), 100, "a\\x22b\\x5cc"},
		{PST_SPAN("a\r\nb\0c"), 100, "a\\x0d\\x0ab\\x00c"},
		{PST_SPAN("\x1f\x20\x7e\x7f\x80\xff"), 100, "\\x1f ~\\x7f\\x80\\xff"},
		{PST_SPAN("12345"), 5, "12345"},
		{PST_SPAN("123456"), 5, "12345..."},
		{PST_SPAN("\n\n\n"), 2, "\\x0a\\x0a..."},
		{PST_SPAN("x"), 0, "..."},
	};
	uint8_t area[64];
	struct pst_buf buf;

	(void)state;
	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		pst_buf_init(&buf, area, sizeof(area));
		pst_buf_put_escaped(&buf, rows[i].in, rows[i].max);
		check_buf(&buf, rows[i].wanted);
	}
	pst_buf_init(&buf, area, 6);
	pst_buf_put_escaped(&buf, PST_SPAN("abc\n"), 100);
	check_buf(&buf, "abc");
	pst_buf_init(&buf, area, 6);
	pst_buf_put_escaped(&buf, PST_SPAN("abcdef"), 5);
	check_buf(&buf, "abcde");
}

/* A buffer against a plain queue of bytes. */
static void random_against_a_model(void **state)
{
	uint8_t area[61], model[4096], chunk[80];
	uint32_t model_len = 0;
	struct pst_buf buf;
	struct pst_rng_seed seed;

	(void)state;
	pst_rng_seed_init(&seed, 1);
	pst_buf_init(&buf, area, sizeof(area));
	for (int step = 0; step < 100000; step++) {
		uint32_t len = pst_rng_seed_below(&seed, 70);

		switch (pst_rng_seed_below(&seed, 4)) {
		case 0:
			seed.rng.fill(&seed.rng, chunk, len);
			if (len > sizeof(area) - model_len) {
				assert_int_equal(pst_buf_put(&buf, (struct pst_span){chunk, len}),
					-PST_E_FULL);
			} else {
				assert_int_equal(pst_buf_put(&buf, (struct pst_span){chunk, len}),
					0);
				memcpy(model + model_len, chunk, len);
				model_len += len;
			}
			break;
		case 1:
			len = PST_MIN(len, pst_buf_tail_room(&buf));
			seed.rng.fill(&seed.rng, pst_buf_tail(&buf), len);
			memcpy(model + model_len, pst_buf_tail(&buf), len);
			pst_buf_commit(&buf, len);
			model_len += len;
			break;
		case 2:
			len = PST_MIN(len, model_len);
			pst_buf_consume(&buf, len);
			memmove(model, model + len, model_len - len);
			model_len -= len;
			break;
		default:
			pst_buf_compact(&buf);
		}
		assert_int_equal(buf.len, model_len);
		assert_int_equal(pst_buf_room(&buf), sizeof(area) - model_len);
		assert_memory_equal(pst_buf_span(&buf).at, model, model_len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_empty),
		cmocka_unit_test(absent_buffer_has_no_room),
		cmocka_unit_test(put_is_all_or_nothing),
		cmocka_unit_test(put_compacts_where_that_makes_room),
		cmocka_unit_test(consuming),
		cmocka_unit_test(reading_into_the_tail),
		cmocka_unit_test(numbers),
		cmocka_unit_test(printf_fits_exactly),
		cmocka_unit_test(printf_formats),
		cmocka_unit_test(escaping),
		cmocka_unit_test(random_against_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
