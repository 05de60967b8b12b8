/* smtp/server.c - verbs, states and framing of the server side */
#include <string.h>

#include "smtp/server_priv.h"

#define IN(state) (1u << PST_SMTP_##state)
#define ANY_COMMAND (IN(READY) | IN(IDLE) | IN(MAIL) | IN(RCPT) | IN(NEXT))

static const struct pst_smtp_reply
	OK = PST_SMTP_REPLY(250, 2, 0, 0, "ok"),
	BYE = PST_SMTP_REPLY(221, 2, 0, 0, "closing connection"),
	HELP = PST_SMTP_REPLY(214, 2, 0, 0, "see RFC 5321"),
	CANNOT_VERIFY = PST_SMTP_REPLY(252, 2, 5, 0, "send some mail, the recipient will be tried then"),
	FRAMING = PST_SMTP_REPLY(500, 5, 5, 2, "bare CR, LF or NUL in a command"),
	TOO_LONG = PST_SMTP_REPLY(500, 5, 5, 2, "line too long"),
	NO_COMMAND = PST_SMTP_REPLY(500, 5, 5, 2, "a command is wanted"),
	UNKNOWN = PST_SMTP_REPLY(500, 5, 5, 1, "command not recognized"),
	NOT_SMTP = PST_SMTP_REPLY(554, 5, 5, 1, "this is not SMTP"),
	NOT_OFFERED = PST_SMTP_REPLY(502, 5, 5, 1, "command not offered"),
	NO_HELO = PST_SMTP_REPLY(503, 5, 5, 1, "send EHLO first"),
	NO_MAIL = PST_SMTP_REPLY(503, 5, 5, 1, "send MAIL first"),
	NO_RCPT = PST_SMTP_REPLY(503, 5, 5, 1, "send RCPT first"),
	NESTED_MAIL = PST_SMTP_REPLY(503, 5, 5, 1, "a transaction is already open"),
	NO_VALID_RCPT = PST_SMTP_REPLY(554, 5, 5, 1, "no valid recipients"),
	NO_RCPT_YET = PST_SMTP_REPLY(451, 4, 5, 1, "no valid recipients for now"),
	NO_ARGUMENT = PST_SMTP_REPLY(501, 5, 5, 4, "this command has no argument"),
	BAD_CHUNK = PST_SMTP_REPLY(501, 5, 5, 4, "syntax: BDAT size [LAST]"),
	ENCRYPT_FIRST = PST_SMTP_REPLY(538, 5, 7, 11, "send STARTTLS first, then AUTH"),
	TWICE = PST_SMTP_REPLY(503, 5, 5, 1, "already authenticated"),
	NOT_TEXT = PST_SMTP_REPLY(501, 5, 5, 4, "this argument is no text"),
	NO_MECHANISM = PST_SMTP_REPLY(504, 5, 5, 4, "mechanism not offered"),
	CHUNK_DUE = PST_SMTP_REPLY(503, 5, 5, 1, "the next chunk is wanted");

/* From each state to which others. */
static const uint16_t EDGES[PST_SMTP_STATE_COUNT] = {
	[PST_SMTP_NEW] = IN(READY) | IN(CLOSED),
	[PST_SMTP_READY] = IN(READY) | IN(IDLE) | IN(CLOSED),
	[PST_SMTP_IDLE] = IN(IDLE) | IN(AUTH) | IN(MAIL) | IN(READY) | IN(CLOSED),
	[PST_SMTP_AUTH] = IN(IDLE) | IN(AUTH) | IN(CLOSED),
	[PST_SMTP_MAIL] = IN(IDLE) | IN(MAIL) | IN(RCPT) | IN(CLOSED),
	[PST_SMTP_RCPT] = IN(IDLE) | IN(RCPT) | IN(BODY) | IN(CHUNK) | IN(CLOSED),
	[PST_SMTP_BODY] = IN(JUDGE) | IN(CLOSED),
	[PST_SMTP_CHUNK] = IN(NEXT) | IN(JUDGE) | IN(CLOSED),
	[PST_SMTP_NEXT] = IN(IDLE) | IN(CHUNK) | IN(CLOSED),
	[PST_SMTP_JUDGE] = IN(IDLE) | IN(CLOSED),
	[PST_SMTP_CLOSED] = IN(CLOSED),
};

