/* proxy/txn_judge.c - a transaction's score: what adds to it, and what is done about it
 *
 * The score is looked at twice. At a recipient, with what client and sender have earned, because
 * there a refusal costs least and the log still learns from whom to whom; and when the message is
 * whole, or begins to stream, with everything.
 */
#include "proxy/txn_priv.h"

#include "check/os.h"
#include "mail/header.h"
#include "mail/received.h"

static uint8_t as_rules_see(bool asked, enum pst_spf_result result)
{
	static const uint8_t results[PST_SPF_RESULT_COUNT] = {
		[PST_SPF_NONE] = PST_RULES_SPF_NONE,
		[PST_SPF_NEUTRAL] = PST_RULES_SPF_NEUTRAL,
		[PST_SPF_PASS] = PST_RULES_SPF_PASS,
		[PST_SPF_FAIL] = PST_RULES_SPF_FAIL,
		[PST_SPF_SOFTFAIL] = PST_RULES_SPF_SOFTFAIL,
		[PST_SPF_TEMPERROR] = PST_RULES_SPF_TEMPERROR,
		[PST_SPF_PERMERROR] = PST_RULES_SPF_PERMERROR,
	};

	return asked ? results[result] : PST_RULES_SPF_UNKNOWN;
}

/* One fact scores once: a rule that is loaded may score it already. */
static bool rules_score_spf(const struct pst_txn *txn, bool helo, enum pst_spf_result result)
{
	return pst_txn_rules(txn) &&
	       pst_rules_set_scores_spf(pst_txn_rules(txn), helo,
					(enum pst_rules_spf)as_rules_see(true, result));
}

static uint8_t flags_of_zone(const struct pst_txn *txn, const struct pst_dnsbl_zone *zone,
			     uint8_t flags)
{
	return pst_txn_rules(txn) && pst_rules_set_scores_zone(pst_txn_rules(txn), zone->zone)
		       ? (uint8_t)(flags | PST_HIT_SCORED)
		       : flags;
}

/* Hits live as long as the transaction. One that finds no room is lost to the score: that is our
 * trouble, not the sender's. */
void pst_txn_add_hit(struct pst_txn *txn, const struct pst_hit *found)
{
	struct pst_hit *hit = pst_arena_alloc(&txn->arena, sizeof(*hit));

	if (!hit) {
		pst_count(txn->txns->env->counters, PST_COUNTER_hits_lost);
		return;
	}
	*hit = *found;
	if (pst_policy_is_dry(&txn->conf->policy, hit->name))
		hit->flags |= PST_HIT_DRY;
	pst_hits_add(&txn->facts.hits, hit);
}

/* How many newlines were bare, in words. */
static void count_newlines(struct pst_txn *txn)
{
	uint8_t area[48];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	if (pst_buf_printf(&text, "%llu bare newlines",
			   (unsigned long long)txn->facts.bare_newline_count) == 0)
		txn->facts.evidence[PST_FACT_NAME_BARE_NEWLINE] =
			pst_arena_copy(&txn->arena, pst_buf_span(&text));
}

/* What the client was seen to do since the last look. */
static void add_facts(struct pst_txn *txn)
{
	if (txn->facts.bare_newline_count > 0)
		count_newlines(txn);
	for (int name = 0; name < PST_FACT_NAME_COUNT; name++) {
		struct pst_hit hit = {
			.name = pst_span_text(pst_policy_fact_name((enum pst_fact_name)name)),
			.evidence = txn->facts.evidence[name],
			.score = txn->conf->policy.fact_scores[name],
		};

		if ((txn->facts_told & 1U << name) || hit.score == 0 ||
		    !pst_policy_fact_holds((enum pst_fact_name)name, &txn->facts))
			continue;
		txn->facts_told |= 1U << name;
		pst_txn_add_hit(txn, &hit);
	}
}

