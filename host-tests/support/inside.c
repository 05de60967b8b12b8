/* support/inside.c - an internal server that keeps the books */
#include "support/inside.h"

#include <stdlib.h>
#include <string.h>

enum { GREETING, EHLO, LHLO, HELO, XCLIENT, XFORWARD, MAIL, RCPT, DATA, BDAT, DOT, RSET, NOOP, AUTH, QUIT, OTHER };

static const struct {
	const char *verb;
	const char *reply;
	bool last; /* RFC 2920 section 3.1: nothing may be pipelined behind it */
} commands[] = {
	[GREETING] = {"connect", "220 in.example ESMTP\r\n", true},
	[EHLO] = {"EHLO",
		  "250-in.example\r\n250-PIPELINING\r\n250-SIZE 60000000\r\n250-8BITMIME\r\n"
		  "250 ENHANCEDSTATUSCODES\r\n",
		  true},
	[LHLO] = {"LHLO",
		  "250-in.example\r\n250-PIPELINING\r\n250-SIZE 60000000\r\n250-8BITMIME\r\n"
		  "250 ENHANCEDSTATUSCODES\r\n",
		  true},
	[HELO] = {"HELO", "250 in.example\r\n", true},
	[XCLIENT] = {"XCLIENT", "220 in.example ESMTP\r\n", true},
	[XFORWARD] = {"XFORWARD", "250 2.0.0 ok\r\n", false},
	[MAIL] = {"MAIL", "250 2.1.0 ok\r\n", false},
	[RCPT] = {"RCPT", "250 2.1.5 ok\r\n", false},
	[DATA] = {"DATA", "354 go on\r\n", true},
	[BDAT] = {"BDAT", "", false},
	[DOT] = {".", "250 2.0.0 queued\r\n", false},
	[RSET] = {"RSET", "250 2.0.0 ok\r\n", false},
	[NOOP] = {"NOOP", "250 2.0.0 ok\r\n", true},
	[AUTH] = {"AUTH", "", true},
	[QUIT] = {"QUIT", "221 2.0.0 bye\r\n", true},
	[OTHER] = {"", "500 5.5.1 what\r\n", false},
};

/* Which word of an AUTH comes next. */
enum { AUTH_NOTHING, AUTH_PLAIN, AUTH_NAME, AUTH_SECRET };

static void fault(struct pst_inside_conn *conn, const char *what, struct pst_span line)
{
	if (conn->inside->fault.len > 0)
		return;
	pst_bytes_print(&conn->inside->fault, "internal server %u: %s: ", conn->inside->number, what);
	pst_bytes_add_span(&conn->inside->fault, pst_span_sub(line, 0, 200));
}

/* --- books ------------------------------------------------------------------------------------ */

static struct pst_inside_message *message_new(struct pst_inside_conn *conn)
{
	struct pst_inside *inside = conn->inside;
	struct pst_inside_message *message = calloc(1, sizeof(*message));

	if (inside->message_count == inside->message_size) {
		inside->message_size = 2 * inside->message_size + 8;
		inside->messages = realloc(inside->messages,
					   inside->message_size * sizeof(*inside->messages));
	}
	PST_BUG_ON(!message || !inside->messages);
	inside->messages[inside->message_count++] = message;
	pst_bytes_add_span(&message->envelope, pst_bytes_from(&conn->sender, 0));
	message->user = conn->user;
	pst_bytes_print(&message->envelope, " to");
	if (!conn->lmtp)
		pst_bytes_add_span(&message->envelope, pst_bytes_from(&conn->rcpts, 0));
	return message;
}

static void forget_envelope(struct pst_inside_conn *conn)
{
	conn->mail_asked = false;
	conn->mail = false;
	conn->rcpt = false;
	pst_bytes_cut(&conn->sender, 0);
	pst_bytes_cut(&conn->rcpts, 0);
}