static void enter(struct pst_smtp_server *core, enum pst_smtp_state state)
{
	PST_BUG_ON(!(EDGES[core->state] & (1u << state)));
	core->state = (uint8_t)state;
	if (!((IN(MAIL) | IN(RCPT)) & (1u << state))) {
		core->rcpt_refused = false;
		core->rcpt_deferred = false;
		core->utf8 = false;
	}
}

static void ask(struct pst_smtp_server *core, enum pst_smtp_event_kind kind)
{
	core->asked = (uint8_t)kind;
	core->waiting = true;
}

static void say(struct pst_smtp_event *event, enum pst_smtp_event_kind kind,
		const struct pst_smtp_reply *reply)
{
	event->kind = kind;
	event->reply = *reply;
	event->error = reply->code >= 500;
}

static const struct pst_smtp_reply *check_none(struct pst_smtp_server *core, struct pst_span args,
					       struct pst_smtp_event *event)
{
	(void)core;
	(void)event;
	return args.len ? &NO_ARGUMENT : NULL;
}

static const struct pst_smtp_reply *check_any(struct pst_smtp_server *core, struct pst_span args,
					      struct pst_smtp_event *event)
{
	(void)core;
	(void)args;
	(void)event;
	return NULL;
}

static const struct pst_smtp_reply *no_recipient(const struct pst_smtp_server *core)
{
	/* A client that goes by this reply alone must not give up what was only deferred. */
	if (core->rcpt_deferred)
		return &NO_RCPT_YET;
	return core->rcpt_refused ? &NO_VALID_RCPT : &NO_RCPT;
}

static const struct pst_smtp_reply *check_data(struct pst_smtp_server *core, struct pst_span args,
					       struct pst_smtp_event *event)
{
	(void)event;
	if (args.len)
		return &NO_ARGUMENT;
	return core->state == PST_SMTP_RCPT ? NULL : no_recipient(core);
}

/* What a verb is told in a state that it is not allowed in: the step that is missing. Before the data
 * only MAIL is ever out of place inside a transaction. */
static const struct pst_smtp_reply *const MISSING[PST_SMTP_STATE_COUNT] = {
	[PST_SMTP_READY] = &NO_HELO,
	[PST_SMTP_IDLE] = &NO_MAIL,
	[PST_SMTP_MAIL] = &NESTED_MAIL,
	[PST_SMTP_RCPT] = &NESTED_MAIL,
	[PST_SMTP_NEXT] = &CHUNK_DUE,
};

/* Of a size that cannot be read nobody knows how many octets follow: they will be commands. */
static const struct pst_smtp_reply *check_bdat(struct pst_smtp_server *core, struct pst_span args,
					       struct pst_smtp_event *event)
{
	struct pst_span size = pst_span_word(&args), last = pst_span_word(&args);

	(void)event;
	if (size.len > PST_SMTP_SIZE_DIGITS_MAX || pst_span_u64(size, UINT64_MAX, &core->chunk_left) ||
	    (last.len && !pst_span_eq_nocase(last, PST_SPAN("LAST"))) || args.len)
		return &BAD_CHUNK;
	core->chunk_last = last.len > 0;
	return NULL;
}

static const struct pst_smtp_reply *check_starttls(struct pst_smtp_server *core,
						   struct pst_span args,
						   struct pst_smtp_event *event)
{
	(void)event;
	if (!(core->offered & PST_SMTP_CAP_STARTTLS))
		return &NOT_OFFERED;
	if (core->state != PST_SMTP_IDLE)
		return MISSING[core->state];
	return args.len ? &NO_ARGUMENT : NULL;
}

/* PLAIN and LOGIN are words between the client and the internal server: what is in them is not looked at. */
static const struct pst_smtp_reply *check_auth(struct pst_smtp_server *core, struct pst_span args,
					       struct pst_smtp_event *event)
{
	(void)event;
	if (!core->submission)
		return &NOT_OFFERED;
	if (core->state != PST_SMTP_IDLE)
		return MISSING[core->state];
	if (!(core->offered & PST_SMTP_CAP_AUTH))
		return &ENCRYPT_FIRST;
	if (core->authenticated)
		return &TWICE;
	if (!pst_smtp_printable(args))
		return &NOT_TEXT;
	event->name = pst_span_word(&args);
	if (!pst_span_eq_nocase(event->name, PST_SPAN("PLAIN")) &&
	    !pst_span_eq_nocase(event->name, PST_SPAN("LOGIN")))
		return &NO_MECHANISM;
	return NULL;
}

