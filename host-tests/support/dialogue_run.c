/* support/dialogue_run.c - a dialogue from beginning to end
 *
 * Whatever the file says, these hold in every play: a reply is whole lines and holds nothing of the
 * inside; "delivered" is told to a client only for what an internal server has taken; every message
 * taken is in the log as delivered or unknown; in the end no block, page, timer or session is left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/dialogue_priv.h"

#define WARM_MS 10000   /* until the connections of the first look at the servers are gone */
#define REST_MS 1000000 /* until everything unfinished has met its deadline */

static void open_servers(struct pst_running *run, const struct pst_relay_conf *conf)
{
	for (uint32_t r = 0; r < conf->route_count; r++) {
		for (uint32_t i = 0; i < conf->routes[r].server_count; i++) {
			const struct pst_addr *address = &conf->routes[r].servers[i];
			bool known = false;

			for (uint32_t k = 0; k < run->server_count; k++)
				known |= pst_addr_eq(&run->servers[k]->door->address, address) &&
					 run->servers[k]->door->address.port == address->port;
			if (known || run->server_count == PST_DIALOGUE_SERVERS_MAX)
				continue;
			run->servers[run->server_count] =
				pst_inside_new(&run->stage, address, run->server_count + 1);
			pst_door_open(run->servers[run->server_count]->door, true);
			run->server_count++;
		}
	}
}

static void on_nobody(struct pst_door *door, struct pst_peer *peer)
{
	(void)door;
	pst_peer_end(peer, PST_PEER_CLOSE);
}

static void occupy(struct pst_running *run)
{
	struct pst_addr address;

	if (pst_addr_parse_port(pst_bytes_from(&run->dialogue->occupied, 0), &address) < 0)
		pst_running_stop(run, "no address", pst_bytes_from(&run->dialogue->occupied, 0));
	(void)pst_stage_door(&run->stage, &address, on_nobody, NULL);
}

static void remember_recipient(struct pst_running *run, const struct pst_relay_conf *conf)
{
	struct pst_span domain = conf->routes[0].domains[0];

	if (domain.at[0] == '*' || domain.at[0] == '.')
		domain = PST_SPAN("example.org");
	snprintf(run->recipient, sizeof(run->recipient), "RCPT TO:<check@%.*s>\r\n",
		 (int)domain.len, (const char *)domain.at);
}

/* A line of the configuration, unless the file gives that directive itself. */
static void add_default(struct pst_running *run, const char *line)
{
	struct pst_span all = pst_bytes_from(&run->dialogue->conf, 0), word = pst_span_text(line);

	word = pst_span_sub(word, 0, (uint32_t)pst_span_find(word, ' ') + 1);
	for (uint32_t i = 0; i < all.len; i++)
		if ((i == 0 || all.at[i - 1] == '\n') &&
		    pst_span_starts_nocase(pst_span_sub(all, i, all.len), word))
			return;
	pst_bytes_print(&run->conf, "%s", line);
}

/* Does the dialogue's own configuration speak of this? */
static bool conf_has(const struct pst_dialogue *dialogue, struct pst_span word)
{
	struct pst_span all = pst_bytes_from(&dialogue->conf, 0);

	for (uint32_t i = 0; i < all.len; i++)
		if (pst_span_starts_nocase(pst_span_sub(all, i, all.len), word))
			return true;
	return false;
}

/*  ret false: the proxy could not be made, which only memory excuses */
static bool begin(struct pst_running *run)
{
	const struct pst_dialogue *dialogue = run->dialogue;
	struct pst_config *config;

	add_default(run, "hostname mx.example.org\n");
	add_default(run, "listen 192.0.2.25:25\n");
	add_default(run, "relay example.org to 10.0.0.1:25 pass none\n");
	if (!conf_has(dialogue, PST_SPAN("early-talk")))
		pst_bytes_print(&run->conf, "timeout early-talk 0\n");
	pst_bytes_add_span(&run->conf, pst_bytes_from(&dialogue->conf, 0));
	config = pst_stage_load(&run->stage, (const char *)run->conf.at, NULL, 0);
	if (!config)
		pst_running_stop(run, "no configuration", pst_bytes_from(&run->stage.complaints, 0));
	pst_stage_open(&run->stage, &config->proxy);
	open_servers(run, &config->proxy.relay);
	if (dialogue->occupied.len > 0)
		occupy(run);
	remember_recipient(run, &config->proxy.relay);
	for (uint32_t i = 0; dialogue->cold && i < dialogue->first_step; i++) {
		run->step = &dialogue->steps[i];
		pst_running_step(run);
	}
	run->step = NULL;
	if (!pst_stage_begin(&run->stage, config)) {
		if (!run->play->loose)
			pst_running_stop(run, "no proxy", PST_SPAN_NONE);
		return false;
	}
	if (!dialogue->cold)
		pst_running_pass(run, WARM_MS);
	return true;
}

