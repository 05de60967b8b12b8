/* mail/word.h - what a field's value says: unfolded, encoded words decoded, as UTF-8
 *
 * Layer: mail (pure). Uses: base, the charset seam. Spec: RFC 2047, RFC 2231 section 5 (language),
 * RFC 6532; lenient as SpamAssassin 4 is, whose rules read the result.
 * Memory: the result and, behind it while decoding, working space lie in `out`.
 */
#ifndef PST_MAIL_WORD_H
#define PST_MAIL_WORD_H

#include "mail/charset.h"

/* Append `value` with line ends taken out, bytes that are not UTF-8 read as Windows-1252, and encoded
 * words decoded; neighbours of one character set are joined before they are converted.
 *  in  words: decode encoded words? (not in Received, Message-ID, Date ...)
 *      charset: NULL: sets that are not built in are read as Windows-1252
 *      out: needs about 7 times the value's length of room while it works
 *  ret 0 | -PST_E_FULL: nothing was appended */
int pst_mail_value_decode(struct pst_span value, bool words, const struct pst_charset *charset,
			  struct pst_buf *out) PST_MUST_CHECK;

/* Must encoded words in a field of this name stay as they are? */
bool pst_mail_field_is_plain(struct pst_span name);

/* Append bytes of a named set as UTF-8.
 *  in  declared: its name; empty: UTF-8 if it is that, else Windows-1252
 *  ret 0 | -PST_E_FULL */
int pst_mail_to_utf8(struct pst_span text, struct pst_span declared,
		     const struct pst_charset *charset, struct pst_buf *out) PST_MUST_CHECK;

#endif
