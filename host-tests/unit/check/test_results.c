/* test_results.c - what checks found, as header fields: quoted where it must be, left out where it cannot be said */
#include "support/check.h"

#include "check/results.h"

static struct pst_results of(const char *client, const char *helo, const char *mailbox)
{
	struct pst_results results = {
		.hostname = PST_SPAN("mx.example.net"),
		.helo = pst_span_text(helo),
		.mailbox = pst_span_text(mailbox),
		.helo_asked = true,
		.mail_asked = mailbox[0] != 0,
		.helo_result = PST_SPF_NONE,
		.mail_result = PST_SPF_PASS,
		.mechanism = PST_SPAN("ip4:198.51.100.0/24"),
		.rdns = PST_RDNS_CONFIRMED,
	};

	assert_int_equal(pst_addr_parse(pst_span_text(client), &results.client), 0);
	return results;
}

static void check_fields(const struct pst_results *results, const char *authentication, const char *received)
{
	uint8_t area[1024];
	struct pst_buf out;

	pst_buf_init(&out, area, sizeof(area));
	assert_int_equal(pst_results_put_authentication(&out, results), 0);
	check_buf(&out, authentication);
	pst_buf_init(&out, area, sizeof(area));
	assert_int_equal(pst_results_put_received_spf(&out, results), 0);
	check_buf(&out, received);
}

static void a_sender(void **state)
{
	struct pst_results results = of("198.51.100.7", "mail.example.org", "a@example.org");

	(void)state;
	check_fields(&results,
		     "Authentication-Results: mx.example.net;\r\n"
		     "\tspf=pass smtp.mailfrom=a@example.org;\r\n"
		     "\tspf=none smtp.helo=mail.example.org;\r\n"
		     "\tiprev=pass policy.iprev=198.51.100.7\r\n",
		     "Received-SPF: pass client-ip=198.51.100.7;\r\n"
		     "\tenvelope-from=a@example.org;\r\n"
		     "\thelo=mail.example.org;\r\n"
		     "\treceiver=mx.example.net;\r\n"
		     "\tidentity=mailfrom;\r\n"
		     "\tmechanism=\"ip4:198.51.100.0/24\"\r\n");
}

static void a_bounce_by_ipv6(void **state)
{
	struct pst_results results = of("2001:db8::1", "mail.example.org", "");

	(void)state;
	results.mechanism = PST_SPAN_NONE;
	results.rdns = PST_RDNS_NONE;
	check_fields(&results,
		     "Authentication-Results: mx.example.net;\r\n"
		     "\tspf=none smtp.helo=mail.example.org;\r\n"
		     "\tiprev=permerror policy.iprev=\"2001:db8::1\"\r\n",
		     "Received-SPF: none client-ip=\"2001:db8::1\";\r\n"
		     "\thelo=mail.example.org;\r\n"
		     "\treceiver=mx.example.net;\r\n"
		     "\tidentity=helo\r\n");
}

static void what_a_client_says_ends_no_field(void **state)
{
	struct pst_results results = of("198.51.100.7", "a\r\nX: y", "\"a; b\\\" c\"@example.org");

	(void)state;
	results.relayed = true;
	results.mechanism = PST_SPAN_NONE;
	check_fields(&results,
		     "Authentication-Results: mx.example.net;\r\n"
		     "\tspf=pass smtp.mailfrom=\"\\\"a; b\\\\\\\" c\\\"@example.org\";\r\n"
		     "\tspf=none\r\n",
		     "Received-SPF: pass client-ip=198.51.100.7;\r\n"
		     "\tenvelope-from=\"\\\"a; b\\\\\\\" c\\\"@example.org\";\r\n"
		     "\treceiver=mx.example.net;\r\n"
		     "\tidentity=mailfrom\r\n");
}

static void nothing_asked(void **state)
{
	struct pst_results results = of("198.51.100.7", "a", "");

	(void)state;
	results.helo_asked = false;
	results.relayed = true;
	check_fields(&results, "Authentication-Results: mx.example.net; none\r\n", "");
}

static void too_little_room(void **state)
{
	struct pst_results results = of("198.51.100.7", "mail.example.org", "a@example.org");
	uint8_t area[64];

	(void)state;
	for (uint32_t size = 0; size <= sizeof(area); size++) {
		struct pst_buf out;

		pst_buf_init(&out, area, size);
		assert_int_equal(pst_results_put_authentication(&out, &results), -PST_E_FULL);
		pst_buf_init(&out, area, size);
		assert_int_equal(pst_results_put_received_spf(&out, &results), -PST_E_FULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sender),
		cmocka_unit_test(a_bounce_by_ipv6),
		cmocka_unit_test(what_a_client_says_ends_no_field),
		cmocka_unit_test(nothing_asked),
		cmocka_unit_test(too_little_room),
	};

	return cmocka_run_group_tests_name("results", tests, NULL, NULL);
}