static uint32_t count_in(struct pst_span text, const char *words)
{
	uint32_t count = 0, len = (uint32_t)strlen(words);

	for (uint32_t i = 0; i + len <= text.len; i++)
		if (text.at[i] == (uint8_t)words[0] && memcmp(text.at + i, words, len) == 0)
			count++;
	return count;
}

static uint32_t told_count(const struct pst_running *run)
{
	uint32_t count = 0;

	for (const struct pst_peer *peer = run->stage.peers; peer; peer = peer->next)
		count += count_in(pst_bytes_from(&peer->in, 0), " Ok, delivered [");
	return count;
}

static uint32_t taken_count(const struct pst_running *run)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < run->server_count; i++)
		count += run->servers[i]->taken_count;
	return count;
}

/* Nothing lost, nothing invented: what clients were told, what servers took, what the log says. */
static void check_books(struct pst_running *run, bool over)
{
	struct pst_span log = pst_bytes_from(&run->stage.log_text, 0);
	uint32_t told = told_count(run), taken = taken_count(run);
	uint32_t delivered = count_in(log, " outcome=delivered") + count_in(log, " outcome=quarantined");
	uint32_t unknown = count_in(log, " outcome=unknown");
	uint32_t partial = count_in(log, " outcome=partial");
	char books[150];

	snprintf(books, sizeof(books),
		 "told %u, taken %u, logged %u delivered, %u partial and %u unknown", told, taken,
		 delivered, partial, unknown);
	if (told > taken || delivered > taken || told > delivered ||
	    (over && taken > delivered + partial + unknown))
		pst_running_stop(run, "the books do not agree", pst_span_text(books));
}

static void check_inside_stays_inside(struct pst_running *run)
{
	static const char *const names[] = {"in.example", "10.0.0.", "queued"};

	if (strstr((const char *)run->conf.at, "text pass"))
		return;
	for (const struct pst_peer *peer = run->stage.peers; peer; peer = peer->next) {
		bool is_client = !peer->on_input;

		for (uint32_t i = 0; is_client && i < PST_COUNT(names); i++)
			if (count_in(pst_bytes_from(&peer->in, 0), names[i]) > 0)
				pst_running_stop(run, "something of the inside went out",
						 pst_bytes_from(&peer->in, 0));
	}
}

static void check_nothing_unheard(struct pst_running *run)
{
	for (uint32_t i = 0; i < PST_DIALOGUE_ENDS_MAX; i++) {
		struct pst_peer *peer = run->clients[i].peer;

		if (peer && peer->open && !peer->deaf && pst_running_unheard(peer).len > 0)
			pst_running_stop(run, "at the end there was more to be heard",
					 pst_running_unheard(peer));
	}
	for (uint32_t i = 0; i < run->server_count; i++)
		if (pst_running_next_taken(run->servers[i]))
			pst_running_stop(run, "more was delivered than the file says",
					 pst_bytes_from(&pst_running_next_taken(run->servers[i])->envelope, 0));
}

static void write_down(struct pst_running *run)
{
	struct pst_bytes *out = &run->play->transcript;

	for (uint32_t i = 0; i < PST_DIALOGUE_ENDS_MAX; i++) {
		const struct pst_peer *peer = run->clients[i].peer;

		if (!peer)
			continue;
		pst_bytes_print(out, "== client %u%s\n", i,
				peer->ended || peer->broken ? ", closed" : "");
		pst_bytes_add_span(out, pst_bytes_from(&peer->in, 0));
	}
	for (uint32_t i = 0; i < run->server_count; i++) {
		const struct pst_inside *inside = run->servers[i];

		pst_bytes_print(out, "== server %u, %u connections\n", i + 1, inside->conn_count);
		pst_bytes_add_span(out, pst_bytes_from(&inside->lines, 0));
		for (uint32_t k = 0; k < inside->message_count; k++) {
			if (!inside->messages[k]->taken)
				continue;
			pst_bytes_print(out, "== message ");
			pst_bytes_add_span(out, pst_bytes_from(&inside->messages[k]->envelope, 0));
			pst_bytes_add(out, "\n", 1);
			pst_bytes_add_span(out, pst_bytes_from(&inside->messages[k]->wire, 0));
		}
	}
	pst_bytes_print(out, "== log\n");
	pst_bytes_add_span(out, pst_bytes_from(&run->stage.log_text, 0));
}

static void end_clients(struct pst_running *run)
{
	for (uint32_t i = 0; i < PST_DIALOGUE_ENDS_MAX; i++) {
		struct pst_peer *peer = run->clients[i].peer;

		if (!peer || !peer->open)
			continue;
		peer->said = peer->out.len;
		pst_peer_end(peer, PST_PEER_CLOSE);
	}
	pst_running_settle(run);
}

