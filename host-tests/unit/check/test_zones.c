/* test_zones.c - what a list's answers count for, how it comes to rest, and how it comes back */
#include "support/check.h"

#include "check/dnsbl.h"

static const struct pst_dnsbl_code codes[] = {
	{{127, 0, 0, 2}, {127, 0, 0, 2}, PST_SCORE(3), false},
	{{127, 0, 0, 4}, {127, 0, 0, 7}, PST_SCORE(5), true},
};
static const struct pst_dnsbl_zone two[] = {
	{.zone = PST_SPAN("bl.example"), .codes = codes, .code_count = 2, .selftest = true},
	{.zone = PST_SPAN("dom.example"), .codes = codes, .code_count = 1, .is_domain = true, .selftest = true},
};
static const struct pst_dnsbl_conf conf = {two, 2};

static struct pst_addr addr_of(const char *text)
{
	struct pst_addr addr;

	assert_int_equal(pst_addr_parse(pst_span_text(text), &addr), 0);
	return addr;
}

static const struct {
	const char *record;
	bool of_address, of_domain; /* is it a code? */
} records[] = {
	{"127.0.0.2", true, true},	 {"127.0.0.1", true, false},   {"127.0.1.2", true, true},
	{"127.255.255.254", false, false}, {"127.255.255.1", false, false}, {"127.0.0.255", false, false},
	{"127.0.9.255", false, false},	 {"192.0.2.1", false, false},  {"::1", false, false},
};

static void answers_that_are_codes(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(records); i++) {
		struct pst_addr record = addr_of(records[i].record);

		if (pst_zones_is_code(&two[0], &record) != records[i].of_address ||
		    pst_zones_is_code(&two[1], &record) != records[i].of_domain)
			fail_msg("%s", records[i].record);
	}
}

static enum pst_zone_answer note(struct pst_zones *zones, enum pst_dns_status status, const char *record)
{
	struct pst_dns_record one = {.addr = record ? addr_of(record) : (struct pst_addr){0}};

	return pst_zones_note(zones, 0,
			      &(struct pst_dns_answer){.status = status,
						       .records = &one,
						       .record_count = record ? 1 : 0});
}

static void trouble_in_a_row_is_a_rest(void **state)
{
	struct pst_zones zones;

	(void)state;
	pst_zones_init(&zones, &conf);
	for (uint32_t i = 1; i < PST_ZONE_TROUBLE_MAX; i++)
		assert_int_equal(note(&zones, PST_DNS_TIMEOUT, NULL), PST_ZONE_TROUBLE);
	assert_int_equal(note(&zones, PST_DNS_NXDOMAIN, NULL), PST_ZONE_NOT_LISTED);
	for (uint32_t i = 0; i < PST_ZONE_TROUBLE_MAX; i++) {
		assert_true(pst_zones_usable(&zones, 0));
		/* what was not asked is nobody's fault */
		assert_int_equal(note(&zones, PST_DNS_OURS, NULL), PST_ZONE_TROUBLE);
		assert_int_equal(note(&zones, PST_DNS_SERVFAIL, NULL), PST_ZONE_TROUBLE);
	}
	assert_false(pst_zones_usable(&zones, 0));
	assert_true(pst_zones_usable(&zones, 1));
	assert_true(zones.changed);
}

static void an_error_code_is_a_rest_at_once(void **state)
{
	struct pst_zones zones;
	uint32_t zone;
	uint64_t next_ms;

	(void)state;
	pst_zones_init(&zones, &conf);
	zones.now_ms = 1000;
	zones.health[1].test_due_ms = UINT64_MAX;
	assert_int_equal(note(&zones, PST_DNS_OK, "127.0.0.4"), PST_ZONE_LISTED);
	assert_true(pst_zones_usable(&zones, 0));
	assert_int_equal(note(&zones, PST_DNS_OK, "127.255.255.254"), PST_ZONE_ERROR);
	assert_false(pst_zones_usable(&zones, 0));
	assert_false(pst_zones_due(&zones, &zone, &next_ms));
	assert_int_equal(next_ms, 1000 + PST_ZONE_REST_MS);
	zones.now_ms = next_ms;
	assert_true(pst_zones_due(&zones, &zone, &next_ms));
	assert_int_equal(zone, 0);
}

