/* proxy/sender.c - see sender.h */
#include "proxy/sender.h"

static bool spf_ask(void *check, struct pst_question *question)
{
	return pst_spf_ask(check, question);
}

static void spf_answer(void *check, uint16_t id, const struct pst_dns_answer *answer)
{
	pst_spf_answer(check, id, answer);
}

static bool lists_ask(void *check, struct pst_question *question)
{
	return pst_dnsbl_ask(check, question);
}

static void lists_answer(void *check, uint16_t id, const struct pst_dns_answer *answer)
{
	struct pst_sender *sender = PST_CONTAINER(check, struct pst_sender, lists);

	sender->lists.zones->now_ms = sender->checks->env->loop->now_ms;
	pst_dnsbl_answer(check, id, answer);
}

static const struct pst_dns_servers *lists_servers(void *check, uint16_t zone)
{
	return pst_checks_servers(((struct pst_dnsbl *)check)->zones, zone);
}

static const struct pst_ask_ops spf_ops = {spf_ask, spf_answer, NULL};
static const struct pst_ask_ops lists_ops = {lists_ask, lists_answer, lists_servers};

static void on_spf_answered(struct pst_ask *ask);

static struct pst_span domain_of(struct pst_span mailbox)
{
	int64_t at = pst_span_rfind(mailbox, '@');

	return at < 0 ? PST_SPAN_NONE : pst_span_sub(mailbox, (uint32_t)at + 1, mailbox.len);
}

static struct pst_span local_of(struct pst_span mailbox)
{
	int64_t at = pst_span_rfind(mailbox, '@');

	return at < 0 ? PST_SPAN_NONE : pst_span_sub(mailbox, 0, (uint32_t)at);
}

static void begin_spf(struct pst_sender *sender, struct pst_span local, struct pst_span domain)
{
	const struct pst_spf_params params = {
		.client = sender->params.client,
		.helo = sender->params.helo,
		.local = local,
		.domain = domain,
		.receiver = sender->conf->hostname,
		.wall_s = (int64_t)(sender->checks->env->loop->wall_ms / 1000),
		.lookup_count_max = sender->conf->spf.lookup_count_max,
		.void_count_max = sender->conf->spf.void_count_max,
	};

	pst_ask_end(&sender->spf_ask);
	pst_spf_begin(&sender->spf, &params);
	pst_ask_begin(&sender->spf_ask, &sender->checks->asks, &spf_ops, &sender->spf,
		      sender->deadline_ms, on_spf_answered);
}

static void begin_lists(struct pst_sender *sender)
{
	const struct pst_knock *knock = sender->params.knock;

	sender->lists_begun = true;
	sender->conf->zones->now_ms = sender->checks->env->loop->now_ms;
	pst_dnsbl_begin_domains(&sender->lists, sender->conf->zones);
	pst_dnsbl_add_domain(&sender->lists, sender->params.helo);
	pst_dnsbl_add_domain(&sender->lists, domain_of(sender->params.mailbox));
	if (knock && knock->rdns == PST_RDNS_CONFIRMED)
		pst_dnsbl_add_domain(&sender->lists, knock->name);
}

/* Go on as far as it goes without an answer. */
static void advance(struct pst_sender *sender)
{
	if (!sender->spf_done && pst_spf_done(&sender->spf)) {
		if (!sender->helo_asked) {
			sender->helo_asked = true;
			sender->helo_result = sender->spf.result;
			if (sender->params.mailbox.len > 0) {
				begin_spf(sender, local_of(sender->params.mailbox),
					  domain_of(sender->params.mailbox));
				pst_loop_resume(sender->checks->env->loop, &sender->task);
				return;
			}
		} else {
			sender->mail_asked = true;
			sender->mail_result = sender->spf.result;
		}
		sender->spf_done = true;
		pst_ask_end(&sender->spf_ask);
	}
	if (sender->lists_begun && !sender->lists_done && pst_dnsbl_done(&sender->lists)) {
		sender->lists_done = true;
		pst_ask_end(&sender->lists_ask);
		pst_checks_tell_zones(sender->checks, sender->conf);
	}
	if (sender->spf_done && sender->lists_done && !sender->done) {
		sender->done = true;
		sender->on_done(sender);
	}
}

static void on_spf_answered(struct pst_ask *ask)
{
	advance(PST_CONTAINER(ask, struct pst_sender, spf_ask));
}

static void on_lists_answered(struct pst_ask *ask)
{
	advance(PST_CONTAINER(ask, struct pst_sender, lists_ask));
}

static void on_task(struct pst_task *task)
{
	advance(PST_CONTAINER(task, struct pst_sender, task));
}

static void start_lists(struct pst_sender *sender)
{
	begin_lists(sender);
	pst_ask_begin(&sender->lists_ask, &sender->checks->asks, &lists_ops, &sender->lists,
		      sender->checks->env->loop->now_ms + PST_KNOCK_MS, on_lists_answered);
	pst_loop_resume(sender->checks->env->loop, &sender->task);
}

static void on_settled(struct pst_knock_wait *wait)
{
	start_lists(PST_CONTAINER(wait, struct pst_sender, wait));
}

struct pst_sender *pst_sender_new(struct pst_checks *checks, struct pst_proxy_conf *conf,
				  const struct pst_sender_params *params,
				  void (*on_done)(struct pst_sender *sender))
{
	struct pst_sender *sender;

	if (!pst_checks_active(checks) || !conf->zones || params->client.family == PST_FAMILY_NONE)
		return NULL;
	sender = pst_pool_get_zeroed(&checks->senders);
	if (!sender) {
		pst_count(checks->env->counters, PST_COUNTER_unchecked);
		return NULL;
	}
	sender->checks = checks;
	sender->conf = pst_proxy_conf_ref(conf);
	sender->params = *params;
	sender->on_done = on_done;
	sender->deadline_ms = checks->env->loop->now_ms + PST_SENDER_MS;
	sender->task.on_run = on_task;
	sender->wait.on_settled = on_settled;
	if (params->knock)
		pst_knock_ref(params->knock);
	if (conf->spf.off)
		sender->spf_done = true;
	else
		begin_spf(sender, PST_SPAN_NONE, params->helo);
	if (params->knock && !pst_knock_settled(params->knock))
		pst_knock_await(params->knock, &sender->wait);
	else
		start_lists(sender);
	pst_loop_resume(checks->env->loop, &sender->task);
	return sender;
}

void pst_sender_free(struct pst_sender *sender)
{
	if (!sender)
		return;
	pst_knock_forget(&sender->wait);
	pst_ask_end(&sender->spf_ask);
	pst_ask_end(&sender->lists_ask);
	pst_loop_forget(&sender->task);
	pst_knock_unref(sender->params.knock);
	pst_proxy_conf_unref(sender->conf);
	pst_pool_put(&sender->checks->senders, sender);
}
