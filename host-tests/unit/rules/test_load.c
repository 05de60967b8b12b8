/* Rule files: what is taken, what is said of the rest, what runs. */
#include "support/check.h"
#include "support/rule_set.h"

static void check_why(const struct pst_test_rules *rules, const char *name, int why)
{
	if (pst_test_rules_why(rules, name) != why)
		fail_msg("%s: %d instead of %d", name, pst_test_rules_why(rules, name), why);
}

static void check_said(const struct pst_test_rules *rules, const char *wanted)
{
	if (strcmp(rules->said.at ? (const char *)rules->said.at : "", wanted))
		fail_msg("said\n%s\nwanted\n%s", rules->said.at ? (const char *)rules->said.at : "",
			wanted);
}

#define ABSENT (-1)

/* One file each: is the rule X there, and what is said. */
static const struct {
	const char *text;
	int why;
	const char *said;
} LINES[] = {
	/* names */
	{"header X exists:To", PST_RULES_RUNS, ""},
	{"header 1X exists:To", ABSENT,
		"a.cf:1: 1X: the rule is left out: a name is up to 100 letters, digits and \"_\", "
		"without a "
		"digit in front\n"},
	{"header X", ABSENT, "a.cf:1: X: the rule is left out: there is nothing behind its name\n"},
	{"header X-Y exists:To", ABSENT,
		"a.cf:1: X-Y: the rule is left out: a name is up to 100 letters, digits and \"_\", "
		"without a "
		"digit in front\n"},
	/* comments and blanks */
	{"  header\tX \t exists:To \t # why\r\n", PST_RULES_RUNS, ""},
	{"# header X exists:To\n\n\n", ABSENT, ""},
	{"header X Subject =~ /\\#1/", PST_RULES_RUNS, ""},
	{"header X Subject =~ /#1/", ABSENT,
		"a.cf:1: X: the rule is left out: the pattern's closing delimiter is missing\n"},
	{"Header X exists:To", PST_RULES_RUNS, ""},
	/* targets */
	{"header X Subject=~/a/", PST_RULES_RUNS, ""},
	{"header X To:addr !~ /a/i", PST_RULES_RUNS, ""},
	{"header X From:addr:domain =~ /a/", PST_RULES_RUNS, ""},
	{"header X From: =~ /a/", PST_RULES_RUNS, ""},
	{"header X exists:From:", PST_RULES_RUNS, ""},
	{"header X exists:From:addr", ABSENT,
		"a.cf:1: X: the rule is left out: behind exists: stands the name of a header "
		"field\n"},
	{"header X From:adr =~ /a/", ABSENT,
		"a.cf:1: X: the rule is left out: unknown modifier; there are raw addr name host "
		"domain ip "
		"revip first last\n"},
	{"header X From:addr:domain:first =~ /a/", ABSENT,
		"a.cf:1: X: the rule is left out: write FIELD =~ /pattern/, exists:FIELD or "
		"eval:function()\n"},
	{"header X From ~ /a/", ABSENT,
		"a.cf:1: X: the rule is left out: write FIELD =~ /pattern/, exists:FIELD or "
		"eval:function()\n"},
	{"header X From =~ /a/ [if-unset: b c]", PST_RULES_RUNS, ""},
	{"header X From =~ /(a/", ABSENT,
		"a.cf:1: X: the rule is left out: missing closing parenthesis at byte 3\n"},
	/* functions */
	{"header X eval:check_for_missing_to_header()", PST_RULES_RUNS, ""},
	{"header X eval:check_for_shifted_date('3', '6')", PST_RULES_RUNS, ""},
	{"header X eval:check_for_shifted_date(3,6)", PST_RULES_RUNS, ""},
	{"header X eval:check_for_shifted_date('3', 6", ABSENT,
		"a.cf:1: X: the rule is left out: behind eval: stands function(arguments)\n"},
	{"header X eval:check_for_shifted_date('3')", PST_RULES_ARGUMENTS, ""},
	{"header X eval:check_for_shifted_date($a, 1)", PST_RULES_ARGUMENTS, ""},
	{"header X eval:no_such_thing()", PST_RULES_FUNCTION, ""},
	{"body X eval:check_for_missing_to_header()", PST_RULES_FUNCTION, ""},
	{"header X eval:check_rbl_sub('zen', '127.0.0.2')", PST_RULES_OFF, ""},
	{"tflags X net\nheader X eval:no_such_thing()", PST_RULES_OFF, ""},
	{"body X eval:check_bayes('0', '1')\ntflags X learn", PST_RULES_OFF, ""},
	/* rules over what is not looked at; their patterns must be right all the same */
	{"body X /a/i", PST_RULES_BODY, ""},
	{"rawbody X /a/", PST_RULES_BODY, ""},
	{"full X /a/", PST_RULES_BODY, ""},
	{"uri X m{^http}", PST_RULES_BODY, ""},
	{"body X /a[/", ABSENT,
		"a.cf:1: X: the rule is left out: missing terminating ] for character class at "
		"byte 3\n"},
	{"mimeheader X Content-Type:raw =~ /a/", PST_RULES_BODY, ""},
	{"mimeheader X Content-Type /a/", ABSENT,
		"a.cf:1: X: the rule is left out: write FIELD =~ /pattern/\n"},
	{"askdns X _SENDERDOMAIN_.example. A 127.0.0.2", PST_RULES_OFF, ""},
	{"uri_detail X text =~ /a/", PST_RULES_BODY, ""},
	{"reuse X", PST_RULES_NOTHING, ""},
	{"header X exists:To\nreuse X", PST_RULES_RUNS, ""},
	{"header X Subject =~ /a%{TAG}b/", PST_RULES_CAPTURED, ""},
	{"header X Subject =~ /(?<TAG>a)/", PST_RULES_RUNS, ""},
	/* metas */
	{"meta X Y && Z", PST_RULES_RUNS, ""},
	{"meta X Y Z", ABSENT,
		"a.cf:1: X: the rule is left out: an operator is missing between two names\n"},
	{"meta X 1 / Y", ABSENT, "a.cf:1: X: the rule is left out: it divides by zero\n"},
	{"meta X Y && 1 / Y", PST_RULES_RUNS, ""},
	{"body Y /a/\nmeta X !Y", PST_RULES_OVER, ""},
	{"body Y /a/\nmeta Z Y\nmeta X Z || 1", PST_RULES_OVER, ""},
	{"meta X Y\nmeta Y X", PST_RULES_CYCLE,
		"a.cf:1: X: the rule is switched off: it depends on itself, or on one that does\n"
		"a.cf:2: Y: the rule is switched off: it depends on itself, or on one that does\n"},
	{"meta X X", PST_RULES_CYCLE,
		"a.cf:1: X: the rule is switched off: it depends on itself, or on one that does\n"},
	{"meta Y Z\nmeta Z Y\nmeta X Y && 0", PST_RULES_CYCLE,
		"a.cf:1: Y: the rule is switched off: it depends on itself, or on one that does\n"
		"a.cf:2: Z: the rule is switched off: it depends on itself, or on one that does\n"
		"a.cf:3: X: the rule is switched off: it depends on itself, or on one that does\n"},
	{"meta X rules_matching(__Y*)\nbody __Y1 /a/", PST_RULES_OVER, ""},
	{"meta X rules_matching(__y*)\nbody __Y1 /a/", PST_RULES_RUNS, ""},
	/* a wrong line leaves the one before it */
	{"header X exists:To\nheader X Subject =~ /(/", PST_RULES_RUNS,
		"a.cf:2: X: the rule is left out: missing closing parenthesis at byte 2\n"},
	{"body X /a/\nheader X exists:To", PST_RULES_RUNS, ""},
	{"header X exists:To\nbody X /a/", PST_RULES_BODY, ""},
	/* languages */
	{"lang de header X exists:To", ABSENT, ""},
	{"lang en header X exists:To", PST_RULES_RUNS, ""},
	/* conditions */
	{"if (version >= 3.004000)\nheader X exists:To\nendif", PST_RULES_RUNS, ""},
	{"if (version > 4.000001)\nheader X exists:To\nendif", ABSENT, ""},
	{"if version == 4.000001 && !(version < 3)\nheader X exists:To\nendif", PST_RULES_RUNS, ""},
	{"if perl_version >= 5.010000\nheader X exists:To\nendif", PST_RULES_RUNS, ""},
	{"if local_tests_only\nheader X exists:To\nendif", PST_RULES_RUNS, ""},
	{"ifplugin Mail::SpamAssassin::Plugin::NoSuch\nheader X exists:To\nendif", ABSENT, ""},
	{"ifplugin Mail::SpamAssassin::Plugin::NoSuch\nelse\nheader X exists:To\nendif",
		PST_RULES_RUNS, ""},
	{"ifplugin Mail::SpamAssassin::Plugin::HeaderEval\nheader X exists:To\nelse\nmeta X "
	 "0\nendif",
		PST_RULES_RUNS, ""},
	{"if !plugin(Mail::SpamAssassin::Plugin::MIMEHeader)\nmeta X 0\nendif", ABSENT, ""},
	{"if plugin(NoSuch)\nif (version > 3)\nheader X exists:To\nelse\nheader X "
	 "exists:To\nendif\nendif",
		ABSENT, ""},
	{"if can(Mail::SpamAssassin::Conf::feature_bug6558_free)\nheader X exists:To\nendif",
		PST_RULES_RUNS, ""},
	{"if can(Mail::SpamAssassin::Conf::no_such)\nheader X exists:To\nendif", ABSENT, ""},
	{"if has(Mail::SpamAssassin::Plugin::SPF::has_check_for_spf_errors)\nheader X "
	 "exists:To\nendif",
		PST_RULES_RUNS, ""},
	{"if nonsense(3)\nheader X exists:To\nendif", ABSENT,
		"a.cf:1: if: not a condition; it is taken as false\n"},
	{"if 1 +\nheader X exists:To\nendif", ABSENT,
		"a.cf:1: if: a value is missing at the end; it is taken as false\n"},
	{"if (version > 3)\nheader X exists:To", PST_RULES_RUNS,
		"a.cf:2: the if of line 1 is never closed; it ends with the file\n"},
	{"endif\nheader X exists:To", PST_RULES_RUNS, "a.cf:1: endif without an if\n"},
	{"else\nheader X exists:To", PST_RULES_RUNS, "a.cf:1: else without an if\n"},
	{"if (1 > 0)\nendif # of that\nheader X exists:To", PST_RULES_RUNS, ""},
	{"if (1 > 0)\nendif that\nheader X exists:To\nendif", PST_RULES_RUNS,
		"a.cf:2: endif must stand alone on its line\n"},
	{"require_version 4.000001\nheader X exists:To", PST_RULES_RUNS, ""},
	{"require_version 3.004\nheader X exists:To", ABSENT,
		"a.cf:1: the file is for version 3.004, this understands 4.000001; its rest is "
		"skipped\n"},
	{"require_version @@VERSION@@\nheader X exists:To", PST_RULES_RUNS, ""},
	/* scores and their like */
	{"header X exists:To\nscore X 1 2 3", PST_RULES_RUNS,
		"a.cf:2: X: malformed; write score NAME and one number, or four\n"},
	{"header X exists:To\nscore X +1", PST_RULES_RUNS,
		"a.cf:2: X: malformed; write score NAME and one number, or four\n"},
	{"header X exists:To\nscore X (1)", PST_RULES_RUNS,
		"a.cf:2: X: a relative score, but no score was given before\n"},
	{"header X exists:To\npriority X high", PST_RULES_RUNS,
		"a.cf:2: X: malformed; write priority NAME and a whole number\n"},
	{"header X exists:To\nshortcircuit X maybe", PST_RULES_RUNS,
		"a.cf:2: X: malformed; write shortcircuit NAME on, off, spam or ham\n"},
	{"header X exists:To\ndescribe X", PST_RULES_RUNS,
		"a.cf:2: X: malformed; write describe NAME and a text\n"},
	{"header X exists:To\nreport_safe 1\nbayes_auto_learn 0\nadd_header all A b",
		PST_RULES_RUNS, ""},
	{"header X exists:To\nheadre Y exists:To", PST_RULES_RUNS,
		"a.cf:2: unknown directive \"headre\"\n"},
	{"header X exists:To\nwelcomelist_from", PST_RULES_RUNS,
		"a.cf:2: welcomelist_from: words are missing or malformed\n"},
	{"header X exists:To\nwhitelist_from *@example.com\nfreemail-domains a.example",
		PST_RULES_RUNS, ""},
};

