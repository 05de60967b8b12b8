/* proxy/txn_record.c - the one line that tells what became of a transaction */
#include "proxy/history.h"
#include "proxy/txn_priv.h"

static const struct {
	const char *name;
	enum pst_counter counter;
} outcomes[] = {
	[PST_OUTCOME_DELIVERED] = {"delivered", PST_COUNTER_delivered},
	[PST_OUTCOME_PARTIAL] = {"partial", PST_COUNTER_partial},
	[PST_OUTCOME_QUARANTINED] = {"quarantined", PST_COUNTER_quarantined},
	[PST_OUTCOME_DROPPED] = {"dropped", PST_COUNTER_dropped},
	[PST_OUTCOME_REPLAYED] = {"replayed", PST_COUNTER_replayed},
	[PST_OUTCOME_REFUSED] = {"refused", PST_COUNTER_refused},
	[PST_OUTCOME_DEFERRED] = {"deferred", PST_COUNTER_deferred},
	[PST_OUTCOME_UNKNOWN] = {"unknown", PST_COUNTER_unknown},
	[PST_OUTCOME_ABORTED] = {"aborted", PST_COUNTER_aborted},
};

/* Fates can differ and nobody was served, if they were told 4xx and 5xx, or 5xx and nothing more. */
static bool some_were_served(const struct pst_txn *txn)
{
	for (const struct pst_rcpt *rcpt = txn->rcpts; rcpt; rcpt = rcpt->next)
		if (rcpt->final_code / 100 == 2)
			return true;
	return false;
}

static enum pst_outcome outcome_of(const struct pst_txn *txn, bool final_lost)
{
	if (txn->partial && some_were_served(txn))
		return PST_OUTCOME_PARTIAL;
	if (txn->replayed)
		return PST_OUTCOME_REPLAYED;
	if (txn->dropped && txn->client_code / 100 == 2)
		return PST_OUTCOME_DROPPED;
	if (txn->relay_code / 100 == 2)
		return txn->quarantined ? PST_OUTCOME_QUARANTINED : PST_OUTCOME_DELIVERED;
	if (final_lost)
		return PST_OUTCOME_UNKNOWN;
	if (txn->client_code / 100 == 5)
		return PST_OUTCOME_REFUSED;
	return txn->client_code ? PST_OUTCOME_DEFERRED : PST_OUTCOME_ABORTED;
}

#define LOG_RCPTS_MAX 8

static void put_mailbox(struct pst_buf *out, struct pst_span mailbox)
{
	pst_buf_put_escaped(out, PST_SPAN("<"), 1);
	pst_buf_put_escaped(out, mailbox, PST_LOG_PEER_MAX);
	pst_buf_put_escaped(out, PST_SPAN(">"), 1);
}

static void log_sender(const struct pst_txn *txn, struct pst_log *log)
{
	uint8_t area[4 * PST_LOG_PEER_MAX];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	put_mailbox(&text, txn->facts.sender);
	pst_log_span(log, "from", pst_buf_span(&text));
}

/* The first accepted ones, and how many there were. */
static void log_recipients(const struct pst_txn *txn, struct pst_log *log)
{
	uint8_t area[LOG_RCPTS_MAX * PST_LOG_PEER_MAX];
	struct pst_buf text;
	uint32_t count = 0;

	pst_buf_init(&text, area, sizeof(area));
	for (const struct pst_rcpt *rcpt = txn->rcpts; rcpt; rcpt = rcpt->next) {
		if (!rcpt->accepted || ++count > LOG_RCPTS_MAX)
			continue;
		if (count > 1)
			pst_buf_put_escaped(&text, PST_SPAN(","), 1);
		put_mailbox(&text, rcpt->relay.mailbox);
	}
	pst_log_span(log, "to", pst_buf_span(&text));
	pst_log_u64(log, "rcpts", count);
	if (txn->refused_count > 0)
		pst_log_u64(log, "rcpts_refused", txn->refused_count);
}

