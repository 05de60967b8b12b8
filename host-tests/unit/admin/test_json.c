/* test_json.c - valid whatever is in it */
#include "support/check.h"

#include "admin/json.h"

static void written(void **state)
{
	uint8_t area[500];
	struct pst_buf out;
	struct pst_json json;
	struct pst_addr addr;

	(void)state;
	pst_buf_init(&out, area, sizeof(area));
	pst_json_init(&json, &out);
	pst_json_open(&json, NULL, '{');
	pst_json_open(&json, "empty", '[');
	pst_json_close(&json, ']');
	pst_json_u64(&json, "n", UINT64_MAX);
	pst_json_bool(&json, "b", false);
	pst_json_span(&json, "s", (struct pst_span){(const uint8_t *)"a\"\\\n\0\x7f\xc3\xff/z", 10});
	pst_json_open(&json, "list", '[');
	assert_int_equal(pst_addr_parse(PST_SPAN("2001:db8::1"), &addr), 0);
	pst_json_addr(&json, NULL, &addr);
	addr.port = 25;
	pst_json_addr(&json, NULL, &addr);
	pst_json_open(&json, NULL, '{');
	pst_json_close(&json, '}');
	pst_json_close(&json, ']');
	pst_json_close(&json, '}');
	assert_false(json.full);
	check_span(pst_buf_span(&out),
		   "{\"empty\":[],\"n\":18446744073709551615,\"b\":false,"
		   "\"s\":\"a\\u0022\\u005c\\u000a\\u0000\\u007f\\u00c3\\u00ff/z\","
		   "\"list\":[\"2001:db8::1\",\"[2001:db8::1]:25\",{}]}");
}

static void what_does_not_fit_is_noted(void **state)
{
	uint8_t area[8];
	struct pst_buf out;
	struct pst_json json;

	(void)state;
	pst_buf_init(&out, area, sizeof(area));
	pst_json_init(&json, &out);
	pst_json_open(&json, NULL, '{');
	pst_json_text(&json, "key", "value");
	assert_true(json.full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written),
		cmocka_unit_test(what_does_not_fit_is_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
