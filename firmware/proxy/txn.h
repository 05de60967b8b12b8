/* proxy/txn.h - one transaction: from MAIL to the final reply
 *
 * Layer: proxy. Uses: relay, policy, mail, facts, loop, base. Spec: RFC 5321 section 4.5.2, 6.1.
 * Concept: joins the envelope, the message, the internal half (relay) and the verdict. It asks its
 * session nothing but whether the client is still there, and tells it three things: a recipient's
 * answer, that there is room for more body, and the final answer. After the dot has left for the
 * internal server the transaction no longer needs its session: if the client goes, or our own cap
 * passes, it lives on alone until the internal server's word is known, and records it.
 * The one rule (P1): a 2xx final answer is told only from an internal 2xx.
 * Memory: a pooled struct; everything else is charged to its share of the hold pool.
 */
#ifndef PST_PROXY_TXN_H
#define PST_PROXY_TXN_H

#include "facts/facts.h"
#include "check/results.h"
#include "net/syn.h"
#include "policy/policy.h"
#include "proxy/ledger.h"
#include "proxy/knock.h"
#include "proxy/message.h"
#include "proxy/proxy.h"
#include "proxy/recent.h"
#include "proxy/rule_queue.h"
#include "proxy/sender.h"
#include "relay/relay.h"
#include "smtp/server.h"

#define PST_TXN_ID_SIZE 24 /* with its NUL */
#define PST_TXN_WINDOW_BYTES 65536 /* a streamed message waits inside at most so much */

struct pst_txn;

/* What a transaction tells its session. Never inside a call of the session's. Replies are borrowed
 * for the call. */
struct pst_txn_owner {
	void (*on_recipient)(void *session, const struct pst_smtp_reply *reply);
	void (*on_room)(void *session);
	/* The transaction is over and must not be touched again. A NULL reply: the client was found
	 * to be gone before the dot. */
	void (*on_final)(void *session, const struct pst_smtp_reply *reply);
	/* Where the ledger's entries of this session are chained, and under which name. */
	uint32_t *(*ledger_chain)(void *session, uint64_t *name);
	/* Asked just before the dot is released. */
	bool (*client_is_there)(void *session);
};

enum pst_txn_phase {
	PST_TXN_ENVELOPE,
	PST_TXN_COLLECT, /* data is coming in and is held */
	PST_TXN_STREAM,  /* data is coming in and goes on; the end is withheld */
	PST_TXN_JUDGE,   /* all data is here, the verdict is awaited */
	PST_TXN_COMMIT,  /* all data is here, the verdict is good; goes on with the dot */
	PST_TXN_FINAL,   /* the dot has left: only the internal server knows */
	PST_TXN_OVER,
};

/* What became of a transaction. */
enum pst_outcome {
	PST_OUTCOME_DELIVERED, /* the internal server said so, whether or not the client heard it */
	PST_OUTCOME_PARTIAL,   /* LMTP: to some of the recipients; the client will send again */
	PST_OUTCOME_QUARANTINED, /* delivered to the owner's address instead */
	PST_OUTCOME_DROPPED,   /* the client was told 250, and nobody got it: the owner's wish */
	PST_OUTCOME_REPLAYED,  /* delivered before, answered from the ledger */
	PST_OUTCOME_REFUSED,   /* the client was told 5xx */
	PST_OUTCOME_DEFERRED,  /* 4xx */
	PST_OUTCOME_UNKNOWN,   /* the dot was sent inside and no answer came */
	PST_OUTCOME_ABORTED,   /* the client left before the dot */
};

struct pst_rcpt {
	struct pst_relay_rcpt relay;
	struct pst_rcpt *next; /* all that were offered, accepted or not */
	bool accepted;
	uint16_t final_code; /* LMTP: the internal server's word on this one; 0: none yet */
	bool served; /* by an earlier transaction, says the ledger */
};

/* What all transactions of a proxy share. */
struct pst_txns {
	const struct pst_proxy_env *env;
	struct pst_relay *relay;
	struct pst_hold *hold;
	struct pst_clients *clients;
	struct pst_ledger *ledger;
	struct pst_history *history;
	struct pst_recent *bad_rcpts; /* see proxy_priv.h */
	struct pst_rule_queue *rules;
	struct pst_checks *checks;
	struct pst_pool pool;
	struct pst_list all;
	struct pst_list dead; /* reaped at the end of the turn */
};

