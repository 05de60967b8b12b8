/* test_reply.c - replies written and read, and EHLO's keywords */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/caps.h"
#include "smtp/reply.h"

/* --- writing ------------------------------------------------------------------------------------ */

static void test_put(void **state)
{
	static const struct {
		struct pst_smtp_reply reply;
		const char *line;
	} rows[] = {
		{{550, {5, 1, 1}, PST_SPAN("no such user")}, "550 5.1.1 no such user\r\n"},
		{{220, {0, 0, 0}, PST_SPAN("mx ESMTP")}, "220 mx ESMTP\r\n"},
		{{451, {4, 999, 999}, PST_SPAN("")}, "451 4.999.999 \r\n"},
		{{250, {2, 0, 0}, PST_SPAN("a\r\n554 b\tc\x7f")}, "250 2.0.0 a??554 b?c?\r\n"},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		size_t len = strlen(rows[i].line);
		uint8_t area[128];

		/* every smaller buffer refuses and stays as it was */
		for (uint32_t size = 0; size <= len; size++) {
			struct pst_buf buf;

			pst_buf_init(&buf, size ? area : NULL, size);
			assert_int_equal(pst_smtp_reply_put(&buf, &rows[i].reply),
					 size < len ? -PST_E_FULL : 0);
			assert_int_equal(buf.len, size < len ? 0 : len);
		}
		assert_memory_equal(area, rows[i].line, len);
	}
}

/* --- enhanced codes ------------------------------------------------------------------------------ */

static void test_enhanced(void **state)
{
	static const struct {
		uint16_t code;
		const char *text;
		struct pst_smtp_enhanced want;
		const char *rest;
	} rows[] = {
		{550, "5.1.1 no", {5, 1, 1}, "no"},
		{250, "2.0.0", {2, 0, 0}, ""},
		{451, "4.999.100  x", {4, 999, 100}, " x"},
		{550, "4.1.1 class differs", {0, 0, 0}, "4.1.1 class differs"},
		{354, "3.0.0 none for 3xx", {0, 0, 0}, "3.0.0 none for 3xx"},
		{250, "2.0 ok", {0, 0, 0}, "2.0 ok"},
		{250, "2.0.0ok", {0, 0, 0}, "2.0.0ok"},
		{250, "2.0.0.0 ok", {0, 0, 0}, "2.0.0.0 ok"},
		{250, "2.1000.0 ok", {0, 0, 0}, "2.1000.0 ok"},
		{250, "2.01.0 ok", {0, 0, 0}, "2.01.0 ok"},
		{250, "2..0 ok", {0, 0, 0}, "2..0 ok"},
		{250, "22.0.0 ok", {0, 0, 0}, "22.0.0 ok"},
		{250, "", {0, 0, 0}, ""},
		{250, "2", {0, 0, 0}, "2"},
		{250, "2.", {0, 0, 0}, "2."},
		{250, "ok", {0, 0, 0}, "ok"},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_span text = pst_span_text(rows[i].text);
		struct pst_smtp_enhanced got = pst_smtp_enhanced_take(&text, rows[i].code);

		assert_int_equal(got.class, rows[i].want.class);
		assert_int_equal(got.subject, rows[i].want.subject);
		assert_int_equal(got.detail, rows[i].want.detail);
		assert_true(pst_span_eq(text, pst_span_text(rows[i].rest)));
	}
}

/* --- reading ------------------------------------------------------------------------------------- */

/* Feed `text` in pieces and write down what is read: per line `code[-]text`, for the last line of a
 * reply also `{lines enhanced first-text}`; `!` for a protocol error. Lines are separated by `|`. */
static void read_all(struct pst_span text, uint32_t piece, char *trace, size_t size)
{
	static uint8_t area[2 * PST_SMTP_REPLY_LINE_MAX];
	struct pst_smtp_reply_reader reader = {0};
	struct pst_smtp_reply_line line;
	struct pst_buf in;
	size_t len = 0;
	int ret = 0;

	pst_buf_init(&in, area, sizeof(area));
	trace[0] = 0;
	for (uint32_t at = 0; at < text.len && ret >= 0; at += piece) {
		if (pst_buf_put(&in, pst_span_sub(text, at, piece)))
			break;
		while ((ret = pst_smtp_reply_read(&reader, &in, &line)) == 1) {
			len += (size_t)snprintf(trace + len, size - len, "%s%u%s%.*s", len ? "|" : "",
						reader.code, line.last ? "" : "-",
						(int)line.text.len, (const char *)line.text.at);
			if (line.last)
				len += (size_t)snprintf(
					trace + len, size - len, "{%u %u.%u.%u %.*s}",
					reader.line_count, reader.enhanced.class,
					reader.enhanced.subject, reader.enhanced.detail,
					reader.text_len, (const char *)reader.text);
			assert_true(len < size);
		}
	}
	if (ret < 0) {
		assert_int_equal(ret, -PST_E_PROTO);
		snprintf(trace + len, size - len, "!");
	}
}

