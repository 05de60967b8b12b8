/* proxy/session.c - one client connection, see session.h
 *
 * step() is the only place that pulls events from the core; everything that could let a session go
 * on (input, room for output, an answer, a timer) ends in it.
 */
#include "proxy/session.h"

#include <string.h>

#include "proxy/proxy_priv.h"
#include "proxy/session_priv.h"

#define REPLY_ROOM 1024         /* an EHLO reply, and any other */
#define EVENTS_A_TURN 64        /* then the next session has its turn */
#define CLOSING_MS 5000
#define LINGER_MS 2000
#define SLOW_MS 1000
#define RATE_GRACE_MS 60000
#define HANDSHAKE_MS 30000
#define HANDSHAKE_CLIENT_PART 4 /* one network may have a quarter of the handshakes */
#define TLS_FAILURES_MAX 3      /* then STARTTLS is hidden for an hour */

_Static_assert(sizeof(struct pst_session) <= 1536, "an idle session is small");

static void settle(struct pst_session *session, bool heard);
static void tls_failed(struct pst_session *session);

/* ---- time ------------------------------------------------------------------------------------ */

static uint64_t now_of(const struct pst_session *session)
{
	return session->proxy->env.loop->now_ms;
}

/* The client gave a sign of life. Its own time counts against it; ours never does. */
static void account(struct pst_session *session)
{
	uint64_t spent_ms = now_of(session) - session->since_ms;

	if (session->wait != PST_WAIT_CLIENT)
		return;
	session->txn_ms += spent_ms;
	if (pst_smtp_server_in_body(&session->core))
		session->body_ms += spent_ms;
	session->since_ms += spent_ms;
}

void pst_session_set_wait(struct pst_session *session, enum pst_session_wait wait)
{
	account(session);
	session->wait = (uint8_t)wait;
	session->since_ms = now_of(session);
}

/* How long the client may be silent now; *slow if its transaction would be over rather than it idle. */
static uint64_t patience_ms(const struct pst_session *session, bool *slow)
{
	const struct pst_proxy_conf *conf = session->conf;
	uint64_t wait_ms = conf->idle_ms, left_ms;

	*slow = false;
	if (!session->txn)
		return wait_ms;
	left_ms = conf->transaction_ms > session->txn_ms ? conf->transaction_ms - session->txn_ms : 0;
	if (pst_smtp_server_in_body(&session->core) && conf->rate_bytes_per_s > 0) {
		uint64_t due_ms = PST_MAX((uint64_t)RATE_GRACE_MS,
					  session->body_bytes * 1000 / conf->rate_bytes_per_s);
		uint64_t rate_ms = due_ms > session->body_ms ? due_ms - session->body_ms : 0;

		left_ms = PST_MIN(left_ms, rate_ms);
	}
	*slow = left_ms < wait_ms;
	return PST_MIN(wait_ms, left_ms);
}

void pst_session_arm(struct pst_session *session)
{
	uint64_t wait_ms = 0;
	bool slow;

	if (session->phase == PST_SESSION_CLOSING) {
		wait_ms = CLOSING_MS;
	} else if (session->phase == PST_SESSION_LINGERING) {
		wait_ms = LINGER_MS;
	} else {
		switch ((enum pst_session_wait)session->wait) {
		case PST_WAIT_CLIENT:
			wait_ms = patience_ms(session, &slow);
			break;
		case PST_WAIT_ANSWER:
			wait_ms = session->conf->reply_ms;
			break;
		case PST_WAIT_ROOM: /* the relay's own deadline watches over that */
			wait_ms = 2 * (uint64_t)session->conf->relay.final_ms;
			break;
		case PST_WAIT_SLOW:
			wait_ms = SLOW_MS;
			break;
		case PST_WAIT_TLS:
			wait_ms = HANDSHAKE_MS;
			break;
		case PST_WAIT_HOP:
			wait_ms = PST_SESSION_HOP_MS;
			break;
		case PST_WAIT_GREETING:
			wait_ms = (uint64_t)session->conf->early_ms * (session->waits_on ? 3 : 1);
			break;
		}
	}
	pst_timer_set(session->proxy->env.loop, &session->timer, session->since_ms + wait_ms);
}

