/* proxy/report.h - how the proxy is, for whoever shows it
 *
 * Layer: proxy. Uses: relay, check, base.
 * Concept: a view of what is there now; nothing is copied but figures. Valid until the loop turns.
 */
#ifndef PST_PROXY_REPORT_H
#define PST_PROXY_REPORT_H

#include "base/counters.h"
#include "check/zones.h"
#include "proxy/history.h"
#include "proxy/proxy.h"
#include "relay/report.h"

struct pst_proxy_report {
	uint32_t generation;
	uint32_t session_count, session_count_max;
	const char *mode;
	bool overloaded, draining;
	const struct pst_proxy_conf *conf;
	const struct pst_relay *relay;
	const struct pst_zones *zones; /* NULL: no lists */
	const struct pst_history *history;
	const struct pst_counters *counters;
	uint64_t now_ms, wall_ms;
};

void pst_proxy_report(const struct pst_proxy *proxy, struct pst_proxy_report *report);

#endif
