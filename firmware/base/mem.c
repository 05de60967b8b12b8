/* base/mem.c - the system's allocator, and the pools
 *
 * A free block's first bytes are the link to the next one; the rest is poisoned under
 * AddressSanitizer, so that a use behind pst_pool_put is caught although the memory was never given
 * back to the system.
 */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define PST_POISON 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(PST_POISON)
#define PST_POISON 1
#endif

#ifdef PST_POISON
#include <sanitizer/asan_interface.h>
#define poison(block, size) __asan_poison_memory_region(block, size)
#define unpoison(block, size) __asan_unpoison_memory_region(block, size)
#else
#define poison(block, size) ((void)(block), (void)(size))
#define unpoison(block, size) ((void)(block), (void)(size))
#endif

static void *system_alloc(struct pst_mem *mem, size_t size)
{
	struct pst_mem_system *system = PST_CONTAINER(mem, struct pst_mem_system, mem);
	void *block = malloc(size);

	if (block)
		system->used_bytes += size;
	return block;
}

static void *system_alloc_zeroed(struct pst_mem *mem, size_t size)
{
	struct pst_mem_system *system = PST_CONTAINER(mem, struct pst_mem_system, mem);
	void *block = calloc(1, size);

	if (block)
		system->used_bytes += size;
	return block;
}

static void system_free(struct pst_mem *mem, void *block, size_t size)
{
	struct pst_mem_system *system = PST_CONTAINER(mem, struct pst_mem_system, mem);

	PST_BUG_ON(size > system->used_bytes);
	system->used_bytes -= size;
	free(block);
}

void pst_mem_system_init(struct pst_mem_system *system)
{
	*system = (struct pst_mem_system){
		.mem = {
			.alloc = system_alloc,
			.free = system_free,
			.alloc_zeroed = system_alloc_zeroed,
		},
	};
}

void *pst_mem_alloc(struct pst_mem *mem, size_t size)
{
	void *block;

	PST_BUG_ON(size == 0);
	if (mem->alloc_zeroed)
		return mem->alloc_zeroed(mem, size);
	block = mem->alloc(mem, size);
	if (block)
		memset(block, 0, size);
	return block;
}

void pst_mem_free(struct pst_mem *mem, void *block, size_t size)
{
	if (block)
		mem->free(mem, block, size);
}

void pst_pool_init(struct pst_pool *pool, const char *name, struct pst_mem *mem, uint32_t size,
		   uint32_t count_max, uint32_t keep_max)
{
	PST_BUG_ON(size < sizeof(void *));
	*pool = (struct pst_pool){
		.name = name,
		.mem = mem,
		.size = size,
		.count_max = count_max,
		.keep_max = keep_max,
	};
}

static void *pop_free(struct pst_pool *pool)
{
	void *block = pool->free_list;

	if (block) {
		unpoison(block, pool->size);
		memcpy(&pool->free_list, block, sizeof(pool->free_list));
		pool->free_count--;
	}
	return block;
}

void pst_pool_fini(struct pst_pool *pool)
{
	PST_BUG_ON(pool->used_count > 0);
	for (void *block = pop_free(pool); block; block = pop_free(pool))
		pst_mem_free(pool->mem, block, pool->size);
}

static void *get(struct pst_pool *pool, bool zeroed)
{
	void *block = NULL;

	if (pool->used_count < pool->count_max) {
		block = pop_free(pool);
		if (!block)
			block = zeroed ? pst_mem_alloc(pool->mem, pool->size)
				       : pool->mem->alloc(pool->mem, pool->size);
		else if (zeroed)
			memset(block, 0, pool->size);
	}
	if (!block) {
		pool->refused_count++;
		return NULL;
	}
	pool->used_count++;
	pool->peak_count = PST_MAX(pool->peak_count, pool->used_count);
	return block;
}

void *pst_pool_get_zeroed(struct pst_pool *pool)
{
	return get(pool, true);
}

void *pst_pool_get(struct pst_pool *pool)
{
	return get(pool, false);
}

void pst_pool_put(struct pst_pool *pool, void *block)
{
	if (!block)
		return;
	PST_BUG_ON(pool->used_count == 0);
	pool->used_count--;
	if (pool->free_count >= pool->keep_max) {
		pst_mem_free(pool->mem, block, pool->size);
		return;
	}
	memcpy(block, &pool->free_list, sizeof(pool->free_list));
	pool->free_list = block;
	pool->free_count++;
	poison(block, pool->size);
}
