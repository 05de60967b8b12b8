/* support/dialogue_play.c - the steps of a dialogue, one by one */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/dialogue_priv.h"

#define STUCK_MS 4000000 /* within which a client that owes nothing must hear something */
#define HURRY_MS 300     /* the same when one allocation alone failed */
#define SHOWN_BYTES 400

/* --- complaints ------------------------------------------------------------------------------- */

static void show(struct pst_bytes *out, const char *title, struct pst_span text)
{
	uint8_t area[4 * SHOWN_BYTES + 8];
	struct pst_buf shown;

	pst_buf_init(&shown, area, sizeof(area));
	pst_buf_put_escaped(&shown, text, SHOWN_BYTES);
	pst_bytes_print(out, "\n  %s \"", title);
	pst_bytes_add_span(out, pst_buf_span(&shown));
	pst_bytes_add(out, "\"", 1);
}

_Noreturn void pst_running_stop(struct pst_running *run, const char *what, struct pst_span got)
{
	struct pst_bytes *error = &run->play->error;

	if (run->step) {
		pst_bytes_print(error, "%s:%u: %s", run->dialogue->path, run->step->line, what);
		if (run->step->text.len > 0)
			show(error, "wanted", pst_bytes_from(&run->step->text, 0));
	} else {
		pst_bytes_print(error, "%s: %s", run->dialogue->path, what);
	}
	show(error, "got   ", got);
	longjmp(run->stop, 1);
}

static void check_faults(struct pst_running *run)
{
	if (run->stage.wild)
		pst_running_stop(run, "the proxy never comes to rest", PST_SPAN_NONE);
	for (uint32_t i = 0; i < run->server_count; i++)
		if (run->servers[i]->fault.len > 0)
			pst_running_stop(run, "the proxy broke the protocol",
					 pst_bytes_from(&run->servers[i]->fault, 0));
}

void pst_running_settle(struct pst_running *run)
{
	(void)pst_stage_settle(&run->stage);
	check_faults(run);
}

void pst_running_pass(struct pst_running *run, uint64_t ms)
{
	pst_stage_pass(&run->stage, ms);
	check_faults(run);
}

static void until(struct pst_running *run, bool (*done)(void *context))
{
	(void)pst_stage_until(&run->stage, done, run);
	check_faults(run);
}

/* --- what a client hears ---------------------------------------------------------------------- */

struct pst_span pst_running_unheard(const struct pst_peer *peer)
{
	return pst_bytes_from(&peer->in, peer->looked);
}

static bool has_line(void *context)
{
	const struct pst_running *run = context;
	const struct pst_peer *peer = run->awaited;

	return pst_span_find(pst_running_unheard(peer), '\n') >= 0 || peer->ended || peer->broken || !peer->open;
}

static bool has_end(void *context)
{
	const struct pst_running *run = context;

	return run->awaited->ended || run->awaited->broken || !run->awaited->open;
}

/* The length of the reply at the front, 0 if it is not whole. */
static uint32_t reply_len(struct pst_span text)
{
	uint32_t from = 0;

	while (from < text.len) {
		int64_t end = pst_span_find(pst_span_sub(text, from, text.len), '\n');

		if (end < 0)
			return 0;
		if (end < 4 || text.at[from + 3] != '-')
			return from + (uint32_t)end + 1;
		from += (uint32_t)end + 1;
	}
	return 0;
}

static bool has_reply(void *context)
{
	const struct pst_running *run = context;

	return reply_len(pst_running_unheard(run->awaited)) > 0 || has_end(context);
}

/* A line of ours is never long, has a code, and ends in CRLF. */
static void check_line(struct pst_running *run, struct pst_span line)
{
	bool good = line.len >= 6 && line.len <= 512 && line.at[line.len - 2] == '\r' &&
		    pst_span_find(line, '\r') == (int64_t)line.len - 2 &&
		    pst_span_find(line, 0) < 0 && line.at[0] >= '2' && line.at[0] <= '5' &&
		    pst_is_digit(line.at[1]) && pst_is_digit(line.at[2]) &&
		    (line.at[3] == ' ' || line.at[3] == '-');

	if (!good)
		pst_running_stop(run, "no reply of SMTP's", line);
}

static struct pst_peer *client(struct pst_running *run, uint32_t number)
{
	struct pst_peer *peer = run->clients[number].peer;

	if (!peer)
		pst_running_stop(run, "this client has not connected", PST_SPAN_NONE);
	return peer;
}

