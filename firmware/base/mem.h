/* base/mem.h - the allocator, and the bounded block pools made from it
 *
 * Layer: base.
 * Concept: every byte that Postern takes at run time comes through a `struct pst_mem`, so that a
 * test can make the n-th request fail and count what was not given back. Sessions, buffers and
 * pages come from pools: blocks of one size, at most `count_max` at a time. A pool keeps a few free
 * blocks and gives the rest back, so an idle proxy is small and a busy one is bounded.
 * Memory: used <= count_max * size; a pool at its bound says so, it does not wait.
 */
#ifndef PST_BASE_MEM_H
#define PST_BASE_MEM_H

#include "base/base.h"

struct pst_mem {
	void *(*alloc)(struct pst_mem *self, size_t size); /* NULL when there is none */
	void (*free)(struct pst_mem *self, void *block, size_t size);
	/* Like alloc, but zeroed. May be NULL; the system's spares a large block's pages until they
	 * are used. */
	void *(*alloc_zeroed)(struct pst_mem *self, size_t size);
};

/* The system's allocator; it keeps the sum of bytes asked for and not given back. */
struct pst_mem_system {
	struct pst_mem mem;
	uint64_t used_bytes;
};
void pst_mem_system_init(struct pst_mem_system *system);

/* Zeroed memory, or NULL. `size` must be given back to pst_mem_free. */
void *pst_mem_alloc(struct pst_mem *mem, size_t size) PST_MUST_CHECK;
void pst_mem_free(struct pst_mem *mem, void *block, size_t size); /* block may be NULL */

struct pst_pool {
	const char *name;
	struct pst_mem *mem;
	void *free_list;
	uint32_t size;       /* bytes of a block */
	uint32_t count_max;  /* blocks in use at most; may be changed at a reload */
	uint32_t keep_max;   /* free blocks kept */
	uint32_t used_count;
	uint32_t free_count;
	uint32_t peak_count;
	uint64_t refused_count;
};

/*  in  size: at least that of a pointer
 *      name: borrowed for the life of the pool */
void pst_pool_init(struct pst_pool *pool, const char *name, struct pst_mem *mem, uint32_t size,
		   uint32_t count_max, uint32_t keep_max);
/* Gives the free blocks back. Every block must have been returned before. */
void pst_pool_fini(struct pst_pool *pool);
/* A zeroed block, or NULL at the bound or without memory (both counted in refused_count). */
void *pst_pool_get_zeroed(struct pst_pool *pool) PST_MUST_CHECK;
/* The same without clearing, for buffers that are written before they are read. */
void *pst_pool_get(struct pst_pool *pool) PST_MUST_CHECK;
void pst_pool_put(struct pst_pool *pool, void *block); /* block may be NULL */

#endif
