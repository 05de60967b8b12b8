/* Runs: which rules hit, how often, with what score; slices, budgets, two sets at a time. */
#include "support/check.h"
#include "support/rule_set.h"

#define MESSAGE                                                                                    \
	"Received: from a.example ([192.0.2.1]) by b.example; Thu, 26 Nov 2026 12:00:00 +0000\r\n" \
	"From: \"Some One\" <one@example.com>\r\n"                                                 \
	"To: <two@example.org>, <three@example.org>\r\n"                                           \
	"Subject: FREE free =?utf-8?Q?v=C3=ADagra?=\r\n"                                           \
	"X-Empty:\r\n"                                                                             \
	"Message-ID: <1@example.com>\r\n"

static const struct {
	const char *rules, *hits;
} ROWS[] = {
	{"header A Subject =~ /free/", "A | 1"},
	{"header A Subject =~ /^free/", "| 0"},
	{"header A Subject !~ /spam/", "A | 1"},
	{"header A exists:To\nheader B exists:to\nheader C exists:Cc\nheader D exists:X-Empty",
		"A B D | 3"},
	{"header A Cc =~ /none/ [if-unset: none]", "A | 1"},
	{"header A Subject =~ /none/ [if-unset: none]", "| 0"},
	/* a field that is not there is matched as the empty text */
	{"header A Cc =~ /^$/\nheader B Cc !~ /./", "A B | 2"},
	{"header A Subject =~ /free/i\ntflags A multiple", "A*2 | 2"},
	{"header A Subject =~ /free/i\ntflags A multiple maxhits=1", "A | 1"},
	{"header A Subject =~ /e/\ntflags A multiple maxhits=3\nmeta B A > 2\nmeta C A > 3",
		"A*2 | 2"},
	{"header A To:addr =~ /./\ntflags A multiple maxhits=5\nmeta B A >= 5", "A*5 B | 6"},
	{"header A Subject !~ /spam/\ntflags A multiple", "A | 1"},
	/* scores */
	{"header A exists:To\nscore A 2.5", "A | 2.5"},
	{"header A exists:To\nscore A 0.1 0.2 0.3 0.4", "A | 0.1"},
	{"header A exists:To\nscore A 1\nscore A (0.5)\nscore A (-0.2)", "A | 1.3"},
	{"header T_A exists:To\nheader __B exists:To\nmeta C __B", "T_A __B C | 1.01"},
	{"header A exists:To\ntflags A nice", "A | -1"},
	{"header A exists:To\ntflags A nice\nscore A 3", "A | 3"},
	{"score A 4\nheader A exists:To", "A | 4"},
	/* metas */
	{"header A exists:To\nmeta B A && !NONE\nmeta C !A\nmeta D B + A == 2", "A B D | 3"},
	{"meta A 3\nmeta B A == 3", "A*3 B | 2"},
	{"meta A 0 - 2\nmeta B A == 1", "A B | 2"},
	{"header A exists:To\nmeta B A / 2\nmeta C B == 0.5", "A B C | 3"},
	{"meta A B\nmeta B C\nmeta C D\nheader D exists:To", "D C B A | 4"},
	{"header A exists:To\nmeta B (A && !C) / (A - 1 - C + A - 1 + C)\nmeta C 0",
		"A | 1 limited 1, first B"},
	{"header A1 exists:To\nheader A2 exists:From\nmeta B rules_matching(A*) == 2",
		"A2 A1 B | 3"},
	{"meta A local_tests_only + 1 == 2", "A | 1"},
	/* a rule of the body does not count as 0 */
	{"body A /x/\nmeta B !A\nheader C exists:To", "C | 1"},
	/* functions */
	{"header A eval:check_for_missing_to_header()\nmeta B !A", "B | 1"},
	{"enlist_addrlist (L) *@example.com\nheader A eval:check_from_in_list('L')", "A | 1"},
	{"freemail_domains example.com\nheader A eval:check_freemail_header('From')", "A | 1"},
	{"freemail_domains example.com\nheader A eval:check_freemail_header('From', '^o.e@')",
		"A | 1"},
	{"freemail_domains example.com\nheader A eval:check_freemail_header('From', '^x')", "| 0"},
	{"header A eval:check_for_spf_fail()\nheader B exists:To", "B | 1"},
	/* order and shortcircuit */
	{"header A exists:To\nheader B exists:From\npriority B -5", "B A | 2"},
	{"header A exists:To\nheader B exists:From\nshortcircuit B spam", "B | 100"},
	{"header A exists:To\nheader B exists:From\nshortcircuit B ham", "B | -100"},
	{"header A exists:To\nheader B exists:From\nshortcircuit B on\npriority B -1", "B | 1"},
	{"header A exists:To\nheader B exists:Cc\nshortcircuit B spam", "A | 1"},
	/* tags */
	{"replace_tag F [Ff]\nreplace_rules A\nheader A Subject =~ /<F>ree v/", "A | 1"},
	{"replace_tag E e\nreplace_tag EE <E><E>\nreplace_inter I x?\nreplace_rules A B\n"
	 "header A Subject =~ /fr<inter I><EE> /\nheader B Subject =~ /fr<EE><E>/",
		"A | 1"},
	{"replace_tag E e\nreplace_post P {2}\nreplace_rules A\nheader A Subject =~ /<post P>fr<E> "
	 "/",
		"A | 1"},
	{"replace_tag E e\nreplace_pre P r\nreplace_rules A\nheader A Subject =~ /<pre P>f<E>e/",
		"A | 1"},
	{"replace_tag E (\nreplace_rules A\nheader A Subject =~ /(?:free|<E>)/", "A | 1"},
	{"replace_start {\nreplace_end }\nreplace_tag E e\nreplace_rules A\nheader A Subject =~ "
	 "/fr(?<x>ee)/",
		"A | 1"},
};