static void test_read(void **state)
{
	static const struct {
		struct pst_span in;
		const char *trace;
	} rows[] = {
		{PST_SPAN("250 ok\r\n"), "250ok{1 0.0.0 ok}"},
		{PST_SPAN("250 2.1.5 ok\r\n"), "2502.1.5 ok{1 2.1.5 ok}"},
		{PST_SPAN("250\r\n"), "250{1 0.0.0 }"},
		{PST_SPAN("250 \r\n"), "250{1 0.0.0 }"},
		{PST_SPAN("250-\r\n250-a\r\n250 b\r\n"), "250-|250-a|250b{3 0.0.0 }"},
		{PST_SPAN("250-a\r\n250\r\n"), "250-a|250{2 0.0.0 a}"},
		{PST_SPAN("550-5.1.1 a\r\n550 5.1.2 b\r\n"),
		 "550-5.1.1 a|5505.1.2 b{2 5.1.1 a}"},
		{PST_SPAN("250 a\r\n354 go\r\n"), "250a{1 0.0.0 a}|354go{1 0.0.0 go}"},
		{PST_SPAN("250 \xc3\xa9\tx\r\n"), "250\xc3\xa9\tx{1 0.0.0 \xc3\xa9\tx}"},
		{PST_SPAN("599 x\r\n200 y\r\n"), "599x{1 0.0.0 x}|200y{1 0.0.0 y}"},
		/* not replies */
		{PST_SPAN("\r\n"), "!"},
		{PST_SPAN("25\r\n"), "!"},
		{PST_SPAN("250ok\r\n"), "!"},
		{PST_SPAN("250+ok\r\n"), "!"},
		{PST_SPAN("2500 ok\r\n"), "!"},
		{PST_SPAN(" 250 ok\r\n"), "!"},
		{PST_SPAN("150 ok\r\n"), "!"},
		{PST_SPAN("600 ok\r\n"), "!"},
		{PST_SPAN("2x0 ok\r\n"), "!"},
		{PST_SPAN("hello\r\n"), "!"},
		{PST_SPAN("250-a\r\n251 b\r\n"), "250-a!"},
		{PST_SPAN("250-a\r\n550-b\r\n"), "250-a!"},
		{PST_SPAN("250-a\r\nrubbish\r\n"), "250-a!"},
		/* framing */
		{PST_SPAN("250 ok\n"), "!"},
		{PST_SPAN("250 o\nk\r\n"), "!"},
		{PST_SPAN("250 o\rk\r\n"), "!"},
		{PST_SPAN("250 ok\r\r\n"), "!"},
		{PST_SPAN("250 o\0k\r\n"), "!"},
		{PST_SPAN("\0"), "!"},
		/* not yet */
		{PST_SPAN("250 ok"), ""},
		{PST_SPAN("250 ok\r"), ""},
		{PST_SPAN("250-a\r\n250 b"), "250-a"},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		for (uint32_t piece = 1; piece <= rows[i].in.len; piece++) {
			char trace[512];

			read_all(rows[i].in, piece, trace, sizeof(trace));
			assert_string_equal(trace, rows[i].trace);
		}
	}
}

