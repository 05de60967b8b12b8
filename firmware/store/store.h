/* store/store.h - what should outlive a session, and with some adapters the process: small facts with a life
 *
 * Layer: store (seam). Uses: base. Implementations: store/store_memory.c, store/store_file.c.
 * Concept: a bounded table from 64-bit keys to 64-bit values, each with a time to live. Loss-tolerant: whoever
 * asks must be right without an answer, and the table may be empty at any start. Never on a session's critical
 * path: get and put work on memory alone; what lies behind (a file) is read at start and written in slices.
 * Time is the store's own: seconds of running, which go on at a restart where they had ended. The wall clock
 * cannot make an entry expire, whether it jumps, or starts in 1970 on a board that has no battery for it.
 * Keys are keyed hashes, made by pst_store_key: nobody outside can pick names that meet, and a file tells
 * nobody who writes to whom. The hash's key lives as long as the entries do.
 *
 * Rejected: get by completion, as the other seams have it. A session would then wait for a disk, and with a
 * memory in front of it nearly always for nothing. A store shared by several boards keeps a copy of its own
 * and learns in the background.
 */
#ifndef PST_STORE_STORE_H
#define PST_STORE_STORE_H

#include "base/hash.h"
#include "store/types.h"

struct pst_store;

struct pst_store_ops {
	/*  ret true: there is a living entry, *out is a copy */
	bool (*get)(struct pst_store *store, uint64_t key, uint64_t now_ms,
		    struct pst_store_entry *out);
	/* Keep a value for `life_s` seconds (at least 1) from now, in place of the key's old one.
	 *  ret false: no room. Entries that live are never pushed out for new ones: who could do that could
	 *      keep others out for good. Nothing has changed. */
	bool (*put)(struct pst_store *store, uint64_t key, uint64_t value, uint32_t life_s,
		    uint64_t now_ms);
	/* The key's entry ends now. Harmless where there is none. */
	void (*expire)(struct pst_store *store, uint64_t key);
	/* Whatever has not been written yet is written before this returns, or given up with a log line: for
	 * the process's end, not for while mail flows. */
	void (*flush)(struct pst_store *store, uint64_t now_ms);
};

struct pst_store {
	const struct pst_store_ops *ops;
	struct pst_hash_key key;
	uint64_t unkept_count; /* puts that found no room */
};

/* The key of something: its kind and its name, any bytes. */
static inline uint64_t pst_store_key(const struct pst_store *store, enum pst_store_kind kind,
				     struct pst_span name)
{
	uint8_t byte = (uint8_t)kind;
	struct pst_hasher hasher;

	pst_hasher_init(&hasher, &store->key);
	pst_hasher_add(&hasher, (struct pst_span){&byte, 1});
	pst_hasher_add(&hasher, name);
	return pst_hasher_end(&hasher);
}

#endif
