/* sim/sim.h - one seed: a world of clients, internal servers and troubles around the real proxy
 *
 * Concept: everything that happens is drawn from the seed, before it happens or from streams of its
 * own for each client, so that the same seed is the same run byte for byte. The world is a stage
 * (support/stage.h) in simulated time; the proxy is the production code. What must hold is judged by
 * the book, from what clients heard, what servers took and what the log says, and by nothing that
 * the proxy keeps for itself.
 * A run has four phases: the world as drawn, with its troubles; the troubles stop, and every session
 * must end by its own deadlines; one more message must go through; the end, at which everything must
 * have been given back.
 */
#ifndef PST_SIM_SIM_H
#define PST_SIM_SIM_H

#include "support/dns_zone.h"
#include "support/inside.h"

#define SIM_RCPTS_MAX 6
#define SIM_CLIENTS_MAX 40
#define SIM_SERVERS_MAX 5
#define SIM_EVENTS_MAX 24
#define SIM_DUE_MAX 32
#define SIM_ID_SIZE 24
#define SIM_NEVER INT32_MAX

struct sim;

/* --- what is drawn (plan.c) -------------------------------------------------------------------- */

enum sim_net { SIM_NET_MEMORY, SIM_NET_LWIP };

/* What is drawn besides comes from a stream of its own, and a seed of an earlier version goes without it. */
enum sim_version { SIM_VERSION_FIRST = 1, SIM_VERSION_MORE = 2, SIM_VERSION_NOW = SIM_VERSION_MORE };

struct sim_plan {
	enum sim_net net;
	/* No trouble at all: every polite client must be told exactly what its letters deserve. */
	bool calm;
	bool tls;            /* the proxy has a certificate */
	bool tls_inside;     /* internal servers have one, too */
	bool dns;            /* lists, names and SPF are asked for */
	bool lmtp, two_routes, fail_over;
	bool server_5xx;     /* internal servers may refuse for good */
	bool server_raves;   /* they may answer once too often, and then mix up what answers what */
	bool drops;          /* the owner lets some mail be thrown away */
	bool bare_reject;
	bool small;          /* so few places that clients may be sent away */
	bool submission;     /* users log in */
	bool submission_tls; /* with TLS from the first byte */
	bool submission_two; /* on two internal servers */
	bool rules;          /* messages are judged by rules of ours (score.c) */
	bool enforced;       /* no `mode` says otherwise */
	int32_t lines[PST_ACTION_COUNT]; /* verdicts by score, in thousandths; SIM_NEVER: not at all */
	/* Indices of listeners; 0: there is none. */
	uint32_t tls_listener, ipv6_listener, balanced_listener, submission_listener;
	uint32_t listener_count;
	uint32_t client_count;
	uint32_t spread_ms;  /* over which they come */
	uint32_t hold_bytes, pool_bytes, message_bytes, ledger_count, pipe_bytes;
	uint32_t latency_ms; /* of internal servers, before each piece they say */
	uint32_t server_faults, event_count;
	uint32_t loss, duplicate, corrupt; /* of 1,000 frames; lwIP only */
	uint32_t reset;      /* of 1,000 frames, behind which somebody on the way says RST */
	uint32_t delay_ms, jitter_ms;
	struct pst_bytes conf;
};

void sim_plan_draw(struct sim_plan *plan, struct pst_rng_seed *rng, enum sim_net net);
/* What later versions have added. */
void sim_plan_draw_more(struct sim_plan *plan, uint64_t seed);

struct sim_client;

/* --- letters (letter.c) ------------------------------------------------------------------------ */

enum sim_rcpt_kind { SIM_RCPT_GOOD, SIM_RCPT_UNKNOWN, SIM_RCPT_ELSEWHERE, SIM_RCPT_LIST };

struct sim_rcpt {
	char mailbox[64];
	enum sim_rcpt_kind kind;
};

/* One message, however often it is sent. */
struct sim_letter {
	uint32_t number;
	char sender[48]; /* nobody else's: it names the letter wherever it turns up */
	struct sim_rcpt rcpts[SIM_RCPTS_MAX];
	uint32_t rcpt_count;
	struct pst_bytes content;   /* as it is sent by BDAT */
	struct pst_bytes stuffed;   /* as it is sent by DATA, with the end */
	struct pst_bytes canonical; /* what must arrive inside, behind our own fields */
	bool nul, bare, named, field_first;
	uint8_t marks;              /* bits by score.c, which rules look for */
	struct sim_client *user;    /* who must log in to send it; NULL: nobody */
	bool blind;                 /* sent without looking at replies */
	/* The book's. */
	uint32_t mail_count, attempt_count;
	uint32_t attempt_log[8];    /* how long the log was when an attempt began */
	uint32_t told_count;        /* clients heard a final 250 */
};

