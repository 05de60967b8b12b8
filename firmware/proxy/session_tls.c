/* proxy/session_tls.c - TLS of a client connection: who is offered it, and who may begin */
#include "proxy/session_priv.h"

#define HANDSHAKE_CLIENT_PART 4 /* one network may have a quarter of the handshakes */
#define TLS_FAILURES_MAX 3      /* then STARTTLS is hidden for an hour */

void pst_session_end_securing(struct pst_session *session)
{
	if (!session->securing)
		return;
	session->securing = false;
	session->proxy->handshake_count--;
	session->client->handshake_count--;
}

bool pst_session_tls_fails_often(const struct pst_session *session)
{
	return pst_tally_count(&session->proxy->tls_failures, &session->link.conn.peer,
			       pst_session_now(session)) >= TLS_FAILURES_MAX;
}

bool pst_session_offers_tls(const struct pst_session *session)
{
	return session->conf->tls && session->link.mode == PST_LINK_PLAIN &&
	       (session->trusted || !pst_session_tls_fails_often(session) ||
		session->conf->tls_domain_count > 0);
}

void pst_session_tls_failed(struct pst_session *session)
{
	struct pst_proxy *proxy = session->proxy;

	pst_tally_add(&proxy->tls_failures, &session->link.conn.peer, pst_session_now(session));
	pst_count(proxy->env.counters, PST_COUNTER_tls_failures);
	pst_log_begin(proxy->env.log, PST_LOG_INFO, "tls_failed");
	pst_log_addr(proxy->env.log, "client", &session->link.conn.peer);
	pst_log_text(proxy->env.log, "reason", pst_link_tls_failure(&session->link));
	pst_log_end(proxy->env.log);
	pst_session_close(session, false);
}

void pst_session_secured(struct pst_link *link, int result)
{
	struct pst_session *session = PST_CONTAINER(link, struct pst_session, link);

	if (result < 0) {
		pst_session_tls_failed(session);
		return;
	}
	pst_session_end_securing(session);
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
	pst_session_drop_txn(session);
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

void pst_session_starttls(struct pst_session *session)
{
	static const struct pst_smtp_reply ready = {
		220, {2, 0, 0}, {(const uint8_t *)"Ready to start TLS", 18}};
	struct pst_smtp_reply busy = pst_txn_reply_of(PST_REASON_tls_busy);

	if (handshakes_are_full(session)) {
		pst_smtp_server_answer(&session->core, busy.code);
		pst_session_reply(session, &busy, false);
		return;
	}
	pst_smtp_server_answer(&session->core, ready.code);
	if (pst_session_put_reply(session, &ready))
		(void)begin_tls(session);
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
