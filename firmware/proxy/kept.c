/* proxy/kept.c - what the proxy keeps in the store */
#include "proxy/kept.h"

#include "loop/loop.h"
#include "store/store.h"

#define MONTH_S (30 * 86400)

static void keep(const struct pst_proxy_env *env, enum pst_store_kind kind, struct pst_span name,
		 uint64_t value)
{
	struct pst_store *store = env->store;

	if (store)
		(void)store->ops->put(store, pst_store_key(store, kind, name), value, MONTH_S,
				      env->loop->now_ms);
}

static bool recall(const struct pst_proxy_env *env, enum pst_store_kind kind, struct pst_span name,
		   uint64_t *value)
{
	struct pst_store *store = env->store;
	struct pst_store_entry entry;

	if (!store || !store->ops->get(store, pst_store_key(store, kind, name), env->loop->now_ms,
				       &entry))
		return false;
	*value = entry.value;
	return true;
}

void pst_kept_delivery(const struct pst_proxy_env *env, const struct pst_addr *client)
{
	struct pst_addr network = pst_addr_network(client);

	keep(env, PST_STORE_DELIVERED, (struct pst_span){network.ip, sizeof(network.ip)}, 0);
}

bool pst_kept_has_delivered(const struct pst_proxy_env *env, const struct pst_addr *client)
{
	struct pst_addr network = pst_addr_network(client);
	uint64_t value;

	return recall(env, PST_STORE_DELIVERED,
		      (struct pst_span){network.ip, sizeof(network.ip)}, &value);
}

bool pst_kept_recall_offers(void *owner, struct pst_span server, uint64_t *offers)
{
	return recall(owner, PST_STORE_OFFERS, server, offers);
}

void pst_kept_offers(void *owner, struct pst_span server, uint64_t offers)
{
	keep(owner, PST_STORE_OFFERS, server, offers);
}
