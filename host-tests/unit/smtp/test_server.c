/* test_server.c - dialogues through the server core
 *
 * Each row is what a client sends and what comes of it, as one line of text. It is replayed whole,
 * byte by byte and at random cuts; the text must be the same. The owner in this test says yes to
 * everything but local parts that begin with "no" (550), "later" (450) or "close" (it closes), DATA
 * of the sender "nodata" (451) and messages with NULs (550).
 *
 * The text: `ehlo NAME`, `helo NAME`, `mail MAILBOX [size=N] [body=7|8] [ret=X]
 * [envid=X] [utf8]`, `rcpt MAILBOX [notify=X] [orcpt=X]`, `data`,
 * `bdat`, `auth`, `chunk`, `body{WIRE}`, `end`, or for what the core answers itself the event and the codes: `reply 500
 * 5.5.2`, `reset 250 2.0.0`, `quit 221 2.0.0`; with `err`, `close`, `foreign` for the flags. `~N~`
 * in what is sent makes N letters. It offers SIZE and 8BITMIME, and to who says EHLO dsn
 * EHLO utf8,
 * EHLO bdat or EHLO tls also that; EHLO clear is offered STARTTLS. EHLO users begins a submission
 * session, EHLO userstls one inside TLS; a login is good when the word is "good", and "more" asks for another.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "smtp/server.h"

#define TRACE_MAX 32768
#define SIZE_MAX_BYTES 1000

struct owner {
	struct pst_smtp_server core;
	char trace[TRACE_MAX];
	size_t trace_len;
	bool in_body;
	bool closed;
	bool refuse_data;
	uint32_t event_count;
};

static void put(struct owner *owner, const void *bytes, size_t len)
{
	assert_true(owner->trace_len + len < TRACE_MAX);
	memcpy(owner->trace + owner->trace_len, bytes, len);
	owner->trace_len += len;
	owner->trace[owner->trace_len] = 0;
}

static void put_text(struct owner *owner, const char *text)
{
	put(owner, text, strlen(text));
}

static void put_span(struct owner *owner, struct pst_span span)
{
	if (span.len)
		put(owner, span.at, span.len);
}

static void begin_event(struct owner *owner, const char *name)
{
	if (owner->in_body)
		put_text(owner, "}");
	owner->in_body = false;
	if (owner->trace_len)
		put_text(owner, "; ");
	put_text(owner, name);
}

static void trace_reply(struct owner *owner, const char *name, const struct pst_smtp_event *event)
{
	char codes[40];

	begin_event(owner, name);
	snprintf(codes, sizeof(codes), " %u %u.%u.%u", event->reply.code,
		 event->reply.enhanced.class, event->reply.enhanced.subject,
		 event->reply.enhanced.detail);
	put_text(owner, codes);
	assert_true(event->reply.text.len > 0);
	if (event->error)
		put_text(owner, " err");
	if (event->close)
		put_text(owner, " close");
	if (event->non_smtp)
		put_text(owner, " foreign");
}

static bool starts(struct pst_span span, const char *prefix)
{
	return span.len >= strlen(prefix) && memcmp(span.at, prefix, strlen(prefix)) == 0;
}

static uint16_t judge_path(const struct pst_smtp_path *path)
{
	return starts(path->local, "no") ? 550 : starts(path->local, "later") ? 450 : 250;
}

static void trace_param(struct owner *owner, const char *name, struct pst_span value)
{
	if (value.len == 0)
		return;
	put_text(owner, name);
	put_span(owner, value);
}

static void trace_mail(struct owner *owner, const struct pst_smtp_event *event)
{
	char number[40];

	begin_event(owner, "mail ");
	put_span(owner, event->path.mailbox);
	if (event->mail.size_bytes) {
		snprintf(number, sizeof(number), " size=%llu",
			 (unsigned long long)event->mail.size_bytes);
		put_text(owner, number);
	}
	if (event->mail.body_given)
		put_text(owner, event->mail.body == PST_SMTP_BODY_8BITMIME ? " body=8" : " body=7");
	if (event->mail.require_tls)
		put_text(owner, " tls");
	if (event->mail.utf8)
		put_text(owner, " utf8");
	trace_param(owner, " ret=", event->mail.dsn.ret);
	trace_param(owner, " envid=", event->mail.dsn.envid);
}

static void handle(struct owner *owner, const struct pst_smtp_event *event)
{
	struct pst_smtp_server *core = &owner->core;

	switch (event->kind) {
	case PST_SMTP_EV_REPLY:
		trace_reply(owner, "reply", event);
		owner->closed = event->close;
		break;
	case PST_SMTP_EV_RESET:
		trace_reply(owner, "reset", event);
		break;
	case PST_SMTP_EV_QUIT:
		trace_reply(owner, "quit", event);
		owner->closed = true;
		break;
	case PST_SMTP_EV_HELO:
		begin_event(owner, event->esmtp ? "ehlo " : "helo ");
		put_span(owner, event->name);
		if (event->esmtp)
			core->offered = PST_SMTP_CAP_SIZE | PST_SMTP_CAP_8BITMIME |
					(starts(event->name, "tls") ? PST_SMTP_CAP_REQUIRETLS : 0) |
					(starts(event->name, "clear") ? PST_SMTP_CAP_STARTTLS : 0) |
					(starts(event->name, "bdat") ? PST_SMTP_CAP_CHUNKING : 0) |
					(starts(event->name, "dsn") ? PST_SMTP_CAP_DSN : 0) |
					(starts(event->name, "utf8") ? PST_SMTP_CAP_SMTPUTF8 |
									       PST_SMTP_CAP_DSN
								     : 0);
		core->submission = starts(event->name, "users");
		if (starts(event->name, "userstls"))
			core->offered |= PST_SMTP_CAP_AUTH;
		pst_smtp_server_answer(core, starts(event->name, "no") ? 550 : 250);
		break;
	case PST_SMTP_EV_AUTH:
		begin_event(owner, "auth");
		pst_smtp_server_answer(core, pst_span_ends_nocase(event->line, PST_SPAN("good")) ? 235
					     : pst_span_ends_nocase(event->line, PST_SPAN("more")) ? 334
												   : 535);
		break;
	case PST_SMTP_EV_MAIL:
		trace_mail(owner, event);
		owner->refuse_data = starts(event->path.local, "nodata");
		pst_smtp_server_answer(core, owner->refuse_data ? 250 : judge_path(&event->path));
		break;
	case PST_SMTP_EV_RCPT:
		begin_event(owner, "rcpt ");
		put_span(owner, event->path.mailbox);
		trace_param(owner, " notify=", event->dsn.notify);
		trace_param(owner, " orcpt=", event->dsn.orcpt);
		if (starts(event->path.local, "close")) {
			pst_smtp_server_close(core);
			owner->closed = true;
			break;
		}
		pst_smtp_server_answer(core, judge_path(&event->path));
		break;
	case PST_SMTP_EV_DATA:
		begin_event(owner, event->chunked ? "bdat" : "data");
		if (event->chunked) {
			pst_smtp_server_answer(core, 354);
			break;
		}
		pst_smtp_server_answer(core, owner->refuse_data ? 451 : 354);
		break;
	case PST_SMTP_EV_BODY:
		if (!owner->in_body)
			begin_event(owner, "body{");
		owner->in_body = true;
		put_span(owner, event->wire);
		break;
	case PST_SMTP_EV_CHUNK:
		begin_event(owner, "chunk");
		assert_int_equal(core->state, PST_SMTP_CHUNK);
		pst_smtp_server_answer(core, core->data.nul_count ? 550 : 250);
		assert_int_equal(core->state, PST_SMTP_NEXT);
		break;
	case PST_SMTP_EV_END:
		begin_event(owner, "end");
		pst_smtp_server_answer(core, core->data.nul_count ? 550 : 250);
		break;
	default:
		fail();
	}
}

/* Pull until there is nothing more; every call sees a copy that ends where the input ends, so that
 * a sanitizer notices a read behind it.
 *  ret bytes consumed */
