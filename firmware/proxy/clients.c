/* proxy/clients.c - a chained table of client networks */
#include "proxy/clients.h"

static uint32_t bucket_count_for(uint32_t count_max)
{
	uint32_t count = 16;

	while (count < count_max)
		count *= 2;
	return count;
}

uint64_t pst_clients_bound(uint32_t count_max)
{
	return (uint64_t)count_max * sizeof(struct pst_client) +
	       bucket_count_for(count_max) * sizeof(struct pst_client *);
}

int pst_clients_init(struct pst_clients *clients, struct pst_mem *mem, struct pst_hash_key key,
		     uint32_t count_max)
{
	*clients = (struct pst_clients){
		.mem = mem,
		.key = key,
		.bucket_count = bucket_count_for(count_max),
	};
	clients->buckets =
		pst_mem_alloc(mem, clients->bucket_count * sizeof(*clients->buckets));
	if (!clients->buckets)
		return -PST_E_NOMEM;
	pst_pool_init(&clients->pool, "client", mem, sizeof(struct pst_client), count_max, 64);
	return 0;
}

void pst_clients_fini(struct pst_clients *clients)
{
	PST_BUG_ON(clients->pool.used_count > 0);
	pst_pool_fini(&clients->pool);
	pst_mem_free(clients->mem, clients->buckets,
		     clients->bucket_count * sizeof(*clients->buckets));
}

static struct pst_client **bucket_of(struct pst_clients *clients, const struct pst_addr *network)
{
	struct pst_span ip = {network->ip, sizeof(network->ip)};

	return &clients->buckets[pst_hash(&clients->key, ip) & (clients->bucket_count - 1)];
}

struct pst_client *pst_client_get(struct pst_clients *clients, const struct pst_addr *addr)
{
	struct pst_addr network = pst_addr_network(addr);
	struct pst_client **bucket = bucket_of(clients, &network);
	struct pst_client *client;

	for (client = *bucket; client; client = client->next) {
		if (pst_addr_eq(&client->network, &network)) {
			client->ref_count++;
			return client;
		}
	}
	client = pst_pool_get_zeroed(&clients->pool);
	if (!client)
		return NULL;
	client->network = network;
	client->ref_count = 1;
	client->next = *bucket;
	*bucket = client;
	return client;
}

void pst_client_put(struct pst_clients *clients, struct pst_client *client)
{
	struct pst_client **place;

	if (--client->ref_count > 0)
		return;
	PST_BUG_ON(client->session_count > 0 || client->hold_pages > 0);
	place = bucket_of(clients, &client->network);
	while (*place != client)
		place = &(*place)->next;
	*place = client->next;
	pst_pool_put(&clients->pool, client);
}