/* ---- the end of a session -------------------------------------------------------------------- */

/* A handshake is over, well or not. */
static void end_securing(struct pst_session *session)
{
	if (!session->securing)
		return;
	session->securing = false;
	session->proxy->handshake_count--;
	session->client->handshake_count--;
}

void pst_session_close(struct pst_session *session, bool reset)
{
	if (session->phase == PST_SESSION_DEAD)
		return;
	session->phase = PST_SESSION_DEAD;
	end_securing(session);
	settle(session, false);
	if (session->txn)
		pst_txn_leave(session->txn, 0);
	session->txn = NULL;
	pst_knock_forget(&session->knock_wait);
	pst_knock_unref(session->knock);
	session->knock = NULL;
	pst_link_close(&session->link, reset);
	pst_timer_cancel(session->proxy->env.loop, &session->timer);
	pst_loop_forget(&session->task);
	session->client->session_count--;
	pst_list_remove(&session->node);
	pst_list_append(&session->proxy->dead, &session->node);
}

/* Everything was said. */
static void said_all(struct pst_session *session)
{
	if (session->phase != PST_SESSION_CLOSING)
		return;
	if (session->link.in.len == 0 && session->link.end) {
		pst_session_close(session, false);
		return;
	}
	session->phase = PST_SESSION_LINGERING;
	session->since_ms = now_of(session);
	pst_link_shutdown(&session->link);
	pst_link_read(&session->link, true);
	pst_session_arm(session);
}

/* The last reply is in the buffer. A client that said QUIT and nothing behind it needs no lingering:
 * nothing of its can be on the way that would turn our close into a reset. */
static void hang_up(struct pst_session *session, bool after_quit)
{
	bool flushed = pst_link_flush(&session->link);

	pst_smtp_server_close(&session->core);
	if (session->link.error || (flushed && after_quit && session->link.in.len == 0)) {
		pst_session_close(session, false);
		return;
	}
	session->phase = PST_SESSION_CLOSING;
	session->since_ms = now_of(session);
	session->link.wants_room = true;
	if (flushed)
		said_all(session);
	else
		pst_session_arm(session);
}

/* ---- replies --------------------------------------------------------------------------------- */

/* ret false: there is no way to say anything, the session is over */
static bool put_reply(struct pst_session *session, const struct pst_smtp_reply *reply)
{
	struct pst_buf *out = pst_link_out(&session->link, REPLY_ROOM);

	if (out && pst_smtp_reply_put(out, reply) == 0)
		return true;
	pst_count(session->proxy->env.counters, PST_COUNTER_refused_memory);
	pst_session_close(session, true);
	return false;
}

void pst_session_say_and_hang_up(struct pst_session *session, enum pst_reason reason)
{
	struct pst_smtp_reply reply = pst_txn_reply_of(reason);

	if (session->txn)
		pst_txn_leave(session->txn, reply.code);
	session->txn = NULL;
	if (put_reply(session, &reply))
		hang_up(session, false);
}

/* A reply that may be an offence: the budget decides whether the session goes on. */
static void reply_to(struct pst_session *session, const struct pst_smtp_reply *reply, bool offence)
{
	const struct pst_policy_conf *policy = &session->conf->policy;

	if (offence && !session->trusted) {
		session->error_count++;
		if (session->error_count >= policy->error_hard_count) {
			pst_session_say_and_hang_up(session, PST_REASON_errors);
			return;
		}
	}
	if (!put_reply(session, reply))
		return;
	if (offence && !session->trusted && session->error_count >= policy->error_soft_count)
		pst_session_set_wait(session, PST_WAIT_SLOW);
}

