/* test_dns.c - the dns seam's contract, over a scripted zone and over the cache in front of one
 *
 * The adapter to the network is held against real and hostile servers by e2e/t_dns.py.
 */
#include "support/check.h"

#include <string.h>

#include "dns/cache.h"
#include "support/alloc_fail.h"
#include "support/dns_zone.h"
#include "support/poller_sim.h"

#define QUERIES_MAX 16

static const char script[] = "a.test A 192.0.2.1 ttl=100\n"
			     "a.test A 192.0.2.2 ttl=100\n"
			     "a.test TXT two words\n"
			     "m.test MX 10 mail.test\n"
			     "slow.test A 192.0.2.3 after=300\n"
			     "dead.test A timeout\n"
			     "bad.test A servfail\n"
			     "brief.test A 192.0.2.4 ttl=1\n"
			     "long.test A 192.0.2.5 ttl=86400\n";

struct asked {
	struct pst_dns_query query;
	struct bench *bench;
	enum pst_dns_status status;
	uint32_t answer_count, record_count, ttl_s;
	struct pst_addr addr;
	char data[64];
	bool cached;
	struct pst_dns_query *then_ask, *then_cancel;
};

struct bench {
	struct pst_poller_sim sim;
	struct pst_alloc_fail alloc;
	struct pst_loop loop;
	struct pst_dns_zone zone;
	struct pst_dns_cache cache;
	struct pst_dns *dns;
	bool caches, in_query;
	struct asked asked[QUERIES_MAX];
	struct pst_timer limit;
};

static struct bench the_bench;

static void on_limit(struct pst_timer *timer)
{
	(void)timer;
}

static int open_bench(void **state)
{
	struct bench *b = &the_bench;
	bool caches = *state != NULL;

	memset(b, 0, sizeof(*b));
	pst_alloc_fail_init(&b->alloc);
	pst_poller_sim_init(&b->sim, 1000);
	assert_int_equal(pst_loop_init(&b->loop, &b->sim.poller, &b->alloc.mem, 128), 0);
	pst_dns_zone_init(&b->zone, &b->loop);
	assert_true(pst_dns_zone_add(&b->zone, script));
	pst_dns_cache_init(&b->cache, &b->zone.dns, &b->loop, &b->alloc.mem,
			   (struct pst_hash_key){1, 2}, 4096, 10);
	b->caches = caches;
	b->dns = caches ? &b->cache.dns : &b->zone.dns;
	b->limit.on_due = on_limit;
	pst_loop_turn(&b->loop, false);
	return 0;
}

static int close_bench(void **state)
{
	struct bench *b = &the_bench;

	(void)state;
	pst_dns_cache_fini(&b->cache);
	pst_dns_zone_fini(&b->zone);
	pst_timer_cancel(&b->loop, &b->limit);
	pst_loop_fini(&b->loop);
	assert_int_equal(b->alloc.block_count, 0);
	return 0;
}

static void pass(struct bench *b, uint64_t ms)
{
	uint64_t end_ms = b->sim.mono_ms + ms;

	pst_timer_set(&b->loop, &b->limit, end_ms);
	for (int i = 0; i < 1000 && (b->sim.mono_ms < end_ms || i < 8); i++)
		pst_loop_turn(&b->loop, b->sim.mono_ms < end_ms);
}

static void on_answer(struct pst_dns_query *query, const struct pst_dns_answer *answer)
{
	struct asked *asked = PST_CONTAINER(query, struct asked, query);

	assert_false(asked->bench->in_query);
	assert_false(query->open);
	asked->answer_count++;
	asked->status = answer->status;
	asked->record_count = answer->record_count;
	asked->ttl_s = answer->ttl_s;
	asked->cached = answer->cached;
	if (answer->record_count > 0) {
		asked->addr = answer->records[0].addr;
		snprintf(asked->data, sizeof(asked->data), "%.*s", (int)answer->records[0].data.len,
			 (const char *)answer->records[0].data.at);
	}
	if (asked->then_cancel)
		pst_dns_cancel(asked->bench->dns, asked->then_cancel);
	if (asked->then_ask)
		pst_dns_query(asked->bench->dns, asked->then_ask);
}

static struct asked *prepare(struct bench *b, uint32_t index, const char *name,
			     enum pst_dns_type type, uint64_t wait_ms)
{
	struct asked *asked = &b->asked[index];

	*asked = (struct asked){
		.bench = b,
		.query = {.on_answer = on_answer,
			  .name = pst_span_text(name),
			  .type = type,
			  .deadline_ms = b->loop.now_ms + wait_ms},
	};
	return asked;
}

static struct asked *ask(struct bench *b, uint32_t index, const char *name, enum pst_dns_type type)
{
	struct asked *asked = prepare(b, index, name, type, 1000);

	b->in_query = true;
	pst_dns_query(b->dns, &asked->query);
	b->in_query = false;
	return asked;
}

