#include "config/build_priv.h"

#include <string.h>

/* Large enough that a usual configuration is one chunk, small enough not to matter. */
#define CHUNK_BYTES 4096
#define ALIGN 8

struct chunk {
	struct chunk *next;
	size_t size, used; /* of the whole block, this header included */
};

void *pst_config_arena_get(struct pst_config_arena *arena, size_t size)
{
	struct chunk *chunk = arena->chunks;
	size_t head = (sizeof(*chunk) + ALIGN - 1) / ALIGN * ALIGN;
	size_t need = (size + ALIGN - 1) / ALIGN * ALIGN;
	void *block;

	if (size > arena->bytes_max)
		return NULL;
	if (!chunk || chunk->size - chunk->used < need) {
		size_t chunk_size = PST_MAX((size_t)CHUNK_BYTES, head + need);

		if (arena->bytes + chunk_size > arena->bytes_max)
			return NULL;
		chunk = pst_mem_alloc(arena->mem, chunk_size);
		if (!chunk)
			return NULL;
		*chunk = (struct chunk){.next = arena->chunks, .size = chunk_size, .used = head};
		arena->chunks = chunk;
		arena->bytes += chunk_size;
	}
	block = (uint8_t *)chunk + chunk->used;
	chunk->used += need;
	return block;
}

void pst_config_arena_free(struct pst_config_arena *arena)
{
	struct chunk *chunk = arena->chunks;

	while (chunk) {
		struct chunk *next = chunk->next;

		pst_mem_free(arena->mem, chunk, chunk->size);
		chunk = next;
	}
	arena->chunks = NULL;
	arena->bytes = 0;
}

void *pst_config_get(struct pst_config_build *build, struct pst_config_arena *arena, size_t size)
{
	void *block = pst_config_arena_get(arena, size);

	if (!block)
		build->nomem = true;
	return block;
}

struct pst_span pst_config_copy(struct pst_config_build *build, struct pst_config_arena *arena,
				struct pst_span text)
{
	uint8_t *copy = pst_config_get(build, arena, (size_t)text.len + 1);

	if (!copy)
		return PST_SPAN_NONE;
	if (text.len)
		memcpy(copy, text.at, text.len);
	return (struct pst_span){copy, text.len};
}

struct pst_config_item *pst_config_item_add(struct pst_config_build *build,
					    struct pst_config_items *items,
					    const struct pst_config_place *place)
{
	struct pst_config_item *item = pst_config_get(build, &build->scratch, sizeof(*item));

	if (!item)
		return NULL;
	item->place = *place;
	if (!items->end)
		items->end = &items->first;
	*items->end = item;
	items->end = &item->next;
	items->count++;
	return item;
}