static void proceed_auth(struct pst_smtp_server *core, struct pst_smtp_event *event)
{
	(void)core;
	event->kind = PST_SMTP_EV_AUTH;
}

static void proceed_helo(struct pst_smtp_server *core, struct pst_smtp_event *event)
{
	core->asked_esmtp = false;
	event->kind = PST_SMTP_EV_HELO;
}

static void proceed_ehlo(struct pst_smtp_server *core, struct pst_smtp_event *event)
{
	core->asked_esmtp = true;
	event->esmtp = true;
	event->kind = PST_SMTP_EV_HELO;
}

static void proceed_mail(struct pst_smtp_server *core, struct pst_smtp_event *event)
{
	(void)core;
	event->kind = PST_SMTP_EV_MAIL;
}

static void proceed_rcpt(struct pst_smtp_server *core, struct pst_smtp_event *event)
{
	(void)core;
	event->kind = PST_SMTP_EV_RCPT;
}

static void proceed_data(struct pst_smtp_server *core, struct pst_smtp_event *event)
{
	core->asked_chunk = false;
	event->kind = PST_SMTP_EV_DATA;
}

/* Nothing is said before the octets were read; refused ones are thrown away. */
static void proceed_bdat(struct pst_smtp_server *core, struct pst_smtp_event *event)
{
	if (!(core->offered & PST_SMTP_CAP_CHUNKING)) {
		core->chunk_refusal = &NOT_OFFERED;
	} else if (core->state == PST_SMTP_NEXT) {
		enter(core, PST_SMTP_CHUNK);
	} else if (core->state == PST_SMTP_RCPT) {
		core->asked_chunk = true;
		event->chunked = true;
		event->kind = PST_SMTP_EV_DATA;
		ask(core, event->kind);
	} else {
		core->chunk_refusal = core->state == PST_SMTP_MAIL ? no_recipient(core)
								   : MISSING[core->state];
	}
}

static void proceed_starttls(struct pst_smtp_server *core, struct pst_smtp_event *event)
{
	(void)core;
	event->kind = PST_SMTP_EV_STARTTLS;
}

static void proceed_rset(struct pst_smtp_server *core, struct pst_smtp_event *event)
{
	say(event, PST_SMTP_EV_RESET, &OK);
	if (core->state != PST_SMTP_READY)
		enter(core, PST_SMTP_IDLE);
}

static void proceed_noop(struct pst_smtp_server *core, struct pst_smtp_event *event)
{
	(void)core;
	say(event, PST_SMTP_EV_REPLY, &OK);
}

static void proceed_help(struct pst_smtp_server *core, struct pst_smtp_event *event)
{
	(void)core;
	say(event, PST_SMTP_EV_REPLY, &HELP);
}

static void proceed_vrfy(struct pst_smtp_server *core, struct pst_smtp_event *event)
{
	(void)core;
	say(event, PST_SMTP_EV_REPLY, &CANNOT_VERIFY);
}

static void proceed_refuse(struct pst_smtp_server *core, struct pst_smtp_event *event)
{
	(void)core;
	say(event, PST_SMTP_EV_REPLY, &NOT_OFFERED);
}

static void proceed_foreign(struct pst_smtp_server *core, struct pst_smtp_event *event)
{
	say(event, PST_SMTP_EV_REPLY, &NOT_SMTP);
	event->non_smtp = true;
	event->close = true;
	enter(core, PST_SMTP_CLOSED);
}

static void proceed_quit(struct pst_smtp_server *core, struct pst_smtp_event *event)
{
	say(event, PST_SMTP_EV_QUIT, &BYE);
	enter(core, PST_SMTP_CLOSED);
}

