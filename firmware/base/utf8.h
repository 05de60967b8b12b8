/* base/utf8.h - is it UTF-8?
 *
 * Layer: base. Spec: RFC 3629 section 4: shortest form only, no surrogates, nothing above U+10FFFF.
 */
#ifndef PST_BASE_UTF8_H
#define PST_BASE_UTF8_H

#include "base/span.h"

/* The length of the well-formed sequence of two bytes or more at the front of `text`, which must not
 * be empty; 0 if there is none. */
uint32_t pst_utf8_len(struct pst_span text);

/* Nothing but printable ASCII and well-formed sequences? */
bool pst_utf8_check(struct pst_span text);

#endif