static void test_lines(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(LINES); i++) {
		struct pst_test_rules rules;

		pst_test_rules_begin(&rules, LINES[i].text);
		assert_int_equal(pst_test_rules_load(&rules), 0);
		if (pst_test_rules_why(&rules, "X") != LINES[i].why)
			fail_msg("\"%s\": %d instead of %d", LINES[i].text,
				pst_test_rules_why(&rules, "X"), LINES[i].why);
		check_said(&rules, LINES[i].said);
		pst_test_rules_end(&rules);
	}
}

static void test_long_name(void **state)
{
	char text[256];
	struct pst_test_rules rules;

	(void)state;
	for (uint32_t len = 100; len <= 101; len++) {
		snprintf(text, sizeof(text), "header %0*d exists:To\n", (int)len, 0);
		memset(text + 7, 'A', len);
		pst_test_rules_begin(&rules, text);
		assert_int_equal(pst_test_rules_load(&rules), 0);
		assert_int_equal(pst_rules_load_warning_count(rules.load), len == 100);
		assert_int_equal(pst_rules_load_error_count(rules.load), len == 101);
		pst_test_rules_end(&rules);
	}
}

/* A line beyond the bound is named and skipped; what is around it counts. */
static void test_long_line(void **state)
{
	const uint32_t len = PST_RULES_LINE_BYTES_MAX + 1;
	char *text = malloc(len + 100);
	struct pst_test_rules rules;

	(void)state;
	assert_non_null(text);
	memcpy(text, "header A exists:To\nmeta B ", 26);
	memset(text + 26, '(', len - 7);
	strcpy(text + 19 + len, "\nheader C exists:To\n");
	pst_test_rules_begin(&rules, text);
	assert_int_equal(pst_test_rules_load(&rules), 0);
	check_said(
		&rules, "a.cf:2: the line has 262145 bytes, 262144 are the most; it is skipped\n");
	check_why(&rules, "A", PST_RULES_RUNS);
	check_why(&rules, "B", ABSENT);
	check_why(&rules, "C", PST_RULES_RUNS);
	pst_test_rules_end(&rules);
	free(text);
}

