/* sim/world.c - a seed's run from its beginning to its end */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mail/charset_iconv.h"
#include "sim/sim.h"
#include "sim/wire.h"

#define SLICE_MS 60000
#define HORIZON_MS (3 * 3600000)
#define PROBE_MS 120000
#define DNS_TIMERS 512
/* Of our own TCP/IP: what one end keeps, and the other's window. */
#ifdef CONFIG_POSTERN_LWIP
#define WIRE_BYTES (1024 * (CONFIG_POSTERN_LWIP_SEND_KIB + CONFIG_POSTERN_LWIP_WINDOW_KIB))
#else
#define WIRE_BYTES 0
#endif

/* --- telling ----------------------------------------------------------------------------------- */

void sim_hash(struct sim *sim, const void *bytes, uint32_t len)
{
	const uint8_t *at = bytes;

	while (len > 0) {
		uint32_t step = PST_MIN(len, (uint32_t)sizeof(uint64_t));
		uint64_t word = 0;

		memcpy(&word, at, step);
		sim->hash = (sim->hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		sim->hash ^= sim->hash >> 32;
		at += step;
		len -= step;
	}
}

void sim_trace(struct sim *sim, const char *format, ...)
{
	va_list args;

	if (!sim->verbose)
		return;
	printf("%9llu ", (unsigned long long)(sim->stage.sim.mono_ms - 1000000));
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

static void trace_bytes(struct sim *sim, const struct pst_peer *peer, const char *way,
			struct pst_span bytes)
{
	uint8_t text[PST_ADDR_TEXT_MAX], area[700];
	struct pst_buf name, shown;

	pst_buf_init(&name, text, sizeof(text));
	pst_addr_put_port(&name, &peer->address);
	pst_buf_init(&shown, area, sizeof(area));
	pst_buf_put_escaped(&shown, bytes, 160);
	sim_trace(sim, "%.*s %s %.*s", (int)name.len, (const char *)text, way, (int)shown.len,
		  (const char *)area);
}

static void on_bytes(struct pst_peer *peer, bool by_proxy, struct pst_span bytes)
{
	struct sim *sim = PST_CONTAINER(peer->stage, struct sim, stage);

	sim_hash(sim, &sim->stage.sim.mono_ms, sizeof(uint64_t));
	sim_hash(sim, &peer->address.port, sizeof(uint16_t));
	sim_hash(sim, bytes.at, bytes.len);
	if (sim->verbose)
		trace_bytes(sim, peer, by_proxy ? "<" : ">", bytes);
}

/* --- phases ------------------------------------------------------------------------------------ */

static bool all_over(const struct sim *sim)
{
	for (uint32_t i = 0; i < sim->plan.client_count; i++) {
		const struct sim_client *client = &sim->clients[i];

		if (pst_timer_armed(&client->timer) || (client->peer && client->peer->open))
			return false;
	}
	return pst_list_empty(&sim->stage.proxy->txns.all);
}

static void pass(struct sim *sim, uint64_t ms)
{
	pst_stage_pass(&sim->stage, ms);
	if (sim->stage.wild)
		sim_wrong(sim, "the proxy never comes to rest");
}

/*  ret false: there is no proxy, for want of memory */
static bool begin(struct sim *sim)
{
	struct sim_plan *plan = &sim->plan;
	struct pst_config *config =
		pst_stage_load(&sim->stage, (const char *)plan->conf.at, NULL, 0);

	if (!config) {
		sim_wrong(sim, "the configuration is bad: %s", (const char *)sim->stage.complaints.at);
		return false;
	}
	sim_tls_attach(sim, config);
	sim_score_attach(sim, config);
	pst_dns_zone_init(&sim->zone, &sim->stage.loop);
	pst_stage_open(&sim->stage, &config->proxy);
	sim_servers_open(sim);
	PST_BUG_ON(!pst_stage_begin(&sim->stage, config));
	pass(sim, 1000);
	sim_events_draw(sim);
	for (uint32_t i = 0; i < plan->client_count; i++)
		sim_client_init(sim, &sim->clients[i], i);
	return true;
}

/* Whoever is still connected says no more, and does not hang up: the proxy must. */
static void freeze_clients(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->plan.client_count; i++) {
		struct sim_client *client = &sim->clients[i];

		pst_timer_cancel(&sim->stage.loop, &client->timer);
		client->left = true;
		if (client->peer)
			client->peer->said = client->peer->out.len;
	}
}

/* How long a session can last whose client does nothing more: what is on its way is read, of an offender at
 * a rate; its own idle time, our answer that is owed before that, room that must come first, and the last words. */
static uint64_t session_patience_ms(const struct sim *sim, const struct pst_proxy_conf *conf)
{
	uint64_t on_its_way = sim->plan.net == SIM_NET_LWIP ? WIRE_BYTES : sim->plan.pipe_bytes;
	uint64_t held_ms = conf->tarpit_bytes_per_s ? on_its_way * 1000 / conf->tarpit_bytes_per_s : 0;

	return held_ms + conf->idle_ms + conf->reply_ms + 2 * (uint64_t)conf->relay.final_ms + 60000;
}

/* And a transaction that has left its client, or never had an answer. */
static uint64_t transaction_patience_ms(const struct pst_proxy_conf *conf)
{
	return (uint64_t)conf->relay.final_ms + 3 * (uint64_t)conf->relay.command_ms +
	       3 * (uint64_t)conf->relay.connect_ms +
	       (uint64_t)conf->relay.noop_ms * conf->relay.noop_count_max + 60000;
}

static void check_quiet(struct sim *sim)
{
	const struct pst_proxy *proxy = sim->stage.proxy;
	const struct pst_pool *pools[] = {&proxy->session_pool, &proxy->txns.pool, &proxy->in_pool,
					  &proxy->out_pool, &proxy->hold.pages, &proxy->clients.pool};

	for (uint32_t i = 0; i < PST_COUNT(pools); i++)
		if (pools[i]->used_count > 0)
			sim_wrong(sim, "%u blocks of the pool \"%s\" are still used",
				  pools[i]->used_count, pools[i]->name);
	if (proxy->hold.shared_used > 0)
		sim_wrong(sim, "%u pages are still charged", proxy->hold.shared_used);
	if (proxy->handshake_count > 0)
		sim_wrong(sim, "%u handshakes are still counted", proxy->handshake_count);
}

/* Does it work, now that nothing is wrong any more? */
static void probe(struct sim *sim)
{
	static const char *const lines[] = {
		"EHLO probe.example\r\n", "MAIL FROM:<m0@out.example>\r\n",
		"RCPT TO:<u0@in.example>\r\n", "DATA\r\n", "Subject: probe\r\n\r\ntext\r\n.\r\n",
		"QUIT\r\n",
	};
	static const char *const codes[] = {"220 ", "250 ", "250 ", "250 ", "354 ", "250 ", "221 "};
	struct pst_addr from;
	struct pst_peer *peer;
	struct pst_span rest;

	PST_BUG_ON(pst_addr_parse(PST_SPAN("100.64.0.9"), &from) < 0);
	peer = pst_stage_connect(&sim->stage, &from, 0);
	for (uint32_t i = 0; i < PST_COUNT(codes); i++) {
		uint64_t until_ms = sim->stage.sim.mono_ms + PROBE_MS;
		bool told = false;

		while (!told && sim->stage.sim.mono_ms < until_ms && peer->open && !peer->broken) {
			pass(sim, sim->plan.net == SIM_NET_LWIP ? 100 : 500);
			rest = pst_bytes_from(&peer->in, peer->looked);
			while (rest.len > 0 && pst_span_find(rest, '\n') >= 0 && !told) {
				uint32_t len = (uint32_t)pst_span_find(rest, '\n') + 1;

				told = pst_span_starts_nocase(rest, pst_span_text(codes[i]));
				peer->looked += len;
				rest = pst_span_sub(rest, len, rest.len);
			}
		}
		if (!told) {
			sim_wrong(sim, "with all troubles over, nothing works: %s",
				  peer->in.at ? (const char *)peer->in.at : "silence");
			break;
		}
		if (i < PST_COUNT(lines))
			pst_peer_say(peer, pst_span_text(lines[i]));
	}
	pst_peer_end(peer, PST_PEER_CLOSE);
	pass(sim, 10000);
}

static void drain(struct sim *sim)
{
	struct pst_proxy *proxy = sim->stage.proxy;

	if (!proxy->draining)
		pst_proxy_drain(proxy);
	pass(sim, proxy->conf->drain_ms);
	pst_proxy_drain(proxy);
	pass(sim, 10000);
	if (!sim->stage.drained)
		sim_wrong(sim, "it does not drain");
}

/* Connections to servers whose end was lost on the wire are given up at deadlines of their own; until
 * then they may take the places of better ones. */
static void let_relay_rest(struct sim *sim)
{
	const struct pst_proxy *proxy = sim->stage.proxy;
	const struct pst_relay_conf *conf = &proxy->conf->relay;
	uint64_t until_ms = sim->stage.sim.mono_ms + conf->command_ms + conf->final_ms + 60000;

	while (pst_relay_connection_count(proxy->relay) > 0 &&
	       sim->stage.sim.mono_ms < until_ms)
		pass(sim, 1000);
}

/* Nobody does anything any more: everything must end by itself. */
static void await_ends(struct sim *sim)
{
	const struct pst_proxy *proxy = sim->stage.proxy;
	uint64_t until_ms = sim->stage.sim.mono_ms + session_patience_ms(sim, proxy->conf);

	while (pst_proxy_session_count(proxy) > 0 && sim->stage.sim.mono_ms < until_ms)
		pass(sim, SLICE_MS);
	if (pst_proxy_session_count(proxy) > 0)
		sim_wrong(sim, "%u sessions outlive every deadline", pst_proxy_session_count(proxy));
	until_ms = sim->stage.sim.mono_ms + transaction_patience_ms(proxy->conf);
	while (!pst_list_empty(&proxy->txns.all) && sim->stage.sim.mono_ms < until_ms)
		pass(sim, SLICE_MS);
	if (!pst_list_empty(&proxy->txns.all))
		sim_wrong(sim, "transactions outlive every deadline");
}

static void live(struct sim *sim)
{
	uint64_t until_ms;

	if (!begin(sim))
		return;
	until_ms = sim->stage.sim.mono_ms + HORIZON_MS;
	while (!all_over(sim) && sim->stage.sim.mono_ms < until_ms && sim->wrong.len == 0)
		pass(sim, sim->stage.sim.mono_ms + SLICE_MS < until_ms ? 1000 : SLICE_MS);
	freeze_clients(sim);
	sim_troubles_stop(sim);
	if (sim->wire)
		sim_wire_calm(sim->wire);
	await_ends(sim);
	if (!sim->drained && sim->wrong.len == 0) {
		let_relay_rest(sim);
		probe(sim);
	}
	drain(sim);
	check_quiet(sim);
	sim_book_close(sim);
	sim_login_close(sim);
	if (sim->stage.alloc.byte_peak > sim->stage.bound)
		sim_wrong(sim, "it took %llu bytes of %llu",
			  (unsigned long long)sim->stage.alloc.byte_peak,
			  (unsigned long long)sim->stage.bound);
	sim_hash(sim, sim->stage.log_text.at, sim->stage.log_text.len);
}

static void free_letters(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->letter_count; i++)
		sim_letter_free(sim->letters[i]);
	free(sim->letters);
}

