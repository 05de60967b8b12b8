/* proxy/checks.c - pools, and the lists' tests */
#include "proxy/checks.h"

#include "proxy/knock.h"
#include "proxy/sender.h"

static uint32_t knock_count_max(const struct pst_proxy_conf *conf)
{
	/* Of sessions, of transactions that outlive theirs, and of hops behind trusted clients. */
	return 2 * conf->session_count_max + 8;
}

static uint32_t sender_count_max(const struct pst_proxy_conf *conf)
{
	return conf->session_count_max / 4 + 8;
}

uint64_t pst_checks_bound(const struct pst_proxy_conf *conf)
{
	if (conf->dns.off)
		return 0;
	return (uint64_t)knock_count_max(conf) * sizeof(struct pst_knock) +
	       (uint64_t)conf->session_count_max * pst_knock_work_bytes() +
	       (uint64_t)sender_count_max(conf) * sizeof(struct pst_sender) +
	       pst_asks_bound(PST_CHECK_SLOTS);
}

uint32_t pst_checks_timers_max(void)
{
	return PST_CHECK_SLOTS + 1; /* a deadline for each question, and the next test */
}

/* ---- tests of lists -------------------------------------------------------------------------- */

const struct pst_dns_servers *pst_checks_servers(const struct pst_zones *zones, uint16_t zone)
{
	const struct pst_dns_servers *servers = &zones->health[zone - 1].servers;

	return servers->count > 0 ? servers : NULL;
}

static bool test_ask(void *check, struct pst_question *question)
{
	return pst_zone_test_ask(check, question);
}

static void test_answer(void *check, uint16_t id, const struct pst_dns_answer *answer)
{
	struct pst_checks *checks = PST_CONTAINER(check, struct pst_checks, test);

	checks->test.zones->now_ms = checks->env->loop->now_ms;
	pst_zone_test_answer(check, id, answer);
}

static const struct pst_dns_servers *test_servers(void *check, uint16_t zone)
{
	return pst_checks_servers(((struct pst_zone_test *)check)->zones, zone);
}

static const struct pst_ask_ops test_ops = {test_ask, test_answer, test_servers};

static void log_zone(struct pst_checks *checks, const struct pst_zones *zones, uint32_t zone)
{
	const struct pst_zone_health *health = &zones->health[zone];
	struct pst_log *log = checks->env->log;
	bool rests = health->state == PST_ZONE_RESTING;

	pst_log_begin(log, rests || health->lists_nothing ? PST_LOG_WARNING : PST_LOG_INFO, "dnsbl");
	pst_log_span(log, "zone", zones->conf->zones[zone].shown);
	pst_log_text(log, "state", rests ? "resting" : "good");
	if (health->why)
		pst_log_text(log, "reason", health->why);
	else if (health->lists_nothing)
		pst_log_text(log, "reason",
			     pst_zones_rebind_suspected(zones)
				     ? "test entry missing, as of others: the resolver seems to take "
				       "127/8 out of answers; allow it (dnsmasq: rebind_domain or "
				       "rebind_localhost), or name other servers by `dns`"
				     : "test entry missing");
	if (rests)
		pst_log_u64(log, "seconds", health->rest_ms / 1000);
	pst_log_end(log);
}

void pst_checks_tell_zones(struct pst_checks *checks, struct pst_proxy_conf *conf)
{
	struct pst_zones *zones = conf->zones;

	if (!zones->changed)
		return;
	zones->changed = false;
	for (uint32_t i = 0; i < zones->conf->zone_count; i++)
		if (zones->health[i].state == PST_ZONE_RESTING && !zones->health[i].told) {
			zones->health[i].told = true;
			log_zone(checks, zones, i);
		}
	if (conf == checks->conf)
		pst_loop_resume(checks->env->loop, &checks->test_task);
}

static void on_test_answered(struct pst_ask *ask)
{
	struct pst_checks *checks = PST_CONTAINER(ask, struct pst_checks, test_ask);
	struct pst_zones *zones = checks->conf->zones;

	if (!pst_zone_test_done(&checks->test))
		return;
	pst_ask_end(ask);
	checks->testing = false;
	if (zones->health[checks->test.zone].state == PST_ZONE_GOOD &&
	    zones->conf->zones[checks->test.zone].selftest)
		log_zone(checks, zones, checks->test.zone);
	pst_checks_tell_zones(checks, checks->conf);
	pst_loop_resume(checks->env->loop, &checks->test_task);
}

