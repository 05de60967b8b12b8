/* test_client.c - the client core: commands as they go out, replies as they are taken */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/client.h"

static const struct pst_smtp_mail from_ab = {.mailbox = PST_SPAN("a@b"),
					     .size_bytes = 77, .eight_bit = true,
					     .utf8 = true, .require_tls = true,
					     .dsn = {PST_SPAN("HDRS"), PST_SPAN("QQ+2B")}};
static const struct pst_smtp_mail from_nobody = {.size_bytes = 77, .eight_bit = true};

static uint8_t out_area[4096], in_area[8192];

static void begin(struct pst_smtp_client *core, struct pst_buf *out, struct pst_buf *in)
{
	pst_smtp_client_init(core);
	pst_buf_init(out, out_area, sizeof(out_area));
	pst_buf_init(in, in_area, sizeof(in_area));
}

static void assert_out(struct pst_buf *out, const char *want)
{
	struct pst_span got = pst_buf_span(out);

	if (got.len != strlen(want) || memcmp(got.at, want, got.len) != 0) {
		print_error("got:  %.*s\nwant: %s\n", (int)got.len, (const char *)got.at, want);
		fail();
	}
	pst_buf_clear(out);
}

static void arrive(struct pst_buf *in, const char *text)
{
	assert_int_equal(pst_buf_put_text(in, text), 0);
}

static void expect(struct pst_smtp_client *core, struct pst_buf *in, enum pst_smtp_command command,
		   uint16_t code)
{
	struct pst_smtp_client_event event;

	assert_int_equal(pst_smtp_client_next(core, in, &event), 1);
	assert_int_equal(event.command, command);
	assert_int_equal(event.code, code);
}

static void expect_nothing(struct pst_smtp_client *core, struct pst_buf *in)
{
	struct pst_smtp_client_event event;

	assert_int_equal(pst_smtp_client_next(core, in, &event), 0);
}

static void test_whole_dialogue(void **state)
{
	struct pst_smtp_client core;
	struct pst_smtp_client_event event;
	struct pst_buf out, in;

	(void)state;
	begin(&core, &out, &in);
	expect_nothing(&core, &in);
	arrive(&in, "220-welcome\r\n220 in.example ESMTP\r\n");
	expect(&core, &in, PST_SMTP_CMD_GREETING, 220);

	assert_int_equal(pst_smtp_client_ehlo(&core, &out, PST_SPAN("mx.example")), 0);
	assert_out(&out, "EHLO mx.example\r\n");
	/* the first line is a name, even if it looks like a keyword */
	arrive(&in, "250-CHUNKING\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-XFORWARD ADDR\r\n");
	expect_nothing(&core, &in);
	arrive(&in, "250 8BITMIME\r\n");
	expect(&core, &in, PST_SMTP_CMD_EHLO, 250);
	assert_int_equal(core.caps.set, PST_SMTP_CAP_PIPELINING | PST_SMTP_CAP_SIZE |
						PST_SMTP_CAP_XFORWARD | PST_SMTP_CAP_8BITMIME);
	assert_int_equal(core.caps.size_bytes, 1000);

	assert_int_equal(pst_smtp_client_mail(&core, &out, &from_ab), 0);
	assert_int_equal(pst_smtp_client_rcpt(&core, &out, PST_SPAN("c@d"), NULL), 0);
	assert_int_equal(pst_smtp_client_rcpt(&core, &out, PST_SPAN("\"e f\"@d"), NULL), 0);
	assert_int_equal(pst_smtp_client_data(&core, &out), 0);
	assert_out(&out, "MAIL FROM:<a@b> SIZE=77 BODY=8BITMIME\r\nRCPT TO:<c@d>\r\n"
			 "RCPT TO:<\"e f\"@d>\r\nDATA\r\n");
	arrive(&in, "250 2.1.0 ok\r\n250 2.1.5 ok\r\n550 5.1.1 no e f here\r\n354 go\r\n");
	expect(&core, &in, PST_SMTP_CMD_MAIL, 250);
	expect(&core, &in, PST_SMTP_CMD_RCPT, 250);
	assert_int_equal(pst_smtp_client_next(&core, &in, &event), 1);
	assert_int_equal(event.command, PST_SMTP_CMD_RCPT);
	assert_int_equal(event.code, 550);
	assert_int_equal(event.enhanced.class, 5);
	assert_int_equal(event.enhanced.subject, 1);
	assert_int_equal(event.enhanced.detail, 1);
	assert_true(pst_span_eq(event.text, PST_SPAN("no e f here")));
	expect(&core, &in, PST_SMTP_CMD_DATA, 354);
	assert_int_equal(pst_smtp_client_dot_sent(&core, 1), 0);
	arrive(&in, "250 queued\r\n");
	expect(&core, &in, PST_SMTP_CMD_DOT, 250);

	assert_int_equal(pst_smtp_client_noop(&core, &out), 0);
	assert_int_equal(pst_smtp_client_rset(&core, &out), 0);
	assert_int_equal(pst_smtp_client_quit(&core, &out), 0);
	assert_out(&out, "NOOP\r\nRSET\r\nQUIT\r\n");
	arrive(&in, "250 ok\r\n250 ok\r\n221 bye\r\n");
	expect(&core, &in, PST_SMTP_CMD_NOOP, 250);
	expect(&core, &in, PST_SMTP_CMD_RSET, 250);
	expect(&core, &in, PST_SMTP_CMD_QUIT, 221);
	assert_int_equal(core.due_count, 0);
}