struct sim_letter *sim_letter_new(struct sim *sim, struct sim_client *user, struct pst_rng_seed *rng);
void sim_letter_free(struct sim_letter *letter);

/* --- TLS at the other end (tls_end.c, server_tls.c) --------------------------------------------------------- */

struct sim_tls_end;

/* A key for all runs, once and before the first of them. */
void sim_tls_prepare(struct sim *sim);
/* Certificates for the proxy and trust for the clients, from now until sim_tls_close. */
void sim_tls_open(struct sim *sim);
void sim_tls_close(struct sim *sim);
/* Hang the certificate onto a generation, if the plan says so. */
void sim_tls_attach(struct sim *sim, struct pst_config *config);
struct sim_tls_end *sim_tls_end_new(struct sim *sim, bool server);
void sim_tls_end_free(struct sim_tls_end *end);
/* Records have come.
 *  out plain: what was in them is appended
 *  out wire: what must be sent is appended
 *  ret 1: the handshake is over | 0: it is not | -1: it failed, or the session ended */
int sim_tls_end_take(struct sim_tls_end *end, struct pst_span records, struct pst_bytes *plain,
		     struct pst_bytes *wire);
void sim_tls_end_give(struct sim_tls_end *end, struct pst_span plain, struct pst_bytes *wire);

struct sim_server_tls;

/* A server's new connection, which may become a secure one.
 *  in  on_peer: what the server does on a new connection */
void sim_server_tls_new(struct sim *sim, struct pst_door *door, struct pst_peer *raw,
			void (*on_peer)(struct pst_door *door, struct pst_peer *peer));
/* The servers have said or ended something that nothing from outside made them do. */
void sim_server_tls_flush(struct sim *sim);
/* Behind sim_servers_close. */
void sim_server_tls_free(struct sim *sim);

/* --- clients (client.c, manner.c, hostile.c) --------------------------------------------------- */

enum sim_manner {
	SIM_POLITE,  /* waits where it must, ends with QUIT */
	SIM_CUT,     /* its connection ends somewhere */
	SIM_SLOW,    /* dawdles, perhaps for longer than anybody waits */
	SIM_DEAF,    /* stops reading */
	SIM_VANISH,  /* goes when the dot is out, and comes again */
	SIM_HOSTILE, /* anything */
	SIM_MANNERS
};

struct sim_client {
	struct sim *sim;
	uint32_t number;
	struct pst_rng_seed rng;
	enum sim_manner manner;
	struct pst_addr address;
	uint32_t listener;
	struct pst_peer *peer;
	struct sim_tls_end *tls;
	struct pst_timer timer;
	struct sim_letter *letters[4];
	uint32_t letter_count, letter_at;
	struct pst_bytes heard;   /* plaintext */
	uint32_t raw_read, read;
	uint8_t due[SIM_DUE_MAX]; /* what the next replies must be answers to */
	uint32_t due_count;
	uint32_t rcpt_at, rcpt_ok, chunk_sent, refusal_count;
	uint32_t attempts_left;
	uint32_t line_count, reply_count; /* of a hostile one */
	uint64_t begin_ms;
	bool offers_pipelining, offers_chunking, offers_tls;
	bool wants_pipelining, wants_chunking, wants_tls, early, tls_first, balanced;
	bool esmtp, greeted, dismissed, quit, secured, left, over, rcpt_must_fail;
	/* Of one who logs in (login.c). */
	bool submits, offers_auth, login_wrong, login_named, hasty, logged_in, login_spent;
	uint8_t login_words; /* that are still to be said */
	uint8_t logins_left;
};

/* --- users (login.c) --------------------------------------------------------------------------- */

/* What names and passwords begin with; nobody else says so. */
#define SIM_USER "login-user-"
#define SIM_PASSWORD "pass-word-"

/* Behind EHLO: log in, rightly or wrongly, or leave.
 *  ret NULL: it has no more to say but QUIT | the line, without its CRLF, borrowed until the next call */
const char *sim_login_begin(struct sim_client *client);
/* The next word; a hasty client does not wait to be asked for it.
 *  ret NULL: there is none */
const char *sim_login_word(struct sim_client *client);
/* Something like it, for a client that says anything. */
const char *sim_login_rubbish(struct sim_client *client);
/* A reply to one of those lines.
 *  out line: what is said next; NULL: nothing
 *  ret true: the exchange is over */
