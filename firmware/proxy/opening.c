/* proxy/opening.c - what stands before the greeting: a load balancer's PROXY header, and the wait in
 * which a client that cannot wait gives itself away
 *
 * A client that talks before our 220 breaks RFC 5321 section 4.3.1; nearly all that do send spam.
 * Nothing is refused for it here: it is a fact, and its bytes are kept and executed afterwards. A
 * client that waited once is spared the wait for a month.
 *
 * Rejected: closing early talkers at once, as some do. Old appliances and health checkers are among
 * them, and what they are worth is for policy to say, which sees the other facts as well.
 */
#include "proxy/proxy_priv.h"
#include "proxy/session_priv.h"
#include "smtp/hop.h"
#include "store/store.h"

#define PATIENT_S (30 * 86400)

static uint64_t now_of(const struct pst_session *session)
{
	return session->proxy->env.loop->now_ms;
}

static uint64_t patience_key(const struct pst_session *session)
{
	struct pst_addr network = pst_addr_network(&session->link.conn.peer);

	return pst_store_key(session->proxy->env.store, PST_STORE_PATIENT,
			     (struct pst_span){network.ip, sizeof(network.ip)});
}

static bool has_waited_before(const struct pst_session *session)
{
	struct pst_store *store = session->proxy->env.store;
	struct pst_store_entry entry;

	return store && store->ops->get(store, patience_key(session), now_of(session), &entry);
}

/* If there is no room for it, it waits again the next time. */
static void remember_patience(const struct pst_session *session)
{
	struct pst_store *store = session->proxy->env.store;

	if (store)
		(void)store->ops->put(store, patience_key(session), 0, PATIENT_S, now_of(session));
}

static void greet(struct pst_session *session)
{
	pst_session_set_wait(session, PST_WAIT_CLIENT);
	pst_session_greet(session);
	if (session->phase == PST_SESSION_OPEN && session->link.in.len > 0)
		pst_session_step(session);
}

/* A list speaks for the client: no need to see whether it can wait. */
static void on_settled(struct pst_knock_wait *wait)
{
	struct pst_session *session = PST_CONTAINER(wait, struct pst_session, knock_wait);

	/* It may have been dismissed meanwhile. */
	if (session->phase == PST_SESSION_OPEN && session->wait == PST_WAIT_GREETING &&
	    session->knock->allows)
		greet(session);
}

static void knock(struct pst_session *session)
{
	if (session->trusted || session->submission || session->hidden)
		return;
	session->knock = pst_knock_new(&session->proxy->checks, session->conf,
				       &session->link.conn.peer);
	session->knock_wait.on_settled = on_settled;
	if (session->knock)
		pst_knock_await(session->knock, &session->knock_wait);
}

/* The client is known by now: admitted, and counted. */
static void begin(struct pst_session *session)
{

	knock(session);
	if (session->tls_first) {
		pst_session_secure_first(session);
		return;
	}
	if (session->trusted || session->submission || session->hidden ||
	    session->conf->early_ms == 0 || has_waited_before(session)) {
		greet(session);
		return;
	}
	pst_session_set_wait(session, PST_WAIT_GREETING);
	pst_link_read(&session->link, true);
	pst_session_arm(session);
	/* What came behind a PROXY header in the same packet is early as well. */
	if (session->link.in.len > 0)
		pst_session_opening_input(session);
}

/* What a balancer in front of us sends is its own. */
static void look_at_syn(struct pst_session *session)
{
	const struct pst_net_ops *ops = session->link.conn.ops;

	if (session->conf->os.signature_count > 0 && ops->syn && !session->hop_first &&
	    !session->trusted && !session->submission && !session->hidden)
		ops->syn(&session->link.conn, &session->syn);
}

void pst_session_opened(struct pst_session *session)
{
	look_at_syn(session);
	if (!session->hop_first) {
		begin(session);
		return;
	}
	pst_session_set_wait(session, PST_WAIT_HOP);
	pst_link_read(&session->link, true);
	pst_session_arm(session);
}

static void no_hop(struct pst_session *session, const char *reason)
{
	struct pst_log *log = session->proxy->env.log;

	pst_log_begin(log, PST_LOG_WARNING, "no_proxy_header");
	pst_log_addr(log, "client", &session->link.conn.peer);
	pst_log_text(log, "reason", reason);
	pst_log_end(log);
	pst_session_close(session, false);
}

static void take_hop(struct pst_session *session, const struct pst_smtp_hop *hop)
{
	enum pst_reason reason = PST_REASON_none;

	if (hop->local)
		session->trusted = true; /* the balancer's health check */
	else
		reason = pst_proxy_adopt(session->proxy, session, &hop->client);
	if (!hop->local)
		session->link.conn.local = hop->service;
	session->hop_first = false;
	if (reason == PST_REASON_none) {
		if (session->tls_first && session->link.in.len > 0)
			pst_link_unread_is_raw(&session->link);
		begin(session);
	} else if (session->tls_first) {
		pst_session_close(session, false);
	} else {
		pst_session_say_and_hang_up(session, reason);
	}
}

static void read_hop(struct pst_session *session)
{
	struct pst_smtp_hop hop;
	int len = pst_smtp_hop_read(pst_buf_span(&session->link.in), &hop);

	if (len < 0) {
		no_hop(session, "there is none, or it is malformed");
		return;
	}
	if (len == 0)
		return;
	pst_buf_consume(&session->link.in, (uint32_t)len);
	take_hop(session, &hop);
}

void pst_session_opening_input(struct pst_session *session)
{
	if (session->link.end) {
		pst_session_close(session, false);
		return;
	}
	if (session->wait == PST_WAIT_HOP)
		read_hop(session);
	else if (session->link.in.len > 0)
		session->conduct.set |= PST_FACT_EARLY_TALK;
}

static bool is_early(const struct pst_session *session)
{
	return session->conduct.set & PST_FACT_EARLY_TALK;
}

void pst_session_opening_due(struct pst_session *session)
{
	if (session->wait == PST_WAIT_HOP) {
		no_hop(session, "it did not come in time");
		return;
	}
	if (!session->waits_on && !is_early(session) && session->knock &&
	    session->knock->suspicious) {
		/* The same clock, three times as far: who looks bad has to show more patience. */
		session->waits_on = true;
		pst_session_arm(session);
		return;
	}
	if (!is_early(session))
		remember_patience(session);
	greet(session);
}
