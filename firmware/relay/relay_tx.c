/* relay/relay_tx.c - one transaction, over one internal connection or several
 *
 * The envelope is sent by one function, step(), which looks at what was sent and answered and puts
 * the next command; nothing else sends envelope commands. Losing the connection, parking and
 * fail-over therefore only reset what was sent: the next step repeats it elsewhere.
 */
#include "relay/relay_priv.h"

static void tell(struct pst_relay_tx *tx, const struct pst_relay_event *event)
{
	tx->on_event(tx, event);
}

void pst_relay_tx_fail(struct pst_relay_tx *tx, const char *reason)
{
	struct pst_relay_event event = {
		.kind = PST_RELAY_FAILED,
		.reason = reason,
		.final_lost = tx->phase == PST_TX_FINAL,
	};

	pst_list_remove(&tx->node);
	pst_timer_cancel(tx->relay->env.loop, &tx->timer);
	tx->phase = PST_TX_FAILED;
	tx->failure = reason;
	tell(tx, &event);
}

/* Forget what the present server was told. */
static void rewind_envelope(struct pst_relay_tx *tx)
{
	tx->replay = tx->accepted;
	tx->replay_due = 0;
	tx->xclient = PST_XCLIENT_NONE;
	tx->xforward_sent = false;
	tx->mail_sent = false;
	tx->mail_ok = false;
	tx->offer_sent = false;
	tx->mail_code = 0;
}

/* Both refuse for good and speak of us, not of the recipient (BEHAVIOUR: our misconfiguration). */
static bool speaks_of_us(struct pst_span text)
{
	static const struct pst_span words[] = {
		{(const uint8_t *)"relay", 5},
		{(const uint8_t *)"authenticat", 11},
		{(const uint8_t *)"starttls", 8},
		{(const uint8_t *)"tls ", 4},
	};

	for (uint32_t i = 0; i < text.len; i++)
		for (uint32_t w = 0; w < PST_COUNT(words); w++)
			if (pst_span_starts_nocase(pst_span_sub(text, i, text.len), words[w]))
				return true;
	return false;
}

static bool rcpt_refusal_is_ours(const struct pst_smtp_client_event *reply)
{
	return reply->code == 530 || reply->code == 535 || reply->code == 538 ||
	       (reply->code / 100 == 5 && speaks_of_us(reply->text));
}

/* Only a verdict on the sender or the size is the client's affair. */
static bool mail_refusal_is_ours(const struct pst_smtp_client_event *reply)
{
	const struct pst_smtp_enhanced *e = &reply->enhanced;

	if (reply->code / 100 != 5)
		return false;
	if (e->subject == 1 && (e->detail == 7 || e->detail == 8))
		return false;
	return !(e->subject == 3 && e->detail == 4);
}

static void log_ours(struct pst_relay_tx *tx, const char *stage,
		     const struct pst_smtp_client_event *reply)
{
	struct pst_log *log = tx->relay->env.log;

	pst_log_begin(log, PST_LOG_ERROR, "relay_misconfigured");
	pst_log_endpoint(log, "server", &tx->server);
	pst_log_text(log, "stage", stage);
	pst_log_u64(log, "code", reply->code);
	pst_log_peer(log, "reply", reply->text);
	pst_log_end(log);
}

static bool wants_xforward(struct pst_relay_tx *tx)
{
	struct pst_relay_server *server = tx->conn->server;

	if (tx->route->pass == PST_RELAY_PASS_NONE || tx->route->pass == PST_RELAY_PASS_PROXY ||
	    tx->xclient == PST_XCLIENT_DONE ||
	    tx->identity.client.family == PST_FAMILY_NONE)
		return false;
	if (tx->conn->core.caps.set & PST_SMTP_CAP_XFORWARD)
		return true;
	if (!server->pass_warned) {
		server->pass_warned = true;
		pst_log_begin(tx->relay->env.log, PST_LOG_WARNING, "relay_no_identity");
		pst_log_endpoint(tx->relay->env.log, "server", &server->addr);
		pst_log_text(tx->relay->env.log, "msg",
			     "the internal server offers neither XCLIENT nor XFORWARD and sees our address as the "
			     "client's; allow it there, or say `pass none` on the relay line");
		pst_log_end(tx->relay->env.log);
	}
	return false;
}

