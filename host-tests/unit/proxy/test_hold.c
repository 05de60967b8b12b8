/* test_hold.c - who may keep how many pages, and the envelope's arena */
#include "support/check.h"

#include "proxy/hold.h"
#include "support/alloc_fail.h"

#define SHARED 32 /* pages */
#define OWN (PST_HOLD_RESERVE_PAGES + PST_HOLD_OVERDRAFT_PAGES)

static struct pst_alloc_fail alloc;
static struct pst_hold hold;

static int begin(void **state)
{
	(void)state;
	pst_alloc_fail_init(&alloc);
	pst_hold_init(&hold, &alloc.mem, SHARED * PST_PAGE_BYTES, 3);
	return 0;
}

static int end(void **state)
{
	(void)state;
	pst_hold_fini(&hold);
	return alloc.block_count == 0 ? 0 : -1;
}

static void bound(void **state)
{
	(void)state;
	assert_int_equal(pst_hold_bound(SHARED * PST_PAGE_BYTES, 3),
			 (SHARED + 3 * OWN) * PST_PAGE_BYTES);
	assert_int_equal(pst_hold_bound(PST_PAGE_BYTES - 1, 0), 0);
	assert_int_equal(hold.pages.count_max, SHARED + 3 * OWN);
}

static void reserve_then_shared(void **state)
{
	struct pst_share a = {.hold = &hold}, b = {.hold = &hold};

	(void)state;
	assert_int_equal(pst_share_charge(&a, PST_HOLD_RESERVE_PAGES), 0);
	assert_int_equal(hold.shared_used, 0);
	assert_int_equal(pst_share_charge(&a, 1), 0);
	assert_int_equal(hold.shared_used, 1);
	assert_true(pst_share_has_room(&a, SHARED - 1));
	assert_false(pst_share_has_room(&a, SHARED));
	assert_int_equal(pst_share_charge(&a, SHARED), -PST_E_NOMEM);
	assert_int_equal(a.page_count, PST_HOLD_RESERVE_PAGES + 1);
	assert_int_equal(pst_share_charge(&a, SHARED - 1), 0);
	assert_int_equal(hold.shared_used, SHARED);
	/* Others still have their reserve, and nothing more. */
	assert_int_equal(pst_share_charge(&b, PST_HOLD_RESERVE_PAGES), 0);
	assert_false(pst_share_has_room(&b, 1));
	/* From shared into the reserve and back in one step. */
	pst_share_refund(&a, SHARED + 2);
	assert_int_equal(hold.shared_used, 0);
	assert_int_equal(a.page_count, PST_HOLD_RESERVE_PAGES - 2);
	assert_int_equal(pst_share_charge(&a, 5), 0);
	assert_int_equal(hold.shared_used, 3);
	check_bug(pst_share_refund(&a, a.page_count + 1));
	pst_share_refund(&a, a.page_count);
	pst_share_refund(&b, b.page_count);
	assert_int_equal(hold.shared_used, 0);
}

/* What was decoded already must be put somewhere: each transaction may owe a few pages. */
static void overdraft(void **state)
{
	struct pst_share a = {.hold = &hold}, b = {.hold = &hold};

	(void)state;
	assert_int_equal(pst_share_charge(&a, PST_HOLD_RESERVE_PAGES + SHARED), 0);
	assert_int_equal(pst_share_charge(&a, PST_HOLD_OVERDRAFT_PAGES + 1), -PST_E_NOMEM);
	assert_int_equal(pst_share_charge(&a, PST_HOLD_OVERDRAFT_PAGES - 1), 0);
	assert_int_equal(pst_share_charge(&a, 1), 0);
	assert_int_equal(pst_share_charge(&a, 1), -PST_E_NOMEM);
	assert_int_equal(hold.shared_used, SHARED);
	assert_int_equal(a.page_count, PST_HOLD_RESERVE_PAGES + SHARED + PST_HOLD_OVERDRAFT_PAGES);
	assert_int_equal(pst_share_charge(&b, OWN), -PST_E_NOMEM);
	assert_int_equal(pst_share_charge(&b, PST_HOLD_RESERVE_PAGES), 0);
	assert_int_equal(pst_share_charge(&b, PST_HOLD_OVERDRAFT_PAGES), 0);
	/* Whoever owes has no room, even if the pool has, until that is paid back; it is paid first. */
	pst_share_refund(&a, PST_HOLD_OVERDRAFT_PAGES - 1);
	assert_int_equal(hold.shared_used, SHARED);
	assert_false(pst_share_has_room(&a, 1));
	pst_share_refund(&a, 1 + SHARED);
	assert_int_equal(hold.shared_used, 0);
	assert_true(pst_share_has_room(&a, SHARED));
	assert_false(pst_share_has_room(&b, 1));
	pst_share_refund(&b, PST_HOLD_OVERDRAFT_PAGES);
	assert_true(pst_share_has_room(&b, SHARED));
	pst_share_refund(&a, a.page_count);
	pst_share_refund(&b, b.page_count);
	assert_int_equal(hold.shared_used, 0);
}

