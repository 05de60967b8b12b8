/* test_dns_cares.c - the dns seam's contract over c-ares and kernel sockets, before servers of the test's own
 *
 * Five servers on 127.0.0.1 to .5 share a port and a table. TCP, real servers and worse ones are
 * e2e/t_dns.py's.
 */
#include "support/check.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "dns/dns_cares.h"
#include "loop/loop_epoll.h"
#include "net/dgram_kernel.h"
#include "net/net_kernel.h"
#include "support/alloc_fail.h"

#define SERVERS_MAX 5
#define ASKED_MAX 8
#define WAIT_MS 1500

enum {
	RESPONSE = 0x8000,
	AUTHORITATIVE = 0x0400,
	RECURSIVE = 0x0080,
	NXDOMAIN = 3,
};

/* ---- the servers ------------------------------------------------------------------------------ */

#define NAME_SAME "\xc0\x0c"
#define CLASS_TTL "\0\1\0\0\0\x3c"
#define ADDRESS NAME_SAME "\0\1" CLASS_TTL "\0\4\x7f\0\0\2"
#define ALIAS NAME_SAME "\0\5" CLASS_TTL "\0\5\3far\0"
#define REFERRAL "\0\0\2" CLASS_TTL "\0\4\2ns\0"
#define SOA_RECORD "\0\0\6" CLASS_TTL "\0\x1b\2ns\0\1h\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\x1e"

/* By the first letter of the name; a name that is not there is not answered. */
static const struct row {
	char letter;
	uint16_t flags;
	uint8_t answer_count, authority_count;
	struct pst_span records;
} rows[] = {
	{'a', RESPONSE | RECURSIVE, 1, 0, PST_SPAN(ADDRESS)},
	{'n', RESPONSE | RECURSIVE | NXDOMAIN, 0, 1, PST_SPAN(SOA_RECORD)},
	{'e', RESPONSE | RECURSIVE, 0, 1, PST_SPAN(SOA_RECORD)},
	{'b', RESPONSE | RECURSIVE, 0, 0, PST_SPAN("")},
	{'r', RESPONSE, 0, 1, PST_SPAN(REFERRAL)},
	{'x', RESPONSE | AUTHORITATIVE, 0, 1, PST_SPAN(REFERRAL)},
	{'c', RESPONSE | AUTHORITATIVE, 1, 0, PST_SPAN(ALIAS)},
	{'d', RESPONSE | AUTHORITATIVE, 1, 1, PST_SPAN(ALIAS SOA_RECORD)},
};

struct server {
	struct pst_watch watch;
	uint32_t asked_count;
};

static void on_question(struct pst_watch *watch, uint32_t events)
{
	struct server *server = PST_CONTAINER(watch, struct server, watch);
	struct sockaddr_in peer;
	socklen_t peer_len = sizeof(peer);
	uint8_t bytes[1024];
	ssize_t len = recvfrom(watch->fd, bytes, 512, 0, (struct sockaddr *)&peer, &peer_len);
	size_t end = 12;

	(void)events;
	assert_true(len > 17);
	server->asked_count++;
	while (bytes[end])
		end += bytes[end] + (size_t)1;
	end += 5;
	for (size_t i = 0; i < PST_COUNT(rows); i++) {
		if (rows[i].letter != bytes[13])
			continue;
		bytes[2] = (uint8_t)(rows[i].flags >> 8);
		bytes[3] = (uint8_t)rows[i].flags;
		memset(bytes + 6, 0, 6);
		bytes[7] = rows[i].answer_count;
		bytes[9] = rows[i].authority_count;
		memcpy(bytes + end, rows[i].records.at, rows[i].records.len);
		assert_true(sendto(watch->fd, bytes, end + rows[i].records.len, 0,
				   (struct sockaddr *)&peer, peer_len) > 0);
		return;
	}
}

/* ---- the bench -------------------------------------------------------------------------------- */

struct asked {
	struct pst_dns_query query;
	uint32_t answer_count;
	enum pst_dns_status status;
	uint32_t ttl_s;
	struct asked *then_ask, *then_cancel;
};

static struct bench {
	struct pst_alloc_fail alloc;
	struct pst_epoll epoll;
	struct pst_loop loop;
	struct pst_net_kernel net;
	struct pst_dgram_kernel dgrams;
	struct server servers[SERVERS_MAX];
	uint16_t port;
	struct pst_dns_cares *cares;
	struct pst_dns *dns;
	struct pst_dns_servers own[SERVERS_MAX];
	struct asked asked[ASKED_MAX];
	struct pst_timer limit;
	bool in_query, is_over;
} bench;