/* The reply with the transaction's id behind it, so that both sides' logs can be joined. */
static void reply_with_id(struct pst_session *session, const struct pst_smtp_reply *reply,
			  const char *id, bool offence)
{
	uint8_t area[400];
	struct pst_buf text;
	struct pst_smtp_reply named = *reply;

	pst_buf_init(&text, area, sizeof(area));
	if (pst_buf_put(&text, reply->text) == 0 && pst_buf_put_text(&text, " [") == 0 &&
	    pst_buf_put_text(&text, id) == 0 && pst_buf_put_text(&text, "]") == 0)
		named.text = pst_buf_span(&text);
	reply_to(session, &named, offence);
}

/* ---- what the transaction tells -------------------------------------------------------------- */

static void resume(struct pst_session *session)
{
	if (session->phase == PST_SESSION_OPEN)
		pst_loop_resume(session->proxy->env.loop, &session->task);
}

static void answered(struct pst_session *session, const struct pst_smtp_reply *reply,
		     const char *id)
{
	pst_smtp_server_answer(&session->core, reply->code);
	pst_session_set_wait(session, PST_WAIT_CLIENT);
	if (reply->code / 100 == 2 && !id[0])
		reply_to(session, reply, false);
	else
		reply_with_id(session, reply, id, reply->code / 100 == 5);
	resume(session);
}

static void on_recipient(void *owner, const struct pst_smtp_reply *reply)
{
	struct pst_session *session = owner;

	answered(session, reply, reply->code / 100 == 2 ? "" : session->txn->id);
}

static void on_final(void *owner, const struct pst_smtp_reply *reply)
{
	struct pst_session *session = owner;
	struct pst_txn *txn = session->txn;

	session->txn = NULL;
	if (!reply) {
		pst_session_close(session, false);
		return;
	}
	answered(session, reply, txn->id); /* when draining, step() sees to the rest */
}

static void on_txn_room(void *owner)
{
	struct pst_session *session = owner;

	pst_session_set_wait(session, PST_WAIT_CLIENT);
	resume(session);
}

/* Is there a QUIT among the commands that wait for their turn? */
static bool has_said_quit(struct pst_span in)
{
	while (in.len > 0) {
		int64_t end = pst_span_find(in, '\n');

		if (pst_span_starts_nocase(in, PST_SPAN("QUIT\r\n")))
			return true;
		if (end < 0)
			return false;
		in = pst_span_sub(in, (uint32_t)end + 1, in.len);
	}
	return false;
}

/* A FIN means gone, unless the client had said QUIT before: then it waits for the outcome elsewhere. */
static bool client_is_there(void *owner)
{
	const struct pst_session *session = owner;

	if (session->link.error)
		return false;
	return !session->link.end || has_said_quit(pst_buf_span(&session->link.in));
}

static uint32_t *ledger_chain(void *owner, uint64_t *name)
{
	struct pst_session *session = owner;

	*name = session->id;
	return &session->ledger_chain;
}

/* It spoke again, so it has heard our last answer; or it ended, and may not have. */
static void settle(struct pst_session *session, bool heard)
{
	if (session->ledger_chain == 0)
		return;
	pst_ledger_settle(&session->proxy->ledger, session->ledger_chain, session->id, heard);
	session->ledger_chain = 0;
}

static const struct pst_txn_owner txn_owner = {
	.on_recipient = on_recipient,
	.on_room = on_txn_room,
	.on_final = on_final,
	.client_is_there = client_is_there,
	.ledger_chain = ledger_chain,
};

static void drop_txn(struct pst_session *session)
{
	if (session->txn)
		pst_txn_leave(session->txn, 0);
	session->txn = NULL;
}

static uint64_t size_offered(const struct pst_session *session, const struct pst_smtp_caps *inside)
{
	uint64_t ours = session->conf->policy.message_bytes_max;

	/* A route that names no limit does not lift another's. */
	return inside->size_bytes > 0 ? PST_MIN(ours, inside->size_bytes) : ours;
}

/* ---- TLS ------------------------------------------------------------------------------------- */