static void test_rows(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(ROWS); i++)
		for (uint32_t jit = 0; jit < 2; jit++) {
			struct pst_test_rules rules;
			const char *hits;

			pst_test_rules_begin(&rules, ROWS[i].rules);
			rules.conf.jit = jit;
			assert_int_equal(pst_test_rules_load(&rules), 0);
			hits = pst_test_rules_hits(&rules, MESSAGE, 100000);
			if (strcmp(hits, ROWS[i].hits))
				fail_msg("\"%s\": \"%s\" instead of \"%s\"\n%s", ROWS[i].rules,
					hits, ROWS[i].hits,
					rules.said.at ? (char *)rules.said.at : "");
			/* however small the slices */
			assert_string_equal(pst_test_rules_hits(&rules, MESSAGE, 1), ROWS[i].hits);
			pst_test_rules_end(&rules);
		}
}

/* Headers that lack nearly everything. */
static void test_poor_headers(void **state)
{
	static const char *const headers[] = {
		"", "\n", "Date: Thu, 26 Nov 2026 12:00:00 +0000\n", "Received:\n", "Received: x\nDate: y\n",
		"Received: from localhost (x [127.0.0.1]) by y\nDate: Thu, 26 Nov 2026 12:00:00 +0000\n",
		" folded\n", "no field\n", "From:\nTo:\nSubject:\n",
	};
	struct pst_test_rules rules;

	(void)state;
	pst_test_rules_begin(&rules,
		"header A eval:check_for_shifted_date('3', '6')\nheader B exists:X-None\n"
		"header C eval:check_freemail_from()\nheader D eval:check_outlook_message_id()\n"
		"header E X-Spam-Relays-External =~ /./\nheader F ToCc:addr =~ /./\n"
		"header G eval:subject_is_all_caps()\nheader H ALL:raw =~ /none/\n");
	assert_int_equal(pst_test_rules_load(&rules), 0);
	for (uint32_t i = 0; i < PST_COUNT(headers); i++) {
		uint8_t *copy = malloc(strlen(headers[i]) + 1);
		struct pst_rules_input input = {.header = {copy, (uint32_t)strlen(headers[i])}};

		assert_non_null(copy);
		memcpy(copy, headers[i], strlen(headers[i]));
		(void)pst_test_rules_hits_of(&rules, &input, 1000);
		free(copy);
	}
	pst_test_rules_end(&rules);
}

