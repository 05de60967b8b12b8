/* Patterns: delimiters, what Perl refuses, what is matched, and what a limit stops. */
#include <time.h>

#include "rules/rules_pcre2.h"
#include "support/alloc_fail.h"
#include "support/check.h"

static struct pst_alloc_fail alloc;
static struct pst_rules_engine *engine;

static void open_engine(bool jit)
{
	const struct pst_rules_limits limits = PST_RULES_LIMITS_DEFAULT;

	pst_alloc_fail_init(&alloc);
	assert_int_equal(pst_rules_engine_open(&alloc.mem, &limits, jit, &engine), 0);
}

static void close_engine(void)
{
	pst_rules_engine_close(engine);
	assert_int_equal(alloc.block_count, 0);
}

static int compile(const char *text, struct pst_rules_regex **regex)
{
	struct pst_rules_pattern pattern;
	const char *why = NULL;
	int status = pst_rules_pattern_parse(pst_span_text(text), true, &pattern, &why);

	if (status) {
		assert_non_null(why);
		return status;
	}
	return pst_rules_regex_compile(engine, &pattern, regex, NULL);
}

static void test_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"abc",
		"/abc",
		"m",
		"mabca",
		"m\\a\\",
		"qr",
		"/a/e",
		"/a/g",
		"/a/iq",
		"/a/aaa",
		"/a/ul",
		"/a/b/",
		"m,a,b,",
		"m<a>b>",
		"/(a/",
		"/a)/",
		"/[a/",
		"/*a/",
		"/a**/",
		"/a{2}{3}/",
		"/a+++/",
		"/a??*/",
		"/a\\Qb/",
		"/a\\Eb/",
		"/(?{1})/",
		"/(??{1})/",
		"/(?C1)a/",
		"/(*UTF)a/",
		"/(*UCP)a/",
		"/(*NO_JIT)a/",
		"/\\C/",
		"/a{b/",
		"/\\d{3\\,}/",
		"/(ab){x}/",
		"/[a]{,}/",
		"/a{2}?/",
		"/a{2,2}?/",
		"/\\c(/",
		"/\\y/",
		"/(?z)a/",
		"/a\\/",
		"/\\1/",
		"/(?<=a*)b/",
	};

	(void)state;
	open_engine(false);
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_rules_regex *regex;

		if (compile(rows[i], &regex) != -PST_E_SYNTAX)
			fail_msg("%s is taken", rows[i]);
	}
	close_engine();
}

static void test_matches(bool jit)
{
	static const struct {
		const char *pattern, *subject;
		int ret;
	} rows[] = {
		{"/free/", "is free\n", 1},
		{"/FREE/", "is free\n", 0},
		{"/FREE/i", "is free\n", 1},
		{"m{https?://}i", "HTTP://x", 1},
		{"m|a\\|b|", "a|b", 1},
		{"qr(a(b)c)", "abc", 1},
		{"m<a\\>b>", "a>b", 1},
		{"m!win!i", "WIN", 1},
		{"/a\\/b/", "a/b", 1},
		{"/^b/", "a\nb", 0},
		{"/^b/m", "a\nb", 1},
		{"/a.b/", "a\nb", 0},
		{"/a.b/s", "a\nb", 1},
		{"/a b/x", "ab", 1},
		{"/a [ x ]b/xx", "a b", 0},
		{"/a [ x ]b/xx", "axb", 1},
		{"/a$/", "a\n", 1},
		{"/a\\z/", "a\n", 0},
		{"/^\\s*$/", "", 1},
		{"/\\w/a", "\xe9", 0},
		{"/\\w/aa", "\xe9", 0},
		/* letters of Latin-1 fold, as under Perl's /a */
		{"/\xe9/i", "\xc9", 1},
		{"/[\xe0-\xe9]/i", "\xc9", 1},
		{"/\xd7/i", "\xf7", 0},
		{"/\\xe9/i", "\xc9", 1},
		{"/[\\x80-\\xff]/", "\xc3", 1},
		{"/\\xc3\\xa9/", "\xc3\xa9", 1},
		{"/(\\w)\\1/", "boot", 1},
		{"/(?<!a)b(?=c)/", "abbc", 1},
		{"/(?>a+)ab/", "aaab", 0},
		{"/\\d++1/", "111", 0},
		{"/[[:upper:]]{3}/", "xABC", 1},
		{"/^{a}$/", "{a}", 1},
		{"/(?:{|x)y/", "{y", 1},
		{"/a+{/", "aa{", 1},
		{"/(?i:re): (?-i:[a-z])/", "RE: a", 1},
		{"/a{1,2}?/", "aa", 1},
		{"/(?<n>a)(?<n>b)/", "ab", 1},
		{"/\\122/", "R", 1},
		{"/(?<TAG>a)/", "a", 1},
		{"/(?#comment)a/", "a", 1},
		{"/a\\x00b/", "a", 0},
	};

	open_engine(jit);
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_rules_regex *regex;

		if (compile(rows[i].pattern, &regex))
			fail_msg("%s is refused", rows[i].pattern);
		pst_rules_regex_speed_up(engine, regex);
		if (pst_rules_regex_match(engine, regex, pst_span_text(rows[i].subject), NULL) !=
			rows[i].ret)
			fail_msg("%s against \"%s\"", rows[i].pattern, rows[i].subject);
		pst_rules_regex_free(engine, regex);
	}
	close_engine();
}

