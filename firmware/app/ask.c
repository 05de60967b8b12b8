/* app/ask.c - `postern ask ADDRESS`: every check about a client and a sender, by the configuration's dns */
#include <unistd.h>

#include "app/app.h"
#include "app/clock.h"
#include "app/dns.h"
#include "net/net_kernel.h"
#include "policy/policy.h"
#include "proxy/sender.h"

#define RING_BYTES 65536
#define WAIT_MS 30000

struct job {
	struct pst_mem_system memory;
	struct pst_app_machine machine;
	struct pst_config *config;
	struct pst_epoll epoll;
	struct pst_clock clock;
	struct pst_loop loop;
	struct pst_net_kernel net;
	struct pst_rng rng;
	struct pst_log log;
	struct pst_counters counters;
	struct pst_app_dns dns;
	struct pst_proxy_env env;
	struct pst_checks checks;
	struct pst_knock *knock;
	struct pst_knock_wait wait;
	struct pst_sender *sender;
	struct pst_timer limit;
	struct pst_facts facts;
	uint8_t ring[RING_BYTES];
	bool knock_settled, sender_done, late;
};

/* --- printing ------------------------------------------------------------------------------- */

static void print_hit(struct job *job, struct pst_hit *hit)
{
	uint8_t area[32];
	struct pst_buf score;

	if (pst_policy_is_dry(&job->config->proxy.policy, hit->name))
		hit->flags |= PST_HIT_DRY;
	pst_buf_init(&score, area, sizeof(area));
	if (pst_score_put(&score, hit->score, 0) < 0)
		return;
	pst_app_print(STDOUT_FILENO, "  %-28.*s %6.*s  %.*s%s\n", (int)hit->name.len,
		      (const char *)hit->name.at,
		      hit->flags & PST_HIT_REJECTS ? 6 : (int)score.len,
		      hit->flags & PST_HIT_REJECTS ? "reject" : (const char *)area,
		      (int)hit->evidence.len, (const char *)hit->evidence.at,
		      hit->flags & PST_HIT_DRY ? " (dry run)" : "");
	pst_hits_add(&job->facts.hits, hit);
}

static void print_name(const struct job *job)
{
	static const char *const words[] = {
		[PST_RDNS_UNKNOWN] = "could not be looked up",
		[PST_RDNS_NONE] = "there is none",
		[PST_RDNS_UNCONFIRMED] = "does not lead back to the address",
		[PST_RDNS_CONFIRMED] = "leads back to the address",
	};
	const struct pst_knock *knock = job->knock;

	pst_app_print(STDOUT_FILENO, "name: %.*s%s%s\n", (int)knock->name.len,
		      (const char *)knock->name.at, knock->name.len ? ", " : "",
		      words[knock->rdns]);
}

static void print_lists(const struct job *job)
{
	const struct pst_proxy_conf *conf = &job->config->proxy;

	for (uint32_t i = 0; i < conf->dnsbl.zone_count; i++) {
		const struct pst_dnsbl_zone *zone = &conf->dnsbl.zones[i];
		const struct pst_zone_health *health = &conf->zones->health[i];
		const char *said = zone->is_domain		       ? "lists domains"
				   : !(job->knock->answered_zones & 1U << i) ? "did not answer"
				   : job->knock->codes[i].family	       ? "listed"
									       : "not listed";

		pst_app_print(STDOUT_FILENO, "list %.*s: %s%s%s%s\n", (int)zone->shown.len,
			      (const char *)zone->shown.at, said,
			      health->why ? "; it is not asked, for it " : "",
			      health->why ? health->why : "",
			      health->lists_nothing ? "; its test entry is missing" : "");
	}
	if (pst_zones_rebind_suspected(conf->zones))
		pst_app_print(STDOUT_FILENO,
			      "Several lists lack their test entry: the resolver seems to take 127/8 out of "
			      "answers (a router's rebind protection).\n");
}

static void print_facts(struct job *job)
{
	static struct pst_hit hits[PST_FACT_NAME_COUNT];

	for (int name = 0; name < PST_FACT_NAME_COUNT; name++) {
		if (!pst_policy_fact_holds((enum pst_fact_name)name, &job->facts))
			continue;
		hits[name].name = pst_span_text(pst_policy_fact_name((enum pst_fact_name)name));
		hits[name].score = job->config->proxy.policy.fact_scores[name];
		print_hit(job, &hits[name]);
	}
}

static void print_spf(struct job *job)
{
	static struct pst_hit hit;
	static uint8_t area[400];
	const struct pst_sender *sender = job->sender;
	const struct pst_spf *spf = &sender->spf;
	struct pst_buf text;

	if (job->config->proxy.spf.off)
		return;
	if (sender->helo_asked)
		pst_app_print(STDOUT_FILENO, "SPF of HELO: %s\n",
			      pst_spf_result_name(sender->helo_result));
	if (sender->mail_asked)
		pst_app_print(STDOUT_FILENO, "SPF of the sender: %s\n",
			      pst_spf_result_name(sender->mail_result));
	if (spf->explanation_len > 0)
		pst_app_print(STDOUT_FILENO, "its domain says: %.*s\n", (int)spf->explanation_len,
			      (const char *)spf->explanation);
	pst_buf_init(&text, area, sizeof(area));
	pst_buf_put_escaped(&text, spf->problem ? pst_span_text(spf->problem)
						: (struct pst_span){spf->term, spf->term_len},
			    300);
	hit = (struct pst_hit){
		.name = pst_span_text(pst_spf_finding(false, spf->result)),
		.evidence = pst_buf_span(&text),
		.score = job->config->proxy.spf.scores[spf->result],
	};
	if (hit.score != 0)
		print_hit(job, &hit);
}

