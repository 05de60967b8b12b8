/* test_utf8.c - well-formed UTF-8 and nothing else, held against the arithmetic of RFC 3629 */
#include "support/check.h"

#include "base/utf8.h"

/* What the RFC's definition gives: decode, then look at the number. */
static uint32_t model(const uint8_t *at, uint32_t len)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t want, number;

	if (at[0] < 0xc0 || at[0] > 0xf7)
		return 0;
	want = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
	if (len < want)
		return 0;
	number = at[0] & (0x7fu >> want);
	for (uint32_t i = 1; i < want; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		number = number << 6 | (at[i] & 0x3fu);
	}
	if (number < least[want] || number > 0x10ffff || (number >= 0xd800 && number <= 0xdfff))
		return 0;
	return want;
}

static void test_every_start(void **state)
{
	static const uint8_t thirds[] = {0x00, 0x7f, 0x80, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};

	(void)state;
	for (uint32_t first = 0; first < 256; first++)
		for (uint32_t second = 0; second < 256; second++)
			for (uint32_t i = 0; i < PST_COUNT(thirds) * PST_COUNT(thirds); i++) {
				uint8_t text[] = {(uint8_t)first, (uint8_t)second,
						  thirds[i / PST_COUNT(thirds)],
						  thirds[i % PST_COUNT(thirds)]};

				for (uint32_t len = 1; len <= 4; len++)
					assert_int_equal(
						pst_utf8_len((struct pst_span){text, len}),
						model(text, len));
			}
}

static void test_text(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} rows[] = {
		{"", true}, {"plain ~", true}, {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x93\xa7x", true},
		{"\t", false}, {"\x7f", false}, {"a\xc3", false}, {"\xa9" "a", false},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++)
		assert_int_equal(pst_utf8_check(pst_span_text(rows[i].text)), rows[i].good);
	assert_false(pst_utf8_check((struct pst_span){(const uint8_t *)"a\0b", 3}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_start),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
