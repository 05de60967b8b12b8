/* test_route.c - which route a domain takes, and how many connections there can be */
#include "support/check.h"

#include "relay/relay.h"

#define DOMAINS_MAX 4

static const struct {
	const char *domains[3][DOMAINS_MAX]; /* of up to three routes */
	const char *domain;
	int route; /* its index, or -1 */
} rows[] = {
	{{{"example.org"}}, "example.org", 0},
	{{{"example.org"}}, "EXAMPLE.Org", 0},
	{{{"example.org"}}, "example.net", -1},
	{{{"example.org"}}, "sub.example.org", -1},
	{{{"example.org"}}, "notexample.org", -1},
	{{{"example.org"}}, "example.org.", -1},
	{{{"example.org"}}, "", -1},
	{{{"a.example", "b.example"}, {"c.example", "b.example"}}, "b.example", 0},
	{{{"a.example"}, {"b.example", "c.example"}}, "c.example", 1},
	{{{".example.org"}}, "sub.example.org", 0},
	{{{".example.org"}}, "a.b.example.org", 0},
	{{{".example.org"}}, "A.B.EXAMPLE.ORG", 0},
	{{{".example.org"}}, "example.org", -1},
	{{{".example.org"}}, ".example.org", -1},
	{{{".example.org"}}, "notexample.org", -1},
	{{{".org"}, {".example.org"}}, "a.example.org", 1},
	{{{".example.org"}, {".org"}}, "a.example.org", 0},
	{{{".org"}, {".example.org"}, {"a.example.org"}}, "a.example.org", 2},
	{{{"a.example.org"}, {".example.org"}, {"*"}}, "a.example.org", 0},
	{{{"*"}, {".org"}}, "example.org", 1},
	{{{"*"}, {"example.org"}}, "example.org", 1},
	{{{"*"}, {"example.org"}}, "example.net", 0},
	{{{"*"}}, "", 0},
	{{{"*"}}, "[192.0.2.1]", 0},
	{{{"example.org"}}, "[192.0.2.1]", -1},
	{{{"[192.0.2.1]"}}, "[192.0.2.1]", 0},
	{{{"x"}}, "*", -1},
	{{{"b\xc3\xa9.example"}}, "B\xc3\xa9.Example", 0},
	{{{"b\xc3\xa9.example"}}, "b\xc3\x89.example", -1},
	{{{".\xc3\xa9.example"}}, "a.\xc3\xa9.example", 0},
};

static void routes(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_span domains[3][DOMAINS_MAX];
		struct pst_route made[3] = {0};
		struct pst_relay_conf conf = {.routes = made};
		const struct pst_route *route;

		for (uint32_t r = 0; r < 3 && rows[i].domains[r][0]; r++) {
			made[r].domains = domains[r];
			conf.route_count++;
			for (uint32_t k = 0; k < DOMAINS_MAX && rows[i].domains[r][k]; k++)
				domains[r][made[r].domain_count++] =
					pst_span_text(rows[i].domains[r][k]);
		}
		route = pst_relay_route(&conf, pst_span_text(rows[i].domain));
		if ((route ? (int)(route - made) : -1) != rows[i].route)
			fail_msg("row %u: \"%s\"", i, rows[i].domain);
	}
}

static void no_routes(void **state)
{
	const struct pst_relay_conf conf = {0};

	(void)state;
	assert_null(pst_relay_route(&conf, PST_SPAN("example.org")));
	assert_null(pst_relay_route(&conf, PST_SPAN_NONE));
}

/* The memory bound is printed from it: no more than the servers allow, nor than can be of use. */
static void connections(void **state)
{
	struct pst_route made[2] = {
		{.server_count = 2, .connection_max = 16},
		{.server_count = 1, .connection_max = 3},
	};
	const struct pst_relay_conf conf = {.routes = made, .route_count = 2};

	(void)state;
	assert_int_equal(pst_relay_connection_max(&conf, 1000), 2 * 16 + 3);
	assert_true(pst_relay_connection_max(&conf, 1) < 2 * 16 + 3);
	assert_true(pst_relay_connection_max(&conf, 1) >= 1);
	made[0].connection_max = UINT32_MAX;
	assert_true(pst_relay_connection_max(&conf, 1000) <= 4000);
	assert_true(pst_relay_connection_bytes() > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes),
		cmocka_unit_test(no_routes),
		cmocka_unit_test(connections),
	};

	return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