static bool offers_tls(const struct pst_session *session)
{
	return session->conf->tls && session->link.mode == PST_LINK_PLAIN &&
	       (session->trusted ||
		pst_tally_count(&session->proxy->tls_failures, &session->link.conn.peer,
				now_of(session)) < TLS_FAILURES_MAX ||
		session->conf->tls_domain_count > 0);
}

static void tls_failed(struct pst_session *session)
{
	struct pst_proxy *proxy = session->proxy;

	pst_tally_add(&proxy->tls_failures, &session->link.conn.peer, now_of(session));
	pst_count(proxy->env.counters, PST_COUNTER_tls_failures);
	pst_log_begin(proxy->env.log, PST_LOG_INFO, "tls_failed");
	pst_log_addr(proxy->env.log, "client", &session->link.conn.peer);
	pst_log_text(proxy->env.log, "reason", pst_link_tls_failure(&session->link));
	pst_log_end(proxy->env.log);
	pst_session_close(session, false);
}

static void on_secured(struct pst_link *link, int result)
{
	struct pst_session *session = PST_CONTAINER(link, struct pst_session, link);

	if (result < 0) {
		tls_failed(session);
		return;
	}
	end_securing(session);
	pst_count(session->proxy->env.counters, PST_COUNTER_tls_sessions);
	pst_session_set_wait(session, PST_WAIT_CLIENT);
	if (session->tls_first)
		pst_session_greet(session);
	else
		pst_session_step(session);
}

/* What was said in the clear is forgotten, what was received in the clear is dropped. */
static bool begin_tls(struct pst_session *session)
{
	drop_txn(session);
	session->helo_len = 0;
	pst_session_set_wait(session, PST_WAIT_TLS);
	if (pst_link_flush(&session->link) &&
	    pst_link_secure(&session->link, session->conf->tls, NULL) == 0) {
		session->proxy->handshake_count++;
		session->client->handshake_count++;
		session->securing = true;
		pst_session_arm(session);
		return true;
	}
	pst_session_close(session, true);
	return false;
}

static bool handshakes_are_full(const struct pst_session *session)
{
	const struct pst_proxy *proxy = session->proxy;
	uint32_t max = PST_MIN(session->conf->handshake_count_max, proxy->handshake_count_bound);

	/* Silent handshakes of one network must not keep everybody else from theirs. */
	if (!session->trusted &&
	    session->client->handshake_count >= PST_MAX(max / HANDSHAKE_CLIENT_PART, 1))
		return true;
	return proxy->handshake_count >= max;
}

static void on_starttls(struct pst_session *session)
{
	static const struct pst_smtp_reply ready = {
		220, {2, 0, 0}, {(const uint8_t *)"Ready to start TLS", 18}};
	struct pst_smtp_reply busy = pst_txn_reply_of(PST_REASON_tls_busy);

	if (handshakes_are_full(session)) {
		pst_smtp_server_answer(&session->core, busy.code);
		reply_to(session, &busy, false);
		return;
	}
	pst_smtp_server_answer(&session->core, ready.code);
	if (put_reply(session, &ready))
		(void)begin_tls(session);
}

/* ---- what the core asks ---------------------------------------------------------------------- */

/* Offered only where every route carries it. */
#define CARRIED (PST_SMTP_CAP_8BITMIME | PST_SMTP_CAP_SMTPUTF8 | PST_SMTP_CAP_DSN)

/*  in  inside: what every route was last seen to offer */
static uint32_t carried(uint32_t inside)
{
	uint32_t set = inside & CARRIED;

	/* RFC 6531 section 3.1: not without 8BITMIME. */
	return set & PST_SMTP_CAP_8BITMIME ? set : set & ~(uint32_t)PST_SMTP_CAP_SMTPUTF8;
}

