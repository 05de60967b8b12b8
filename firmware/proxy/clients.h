/* proxy/clients.h - what is counted per client network
 *
 * Layer: proxy. Uses: base.
 * Concept: one entry for each IPv4 address or IPv6 /64 that has a session or unfinished mail.
 * Memory: entries come from a pool of as many as there can be users of them; the table is sized once.
 */
#ifndef PST_PROXY_CLIENTS_H
#define PST_PROXY_CLIENTS_H

#include "base/addr.h"
#include "base/hash.h"
#include "base/mem.h"

struct pst_client {
	struct pst_client *next; /* in its bucket */
	struct pst_addr network;
	uint32_t ref_count;
	uint32_t session_count;
	uint32_t handshake_count;
	uint32_t hold_pages; /* of the shared hold pool */
};

struct pst_clients {
	struct pst_mem *mem;
	struct pst_pool pool;
	struct pst_hash_key key;
	struct pst_client **buckets;
	uint32_t bucket_count; /* a power of two */
};

uint64_t pst_clients_bound(uint32_t count_max);
/*  ret 0 | -PST_E_NOMEM */
int pst_clients_init(struct pst_clients *clients, struct pst_mem *mem, struct pst_hash_key key,
		     uint32_t count_max) PST_MUST_CHECK;
void pst_clients_fini(struct pst_clients *clients);

/* The entry of an address's network, made if it is new, with one reference more; NULL at the bound. */
struct pst_client *pst_client_get(struct pst_clients *clients, const struct pst_addr *addr)
	PST_MUST_CHECK;
void pst_client_put(struct pst_clients *clients, struct pst_client *client);

#endif
