/* sim/client.c - clients that speak SMTP, each in a manner of its own
 *
 * A client keeps a list of what is due: one entry for each command it has sent and has no reply to.
 * So each reply is known to be the answer to something, in order, and one that is not is a fault of
 * the proxy's, whatever troubles there are.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim.h"

#define ERRORS_HARD 20 /* what a client is allowed when nothing is configured */
#define RETRY_MS_MAX 600000
#define CALM_MS 60000 /* what a polite client may have to wait in all when nothing is wrong */

enum due {
	DUE_GREETING,
	DUE_HELO,
	DUE_STARTTLS,
	DUE_AUTH, /* or a word of it */
	DUE_MAIL,
	DUE_RCPT,
	DUE_DATA,
	DUE_FINAL,
	DUE_CHUNK,
	DUE_LAST, /* chunk: a final answer */
	DUE_RSET,
	DUE_NOOP,
	DUE_QUIT,
};

/* What may come, troubles or not: classes of replies, one bit each. */
#define CLASS(n) (1u << (n))
static const struct {
	const char *name;
	uint8_t classes;
	uint16_t good; /* the only good code; 0: any of class 2 */
} replies[] = {
	[DUE_GREETING] = {"greeting", CLASS(2), 220},
	[DUE_HELO] = {"EHLO", CLASS(2), 250},
	[DUE_STARTTLS] = {"STARTTLS", CLASS(2) | CLASS(4), 220},
	[DUE_AUTH] = {"AUTH", CLASS(2) | CLASS(3) | CLASS(4) | CLASS(5), 235},
	[DUE_MAIL] = {"MAIL", CLASS(2) | CLASS(4) | CLASS(5), 250},
	[DUE_RCPT] = {"RCPT", CLASS(2) | CLASS(4) | CLASS(5), 250},
	[DUE_DATA] = {"DATA", CLASS(3) | CLASS(4) | CLASS(5), 354},
	[DUE_FINAL] = {"the end of data", CLASS(2) | CLASS(4) | CLASS(5), 250},
	[DUE_CHUNK] = {"BDAT", CLASS(2) | CLASS(4) | CLASS(5), 250},
	[DUE_LAST] = {"BDAT LAST", CLASS(2) | CLASS(4) | CLASS(5), 250},
	[DUE_RSET] = {"RSET", CLASS(2), 250},
	[DUE_NOOP] = {"NOOP", CLASS(2), 250},
	[DUE_QUIT] = {"QUIT", CLASS(2), 221},
};

static void next(struct sim_client *client);
static void over(struct sim_client *client);
static void on_input(struct pst_peer *peer);

static bool one_in(struct pst_rng_seed *rng, uint32_t n)
{
	return pst_rng_seed_below(rng, n) == 0;
}

static struct sim_letter *letter_of(const struct sim_client *client)
{
	return client->letter_at < client->letter_count ? client->letters[client->letter_at] : NULL;
}

/* --- saying ------------------------------------------------------------------------------------ */

void sim_client_say(struct sim_client *client, struct pst_span bytes)
{
	struct pst_bytes wire = {0};

	if (client->left || !client->peer)
		return;
	if (client->secured) {
		sim_trace(client->sim, "client %u says %.*s", client->number, (int)PST_MIN(bytes.len, 100),
			  (const char *)bytes.at);
		sim_tls_end_give(client->tls, bytes, &wire);
		pst_peer_say(client->peer, pst_bytes_from(&wire, 0));
		pst_bytes_free(&wire);
	} else {
		pst_peer_say(client->peer, bytes);
	}
}

static void expect(struct sim_client *client, enum due due)
{
	PST_BUG_ON(client->due_count == SIM_DUE_MAX);
	client->due[client->due_count++] = (uint8_t)due;
}

static void command(struct sim_client *client, enum due due, const char *format, ...)
	PST_PRINTF(3, 4);

