/* app/live_names.h - `postern check --live`: do MX, host name and certificate fit together?
 *
 * Layer: app.
 * Concept: a sender looks up a domain's MX, the addresses of that name, and, where it checks, the name in our
 * certificate. Each domain that a route takes is looked up in the same order, by the configuration's `dns`. What
 * does not fit is a warning with the way out: somebody else may take that domain's mail first, on purpose.
 */
#ifndef PST_APP_LIVE_NAMES_H
#define PST_APP_LIVE_NAMES_H

#include "config/config.h"

/* Prints what it finds to stdout.
 *  in  config: its TLS contexts attached
 *  ret how many warnings | -PST_E_NOMEM: DNS could not be started */
int pst_app_live_names(const struct pst_config *config, struct pst_mem *mem) PST_MUST_CHECK;

#endif