static void test_include(void **state)
{
	struct pst_test_rules rules;

	(void)state;
	pst_test_rules_begin(&rules, "include sub/b.cf\nheader A exists:To\ninclude none.cf\n");
	rules.files[0].name = "dir/a.cf";
	rules.files[1].name = "dir/sub/b.cf";
	rules.files[1].text = pst_span_text("if (1 > 2)\nheader B exists:To\nelse\ninclude c.cf\n");
	rules.files[1].included = true;
	rules.files[2].name = "dir/sub/c.cf";
	rules.files[2].text = pst_span_text("header C exists:To\nbad line\n");
	rules.files[2].included = true;
	rules.files[3].name = "dir/z.cf";
	rules.files[3].text = pst_span_text("# UPDATE version 1883500\nheader Z exists:To");
	assert_int_equal(pst_test_rules_load(&rules), 0);
	check_said(&rules,
		"dir/sub/c.cf:2: unknown directive \"bad\"\n"
		"dir/sub/b.cf:4: the if of line 1 is never closed; it ends with the file\n"
		"dir/a.cf:3: include none.cf: not found\n");
	check_why(&rules, "A", PST_RULES_RUNS);
	check_why(&rules, "B", ABSENT);
	check_why(&rules, "C", PST_RULES_RUNS);
	check_why(&rules, "Z", PST_RULES_RUNS);
	pst_test_rules_end(&rules);

	pst_test_rules_begin(&rules, "include a.cf\nheader A exists:To\n");
	assert_int_equal(pst_test_rules_load(&rules), 0);
	check_said(&rules, "a.cf:1: too many files, or more than 8 includes in each other\n");
	check_why(&rules, "A", PST_RULES_RUNS);
	pst_test_rules_end(&rules);
}

