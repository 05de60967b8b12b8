/* support/alloc_fail.c - an allocator that fails on demand */
#include "support/alloc_fail.h"

#include <stdlib.h>
#include <string.h>

#define MARK UINT64_C(0x706f737465726e21)
#define DEAD UINT64_C(0x6465616462656566)

/* What a fresh block is filled with: who reads before writing shall not find zeros by luck. */
#define FILL 0xa5

struct head {
	_Alignas(max_align_t) uint64_t mark;
	size_t size;
};

/*  ret NULL: this request fails */
static void *take(struct pst_alloc_fail *alloc, size_t size, bool zeroed)
{
	struct head *head;
	bool fails;

	alloc->request_count++;
	fails = alloc->fail_at > 0 &&
		(alloc->persistent ? alloc->request_count >= alloc->fail_at
				   : alloc->request_count == alloc->fail_at);
	if (fails) {
		alloc->failed_count++;
		return NULL;
	}
	head = zeroed ? calloc(1, sizeof(*head) + size) : malloc(sizeof(*head) + size);
	PST_BUG_ON(!head);
	head->mark = MARK;
	head->size = size;
	alloc->block_count++;
	alloc->byte_count += size;
	alloc->byte_peak = PST_MAX(alloc->byte_peak, alloc->byte_count);
	return head + 1;
}

static void *fail_alloc(struct pst_mem *mem, size_t size)
{
	void *block = take(PST_CONTAINER(mem, struct pst_alloc_fail, mem), size, false);

	if (block)
		memset(block, FILL, size);
	return block;
}

static void *fail_alloc_zeroed(struct pst_mem *mem, size_t size)
{
	return take(PST_CONTAINER(mem, struct pst_alloc_fail, mem), size, true);
}

static void fail_free(struct pst_mem *mem, void *block, size_t size)
{
	struct pst_alloc_fail *alloc = PST_CONTAINER(mem, struct pst_alloc_fail, mem);
	struct head *head = (struct head *)block - 1;

	PST_BUG_ON(head->mark != MARK);
	PST_BUG_ON(head->size != size);
	head->mark = DEAD;
	alloc->block_count--;
	alloc->byte_count -= size;
	free(head);
}

void pst_alloc_fail_init(struct pst_alloc_fail *alloc)
{
	*alloc = (struct pst_alloc_fail){
		.mem = {.alloc = fail_alloc, .free = fail_free, .alloc_zeroed = fail_alloc_zeroed}};
}

void pst_alloc_fail_at(struct pst_alloc_fail *alloc, uint64_t n, bool persistent)
{
	alloc->request_count = 0;
	alloc->fail_at = n;
	alloc->persistent = persistent;
}