static struct pst_addr address_of(uint32_t index)
{
	return (struct pst_addr){PST_FAMILY_IPV4, 0, bench.port, {127, 0, 0, (uint8_t)(1 + index)}};
}

static bool open_server(uint32_t index)
{
	struct server *server = &bench.servers[index];
	struct sockaddr_in local = {
		.sin_family = AF_INET,
		.sin_port = htons(bench.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + index),
	};
	socklen_t len = sizeof(local);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (bind(fd, (struct sockaddr *)&local, sizeof(local))) {
		close(fd);
		return false;
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)&local, &len), 0);
	bench.port = ntohs(local.sin_port);
	*server = (struct server){.watch = {.on_event = on_question, .fd = fd}};
	assert_int_equal(pst_epoll_watch(&bench.epoll, &server->watch, EPOLLIN), 0);
	return true;
}

static void close_server(uint32_t index)
{
	pst_epoll_forget(&bench.epoll, &bench.servers[index].watch);
	close(bench.servers[index].watch.fd);
}

/* The same port on each address; another one where somebody has it. */
static void open_servers(void)
{
	uint32_t count;

	do {
		bench.port = 0;
		for (count = 0; count < SERVERS_MAX && open_server(count); count++)
			;
		if (count == SERVERS_MAX)
			return;
		while (count-- > 0)
			close_server(count);
	} while (true);
}

static void on_limit(struct pst_timer *timer)
{
	(void)timer;
	bench.is_over = true;
}

static int open_bench(void **state)
{
	struct pst_dns_conf conf = {.resolver_count = 1};
	struct pst_dns_cares_env env = {&bench.loop, &bench.net.net, &bench.dgrams.dgrams,
					&bench.alloc.mem, ASKED_MAX - 1};

	(void)state;
	memset(&bench, 0, sizeof(bench));
	pst_alloc_fail_init(&bench.alloc);
	assert_int_equal(pst_epoll_init(&bench.epoll), 0);
	assert_int_equal(pst_loop_init(&bench.loop, &bench.epoll.poller, &bench.alloc.mem, 64), 0);
	pst_net_kernel_init(&bench.net, &bench.epoll, &bench.loop);
	pst_dgram_kernel_init(&bench.dgrams, &bench.epoll);
	open_servers();
	for (uint32_t i = 0; i < SERVERS_MAX; i++)
		bench.own[i] = (struct pst_dns_servers){.addrs = {address_of(i)}, .count = 1};
	conf.resolvers[0] = address_of(0);
	assert_int_equal(pst_dns_cares_new(&env, &conf, &bench.cares), 0);
	bench.dns = pst_dns_cares_seam(bench.cares);
	bench.limit.on_due = on_limit;
	pst_loop_turn(&bench.loop, false);
	return 0;
}

static int close_bench(void **state)
{
	(void)state;
	if (bench.cares)
		pst_dns_cares_free(bench.cares);
	bench.cares = NULL;
	for (uint32_t i = 0; i < SERVERS_MAX; i++)
		close_server(i);
	pst_timer_cancel(&bench.loop, &bench.limit);
	pst_loop_fini(&bench.loop);
	pst_epoll_fini(&bench.epoll);
	assert_int_equal(bench.alloc.block_count, 0);
	return 0;
}

static void ask(struct asked *asked)
{
	bool was_in_query = bench.in_query;

	asked->query.deadline_ms = bench.loop.now_ms + WAIT_MS;
	bench.in_query = true;
	pst_dns_query(bench.dns, &asked->query);
	bench.in_query = was_in_query;
}

static void on_answer(struct pst_dns_query *query, const struct pst_dns_answer *answer)
{
	struct asked *asked = PST_CONTAINER(query, struct asked, query);

	assert_false(bench.in_query);
	assert_false(query->open);
	asked->answer_count++;
	asked->status = answer->status;
	asked->ttl_s = answer->ttl_s;
	assert_true((answer->status == PST_DNS_OK) == (answer->record_count > 0));
	if (asked->then_cancel)
		pst_dns_cancel(bench.dns, &asked->then_cancel->query);
	if (asked->then_ask)
		ask(asked->then_ask);
}

static struct asked *prepare(uint32_t index, const char *name, const struct pst_dns_servers *servers)
{
	struct asked *asked = &bench.asked[index];

	*asked = (struct asked){.query = {.on_answer = on_answer,
					  .name = pst_span_text(name),
					  .type = PST_DNS_A,
					  .servers = servers}};
	return asked;
}

