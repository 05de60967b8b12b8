/* test_headers.c - dates, our trace fields, forged fields and what is counted */
#include "support/check.h"

#include <time.h>

#include "proxy/headers.h"
#include "support/alloc_fail.h"
#include "support/bytes.h"
#include "support/rng_seed.h"

static const struct {
	uint64_t wall_s;
	const char *text;
} dates[] = {
	{0, "Thu, 1 Jan 1970 00:00:00 +0000"},
	{59, "Thu, 1 Jan 1970 00:00:59 +0000"},
	{86399, "Thu, 1 Jan 1970 23:59:59 +0000"},
	{86400, "Fri, 2 Jan 1970 00:00:00 +0000"},
	{68169600, "Tue, 29 Feb 1972 00:00:00 +0000"},
	{951782399, "Mon, 28 Feb 2000 23:59:59 +0000"},
	{951782400, "Tue, 29 Feb 2000 00:00:00 +0000"},
	{951868800, "Wed, 1 Mar 2000 00:00:00 +0000"},
	{1709164800, "Thu, 29 Feb 2024 00:00:00 +0000"},
	{1735689599, "Tue, 31 Dec 2024 23:59:59 +0000"},
	{1735689600, "Wed, 1 Jan 2025 00:00:00 +0000"},
	{1795297469, "Sat, 21 Nov 2026 21:44:29 +0000"},
	{2147483648, "Tue, 19 Jan 2038 03:14:08 +0000"},
	{4107542399, "Sun, 28 Feb 2100 23:59:59 +0000"},
	{4107542400, "Mon, 1 Mar 2100 00:00:00 +0000"},
	{13574563199, "Mon, 28 Feb 2400 23:59:59 +0000"},
	{13574563200, "Tue, 29 Feb 2400 00:00:00 +0000"},
};

static void check_date(uint64_t wall_ms, const char *wanted)
{
	uint8_t area[64];
	struct pst_buf out;

	pst_buf_init(&out, area, sizeof(area));
	assert_int_equal(pst_headers_date(&out, wall_ms), 0);
	check_buf(&out, wanted);
}

static void date_rows(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(dates); i++) {
		check_date(dates[i].wall_s * 1000, dates[i].text);
		check_date(dates[i].wall_s * 1000 + 999, dates[i].text);
	}
}

/* A day in each month and random moments, against the C library. */
static void dates_against_libc(void **state)
{
	struct pst_rng_seed rng;

	(void)state;
	pst_rng_seed_init(&rng, 5);
	for (uint32_t i = 0; i < 20000; i++) {
		time_t now = (time_t)i * 86400 * 13 + pst_rng_seed_below(&rng, 86400);
		char wanted[64], day[8];
		struct tm tm;

		gmtime_r(&now, &tm);
		snprintf(day, sizeof(day), "%d", tm.tm_mday);
		strftime(wanted, sizeof(wanted), "%a, @ %b %Y %H:%M:%S +0000", &tm);
		{
			char whole[80], *at = strchr(wanted, '@');

			*at = 0;
			snprintf(whole, sizeof(whole), "%s%s%s", wanted, day, at + 1);
			check_date((uint64_t)now * 1000, whole);
		}
	}
}

static void date_needs_room(void **state)
{
	uint8_t area[30];
	struct pst_buf out;

	(void)state;
	pst_buf_init(&out, area, sizeof(area));
	assert_int_equal(pst_headers_date(&out, 1795297469000), -PST_E_FULL);
	assert_int_equal(out.len, 0);
}

/* ---- fields ---------------------------------------------------------------------------------- */

struct rig {
	struct pst_alloc_fail alloc;
	struct pst_hold hold;
	struct pst_share share;
	struct pst_message message;
	struct pst_facts facts;
};

static void rig_init(struct rig *rig, uint32_t header_bytes_max)
{
	*rig = (struct rig){0};
	pst_alloc_fail_init(&rig->alloc);
	pst_hold_init(&rig->hold, &rig->alloc.mem, 1 << 20, 1);
	rig->share.hold = &rig->hold;
	pst_message_init(&rig->message, &rig->share, header_bytes_max);
}

