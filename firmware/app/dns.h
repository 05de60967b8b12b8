/* app/dns.h - the dns of a process: c-ares over the kernel's sockets or an interface of ours, and the cache
 * in front of it
 *
 * Layer: app. Uses: dns, net, loop, base.
 */
#ifndef PST_APP_DNS_H
#define PST_APP_DNS_H

#include "base/rng.h"
#include "dns/cache.h"
#include "dns/dns_cares.h"
#include "net/dgram_kernel.h"

#define PST_APP_DNS_QUERIES 256 /* under way at a time */

struct pst_app_dns {
	struct pst_dgram_kernel dgrams;
	struct pst_dns_cares *cares; /* NULL: there is none */
	struct pst_dns_cache cache;
};

uint64_t pst_app_dns_bound(const struct pst_dns_conf *conf);
uint32_t pst_app_dns_timers_max(const struct pst_dns_conf *conf);
uint32_t pst_app_dns_descriptors_max(const struct pst_dns_conf *conf);

/* Nothing is made where the configuration says `dns off`.
 *  in  dgrams: NULL for the kernel's
 *  ret 0 | -PST_E_NOMEM | -PST_E_IO */
int pst_app_dns_open(struct pst_app_dns *dns, const struct pst_dns_conf *conf, struct pst_loop *loop,
		     struct pst_epoll *epoll, struct pst_net *net, struct pst_dgrams *dgrams,
		     struct pst_mem *mem, struct pst_rng *rng) PST_MUST_CHECK;
void pst_app_dns_close(struct pst_app_dns *dns); /* harmless when there is none */
/* The seam, NULL without one. */
struct pst_dns *pst_app_dns_seam(struct pst_app_dns *dns);

#endif
