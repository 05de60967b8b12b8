/* sim/plan.c - what a seed's world is like: each run has a few options of many
 *
 * Swarm: a run in which everything varies at once is always the same run. So most options are off in
 * most runs, and each is on in many; what two of them do to each other comes up often enough.
 */
#include "rules/rules_conf.h"
#include "sim/sim.h"

static bool one_in(struct pst_rng_seed *rng, uint32_t n)
{
	return pst_rng_seed_below(rng, n) == 0;
}

static uint32_t pick(struct pst_rng_seed *rng, const uint32_t *values, uint32_t count)
{
	return values[pst_rng_seed_below(rng, count)];
}

#define PICK(rng, ...)                                                                             \
	pick(rng, (const uint32_t[]){__VA_ARGS__},                                                 \
	     sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void draw_listeners(struct sim_plan *plan, struct pst_rng_seed *rng)
{
	struct pst_bytes *conf = &plan->conf;
	uint32_t count = 1;

	pst_bytes_print(conf, "hostname mx.sim.example\nlisten 192.0.2.25:25\n");
	if (plan->tls) {
		pst_bytes_print(conf, "listen 192.0.2.25:465 tls\n");
		plan->tls_listener = count++;
	}
	/* On the wire an IPv6 neighbour is who is of the same /64. */
	if (one_in(rng, 3)) {
		pst_bytes_print(conf, "listen [2001:db8:7:1::25]:25\n");
		plan->ipv6_listener = count++;
	}
	if (one_in(rng, 4)) {
		pst_bytes_print(conf, "listen 192.0.2.25:26 proxy\n");
		plan->balanced_listener = count++;
	}
	plan->listener_count = count;
}

static void draw_routes(struct sim_plan *plan, struct pst_rng_seed *rng)
{
	static const char *const passes[] = {"auto", "none", "xforward"};
	struct pst_bytes *conf = &plan->conf;

	pst_bytes_print(conf, "relay in.example to 10.0.0.1:25%s pass %s connections %u\n",
			plan->fail_over ? " 10.0.0.2:25" : "",
			passes[pst_rng_seed_below(rng, PST_COUNT(passes))],
			plan->small ? PICK(rng, 1, 2, 16) : 16);
	if (plan->two_routes)
		pst_bytes_print(conf, "relay lists.example to %s10.0.0.3:24 pass none\n",
				plan->lmtp ? "lmtp:" : "");
}

static void draw_sizes(struct sim_plan *plan, struct pst_rng_seed *rng)
{
	struct pst_bytes *conf = &plan->conf;

	plan->pool_bytes = PICK(rng, 65536, 262144, 16777216);
	plan->hold_bytes = PICK(rng, 1024, 4096, 16384, 65536);
	plan->message_bytes = PICK(rng, 32768, 1048576, 52428800, 52428800);
	plan->ledger_count = PICK(rng, 0, 4096, 4096);
	if (plan->calm)
		plan->pool_bytes = 16777216;
	pst_bytes_print(conf, "hold %u\nhold-pool %u\nmessage %u\nledger %u\n", plan->hold_bytes,
			plan->pool_bytes, plan->message_bytes, plan->ledger_count);
	if (plan->small && one_in(rng, 2))
		pst_bytes_print(conf, "recipients %u\n", PICK(rng, 1, 2, 3));
	if (plan->small)
		pst_bytes_print(conf, "limit sessions %u per-client %u errors-soft %u errors-hard %u\n",
				PICK(rng, 2, 5, 20), PICK(rng, 1, 2, 20), PICK(rng, 2, 10),
				PICK(rng, 10, 20));
	if (plan->small && one_in(rng, 2))
		pst_bytes_print(conf, "limit relay-messages %u relay-refusals %u relay-noops %u\n",
				PICK(rng, 1, 2, 100), PICK(rng, 1, 5), PICK(rng, 1, 20));
}

static void draw_times(struct sim_plan *plan, struct pst_rng_seed *rng)
{
	struct pst_bytes *conf = &plan->conf;

	pst_bytes_print(conf, "timeout early-talk %u\n", PICK(rng, 0, 0, 2));
	if (plan->calm || one_in(rng, 3))
		return;
	pst_bytes_print(conf, "timeout idle %u transaction %u reply %u drain %u rate %u\n",
			PICK(rng, 10, 60, 300), PICK(rng, 30, 600, 3600), PICK(rng, 5, 30, 240),
			PICK(rng, 1, 30), PICK(rng, 0, 500));
	pst_bytes_print(conf, "timeout relay-connect %u relay-command %u relay-data %u\n",
			PICK(rng, 5, 30), PICK(rng, 10, 300), PICK(rng, 10, 60, 600));
	pst_bytes_print(conf, "timeout relay-noop %u relay-idle %u relay-life %u\n",
			PICK(rng, 2, 60), PICK(rng, 1, 5), PICK(rng, 3, 300));
	if (one_in(rng, 2))
		pst_bytes_print(conf, "tarpit %u\n", PICK(rng, 16, 200, 5000));
}

/* This verdict from so many points on. */
static void set_line(struct sim_plan *plan, enum pst_action action, uint32_t points, const char *name)
{
	plan->lines[action] = (int32_t)points * 1000;
	pst_bytes_print(&plan->conf, "verdict %s %u%s\n", name, points,
			action == PST_ACTION_QUARANTINE ? " to spam@in.example" : "");
}

static void draw_checks(struct sim_plan *plan, struct pst_rng_seed *rng)
{
	struct pst_bytes *conf = &plan->conf;

	pst_bytes_print(conf, "trust %s\n", one_in(rng, 2) ? "none" : "192.168.0.0/16");
	/* No dice of its own: seeds of old go on as they are. */
	if (plan->two_routes)
		pst_bytes_print(conf, "os signatures any.sig\n");
	plan->bare_reject = one_in(rng, 4);
	if (plan->bare_reject)
		pst_bytes_print(conf, "bare-newline reject\n");
	if (!plan->dns)
		return;
	pst_bytes_print(conf, "dnsbl zen.example score %u\n", PICK(rng, 3, 6, 20));
	if (one_in(rng, 2))
		pst_bytes_print(conf, "dnsbl drop.example reject codes 127.0.0.2\n");
	if (one_in(rng, 2))
		pst_bytes_print(conf, "dnsbl good.example score -5 codes 127.0.0.[1-9]\n");
	if (one_in(rng, 3))
		pst_bytes_print(conf, "spf off\n");
	if (one_in(rng, 3)) /* the probe at the end does not come twice */
		pst_bytes_print(conf, "allow client 100.64.0.9\ngreylist on from %u delay %u window %u\n",
				PICK(rng, 0, 2), PICK(rng, 1, 60), PICK(rng, 120, 3600));
	plan->drops = one_in(rng, 6);
	if (plan->drops)
		set_line(plan, PST_ACTION_DROP, 8, "drop");
	else if (one_in(rng, 4))
		set_line(plan, PST_ACTION_QUARANTINE, 5, "quarantine");
	else if (one_in(rng, 4))
		set_line(plan, PST_ACTION_DEFER, 4, "defer");
	plan->enforced = !one_in(rng, 4);
	if (!plan->enforced)
		pst_bytes_print(conf, "mode %s\n", one_in(rng, 2) ? "tag" : "observe");
}

void sim_plan_draw(struct sim_plan *plan, struct pst_rng_seed *rng, enum sim_net net)
{
	plan->net = net;
	plan->enforced = true;
	for (uint32_t i = 0; i < PST_ACTION_COUNT; i++)
		plan->lines[i] = SIM_NEVER;
	plan->lines[PST_ACTION_TAG] = 5000;
	plan->lines[PST_ACTION_REJECT] = 15000;
	plan->calm = one_in(rng, 4);
	plan->tls = one_in(rng, 6);
	plan->tls_inside = plan->tls && one_in(rng, 2);
	plan->dns = !plan->calm && one_in(rng, 2);
	plan->two_routes = one_in(rng, 2);
	plan->lmtp = one_in(rng, 2);
	plan->fail_over = one_in(rng, 3);
	plan->small = !plan->calm && one_in(rng, 3);
	plan->client_count = PICK(rng, 1, 2, 4, 8, 8, 16, 16, SIM_CLIENTS_MAX);
	plan->spread_ms = PICK(rng, 0, 1000, 60000, 600000);
	plan->pipe_bytes = PICK(rng, 512, 4096, 65536);
	plan->latency_ms = PICK(rng, 0, 0, 1, 20, 500);
	if (!plan->calm) {
		plan->server_faults = PICK(rng, 0, 1, 2, 6);
		plan->server_5xx = plan->server_faults > 0 && one_in(rng, 2);
		plan->event_count = PICK(rng, 0, 0, 2, 6, SIM_EVENTS_MAX);
	}
	if (net == SIM_NET_LWIP) {
		plan->fail_over = plan->fail_over && !plan->two_routes;
		plan->client_count = PST_MIN(plan->client_count, 16);
		plan->delay_ms = PICK(rng, 0, 1, 10, 50);
		plan->jitter_ms = PICK(rng, 0, 0, 5, 50);
		plan->loss = plan->calm ? 0 : PICK(rng, 0, 5, 50, 200);
		plan->duplicate = PICK(rng, 0, 0, 20);
		plan->corrupt = plan->calm ? 0 : PICK(rng, 0, 0, 20);
		plan->reset = plan->calm ? 0 : PICK(rng, 0, 0, 2, 20);
	}
	draw_listeners(plan, rng);
	draw_routes(plan, rng);
	draw_sizes(plan, rng);
	draw_times(plan, rng);
	draw_checks(plan, rng);
}

static void draw_submission(struct sim_plan *plan, struct pst_rng_seed *rng)
{
	struct pst_bytes *conf = &plan->conf;
	bool two = plan->net == SIM_NET_MEMORY && one_in(rng, 3);

	plan->submission = plan->tls ? one_in(rng, 2) : one_in(rng, 16);
	if (!plan->submission)
		return;
	plan->tls = true;
	plan->submission_tls = one_in(rng, 3);
	plan->submission_listener = plan->listener_count++;
	pst_bytes_print(conf, "listen 192.0.2.25:587%s submission\n", plan->submission_tls ? " tls" : "");
	pst_bytes_print(conf, "submission to 10.0.0.4:587%s connections %u%s\n", two ? " 10.0.0.5:587" : "",
			plan->small ? PICK(rng, 1, 2, 40) : SIM_CLIENTS_MAX + 1,
			plan->tls_inside ? "" : " tls off");
	plan->submission_two = two;
}

static void draw_rules(struct sim_plan *plan, struct pst_rng_seed *rng)
{
	plan->rules = PST_RULES_BUILT && one_in(rng, 3);
	if (!plan->rules)
		return;
	pst_bytes_print(&plan->conf, "rules sim.cf\n");
	/* Where names are asked for, the lines are drawn already. */
	if (plan->dns)
		return;
	switch (pst_rng_seed_below(rng, 5)) {
	case 0:
		set_line(plan, PST_ACTION_REJECT, 9, "reject");
		break;
	case 1:
		set_line(plan, PST_ACTION_DEFER, 6, "defer");
		break;
	case 2:
		set_line(plan, PST_ACTION_QUARANTINE, 6, "quarantine");
		break;
	case 3:
		set_line(plan, PST_ACTION_DROP, 11, "drop");
		plan->drops = true;
		break;
	default:
		break;
	}
}

void sim_plan_draw_more(struct sim_plan *plan, uint64_t seed)
{
	struct pst_rng_seed rng;

	pst_rng_seed_init(&rng, seed ^ UINT64_C(0x304e));
	draw_submission(plan, &rng);
	draw_rules(plan, &rng);
}
