/* test_log.c - log lines: stamp, quoting, escaping, cutting, loss */
#include "support/check.h"

#include <time.h>

#include "base/log.h"
#include "support/rng_seed.h"

#define STAMP "2026-11-21T21:00:00.123Z"
#define STAMP_WALL_MS UINT64_C(1795294800123)

static struct pst_log log_under_test;
static uint8_t ring[8192];

static struct pst_log *fresh(void)
{
	pst_log_init(&log_under_test, ring, sizeof(ring));
	log_under_test.wall_ms = STAMP_WALL_MS;
	return &log_under_test;
}

static void one_event(void **state)
{
	struct pst_log *log = fresh();
	struct pst_addr addr = {.family = PST_FAMILY_IPV4, .ip = {192, 0, 2, 1}, .port = 25};

	(void)state;
	pst_log_begin(log, PST_LOG_INFO, "transaction");
	pst_log_text(log, "verdict", "accept");
	pst_log_u64(log, "size", 4096);
	pst_log_addr(log, "client", &addr);
	pst_log_span(log, "id", PST_SPAN("abc"));
	pst_log_peer(log, "helo", PST_SPAN("mx.example.org"));
	assert_int_equal(log->ring.len, 0);
	pst_log_end(log);
	check_buf(&log->ring, STAMP " ev=transaction verdict=accept size=4096 client=192.0.2.1 "
		"id=abc helo=mx.example.org\n");
	assert_int_equal(log->lost_count, 0);
}

static void levels(void **state)
{
	struct pst_log *log = fresh();

	(void)state;
	pst_log_message(log, PST_LOG_ERROR, "a", "x");
	pst_log_message(log, PST_LOG_WARNING, "b", "x");
	pst_log_message(log, PST_LOG_INFO, "c", "x");
	pst_log_message(log, PST_LOG_DEBUG, "d", "x");
	check_buf(&log->ring, STAMP " level=error ev=a msg=x\n" STAMP " level=warning ev=b msg=x\n"
		STAMP " ev=c msg=x\n");
	log = fresh();
	log->level_max = PST_LOG_DEBUG;
	pst_log_message(log, PST_LOG_DEBUG, "d", "x");
	check_buf(&log->ring, STAMP " level=debug ev=d msg=x\n");
	log = fresh();
	log->level_max = PST_LOG_ERROR;
	pst_log_begin(log, PST_LOG_WARNING, "w");
	pst_log_text(log, "key", "value");
	pst_log_end(log);
	assert_int_equal(log->ring.len, 0);
	assert_int_equal(log->lost_count, 0);
}

static void quoting(void **state)
{
	static const struct {
		struct pst_span in;
		const char *out;
	} rows[] = {
		{PST_SPAN("plain"), "plain"},
		{PST_SPAN("<a@b.c>,<d@e.f>"), "<a@b.c>,<d@e.f>"},
		{PST_SPAN(""), "\"\""},
		{PST_SPAN("two words"), "\"two words\""},
		{PST_SPAN("a=b"), "\"a=b\""},
		{PST_SPAN("say \"hi\""), "\"say \\x22hi\\x22\""},
		{PST_SPAN("\""), "\"\\x22\""},
		{PST_SPAN("back\\slash"), "back\\x5cslash"},
		{PST_SPAN("a\nev=forged"), "\"a\\x0aev=forged\""},
		{PST_SPAN("\r\n\0\t"), "\\x0d\\x0a\\x00\\x09"},
		{PST_SPAN("\x7f\x80\xff"), "\\x7f\\x80\\xff"},
		{PST_SPAN("caf\xc3\xa9 bar"), "\"caf\\xc3\\xa9 bar\""},
	};

	(void)state;
	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		for (int peer = 0; peer < 2; peer++) {
			struct pst_log *log = fresh();
			char wanted[200];

			pst_log_begin(log, PST_LOG_INFO, "e");
			if (peer)
				pst_log_peer(log, "k", rows[i].in);
			else
				pst_log_span(log, "k", rows[i].in);
			pst_log_end(log);
			snprintf(wanted, sizeof(wanted), STAMP " ev=e k=%s\n", rows[i].out);
			check_buf(&log->ring, wanted);
		}
	}
}

