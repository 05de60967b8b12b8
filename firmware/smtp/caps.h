/* smtp/caps.h - what a server offers behind EHLO
 *
 * Layer: smtp (pure). Uses: base. Spec: RFC 5321 section 4.1.1.1 and each extension's own.
 */
#ifndef PST_SMTP_CAPS_H
#define PST_SMTP_CAPS_H

#include "base/buf.h"

enum pst_smtp_cap {
	PST_SMTP_CAP_PIPELINING = 1 << 0,          /* RFC 2920 */
	PST_SMTP_CAP_SIZE = 1 << 1,                /* RFC 1870 */
	PST_SMTP_CAP_8BITMIME = 1 << 2,            /* RFC 6152 */
	PST_SMTP_CAP_ENHANCEDSTATUSCODES = 1 << 3, /* RFC 2034 */
	PST_SMTP_CAP_STARTTLS = 1 << 4,            /* RFC 3207 */
	PST_SMTP_CAP_CHUNKING = 1 << 5,            /* RFC 3030 */
	PST_SMTP_CAP_SMTPUTF8 = 1 << 6,            /* RFC 6531 */
	PST_SMTP_CAP_DSN = 1 << 7,                 /* RFC 3461 */
	PST_SMTP_CAP_XFORWARD = 1 << 8,            /* Postfix XFORWARD_README */
	PST_SMTP_CAP_XCLIENT = 1 << 9,             /* Postfix XCLIENT_README */
	PST_SMTP_CAP_LIMITS = 1 << 10,             /* RFC 9422 */
	PST_SMTP_CAP_REQUIRETLS = 1 << 11,         /* RFC 8689 */
	PST_SMTP_CAP_AUTH = 1 << 12,               /* RFC 4954 */
};

/* XFORWARD's and XCLIENT's attributes, as the server names them behind the keyword. */
enum pst_smtp_xforward {
	PST_SMTP_XFORWARD_NAME = 1 << 0,
	PST_SMTP_XFORWARD_ADDR = 1 << 1,
	PST_SMTP_XFORWARD_PORT = 1 << 2,
	PST_SMTP_XFORWARD_PROTO = 1 << 3,
	PST_SMTP_XFORWARD_HELO = 1 << 4,
	PST_SMTP_XFORWARD_IDENT = 1 << 5,
	PST_SMTP_XFORWARD_SOURCE = 1 << 6,
};

struct pst_smtp_caps {
	uint32_t set;        /* enum pst_smtp_cap */
	uint32_t xforward;   /* enum pst_smtp_xforward */
	uint32_t xclient;    /* likewise */
	uint64_t size_bytes; /* SIZE's value; 0: no figure given */
	uint32_t rcpt_count_max;        /* LIMITS RCPTMAX; 0: left out */
	uint32_t rcpt_domain_count_max; /* LIMITS RCPTDOMAINMAX; 0: left out */
};

/* Learn one EHLO line ("SIZE 50000000"). Unknown keywords are passed over; a malformed value of a
 * known one leaves the keyword out. */
void pst_smtp_caps_learn(struct pst_smtp_caps *caps, struct pst_span line);

#define PST_SMTP_HOSTNAME_MAX 255

/* The whole multi-line 250 reply to EHLO. AUTH is always PLAIN and LOGIN, which are what we
 * pass on. LIMITS is only with a limit to name; what a server says there is not
 * learnt.
 *  in  hostname: ours, at most PST_SMTP_HOSTNAME_MAX bytes
 *  ret 0 | -PST_E_FULL */
int pst_smtp_caps_put(struct pst_buf *out, struct pst_span hostname,
		      const struct pst_smtp_caps *caps) PST_MUST_CHECK;

#endif