struct pst_txn {
	struct pst_txns *txns;
	struct pst_node node;
	const struct pst_txn_owner *owner;
	void *session; /* NULL: alone */
	struct pst_proxy_conf *conf;
	struct pst_facts facts;
	struct pst_relay_tx tx;
	struct pst_share share;
	struct pst_arena arena;
	struct pst_message message;
	struct pst_message_cursor cursor;
	struct pst_message_raw raw; /* the same where the body goes by BDAT */
	uint8_t bdat_len, bdat_off; /* that command, and what of it has left */
	uint8_t bdat[40];
	const struct pst_route *route;
	struct pst_rcpt *rcpts, *rcpt_last, *offered;
	struct pst_relay_rcpt *accepted_last;
	struct pst_rule_query rules;
	struct pst_knock *knock;           /* of the client; NULL: nothing is asked about it */
	struct pst_knock_wait knock_wait;
	struct pst_sender *sender;         /* while it is being asked about */
	struct pst_results results;        /* of the checks, for the headers */
	struct pst_policy_rcpt asked;      /* about the recipient at hand */
	const struct pst_route *offered_route;
	struct pst_verdict verdict; /* the last one; final once judged */
	struct pst_task task; /* goes on, or tells, what is known without asking */
	uint64_t start_ms;
	uint64_t bytes_max;
	struct pst_hasher content; /* of the ledger's entries */
	uint64_t content_hash;     /* 0: no entry */
	uint32_t facts_told;       /* bit set of enum pst_fact_name: they are among the hits */
	uint8_t phase;  /* enum pst_txn_phase */
	uint8_t reason; /* enum pst_reason: why the message will be refused at its end */
	uint8_t rcpt_reason;  /* and the recipient at hand */
	bool rcpt_pending;    /* its answer is owed */
	bool by_memory;       /* a recipient that was unknown lately is not asked about again */
	bool rcpt_waits;      /* for the checks, and then it is offered */
	bool asked_bare;      /* it is postmaster without a domain */
	bool begun;           /* the internal half */
	bool chunked_inside;  /* the body goes by BDAT */
	bool body_open;       /* 354 was given inside */
	bool relay_dead;      /* the internal half can only be ended */
	bool paused;          /* on_room is owed */
	bool partial;         /* LMTP: the recipients' fates differ */
	bool hop_asked;       /* of a trusted relay: the hop before it is what is asked about */
	bool checked;         /* somebody was asked something: our headers tell of it */
	bool judged;          /* the verdict is final */
	bool stream_due;      /* it will stream once it is judged */
	bool quarantined;     /* goes to the owner's address */
	bool dropped;         /* goes nowhere, and the client is told 250 */
	bool rate_judged;
	uint8_t rate_reason;  /* enum pst_reason */
	bool greylist_judged;
	bool greylisted;
	bool exempt;          /* its recipients' scores decide nothing; they share it with their like only */
	bool replayed;        /* every recipient was served before */
	bool noted;           /* the ledger knows how it ended */
	uint16_t refused_count;
	uint16_t client_code; /* what the client was told at the end */
	uint16_t relay_code;  /* the internal server's last word */
	uint8_t relay_text_len;
	uint8_t relay_text[96];
	struct pst_smtp_enhanced relay_enhanced;
	const char *relay_trouble;
	char id[PST_TXN_ID_SIZE];
};

/* The reply that stands for a reason in reasons.def. */
struct pst_smtp_reply pst_txn_reply_of(enum pst_reason reason);

/* Begin at an accepted MAIL. Client, helo and counts of `facts` are copied; the owner writes the id
 * and, where less than the configuration's is offered, bytes_max.
 *  in   knock: what is known of the client, a reference is taken; NULL for a trusted one
 *  ret the transaction, or NULL: at a bound */
struct pst_txn *pst_txn_new(struct pst_txns *txns, struct pst_proxy_conf *conf,
			    const struct pst_facts *facts, const struct pst_smtp_event *mail,
			    struct pst_knock *knock, const struct pst_txn_owner *owner,
			    void *session) PST_MUST_CHECK;

/* How the client's connection began: its operating system becomes a finding. */
void pst_txn_note_syn(struct pst_txn *txn, const struct pst_net_syn *syn);

/* A recipient: on_recipient follows. */
void pst_txn_recipient(struct pst_txn *txn, const struct pst_smtp_event *rcpt);
/* Our 354 is about to be said; ret false: nothing can be delivered, answer 451 instead. */
bool pst_txn_data(struct pst_txn *txn) PST_MUST_CHECK;
/* The same by BDAT. If nothing can be delivered, the chunks are still taken, and doomed. */
void pst_txn_chunked_data(struct pst_txn *txn);
/* Is it known already that the message will be refused?
 *  in  text: for the reply's words
 *  ret true: *reply says why */
bool pst_txn_doomed(const struct pst_txn *txn, struct pst_smtp_reply *reply, struct pst_buf *text)
	PST_MUST_CHECK;
/* The next decoded piece, and what the decoder has noticed so far. Always taken.
 *  ret false: pause until on_room */
bool pst_txn_body(struct pst_txn *txn, struct pst_span wire, const struct pst_smtp_data *data)
	PST_MUST_CHECK;
/* The true end; on_final follows. */
void pst_txn_end(struct pst_txn *txn, const struct pst_smtp_data *data);

/* RSET, EHLO, QUIT, a lost client, a deadline: the session lets go. Before the dot the transaction
 * ends undelivered; after it, it goes on alone.
 *  in  code: what the client was told instead of a final answer, 0 for nothing */
void pst_txn_leave(struct pst_txn *txn, uint16_t code);

/* The process ends: whatever the phase, stop and record. */
void pst_txn_kill(struct pst_txn *txn);

void pst_txns_reap(struct pst_txns *txns);

#endif