static uint32_t pull(struct owner *owner, const uint8_t *in, uint32_t len)
{
	uint32_t consumed = 0;

	for (;;) {
		uint32_t left = len - consumed, used = 0;
		uint8_t *copy = malloc(left + 1);
		struct pst_smtp_event event;

		assert_non_null(copy);
		memcpy(copy, in + consumed, left);
		pst_smtp_server_next(&owner->core, (struct pst_span){copy, left}, &used, &event);
		assert_true(used <= left);
		if (event.kind != PST_SMTP_EV_NONE) {
			assert_true(++owner->event_count < 100000);
			handle(owner, &event);
		} else if (used == 0) {
			assert_true(left < PST_SMTP_AUTH_LINE_MAX);
		}
		free(copy);
		consumed += used;
		if (event.kind == PST_SMTP_EV_NONE)
			return consumed;
	}
}

static uint64_t seed = 88172645463325252u;

static uint32_t random_below(uint32_t bound)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % bound;
}

/* piece_max 0: all at once; 1: byte by byte; else random pieces up to that. */
static void replay(struct owner *owner, const uint8_t *in, uint32_t len, uint32_t piece_max)
{
	uint32_t consumed = 0, arrived = 0;

	memset(owner, 0, sizeof(*owner));
	pst_smtp_server_init(&owner->core);
	owner->core.size_bytes_max = SIZE_MAX_BYTES;
	pst_smtp_server_greeted(&owner->core);
	while (arrived < len) {
		arrived += piece_max == 0 ? len : 1 + random_below(piece_max);
		arrived = PST_MIN(arrived, len);
		consumed += pull(owner, in + consumed, arrived - consumed);
	}
	if (owner->in_body)
		put_text(owner, "}");
	assert_int_equal(owner->closed, owner->core.state == PST_SMTP_CLOSED);
}

/* "~N~" becomes N letters. */
static uint32_t expand(uint8_t *out, size_t size, const char *text, size_t text_len)
{
	size_t len = 0;

	for (size_t i = 0; i < text_len; i++) {
		if (text[i] == '~') {
			char *end;
			unsigned long count = strtoul(text + i + 1, &end, 10);

			assert_true(*end == '~' && len + count <= size);
			memset(out + len, 'x', count);
			len += count;
			i = (size_t)(end - text);
			continue;
		}
		assert_true(len < size);
		out[len++] = (uint8_t)text[i];
	}
	return (uint32_t)len;
}

struct row {
	const char *name;
	struct pst_span send;
	const char *trace;
};

#define ROW(name, send, trace) {name, PST_SPAN(send), trace}
#define HI "EHLO c\r\n"
#define FROM "MAIL FROM:<a@b.example>\r\n"
#define TO "RCPT TO:<c@d.example>\r\n"
#define T_HI "ehlo c"
#define OPEN_BDAT "EHLO bdat\r\n" FROM TO
#define T_BDAT "ehlo bdat; mail a@b.example; rcpt c@d.example"
#define T_OPEN "ehlo c; mail a@b.example; rcpt c@d.example"

