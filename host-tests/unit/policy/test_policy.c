/* test_policy.c - every reason, who beats whom, and who is trusted */
#include "support/check.h"

#include "policy/policy.h"

static struct pst_addr addr_of(const char *text)
{
	struct pst_addr addr;

	assert_int_equal(pst_addr_parse(pst_span_text(text), &addr), 0);
	return addr;
}

static struct pst_cidr cidr_of(const char *text)
{
	struct pst_cidr cidr;

	assert_int_equal(pst_cidr_parse(pst_span_text(text), &cidr), 0);
	return cidr;
}

/* ---- replies --------------------------------------------------------------------------------- */

static void replies(void **state)
{
	(void)state;
	for (int i = 0; i < PST_REASON_COUNT; i++) {
		const struct pst_reason_reply *reply = pst_reason_reply((enum pst_reason)i);

		assert_int_equal(reply->class, reply->code / 100);
		assert_true(i == PST_REASON_none ? reply->code == 250 : reply->code >= 400);
		assert_true(reply->code < 600);
		assert_true(reply->text.len > 0 && reply->text.len < 200);
		for (uint32_t k = 0; k < reply->text.len; k++)
			assert_true(pst_is_print(reply->text.at[k]));
		for (int k = 0; k < i; k++)
			assert_string_not_equal(reply->name,
						pst_reason_reply((enum pst_reason)k)->name);
	}
	check_bug((void)pst_reason_reply(PST_REASON_COUNT));
}

/* Our trouble is never the sender's fault. */
static void own_trouble_is_4xx(void **state)
{
	static const enum pst_reason ours[] = {
		PST_REASON_memory,   PST_REASON_sessions,     PST_REASON_per_client,
		PST_REASON_shutdown, PST_REASON_relay_failed, PST_REASON_reply_late,
		PST_REASON_idle,     PST_REASON_slow,         PST_REASON_other_route,
		PST_REASON_too_many_recipients,
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(ours); i++)
		assert_int_equal(pst_reason_reply(ours[i])->class, 4);
}

/* ---- trust ----------------------------------------------------------------------------------- */

static void trust(void **state)
{
	const struct pst_cidr networks[] = {cidr_of("192.0.2.0/25"), cidr_of("2001:db8::/32")};
	const struct pst_policy_conf conf = {.trust = networks, .trust_count = 2};
	const struct {
		const char *client;
		bool trusted;
	} rows[] = {
		{"192.0.2.0", true},     {"192.0.2.127", true},       {"192.0.2.128", false},
		{"2001:db8::1", true},   {"2001:db9::1", false},      {"::", false},
		{"0.0.0.0", false},      {"127.0.0.1", false},
	};
	struct pst_addr addr;

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		addr = addr_of(rows[i].client);
		assert_int_equal(pst_policy_trusts(&conf, &addr), rows[i].trusted);
	}
	addr = (struct pst_addr){.family = PST_FAMILY_NONE};
	assert_true(pst_policy_trusts(&conf, &addr));
}

/* ---- recipients ------------------------------------------------------------------------------ */

enum { NO_ROUTE = 1, ONWARD = 2, ROUTING = 4, OTHER = 8, FULL = 16, SPF = 32 };

/* Entries in the order of the digits and letters of `entries`. */
static struct pst_policy_entry entry_of(char which, const struct pst_cidr *network)
{
	static const struct pst_span sender = PST_SPAN("alice@example.com");
	static const struct pst_span sender_domain = PST_SPAN("@example.com");
	static const struct pst_span rcpt = PST_SPAN("bob@example.org");
	static const struct pst_span rcpt_domain = PST_SPAN("@example.org");
	struct pst_policy_entry entry = {.allow = which >= 'A' && which <= 'Z'};

	switch (which | 0x20) {
	case 'c': /* client */
		entry.kind = PST_ENTRY_CLIENT;
		entry.networks = network;
		entry.network_count = 1;
		break;
	case 's': /* sender, by itself */
		entry.kind = PST_ENTRY_SENDER;
		entry.address = sender;
		break;
	case 'n': /* sender domain from the network */
		entry.kind = PST_ENTRY_SENDER;
		entry.address = sender_domain;
		entry.networks = network;
		entry.network_count = 1;
		break;
	case 'r': /* recipient */
		entry.kind = PST_ENTRY_RECIPIENT;
		entry.address = rcpt;
		break;
	case 'd': /* recipient domain */
		entry.kind = PST_ENTRY_RECIPIENT;
		entry.address = rcpt_domain;
		break;
	default:
		fail();
	}
	return entry;
}

