/* app/dns.c - see dns.h */
#include "app/dns.h"

#define UDP_RECEIVE_BYTES 32768 /* of each socket, as given to setsockopt */

uint64_t pst_app_dns_bound(const struct pst_dns_conf *conf)
{
	if (conf->off)
		return 0;
	return pst_dns_cares_bound(PST_APP_DNS_QUERIES) +
	       pst_dns_cache_bound(conf->cache_bytes, PST_APP_DNS_QUERIES);
}

uint32_t pst_app_dns_timers_max(const struct pst_dns_conf *conf)
{
	/* The cache's own questions are the proxy's, which counts them. */
	return conf->off ? 0 : pst_dns_cares_timers_max(PST_APP_DNS_QUERIES);
}

uint32_t pst_app_dns_descriptors_max(const struct pst_dns_conf *conf)
{
	return conf->off ? 0 : pst_dns_cares_sockets_max();
}

int pst_app_dns_open(struct pst_app_dns *dns, const struct pst_dns_conf *conf, struct pst_loop *loop,
		     struct pst_epoll *epoll, struct pst_net *net, struct pst_dgrams *dgrams,
		     struct pst_mem *mem, struct pst_rng *rng)
{
	struct pst_dns_cares_env env = {
		.loop = loop,
		.net = net,
		.dgrams = dgrams ? dgrams : &dns->dgrams.dgrams,
		.mem = mem,
		.query_count_max = PST_APP_DNS_QUERIES,
	};
	struct pst_hash_key key = {pst_rng_u64(rng), pst_rng_u64(rng)};
	int status;

	dns->cares = NULL;
	if (conf->off)
		return 0;
	pst_dgram_kernel_init(&dns->dgrams, epoll);
	dns->dgrams.receive_bytes = UDP_RECEIVE_BYTES;
	status = pst_dns_cares_new(&env, conf, &dns->cares);
	if (status == 0)
		pst_dns_cache_init(&dns->cache, pst_dns_cares_seam(dns->cares), loop, mem, key,
				   conf->cache_bytes, PST_APP_DNS_QUERIES);
	return status;
}

void pst_app_dns_close(struct pst_app_dns *dns)
{
	if (!dns->cares)
		return;
	pst_dns_cache_fini(&dns->cache);
	pst_dns_cares_free(dns->cares);
	dns->cares = NULL;
}

struct pst_dns *pst_app_dns_seam(struct pst_app_dns *dns)
{
	return dns->cares ? &dns->cache.dns : NULL;
}