static const struct row ROWS[] = {
	/* the whole way */
	ROW("one message", HI FROM TO "DATA\r\nS: x\r\n\r\nhi\r\n.\r\nQUIT\r\n",
	    T_OPEN "; data; body{S: x\r\n\r\nhi\r\n}; end; quit 221 2.0.0"),
	ROW("two messages, the second without EHLO",
	    HI FROM TO "DATA\r\n1\r\n.\r\n" FROM TO "DATA\r\n2\r\n.\r\n",
	    T_OPEN "; data; body{1\r\n}; end; mail a@b.example; rcpt c@d.example; data; "
		   "body{2\r\n}; end"),
	ROW("empty message", HI FROM TO "DATA\r\n.\r\nNOOP\r\n",
	    T_OPEN "; data; end; reply 250 2.0.0"),
	ROW("two recipients, one refused", HI FROM "RCPT TO:<no@d.example>\r\n" TO "DATA\r\n.\r\n",
	    T_HI "; mail a@b.example; rcpt no@d.example; rcpt c@d.example; data; end"),
	ROW("case does not matter", "ehlo C\r\nmail From:<a@b.example>\r\nRcpt tO:<c@d.example>\r\n"
				    "data\r\n.\r\nquit\r\n",
	    "ehlo C; mail a@b.example; rcpt c@d.example; data; end; quit 221 2.0.0"),
	ROW("null sender, HELO", "HELO h\r\nMAIL FROM:<>\r\n", "helo h; mail "),
	ROW("nothing behind QUIT", "QUIT\r\nNOOP\r\n", "quit 221 2.0.0"),
	ROW("blanks at the end", "EHLO c  \r\nMAIL FROM:<a@b.example>  \r\nRSET \r\nQUIT\t\r\n",
	    T_HI "; mail a@b.example; reset 250 2.0.0; quit 221 2.0.0"),
	ROW("blanks between", "EHLO   c\r\nMAIL   FROM:   <a@b.example>   SIZE=3\r\n"
			      "RCPT TO:\t<c@d.example>\r\n",
	    T_HI "; mail a@b.example size=3; rcpt c@d.example"),
	ROW("a refused message leaves an idle session", HI FROM TO "DATA\r\n\0\r\n.\r\n" FROM,
	    T_OPEN "; data; body{\r\n}; end; mail a@b.example"),

	/* order */
	ROW("MAIL before HELO", FROM, "reply 503 5.5.1 err"),
	ROW("RCPT before HELO", TO, "reply 503 5.5.1 err"),
	ROW("DATA before HELO", "DATA\r\n", "reply 503 5.5.1 err"),
	ROW("RCPT before MAIL", HI TO, T_HI "; reply 503 5.5.1 err"),
	ROW("DATA before MAIL", HI "DATA\r\n", T_HI "; reply 503 5.5.1 err"),
	ROW("DATA before RCPT", HI FROM "DATA\r\n",
	    T_HI "; mail a@b.example; reply 503 5.5.1 err"),
	ROW("MAIL in MAIL", HI FROM FROM, T_HI "; mail a@b.example; reply 503 5.5.1 err"),
	ROW("MAIL in RCPT", HI FROM TO FROM, T_OPEN "; reply 503 5.5.1 err"),
	ROW("DATA with all recipients refused", HI FROM "RCPT TO:<no@d.example>\r\nDATA\r\n",
	    T_HI "; mail a@b.example; rcpt no@d.example; reply 554 5.5.1 err"),
	ROW("DATA with a recipient of bad syntax", HI FROM "RCPT TO:<@bad@>\r\nDATA\r\n",
	    T_HI "; mail a@b.example; reply 501 5.1.3 err; reply 554 5.5.1 err"),
	ROW("DATA with a recipient deferred",
	    HI FROM "RCPT TO:<later@d.example>\r\nRCPT TO:<no@d.example>\r\nDATA\r\nRSET\r\n" FROM
		    "DATA\r\n",
	    T_HI "; mail a@b.example; rcpt later@d.example; rcpt no@d.example; reply 451 4.5.1; "
		 "reset 250 2.0.0; mail a@b.example; reply 503 5.5.1 err"),
	ROW("a refused recipient is forgotten by RSET",
	    HI FROM "RCPT TO:<no@d.example>\r\nRSET\r\n" FROM "DATA\r\n",
	    T_HI "; mail a@b.example; rcpt no@d.example; reset 250 2.0.0; mail a@b.example; "
		 "reply 503 5.5.1 err"),
	ROW("refused MAIL opens nothing", HI "MAIL FROM:<no@b.example>\r\n" TO,
	    T_HI "; mail no@b.example; reply 503 5.5.1 err"),
	ROW("refused DATA keeps the transaction",
	    HI "MAIL FROM:<nodata@b.example>\r\n" TO "DATA\r\n" TO,
	    T_HI "; mail nodata@b.example; rcpt c@d.example; data; rcpt c@d.example"),
	ROW("RSET in a transaction", HI FROM TO "RSET\r\nDATA\r\n",
	    T_OPEN "; reset 250 2.0.0; reply 503 5.5.1 err"),
	ROW("RSET before HELO changes nothing", "RSET\r\n" FROM,
	    "reset 250 2.0.0; reply 503 5.5.1 err"),
	ROW("EHLO ends a transaction", HI FROM TO "EHLO d\r\nDATA\r\n",
	    T_OPEN "; ehlo d; reply 503 5.5.1 err"),
	ROW("refused EHLO does not", HI FROM "EHLO no\r\n" TO,
	    T_HI "; mail a@b.example; ehlo no; rcpt c@d.example"),
	ROW("refused first EHLO", "EHLO no\r\n" FROM, "ehlo no; reply 503 5.5.1 err"),
	ROW("NOOP, HELP, VRFY keep a transaction", HI FROM "NOOP\r\nHELP\r\nVRFY x\r\n" TO,
	    T_HI "; mail a@b.example; reply 250 2.0.0; reply 214 2.0.0; reply 252 2.5.0; "
		 "rcpt c@d.example"),
	ROW("the owner closes", HI FROM "RCPT TO:<close@d.example>\r\nNOOP\r\n",
	    T_HI "; mail a@b.example; rcpt close@d.example"),

	/* verbs and their arguments */
	ROW("RSET with argument", "RSET now\r\n", "reply 501 5.5.4 err"),
	ROW("QUIT with argument", "QUIT now\r\n", "reply 501 5.5.4 err"),
	ROW("DATA with argument", HI FROM TO "DATA now\r\n", T_OPEN "; reply 501 5.5.4 err"),
	ROW("NOOP with anything", "NOOP a b c\r\nNOOP \xff\x01\r\n",
	    "reply 250 2.0.0; reply 250 2.0.0"),
	ROW("HELP with argument", "HELP MAIL\r\n", "reply 214 2.0.0"),
	ROW("VRFY without argument", "VRFY\r\n", "reply 501 5.5.4 err"),
	ROW("not offered",
	    "EXPN l\r\nETRN d\r\nAUTH PLAIN AGEAYg==\r\nSTARTTLS\r\nBDAT 3 LAST\r\nabcTURN\r\n"
	    "XCLIENT ADDR=1\r\n",
	    "reply 502 5.5.1 err; reply 502 5.5.1 err; reply 502 5.5.1 err; reply 502 5.5.1 err; "
	    "reply 502 5.5.1 err; reply 502 5.5.1 err; reply 502 5.5.1 err"),
	ROW("submission, in the clear", "EHLO users\r\nAUTH PLAIN good\r\n" FROM,
	    "ehlo users; reply 538 5.7.11 err; reply 530 5.7.0 err"),
	ROW("login", "EHLO userstls\r\n" FROM "AUTH PLAIN bad\r\n" FROM "AUTH plain good\r\nAUTH PLAIN good\r\n" FROM,
	    "ehlo userstls; reply 530 5.7.0 err; auth; reply 530 5.7.0 err; auth; "
	    "reply 503 5.5.1 err; mail a@b.example"),
	ROW("login in several words", "EHLO userstls\r\nAUTH LOGIN more\r\nmore\r\ngood\r\n" FROM,
	    "ehlo userstls; auth; auth; auth; mail a@b.example"),
	ROW("login given up", "EHLO userstls\r\nAUTH LOGIN more\r\n*\r\n" FROM,
	    "ehlo userstls; auth; auth; reply 530 5.7.0 err"),
	ROW("other mechanisms", "EHLO userstls\r\nAUTH GSSAPI\r\nAUTH\r\n",
	    "ehlo userstls; reply 504 5.5.4 err; reply 504 5.5.4 err"),
	ROW("AUTH in a transaction", "EHLO userstls\r\nAUTH PLAIN good\r\n" FROM "AUTH PLAIN good\r\n",
	    "ehlo userstls; auth; mail a@b.example; reply 503 5.5.1 err"),
	ROW("AUTH before EHLO", "AUTH PLAIN good\r\n", "reply 502 5.5.1 err"),
	ROW("long word of a login", "EHLO userstls\r\nAUTH PLAIN ~12200~good\r\n" FROM,
	    "ehlo userstls; auth; mail a@b.example"),
	ROW("too long a word", "EHLO userstls\r\nAUTH PLAIN ~12280~good\r\n" FROM,
	    "ehlo userstls; reply 500 5.5.2 err; reply 530 5.7.0 err"),
	ROW("too long a word behind AUTH", "EHLO userstls\r\nAUTH LOGIN more\r\n~12290~\r\n" FROM,
	    "ehlo userstls; auth; reply 500 5.5.2 err close"),
	ROW("NUL in a word", "EHLO userstls\r\nAUTH LOGIN more\r\na\nb\r\n",
	    "ehlo userstls; auth; reply 500 5.5.2 err close"),
	ROW("unknown", "XYZZY\r\nDATAX\r\nMAI\r\n",
	    "reply 500 5.5.1 err foreign; reply 500 5.5.1 err foreign; reply 500 5.5.1 err foreign"),
	ROW("empty line, leading blank", "\r\n  \r\n NOOP\r\n",
	    "reply 500 5.5.2 err; reply 500 5.5.2 err; reply 500 5.5.2 err"),
	ROW("HELO without argument", "HELO\r\nEHLO \r\nHELO  \t\r\n",
	    "reply 501 5.5.4 err; reply 501 5.5.4 err; reply 501 5.5.4 err"),
	ROW("HELO as clients say it",
	    "HELO my_pc\r\nEHLO WIN-7\r\nHELO 192.0.2.1\r\nEHLO [192.0.2.1]\r\n"
	    "EHLO [IPv6:2001:db8::1]\r\nEHLO !$%&\r\n",
	    "helo my_pc; ehlo WIN-7; helo 192.0.2.1; ehlo [192.0.2.1]; ehlo [IPv6:2001:db8::1]; "
	    "ehlo !$%&"),
	ROW("HELO that is no word", "HELO my pc\r\nHELO \xc3\xa9\r\nEHLO a\x01\r\nEHLO a\x7f\r\n",
	    "reply 501 5.5.4 err; reply 501 5.5.4 err; reply 501 5.5.4 err; reply 501 5.5.4 err"),
	ROW("HELO too long", "HELO ~256~\r\n", "reply 501 5.5.4 err"),

	/* paths */
	ROW("MAIL without FROM:", HI "MAIL\r\nMAIL <a@b>\r\nMAIL FROM <a@b>\r\nMAIL TO:<a@b>\r\n",
	    T_HI "; reply 501 5.5.4 err; reply 501 5.5.4 err; reply 501 5.5.4 err; "
		 "reply 501 5.5.4 err"),
	ROW("MAIL with a bad path",
	    HI "MAIL FROM:a@b\r\nMAIL FROM:\r\nMAIL FROM:<a@b\r\nMAIL FROM:<user>\r\n"
	       "MAIL FROM:<postmaster>\r\nMAIL FROM:<a@b>c\r\nMAIL FROM:<a@b>>\r\n",
	    T_HI "; reply 501 5.1.7 err; reply 501 5.1.7 err; reply 501 5.1.7 err; "
		 "reply 501 5.1.7 err; reply 501 5.1.7 err; reply 501 5.1.7 err; "
		 "reply 501 5.1.7 err"),
	ROW("RCPT with a bad path",
	    HI FROM "RCPT\r\nRCPT c@d\r\nRCPT TO:c@d\r\nRCPT TO:<>\r\nRCPT TO:<user>\r\n"
		    "RCPT TO:<c@@d>\r\n",
	    T_HI "; mail a@b.example; reply 501 5.5.4 err; reply 501 5.5.4 err; "
		 "reply 501 5.1.3 err; reply 501 5.1.3 err; reply 501 5.1.3 err; "
		 "reply 501 5.1.3 err"),
	ROW("bare postmaster", HI FROM "RCPT TO:<Postmaster>\r\n",
	    T_HI "; mail a@b.example; rcpt Postmaster"),
	ROW("route", HI "MAIL FROM:<@x.example,@y.example:a@b.example>\r\n",
	    T_HI "; mail a@b.example"),
	ROW("UTF-8 without SMTPUTF8",
	    HI "MAIL FROM:<\xc3\xa9@b.example>\r\nMAIL FROM:<a@\xc3\xa9.example>\r\n"
	       "MAIL FROM:<\xc3@b.example>\r\n" FROM "RCPT TO:<\xc3\xa9@d.example>\r\n",
	    T_HI "; reply 553 5.6.7 err; reply 553 5.6.7 err; reply 501 5.1.7 err; "
		 "mail a@b.example; reply 553 5.6.7 err"),
	ROW("local part of 256 and 257",
	    HI "MAIL FROM:<~256~@b.example>\r\nRSET\r\nMAIL FROM:<~257~@b.example>\r\n" FROM
	       "RCPT TO:<~257~@d.example>\r\n",
	    T_HI "; mail ~256~@b.example; reset 250 2.0.0; reply 501 5.1.7 err; mail a@b.example; "
		 "reply 501 5.1.3 err"),

	/* parameters */
	ROW("SIZE and BODY", HI "MAIL FROM:<a@b.example> SIZE=1000 BODY=8BITMIME\r\n",
	    T_HI "; mail a@b.example size=1000 body=8"),
	ROW("case of parameters", HI "MAIL FROM:<a@b.example> body=7bit size=5\r\n",
	    T_HI "; mail a@b.example size=5 body=7"),
	ROW("SIZE=0 declares nothing", HI "MAIL FROM:<a@b.example> SIZE=0\r\n",
	    T_HI "; mail a@b.example"),
	ROW("SIZE over the limit",
	    HI "MAIL FROM:<a@b.example> SIZE=1001\r\n"
	       "MAIL FROM:<a@b.example> SIZE=99999999999999999999\r\n",
	    T_HI "; reply 552 5.3.4 err; reply 552 5.3.4 err"),
	ROW("malformed parameters",
	    HI "MAIL FROM:<a@b.example> SIZE=-1\r\nMAIL FROM:<a@b.example> SIZE\r\n"
	       "MAIL FROM:<a@b.example> SIZE=\r\nMAIL FROM:<a@b.example> SIZE=1x\r\n"
	       "MAIL FROM:<a@b.example> SIZE=000000000000000000001\r\n"
	       "MAIL FROM:<a@b.example> BODY=9BIT\r\nMAIL FROM:<a@b.example> =1\r\n"
	       "MAIL FROM:<a@b.example> SIZE=1=2\r\nMAIL FROM:<a@b.example> BODY=\xc3\xa9\r\n"
	       "MAIL FROM:<a@b.example> SI_ZE=1\r\nMAIL FROM:<a@b.example> -SIZE=1\r\n",
	    T_HI "; reply 501 5.5.4 err; reply 501 5.5.4 err; reply 501 5.5.4 err; "
		 "reply 501 5.5.4 err; reply 501 5.5.4 err; reply 501 5.5.4 err; "
		 "reply 501 5.5.4 err; reply 501 5.5.4 err; reply 501 5.5.4 err; "
		 "reply 501 5.5.4 err; reply 501 5.5.4 err"),
	ROW("parameters twice",
	    HI "MAIL FROM:<a@b.example> SIZE=1 SIZE=1\r\n"
	       "MAIL FROM:<a@b.example> BODY=7BIT SIZE=2000 BODY=7BIT\r\n",
	    T_HI "; reply 501 5.5.4 err; reply 501 5.5.4 err"),
	ROW("parameters not offered",
	    HI "MAIL FROM:<a@b.example> FOO=BAR\r\nMAIL FROM:<a@b.example> SMTPUTF8\r\n"
	       "MAIL FROM:<a@b.example> RET=FULL\r\n" FROM
	       "RCPT TO:<c@d.example> NOTIFY=NEVER\r\nRCPT TO:<c@d.example> SIZE=1\r\n",
	    T_HI "; reply 555 5.5.4 err; reply 555 5.5.4 err; reply 555 5.5.4 err; "
		 "mail a@b.example; reply 555 5.5.4 err; reply 555 5.5.4 err"),
	ROW("DSN",
	    "EHLO dsn\r\nMAIL FROM:<a@b.example> RET=hdrs ENVID=Q+2B1 SIZE=5\r\n"
	    "RCPT TO:<c@d.example> NOTIFY=SUCCESS,delay ORCPT=rfc822;x+3Dy@z\r\n"
	    "RCPT TO:<e@d.example> ORCPT=x400;/s=1\r\nRCPT TO:<f@d.example> NOTIFY=NEVER\r\n" TO,
	    "ehlo dsn; mail a@b.example size=5 ret=hdrs envid=Q+2B1; "
	    "rcpt c@d.example notify=SUCCESS,delay orcpt=rfc822;x+3Dy@z; reply 501 5.5.4 err; "
	    "rcpt f@d.example notify=NEVER; rcpt c@d.example"),
	ROW("malformed DSN parameters",
	    "EHLO dsn\r\nMAIL FROM:<a@b.example> RET\r\nMAIL FROM:<a@b.example> RET=HALF\r\n"
	    "MAIL FROM:<a@b.example> ENVID=+\r\nMAIL FROM:<a@b.example> ENVID=~101~\r\n"
	    "MAIL FROM:<a@b.example> RET=FULL RET=FULL\r\n"
	    "MAIL FROM:<a@b.example> NOTIFY=NEVER\r\n" FROM
	    "RCPT TO:<c@d.example> NOTIFY=NEVER,DELAY\r\nRCPT TO:<c@d.example> ORCPT=x\r\n"
	    "RCPT TO:<c@d.example> RET=FULL\r\nRCPT TO:<c@d.example> NOTIFY\r\n",
	    "ehlo dsn; reply 501 5.5.4 err; reply 501 5.5.4 err; reply 501 5.5.4 err; "
	    "reply 501 5.5.4 err; reply 501 5.5.4 err; reply 555 5.5.4 err; mail a@b.example; "
	    "reply 501 5.5.4 err; reply 501 5.5.4 err; reply 555 5.5.4 err; reply 501 5.5.4 err"),
	ROW("SMTPUTF8",
	    "EHLO utf8\r\nMAIL FROM:<\xc3\xa9@b\xc3\xa9.example> smtputf8 BODY=8BITMIME\r\n"
	    "RCPT TO:<\"\xe2\x82\xac \"@d.example> ORCPT=utf-8;\xc3\xa9@x\r\n" TO,
	    "ehlo utf8; mail \xc3\xa9@b\xc3\xa9.example body=8 utf8; "
	    "rcpt \"\xe2\x82\xac \"@d.example orcpt=utf-8;\xc3\xa9@x; rcpt c@d.example"),
	ROW("SMTPUTF8 is said for each transaction",
	    "EHLO utf8\r\nMAIL FROM:<a@b.example> SMTPUTF8\r\nRCPT TO:<\xc3\xa9@d.example>\r\nRSET\r\n"
	    FROM "RCPT TO:<\xc3\xa9@d.example>\r\nRCPT TO:<c@d.example> ORCPT=utf-8;\xc3\xa9@x\r\n",
	    "ehlo utf8; mail a@b.example utf8; rcpt \xc3\xa9@d.example; reset 250 2.0.0; "
	    "mail a@b.example; reply 553 5.6.7 err; reply 501 5.5.4 err"),
	ROW("a refused MAIL declares nothing",
	    "EHLO utf8\r\nMAIL FROM:<no@b.example> SMTPUTF8\r\n" FROM
	    "RCPT TO:<\xc3\xa9@d.example>\r\n",
	    "ehlo utf8; mail no@b.example utf8; mail a@b.example; reply 553 5.6.7 err"),
	ROW("SMTPUTF8 wants UTF-8, and the keyword",
	    "EHLO utf8\r\nMAIL FROM:<\xc3@b.example> SMTPUTF8\r\nMAIL FROM:<\xc0\xaf@b.example> SMTPUTF8\r\n"
	    "MAIL FROM:<\xed\xa0\x80@b.example> SMTPUTF8\r\nMAIL FROM:<a@b.example> SMTPUTF8=1\r\n"
	    "MAIL FROM:<a@b.example> SMTPUTF8 SMTPUTF8\r\nMAIL FROM:<\xc3\xa9@b.example>\r\n",
	    "ehlo utf8; reply 501 5.1.7 err; reply 501 5.1.7 err; reply 501 5.1.7 err; "
	    "reply 501 5.5.4 err; reply 501 5.5.4 err; reply 553 5.6.7 err"),
	ROW("VRFY beyond ASCII",
	    "VRFY \xc3\xa9\r\nVRFY \xc3\xa9 SMTPUTF8\r\nEHLO utf8\r\nVRFY \xc3\xa9\r\n"
	    "VRFY \xc3\xa9 smtputf8\r\nVRFY \xc3 SMTPUTF8\r\nVRFY b SMTPUTF8\r\n",
	    "reply 553 5.6.7 err; reply 553 5.6.7 err; ehlo utf8; reply 553 5.6.7 err; "
	    "reply 252 2.5.0; reply 501 5.5.4 err; reply 252 2.5.0"),
	ROW("HELO offers nothing", HI "HELO h\r\nMAIL FROM:<a@b.example> SIZE=1\r\n",
	    T_HI "; helo h; reply 555 5.5.4 err"),

	/* framing */
	ROW("bare LF", HI "MAIL FROM:<a@b.example>\nRCPT TO:<c@d.example>\nDATA\n",
	    T_HI "; reply 500 5.5.2 err close"),
	ROW("bare CR", HI "MAIL FROM:<a@b.example>\rRCPT TO:<c@d.example>\r\n",
	    T_HI "; reply 500 5.5.2 err close"),
	ROW("CR CR LF", "NOOP\r\r\nNOOP\r\n", "reply 500 5.5.2 err close"),
	ROW("LF at the start", "\nNOOP\r\n", "reply 500 5.5.2 err close"),
	ROW("NUL", HI "MAIL FROM:<a@b.example\0>\r\nNOOP\r\n", T_HI "; reply 500 5.5.2 err close"),
	ROW("line of 2048", "NOOP ~2041~\r\n", "reply 250 2.0.0"),
	ROW("line of 2049", "NOOP ~2042~\r\nNOOP\r\n", "reply 500 5.5.2 err; reply 250 2.0.0"),
	ROW("line of 64 KiB", HI FROM "NOOP ~65536~\r\n" TO,
	    T_HI "; mail a@b.example; reply 500 5.5.2 err; rcpt c@d.example"),
	ROW("bare LF in a long line", "NOOP ~4000~\nNOOP\r\n", "reply 500 5.5.2 err close"),
	ROW("NUL in a long line", "NOOP ~4000~\0\r\nNOOP\r\n", "reply 500 5.5.2 err close"),
	ROW("bare CR in a long line", "NOOP ~4000~\rNOOP\r\n", "reply 500 5.5.2 err close"),
	ROW("body framing is the decoder's",
	    HI FROM TO "DATA\r\na\n.\nb\r.\r\n.\r\r\nMAIL FROM:<x@y>\r\n.\r\nNOOP\r\n",
	    T_OPEN "; data; body{a\r\n..\r\nb\r\n..\r\n\r\nMAIL FROM:<x@y>\r\n}; end; "
		   "reply 250 2.0.0"),

	ROW("REQUIRETLS",
	    "EHLO tls\r\nMAIL FROM:<a@b.example> REQUIRETLS=1\r\nMAIL FROM:<a@b.example> requiretls\r\n"
	    "EHLO clear\r\nMAIL FROM:<a@b.example> REQUIRETLS\r\n"
	    HI "MAIL FROM:<a@b.example> REQUIRETLS\r\n",
	    "ehlo tls; reply 501 5.5.4 err; mail a@b.example tls; ehlo clear; reply 530 5.7.10 err; "
	    "ehlo c; reply 550 5.7.30 err"),

	/* chunks */
	ROW("one chunk", OPEN_BDAT "BDAT 12 LAST\r\nS: x\r\n\r\nhi\r\nQUIT\r\n",
	    T_BDAT "; bdat; body{S: x\r\n\r\nhi\r\n}; end; quit 221 2.0.0"),
	ROW("chunks, cut anywhere, dots stuffed",
	    OPEN_BDAT "BDAT 3\r\na\r\nBDAT 2\r\n.\rBDAT 0\r\nBDAT 5 last\r\n\n.\r\nbNOOP\r\n",
	    T_BDAT "; bdat; body{a\r\n}; chunk; body{..\r}; chunk; chunk; "
		   "body{\n..\r\nb\r\n}; end; reply 250 2.0.0"),
	ROW("an end of data inside is none",
	    OPEN_BDAT "BDAT 9\r\na\r\n.\r\nQ\r\nBDAT 0 LAST\r\n" FROM,
	    T_BDAT "; bdat; body{a\r\n..\r\nQ\r\n}; chunk; end; mail a@b.example"),
	ROW("bare newlines and a NUL",
	    OPEN_BDAT "BDAT 8 LAST\r\na\nb\rc\0d\rQUIT\r\n",
	    T_BDAT "; bdat; body{a\r\nb\r\ncd\r\n}; end; quit 221 2.0.0"),
	ROW("a refused chunk", OPEN_BDAT "BDAT 1\r\n\0BDAT 1\r\naBDAT 0 LAST\r\nNOOP\r\n",
	    T_BDAT "; bdat; chunk; body{a}; chunk; body{\r\n}; end; reply 250 2.0.0"),
	ROW("nothing at all", OPEN_BDAT "BDAT 0 LAST\r\nNOOP\r\n",
	    T_BDAT "; bdat; end; reply 250 2.0.0"),
	ROW("between chunks", OPEN_BDAT "BDAT 1\r\naDATA\r\n" TO FROM "NOOP\r\nSTARTTLS\r\n"
				      "BDAT 1 LAST\r\nbNOOP\r\n",
	    T_BDAT "; bdat; body{a}; chunk; reply 503 5.5.1 err; reply 503 5.5.1 err; "
		   "reply 503 5.5.1 err; reply 250 2.0.0; reply 502 5.5.1 err; body{b\r\n}; end; "
		   "reply 250 2.0.0"),
	ROW("RSET between chunks", OPEN_BDAT "BDAT 1\r\naRSET\r\nBDAT 4 LAST\r\nQUITNOOP\r\n",
	    T_BDAT "; bdat; body{a}; chunk; reset 250 2.0.0; reply 503 5.5.1 err; reply 250 2.0.0"),
	ROW("EHLO between chunks", OPEN_BDAT "BDAT 1\r\naEHLO bdat\r\n" FROM,
	    T_BDAT "; bdat; body{a}; chunk; ehlo bdat; mail a@b.example"),
	ROW("BDAT without a recipient is read, and said behind",
	    "EHLO bdat\r\n" FROM "RCPT TO:<no@d.example>\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n"
	    "RSET\r\n" FROM "RCPT TO:<later@d.example>\r\nBDAT 1 LAST\r\nxRSET\r\n" FROM
	    "BDAT 1 LAST\r\nxRSET\r\nBDAT 1 LAST\r\nxQUIT\r\n",
	    "ehlo bdat; mail a@b.example; rcpt no@d.example; reply 554 5.5.1 err; reply 554 5.5.1 err; "
	    "reset 250 2.0.0; mail a@b.example; rcpt later@d.example; reply 451 4.5.1; "
	    "reset 250 2.0.0; mail a@b.example; reply 503 5.5.1 err; reset 250 2.0.0; "
	    "reply 503 5.5.1 err; quit 221 2.0.0"),
	ROW("BDAT before EHLO, and where it was not offered",
	    "BDAT 6 LAST\r\nQUIT\r\n" HI "BDAT 6 LAST\r\nQUIT\r\nQUIT\r\n",
	    "reply 502 5.5.1 err; ehlo c; reply 502 5.5.1 err; quit 221 2.0.0"),
	ROW("BDAT of bad syntax: nothing", OPEN_BDAT "BDAT\r\nNOOP\r\n",
	    T_BDAT "; reply 501 5.5.4 err close"),
	ROW("BDAT of bad syntax: LAST", OPEN_BDAT "BDAT LAST\r\nNOOP\r\n",
	    T_BDAT "; reply 501 5.5.4 err close"),
	ROW("BDAT of bad syntax: -1", OPEN_BDAT "BDAT -1\r\nNOOP\r\n",
	    T_BDAT "; reply 501 5.5.4 err close"),
	ROW("BDAT of bad syntax: 0x1", OPEN_BDAT "BDAT 0x1\r\nNOOP\r\n",
	    T_BDAT "; reply 501 5.5.4 err close"),
	ROW("BDAT of bad syntax: 1 FIRST", OPEN_BDAT "BDAT 1 FIRST\r\nNOOP\r\n",
	    T_BDAT "; reply 501 5.5.4 err close"),
	ROW("BDAT of bad syntax: 1 LAST LAST", OPEN_BDAT "BDAT 1 LAST LAST\r\nNOOP\r\n",
	    T_BDAT "; reply 501 5.5.4 err close"),
	ROW("BDAT of bad syntax: 99999999999999999999 LAST", OPEN_BDAT "BDAT 99999999999999999999 LAST\r\nNOOP\r\n",
	    T_BDAT "; reply 501 5.5.4 err close"),
	ROW("BDAT of bad syntax: 000000000000000000001", OPEN_BDAT "BDAT 000000000000000000001\r\nNOOP\r\n",
	    T_BDAT "; reply 501 5.5.4 err close"),
	ROW("DATA, then BDAT", OPEN_BDAT "DATA\r\nBDAT 1 LAST\r\n.\r\nBDAT 4 LAST\r\nQUITQUIT\r\n",
	    T_BDAT "; data; body{BDAT 1 LAST\r\n}; end; reply 503 5.5.1 err; quit 221 2.0.0"),

	/* what is not SMTP */
	ROW("HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "reply 554 5.5.1 err close foreign"),
	ROW("HTTP that carries SMTP", "POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\n" FROM,
	    "reply 554 5.5.1 err close foreign"),
	ROW("CONNECT in a transaction", HI FROM "CONNECT x:25 HTTP/1.0\r\n",
	    T_HI "; mail a@b.example; reply 554 5.5.1 err close foreign"),
	ROW("header field", HI "Subject: hi\r\n" FROM, T_HI "; reply 554 5.5.1 err close foreign"),
	ROW("header field, blank before the colon", "Host : x\r\n",
	    "reply 554 5.5.1 err close foreign"),
	ROW("a colon further on is no header", "hello world: x\r\n: x\r\n",
	    "reply 500 5.5.1 err foreign; reply 500 5.5.1 err foreign"),
};

static void check_row(const struct row *row, uint32_t piece_max)
{
	static uint8_t in[70000];
	static uint8_t want[TRACE_MAX];
	static struct owner owner;
	uint32_t len = expand(in, sizeof(in), (const char *)row->send.at, row->send.len);
	uint32_t want_len = expand(want, sizeof(want), row->trace, strlen(row->trace));

	replay(&owner, in, len, piece_max);
	if (owner.trace_len != want_len || memcmp(owner.trace, want, want_len) != 0) {
		print_error("%s (pieces up to %u)\n  want: %.*s\n  got:  %s\n", row->name, piece_max,
			    (int)want_len, (const char *)want, owner.trace);
		fail();
	}
}

static void test_rows_whole(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(ROWS); i++)
		check_row(&ROWS[i], 0);
}