static void command(struct sim_client *client, enum due due, const char *format, ...)
{
	char line[300];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line) - 2, format, args);
	va_end(args);
	PST_BUG_ON(len < 0 || (size_t)len >= sizeof(line) - 2);
	memcpy(line + len, "\r\n", 2);
	sim_client_say(client, (struct pst_span){(const uint8_t *)line, (uint32_t)len + 2});
	expect(client, due);
}

static void say_hello(struct sim_client *client)
{
	client->offers_pipelining = client->offers_chunking = client->offers_tls = client->offers_auth = false;
	command(client, DUE_HELO, "%s c%u.out.example", client->esmtp ? "EHLO" : "HELO",
		client->number);
}

static void say_mail(struct sim_client *client)
{
	struct sim_letter *letter = letter_of(client);

	letter->mail_count++;
	client->rcpt_at = client->rcpt_ok = client->chunk_sent = 0;
	client->rcpt_must_fail = false;
	if (client->esmtp && one_in(&client->rng, 3))
		command(client, DUE_MAIL, "MAIL FROM:<%s> SIZE=%u", letter->sender,
			letter->content.len);
	else
		command(client, DUE_MAIL, "MAIL FROM:<%s>", letter->sender);
}

static void say_rcpt(struct sim_client *client, uint32_t index)
{
	command(client, DUE_RCPT, "RCPT TO:<%s>", letter_of(client)->rcpts[index].mailbox);
}

static bool by_chunks(const struct sim_client *client)
{
	return client->wants_chunking && client->offers_chunking;
}

/* All that may be said at once (RFC 2920 section 3.1), or one command. */
static void say_envelope(struct sim_client *client)
{
	struct sim_letter *letter = letter_of(client);

	say_mail(client);
	if (!client->offers_pipelining || !client->wants_pipelining)
		return;
	for (uint32_t i = 0; i < letter->rcpt_count; i++)
		say_rcpt(client, i);
	if (!by_chunks(client))
		command(client, DUE_DATA, "DATA");
}

static void say_chunk(struct sim_client *client)
{
	struct sim_letter *letter = letter_of(client);
	uint32_t left = letter->content.len - client->chunk_sent, len = left;
	bool last = true;

	if (one_in(&client->rng, 2))
		len = pst_rng_seed_below(&client->rng, left + 1);
	/* An empty last chunk is allowed, and rare enough to be forgotten. */
	last = len == left && !one_in(&client->rng, 6);
	command(client, last ? DUE_LAST : DUE_CHUNK, "BDAT %u%s", len, last ? " LAST" : "");
	sim_client_say(client,
		       pst_span_sub(pst_bytes_from(&letter->content, 0), client->chunk_sent, len));
	client->chunk_sent += len;
}

/* Everything is said: go, and perhaps come again. */
static void vanish(struct sim_client *client)
{
	client->left = true;
	pst_peer_end(client->peer, one_in(&client->rng, 2) ? PST_PEER_CLOSE : PST_PEER_RESET);
}

static void say_body(struct sim_client *client)
{
	struct sim_letter *letter = letter_of(client);

	sim_client_say(client, pst_bytes_from(&letter->stuffed, 0));
	expect(client, DUE_FINAL);
	if (client->manner == SIM_VANISH && one_in(&client->rng, 2))
		vanish(client);
}

/* --- what comes next --------------------------------------------------------------------------- */

static void next_letter(struct sim_client *client)
{
	client->letter_at++;
	if (client->manner == SIM_DEAF && one_in(&client->rng, 2))
		client->peer->deaf = true;
	next(client);
}

/* A transaction that leads nowhere. */
static void give_up(struct sim_client *client)
{
	command(client, DUE_RSET, "RSET");
}

static void on_envelope_told(struct sim_client *client)
{
	const struct sim_letter *letter = letter_of(client);

	if (client->rcpt_must_fail)
		give_up(client);
	else if (client->rcpt_at < letter->rcpt_count)
		say_rcpt(client, client->rcpt_at);
	else if (client->rcpt_ok == 0 && !one_in(&client->rng, 4))
		give_up(client);
	else if (by_chunks(client))
		say_chunk(client);
	else
		command(client, DUE_DATA, "DATA");
}