bool sim_run(struct sim *sim, uint64_t seed, enum sim_net net, uint32_t version)
{
	struct pst_stage_plan stage = {0};
	bool verbose = sim->verbose;
	const char *pcap = sim->pcap;

	memset(sim, 0, sizeof(*sim));
	sim->verbose = verbose;
	sim->pcap = pcap;
	sim->seed = seed;
	sim->version = version;
	sim->hash = UINT64_C(0xcbf29ce484222325);
	pst_rng_seed_init(&sim->rng, seed);
	sim_plan_draw(&sim->plan, &sim->rng, net);
	if (version >= SIM_VERSION_MORE)
		sim_plan_draw_more(&sim->plan, seed);
	if (net == SIM_NET_LWIP)
		sim->wire = sim_wire_new(sim);
	stage.wire = sim->wire;
	stage.pipe_bytes = sim->plan.pipe_bytes;
	stage.seed = seed;
	stage.rng_seed = seed + 1;
	stage.dns = sim->plan.dns ? &sim->zone.dns : NULL;
	stage.charset = &pst_charset_iconv;
	stage.timers_more = DNS_TIMERS + SIM_CLIENTS_MAX + SIM_EVENTS_MAX + SIM_WIRE_TIMERS;
	stage.on_bytes = on_bytes;
	pst_stage_init(&sim->stage, &stage);
	pst_alloc_fail_init(&sim->tls_memory);
	pst_alloc_fail_init(&sim->wire_memory);
	if (sim->plan.tls)
		sim_tls_open(sim);
	sim_trace(sim, "seed %llu\n%s", (unsigned long long)seed, (const char *)sim->plan.conf.at);
	live(sim);
	if (sim->verbose && sim->stage.log_text.len > 0)
		printf("%s", (const char *)sim->stage.log_text.at);
	for (uint32_t i = 0; i < SIM_CLIENTS_MAX; i++)
		sim_client_free(&sim->clients[i]);
	sim_servers_close(sim);
	sim_server_tls_free(sim);
	pst_stage_fini(&sim->stage);
	if (sim->zone.loop)
		pst_dns_zone_fini(&sim->zone);
	if (sim->plan.tls)
		sim_tls_close(sim);
	if (sim->wire)
		sim_wire_free(sim->wire);
	if (sim->stage.alloc.block_count > 0)
		sim_wrong(sim, "%llu blocks were not given back",
			  (unsigned long long)sim->stage.alloc.block_count);
	if (sim->tls_memory.block_count > 0)
		sim_wrong(sim, "%llu blocks of TLS were not given back",
			  (unsigned long long)sim->tls_memory.block_count);
	if (sim->wire_memory.block_count > 0)
		sim_wrong(sim, "%llu blocks of the wire's were not given back",
			  (unsigned long long)sim->wire_memory.block_count);
	free_letters(sim);
	free(sim->book.told);
	pst_bytes_free(&sim->plan.conf);
	return sim->wrong.len == 0;
}

void sim_fini(struct sim *sim)
{
	pst_bytes_free(&sim->wrong);
}
