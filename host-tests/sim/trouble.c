/* sim/trouble.c - everything that goes wrong around the proxy: servers, memory, clocks, names, owners
 *
 * Servers are those of support/inside.h. What a rule can change (an answer to a command) is drawn as
 * rules; what no rule can (an end at any byte) is laid around their connections here.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sim/wire.h"

static bool one_in(struct pst_rng_seed *rng, uint32_t n)
{
	return pst_rng_seed_below(rng, n) == 0;
}

static struct sim *sim_of(struct pst_stage *stage)
{
	return PST_CONTAINER(stage, struct sim, stage);
}

/* --- servers ----------------------------------------------------------------------------------- */

static struct pst_inside_rule *rule(struct pst_inside *inside, const char *prefix, const char *reply)
{
	struct pst_inside_rule *made = pst_inside_rule_add(inside);

	PST_BUG_ON(!made);
	*made = (struct pst_inside_rule){.times_left = UINT32_MAX};
	pst_bytes_print(&made->prefix, "%s", prefix);
	pst_bytes_print(&made->reply, "%s", reply);
	return made;
}

/* What is offered in the clear; behind STARTTLS it is the same, and nobody may take it up again. */
static void offer_tls(struct pst_inside *inside)
{
	(void)rule(inside, "EHLO",
		   "250-in.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-STARTTLS\r\n"
		   "250 SIZE 60000000\r\n");
	(void)rule(inside, "LHLO",
		   "250-in.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 STARTTLS\r\n");
}

static void offer_identity(struct sim *sim, struct pst_inside *inside)
{
	static const char *const offers[] = {
		("250-in.example\r\n250-XFORWARD NAME ADDR PROTO HELO\r\n250-PIPELINING\r\n"
		 "250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"),
		"250-in.example\r\n250-XCLIENT NAME ADDR PROTO HELO\r\n250 8BITMIME\r\n",
		"250-in.example\r\n250-SIZE 100000\r\n250 PIPELINING\r\n",
		"250 in.example\r\n",
	};

	uint32_t which = pst_rng_seed_below(&sim->server_rng, PST_COUNT(offers));

	if (sim->plan.calm || one_in(&sim->server_rng, 2))
		return;
	(void)rule(inside, "EHLO", offers[which]);
	if (which == 2)
		sim->plan.message_bytes = PST_MIN(sim->plan.message_bytes, 100000);
}

/* Users log in here: what is offered, and what may go wrong with it. */
static void serve_users(struct sim *sim, struct pst_inside *inside)
{
	static const char *const soft[] = {"454 4.7.0 not now\r\n", "421 4.3.2 closing\r\n", "", "4", "250 what\r\n",
					   "what?\r\n", "432 4.7.12 change it\r\n"};
	static const char *const hard[] = {"535 5.7.8 no\r\n", "500 what\r\n", "534 5.7.9 too weak\r\n"};
	struct pst_rng_seed *rng = &sim->server_rng;
	const char *tls = sim->plan.tls_inside ? "250-STARTTLS\r\n" : "";
	const char *auth = sim->plan.server_faults > 0 && one_in(rng, 6) ? "" : "250-AUTH LOGIN PLAIN\r\n";
	struct pst_inside_rule *made = rule(inside, "EHLO", "250-in.example\r\n250-8BITMIME\r\n");

	inside->on_login = sim_login_check;
	pst_bytes_print(&made->reply, "%s%s250-PIPELINING\r\n250 SIZE 60000000\r\n", auth, tls);
	for (uint32_t i = pst_rng_seed_below(rng, 3); i > 0 && sim->plan.server_faults > 0; i--) {
		made = rule(inside, one_in(rng, 2) ? "auth" : "auth end",
			    sim->plan.server_5xx && one_in(rng, 3) ? hard[pst_rng_seed_below(rng, PST_COUNT(hard))]
								   : soft[pst_rng_seed_below(rng, PST_COUNT(soft))]);
		made->times_left = 1 + pst_rng_seed_below(rng, 4);
		if (one_in(rng, 4))
			made->end = PST_PEER_SHUT + (enum pst_peer_end)pst_rng_seed_below(rng, 3);
	}
}

