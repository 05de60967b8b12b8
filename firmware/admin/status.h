/* admin/status.h - how the program is, as text
 *
 * Layer: admin. Uses: proxy, relay, check, base.
 * Concept: one view (struct pst_status), three ways to write it: JSON for programs, a page for people,
 * metrics in the text format of Prometheus.
 */
#ifndef PST_ADMIN_STATUS_H
#define PST_ADMIN_STATUS_H

#include "proxy/report.h"

/* Enough for all that there can be, with peer bytes at their longest. */
#define PST_STATUS_BYTES_MAX (96 * 1024)

struct pst_status {
	const char *version;
	struct pst_proxy_report proxy;
	uint64_t started_wall_ms;
	uint64_t uptime_ms;
	uint64_t used_bytes, bound_bytes; /* memory: taken now, and at most */
	uint64_t log_lost_count;
	const struct pst_addr *listeners; /* as they are open */
	uint32_t listener_count;
	const struct pst_interface_conf *interfaces; /* of the listeners' `via` */
};

enum pst_status_format { PST_STATUS_JSON, PST_STATUS_TEXT, PST_STATUS_METRICS };

/*  ret 0 | -PST_E_FULL */
int pst_status_put(struct pst_buf *out, const struct pst_status *status,
		   enum pst_status_format format);

#endif