static void answers(void **state)
{
	static const struct {
		const char *name;
		enum pst_dns_type type;
		enum pst_dns_status status;
		uint32_t record_count;
		const char *data;
	} rows[] = {
		{"a.test", PST_DNS_A, PST_DNS_OK, 2, ""},
		{"A.TEST", PST_DNS_A, PST_DNS_OK, 2, ""},
		{"a.test", PST_DNS_TXT, PST_DNS_OK, 1, "two words"},
		{"m.test", PST_DNS_MX, PST_DNS_OK, 1, "mail.test"},
		{"a.test", PST_DNS_AAAA, PST_DNS_NODATA, 0, ""},
		{"test", PST_DNS_A, PST_DNS_NODATA, 0, ""},
		{"none.test", PST_DNS_A, PST_DNS_NXDOMAIN, 0, ""},
		{"bad.test", PST_DNS_A, PST_DNS_SERVFAIL, 0, ""},
		{"dead.test", PST_DNS_A, PST_DNS_TIMEOUT, 0, ""},
		{"slow.test", PST_DNS_A, PST_DNS_OK, 1, ""},
	};
	struct bench *b = &the_bench;

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++)
		ask(b, i, rows[i].name, rows[i].type);
	pass(b, 1100);
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		assert_int_equal(b->asked[i].answer_count, 1);
		assert_int_equal(b->asked[i].status, rows[i].status);
		assert_int_equal(b->asked[i].record_count, rows[i].record_count);
		if (rows[i].record_count)
			assert_string_equal(b->asked[i].data, rows[i].data);
	}
}

static void deadlines(void **state)
{
	struct bench *b = &the_bench;
	struct asked *slow = prepare(b, 0, "slow.test", PST_DNS_A, 100);

	(void)state;
	pst_dns_query(b->dns, &slow->query);
	pass(b, 99);
	assert_int_equal(slow->answer_count, 0);
	pass(b, 2);
	assert_int_equal(slow->answer_count, 1);
	assert_int_equal(slow->status, PST_DNS_TIMEOUT);
	pass(b, 1000);
	assert_int_equal(slow->answer_count, 1);
}

static void cancel(void **state)
{
	struct bench *b = &the_bench;

	(void)state;
	pst_dns_cancel(b->dns, &prepare(b, 0, "a.test", PST_DNS_A, 9)->query); /* never asked */
	ask(b, 0, "a.test", PST_DNS_A);
	pst_dns_cancel(b->dns, &b->asked[0].query);
	ask(b, 1, "slow.test", PST_DNS_A);
	pass(b, 50);
	pst_dns_cancel(b->dns, &b->asked[1].query);
	pst_dns_cancel(b->dns, &b->asked[1].query);
	pass(b, 1000);
	assert_int_equal(b->asked[0].answer_count, 0);
	assert_int_equal(b->asked[1].answer_count, 0);
	/* The memory is the caller's again, for the same question too. */
	ask(b, 1, "slow.test", PST_DNS_A);
	pass(b, 1000);
	assert_int_equal(b->asked[1].answer_count, 1);
}

/* From inside an answer: another question, the same one anew, one that waits taken back. */
static void from_inside(void **state)
{
	struct bench *b = &the_bench;
	struct asked *first = prepare(b, 0, "a.test", PST_DNS_A, 1000);
	struct asked *second = prepare(b, 1, "m.test", PST_DNS_MX, 1000);
	struct asked *third = prepare(b, 2, "a.test", PST_DNS_A, 1000);

	(void)state;
	first->then_ask = &second->query;
	first->then_cancel = &third->query;
	pst_dns_query(b->dns, &first->query);
	pst_dns_query(b->dns, &third->query);
	pass(b, 100);
	assert_int_equal(first->answer_count, 1);
	assert_int_equal(second->answer_count, 1);
	assert_int_equal(third->answer_count, 0);
}

/* ---- the cache ------------------------------------------------------------------------------- */

static void keeps_by_ttl(void **state)
{
	static const struct {
		const char *name;
		enum pst_dns_type type;
		uint32_t kept_s; /* about */
	} rows[] = {
		{"a.test", PST_DNS_A, 100},	   {"brief.test", PST_DNS_A, 60},
		{"long.test", PST_DNS_A, 3600},	   {"none.test", PST_DNS_A, 60},
		{"a.test", PST_DNS_AAAA, 60},	   {"bad.test", PST_DNS_A, 5},
	};
	struct bench *b = &the_bench;

	(void)state;
	for (uint32_t i = 0; i < PST_COUNT(rows); i++) {
		uint32_t before = b->zone.query_count;

		ask(b, 0, rows[i].name, rows[i].type);
		pass(b, 100);
		assert_int_equal(b->zone.query_count, before + 1);
		assert_false(b->asked[0].cached);
		pass(b, (rows[i].kept_s - 1) * 1000ULL);
		ask(b, 0, rows[i].name, rows[i].type);
		pass(b, 10);
		assert_int_equal(b->zone.query_count, before + 1);
		assert_true(b->asked[0].cached);
		pass(b, 2000);
		ask(b, 0, rows[i].name, rows[i].type);
		pass(b, 100);
		assert_int_equal(b->zone.query_count, before + 2);
	}
}

