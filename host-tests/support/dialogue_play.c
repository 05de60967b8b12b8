/* support/dialogue_play.c - playing dialogues
 *
 * Whatever the file says, these hold in every play: a reply is whole lines and holds nothing of the
 * inside; "delivered" is told to a client only for what an internal server has taken; every message
 * taken is in the log as delivered or unknown; in the end no block, page, timer or session is left.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/dialogue_priv.h"
#include "support/inside.h"

#define WARM_MS 10000   /* until the connections of the first look at the servers are gone */
#define REST_MS 1000000 /* until everything unfinished has met its deadline */
#define STUCK_MS 4000000 /* within which a client that owes nothing must hear something */
#define HURRY_MS 300     /* the same when one allocation alone failed */
#define SHOWN_BYTES 400

struct actor {
	struct pst_peer *peer;
	bool left; /* loose: it was told something else and went */
};

struct running {
	const struct pst_dialogue *dialogue;
	struct pst_play *play;
	struct pst_stage stage;
	struct actor clients[PST_DIALOGUE_ENDS_MAX];
	struct pst_inside *servers[PST_DIALOGUE_SERVERS_MAX];
	uint32_t server_count;
	const struct pst_step *step;
	struct pst_bytes conf; /* of the first generation */
	struct pst_inside_message *message; /* of the D block being compared */
	uint32_t message_at;
	uint32_t log_at;
	jmp_buf stop;
	/* What `until` waits for. */
	struct pst_peer *awaited;
	struct pst_inside *awaited_server;
	const char *awaited_code;
	char recipient[300];
};

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

_Noreturn static void stop(struct running *run, const char *what, struct pst_span got)
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

static void check_faults(struct running *run)
{
	if (run->stage.wild)
		stop(run, "the proxy never comes to rest", PST_SPAN_NONE);
	for (uint32_t i = 0; i < run->server_count; i++)
		if (run->servers[i]->fault.len > 0)
			stop(run, "the proxy broke the protocol",
			     pst_bytes_from(&run->servers[i]->fault, 0));
}

static void settle(struct running *run)
{
	(void)pst_stage_settle(&run->stage);
	check_faults(run);
}

static void pass(struct running *run, uint64_t ms)
{
	pst_stage_pass(&run->stage, ms);
	check_faults(run);
}

static void until(struct running *run, bool (*done)(void *context))
{
	(void)pst_stage_until(&run->stage, done, run);
	check_faults(run);
}

/* --- what a client hears ---------------------------------------------------------------------- */

static struct pst_span unheard(const struct pst_peer *peer)
{
	return pst_bytes_from(&peer->in, peer->looked);
}

static bool has_line(void *context)
{
	const struct running *run = context;
	const struct pst_peer *peer = run->awaited;

	return pst_span_find(unheard(peer), '\n') >= 0 || peer->ended || peer->broken || !peer->open;
}

static bool has_end(void *context)
{
	const struct running *run = context;

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
	const struct running *run = context;

	return reply_len(unheard(run->awaited)) > 0 || has_end(context);
}

/* A line of ours is never long, has a code, and ends in CRLF. */
static void check_line(struct running *run, struct pst_span line)
{
	bool good = line.len >= 6 && line.len <= 512 && line.at[line.len - 2] == '\r' &&
		    pst_span_find(line, '\r') == (int64_t)line.len - 2 &&
		    pst_span_find(line, 0) < 0 && line.at[0] >= '2' && line.at[0] <= '5' &&
		    pst_is_digit(line.at[1]) && pst_is_digit(line.at[2]) &&
		    (line.at[3] == ' ' || line.at[3] == '-');

	if (!good)
		stop(run, "no reply of SMTP's", line);
}

static struct pst_peer *client(struct running *run, uint32_t number)
{
	struct pst_peer *peer = run->clients[number].peer;

	if (!peer)
		stop(run, "this client has not connected", PST_SPAN_NONE);
	return peer;
}