/* Memory is back: so is the service. */
static void check_recovery(struct pst_running *run)
{
	static const char *const replies[] = {"220", "250", "250", "250", "354", "250"};
	const char *const lines[] = {"EHLO check.example\r\n", "MAIL FROM:<check@example.com>\r\n",
				     run->recipient, "DATA\r\n", "Subject: check\r\n\r\ntext\r\n.\r\n"};
	struct pst_addr from;
	struct pst_peer *peer;
	struct pst_span line;

	run->step = NULL;
	pst_alloc_fail_at(&run->stage.alloc, 0, false);
	for (uint32_t i = 0; i < run->server_count; i++) {
		pst_inside_forgive(run->servers[i]);
		pst_door_open(run->servers[i]->door, true);
	}
	pst_running_pass(run, REST_MS);
	if (pst_addr_parse(PST_SPAN("100.64.0.9"), &from) < 0)
		abort();
	peer = pst_stage_connect(&run->stage, &from, 0);
	for (uint32_t i = 0; i < PST_COUNT(replies); i++) {
		if (i > 0)
			pst_peer_say(peer, pst_span_text(lines[i - 1]));
		do {
			if (!pst_running_next_line(run, peer, &line) ||
			    !pst_span_starts_nocase(line, pst_span_text(replies[i])))
				pst_running_stop(run, "with memory back it does not work again",
						 pst_bytes_from(&peer->in, 0));
		} while (line.at[3] == '-');
	}
	pst_peer_end(peer, PST_PEER_CLOSE);
	pst_running_settle(run);
}

/* Everybody has gone and all deadlines are over: nothing is held any longer. */
static void check_pools(struct pst_running *run)
{
	const struct pst_proxy *proxy = run->stage.proxy;
	const struct pst_pool *pools[] = {&proxy->session_pool, &proxy->txns.pool, &proxy->in_pool,
					  &proxy->out_pool, &proxy->hold.pages, &proxy->clients.pool};

	pst_running_pass(run, REST_MS);
	for (uint32_t i = 0; i < PST_COUNT(pools); i++)
		if (pools[i]->used_count > 0)
			pst_running_stop(run, "blocks of a pool are still used",
					 pst_span_text(pools[i]->name));
	if (proxy->hold.shared_used > 0)
		pst_running_stop(run, "pages are still charged", PST_SPAN_NONE);
	if (run->stage.loop.heap_count >
	    1 + pst_relay_connection_count(proxy->relay) + pst_stage_timer_count(&run->stage))
		pst_running_stop(run, "timers are armed though all is quiet", PST_SPAN_NONE);
}

static void drain(struct pst_running *run)
{
	pst_proxy_drain(run->stage.proxy);
	pst_running_pass(run, run->stage.proxy->conf->drain_ms);
	pst_proxy_drain(run->stage.proxy);
	pst_running_settle(run);
	pst_running_pass(run, 10000);
	if (!run->stage.drained)
		pst_running_stop(run, "it does not drain", PST_SPAN_NONE);
}

static void play_all(struct pst_running *run)
{
	const struct pst_dialogue *dialogue = run->dialogue;

	if (!begin(run))
		return;
	for (uint32_t i = dialogue->cold ? dialogue->first_step : 0; i < dialogue->step_count; i++) {
		run->step = &dialogue->steps[i];
		pst_running_step(run);
	}
	run->step = NULL;
	pst_running_settle(run);
	check_books(run, false);
	check_inside_stays_inside(run);
	if (!run->play->loose) {
		check_nothing_unheard(run);
		write_down(run);
	}
	end_clients(run);
	if (run->play->loose && !run->stage.proxy->draining && !dialogue->no_recovery)
		check_recovery(run);
	if (run->stage.plan.net != PST_STAGE_KERNEL && !run->stage.proxy->draining)
		check_pools(run);
	if (!run->stage.drained)
		drain(run);
	check_books(run, true);
	if (run->stage.alloc.byte_peak > run->stage.bound)
		pst_running_stop(run, "it took more memory than it said", PST_SPAN_NONE);
}

void pst_dialogue_play(const struct pst_dialogue *dialogue, struct pst_play *play)
{
	struct pst_running *run = calloc(1, sizeof(*run));

	PST_BUG_ON(!run);
	run->dialogue = dialogue;
	run->play = play;
	play->plan.pipe_bytes = dialogue->pipe_bytes;
	pst_stage_init(&run->stage, &play->plan);
	if (setjmp(run->stop) == 0)
		play_all(run);
	play->request_count = run->stage.alloc.request_count;
	play->failed_count = run->stage.alloc.failed_count;
	for (uint32_t i = 0; i < run->server_count; i++)
		pst_inside_free(run->servers[i]);
	pst_stage_fini(&run->stage);
	pst_bytes_free(&run->conf);
	if (run->stage.alloc.block_count > 0 && play->error.len == 0)
		pst_bytes_print(&play->error, "%s: %u blocks were not given back", dialogue->path,
				(unsigned)run->stage.alloc.block_count);
	free(run);
}

void pst_play_free(struct pst_play *play)
{
	pst_bytes_free(&play->error);
	pst_bytes_free(&play->transcript);
}
