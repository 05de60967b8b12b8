/* smtp/dsn.h - the parameters of delivery status notifications
 *
 * Layer: smtp (pure). Uses: base. Spec: RFC 3461 section 4, RFC 6533 section 3.
 * Concept: what a client asks for at MAIL and RCPT is checked for its syntax, and goes on as it
 * stood: the values are meant for whoever writes the notification.
 * Memory: spans borrow. An absent parameter is an empty span; none of them may be empty.
 */
#ifndef PST_SMTP_DSN_H
#define PST_SMTP_DSN_H

#include "base/span.h"

#define PST_SMTP_ENVID_MAX 100 /* octets of the value (section 4.4) */
#define PST_SMTP_ORCPT_MAX 500 /* likewise (section 4.2) */

struct pst_smtp_mail_dsn {
	struct pst_span ret;   /* FULL or HDRS */
	struct pst_span envid; /* xtext */
};

struct pst_smtp_rcpt_dsn {
	struct pst_span notify; /* NEVER, or a list of SUCCESS, FAILURE, DELAY */
	struct pst_span orcpt;  /* type ";" xtext */
};

bool pst_smtp_ret_check(struct pst_span value);
bool pst_smtp_envid_check(struct pst_span value);
bool pst_smtp_notify_check(struct pst_span value);
/*  in  utf8: bytes above 127 are allowed, in an address of type utf-8 (RFC 6533 section 3); that
 *      they are UTF-8 is the caller's to see */
bool pst_smtp_orcpt_check(struct pst_span value, bool utf8);

#endif
