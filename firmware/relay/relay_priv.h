/* relay/relay_priv.h - what the files of this folder share
 *
 * Layer: relay. relay.c: servers, pool, probes. relay_conn.c: one connection from connect to QUIT.
 * relay_tx.c: one transaction over one or several connections. private.c: a connection that is one
 * client's alone.
 */
#ifndef PST_RELAY_RELAY_PRIV_H
#define PST_RELAY_RELAY_PRIV_H

#include "relay/private.h"
#include "relay/relay.h"

#define PST_RELAY_DOWN_MS 10000    /* a server that failed is tried last for so long */
#define PST_RELAY_PROBE_MS 300000  /* what a server offers is looked at so often */
#define PST_RELAY_REPROBE_MS 15000 /* and so often while it was never reached */
#define PST_RELAY_LEND_MS 1000     /* a transaction quiet for so long may lose its connection */
#define PST_RELAY_WAIT_MS 250      /* between looks for such a transaction */
#define PST_RELAY_QUIT_MS 5000
#define PST_RELAY_OWNED_MS 86400000
#define PST_RELAY_PLAIN_MS 3600000 /* a server whose TLS failed is spoken to without for so long */

enum pst_relay_conn_state {
	PST_CONN_CONNECTING,
	PST_CONN_GREETING,
	PST_CONN_HELLO,
	PST_CONN_STARTTLS,  /* its reply is due */
	PST_CONN_HANDSHAKE,
	PST_CONN_IDLE,     /* in the server's idle list */
	PST_CONN_BUSY,     /* works for a tx */
	PST_CONN_OWNED,    /* one client's, and nothing is due */
	PST_CONN_AUTH,     /* the same, and the answer to a line of its login is due */
	PST_CONN_CLEARING, /* RSET is due, or will be sent when it may; the tx is gone */
	PST_CONN_QUITTING,
	PST_CONN_DEAD,     /* closed, reaped at the end of the turn */
};

enum pst_relay_tx_phase {
	PST_TX_NEW,
	PST_TX_WAITING,  /* for a connection */
	PST_TX_OPENING,  /* its connection is being opened */
	PST_TX_ENVELOPE, /* commands or replies are outstanding */
	PST_TX_QUIET,    /* nothing is: the owner's turn */
	PST_TX_PARKED,   /* quiet, and the connection was given to another */
	PST_TX_DATA,     /* 354 is due */
	PST_TX_BODY,
	PST_TX_FINAL,    /* the dot was written */
	PST_TX_DONE,     /* the final word was told */
	PST_TX_FAILED,
};

/* Where a tx is with XCLIENT. */
enum pst_relay_xclient {
	PST_XCLIENT_NONE,
	PST_XCLIENT_SENT,  /* its 220 is due */
	PST_XCLIENT_HELLO, /* and the EHLO behind it */
	PST_XCLIENT_DONE,
};

struct pst_relay_server {
	struct pst_node node;
	struct pst_addr addr;
	struct pst_relay_security security; /* its name points to `name` */
	uint8_t name[PST_SMTP_DOMAIN_MAX];
	uint64_t plain_until_ms; /* TLS failed, and need not be */
	struct pst_smtp_caps caps; /* as last seen */
	struct pst_list idle;      /* connections */
	struct pst_list waiting;   /* txs, oldest first */
	struct pst_list quiet;     /* txs whose connection may be lent, oldest first */
	uint64_t seen_ms;
	uint64_t down_until_ms;
	uint32_t conn_count;
	uint32_t private_count;    /* of those, owned ones */
	bool lmtp;
	bool hop; /* it expects a PROXY header */
	bool seen;
	bool recalled; /* seen, but not by this process yet */
	bool pass_warned;
};