/* The next test that is due, or when it will be. */
static void on_test_task(struct pst_task *task)
{
	struct pst_checks *checks = PST_CONTAINER(task, struct pst_checks, test_task);
	struct pst_zones *zones = checks->conf ? checks->conf->zones : NULL;
	uint64_t next_ms;
	uint32_t zone;

	while (zones && !checks->testing) {
		zones->now_ms = checks->env->loop->now_ms;
		if (!pst_zones_due(zones, &zone, &next_ms)) {
			if (next_ms != UINT64_MAX)
				pst_timer_set(checks->env->loop, &checks->test_timer, next_ms);
			return;
		}
		pst_zone_test_begin(&checks->test, zones, zone);
		if (pst_zone_test_done(&checks->test))
			continue;
		checks->testing = true;
		pst_ask_begin(&checks->test_ask, &checks->asks, &test_ops, &checks->test,
			      zones->now_ms + PST_ZONE_TEST_WAIT_MS, on_test_answered);
	}
}

static void on_test_due(struct pst_timer *timer)
{
	struct pst_checks *checks = PST_CONTAINER(timer, struct pst_checks, test_timer);

	on_test_task(&checks->test_task);
}

/* ---- life ------------------------------------------------------------------------------------ */

void pst_checks_init(struct pst_checks *checks, const struct pst_proxy_env *env,
		     const struct pst_proxy_conf *conf)
{
	*checks = (struct pst_checks){.env = env};
	checks->test_timer.on_due = on_test_due;
	checks->test_task.on_run = on_test_task;
	pst_rate_init(&checks->rate,
		      (struct pst_hash_key){pst_rng_u64(env->rng), pst_rng_u64(env->rng)});
	pst_asks_init(&checks->asks, env->dns, env->loop, env->mem, PST_CHECK_SLOTS);
	pst_pool_init(&checks->knocks, "knock", env->mem, sizeof(struct pst_knock),
		      knock_count_max(conf), 16);
	pst_pool_init(&checks->knock_works, "knock work", env->mem, pst_knock_work_bytes(),
		      conf->session_count_max, 4);
	pst_pool_init(&checks->senders, "sender", env->mem, sizeof(struct pst_sender),
		      sender_count_max(conf), 2);
}

void pst_checks_stop(struct pst_checks *checks)
{
	pst_ask_end(&checks->test_ask);
	checks->testing = false;
	pst_timer_cancel(checks->env->loop, &checks->test_timer);
	pst_loop_forget(&checks->test_task);
	if (checks->conf)
		pst_proxy_conf_unref(checks->conf);
	checks->conf = NULL;
}

void pst_checks_use(struct pst_checks *checks, struct pst_proxy_conf *conf)
{
	struct pst_proxy_conf *old = checks->conf;

	if (!pst_checks_active(checks) || conf->zones == NULL)
		return;
	for (uint32_t i = 0; old && i < conf->dnsbl.zone_count; i++)
		for (uint32_t k = 0; k < old->dnsbl.zone_count; k++)
			if (pst_span_eq(old->dnsbl.zones[k].zone, conf->dnsbl.zones[i].zone)) {
				conf->zones->health[i] = old->zones->health[k];
				/* One that was being tested is tested anew. */
				if (conf->zones->health[i].test_due_ms == UINT64_MAX)
					conf->zones->health[i].test_due_ms = 0;
			}
	pst_checks_stop(checks);
	checks->conf = pst_proxy_conf_ref(conf);
	pst_loop_resume(checks->env->loop, &checks->test_task);
}

void pst_checks_fini(struct pst_checks *checks)
{
	pst_checks_stop(checks);
	pst_pool_fini(&checks->senders);
	pst_pool_fini(&checks->knock_works);
	pst_pool_fini(&checks->knocks);
	pst_asks_fini(&checks->asks);
}
