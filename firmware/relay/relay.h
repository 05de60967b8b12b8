/* relay/relay.h - delivering one transaction to an internal server
 *
 * Layer: relay. Uses: smtp, link, net, loop, base. Spec: RFC 5321, 2920, 1870, 3461, 6152, 6531.
 * Concept: a `pst_relay` is the process's pool of connections; a `pst_relay_tx` is the internal
 * half of one transaction. The owner offers recipients one by one, opens data, writes the body in
 * wire form, releases the dot and learns the internal server's final word. Behind that the relay
 * chooses servers (fail-over), reuses connections (and replaces, once and unseen, a reused one that
 * turns out to be dead), repeats the envelope on another server where nothing was committed, keeps a
 * waiting transaction alive with NOOP, and lends the connection of a transaction that waits for a
 * slow client to one that does not.
 * Nothing an internal server says or fails to say before its final reply is ever success; every
 * answer that is malformed, unexpected or late becomes PST_RELAY_FAILED.
 * Lifetime: the tx is embedded in its owner and borrows the envelope (sender, recipients) from it.
 * Events come from the loop, never inside a call. After pst_relay_end there are no more.
 */
#ifndef PST_RELAY_RELAY_H
#define PST_RELAY_RELAY_H

#include "base/counters.h"
#include "base/log.h"
#include "link/link.h"
#include "relay/relay_conf.h"
#include "smtp/client.h"

struct pst_relay;
struct pst_relay_conn;
struct pst_relay_server;
struct pst_relay_private;

enum pst_relay_event_kind {
	PST_RELAY_RCPT,     /* the recipient's answer: code 2xx, 4xx, 5xx */
	PST_RELAY_DATA,     /* 354: the body may be written, from its beginning (again, where another
			     * server had to be taken); or a refusal, 4xx or 5xx */
	PST_RELAY_WRITABLE, /* more of the body is taken */
	PST_RELAY_FINAL,    /* the final word: code 2xx, 4xx, 5xx */
	PST_RELAY_FAILED,   /* no usable server, or it failed; the tx can only be ended */
};

struct pst_relay_event {
	enum pst_relay_event_kind kind;
	uint16_t code;
	struct pst_smtp_enhanced enhanced;
	struct pst_span text;   /* the server's words: peer bytes */
	const char *reason;     /* FAILED: a short phrase of ours for the log */
	struct pst_relay_rcpt *rcpt; /* FINAL over LMTP: whose word it is; NULL: everybody's */
	bool last;              /* FINAL: no other recipient's word is outstanding */
	bool chunked;           /* DATA: by BDAT, there is no 354 */
	bool ours;              /* a refusal that speaks of our misconfiguration: answer 451 */
	bool final_lost;        /* FAILED after the dot: nobody knows whether it was delivered */
};

/* The recipients accepted so far, for repeating the envelope. The owner's; oldest first. */
struct pst_relay_rcpt {
	struct pst_relay_rcpt *next;
	struct pst_span mailbox;
	const struct pst_smtp_rcpt_dsn *dsn; /* NULL: nothing was asked for */
};

struct pst_relay_tx {
	void (*on_event)(struct pst_relay_tx *tx, const struct pst_relay_event *event);

	/* Set by the owner before pst_relay_begin, and kept until pst_relay_end. */
	const struct pst_relay_conf *conf;
	const struct pst_route *route;
	struct pst_smtp_identity identity;
	struct pst_smtp_mail mail;
	struct pst_relay_private *private; /* go by this connection; NULL: by one of the pool */
	bool may_chunk; /* where the server has CHUNKING, the body goes by BDAT */
	bool body_kept; /* the whole body can be written once more */
	struct pst_relay_rcpt *accepted; /* appended to by the owner when a recipient was taken */

	/* The relay's. */
	struct pst_relay *relay;
	struct pst_relay_conn *conn;
	struct pst_node node;          /* in a server's waiting or quiet list */
	struct pst_timer timer;        /* waiting for a connection */
	struct pst_task task;          /* an answer that is known without asking */
	const struct pst_relay_rcpt *offer; /* the recipient on offer; NULL: none */
	struct pst_relay_rcpt *replay; /* next accepted recipient to be repeated */
	struct pst_relay_rcpt *judged; /* LMTP: whose final word comes next */
	uint64_t since_ms;             /* quiet, or waiting for a connection, since */
	const char *failure;
	struct pst_smtp_enhanced mail_enhanced;
	uint16_t mail_code;            /* MAIL was refused: told at each recipient */
	uint16_t replay_due;           /* replies outstanding to repeated recipients */
	uint32_t needs;                /* enum pst_smtp_cap: what the client has declared */
	uint8_t phase;                 /* enum in relay_priv.h */
	uint8_t tried;                 /* bit set of route->servers */
	uint8_t noop_count;
	uint8_t xclient;               /* enum in relay_priv.h */
	bool xforward_sent, mail_sent, mail_ok, mail_ours, offer_sent, data_wanted, retried;
	struct pst_addr server;        /* the one that was used last, for the log */
};