static const struct {
	int how;
	const char *entries; /* small letters deny, capitals allow */
	bool near;           /* the client is in the entries' network */
	enum pst_reason reason;
} recipients[] = {
	{0, "", false, PST_REASON_none},
	{NO_ROUTE, "", false, PST_REASON_relay_denied},
	{NO_ROUTE, "CSNRD", true, PST_REASON_relay_denied},
	{NO_ROUTE | ONWARD | OTHER | FULL, "", false, PST_REASON_relay_denied},
	{ONWARD, "", false, PST_REASON_routing_characters},
	{ONWARD, "CRD", true, PST_REASON_routing_characters},
	{ONWARD | ROUTING, "", false, PST_REASON_none},
	{OTHER, "", false, PST_REASON_other_route},
	{OTHER, "C", true, PST_REASON_other_route},
	{FULL, "", false, PST_REASON_too_many_recipients},
	{FULL, "C", true, PST_REASON_too_many_recipients},
	{0, "c", true, PST_REASON_client_denied},
	{0, "c", false, PST_REASON_none},
	{0, "s", true, PST_REASON_none}, /* a sender proves nothing */
	{SPF, "s", false, PST_REASON_sender_denied},
	{0, "n", true, PST_REASON_sender_denied},
	{0, "n", false, PST_REASON_none},
	{SPF, "n", false, PST_REASON_none},
	{0, "r", false, PST_REASON_recipient_denied},
	{0, "d", false, PST_REASON_recipient_denied},
	{0, "rc", true, PST_REASON_recipient_denied}, /* the first that denies is told */
	{0, "cr", true, PST_REASON_client_denied},
	{0, "cR", true, PST_REASON_none}, /* allow beats deny, wherever it stands */
	{0, "Rc", true, PST_REASON_none},
	{0, "dR", false, PST_REASON_none},
	{0, "cN", true, PST_REASON_none},
	{0, "rS", false, PST_REASON_recipient_denied},
	{SPF, "rS", false, PST_REASON_none},
	{0, "rC", false, PST_REASON_recipient_denied},
};

static void recipient_rows(void **state)
{
	const struct pst_cidr network = cidr_of("198.51.100.0/24");

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(recipients); i++) {
		int how = recipients[i].how;
		struct pst_policy_entry entries[8];
		struct pst_policy_conf conf = {.entries = entries, .recipient_count_max = 5};
		struct pst_facts facts = {
			.client = addr_of(recipients[i].near ? "198.51.100.9" : "203.0.113.9"),
			.sender = PST_SPAN("Alice@Example.COM"),
			.rcpt_count = how & FULL ? 5 : 4,
			.set = how & SPF ? PST_FACT_SPF_PASS : 0,
		};
		struct pst_policy_rcpt rcpt = {
			.mailbox = PST_SPAN("BOB@example.ORG"),
			.domain = PST_SPAN("example.ORG"),
			.has_route = !(how & NO_ROUTE),
			.routes_onward = how & ONWARD,
			.routing_allowed = how & ROUTING,
			.same_route = !(how & OTHER),
		};

		for (const char *at = recipients[i].entries; *at; at++)
			entries[conf.entry_count++] = entry_of(*at, &network);
		if (pst_policy_recipient(&conf, &facts, &rcpt) != recipients[i].reason)
			fail_msg("row %u: %s", i,
				 pst_reason_reply(pst_policy_recipient(&conf, &facts, &rcpt))->name);
	}
}