static void test_no_files(void **state)
{
	struct pst_test_rules rules;

	(void)state;
	pst_test_rules_begin(&rules, "");
	rules.files[0].included = true;
	assert_int_equal(pst_test_rules_load(&rules), -PST_E_NOENT);
	assert_null(rules.set);
	check_said(&rules, "folder:0: not found\n");
	pst_test_rules_end(&rules);
}

/* What is not needed is not kept, unless all is wanted. */
static void test_needed(void **state)
{
	static const char text[] =
		"header __A exists:To\nheader __B exists:Cc\nheader C exists:Date\n"
		"header D exists:From\nmeta E __A && D\nscore D 0\nmeta F __B\n"
		"score F 0\nmeta G F || 1\nmeta H D || 1\nheader T_I exists:To\n";
	struct pst_rules_set_info info;
	struct pst_test_rules rules;

	(void)state;
	pst_test_rules_begin(&rules, text);
	rules.conf.keep_all = false;
	assert_int_equal(pst_test_rules_load(&rules), 0);
	check_why(&rules, "__A", PST_RULES_RUNS);
	check_why(&rules, "__B", PST_RULES_NOT_NEEDED);
	check_why(&rules, "D", PST_RULES_SCORE_ZERO);
	check_why(&rules, "F", PST_RULES_SCORE_ZERO);
	/* SpamAssassin waits for F in vain */
	check_why(&rules, "G", PST_RULES_SCORE_ZERO);
	check_why(&rules, "H", PST_RULES_RUNS);
	pst_rules_set_info(rules.set, &info);
	assert_int_equal(info.header_count, 3);
	assert_int_equal(info.meta_count, 2);
	assert_int_equal(info.scored_count, 4);
	pst_test_rules_end(&rules);

	pst_test_rules_begin(&rules, text);
	assert_int_equal(pst_test_rules_load(&rules), 0);
	pst_rules_set_info(rules.set, &info);
	assert_int_equal(info.rule_count, 9);
	pst_test_rules_end(&rules);
}