/*  ret false: nothing is to be had */
bool pst_running_next_line(struct pst_running *run, struct pst_peer *peer, struct pst_span *line)
{
	struct pst_span text;
	int64_t end;

	run->awaited = peer;
	until(run, has_line);
	text = pst_running_unheard(peer);
	end = pst_span_find(text, '\n');
	if (end < 0)
		return false;
	*line = pst_span_sub(text, 0, (uint32_t)end + 1);
	check_line(run, *line);
	peer->looked += line->len;
	line->len -= 2;
	return true;
}

/* "[%]" at the end stands for a transaction's id. */
static bool line_equals(struct pst_span wanted, struct pst_span line)
{
	uint32_t at = wanted.len - 3;

	if (!pst_span_ends_nocase(wanted, PST_SPAN("[%]")))
		return pst_span_eq(wanted, line);
	if (line.len < at + 4 || line.at[line.len - 1] != ']' ||
	    !pst_span_eq(pst_span_sub(line, 0, at + 1), pst_span_sub(wanted, 0, at + 1)))
		return false;
	for (uint32_t i = at + 1; i < line.len - 1; i++)
		if (!pst_is_alnum(line.at[i]) && line.at[i] != '-')
			return false;
	return true;
}

static bool matches(const struct pst_step *step, struct pst_span line)
{
	struct pst_bytes text = {0};
	bool found;

	if (!step->is_regex)
		return line_equals(pst_bytes_from(&step->text, 0), line);
	pst_bytes_add_span(&text, line);
	found = regexec(&step->regex, (const char *)text.at, 0, NULL, 0) == 0;
	pst_bytes_free(&text);
	return found;
}

static void play_line(struct pst_running *run)
{
	struct pst_span line;

	if (!pst_running_next_line(run, client(run, run->step->who), &line))
		pst_running_stop(run, "no reply", pst_running_unheard(client(run, run->step->who)));
	if (!matches(run->step, line))
		pst_running_stop(run, "another reply", line);
}

static void play_reply(struct pst_running *run)
{
	struct pst_peer *peer = client(run, run->step->who);
	struct pst_span wanted = pst_bytes_from(&run->step->text, 0), line;

	do {
		if (!pst_running_next_line(run, peer, &line))
			pst_running_stop(run, "no reply", pst_running_unheard(peer));
		if (!pst_span_starts_nocase(line, wanted))
			pst_running_stop(run, "another reply", line);
	} while (line.at[3] == '-');
}

static void play_state(struct pst_running *run)
{
	struct pst_peer *peer = client(run, run->step->who);
	struct pst_span wanted = pst_bytes_from(&run->step->text, 0);
	bool over;

	run->awaited = peer;
	if (pst_span_eq(wanted, PST_SPAN("closed")))
		until(run, has_end);
	else
		pst_running_settle(run);
	over = peer->ended || peer->broken;
	if (pst_running_unheard(peer).len > 0)
		pst_running_stop(run, "it has something to say", pst_running_unheard(peer));
	if (over != pst_span_eq(wanted, PST_SPAN("closed")))
		pst_running_stop(run, over ? "it is closed" : "it is open", PST_SPAN_NONE);
}

/* --- the same with memory failing ------------------------------------------------------------- */

/* The digit that the reply should begin with; '?': any; 0: this is not its last line. */
static char wanted_class(const struct pst_step *step)
{
	struct pst_span text = pst_bytes_from(&step->text, 0);

	if (step->is_regex && text.len > 0 && text.at[0] == '^')
		text = pst_span_sub(text, 1, text.len);
	if (text.len > 3 && pst_is_digit(text.at[1]) && text.at[3] == '-' &&
	    step->kind == PST_STEP_LINE)
		return 0;
	return text.len > 0 && pst_is_digit(text.at[0]) ? (char)text.at[0] : '?';
}

static void leave(struct pst_running *run, uint32_t number)
{
	struct pst_actor *actor = &run->clients[number];

	actor->left = true;
	actor->peer->said = actor->peer->out.len;
	pst_peer_end(actor->peer, PST_PEER_CLOSE);
}

static bool somebody_hangs(const struct pst_running *run)
{
	for (uint32_t i = 0; i < run->server_count; i++)
		for (struct pst_inside_conn *conn = run->servers[i]->conns; conn; conn = conn->next)
			if (conn->hung || conn->peer->deaf || run->servers[i]->manual)
				return true;
	return false;
}