static bool is_open(void)
{
	for (uint32_t i = 0; i < ASKED_MAX; i++)
		if (bench.asked[i].query.open)
			return true;
	return false;
}

static void run(uint64_t ms_max)
{
	bench.is_over = false;
	pst_timer_set(&bench.loop, &bench.limit, bench.loop.now_ms + ms_max);
	while (!bench.is_over && is_open())
		pst_loop_turn(&bench.loop, true);
}

static struct asked *ask_and_run(const char *name, const struct pst_dns_servers *servers)
{
	struct asked *asked = prepare(0, name, servers);

	ask(asked);
	run(2 * WAIT_MS);
	assert_int_equal(asked->answer_count, 1);
	return asked;
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void statuses(void **state)
{
	static const struct {
		const char *name;
		bool direct;
		enum pst_dns_status status;
		uint32_t ttl_s;
	} wanted[] = {
		{"a.test", false, PST_DNS_OK, 60},
		{"n.test", false, PST_DNS_NXDOMAIN, 30},
		{"e.test", false, PST_DNS_NODATA, 30},
		{"b.test", false, PST_DNS_NODATA, 0},
		{"r.test", false, PST_DNS_SERVFAIL, 0},
		{"r.test", true, PST_DNS_SERVFAIL, 0},
		{"x.test", true, PST_DNS_NODATA, 0},
		{"c.test", false, PST_DNS_NODATA, 0},
		{"c.test", true, PST_DNS_SERVFAIL, 0},
		{"d.test", true, PST_DNS_NODATA, 30},
		{"silent.test", false, PST_DNS_TIMEOUT, 0},
		{"a..test", false, PST_DNS_OURS, 0},
		{"", false, PST_DNS_OURS, 0},
	};

	(void)state;
	for (size_t i = 0; i < PST_COUNT(wanted); i++) {
		struct asked *asked =
			ask_and_run(wanted[i].name, wanted[i].direct ? &bench.own[1] : NULL);

		if (asked->status != wanted[i].status || asked->ttl_s != wanted[i].ttl_s)
			print_error("%s%s\n", wanted[i].name, wanted[i].direct ? ", direct" : "");
		assert_int_equal(asked->status, wanted[i].status);
		assert_int_equal(asked->ttl_s, wanted[i].ttl_s);
	}
}

static void no_servers_are_not_the_systems(void **state)
{
	static const struct pst_dns_servers none;

	(void)state;
	assert_int_equal(ask_and_run("a.test", &none)->status, PST_DNS_OURS);
}

/* Five zones take turns on four channels, each asked for from inside of an answer. */
static void channels_change_inside_answers(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < SERVERS_MAX; i++)
		prepare(i, "a.test", &bench.own[i]);
	for (uint32_t round = 0; round < 4; round++) {
		for (uint32_t i = 0; i + 1 < SERVERS_MAX; i++)
			bench.asked[i].then_ask = &bench.asked[i + 1];
		ask(&bench.asked[0]);
		run(2 * WAIT_MS);
		for (uint32_t i = 0; i < SERVERS_MAX; i++) {
			assert_int_equal(bench.asked[i].answer_count, round + 1);
			assert_int_equal(bench.asked[i].status, PST_DNS_OK);
			assert_int_equal(bench.servers[i].asked_count, round + 1);
		}
	}
}

/* The channel whose answer is being told has nothing pending and was used before all others. */
static void the_answering_channel_is_the_oldest(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < SERVERS_MAX; i++)
		prepare(i, "a.test", &bench.own[i]);
	bench.asked[0].then_ask = &bench.asked[4];
	for (uint32_t i = 0; i + 1 < SERVERS_MAX; i++)
		ask(&bench.asked[i]);
	run(2 * WAIT_MS);
	assert_int_equal(bench.asked[4].answer_count, 1);
}

static void too_many_channels(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < SERVERS_MAX; i++)
		ask(prepare(i, "silent.test", &bench.own[i]));
	run(2 * WAIT_MS);
	for (uint32_t i = 0; i < SERVERS_MAX; i++)
		assert_int_equal(bench.asked[i].status, i < 4 ? PST_DNS_TIMEOUT : PST_DNS_OURS);
}

