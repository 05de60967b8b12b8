/* proxy/session.c - one client connection, see session.h
 *
 * step() is the only place that pulls events from the core; everything that could let a session go
 * on (input, room for output, an answer, a timer) ends in it.
 */
#include "proxy/session.h"

#include <string.h>

#include "proxy/session_priv.h"

#define EVENTS_A_TURN 64 /* then the next session has its turn */
#define CLOSING_MS 5000
#define LINGER_MS 2000
#define SLOW_MS 1000
#define SLOW_PART 8           /* so much of the sessions may be held back at a time */
#define PRESSED_IDLE_MS 60000 /* under overload */
#define RATE_GRACE_MS 60000
#define HANDSHAKE_MS 30000

_Static_assert(sizeof(struct pst_session) <= 1536, "an idle session is small");

static uint32_t held_back_max(const struct pst_session *session)
{
	return PST_MAX(session->proxy->session_count_bound / SLOW_PART, 1u);
}

/* ---- time ------------------------------------------------------------------------------------ */

/* The client gave a sign of life. Its own time counts against it; ours never does. */
static void account(struct pst_session *session)
{
	uint64_t spent_ms = pst_session_now(session) - session->since_ms;

	if (session->wait != PST_WAIT_CLIENT)
		return;
	session->txn_ms += spent_ms;
	/* Who is held can be no faster than we read him. */
	if (pst_smtp_server_in_body(&session->core) && !session->held)
		session->body_ms += spent_ms;
	session->since_ms += spent_ms;
}

void pst_session_set_wait(struct pst_session *session, enum pst_session_wait wait)
{
	account(session);
	session->proxy->slow_count += wait == PST_WAIT_SLOW;
	session->proxy->slow_count -= session->wait == PST_WAIT_SLOW;
	session->wait = (uint8_t)wait;
	session->since_ms = pst_session_now(session);
}

