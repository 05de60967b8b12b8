/* proxy/txn_habits.c - how much its sender has sent lately, and whether it is known at all: what refuses for a while
 *
 * Neither adds to the score: a good server that is asked to wait loses nothing but time.
 */
#include "proxy/txn_priv.h"

#include "check/greylist.h"
#include "store/store.h"

/* The owner only wants to read of it, or of everything. */
static bool only_told(const struct pst_txn *txn, const char *name)
{
	return txn->conf->policy.mode != PST_MODE_ENFORCE ||
	       pst_policy_is_dry(&txn->conf->policy, pst_span_text(name));
}

static void add_found(struct pst_txn *txn, const char *name, const struct pst_buf *evidence,
		      bool told)
{
	struct pst_hit hit = {
		.name = pst_span_text(name),
		.evidence = pst_txn_keep_text(txn, evidence),
		.flags = told ? PST_HIT_DRY : 0,
	};

	pst_txn_add_hit(txn, &hit);
}

/* One of the two limits. ret true: it is reached, and counts */
static bool over_rate(struct pst_txn *txn, const char *name, uint32_t count_max, uint64_t key,
		      struct pst_span shown)
{
	struct pst_rate *rate = &txn->txns->checks->rate;
	const struct pst_rate_limit limit = {count_max, txn->conf->rate_period_ms};
	uint64_t now_ms = txn->txns->env->loop->now_ms;
	bool told = only_told(txn, name);
	uint8_t area[160];
	struct pst_buf text;

	if (pst_rate_allows(rate, &limit, key, now_ms))
		return false;
	pst_buf_init(&text, area, sizeof(area));
	pst_buf_put_escaped(&text, shown, 80);
	if (pst_buf_printf(&text, " over %u in %u s", limit.count_max, limit.period_ms / 1000) < 0)
		pst_buf_clear(&text);
	add_found(txn, name, &text, told);
	return !told;
}

enum { RATE_CLIENT = 1, RATE_SENDER = 2 };

/* A domain is its sender's only with an SPF pass. Without one it counts together with the client's network:
 * nobody shall use up another's share. */
static uint64_t sender_key(const struct pst_txn *txn, struct pst_span domain,
			   struct pst_span network)
{
	uint8_t area[PST_ADDR_TEXT_MAX + 256];
	struct pst_buf name;

	pst_buf_init(&name, area, sizeof(area));
	for (uint32_t i = 0; i < domain.len && i < 255; i++)
		if (pst_buf_put_byte(&name, pst_lower(domain.at[i])))
			break;
	if (!(txn->facts.set & PST_FACT_SPF_PASS) && pst_buf_put_byte(&name, ' ') == 0 &&
	    pst_buf_put(&name, network) < 0)
		pst_buf_clear(&name);
	return pst_rate_key(&txn->txns->checks->rate, RATE_SENDER, pst_buf_span(&name));
}

enum pst_reason pst_txn_judge_rate(struct pst_txn *txn)
{
	const struct pst_proxy_conf *conf = txn->conf;
	const struct pst_rate_limit of_client = {conf->rate_client_count_max, conf->rate_period_ms};
	const struct pst_rate_limit of_sender = {conf->rate_sender_count_max, conf->rate_period_ms};
	struct pst_rate *rate = &txn->txns->checks->rate;
	struct pst_addr network = pst_addr_network(&txn->facts.client);
	struct pst_span sender = txn->facts.sender, domain, shown;
	int64_t at = pst_span_rfind(sender, '@');
	uint64_t client_key, domain_key, now_ms = txn->txns->env->loop->now_ms;
	uint8_t area[PST_ADDR_TEXT_MAX];
	struct pst_buf text;