/* The better way: the internal server then treats our client as its own. One that takes no address
 * by it would be told nothing for two more round trips. */
static bool wants_xclient(const struct pst_relay_tx *tx)
{
	const struct pst_smtp_caps *caps = &tx->conn->core.caps;

	/* Behind XCLIENT a login would be forgotten. */
	return tx->route->pass == PST_RELAY_PASS_AUTO && !tx->private &&
	       tx->identity.client.family != PST_FAMILY_NONE &&
	       (caps->set & PST_SMTP_CAP_XCLIENT) && (caps->xclient & PST_SMTP_XFORWARD_ADDR);
}

/* Put the next command of the envelope.
 *  ret 1: one was put | 0: nothing to send now | -PST_E_FULL: no room now | other: give up */
static int put_next(struct pst_relay_tx *tx, struct pst_buf *out)
{
	struct pst_smtp_client *core = &tx->conn->core;
	int ret;

	if (tx->xclient == PST_XCLIENT_NONE && wants_xclient(tx)) {
		ret = pst_smtp_client_xclient(core, out, &tx->identity);
		if (ret == 0)
			tx->xclient = PST_XCLIENT_SENT;
	} else if (tx->xclient == PST_XCLIENT_SENT || tx->xclient == PST_XCLIENT_HELLO) {
		return 0; /* the session begins anew: nothing may be pipelined behind that */
	} else if (!tx->xforward_sent && wants_xforward(tx)) {
		ret = pst_smtp_client_xforward(core, out, &tx->identity);
		tx->xforward_sent = ret == 0;
	} else if (!tx->mail_sent) {
		ret = pst_smtp_client_mail(core, out, &tx->mail);
		tx->mail_sent = ret == 0;
	} else if (tx->mail_code) {
		return 0;
	} else if (tx->replay) {
		ret = pst_smtp_client_rcpt(core, out, tx->replay->mailbox, tx->replay->dsn);
		if (ret == 0) {
			tx->replay = tx->replay->next;
			tx->replay_due++;
		}
	} else if (tx->offer && !tx->offer_sent) {
		ret = pst_smtp_client_rcpt(core, out, tx->offer->mailbox, tx->offer->dsn);
		tx->offer_sent = ret == 0;
	} else if (tx->data_wanted && core->due_count == 0 && tx->may_chunk &&
		   (core->caps.set & PST_SMTP_CAP_CHUNKING)) {
		tx->phase = PST_TX_BODY; /* the owner says BDAT, for it knows how much there is */
		return 0;
	} else if (tx->data_wanted && core->due_count == 0) {
		ret = pst_smtp_client_data(core, out);
		if (ret == 0)
			tx->phase = PST_TX_DATA;
	} else {
		return 0;
	}
	return ret == 0 ? 1 : ret;
}

static void become_quiet(struct pst_relay_tx *tx)
{
	tx->phase = PST_TX_QUIET;
	tx->since_ms = tx->relay->env.loop->now_ms;
	if (!tx->private) /* a login cannot be lent */
		pst_list_append(&tx->conn->server->quiet, &tx->node);
	pst_relay_conn_arm(tx->conn);
}

static void tell_mail_refusal(struct pst_relay_tx *tx)
{
	struct pst_relay_event event = {
		.kind = PST_RELAY_RCPT,
		.code = tx->mail_code,
		.enhanced = tx->mail_enhanced,
		.ours = tx->mail_ours,
	};

	tx->offer = NULL;
	tx->offer_sent = false;
	become_quiet(tx);
	tell(tx, &event);
}

/* The server cannot carry what the client declared (P6): not this server. */
static bool can_carry(const struct pst_relay_tx *tx)
{
	const struct pst_relay_conn *conn = tx->conn;

	if (tx->needs & PST_SMTP_CAP_REQUIRETLS &&
	    (!conn->secure || !pst_relay_security_is_sure(&conn->server->security)))
		return false;
	return (tx->needs & ~conn->core.caps.set) == 0;
}

