/* support/alloc_fail.h - an allocator that fails on demand and counts what was not given back
 *
 * Memory: malloc; each block carries its size and a mark in front, so that a wrong size at free, a
 * block freed twice or one of another allocator is a bug at once.
 */
#ifndef PST_SUPPORT_ALLOC_FAIL_H
#define PST_SUPPORT_ALLOC_FAIL_H

#include "base/mem.h"

struct pst_alloc_fail {
	struct pst_mem mem;
	uint64_t request_count; /* so far, failed ones too */
	uint64_t fail_at;       /* the request that fails, counted from 1; 0: none */
	bool persistent;        /* and all behind it */
	uint64_t failed_count;
	uint64_t block_count; /* outstanding */
	uint64_t byte_count;  /* outstanding */
	uint64_t byte_peak;
};

/* Never fails, until fail_at is set. */
void pst_alloc_fail_init(struct pst_alloc_fail *alloc);
/* Counts requests anew and fails the n-th from now; n = 0: none. Blocks outstanding stay counted. */
void pst_alloc_fail_at(struct pst_alloc_fail *alloc, uint64_t n, bool persistent);

#endif