static void print_all(struct job *job)
{
	const struct pst_policy_conf *policy = &job->config->proxy.policy;
	struct pst_verdict verdict;
	uint8_t area[32];
	struct pst_buf score;

	print_name(job);
	print_lists(job);
	job->facts.set |= job->knock->facts;
	for (uint32_t i = 0; i < job->knock->hit_count; i++)
		print_hit(job, &job->knock->hits[i]);
	if (job->sender)
		print_spf(job);
	print_facts(job);
	verdict = pst_policy_verdict(policy, &job->facts);
	pst_buf_init(&score, area, sizeof(area));
	if (pst_score_put(&score, job->facts.hits.score, 0) == 0)
		pst_app_print(STDOUT_FILENO, "before a word of the message: %.*s points, %s\n",
			      (int)score.len, (const char *)area,
			      pst_policy_action_name(verdict.earned));
}

/* --- asking --------------------------------------------------------------------------------- */

/* Everything about the client is known, and every list was tested. */
static bool is_done(const struct job *job)
{
	uint64_t next_ms;
	uint32_t zone;

	return job->knock_settled && job->sender_done && !job->checks.testing &&
	       !pst_zones_due(job->config->proxy.zones, &zone, &next_ms);
}

static void on_knock_settled(struct pst_knock_wait *wait)
{
	struct job *job = PST_CONTAINER(wait, struct job, wait);

	job->knock_settled = true;
}

static void on_sender_done(struct pst_sender *sender)
{
	struct job *job = sender->params.owner;

	job->sender_done = true;
}

static void on_limit(struct pst_timer *timer)
{
	struct job *job = PST_CONTAINER(timer, struct job, limit);

	job->late = true;
}

static int open_job(struct job *job)
{
	const struct pst_proxy_conf *conf = &job->config->proxy;
	struct pst_mem *mem = &job->memory.mem;
	int status = pst_epoll_init(&job->epoll);

	if (status)
		return status;
	pst_log_init(&job->log, job->ring, sizeof(job->ring));
	pst_clock_init(&job->clock, &job->epoll.poller, &job->log);
	pst_rng_system_init(&job->rng);
	status = pst_loop_init(&job->loop, &job->clock.poller, mem,
			       pst_checks_timers_max() + pst_app_dns_timers_max(&conf->dns) + 4);
	if (status)
		return status;
	pst_net_kernel_init(&job->net, &job->epoll, &job->loop);
	status = pst_app_dns_open(&job->dns, &conf->dns, &job->loop, &job->epoll, &job->net.net, NULL, mem,
				  &job->rng);
	job->env = (struct pst_proxy_env){
		.loop = &job->loop,
		.dns = pst_app_dns_seam(&job->dns),
		.net = &job->net.net,
		.mem = mem,
		.rng = &job->rng,
		.log = &job->log,
		.counters = &job->counters,
	};
	pst_checks_init(&job->checks, &job->env, conf);
	pst_loop_turn(&job->loop, false);
	return status;
}

static void close_job(struct job *job)
{
	pst_timer_cancel(&job->loop, &job->limit);
	pst_knock_forget(&job->wait);
	pst_sender_free(job->sender);
	pst_knock_unref(job->knock);
	pst_checks_fini(&job->checks);
	pst_app_dns_close(&job->dns);
	pst_loop_fini(&job->loop);
	pst_epoll_fini(&job->epoll);
}

static int ask(struct job *job, const struct pst_app_args *args, const struct pst_addr *client)
{
	struct pst_proxy_conf *conf = &job->config->proxy;
	struct pst_sender_params params = {
		.client = *client,
		.helo = args->helo,
		.mailbox = args->from,
		.owner = job,
	};

	job->facts.client = *client;
	job->facts.set = args->helo.len ? pst_helo_facts(args->helo, client, conf->hostname, client) : 0;
	job->checks.asks_all = true;
	pst_checks_use(&job->checks, conf);
	job->knock = pst_knock_new(&job->checks, conf, client);
	if (!job->knock) {
		pst_app_complain("`dns off`: there is nobody to ask\n");
		return PST_EXIT_BAD;
	}
	job->wait.on_settled = on_knock_settled;
	pst_knock_await(job->knock, &job->wait);
	params.knock = job->knock;
	if (args->helo.len > 0 || args->from_given)
		job->sender = pst_sender_new(&job->checks, conf, &params, on_sender_done);
	job->sender_done = job->sender == NULL;
	job->limit.on_due = on_limit;
	pst_timer_set(&job->loop, &job->limit, job->loop.now_ms + WAIT_MS);
	while (!is_done(job) && !job->late)
		pst_loop_turn(&job->loop, true);
	if (job->late) {
		pst_app_complain("no answers within %d s\n", WAIT_MS / 1000);
		return PST_EXIT_BAD;
	}
	print_all(job);
	return PST_EXIT_GOOD;
}

int pst_app_ask(const struct pst_app_args *args)
{
	static struct job job;
	struct pst_addr client;
	int status;

	if (args->word_count != 1 || pst_addr_parse(pst_span_text(args->words[0]), &client)) {
		pst_app_complain("ask needs one address behind it, as in postern ask 192.0.2.1\n");
		return PST_EXIT_USAGE;
	}
	pst_mem_system_init(&job.memory);
	pst_app_machine_init(&job.machine, &job.memory.mem);
	if (pst_app_load(&job.machine, args, NULL, 1, &job.config))
		return PST_EXIT_BAD;
	status = open_job(&job);
	if (status)
		pst_app_complain("DNS cannot be started: %s\n", pst_strerror(status));
	status = status ? PST_EXIT_BAD : ask(&job, args, &client);
	close_job(&job);
	pst_proxy_conf_unref(&job.config->proxy);
	return status;
}
