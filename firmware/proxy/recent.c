/* proxy/recent.c - what was seen lately */
#include "proxy/recent.h"

void pst_recent_init(struct pst_recent *recent, struct pst_hash_key key, uint64_t life_ms)
{
	*recent = (struct pst_recent){.key = key, .life_ms = life_ms};
}

void pst_recent_add(struct pst_recent *recent, struct pst_span what, uint64_t now_ms)
{
	uint64_t hash = pst_hash(&recent->key, what);
	struct pst_recent_entry *set = recent->entries[hash % PST_RECENT_SETS], *place = set;

	for (uint32_t i = 0; i < PST_RECENT_WAYS; i++) {
		if (set[i].hash == hash) {
			place = &set[i];
			break;
		}
		if (set[i].until_ms < place->until_ms)
			place = &set[i];
	}
	*place = (struct pst_recent_entry){hash, now_ms + recent->life_ms};
}

bool pst_recent_has(const struct pst_recent *recent, struct pst_span what, uint64_t now_ms)
{
	uint64_t hash = pst_hash(&recent->key, what);
	const struct pst_recent_entry *set = recent->entries[hash % PST_RECENT_SETS];

	for (uint32_t i = 0; i < PST_RECENT_WAYS; i++)
		if (set[i].hash == hash && set[i].until_ms > now_ms)
			return true;
	return false;
}