struct pst_relay_conn {
	struct pst_link link;
	struct pst_smtp_client core;
	struct pst_relay *relay;
	struct pst_relay_server *server;
	struct pst_relay_tx *tx;
	struct pst_relay_private *private; /* whose it is; NULL: anybody's, or its owner has gone */
	struct pst_node node;     /* idle list, or the list of the dead */
	struct pst_node all_node; /* every connection that is not dead */
	struct pst_timer timer;
	struct pst_task task; /* a broken write is dealt with in the next turn */
	uint64_t born_ms;
	uint32_t message_count;
	uint32_t refusal_count; /* since the last delivery */
	uint8_t state;          /* enum pst_relay_conn_state */
	bool reused;            /* has served another tx before this one */
	bool heard;             /* a reply has come since the tx took it */
	bool leaving;           /* the server said 421 to a dot: not for another transaction */
	bool secure;            /* by TLS */
	bool owned;             /* never for another client than the one it was opened for */
	bool opened;            /* greeted, and secured where that was wanted */
};

struct pst_relay {
	struct pst_relay_env env;
	const struct pst_relay_conf *conf;
	struct pst_pool conn_pool;
	struct pst_list servers;
	struct pst_list conns;
	struct pst_list dead;
	struct pst_turn_hook hook;
	struct pst_timer probe_timer;
	uint32_t server_count;
	uint32_t connection_max;
	uint32_t live_count; /* connections that are not dead */
	bool quiesced;
};

/* relay.c */
struct pst_relay_server *pst_relay_server_get(struct pst_relay *relay,
					      const struct pst_route *route, uint32_t index);

/* A connection has shown what it offers. */
void pst_relay_server_seen(struct pst_relay *relay, struct pst_relay_server *server,
			   const struct pst_smtp_caps *caps);

/* relay_conn.c */
struct pst_relay_conn *pst_relay_conn_open(struct pst_relay *relay, struct pst_relay_server *server);
/* Attach an idle connection to a tx. */
void pst_relay_conn_take(struct pst_relay_conn *conn, struct pst_relay_tx *tx);
/* The tx leaves. With `clean` the server has no transaction open, and the connection can serve
 * another at once; else it is cleared by RSET first. */
void pst_relay_conn_leave(struct pst_relay_conn *conn, bool clean);
void pst_relay_conn_drop(struct pst_relay_conn *conn);
void pst_relay_conn_quit(struct pst_relay_conn *conn);
/* EHLO, LHLO or HELO, in the owner's state of the connection.
 *  in  name  who we say we are
 *  ret 0 | -PST_E_* */
int pst_relay_conn_hello(struct pst_relay_conn *conn, bool esmtp,
			 struct pst_span name) PST_MUST_CHECK;
/* Deadline for what is outstanding now. */
void pst_relay_conn_arm(struct pst_relay_conn *conn);
/* The buffer for one more command of at most PST_RELAY_COMMAND_MAX bytes, or NULL: wait for room. */
#define PST_RELAY_COMMAND_MAX 1200
struct pst_buf *pst_relay_conn_out(struct pst_relay_conn *conn) PST_MUST_CHECK;

/* private.c */
/* Say what is to be said, as far as the connection is open and takes it. */
void pst_relay_private_step(struct pst_relay_conn *conn);
void pst_relay_private_reply(struct pst_relay_conn *conn, const struct pst_smtp_client_event *reply);
/* The connection is lost, or of no use: its owner is told. */
void pst_relay_private_forget(struct pst_relay_conn *conn, const char *reason);

/* relay_tx.c */
/* Take the next command of the tx to its connection, as far as replies and pipelining allow. */
void pst_relay_tx_step(struct pst_relay_tx *tx);
void pst_relay_tx_reply(struct pst_relay_tx *tx, const struct pst_smtp_client_event *reply);
/* The connection is lost; another may be taken. */
void pst_relay_tx_lost(struct pst_relay_tx *tx, const char *reason);
/* It is over: tell its owner. */
void pst_relay_tx_fail(struct pst_relay_tx *tx, const char *reason);
void pst_relay_tx_noop(struct pst_relay_tx *tx);

/* relay_place.c */
/* Find a connection, or wait for one. */
void pst_relay_tx_acquire(struct pst_relay_tx *tx);
void pst_relay_stop_waiting(struct pst_relay_tx *tx);
/* A transaction's timer: it has waited for a while. */
void pst_relay_waited(struct pst_timer *timer);
/* A connection has become idle, or its place free: somebody may be waiting for it. */
void pst_relay_serve_waiting(struct pst_relay_server *server);

#endif