static void test_read_limits(void **state)
{
	static uint8_t text[PST_SMTP_REPLY_LINES_MAX * 8 + 16];
	static uint8_t area[4096];
	static char trace[8192];
	struct pst_smtp_reply_reader reader;
	struct pst_smtp_reply_line line;
	struct pst_buf in;
	uint32_t len = 0;

	(void)state;
	/* the longest line, and one octet more, with and without its end */
	for (uint32_t over = 0; over < 2; over++) {
		memset(&reader, 0, sizeof(reader));
		pst_buf_init(&in, area, sizeof(area));
		memset(area, 'x', sizeof(area));
		memcpy(area, "250 ", 4);
		memcpy(area + PST_SMTP_REPLY_LINE_MAX - 2 + over, "\r\n", 2);
		pst_buf_commit(&in, PST_SMTP_REPLY_LINE_MAX + over);
		assert_int_equal(pst_smtp_reply_read(&reader, &in, &line),
				 over ? -PST_E_PROTO : 1);
		if (!over) {
			assert_int_equal(line.text.len, PST_SMTP_REPLY_LINE_MAX - 6);
			assert_int_equal(reader.text_len, PST_SMTP_REPLY_TEXT_MAX);
		}
	}
	memset(area, 'x', sizeof(area));
	for (uint32_t size = PST_SMTP_REPLY_LINE_MAX - 1; size <= PST_SMTP_REPLY_LINE_MAX; size++) {
		memset(&reader, 0, sizeof(reader));
		pst_buf_init(&in, area, sizeof(area));
		pst_buf_commit(&in, size);
		assert_int_equal(pst_smtp_reply_read(&reader, &in, &line),
				 size < PST_SMTP_REPLY_LINE_MAX ? 0 : -PST_E_PROTO);
	}
	/* a full buffer that holds no line can never hold one */
	memset(&reader, 0, sizeof(reader));
	pst_buf_init(&in, area, 100);
	pst_buf_commit(&in, 100);
	assert_int_equal(pst_smtp_reply_read(&reader, &in, &line), -PST_E_PROTO);

	/* a buffer that is absent is none of the kind */
	memset(&reader, 0, sizeof(reader));
	pst_buf_init(&in, NULL, 0);
	assert_int_equal(pst_smtp_reply_read(&reader, &in, &line), 0);

	/* the most lines, and one more */
	for (uint32_t i = 0; i + 1 < PST_SMTP_REPLY_LINES_MAX; i++) {
		memcpy(text + len, "250-a\r\n", 7);
		len += 7;
	}
	memcpy(text + len, "250 a\r\n", 7);
	read_all((struct pst_span){text, len + 7}, 100, trace, sizeof(trace));
	assert_non_null(strstr(trace, "{128 0.0.0 a}"));
	text[len + 3] = '-';
	read_all((struct pst_span){text, len + 7}, 100, trace, sizeof(trace));
	assert_int_equal(trace[strlen(trace) - 1], '!');
}

/* --- EHLO's keywords ------------------------------------------------------------------------------ */

static void test_learn(void **state)
{
	static const struct {
		const char *line;
		uint32_t set;
		uint64_t size_bytes;
		uint32_t xforward;
	} rows[] = {
		{"PIPELINING", PST_SMTP_CAP_PIPELINING, 0, 0},
		{"pipelining ", PST_SMTP_CAP_PIPELINING, 0, 0},
		{"8BITMIME", PST_SMTP_CAP_8BITMIME, 0, 0},
		{"SIZE", PST_SMTP_CAP_SIZE, 0, 0},
		{"SIZE 0", PST_SMTP_CAP_SIZE, 0, 0},
		{"size 52428800", PST_SMTP_CAP_SIZE, 52428800, 0},
		{"SIZE 1 2", 0, 0, 0},
		{"SIZE -1", 0, 0, 0},
		{"SIZE=1", 0, 0, 0},
		{"SIZE 99999999999999999999999", 0, 0, 0},
		{"ENHANCEDSTATUSCODES", PST_SMTP_CAP_ENHANCEDSTATUSCODES, 0, 0},
		{"PIPELINING please", 0, 0, 0},
		{"STARTTLS", PST_SMTP_CAP_STARTTLS, 0, 0},
		{"CHUNKING", PST_SMTP_CAP_CHUNKING, 0, 0},
		{"SMTPUTF8", PST_SMTP_CAP_SMTPUTF8, 0, 0},
		{"DSN", PST_SMTP_CAP_DSN, 0, 0},
		{"REQUIRETLS", PST_SMTP_CAP_REQUIRETLS, 0, 0},
		{"AUTH PLAIN LOGIN", PST_SMTP_CAP_AUTH, 0, 0},
		{"AUTH", 0, 0, 0},
		{"AUTH=LOGIN", 0, 0, 0},
		{"LIMITS RCPTMAX=10", PST_SMTP_CAP_LIMITS, 0, 0},
		{"XCLIENT NAME ADDR", PST_SMTP_CAP_XCLIENT, 0, 0},
		{"XFORWARD NAME addr FOO SOURCE", PST_SMTP_CAP_XFORWARD, 0,
		 PST_SMTP_XFORWARD_NAME | PST_SMTP_XFORWARD_ADDR | PST_SMTP_XFORWARD_SOURCE},
		{"XFORWARD PORT PROTO HELO IDENT", PST_SMTP_CAP_XFORWARD, 0,
		 PST_SMTP_XFORWARD_PORT | PST_SMTP_XFORWARD_PROTO | PST_SMTP_XFORWARD_HELO |
			 PST_SMTP_XFORWARD_IDENT},
		{"XFORWARD", 0, 0, 0},
		{"XFORWARD FOO", 0, 0, 0},
		{"VRFY", 0, 0, 0},
		{"PIPELININGX", 0, 0, 0},
		{"", 0, 0, 0},
		{"  ", 0, 0, 0},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_smtp_caps caps = {0};

		pst_smtp_caps_learn(&caps, pst_span_text(rows[i].line));
		assert_int_equal(caps.set, rows[i].set);
		assert_int_equal(caps.size_bytes, rows[i].size_bytes);
		assert_int_equal(caps.xforward, rows[i].xforward);
	}
}

