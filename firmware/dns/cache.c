/* dns/cache.c - see cache.h */
#include "dns/cache.h"

#include <string.h>

/* An answer that is kept; records and the bytes they point at lie behind it. */
struct pst_dns_cache_entry {
	struct pst_dns_cache_entry *next; /* in its bucket */
	struct pst_node node;             /* in cache->used */
	uint64_t hash;
	uint64_t due_ms;
	uint32_t size; /* of the block */
	struct pst_dns_answer answer;
	enum pst_dns_type type;
	bool direct;
	uint8_t name_len;
	uint8_t name[PST_DNS_NAME_MAX];
	struct pst_dns_record records[];
};

/* A question that was passed on, and who waits for its answer. */
struct pst_dns_cache_flight {
	struct pst_dns_query query;
	struct pst_dns_cache *cache;
	struct pst_dns_cache_flight *next;
	struct pst_list waiting;
	struct pst_dns_servers servers;
	uint64_t hash;
	uint8_t name[PST_DNS_NAME_MAX];
};

static struct pst_dns_cache *cache_of(struct pst_dns *dns)
{
	return PST_CONTAINER(dns, struct pst_dns_cache, dns);
}

static uint64_t hash_of(const struct pst_dns_cache *cache, const struct pst_dns_query *query)
{
	uint8_t key[PST_DNS_NAME_MAX + 2];
	uint32_t len = query->name.len;

	PST_BUG_ON(len > PST_DNS_NAME_MAX);
	for (uint32_t i = 0; i < len; i++)
		key[i] = pst_lower(query->name.at[i]);
	key[len] = (uint8_t)query->type;
	key[len + 1] = query->servers != NULL;
	return pst_hash(&cache->key, (struct pst_span){key, len + 2});
}

/* ---- entries --------------------------------------------------------------------------------- */

static void drop_entry(struct pst_dns_cache *cache, struct pst_dns_cache_entry *entry)
{
	struct pst_dns_cache_entry **place = &cache->buckets[entry->hash % PST_DNS_BUCKETS];

	while (*place != entry)
		place = &(*place)->next;
	*place = entry->next;
	pst_list_remove(&entry->node);
	cache->bytes -= entry->size;
	pst_mem_free(cache->mem, entry, entry->size);
}

static bool is_for(const struct pst_dns_cache_entry *entry, const struct pst_dns_query *query)
{
	return entry->type == query->type && entry->direct == (query->servers != NULL) &&
	       pst_span_eq_nocase((struct pst_span){entry->name, entry->name_len}, query->name);
}

static struct pst_dns_cache_entry *find_entry(struct pst_dns_cache *cache,
					      const struct pst_dns_query *query)
{
	uint64_t hash = hash_of(cache, query);
	struct pst_dns_cache_entry *entry = cache->buckets[hash % PST_DNS_BUCKETS];

	while (entry && !(entry->hash == hash && is_for(entry, query)))
		entry = entry->next;
	if (entry && entry->due_ms <= cache->loop->now_ms) {
		drop_entry(cache, entry);
		return NULL;
	}
	if (entry) {
		pst_list_remove(&entry->node);
		pst_list_append(&cache->used, &entry->node);
	}
	return entry;
}

static uint64_t keep_ms(const struct pst_dns_answer *answer)
{
	if (!pst_dns_is_definite(answer->status))
		return PST_DNS_TROUBLE_TTL_S * 1000;
	return (uint64_t)PST_MAX(PST_DNS_TTL_MIN_S, PST_MIN(answer->ttl_s, PST_DNS_TTL_MAX_S)) *
	       1000;
}

static void fill_entry(struct pst_dns_cache_entry *entry, const struct pst_dns_answer *answer)
{
	uint8_t *bytes = (uint8_t *)&entry->records[answer->record_count];

	entry->answer = *answer;
	entry->answer.cached = true;
	entry->answer.records = entry->records;
	for (uint32_t i = 0; i < answer->record_count; i++) {
		struct pst_span data = answer->records[i].data;

		entry->records[i] = answer->records[i];
		if (data.len == 0)
			continue;
		memcpy(bytes, data.at, data.len);
		entry->records[i].data.at = bytes;
		bytes += data.len;
	}
}