static void book_rcpt(struct pst_inside_conn *conn, bool good)
{
	struct pst_span asked = pst_bytes_from(&conn->rcpt_asked, 0);
	int64_t end = pst_span_find(asked, '\n');

	PST_BUG_ON(end < 0);
	if (good) {
		conn->rcpt = true;
		pst_bytes_add(&conn->rcpts, " ", 1);
		pst_bytes_add(&conn->rcpts, asked.at, (uint32_t)end);
	}
	memmove(conn->rcpt_asked.at, conn->rcpt_asked.at + end + 1, asked.len - (uint32_t)end - 1);
	pst_bytes_cut(&conn->rcpt_asked, asked.len - (uint32_t)end - 1);
}

/* The recipient whose fate is told next, cut off the list. */
static struct pst_span next_fate(struct pst_inside_conn *conn)
{
	struct pst_span rest = pst_bytes_from(&conn->rcpts, conn->judged), rcpt;
	int64_t end = pst_span_find(pst_span_sub(rest, 1, rest.len), '>');

	PST_BUG_ON(end < 0);
	rcpt = pst_span_sub(rest, 0, (uint32_t)end + 2);
	conn->judged += rcpt.len;
	return rcpt;
}

/* A final word. LMTP has one for each recipient; the message is taken for those with a good one. */
static void book_dot(struct pst_inside_conn *conn, bool good)
{
	struct pst_inside_message *message = conn->message;

	if (conn->lmtp && good)
		pst_bytes_add_span(&message->envelope, next_fate(conn));
	else if (conn->lmtp)
		(void)next_fate(conn);
	if (good && !message->taken)
		message->taken = ++conn->inside->taken_count;
	for (uint32_t i = 0; i < conn->due_count; i++)
		if (conn->due[i] == DOT)
			return;
	conn->message = NULL;
	forget_envelope(conn);
}

/* Whatever is no question ends it. */
static void book_auth(struct pst_inside_conn *conn, uint8_t class)
{
	if (class == 3)
		return;
	if (class == 2)
		conn->user = conn->candidate;
	conn->inside->login_count += conn->user != NULL;
	conn->candidate = NULL;
	conn->auth = AUTH_NOTHING;
}

/* The oldest command was answered. */
static void book(struct pst_inside_conn *conn, uint8_t class)
{
	uint8_t command;

	if (conn->due_count == 0)
		return;
	command = conn->due[0];
	conn->due_count--;
	memmove(conn->due, conn->due + 1, conn->due_count);
	switch (command) {
	case GREETING:
		conn->greeted = true;
		break;
	case MAIL:
		conn->mail = class == 2;
		break;
	case RCPT:
		book_rcpt(conn, class == 2);
		break;
	case DATA:
		if (class == 3) {
			conn->in_body = true;
			conn->message = message_new(conn);
		}
		break;
	case DOT:
		book_dot(conn, class == 2);
		break;
	case AUTH:
		book_auth(conn, class);
		break;
	case LHLO:
		conn->lmtp = true;
		forget_envelope(conn);
		break;
	case EHLO:
	case HELO:
	case RSET:
		forget_envelope(conn);
		break;
	default:
		break;
	}
}

static void say(struct pst_inside_conn *conn, struct pst_span text)
{
	struct pst_span rest = text;

	while (rest.len > 0) {
		int64_t end = pst_span_find(rest, '\n');
		struct pst_span line = pst_span_sub(rest, 0, end < 0 ? rest.len : (uint32_t)end + 1);

		if (conn->due_count > 0 && (conn->due[0] == EHLO || conn->due[0] == LHLO) &&
		    pst_span_starts_nocase(pst_span_sub(line, 4, line.len), PST_SPAN("PIPELINING")))
			conn->pipelining = true;
		if (conn->due_count > 0 && (conn->due[0] == EHLO || conn->due[0] == LHLO) &&
		    pst_span_starts_nocase(pst_span_sub(line, 4, line.len), PST_SPAN("CHUNKING")))
			conn->chunking = true;
		if (line.len >= 4 && pst_is_digit(line.at[0]) && pst_is_digit(line.at[1]) &&
		    pst_is_digit(line.at[2]) && (line.at[3] == ' ' || line.at[3] == '\r') && end >= 0)
			book(conn, (uint8_t)(line.at[0] - '0'));
		rest = pst_span_sub(rest, line.len, rest.len);
	}
	pst_peer_say(conn->peer, text);
}

/* --- answers ---------------------------------------------------------------------------------- */