/* What was odd about it; nothing where nothing was. */
static void log_facts(const struct pst_txn *txn, struct pst_log *log)
{
	static const struct {
		enum pst_fact fact;
		const char *name;
	} names[] = {
		{PST_FACT_DNS_DOWN, "dns_down"},
		{PST_FACT_NAT, "nat"},
		{PST_FACT_EARLY_TALK, "early_talk"},	 {PST_FACT_BARE_NEWLINE, "bare_newline"},
		{PST_FACT_ILLEGAL_PIPELINING, "illegal_pipelining"},
		{PST_FACT_NON_SMTP, "non_smtp"},	 {PST_FACT_STARTTLS_ABUSE, "starttls_abuse"},
		{PST_FACT_NUL, "nul"},			 {PST_FACT_LONG_LINE, "long_line"},
		{PST_FACT_NO_HEADER, "no_header"},	 {PST_FACT_HEADER_UNSEEN, "header_unseen"},
		{PST_FACT_OVERSIZE, "oversize"},	 {PST_FACT_OUT_OF_MEMORY, "out_of_memory"},
	};
	uint8_t area[200];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	for (uint32_t i = 0; i < PST_COUNT(names); i++) {
		if (!(txn->facts.set & (uint32_t)names[i].fact))
			continue;
		if (text.len > 0)
			pst_buf_put_escaped(&text, PST_SPAN(","), 1);
		pst_buf_put_escaped(&text, pst_span_text(names[i].name), 32);
	}
	if (text.len > 0)
		pst_log_span(log, "facts", pst_buf_span(&text));
}

/* Every finding with its score; of those that do not count, why. */
static void log_hits(const struct pst_txn *txn, struct pst_log *log)
{
	const struct pst_hits *hits = &txn->facts.hits;
	uint8_t area[PST_LOG_VALUE_MAX];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	PST_BUG_ON(pst_score_put(&text, hits->score, 0));
	pst_log_span(log, "score", pst_buf_span(&text));
	pst_buf_clear(&text);
	for (const struct pst_hit *hit = hits->first; hit; hit = hit->next) {
		if (text.len > 0)
			pst_buf_put_escaped(&text, PST_SPAN(","), 1);
		pst_buf_put_escaped(&text, hit->name, 64);
		pst_buf_put_escaped(&text, PST_SPAN(":"), 1);
		if (hit->flags & PST_HIT_DRY)
			pst_buf_put_escaped(&text, PST_SPAN("dry"), 3);
		else if (hit->flags & PST_HIT_SCORED)
			pst_buf_put_escaped(&text, PST_SPAN("rule"), 4);
		else if (pst_buf_room(&text) < 16 || pst_score_put(&text, hit->score, 0) < 0)
			break;
	}
	if (text.len > 0)
		pst_log_span(log, "hits", pst_buf_span(&text));
}

/* What the checks have asked and heard. */
static void log_evidence(const struct pst_txn *txn, struct pst_log *log)
{
	uint8_t area[PST_LOG_VALUE_MAX / 2];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	for (const struct pst_hit *hit = txn->facts.hits.first; hit; hit = hit->next) {
		if (hit->evidence.len == 0)
			continue;
		if (text.len > 0)
			pst_buf_put_escaped(&text, PST_SPAN("; "), 2);
		pst_buf_put_escaped(&text, hit->evidence, 200);
	}
	if (text.len > 0)
		pst_log_span(log, "evidence", pst_buf_span(&text));
}

static void log_verdict(const struct pst_txn *txn, enum pst_reason reason, struct pst_log *log)
{
	const struct pst_verdict *verdict = &txn->verdict;
	bool by_score = reason == PST_REASON_listed || reason == PST_REASON_score ||
			reason == PST_REASON_score_deferred;

	pst_log_text(log, "verdict",
		     reason == PST_REASON_none || by_score ? pst_policy_action_name(verdict->action)
							   : "refuse");
	if (verdict->earned != verdict->action)
		pst_log_text(log, "earned", pst_policy_action_name(verdict->earned));
	pst_log_text(log, "reasons", pst_reason_reply(reason)->name);
	log_hits(txn, log);
	log_evidence(txn, log);
}