void pst_txn_note_syn(struct pst_txn *txn, const struct pst_net_syn *syn)
{
	struct pst_os_guess guess = pst_os_guess(&txn->conf->os, syn);
	uint8_t area[PST_OS_EVIDENCE_MAX + 16];
	struct pst_hit hit = {
		.name = pst_span_text(pst_os_name(guess.system)),
		.score = txn->conf->policy.system_scores[guess.system],
	};
	struct pst_buf text;

	/* Rules see it whole, the log has the evidence apart. */
	pst_buf_init(&text, area, sizeof(area));
	PST_BUG_ON(pst_buf_put(&text, hit.name) || pst_buf_put_byte(&text, ' ') ||
		   pst_os_evidence_put(&text, &guess, syn));
	txn->facts.os = pst_txn_keep_text(txn, &text);
	hit.evidence = pst_span_sub(txn->facts.os, hit.name.len + 1, PST_OS_EVIDENCE_MAX);
	pst_txn_add_hit(txn, &hit);
}

/* ---- what was asked --------------------------------------------------------------------------- */

struct pst_span pst_txn_keep_text(struct pst_txn *txn, const struct pst_buf *text)
{
	struct pst_span kept = pst_arena_copy(&txn->arena, pst_buf_span(text));

	return kept.at ? kept : PST_SPAN_NONE;
}

/* The term that decided, and whose it is: "-all of example.com". */
static struct pst_span spf_evidence(struct pst_txn *txn, const struct pst_spf *spf)
{
	uint8_t area[400];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	if (spf->problem) {
		if (pst_buf_put_text(&text, spf->problem) < 0)
			return PST_SPAN_NONE;
	} else if (spf->term_len > 0) {
		pst_buf_put_escaped(&text, (struct pst_span){spf->term, spf->term_len},
				    PST_SPF_TERM_MAX);
		if (pst_buf_put_text(&text, " of ") < 0)
			return PST_SPAN_NONE;
		pst_buf_put_escaped(&text,
				    (struct pst_span){spf->decided_by.at, spf->decided_by.len}, 255);
	}
	return pst_txn_keep_text(txn, &text);
}

static void add_spf(struct pst_txn *txn, const struct pst_sender *sender)
{
	const struct pst_spf *spf = &sender->spf;
	bool bounce = txn->facts.sender.len == 0;
	enum pst_spf_result result = bounce ? sender->helo_result : sender->mail_result;
	struct pst_hit hit = {
		.name = pst_span_text(pst_spf_finding(false, result)),
		.evidence = spf_evidence(txn, spf),
		.score = txn->conf->spf.scores[result],
		.flags = rules_score_spf(txn, bounce, result) ? PST_HIT_SCORED : 0,
	};
	struct pst_results *results = &txn->results;

	results->helo_asked = sender->helo_asked;
	results->mail_asked = sender->mail_asked;
	results->helo_result = sender->helo_result;
	results->mail_result = sender->mail_result;
	results->problem = spf->problem;
	if (spf->term_len > 0)
		results->mechanism = pst_arena_copy(&txn->arena,
						    (struct pst_span){spf->term, spf->term_len});
	pst_txn_add_hit(txn, &hit);
	if (!bounce) {
		hit = (struct pst_hit){
			.name = pst_span_text(pst_spf_finding(true, sender->helo_result)),
		};
		pst_txn_add_hit(txn, &hit);
	}
	if (result == PST_SPF_PASS && !bounce)
		txn->facts.set |= PST_FACT_SPF_PASS;
	if (result == PST_SPF_TEMPERROR && txn->conf->spf.trouble_defers &&
	    !pst_policy_is_dry(&txn->conf->policy, pst_span_text(pst_spf_finding(false, result))))
		txn->facts.set |= PST_FACT_SPF_TROUBLE;
}

static void add_domains(struct pst_txn *txn, const struct pst_dnsbl *lists)
{
	for (uint32_t i = 0; i < lists->zones->conf->zone_count; i++) {
		const struct pst_dnsbl_hit *found = &lists->hits[i];
		const struct pst_dnsbl_zone *zone = &lists->zones->conf->zones[i];
		uint8_t area[400];
		struct pst_hit hit;
		struct pst_buf text;

		if (!found->set)
			continue;
		pst_buf_init(&text, area, sizeof(area));
		pst_buf_put_escaped(&text, lists->domains[found->domain], 160);
		if (pst_buf_put_text(&text, " in ") == 0)
			pst_buf_put_escaped(&text, zone->shown, 160);
		if (pst_buf_put_byte(&text, '=') == 0)
			pst_addr_put(&text, &found->code);
		hit = (struct pst_hit){
			.name = zone->name,
			.evidence = pst_txn_keep_text(txn, &text),
			.score = pst_dnsbl_code_of(lists, found)->score,
			.flags = (uint8_t)((pst_dnsbl_code_of(lists, found)->rejects
						    ? PST_HIT_REJECTS
						    : 0) |
					   (zone->dry ? PST_HIT_DRY : 0)),
		};
		hit.flags = flags_of_zone(txn, zone, hit.flags);
		pst_txn_add_hit(txn, &hit);
	}
}