static struct pst_inside_rule *find_rule(struct pst_inside *inside, struct pst_span line,
					 uint64_t body_bytes)
{
	for (uint32_t i = inside->rule_count; i-- > 0;) {
		struct pst_inside_rule *rule = &inside->rules[i];
		struct pst_span prefix = pst_bytes_from(&rule->prefix, 0);

		if (rule->times_left == 0)
			continue;
		if (body_bytes > 0 ? rule->body_bytes > 0 && body_bytes >= rule->body_bytes
				   : rule->body_bytes == 0 && pst_span_starts_nocase(line, prefix))
			return rule;
	}
	return NULL;
}

static void follow(struct pst_inside_conn *conn, struct pst_inside_rule *rule)
{
	if (rule->times_left != UINT32_MAX)
		rule->times_left--;
	if (rule->reply.len > 0)
		say(conn, pst_bytes_from(&rule->reply, 0));
	if (rule->end != PST_PEER_STAY)
		pst_peer_end(conn->peer, rule->end);
	if (rule->deaf)
		conn->peer->deaf = true;
	else if (rule->reply.len == 0)
		conn->hung = true;
}

static void answer_with(struct pst_inside_conn *conn, struct pst_span line, const char *usual)
{
	struct pst_inside_rule *rule;

	if (conn->inside->manual || conn->hung)
		return;
	rule = find_rule(conn->inside, line, 0);
	if (rule)
		follow(conn, rule);
	else
		say(conn, pst_span_text(usual));
}

static void answer(struct pst_inside_conn *conn, uint8_t command, struct pst_span line)
{
	const char *usual = commands[command].reply;

	if (conn->inside->manual || conn->hung)
		return;
	if (command == RCPT && !conn->mail)
		usual = "503 5.5.1 MAIL was refused\r\n";
	else if (command == MAIL && conn->inside->on_login && !conn->user)
		usual = "530 5.7.0 log in first\r\n";
	answer_with(conn, line, usual);
	if (command == QUIT)
		pst_peer_end(conn->peer, PST_PEER_CLOSE);
}

/* --- logging in ------------------------------------------------------------------------------- */

static void ask_word(struct pst_inside_conn *conn)
{
	static const char *const questions[] = {
		[AUTH_PLAIN] = "334 \r\n",
		[AUTH_NAME] = "334 VXNlcm5hbWU6\r\n",
		[AUTH_SECRET] = "334 UGFzc3dvcmQ6\r\n",
	};

	answer_with(conn, PST_SPAN("auth"), questions[conn->auth]);
}

static void on_auth_word(struct pst_inside_conn *conn, struct pst_span word)
{
	if (pst_span_eq(word, PST_SPAN("*"))) {
		answer_with(conn, PST_SPAN("auth end"), "501 5.7.0 given up\r\n");
	} else if (conn->auth == AUTH_NAME) {
		pst_bytes_cut(&conn->name, 0);
		pst_bytes_add_span(&conn->name, word);
		conn->auth = AUTH_SECRET;
		ask_word(conn);
	} else {
		conn->candidate = conn->inside->on_login(conn->inside, pst_bytes_from(&conn->name, 0), word);
		answer_with(conn, PST_SPAN("auth end"),
			    conn->candidate ? "235 2.7.0 welcome\r\n" : "535 5.7.8 who?\r\n");
	}
}

/* A line of its own. */
static void on_auth_line(struct pst_inside_conn *conn, struct pst_span line)
{
	conn->due[conn->due_count++] = AUTH;
	on_auth_word(conn, line);
}

static void on_auth(struct pst_inside_conn *conn, struct pst_span line)
{
	struct pst_span rest = pst_span_sub(line, 4, line.len), mechanism = pst_span_word(&rest);
	struct pst_span word = pst_span_word(&rest);

	if (!conn->inside->on_login || conn->user || conn->mail_asked) {
		fault(conn, "AUTH at the wrong place", PST_SPAN_NONE);
		return;
	}
	pst_bytes_cut(&conn->name, 0);
	conn->auth = pst_span_eq_nocase(mechanism, PST_SPAN("PLAIN")) ? AUTH_PLAIN : AUTH_NAME;
	if (word.len > 0)
		on_auth_word(conn, word);
	else
		ask_word(conn);
}

