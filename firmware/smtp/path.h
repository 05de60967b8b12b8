/* smtp/path.h - SMTP paths, domains and address literals
 *
 * Layer: smtp (pure). Uses: base. Spec: RFC 5321 section 4.1.2 and 4.1.3, RFC 6531 section 3.3.
 * Concept: one strict parser for what stands behind MAIL FROM: and RCPT TO:. Source routes are
 * parsed and ignored (RFC 5321 appendix C). Longer local parts and paths than the RFC's are taken
 * (VERP, SRS and SES need them), within PST_SMTP_LOCAL_MAX and PST_SMTP_PATH_MAX.
 * Memory: the result borrows the input.
 */
#ifndef PST_SMTP_PATH_H
#define PST_SMTP_PATH_H

#include "base/addr.h"

#define PST_SMTP_LOCAL_MAX 256  /* octets of a local part, RFC 5321 4.5.3.1.1 says 64 */
#define PST_SMTP_PATH_MAX 512   /* octets between the angle brackets, 4.5.3.1.3 says 256 */
#define PST_SMTP_DOMAIN_MAX 255 /* 4.5.3.1.2 */

enum pst_smtp_path_flag {
	PST_SMTP_PATH_NULL = 1,    /* <> */
	PST_SMTP_PATH_QUOTED = 2,  /* the local part is a quoted string, quotes included */
	PST_SMTP_PATH_LITERAL = 4, /* the domain is an address literal; `address` is set */
	PST_SMTP_PATH_UTF8 = 8,    /* holds bytes above 127: needs SMTPUTF8 */
	PST_SMTP_PATH_BARE = 16,   /* no domain: <postmaster>, or another bare local part */
	PST_SMTP_PATH_ROUTE = 32,  /* a source route was there and is left out of the result */
};

struct pst_smtp_path {
	struct pst_span mailbox; /* local@domain as it stood, no route or brackets; empty for <> */
	struct pst_span local;   /* as it stood, quotes and backslashes included */
	struct pst_span domain;  /* as it stood, brackets of a literal included; empty if bare */
	struct pst_addr address; /* of an IPv4 or IPv6 literal */
	uint32_t flags;
};

/* Parse a path at the front of `in`: "<" [route ":"] mailbox ">" or "<>".
 *  out  rest: what follows the ">" (parameters, with their leading blank)
 *  ret  0 | -PST_E_SYNTAX | -PST_E_RANGE: well formed, but over one of the limits
 *  note a bare local part is accepted here (the flag says so); the server refuses all but
 *       postmaster */
int pst_smtp_path_parse(struct pst_span in, struct pst_smtp_path *path, struct pst_span *rest)
	PST_MUST_CHECK;

/* The whole of `in` as a mailbox without brackets (configuration, address tables).
 *  ret as pst_smtp_path_parse */
int pst_smtp_mailbox_parse(struct pst_span in, struct pst_smtp_path *path) PST_MUST_CHECK;

/* A domain of letters, digits, hyphens and dots (with UTF-8 labels where `utf8`), or an address
 * literal in brackets: what HELO and EHLO must carry by the letter. Labels up to 63 octets.
 *  ret 0 | -PST_E_SYNTAX | -PST_E_RANGE */
int pst_smtp_domain_check(struct pst_span domain, bool utf8) PST_MUST_CHECK;

/* Does an unquoted view of the local part hold one of % ! @ (a request to route onward)?
 * Quoting does not hide it: "a@b"@example.org counts, and so does an escaped character. */
bool pst_smtp_local_routes(const struct pst_smtp_path *path);

/* The local part as it is meant, without quotes and backslashes.
 *  in  area: at least PST_SMTP_LOCAL_MAX bytes; borrowed by the result */
struct pst_span pst_smtp_local_plain(const struct pst_smtp_path *path, uint8_t *area);

#endif