static void test_rows_byte_by_byte(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(ROWS); i++)
		if (ROWS[i].send.len < 1000)
			check_row(&ROWS[i], 1);
}

static void test_rows_random_cuts(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(ROWS); i++)
		for (uint32_t round = 0; round < 100; round++)
			check_row(&ROWS[i], 2 + random_below(60) * (1 + random_below(100)));
}

/* Every reply of the core's own is one line that a client can read. */
static void test_replies_are_clean(void **state)
{
	static struct owner owner;

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(ROWS); i++) {
		static uint8_t in[70000];
		uint32_t len = expand(in, sizeof(in), (const char *)ROWS[i].send.at,
				      ROWS[i].send.len);
		uint32_t used;
		struct pst_smtp_event event;
		struct pst_span rest = {in, len};

		pst_smtp_server_init(&owner.core);
		pst_smtp_server_greeted(&owner.core);
		pst_smtp_server_next(&owner.core, rest, &used, &event);
		for (uint32_t k = 0; k < event.reply.text.len; k++)
			assert_true(pst_is_print(event.reply.text.at[k]));
	}
}

static void test_new_touches_nothing(void **state)
{
	struct pst_smtp_server core;
	struct pst_smtp_event event;
	uint32_t used = 7;

	(void)state;
	pst_smtp_server_init(&core);
	pst_smtp_server_next(&core, PST_SPAN("EHLO x\r\n"), &used, &event);
	assert_int_equal(used, 0);
	assert_int_equal(event.kind, PST_SMTP_EV_NONE);
	pst_smtp_server_greeted(&core);
	pst_smtp_server_next(&core, PST_SPAN("EHLO x\r\n"), &used, &event);
	assert_int_equal(event.kind, PST_SMTP_EV_HELO);
	assert_int_equal(used, 8);
}