static void say_quit(struct sim_client *client)
{
	client->quit = true;
	command(client, DUE_QUIT, "QUIT");
}

/* A user. Who is not let in may try again, insist, or go. */
static void log_in(struct sim_client *client)
{
	const char *line = sim_login_begin(client);

	if (!line) {
		say_quit(client);
		return;
	}
	do
		command(client, DUE_AUTH, "%s", line);
	while (client->hasty && (line = sim_login_word(client)));
}

/* Nothing is due: say what comes next. */
static void next(struct sim_client *client)
{
	if (client->due_count > 0 || client->left)
		return;
	if (!letter_of(client)) {
		say_quit(client);
		return;
	}
	if (one_in(&client->rng, 20))
		command(client, DUE_NOOP, "NOOP");
	else
		say_envelope(client);
}

/* --- judging replies --------------------------------------------------------------------------- */

/* May a client of this letter be refused for good? Our own trouble never is its fault. */
static bool may_be_refused(const struct sim_client *client, enum due due)
{
	const struct sim *sim = client->sim;
	const struct sim_letter *letter = letter_of(client);

	if (sim->plan.server_5xx || sim->plan.server_raves || !letter)
		return true;
	if (due == DUE_AUTH)
		return sim_login_may_be_refused(client);
	if (client->submits && !client->logged_in)
		return true;
	if (sim->plan.dns && !client->submits)
		return true;
	if (letter->content.len + 2000 > sim->plan.message_bytes)
		return true;
	if (due == DUE_FINAL || due == DUE_LAST || due == DUE_CHUNK)
		return letter->nul || client->rcpt_ok == 0 || (letter->bare && sim->plan.bare_reject) ||
		       (letter->marks && !client->submits);
	if (due == DUE_RCPT)
		return client->rcpt_must_fail ||
		       letter->rcpts[client->rcpt_at].kind == SIM_RCPT_UNKNOWN ||
		       (letter->rcpts[client->rcpt_at].kind == SIM_RCPT_ELSEWHERE && !client->submits);
	/* Without a recipient there can be no data. */
	return (due == DUE_DATA) && client->rcpt_ok == 0;
}

/* Without any trouble each reply is known. */
static bool is_deserved(const struct sim_client *client, enum due due, uint16_t code)
{
	const struct sim *sim = client->sim;
	const struct sim_letter *letter = letter_of(client);
	bool big = letter && letter->content.len + 2000 > sim->plan.message_bytes;
	bool bad = letter && (letter->nul || (letter->bare && sim->plan.bare_reject &&
					      due != DUE_LAST && due != DUE_CHUNK));

	if (due == DUE_AUTH)
		return sim_login_is_deserved(client, code);
	if (due == DUE_MAIL && client->submits && !client->logged_in)
		return code == 530;
	if (due == DUE_RCPT && client->rcpt_must_fail)
		return code >= 400;
	if (due == DUE_RCPT && client->submits)
		return code == (letter->rcpts[client->rcpt_at].kind == SIM_RCPT_UNKNOWN ? 550 : 250);
	if (due == DUE_RCPT) {
		switch (letter->rcpts[client->rcpt_at].kind) {
		case SIM_RCPT_UNKNOWN:
			return code == 550 || code == 452;
		case SIM_RCPT_ELSEWHERE:
			return code == 554;
		case SIM_RCPT_GOOD:
		case SIM_RCPT_LIST: /* one route a transaction */
			return code == 250 || (code == 452 && sim->plan.two_routes &&
					       client->rcpt_at > 0);
		}
	}
	if (due == DUE_STARTTLS) /* one network may have a few handshakes at a time */
		return code == 220 || code == 454;
	if (due == DUE_MAIL)
		return code == 250 || (big && code == 552);
	if (due == DUE_DATA && client->rcpt_ok == 0)
		return code >= 400;
	if (due == DUE_FINAL || due == DUE_LAST || due == DUE_CHUNK) {
		/* BDAT without a recipient is read, and refused. */
		if (client->rcpt_ok == 0)
			return code >= 400;
		if (big && code == 552)
			return true;
		/* By what it scores; score.c knows exactly. */
		if (letter->marks && !client->submits && (code == 550 || code == 451))
			return true;
		if (bad && due != DUE_CHUNK)
			return code == 550;
		return code == 250 || (bad && code == 550);
	}
	return code == replies[due].good;
}