static void rig_fini(struct rig *rig)
{
	pst_message_free(&rig->message);
	pst_hold_fini(&rig->hold);
	assert_int_equal(rig->alloc.block_count, 0);
}

static void look(struct rig *rig, const char *text)
{
	assert_int_equal(pst_message_append(&rig->message, pst_span_text(text)), 0);
	pst_message_end(&rig->message);
	pst_headers_look(&rig->message, &rig->facts, PST_SPAN("mx.example.org"));
}

static const struct {
	const char *header, *left;
	uint32_t set, hop_count;
} looks[] = {
	{"A: b\r\n\r\n", "A: b\r\n\r\n", 0, 0},
	{"", "", PST_FACT_NO_HEADER, 0},
	{"\r\n", "\r\n", PST_FACT_NO_HEADER, 0},
	{"no field\r\n\r\n", "no field\r\n\r\n", PST_FACT_NO_HEADER, 0},
	{" folded: x\r\n", " folded: x\r\n", PST_FACT_NO_HEADER, 0},
	{"X-Spam-Flag: YES\r\n\r\n", "\r\n", 0, 0},
	{"X-SPAM-: YES\r\n\r\n", "\r\n", 0, 0},
	{"X-Spam: stays\r\n\r\n", "X-Spam: stays\r\n\r\n", 0, 0},
	{"A: b\r\nX-Spam-Report: a\r\n\tb\r\n c\r\nD: e\r\n\r\n", "A: b\r\nD: e\r\n\r\n", 0, 0},
	{"X-Spam-Score: 1\r\nX-Spam-Score: 2\r\nA: b", "A: b", 0, 0},
	{"A: b\r\nX-Spam-Score: 1", "A: b\r\n", 0, 0},
	{"Received: a\r\nreceived: b\r\nX-Received: c\r\nRECEIVED : d\r\n\r\n",
	 "Received: a\r\nreceived: b\r\nX-Received: c\r\nRECEIVED : d\r\n\r\n", 0, 3},
	{"Authentication-Results: mx.example.org; none\r\nA: b\r\n\r\n", "A: b\r\n\r\n", 0, 0},
	{"Authentication-Results: MX.EXAMPLE.ORG 1; none\r\nA: b\r\n\r\n", "A: b\r\n\r\n", 0, 0},
	{"Authentication-Results: (c(d)) mx.example.org;\r\n\r\n", "\r\n", 0, 0},
	{"Authentication-Results: mx.example.org.uk; none\r\n\r\n",
	 "Authentication-Results: mx.example.org.uk; none\r\n\r\n", 0, 0},
	{"A: b\r\ngarbage\r\nX-Spam-Flag: NO\r\nReceived: x\r\n\r\n",
	 "A: b\r\ngarbage\r\nReceived: x\r\n\r\n", 0, 1},
	{"A: b\r\n: no name\r\nX-Spam-Flag: NO\r\n\r\n", "A: b\r\n: no name\r\n\r\n", 0, 0},
};

static void look_rows(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(looks); i++) {
		struct rig rig;

		rig_init(&rig, 65536);
		rig.facts.hop_count = 77;
		look(&rig, looks[i].header);
		check_span(pst_message_header(&rig.message), looks[i].left);
		assert_int_equal(rig.facts.set, looks[i].set);
		assert_int_equal(rig.facts.hop_count, looks[i].hop_count);
		rig_fini(&rig);
	}
}

