/* test_nat.c - which hours of clients say that a router hides them: a table */
#include "support/check.h"

#include "check/nat.h"

struct share {
	const char *addr; /* "*": each time another public one */
	uint32_t count;
};

static const struct {
	const char *what;
	struct share shares[3];
	const char *hides; /* NULL: nobody */
} hours[] = {
	{"nobody came", {{NULL, 0}}, NULL},
	{"all of it", {{"192.168.1.1", 100}}, "192.168.1.1"},
	{"all of it, by IPv6", {{"fd00::1", 100}}, "fd00::1"},
	{"link-local", {{"fe80::1", 60}}, "fe80::1"},
	{"exactly four of five", {{"10.0.0.1", 80}, {"*", 20}}, NULL},
	{"a little more", {{"10.0.0.1", 81}, {"*", 19}}, "10.0.0.1"},
	{"two of them share it", {{"10.0.0.1", 50}, {"10.0.0.2", 50}}, NULL},
	{"too few to tell", {{"172.31.0.1", 49}}, NULL},
	{"just enough", {{"172.31.0.1", 50}}, "172.31.0.1"},
	{"not private", {{"172.32.0.1", 100}}, NULL},
	{"the loopback", {{"127.0.0.1", 100}}, NULL},
	{"many of our own, and the world", {{"192.168.1.1", 30}, {"192.168.1.2", 30}, {"*", 40}}, NULL},
};

static bool come(struct pst_nat *nat, const char *addr, uint32_t number, uint64_t now_ms)
{
	struct pst_addr client = {
		.family = PST_FAMILY_IPV4,
		.ip = {203, 0, (uint8_t)(number >> 8), (uint8_t)number},
	};

	if (addr[0] != '*')
		assert_int_equal(pst_addr_parse(pst_span_text(addr), &client), 0);
	return pst_nat_note(nat, &client, now_ms);
}

static void an_hour(struct pst_nat *nat, uint32_t row, uint64_t at_ms)
{
	for (uint32_t s = 0; s < 3 && hours[row].shares[s].addr; s++)
		for (uint32_t i = 0; i < hours[row].shares[s].count; i++)
			assert_false(come(nat, hours[row].shares[s].addr, i, at_ms + 1 + i));
}

static void hours_of_clients(void **state)
{
	(void)state;
	for (uint32_t row = 0; row < PST_COUNT(hours); row++) {
		struct pst_nat nat = {0};
		struct pst_addr hides = {0};
		bool changed;

		an_hour(&nat, row, 1000);
		changed = come(&nat, "*", 0, 1000 + PST_NAT_HOUR_MS + 1000);
		if (hours[row].hides)
			assert_int_equal(pst_addr_parse(pst_span_text(hours[row].hides), &hides), 0);
		if (changed != (hours[row].hides != NULL) ||
		    pst_nat_hides(&nat, &hides) != (hours[row].hides != NULL))
			fail_msg("%s", hours[row].what);
	}
}

/* It stays so through quiet hours, and ends with a busy one that says otherwise. */
static void it_ends(void **state)
{
	struct pst_nat nat = {0};
	struct pst_addr router;
	uint64_t hour_ms = PST_NAT_HOUR_MS + 10000;

	(void)state;
	assert_int_equal(pst_addr_parse(PST_SPAN("192.168.1.1"), &router), 0);
	an_hour(&nat, 1, 1000);
	assert_true(come(&nat, "*", 0, hour_ms));
	assert_true(pst_nat_hides(&nat, &router));
	assert_false(come(&nat, "*", 0, 2 * hour_ms));
	assert_true(pst_nat_hides(&nat, &router));
	for (uint32_t i = 0; i < 60; i++)
		assert_false(come(&nat, "*", i, 2 * hour_ms + i));
	assert_true(come(&nat, "*", 0, 3 * hour_ms));
	assert_false(pst_nat_hides(&nat, &router));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hours_of_clients),
		cmocka_unit_test(it_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