enum verb_flag {
	ASKS = 1,  /* the owner's answer decides what comes of it */
	ALONE = 2, /* nothing may stand behind it before it is answered. RFC 2920 section 3.1 names VRFY,
		    * EXPN, NOOP and QUIT as well, but those hurt nobody and good clients do it */
};

struct verb {
	struct pst_span name;
	uint16_t states;
	uint8_t flags;
	const struct pst_smtp_reply *(*check)(struct pst_smtp_server *core, struct pst_span args,
					      struct pst_smtp_event *event);
	void (*proceed)(struct pst_smtp_server *core, struct pst_smtp_event *event);
};

#define VERB(name, states, flags, check, proceed) \
	{PST_SPAN(name), (states), (flags), (check), proceed_##proceed}

static const struct verb VERBS[] = {
	VERB("RCPT", IN(MAIL) | IN(RCPT), ASKS, pst_smtp_check_rcpt, rcpt),
	VERB("MAIL", IN(IDLE), ASKS, pst_smtp_check_mail, mail),
	VERB("DATA", IN(MAIL) | IN(RCPT), ASKS | ALONE, check_data, data),
	VERB("BDAT", ANY_COMMAND, 0, check_bdat, bdat),
	VERB("EHLO", ANY_COMMAND, ASKS | ALONE, pst_smtp_check_helo, ehlo),
	VERB("HELO", ANY_COMMAND, ASKS | ALONE, pst_smtp_check_helo, helo),
	VERB("RSET", ANY_COMMAND, 0, check_none, rset),
	VERB("QUIT", ANY_COMMAND, 0, check_none, quit),
	VERB("NOOP", ANY_COMMAND, 0, check_any, noop),
	VERB("HELP", ANY_COMMAND, 0, check_any, help),
	VERB("VRFY", ANY_COMMAND, 0, pst_smtp_check_vrfy, vrfy),
	/* Known to the RFCs, not offered here. */
	VERB("EXPN", ANY_COMMAND, 0, check_any, refuse),
	VERB("ETRN", ANY_COMMAND, 0, check_any, refuse),
	VERB("ATRN", ANY_COMMAND, 0, check_any, refuse),
	VERB("TURN", ANY_COMMAND, 0, check_any, refuse),
	VERB("BURL", ANY_COMMAND, 0, check_any, refuse),
	VERB("SEND", ANY_COMMAND, 0, check_any, refuse),
	VERB("SOML", ANY_COMMAND, 0, check_any, refuse),
	VERB("SAML", ANY_COMMAND, 0, check_any, refuse),
	VERB("AUTH", ANY_COMMAND, ASKS | ALONE, check_auth, auth),
	VERB("STARTTLS", ANY_COMMAND, ASKS | ALONE, check_starttls, starttls),
	VERB("XCLIENT", ANY_COMMAND, 0, check_any, refuse),
	VERB("XFORWARD", ANY_COMMAND, 0, check_any, refuse),
	/* HTTP: a browser or a proxy was made to talk to us. */
	VERB("GET", ANY_COMMAND, 0, check_any, foreign),
	VERB("PUT", ANY_COMMAND, 0, check_any, foreign),
	VERB("PRI", ANY_COMMAND, 0, check_any, foreign),
	VERB("POST", ANY_COMMAND, 0, check_any, foreign),
	VERB("HEAD", ANY_COMMAND, 0, check_any, foreign),
	VERB("PATCH", ANY_COMMAND, 0, check_any, foreign),
	VERB("TRACE", ANY_COMMAND, 0, check_any, foreign),
	VERB("DELETE", ANY_COMMAND, 0, check_any, foreign),
	VERB("CONNECT", ANY_COMMAND, 0, check_any, foreign),
	VERB("OPTIONS", ANY_COMMAND, 0, check_any, foreign),
};

/* "Name:" or "Name :": a header, mail's or HTTP's, came where a command should. */
static bool looks_like_header(struct pst_span line)
{
	struct pst_span rest = line, name;
	int64_t colon = pst_span_find(line, ':');

	if (colon <= 0 || pst_is_blank(line.at[0]))
		return false;
	rest.len = (uint32_t)colon;
	name = pst_span_word(&rest);
	return pst_smtp_printable(name) && pst_span_trim(rest).len == 0;
}

/*  in  more: bytes stand behind it already */
static void line_handle(struct pst_smtp_server *core, struct pst_span line, bool more,
			struct pst_smtp_event *event)
{
	const struct verb *verb = NULL;
	const struct pst_smtp_reply *refusal;
	struct pst_span args = line, word = pst_span_word(&args);

	event->line = line;
	if (word.len == 0 || word.at != line.at) {
		say(event, PST_SMTP_EV_REPLY, &NO_COMMAND);
		return;
	}
	for (uint32_t i = 0; i < PST_COUNT(VERBS) && !verb; i++)
		if (pst_span_eq_nocase(word, VERBS[i].name))
			verb = &VERBS[i];
	event->hasty = more && (!core->esmtp || (verb && verb->flags & ALONE));
	if (!verb && looks_like_header(line)) {
		proceed_foreign(core, event);
		return;
	}
	if (!verb) {
		say(event, PST_SMTP_EV_REPLY, &UNKNOWN);
		event->non_smtp = true;
		return;
	}
	if (!(verb->states & (1u << core->state)))
		refusal = MISSING[core->state];
	else
		refusal = verb->check(core, pst_span_trim(args), event);
	if (refusal)
		say(event, PST_SMTP_EV_REPLY, refusal);
	if (refusal == &BAD_CHUNK) {
		/* Octets follow, nobody knows how many: they must not be read as commands. */
		event->close = true;
		enter(core, PST_SMTP_CLOSED);
	}
	if (refusal)
		return;
	verb->proceed(core, event);
	if (verb->flags & ASKS)
		ask(core, event->kind);
}

static void accepted_helo(struct pst_smtp_server *core)
{
	core->esmtp = core->asked_esmtp;
	if (!core->esmtp)
		core->offered = 0;
	enter(core, PST_SMTP_IDLE);
}

static void accepted_auth(struct pst_smtp_server *core)
{
	core->authenticated = true;
	enter(core, PST_SMTP_IDLE);
}

static void refused_auth(struct pst_smtp_server *core, uint16_t code)
{
	enter(core, code == 334 ? PST_SMTP_AUTH : PST_SMTP_IDLE);
}

static void accepted_mail(struct pst_smtp_server *core)
{
	enter(core, PST_SMTP_MAIL);
	core->utf8 = core->asked_utf8;
}

static void accepted_rcpt(struct pst_smtp_server *core)
{
	enter(core, PST_SMTP_RCPT);
}

static void refused_rcpt(struct pst_smtp_server *core, uint16_t code)
{
	core->rcpt_refused = true;
	if (code < 500)
		core->rcpt_deferred = true;
}

static void accepted_data(struct pst_smtp_server *core)
{
	if (core->asked_chunk) {
		pst_smtp_data_init_content(&core->data);
		enter(core, PST_SMTP_CHUNK);
	} else {
		pst_smtp_data_init(&core->data);
		enter(core, PST_SMTP_BODY);
	}
}

static void refused_data(struct pst_smtp_server *core, uint16_t code)
{
	(void)code;
	PST_BUG_ON(core->asked_chunk);
}

static void accepted_chunk(struct pst_smtp_server *core)
{
	enter(core, PST_SMTP_NEXT);
}

static void refused_chunk(struct pst_smtp_server *core, uint16_t code)
{
	(void)code;
	enter(core, PST_SMTP_NEXT);
}

static void accepted_end(struct pst_smtp_server *core)
{
	enter(core, PST_SMTP_IDLE);
}

static void refused_end(struct pst_smtp_server *core, uint16_t code)
{
	(void)code;
	enter(core, PST_SMTP_IDLE);
}

/* Everything learnt in the clear is forgotten (RFC 3207 section 4.2). */
static void accepted_starttls(struct pst_smtp_server *core)
{
	core->esmtp = false;
	core->authenticated = false;
	core->offered = 0;
	enter(core, PST_SMTP_READY);
}

static void unchanged(struct pst_smtp_server *core, uint16_t code)
{
	(void)core;
	(void)code;
}

/* What an answer to an event that asks leads to. */
static const struct {
	uint8_t positive; /* class of the codes that proceed */
	void (*accepted)(struct pst_smtp_server *core);
	void (*refused)(struct pst_smtp_server *core, uint16_t code);
} ANSWERS[] = {
	[PST_SMTP_EV_HELO] = {2, accepted_helo, unchanged},
	[PST_SMTP_EV_AUTH] = {2, accepted_auth, refused_auth},
	[PST_SMTP_EV_MAIL] = {2, accepted_mail, unchanged},
	[PST_SMTP_EV_RCPT] = {2, accepted_rcpt, refused_rcpt},
	[PST_SMTP_EV_DATA] = {3, accepted_data, refused_data},
	[PST_SMTP_EV_CHUNK] = {2, accepted_chunk, refused_chunk},
	[PST_SMTP_EV_STARTTLS] = {2, accepted_starttls, unchanged},
	[PST_SMTP_EV_END] = {2, accepted_end, refused_end},
};

void pst_smtp_server_answer(struct pst_smtp_server *core, uint16_t code)
{
	PST_BUG_ON(!core->waiting);
	core->waiting = false;
	if (code / 100 == ANSWERS[core->asked].positive)
		ANSWERS[core->asked].accepted(core);
	else
		ANSWERS[core->asked].refused(core, code);
}

enum line_end { LINE_OPEN, LINE_WHOLE, LINE_BROKEN };

/* Search on for the end of the line at the front.
 *  out  len: the line with its CRLF, if it is whole */
static enum line_end line_find(struct pst_smtp_server *core, struct pst_span in, uint32_t *len)
{
	for (uint32_t i = core->scanned; i < in.len; i++) {
		bool behind_cr = i > 0 && in.at[i - 1] == '\r';

		if (in.at[i] == 0 || behind_cr != (in.at[i] == '\n'))
			return LINE_BROKEN;
		if (behind_cr) {
			core->scanned = 0;
			*len = i + 1;
			return LINE_WHOLE;
		}
	}
	core->scanned = in.len;
	return LINE_OPEN;
}

/* What a client may be in the middle of, before its line is whole. */
static uint32_t line_max(const struct pst_smtp_server *core, struct pst_span in)
{
	bool auth = core->state == PST_SMTP_AUTH || pst_span_starts_nocase(in, PST_SPAN("AUTH "));

	return auth ? PST_SMTP_AUTH_LINE_MAX : PST_SMTP_LINE_MAX;
}

/* A word behind AUTH: "*" gives up, which the internal server answers, too. */
static void word_handle(struct pst_smtp_server *core, struct pst_span line,
			struct pst_smtp_event *event)
{
	event->line = line;
	if (!pst_smtp_printable(line)) {
		say(event, PST_SMTP_EV_REPLY, &NOT_TEXT);
		event->close = true;
		enter(core, PST_SMTP_CLOSED);
		return;
	}
	event->kind = PST_SMTP_EV_AUTH;
	ask(core, event->kind);
}

static void next_command(struct pst_smtp_server *core, struct pst_span in, uint32_t *used,
			 struct pst_smtp_event *event)
{
	uint32_t len = 0, max = line_max(core, in);
	bool too_long;

	switch (line_find(core, in, &len)) {
	case LINE_BROKEN:
		say(event, PST_SMTP_EV_REPLY, &FRAMING);
		event->close = true;
		enter(core, PST_SMTP_CLOSED);
		*used = in.len;
		return;
	case LINE_OPEN:
		if (!core->skipping && in.len < max)
			return;
		/* A CR stays, so that its LF is known for one when it comes. */
		core->skipping = true;
		*used = in.len - (in.len > 0 && in.at[in.len - 1] == '\r');
		core->scanned = 0;
		return;
	default:
		too_long = core->skipping || len > max;
		core->skipping = false;
		*used = len;
		if (too_long) {
			say(event, PST_SMTP_EV_REPLY, &TOO_LONG);
			event->close = core->state == PST_SMTP_AUTH; /* the exchange is broken */
			if (event->close)
				enter(core, PST_SMTP_CLOSED);
		}
		else if (core->state == PST_SMTP_AUTH)
			word_handle(core, pst_span_sub(in, 0, len - 2), event);
		else
			line_handle(core, pst_span_sub(in, 0, len - 2), in.len > len, event);
	}
}

static void next_body(struct pst_smtp_server *core, struct pst_span in, uint32_t *used,
		      struct pst_smtp_event *event)
{
	while (*used < in.len) {
		uint32_t piece = 0;
		int ret = pst_smtp_data_next(&core->data, pst_span_sub(in, *used, in.len), &piece,
					     &event->wire);

		*used += piece;
		/* The decoder's promise: the end comes with nothing in front of it. */
		PST_BUG_ON(ret && event->wire.len);
		if (event->wire.len) {
			event->kind = PST_SMTP_EV_BODY;
			return;
		}
		if (ret) {
			event->kind = PST_SMTP_EV_END;
			enter(core, PST_SMTP_JUDGE);
			ask(core, event->kind);
			return;
		}
	}
}

static void next_chunk(struct pst_smtp_server *core, struct pst_span in, uint32_t *used,
		       struct pst_smtp_event *event)
{
	while (core->chunk_left > 0 && *used < in.len) {
		uint32_t left = (uint32_t)PST_MIN(core->chunk_left, UINT32_MAX), piece = 0;
		int ended = pst_smtp_data_next(&core->data, pst_span_sub(in, *used, left), &piece,
					       &event->wire);

		PST_BUG_ON(ended);
		*used += piece;
		core->chunk_left -= piece;
		if (event->wire.len) {
			event->kind = PST_SMTP_EV_BODY;
			return;
		}
	}
	if (core->chunk_left > 0)
		return;
	if (!core->chunk_last) {
		event->kind = PST_SMTP_EV_CHUNK;
		ask(core, event->kind);
		return;
	}
	event->wire = pst_smtp_data_finish(&core->data);
	if (event->wire.len) {
		event->kind = PST_SMTP_EV_BODY;
		return;
	}
	event->kind = PST_SMTP_EV_END;
	enter(core, PST_SMTP_JUDGE);
	ask(core, event->kind);
}

static void next_refused_chunk(struct pst_smtp_server *core, struct pst_span in, uint32_t *used,
			       struct pst_smtp_event *event)
{
	uint32_t len = (uint32_t)PST_MIN(core->chunk_left, in.len - *used);

	*used += len;
	core->chunk_left -= len;
	if (core->chunk_left > 0)
		return;
	say(event, PST_SMTP_EV_REPLY, core->chunk_refusal);
	core->chunk_refusal = NULL;
}

void pst_smtp_server_next(struct pst_smtp_server *core, struct pst_span in, uint32_t *used,
			  struct pst_smtp_event *event)
{
	PST_BUG_ON(core->waiting);
	memset(event, 0, sizeof(*event));
	*used = 0;
	if (!core->chunk_refusal && (ANY_COMMAND | IN(AUTH)) & (1u << core->state))
		next_command(core, in, used, event);
	else if (core->state == PST_SMTP_BODY)
		next_body(core, in, used, event);
	else if (core->state == PST_SMTP_CLOSED)
		*used = in.len;
	if (event->kind != PST_SMTP_EV_NONE)
		return;
	/* A BDAT command says nothing of itself: its octets follow at once. */
	if (core->state == PST_SMTP_CHUNK)
		next_chunk(core, in, used, event);
	else if (core->chunk_refusal && core->state != PST_SMTP_CLOSED)
		next_refused_chunk(core, in, used, event);
}

void pst_smtp_server_init(struct pst_smtp_server *core)
{
	memset(core, 0, sizeof(*core));
	core->state = PST_SMTP_NEW;
}

void pst_smtp_server_greeted(struct pst_smtp_server *core)
{
	PST_BUG_ON(core->state != PST_SMTP_NEW);
	enter(core, PST_SMTP_READY);
}

void pst_smtp_server_close(struct pst_smtp_server *core)
{
	core->waiting = false;
	enter(core, PST_SMTP_CLOSED);
}

const char *pst_smtp_state_name(enum pst_smtp_state state)
{
	static const char *const NAMES[PST_SMTP_STATE_COUNT] = {
#define PST_SMTP_STATE(name, text) #name,
		PST_SMTP_STATES(PST_SMTP_STATE)
#undef PST_SMTP_STATE
	};

	return NAMES[state];
}