static void test_live_facts(void **state)
{
	static const char text[] = "header F eval:check_for_spf_fail()\ntflags F net\nheader P "
				   "eval:check_for_spf_pass()\n"
				   "header __Z eval:check_rbl('z', 'zen.example.')\nheader S "
				   "eval:check_rbl_sub('z', '127.0.0.2')\n"
				   "header R eval:check_rbl_sub('z', '^127\\.0\\.0\\.[2-9]$')\n"
				   "header N eval:check_rbl_sub('z', '127.0.0.4')\nheader O "
				   "eval:check_rbl('o', 'other.example')\n"
				   "header E X-Spam-Relays-External =~ /^\\[ ip=192\\.0\\.2\\.9 "
				   "rdns= helo=mail\\.example /\n"
				   "header W X-Spam-Client-OS =~ /^OS_WINDOWS .* 12 hops/\n"
				   "header X exists:X-Spam-Client-OS\n";
	struct pst_rules_rbl answers[2] = {{.zone = PST_SPAN("zen.example")}};
	struct pst_rules_peer peer = {
		.helo = PST_SPAN("mail.example"), .by = PST_SPAN("mx.example")};
	struct pst_rules_input input = {
		.header = PST_SPAN("Subject: a\r\n"),
		.peer = &peer,
		.spf_mail_from = PST_RULES_SPF_FAIL,
		.rbl = answers,
		.rbl_count = 1,
	};
	struct pst_test_rules rules;

	(void)state;
	assert_int_equal(pst_addr_parse(PST_SPAN("127.0.0.2"), &answers[0].answer), 0);
	assert_int_equal(pst_addr_parse(PST_SPAN("192.0.2.9"), &peer.client), 0);
	pst_test_rules_begin(&rules, text);
	rules.conf.score_set = 1;
	assert_int_equal(pst_test_rules_load(&rules), 0);
	assert_string_equal(pst_test_rules_hits_of(&rules, &input, 1000), "E F __Z S R | 4");
	input.local_only = true;
	assert_string_equal(pst_test_rules_hits_of(&rules, &input, 1000), "E | 1");
	peer.os = PST_SPAN("OS_WINDOWS Windows, 12 hops: 128 8192 8 1460 mss,nop,ws,nop,nop,sok df");
	assert_string_equal(pst_test_rules_hits_of(&rules, &input, 1000), "W X E | 3");
	/* A field of the message is not believed. */
	peer.os = PST_SPAN_NONE;
	input.header = PST_SPAN("Subject: a\r\nX-Spam-Client-OS: OS_WINDOWS x, 12 hops: \r\n");
	assert_string_equal(pst_test_rules_hits_of(&rules, &input, 1000), "E | 1");
	input.peer = NULL;
	assert_string_equal(pst_test_rules_hits_of(&rules, &input, 1000), "| 0");
	pst_test_rules_end(&rules);
}

/* A pattern without end costs its message the rule, nothing else. */
static void test_limited(void **state)
{
	struct pst_test_rules rules;
	char header[4200] = "Subject: ";

	(void)state;
	memset(header + 9, 'a', 4000);
	strcpy(header + 4009, "!\r\nTo: x\r\n");
	pst_test_rules_begin(&rules,
		"header A Subject =~ /^(a+)+$/\nheader B Subject =~ /(a|aa)+b/\n"
		"header C Subject =~ /a!/\nmeta D !A\nheader E Subject !~ /^(a+)+$/\n");
	for (uint32_t jit = 0; jit < 2; jit++) {
		const char *hits;

		rules.conf.jit = jit;
		if (jit) {
			pst_rules_set_unref(rules.set);
			pst_rules_load_close(rules.load);
			rules.set = NULL;
		}
		assert_int_equal(pst_test_rules_load(&rules), 0);
		hits = pst_test_rules_hits(&rules, header, 1000);
		assert_non_null(strstr(hits, "C D | 2 limited"));
		assert_non_null(strstr(hits, "first A"));
	}
	pst_test_rules_end(&rules);
}

