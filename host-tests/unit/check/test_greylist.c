/* test_greylist.c - whom greylisting concerns, under which name, and what an entry says: tables */
#include "support/check.h"

#include "check/greylist.h"

static const struct pst_greylist_conf conf = {
	.on = true,
	.from = PST_SCORE(2),
	.delay_ms = 120000,
	.window_ms = 48 * 3600000,
	.pass_ms = 36u * 86400000u,
};

static void whom_it_concerns(void **state)
{
	static const struct {
		const char *what;
		bool off;
		struct pst_greylist_case known;
		bool concerned;
	} rows[] = {
		{"in the band", false, {.score = PST_SCORE(3), .tag_line = PST_SCORE(5)}, true},
		{"off", true, {.score = PST_SCORE(3), .tag_line = PST_SCORE(5)}, false},
		{"at its lower end", false, {.score = PST_SCORE(2), .tag_line = PST_SCORE(5)},
			true},
		{"below", false, {.score = 1999, .tag_line = PST_SCORE(5)}, false},
		{"just below the tag line", false, {.score = 4999, .tag_line = PST_SCORE(5)}, true},
		{"at the tag line", false, {.score = PST_SCORE(5), .tag_line = PST_SCORE(5)},
			false},
		{"nothing is tagged", false, {.score = PST_SCORE(9), .tag_line = PST_SCORE_NEVER},
			true},
		{"trusted", false,
			{.score = PST_SCORE(3), .tag_line = PST_SCORE(5), .trusted = true}, false},
		{"allowed or postmaster", false,
			{.score = PST_SCORE(3), .tag_line = PST_SCORE(5), .exempt = true}, false},
		{"a bounce", false,
			{.score = PST_SCORE(3), .tag_line = PST_SCORE(5), .bounce = true}, false},
		{"SPF pass", false,
			{.score = PST_SCORE(3), .tag_line = PST_SCORE(5), .spf_pass = true}, false},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		struct pst_greylist_conf here = conf;

		here.on = !rows[i].off;
		if (pst_greylist_concerns(&here, &rows[i].known) != rows[i].concerned)
			fail_msg("%s", rows[i].what);
	}
}

static void names(void **state)
{
	static const struct {
		const char *helo, *client, *name;
	} rows[] = {
		{"", "192.0.2.77", "192.0.2.0/24"},
		{"", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"out7.Mail.Example.com", "192.0.2.77", "mail.example.com"},
		{"example.com", "192.0.2.77", "example.com"},
		{"host", "192.0.2.77", "host"},
	};
	uint8_t area[PST_GREYLIST_NAME_MAX];
	struct pst_addr client;

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		assert_int_equal(pst_addr_parse(pst_span_text(rows[i].client), &client), 0);
		check_span(pst_greylist_name(pst_span_text(rows[i].helo), &client, area),
			rows[i].name);
	}
}

/* What an entry says, and what is kept then. Values are the store's own: 1 waits, 2 passed. */
static void what_an_entry_says(void **state)
{
	static const struct {
		const char *what;
		bool none;
		struct pst_store_entry entry;
		enum pst_greylist_state is;
		bool kept;
		uint64_t value;
		uint32_t life_s;
	} rows[] = {
		{"never seen", true, {0}, PST_GREYLIST_NEW, true, 1, 48 * 3600},
		{"at once again", false, {1, 0, 1}, PST_GREYLIST_EARLY, false, 0, 0},
		{"a second too early", false, {1, 119, 1}, PST_GREYLIST_EARLY, false, 0, 0},
		{"in time", false, {1, 120, 1}, PST_GREYLIST_CAME, true, 2, 36 * 86400},
		{"at the last moment", false, {1, 48 * 3600, 1}, PST_GREYLIST_CAME, true, 2,
			36 * 86400},
		{"after a window that was made shorter", false, {1, 48 * 3600 + 1, 1},
			PST_GREYLIST_NEW, true, 1, 48 * 3600},
		{"known, and seen just now", false, {2, 10, 1}, PST_GREYLIST_KNOWN, false, 0, 0},
		{"known, and renewed", false, {2, 3600, 1}, PST_GREYLIST_KNOWN, true, 2,
			36 * 86400},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		const struct pst_store_entry *entry = rows[i].none ? NULL : &rows[i].entry;
		enum pst_greylist_state is = pst_greylist_judge(&conf, entry);
		uint64_t value;
		uint32_t life_s;
		bool kept = pst_greylist_entry(&conf, is, entry, &value, &life_s);

		if (is != rows[i].is || kept != rows[i].kept)
			fail_msg("%s: state %d, kept %d", rows[i].what, is, kept);
		if (kept && (value != rows[i].value || life_s != rows[i].life_s))
			fail_msg("%s: value %d for %u s", rows[i].what, (int)value, life_s);
		assert_int_equal(
			pst_greylist_waits(is), is == PST_GREYLIST_NEW || is == PST_GREYLIST_EARLY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whom_it_concerns),
		cmocka_unit_test(names),
		cmocka_unit_test(what_an_entry_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