static void judge(struct sim_client *client, enum due due, uint16_t code)
{
	struct sim *sim = client->sim;

	if (code == 421)
		return;
	client->refusal_count += code / 100 == 5;
	if (!(replies[due].classes & CLASS(code / 100)) ||
	    (code / 100 <= 3 && code != replies[due].good && !(due == DUE_AUTH && code == 334))) {
		/* Without memory a reply may be any 4xx. */
		if (!(sim->failing && code / 100 == 4))
			sim_wrong(sim, "client %u was told %u to %s", client->number, code,
				  replies[due].name);
	}
	if (due == DUE_MAIL && code == 250 && client->submits && !client->logged_in)
		sim_wrong(sim, "client %u may send mail and has not logged in", client->number);
	if (code / 100 == 5 && !may_be_refused(client, due))
		sim_wrong(sim, "client %u was told %u to %s, and it is not its fault", client->number,
			  code, replies[due].name);
	if (sim->plan.calm && !is_deserved(client, due, code))
		sim_wrong(sim, "client %u was told %u to %s, though all is well", client->number, code,
			  replies[due].name);
}

static void on_final(struct sim_client *client, uint16_t code, struct pst_span text)
{
	struct sim_letter *letter = letter_of(client);

	/* What has begun to go inside can only be broken off, and the login goes with its connection. */
	client->login_spent |= client->submits && code / 100 == 5;
	sim_book_told(client->sim, letter, code, text);
	/* It has heard what it wanted, and goes without a word. */
	if (client->manner == SIM_VANISH && one_in(&client->rng, 2)) {
		vanish(client);
		return;
	}
	if (client->rcpt_ok == 0)
		give_up(client);
	else
		next_letter(client);
}

static void on_hello(struct sim_client *client, uint16_t code)
{
	if (code / 100 != 2) {
		client->letter_at = client->letter_count;
		next(client);
	} else if (client->wants_tls && client->offers_tls && !client->secured) {
		command(client, DUE_STARTTLS, "STARTTLS");
	} else if (client->submits) {
		log_in(client);
	} else {
		next(client);
	}
}

static void on_auth(struct sim_client *client, uint16_t code)
{
	const char *line;

	if (!sim_login_reply(client, code, &line)) {
		if (line)
			command(client, DUE_AUTH, "%s", line);
		return;
	}
	if (client->logged_in || one_in(&client->rng, 4))
		next(client);
	else
		log_in(client);
}

static void begin_tls(struct sim_client *client)
{
	struct pst_bytes wire = {0};

	client->tls = sim_tls_end_new(client->sim, false);
	(void)sim_tls_end_take(client->tls, PST_SPAN_NONE, &client->heard, &wire);
	pst_peer_say(client->peer, pst_bytes_from(&wire, 0));
	pst_bytes_free(&wire);
}

static void on_data_reply(struct sim_client *client, uint16_t code)
{
	if (code != 354) {
		give_up(client);
	} else if (client->rcpt_ok == 0) {
		/* RFC 2920 section 3.1: pipelined, and nobody was taken. */
		sim_client_say(client, PST_SPAN(".\r\n"));
		expect(client, DUE_FINAL);
	} else {
		say_body(client);
	}
}