/*  ret false: nothing is to be had */
static bool next_line(struct running *run, struct pst_peer *peer, struct pst_span *line)
{
	struct pst_span text;
	int64_t end;

	run->awaited = peer;
	until(run, has_line);
	text = unheard(peer);
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

static void play_line(struct running *run)
{
	struct pst_span line;

	if (!next_line(run, client(run, run->step->who), &line))
		stop(run, "no reply", unheard(client(run, run->step->who)));
	if (!matches(run->step, line))
		stop(run, "another reply", line);
}

static void play_reply(struct running *run)
{
	struct pst_peer *peer = client(run, run->step->who);
	struct pst_span wanted = pst_bytes_from(&run->step->text, 0), line;

	do {
		if (!next_line(run, peer, &line))
			stop(run, "no reply", unheard(peer));
		if (!pst_span_starts_nocase(line, wanted))
			stop(run, "another reply", line);
	} while (line.at[3] == '-');
}

static void play_state(struct running *run)
{
	struct pst_peer *peer = client(run, run->step->who);
	struct pst_span wanted = pst_bytes_from(&run->step->text, 0);
	bool over;

	run->awaited = peer;
	if (pst_span_eq(wanted, PST_SPAN("closed")))
		until(run, has_end);
	else
		settle(run);
	over = peer->ended || peer->broken;
	if (unheard(peer).len > 0)
		stop(run, "it has something to say", unheard(peer));
	if (over != pst_span_eq(wanted, PST_SPAN("closed")))
		stop(run, over ? "it is closed" : "it is open", PST_SPAN_NONE);
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

static void leave(struct running *run, uint32_t number)
{
	struct actor *actor = &run->clients[number];

	actor->left = true;
	actor->peer->said = actor->peer->out.len;
	pst_peer_end(actor->peer, PST_PEER_CLOSE);
}

static bool somebody_hangs(const struct running *run)
{
	for (uint32_t i = 0; i < run->server_count; i++)
		for (struct pst_inside_conn *conn = run->servers[i]->conns; conn; conn = conn->next)
			if (conn->hung || conn->peer->deaf || run->servers[i]->manual)
				return true;
	return false;
}

/* Hear a whole reply: an honest one, if it is not the file's. */
static void play_loosely(struct running *run)
{
	struct pst_peer *peer = client(run, run->step->who);
	char wanted = wanted_class(run->step), got;
	struct pst_span text;

	if (!wanted)
		return;
	run->awaited = peer;
	until(run, has_reply);
	if (!has_reply(run))
		pass(run, run->stage.plan.fail_on || somebody_hangs(run) ? STUCK_MS : HURRY_MS);
	text = unheard(peer);
	if (reply_len(text) == 0 && !has_end(run))
		stop(run, "the client hears nothing and is not let go", text);
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
		stop(run, "not an honest reply", text);
	leave(run, run->step->who);
}

/* --- what a client does ----------------------------------------------------------------------- */

static void connect_client(struct running *run, uint32_t number, const char *words)
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
		stop(run, "no address", text);
	run->clients[number] = (struct actor){
		.peer = pst_stage_connect(&run->stage, &from, listener - 1),
	};
}

/* Whatever comes from now on is not looked at. */
static void take_all(struct running *run)
{
	struct pst_peer *peer = client(run, run->step->who);

	peer->deaf = false;
	settle(run);
	peer->looked = peer->in.len;
}

static void play_client(struct running *run)
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
		stop(run, "what shall the client do?", PST_SPAN_NONE);
}

/* --- the internal side ------------------------------------------------------------------------ */

static struct pst_inside *server(struct running *run)
{
	if (run->step->who > run->server_count)
		stop(run, "there are not so many internal servers", PST_SPAN_NONE);
	return run->servers[run->step->who - 1];
}

static void play_rule(struct running *run)
{
	const struct pst_step *step = run->step;
	struct pst_inside_rule *rule = pst_inside_rule_add(server(run));
	struct pst_span prefix = pst_bytes_from(&step->text, 0);

	if (!rule)
		stop(run, "too many rules", PST_SPAN_NONE);
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
	const struct running *run = context;
	const struct pst_inside *inside = run->awaited_server;

	return pst_span_find(pst_bytes_from(&inside->lines, inside->looked), '\n') >= 0;
}

/* "I<": the next line; "I~": some line further on. */
static void play_heard(struct running *run)
{
	struct pst_inside *inside = server(run);

	run->awaited_server = inside;
	for (;;) {
		struct pst_span text, line;

		until(run, hears_line);
		text = pst_bytes_from(&inside->lines, inside->looked);
		if (pst_span_find(text, '\n') < 0)
			stop(run, "the internal server hears nothing more", text);
		line = pst_span_sub(text, 0, (uint32_t)pst_span_find(text, '\n'));
		inside->looked += line.len + 1;
		if (line.len > 0 && line.at[line.len - 1] == '\r')
			line.len--;
		if (matches(run->step, line))
			return;
		if (!run->step->is_regex)
			stop(run, "the internal server hears another line", line);
	}
}

static void hear(struct pst_inside *inside)
{
	for (struct pst_inside_conn *conn = inside->conns; conn; conn = conn->next)
		conn->peer->deaf = false;
}

