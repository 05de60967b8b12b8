/* mail/charset_iconv.h - the charset seam through the C library's iconv
 *
 * Layer: mail (adapter). Uses: base.
 * Memory: iconv's own, for the length of one call.
 */
#ifndef PST_MAIL_CHARSET_ICONV_H
#define PST_MAIL_CHARSET_ICONV_H

#include "mail/charset.h"

extern const struct pst_charset pst_charset_iconv;

/* what a program of this build passes as its charset */
#ifdef CONFIG_POSTERN_CHARSETS
#define PST_CHARSET_SYSTEM (&pst_charset_iconv)
#else
#define PST_CHARSET_SYSTEM NULL
#endif

#endif
