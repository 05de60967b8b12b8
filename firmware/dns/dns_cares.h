/* dns/dns_cares.h - the dns seam over c-ares
 *
 * Layer: dns (adapter). Uses: net (both seams), loop, base. Spec: RFC 1035, 2308, 5452, 6891, 7766.
 * Concept: c-ares makes, matches and repeats questions; bytes go over the net and datagram seams by its
 * socket functions, time over our loop. One channel asks the resolvers; a zone's own servers are
 * asked by a channel of their own, without recursion, of which a few are kept.
 * Its query cache is off (dns/cache.h is ours), sockets stay open and change ports now and then.
 * Memory: c-ares takes from the given pst_mem, at most pst_dns_cares_bound of it: at the bound a
 * question is answered with PST_DNS_OURS. The library's hooks carry no context, so there is one
 * instance in a process at a time.
 */
#ifndef PST_DNS_DNS_CARES_H
#define PST_DNS_DNS_CARES_H

#include "base/mem.h"
#include "dns/dns.h"
#include "dns/dns_conf.h"
#include "net/dgram.h"
#include "net/net.h"

#define PST_DNS_CARES_TRY_MS 2000 /* an unanswered question is repeated after this, at first */
#define PST_DNS_CARES_TRIES 3     /* of each server */

struct pst_dns_cares;

struct pst_dns_cares_env {
	struct pst_loop *loop;
	struct pst_net *net;
	struct pst_dgrams *dgrams;
	struct pst_mem *mem;
	uint32_t query_count_max; /* questions under way at a time */
};

uint64_t pst_dns_cares_bound(uint32_t query_count_max);
uint32_t pst_dns_cares_timers_max(uint32_t query_count_max);
/* Descriptors, or whatever stands for them below. */
uint32_t pst_dns_cares_sockets_max(void);

/*  in  conf: copied
 *  ret 0 | -PST_E_NOMEM | -PST_E_BUSY: there is one already | -PST_E_IO: no resolver can be found out */
int pst_dns_cares_new(const struct pst_dns_cares_env *env, const struct pst_dns_conf *conf,
		      struct pst_dns_cares **out) PST_MUST_CHECK;
/* Questions under way get no answer any more. */
void pst_dns_cares_free(struct pst_dns_cares *cares);

struct pst_dns *pst_dns_cares_seam(struct pst_dns_cares *cares);
/* Other resolvers from here on; with none named, /etc/resolv.conf is read again.
 *  ret 0 | -PST_E_NOMEM: unchanged */
int pst_dns_cares_reload(struct pst_dns_cares *cares, const struct pst_dns_conf *conf) PST_MUST_CHECK;

#endif