static void on_helo(struct pst_session *session, const struct pst_smtp_event *event)
{
	struct pst_smtp_caps inside, caps;
	struct pst_buf *out;

	drop_txn(session);
	session->helo_len = (uint8_t)PST_MIN(event->name.len, PST_HELO_MAX);
	memcpy(session->helo, event->name.at, session->helo_len);
	inside = pst_relay_offers(session->proxy->relay, &session->conf->relay);
	caps = (struct pst_smtp_caps){
		.set = PST_SMTP_CAP_PIPELINING | PST_SMTP_CAP_ENHANCEDSTATUSCODES |
		       PST_SMTP_CAP_SIZE | PST_SMTP_CAP_LIMITS | PST_SMTP_CAP_CHUNKING |
		       carried(inside.set) |
		       (session->link.mode == PST_LINK_SECURE
				? inside.set & PST_SMTP_CAP_REQUIRETLS
				: 0) |
		       (offers_tls(session) ? PST_SMTP_CAP_STARTTLS : 0),
		.size_bytes = size_offered(session, &inside),
		.rcpt_count_max = session->conf->policy.recipient_count_max,
		/* Recipients of two routes cannot share a transaction: who goes by domain never tries. */
		.rcpt_domain_count_max = session->conf->relay.route_count > 1 ? 1 : 0,
	};
	session->core.offered = caps.set;
	session->core.size_bytes_max = caps.size_bytes;
	pst_smtp_server_answer(&session->core, 250);
	if (!event->esmtp) {
		struct pst_smtp_reply reply = {.code = 250, .text = session->conf->hostname};

		(void)put_reply(session, &reply);
		return;
	}
	out = pst_link_out(&session->link, REPLY_ROOM);
	if (!out || pst_smtp_caps_put(out, session->conf->hostname, &caps) < 0)
		pst_session_close(session, true);
}

/* Hexadecimal, of fixed width: session and number of the transaction in it. */
static void name_txn(const struct pst_session *session, struct pst_txn *txn)
{
	struct pst_buf id;

	pst_buf_init(&id, txn->id, sizeof(txn->id) - 1);
	if (pst_buf_printf(&id, "%012llx-%u", (unsigned long long)session->id,
			   session->txn_count) < 0)
		PST_BUG_ON(true);
}

static void note_tls(struct pst_session *session, struct pst_facts *facts)
{
	struct pst_tls_facts tls;

	if (session->link.mode != PST_LINK_SECURE)
		return;
	session->link.tls->ops->facts(session->link.tls, &tls);
	facts->tls_version = pst_span_text(tls.version);
	facts->tls_cipher = pst_span_text(tls.cipher);
}

/* The owner wants this sender's mail by TLS only. */
static bool needs_tls(const struct pst_session *session, const struct pst_smtp_path *sender)
{
	const struct pst_proxy_conf *conf = session->conf;

	for (uint32_t i = 0; i < conf->tls_domain_count; i++)
		if (session->link.mode != PST_LINK_SECURE &&
		    pst_span_eq_nocase(conf->tls_domains[i], sender->domain))
			return true;
	return false;
}

static void on_mail(struct pst_session *session, const struct pst_smtp_event *event)
{
	static const struct pst_smtp_reply ok = {
		250, {2, 1, 0}, {(const uint8_t *)"Ok", 2}};
	struct pst_facts facts = {
		.client = session->link.conn.peer,
		.service = session->link.conn.local,
		.helo = {session->helo, session->helo_len},
		.esmtp = session->core.esmtp,
		.error_count = session->error_count,
		.set = (session->trusted ? PST_FACT_TRUSTED : 0U) |
		       (session->early_talk ? PST_FACT_EARLY_TALK : 0U),
	};
	struct pst_smtp_reply reply = ok;

	if (needs_tls(session, &event->path)) {
		/* That we have none just now is not the sender's fault. */
		reply = pst_txn_reply_of(session->conf->tls ? PST_REASON_tls_required
						    : PST_REASON_tls_busy);
		pst_smtp_server_answer(&session->core, reply.code);
		reply_to(session, &reply, session->conf->tls != NULL);
		return;
	}
	note_tls(session, &facts);
	session->txn = pst_txn_new(&session->proxy->txns, session->conf, &facts, event,
				   session->knock, &txn_owner, session);
	if (session->txn) {
		session->txn_count++;
		name_txn(session, session->txn);
		session->txn->bytes_max = session->core.size_bytes_max
						  ? session->core.size_bytes_max
						  : session->conf->policy.message_bytes_max;
		session->txn_ms = 0;
		session->body_ms = 0;
		session->body_bytes = 0;
	} else {
		pst_count(session->proxy->env.counters, PST_COUNTER_refused_memory);
		reply = pst_txn_reply_of(PST_REASON_memory);
	}
	pst_smtp_server_answer(&session->core, reply.code);
	reply_to(session, &reply, false);
}

