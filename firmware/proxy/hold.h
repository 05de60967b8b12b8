/* proxy/hold.h - who may keep how many pages: the hold pool and each transaction's share of it
 *
 * Layer: proxy. Uses: base.
 * Concept: everything of variable size that a transaction keeps (envelope, header, body) is charged
 * in pages of 4 KiB. Each transaction owns a small reserve that can always be had; beyond it pages
 * come from the shared hold pool, of which one client network gets at most an eighth. When neither
 * has room a message streams instead of being held. One piece of it may have been decoded by then,
 * and must go somewhere: that is what the overdraft is for, so that every session can stream some
 * mail whatever the others do. What not even the overdraft allows ends in 452.
 * Memory: at most (reserve + overdraft) * transactions + shared pages, whatever is sent.
 */
#ifndef PST_PROXY_HOLD_H
#define PST_PROXY_HOLD_H

#include "proxy/clients.h"

#define PST_PAGE_BYTES 4096
#define PST_HOLD_RESERVE_PAGES 4
#define PST_HOLD_OVERDRAFT_PAGES 6 /* a link's buffer full, and our own header fields */
#define PST_HOLD_CLIENT_PART 8 /* one network may have 1/8 of the shared pages */

struct pst_page {
	struct pst_page *next;
	uint32_t len;
	uint8_t data[PST_PAGE_BYTES - 24]; /* with the allocator's own word, one page of the system */
};

struct pst_hold {
	struct pst_pool pages;
	struct pst_mem *mem;
	uint32_t shared_max, shared_bound; /* now; as it was made */
	uint32_t shared_used;
};

/* One transaction's account. */
struct pst_share {
	struct pst_hold *hold;
	struct pst_client *client; /* NULL: not counted per network */
	uint32_t page_count;
	uint32_t overdraft_count; /* of these, beyond what the pool allowed */
};

uint64_t pst_hold_bound(uint64_t shared_bytes, uint32_t transaction_count_max);
void pst_hold_init(struct pst_hold *hold, struct pst_mem *mem, uint64_t shared_bytes,
		   uint32_t transaction_count_max);
void pst_hold_fini(struct pst_hold *hold);
/* From now on at most so much is shared; never more than at first. What is kept stays. */
void pst_hold_limit(struct pst_hold *hold, uint64_t shared_bytes);

/* Could `count` pages more be charged now, without the overdraft? */
bool pst_share_has_room(const struct pst_share *share, uint32_t count);
/* Charge and refund without a page behind it (for contiguous blocks).
 *  ret 0 | -PST_E_NOMEM: over a bound */
int pst_share_charge(struct pst_share *share, uint32_t count) PST_MUST_CHECK;
void pst_share_refund(struct pst_share *share, uint32_t count);

/* A charged page, empty; NULL when over a bound. */
struct pst_page *pst_share_page(struct pst_share *share) PST_MUST_CHECK;
void pst_share_return(struct pst_share *share, struct pst_page *page);

/* Small things that live as long as the transaction: the envelope. */
struct pst_arena {
	struct pst_share *share;
	struct pst_page *pages; /* newest first */
	uint32_t page_count;
};

#define PST_ARENA_PAGES_MAX 24 /* about 1,000 ordinary recipients; then 452 */

/* Zeroed, aligned for any struct; NULL when over a bound. At most a page. */
void *pst_arena_alloc(struct pst_arena *arena, uint32_t size) PST_MUST_CHECK;
/* A copy of `span`; its `at` is NULL when over a bound (and only then). */
struct pst_span pst_arena_copy(struct pst_arena *arena, struct pst_span span) PST_MUST_CHECK;
void pst_arena_free(struct pst_arena *arena);

#endif