/* The budget of a message ends it in good order. */
static void test_budget(void **state)
{
	struct pst_test_rules rules;
	struct pst_bytes text = {0};
	char header[4200] = "Subject: ";
	const char *hits;

	(void)state;
	memset(header + 9, 'a', 4000);
	strcpy(header + 4009, "!\r\n");
	pst_bytes_print(&text, "header A Subject =~ /!/\npriority A -1\n");
	for (uint32_t i = 0; i < 150; i++)
		pst_bytes_print(
			&text, "header B%u Subject =~ /^(a+)+[%u-%u]$/\n", i, i % 5, 5 + i % 5);
	pst_bytes_print(&text, "meta Z A\n");
	pst_test_rules_begin(&rules, (const char *)text.at);
	rules.conf.limits = (struct pst_rules_limits){1000, 1000, 64};
	assert_int_equal(pst_test_rules_load(&rules), 0);
	hits = pst_test_rules_hits(&rules, header, 1000);
	assert_string_equal(hits, "A | 1 limited 100, first B0 cut");
	pst_test_rules_end(&rules);
	pst_bytes_free(&text);
}

/* A reload makes another set; a run keeps the one it began with. */
static void test_reload(void **state)
{
	const struct pst_rules_input input = {.header = PST_SPAN(MESSAGE), .local_only = true};
	struct pst_test_rules old, new;
	struct pst_rules_run run;
	uint32_t size;
	void *area;

	(void)state;
	pst_test_rules_begin(&old, "header A exists:To\nmeta B A\n");
	assert_int_equal(pst_test_rules_load(&old), 0);
	size = pst_rules_run_bytes_max(old.set);
	area = malloc(size);
	assert_non_null(area);
	assert_int_equal(pst_rules_run_begin(&run, old.set, &input, area, size), 0);
	assert_int_equal(pst_rules_run_step(&run, 1), 1);
	pst_rules_set_unref(old.set);
	old.set = NULL;
	pst_rules_load_close(old.load);
	old.load = NULL;

	pst_test_rules_begin(&new, "header C exists:To\n");
	assert_int_equal(pst_test_rules_load(&new), 0);
	assert_string_equal(pst_test_rules_hits(&new, MESSAGE, 10), "C | 1");
	while (pst_rules_run_step(&run, 1) > 0)
		;
	assert_int_equal(run.hit_count, 2);
	assert_int_equal(run.score, 2000);
	assert_true(old.alloc.block_count > 0);
	pst_rules_run_end(&run);
	pst_test_rules_end(&old);
	pst_test_rules_end(&new);
	free(area);
}

static void test_small_area(void **state)
{
	const struct pst_rules_input input = {.header = PST_SPAN(MESSAGE), .local_only = true};
	struct pst_test_rules rules;
	struct pst_rules_run run;
	uint32_t size;

	(void)state;
	pst_test_rules_begin(&rules, "header A Subject =~ /free/\nheader B exists:To\nmeta C A\n");
	assert_int_equal(pst_test_rules_load(&rules), 0);
	size = pst_rules_run_bytes(rules.set, input.header.len);
	for (uint32_t less = 0; less < size; less += 97) {
		void *area = malloc(size - less);
		int status;

		assert_non_null(area);
		status = pst_rules_run_begin(&run, rules.set, &input, area, size - less);
		if (status == 0) {
			while (pst_rules_run_step(&run, 1000) > 0)
				;
			assert_true(run.hit_count <= 3);
			pst_rules_run_end(&run);
		} else {
			assert_int_equal(status, -PST_E_NOMEM);
		}
		free(area);
	}
	pst_test_rules_end(&rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_live_facts),
		cmocka_unit_test(test_poor_headers),
		cmocka_unit_test(test_limited),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_small_area),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