/* --- what the proxy says ---------------------------------------------------------------------- */

static uint8_t command_of(struct pst_span line)
{
	for (uint8_t i = EHLO; i < OTHER; i++) {
		struct pst_span verb = pst_span_text(commands[i].verb);

		if (i != DOT && pst_span_starts_nocase(line, verb) &&
		    (line.len == verb.len || line.at[verb.len] == ' '))
			return i;
	}
	return OTHER;
}

static void check_order(struct pst_inside_conn *conn, uint8_t command, struct pst_span line)
{
	uint8_t before = conn->due_count > 0 ? conn->due[conn->due_count - 1] : OTHER;
	bool mail_due = false, rcpt_due = false;

	for (uint32_t i = 0; i < conn->due_count; i++) {
		mail_due |= conn->due[i] == MAIL;
		rcpt_due |= conn->due[i] == RCPT;
	}
	if (conn->due_count > 0 && before == GREETING)
		fault(conn, "spoke before the greeting", line);
	else if (conn->due_count > 0 && !conn->pipelining)
		fault(conn, "pipelined, which was not offered", line);
	else if (conn->due_count > 0 && commands[before].last)
		fault(conn, "pipelined behind a command that must be the last", line);
	else if (conn->due_count > 0 && (command == EHLO || command == LHLO || command == HELO))
		fault(conn, "pipelined a greeting", line);
	else if (command == MAIL && (conn->mail || mail_due))
		fault(conn, "nested MAIL", line);
	else if (command == RCPT && !conn->mail_asked)
		fault(conn, "RCPT without MAIL", line);
	else if (command == DATA && !conn->rcpt && !rcpt_due)
		fault(conn, "DATA without a recipient", line);
	else if (command == BDAT && (!conn->rcpt || conn->due_count > 0))
		fault(conn, "BDAT before its recipients are known", line);
	else if (command == BDAT && !conn->chunking)
		fault(conn, "BDAT, which was not offered", line);
	else if (command == MAIL && conn->inside->on_login && !conn->user)
		fault(conn, "mail of somebody who has not logged in", line);
	else if (command == XFORWARD && (conn->mail || mail_due))
		fault(conn, "XFORWARD in a transaction", line);
	else if (command == OTHER)
		fault(conn, "no command of ours", line);
}

/* The proxy says one, and it is the last. */
static void begin_chunk(struct pst_inside_conn *conn, struct pst_span line)
{
	struct pst_span rest = line, size;

	(void)pst_span_word(&rest);
	size = pst_span_word(&rest);
	if (pst_span_u64(size, UINT64_MAX, &conn->chunk_left) < 0 || conn->chunk_left == 0 ||
	    !pst_span_eq(pst_span_trim(rest), PST_SPAN("LAST"))) {
		fault(conn, "another BDAT than expected", line);
		return;
	}
	conn->message = message_new(conn);
}

static void on_command(struct pst_inside_conn *conn, struct pst_span line)
{
	uint8_t command = command_of(line);
	struct pst_span rest = line;

	check_order(conn, command, line);
	pst_bytes_add_span(&conn->inside->lines, line);
	pst_bytes_add(&conn->inside->lines, "\n", 1);
	if (command == BDAT) {
		begin_chunk(conn, line);
		return;
	}
	if (conn->due_count == PST_INSIDE_DUE_MAX) {
		fault(conn, "too many commands at once", line);
		return;
	}
	conn->due[conn->due_count++] = command;
	if (command == AUTH) {
		on_auth(conn, line);
		return;
	}
	if (command == MAIL) {
		conn->mail_asked = true;
		pst_bytes_cut(&conn->sender, 0);
		pst_bytes_add_span(&conn->sender,
				   pst_span_sub(rest, sizeof("MAIL FROM:") - 1, rest.len));
	} else if (command == RCPT) {
		pst_bytes_add_span(&conn->rcpt_asked,
				   pst_span_sub(rest, sizeof("RCPT TO:") - 1, rest.len));
		pst_bytes_add(&conn->rcpt_asked, "\n", 1);
	}
	answer(conn, command, line);
}