/* What a client asked for goes on where it is understood, and only there; with every parameter as
 * long as it can be. */
static void test_dsn(void **state)
{
	static const uint8_t longest[] = {[0 ... PST_SMTP_ORCPT_MAX - 1] = 'x'};
	const struct pst_smtp_rcpt_dsn both = {PST_SPAN("SUCCESS,DELAY"), PST_SPAN("rfc822;x+3Dy")};
	const struct pst_smtp_rcpt_dsn notify = {.notify = PST_SPAN("never")};
	const struct pst_smtp_rcpt_dsn full = {PST_SPAN("SUCCESS,SUCCESS,SUCCESS"),
					       {longest, PST_SMTP_ORCPT_MAX}};
	const struct pst_smtp_mail from = {
		.size_bytes = UINT64_MAX, .eight_bit = true, .utf8 = true,
		.require_tls = true,
		.dsn = {PST_SPAN("FULL"), {longest, PST_SMTP_ENVID_MAX}}};
	struct pst_smtp_client core;
	struct pst_buf out, in;

	(void)state;
	begin(&core, &out, &in);
	core.due_count = 0;
	core.caps.set = PST_SMTP_CAP_DSN;
	assert_int_equal(pst_smtp_client_mail(&core, &out, &from_ab), 0);
	assert_int_equal(pst_smtp_client_rcpt(&core, &out, PST_SPAN("c@d"), &both), 0);
	assert_int_equal(pst_smtp_client_rcpt(&core, &out, PST_SPAN("e@d"), &notify), 0);
	assert_int_equal(pst_smtp_client_rcpt(&core, &out, PST_SPAN("f@d"), NULL), 0);
	assert_out(&out, "MAIL FROM:<a@b> RET=HDRS ENVID=QQ+2B\r\n"
			 "RCPT TO:<c@d> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+3Dy\r\n"
			 "RCPT TO:<e@d> NOTIFY=never\r\nRCPT TO:<f@d>\r\n");
	core.caps.set = PST_SMTP_CAP_SMTPUTF8;
	assert_int_equal(pst_smtp_client_mail(&core, &out, &from_ab), 0);
	assert_out(&out, "MAIL FROM:<a@b> SMTPUTF8\r\n");
	core.caps.set = PST_SMTP_CAP_REQUIRETLS;
	assert_int_equal(pst_smtp_client_mail(&core, &out, &from_ab), 0);
	assert_out(&out, "MAIL FROM:<a@b> REQUIRETLS\r\n");
	core.caps.set = 0;
	assert_int_equal(pst_smtp_client_mail(&core, &out, &from_ab), 0);
	assert_int_equal(pst_smtp_client_rcpt(&core, &out, PST_SPAN("c@d"), &both), 0);
	assert_out(&out, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
	core.due_count = 0;
	core.caps.set = UINT32_MAX;
	assert_int_equal(pst_smtp_client_mail(&core, &out, &from), 0);
	assert_int_equal(pst_smtp_client_rcpt(&core, &out, PST_SPAN("c@d"), &full), 0);
}

/* After a refused EHLO nothing is left of what an earlier one offered. */
static void test_helo_has_no_caps(void **state)
{
	struct pst_smtp_client core;
	struct pst_buf out, in;

	(void)state;
	begin(&core, &out, &in);
	arrive(&in, "220 x\r\n");
	expect(&core, &in, PST_SMTP_CMD_GREETING, 220);
	assert_int_equal(pst_smtp_client_ehlo(&core, &out, PST_SPAN("h")), 0);
	arrive(&in, "250-x\r\n250 SIZE 5\r\n");
	expect(&core, &in, PST_SMTP_CMD_EHLO, 250);
	assert_int_equal(core.caps.set, PST_SMTP_CAP_SIZE);
	assert_int_equal(pst_smtp_client_ehlo(&core, &out, PST_SPAN("h")), 0);
	arrive(&in, "502-no\r\n502 PIPELINING\r\n");
	expect(&core, &in, PST_SMTP_CMD_EHLO, 502);
	assert_int_equal(core.caps.set, 0);
	pst_buf_clear(&out);
	assert_int_equal(pst_smtp_client_helo(&core, &out, PST_SPAN("h")), 0);
	assert_out(&out, "HELO h\r\n");
	arrive(&in, "250-x\r\n250 PIPELINING\r\n");
	expect(&core, &in, PST_SMTP_CMD_HELO, 250);
	assert_int_equal(core.caps.set, 0);
	assert_int_equal(pst_smtp_client_mail(&core, &out, &from_nobody), 0);
	assert_out(&out, "MAIL FROM:<>\r\n");
}

/* One command, one reply, taken byte by byte: 1 with the code, or -PST_E_PROTO. */
static void test_classes(void **state)
{
	static const struct {
		enum pst_smtp_command command;
		const char *reply;
		bool good;
	} rows[] = {
		{PST_SMTP_CMD_GREETING, "220 x\r\n", true},
		{PST_SMTP_CMD_GREETING, "421 x\r\n", true},
		{PST_SMTP_CMD_GREETING, "554 x\r\n", true},
		{PST_SMTP_CMD_GREETING, "250 x\r\n", false},
		{PST_SMTP_CMD_GREETING, "354 x\r\n", false},
		{PST_SMTP_CMD_EHLO, "250 x\r\n", true},
		{PST_SMTP_CMD_EHLO, "354 x\r\n", false},
		{PST_SMTP_CMD_MAIL, "250 x\r\n", true},
		{PST_SMTP_CMD_MAIL, "354 x\r\n", false},
		{PST_SMTP_CMD_RCPT, "251 x\r\n", true},
		{PST_SMTP_CMD_RCPT, "450 x\r\n", true},
		{PST_SMTP_CMD_RCPT, "354 x\r\n", false},
		{PST_SMTP_CMD_DATA, "354 x\r\n", true},
		{PST_SMTP_CMD_DATA, "451 x\r\n", true},
		{PST_SMTP_CMD_DATA, "550 x\r\n", true},
		{PST_SMTP_CMD_DATA, "250 x\r\n", false},
		{PST_SMTP_CMD_DATA, "355 x\r\n", false},
		{PST_SMTP_CMD_DATA, "354\r\n", true},
		{PST_SMTP_CMD_DOT, "250 x\r\n", true},
		{PST_SMTP_CMD_DOT, "354 x\r\n", false},
		{PST_SMTP_CMD_DOT, "554 x\r\n", true},
		{PST_SMTP_CMD_RSET, "250 x\r\n", true},
		{PST_SMTP_CMD_NOOP, "354 x\r\n", false},
		{PST_SMTP_CMD_QUIT, "221 x\r\n", true},
		/* malformed whatever the command */
		{PST_SMTP_CMD_DOT, "250-x\r\n550 y\r\n", false},
		{PST_SMTP_CMD_DOT, "250 x\n", false},
		{PST_SMTP_CMD_DOT, "250x\r\n", false},
		{PST_SMTP_CMD_DOT, "SSH-2.0-x\r\n", false},
		{PST_SMTP_CMD_DOT, "250-x\r\nok\r\n", false},
		/* a wrong class is known by its first line */
		{PST_SMTP_CMD_DOT, "354-x\r\n", false},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_smtp_client core;
		struct pst_smtp_client_event event;
		struct pst_buf out, in;
		int ret = 0;

		begin(&core, &out, &in);
		core.due[0] = (uint8_t)rows[i].command;
		for (uint32_t k = 0; rows[i].reply[k] && ret == 0; k++) {
			assert_int_equal(pst_buf_put_byte(&in, (uint8_t)rows[i].reply[k]), 0);
			ret = pst_smtp_client_next(&core, &in, &event);
		}
		if (ret != (rows[i].good ? 1 : -PST_E_PROTO))
			print_error("%s", rows[i].reply);
		assert_int_equal(ret, rows[i].good ? 1 : -PST_E_PROTO);
		if (rows[i].good)
			assert_int_equal(event.command, rows[i].command);
		else
			/* and it stays broken */
			assert_int_equal(pst_smtp_client_next(&core, &in, &event), -PST_E_PROTO);
	}
}

static void test_unasked(void **state)
{
	struct pst_smtp_client core;
	struct pst_smtp_client_event event;
	struct pst_buf out, in;

	(void)state;
	begin(&core, &out, &in);
	arrive(&in, "220 x\r\n421 leaving\r\n");
	expect(&core, &in, PST_SMTP_CMD_GREETING, 220);
	expect(&core, &in, PST_SMTP_CMD_NOOP, 421);
	arrive(&in, "250 more\r\n");
	assert_int_equal(pst_smtp_client_next(&core, &in, &event), -PST_E_PROTO);

	/* told by the first line, even if more are announced */
	begin(&core, &out, &in);
	arrive(&in, "220 x\r\n250-x\r\n");
	expect(&core, &in, PST_SMTP_CMD_GREETING, 220);
	assert_int_equal(pst_smtp_client_next(&core, &in, &event), -PST_E_PROTO);

	/* a single byte tells, unless it can be a 421's */
	static const struct {
		const char *text;
		bool good;
	} rows[] = {{"2", false}, {"4", true}, {"42", true}, {"450", false}, {"421", true},
		    {"421 x", true}, {"421-x\r\n", true}, {"421-x\r\n4", true}, {"\r", false}};

	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		begin(&core, &out, &in);
		arrive(&in, "220 x\r\n");
		expect(&core, &in, PST_SMTP_CMD_GREETING, 220);
		arrive(&in, rows[i].text);
		assert_int_equal(pst_smtp_client_next(&core, &in, &event),
				 rows[i].good ? 0 : -PST_E_PROTO);
	}

	/* with a command due a 421 is its answer */
	begin(&core, &out, &in);
	arrive(&in, "220 x\r\n");
	expect(&core, &in, PST_SMTP_CMD_GREETING, 220);
	assert_int_equal(pst_smtp_client_data(&core, &out), 0);
	arrive(&in, "421 leaving\r\n");
	expect(&core, &in, PST_SMTP_CMD_DATA, 421);
}