static void asks_once(void **state)
{
	struct bench *b = &the_bench;

	(void)state;
	for (uint32_t i = 0; i < 6; i++)
		ask(b, i, "slow.test", PST_DNS_A);
	pass(b, 20);
	pst_dns_cancel(b->dns, &b->asked[0].query);
	pass(b, 500);
	assert_int_equal(b->zone.query_count, 1);
	assert_int_equal(b->asked[0].answer_count, 0);
	for (uint32_t i = 1; i < 6; i++)
		assert_int_equal(b->asked[i].status, PST_DNS_OK);
	assert_int_equal(b->cache.counts.merged, 5);
}

/* One waiter's deadline does not cost the others their answer, nor the cache. */
static void waits_each_for_itself(void **state)
{
	struct bench *b = &the_bench;
	struct asked *hasty = prepare(b, 0, "slow.test", PST_DNS_A, 50);

	(void)state;
	pst_dns_query(b->dns, &hasty->query);
	ask(b, 1, "slow.test", PST_DNS_A);
	pass(b, 1000);
	assert_int_equal(hasty->status, PST_DNS_TIMEOUT);
	assert_int_equal(b->asked[1].status, PST_DNS_OK);
	ask(b, 2, "slow.test", PST_DNS_A);
	pass(b, 10);
	assert_true(b->asked[2].cached);
}

static void stays_within_its_bytes(void **state)
{
	struct bench *b = &the_bench;
	char name[64];

	(void)state;
	for (uint32_t i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "n%u.test", i);
		ask(b, 0, name, PST_DNS_A);
		pass(b, 10);
		assert_int_equal(b->asked[0].status, PST_DNS_NXDOMAIN);
		assert_true(b->cache.bytes <= 4096);
	}
	/* The last ones are still there, the first are gone. */
	ask(b, 0, "n199.test", PST_DNS_A);
	ask(b, 1, "n0.test", PST_DNS_A);
	pass(b, 10);
	assert_true(b->asked[0].cached);
	assert_false(b->asked[1].cached);
	assert_true(b->cache.counts.evicted > 150 && b->cache.counts.evicted <= 201);
	assert_int_equal(b->cache.counts.hits, 1);
}

static void keeps_own_servers_answers_apart(void **state)
{
	static const struct pst_dns_servers own = {.count = 1};
	struct bench *b = &the_bench;

	(void)state;
	for (uint32_t round = 0; round < 2; round++) {
		struct asked *direct = prepare(b, 1, "a.test", PST_DNS_A, 1000);

		direct->query.servers = &own;
		ask(b, 0, "a.test", PST_DNS_A);
		pass(b, 10);
		pst_dns_query(b->dns, &direct->query);
		pass(b, 10);
		assert_int_equal(b->asked[0].cached, round == 1);
		assert_int_equal(direct->cached, round == 1);
		assert_int_equal(b->zone.query_count, 2);
	}
}

static void too_many_under_way(void **state)
{
	struct bench *b = &the_bench;
	char names[QUERIES_MAX][32];

	(void)state;
	assert_true(pst_dns_zone_add(&b->zone, "* A 192.0.2.9 after=200\n"));
	for (uint32_t i = 0; i < 12; i++) {
		snprintf(names[i], sizeof(names[i]), "w%u.test", i);
		ask(b, i, names[i], PST_DNS_A);
	}
	pass(b, 1000);
	for (uint32_t i = 0; i < 12; i++)
		assert_int_equal(b->asked[i].status, i < 10 ? PST_DNS_OK : PST_DNS_OURS);
}

static void without_memory(void **state)
{
	struct bench *b = &the_bench;

	(void)state;
	pst_alloc_fail_at(&b->alloc, 1, true);
	ask(b, 0, "a.test", PST_DNS_A);
	pass(b, 10);
	assert_int_equal(b->asked[0].status, PST_DNS_OURS);
	pst_alloc_fail_at(&b->alloc, 2, true);
	ask(b, 0, "a.test", PST_DNS_A);
	pass(b, 10);
	assert_int_equal(b->asked[0].status, PST_DNS_OK);
	assert_int_equal(b->cache.bytes, 0);
	pst_alloc_fail_at(&b->alloc, 0, false);
}

#define OVER(test, caches) \
	{#test, test, open_bench, close_bench, (caches) ? (void *)&the_bench : NULL}

int main(void)
{
	const struct CMUnitTest scripted[] = {
		OVER(answers, false),
		OVER(deadlines, false),
		OVER(cancel, false),
		OVER(from_inside, false),
	};
	const struct CMUnitTest cached[] = {
		OVER(answers, true),	    OVER(deadlines, true),
		OVER(cancel, true),	    OVER(from_inside, true),
		OVER(keeps_by_ttl, true),   OVER(asks_once, true),
		OVER(waits_each_for_itself, true), OVER(stays_within_its_bytes, true),
		OVER(too_many_under_way, true),    OVER(without_memory, true),
		OVER(keeps_own_servers_answers_apart, true),
	};

	return cmocka_run_group_tests_name("dns, scripted", scripted, NULL, NULL) +
	       cmocka_run_group_tests_name("dns, cache", cached, NULL, NULL);
}