static void hear_knock(struct pst_txn *txn)
{
	const struct pst_knock *knock = txn->knock;

	txn->checked = true;
	txn->facts.set |= knock->facts;
	if (!txn->hop_asked) {
		txn->facts.rdns = knock->name;
		txn->facts.rdns_known = knock->rdns != PST_RDNS_UNKNOWN;
		txn->facts.rdns_confirmed = knock->rdns == PST_RDNS_CONFIRMED;
	}
	txn->results.client = knock->client;
	txn->results.rdns = knock->rdns;
	txn->results.rdns_name = knock->name;
	for (uint32_t i = 0; i < knock->hit_count; i++) {
		struct pst_hit hit = knock->hits[i];

		hit.flags = flags_of_zone(txn, knock->zones[i], hit.flags);
		pst_txn_add_hit(txn, &hit);
	}
}

static void on_knock_settled(struct pst_knock_wait *wait)
{
	struct pst_txn *txn = PST_CONTAINER(wait, struct pst_txn, knock_wait);

	hear_knock(txn);
	if (txn->knock->rejects || (txn->knock->facts & PST_FACT_DNS_DOWN)) {
		/* Nothing about the sender could change that, or nobody will answer anyway. */
		pst_sender_free(txn->sender);
		txn->sender = NULL;
	}
	if (pst_txn_is_settled(txn))
		pst_txn_settled(txn);
}

static void on_sender_done(struct pst_sender *sender)
{
	struct pst_txn *txn = sender->params.owner;

	txn->checked = true;
	if (!txn->conf->spf.off)
		add_spf(txn, sender);
	add_domains(txn, &sender->lists);
	pst_sender_free(sender);
	txn->sender = NULL;
	if (pst_txn_is_settled(txn))
		pst_txn_settled(txn);
}

void pst_txn_begin_checks(struct pst_txn *txn, struct pst_knock *knock)
{
	const struct pst_sender_params params = {
		.client = txn->facts.client,
		.helo = txn->facts.helo,
		.mailbox = txn->facts.sender,
		.knock = knock,
		.owner = txn,
	};

	txn->results.hostname = txn->conf->hostname;
	txn->results.helo = txn->facts.helo;
	txn->results.mailbox = txn->facts.sender;
	/* For that nobody has to be asked. */
	if (!(txn->facts.set & (PST_FACT_TRUSTED | PST_FACT_SUBMITTED | PST_FACT_NAT)))
		txn->facts.set |= pst_helo_facts(txn->facts.helo, &txn->facts.client,
						 txn->conf->hostname, &txn->facts.service);
	if (!knock)
		return;
	txn->knock = pst_knock_ref(knock);
	txn->knock_wait.on_settled = on_knock_settled;
	if (pst_knock_settled(knock))
		hear_knock(txn);
	else
		pst_knock_await(knock, &txn->knock_wait);
	if (!knock->rejects && !(knock->facts & PST_FACT_DNS_DOWN))
		txn->sender = pst_sender_new(txn->txns->checks, txn->conf, &params, on_sender_done);
}

/* ---- behind a trusted relay ------------------------------------------------------------------ */

#define HOP_WORK_BYTES 4096

/* The hop that a trusted relay took the message from: of the fields on top, each must name one of our own
 * networks, and the first that does not is it.
 *  out helo: borrows the header or `work`
 *  ret false: none can be told */
static bool find_hop(const struct pst_txn *txn, struct pst_buf *work, struct pst_addr *client,
		     struct pst_span *helo)
{
	struct pst_span rest = pst_message_header(&txn->message);
	struct pst_mail_field field;