/* The transaction is gone though the core is in it: our own answer was late once. */
static void answer_orphan(struct pst_session *session)
{
	struct pst_smtp_reply reply = pst_txn_reply_of(PST_REASON_reply_late);

	pst_smtp_server_answer(&session->core, reply.code);
	reply_to(session, &reply, false);
}

static void on_rcpt(struct pst_session *session, const struct pst_smtp_event *event)
{
	if (!session->txn) {
		answer_orphan(session);
		return;
	}
	pst_session_set_wait(session, PST_WAIT_ANSWER);
	pst_txn_recipient(session->txn, event);
}

/* The chunk was read; what will not be taken is said at each of them. The budget counts it once, at
 * the end. */
static void on_chunk(struct pst_session *session)
{
	struct pst_smtp_reply reply = {250, {2, 0, 0}, PST_SPAN("Chunk taken")};
	uint8_t area[256];
	struct pst_buf text;

	if (!session->txn) {
		answer_orphan(session);
		return;
	}
	pst_buf_init(&text, area, sizeof(area));
	if (pst_txn_doomed(session->txn, &reply, &text)) {
		pst_smtp_server_answer(&session->core, reply.code);
		reply_with_id(session, &reply, session->txn->id, false);
		return;
	}
	pst_smtp_server_answer(&session->core, reply.code);
	reply_to(session, &reply, false);
}

/* By BDAT: nothing is said now, and if nothing can be delivered, the chunks are told. */
static void on_chunked_data(struct pst_session *session)
{
	if (session->txn)
		pst_txn_chunked_data(session->txn);
	pst_smtp_server_answer(&session->core, 354);
}

static void on_data(struct pst_session *session)
{
	static const struct pst_smtp_reply go_on = {
		354, {0, 0, 0}, {(const uint8_t *)"End data with <CR><LF>.<CR><LF>", 31}};
	struct pst_smtp_reply reply = go_on;

	if (!session->txn) {
		answer_orphan(session);
		return;
	}
	if (!pst_txn_data(session->txn))
		reply = pst_txn_reply_of(PST_REASON_relay_failed);
	pst_smtp_server_answer(&session->core, reply.code);
	reply_to(session, &reply, false);
}

static void on_end(struct pst_session *session)
{
	if (!session->txn) {
		answer_orphan(session);
		return;
	}
	pst_session_set_wait(session, PST_WAIT_ANSWER);
	pst_txn_end(session->txn, &session->core.data);
}

static void handle(struct pst_session *session, const struct pst_smtp_event *event)
{
	switch (event->kind) {
	case PST_SMTP_EV_NONE:
	case PST_SMTP_EV_QUIT: /* step() has dealt with it */
		break;
	case PST_SMTP_EV_RESET:
		drop_txn(session);
		reply_to(session, &event->reply, event->error);
		break;
	case PST_SMTP_EV_REPLY:
		if (event->close) {
			drop_txn(session);
			if (put_reply(session, &event->reply))
				hang_up(session, false);
		} else {
			reply_to(session, &event->reply, event->error);
		}
		break;
	case PST_SMTP_EV_HELO:
		on_helo(session, event);
		break;
	case PST_SMTP_EV_MAIL:
		on_mail(session, event);
		break;
	case PST_SMTP_EV_RCPT:
		on_rcpt(session, event);
		break;
	case PST_SMTP_EV_DATA:
		if (event->chunked)
			on_chunked_data(session);
		else
			on_data(session);
		break;
	case PST_SMTP_EV_CHUNK:
		on_chunk(session);
		break;
	case PST_SMTP_EV_BODY:
		session->body_bytes += event->wire.len;
		if (session->txn && !pst_txn_body(session->txn, event->wire, &session->core.data))
			pst_session_set_wait(session, PST_WAIT_ROOM);
		break;
	case PST_SMTP_EV_END:
		on_end(session);
		break;
	case PST_SMTP_EV_STARTTLS:
		on_starttls(session);
		break;
	}
}

