/* smtp/server.h - the server side of an SMTP session, without I/O
 *
 * Layer: smtp (pure). Uses: base. Spec: RFC 5321, 1870, 2034, 2920, 3030, 3461, 4954, 6152, 6409,
 * 6531, 8689.
 * Concept: the owner feeds bytes and pulls one event at a time. An event that asks (HELO, MAIL,
 * RCPT, DATA, END) stops the core until the owner answers; only then the session's state follows
 * the answer's class. Everything that syntax and order alone decide arrives as a ready reply.
 * One enum of states with a table of allowed edges, one table of verbs: nothing else branches on
 * either.
 * Memory: events borrow the input until the next call. The core keeps no addresses: the envelope
 * is the owner's.
 * Framing: command lines end in CRLF. A bare CR, a bare LF or a NUL in a command is 500 5.5.2 and
 * the end of the session, and so is a BDAT whose size cannot be read. A line over the limit is read to
 * its end and answered 500 5.5.2.
 * BDAT's octets are always read, whatever becomes of the command: they can never be taken for
 * commands. What is wrong is said behind them.
 */
#ifndef PST_SMTP_SERVER_H
#define PST_SMTP_SERVER_H

#include "smtp/caps.h"
#include "smtp/data.h"
#include "smtp/dsn.h"
#include "smtp/path.h"
#include "smtp/reply.h"

#define PST_SMTP_LINE_MAX 2048       /* octets of a command line with its CRLF */
#define PST_SMTP_AUTH_LINE_MAX 12288 /* of AUTH, and of what is said behind it (RFC 4954 section 4) */

/* name, what it is */
#define PST_SMTP_STATES(X) \
	X(NEW, "connected, no greeting sent yet") \
	X(READY, "greeted by us, no HELO or EHLO yet") \
	X(IDLE, "HELO or EHLO given, no transaction") \
	X(AUTH, "the client's next word of an AUTH is due") \
	X(MAIL, "sender accepted") \
	X(RCPT, "at least one recipient accepted") \
	X(BODY, "354 said, data is flowing") \
	X(CHUNK, "octets of a chunk are flowing (BDAT)") \
	X(NEXT, "a chunk was answered, the next one is due") \
	X(JUDGE, "true end of data seen, answer owed") \
	X(CLOSED, "QUIT answered, or the session was ended by us")

enum pst_smtp_state {
#define PST_SMTP_STATE(name, text) PST_SMTP_##name,
	PST_SMTP_STATES(PST_SMTP_STATE)
#undef PST_SMTP_STATE
	PST_SMTP_STATE_COUNT
};

enum pst_smtp_event_kind {
	PST_SMTP_EV_NONE,  /* nothing more to be had from this input */
	PST_SMTP_EV_REPLY, /* send event.reply; nothing else happened */
	PST_SMTP_EV_RESET, /* send event.reply; a transaction, if any, is forgotten */
	PST_SMTP_EV_HELO,  /* asks: name, esmtp. An accepted one forgets a transaction, too */
	PST_SMTP_EV_MAIL,  /* asks: path, mail */
	PST_SMTP_EV_RCPT,  /* asks: path, dsn */
	PST_SMTP_EV_DATA,  /* asks: answer 354 to take the body, 4xx or 5xx to stay. With event.chunked
			    * it came by BDAT: 354 is the only answer, and nothing is said */
	PST_SMTP_EV_BODY,  /* wire: the next decoded piece, in wire form */
	PST_SMTP_EV_CHUNK, /* asks: a chunk was read that is not the last one: 250, or the reason why the
			    * message will not be taken, again at each chunk and at the end */
	PST_SMTP_EV_END,   /* asks: the final answer; what the decoder noticed is in core->data */
	PST_SMTP_EV_QUIT,  /* send event.reply and close */
	PST_SMTP_EV_AUTH,  /* asks: the line goes to whoever knows. 334 asks for the next one, which comes as the
			    * same event; 235 is success. Only of a submission listener */
	PST_SMTP_EV_STARTTLS, /* asks: answer 220 and begin TLS; the session is then as new */
};

enum pst_smtp_body_kind { PST_SMTP_BODY_7BIT, PST_SMTP_BODY_8BITMIME };

