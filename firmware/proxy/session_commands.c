/* proxy/session_commands.c - what comes of a command: the core's questions, and the transaction's answers */
#include <string.h>

#include "proxy/session_priv.h"

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
	pst_session_reply(session, &named, offence);
}

/* ---- what the transaction tells -------------------------------------------------------------- */

void pst_session_answered(struct pst_session *session, const struct pst_smtp_reply *reply,
			  const char *id)
{
	pst_smtp_server_answer(&session->core, reply->code);
	pst_session_set_wait(session, PST_WAIT_CLIENT);
	if (reply->code / 100 == 2 && !id[0])
		pst_session_reply(session, reply, false);
	else
		reply_with_id(session, reply, id, reply->code / 100 == 5);
	pst_session_resume(session);
}

/* What client or sender are does not change from one transaction to the next. */
static void note_refusal(struct pst_session *session, enum pst_reason reason)
{
	if ((reason != PST_REASON_listed && reason != PST_REASON_score) ||
	    session->refused_txn == session->txn_count)
		return;
	session->refused_txn = session->txn_count;
	session->refused_count++;
	pst_session_hold(session);
}

static void on_recipient(void *owner, const struct pst_smtp_reply *reply)
{
	struct pst_session *session = owner;

	note_refusal(session, (enum pst_reason)session->txn->rcpt_reason);
	pst_session_answered(session, reply, reply->code / 100 == 2 ? "" : session->txn->id);
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
	pst_session_answered(session, reply, txn->id); /* when draining, step() sees to the rest */
}