static void addresses(void **state)
{
	static const struct {
		const char *entry, *mailbox;
		bool matches;
	} rows[] = {
		{"bob@example.org", "bob@example.org", true},
		{"bob@example.org", "BOB@EXAMPLE.org", true},
		{"bob@example.org", "abob@example.org", false},
		{"bob@example.org", "bob@example.org.uk", false},
		{"@example.org", "bob@example.org", true},
		{"@example.org", "bob@sub.example.org", false},
		{"@example.org", "bob@notexample.org", false},
		{"@example.org", "\"@example.org\"@example.net", false},
		{"@example.org", "postmaster", false},
		{"@example.org", "", false},
		{"postmaster", "Postmaster", true},
	};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		const struct pst_policy_entry entry = {
			.kind = PST_ENTRY_RECIPIENT,
			.address = pst_span_text(rows[i].entry),
		};
		const struct pst_policy_conf conf = {
			.entries = &entry,
			.entry_count = 1,
			.recipient_count_max = 1,
		};
		const struct pst_policy_rcpt rcpt = {
			.mailbox = pst_span_text(rows[i].mailbox),
			.has_route = true,
			.same_route = true,
		};
		const struct pst_facts facts = {0};

		if (pst_policy_recipient(&conf, &facts, &rcpt) !=
		    (rows[i].matches ? PST_REASON_recipient_denied : PST_REASON_none))
			fail_msg("row %u", i);
	}
}

/* ---- messages -------------------------------------------------------------------------------- */

static const struct {
	uint32_t set, hop_count;
	bool reject, excepted;
	enum pst_reason reason;
} messages[] = {
	{0, 0, false, false, PST_REASON_none},
	{0, 100, false, false, PST_REASON_none},
	{0, 101, false, false, PST_REASON_hops},
	{PST_FACT_OVERSIZE, 0, false, false, PST_REASON_message_size},
	{PST_FACT_NUL, 0, false, false, PST_REASON_nul_byte},
	{PST_FACT_BARE_NEWLINE, 0, false, false, PST_REASON_none},
	{PST_FACT_BARE_NEWLINE, 0, true, false, PST_REASON_bare_newline},
	{PST_FACT_BARE_NEWLINE, 0, true, true, PST_REASON_none},
	{PST_FACT_OUT_OF_MEMORY, 0, false, false, PST_REASON_memory},
	{PST_FACT_OVERSIZE | PST_FACT_NUL, 200, true, false, PST_REASON_message_size},
	{PST_FACT_NUL | PST_FACT_BARE_NEWLINE, 200, true, false, PST_REASON_nul_byte},
	{PST_FACT_BARE_NEWLINE | PST_FACT_OUT_OF_MEMORY, 200, true, false, PST_REASON_bare_newline},
	{PST_FACT_OUT_OF_MEMORY, 200, false, false, PST_REASON_hops},
	{PST_FACT_TRUSTED | PST_FACT_NUL, 0, false, false, PST_REASON_nul_byte},
	{PST_FACT_LONG_LINE | PST_FACT_EIGHT_BIT | PST_FACT_NO_HEADER | PST_FACT_HEADER_UNSEEN, 0,
	 true, false, PST_REASON_none},
};

static void message_rows(void **state)
{
	const struct pst_cidr network = cidr_of("198.51.100.0/24");

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(messages); i++) {
		const struct pst_policy_conf conf = {
			.bare_newline_reject = messages[i].reject,
			.bare_newline_except = &network,
			.bare_newline_except_count = 1,
			.hop_count_max = 100,
		};
		const struct pst_facts facts = {
			.client = addr_of(messages[i].excepted ? "198.51.100.9" : "203.0.113.9"),
			.set = messages[i].set,
			.hop_count = messages[i].hop_count,
		};

		if (pst_policy_message(&conf, &facts) != messages[i].reason)
			fail_msg("row %u: %s", i,
				 pst_reason_reply(pst_policy_message(&conf, &facts))->name);
	}
}

/* ---- the verdict ----------------------------------------------------------------------------- */

#define P(points) PST_SCORE(points)
#define NEVER PST_SCORE_NEVER

