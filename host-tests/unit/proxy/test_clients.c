/* test_clients.c - one entry for each client network, as long as somebody needs it */
#include "support/check.h"

#include "proxy/clients.h"
#include "support/alloc_fail.h"
#include "support/rng_seed.h"

#define MANY 300

static struct pst_alloc_fail alloc;
static struct pst_clients clients;

static int begin(void **state)
{
	const struct pst_hash_key key = {1, 2};

	(void)state;
	pst_alloc_fail_init(&alloc);
	return pst_clients_init(&clients, &alloc.mem, key, MANY);
}

static int end(void **state)
{
	(void)state;
	pst_clients_fini(&clients);
	return alloc.block_count == 0 ? 0 : -1;
}

static struct pst_addr addr_of(const char *text)
{
	struct pst_addr addr;

	assert_int_equal(pst_addr_parse(pst_span_text(text), &addr), 0);
	return addr;
}

static void networks(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"::", "0.0.0.0", false},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_addr a = addr_of(rows[i].a), b = addr_of(rows[i].b);
		struct pst_client *one, *two;

		a.port = 1;
		b.port = 2;
		one = pst_client_get(&clients, &a);
		two = pst_client_get(&clients, &b);
		assert_non_null(one);
		assert_non_null(two);
		assert_int_equal(one == two, rows[i].same);
		assert_int_equal(one->ref_count, rows[i].same ? 2 : 1);
		pst_client_put(&clients, one);
		pst_client_put(&clients, two);
		assert_int_equal(clients.pool.used_count, 0);
	}
}

static void entry_lasts(void **state)
{
	struct pst_addr addr = addr_of("192.0.2.1");
	struct pst_client *client = pst_client_get(&clients, &addr), *again;

	(void)state;
	assert_non_null(client);
	client->session_count = 3;
	again = pst_client_get(&clients, &addr);
	assert_ptr_equal(client, again);
	pst_client_put(&clients, again);
	assert_int_equal(client->session_count, 3);
	check_bug(pst_client_put(&clients, client)); /* its sessions are still counted */
	client->session_count = 0;
	client->hold_pages = 1;
	check_bug(pst_client_put(&clients, client));
	client->hold_pages = 0;
	pst_client_put(&clients, client);
	client = pst_client_get(&clients, &addr);
	assert_non_null(client);
	assert_int_equal(client->session_count, 0);
	pst_client_put(&clients, client);
}

/* To the bound and back, in an order of chance, so that chains lose their first, middle and last. */
static void many(void **state)
{
	struct pst_client *all[MANY];
	struct pst_addr addr = addr_of("10.0.0.0");
	struct pst_rng_seed rng;

	(void)state;
	pst_rng_seed_init(&rng, 7);
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < MANY; i++) {
			addr.ip[2] = (uint8_t)(i >> 8);
			addr.ip[3] = (uint8_t)i;
			all[i] = pst_client_get(&clients, &addr);
			assert_non_null(all[i]);
			assert_int_equal(all[i]->ref_count, 1);
		}
		addr.ip[1] = 1;
		assert_null(pst_client_get(&clients, &addr));
		addr.ip[1] = 0;
		for (uint32_t left = MANY; left > 0; left--) {
			uint32_t pick = pst_rng_seed_below(&rng, left);

			pst_client_put(&clients, all[pick]);
			all[pick] = all[left - 1];
			for (uint32_t i = 0; i < left - 1; i += 37) {
				struct pst_client *found =
					pst_client_get(&clients, &all[i]->network);

				assert_ptr_equal(found, all[i]);
				pst_client_put(&clients, found);
			}
		}
		assert_int_equal(clients.pool.used_count, 0);
	}
}

static void memory(void **state)
{
	const struct pst_hash_key key = {1, 2};
	struct pst_addr addr = addr_of("192.0.2.1");
	struct pst_clients other;

	(void)state;
	assert_true(alloc.byte_peak <= pst_clients_bound(MANY));
	pst_alloc_fail_at(&alloc, 1, true);
	assert_null(pst_client_get(&clients, &addr));
	assert_int_equal(pst_clients_init(&other, &alloc.mem, key, 10), -PST_E_NOMEM);
	pst_alloc_fail_at(&alloc, 0, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(networks, begin, end),
		cmocka_unit_test_setup_teardown(entry_lasts, begin, end),
		cmocka_unit_test_setup_teardown(many, begin, end),
		cmocka_unit_test_setup_teardown(memory, begin, end),
	};

	return cmocka_run_group_tests_name("clients", tests, NULL, NULL);
}
