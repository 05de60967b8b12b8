/* test_opening.c - what stands before the greeting, with lists that answer while it waits */
#include "support/check.h"

#include "support/dns_zone.h"
#include "support/stage.h"

static const char *const conf = "hostname mx.example.org\nlisten 192.0.2.25:25\n"
				"relay example.org to 10.0.0.1:25 pass none\n"
				"dnsbl good.example score -5\ntimeout early-talk 2\n";

static struct pst_stage stage;
static struct pst_dns_zone zone;

static struct pst_peer *connect_one(void)
{
	struct pst_addr from;

	assert_int_equal(pst_addr_parse(PST_SPAN("203.0.113.7"), &from), 0);
	return pst_stage_connect(&stage, &from, 0);
}

static int set_up(void **state)
{
	struct pst_stage_plan plan = {.dns = &zone.dns, .timers_more = 64};
	struct pst_config *config;

	(void)state;
	pst_stage_init(&stage, &plan);
	config = pst_stage_load(&stage, conf, NULL, 0);
	assert_non_null(config);
	pst_dns_zone_init(&zone, &stage.loop);
	assert_true(pst_dns_zone_add(&zone, "2.0.0.127.good.example A 127.0.0.2\n"
					    "7.113.0.203.good.example A 127.0.0.2 after=1000\n"));
	pst_stage_open(&stage, &config->proxy);
	assert_true(pst_stage_begin(&stage, config));
	pst_stage_pass(&stage, 10000);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	pst_stage_fini(&stage);
	pst_dns_zone_fini(&zone);
	return 0;
}

static void a_list_that_speaks_for_a_client_ends_its_wait(void **state)
{
	struct pst_peer *peer = connect_one();

	(void)state;
	pst_stage_pass(&stage, 900);
	assert_int_equal(peer->in.len, 0);
	pst_stage_pass(&stage, 200);
	assert_true(pst_span_starts_nocase(pst_bytes_from(&peer->in, 0), PST_SPAN("220 ")));
}

static void who_was_dismissed_is_not_greeted(void **state)
{
	struct pst_peer *peer = connect_one();

	(void)state;
	pst_stage_pass(&stage, 500);
	pst_proxy_drain(stage.proxy);
	pst_stage_pass(&stage, 3000);
	assert_true(pst_span_starts_nocase(pst_bytes_from(&peer->in, 0), PST_SPAN("421 ")));
	assert_true(peer->ended);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_list_that_speaks_for_a_client_ends_its_wait,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_was_dismissed_is_not_greeted, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