/* Behind a NOOP nothing may be sent before its reply (RFC 2920 section 3.1). */
static bool may_send(const struct pst_smtp_client *core)
{
	if (core->due_count == 0)
		return true;
	return (core->caps.set & PST_SMTP_CAP_PIPELINING) &&
	       core->due[core->due_count - 1] != PST_SMTP_CMD_NOOP;
}

static void tell_chunked(struct pst_relay_tx *tx)
{
	struct pst_relay_event event = {.kind = PST_RELAY_DATA, .code = 354, .chunked = true};

	pst_relay_conn_arm(tx->conn);
	tell(tx, &event);
}

void pst_relay_tx_step(struct pst_relay_tx *tx)
{
	struct pst_relay_conn *conn = tx->conn;
	bool sent = false;

	if (tx->phase != PST_TX_ENVELOPE)
		return;
	if (!can_carry(tx)) {
		pst_relay_conn_leave(conn, !tx->mail_sent);
		tx->conn = NULL;
		pst_relay_tx_fail(tx, "cannot carry what the client declared");
		return;
	}
	while (tx->phase == PST_TX_ENVELOPE && may_send(&conn->core)) {
		struct pst_buf *out = pst_relay_conn_out(conn);
		int ret;

		if (!out)
			break; /* on_room steps again */
		ret = put_next(tx, out);
		if (ret <= 0)
			break;
		sent = true;
	}
	if (sent)
		pst_relay_conn_arm(conn);
	if (tx->phase == PST_TX_BODY) {
		tell_chunked(tx);
		return;
	}
	if (conn->core.due_count > 0 || tx->phase != PST_TX_ENVELOPE)
		return;
	if (tx->mail_code && tx->offer)
		tell_mail_refusal(tx);
	else if (!tx->offer && !tx->data_wanted)
		become_quiet(tx);
}

/* What was accepted once must be accepted again when it is repeated. */
static void fail_repeated(struct pst_relay_tx *tx, const char *reason)
{
	pst_relay_conn_leave(tx->conn, false);
	tx->conn = NULL;
	pst_relay_tx_fail(tx, reason);
}

static void on_mail_reply(struct pst_relay_tx *tx, const struct pst_smtp_client_event *reply)
{
	if (reply->code / 100 == 2) {
		tx->mail_ok = true;
		return;
	}
	if (tx->accepted) {
		fail_repeated(tx, "took a sender once but not again");
		return;
	}
	tx->mail_code = reply->code;
	tx->mail_enhanced = reply->enhanced;
	tx->mail_ours = mail_refusal_is_ours(reply);
	tx->conn->refusal_count++;
	if (tx->mail_ours)
		log_ours(tx, "MAIL", reply);
}

static void on_replay_reply(struct pst_relay_tx *tx, const struct pst_smtp_client_event *reply)
{
	tx->replay_due--;
	if (reply->code / 100 != 2)
		fail_repeated(tx, "took a recipient once but not again");
}

static void on_rcpt_reply(struct pst_relay_tx *tx, const struct pst_smtp_client_event *reply)
{
	struct pst_relay_event event = {
		.kind = PST_RELAY_RCPT,
		.code = reply->code,
		.enhanced = reply->enhanced,
		.text = reply->text,
		.ours = rcpt_refusal_is_ours(reply),
	};

	if (tx->replay_due > 0) {
		on_replay_reply(tx, reply);
		return;
	}
	if (tx->mail_code)
		return; /* pipelined behind a refused MAIL: step() tells that */
	if (reply->code / 100 != 2)
		tx->conn->refusal_count++;
	if (event.ours)
		log_ours(tx, "RCPT", reply);
	tx->offer = NULL;
	tx->offer_sent = false;
	tell(tx, &event);
}

