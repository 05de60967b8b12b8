/* fuzz_smtp_client.c - an internal server's bytes through the client core
 *
 * The input is what the server sends. The owner behaves like a relay: it greets, sends a pipelined
 * transaction, the dot, RSET, and begins again. Whatever the server says, each event answers the
 * oldest command that is open, with a code that it can have; and cuts make no difference.
 */
#include "fuzz/fuzz.h"
#include "smtp/client.h"

struct run {
	struct pst_smtp_client core;
	struct pst_buf in, out;
	uint64_t trace;
	uint8_t due[PST_SMTP_DUE_MAX];
	uint32_t due_count;
	bool broken;
	uint8_t in_area[PST_SMTP_REPLY_LINE_MAX + 64], out_area[2048];
};

static void sent(struct run *run, enum pst_smtp_command command, int ret)
{
	FUZZ_CHECK(ret == 0 || (ret == -PST_E_FULL && run->due_count == PST_SMTP_DUE_MAX));
	if (ret == 0)
		run->due[run->due_count++] = (uint8_t)command;
}

static void transaction(struct run *run)
{
	struct pst_smtp_client *core = &run->core;
	const struct pst_smtp_mail mail = {.mailbox = PST_SPAN("a@b.example"),
					   .size_bytes = UINT64_MAX, .eight_bit = true,
					   .dsn = {PST_SPAN("FULL"), PST_SPAN("e")}};
	const struct pst_smtp_rcpt_dsn dsn = {.notify = PST_SPAN("NEVER")};
	struct pst_smtp_identity identity = {.helo = PST_SPAN("client example"), .esmtp = true};

	if (core->caps.set & PST_SMTP_CAP_XFORWARD) {
		FUZZ_CHECK(core->caps.xforward != 0);
		sent(run, PST_SMTP_CMD_XFORWARD,
		     pst_smtp_client_xforward(core, &run->out, &identity));
	}
	sent(run, PST_SMTP_CMD_MAIL, pst_smtp_client_mail(core, &run->out, &mail));
	sent(run, PST_SMTP_CMD_RCPT,
	     pst_smtp_client_rcpt(core, &run->out, PST_SPAN("c@d.example"), &dsn));
	sent(run, PST_SMTP_CMD_RCPT,
	     pst_smtp_client_rcpt(core, &run->out, PST_SPAN("e@d.example"), NULL));
	sent(run, PST_SMTP_CMD_DATA, pst_smtp_client_data(core, &run->out));
}

/* What a relay does next once nothing is open. */
static void go_on(struct run *run, const struct pst_smtp_client_event *event)
{
	struct pst_smtp_client *core = &run->core;
	const struct pst_span name = PST_SPAN("mx.example");

	switch (event->command) {
	case PST_SMTP_CMD_GREETING:
		sent(run, PST_SMTP_CMD_EHLO, pst_smtp_client_ehlo(core, &run->out, name));
		break;
	case PST_SMTP_CMD_EHLO:
		if (event->code < 300)
			transaction(run);
		else
			sent(run, PST_SMTP_CMD_HELO, pst_smtp_client_helo(core, &run->out, name));
		break;
	case PST_SMTP_CMD_HELO:
		FUZZ_CHECK(core->caps.set == 0);
		transaction(run);
		break;
	case PST_SMTP_CMD_DATA:
		if (event->code == 354)
			sent(run, PST_SMTP_CMD_DOT, pst_smtp_client_dot_sent(core, 1));
		else
			sent(run, PST_SMTP_CMD_RSET, pst_smtp_client_rset(core, &run->out));
		break;
	case PST_SMTP_CMD_DOT:
		sent(run, PST_SMTP_CMD_NOOP, pst_smtp_client_noop(core, &run->out));
		break;
	case PST_SMTP_CMD_RSET:
		sent(run, PST_SMTP_CMD_QUIT, pst_smtp_client_quit(core, &run->out));
		break;
	default:
		transaction(run);
		break;
	}
}

static void handle(struct run *run, const struct pst_smtp_client_event *event)
{
	if (run->due_count) {
		FUZZ_CHECK(event->command == run->due[0]);
		memmove(run->due, run->due + 1, --run->due_count);
	} else {
		FUZZ_CHECK(event->command == PST_SMTP_CMD_NOOP && event->code == 421);
	}
	FUZZ_CHECK(event->code >= 200 && event->code <= 599);
	FUZZ_CHECK(event->code < 300 || event->code >= 400 ||
		   (event->command == PST_SMTP_CMD_DATA && event->code == 354));
	FUZZ_CHECK(event->enhanced.class == 0 || event->enhanced.class == event->code / 100);
	FUZZ_CHECK(event->enhanced.subject <= 999 && event->enhanced.detail <= 999);
	FUZZ_CHECK(event->text.len <= PST_SMTP_REPLY_TEXT_MAX);
	for (uint32_t i = 0; i < event->text.len; i++)
		FUZZ_CHECK(event->text.at[i] != '\r' && event->text.at[i] != '\n' &&
			   event->text.at[i] != 0);
	run->trace = fuzz_hash(run->trace, &event->command, sizeof(event->command));
	run->trace = fuzz_hash(run->trace, &event->code, sizeof(event->code));
	run->trace = fuzz_hash(run->trace, event->text.at, event->text.len);
	pst_buf_clear(&run->out);
	if (run->due_count == 0)
		go_on(run, event);
	FUZZ_CHECK(run->core.due_count == run->due_count);
	FUZZ_CHECK(memcmp(run->core.due, run->due, run->due_count) == 0);
}

static void replay(struct run *run, const uint8_t *data, uint32_t len, uint32_t piece_max,
		   uint64_t seed)
{
	uint32_t arrived = 0;

	memset(run, 0, sizeof(*run));
	run->trace = FUZZ_HASH_BEGIN;
	pst_smtp_client_init(&run->core);
	pst_buf_init(&run->in, run->in_area, sizeof(run->in_area));
	pst_buf_init(&run->out, run->out_area, sizeof(run->out_area));
	run->due[run->due_count++] = PST_SMTP_CMD_GREETING;
	while (arrived < len && !run->broken) {
		struct pst_smtp_client_event event;
		uint32_t piece = 1 + fuzz_below(&seed, piece_max);
		int ret;

		piece = PST_MIN(piece, len - arrived);
		piece = PST_MIN(piece, pst_buf_room(&run->in));
		FUZZ_CHECK(piece > 0);
		FUZZ_CHECK(pst_buf_put(&run->in, (struct pst_span){data + arrived, piece}) == 0);
		arrived += piece;
		while ((ret = pst_smtp_client_next(&run->core, &run->in, &event)) == 1)
			handle(run, &event);
		FUZZ_CHECK(ret == 0 || ret == -PST_E_PROTO);
		run->broken = ret < 0;
	}
	if (run->broken) {
		struct pst_smtp_client_event event;

		FUZZ_CHECK(pst_smtp_client_next(&run->core, &run->in, &event) == -PST_E_PROTO);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run whole, cut;
	uint64_t seed = fuzz_hash(FUZZ_HASH_BEGIN, data, size);

	if (size > 6000)
		return 0;
	replay(&whole, data, (uint32_t)size, 2000, seed);
	replay(&cut, data, (uint32_t)size, size <= 300 ? 1 : 2 + fuzz_below(&seed, 200), seed);
	FUZZ_CHECK(cut.trace == whole.trace && cut.broken == whole.broken);
	return 0;
}