static void play_server(struct running *run)
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
		settle(run);
		if (inside->conn_count != strtoul(words + 12, NULL, 10)) {
			char number[32];

			snprintf(number, sizeof(number), "%u", inside->conn_count);
			stop(run, "another number of connections so far", pst_span_text(number));
		}
	} else
		stop(run, "what shall the internal server do?", PST_SPAN_NONE);
}

/* --- deliveries ------------------------------------------------------------------------------- */

static struct pst_inside_message *next_taken(struct pst_inside *inside)
{
	for (uint32_t i = 0; i < inside->message_count; i++)
		if (inside->messages[i]->taken == inside->seen_count + 1)
			return inside->messages[i];
	return NULL;
}

static bool has_taken(void *context)
{
	const struct running *run = context;

	return next_taken(run->awaited_server) != NULL;
}

/* "..." at the end stands for any more recipients. */
static bool envelope_equals(struct pst_span wanted, struct pst_span is)
{
	if (pst_span_ends_nocase(wanted, PST_SPAN("...")))
		return pst_span_starts_nocase(is, pst_span_sub(wanted, 0, wanted.len - 3));
	return pst_span_eq(is, wanted);
}

static void play_delivered(struct running *run)
{
	struct pst_inside *inside = server(run);

	run->awaited_server = inside;
	until(run, has_taken);
	run->message = next_taken(inside);
	run->message_at = 0;
	if (!run->message)
		stop(run, "nothing more was delivered", PST_SPAN_NONE);
	inside->seen_count++;
	if (!envelope_equals(pst_bytes_from(&run->step->text, 0),
			     pst_bytes_from(&run->message->envelope, 0)))
		stop(run, "another envelope", pst_bytes_from(&run->message->envelope, 0));
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

static void play_content(struct running *run)
{
	struct pst_span rest = pst_bytes_from(&run->message->wire, run->message_at);
	struct pst_span wanted = pst_bytes_from(&run->step->text, 0);
	int64_t end = pst_span_find(rest, '\n');

	if (run->step->is_regex) {
		struct pst_span line = pst_span_sub(rest, 0, end < 1 ? 0 : (uint32_t)end - 1);

		if (end < 0 || !matches(run->step, line))
			stop(run, "another line was delivered", line);
		run->message_at += (uint32_t)end + 1;
	} else if (pst_span_eq(wanted, PST_SPAN("%\r\n"))) {
		if (!pst_span_starts_nocase(rest, PST_SPAN("Received: from ")))
			stop(run, "our Received field is missing", rest);
		run->message_at += field_len(rest);
	} else {
		if (!pst_span_eq(pst_span_sub(rest, 0, wanted.len), wanted))
			stop(run, "other bytes were delivered", rest);
		run->message_at += wanted.len;
	}
}

static void play_complete(struct running *run)
{
	if (run->message_at < run->message->wire.len)
		stop(run, "more was delivered",
		     pst_bytes_from(&run->message->wire, run->message_at));
}

/* --- the proxy itself ------------------------------------------------------------------------- */

static void play_log(struct running *run)
{
	settle(run);
	for (;;) {
		struct pst_span text = pst_bytes_from(&run->stage.log_text, run->log_at), line;
		int64_t end = pst_span_find(text, '\n');

		if (end < 0)
			stop(run, "no such line in the log",
			     pst_bytes_from(&run->stage.log_text, 0));
		line = pst_span_sub(text, 0, (uint32_t)end);
		run->log_at += (uint32_t)end + 1;
		if (matches(run->step, line))
			return;
	}
}

static void play_no_log(struct running *run)
{
	struct pst_span text = pst_bytes_from(&run->stage.log_text, 0);

	settle(run);
	text = pst_bytes_from(&run->stage.log_text, 0);
	while (text.len > 0) {
		struct pst_span line = pst_span_sub(text, 0, (uint32_t)pst_span_find(text, '\n'));

		if (matches(run->step, line))
			stop(run, "such a line is in the log", line);
		text = pst_span_sub(text, line.len + 1, text.len);
	}
}

static void play_counter(struct running *run)
{
	char number[32];

	settle(run);
	for (int i = 0; i < PST_COUNTER_COUNT; i++) {
		uint64_t value = run->stage.counters.value[i];

		if (strcmp(pst_counter_name((enum pst_counter)i),
			   (const char *)run->step->text.at) != 0)
			continue;
		snprintf(number, sizeof(number), "%llu", (unsigned long long)value);
		if (value != run->step->number)
			stop(run, "another count", pst_span_text(number));
		return;
	}
	stop(run, "no such counter", PST_SPAN_NONE);
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
static void write_conf(struct running *run, struct pst_bytes *text)
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

static void reload(struct running *run, bool wanted)
{
	struct pst_bytes text = {0};
	struct pst_addr failed;
	struct pst_config *config;

	write_conf(run, &text);
	config = pst_stage_load(&run->stage, (const char *)text.at, NULL, 0);
	pst_bytes_free(&text);
	if (!config)
		stop(run, "no configuration", pst_bytes_from(&run->stage.complaints, 0));
	if (pst_proxy_reload(run->stage.proxy, &config->proxy, &failed) == 0) {
		if (!wanted)
			stop(run, "the reload succeeded", PST_SPAN_NONE);
		return;
	}
	pst_proxy_conf_unref(&config->proxy);
	if (wanted && !run->play->loose)
		stop(run, "the reload failed", PST_SPAN_NONE);
}

static void play_proxy(struct running *run)
{
	const char *words = (const char *)run->step->text.at;

	settle(run);
	if (strcmp(words, "drain") == 0)
		pst_proxy_drain(run->stage.proxy);
	else if (strcmp(words, "reload") == 0)
		reload(run, true);
	else if (strcmp(words, "reload fails") == 0)
		reload(run, false);
	else if (strcmp(words, "drained") == 0 && !run->stage.drained && !run->play->loose)
		stop(run, "not drained", PST_SPAN_NONE);
}

/* --- all of it -------------------------------------------------------------------------------- */

static bool is_of_left_client(const struct running *run)
{
	uint8_t kind = run->step->kind;

	return kind <= PST_STEP_STATE && run->clients[run->step->who].left &&
	       !(kind == PST_STEP_CLIENT &&
		 strncmp((const char *)run->step->text.at, "connect", 7) == 0);
}

static void play_step(struct running *run)
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
		pass(run, run->step->number);
		return;
	case PST_STEP_QUIET:
		settle(run);
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
		settle(run); /* where the file waits, the proxy has time */
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

static void open_servers(struct running *run, const struct pst_relay_conf *conf)
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

static void occupy(struct running *run)
{
	struct pst_addr address;

	if (pst_addr_parse_port(pst_bytes_from(&run->dialogue->occupied, 0), &address) < 0)
		stop(run, "no address", pst_bytes_from(&run->dialogue->occupied, 0));
	(void)pst_stage_door(&run->stage, &address, on_nobody, NULL);
}

static void remember_recipient(struct running *run, const struct pst_relay_conf *conf)
{
	struct pst_span domain = conf->routes[0].domains[0];

	if (domain.at[0] == '*' || domain.at[0] == '.')
		domain = PST_SPAN("example.org");
	snprintf(run->recipient, sizeof(run->recipient), "RCPT TO:<check@%.*s>\r\n",
		 (int)domain.len, (const char *)domain.at);
}

/* A line of the configuration, unless the file gives that directive itself. */
static void add_default(struct running *run, const char *line)
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
static bool begin(struct running *run)
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
		stop(run, "no configuration", pst_bytes_from(&run->stage.complaints, 0));
	pst_stage_open(&run->stage, &config->proxy);
	open_servers(run, &config->proxy.relay);
	if (dialogue->occupied.len > 0)
		occupy(run);
	remember_recipient(run, &config->proxy.relay);
	for (uint32_t i = 0; dialogue->cold && i < dialogue->first_step; i++) {
		run->step = &dialogue->steps[i];
		play_step(run);
	}
	run->step = NULL;
	if (!pst_stage_begin(&run->stage, config)) {
		if (!run->play->loose)
			stop(run, "no proxy", PST_SPAN_NONE);
		return false;
	}
	if (!dialogue->cold)
		pass(run, WARM_MS);
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

static uint32_t told_count(const struct running *run)
{
	uint32_t count = 0;

	for (const struct pst_peer *peer = run->stage.peers; peer; peer = peer->next)
		count += count_in(pst_bytes_from(&peer->in, 0), " Ok, delivered [");
	return count;
}

static uint32_t taken_count(const struct running *run)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < run->server_count; i++)
		count += run->servers[i]->taken_count;
	return count;
}