static const char MANY_FORMS[] =
	"replace_tag V (?:v|\\\\/)\nreplace_rules A\nheader A Subject =~ /<V>iagra/i\n"
	"header B From:addr =~ /x/ [if-unset: y]\nheader C eval:check_from_in_list('L')\n"
	"enlist_addrlist (L) *@example.com\nmeta D A + B > C\ndescribe D text\nscore D 1 2 3 4\n"
	"if (version > 3)\ninclude a.cf\nendif\nwelcomelist_from a@example.com\n";

/* Whichever request for memory fails, nothing is lost and the answer says so. */
static void test_no_memory(void **state)
{
	(void)state;
	for (uint64_t n = 1;; n++) {
		struct pst_test_rules rules;
		int status;

		pst_test_rules_begin(&rules, MANY_FORMS);
		pst_alloc_fail_at(&rules.alloc, n, false);
		status = pst_test_rules_load(&rules);
		pst_test_rules_end(&rules);
		if (rules.alloc.failed_count == 0) {
			assert_int_equal(status, 0);
			break;
		}
		/* machine code and messages may do without */
		assert_true(status == -PST_E_NOMEM || status == 0);
	}
}

/* However small the slices, the set is the same; a load may end at any of them. */
static void test_slices(void **state)
{
	struct pst_test_rules rules;
	uint32_t steps;

	(void)state;
	pst_test_rules_begin(&rules, MANY_FORMS);
	rules.work = 1;
	assert_int_equal(pst_test_rules_load(&rules), 0);
	steps = rules.step_count;
	assert_true(steps > 20);
	check_why(&rules, "D", PST_RULES_RUNS);
	pst_test_rules_end(&rules);
	for (uint32_t last = 0; last < steps; last++) {
		pst_test_rules_begin(&rules, MANY_FORMS);
		assert_int_equal(pst_rules_load_open(&rules.alloc.mem, &rules.conf, &rules.reader,
					 &rules.report, PST_SPAN("folder"), &rules.load),
			0);
		for (uint32_t i = 0; i < last; i++)
			assert_int_equal(pst_rules_load_step(rules.load, 1), 1);
		pst_test_rules_end(&rules);
	}
}

/* What a set says it occupies is what it took. */
static void test_bytes(void **state)
{
	struct pst_rules_set_info info;
	struct pst_test_rules rules;

	(void)state;
	pst_test_rules_begin(&rules, MANY_FORMS);
	assert_int_equal(pst_test_rules_load(&rules), 0);
	pst_rules_load_close(rules.load);
	rules.load = NULL;
	pst_rules_set_info(rules.set, &info);
	assert_int_equal(info.bytes, rules.alloc.byte_count);
	assert_int_equal(info.jit_bytes, 0);
	pst_test_rules_end(&rules);
}

static void test_scores_facts(void **state)
{
	struct pst_test_rules rules;

	(void)state;
	pst_test_rules_begin(&rules,
		"header SPF_FAIL eval:check_for_spf_fail()\nscore SPF_FAIL 0 2 0 2\n"
		"header SPF_PASS eval:check_for_spf_pass()\nscore SPF_PASS 0\n"
		"header __Z eval:check_rbl('zen', 'Zen.Example.')\ntflags __Z net\n"
		"header Z2 eval:check_rbl_sub('zen', '127.0.0.2')\ntflags Z2 net\n"
		"header Y eval:check_rbl_sub('other', '127.0.0.2')\ntflags Y net\n");
	rules.conf.score_set = 1;
	rules.conf.keep_all = false;
	assert_int_equal(pst_test_rules_load(&rules), 0);
	assert_true(pst_rules_set_scores_spf(rules.set, false, PST_RULES_SPF_FAIL));
	assert_false(pst_rules_set_scores_spf(rules.set, true, PST_RULES_SPF_FAIL));
	assert_false(pst_rules_set_scores_spf(rules.set, false, PST_RULES_SPF_PASS));
	assert_false(pst_rules_set_scores_spf(rules.set, false, PST_RULES_SPF_UNKNOWN));
	assert_true(pst_rules_set_scores_zone(rules.set, PST_SPAN("zen.example")));
	assert_false(pst_rules_set_scores_zone(rules.set, PST_SPAN("other")));
	check_why(&rules, "Y", PST_RULES_ZONE);
	pst_test_rules_end(&rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_include),
		cmocka_unit_test(test_no_files),
		cmocka_unit_test(test_needed),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_scores_facts),
		cmocka_unit_test(test_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