static void draw_fault(struct sim *sim, struct pst_inside *inside)
{
	static const char twice[] = "250 2.0.0 ok\r\n250 2.0.0 ok\r\n";
	static const char *const prefixes[] = {
		"connect", "EHLO", "LHLO", "MAIL", "RCPT", "DATA", ".", ". <u", "RSET", "NOOP", "XFORWARD",
		"XCLIENT",
	};
	static const char *const soft[] = {
		"450 4.2.0 busy\r\n", "451-4.3.0 one\r\n451 4.3.0 two\r\n", "421 4.3.2 closing\r\n",
		"4", "25", "", "", "250", "250-half\r\n", "what?\r\n", "\r\n", "999 9.9.9\r\n",
		twice, "354 go on\r\n", "250 \001\377\r\n",
	};
	static const char *const hard[] = {
		"550 5.1.1 no such user\r\n", "554 no\r\n", "552 5.2.2 full\r\n", "500 what\r\n",
		"550 5.7.1 relaying denied\r\n",
	};
	struct pst_rng_seed *rng = &sim->server_rng;
	const char *reply = sim->plan.server_5xx && one_in(rng, 2)
				    ? hard[pst_rng_seed_below(rng, PST_COUNT(hard))]
				    : soft[pst_rng_seed_below(rng, PST_COUNT(soft))];
	struct pst_inside_rule *made;

	sim->plan.server_raves |= reply == twice;
	made = rule(inside, prefixes[pst_rng_seed_below(rng, PST_COUNT(prefixes))], reply);

	/* Nobody can tell a good word that comes before the dot from one that comes behind it. */
	if (one_in(rng, 6) && made->reply.at[0] != '2') {
		pst_bytes_cut(&made->prefix, 0);
		made->body_bytes = 1 + pst_rng_seed_below(rng, 100000);
	}
	/* Whoever speaks before the dot has spoken: it will not say something else behind it. */
	if (made->body_bytes > 0 && made->reply.len > 0) {
		made->end = one_in(rng, 2) ? PST_PEER_CLOSE : PST_PEER_RESET;
		return;
	}
	if (!one_in(rng, 4))
		made->times_left = 1 + pst_rng_seed_below(rng, 4);
	if (one_in(rng, 3))
		made->end = PST_PEER_SHUT + (enum pst_peer_end)pst_rng_seed_below(rng, 3);
	made->deaf = one_in(rng, 12);
}

/* LMTP: recipients of one message that fare differently, by their place in it. */
static void draw_fates(struct sim *sim, struct pst_inside *inside)
{
	static const char *const fates[] = {"450 4.2.0 later\r\n", "250 2.0.0 ok\r\n",
					    "550 5.7.1 not you\r\n"};
	struct pst_rng_seed *rng = &sim->server_rng;
	char prefix[20];

	for (uint32_t i = 0; i < 3; i++) {
		uint32_t which = pst_rng_seed_below(rng, sim->plan.server_5xx ? 3 : 2);

		snprintf(prefix, sizeof(prefix), ". <u%u.", pst_rng_seed_below(rng, 4));
		rule(inside, prefix, fates[which])->times_left = 1 + pst_rng_seed_below(rng, 6);
	}
}

/* Its connections may also end anywhere. What inside.h does on a new one, it does first. */
static void (*inside_on_peer)(struct pst_door *door, struct pst_peer *peer);

static void on_peer(struct pst_door *door, struct pst_peer *peer)
{
	struct sim *sim = sim_of(door->stage);
	struct pst_rng_seed *rng = &sim->server_rng;

	/* For the trace: which server, and its how manieth connection. */
	peer->address = door->address;
	peer->address.port = (uint16_t)++sim->connection_count;
	if (sim->plan.tls_inside)
		sim_server_tls_new(sim, door, peer, inside_on_peer);
	else
		inside_on_peer(door, peer);
	peer->gap_ms = sim->plan.latency_ms;
	peer->next_ms = sim->stage.sim.mono_ms + peer->gap_ms;
	if (sim->stopped || sim->plan.server_faults == 0)
		return;
	peer->cut = one_in(rng, 8) && sim->plan.net == SIM_NET_MEMORY ? PST_CUT_BYTES :
		    one_in(rng, 2) ? PST_CUT_RANDOM :
				     PST_CUT_WHOLE;
	if (peer->cut == PST_CUT_BYTES)
		peer->gap_ms = PST_MIN(peer->gap_ms, 1);
	if (!one_in(rng, 6))
		return;
	peer->end_early = (uint8_t)(PST_PEER_SHUT + pst_rng_seed_below(rng, 3));
	if (one_in(rng, 2))
		peer->end_in = 1 + pst_rng_seed_below(rng, one_in(rng, 2) ? 300 : 20000);
	else
		peer->end_out = 1 + pst_rng_seed_below(rng, 500);
}