/* Hear a whole reply: an honest one, if it is not the file's. */
static void play_loosely(struct pst_running *run)
{
	struct pst_peer *peer = client(run, run->step->who);
	char wanted = wanted_class(run->step), got;
	struct pst_span text;

	if (!wanted)
		return;
	run->awaited = peer;
	until(run, has_reply);
	if (!has_reply(run))
		pst_running_pass(run, run->stage.plan.fail_on || somebody_hangs(run) ? STUCK_MS : HURRY_MS);
	text = pst_running_unheard(peer);
	if (reply_len(text) == 0 && !has_end(run))
		pst_running_stop(run, "the client hears nothing and is not let go", text);
	if (reply_len(text) == 0) {
		leave(run, run->step->who);
		return;
	}
	got = (char)text.at[0];
	for (uint32_t from = 0, len = reply_len(text); from < len;) {
		struct pst_span rest = pst_span_sub(text, from, len - from);
		int64_t end = pst_span_find(rest, '\n');

		check_line(run, pst_span_sub(rest, 0, (uint32_t)end + 1));
		from += (uint32_t)end + 1;
	}
	peer->looked += reply_len(text);
	if (got == wanted || wanted == '?')
		return;
	/* 555: what an internal server offers could not be learnt, and this client does not listen. */
	if ((got == '5' && !pst_span_starts_nocase(text, PST_SPAN("555"))) ||
	    (wanted == '5' && pst_span_starts_nocase(text, PST_SPAN("250 2.0.0 Ok, delivered"))))
		pst_running_stop(run, "not an honest reply", text);
	leave(run, run->step->who);
}

/* --- what a client does ----------------------------------------------------------------------- */

static void connect_client(struct pst_running *run, uint32_t number, const char *words)
{
	struct pst_addr from;
	uint32_t listener = 1;
	const char *to = strstr(words, " to "), *address = strstr(words, " from ");
	struct pst_span text = PST_SPAN("203.0.113.7");

	if (to)
		listener = (uint32_t)strtoul(to + 4, NULL, 10);
	if (address) {
		text = pst_span_text(address + 6);
		text = pst_span_word(&text);
	}
	if (pst_addr_parse(text, &from) < 0 || listener < 1 || listener > PST_LISTENERS_MAX)
		pst_running_stop(run, "no address", text);
	run->clients[number] = (struct pst_actor){
		.peer = pst_stage_connect(&run->stage, &from, listener - 1),
	};
}

/* Whatever comes from now on is not looked at. */
static void take_all(struct pst_running *run)
{
	struct pst_peer *peer = client(run, run->step->who);

	peer->deaf = false;
	pst_running_settle(run);
	peer->looked = peer->in.len;
}

static void play_client(struct pst_running *run)
{
	const char *words = (const char *)run->step->text.at;
	uint32_t number = run->step->who;

	if (strncmp(words, "connect", 7) == 0) {
		connect_client(run, number, words + 7);
		return;
	}
	if (strcmp(words, "close") == 0)
		pst_peer_end(client(run, number), PST_PEER_CLOSE);
	else if (strcmp(words, "reset") == 0)
		pst_peer_end(client(run, number), PST_PEER_RESET);
	else if (strcmp(words, "shut") == 0)
		pst_peer_end(client(run, number), PST_PEER_SHUT);
	else if (strcmp(words, "deaf") == 0)
		client(run, number)->deaf = true;
	else if (strcmp(words, "hear") == 0)
		client(run, number)->deaf = false;
	else if (strcmp(words, "forget") == 0)
		take_all(run);
	else
		pst_running_stop(run, "what shall the client do?", PST_SPAN_NONE);
}

/* --- the internal side ------------------------------------------------------------------------ */

static struct pst_inside *server(struct pst_running *run)
{
	if (run->step->who > run->server_count)
		pst_running_stop(run, "there are not so many internal servers", PST_SPAN_NONE);
	return run->servers[run->step->who - 1];
}

static void play_rule(struct pst_running *run)
{
	const struct pst_step *step = run->step;
	struct pst_inside_rule *rule = pst_inside_rule_add(server(run));
	struct pst_span prefix = pst_bytes_from(&step->text, 0);

	if (!rule)
		pst_running_stop(run, "too many rules", PST_SPAN_NONE);
	*rule = (struct pst_inside_rule){
		.times_left = (uint32_t)step->number,
		.end = (enum pst_peer_end)step->end,
		.deaf = step->deaf,
	};
	pst_bytes_add_span(&rule->prefix, prefix);
	pst_bytes_add_span(&rule->reply, pst_bytes_from(&step->reply, 0));
	if (pst_span_starts_nocase(prefix, PST_SPAN("body ")))
		rule->body_bytes = strtoul((const char *)step->text.at + 5, NULL, 10);
}