static void on_data_reply(struct pst_relay_tx *tx, const struct pst_smtp_client_event *reply)
{
	struct pst_relay_event event = {
		.kind = PST_RELAY_DATA,
		.code = reply->code,
		.enhanced = reply->enhanced,
		.text = reply->text,
		.ours = reply->code / 100 == 5,
	};

	if (event.ours)
		log_ours(tx, "DATA", reply);
	if (reply->code == 354) {
		tx->phase = PST_TX_BODY;
		pst_relay_conn_arm(tx->conn);
	} else {
		tx->phase = PST_TX_FAILED;
		tx->failure = "refused DATA";
		tx->conn->refusal_count++;
	}
	tell(tx, &event);
}

static void on_final_reply(struct pst_relay_tx *tx, const struct pst_smtp_client_event *reply)
{
	struct pst_relay_event event = {
		.kind = PST_RELAY_FINAL,
		.code = reply->code,
		.enhanced = reply->enhanced,
		.text = reply->text,
		.rcpt = tx->judged,
		.last = tx->conn->core.dot_count == 0,
	};

	if (tx->judged)
		tx->judged = tx->judged->next;
	if (event.last) {
		tx->phase = PST_TX_DONE;
		tx->conn->message_count++;
	}
	if (reply->code == 421)
		tx->conn->leaving = true;
	if (reply->code / 100 == 2)
		tx->conn->refusal_count = 0;
	else
		tx->conn->refusal_count++;
	tell(tx, &event);
}

/* Behind XCLIENT the internal server believes that it talks to our client: what EHLO says then takes
 * the place of XCLIENT's HELO. A name that no server would take is kept from it. */
static struct pst_span name_of_client(const struct pst_relay_tx *tx)
{
	struct pst_span helo = tx->identity.helo;

	for (uint32_t i = 0; i < helo.len; i++) {
		uint8_t c = helo.at[i];

		if (!pst_is_alnum(c) && c != '.' && c != '-' && c != '_' && c != ':' &&
		    c != '[' && c != ']')
			return tx->relay->conf->hostname;
	}
	return helo.len ? helo : tx->relay->conf->hostname;
}

/* Replies to XCLIENT, and to the EHLO behind it. */
static void on_xclient_reply(struct pst_relay_tx *tx, const struct pst_smtp_client_event *reply)
{
	struct pst_relay_conn *conn = tx->conn;

	if (tx->xclient == PST_XCLIENT_SENT && reply->code / 100 == 2 &&
	    pst_relay_conn_hello(conn, true, name_of_client(tx)) == 0) {
		tx->xclient = PST_XCLIENT_HELLO;
		pst_relay_conn_arm(conn);
		return;
	}
	if (tx->xclient == PST_XCLIENT_HELLO && reply->code / 100 == 2) {
		tx->xclient = PST_XCLIENT_DONE;
		return;
	}
	/* It offered it and refuses us: only its owner can mend that. */
	log_ours(tx, "XCLIENT", reply);
	tx->conn = NULL;
	pst_relay_conn_drop(conn);
	pst_relay_tx_fail(tx, "refused XCLIENT");
}

void pst_relay_tx_reply(struct pst_relay_tx *tx, const struct pst_smtp_client_event *reply)
{
	if (tx->phase == PST_TX_BODY) {
		/* Nothing is due inside the body: whatever it says, it will not take the message. */
		struct pst_relay_conn *conn = tx->conn;

		pst_relay_conn_drop(conn);
		pst_relay_tx_lost(tx, "spoke inside the body");
		return;
	}
	switch (reply->command) {
	case PST_SMTP_CMD_XCLIENT:
	case PST_SMTP_CMD_EHLO:
		on_xclient_reply(tx, reply);
		break;
	case PST_SMTP_CMD_MAIL:
		on_mail_reply(tx, reply);
		break;
	case PST_SMTP_CMD_RCPT:
		on_rcpt_reply(tx, reply);
		break;
	case PST_SMTP_CMD_DATA:
		on_data_reply(tx, reply);
		return;
	case PST_SMTP_CMD_DOT:
		on_final_reply(tx, reply);
		return;
	case PST_SMTP_CMD_XFORWARD: /* refused: the server goes without; it was told once */
	case PST_SMTP_CMD_NOOP:
	case PST_SMTP_CMD_RSET:
	case PST_SMTP_CMD_GREETING:
	case PST_SMTP_CMD_HELO:
	case PST_SMTP_CMD_STARTTLS:
	case PST_SMTP_CMD_AUTH:
	case PST_SMTP_CMD_QUIT:
	case PST_SMTP_CMD_COUNT:
		break;
	}
	if (tx->conn)
		pst_relay_tx_step(tx);
}

