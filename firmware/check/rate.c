/* check/rate.c - see rate.h */
#include "check/rate.h"

void pst_rate_init(struct pst_rate *rate, struct pst_hash_key key)
{
	*rate = (struct pst_rate){.key = key};
}

uint64_t pst_rate_key(const struct pst_rate *rate, uint8_t kind, struct pst_span name)
{
	struct pst_hasher hasher;

	pst_hasher_init(&hasher, &rate->key);
	pst_hasher_add(&hasher, (struct pst_span){&kind, 1});
	pst_hasher_add(&hasher, name);
	return pst_hasher_end(&hasher);
}

/* Of one message: what it takes to be level again. */
static uint64_t step_us(const struct pst_rate_limit *limit)
{
	return (uint64_t)limit->period_ms * 1000 / limit->count_max;
}

bool pst_rate_allows(const struct pst_rate *rate, const struct pst_rate_limit *limit, uint64_t key,
		     uint64_t now_ms)
{
	const struct pst_rate_entry *set = rate->entries[key % PST_RATE_SETS];

	if (limit->count_max == 0)
		return true;
	for (uint32_t i = 0; i < PST_RATE_WAYS; i++)
		if (set[i].key == key && set[i].level_us > now_ms * 1000)
			return set[i].level_us - now_ms * 1000 <=
			       step_us(limit) * (limit->count_max - 1);
	return true;
}

void pst_rate_charge(struct pst_rate *rate, const struct pst_rate_limit *limit, uint64_t key,
		     uint64_t now_ms)
{
	struct pst_rate_entry *set = rate->entries[key % PST_RATE_SETS], *place = set;
	uint64_t now_us = now_ms * 1000;

	if (limit->count_max == 0)
		return;
	for (uint32_t i = 0; i < PST_RATE_WAYS; i++) {
		if (set[i].key == key) {
			place = &set[i];
			break;
		}
		if (set[i].level_us < place->level_us)
			place = &set[i];
	}
	if (place->key != key || place->level_us < now_us)
		*place = (struct pst_rate_entry){key, now_us};
	place->level_us += step_us(limit);
}