static void test_bounds(void **state)
{
	struct pst_smtp_client core;
	struct pst_buf out, in;

	(void)state;
	begin(&core, &out, &in);
	for (uint32_t i = core.due_count; i < PST_SMTP_DUE_MAX; i++)
		assert_int_equal(pst_smtp_client_noop(&core, &out), 0);
	pst_buf_clear(&out);
	assert_int_equal(pst_smtp_client_noop(&core, &out), -PST_E_FULL);
	assert_int_equal(pst_smtp_client_dot_sent(&core, 1), -PST_E_FULL);
	assert_int_equal(out.len, 0);
	assert_int_equal(core.due_count, PST_SMTP_DUE_MAX);

	begin(&core, &out, &in);
	pst_buf_init(&out, out_area, 11);
	assert_int_equal(pst_smtp_client_rcpt(&core, &out, PST_SPAN("c@d"), NULL), -PST_E_FULL);
	assert_int_equal(out.len, 0);
	assert_int_equal(core.due_count, 1);
}

#define ALL_ATTRIBUTES 127

static void test_xforward(void **state)
{
	static const char LONG_HELO[] =
		"\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
		"\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
		"\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
		"\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
		"\x01\x01\x01\x01\x01\x01";
	static const struct {
		uint32_t attributes;
		const char *address; /* with port; "" for none */
		struct pst_span helo;
		bool esmtp;
		const char *line;
	} rows[] = {
		{ALL_ATTRIBUTES, "192.0.2.1:4321", PST_SPAN("client.example"), true,
		 "XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.1 PORT=4321 PROTO=ESMTP "
		 "IDENT=[UNAVAILABLE] SOURCE=REMOTE HELO=client.example\r\n"},
		{PST_SMTP_XFORWARD_ADDR | PST_SMTP_XFORWARD_PROTO | PST_SMTP_XFORWARD_PORT,
		 "[2001:db8::1]:25", PST_SPAN("x"), false,
		 "XFORWARD ADDR=IPV6:2001:db8::1 PORT=25 PROTO=SMTP\r\n"},
		{PST_SMTP_XFORWARD_ADDR | PST_SMTP_XFORWARD_PORT | PST_SMTP_XFORWARD_HELO, "",
		 PST_SPAN(""), true,
		 "XFORWARD ADDR=[UNAVAILABLE] PORT=[UNAVAILABLE] HELO=[UNAVAILABLE]\r\n"},
		{PST_SMTP_XFORWARD_HELO, "", PST_SPAN("a+b=c d\r\n\xff~!"), true,
		 "XFORWARD HELO=a+2Bb+3Dc+20d+0D+0A+FF~!\r\n"},
		{PST_SMTP_XFORWARD_HELO, "", PST_SPAN("[192.0.2.1]"), true,
		 "XFORWARD HELO=[192.0.2.1]\r\n"},
		/* too long when encoded: 86 * 3 > 255 */
		{PST_SMTP_XFORWARD_HELO, "", {(const uint8_t *)LONG_HELO, 86}, true,
		 "XFORWARD HELO=[UNAVAILABLE]\r\n"},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_smtp_identity identity = {.helo = rows[i].helo, .esmtp = rows[i].esmtp};
		struct pst_smtp_client core;
		struct pst_buf out, in;

		if (*rows[i].address)
			assert_int_equal(pst_addr_parse_port(pst_span_text(rows[i].address),
							     &identity.client),
					 0);
		begin(&core, &out, &in);
		core.caps.set = PST_SMTP_CAP_XFORWARD;
		core.caps.xforward = rows[i].attributes;
		assert_int_equal(pst_smtp_client_xforward(&core, &out, &identity), 0);
		assert_out(&out, rows[i].line);
		assert_int_equal(core.due[1], PST_SMTP_CMD_XFORWARD);
	}
}

/* The longest of everything still is one command of 512 octets. */
static void test_xforward_fits(void **state)
{
	struct pst_smtp_identity identity = {.esmtp = true};
	static uint8_t helo[255];
	struct pst_smtp_client core;
	struct pst_buf out, in;

	(void)state;
	memset(helo, 'h', sizeof(helo));
	identity.helo = (struct pst_span){helo, sizeof(helo)};
	assert_int_equal(pst_addr_parse_port(
				 PST_SPAN("[2001:db81:1111:2222:3333:4444:5555:6666]:65535"),
				 &identity.client),
			 0);
	begin(&core, &out, &in);
	core.caps.xforward = ALL_ATTRIBUTES;
	assert_int_equal(pst_smtp_client_xforward(&core, &out, &identity), 0);
	assert_true(out.len <= 512);
	assert_non_null(memmem(out_area, out.len, "HELO=hhhh", 9));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_dialogue),
		cmocka_unit_test(test_dsn),
		cmocka_unit_test(test_helo_has_no_caps),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_unasked),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_xforward),
		cmocka_unit_test(test_xforward_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