static void on_reply(struct sim_client *client, enum due due, uint16_t code, struct pst_span text)
{
	judge(client, due, code);
	switch (due) {
	case DUE_GREETING:
		client->greeted = true;
		say_hello(client);
		break;
	case DUE_HELO:
		on_hello(client, code);
		break;
	case DUE_STARTTLS:
		if (code == 220)
			begin_tls(client);
		else if (client->submits)
			log_in(client);
		else
			next(client);
		break;
	case DUE_AUTH:
		on_auth(client, code);
		break;
	case DUE_MAIL:
		client->rcpt_must_fail = code / 100 != 2;
		if (client->due_count > 0)
			break;
		if (client->rcpt_must_fail)
			next_letter(client);
		else
			say_rcpt(client, 0);
		break;
	case DUE_RCPT:
		client->rcpt_ok += code / 100 == 2;
		client->rcpt_at++;
		if (client->due_count == 0)
			on_envelope_told(client);
		break;
	case DUE_DATA:
		on_data_reply(client, code);
		break;
	case DUE_CHUNK:
		/* Whatever was said, all of it is sent: so is the rule. */
		say_chunk(client);
		break;
	case DUE_FINAL:
	case DUE_LAST:
		on_final(client, code, text);
		break;
	case DUE_RSET:
		next_letter(client);
		break;
	case DUE_NOOP:
		next(client);
		break;
	case DUE_QUIT:
		client->left = true;
		pst_peer_end(client->peer, PST_PEER_CLOSE);
		break;
	}
}

/* --- hearing ----------------------------------------------------------------------------------- */

static void note_offer(struct sim_client *client, struct pst_span line)
{
	struct pst_span word = pst_span_sub(line, 4, line.len);

	client->offers_pipelining |= pst_span_starts_nocase(word, PST_SPAN("PIPELINING"));
	client->offers_chunking |= pst_span_starts_nocase(word, PST_SPAN("CHUNKING"));
	client->offers_tls |= pst_span_starts_nocase(word, PST_SPAN("STARTTLS"));
	client->offers_auth |= pst_span_starts_nocase(word, PST_SPAN("AUTH"));
}

/* ret the code, 0: this is no reply line (RFC 5321 section 4.2) */
static uint16_t code_of(struct pst_span line)
{
	if (line.len < 4 || line.at[0] < '2' || line.at[0] > '5' || !pst_is_digit(line.at[1]) ||
	    !pst_is_digit(line.at[2]) || (line.at[3] != ' ' && line.at[3] != '-'))
		return 0;
	for (uint32_t i = 4; i < line.len; i++)
		if (!pst_is_print(line.at[i]))
			return 0;
	return (uint16_t)((line.at[0] - '0') * 100 + (line.at[1] - '0') * 10 + (line.at[2] - '0'));
}

static void on_line(struct sim_client *client, struct pst_span line)
{
	struct sim *sim = client->sim;
	uint16_t code = code_of(line);
	enum due due;

	if (client->secured)
		sim_trace(sim, "client %u hears %.*s", client->number, (int)line.len, (const char *)line.at);
	if (code == 0 || line.len > 510) {
		sim_wrong(sim, "client %u heard what is no reply: %.*s", client->number,
			  (int)PST_MIN(line.len, 100), (const char *)line.at);
		return;
	}
	if (client->due_count > 0 && client->due[0] == DUE_HELO)
		note_offer(client, line);
	if (line.at[3] == '-')
		return;
	client->reply_count++;
	if (client->dismissed) {
		sim_wrong(sim, "client %u heard more behind its 421", client->number);
		return;
	}
	client->dismissed = code == 421;
	if (client->manner == SIM_HOSTILE) {
		if (code == 250 && pst_span_find(line, '[') > 0)
			sim_book_told(sim, NULL, code, line);
		if (!client->greeted && !client->early && !client->dismissed)
			sim_client_hostile(client);
		client->greeted = true;
		return;
	}
	if (client->due_count == 0) {
		if (!client->dismissed)
			sim_wrong(sim, "client %u was told %u to nothing", client->number, code);
		return;
	}
	due = (enum due)client->due[0];
	memmove(client->due, client->due + 1, --client->due_count);
	if (client->dismissed) {
		if ((due == DUE_FINAL || due == DUE_LAST) && letter_of(client))
			sim_book_told(sim, letter_of(client), code, line);
		return;
	}
	on_reply(client, due, code, line);
}

