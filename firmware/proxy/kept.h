/* proxy/kept.h - what the proxy keeps in the store: deliveries, and what internal servers offer
 *
 * Layer: proxy. Uses: relay, store, base.
 * Concept: what helps to serve well right after a start. Without a store, or without room in it, nothing
 * is known: a client is a newcomer then, and an internal server is not believed before it was seen.
 */
#ifndef PST_PROXY_KEPT_H
#define PST_PROXY_KEPT_H

#include "proxy/proxy.h"

/* Mail of this client's network was taken; it was within 30 days. */
void pst_kept_delivery(const struct pst_proxy_env *env, const struct pst_addr *client);
bool pst_kept_has_delivered(const struct pst_proxy_env *env, const struct pst_addr *client);

/* For struct pst_relay_env; the owner is a struct pst_proxy_env. */
bool pst_kept_recall_offers(void *owner, struct pst_span server, uint64_t *offers);
void pst_kept_offers(void *owner, struct pst_span server, uint64_t offers);

#endif
