/* proxy/proxy_conf.h - one generation of the configuration, as the proxy sees it
 *
 * Layer: proxy. Uses: relay, policy, check, dns, base.
 * Lifetime: counted. A session keeps the generation it began with; `release` is called when the
 * last reference goes. Nothing in it ever changes, but for how well its lists are.
 */
#ifndef PST_PROXY_PROXY_CONF_H
#define PST_PROXY_PROXY_CONF_H

#include "check/dnsbl_conf.h"
#include "check/greylist_conf.h"
#include "check/os_conf.h"
#include "check/spf_conf.h"
#include "dns/dns_conf.h"
#include "policy/policy_conf.h"
#include "relay/relay_conf.h"

struct pst_tls_context;
struct pst_rules_set;
struct pst_zones;

#define PST_LISTENERS_MAX 16

struct pst_proxy_conf {
	uint32_t ref_count;
	void (*release)(struct pst_proxy_conf *conf);
	uint32_t generation; /* counts up from 1 at each load */

	struct pst_span hostname;
	struct pst_addr listeners[PST_LISTENERS_MAX];
	bool listener_tls[PST_LISTENERS_MAX]; /* TLS from the first byte */
	bool listener_hop[PST_LISTENERS_MAX]; /* a PROXY header comes first */
	bool listener_submission[PST_LISTENERS_MAX]; /* for who logs in to relay.submission */
	uint32_t listener_count;
	struct pst_tls_context *tls; /* our certificates; NULL: STARTTLS is not offered */
	bool tls_room; /* memory for TLS with clients is set aside, even while `tls` is NULL */
	const struct pst_span *tls_domains; /* sender domains that must come by TLS */
	uint32_t tls_domain_count;
	uint32_t handshake_count_max; /* at a time; then 454 */
	struct pst_relay_conf relay;
	struct pst_policy_conf policy;
	struct pst_dns_conf dns;
	struct pst_dnsbl_conf dnsbl;
	struct pst_zones *zones; /* the health of dnsbl's zones */
	struct pst_spf_conf spf;
	struct pst_greylist_conf greylist;
	struct pst_os_conf os;
	uint32_t rate_client_count_max; /* messages of one client network in a period; 0: no limit */
	uint32_t rate_sender_count_max; /* of one sender domain */
	uint32_t rate_period_ms;

	struct pst_rules_set *rules; /* NULL: none */

	uint32_t session_count_max;
	uint32_t per_client_count_max; /* connections of one IPv4 address or IPv6 /64 */
	uint32_t header_bytes_max;     /* seen by checks and rules; a longer one goes on unseen */
	uint32_t hold_bytes_max;       /* of one message; beyond, it streams */
	uint64_t hold_pool_bytes;      /* of all held messages together */
	uint32_t ledger_count_max;     /* outcomes remembered; 0: no ledger */
	uint32_t early_ms;             /* before the greeting; 0: at once */
	uint32_t idle_ms;              /* between commands, and between pieces of data */
	uint32_t transaction_ms;
	uint32_t rate_bytes_per_s; /* averaged after the first minute */
	uint32_t reply_ms;         /* our own cap after the client's dot */
	uint32_t drain_ms;
	uint32_t tarpit_bytes_per_s; /* what is read of an offender; 0: as it comes */
};

static inline struct pst_proxy_conf *pst_proxy_conf_ref(struct pst_proxy_conf *conf)
{
	conf->ref_count++;
	return conf;
}

static inline void pst_proxy_conf_unref(struct pst_proxy_conf *conf)
{
	PST_BUG_ON(conf->ref_count == 0);
	if (--conf->ref_count == 0)
		conf->release(conf);
}

#endif