static void one_network(void **state)
{
	struct pst_client client = {0}, other = {0};
	struct pst_share a = {.hold = &hold, .client = &client};
	struct pst_share b = {.hold = &hold, .client = &client};
	struct pst_share c = {.hold = &hold, .client = &other};
	uint32_t most = SHARED / PST_HOLD_CLIENT_PART;

	(void)state;
	assert_int_equal(pst_share_charge(&a, PST_HOLD_RESERVE_PAGES + most - 1), 0);
	assert_int_equal(client.hold_pages, most - 1);
	assert_int_equal(pst_share_charge(&b, PST_HOLD_RESERVE_PAGES + 1), 0);
	assert_false(pst_share_has_room(&b, 1));
	assert_false(pst_share_has_room(&a, 1));
	assert_true(pst_share_has_room(&c, PST_HOLD_RESERVE_PAGES + most));
	assert_int_equal(pst_share_charge(&c, PST_HOLD_RESERVE_PAGES + most), 0);
	assert_int_equal(hold.shared_used, 2 * most);
	pst_share_refund(&a, a.page_count);
	assert_int_equal(client.hold_pages, 1);
	pst_share_refund(&b, b.page_count);
	pst_share_refund(&c, c.page_count);
	assert_int_equal(client.hold_pages, 0);
	assert_int_equal(other.hold_pages, 0);
}

static void limit(void **state)
{
	struct pst_share a = {.hold = &hold};

	(void)state;
	assert_int_equal(pst_share_charge(&a, PST_HOLD_RESERVE_PAGES + 10), 0);
	pst_hold_limit(&hold, 4 * PST_PAGE_BYTES);
	assert_false(pst_share_has_room(&a, 1)); /* what is kept stays, nothing is added */
	pst_share_refund(&a, 7);
	assert_true(pst_share_has_room(&a, 1));
	assert_false(pst_share_has_room(&a, 2));
	pst_hold_limit(&hold, UINT64_MAX);
	assert_int_equal(hold.shared_max, SHARED);
	pst_share_refund(&a, a.page_count);
}

static void pages(void **state)
{
	struct pst_share share = {.hold = &hold};
	struct pst_page *list = NULL, *page;
	uint32_t count = 0;

	(void)state;
	while ((page = pst_share_page(&share))) {
		assert_int_equal(page->len, 0);
		assert_null(page->next);
		memset(page->data, 0x5a, sizeof(page->data));
		page->len = 1;
		page->next = list;
		list = page;
		count++;
	}
	assert_int_equal(count, SHARED + OWN);
	while ((page = list)) {
		list = page->next;
		pst_share_return(&share, page);
	}
	assert_int_equal(share.page_count, 0);
	/* No memory: nothing is charged. */
	pst_hold_fini(&hold);
	pst_hold_init(&hold, &alloc.mem, SHARED * PST_PAGE_BYTES, 3);
	pst_alloc_fail_at(&alloc, 1, false);
	assert_null(pst_share_page(&share));
	assert_int_equal(share.page_count, 0);
}

static void arena(void **state)
{
	struct pst_share share = {.hold = &hold};
	struct pst_arena it = {.share = &share};
	uint8_t *blocks[64];
	struct pst_span copy;
	uint32_t count = 0;

	(void)state;
	for (uint32_t size = 1; size < 64; size++) {
		uint8_t *at = blocks[size] = pst_arena_alloc(&it, size * 13);

		assert_non_null(at);
		assert_int_equal((uintptr_t)at % 16, 0);
		for (uint32_t i = 0; i < size * 13; i++)
			assert_int_equal(at[i], 0);
		memset(at, (int)size, size * 13);
	}
	for (uint32_t size = 1; size < 64; size++)
		for (uint32_t i = 0; i < size * 13; i++)
			assert_int_equal(blocks[size][i], size);
	copy = pst_arena_copy(&it, PST_SPAN("a\0b"));
	assert_true(pst_span_eq(copy, PST_SPAN("a\0b")));
	copy = pst_arena_copy(&it, PST_SPAN_NONE);
	assert_non_null(copy.at); /* an empty sender is a sender */
	assert_int_equal(copy.len, 0);
	assert_non_null(pst_arena_alloc(&it, 4032));
	check_bug((void)!pst_arena_alloc(&it, 4073));
	while (pst_arena_alloc(&it, 4000))
		count++;
	assert_true(it.page_count == PST_ARENA_PAGES_MAX);
	copy = pst_arena_copy(&it, PST_SPAN("{it is full, but perhaps a little fits}"));
	if (copy.at)
		assert_int_equal(copy.len, 39);
	pst_arena_free(&it);
	assert_int_equal(share.page_count, 0);
	assert_int_equal(it.page_count, 0);
	assert_true(count > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bound, begin, end),
		cmocka_unit_test_setup_teardown(reserve_then_shared, begin, end),
		cmocka_unit_test_setup_teardown(overdraft, begin, end),
		cmocka_unit_test_setup_teardown(one_network, begin, end),
		cmocka_unit_test_setup_teardown(limit, begin, end),
		cmocka_unit_test_setup_teardown(pages, begin, end),
		cmocka_unit_test_setup_teardown(arena, begin, end),
	};

	return cmocka_run_group_tests_name("hold", tests, NULL, NULL);
}
