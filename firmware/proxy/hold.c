/* proxy/hold.c - charging pages */
#include "proxy/hold.h"

#include <string.h>

#define ALIGN 16U
#define OWN_PAGES (PST_HOLD_RESERVE_PAGES + PST_HOLD_OVERDRAFT_PAGES)

_Static_assert(sizeof(struct pst_page) <= PST_PAGE_BYTES, "a page is one page");

uint64_t pst_hold_bound(uint64_t shared_bytes, uint32_t transaction_count_max)
{
	return (shared_bytes / PST_PAGE_BYTES +
		(uint64_t)transaction_count_max * OWN_PAGES) *
	       PST_PAGE_BYTES;
}

void pst_hold_init(struct pst_hold *hold, struct pst_mem *mem, uint64_t shared_bytes,
		   uint32_t transaction_count_max)
{
	uint32_t shared_max = (uint32_t)(shared_bytes / PST_PAGE_BYTES);

	*hold = (struct pst_hold){
		.mem = mem,
		.shared_max = shared_max,
		.shared_bound = shared_max,
	};
	pst_pool_init(&hold->pages, "page", mem, sizeof(struct pst_page),
		      shared_max + transaction_count_max * OWN_PAGES, 16);
}

void pst_hold_fini(struct pst_hold *hold)
{
	PST_BUG_ON(hold->shared_used > 0);
	pst_pool_fini(&hold->pages);
}

void pst_hold_limit(struct pst_hold *hold, uint64_t shared_bytes)
{
	uint64_t wanted = shared_bytes / PST_PAGE_BYTES;

	hold->shared_max = (uint32_t)PST_MIN(wanted, hold->shared_bound);
}

static uint32_t beyond_reserve(uint32_t count)
{
	return count > PST_HOLD_RESERVE_PAGES ? count - PST_HOLD_RESERVE_PAGES : 0;
}

/* Pages of the shared pool that a transaction has. */
static uint32_t shared_of(const struct pst_share *share, uint32_t page_count)
{
	return beyond_reserve(page_count - share->overdraft_count);
}

/* Shared pages that `count` more would take. */
static uint32_t shared_step(const struct pst_share *share, uint32_t count)
{
	return shared_of(share, share->page_count + count) - shared_of(share, share->page_count);
}

bool pst_share_has_room(const struct pst_share *share, uint32_t count)
{
	const struct pst_hold *hold = share->hold;
	uint32_t step = shared_step(share, count);

	if (share->overdraft_count > 0)
		return false;
	if (step == 0)
		return true;
	if (hold->shared_used + step > hold->shared_max)
		return false;
	return !share->client ||
	       share->client->hold_pages + step <= hold->shared_max / PST_HOLD_CLIENT_PART;
}

int pst_share_charge(struct pst_share *share, uint32_t count)
{
	uint32_t step;

	if (!pst_share_has_room(share, count)) {
		if (share->overdraft_count + count > PST_HOLD_OVERDRAFT_PAGES)
			return -PST_E_NOMEM;
		share->overdraft_count += count;
		share->page_count += count;
		return 0;
	}
	step = shared_step(share, count);
	share->page_count += count;
	share->hold->shared_used += step;
	if (share->client)
		share->client->hold_pages += step;
	return 0;
}

void pst_share_refund(struct pst_share *share, uint32_t count)
{
	uint32_t overdrawn = PST_MIN(count, share->overdraft_count), step;

	PST_BUG_ON(count > share->page_count);
	share->overdraft_count -= overdrawn;
	share->page_count -= overdrawn;
	count -= overdrawn;
	share->page_count -= count;
	step = shared_step(share, count);
	share->hold->shared_used -= step;
	if (share->client)
		share->client->hold_pages -= step;
}

struct pst_page *pst_share_page(struct pst_share *share)
{
	struct pst_page *page;

	if (pst_share_charge(share, 1) < 0)
		return NULL;
	page = pst_pool_get(&share->hold->pages);
	if (!page) {
		pst_share_refund(share, 1);
		return NULL;
	}
	page->next = NULL;
	page->len = 0;
	return page;
}

void pst_share_return(struct pst_share *share, struct pst_page *page)
{
	pst_pool_put(&share->hold->pages, page);
	pst_share_refund(share, 1);
}

void *pst_arena_alloc(struct pst_arena *arena, uint32_t size)
{
	struct pst_page *page = arena->pages;
	uint32_t padded = (size + ALIGN - 1) & ~(ALIGN - 1), skip;
	uint8_t *at;

	PST_BUG_ON(padded > sizeof(page->data) - ALIGN);
	if (!page || page->len + padded + ALIGN > sizeof(page->data)) {
		if (arena->page_count == PST_ARENA_PAGES_MAX)
			return NULL;
		page = pst_share_page(arena->share);
		if (!page)
			return NULL;
		page->next = arena->pages;
		arena->pages = page;
		arena->page_count++;
	}
	at = &page->data[page->len];
	skip = (uint32_t)(-(uintptr_t)at & (ALIGN - 1));
	page->len += skip + padded;
	return memset(at + skip, 0, padded);
}

struct pst_span pst_arena_copy(struct pst_arena *arena, struct pst_span span)
{
	uint8_t *at = pst_arena_alloc(arena, PST_MAX(span.len, 1));

	if (!at)
		return PST_SPAN_NONE;
	if (span.len > 0)
		memcpy(at, span.at, span.len);
	return (struct pst_span){at, span.len};
}

void pst_arena_free(struct pst_arena *arena)
{
	struct pst_page *page;

	while ((page = arena->pages)) {
		arena->pages = page->next;
		pst_share_return(arena->share, page);
	}
	arena->page_count = 0;
}
