/* test_rdns.c - names that nobody chose, odd HELO names, and a name that is asked for and confirmed */
#include "support/check.h"

#include "check/rdns.h"
#include "facts/facts.h"

static struct pst_addr addr_of(const char *text)
{
	struct pst_addr addr;

	assert_int_equal(pst_addr_parse(pst_span_text(text), &addr), 0);
	return addr;
}

static const struct {
	const char *client, *name;
	bool generic;
} names[] = {
	{"198.51.100.7", "mail.example.org", false},
	{"198.51.100.7", "mx7.example.org", false},
	{"198.51.100.7", "198-51-100-7.example.net", true},
	{"198.51.100.7", "7.100.51.198.example.net", true},
	{"198.51.100.7", "host-51-100-7.example.net", true},
	{"198.51.100.7", "198-51-101-7.example.net", false},
	{"198.51.100.7", "c6336407.example.net", true},
	{"198.51.100.7", "c63364070.example.net", true},
	{"198.51.100.7", "pool3.example.net", true},
	{"198.51.100.7", "p7.dyn.example.net", true},
	{"198.51.100.7", "dsl-a.example.net", true},
	{"198.51.100.7", "carpool.example.net", false},
	{"198.51.100.7", "dynamics.example.net", false},
	{"198.51.100.7", "1198.51.100.example.net", false},
	{"198.51.100.7", "", false},
	{"2001:db8::c0de:cafe", "h-c0decafe.example.net", true},
	{"2001:db8::c0de:cafe", "mail.example.net", false},
};

static void generic_names(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(names); i++) {
		struct pst_addr client = addr_of(names[i].client);

		if (pst_rdns_is_generic(pst_span_text(names[i].name), &client) != names[i].generic)
			fail_msg("%s for %s", names[i].name, names[i].client);
	}
}

static const struct {
	const char *helo;
	uint32_t facts;
} helos[] = {
	{"mail.example.org", 0},
	{"mail.example.org.", 0},
	{"[198.51.100.7]", 0},
	{"[198.51.100.8]", PST_FACT_HELO_LITERAL},
	{"[IPv6:2001:db8::1]", PST_FACT_HELO_LITERAL},
	{"[198.51.100.7", PST_FACT_HELO_LITERAL},
	{"[]", PST_FACT_HELO_LITERAL},
	{"198.51.100.7", PST_FACT_HELO_BARE_IP},
	{"2001:db8::1", PST_FACT_HELO_BARE_IP},
	{"localhost", PST_FACT_HELO_NO_DOMAIN},
	{"", PST_FACT_HELO_NO_DOMAIN},
	{"MX.example.net", PST_FACT_HELO_OURS},
	{"mx.example.net.", PST_FACT_HELO_OURS},
	{"[192.0.2.1]", PST_FACT_HELO_OURS},
	{"xmx.example.net", 0},
};

static void helo_names(void **state)
{
	struct pst_addr client = addr_of("198.51.100.7"), service = addr_of("192.0.2.1");

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(helos); i++) {
		uint32_t facts = pst_helo_facts(pst_span_text(helos[i].helo), &client,
						PST_SPAN("mx.example.net"), &service);

		if (facts != helos[i].facts)
			fail_msg("%s: 0x%x", helos[i].helo, facts);
	}
}

/* Two names, of which the second one leads back. */
static void confirmed_by_one_of_two(void **state)
{
	struct pst_addr client = addr_of("198.51.100.7");
	struct pst_dns_record ptr[] = {{.data = PST_SPAN("a.example.org")},
				       {.data = PST_SPAN("b.example.org")}};
	struct pst_dns_record other = {.addr = addr_of("198.51.100.8")}, own = {.addr = client};
	struct pst_dns_answer answer = {.status = PST_DNS_OK, .records = ptr, .record_count = 2};
	struct pst_question question, forward[2];
	struct pst_rdns rdns;

	(void)state;
	pst_rdns_begin(&rdns, &client);
	assert_true(pst_rdns_ask(&rdns, &question));
	assert_int_equal(question.type, PST_DNS_PTR);
	check_span(((struct pst_span){question.name, question.name_len}),
		   "7.100.51.198.in-addr.arpa");
	assert_false(pst_rdns_ask(&rdns, &forward[0]));
	pst_rdns_answer(&rdns, question.id, &answer);
	assert_true(pst_rdns_ask(&rdns, &forward[0]));
	assert_true(pst_rdns_ask(&rdns, &forward[1]));
	answer.record_count = 1;
	answer.records = &own;
	pst_rdns_answer(&rdns, forward[1].id, &answer);
	if (!pst_rdns_done(&rdns)) {
		answer.records = &other;
		pst_rdns_answer(&rdns, forward[0].id, &answer);
	}
	assert_true(pst_rdns_done(&rdns));
	assert_int_equal(rdns.result, PST_RDNS_CONFIRMED);
	check_span(pst_rdns_name(&rdns), "b.example.org");
}

static void no_name_and_no_answer(void **state)
{
	struct pst_addr client = addr_of("2001:db8::1");
	struct pst_dns_answer answer = {.status = PST_DNS_NXDOMAIN};
	struct pst_question question;
	struct pst_rdns rdns;

	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		pst_rdns_begin(&rdns, &client);
		assert_true(pst_rdns_ask(&rdns, &question));
		pst_rdns_answer(&rdns, question.id, &answer);
		assert_true(pst_rdns_done(&rdns));
		assert_int_equal(rdns.result, i ? PST_RDNS_UNKNOWN : PST_RDNS_NONE);
		answer.status = PST_DNS_TIMEOUT;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(generic_names),
		cmocka_unit_test(helo_names),
		cmocka_unit_test(confirmed_by_one_of_two),
		cmocka_unit_test(no_name_and_no_answer),
	};

	return cmocka_run_group_tests_name("rdns", tests, NULL, NULL);
}