static void server_new(struct sim *sim, const char *text)
{
	struct pst_inside *inside;
	struct pst_addr address;

	PST_BUG_ON(pst_addr_parse_port(pst_span_text(text), &address) < 0);
	inside = pst_inside_new(&sim->stage, &address, sim->server_count + 1);
	sim->servers[sim->server_count++] = inside;
	inside_on_peer = inside->door->on_peer;
	inside->door->on_peer = on_peer;
	if (address.port == 587)
		serve_users(sim, inside);
	else if (sim->plan.tls_inside)
		offer_tls(inside);
	else
		offer_identity(sim, inside);
	(void)rule(inside, "RCPT TO:<unknown", "550 5.1.1 no such user\r\n");
	for (uint32_t i = 0; i < sim->plan.server_faults; i++)
		draw_fault(sim, inside);
	if (sim->plan.server_faults > 0 && address.port == 24)
		draw_fates(sim, inside);
	pst_door_open(inside->door, true);
}

void sim_servers_open(struct sim *sim)
{
	pst_rng_seed_init(&sim->server_rng, sim->seed ^ UINT64_C(0x5e44e45));
	server_new(sim, "10.0.0.1:25");
	if (sim->plan.fail_over)
		server_new(sim, "10.0.0.2:25");
	if (sim->plan.two_routes)
		server_new(sim, "10.0.0.3:24");
	if (sim->plan.submission)
		server_new(sim, "10.0.0.4:587");
	if (sim->plan.submission && sim->plan.submission_two)
		server_new(sim, "10.0.0.5:587");
}

void sim_servers_close(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->server_count; i++)
		pst_inside_free(sim->servers[i]);
}

/* --- names ------------------------------------------------------------------------------------- */

static const char *const names_good =
	"2.0.0.127.zen.example A 127.0.0.2\n2.0.0.127.drop.example A 127.0.0.2\n"
	"2.0.0.127.good.example A 127.0.0.2\nout.example TXT v=spf1 ip4:203.0.113.0/24 ~all\n";

static void draw_names(struct sim *sim)
{
	static const char *const odd[] = {
		"* A servfail\n", "* TXT timeout\n", "* PTR timeout\n", "* A timeout\n",
		"1.0.0.127.zen.example A 127.0.0.2\n", "* A 127.0.0.4\n", "* TXT v=spf1 -all\n",
		"* TXT v=spf1 include:out.example\n", "* A 127.255.255.254\n", "* PTR ours\n",
		"out.example TXT servfail\n", "* A 127.0.0.3 after=9000\n", "* PTR x.example after=3000\n",
	};
	struct pst_rng_seed *rng = &sim->server_rng;

	pst_dns_zone_clear(&sim->zone);
	PST_BUG_ON(!pst_dns_zone_add(&sim->zone, names_good));
	for (uint32_t i = pst_rng_seed_below(rng, 4); i > 0; i--)
		PST_BUG_ON(!pst_dns_zone_add(&sim->zone,
					     odd[pst_rng_seed_below(rng, PST_COUNT(odd))]));
	for (uint32_t i = pst_rng_seed_below(rng, 16); i > 0; i--) {
		static const char *const zones[] = {"zen", "drop", "good"};
		char line[100];

		snprintf(line, sizeof(line), "%u.113.0.203.%s.example A 127.0.0.%u after=%u\n",
			 1 + pst_rng_seed_below(rng, 12), zones[pst_rng_seed_below(rng, 3)],
			 2 + pst_rng_seed_below(rng, 9), pst_rng_seed_below(rng, 3000));
		PST_BUG_ON(!pst_dns_zone_add(&sim->zone, line));
	}
}

/* --- events ------------------------------------------------------------------------------------ */

enum kind {
	MEMORY_ONCE,
	MEMORY_GONE,
	MEMORY_BACK,
	WALL_FORTH,
	WALL_BACK,
	WALL_UNSET,
	STALL,
	RELOAD,
	RELOAD_OTHER,
	DOOR_SHUT,
	DOOR_OPEN,
	NAMES,
	DRAIN,
	PARTED,
	ONE_WAY,
	KINDS
};

static void reload(struct sim *sim, bool other)
{
	static const char *const lines[] = {
		"limit sessions 3", "hold 2K", "mode observe", "ledger 16", "bare-newline normalize",
		"timeout idle 20", "verdict reject off",
	};
	struct pst_span line = pst_span_text(
		lines[pst_rng_seed_below(&sim->server_rng, PST_COUNT(lines))]);
	struct pst_config *config = pst_stage_load(&sim->stage, (const char *)sim->plan.conf.at,
						   &line, other ? 1 : 0);
	struct pst_addr failed;

	if (!config) {
		sim_wrong(sim, "a reload failed: %s", (const char *)sim->stage.complaints.at);
		return;
	}
	sim->reloaded |= other;
	sim_tls_attach(sim, config);
	sim_score_attach(sim, config);
	if (pst_proxy_reload(sim->stage.proxy, &config->proxy, &failed) < 0)
		pst_proxy_conf_unref(&config->proxy);
}

