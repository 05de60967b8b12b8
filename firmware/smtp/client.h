/* smtp/client.h - the client side of an SMTP connection, without I/O
 *
 * Layer: smtp (pure). Uses: base. Spec: RFC 5321, 2920, 1870, 3461, 6152, 6531, 8689; Postfix XFORWARD_README.
 * Concept: each function appends one command to an output buffer and remembers which reply is due;
 * pst_smtp_client_next reads replies and says which command each one answers. A reply that nobody
 * asked for, or whose class makes no sense for its command, is a protocol error: the connection is
 * then of no further use. Whether commands may be pipelined is the owner's decision, by caps.
 * Memory: no allocation; events borrow the reader until the next call.
 */
#ifndef PST_SMTP_CLIENT_H
#define PST_SMTP_CLIENT_H

#include "smtp/caps.h"
#include "smtp/dsn.h"
#include "smtp/path.h"
#include "smtp/reply.h"

enum pst_smtp_command {
	PST_SMTP_CMD_GREETING, /* the server's first words */
	PST_SMTP_CMD_EHLO,
	PST_SMTP_CMD_HELO,
	PST_SMTP_CMD_XFORWARD,
	PST_SMTP_CMD_XCLIENT,
	PST_SMTP_CMD_MAIL,
	PST_SMTP_CMD_RCPT,
	PST_SMTP_CMD_DATA,
	PST_SMTP_CMD_AUTH, /* a line of an AUTH exchange, whichever */
	PST_SMTP_CMD_DOT, /* the final reply after CRLF.CRLF; LMTP: one a recipient */
	PST_SMTP_CMD_STARTTLS,
	PST_SMTP_CMD_RSET,
	PST_SMTP_CMD_NOOP,
	PST_SMTP_CMD_QUIT,
	PST_SMTP_CMD_COUNT
};

#define PST_SMTP_DUE_MAX 8 /* replies outstanding at once */

struct pst_smtp_client {
	struct pst_smtp_caps caps; /* learnt from the last EHLO */
	struct pst_smtp_reply_reader reader;
	uint8_t due[PST_SMTP_DUE_MAX]; /* enum pst_smtp_command, oldest first */
	uint8_t due_count;
	uint16_t dot_count; /* final replies outstanding */
	bool broken; /* the server broke the protocol: every further call of next says so */
};

struct pst_smtp_client_event {
	enum pst_smtp_command command;
	uint16_t code;
	struct pst_smtp_enhanced enhanced;
	struct pst_span text; /* first line's, without codes: peer bytes, never passed on raw */
};

/* Whom XFORWARD speaks of. Empty spans and addresses become [UNAVAILABLE]. */
struct pst_smtp_identity {
	struct pst_addr client;
	struct pst_addr service; /* ours, that the client connected to; for a PROXY header */
	struct pst_span helo; /* peer bytes; xtext-encoded here */
	bool esmtp;
};

/* What MAIL declares. Each parameter is sent only where its extension is offered. */
struct pst_smtp_mail {
	struct pst_span mailbox; /* without brackets, empty for the null path */
	uint64_t size_bytes;     /* SIZE=; 0: not known */
	bool eight_bit;          /* BODY=8BITMIME */
	bool utf8;               /* SMTPUTF8 */
	bool require_tls;        /* REQUIRETLS */
	struct pst_smtp_mail_dsn dsn;
};

/* Begin: the greeting is due. */
void pst_smtp_client_init(struct pst_smtp_client *core);

/* Append a command.
 *  ret 0 | -PST_E_FULL: nothing was appended; the buffer, or the list of due replies, is full */
int pst_smtp_client_ehlo(struct pst_smtp_client *core, struct pst_buf *out,
			 struct pst_span hostname) PST_MUST_CHECK;
int pst_smtp_client_helo(struct pst_smtp_client *core, struct pst_buf *out,
			 struct pst_span hostname) PST_MUST_CHECK;
/* LMTP's EHLO (RFC 2033 section 4.1); the reply is told as EHLO's. */
int pst_smtp_client_lhlo(struct pst_smtp_client *core, struct pst_buf *out, struct pst_span hostname)
	PST_MUST_CHECK;
/* Only the attributes that core->caps.xforward names (there must be one); one command of at most
 * 512 octets. What is unknown, or too long to fit, is [UNAVAILABLE]. */
int pst_smtp_client_xforward(struct pst_smtp_client *core, struct pst_buf *out,
			     const struct pst_smtp_identity *identity) PST_MUST_CHECK;
/* The same by XCLIENT, with core->caps.xclient. Behind its 220 (some say 250) the session is as new:
 * EHLO follows (Postfix XCLIENT_README). */
int pst_smtp_client_xclient(struct pst_smtp_client *core, struct pst_buf *out,
			    const struct pst_smtp_identity *identity) PST_MUST_CHECK;
int pst_smtp_client_mail(struct pst_smtp_client *core, struct pst_buf *out,
			 const struct pst_smtp_mail *mail) PST_MUST_CHECK;
/*  in  dsn: NULL for none; sent only where DSN is offered */
int pst_smtp_client_rcpt(struct pst_smtp_client *core, struct pst_buf *out, struct pst_span mailbox,
			 const struct pst_smtp_rcpt_dsn *dsn) PST_MUST_CHECK;
int pst_smtp_client_data(struct pst_smtp_client *core, struct pst_buf *out) PST_MUST_CHECK;
/* TLS begins behind its 220; what the server offers is then to be learnt anew by another EHLO. */
int pst_smtp_client_starttls(struct pst_smtp_client *core, struct pst_buf *out) PST_MUST_CHECK;
int pst_smtp_client_rset(struct pst_smtp_client *core, struct pst_buf *out) PST_MUST_CHECK;
int pst_smtp_client_noop(struct pst_smtp_client *core, struct pst_buf *out) PST_MUST_CHECK;
int pst_smtp_client_quit(struct pst_smtp_client *core, struct pst_buf *out) PST_MUST_CHECK;

/* The owner sends ".\r\n" itself (it stands at the end of the body's spans) and says so here.
 *  in  reply_count: 1; LMTP: one for each accepted recipient (RFC 2033 section 4.2)
 *  ret 0 | -PST_E_FULL */
int pst_smtp_client_dot_sent(struct pst_smtp_client *core, uint16_t reply_count) PST_MUST_CHECK;

/* The owner sends a line of an AUTH exchange itself, and says so here: it is not ours to hold.
 *  ret 0 | -PST_E_FULL */
int pst_smtp_client_auth_sent(struct pst_smtp_client *core) PST_MUST_CHECK;

/* Read the next whole reply off `in`.
 *  ret 1: *event is set | 0: more input is needed
 *      -PST_E_PROTO: malformed, unexpected, or of an impossible class (GREETING: 220, 4xx, 5xx;
 *      DATA: 354, 4xx, 5xx; AUTH: 235, 334, 4xx, 5xx; the others: 2xx, 4xx, 5xx)
 *  note a 421 is passed on as the answer to the oldest command, or with no command due as an
 *       event of PST_SMTP_CMD_NOOP (the server is leaving). Any other byte with no command due is
 *       an error at once, not only when its line is whole */
int pst_smtp_client_next(struct pst_smtp_client *core, struct pst_buf *in,
			 struct pst_smtp_client_event *event) PST_MUST_CHECK;

#endif
