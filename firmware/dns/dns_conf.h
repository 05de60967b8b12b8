/* dns/dns_conf.h - whom to ask
 *
 * Layer: dns. Uses: base.
 */
#ifndef PST_DNS_DNS_CONF_H
#define PST_DNS_DNS_CONF_H

#include "base/addr.h"

#define PST_DNS_RESOLVERS_MAX 4

struct pst_dns_conf {
	bool off; /* nobody is asked anything */
	struct pst_addr resolvers[PST_DNS_RESOLVERS_MAX]; /* port 0: 53 */
	uint32_t resolver_count; /* 0: those of /etc/resolv.conf */
	bool trouble_defers;     /* when no resolver answers at all: 451, rather than unchecked mail */
	uint32_t cache_bytes;
};

#endif