/*  ret true: a line was taken */
static bool take_line(struct sim_client *client)
{
	struct pst_span in = pst_bytes_from(&client->heard, client->read), copy;
	int64_t end = pst_span_find(in, '\n');
	uint8_t line[2048];

	if (end < 0)
		return false;
	client->read += (uint32_t)end + 1;
	if (end < 1 || in.at[end - 1] != '\r' || end > (int64_t)sizeof(line)) {
		sim_wrong(client->sim, "client %u heard a line without its CRLF", client->number);
		return false;
	}
	/* More may be heard while this is dealt with. */
	memcpy(line, in.at, (size_t)end - 1);
	copy = (struct pst_span){line, (uint32_t)end - 1};
	on_line(client, copy);
	return true;
}

/* Records, or plain bytes. */
static void take_raw(struct sim_client *client)
{
	struct pst_span raw = pst_bytes_from(&client->peer->in, client->raw_read);
	struct pst_bytes wire = {0};
	bool was_secured = client->secured;
	int ret;

	client->raw_read += raw.len;
	if (!client->tls) {
		pst_bytes_add_span(&client->heard, raw);
		return;
	}
	ret = sim_tls_end_take(client->tls, raw, &client->heard, &wire);
	pst_peer_say(client->peer, pst_bytes_from(&wire, 0));
	pst_bytes_free(&wire);
	if (ret < 0)
		return;
	client->secured = ret > 0;
	if (client->secured && !was_secured && !client->tls_first)
		say_hello(client);
}

/* --- the end of a connection, and the next ------------------------------------------------------ */

/* Is there a letter of which it has not heard the end? */
static bool has_unserved(const struct sim_client *client)
{
	return letter_of(client) != NULL && client->attempts_left > 0 &&
	       client->manner != SIM_HOSTILE && !client->sim->stopped;
}

static void over(struct sim_client *client)
{
	struct sim *sim = client->sim;
	uint64_t spent_ms = sim->stage.sim.mono_ms - client->begin_ms;

	if (client->over)
		return;
	client->left = true;
	client->over = true;
	if (sim->plan.calm && client->manner == SIM_POLITE && client->peer->gap_ms == 0 &&
	    sim->plan.net == SIM_NET_MEMORY && spent_ms > CALM_MS)
		sim_wrong(sim, "client %u took %llu s, though all is well", client->number,
			  (unsigned long long)spent_ms / 1000);
	/* One network may have a few handshakes at a time, and without TLS there is no way to say so. */
	if (sim->plan.calm && client->manner == SIM_POLITE && !client->quit &&
	    !(client->tls_first && !client->greeted) && !client->login_spent && client->refusal_count < ERRORS_HARD - 1)
		sim_wrong(sim, "client %u was let go, though all is well", client->number);
	if (client->manner == SIM_HOSTILE && client->reply_count > client->line_count + 2)
		sim_wrong(sim, "client %u heard %u replies to %u lines", client->number,
			  client->reply_count, client->line_count);
	if (!has_unserved(client))
		return;
	client->attempts_left--;
	client->manner = one_in(&client->rng, 2) ? SIM_POLITE : client->manner;
	pst_timer_set(&sim->stage.loop, &client->timer,
		      sim->stage.loop.now_ms + 1000 + pst_rng_seed_below(&client->rng, RETRY_MS_MAX));
}