static const struct {
	pst_score score;
	bool rejects;
	uint32_t set;
	enum pst_mode mode;
	const char *earned, *action;
} verdicts[] = {
	/* tag 5, defer 8, quarantine 10, reject 15, drop 20 */
	{P(0), false, 0, PST_MODE_ENFORCE, "accept", "accept"},
	{4999, false, 0, PST_MODE_ENFORCE, "accept", "accept"},
	{P(5), false, 0, PST_MODE_ENFORCE, "tag", "tag"},
	{P(-5), false, 0, PST_MODE_ENFORCE, "accept", "accept"},
	{P(8), false, 0, PST_MODE_ENFORCE, "defer", "defer"},
	{P(10), false, 0, PST_MODE_ENFORCE, "quarantine", "quarantine"},
	{P(10), false, PST_FACT_PARTIAL, PST_MODE_ENFORCE, "tag", "tag"},
	{P(15), false, 0, PST_MODE_ENFORCE, "reject", "reject"},
	{P(15), false, PST_FACT_PARTIAL, PST_MODE_ENFORCE, "reject", "reject"},
	{PST_SCORE_MAX, false, 0, PST_MODE_ENFORCE, "drop", "drop"},
	{P(0), true, 0, PST_MODE_ENFORCE, "reject", "reject"},
	{P(20), true, 0, PST_MODE_ENFORCE, "drop", "drop"},
	{P(15), false, 0, PST_MODE_TAG, "reject", "tag"},
	{P(20), false, 0, PST_MODE_TAG, "drop", "tag"},
	{P(0), true, 0, PST_MODE_TAG, "reject", "tag"},
	{P(4), false, 0, PST_MODE_TAG, "accept", "accept"},
	{P(15), true, 0, PST_MODE_OBSERVE, "reject", "accept"},
	{P(15), true, PST_FACT_EXEMPT, PST_MODE_ENFORCE, "reject", "accept"},
};

static void verdict_rows(void **state)
{
	static const struct pst_hit listed = {.flags = PST_HIT_REJECTS};

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(verdicts); i++) {
		const struct pst_policy_conf conf = {
			.mode = verdicts[i].mode,
			.lines = {0, P(5), P(8), P(10), P(15), P(20)},
			.quarantine = PST_SPAN("spam@example.org"),
		};
		const struct pst_facts facts = {
			.set = verdicts[i].set,
			.hits = {.score = verdicts[i].score,
				 .reject = verdicts[i].rejects ? &listed : NULL},
		};
		struct pst_verdict verdict = pst_policy_verdict(&conf, &facts);

		if (strcmp(pst_policy_action_name(verdict.earned), verdicts[i].earned) ||
		    strcmp(pst_policy_action_name(verdict.action), verdicts[i].action))
			fail_msg("row %u: earned %s, action %s", i,
				 pst_policy_action_name(verdict.earned),
				 pst_policy_action_name(verdict.action));
	}
}

/* Lines that are off are never reached, and what goes nowhere is not quarantined. */
static void lines_that_are_off(void **state)
{
	const struct pst_policy_conf conf = {.lines = {0, NEVER, NEVER, P(1), NEVER, NEVER}};
	struct pst_facts facts = {.hits.score = PST_SCORE_MAX};

	(void)state;
	assert_int_equal(pst_policy_verdict(&conf, &facts).action, PST_ACTION_TAG);
	facts.hits.score = 999;
	assert_int_equal(pst_policy_verdict(&conf, &facts).action, PST_ACTION_ACCEPT);
}

static void hits_add_up(void **state)
{
	static struct pst_hit all[] = {
		{.score = P(2)},
		{.score = P(4), .flags = PST_HIT_DRY | PST_HIT_REJECTS},
		{.score = P(-1)},
		{.score = P(8), .flags = PST_HIT_SCORED},
		{.score = 500, .flags = PST_HIT_REJECTS},
		{.score = 250, .flags = PST_HIT_REJECTS},
	};
	struct pst_hits hits = {0};
	uint32_t count = 0;

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(all); i++)
		pst_hits_add(&hits, &all[i]);
	for (const struct pst_hit *hit = hits.first; hit; hit = hit->next)
		assert_ptr_equal(hit, &all[count++]);
	assert_int_equal(count, PST_COUNT(all));
	assert_int_equal(hits.count, count);
	assert_int_equal(hits.score, 1750);
	assert_ptr_equal(hits.reject, &all[4]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies),
		cmocka_unit_test(own_trouble_is_4xx),
		cmocka_unit_test(trust),
		cmocka_unit_test(recipient_rows),
		cmocka_unit_test(addresses),
		cmocka_unit_test(message_rows),
		cmocka_unit_test(verdict_rows),
		cmocka_unit_test(lines_that_are_off),
		cmocka_unit_test(hits_add_up),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