/*  ret true: a line was taken off the peer's input */
static bool take_command(struct pst_inside_conn *conn)
{
	struct pst_span in = pst_bytes_from(&conn->peer->in, conn->peer->looked);
	int64_t end = pst_span_find(in, '\n');
	struct pst_span line;

	if (end < 0)
		return false;
	line = pst_span_sub(in, 0, (uint32_t)end);
	conn->peer->looked += (uint32_t)end + 1;
	if (line.len == 0 || line.at[line.len - 1] != '\r' ||
	    pst_span_find(line, '\r') != (int64_t)line.len - 1 || pst_span_find(line, 0) >= 0)
		fault(conn, "bare CR, LF or NUL", line);
	else if (conn->auth != AUTH_NOTHING && conn->due_count == 0)
		on_auth_line(conn, pst_span_sub(line, 0, line.len - 1));
	else
		on_command(conn, pst_span_sub(line, 0, line.len - 1));
	return true;
}

static void check_body(struct pst_inside_conn *conn, struct pst_span piece)
{
	uint32_t before = conn->message->wire.len - piece.len;
	const uint8_t *wire = conn->message->wire.at;

	for (uint32_t i = before; i < conn->message->wire.len; i++) {
		bool behind_cr = i > 0 && wire[i - 1] == '\r';

		if (wire[i] == 0 || behind_cr != (wire[i] == '\n')) {
			fault(conn, "bare CR, LF or NUL in a body", pst_span_sub(piece, 0, 80));
			return;
		}
	}
}

static void on_dot(struct pst_inside_conn *conn)
{
	struct pst_bytes rcpts = {0};
	struct pst_span rest;

	conn->in_body = false;
	conn->message->whole = true;
	if (conn->inside->manual)
		pst_bytes_print(&conn->inside->lines, ".\n");
	if (!conn->lmtp) {
		conn->due[conn->due_count++] = DOT;
		answer(conn, DOT, PST_SPAN("."));
		return;
	}
	conn->judged = 0;
	pst_bytes_add_span(&rcpts, pst_bytes_from(&conn->rcpts, 0));
	rest = pst_bytes_from(&rcpts, 0);
	for (uint32_t i = 0; i < rest.len; i++)
		if (rest.at[i] == '>')
			conn->due[conn->due_count++] = DOT;
	while (rest.len > 0) {
		struct pst_bytes line = {0};
		int64_t end = pst_span_find(rest, '>');

		pst_bytes_print(&line, ".");
		pst_bytes_add(&line, rest.at, (uint32_t)end + 1);
		answer(conn, DOT, pst_bytes_from(&line, 0));
		pst_bytes_free(&line);
		rest = pst_span_sub(rest, (uint32_t)end + 1, rest.len);
	}
	pst_bytes_free(&rcpts);
}

/*  ret true: octets were taken off the peer's input */
static bool take_chunk(struct pst_inside_conn *conn)
{
	struct pst_span in = pst_bytes_from(&conn->peer->in, conn->peer->looked);
	struct pst_span piece = pst_span_sub(in, 0, (uint32_t)PST_MIN(in.len, conn->chunk_left));

	conn->peer->looked += piece.len;
	conn->chunk_left -= piece.len;
	pst_bytes_add_span(&conn->message->wire, piece);
	if (conn->chunk_left == 0)
		on_dot(conn);
	return piece.len > 0;
}

/* One line of a body, or the part of one that is there.
 *  ret true: bytes were taken off the peer's input */
static bool take_body(struct pst_inside_conn *conn)
{
	struct pst_span in = pst_bytes_from(&conn->peer->in, conn->peer->looked);
	struct pst_bytes *wire = &conn->message->wire;
	int64_t end = pst_span_find(in, '\n');
	bool at_start = wire->len == 0 || wire->at[wire->len - 1] == '\n';
	struct pst_span piece = pst_span_sub(in, 0, end < 0 ? in.len : (uint32_t)end + 1);
	struct pst_inside_rule *rule;

	if (piece.len == 0 || (at_start && end < 0 && piece.len < 3))
		return false;
	conn->peer->looked += piece.len;
	if (at_start && pst_span_eq(piece, PST_SPAN(".\r\n"))) {
		on_dot(conn);
		return true;
	}
	pst_bytes_add_span(wire, piece);
	check_body(conn, piece);
	if (conn->inside->manual)
		pst_bytes_add_span(&conn->inside->lines, piece);
	rule = find_rule(conn->inside, PST_SPAN_NONE, wire->len);
	if (rule && !conn->hung)
		follow(conn, rule);
	return true;
}