/* What cannot be kept is asked again. */
static void keep(struct pst_dns_cache *cache, const struct pst_dns_query *query,
		 const struct pst_dns_answer *answer)
{
	struct pst_dns_cache_entry *entry = find_entry(cache, query);
	uint64_t size = sizeof(*entry) + answer->record_count * sizeof(struct pst_dns_record);
	struct pst_node *oldest;

	if (entry)
		drop_entry(cache, entry);
	for (uint32_t i = 0; i < answer->record_count; i++)
		size += answer->records[i].data.len;
	if (size > cache->bytes_max / 4 || answer->status == PST_DNS_OURS)
		return;
	while (cache->bytes + size > cache->bytes_max && (oldest = pst_list_first(&cache->used))) {
		drop_entry(cache, PST_CONTAINER(oldest, struct pst_dns_cache_entry, node));
		cache->counts.evicted++;
	}
	entry = pst_mem_alloc(cache->mem, (size_t)size);
	if (!entry)
		return;
	entry->size = (uint32_t)size;
	entry->hash = hash_of(cache, query);
	entry->due_ms = cache->loop->now_ms + keep_ms(answer);
	entry->type = query->type;
	entry->direct = query->servers != NULL;
	entry->name_len = (uint8_t)query->name.len;
	memcpy(entry->name, query->name.at, query->name.len);
	fill_entry(entry, answer);
	entry->next = cache->buckets[entry->hash % PST_DNS_BUCKETS];
	cache->buckets[entry->hash % PST_DNS_BUCKETS] = entry;
	pst_list_append(&cache->used, &entry->node);
	cache->bytes += size;
}

/* ---- flights --------------------------------------------------------------------------------- */

static void close_query(struct pst_dns_cache *cache, struct pst_dns_query *query)
{
	query->open = false;
	query->impl = NULL;
	pst_list_remove(&query->node);
	pst_timer_cancel(cache->loop, &query->timer);
	pst_loop_forget(&query->task);
}

static void tell(struct pst_dns_cache *cache, struct pst_dns_query *query,
		 const struct pst_dns_answer *answer)
{
	close_query(cache, query);
	query->on_answer(query, answer);
}

static void land(struct pst_dns_cache_flight *flight)
{
	struct pst_dns_cache *cache = flight->cache;
	struct pst_dns_cache_flight **place = &cache->under_way[flight->hash % PST_DNS_BUCKETS];

	while (*place != flight)
		place = &(*place)->next;
	*place = flight->next;
}

static void on_below(struct pst_dns_query *query, const struct pst_dns_answer *answer)
{
	struct pst_dns_cache_flight *flight =
		PST_CONTAINER(query, struct pst_dns_cache_flight, query);
	struct pst_dns_cache *cache = flight->cache;
	struct pst_node *node;

	/* Whoever asks the same again from its callback finds the entry, not the flight. */
	land(flight);
	if (!pst_dns_is_definite(answer->status))
		cache->counts.trouble++;
	keep(cache, query, answer);
	while ((node = pst_list_pop(&flight->waiting)))
		tell(cache, PST_CONTAINER(node, struct pst_dns_query, node), answer);
	pst_pool_put(&cache->flights, flight);
}

static struct pst_dns_cache_flight *find_flight(struct pst_dns_cache *cache,
						const struct pst_dns_query *query)
{
	uint64_t hash = hash_of(cache, query);
	struct pst_dns_cache_flight *flight = cache->under_way[hash % PST_DNS_BUCKETS];

	while (flight && !(flight->hash == hash && flight->query.type == query->type &&
			   !flight->query.servers == !query->servers &&
			   pst_span_eq_nocase(flight->query.name, query->name)))
		flight = flight->next;
	return flight;
}

static struct pst_dns_cache_flight *take_off(struct pst_dns_cache *cache,
					     const struct pst_dns_query *query)
{
	struct pst_dns_cache_flight *flight = pst_pool_get_zeroed(&cache->flights);

	if (!flight)
		return NULL;
	flight->cache = cache;
	pst_list_init(&flight->waiting);
	flight->hash = hash_of(cache, query);
	memcpy(flight->name, query->name.at, query->name.len);
	flight->query = (struct pst_dns_query){
		.on_answer = on_below,
		.name = {flight->name, query->name.len},
		.type = query->type,
		.deadline_ms = PST_MAX(query->deadline_ms, cache->loop->now_ms + PST_DNS_FLIGHT_MS),
	};
	if (query->servers) {
		flight->servers = *query->servers;
		flight->query.servers = &flight->servers;
	}
	flight->next = cache->under_way[flight->hash % PST_DNS_BUCKETS];
	cache->under_way[flight->hash % PST_DNS_BUCKETS] = flight;
	pst_dns_query(cache->below, &flight->query);
	return flight;
}

