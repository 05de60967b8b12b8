/* fuzz_smtp_server.c - a client's bytes through the server core
 *
 * The input is what the client sends; behind a first '@' it sends it to a listener for users. It goes
 * through three times: whole, byte by byte and at random cuts; what comes out must be the same. The
 * owner's answers follow from the input, mostly yes.
 */
#include "base/utf8.h"
#include "fuzz/fuzz.h"
#include "smtp/server.h"

#define EVENTS_MAX 100000

struct run {
	struct pst_smtp_server core;
	uint64_t trace;    /* hash of all events */
	uint64_t answers;  /* seed of the owner's answers */
	uint32_t asked_count, event_count;
	uint8_t tail[2];   /* last bytes of the body handed out */
	bool in_body, closed;
};

static void note(struct run *run, const void *bytes, size_t len)
{
	run->trace = fuzz_hash(run->trace, bytes, len);
}

static void note_span(struct run *run, struct pst_span span)
{
	note(run, &span.len, sizeof(span.len));
	if (span.len)
		note(run, span.at, span.len);
}

static bool inside(struct pst_span part, struct pst_span whole)
{
	return part.len == 0 ||
	       (part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

static void check_printable(struct pst_span text)
{
	for (uint32_t i = 0; i < text.len; i++)
		FUZZ_CHECK(pst_is_print(text.at[i]));
}

static void check_reply(const struct pst_smtp_event *event)
{
	const struct pst_smtp_reply *reply = &event->reply;

	FUZZ_CHECK(reply->code >= 200 && reply->code <= 599);
	FUZZ_CHECK(reply->enhanced.class == reply->code / 100);
	FUZZ_CHECK(reply->text.len > 0 && reply->text.len < 100);
	check_printable(reply->text);
	FUZZ_CHECK(event->error == (reply->code >= 500));
}

static void check_path(const struct run *run, const struct pst_smtp_event *event,
		       struct pst_span in)
{
	const struct pst_smtp_path *path = &event->path;
	struct pst_smtp_path again;

	FUZZ_CHECK(inside(path->mailbox, in) && inside(path->local, in) && inside(path->domain, in));
	FUZZ_CHECK(!(path->flags & PST_SMTP_PATH_UTF8) || event->mail.utf8 || run->core.utf8);
	FUZZ_CHECK(pst_utf8_check(path->mailbox));
	if (path->flags & PST_SMTP_PATH_NULL) {
		FUZZ_CHECK(path->mailbox.len == 0 && event->kind == PST_SMTP_EV_MAIL);
		return;
	}
	FUZZ_CHECK(pst_smtp_mailbox_parse(path->mailbox, &again) == 0);
	FUZZ_CHECK(!(path->flags & PST_SMTP_PATH_BARE) || event->kind == PST_SMTP_EV_RCPT);
}

/* What is handed out between DATA and END is canonical whatever comes. */
static void check_wire(struct run *run, struct pst_span wire)
{
	FUZZ_CHECK(wire.len > 0);
	for (uint32_t i = 0; i < wire.len; i++) {
		uint8_t c = wire.at[i];

		FUZZ_CHECK(c != 0);
		FUZZ_CHECK((run->tail[1] == '\r') == (c == '\n'));
		run->tail[0] = run->tail[1];
		run->tail[1] = c;
	}
	note(run, wire.at, wire.len);
}

static uint16_t answer(struct run *run, enum pst_smtp_event_kind kind)
{
	uint64_t seed = run->answers + ++run->asked_count;
	uint32_t choice = fuzz_below(&seed, 8);

	if (choice == 0)
		return 550;
	if (choice == 1)
		return 451;
	if (kind == PST_SMTP_EV_AUTH)
		return choice < 5 ? 334 : 235;
	return kind == PST_SMTP_EV_DATA ? 354 : 250;
}

static void handle(struct run *run, const struct pst_smtp_event *event, struct pst_span in)
{
	struct pst_smtp_server *core = &run->core;
	uint16_t code;

	if (event->kind != PST_SMTP_EV_BODY) {
		note(run, &event->kind, sizeof(event->kind));
		note(run, &event->close, sizeof(event->close));
		note(run, &event->non_smtp, sizeof(event->non_smtp));
	}
	switch (event->kind) {
	case PST_SMTP_EV_REPLY:
	case PST_SMTP_EV_RESET:
	case PST_SMTP_EV_QUIT:
		FUZZ_CHECK(!core->waiting);
		FUZZ_CHECK(!run->in_body || core->state == PST_SMTP_NEXT || event->close ||
			   event->kind != PST_SMTP_EV_REPLY);
		run->in_body = core->state == PST_SMTP_NEXT;
		check_reply(event);
		note(run, &event->reply.code, sizeof(event->reply.code));
		run->closed = event->close || event->kind == PST_SMTP_EV_QUIT;
		FUZZ_CHECK(run->closed == (core->state == PST_SMTP_CLOSED));
		return;
	case PST_SMTP_EV_BODY:
		FUZZ_CHECK(run->in_body);
		check_wire(run, event->wire);
		return;
	case PST_SMTP_EV_HELO:
		FUZZ_CHECK(inside(event->name, in) && event->name.len && event->name.len <= 255);
		note_span(run, event->name);
		note(run, &event->esmtp, sizeof(event->esmtp));
		if (event->esmtp)
			core->offered = PST_SMTP_CAP_SIZE | PST_SMTP_CAP_8BITMIME |
					PST_SMTP_CAP_DSN | PST_SMTP_CAP_SMTPUTF8 |
					PST_SMTP_CAP_CHUNKING |
					(core->submission ? PST_SMTP_CAP_AUTH : 0);
		break;
	case PST_SMTP_EV_AUTH:
		FUZZ_CHECK(core->submission && !core->authenticated && !run->in_body);
		FUZZ_CHECK(inside(event->line, in) && event->line.len < PST_SMTP_AUTH_LINE_MAX);
		check_printable(event->line);
		note_span(run, event->line);
		break;
	case PST_SMTP_EV_MAIL:
	case PST_SMTP_EV_RCPT:
		FUZZ_CHECK(core->authenticated == core->submission);
		check_path(run, event, in);
		FUZZ_CHECK(inside(event->mail.dsn.ret, in) && inside(event->mail.dsn.envid, in));
		FUZZ_CHECK(inside(event->dsn.notify, in) && inside(event->dsn.orcpt, in));
		note_span(run, event->path.mailbox);
		note(run, &event->mail.size_bytes, sizeof(event->mail.size_bytes));
		note(run, &event->mail.body, sizeof(event->mail.body));
		FUZZ_CHECK(event->mail.size_bytes <= core->size_bytes_max);
		break;
	case PST_SMTP_EV_DATA:
		break;
	case PST_SMTP_EV_CHUNK:
		FUZZ_CHECK(run->in_body && core->chunk_left == 0 && !core->chunk_last);
		break;
	case PST_SMTP_EV_END:
		FUZZ_CHECK(run->in_body);
		FUZZ_CHECK(core->data.out_bytes == 0 ||
			   (run->tail[0] == '\r' && run->tail[1] == '\n'));
		run->in_body = false;
		break;
	default:
		FUZZ_CHECK(false);
	}
	FUZZ_CHECK(core->waiting && core->asked == event->kind);
	code = answer(run, event->kind);
	if (event->chunked)
		code = 354;
	pst_smtp_server_answer(core, code);
	if (event->kind == PST_SMTP_EV_DATA && code == 354) {
		run->in_body = true;
		run->tail[0] = '\r';
		run->tail[1] = 0;
	} else if (event->kind == PST_SMTP_EV_HELO && code == 250) {
		run->in_body = false;
	}
}

static void replay(struct run *run, const uint8_t *data, uint32_t len, uint32_t piece_max,
		   uint64_t seed)
{
	uint32_t consumed = 0, arrived = 0;

	memset(run, 0, sizeof(*run));
	run->trace = FUZZ_HASH_BEGIN;
	run->answers = fuzz_hash(FUZZ_HASH_BEGIN, data, len);
	pst_smtp_server_init(&run->core);
	run->core.size_bytes_max = 100000;
	run->core.submission = len > 0 && data[0] == '@';
	consumed = arrived = run->core.submission;
	pst_smtp_server_greeted(&run->core);
	while (arrived < len) {
		struct pst_smtp_event event;
		struct pst_span in;
		uint8_t *copy;

		arrived += piece_max ? 1 + fuzz_below(&seed, piece_max) : len;
		arrived = PST_MIN(arrived, len);
		copy = fuzz_copy(data + consumed, arrived - consumed);
		in = (struct pst_span){copy, arrived - consumed};
		do {
			uint32_t used = 0;

			pst_smtp_server_next(&run->core, in, &used, &event);
			FUZZ_CHECK(used <= in.len && ++run->event_count < EVENTS_MAX);
			if (event.kind != PST_SMTP_EV_NONE)
				handle(run, &event, in);
			else
				FUZZ_CHECK(used > 0 || in.len < PST_SMTP_AUTH_LINE_MAX);
			in = pst_span_sub(in, used, in.len);
			consumed += used;
		} while (event.kind != PST_SMTP_EV_NONE);
		free(copy);
		FUZZ_CHECK(run->core.state != PST_SMTP_CLOSED || consumed == arrived);
	}
	note(run, &run->core.state, sizeof(run->core.state));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run whole, cut;
	uint64_t seed = fuzz_hash(FUZZ_HASH_BEGIN, data, size);

	if (size > 16384)
		return 0;
	replay(&whole, data, (uint32_t)size, 0, 0);
	if (size <= 256) {
		replay(&cut, data, (uint32_t)size, 1, seed);
		FUZZ_CHECK(cut.trace == whole.trace);
	}
	replay(&cut, data, (uint32_t)size, 2 + fuzz_below(&seed, 200), seed);
	FUZZ_CHECK(cut.trace == whole.trace);
	return 0;
}
