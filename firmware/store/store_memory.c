/* store/store_memory.c - see store_memory.h */
#include "store/store_memory.h"

#include <string.h>

#define WAYS 8

static struct pst_store_memory *memory_of(struct pst_store *store)
{
	return PST_CONTAINER(store, struct pst_store_memory, store);
}

static uint32_t slot_count_of(uint64_t bytes)
{
	uint64_t sets = bytes / (WAYS * sizeof(struct pst_store_slot));

	return (uint32_t)PST_MIN(PST_MAX(sets, 1), UINT32_MAX / WAYS) * WAYS;
}

uint64_t pst_store_memory_bound(uint64_t bytes)
{
	return (uint64_t)slot_count_of(bytes) * sizeof(struct pst_store_slot);
}

uint32_t pst_store_memory_now_s(const struct pst_store_memory *memory, uint64_t now_ms)
{
	return memory->base_s + (uint32_t)((now_ms - memory->start_ms) / 1000);
}

/* The key's own place, else a free one, else NULL. */
static struct pst_store_slot *find(struct pst_store_memory *memory, uint64_t key, uint32_t now_s)
{
	uint64_t set = key % (memory->slot_count / WAYS);
	struct pst_store_slot *slots = &memory->slots[set * WAYS], *free_one = NULL;

	for (uint32_t i = 0; i < WAYS; i++) {
		if (slots[i].end_s != 0 && slots[i].key == key)
			return &slots[i];
		if (slots[i].end_s <= now_s && !free_one)
			free_one = &slots[i];
	}
	return free_one;
}

static bool memory_get(struct pst_store *store, uint64_t key, uint64_t now_ms,
		       struct pst_store_entry *out)
{
	struct pst_store_memory *memory = memory_of(store);
	uint32_t now_s = pst_store_memory_now_s(memory, now_ms);
	const struct pst_store_slot *slot = find(memory, key, now_s);

	if (!slot || slot->key != key || slot->end_s <= now_s)
		return false;
	*out = (struct pst_store_entry){
		.value = slot->value,
		.age_s = now_s - slot->put_s,
		.left_s = slot->end_s - now_s,
	};
	return true;
}

bool pst_store_memory_restore(struct pst_store_memory *memory, const struct pst_store_slot *slot,
			      uint32_t now_s)
{
	struct pst_store_slot *place = find(memory, slot->key, now_s);

	if (place)
		*place = *slot;
	else
		memory->store.unkept_count++;
	return place != NULL;
}

static bool memory_put(struct pst_store *store, uint64_t key, uint64_t value, uint32_t life_s,
		       uint64_t now_ms)
{
	struct pst_store_memory *memory = memory_of(store);
	uint32_t now_s = pst_store_memory_now_s(memory, now_ms);
	struct pst_store_slot slot = {
		.key = key,
		.value = value,
		.put_s = now_s,
		.end_s = life_s < UINT32_MAX - now_s ? now_s + life_s : UINT32_MAX,
	};

	PST_BUG_ON(life_s == 0);
	return pst_store_memory_restore(memory, &slot, now_s);
}

static void memory_expire(struct pst_store *store, uint64_t key)
{
	/* With the latest time there is, every place without the key looks free, and none is wanted. */
	struct pst_store_slot *slot = find(memory_of(store), key, UINT32_MAX);

	if (slot && slot->key == key)
		*slot = (struct pst_store_slot){0};
}

static void memory_flush(struct pst_store *store, uint64_t now_ms)
{
	(void)store;
	(void)now_ms;
}

static const struct pst_store_ops ops = {memory_get, memory_put, memory_expire, memory_flush};

int pst_store_memory_init(struct pst_store_memory *memory, struct pst_mem *mem,
			  struct pst_hash_key key, uint64_t bytes, uint64_t now_ms)
{
	*memory = (struct pst_store_memory){
		.store = {.ops = &ops, .key = key},
		.mem = mem,
		.slot_count = slot_count_of(bytes),
		.base_s = 1, /* 0 marks a place that was never used */
		.start_ms = now_ms,
	};
	memory->slots = pst_mem_alloc(mem, memory->slot_count * sizeof(*memory->slots));
	return memory->slots ? 0 : -PST_E_NOMEM;
}

void pst_store_memory_fini(struct pst_store_memory *memory)
{
	pst_mem_free(memory->mem, memory->slots, memory->slot_count * sizeof(*memory->slots));
	memory->slots = NULL;
}

void pst_store_memory_clear(struct pst_store_memory *memory)
{
	memset(memory->slots, 0, memory->slot_count * sizeof(*memory->slots));
}
