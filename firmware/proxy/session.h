/* proxy/session.h - one client connection
 *
 * Layer: proxy. Uses: txn, smtp, link, policy, loop, base. Spec: RFC 5321.
 * Concept: carries bytes between the link and the server core, and the core's questions to the
 * transaction. It owns the client's time: whose turn it is, how long the client may take, when our
 * own answer is late. One timer, at the nearest deadline.
 * Lifetime: pooled; a dead session stays in proxy->dead until the end of the turn, because it may be
 * in the middle of one of its own callbacks.
 */
#ifndef PST_PROXY_SESSION_H
#define PST_PROXY_SESSION_H

#include "link/link.h"
#include "proxy/conduct.h"
#include "proxy/txn.h"
#include "relay/private.h"

#define PST_HELO_MAX 255

enum pst_session_phase {
	PST_SESSION_OPEN,
	PST_SESSION_CLOSING,   /* the last reply is on its way */
	PST_SESSION_LINGERING, /* it left; what the client still sends is thrown away for a moment, for
				* a close now would be a reset and could destroy that reply */
	PST_SESSION_DEAD,
};

/* Why nothing is taken from the client just now. */
enum pst_session_wait {
	PST_WAIT_CLIENT, /* it is the client's turn */
	PST_WAIT_ANSWER, /* we owe a reply */
	PST_WAIT_ROOM,   /* the internal server is slower than the client */
	PST_WAIT_SLOW,   /* an offender's next command waits */
	PST_WAIT_TLS,    /* a handshake is under way */
	PST_WAIT_HOP,    /* a PROXY header is due */
	PST_WAIT_GREETING, /* we say nothing yet, and see whether the client can wait */
};

struct pst_session {
	struct pst_proxy *proxy;
	struct pst_node node;
	struct pst_proxy_conf *conf;
	struct pst_client *client;
	struct pst_txn *txn;
	struct pst_knock *knock; /* what is asked about the client; NULL: nothing */
	struct pst_knock_wait knock_wait;
	struct pst_timer timer;
	struct pst_task task;
	struct pst_link link;
	struct pst_smtp_server core;
	uint64_t since_ms;    /* the present wait, or the last sign of life */
	uint64_t txn_ms;      /* the client's share of the transaction's time */
	uint64_t body_ms;     /* and of the data's */
	uint64_t body_bytes;
	uint64_t id;
	struct pst_net_syn syn; /* how the connection began; ttl 0: not known, or not looked at */
	uint32_t txn_count;
	uint32_t ledger_chain; /* of outcomes it has been told but not spoken after */
	uint32_t error_count;
	uint32_t refused_txn;   /* the last one refused for what client or sender are, by its number */
	uint32_t refused_count; /* how many were */
	uint8_t phase;
	uint8_t wait;
	bool trusted;
	bool hop_first;  /* the listener's: a PROXY header comes first */
	bool tls_first;  /* likewise, TLS before the greeting */
	bool hidden;     /* who it is: a router gives all clients its own address */
	bool submission; /* likewise, for users who log in; no sender checks */
	bool waits_on; /* longer than usual for the greeting: its address looks bad */
	bool held;      /* read at the rate of `tarpit` */
	bool securing;  /* one of proxy->handshake_count */
	struct pst_conduct conduct;
	struct pst_relay_private private; /* of a submission session */
	uint32_t auth_len; /* of what stands in front of the input and goes to it */
	uint8_t helo_len;
	uint8_t helo[PST_HELO_MAX];
};

/* Prepare a zeroed session for a client that was admitted; its link is then opened by the net. */
void pst_session_init(struct pst_session *session, struct pst_proxy *proxy,
		      struct pst_proxy_conf *conf, struct pst_client *client, bool trusted);
/* The connection is open: what stands before the greeting, and then 220. */
void pst_session_opened(struct pst_session *session);
void pst_session_greet(struct pst_session *session);
/* Say this 421 as soon as it is legal, and close: at once, or with `gently` only if no transaction
 * is under way. */
void pst_session_dismiss(struct pst_session *session, enum pst_reason reason, bool gently);
/* Overload has begun: it may be idle for less long. */
void pst_session_press(struct pst_session *session);
/* End it without a word. */
void pst_session_close(struct pst_session *session, bool reset);

#endif