/* What may stand behind a command before it is answered, and what may not. */
static void test_hasty(void **state)
{
	static const struct {
		const char *behind; /* said and answered before */
		const char *said;
		bool hasty;
	} rows[] = {
		{"", "NOOP\r\nN", true}, /* nothing was offered yet */
		{"", "EHLO x\r\nMAIL", true},
		{"", "EHLO x\r\n", false},
		{"EHLO x\r\n", "EHLO x\r\nM", true},
		{"EHLO x\r\n", "NOOP\r\nM", false},
		{"EHLO x\r\n", "MAIL FROM:<a@b>\r\nR", false},
		{"EHLO x\r\n", "FROB\r\nR", false},
		{"HELO x\r\n", "MAIL FROM:<a@b>\r\nR", true},
		{"EHLO x\r\nMAIL FROM:<a@b>\r\n", "DATA\r\nS", true},
		{"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", "DATA\r\nS", true},
		{"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", "DATA\r\n", false},
		{"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", "BDAT 1\r\nx", false},
	};

	(void)state;
	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_span in = pst_span_text(rows[i].behind);
		struct pst_smtp_server core;
		struct pst_smtp_event event;
		uint32_t used;

		pst_smtp_server_init(&core);
		pst_smtp_server_greeted(&core);
		while (in.len > 0) {
			int64_t end = pst_span_find(in, '\n');

			pst_smtp_server_next(&core, pst_span_sub(in, 0, (uint32_t)end + 1), &used, &event);
			core.offered = PST_SMTP_CAP_CHUNKING;
			pst_smtp_server_answer(&core, 250);
			in = pst_span_sub(in, used, in.len);
		}
		pst_smtp_server_next(&core, pst_span_text(rows[i].said), &used, &event);
		if (event.hasty != rows[i].hasty)
			fail_msg("%s%s", rows[i].behind, rows[i].said);
	}
}