void pst_relay_tx_lost(struct pst_relay_tx *tx, const char *reason)
{
	struct pst_relay_conn *conn = tx->conn;
	bool may_retry = conn && conn->reused && !conn->heard && !tx->retried;

	pst_list_remove(&tx->node);
	tx->conn = NULL;
	if (tx->phase == PST_TX_FINAL || (tx->phase == PST_TX_BODY && !tx->body_kept) ||
	    (tx->private && tx->phase != PST_TX_DONE && tx->phase != PST_TX_FAILED)) {
		pst_relay_tx_fail(tx, reason);
		return;
	}
	if (tx->phase == PST_TX_DONE || tx->phase == PST_TX_FAILED)
		return;
	rewind_envelope(tx);
	tx->failure = reason;
	if (may_retry) {
		/* The other idle connections are as old as this one was: take a new one. */
		tx->retried = true;
		tx->tried = 0;
		pst_count(tx->relay->env.counters, PST_COUNTER_relay_retries);
	}
	pst_relay_tx_acquire(tx);
}

void pst_relay_tx_noop(struct pst_relay_tx *tx)
{
	struct pst_relay_conn *conn = tx->conn;
	struct pst_buf *out = pst_relay_conn_out(conn);

	pst_list_remove(&tx->node);
	if ((tx->noop_count >= tx->conf->noop_count_max && !tx->private) || !out ||
	    pst_smtp_client_noop(&conn->core, out) < 0) {
		tx->phase = PST_TX_PARKED;
		tx->conn = NULL;
		pst_relay_conn_leave(conn, false);
		return;
	}
	tx->noop_count = (uint8_t)PST_MIN(tx->noop_count + 1, UINT8_MAX);
	tx->phase = PST_TX_ENVELOPE;
	pst_relay_conn_arm(conn);
}

/* Go on with the envelope, on the connection at hand or on another. */
static void tx_continue(struct pst_relay_tx *tx)
{
	if (tx->phase == PST_TX_QUIET) {
		pst_list_remove(&tx->node);
		tx->phase = PST_TX_ENVELOPE;
	} else if (tx->phase == PST_TX_NEW || tx->phase == PST_TX_PARKED) {
		tx->tried = 0;
		tx->retried = false;
		tx->failure = NULL;
		rewind_envelope(tx);
	}
	/* What follows may end in an event: not inside the owner's call. */
	pst_loop_resume(tx->relay->env.loop, &tx->task);
}

static void on_task(struct pst_task *task)
{
	struct pst_relay_tx *tx = PST_CONTAINER(task, struct pst_relay_tx, task);

	if (tx->phase == PST_TX_NEW || tx->phase == PST_TX_PARKED || tx->phase == PST_TX_WAITING)
		pst_relay_tx_acquire(tx);
	else if (tx->phase == PST_TX_ENVELOPE && tx->conn)
		pst_relay_tx_step(tx);
	else if (tx->phase == PST_TX_FAILED)
		pst_relay_tx_fail(tx, tx->failure);
}

static uint32_t needs_of(const struct pst_smtp_mail *mail)
{
	uint32_t needs = 0;

	if (mail->eight_bit)
		needs |= PST_SMTP_CAP_8BITMIME;
	if (mail->utf8)
		needs |= PST_SMTP_CAP_SMTPUTF8;
	if (mail->require_tls)
		needs |= PST_SMTP_CAP_REQUIRETLS;
	if (mail->dsn.ret.len > 0 || mail->dsn.envid.len > 0)
		needs |= PST_SMTP_CAP_DSN;
	return needs;
}