/* Nothing lost, nothing invented: what clients were told, what servers took, what the log says. */
static void check_books(struct running *run, bool over)
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
		stop(run, "the books do not agree", pst_span_text(books));
}

static void check_inside_stays_inside(struct running *run)
{
	static const char *const names[] = {"in.example", "10.0.0.", "queued"};

	if (strstr((const char *)run->conf.at, "text pass"))
		return;
	for (const struct pst_peer *peer = run->stage.peers; peer; peer = peer->next) {
		bool is_client = !peer->on_input;

		for (uint32_t i = 0; is_client && i < PST_COUNT(names); i++)
			if (count_in(pst_bytes_from(&peer->in, 0), names[i]) > 0)
				stop(run, "something of the inside went out",
				     pst_bytes_from(&peer->in, 0));
	}
}

static void check_nothing_unheard(struct running *run)
{
	for (uint32_t i = 0; i < PST_DIALOGUE_ENDS_MAX; i++) {
		struct pst_peer *peer = run->clients[i].peer;

		if (peer && peer->open && !peer->deaf && unheard(peer).len > 0)
			stop(run, "at the end there was more to be heard", unheard(peer));
	}
	for (uint32_t i = 0; i < run->server_count; i++)
		if (next_taken(run->servers[i]))
			stop(run, "more was delivered than the file says",
			     pst_bytes_from(&next_taken(run->servers[i])->envelope, 0));
}

