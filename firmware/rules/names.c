/* rules/names.c - the memory and the symbols of a load */
#include <string.h>

#include "rules/load_priv.h"

#define NAMES_FIRST 1024u

void *pst_rules_load_get(struct pst_rules_load *load, uint32_t size)
{
	void *block = NULL;

	if (load->bytes + size <= PST_RULES_LOAD_BYTES_MAX)
		block = pst_rules_chunk_get(load->mem, &load->chunks, size, &load->bytes);
	else if (!load->status)
		load->status = -PST_E_FULL;
	if (!block && !load->status)
		load->status = -PST_E_NOMEM;
	return block;
}

struct pst_span pst_rules_load_copy(struct pst_rules_load *load, struct pst_span text)
{
	uint8_t *copy = text.len ? pst_rules_load_get(load, text.len) : NULL;

	if (!copy)
		return PST_SPAN_NONE;
	memcpy(copy, text.at, text.len);
	return (struct pst_span){copy, text.len};
}

static uint32_t bucket_of(struct pst_span text)
{
	uint32_t hash = 2166136261u;

	for (uint32_t i = 0; i < text.len; i++)
		hash = (hash ^ text.at[i]) * 16777619u;
	return (hash ^ hash >> 16) % PST_RULES_NAME_BUCKETS;
}

struct pst_rules_name *pst_rules_name_find(const struct pst_rules_load *load, struct pst_span text)
{
	struct pst_rules_name *name = load->buckets[bucket_of(text)];

	while (name && !pst_span_eq(name->text, text))
		name = name->next;
	return name;
}

static bool grow(struct pst_rules_load *load)
{
	uint32_t size = load->names_size ? load->names_size * 2 : NAMES_FIRST;
	struct pst_rules_name **names =
		pst_rules_load_get(load, size * (uint32_t)sizeof(struct pst_rules_name *));

	if (!names)
		return false;
	if (load->name_count)
		memcpy(names, load->names, load->name_count * sizeof(*names));
	load->names = names;
	load->names_size = size;
	return true;
}

struct pst_rules_name *pst_rules_name_get(struct pst_rules_load *load, struct pst_span text)
{
	struct pst_rules_name *name = pst_rules_name_find(load, text);
	uint32_t bucket = bucket_of(text);

	if (name)
		return name;
	if (load->name_count == PST_RULES_NAMES_MAX) {
		load->status = -PST_E_FULL;
		return NULL;
	}
	if (load->name_count == load->names_size && !grow(load))
		return NULL;
	name = pst_rules_load_get(load, sizeof(*name));
	if (!name)
		return NULL;
	name->text = pst_rules_load_copy(load, text);
	name->rule = load->name_count; /* its index, until the set gives it another */
	name->next = load->buckets[bucket];
	load->buckets[bucket] = name;
	load->names[load->name_count++] = name;
	return load->status ? NULL : name;
}

int64_t pst_rules_name_index(const struct pst_rules_load *load, struct pst_span text)
{
	const struct pst_rules_name *name = pst_rules_name_find(load, text);

	return name ? (int64_t)name->rule : -PST_E_NOENT;
}

void pst_rules_load_free(struct pst_rules_load *load)
{
	pst_rules_chunk_free(load->mem, &load->chunks);
}
