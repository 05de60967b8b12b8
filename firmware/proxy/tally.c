/* proxy/tally.c - counting by client network */
#include "proxy/tally.h"

void pst_tally_init(struct pst_tally *tally, struct pst_hash_key key, uint64_t life_ms)
{
	*tally = (struct pst_tally){.key = key, .life_ms = life_ms};
}

static uint32_t set_of(const struct pst_tally *tally, const struct pst_addr *network)
{
	struct pst_span ip = {network->ip, sizeof(network->ip)};

	return (uint32_t)(pst_hash(&tally->key, ip) % PST_TALLY_SETS);
}

void pst_tally_add(struct pst_tally *tally, const struct pst_addr *addr, uint64_t now_ms)
{
	struct pst_addr network = pst_addr_network(addr);
	struct pst_tally_entry *set = tally->entries[set_of(tally, &network)], *place = set;

	for (uint32_t i = 0; i < PST_TALLY_WAYS; i++) {
		if (pst_addr_eq(&set[i].network, &network)) {
			place = &set[i];
			break;
		}
		if (set[i].until_ms < place->until_ms)
			place = &set[i];
	}
	if (!pst_addr_eq(&place->network, &network) || place->until_ms <= now_ms)
		*place = (struct pst_tally_entry){.network = network};
	place->count++;
	place->until_ms = now_ms + tally->life_ms;
}

uint32_t pst_tally_count(const struct pst_tally *tally, const struct pst_addr *addr, uint64_t now_ms)
{
	struct pst_addr network = pst_addr_network(addr);
	const struct pst_tally_entry *set = tally->entries[set_of(tally, &network)];

	for (uint32_t i = 0; i < PST_TALLY_WAYS; i++)
		if (pst_addr_eq(&set[i].network, &network) && set[i].until_ms > now_ms)
			return set[i].count;
	return 0;
}