/* The same for the history; a client that left of its own accord has no verdict. */
static void remember(const struct pst_txn *txn, enum pst_outcome outcome, enum pst_reason reason)
{
	static const uint8_t kinds[] = {
		[PST_OUTCOME_DELIVERED] = PST_HISTORY_ACCEPTED,
		[PST_OUTCOME_PARTIAL] = PST_HISTORY_ACCEPTED,
		[PST_OUTCOME_QUARANTINED] = PST_HISTORY_TAGGED,
		[PST_OUTCOME_DROPPED] = PST_HISTORY_REFUSED,
		[PST_OUTCOME_REPLAYED] = PST_HISTORY_ACCEPTED,
		[PST_OUTCOME_REFUSED] = PST_HISTORY_REFUSED,
		[PST_OUTCOME_DEFERRED] = PST_HISTORY_DEFERRED,
		[PST_OUTCOME_UNKNOWN] = PST_HISTORY_DEFERRED,
	};
	const struct pst_proxy_env *env = txn->txns->env;
	struct pst_history_record record = {
		.wall_ms = env->loop->wall_ms,
		.client = txn->facts.client,
		.verdict = pst_policy_action_name(txn->verdict.action),
		.reason = pst_reason_reply(reason)->name,
		.outcome = outcomes[outcome].name,
		.score = txn->facts.hits.score,
		.code = (uint16_t)txn->client_code,
	};
	uint8_t area[PST_HISTORY_TEXT];
	struct pst_buf hits;

	if (outcome == PST_OUTCOME_ABORTED)
		return;
	record.client.port = 0;
	record.kind = outcome == PST_OUTCOME_DELIVERED && txn->verdict.action == PST_ACTION_TAG
			      ? PST_HISTORY_TAGGED
			      : kinds[outcome];
	pst_buf_init(&hits, area, sizeof(area));
	for (const struct pst_hit *hit = txn->facts.hits.first; hit; hit = hit->next) {
		if (hits.len)
			pst_buf_put_escaped(&hits, PST_SPAN(" "), 1);
		pst_buf_put_escaped(&hits, hit->name, PST_HISTORY_TEXT);
	}
	for (uint32_t i = 0; i + 1 < sizeof(record.id) && txn->id[i]; i++)
		record.id[i] = (uint8_t)txn->id[i];
	pst_history_text_set(&record.hits, pst_buf_span(&hits));
	pst_history_text_set(&record.from, txn->facts.sender);
	if (txn->rcpts)
		pst_history_text_set(&record.to, txn->rcpts->relay.mailbox);
	pst_history_add(txn->txns->history, env->loop->now_ms, &record);
}

void pst_txn_record(struct pst_txn *txn, bool final_lost)
{
	const struct pst_proxy_env *env = txn->txns->env;
	struct pst_log *log = env->log;
	enum pst_outcome outcome = outcome_of(txn, final_lost);
	enum pst_reason reason = (enum pst_reason)txn->reason;

	/* With no recipient taken, what was said to the last one is the verdict. */
	if (reason == PST_REASON_none && txn->facts.rcpt_count == 0)
		reason = (enum pst_reason)txn->rcpt_reason;
	pst_count(env->counters, outcomes[outcome].counter);
	if (outcome == PST_OUTCOME_DELIVERED && txn->verdict.action == PST_ACTION_TAG)
		pst_count(env->counters, PST_COUNTER_tagged);
	remember(txn, outcome, reason);
	pst_log_begin(log, PST_LOG_INFO, "transaction");
	pst_log_text(log, "id", txn->id);
	pst_log_addr(log, "client", &txn->facts.client);
	pst_log_peer(log, "helo", txn->facts.helo);
	if (txn->facts.tls_cipher.len > 0) {
		pst_log_span(log, "tls", txn->facts.tls_version);
		pst_log_span(log, "cipher", txn->facts.tls_cipher);
	}
	if (txn->facts.set & PST_FACT_SUBMITTED)
		pst_log_text(log, "auth", "yes");
	log_sender(txn, log);
	log_recipients(txn, log);
	pst_log_u64(log, "size", txn->facts.size_bytes);
	log_facts(txn, log);
	log_verdict(txn, reason, log);
	if (txn->tx.server.family != PST_FAMILY_NONE)
		pst_log_endpoint(log, "relay", &txn->tx.server);
	if (txn->relay_code) {
		pst_log_u64(log, "reply", txn->relay_code);
		pst_log_peer(log, "reply_text",
			     (struct pst_span){txn->relay_text, txn->relay_text_len});
	}
	if (txn->relay_trouble)
		pst_log_text(log, "relay_trouble", txn->relay_trouble);
	pst_log_text(log, "outcome", outcomes[outcome].name);
	pst_log_u64(log, "code", txn->client_code);
	pst_log_u64(log, "ms", env->loop->now_ms - txn->start_ms);
	pst_log_end(log);
}