/* Silent servers of one zone do not cost the others their questions. */
static void a_share_for_each_zone(void **state)
{
	(void)state;
	ask(prepare(0, "silent.test", &bench.own[1]));
	ask(prepare(1, "silent.test", &bench.own[1]));
	ask(prepare(2, "a.test", &bench.own[2]));
	ask(prepare(3, "a.test", NULL));
	run(2 * WAIT_MS);
	assert_int_equal(bench.asked[0].status, PST_DNS_TIMEOUT);
	assert_int_equal(bench.asked[1].status, PST_DNS_OURS);
	assert_int_equal(bench.asked[2].status, PST_DNS_OK);
	assert_int_equal(bench.asked[3].status, PST_DNS_OK);
}

static void too_many_questions(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < ASKED_MAX; i++)
		ask(prepare(i, "a.test", NULL));
	run(2 * WAIT_MS);
	for (uint32_t i = 0; i < ASKED_MAX; i++)
		assert_int_equal(bench.asked[i].status,
				 i + 1 < ASKED_MAX ? PST_DNS_OK : PST_DNS_OURS);
}

static void cancelled(void **state)
{
	(void)state;
	/* before it was put, on its way, and inside of an answer */
	ask(prepare(0, "a.test", NULL));
	pst_dns_cancel(bench.dns, &bench.asked[0].query);
	pst_dns_cancel(bench.dns, &bench.asked[0].query);
	ask(prepare(1, "a.test", NULL));
	pst_loop_turn(&bench.loop, false);
	assert_true(bench.asked[1].query.open);
	pst_dns_cancel(bench.dns, &bench.asked[1].query);
	prepare(2, "a.test", NULL)->then_cancel = prepare(3, "silent.test", NULL);
	ask(&bench.asked[2]);
	ask(&bench.asked[3]);
	run(2 * WAIT_MS);
	assert_int_equal(bench.asked[2].answer_count, 1);
	assert_int_equal(bench.asked[0].answer_count + bench.asked[1].answer_count +
				 bench.asked[3].answer_count,
			 0);
}

static void freed_with_questions_open(void **state)
{
	(void)state;
	ask(prepare(0, "silent.test", NULL));
	ask(prepare(1, "silent.test", &bench.own[1]));
	pst_loop_turn(&bench.loop, false);
	pst_loop_turn(&bench.loop, false);
	ask(prepare(2, "a.test", NULL));
	pst_dns_cares_free(bench.cares);
	bench.cares = NULL;
	assert_false(is_open());
	pst_timer_set(&bench.loop, &bench.limit, bench.loop.now_ms + WAIT_MS + 100);
	for (bench.is_over = false; !bench.is_over;)
		pst_loop_turn(&bench.loop, true);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(bench.asked[i].answer_count, 0);
}

static void other_resolvers(void **state)
{
	struct pst_dns_conf conf = {.resolver_count = 1, .resolvers = {address_of(1)}};

	(void)state;
	assert_int_equal(ask_and_run("a.test", NULL)->status, PST_DNS_OK);
	assert_int_equal(pst_dns_cares_reload(bench.cares, &conf), 0);
	assert_int_equal(ask_and_run("a.test", NULL)->status, PST_DNS_OK);
	assert_int_equal(bench.servers[0].asked_count, 1);
	assert_int_equal(bench.servers[1].asked_count, 1);
}

/* Whichever request fails, the question is answered, and never with "there is no such thing". */
static void without_memory(void **state)
{
	uint64_t requests = 1;

	(void)state;
	for (uint64_t n = 1; n <= requests + 1; n++) {
		struct asked *asked;

		(void)close_bench(state);
		(void)open_bench(state);
		pst_alloc_fail_at(&bench.alloc, n, false);
		asked = ask_and_run("a.test", &bench.own[0]);
		assert_true(asked->status == PST_DNS_OK || !pst_dns_is_definite(asked->status));
		requests = bench.alloc.request_count;
	}
	assert_int_equal(bench.asked[0].status, PST_DNS_OK);
}

int main(void)
{
#define ON_BENCH(test) cmocka_unit_test_setup_teardown(test, open_bench, close_bench)
	const struct CMUnitTest tests[] = {
		ON_BENCH(statuses),
		ON_BENCH(no_servers_are_not_the_systems),
		ON_BENCH(channels_change_inside_answers),
		ON_BENCH(the_answering_channel_is_the_oldest),
		ON_BENCH(too_many_channels),
		ON_BENCH(a_share_for_each_zone),
		ON_BENCH(too_many_questions),
		ON_BENCH(cancelled),
		ON_BENCH(freed_with_questions_open),
		ON_BENCH(other_resolvers),
		ON_BENCH(without_memory),
	};

	return cmocka_run_group_tests_name("dns, c-ares", tests, NULL, NULL);
}
