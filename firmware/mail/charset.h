/* mail/charset.h - seam: text in some character set -> UTF-8
 *
 * Layer: mail (seam). Implementation: mail/charset_iconv.c; NULL where a build has none.
 * Concept: encoded words (RFC 2047) name their set. US-ASCII, UTF-8 and Windows-1252 (which stands
 * in for ISO-8859-1, as everywhere) are built into mail/word.c; this seam is asked for all others.
 * A set that nobody knows is read as Windows-1252, as SpamAssassin does.
 * Memory: an implementation keeps none between two calls.
 */
#ifndef PST_MAIL_CHARSET_H
#define PST_MAIL_CHARSET_H

#include "base/buf.h"

/* A longer name is no character set. */
#define PST_CHARSET_NAME_MAX 40

struct pst_charset {
	/* Append `text` as UTF-8 to `out`; bytes that mean nothing in the set become U+FFFD. All or
	 * nothing.
	 *  in  name: as the sender wrote it, letters of either case
	 *  ret 0 | -PST_E_NOENT: unknown set | -PST_E_FULL */
	int (*convert)(const struct pst_charset *self, struct pst_span name, struct pst_span text,
		       struct pst_buf *out);
};

#endif