	while (pst_mail_header_next(&rest, &field)) {
		struct pst_mail_received hop;

		if (!pst_span_eq_nocase(field.name, PST_SPAN("Received")))
			continue;
		pst_buf_clear(work);
		if (pst_mail_received_parse(field.value, work, &hop) != PST_MAIL_RECEIVED_HOP ||
		    pst_addr_parse(hop.ip, client) < 0)
			return false;
		*helo = hop.helo;
		if (!pst_policy_trusts(&txn->conf->policy, client))
			return true;
	}
	return false;
}

/* A backup server of ours must not cost the mail behind it its SPF pass, nor hide who is on a list.
 *  ret true: somebody is asked; pst_txn_settled follows */
static bool ask_about_hop(struct pst_txn *txn)
{
	uint8_t area[HOP_WORK_BYTES];
	struct pst_sender_params params = {.mailbox = txn->facts.sender, .owner = txn};
	struct pst_buf work;
	struct pst_span helo;

	pst_buf_init(&work, area, sizeof(area));
	if (!(txn->facts.set & PST_FACT_TRUSTED) || (txn->facts.set & PST_FACT_NAT) || txn->hop_asked ||
	    txn->message.header_unseen || !find_hop(txn, &work, &params.client, &helo))
		return false;
	txn->hop_asked = true;
	txn->knock = pst_knock_new(txn->txns->checks, txn->conf, &params.client);
	if (!txn->knock)
		return false;
	params.helo = pst_arena_copy(&txn->arena, helo);
	params.knock = txn->knock;
	txn->results.helo = params.helo.at ? params.helo : PST_SPAN_NONE;
	txn->results.relayed = true;
	txn->knock_wait.on_settled = on_knock_settled;
	pst_knock_await(txn->knock, &txn->knock_wait);
	if (params.helo.at)
		txn->sender = pst_sender_new(txn->txns->checks, txn->conf, &params, on_sender_done);
	return true;
}

void pst_txn_end_checks(struct pst_txn *txn)
{
	pst_knock_forget(&txn->knock_wait);
	pst_sender_free(txn->sender);
	txn->sender = NULL;
}

bool pst_txn_is_settled(const struct pst_txn *txn)
{
	if (!txn->knock)
		return true;
	return pst_knock_settled(txn->knock) && !txn->sender;
}

static enum pst_reason refused_as(const struct pst_txn *txn)
{
	switch (txn->verdict.action) {
	case PST_ACTION_REJECT:
		return txn->facts.hits.reject ? PST_REASON_listed : PST_REASON_score;
	case PST_ACTION_DEFER:
		return PST_REASON_score_deferred;
	default:
		return PST_REASON_none;
	}
}

enum pst_reason pst_txn_judge_sender(struct pst_txn *txn)
{
	if ((txn->facts.set & PST_FACT_DNS_DOWN) && txn->conf->dns.trouble_defers)
		return PST_REASON_checks_failed;
	if (txn->facts.set & PST_FACT_SPF_TROUBLE)
		return PST_REASON_checks_failed;
	if (txn->facts.set & PST_FACT_SUBMITTED)
		return PST_REASON_none;
	add_facts(txn);
	txn->verdict = pst_policy_verdict(&txn->conf->policy, &txn->facts);
	/* Milder verdicts wait for the message: what it says of itself may speak for it. */
	return txn->verdict.action == PST_ACTION_REJECT ? refused_as(txn) : PST_REASON_none;
}

static void conclude(struct pst_txn *txn)
{
	txn->verdict = pst_policy_verdict(&txn->conf->policy, &txn->facts);
	txn->judged = true;
	txn->reason = (uint8_t)refused_as(txn);
	txn->dropped = txn->verdict.action == PST_ACTION_DROP;
	pst_txn_judged(txn);
}

/* ---- rules ----------------------------------------------------------------------------------- */

/* Names of rules borrow the set, which the transaction's generation keeps. */
static void add_rule_hits(struct pst_txn *txn, const struct pst_rules_run *run)
{
	struct pst_rules_hit rule;

	for (uint32_t i = 0; i < run->hit_count; i++) {
		struct pst_hit hit = {.flags = PST_HIT_RULE};

		pst_rules_run_hit(run, i, &rule);
		if (rule.sub)
			continue;
		hit.name = rule.name;
		hit.score = rule.score;
		pst_txn_add_hit(txn, &hit);
	}
}

