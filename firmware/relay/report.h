/* relay/report.h - how the internal servers are
 *
 * Layer: relay. Uses: smtp, base.
 */
#ifndef PST_RELAY_REPORT_H
#define PST_RELAY_REPORT_H

#include "base/addr.h"
#include "smtp/caps.h"

struct pst_relay;

struct pst_relay_report {
	struct pst_addr addr;
	struct pst_smtp_caps caps; /* as last seen */
	uint32_t connection_count;
	uint32_t waiting_count; /* transactions that wait for a connection */
	bool lmtp;
	bool seen; /* it has ever been spoken with */
	bool down; /* it failed a moment ago */
};

/* The server of this number, counted from 0.
 *  ret false: there are not so many */
bool pst_relay_report(const struct pst_relay *relay, uint32_t index, struct pst_relay_report *report);

#endif