static bool hears_line(void *context)
{
	const struct pst_running *run = context;
	const struct pst_inside *inside = run->awaited_server;

	return pst_span_find(pst_bytes_from(&inside->lines, inside->looked), '\n') >= 0;
}

/* "I<": the next line; "I~": some line further on. */
static void play_heard(struct pst_running *run)
{
	struct pst_inside *inside = server(run);

	run->awaited_server = inside;
	for (;;) {
		struct pst_span text, line;

		until(run, hears_line);
		text = pst_bytes_from(&inside->lines, inside->looked);
		if (pst_span_find(text, '\n') < 0)
			pst_running_stop(run, "the internal server hears nothing more", text);
		line = pst_span_sub(text, 0, (uint32_t)pst_span_find(text, '\n'));
		inside->looked += line.len + 1;
		if (line.len > 0 && line.at[line.len - 1] == '\r')
			line.len--;
		if (matches(run->step, line))
			return;
		if (!run->step->is_regex)
			pst_running_stop(run, "the internal server hears another line", line);
	}
}

static void hear(struct pst_inside *inside)
{
	for (struct pst_inside_conn *conn = inside->conns; conn; conn = conn->next)
		conn->peer->deaf = false;
}

static void play_server(struct pst_running *run)
{
	struct pst_inside *inside = server(run);
	const char *words = (const char *)run->step->text.at;

	if (strcmp(words, "manual") == 0)
		inside->manual = true;
	else if (strcmp(words, "auto") == 0)
		inside->manual = false;
	else if (strcmp(words, "close") == 0)
		pst_inside_end(inside, PST_PEER_CLOSE);
	else if (strcmp(words, "reset") == 0)
		pst_inside_end(inside, PST_PEER_RESET);
	else if (strcmp(words, "down") == 0)
		pst_door_open(inside->door, false);
	else if (strcmp(words, "up") == 0)
		pst_door_open(inside->door, true);
	else if (strcmp(words, "forgive") == 0)
		pst_inside_forgive(inside);
	else if (strcmp(words, "hear") == 0)
		hear(inside);
	else if (strncmp(words, "connections ", 12) == 0) {
		pst_running_settle(run);
		if (inside->conn_count != strtoul(words + 12, NULL, 10)) {
			char number[32];

			snprintf(number, sizeof(number), "%u", inside->conn_count);
			pst_running_stop(run, "another number of connections so far", pst_span_text(number));
		}
	} else
		pst_running_stop(run, "what shall the internal server do?", PST_SPAN_NONE);
}

/* --- deliveries ------------------------------------------------------------------------------- */

struct pst_inside_message *pst_running_next_taken(struct pst_inside *inside)
{
	for (uint32_t i = 0; i < inside->message_count; i++)
		if (inside->messages[i]->taken == inside->seen_count + 1)
			return inside->messages[i];
	return NULL;
}

static bool has_taken(void *context)
{
	const struct pst_running *run = context;

	return pst_running_next_taken(run->awaited_server) != NULL;
}

/* "..." at the end stands for any more recipients. */
static bool envelope_equals(struct pst_span wanted, struct pst_span is)
{
	if (pst_span_ends_nocase(wanted, PST_SPAN("...")))
		return pst_span_starts_nocase(is, pst_span_sub(wanted, 0, wanted.len - 3));
	return pst_span_eq(is, wanted);
}

static void play_delivered(struct pst_running *run)
{
	struct pst_inside *inside = server(run);

	run->awaited_server = inside;
	until(run, has_taken);
	run->message = pst_running_next_taken(inside);
	run->message_at = 0;
	if (!run->message)
		pst_running_stop(run, "nothing more was delivered", PST_SPAN_NONE);
	inside->seen_count++;
	if (!envelope_equals(pst_bytes_from(&run->step->text, 0),
			     pst_bytes_from(&run->message->envelope, 0)))
		pst_running_stop(run, "another envelope", pst_bytes_from(&run->message->envelope, 0));
}

