/* proxy/session_auth.c - a submission client's login, which is the internal server's to judge
 *
 * What the client says is handed on from its own input buffer, is overwritten there as soon as it has
 * left, and stands nowhere else: not in the log, not in a record, not in the session.
 */
#include "proxy/session_priv.h"

#define CHALLENGE_MAX 400

static struct pst_session *session_of(struct pst_relay_private *private)
{
	return PST_CONTAINER(private, struct pst_session, private);
}

static struct pst_span unsent(struct pst_relay_private *private)
{
	struct pst_session *session = session_of(private);

	return pst_span_sub(pst_buf_span(&session->link.in), 0, session->auth_len);
}

static void sent(struct pst_relay_private *private, uint32_t len)
{
	struct pst_session *session = session_of(private);

	session->auth_len -= len;
	pst_buf_consume_wiped(&session->link.in, len);
}

static bool is_asking(const struct pst_session *session)
{
	return session->core.waiting && session->core.asked == PST_SMTP_EV_AUTH;
}

static void log_login(const struct pst_session *session, const char *event, uint16_t code,
		      const char *reason)
{
	struct pst_log *log = session->proxy->env.log;

	pst_log_begin(log, reason ? PST_LOG_ERROR : PST_LOG_INFO, event);
	pst_log_addr(log, "client", &session->link.conn.peer);
	if (code)
		pst_log_u64(log, "reply", code);
	if (reason)
		pst_log_text(log, "reason", reason);
	pst_log_end(log);
}

static void answer(struct pst_session *session, const struct pst_smtp_reply *reply)
{
	sent(&session->private, session->auth_len); /* what was not wanted any more */
	pst_smtp_server_answer(&session->core, reply->code);
	pst_session_set_wait(session, PST_WAIT_CLIENT);
	pst_session_reply(session, reply, reply->code >= 500);
	pst_session_resume(session);
}

static void answer_for(struct pst_session *session, enum pst_reason reason)
{
	struct pst_smtp_reply reply = pst_txn_reply_of(reason);

	answer(session, &reply);
}

static bool is_challenge(struct pst_span text)
{
	for (uint32_t i = 0; i < text.len; i++)
		if (!pst_is_print(text.at[i]))
			return false;
	return text.len <= CHALLENGE_MAX;
}

static void on_reply(struct pst_relay_private *private, uint16_t code, struct pst_span text)
{
	static const struct pst_smtp_reply welcome = {235, {2, 7, 0}, PST_SPAN("Authenticated")};
	struct pst_session *session = session_of(private);
	struct pst_smtp_reply challenge = {.code = 334, .text = text};

	if (!is_asking(session))
		return;
	if (code == 334 && is_challenge(text)) {
		answer(session, &challenge);
	} else if (code == 235) {
		pst_count(session->proxy->env.counters, PST_COUNTER_logins);
		answer(session, &welcome);
	} else if (code / 100 == 5) {
		pst_count(session->proxy->env.counters, PST_COUNTER_logins_refused);
		log_login(session, "login_refused", code, NULL);
		answer_for(session, PST_REASON_login_refused);
	} else {
		log_login(session, "login_failed", code, "no answer to a login");
		answer_for(session, PST_REASON_login_failed);
	}
}

static void on_lost(struct pst_relay_private *private, const char *reason)
{
	struct pst_session *session = session_of(private);

	if (!is_asking(session))
		return; /* told at the next MAIL */
	log_login(session, "login_failed", 0, reason);
	answer_for(session, PST_REASON_login_failed);
}

void pst_session_auth(struct pst_session *session, const struct pst_smtp_event *event)
{
	session->auth_len = event->line.len + 2;
	session->private.unsent = unsent;
	session->private.sent = sent;
	session->private.on_reply = on_reply;
	session->private.on_lost = on_lost;
	pst_session_set_wait(session, PST_WAIT_ANSWER);
	/* The connection that asked for this word is gone, and another one would take it for a command. */
	if (session->core.state == PST_SMTP_AUTH && !pst_relay_private_is_open(&session->private)) {
		on_lost(&session->private, "lost in the middle of a login");
		return;
	}
	pst_relay_private_say(&session->private, session->proxy->relay,
			      session->conf->relay.submission);
}

void pst_session_auth_late(struct pst_session *session)
{
	pst_relay_private_end(&session->private);
	log_login(session, "login_failed", 0, "no answer in time");
	answer_for(session, PST_REASON_login_failed);
}

void pst_session_auth_end(struct pst_session *session)
{
	if (session->auth_len > 0)
		sent(&session->private, session->auth_len);
	pst_relay_private_end(&session->private);
}
