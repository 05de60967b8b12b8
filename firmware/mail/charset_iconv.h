/* mail/charset_iconv.h - the charset seam through the C library's iconv
 *
 * Layer: mail (adapter). Uses: base.
 * Memory: iconv's own, for the length of one call.
 */
#ifndef PST_MAIL_CHARSET_ICONV_H
#define PST_MAIL_CHARSET_ICONV_H

#include "mail/charset.h"

extern const struct pst_charset pst_charset_iconv;

#endif