static void on_input(struct pst_peer *peer)
{
	struct pst_inside_conn *conn = peer->owner;
	uint32_t from = peer->looked;

	/* A server that is about to close does nothing more. */
	while (peer->open && peer->end_due <= PST_PEER_SHUT &&
	       (conn->in_body	  ? take_body(conn)
		: conn->chunk_left ? take_chunk(conn)
				   : take_command(conn)))
		;
	if (peer->looked > from)
		conn->inside->last = conn;
	if (peer->ended || peer->broken)
		pst_peer_end(peer, PST_PEER_CLOSE);
}

static void on_peer(struct pst_door *door, struct pst_peer *peer)
{
	struct pst_inside *inside = door->owner;
	struct pst_inside_conn *conn = calloc(1, sizeof(*conn)), **place = &inside->conns;

	PST_BUG_ON(!conn);
	conn->inside = inside;
	conn->peer = peer;
	conn->due[conn->due_count++] = GREETING;
	while (*place)
		place = &(*place)->next;
	*place = conn;
	inside->last = conn;
	inside->conn_count++;
	peer->owner = conn;
	peer->on_input = on_input;
	answer(conn, GREETING, PST_SPAN("connect"));
}

/* --- life ------------------------------------------------------------------------------------- */

struct pst_inside *pst_inside_new(struct pst_stage *stage, const struct pst_addr *address,
				  uint32_t number)
{
	struct pst_inside *inside = calloc(1, sizeof(*inside));

	PST_BUG_ON(!inside);
	inside->stage = stage;
	inside->number = number;
	inside->door = pst_stage_door(stage, address, on_peer, inside);
	return inside;
}

struct pst_inside_rule *pst_inside_rule_add(struct pst_inside *inside)
{
	if (inside->rule_count == PST_INSIDE_RULES_MAX)
		return NULL;
	return &inside->rules[inside->rule_count++];
}

static void forget_rules(struct pst_inside *inside)
{
	for (uint32_t i = 0; i < inside->rule_count; i++) {
		pst_bytes_free(&inside->rules[i].prefix);
		pst_bytes_free(&inside->rules[i].reply);
	}
	memset(inside->rules, 0, sizeof(inside->rules));
	inside->rule_count = 0;
}

void pst_inside_forgive(struct pst_inside *inside)
{
	forget_rules(inside);
	inside->manual = false;
	for (struct pst_inside_conn *conn = inside->conns; conn; conn = conn->next)
		if (conn->due_count > 0 || conn->hung || conn->peer->deaf) {
			conn->hung = true;
			pst_peer_end(conn->peer, PST_PEER_RESET);
		}
}

void pst_inside_say(struct pst_inside *inside, struct pst_span text)
{
	if (!inside->last)
		return;
	inside->last->hung = false;
	say(inside->last, text);
}

void pst_inside_end(struct pst_inside *inside, enum pst_peer_end end)
{
	if (inside->last)
		pst_peer_end(inside->last->peer, end);
}

void pst_inside_free(struct pst_inside *inside)
{
	struct pst_inside_conn *conn;

	forget_rules(inside);
	while ((conn = inside->conns)) {
		conn->peer->on_input = NULL;
		inside->conns = conn->next;
		pst_bytes_free(&conn->sender);
		pst_bytes_free(&conn->rcpts);
		pst_bytes_free(&conn->rcpt_asked);
		pst_bytes_free(&conn->name);
		free(conn);
	}
	for (uint32_t i = 0; i < inside->message_count; i++) {
		pst_bytes_free(&inside->messages[i]->envelope);
		pst_bytes_free(&inside->messages[i]->wire);
		free(inside->messages[i]);
	}
	free(inside->messages);
	pst_bytes_free(&inside->lines);
	pst_bytes_free(&inside->fault);
	free(inside);
}