/* QUIT is consumed before it is answered: whether anything stands behind it decides how to close. */
static void quit(struct pst_session *session, const struct pst_smtp_event *event, uint32_t used)
{
	pst_buf_consume(&session->link.in, used);
	drop_txn(session);
	if (put_reply(session, &event->reply))
		hang_up(session, true);
}

void pst_session_step(struct pst_session *session)
{
	struct pst_link *link = &session->link;
	struct pst_smtp_event event;
	bool drained = false;
	uint32_t count = 0;

	while (session->phase == PST_SESSION_OPEN && session->wait == PST_WAIT_CLIENT) {
		uint32_t used;

		if (++count > EVENTS_A_TURN) {
			resume(session);
			break;
		}
		if (session->proxy->draining && !session->txn) {
			/* Its transaction is over; there shall not be another. */
			pst_session_say_and_hang_up(session, PST_REASON_shutdown);
			return;
		}
		if (session->core.state != PST_SMTP_BODY && !pst_link_out(link, REPLY_ROOM))
			break; /* on_room steps again */
		pst_smtp_server_next(&session->core, pst_buf_span(&link->in), &used, &event);
		if (event.kind != PST_SMTP_EV_NONE)
			settle(session, true);
		if (event.kind == PST_SMTP_EV_QUIT) {
			quit(session, &event, used);
			return;
		}
		handle(session, &event);
		if (session->phase == PST_SESSION_DEAD || session->wait == PST_WAIT_TLS)
			return; /* nothing of the input is there any more */
		pst_buf_consume(&link->in, used);
		drained = event.kind == PST_SMTP_EV_NONE;
		if (drained)
			break;
	}
	if (drained && link->end) {
		/* It will say no more, but may still hear what we owe it. */
		pst_buf_consume(&link->in, link->in.len);
		hang_up(session, true);
		return;
	}
	if (session->phase != PST_SESSION_OPEN)
		return;
	pst_link_read(link, true);
	pst_session_arm(session);
}

static void on_input(struct pst_link *link)
{
	struct pst_session *session = PST_CONTAINER(link, struct pst_session, link);

	if (link->error) {
		pst_session_close(session, false);
		return;
	}
	if (session->phase >= PST_SESSION_CLOSING) {
		pst_buf_consume(&link->in, link->in.len);
		if (session->phase == PST_SESSION_LINGERING && link->end)
			pst_session_close(session, false);
		return;
	}
	if (session->wait == PST_WAIT_HOP || session->wait == PST_WAIT_GREETING) {
		pst_session_opening_input(session);
		return;
	}
	account(session);
	pst_session_step(session);
}

static void on_room(struct pst_link *link)
{
	struct pst_session *session = PST_CONTAINER(link, struct pst_session, link);

	if (session->phase == PST_SESSION_CLOSING)
		said_all(session);
	else if (session->phase == PST_SESSION_OPEN)
		pst_session_step(session);
}

static void on_task(struct pst_task *task)
{
	pst_session_step(PST_CONTAINER(task, struct pst_session, task));
}

/* Our own answer did not come in time: 451, and the transaction goes its way alone or ends. */
static void answer_late(struct pst_session *session)
{
	struct pst_smtp_reply reply = pst_txn_reply_of(PST_REASON_reply_late);
	char id[PST_TXN_ID_SIZE];

	memcpy(id, session->txn->id, sizeof(id));
	pst_txn_leave(session->txn, reply.code);
	session->txn = NULL;
	answered(session, &reply, id);
}