/* What stands in front of an unseen header decides all the same. */
static void look_unseen(void **state)
{
	static const struct {
		const char *first, *rest;
		uint32_t set;
	} rows[] = {
		{"", "Subject: a long one\r\n", PST_FACT_HEADER_UNSEEN},
		{"Subj", "ect: a long one\r\n", PST_FACT_HEADER_UNSEEN},
		{"S", "ubject: a long one\r\n", PST_FACT_HEADER_UNSEEN},
		{"Subject: x\r\n", "X-Spam-Flag: a long one\r\n", PST_FACT_HEADER_UNSEEN},
		{"Subj", "ect, a long one\r\n", PST_FACT_HEADER_UNSEEN | PST_FACT_NO_HEADER},
		{"", "no field, a long one\r\n", PST_FACT_HEADER_UNSEEN | PST_FACT_NO_HEADER},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct rig rig;

		rig_init(&rig, 16);
		assert_int_equal(
			pst_message_append(&rig.message, pst_span_text(rows[i].first)), 0);
		look(&rig, rows[i].rest);
		assert_true(rig.message.header_unseen);
		assert_int_equal(rig.facts.set, rows[i].set);
		check_span(pst_message_header(&rig.message), rows[i].first);
		rig_fini(&rig);
	}
}

static const struct {
	const char *helo, *client, *rcpt;
	bool esmtp;
	uint32_t set;
	const char *message, *trace;
} traces[] = {
	{"client.example", "192.0.2.1", "bob@example.org", true, 0, "A: b\r\n",
	 "Received: from client.example ([192.0.2.1])\r\n\tby mx.example.org with ESMTP id 1-2\r\n"
	 "\tfor <bob@example.org>; Sat, 21 Nov 2026 21:44:29 +0000\r\n"},
	{"client.example", "192.0.2.1", "", false, 0, "A: b\r\n",
	 "Received: from client.example ([192.0.2.1])\r\n\tby mx.example.org with SMTP id 1-2; "
	 "Sat, 21 Nov 2026 21:44:29 +0000\r\n"},
	{"[IPv6:2001:db8::1]", "2001:db8::1", "", true, 0, "A: b\r\n",
	 "Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n\tby mx.example.org with ESMTP "
	 "id 1-2; Sat, 21 Nov 2026 21:44:29 +0000\r\n"},
	{"a (b", "192.0.2.1", "", true, 0, "A: b\r\n",
	 "Received: from unknown ([192.0.2.1])\r\n\tby mx.example.org with ESMTP id 1-2; "
	 "Sat, 21 Nov 2026 21:44:29 +0000\r\n"},
	{"", "192.0.2.1", "", true, 0, "A: b\r\n",
	 "Received: from unknown ([192.0.2.1])\r\n\tby mx.example.org with ESMTP id 1-2; "
	 "Sat, 21 Nov 2026 21:44:29 +0000\r\n"},
	{"x", "192.0.2.1", "\"a b\"@example.org", true, PST_FACT_NO_HEADER, "no field\r\n",
	 "Received: from x ([192.0.2.1])\r\n\tby mx.example.org with ESMTP id 1-2\r\n"
	 "\tfor <\"a b\"@example.org>; Sat, 21 Nov 2026 21:44:29 +0000\r\n\r\n"},
	{"x", "", "", true, PST_FACT_NO_HEADER, "\r\nbody\r\n",
	 "Received: from x\r\n\tby mx.example.org with ESMTP id 1-2; "
	 "Sat, 21 Nov 2026 21:44:29 +0000\r\n"},
};

static void trace_rows(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(traces); i++) {
		struct pst_trace trace = {
			.hostname = PST_SPAN("mx.example.org"),
			.rcpt = pst_span_text(traces[i].rcpt),
			.id = "1-2",
			.wall_ms = 1795297469123,
		};
		struct rig rig;

		rig_init(&rig, 65536);
		look(&rig, traces[i].message);
		assert_int_equal(rig.facts.set, traces[i].set);
		rig.facts.helo = pst_span_text(traces[i].helo);
		rig.facts.esmtp = traces[i].esmtp;
		if (traces[i].client[0])
			assert_int_equal(pst_addr_parse(pst_span_text(traces[i].client),
							&rig.facts.client),
					 0);
		assert_int_equal(pst_headers_write(&rig.message, &rig.facts, &trace), 0);
		check_span(((struct pst_span){rig.message.trace->data, rig.message.trace->len}),
			   traces[i].trace);
		rig_fini(&rig);
	}
}

