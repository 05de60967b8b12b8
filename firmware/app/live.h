/* app/live.h - `postern check --live`: talk to every internal server before mail does
 *
 * Layer: app.
 * Concept: one server after another is greeted, secured as its route says, and asked what mail will
 * ask: whether it takes postmaster of a routed domain, and whether it would relay outward for us,
 * plainly or by a routing character (then anybody who gets past us could use it). No message is
 * sent: each transaction ends in RSET before DATA.
 */
#ifndef PST_APP_LIVE_H
#define PST_APP_LIVE_H

#include "config/config.h"

/* Prints what it finds to stdout, a block for each server of each route.
 *  in  config: its TLS contexts attached
 *  ret how many servers have something wrong | -PST_E_NOMEM */
int pst_app_live(const struct pst_config *config, struct pst_mem *mem) PST_MUST_CHECK;

#endif