/* Memory of the proxy's or, on a wire, of everybody's TCP/IP: the n-th request from now fails. */
static void fail_memory(struct sim *sim, uint32_t number, bool persistent)
{
	struct pst_alloc_fail *alloc = &sim->stage.alloc;

	if (sim->wire && number % 2)
		alloc = &sim->wire_memory;
	sim->failing = true;
	pst_alloc_fail_at(alloc, 1 + number % 30, persistent);
}

static void restore_memory(struct sim *sim)
{
	pst_alloc_fail_at(&sim->stage.alloc, 0, false);
	pst_alloc_fail_at(&sim->wire_memory, 0, false);
}

/* The world's own listener is not part of the trouble. */
static void open_door(struct sim *sim, struct pst_inside *inside, bool open)
{
	struct pst_alloc_fail before = sim->wire_memory;

	pst_alloc_fail_at(&sim->wire_memory, 0, false);
	pst_door_open(inside->door, open);
	sim->wire_memory.fail_at = before.fail_at;
	sim->wire_memory.request_count = before.request_count;
	sim->wire_memory.persistent = before.persistent;
}

static void on_event(struct pst_timer *timer)
{
	struct sim_event *event = PST_CONTAINER(timer, struct sim_event, timer);
	struct sim *sim = event->sim;
	struct pst_stage *stage = &sim->stage;
	struct pst_inside *inside = sim->servers[event->number % sim->server_count];

	if (sim->stopped)
		return;
	sim_trace(sim, "trouble %u, %u", event->kind, event->number);
	switch ((enum kind)event->kind) {
	case MEMORY_ONCE:
	case MEMORY_GONE:
		fail_memory(sim, event->number, event->kind == MEMORY_GONE);
		break;
	case MEMORY_BACK:
		restore_memory(sim);
		break;
	case WALL_FORTH:
		stage->sim.wall_ms += event->number * UINT64_C(1000);
		break;
	case WALL_BACK:
		stage->sim.wall_ms -= PST_MIN(stage->sim.wall_ms, event->number * UINT64_C(1000));
		break;
	case WALL_UNSET:
		stage->sim.wall_ms = 0;
		break;
	case STALL:
		/* The machine slept, or a callback was slow. */
		pst_poller_sim_pass(&stage->sim, event->number % 100000);
		break;
	case RELOAD:
	case RELOAD_OTHER:
		if (!sim->drained)
			reload(sim, event->kind == RELOAD_OTHER);
		break;
	case DOOR_SHUT:
	case DOOR_OPEN:
		open_door(sim, inside, event->kind == DOOR_OPEN);
		break;
	case NAMES:
		draw_names(sim);
		break;
	case DRAIN:
		/* It ends the run for everybody: seldom, then. */
		if (event->number % 4 == 0) {
			sim->drained = true;
			pst_proxy_drain(stage->proxy);
		}
		break;
	case PARTED:
	case ONE_WAY:
		if (sim->wire)
			sim_wire_part(sim->wire, event->number, true, event->kind == PARTED,
				      event->number % 300000);
		break;
	case KINDS:
		break;
	}
}

void sim_events_draw(struct sim *sim)
{
	if (sim->plan.dns)
		draw_names(sim);
	for (uint32_t i = 0; i < sim->plan.event_count; i++) {
		struct sim_event *event = &sim->events[i];

		event->sim = sim;
		event->timer.on_due = on_event;
		/* Memory is what everything needs. */
		event->kind = (uint8_t)pst_rng_seed_below(
			&sim->rng, one_in(&sim->rng, 3) ? MEMORY_BACK + 1 : KINDS);
		event->number = pst_rng_seed_below(&sim->rng, 1000000);
		pst_timer_set(&sim->stage.loop, &event->timer,
			      sim->stage.loop.now_ms +
				      pst_rng_seed_below(&sim->rng, sim->plan.spread_ms + 30000));
	}
}

void sim_troubles_stop(struct sim *sim)
{
	sim->stopped = true;
	restore_memory(sim);
	for (struct pst_peer *peer = sim->stage.peers; peer; peer = peer->next)
		peer->end_in = peer->end_out = 0;
	for (uint32_t i = 0; i < sim->plan.event_count; i++)
		pst_timer_cancel(&sim->stage.loop, &sim->events[i].timer);
	for (uint32_t i = 0; i < sim->server_count; i++) {
		struct pst_inside *inside = sim->servers[i];

		pst_inside_forgive(inside);
		pst_door_open(inside->door, true);
	}
	sim_server_tls_flush(sim);
	pst_dns_zone_clear(&sim->zone);
	PST_BUG_ON(!pst_dns_zone_add(&sim->zone, names_good));
}
