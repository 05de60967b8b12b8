/* proxy/checks.h - what all checks of a proxy share: who asks for them, the health of the lists, pools
 *
 * Layer: proxy. Uses: check, dns, loop, base.
 * Concept: a knock is what is known of a client's address, a sender what is asked about one envelope; both
 * drive pure cores by proxy/ask.h. The lists' own tests run here, one at a time, in the background.
 * Memory: pools sized by the configuration; asks wait for a slot, nothing else waits for memory: who
 * gets none goes unchecked, and that is counted.
 */
#ifndef PST_PROXY_CHECKS_H
#define PST_PROXY_CHECKS_H

#include "check/rate.h"
#include "check/zones.h"
#include "proxy/ask.h"
#include "proxy/proxy.h"

#define PST_CHECK_SLOTS 256      /* questions under way */
#define PST_KNOCK_MS 10000       /* then what has not come is not waited for */
#define PST_SENDER_MS 20000      /* RFC 7208 section 4.6.4 */
#define PST_ZONE_TEST_WAIT_MS 10000

struct pst_checks {
	const struct pst_proxy_env *env;
	struct pst_asks asks;
	struct pst_rate rate;
	struct pst_pool knocks, knock_works, senders;

	struct pst_proxy_conf *conf; /* whose lists are being looked after; a reference */
	struct pst_zone_test test;
	struct pst_ask test_ask;
	struct pst_timer test_timer;
	struct pst_task test_task;
	bool testing;
	bool asks_all; /* even where the outcome is known: somebody wants to read all of it */
};

uint64_t pst_checks_bound(const struct pst_proxy_conf *conf);
uint32_t pst_checks_timers_max(void);
void pst_checks_init(struct pst_checks *checks, const struct pst_proxy_env *env,
		     const struct pst_proxy_conf *conf);
/* Every knock and sender must have gone. */
void pst_checks_fini(struct pst_checks *checks);
/* Look after the lists of this generation: what is known of those that stay is kept. */
void pst_checks_use(struct pst_checks *checks, struct pst_proxy_conf *conf);
/* No more tests. */
void pst_checks_stop(struct pst_checks *checks);

/* Does this generation ask anybody anything? */
static inline bool pst_checks_active(const struct pst_checks *checks)
{
	return checks->env->dns != NULL;
}

/* Say who began or ended to rest. */
void pst_checks_tell_zones(struct pst_checks *checks, struct pst_proxy_conf *conf);
/* For struct pst_ask_ops. */
const struct pst_dns_servers *pst_checks_servers(const struct pst_zones *zones, uint16_t zone);

#endif
