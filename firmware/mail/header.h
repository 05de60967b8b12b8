/* mail/header.h - walking the fields of a message header
 *
 * Layer: mail (pure). Uses: base. Spec: RFC 5322 section 2.2, with what real mail does to it.
 * Concept: the header is one contiguous block in wire form (CRLF line ends, dot-stuffed as it
 * stands on the wire). A field is its name and everything up to the next line that does not begin
 * with a blank. The walk ends at the empty line, at the end of the block, or at the first line that
 * cannot be a field: from there on it is body.
 * Memory: spans borrow the block.
 */
#ifndef PST_MAIL_HEADER_H
#define PST_MAIL_HEADER_H

#include "base/span.h"

struct pst_mail_field {
	struct pst_span name;  /* without colon and blanks before it */
	struct pst_span value; /* behind the colon, folded as it stands, without the final CRLF */
	struct pst_span whole; /* from the name's first byte to its last CRLF */
};

/* Take the next field off the front of `rest`.
 *  ret true: *field is set | false: no further field; rest begins with what ended the header */
bool pst_mail_header_next(struct pst_span *rest, struct pst_mail_field *field);

/* Can this line (its first bytes) begin a header field? One to 256 printable bytes but colon,
 * blanks, a colon. */
bool pst_mail_field_starts(struct pst_span line);

/* The authserv-id of an Authentication-Results value (RFC 8601 section 2.2): the first token or
 * quoted string behind comments and folding, without quotes. Empty if there is none. */
struct pst_span pst_mail_authserv_id(struct pst_span value);

/* Must this incoming field be taken out before ours are added? Every X-Spam-* field, and every
 * Authentication-Results that carries our name (RFC 8601 section 5). */
bool pst_mail_field_forged(const struct pst_mail_field *field, struct pst_span hostname);

#endif