static void write_down(struct running *run)
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

static void end_clients(struct running *run)
{
	for (uint32_t i = 0; i < PST_DIALOGUE_ENDS_MAX; i++) {
		struct pst_peer *peer = run->clients[i].peer;

		if (!peer || !peer->open)
			continue;
		peer->said = peer->out.len;
		pst_peer_end(peer, PST_PEER_CLOSE);
	}
	settle(run);
}

/* Memory is back: so is the service. */
static void check_recovery(struct running *run)
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
	pass(run, REST_MS);
	if (pst_addr_parse(PST_SPAN("100.64.0.9"), &from) < 0)
		abort();
	peer = pst_stage_connect(&run->stage, &from, 0);
	for (uint32_t i = 0; i < PST_COUNT(replies); i++) {
		if (i > 0)
			pst_peer_say(peer, pst_span_text(lines[i - 1]));
		do {
			if (!next_line(run, peer, &line) ||
			    !pst_span_starts_nocase(line, pst_span_text(replies[i])))
				stop(run, "with memory back it does not work again",
				     pst_bytes_from(&peer->in, 0));
		} while (line.at[3] == '-');
	}
	pst_peer_end(peer, PST_PEER_CLOSE);
	settle(run);
}

/* Everybody has gone and all deadlines are over: nothing is held any longer. */
static void check_pools(struct running *run)
{
	const struct pst_proxy *proxy = run->stage.proxy;
	const struct pst_pool *pools[] = {&proxy->session_pool, &proxy->txns.pool, &proxy->in_pool,
					  &proxy->out_pool, &proxy->hold.pages, &proxy->clients.pool};

	pass(run, REST_MS);
	for (uint32_t i = 0; i < PST_COUNT(pools); i++)
		if (pools[i]->used_count > 0)
			stop(run, "blocks of a pool are still used", pst_span_text(pools[i]->name));
	if (proxy->hold.shared_used > 0)
		stop(run, "pages are still charged", PST_SPAN_NONE);
	if (run->stage.loop.heap_count > 1 + pst_relay_connection_count(proxy->relay))
		stop(run, "timers are armed though all is quiet", PST_SPAN_NONE);
}

static void drain(struct running *run)
{
	pst_proxy_drain(run->stage.proxy);
	pass(run, run->stage.proxy->conf->drain_ms);
	pst_proxy_drain(run->stage.proxy);
	settle(run);
	pass(run, 10000);
	if (!run->stage.drained)
		stop(run, "it does not drain", PST_SPAN_NONE);
}

static void play_all(struct running *run)
{
	const struct pst_dialogue *dialogue = run->dialogue;

	if (!begin(run))
		return;
	for (uint32_t i = dialogue->cold ? dialogue->first_step : 0; i < dialogue->step_count; i++) {
		run->step = &dialogue->steps[i];
		play_step(run);
	}
	run->step = NULL;
	settle(run);
	check_books(run, false);
	check_inside_stays_inside(run);
	if (!run->play->loose) {
		check_nothing_unheard(run);
		write_down(run);
	}
	end_clients(run);
	if (run->play->loose && !run->stage.proxy->draining && !dialogue->no_recovery)
		check_recovery(run);
	if (!run->stage.plan.kernel && !run->stage.proxy->draining)
		check_pools(run);
	if (!run->stage.drained)
		drain(run);
	check_books(run, true);
	if (run->stage.alloc.byte_peak > run->stage.bound)
		stop(run, "it took more memory than it said", PST_SPAN_NONE);
}

void pst_dialogue_play(const struct pst_dialogue *dialogue, struct pst_play *play)
{
	struct running *run = calloc(1, sizeof(*run));

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