/* The length of the field at the front, with its folded lines. */
static uint32_t field_len(struct pst_span text)
{
	uint32_t len = 0;

	do {
		int64_t end = pst_span_find(pst_span_sub(text, len, text.len), '\n');

		len = end < 0 ? text.len : len + (uint32_t)end + 1;
	} while (len < text.len && pst_is_blank(text.at[len]));
	return len;
}

static void play_content(struct pst_running *run)
{
	struct pst_span rest = pst_bytes_from(&run->message->wire, run->message_at);
	struct pst_span wanted = pst_bytes_from(&run->step->text, 0);
	int64_t end = pst_span_find(rest, '\n');

	if (run->step->is_regex) {
		struct pst_span line = pst_span_sub(rest, 0, end < 1 ? 0 : (uint32_t)end - 1);

		if (end < 0 || !matches(run->step, line))
			pst_running_stop(run, "another line was delivered", line);
		run->message_at += (uint32_t)end + 1;
	} else if (pst_span_eq(wanted, PST_SPAN("%\r\n"))) {
		if (!pst_span_starts_nocase(rest, PST_SPAN("Received: from ")))
			pst_running_stop(run, "our Received field is missing", rest);
		run->message_at += field_len(rest);
	} else {
		if (!pst_span_eq(pst_span_sub(rest, 0, wanted.len), wanted))
			pst_running_stop(run, "other bytes were delivered", rest);
		run->message_at += wanted.len;
	}
}

static void play_complete(struct pst_running *run)
{
	if (run->message_at < run->message->wire.len)
		pst_running_stop(run, "more was delivered",
				 pst_bytes_from(&run->message->wire, run->message_at));
}

/* --- the proxy itself ------------------------------------------------------------------------- */

static void play_log(struct pst_running *run)
{
	pst_running_settle(run);
	for (;;) {
		struct pst_span text = pst_bytes_from(&run->stage.log_text, run->log_at), line;
		int64_t end = pst_span_find(text, '\n');

		if (end < 0)
			pst_running_stop(run, "no such line in the log",
					 pst_bytes_from(&run->stage.log_text, 0));
		line = pst_span_sub(text, 0, (uint32_t)end);
		run->log_at += (uint32_t)end + 1;
		if (matches(run->step, line))
			return;
	}
}

static void play_no_log(struct pst_running *run)
{
	struct pst_span text = pst_bytes_from(&run->stage.log_text, 0);

	pst_running_settle(run);
	text = pst_bytes_from(&run->stage.log_text, 0);
	while (text.len > 0) {
		struct pst_span line = pst_span_sub(text, 0, (uint32_t)pst_span_find(text, '\n'));

		if (matches(run->step, line))
			pst_running_stop(run, "such a line is in the log", line);
		text = pst_span_sub(text, line.len + 1, text.len);
	}
}

static void play_counter(struct pst_running *run)
{
	char number[32];

	pst_running_settle(run);
	for (int i = 0; i < PST_COUNTER_COUNT; i++) {
		uint64_t value = run->stage.counters.value[i];

		if (strcmp(pst_counter_name((enum pst_counter)i),
			   (const char *)run->step->text.at) != 0)
			continue;
		snprintf(number, sizeof(number), "%llu", (unsigned long long)value);
		if (value != run->step->number)
			pst_running_stop(run, "another count", pst_span_text(number));
		return;
	}
	pst_running_stop(run, "no such counter", PST_SPAN_NONE);
}

/* A line of the configuration, its directive and which reload it came with. */
struct conf_line {
	struct pst_span text, directive;
	uint8_t reload;
};

#define CONF_LINES_MAX 128

static void cut_lines(struct pst_span text, bool numbered, struct conf_line *lines, uint32_t *count)
{
	while (text.len > 0 && *count < CONF_LINES_MAX) {
		struct conf_line *line = &lines[(*count)++];
		struct pst_span words;

		line->reload = 0;
		if (numbered) {
			line->reload = (uint8_t)(text.at[0] + 1);
			text = pst_span_sub(text, 1, text.len);
		}
		line->text = pst_span_sub(text, 0, (uint32_t)pst_span_find(text, '\n') + 1);
		words = line->text;
		line->directive = pst_span_word(&words);
		text = pst_span_sub(text, line->text.len, text.len);
	}
}