/* RFC 3848 and RFC 6531 section 4.3. */
static void trace_keywords(void **state)
{
	static const struct {
		bool esmtp, utf8, tls;
		const char *with;
	} rows[] = {
		{false, false, false, " with SMTP id "}, {true, false, false, " with ESMTP id "},
		{true, false, true, " with ESMTPS id "}, {true, true, false, " with UTF8SMTP id "},
		{true, true, true, " with UTF8SMTPS id "},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_trace trace = {.hostname = PST_SPAN("mx"), .id = "1-2"};
		struct rig rig;
		char text[PST_PAGE_BYTES];

		rig_init(&rig, 65536);
		rig.facts.esmtp = rows[i].esmtp;
		rig.facts.utf8 = rows[i].utf8;
		if (rows[i].tls) {
			rig.facts.tls_version = PST_SPAN("TLSv1.3");
			rig.facts.tls_cipher = PST_SPAN("TLS_AES_128_GCM_SHA256");
		}
		assert_int_equal(pst_headers_write(&rig.message, &rig.facts, &trace), 0);
		snprintf(text, sizeof(text), "%.*s", (int)rig.message.trace->len,
			 (const char *)rig.message.trace->data);
		if (!strstr(text, rows[i].with))
			fail_msg("want \"%s\" in %s", rows[i].with, text);
		rig_fini(&rig);
	}
}

/* The longest that can come: it fits the page, and no line is longer than RFC 5322 allows. */
static void trace_longest(void **state)
{
	struct pst_bytes helo = {0}, name = {0}, rcpt = {0};
	struct pst_trace trace = {.id = "0123456789ab-4294967295", .wall_ms = UINT64_C(253402300799000)};
	uint32_t line = 0;
	struct rig rig;

	(void)state;
	while (helo.len < 255) {
		pst_bytes_print(&helo, "h");
		pst_bytes_print(&name, "n");
	}
	while (rcpt.len < 512)
		pst_bytes_print(&rcpt, "r");
	trace.hostname = pst_bytes_from(&name, 0);
	trace.rcpt = pst_bytes_from(&rcpt, 0);
	rig_init(&rig, 65536);
	look(&rig, "A: b\r\n");
	rig.facts.helo = pst_bytes_from(&helo, 0);
	assert_int_equal(pst_addr_parse(PST_SPAN("2001:db8:1111:2222:3333:4444:5555:6666"),
					&rig.facts.client),
			 0);
	assert_int_equal(pst_headers_write(&rig.message, &rig.facts, &trace), 0);
	for (uint32_t i = 0; i < rig.message.trace->len; i++) {
		line = rig.message.trace->data[i] == '\n' ? 0 : line + 1;
		assert_true(line <= 998 + 1);
	}
	rig_fini(&rig);
	pst_bytes_free(&helo);
	pst_bytes_free(&name);
	pst_bytes_free(&rcpt);
}

static void trace_without_memory(void **state)
{
	struct pst_trace trace = {.hostname = PST_SPAN("mx.example.org"), .id = "1-2"};
	struct rig rig;

	(void)state;
	rig_init(&rig, 65536);
	look(&rig, "A: b\r\n");
	pst_alloc_fail_at(&rig.alloc, 1, true);
	assert_int_equal(pst_headers_write(&rig.message, &rig.facts, &trace), -PST_E_NOMEM);
	rig_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(date_rows),
		cmocka_unit_test(dates_against_libc),
		cmocka_unit_test(date_needs_room),
		cmocka_unit_test(look_rows),
		cmocka_unit_test(look_unseen),
		cmocka_unit_test(trace_rows),
		cmocka_unit_test(trace_keywords),
		cmocka_unit_test(trace_longest),
		cmocka_unit_test(trace_without_memory),
	};

	return cmocka_run_group_tests_name("headers", tests, NULL, NULL);
}
