/* test_received.c - Received fields as mail software writes them: which name is whose */
#include "support/check.h"

#include <string.h>

#include "mail/received.h"

#define HOP PST_MAIL_RECEIVED_HOP
#define SKIP PST_MAIL_RECEIVED_SKIP
#define FETCHER PST_MAIL_RECEIVED_FETCHER
#define UNKNOWN PST_MAIL_RECEIVED_UNKNOWN

static const struct {
	const char *value;
	enum pst_mail_received_kind kind;
	const char *seen; /* ip rdns helo by id ident auth envfrom, "-" for none */
} rows[] = {
	/* both names */
	{"from said.example (found.example [192.0.2.1])\r\n\tby mx.example (Postfix) with ESMTPS id A1B2\r\n"
	 "\tfor <u@example>; Tue, 3 Sep 2002 22:32:43 +0100 (IST)",
	 HOP, "192.0.2.1 found.example said.example mx.example A1B2 - - -"},
	{"from said.example (unknown [192.0.2.1]) by mx.example (Postfix) with ESMTP id A1B2; now",
	 HOP, "192.0.2.1 - said.example mx.example A1B2 - - -"},
	{"from said.example (found.example [IPv6:2001:db8::1]) by mx.example with ESMTPSA id A1B2; now",
	 HOP, "2001:db8::1 found.example said.example mx.example A1B2 - ESMTPSA -"},
	{"from said.example (someone@found.example [192.0.2.1] (may be forged)) by mx.example (8.12/8.12) "
	 "with SMTP id g7; now", HOP, "192.0.2.1 found.example said.example mx.example - someone - -"},
	/* said apart from found */
	{"from found.example ([192.0.2.1] helo=said.example) by mx.example with esmtp (Exim 4.96) "
	 "id 1a-2b-3c; now", HOP, "192.0.2.1 found.example said.example mx.example 1a-2b-3c - - -"},
	{"from found.example ([192.0.2.1]) by mx.example with esmtp (Exim 4.96) id 1a-2b-3c; now",
	 HOP, "192.0.2.1 found.example found.example mx.example 1a-2b-3c - - -"},
	{"from found.example (HELO said.example) (192.0.2.1) by mx.example with SMTP; now",
	 HOP, "192.0.2.1 found.example said.example mx.example - - - -"},
	{"from unknown (HELO said.example) (192.0.2.1) by mx.example with SMTP; now",
	 HOP, "192.0.2.1 - said.example mx.example - - - -"},
	{"from here.example ([192.0.2.1]:4711 \"EHLO said.example\" flags) by mx.example with ESMTP id S17; now",
	 HOP, "192.0.2.1 - said.example mx.example S17 - - -"},
	/* one name only */
	{"from said.example ([192.0.2.1]) by mx.example (8.12/8.12) with ESMTP id g712; now",
	 HOP, "192.0.2.1 - said.example mx.example g712 - - -"},
	{"from [192.0.2.9] (found.example [192.0.2.1]) by mx.example with ESMTP id g712; now",
	 HOP, "192.0.2.1 found.example !192.0.2.9! mx.example g712 - - -"},
	{"from [192.0.2.1] by mx.example via HTTP; now", HOP, "192.0.2.1 - - mx.example - - - -"},
	{"from said.example ([::ffff:192.0.2.1]) (AUTH: PLAIN user) by mx.example with esmtp; now",
	 HOP, "192.0.2.1 - said.example mx.example - - PLAIN -"},
	{"from said.example (found.example [192.0.2.1]) (Authenticated sender: user) by mx.example "
	 "(Postfix) with ESMTP id A1B2; now",
	 HOP, "192.0.2.1 found.example said.example mx.example A1B2 - Postfix -"},
	{"from said.example (found.example [192.0.2.1]) by mx.example (envelope-from <a@b.example>) id A1B2",
	 HOP, "192.0.2.1 found.example said.example mx.example A1B2 - - a@b.example"},
	/* no hop over a network */
	{"by mx.example (Postfix, from userid 0) id A1B2; now", SKIP, NULL},
	{"(qmail 123 invoked by uid 0); now", SKIP, NULL},
	{"from user by mx.example with local (Exim 4.96) id 1a-2b-3c; now", SKIP, NULL},
	{"from mail pickup service by mx.example with Microsoft SMTPSVC; now", SKIP, NULL},
	{"from pop.example [192.0.2.1] by here.example with POP3 (fetchmail-6.4) for u; now", FETCHER, NULL},
	/* nobody knows */
	{"from nonsense", UNKNOWN, NULL},
	{"from a b c by mx.example; now", UNKNOWN, NULL},
	{"from x (y [192.0.2.1])", UNKNOWN, NULL},
	{"", SKIP, NULL},
	{"from (((((", UNKNOWN, NULL},
};

static void put(char *out, size_t size, struct pst_span text)
{
	size_t len = strlen(out);

	snprintf(out + len, size - len, "%s%.*s", len ? " " : "", text.len ? (int)text.len : 1,
		 text.len ? (const char *)text.at : "-");
}

static void reads(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_span value = pst_span_text(rows[i].value);
		struct pst_mail_received hop;
		uint8_t area[4096];
		char seen[512] = "";
		struct pst_buf work;
		int kind;

		pst_buf_init(&work, area, sizeof(area));
		kind = pst_mail_received_parse(value, &work, &hop);
		if (kind != (int)rows[i].kind)
			fail_msg("row %u: kind %d: %s", i, kind, rows[i].value);
		if (kind != HOP)
			continue;
		put(seen, sizeof(seen), hop.ip);
		put(seen, sizeof(seen), hop.rdns);
		put(seen, sizeof(seen), hop.helo);
		put(seen, sizeof(seen), hop.by);
		put(seen, sizeof(seen), hop.id);
		put(seen, sizeof(seen), hop.ident);
		put(seen, sizeof(seen), hop.auth);
		put(seen, sizeof(seen), hop.envfrom);
		if (strcmp(seen, rows[i].seen))
			fail_msg("row %u: %s, want %s", i, seen, rows[i].seen);
	}
}

static void too_little_room(void **state)
{
	struct pst_mail_received hop;
	uint8_t area[64];
	struct pst_buf work;

	(void)state;
	pst_buf_init(&work, area, sizeof(area));
	assert_int_equal(pst_mail_received_parse(PST_SPAN("from a.example by b.example; now"), &work,
						 &hop),
			 -PST_E_FULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),
		cmocka_unit_test(too_little_room),
	};

	return cmocka_run_group_tests_name("received", tests, NULL, NULL);
}