static void on_due(struct pst_timer *timer)
{
	struct pst_session *session = PST_CONTAINER(timer, struct pst_session, timer);
	bool slow;

	if (session->phase != PST_SESSION_OPEN) {
		pst_session_close(session, false);
		return;
	}
	switch ((enum pst_session_wait)session->wait) {
	case PST_WAIT_CLIENT:
		(void)patience_ms(session, &slow);
		pst_session_say_and_hang_up(session, slow ? PST_REASON_slow : PST_REASON_idle);
		break;
	case PST_WAIT_ANSWER:
		answer_late(session);
		break;
	case PST_WAIT_ROOM:
		pst_session_say_and_hang_up(session, PST_REASON_slow);
		break;
	case PST_WAIT_TLS:
		tls_failed(session);
		break;
	case PST_WAIT_HOP:
	case PST_WAIT_GREETING:
		pst_session_opening_due(session);
		break;
	case PST_WAIT_SLOW:
		pst_session_set_wait(session, PST_WAIT_CLIENT);
		pst_session_step(session);
		break;
	}
}

/* 48 bits, never 0: that names nobody. A hash of a count, for randomness would be a system call. */
static uint64_t new_name(struct pst_proxy *proxy)
{
	uint64_t number = proxy->session_number++;
	struct pst_span bytes = {(const uint8_t *)&number, sizeof(number)};

	return (pst_hash(&proxy->name_key, bytes) >> 16) | 1;
}

void pst_session_init(struct pst_session *session, struct pst_proxy *proxy,
		      struct pst_proxy_conf *conf, struct pst_client *client, bool trusted)
{
	session->proxy = proxy;
	session->conf = pst_proxy_conf_ref(conf);
	session->client = client;
	session->trusted = trusted;
	session->timer.on_due = on_due;
	session->task.on_run = on_task;
	session->id = new_name(proxy);
	session->since_ms = proxy->env.loop->now_ms;
	pst_link_init(&session->link, &proxy->links, &proxy->in_pool, &proxy->out_pool);
	session->link.on_input = on_input;
	session->link.on_room = on_room;
	session->link.on_secured = on_secured;
	pst_smtp_server_init(&session->core);
	client->session_count++;
	pst_list_append(&proxy->sessions, &session->node);
}

void pst_session_secure_first(struct pst_session *session)
{
	/* Before TLS there is no way to say why. */
	if (!session->conf->tls || handshakes_are_full(session)) {
		struct pst_log *log = session->proxy->env.log;

		pst_log_begin(log, PST_LOG_INFO, "refused");
		pst_log_addr(log, "client", &session->link.conn.peer);
		pst_log_text(log, "reason", pst_reason_reply(PST_REASON_tls_busy)->name);
		pst_log_end(log);
		pst_session_close(session, false);
	} else if (begin_tls(session)) {
		pst_link_read(&session->link, true);
	}
}

void pst_session_greet(struct pst_session *session)
{
	struct pst_buf *out = pst_link_out(&session->link, REPLY_ROOM);

	if (!out || pst_buf_put_text(out, "220 ") < 0 ||
	    pst_buf_put(out, session->conf->hostname) < 0 ||
	    pst_buf_put_text(out, " ESMTP\r\n") < 0) {
		pst_session_close(session, true);
		return;
	}
	pst_smtp_server_greeted(&session->core);
	pst_link_read(&session->link, true);
	pst_session_arm(session);
}

void pst_session_dismiss(struct pst_session *session, enum pst_reason reason, bool gently)
{
	if (session->phase != PST_SESSION_OPEN || (gently && session->txn))
		return;
	if (session->wait == PST_WAIT_TLS || session->wait == PST_WAIT_HOP) {
		pst_session_close(session, false);
		return;
	}
	/* In the middle of data, or of an answer owed, a 421 still is the next reply. */
	if (session->core.waiting)
		pst_smtp_server_answer(&session->core, 421);
	pst_session_say_and_hang_up(session, reason);
}