static void on_rules_done(struct pst_rule_query *query, const struct pst_rules_run *run)
{
	struct pst_txn *txn = PST_CONTAINER(query, struct pst_txn, rules);

	if (run)
		add_rule_hits(txn, run);
	conclude(txn);
}

/* What the lists said of the client, in the transaction's memory.
 *  ret how many; 0 without memory */
static uint32_t list_answers(struct pst_txn *txn, const struct pst_rules_rbl **out)
{
	const struct pst_dnsbl_conf *conf = &txn->conf->dnsbl;
	struct pst_rules_rbl *answers;
	uint32_t count = 0;

	if (!txn->knock || !pst_knock_settled(txn->knock) || conf->zone_count == 0)
		return 0;
	answers = pst_arena_alloc(&txn->arena, conf->zone_count * (uint32_t)sizeof(*answers));
	for (uint32_t i = 0; answers && i < conf->zone_count; i++)
		if (txn->knock->answered_zones & 1U << i)
			answers[count++] = (struct pst_rules_rbl){conf->zones[i].zone,
								  txn->knock->codes[i]};
	*out = answers;
	return count;
}

static void ask_rules(struct pst_txn *txn)
{
	const struct pst_facts *facts = &txn->facts;
	const struct pst_results *results = &txn->results;
	const struct pst_proxy_env *env = txn->txns->env;
	const struct pst_rules_rbl *answers = NULL;
	uint32_t answer_count = list_answers(txn, &answers);

	txn->rules = (struct pst_rule_query){
		.set = pst_txn_rules(txn),
		.peer =
			{
				.client = facts->client,
				.helo = facts->helo,
				.rdns = facts->rdns_confirmed ? facts->rdns : PST_SPAN_NONE,
				.rdns_known = facts->rdns_known,
				.by = txn->conf->hostname,
				.id = pst_span_text(txn->id),
				.os = facts->os,
				.tls = facts->tls_cipher.len > 0,
			},
		.input =
			{
				.header = pst_message_header(&txn->message),
				.mail_from = facts->sender,
				.mail_from_known = true,
				.trust = txn->conf->policy.trust,
				.trust_count = txn->conf->policy.trust_count,
				.wall_s = (int64_t)(env->loop->wall_ms / 1000),
				.spf_mail_from =
					as_rules_see(results->mail_asked, results->mail_result),
				.spf_helo = as_rules_see(results->helo_asked, results->helo_result),
				.rbl = answers,
				.rbl_count = answer_count,
				.local_only = !txn->checked,
				.charset = env->charset,
			},
		.on_done = on_rules_done,
	};
	pst_rule_query_begin(txn->txns->rules, &txn->rules);
}

void pst_txn_judge(struct pst_txn *txn)
{
	if (txn->facts.set & PST_FACT_SUBMITTED) {
		conclude(txn);
		return;
	}
	if (ask_about_hop(txn))
		return;
	add_facts(txn);
	if (pst_txn_rules(txn) && !txn->message.header_unseen)
		ask_rules(txn);
	else
		conclude(txn);
}

/* ---- quarantine ------------------------------------------------------------------------------ */

/* The envelope that was offered inside is taken back, and another one begun. Its recipient is not one
 * of the transaction's: nothing that came of it is told to anybody but the log. */
bool pst_txn_quarantine(struct pst_txn *txn)
{
	struct pst_span mailbox = txn->conf->policy.quarantine;
	int64_t at = pst_span_rfind(mailbox, '@');
	const struct pst_route *route = pst_relay_route(
		&txn->conf->relay, pst_span_sub(mailbox, (uint32_t)at + 1, mailbox.len));
	struct pst_rcpt *rcpt = route ? pst_arena_alloc(&txn->arena, sizeof(*rcpt)) : NULL;

	if (!rcpt)
		return false;
	pst_relay_end(&txn->tx);
	txn->tx = (struct pst_relay_tx){
		.on_event = txn->tx.on_event,
		.conf = txn->tx.conf,
		.route = route,
		.identity = txn->tx.identity,
		.mail = txn->tx.mail,
		.body_kept = true,
	};
	txn->quarantined = true;
	txn->route = route;
	rcpt->relay.mailbox = mailbox;
	txn->offered = rcpt;
	pst_relay_begin(txn->txns->relay, &txn->tx);
	pst_relay_offer(&txn->tx, &rcpt->relay);
	return true;
}