/* ---- the seam -------------------------------------------------------------------------------- */

static void on_query_due(struct pst_timer *timer)
{
	struct pst_dns_query *query = PST_CONTAINER(timer, struct pst_dns_query, timer);
	struct pst_dns_answer answer = {.status = PST_DNS_TIMEOUT};

	tell(query->impl, query, &answer);
}

static void wait_for(struct pst_dns_cache *cache, struct pst_dns_query *query)
{
	struct pst_dns_cache_flight *flight = find_flight(cache, query);
	struct pst_dns_answer none = {.status = PST_DNS_OURS};

	if (flight)
		cache->counts.merged++;
	else
		flight = take_off(cache, query);
	if (!flight) {
		tell(cache, query, &none);
		return;
	}
	pst_list_append(&flight->waiting, &query->node);
	pst_timer_set(cache->loop, &query->timer, query->deadline_ms);
}

/* In the loop's task phase: an answer may be told. Entries are freed here and behind an answer from
 * below, never inside of a query, so on_answer may ask whatever it likes while it borrows one. */
static void on_task(struct pst_task *task)
{
	struct pst_dns_query *query = PST_CONTAINER(task, struct pst_dns_query, task);
	struct pst_dns_cache *cache = query->impl;
	const struct pst_dns_answer no_name = {.status = PST_DNS_OURS};
	struct pst_dns_cache_entry *entry;

	if (query->name.len == 0 || query->name.len > PST_DNS_NAME_MAX) {
		tell(cache, query, &no_name);
		return;
	}
	entry = find_entry(cache, query);
	if (!entry) {
		wait_for(cache, query);
		return;
	}
	cache->counts.hits++;
	entry->answer.ttl_s = (uint32_t)((entry->due_ms - cache->loop->now_ms + 999) / 1000);
	tell(cache, query, &entry->answer);
}

static void cache_query(struct pst_dns *dns, struct pst_dns_query *query)
{
	struct pst_dns_cache *cache = cache_of(dns);

	PST_BUG_ON(query->open);
	query->open = true;
	query->impl = cache;
	query->task.on_run = on_task;
	query->timer.on_due = on_query_due;
	cache->counts.asked++;
	pst_loop_resume(cache->loop, &query->task);
}

static void cache_cancel(struct pst_dns *dns, struct pst_dns_query *query)
{
	/* The flight goes on: its answer will be kept. */
	if (query->open)
		close_query(cache_of(dns), query);
}

static const struct pst_dns_ops ops = {.query = cache_query, .cancel = cache_cancel};

uint64_t pst_dns_cache_bound(uint64_t bytes_max, uint32_t flight_count_max)
{
	return bytes_max + flight_count_max * sizeof(struct pst_dns_cache_flight);
}

uint32_t pst_dns_cache_timers_max(uint32_t query_count_max)
{
	return query_count_max;
}

void pst_dns_cache_init(struct pst_dns_cache *cache, struct pst_dns *below, struct pst_loop *loop,
			struct pst_mem *mem, struct pst_hash_key key, uint64_t bytes_max,
			uint32_t flight_count_max)
{
	*cache = (struct pst_dns_cache){
		.dns = {.ops = &ops},
		.below = below,
		.loop = loop,
		.mem = mem,
		.key = key,
		.bytes_max = bytes_max,
	};
	pst_list_init(&cache->used);
	pst_pool_init(&cache->flights, "dns flight", mem, sizeof(struct pst_dns_cache_flight),
		      flight_count_max, 16);
}

void pst_dns_cache_clear(struct pst_dns_cache *cache)
{
	struct pst_node *node;

	while ((node = pst_list_first(&cache->used)))
		drop_entry(cache, PST_CONTAINER(node, struct pst_dns_cache_entry, node));
}

void pst_dns_cache_fini(struct pst_dns_cache *cache)
{
	for (uint32_t i = 0; i < PST_DNS_BUCKETS; i++)
		while (cache->under_way[i]) {
			struct pst_dns_cache_flight *flight = cache->under_way[i];

			PST_BUG_ON(!pst_list_empty(&flight->waiting));
			pst_dns_cancel(cache->below, &flight->query);
			land(flight);
			pst_pool_put(&cache->flights, flight);
		}
	pst_dns_cache_clear(cache);
	pst_pool_fini(&cache->flights);
}