struct pst_smtp_mail_params {
	uint64_t size_bytes; /* SIZE=; 0: not declared */
	enum pst_smtp_body_kind body;
	bool body_given;
	bool utf8; /* SMTPUTF8 */
	bool require_tls; /* REQUIRETLS */
	struct pst_smtp_mail_dsn dsn;
};

struct pst_smtp_event {
	enum pst_smtp_event_kind kind;
	bool close;                  /* after event.reply the session is over (framing, HTTP) */
	bool error;                  /* counts against the client's error budget */
	bool non_smtp;               /* an unknown word, an HTTP verb or a header came instead of a command */
	bool hasty;                  /* more stood behind a command that must be answered first: HELO, EHLO,
				      * STARTTLS, DATA, and any where PIPELINING is not offered yet */
	struct pst_span line;        /* of a command: as it came, without its CRLF */
	struct pst_smtp_reply reply; /* REPLY, RESET, QUIT */
	struct pst_span name;        /* HELO */
	bool esmtp;                  /* HELO: was it EHLO */
	bool chunked;                /* DATA: by BDAT */
	struct pst_smtp_path path;   /* MAIL, RCPT */
	struct pst_smtp_mail_params mail;
	struct pst_smtp_rcpt_dsn dsn; /* RCPT */
	struct pst_span wire;        /* BODY */
};

struct pst_smtp_server {
	uint8_t state;    /* enum pst_smtp_state */
	bool waiting;     /* an event that asks is open */
	uint8_t asked;    /* enum pst_smtp_event_kind of that event */
	bool chunk_last;  /* the chunk at hand is the last one */
	bool asked_chunk; /* that event is a DATA by BDAT */
	bool asked_esmtp; /* that event is an EHLO */
	bool asked_utf8;  /* that event is a MAIL with SMTPUTF8 */
	bool esmtp;       /* EHLO was accepted */
	bool submission;  /* the owner's: MAIL only behind AUTH (RFC 6409), which is offered inside TLS only */
	bool authenticated;
	bool skipping;    /* the rest of an over-long line is being read */
	uint32_t offered; /* enum pst_smtp_cap set that the last EHLO reply offered: parameters of
			   * anything else are 555; an accepted HELO clears it */
	uint64_t size_bytes_max; /* MAIL SIZE= above: 552 5.3.4; 0: no limit */
	bool utf8; /* the transaction was declared SMTPUTF8: its paths may hold UTF-8 */
	bool rcpt_refused; /* a recipient of this transaction was refused */
	bool rcpt_deferred; /* with a 4xx: a DATA without recipients is 451 then, not 554 */
	uint64_t chunk_left; /* octets of the chunk at hand still to be read */
	const struct pst_smtp_reply *chunk_refusal; /* said when they have been thrown away */
	uint32_t scanned; /* bytes of an incomplete line already searched for its end */
	struct pst_smtp_data data;
};

void pst_smtp_server_init(struct pst_smtp_server *core);

/* The greeting was sent; commands may follow. */
void pst_smtp_server_greeted(struct pst_smtp_server *core);

/* Pull the next event. Must not be called while an event that asks is open.
 *  in   in: all unread bytes of the client, contiguous
 *  out  used: how many of them the event consumed; consume them only after handling the event
 *       (its spans borrow them) and before the next call
 *  note NONE with used == 0 and in.len >= PST_SMTP_AUTH_LINE_MAX cannot happen: over-long lines are
 *       consumed as they come. In state CLOSED everything is consumed and dropped; in state NEW
 *       nothing is touched. Call until NONE: CHUNK and END can come without consuming anything. */
void pst_smtp_server_next(struct pst_smtp_server *core, struct pst_span in, uint32_t *used,
			  struct pst_smtp_event *event);

/* Answer the open event. The owner sends the reply itself (and EHLO's list by pst_smtp_caps_put,
 * having set core->offered); here the state follows its class: 2xx or, for DATA, 354 proceeds. */
void pst_smtp_server_answer(struct pst_smtp_server *core, uint16_t code);

/* Is the client in the middle of its message? */
static inline bool pst_smtp_server_in_body(const struct pst_smtp_server *core)
{
	return core->state == PST_SMTP_BODY || core->state == PST_SMTP_CHUNK ||
	       core->state == PST_SMTP_NEXT;
}

/* The owner ends the session (421, shutdown): no further events. */
void pst_smtp_server_close(struct pst_smtp_server *core);

const char *pst_smtp_state_name(enum pst_smtp_state state);

#endif