/* How long the client may be silent now; *slow if its transaction would be over rather than it idle. */
static uint64_t patience_ms(const struct pst_session *session, bool *slow)
{
	const struct pst_proxy_conf *conf = session->conf;
	uint64_t wait_ms = conf->idle_ms, left_ms;

	*slow = false;
	if (pst_proxy_presses(session->proxy, session))
		wait_ms = PST_MIN(wait_ms, (uint64_t)PRESSED_IDLE_MS);
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

/* ---- the tarpit ------------------------------------------------------------------------------ */

/* An offender is read at a rate from now on: what he sends fills his own buffers, not our time. Under overload he
 * would only keep a session from others. */
void pst_session_hold(struct pst_session *session)
{
	struct pst_proxy *proxy = session->proxy;
	uint32_t rate = session->conf->tarpit_bytes_per_s;

	if (rate == 0 || session->held || session->trusted || session->phase != PST_SESSION_OPEN ||
	    proxy->held_count >= held_back_max(session) || pst_proxy_presses(proxy, session))
		return;
	account(session);
	session->held = true;
	proxy->held_count++;
	pst_count(proxy->env.counters, PST_COUNTER_tarpitted);
	pst_link_pace(&session->link, rate);
}

static void let_go(struct pst_session *session)
{
	if (!session->held)
		return;
	session->held = false;
	session->proxy->held_count--;
	pst_link_pace(&session->link, 0);
}

/* ---- the end of a session -------------------------------------------------------------------- */

/* It spoke again, so it has heard our last answer; or it ended, and may not have. */
static void settle(struct pst_session *session, bool heard)
{
	if (session->ledger_chain == 0)
		return;
	pst_ledger_settle(&session->proxy->ledger, session->ledger_chain, session->id, heard);
	session->ledger_chain = 0;
}

void pst_session_close(struct pst_session *session, bool reset)
{
	if (session->phase == PST_SESSION_DEAD)
		return;
	session->phase = PST_SESSION_DEAD;
	let_go(session);
	session->proxy->slow_count -= session->wait == PST_WAIT_SLOW;
	pst_session_end_securing(session);
	settle(session, false);
	if (session->txn)
		pst_txn_leave(session->txn, 0);
	session->txn = NULL;
	pst_session_auth_end(session);
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
	session->since_ms = pst_session_now(session);
	pst_link_shutdown(&session->link);
	pst_link_read(&session->link, true);
	pst_session_arm(session);
}

void pst_session_hang_up(struct pst_session *session, bool after_quit)
{
	bool flushed = pst_link_flush(&session->link);

	let_go(session);
	pst_session_auth_end(session); /* what of it was not sent stands in the input, which nobody reads any more */
	pst_smtp_server_close(&session->core);
	if (session->link.error || (flushed && after_quit && session->link.in.len == 0)) {
		pst_session_close(session, false);
		return;
	}
	session->phase = PST_SESSION_CLOSING;
	session->since_ms = pst_session_now(session);
	session->link.wants_room = true;
	if (flushed)
		said_all(session);
	else
		pst_session_arm(session);
}

/* ---- replies --------------------------------------------------------------------------------- */

bool pst_session_put_reply(struct pst_session *session, const struct pst_smtp_reply *reply)
{
	struct pst_buf *out = pst_link_out(&session->link, PST_SESSION_REPLY_ROOM);

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
	if (pst_session_put_reply(session, &reply))
		pst_session_hang_up(session, false);
}

/* Under overload the first error of a client of whom nothing good is known is its last. */
static uint32_t errors_max(const struct pst_session *session)
{
	return pst_proxy_presses(session->proxy, session) ? 1
							  : session->conf->policy.error_hard_count;
}

void pst_session_reply(struct pst_session *session, const struct pst_smtp_reply *reply,
		       bool offence)
{
	const struct pst_policy_conf *policy = &session->conf->policy;

	if (offence && !session->trusted) {
		session->error_count++;
		if (session->error_count >= errors_max(session)) {
			pst_session_say_and_hang_up(session, PST_REASON_errors);
			return;
		}
	}
	if (!pst_session_put_reply(session, reply))
		return;
	if (!offence || session->trusted || session->error_count < policy->error_soft_count)
		return;
	pst_session_hold(session);
	if (session->proxy->slow_count < held_back_max(session))
		pst_session_set_wait(session, PST_WAIT_SLOW);
}

/* ---- its turn -------------------------------------------------------------------------------- */

void pst_session_resume(struct pst_session *session)
{
	if (session->phase == PST_SESSION_OPEN)
		pst_loop_resume(session->proxy->env.loop, &session->task);
}

/* QUIT is consumed before it is answered: whether anything stands behind it decides how to close. */
static void quit(struct pst_session *session, const struct pst_smtp_event *event, uint32_t used)
{
	pst_buf_consume(&session->link.in, used);
	pst_session_drop_txn(session);
	if (pst_session_put_reply(session, &event->reply))
		pst_session_hang_up(session, true);
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
			pst_session_resume(session);
			break;
		}
		if (session->proxy->draining && !session->txn) {
			/* Its transaction is over; there shall not be another. */
			pst_session_say_and_hang_up(session, PST_REASON_shutdown);
			return;
		}
		if (session->core.state != PST_SMTP_BODY && !pst_link_out(link, PST_SESSION_REPLY_ROOM))
			break; /* on_room steps again */
		pst_smtp_server_next(&session->core, pst_buf_span(&link->in), &used, &event);
		if (event.kind != PST_SMTP_EV_NONE)
			settle(session, true);
		if (event.kind == PST_SMTP_EV_QUIT) {
			quit(session, &event, used);
			return;
		}
		pst_session_handle(session, &event);
		if (session->phase == PST_SESSION_DEAD || session->wait == PST_WAIT_TLS)
			return; /* nothing of the input is there any more */
		if (event.kind != PST_SMTP_EV_AUTH)
			pst_buf_consume(&link->in, used);
		drained = event.kind == PST_SMTP_EV_NONE;
		if (drained)
			break;
	}
	if (drained && link->end) {
		/* It will say no more, but may still hear what we owe it. */
		pst_buf_consume(&link->in, link->in.len);
		pst_session_hang_up(session, true);
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
	pst_session_answered(session, &reply, id);
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
		if (pst_session_now(session) < session->since_ms + patience_ms(session, &slow)) {
			pst_session_arm(session); /* overload is over */
			break;
		}
		pst_session_say_and_hang_up(session, slow ? PST_REASON_slow : PST_REASON_idle);
		break;
	case PST_WAIT_ANSWER:
		if (session->txn)
			answer_late(session);
		else
			pst_session_auth_late(session);
		break;
	case PST_WAIT_ROOM:
		pst_session_say_and_hang_up(session, PST_REASON_slow);
		break;
	case PST_WAIT_TLS:
		pst_session_tls_failed(session);
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
	session->link.on_secured = pst_session_secured;
	pst_smtp_server_init(&session->core);
	client->session_count++;
	pst_list_append(&proxy->sessions, &session->node);
}

void pst_session_greet(struct pst_session *session)
{
	struct pst_buf *out = pst_link_out(&session->link, PST_SESSION_REPLY_ROOM);

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

void pst_session_press(struct pst_session *session)
{
	if (session->phase == PST_SESSION_OPEN && session->wait == PST_WAIT_CLIENT)
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