struct pst_relay_env {
	struct pst_loop *loop;
	struct pst_net *net;
	struct pst_mem *mem;
	struct pst_log *log;
	struct pst_counters *counters;
	struct pst_links *links;
	struct pst_pool *buffer_pool; /* blocks for replies and commands */
	/* What a server was seen to offer, beyond this process's life; NULL: it is not kept.
	 *  in  server: its name, any bytes */
	bool (*recall_offers)(void *owner, struct pst_span server, uint64_t *offers);
	void (*keep_offers)(void *owner, struct pst_span server, uint64_t offers);
	void *owner;
};

/* Connections that a configuration can have open at once, and the memory that one of them stands for,
 * its buffers aside. */
uint32_t pst_relay_connection_max(const struct pst_relay_conf *conf, uint32_t session_count_max);
uint32_t pst_relay_connection_bytes(void);

/*  ret 0 | -PST_E_NOMEM */
int pst_relay_new(const struct pst_relay_env *env, uint32_t connection_max,
		  struct pst_relay **out) PST_MUST_CHECK;
/* Every tx must have been ended. */
void pst_relay_free(struct pst_relay *relay);

/* Look at every server of the configuration: what it offers is learnt by a connection that is then
 * used for mail or closed. Called at start, at a reload, and by the relay itself every five minutes.
 *  in  conf: borrowed until the next call */
void pst_relay_probe(struct pst_relay *relay, const struct pst_relay_conf *conf);
/* No more probes, idle connections say QUIT. */
void pst_relay_quiesce(struct pst_relay *relay);
/* And at once: every connection is dropped. Every tx must have been ended. */
void pst_relay_abandon(struct pst_relay *relay);
uint32_t pst_relay_connection_count(const struct pst_relay *relay);
/* Is a connection still being opened, so that what a server offers may yet be learnt? */
bool pst_relay_is_opening(const struct pst_relay *relay);

/* What can be carried on every route, as last seen: the intersection of sets, the least SIZE. A route
 * of which no server was ever seen makes the set empty. */
struct pst_smtp_caps pst_relay_offers(const struct pst_relay *relay,
				      const struct pst_relay_conf *conf);

/* The same for one route. */
struct pst_smtp_caps pst_relay_route_offers(const struct pst_relay *relay,
					    const struct pst_route *route);

/* How a server of this route is judged in a handshake; borrows the security. */
struct pst_tls_peer pst_relay_tls_peer(const struct pst_relay_security *security);

/* The route for a recipient's domain (an exact name before a longer before a shorter suffix before
 * "*"), or NULL.
 *  in  domain: any case of ASCII letters; U-labels are compared as they stand */
const struct pst_route *pst_relay_route(const struct pst_relay_conf *conf, struct pst_span domain);

void pst_relay_begin(struct pst_relay *relay, struct pst_relay_tx *tx);
/* Offer a recipient; RCPT or FAILED follows. One at a time. The recipient is borrowed until then. */
void pst_relay_offer(struct pst_relay_tx *tx, const struct pst_relay_rcpt *rcpt);
/* The list of accepted recipients was made shorter: the next data begins with the envelope anew. */
void pst_relay_repeat(struct pst_relay_tx *tx);
/* Ask for 354; DATA or FAILED follows. */
void pst_relay_data(struct pst_relay_tx *tx);
/* Write wire-form body; behind a chunked DATA, the BDAT command and its octets.
 *  ret >= 0 bytes taken (WRITABLE follows if not all) | -PST_E_*: FAILED follows */
int64_t pst_relay_write(struct pst_relay_tx *tx, const struct pst_span *spans, uint32_t count)
	PST_MUST_CHECK;
/* The last span written was ".\r\n", or the last of a BDAT LAST, and all was taken: FINAL or FAILED
 * follows. */
void pst_relay_dot_written(struct pst_relay_tx *tx);

/* The tx is over. Legal at any time, and final. Before DATA the connection is cleared by RSET and
 * kept; inside the body it is dropped, so that nothing half is ever delivered; after FINAL it goes
 * back to the pool. Must not be called between the dot and FINAL unless the process is ending. */
void pst_relay_end(struct pst_relay_tx *tx);

#endif