static void every_byte_is_shown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		struct pst_log *log = fresh();
		uint8_t byte = (uint8_t)i;
		bool quoted = i == ' ' || i == '=' || i == '"';
		char value[10], wanted[100];

		if (i < 0x20 || i > 0x7e || i == '"' || i == '\\')
			snprintf(value, sizeof(value), "\\x%02x", i);
		else
			snprintf(value, sizeof(value), "%c", (char)i);
		snprintf(wanted, sizeof(wanted), STAMP " ev=e k=%s%s%s\n", quoted ? "\"" : "", value,
			quoted ? "\"" : "");
		pst_log_begin(log, PST_LOG_INFO, "e");
		pst_log_peer(log, "k", (struct pst_span){&byte, 1});
		pst_log_end(log);
		check_buf(&log->ring, wanted);
	}
}

/* The value of the last field of the only line. */
static struct pst_span last_value(const struct pst_log *log)
{
	struct pst_span line = pst_buf_span(&log->ring);
	int64_t at = pst_span_rfind(line, '=');

	assert_true(at > 0);
	assert_int_equal(line.at[line.len - 1], '\n');
	return pst_span_sub(line, (uint32_t)at + 1, line.len - (uint32_t)at - 2);
}

static void peer_values_are_cut(void **state)
{
	uint8_t value[PST_LOG_PEER_MAX + 1];
	struct pst_log *log = fresh();

	(void)state;
	memset(value, 'x', sizeof(value));
	pst_log_begin(log, PST_LOG_INFO, "e");
	pst_log_peer(log, "k", (struct pst_span){value, PST_LOG_PEER_MAX});
	pst_log_end(log);
	assert_int_equal(last_value(log).len, PST_LOG_PEER_MAX);

	log = fresh();
	pst_log_begin(log, PST_LOG_INFO, "e");
	pst_log_peer(log, "k", (struct pst_span){value, PST_LOG_PEER_MAX + 1});
	pst_log_end(log);
	assert_int_equal(last_value(log).len, PST_LOG_PEER_MAX + 3);
	check_span(pst_span_sub(last_value(log), PST_LOG_PEER_MAX - 1, 10), "x...");

	/* The bound counts the peer's bytes, not what becomes of them; the quotes go around all. */
	memset(value, '\n', sizeof(value));
	value[0] = ' ';
	log = fresh();
	pst_log_begin(log, PST_LOG_INFO, "e");
	pst_log_peer(log, "k", (struct pst_span){value, sizeof(value)});
	pst_log_end(log);
	assert_int_equal(last_value(log).len, 1 + 1 + 4 * (PST_LOG_PEER_MAX - 1) + 3 + 1);
	check_span(pst_span_sub(last_value(log), last_value(log).len - 8, 10), "\\x0a...\"");
}

static void own_values_are_cut(void **state)
{
	static uint8_t value[PST_LOG_VALUE_MAX + 1];
	struct pst_log *log = fresh();

	(void)state;
	memset(value, 'x', sizeof(value));
	pst_log_begin(log, PST_LOG_INFO, "e");
	pst_log_span(log, "to", (struct pst_span){value, PST_LOG_VALUE_MAX});
	pst_log_text(log, "outcome", "delivered");
	pst_log_end(log);
	check_span(last_value(log), "delivered");
	assert_int_equal(pst_span_find(pst_buf_span(&log->ring), '.'), 19);
	log = fresh();
	pst_log_begin(log, PST_LOG_INFO, "e");
	pst_log_span(log, "k", (struct pst_span){value, PST_LOG_VALUE_MAX + 1});
	pst_log_end(log);
	assert_int_equal(last_value(log).len, PST_LOG_VALUE_MAX + 3);
}

