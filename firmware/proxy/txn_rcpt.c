/* proxy/txn_rcpt.c - a transaction's recipients: what policy says of one, and the internal server */
#include "proxy/txn_priv.h"

void pst_txn_tell_recipient(struct pst_txn *txn, const struct pst_smtp_reply *reply)
{
	txn->rcpt_pending = false;
	if (reply->code / 100 != 2)
		txn->refused_count++;
	txn->client_code = txn->facts.rcpt_count == 0 ? reply->code : 0;
	if (txn->session)
		txn->owner->on_recipient(txn->session, reply);
}

static void refuse_recipient(struct pst_txn *txn, enum pst_reason reason)
{
	txn->rcpt_reason = (uint8_t)reason;
	txn->rcpt_pending = true;
	pst_loop_resume(txn->txns->env->loop, &txn->task);
}

/* What policy wants to know of a recipient; it borrows the path.
 *  ret its route, NULL: none */
static const struct pst_route *ask_about(struct pst_txn *txn, const struct pst_smtp_path *path)
{
	const struct pst_relay_conf *conf = &txn->conf->relay;
	const struct pst_route *route;

	/* The core lets no bare local part pass but postmaster. */
	txn->asked_bare = path->flags & PST_SMTP_PATH_BARE;
	if (txn->facts.set & PST_FACT_SUBMITTED)
		route = conf->submission;
	else if (txn->asked_bare)
		route = conf->route_count > 0 ? &conf->routes[0] : NULL;
	else
		route = pst_relay_route(conf, path->domain);
	txn->asked = (struct pst_policy_rcpt){
		.mailbox = path->mailbox,
		.domain = path->domain,
		.has_route = route != NULL,
		.routes_onward = pst_smtp_local_routes(path),
		.routing_allowed = route && (route->routing_allow || route == conf->submission),
		.same_route = !txn->route || txn->route == route,
	};
	return route;
}

static bool is_exempt(const struct pst_txn *txn)
{
	static const struct pst_span postmaster = PST_SPAN("postmaster@");

	return txn->facts.set & PST_FACT_SUBMITTED || txn->asked_bare ||
	       pst_span_starts_nocase(txn->asked.mailbox, postmaster) ||
	       pst_policy_allows(&txn->conf->policy, &txn->facts, txn->asked.mailbox);
}

/* One message has one verdict, so those whom no score may bar do not share it with the others. */
static enum pst_reason judge_score(struct pst_txn *txn)
{
	bool exempt = is_exempt(txn);

	if (txn->route && exempt != txn->exempt)
		return PST_REASON_other_route;
	txn->exempt = exempt;
	if (exempt)
		txn->facts.set |= PST_FACT_EXEMPT;
	return pst_txn_judge_sender(txn);
}

/*  ret NULL: over a bound */
static const struct pst_smtp_rcpt_dsn *dsn_new(struct pst_txn *txn,
					       const struct pst_smtp_rcpt_dsn *given)
{
	struct pst_smtp_rcpt_dsn *dsn = pst_arena_alloc(&txn->arena, sizeof(*dsn));

	if (!dsn)
		return NULL;
	dsn->notify = pst_arena_copy(&txn->arena, given->notify);
	dsn->orcpt = pst_arena_copy(&txn->arena, given->orcpt);
	return dsn->notify.at && dsn->orcpt.at ? dsn : NULL;
}

static struct pst_rcpt *rcpt_new(struct pst_txn *txn, const struct pst_smtp_event *event)
{
	struct pst_rcpt *rcpt = pst_arena_alloc(&txn->arena, sizeof(*rcpt));

	if (!rcpt)
		return NULL;
	rcpt->relay.mailbox = pst_arena_copy(&txn->arena, event->path.mailbox);
	if (!rcpt->relay.mailbox.at)
		return NULL;
	if (event->dsn.notify.len > 0 || event->dsn.orcpt.len > 0) {
		rcpt->relay.dsn = dsn_new(txn, &event->dsn);
		if (!rcpt->relay.dsn)
			return NULL;
	}
	if (txn->rcpt_last)
		txn->rcpt_last->next = rcpt;
	else
		txn->rcpts = rcpt;
	txn->rcpt_last = rcpt;
	return rcpt;
}

/* Everything is known that may keep it out: offer it inside. */
static void offer(struct pst_txn *txn)
{
	enum pst_reason reason = pst_policy_recipient(&txn->conf->policy, &txn->facts, &txn->asked);

	txn->rcpt_waits = false;
	if (reason == PST_REASON_none)
		reason = judge_score(txn);
	if (reason == PST_REASON_none)
		reason = pst_txn_judge_rate(txn);
	if (reason == PST_REASON_none && txn->relay_dead)
		reason = PST_REASON_relay_failed;
	if (reason != PST_REASON_none) {
		txn->offered = NULL;
		refuse_recipient(txn, reason);
		return;
	}
	if (!txn->begun) {
		txn->begun = true;
		txn->tx.route = txn->offered_route;
		pst_relay_begin(txn->txns->relay, &txn->tx);
	}
	txn->route = txn->offered_route;
	pst_relay_offer(&txn->tx, &txn->offered->relay);
}