	if (txn->rate_judged)
		return (enum pst_reason)txn->rate_reason;
	if ((txn->facts.set & (PST_FACT_TRUSTED | PST_FACT_NAT)) || txn->exempt)
		return PST_REASON_none;
	txn->rate_judged = true;
	pst_buf_init(&text, area, sizeof(area));
	pst_addr_put(&text, &network);
	shown = pst_buf_span(&text);
	domain = pst_span_sub(sender, (uint32_t)(at + 1), sender.len);
	client_key = pst_rate_key(rate, RATE_CLIENT, shown);
	domain_key = sender_key(txn, domain, shown);
	if (over_rate(txn, "RATE_CLIENT", of_client.count_max, client_key, shown))
		txn->rate_reason = PST_REASON_rate_client;
	else if (at >= 0 && over_rate(txn, "RATE_SENDER", of_sender.count_max, domain_key, domain))
		txn->rate_reason = PST_REASON_rate_sender;
	if (txn->rate_reason != PST_REASON_none) {
		pst_count(txn->txns->env->counters, PST_COUNTER_rate_limited);
		return (enum pst_reason)txn->rate_reason;
	}
	pst_rate_charge(rate, &of_client, client_key, now_ms);
	if (at >= 0)
		pst_rate_charge(rate, &of_sender, domain_key, now_ms);
	return PST_REASON_none;
}

static void tell_greylist(struct pst_txn *txn, enum pst_greylist_state state, struct pst_span name,
			  const struct pst_store_entry *entry)
{
	static const char *const names[] = {
		[PST_GREYLIST_NEW] = "GREYLISTED",
		[PST_GREYLIST_EARLY] = "GREYLISTED",
		[PST_GREYLIST_CAME] = "GREYLIST_CAME",
		[PST_GREYLIST_KNOWN] = "GREYLIST_KNOWN",
	};
	uint8_t area[160];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	pst_buf_put_escaped(&text, name, 100);
	if (state == PST_GREYLIST_NEW) {
		if (pst_buf_put_text(&text, " seen first") < 0)
			pst_buf_clear(&text);
	} else if (pst_buf_printf(&text, " seen %u s ago", entry->age_s) < 0) {
		pst_buf_clear(&text);
	}
	add_found(txn, names[state], &text, only_told(txn, "GREYLISTED"));
}

/* ret true: it shall come again */
static bool ask_greylist(struct pst_txn *txn)
{
	const struct pst_greylist_conf *conf = &txn->conf->greylist;
	struct pst_store *store = txn->txns->env->store;
	const struct pst_results *results = &txn->results;
	bool helo_stands = results->helo_asked && results->helo_result == PST_SPF_PASS;
	uint64_t now_ms = txn->txns->env->loop->now_ms, key, value;
	uint8_t area[PST_GREYLIST_NAME_MAX];
	struct pst_store_entry entry;
	enum pst_greylist_state state;
	struct pst_span name;
	uint32_t life_s;
	bool found;

	name = pst_greylist_name(helo_stands ? txn->facts.helo : PST_SPAN_NONE, &txn->facts.client,
				 area);
	key = pst_store_key(store, PST_STORE_GREYLIST, name);
	found = store->ops->get(store, key, now_ms, &entry);
	state = pst_greylist_judge(conf, found ? &entry : NULL);
	if (pst_greylist_entry(conf, state, found ? &entry : NULL, &value, &life_s) &&
	    !store->ops->put(store, key, value, life_s, now_ms)) {
		/* Whom we cannot remember would wait for ever. */
		pst_count(txn->txns->env->counters, PST_COUNTER_greylist_full);
		return false;
	}
	tell_greylist(txn, state, name, &entry);
	return pst_greylist_waits(state) && !only_told(txn, "GREYLISTED");
}

bool pst_txn_greylisted(struct pst_txn *txn)
{
	const struct pst_greylist_case known = {
		.score = txn->facts.hits.score,
		.tag_line = txn->conf->policy.lines[PST_ACTION_TAG],
		.trusted = txn->facts.set & (PST_FACT_TRUSTED | PST_FACT_NAT),
		.exempt = txn->exempt,
		.bounce = txn->facts.sender.len == 0,
		.spf_pass = txn->facts.set & PST_FACT_SPF_PASS,
	};

	/* Once for all recipients: what was taken inside could not be taken back one by one. */
	if (!txn->greylist_judged) {
		txn->greylist_judged = true;
		txn->greylisted = txn->txns->env->store &&
				  pst_greylist_concerns(&txn->conf->greylist, &known) &&
				  ask_greylist(txn);
	}
	if (txn->greylisted)
		pst_count(txn->txns->env->counters, PST_COUNTER_greylisted);
	return txn->greylisted;
}
