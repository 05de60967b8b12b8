/* mail/date.h - dates of header fields -> seconds since 1970
 *
 * Layer: mail (pure). Uses: base. Spec: RFC 5322 sections 3.3 and 4.3, with what SpamAssassin takes
 * beyond it: values out of range are cut to it, years 1970 to 2037.
 */
#ifndef PST_MAIL_DATE_H
#define PST_MAIL_DATE_H

#include "base/span.h"

/*  ret 0 | -PST_E_SYNTAX: no date in it */
int pst_mail_date_parse(struct pst_span text, int64_t *out_s) PST_MUST_CHECK;

#endif