static void test_caps_put(void **state)
{
	static const struct {
		struct pst_smtp_caps caps;
		const char *text;
	} rows[] = {
		{{.set = 0}, "250 mx-1.example.org\r\n"},
		{{.set = PST_SMTP_CAP_8BITMIME}, "250-mx-1.example.org\r\n250 8BITMIME\r\n"},
		{{.set = PST_SMTP_CAP_PIPELINING | PST_SMTP_CAP_SIZE |
			 PST_SMTP_CAP_ENHANCEDSTATUSCODES,
		  .size_bytes = 52428800},
		 "250-mx-1.example.org\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n"
		 "250 ENHANCEDSTATUSCODES\r\n"},
		{{.set = PST_SMTP_CAP_SIZE}, "250-mx-1.example.org\r\n250 SIZE\r\n"},
		{{.set = PST_SMTP_CAP_XFORWARD | PST_SMTP_CAP_AUTH | PST_SMTP_CAP_LIMITS,
		  .xforward = PST_SMTP_XFORWARD_NAME | PST_SMTP_XFORWARD_ADDR},
		 "250-mx-1.example.org\r\n250-XFORWARD NAME ADDR\r\n250 AUTH PLAIN LOGIN\r\n"},
		{{.set = PST_SMTP_CAP_LIMITS, .rcpt_count_max = 1000},
		 "250-mx-1.example.org\r\n250 LIMITS RCPTMAX=1000\r\n"},
		{{.set = PST_SMTP_CAP_LIMITS, .rcpt_count_max = 4294967295u, .rcpt_domain_count_max = 1},
		 "250-mx-1.example.org\r\n250 LIMITS RCPTMAX=4294967295 RCPTDOMAINMAX=1\r\n"},
		{{.set = PST_SMTP_CAP_8BITMIME, .rcpt_count_max = 1000},
		 "250-mx-1.example.org\r\n250 8BITMIME\r\n"},
		{{.set = PST_SMTP_CAP_XCLIENT,
		  .xclient = PST_SMTP_XFORWARD_ADDR | PST_SMTP_XFORWARD_HELO},
		 "250-mx-1.example.org\r\n250 XCLIENT ADDR HELO\r\n"},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		size_t len = strlen(rows[i].text);
		uint8_t area[256];

		for (uint32_t size = 1; size <= len; size++) {
			struct pst_buf buf;
			int ret;

			pst_buf_init(&buf, area, size);
			ret = pst_smtp_caps_put(&buf, PST_SPAN("mx-1.example.org"), &rows[i].caps);
			assert_int_equal(ret, size < len ? -PST_E_FULL : 0);
			assert_int_equal(buf.len, size < len ? 0 : len);
		}
		assert_memory_equal(area, rows[i].text, len);
	}
}

/* What we write, we understand: every set of capabilities that needs no words of its own. */
static void test_caps_round_trip(void **state)
{
	const uint32_t without_words = ((1u << 13) - 1) & ~(uint32_t)(PST_SMTP_CAP_LIMITS |
								      PST_SMTP_CAP_XCLIENT);

	(void)state;
	for (uint32_t set = 0; set < 1u << 13; set++) {
		struct pst_smtp_caps caps = {.set = set & without_words, .size_bytes = set};
		struct pst_smtp_caps learnt = {0};
		struct pst_smtp_reply_reader reader = {0};
		struct pst_smtp_reply_line line = {0};
		uint8_t area[1024];
		struct pst_buf buf;

		if (!(set & PST_SMTP_CAP_SIZE))
			caps.size_bytes = 0;
		if (set & PST_SMTP_CAP_XFORWARD)
			caps.xforward = 1 + set % 127;
		pst_buf_init(&buf, area, sizeof(area));
		assert_int_equal(pst_smtp_caps_put(&buf, PST_SPAN("h"), &caps), 0);
		do {
			assert_int_equal(pst_smtp_reply_read(&reader, &buf, &line), 1);
			if (!line.first)
				pst_smtp_caps_learn(&learnt, line.text);
		} while (!line.last);
		assert_int_equal(reader.code, 250);
		assert_int_equal(buf.len, 0);
		assert_int_equal(learnt.set, caps.set);
		assert_int_equal(learnt.xforward, caps.xforward);
		assert_int_equal(learnt.size_bytes, caps.size_bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_enhanced),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_read_limits),
		cmocka_unit_test(test_learn),
		cmocka_unit_test(test_caps_put),
		cmocka_unit_test(test_caps_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