void pst_relay_begin(struct pst_relay *relay, struct pst_relay_tx *tx)
{
	tx->relay = relay;
	tx->phase = PST_TX_NEW;
	tx->needs = needs_of(&tx->mail);
	tx->timer.on_due = pst_relay_waited;
	tx->task.on_run = on_task;
}

void pst_relay_offer(struct pst_relay_tx *tx, const struct pst_relay_rcpt *rcpt)
{
	PST_BUG_ON(tx->offer || rcpt->mailbox.len == 0);
	tx->offer = rcpt;
	if (rcpt->dsn)
		tx->needs |= PST_SMTP_CAP_DSN;
	tx->offer_sent = false;
	tx_continue(tx);
}

void pst_relay_repeat(struct pst_relay_tx *tx)
{
	struct pst_relay_conn *conn = tx->conn;

	if (tx->phase != PST_TX_QUIET && tx->phase != PST_TX_ENVELOPE) {
		/* Nothing of it was said to the present server, if there is one. */
		tx->replay = tx->accepted;
		return;
	}
	pst_list_remove(&tx->node);
	tx->phase = PST_TX_PARKED;
	tx->conn = NULL;
	pst_relay_conn_leave(conn, false);
}

void pst_relay_data(struct pst_relay_tx *tx)
{
	PST_BUG_ON(!tx->accepted);
	tx->data_wanted = true;
	tx_continue(tx);
}

int64_t pst_relay_write(struct pst_relay_tx *tx, const struct pst_span *spans, uint32_t count)
{
	int64_t sent;

	PST_BUG_ON(tx->phase != PST_TX_BODY);
	/* What it has said behind its 354 can be no answer to a dot that it has not seen. */
	if (tx->conn->link.in.len > 0)
		sent = -PST_E_PROTO;
	else
		sent = pst_link_write(&tx->conn->link, spans, count);
	if (sent < 0)
		pst_loop_resume(tx->relay->env.loop, &tx->conn->task);
	else
		pst_relay_conn_arm(tx->conn);
	return sent;
}

/* How many final replies there will be; LMTP gives one for each recipient, in their order. */
static uint16_t final_count(struct pst_relay_tx *tx)
{
	uint16_t count = 0;

	tx->judged = NULL;
	if (!tx->conn->server->lmtp)
		return 1;
	tx->judged = tx->accepted;
	for (const struct pst_relay_rcpt *rcpt = tx->accepted; rcpt; rcpt = rcpt->next)
		count++;
	return count;
}

void pst_relay_dot_written(struct pst_relay_tx *tx)
{
	PST_BUG_ON(tx->phase != PST_TX_BODY);
	tx->phase = PST_TX_FINAL;
	if (pst_smtp_client_dot_sent(&tx->conn->core, final_count(tx)) < 0)
		PST_BUG_ON(true); /* nothing else is due inside the body */
	pst_relay_conn_arm(tx->conn);
}

void pst_relay_end(struct pst_relay_tx *tx)
{
	struct pst_relay_conn *conn = tx->conn;

	if (!tx->relay)
		return;
	pst_relay_stop_waiting(tx);
	pst_loop_forget(&tx->task);
	if (tx->private && tx->private->waiting == tx)
		tx->private->waiting = NULL;
	tx->conn = NULL;
	tx->relay = NULL;
	if (!conn)
		return;
	switch ((enum pst_relay_tx_phase)tx->phase) {
	case PST_TX_DATA:
	case PST_TX_BODY:
	case PST_TX_FINAL:
		pst_relay_conn_drop(conn);
		break;
	case PST_TX_DONE:
		pst_relay_conn_leave(conn, true);
		break;
	case PST_TX_NEW:
	case PST_TX_WAITING:
	case PST_TX_OPENING:
	case PST_TX_ENVELOPE:
	case PST_TX_QUIET:
	case PST_TX_PARKED:
	case PST_TX_FAILED:
		pst_relay_conn_leave(conn, !tx->mail_sent);
		break;
	}
}