static void test_matches_interpreted(void **state)
{
	(void)state;
	test_matches(false);
}

static void test_matches_compiled(void **state)
{
	(void)state;
	test_matches(true);
}

/* The number of matches, one behind the other. */
static void test_many(void **state)
{
	static const struct {
		const char *pattern, *subject;
		uint32_t count;
	} rows[] = {
		{"/a/", "banana", 3},
		{"/x*/", "ab", 3},
		{"/^/m", "a\nb\nc", 3},
		{"/\\b/", "ab cd", 4},
		{"/a|(?=b)/", "aab", 3},
		{"/aa/", "aaaa", 2},
		{"/$/", "a\n", 2},
	};

	(void)state;
	open_engine(true);
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_rules_regex *regex;
		uint32_t from = 0, count = 0;

		assert_int_equal(compile(rows[i].pattern, &regex), 0);
		while (pst_rules_regex_match(engine, regex, pst_span_text(rows[i].subject), &from) >
			0)
			count++;
		if (count != rows[i].count)
			fail_msg("%s matches \"%s\" %u times", rows[i].pattern, rows[i].subject,
				count);
		pst_rules_regex_free(engine, regex);
	}
	close_engine();
}

static uint64_t cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Patterns that would run for years. The limits are those of a slow board, so much time is allowed
 * on a loaded machine under sanitizers. */
static void test_limits(bool jit)
{
	static const char *const patterns[] = {
		"/(a+)+$/",
		"/^(a|aa)+$/",
		"/(?:a*)*b$/",
		"/(a|a)*c$/",
		"/^(?:(?:a+)+)+\\d/",
		"/(?=(a+)+b)(?=(a+)+c)(?=(a+)+d)x/",
		"/(?:(?:(?:a*)*)*)*c$/",
		"/(.*)(.*)(.*)(.*)(.*)[^a!]$/",
		"/(?:a?){30}a{30}c/",
		"/(\\w+\\s?)+:$/",
	};
	char subject[4096];

	memset(subject, 'a', sizeof(subject));
	subject[4094] = '!';
	open_engine(jit);
	for (uint32_t i = 0; i < PST_COUNT(patterns); i++) {
		uint64_t before = cpu_ms();
		struct pst_rules_regex *regex;
		int found;

		assert_int_equal(compile(patterns[i], &regex), 0);
		pst_rules_regex_speed_up(engine, regex);
		found = pst_rules_regex_match(
			engine, regex, (struct pst_span){(uint8_t *)subject, 4095}, NULL);
		if (found == 1)
			fail_msg("%s is found", patterns[i]);
		if (cpu_ms() - before > 200)
			fail_msg("%s took %u ms", patterns[i], (unsigned)(cpu_ms() - before));
		pst_rules_regex_free(engine, regex);
	}
	assert_in_range(alloc.byte_peak, 0, 1024 * 1024);
	close_engine();
}

static void test_limits_interpreted(void **state)
{
	(void)state;
	test_limits(false);
}

static void test_limits_compiled(void **state)
{
	(void)state;
	test_limits(true);
}

static void test_subject_is_cut(void **state)
{
	const uint32_t size = PST_RULES_SUBJECT_BYTES_MAX + 10;
	uint8_t *subject = malloc(size);
	struct pst_rules_regex *regex;

	(void)state;
	assert_non_null(subject);
	memset(subject, '.', size);
	subject[PST_RULES_SUBJECT_BYTES_MAX] = 'x';
	open_engine(true);
	assert_int_equal(compile("/x/", &regex), 0);
	assert_int_equal(
		pst_rules_regex_match(engine, regex, (struct pst_span){subject, size}, NULL), 0);
	subject[PST_RULES_SUBJECT_BYTES_MAX - 1] = 'x';
	assert_int_equal(
		pst_rules_regex_match(engine, regex, (struct pst_span){subject, size}, NULL), 1);
	pst_rules_regex_free(engine, regex);
	close_engine();
	free(subject);
}

static void test_no_memory(void **state)
{
	const struct pst_rules_limits limits = PST_RULES_LIMITS_DEFAULT;
	struct pst_rules_regex *regex;
	int status;

	(void)state;
	for (uint64_t n = 1;; n++) {
		pst_alloc_fail_init(&alloc);
		pst_alloc_fail_at(&alloc, n, true);
		status = pst_rules_engine_open(&alloc.mem, &limits, true, &engine);
		if (status == 0) {
			status = compile("/a(b|c)*d/", &regex);
			if (status == 0) {
				pst_rules_regex_speed_up(engine, regex);
				pst_rules_regex_free(engine, regex);
			}
			pst_rules_engine_close(engine);
		}
		assert_int_equal(alloc.block_count, 0);
		if (status == 0)
			break;
		assert_int_equal(status, -PST_E_NOMEM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_matches_interpreted),
		cmocka_unit_test(test_matches_compiled),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_limits_interpreted),
		cmocka_unit_test(test_limits_compiled),
		cmocka_unit_test(test_subject_is_cut),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
