/* proxy/ledger.c - a set-associative table: no lists to keep, no search beyond eight entries
 *
 * Rejected: a hash table with a queue of ages. It would find the oldest entry of all to give way;
 * the oldest of eight does nearly as well, and needs no bookkeeping at every message.
 */
#include "proxy/ledger.h"

#define MAILBOX_MAX 512 /* as smtp/path.h bounds it */

static uint32_t round_up(uint32_t count)
{
	uint32_t size = PST_LEDGER_WAYS;

	while (count > 0 && size < count)
		size *= 2;
	return count > 0 ? size : 0;
}

uint64_t pst_ledger_bound(uint32_t entry_count)
{
	return (uint64_t)round_up(entry_count) * sizeof(struct pst_ledger_entry);
}

int pst_ledger_init(struct pst_ledger *ledger, struct pst_mem *mem, struct pst_hash_key key,
		    uint32_t entry_count)
{
	*ledger = (struct pst_ledger){
		.mem = mem,
		.key = key,
		.entry_count = round_up(entry_count),
	};
	if (ledger->entry_count == 0)
		return 0;
	ledger->entries = pst_mem_alloc(mem, ledger->entry_count * sizeof(*ledger->entries));
	return ledger->entries ? 0 : -PST_E_NOMEM;
}

void pst_ledger_fini(struct pst_ledger *ledger)
{
	pst_mem_free(ledger->mem, ledger->entries,
		     ledger->entry_count * sizeof(*ledger->entries));
	ledger->entries = NULL;
	ledger->entry_count = 0;
}

static void add_lower(struct pst_hasher *hasher, struct pst_span text)
{
	uint8_t area[MAILBOX_MAX];
	uint32_t len = PST_MIN(text.len, (uint32_t)sizeof(area));

	for (uint32_t i = 0; i < len; i++)
		area[i] = pst_lower(text.at[i]);
	pst_hasher_add(hasher, (struct pst_span){area, len});
	pst_hasher_add(hasher, PST_SPAN("\n"));
}

uint64_t pst_ledger_envelope(const struct pst_ledger *ledger, const struct pst_addr *client,
			     struct pst_span sender, struct pst_span rcpt)
{
	struct pst_addr network = pst_addr_network(client);
	struct pst_hasher hasher;

	pst_hasher_init(&hasher, &ledger->key);
	pst_hasher_add(&hasher, (struct pst_span){network.ip, sizeof(network.ip)});
	add_lower(&hasher, sender);
	add_lower(&hasher, rcpt);
	return pst_hasher_end(&hasher);
}

static struct pst_ledger_entry *set_of(struct pst_ledger *ledger, uint64_t envelope)
{
	uint64_t sets = ledger->entry_count / PST_LEDGER_WAYS;

	return &ledger->entries[(envelope & (sets - 1)) * PST_LEDGER_WAYS];
}

uint32_t pst_ledger_add(struct pst_ledger *ledger, uint64_t envelope, uint64_t content,
			uint16_t code, uint64_t owner, uint32_t chain, uint64_t now_ms)
{
	struct pst_ledger_entry *set, *place = NULL;

	if (ledger->entry_count == 0)
		return 0;
	set = set_of(ledger, envelope);
	for (uint32_t i = 0; i < PST_LEDGER_WAYS; i++) {
		if (set[i].code == 0 || set[i].until_ms <= now_ms) {
			place = &set[i];
			break;
		}
		if (!place || set[i].until_ms < place->until_ms)
			place = &set[i];
	}
	*place = (struct pst_ledger_entry){
		.envelope = envelope,
		.content = content,
		.until_ms = now_ms + PST_LEDGER_LIFE_MS,
		.owner = owner,
		.next = chain,
		.code = code,
	};
	return (uint32_t)(place - ledger->entries) + 1;
}

void pst_ledger_settle(struct pst_ledger *ledger, uint32_t chain, uint64_t owner, bool heard)
{
	while (chain > 0) {
		struct pst_ledger_entry *entry = &ledger->entries[chain - 1];

		/* Another entry took the place, and with it the rest of the chain. */
		if (entry->owner != owner)
			return;
		chain = entry->next;
		entry->owner = 0;
		entry->next = 0;
		if (heard)
			entry->code = 0;
	}
}

uint16_t pst_ledger_take(struct pst_ledger *ledger, uint64_t envelope, uint64_t content,
			 uint64_t now_ms)
{
	struct pst_ledger_entry *set;

	if (ledger->entry_count == 0)
		return 0;
	set = set_of(ledger, envelope);
	for (uint32_t i = 0; i < PST_LEDGER_WAYS; i++) {
		uint16_t code = set[i].code;

		if (code == 0 || set[i].owner != 0 || set[i].envelope != envelope ||
		    set[i].content != content || set[i].until_ms <= now_ms)
			continue;
		set[i].code = 0;
		return code;
	}
	return 0;
}