static void test_state_names(void **state)
{
	(void)state;
	assert_string_equal(pst_smtp_state_name(PST_SMTP_NEW), "NEW");
	assert_string_equal(pst_smtp_state_name(PST_SMTP_CLOSED), "CLOSED");
}

static void answer_nothing(struct pst_smtp_server *core)
{
	pst_smtp_server_answer(core, 250);
}

static void greet_twice(struct pst_smtp_server *core)
{
	uint32_t used;
	struct pst_smtp_event event;

	pst_smtp_server_next(core, PST_SPAN("EHLO x\r\n"), &used, &event);
	pst_smtp_server_answer(core, 250);
	pst_smtp_server_greeted(core);
}

static void pull_while_asked(struct pst_smtp_server *core)
{
	uint32_t used;
	struct pst_smtp_event event;

	pst_smtp_server_next(core, PST_SPAN("EHLO x\r\n"), &used, &event);
	pst_smtp_server_next(core, PST_SPAN("NOOP\r\n"), &used, &event);
}

/* The owner's errors hit the bug trap. */
static void test_bug_traps(void **state)
{
	void (*const wrong[])(struct pst_smtp_server *) = {answer_nothing, greet_twice,
							   pull_while_asked};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(wrong); i++) {
		struct pst_smtp_server core;
		int status = 0;
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0) {
			close(STDERR_FILENO);
			signal(SIGABRT, SIG_DFL);
			pst_smtp_server_init(&core);
			pst_smtp_server_greeted(&core);
			wrong[i](&core);
			_exit(0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_whole),
		cmocka_unit_test(test_rows_byte_by_byte),
		cmocka_unit_test(test_rows_random_cuts),
		cmocka_unit_test(test_replies_are_clean),
		cmocka_unit_test(test_new_touches_nothing),
		cmocka_unit_test(test_hasty),
		cmocka_unit_test(test_state_names),
		cmocka_unit_test(test_bug_traps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
