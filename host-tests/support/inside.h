/* support/inside.h - an internal server on a stage: well behaved, until the test says otherwise
 *
 * Concept: answers every command as a good server does, and keeps what it was given. Rules change
 * single answers; in manual mode the test answers everything itself, and the server only keeps the
 * books: which command a reply belongs to, and which messages it has taken (a 2xx to the dot).
 * It is strict where the proxy is concerned: bare CR, LF or NUL, a command out of order, pipelining
 * that was not offered or that RFC 2920 forbids are faults, kept in `fault`. With `on_login` it is for users, and mail
 * of somebody who has not logged in is a fault, too.
 */
#ifndef PST_SUPPORT_INSIDE_H
#define PST_SUPPORT_INSIDE_H

#include "support/stage.h"

#define PST_INSIDE_RULES_MAX 16
#define PST_INSIDE_DUE_MAX 64

/* When something that begins with `prefix` comes (without case), say `reply` in place of the usual.
 * "connect" is the connection itself, "." the final dot, "body N" N bytes of a body, "auth" each line of an AUTH,
 * "auth end" the one that decides it. */
struct pst_inside_rule {
	struct pst_bytes prefix, reply;
	uint64_t body_bytes; /* of "body N" */
	uint32_t times_left; /* UINT32_MAX: for ever */
	enum pst_peer_end end; /* behind the reply */
	bool deaf;           /* from now on reads nothing */
};

struct pst_inside_message {
	struct pst_bytes envelope; /* "<from> PARAMETERS to <rcpt> <rcpt>" */
	struct pst_bytes wire;     /* as it came, without the dot line; by BDAT just its octets */
	uint32_t taken;            /* 2xx was said: counted from 1, in that order */
	bool whole;                /* the dot has come */
	void *user;                /* who had logged in on its connection */
};

struct pst_inside;

struct pst_inside_conn {
	struct pst_inside_conn *next;
	struct pst_inside *inside;
	struct pst_peer *peer;
	uint8_t due[PST_INSIDE_DUE_MAX]; /* commands not answered yet, oldest first */
	uint32_t due_count;
	uint32_t judged; /* LMTP: bytes of `rcpts` whose fate was told */
	uint64_t chunk_left; /* of a BDAT LAST */
	bool chunking; /* was offered */
	bool lmtp, greeted, pipelining, hung, in_body, mail_asked, mail, rcpt;
	struct pst_inside_message *message; /* being received */
	struct pst_bytes sender, rcpts, rcpt_asked;
	uint8_t auth;          /* which word of an AUTH is due */
	struct pst_bytes name; /* the first of LOGIN's two */
	void *candidate, *user; /* who logs in, who has */
};

struct pst_inside {
	struct pst_stage *stage;
	struct pst_door *door;
	uint32_t number; /* from 1 */
	bool manual;
	struct pst_inside_rule rules[PST_INSIDE_RULES_MAX];
	uint32_t rule_count;
	struct pst_inside_conn *conns, *last; /* all; the one that was heard last */
	uint32_t conn_count;
	struct pst_bytes lines; /* everything received, body excepted unless manual */
	uint32_t looked;        /* of it, by the owner */
	struct pst_inside_message **messages; /* all that had a DATA */
	uint32_t message_count, message_size;
	uint32_t seen_count;    /* of the taken ones, by the owner */
	uint32_t taken_count;
	uint32_t login_count;   /* that were told so */
	/* Who is it that says this? Both in base64; `name` is empty for PLAIN. NULL: nobody; not set: no AUTH here. */
	void *(*on_login)(struct pst_inside *inside, struct pst_span name, struct pst_span secret);
	struct pst_bytes fault; /* what the proxy did wrong, empty for nothing */
};

struct pst_inside *pst_inside_new(struct pst_stage *stage, const struct pst_addr *address,
				  uint32_t number);
void pst_inside_free(struct pst_inside *inside);
/* Of the rules that match, the last one given counts.
 *  ret NULL: too many */
struct pst_inside_rule *pst_inside_rule_add(struct pst_inside *inside);
/* Well behaved again, from the next connection on. */
void pst_inside_forgive(struct pst_inside *inside);
/* Say raw bytes on the connection that was heard last; replies among them are booked. */
void pst_inside_say(struct pst_inside *inside, struct pst_span text);
void pst_inside_end(struct pst_inside *inside, enum pst_peer_end end);

#endif