/* Fields that end around the end of the line: each is whole or absent, and the line says so. */
static void long_lines_lose_whole_fields(void **state)
{
	static const struct {
		const char *value; /* of the last field */
		uint32_t shown_len;
	} rows[] = {
		{"0123456789", 10},
		{"01234 6789", 12},
		{"01234\n6789", 13},
		{"01234\n6 89", 15},
		{"0123456789" "0123456789" "0123456789" "0123456789" "0123456789"
		 "0123456789" "0123456789" "0123456789" "0123456789" "0123456789x", 103},
	};
	static uint8_t filling[PST_LOG_VALUE_MAX];

	(void)state;
	memset(filling, 'x', sizeof(filling));
	for (uint32_t i = 0; i < 40 * PST_COUNT(rows); i++) {
		const char *value = rows[i / 40].value;
		uint32_t last = 3 + rows[i / 40].shown_len;
		uint32_t room = (last > 20 ? last - 20 : 0) + i % 40;
		uint32_t before = PST_LOG_LINE_MAX - 7 - room;
		uint32_t second = before - (uint32_t)sizeof(STAMP " ev=e a= b=") + 1 - 1000;
		struct pst_log *log = fresh();
		struct pst_span line;

		pst_log_begin(log, PST_LOG_INFO, "e");
		pst_log_span(log, "a", (struct pst_span){filling, 1000});
		pst_log_span(log, "b", (struct pst_span){filling, second});
		pst_log_peer(log, "c", pst_span_text(value));
		pst_log_end(log);
		line = pst_buf_span(&log->ring);
		assert_true(line.len <= PST_LOG_LINE_MAX);
		if (last <= room) {
			assert_int_equal(line.len, before + last + 1);
			check_span(pst_span_sub(line, before, 3), " c=");
		} else {
			check_span(pst_span_sub(line, before, 100), " cut=1\n");
		}
		/* The next line is a whole one again. */
		pst_log_message(log, PST_LOG_INFO, "m", "y");
		check_span(pst_span_sub(pst_buf_span(&log->ring), line.len, 100),
			STAMP " ev=m msg=y\n");
	}
}

static void short_fields_still_fit_behind_a_long_one(void **state)
{
	static uint8_t value[1000];
	struct pst_log *log = fresh();
	struct pst_span line;

	(void)state;
	memset(value, '\n', sizeof(value));
	pst_log_begin(log, PST_LOG_INFO, "e");
	pst_log_span(log, "a", (struct pst_span){value, sizeof(value)});
	pst_log_text(log, "b", "c");
	pst_log_end(log);
	line = pst_buf_span(&log->ring);
	check_span(line, STAMP " ev=e b=c cut=1\n");
}

static void full_ring_loses_whole_lines(void **state)
{
	struct pst_log *log = fresh();
	const char line[] = STAMP " ev=e\n";
	uint32_t len = sizeof(line) - 1;

	(void)state;
	pst_log_init(log, ring, 2 * len + len / 2);
	log->wall_ms = STAMP_WALL_MS;
	for (int i = 0; i < 5; i++) {
		pst_log_begin(log, PST_LOG_INFO, "e");
		pst_log_end(log);
	}
	assert_int_equal(log->lost_count, 3);
	check_buf(&log->ring, STAMP " ev=e\n" STAMP " ev=e\n");
	/* The sink took part of it: there is room for one more line, at the front. */
	pst_buf_consume(&log->ring, len);
	pst_log_begin(log, PST_LOG_INFO, "f");
	pst_log_end(log);
	assert_int_equal(log->lost_count, 3);
	check_buf(&log->ring, STAMP " ev=e\n" STAMP " ev=f\n");
}

static void messages_are_formatted_and_cut(void **state)
{
	static char text[3000];
	struct pst_log *log = fresh();

	(void)state;
	pst_log_message(log, PST_LOG_WARNING, "relay", "%s: %d retries", "127.0.0.1:25", 3);
	check_buf(&log->ring,
		STAMP " level=warning ev=relay msg=\"127.0.0.1:25: 3 retries\"\n");
	memset(text, 'x', sizeof(text) - 1);
	log = fresh();
	pst_log_message(log, PST_LOG_INFO, "e", "%s", text);
	assert_int_equal(last_value(log).len, PST_LOG_VALUE_MAX + 3);
	text[PST_LOG_VALUE_MAX] = '\0';
	log = fresh();
	pst_log_message(log, PST_LOG_INFO, "e", "%s", text);
	check_span(last_value(log), text);
}