bool sim_login_reply(struct sim_client *client, uint16_t code, const char **line);
/* May the reply be this one, troubles or not? */
bool sim_login_may_be_refused(const struct sim_client *client);
bool sim_login_is_deserved(const struct sim_client *client, uint16_t code);
/* For inside.h. */
void *sim_login_check(struct pst_inside *inside, struct pst_span name, struct pst_span secret);
/* At the end: nothing that anybody said to log in stands in the log, and the numbers agree. */
void sim_login_close(struct sim *sim);

/* --- rules and scores (score.c) ---------------------------------------------------------------- */

/* The rules' set, once and before the first run. */
void sim_score_prepare(void);
/* Hang it onto a generation, if the plan says so. */
void sim_score_attach(struct sim *sim, struct pst_config *config);
/* Fields that rules look for.
 *  out subject: what stands behind the letter's number */
void sim_score_mark(struct sim_letter *letter, struct pst_rng_seed *rng, struct pst_bytes *fields,
		    const char **subject);
/* A record's score, hits and verdict, as this file's own arithmetic has them.
 *  in  letter: of the record, or NULL */
void sim_score_check(struct sim *sim, struct pst_span record, const struct sim_letter *letter);
/* What the fields in front of a message say of the record. */
void sim_score_check_head(struct sim *sim, struct pst_span record, struct pst_span head,
			  const struct sim_letter *letter);

void sim_client_init(struct sim *sim, struct sim_client *client, uint32_t number);
/* Once, and for each of its connections. */
void sim_client_draw_address(struct sim_client *client);
void sim_client_draw_manner(struct sim_client *client);
void sim_client_free(struct sim_client *client);
void sim_client_say(struct sim_client *client, struct pst_span bytes);
void sim_client_hostile(struct sim_client *client);

/* --- troubles (trouble.c) ---------------------------------------------------------------------- */

void sim_servers_open(struct sim *sim);
void sim_servers_close(struct sim *sim);
void sim_events_draw(struct sim *sim);
/* Everything of ours works from now on. */
void sim_troubles_stop(struct sim *sim);

struct sim_event {
	struct pst_timer timer;
	struct sim *sim;
	uint8_t kind;
	uint32_t number;
};

/* --- the book (book.c) ------------------------------------------------------------------------- */

struct sim_told {
	char id[SIM_ID_SIZE];
	uint16_t code;
	struct sim_letter *letter; /* NULL: the client did not know which */
};

struct sim_book {
	struct sim_told *told;
	uint32_t told_count, told_size;
};

/* The first thing that is wrong is kept. */
void sim_wrong(struct sim *sim, const char *format, ...) PST_PRINTF(2, 3);
/* With `verbose`, a line that tells what happens. */
void sim_trace(struct sim *sim, const char *format, ...) PST_PRINTF(2, 3);
/* A client heard what became of its letter. */
void sim_book_told(struct sim *sim, struct sim_letter *letter, uint16_t code, struct pst_span text);
/* The value of " key=" in a record, without its quotes; empty if there is none. */
struct pst_span sim_book_field(struct pst_span line, const char *key);
/* All records are there: does everything agree? */
void sim_book_close(struct sim *sim);

/* --- the whole (world.c) ----------------------------------------------------------------------- */

struct sim {
	uint64_t seed;
	uint32_t version;
	struct sim_plan plan;
	struct pst_rng_seed rng;
	struct pst_stage stage;
	struct pst_dns_zone zone;
	struct pst_inside *servers[SIM_SERVERS_MAX];
	struct pst_rng_seed server_rng;
	uint32_t server_count;
	struct sim_client clients[SIM_CLIENTS_MAX];
	struct sim_letter **letters;
	uint32_t letter_count, letter_size;
	struct sim_event events[SIM_EVENTS_MAX];
	struct sim_book book;
	struct pst_alloc_fail tls_memory, wire_memory;
	struct pst_tls_context *tls_server, *tls_client;
	struct sim_server_tls *server_tls;
	struct pst_stage_wire *wire;
	struct pst_bytes wrong;
	uint32_t session_count, connection_count; /* of clients; of the proxy to servers */
	uint32_t welcome_count; /* logins that clients were told of */
	uint64_t hash;
	bool stopped;  /* the troubles are over, and clients are silent */
	bool drained;  /* a drain came among the troubles */
	bool failing;  /* some allocation may have failed */
	bool reloaded; /* by a configuration that the plan does not know */
	bool verbose;
	const char *pcap; /* where to write frames; NULL: nowhere */
};

/* What happens goes into sim->hash. */
void sim_hash(struct sim *sim, const void *bytes, uint32_t len);
/*  ret true: nothing was wrong; else sim->wrong says what, until sim_fini */
bool sim_run(struct sim *sim, uint64_t seed, enum sim_net net, uint32_t version);
void sim_fini(struct sim *sim);

#endif
