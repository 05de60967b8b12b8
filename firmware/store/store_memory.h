/* store/store_memory.h - the store in memory: a table of fixed size
 *
 * Layer: store (adapter). Uses: base.
 * Concept: set-associative, eight places a set; a place whose entry has ended is free. Nothing is swept.
 * Memory: the table, made by pst_store_memory_init; large ones cost pages only as they fill.
 */
#ifndef PST_STORE_STORE_MEMORY_H
#define PST_STORE_STORE_MEMORY_H

#include "base/mem.h"
#include "store/store.h"

struct pst_store_slot {
	uint64_t key, value;
	uint32_t put_s, end_s; /* in the store's time; end_s 0: never used */
};

struct pst_store_memory {
	struct pst_store store;
	struct pst_mem *mem;
	struct pst_store_slot *slots;
	uint32_t slot_count;
	uint32_t base_s;   /* the store's time when this process began to count */
	uint64_t start_ms;
};

/* What a table of so many bytes takes: never more than asked, and at least one set. */
uint64_t pst_store_memory_bound(uint64_t bytes);
/*  in  key: random
 *  ret 0 | -PST_E_NOMEM */
int pst_store_memory_init(struct pst_store_memory *memory, struct pst_mem *mem,
			  struct pst_hash_key key, uint64_t bytes, uint64_t now_ms) PST_MUST_CHECK;
void pst_store_memory_fini(struct pst_store_memory *memory);

/* The store's time. */
uint32_t pst_store_memory_now_s(const struct pst_store_memory *memory, uint64_t now_ms);
/* For what builds on it: an entry as it was, with its times.
 *  ret false: no room */
bool pst_store_memory_restore(struct pst_store_memory *memory, const struct pst_store_slot *slot,
			      uint32_t now_s);
/* Forget everything. */
void pst_store_memory_clear(struct pst_store_memory *memory);

#endif
