/* rules/chunk.c - memory that is given back as a whole */
#include "rules/set_priv.h"

#define CHUNK_BYTES 16384u
#define ALIGN 16u
#define HEAD ((uint32_t)((sizeof(struct pst_rules_chunk) + ALIGN - 1) / ALIGN * ALIGN))

void *pst_rules_chunk_get(
	struct pst_mem *mem, struct pst_rules_chunk **chunks, uint32_t size, uint64_t *bytes)
{
	struct pst_rules_chunk *chunk = *chunks;
	uint32_t need = (size + ALIGN - 1) / ALIGN * ALIGN;
	void *block;

	if (!chunk || chunk->size - chunk->used < need) {
		uint32_t whole = PST_MAX(CHUNK_BYTES, HEAD + need);
		struct pst_rules_chunk *fresh = pst_mem_alloc(mem, whole);

		if (!fresh)
			return NULL;
		*bytes += whole;
		fresh->size = whole;
		fresh->used = HEAD;
		/* a large piece of its own leaves the room of the chunk before it in use */
		if (chunk && need > CHUNK_BYTES / 2) {
			fresh->next = chunk->next;
			chunk->next = fresh;
		} else {
			fresh->next = chunk;
			*chunks = fresh;
		}
		chunk = fresh;
	}
	block = (uint8_t *)chunk + chunk->used;
	chunk->used += need;
	return block;
}

void pst_rules_chunk_free(struct pst_mem *mem, struct pst_rules_chunk **chunks)
{
	while (*chunks) {
		struct pst_rules_chunk *chunk = *chunks;

		*chunks = chunk->next;
		pst_mem_free(mem, chunk, chunk->size);
	}
}