/* The zone's test, its two questions answered by these records. */
static void test_zone(struct pst_zones *zones, const char *must, const char *must_not)
{
	struct pst_zone_test test;
	struct pst_question question;

	pst_zone_test_begin(&test, zones, 0);
	while (pst_zone_test_ask(&test, &question)) {
		struct pst_span name = {question.name, question.name_len};
		const char *text = pst_span_eq(name, PST_SPAN("2.0.0.127.bl.example")) ? must : must_not;
		struct pst_dns_record one = {.addr = addr_of(text ? text : "0.0.0.0")};

		if (text != must)
			check_span(name, "1.0.0.127.bl.example");
		pst_zone_test_answer(&test, question.id,
				     &(struct pst_dns_answer){
					     .status = text ? PST_DNS_OK : PST_DNS_NXDOMAIN,
					     .records = &one,
					     .record_count = text ? 1 : 0,
				     });
	}
	assert_true(pst_zone_test_done(&test));
}

static void tests_that_end_a_rest_or_make_it_longer(void **state)
{
	struct pst_zones zones;

	(void)state;
	pst_zones_init(&zones, &conf);
	test_zone(&zones, "127.0.0.2", NULL);
	assert_int_equal(zones.health[0].state, PST_ZONE_GOOD);
	assert_int_equal(zones.health[0].test_due_ms, PST_ZONE_TEST_MS);
	/* It lists the whole world. */
	test_zone(&zones, "127.0.0.2", "127.0.0.2");
	assert_int_equal(zones.health[0].state, PST_ZONE_RESTING);
	assert_int_equal(zones.health[0].rest_ms, PST_ZONE_REST_MS);
	for (uint32_t i = 0; i < 10; i++)
		test_zone(&zones, "127.0.0.2", "127.0.0.2");
	assert_int_equal(zones.health[0].rest_ms, PST_ZONE_REST_MS_MAX);
	test_zone(&zones, "127.0.0.2", NULL);
	assert_int_equal(zones.health[0].state, PST_ZONE_GOOD);
}

static void lists_that_list_nothing_make_the_resolver_suspect(void **state)
{
	struct pst_zones zones;

	(void)state;
	pst_zones_init(&zones, &conf);
	test_zone(&zones, NULL, NULL);
	assert_true(zones.health[0].lists_nothing);
	assert_true(pst_zones_usable(&zones, 0));
	assert_false(pst_zones_rebind_suspected(&zones));
	zones.health[1].lists_nothing = true;
	assert_true(pst_zones_rebind_suspected(&zones));
}

/* Of two codes of one list the one that weighs most counts, once. */
static void one_hit_a_list(void **state)
{
	struct pst_addr client = addr_of("198.51.100.7");
	struct pst_dns_record both[] = {{.addr = addr_of("127.0.0.2")}, {.addr = addr_of("127.0.0.5")}};
	struct pst_zones zones;
	struct pst_dnsbl dnsbl;
	struct pst_question question;

	(void)state;
	pst_zones_init(&zones, &conf);
	pst_dnsbl_begin(&dnsbl, &zones, &client);
	assert_true(pst_dnsbl_ask(&dnsbl, &question));
	check_span(((struct pst_span){question.name, question.name_len}), "7.100.51.198.bl.example");
	assert_false(pst_dnsbl_ask(&dnsbl, &question)); /* the other one lists domains */
	pst_dnsbl_answer(&dnsbl, question.id,
			 &(struct pst_dns_answer){.status = PST_DNS_OK, .records = both, .record_count = 2});
	assert_true(pst_dnsbl_done(&dnsbl));
	assert_true(pst_dnsbl_rejects(&dnsbl));
	assert_false(pst_dnsbl_allows(&dnsbl));
	assert_int_equal(dnsbl.hits[0].group, 1);
}

static void names_of_addresses(void **state)
{
	struct pst_addr client = addr_of("2001:db8::1");
	struct pst_question question;

	(void)state;
	assert_true(pst_zone_name_of_addr(&question, &client, PST_SPAN("bl.example")));
	check_span(((struct pst_span){question.name, question.name_len}),
		   "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_that_are_codes),
		cmocka_unit_test(trouble_in_a_row_is_a_rest),
		cmocka_unit_test(an_error_code_is_a_rest_at_once),
		cmocka_unit_test(tests_that_end_a_rest_or_make_it_longer),
		cmocka_unit_test(lists_that_list_nothing_make_the_resolver_suspect),
		cmocka_unit_test(one_hit_a_list),
		cmocka_unit_test(names_of_addresses),
	};

	return cmocka_run_group_tests_name("zones", tests, NULL, NULL);
}
