/* config/value_priv.h - the grammar of single values, read and shown
 *
 * Layer: config. Uses: base.
 */
#ifndef PST_CONFIG_VALUE_PRIV_H
#define PST_CONFIG_VALUE_PRIV_H

#include "base/addr.h"

/* "512", "64K", "50M", "2G": bytes, units of 1024.
 *  ret 0 | -PST_E_SYNTAX | -PST_E_RANGE */
int pst_config_size_parse(struct pst_span text, uint64_t *bytes) PST_MUST_CHECK;
void pst_config_size_put(struct pst_buf *out, uint64_t bytes);

/* "30" and "30s", "500ms", "5m", "1h", "1d": milliseconds.
 *  ret 0 | -PST_E_SYNTAX | -PST_E_RANGE */
int pst_config_time_parse(struct pst_span text, uint64_t *ms) PST_MUST_CHECK;
void pst_config_time_put(struct pst_buf *out, uint64_t ms);

/* Labels of letters, digits and inner hyphens, 63 and 253 octets at most, not all digits at the
 * end (that would be an address). */
bool pst_config_domain_ok(struct pst_span text);
/* The same of mail, which may be written in U-labels. */
bool pst_config_mail_domain_ok(struct pst_span text);

/* "local@domain", or "@domain". */
bool pst_config_mailbox_ok(struct pst_span text);

#endif