/* What a reload brings replaces all that stood before under the same directive. */
static void write_conf(struct pst_running *run, struct pst_bytes *text)
{
	struct pst_span more = pst_bytes_from(&run->dialogue->conf_more, 0);
	struct conf_line lines[CONF_LINES_MAX];
	uint32_t count = 0;

	more = pst_span_sub(more, 0, (uint32_t)run->step->number);
	cut_lines(pst_bytes_from(&run->conf, 0), false, lines, &count);
	cut_lines(more, true, lines, &count);
	for (uint32_t i = 0; i < count; i++) {
		bool replaced = false;

		for (uint32_t k = i + 1; k < count; k++)
			replaced |= lines[k].reload > lines[i].reload &&
				    pst_span_eq(lines[k].directive, lines[i].directive);
		if (!replaced)
			pst_bytes_add_span(text, lines[i].text);
	}
}

static void reload(struct pst_running *run, bool wanted)
{
	struct pst_bytes text = {0};
	struct pst_addr failed;
	struct pst_config *config;

	write_conf(run, &text);
	config = pst_stage_load(&run->stage, (const char *)text.at, NULL, 0);
	pst_bytes_free(&text);
	if (!config)
		pst_running_stop(run, "no configuration", pst_bytes_from(&run->stage.complaints, 0));
	if (pst_proxy_reload(run->stage.proxy, &config->proxy, &failed) == 0) {
		if (!wanted)
			pst_running_stop(run, "the reload succeeded", PST_SPAN_NONE);
		return;
	}
	pst_proxy_conf_unref(&config->proxy);
	if (wanted && !run->play->loose)
		pst_running_stop(run, "the reload failed", PST_SPAN_NONE);
}

static void play_proxy(struct pst_running *run)
{
	const char *words = (const char *)run->step->text.at;

	pst_running_settle(run);
	if (strcmp(words, "drain") == 0)
		pst_proxy_drain(run->stage.proxy);
	else if (strcmp(words, "reload") == 0)
		reload(run, true);
	else if (strcmp(words, "reload fails") == 0)
		reload(run, false);
	else if (strcmp(words, "drained") == 0 && !run->stage.drained && !run->play->loose)
		pst_running_stop(run, "not drained", PST_SPAN_NONE);
}

/* --- any step --------------------------------------------------------------------------------- */

static bool is_of_left_client(const struct pst_running *run)
{
	uint8_t kind = run->step->kind;

	return kind <= PST_STEP_STATE && run->clients[run->step->who].left &&
	       !(kind == PST_STEP_CLIENT &&
		 strncmp((const char *)run->step->text.at, "connect", 7) == 0);
}

void pst_running_step(struct pst_running *run)
{
	bool loose = run->play->loose;

	if (loose && is_of_left_client(run))
		return;
	switch ((enum pst_step_kind)run->step->kind) {
	case PST_STEP_SAY:
		pst_peer_say(client(run, run->step->who), pst_bytes_from(&run->step->text, 0));
		return;
	case PST_STEP_CLIENT:
		play_client(run);
		return;
	case PST_STEP_RULE:
		play_rule(run);
		return;
	case PST_STEP_ANSWER:
		pst_inside_say(server(run), pst_bytes_from(&run->step->text, 0));
		return;
	case PST_STEP_TIME:
		pst_running_pass(run, run->step->number);
		return;
	case PST_STEP_QUIET:
		pst_running_settle(run);
		return;
	case PST_STEP_PROXY:
		play_proxy(run);
		return;
	case PST_STEP_SERVER:
		if (!loose || strncmp((const char *)run->step->text.at, "connections", 11) != 0)
			play_server(run);
		return;
	case PST_STEP_LINE:
	case PST_STEP_REPLY:
		if (loose)
			play_loosely(run);
		else if (run->step->kind == PST_STEP_LINE)
			play_line(run);
		else
			play_reply(run);
		/* What the answer left to be done inside must not race with the next command. */
		(void)pst_stage_breathe(&run->stage);
		return;
	default:
		break;
	}
	if (loose) {
		pst_running_settle(run); /* where the file waits, the proxy has time */
		return;
	}
	switch ((enum pst_step_kind)run->step->kind) {
	case PST_STEP_STATE:
		play_state(run);
		break;
	case PST_STEP_HEARD:
		play_heard(run);
		break;
	case PST_STEP_DELIVERED:
		play_delivered(run);
		break;
	case PST_STEP_CONTENT:
		play_content(run);
		break;
	case PST_STEP_COMPLETE:
		play_complete(run);
		break;
	case PST_STEP_LOG:
		play_log(run);
		break;
	case PST_STEP_NO_LOG:
		play_no_log(run);
		break;
	case PST_STEP_COUNTER:
		play_counter(run);
		break;
	default:
		break;
	}
}