static void on_input(struct pst_peer *peer)
{
	struct sim_client *client = peer->owner;

	if (client->peer != peer || client->over)
		return;
	if (!client->left)
		take_raw(client);
	while (!client->left && take_line(client))
		;
	if (peer->ended || peer->broken) {
		client->left = true;
		peer->said = peer->out.len;
		pst_peer_end(peer, PST_PEER_CLOSE);
	}
}

static void on_end(struct pst_peer *peer)
{
	struct sim_client *client = peer->owner;

	if (client->peer == peer && !peer->open)
		over(client);
}

/* A load balancer stands in front, and says who is really there. */
static void say_hop(struct sim_client *client)
{
	char text[100];
	int len = snprintf(text, sizeof(text), "PROXY TCP4 203.0.113.%u 192.0.2.25 %u 25\r\n",
			   1 + client->number % 12,
			   1024 + pst_rng_seed_below(&client->rng, 60000));

	pst_peer_say(client->peer, (struct pst_span){(const uint8_t *)text, (uint32_t)len});
}

static void begin(struct sim_client *client)
{
	struct sim *sim = client->sim;

	for (uint32_t i = client->letter_at; i < client->letter_count; i++) {
		struct sim_letter *letter = client->letters[i];

		if (letter->attempt_count < PST_COUNT(letter->attempt_log))
			letter->attempt_log[letter->attempt_count] = sim->stage.log_text.len;
		letter->attempt_count++;
	}
	sim->session_count++;
	sim_tls_end_free(client->tls);
	client->tls = NULL;
	client->due_count = client->raw_read = client->read = 0;
	client->reply_count = client->line_count = client->refusal_count = 0;
	pst_bytes_cut(&client->heard, 0);
	client->greeted = client->dismissed = client->quit = client->secured = false;
	client->left = client->over = client->logged_in = client->login_spent = false;
	client->logins_left = 3;
	client->begin_ms = sim->stage.sim.mono_ms;
	client->peer = pst_stage_connect(&sim->stage, &client->address, client->listener);
	client->peer->owner = client;
	client->peer->on_input = on_input;
	client->peer->on_end = on_end;
	sim_client_draw_manner(client);
	expect(client, DUE_GREETING);
	if (client->balanced)
		say_hop(client);
	if (client->tls_first)
		begin_tls(client);
	if (client->early && client->manner == SIM_HOSTILE)
		sim_client_hostile(client);
}

static void on_due(struct pst_timer *timer)
{
	struct sim_client *client = PST_CONTAINER(timer, struct sim_client, timer);

	if (!client->sim->stopped)
		begin(client);
}

void sim_client_init(struct sim *sim, struct sim_client *client, uint32_t number)
{
	struct pst_rng_seed *rng = &client->rng;

	client->sim = sim;
	client->number = number;
	client->timer.on_due = on_due;
	pst_rng_seed_init(rng, sim->seed * 1000003 + number);
	client->manner = one_in(rng, 2) ? SIM_POLITE : (enum sim_manner)pst_rng_seed_below(rng, SIM_MANNERS);
	sim_client_draw_address(client);
	client->esmtp = !one_in(rng, 10) || client->submits;
	client->wants_pipelining = one_in(rng, 2);
	client->wants_chunking = one_in(rng, 3);
	client->wants_tls = sim->plan.tls && (one_in(rng, 2) || client->submits);
	client->early = one_in(rng, 3) && !client->tls_first;
	client->attempts_left = 3;
	client->letter_count = 1 + pst_rng_seed_below(rng, PST_COUNT(client->letters));
	for (uint32_t i = 0; i < client->letter_count; i++)
		client->letters[i] = sim_letter_new(sim, client->submits ? client : NULL, rng);
	pst_timer_set(&sim->stage.loop, &client->timer,
		      sim->stage.loop.now_ms + 1 + pst_rng_seed_below(rng, sim->plan.spread_ms + 1));
}

void sim_client_free(struct sim_client *client)
{
	sim_tls_end_free(client->tls);
	pst_bytes_free(&client->heard);
}