static void on_txn_room(void *owner)
{
	struct pst_session *session = owner;

	pst_session_set_wait(session, PST_WAIT_CLIENT);
	pst_session_resume(session);
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

static const struct pst_txn_owner txn_owner = {
	.on_recipient = on_recipient,
	.on_room = on_txn_room,
	.on_final = on_final,
	.client_is_there = client_is_there,
	.ledger_chain = ledger_chain,
};

void pst_session_drop_txn(struct pst_session *session)
{
	if (session->txn)
		pst_txn_leave(session->txn, 0);
	session->txn = NULL;
}

/* ---- what the core asks ---------------------------------------------------------------------- */

static uint64_t size_offered(const struct pst_session *session, const struct pst_smtp_caps *inside)
{
	uint64_t ours = session->conf->policy.message_bytes_max;

	/* A route that names no limit does not lift another's. */
	return inside->size_bytes > 0 ? PST_MIN(ours, inside->size_bytes) : ours;
}

/* Offered only where every route carries it. */
#define CARRIED (PST_SMTP_CAP_8BITMIME | PST_SMTP_CAP_SMTPUTF8 | PST_SMTP_CAP_DSN)

/*  in  inside: what every route was last seen to offer */
static uint32_t carried(uint32_t inside)
{
	uint32_t set = inside & CARRIED;

	/* RFC 6531 section 3.1: not without 8BITMIME. */
	return set & PST_SMTP_CAP_8BITMIME ? set : set & ~(uint32_t)PST_SMTP_CAP_SMTPUTF8;
}

static struct pst_smtp_caps offered_inside(const struct pst_session *session)
{
	const struct pst_relay *relay = session->proxy->relay;
	const struct pst_relay_conf *conf = &session->conf->relay;

	return session->submission ? pst_relay_route_offers(relay, conf->submission)
				   : pst_relay_offers(relay, conf);
}

static void on_helo(struct pst_session *session, const struct pst_smtp_event *event)
{
	struct pst_smtp_caps inside, caps;
	struct pst_buf *out;

	pst_session_drop_txn(session);
	session->helo_len = (uint8_t)PST_MIN(event->name.len, PST_HELO_MAX);
	memcpy(session->helo, event->name.at, session->helo_len);
	inside = offered_inside(session);
	caps = (struct pst_smtp_caps){
		.set = PST_SMTP_CAP_PIPELINING | PST_SMTP_CAP_ENHANCEDSTATUSCODES |
		       PST_SMTP_CAP_SIZE | PST_SMTP_CAP_LIMITS | PST_SMTP_CAP_CHUNKING |
		       carried(inside.set) |
		       (session->link.mode == PST_LINK_SECURE
				? inside.set & PST_SMTP_CAP_REQUIRETLS
				: 0) |
		       (session->submission && session->link.mode == PST_LINK_SECURE
				? PST_SMTP_CAP_AUTH
				: 0) |
		       (pst_session_offers_tls(session) ? PST_SMTP_CAP_STARTTLS : 0),
		.size_bytes = size_offered(session, &inside),
		.rcpt_count_max = session->conf->policy.recipient_count_max,
		/* Recipients of two routes cannot share a transaction: who goes by domain never tries. */
		.rcpt_domain_count_max = !session->submission && session->conf->relay.route_count > 1 ? 1 : 0,
	};
	session->core.offered = caps.set;
	session->core.size_bytes_max = caps.size_bytes;
	pst_smtp_server_answer(&session->core, 250);
	if (!event->esmtp) {
		struct pst_smtp_reply reply = {.code = 250, .text = session->conf->hostname};

		(void)pst_session_put_reply(session, &reply);
		return;
	}
	out = pst_link_out(&session->link, PST_SESSION_REPLY_ROOM);
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

static bool is_watched(const struct pst_session *session)
{
	return !session->trusted && !session->submission;
}

static void tell_conduct(struct pst_session *session)
{
	if (pst_session_tls_fails_often(session))
		pst_conduct_tls(&session->conduct, "handshakes that fail");
	pst_conduct_tell(&session->conduct, session->txn);
	if (session->syn.ttl > 0)
		pst_txn_note_syn(session->txn, &session->syn);
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
		       (session->submission ? PST_FACT_SUBMITTED : 0U) |
		       (session->hidden ? PST_FACT_NAT : 0U),
	};
	struct pst_smtp_reply reply = ok;

	if (!session->trusted && !session->submission &&
	    session->refused_count >= session->conf->policy.refusal_count_max) {
		pst_count(session->proxy->env.counters, PST_COUNTER_refused_again);
		pst_smtp_server_answer(&session->core, 421);
		pst_session_say_and_hang_up(session, PST_REASON_refused_session);
		return;
	}
	if (session->submission && !pst_relay_private_is_open(&session->private)) {
		pst_smtp_server_answer(&session->core, 421);
		pst_session_say_and_hang_up(session, PST_REASON_login_lost);
		return;
	}
	if (!session->submission && needs_tls(session, &event->path)) {
		/* That we have none just now is not the sender's fault. */
		reply = pst_txn_reply_of(session->conf->tls ? PST_REASON_tls_required
					 : PST_REASON_tls_busy);
		pst_smtp_server_answer(&session->core, reply.code);
		pst_session_reply(session, &reply, session->conf->tls != NULL);
		return;
	}
	note_tls(session, &facts);
	session->txn = pst_txn_new(&session->proxy->txns, session->conf, &facts, event,
				   session->knock, &txn_owner, session);
	if (session->txn) {
		session->txn_count++;
		name_txn(session, session->txn);
		if (is_watched(session))
			tell_conduct(session);
		if (session->submission)
			session->txn->tx.private = &session->private;
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
	pst_session_reply(session, &reply, false);
}

/* The transaction is gone though the core is in it: our own answer was late once. */
static void answer_orphan(struct pst_session *session)
{
	struct pst_smtp_reply reply = pst_txn_reply_of(PST_REASON_reply_late);

	pst_smtp_server_answer(&session->core, reply.code);
	pst_session_reply(session, &reply, false);
}

static void on_rcpt(struct pst_session *session, const struct pst_smtp_event *event)
{
	if (!session->txn) {
		answer_orphan(session);
		return;
	}
	pst_session_set_wait(session, PST_WAIT_ANSWER);
	session->txn->by_memory =
		is_watched(session) &&
		(session->error_count >= session->conf->policy.error_soft_count ||
		 pst_proxy_presses(session->proxy, session));
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
	pst_session_reply(session, &reply, false);
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
	pst_session_reply(session, &reply, false);
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

static void log_not_smtp(const struct pst_session *session, struct pst_span line)
{
	struct pst_log *log = session->proxy->env.log;

	pst_log_begin(log, PST_LOG_INFO, "not_smtp");
	pst_log_addr(log, "client", &session->link.conn.peer);
	if (!session->submission) /* where users say their passwords, perhaps at the wrong place */
		pst_log_peer(log, "said", pst_span_sub(line, 0, 64));
	pst_log_end(log);
}

void pst_session_handle(struct pst_session *session, const struct pst_smtp_event *event)
{
	if (is_watched(session) && event->line.len > 0)
		pst_conduct_command(&session->conduct, event,
				    session->link.mode == PST_LINK_SECURE, session->txn);
	switch (event->kind) {
	case PST_SMTP_EV_NONE:
	case PST_SMTP_EV_QUIT: /* step() has dealt with it */
		break;
	case PST_SMTP_EV_RESET:
		pst_session_drop_txn(session);
		pst_session_reply(session, &event->reply, event->error);
		break;
	case PST_SMTP_EV_REPLY:
		if (event->close) {
			if (event->non_smtp)
				log_not_smtp(session, event->line);
			pst_session_drop_txn(session);
			if (pst_session_put_reply(session, &event->reply))
				pst_session_hang_up(session, false);
		} else {
			pst_session_reply(session, &event->reply, event->error);
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
	case PST_SMTP_EV_AUTH:
		pst_session_auth(session, event);
		break;
	case PST_SMTP_EV_STARTTLS:
		pst_session_starttls(session);
		break;
	}
}