bool pst_txn_offer_waiting(struct pst_txn *txn)
{
	if (!txn->rcpt_waits)
		return false;
	offer(txn);
	return true;
}

static bool is_denied(enum pst_reason reason)
{
	return reason == PST_REASON_client_denied || reason == PST_REASON_sender_denied ||
	       reason == PST_REASON_recipient_denied;
}

/* The recipient is offered live, and nothing replaces that but for those who have had their chances. */
static bool is_known_as_bad(const struct pst_txn *txn, struct pst_span mailbox)
{
	if (!txn->by_memory ||
	    !pst_recent_has(txn->txns->bad_rcpts, mailbox, txn->txns->env->loop->now_ms))
		return false;
	pst_count(txn->txns->env->counters, PST_COUNTER_remembered_recipients);
	return true;
}

/* Only what can mean nothing else: there is nobody of that name. */
static void remember_bad(struct pst_txn *txn, const struct pst_rcpt *rcpt,
			 const struct pst_relay_event *event)
{
	const struct pst_smtp_enhanced *e = &event->enhanced;

	if (!event->ours && event->code == 550 && e->class == 5 && e->subject == 1 &&
	    (e->detail == 1 || e->detail == 10))
		pst_recent_add(txn->txns->bad_rcpts, rcpt->relay.mailbox,
			       txn->txns->env->loop->now_ms);
}

void pst_txn_recipient(struct pst_txn *txn, const struct pst_smtp_event *rcpt)
{
	const struct pst_route *route = ask_about(txn, &rcpt->path);
	enum pst_reason reason = pst_policy_recipient(&txn->conf->policy, &txn->facts, &txn->asked);
	uint32_t local_len;

	/* An entry that allows the sender may yet come to bear, when SPF has confirmed it. */
	if (is_denied(reason) && !pst_txn_is_settled(txn))
		reason = PST_REASON_none;
	if (reason == PST_REASON_none && txn->relay_dead)
		reason = PST_REASON_relay_failed;
	if (reason == PST_REASON_none && !(txn->facts.set & PST_FACT_SUBMITTED) &&
	    pst_txn_refused_before(txn, rcpt->path.mailbox))
		reason = PST_REASON_refused_before;
	if (reason == PST_REASON_none && is_known_as_bad(txn, rcpt->path.mailbox))
		reason = PST_REASON_unknown_recipient;
	if (reason != PST_REASON_none) {
		refuse_recipient(txn, reason);
		return;
	}
	txn->offered = rcpt_new(txn, rcpt);
	if (!txn->offered) {
		refuse_recipient(txn, PST_REASON_too_many_recipients);
		return;
	}
	local_len = txn->asked.mailbox.len - txn->asked.domain.len;
	txn->asked.mailbox = txn->offered->relay.mailbox;
	txn->asked.domain = pst_span_sub(txn->asked.mailbox, local_len, txn->asked.mailbox.len);
	txn->offered_route = route;
	txn->rcpt_pending = true;
	txn->rcpt_reason = PST_REASON_none;
	txn->rcpt_waits = true;
	if (pst_txn_is_settled(txn))
		offer(txn);
}

/* What becomes of the quarantine address is no business of the client's. */
static void on_quarantine(struct pst_txn *txn, struct pst_rcpt *rcpt,
			  const struct pst_relay_event *event)
{
	if (event->code / 100 != 2) {
		pst_txn_note_relay_reply(txn, event);
		txn->reason = PST_REASON_relay_failed;
		pst_txn_finish_for(txn, PST_REASON_relay_failed, false);
		return;
	}
	txn->tx.accepted = &rcpt->relay;
	pst_relay_data(&txn->tx);
}

void pst_txn_on_recipient(struct pst_txn *txn, const struct pst_relay_event *event)
{
	struct pst_rcpt *rcpt = txn->offered;
	struct pst_smtp_reply reply = {250, PST_SMTP_ENHANCED(2, 1, 5), PST_SPAN("Ok")};
	uint8_t area[256];
	struct pst_buf text;

	txn->offered = NULL;
	if (txn->quarantined) {
		on_quarantine(txn, rcpt, event);
		return;
	}
	if (event->code / 100 == 2 && pst_txn_greylisted(txn)) {
		/* It exists, and nobody who cannot wait has learnt that. */
		reply = pst_txn_reply_of(PST_REASON_greylisted);
		txn->rcpt_reason = PST_REASON_greylisted;
	} else if (event->code / 100 == 2) {
		rcpt->accepted = true;
		if (txn->accepted_last)
			txn->accepted_last->next = &rcpt->relay;
		else
			txn->tx.accepted = &rcpt->relay;
		txn->accepted_last = &rcpt->relay;
		txn->facts.rcpt_count++;
	} else {
		pst_buf_init(&text, area, sizeof(area));
		reply = pst_txn_refusal(txn, event, true, &text);
		txn->rcpt_reason = event->ours ? PST_REASON_relay_failed : PST_REASON_relay_refused;
		pst_txn_note_relay_reply(txn, event);
		remember_bad(txn, rcpt, event);
	}
	pst_txn_tell_recipient(txn, &reply);
}
