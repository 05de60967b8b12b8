/* dns/cache.h - answers that are known, and questions that are under way, in front of another dns
 *
 * Layer: dns (an implementation of the seam). Uses: loop, base. Spec: RFC 2308, RFC 8767 is not
 * followed: what has expired is not served.
 * Concept: an answer that says what there is, or that there is nothing, is kept for its TTL, but at
 * least 60 s and at most an hour. Trouble is kept for a few seconds, so that a dead server is not
 * asked by every session at once. Equal questions under way are asked once. What the resolvers say
 * and what a zone's own servers say is kept apart: the latter are asked where the former may lie.
 * Memory: entries come from the given pst_mem, `bytes_max` in all; the one not used for longest
 * goes first. Questions under way come from a pool.
 */
#ifndef PST_DNS_CACHE_H
#define PST_DNS_CACHE_H

#include "base/hash.h"
#include "base/mem.h"
#include "dns/dns.h"

#define PST_DNS_TTL_MIN_S 60
#define PST_DNS_TTL_MAX_S 3600
#define PST_DNS_TROUBLE_TTL_S 5
#define PST_DNS_FLIGHT_MS 20000 /* an answer may come so late and still be kept */
#define PST_DNS_BUCKETS 1024

struct pst_dns_counts {
	uint64_t asked;  /* questions put to the cache */
	uint64_t hits;   /* answered from it */
	uint64_t merged; /* another one was under way */
	uint64_t trouble; /* answers that said nothing */
	uint64_t evicted; /* entries that went before their time, for want of room */
};

struct pst_dns_cache {
	struct pst_dns dns; /* the seam */
	struct pst_dns *below;
	struct pst_loop *loop;
	struct pst_mem *mem;
	struct pst_hash_key key;
	struct pst_pool flights; /* its peak_count: questions under way at most so far */
	struct pst_list used; /* entries, the last used ones at the end */
	struct pst_dns_cache_entry *buckets[PST_DNS_BUCKETS];
	struct pst_dns_cache_flight *under_way[PST_DNS_BUCKETS];
	uint64_t bytes, bytes_max;
	struct pst_dns_counts counts;
};

uint64_t pst_dns_cache_bound(uint64_t bytes_max, uint32_t flight_count_max);
uint32_t pst_dns_cache_timers_max(uint32_t query_count_max);
/*  in  below: who is asked; outlives the cache
 *      key: random */
void pst_dns_cache_init(struct pst_dns_cache *cache, struct pst_dns *below, struct pst_loop *loop,
			struct pst_mem *mem, struct pst_hash_key key, uint64_t bytes_max,
			uint32_t flight_count_max);
/* No question must be open. */
void pst_dns_cache_fini(struct pst_dns_cache *cache);
/* Forget every answer. */
void pst_dns_cache_clear(struct pst_dns_cache *cache);

#endif