static void one_event_at_a_time(void **state)
{
	struct pst_log *log = fresh();

	(void)state;
	pst_log_begin(log, PST_LOG_INFO, "a");
	check_bug(pst_log_begin(log, PST_LOG_INFO, "b"));
	pst_log_end(log);
	/* Outside an event there is nothing to add to. */
	pst_log_text(log, "k", "v");
	pst_log_end(log);
	check_buf(&log->ring, STAMP " ev=a\n");
}

static void stamp_is(uint64_t wall_ms, const char *wanted)
{
	struct pst_span stamp;

	pst_buf_clear(&log_under_test.ring);
	log_under_test.wall_ms = wall_ms;
	pst_log_begin(&log_under_test, PST_LOG_INFO, "e");
	pst_log_end(&log_under_test);
	stamp = pst_span_sub(pst_buf_span(&log_under_test.ring), 0, 24);
	check_span(stamp, wanted);
}

static void stamps(void **state)
{
	(void)state;
	fresh();
	stamp_is(0, "1970-01-01T00:00:00.000Z");
	stamp_is(1, "1970-01-01T00:00:00.001Z");
	stamp_is(UINT64_C(951782399999), "2000-02-28T23:59:59.999Z");
	stamp_is(UINT64_C(951782400000), "2000-02-29T00:00:00.000Z");
	stamp_is(UINT64_C(951868800000), "2000-03-01T00:00:00.000Z");
	stamp_is(UINT64_C(1077926400000), "2004-02-28T00:00:00.000Z");
	stamp_is(UINT64_C(4107542400000), "2100-03-01T00:00:00.000Z");
	stamp_is(UINT64_C(4107456000000), "2100-02-28T00:00:00.000Z");
	stamp_is(STAMP_WALL_MS, STAMP);
	/* Back again: a clock that was set must not leave an old stamp. */
	stamp_is(1, "1970-01-01T00:00:00.001Z");
	stamp_is(UINT64_C(253402300799999), "9999-12-31T23:59:59.999Z");
	stamp_is(UINT64_C(253402300800000), "9999-12-31T23:59:59.999Z");
	stamp_is(UINT64_MAX, "9999-12-31T23:59:59.999Z");
}

static void stamps_agree_with_libc(void **state)
{
	struct pst_rng_seed seed;

	(void)state;
	fresh();
	pst_rng_seed_init(&seed, 3);
	for (int i = 0; i < 20000; i++) {
		uint64_t wall_ms = pst_rng_u64(&seed.rng) % UINT64_C(253402300800000);
		time_t seconds = (time_t)(wall_ms / 1000);
		char wanted[40], date[30];
		struct tm parts;

		assert_non_null(gmtime_r(&seconds, &parts));
		assert_true(strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts) > 0);
		snprintf(wanted, sizeof(wanted), "%s.%03uZ", date, (unsigned)(wall_ms % 1000));
		stamp_is(wall_ms, wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_event),
		cmocka_unit_test(levels),
		cmocka_unit_test(quoting),
		cmocka_unit_test(every_byte_is_shown),
		cmocka_unit_test(peer_values_are_cut),
		cmocka_unit_test(own_values_are_cut),
		cmocka_unit_test(long_lines_lose_whole_fields),
		cmocka_unit_test(short_fields_still_fit_behind_a_long_one),
		cmocka_unit_test(full_ring_loses_whole_lines),
		cmocka_unit_test(messages_are_formatted_and_cut),
		cmocka_unit_test(one_event_at_a_time),
		cmocka_unit_test(stamps),
		cmocka_unit_test(stamps_agree_with_libc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
