/* test_epoll.c - the system's poller: watches, signals, clocks; and the system's randomness */
#include "support/check.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "loop/loop_epoll.h"
#include "support/alloc_fail.h"

static struct pst_alloc_fail alloc;
static struct pst_epoll epoll;
static struct pst_loop loop;

struct seen {
	struct pst_watch watch;
	struct seen *other;
	void (*act)(struct seen *seen);
	uint32_t events;
	int count;
};

static void seen_on_event(struct pst_watch *watch, uint32_t events)
{
	struct seen *seen = PST_CONTAINER(watch, struct seen, watch);

	seen->events = events;
	seen->count++;
	if (seen->act)
		seen->act(seen);
}

static struct seen seen_new(bool ready)
{
	int fd = eventfd(ready ? 1 : 0, EFD_NONBLOCK | EFD_CLOEXEC);

	assert_true(fd >= 0);
	return (struct seen){.watch = {.on_event = seen_on_event, .fd = fd}};
}

static void seen_close(struct seen *seen)
{
	pst_epoll_forget(&epoll, &seen->watch);
	close(seen->watch.fd);
}

static void forget_other(struct seen *seen)
{
	pst_epoll_unwatch(&epoll, &seen->other->watch);
	pst_epoll_unwatch(&epoll, &seen->watch);
}

static int begin(void **state)
{
	(void)state;
	pst_alloc_fail_init(&alloc);
	return pst_epoll_init(&epoll) || pst_loop_init(&loop, &epoll.poller, &alloc.mem, 4);
}

static int end(void **state)
{
	(void)state;
	pst_loop_fini(&loop);
	pst_epoll_fini(&epoll);
	return alloc.block_count == 0 ? 0 : -1;
}

static void level_and_edge(void **state)
{
	struct seen level = seen_new(true), edge = seen_new(true);

	(void)state;
	assert_int_equal(pst_epoll_watch(&epoll, &level.watch, EPOLLIN), 0);
	assert_int_equal(pst_epoll_watch(&epoll, &edge.watch, EPOLLIN | EPOLLET), 0);
	for (int i = 0; i < 3; i++)
		pst_loop_turn(&loop, false);
	assert_int_equal(level.count, 3);
	assert_int_equal(edge.count, 1);
	assert_int_equal(edge.events, EPOLLIN);
	/* A change of what is watched reports what is ready as new. */
	assert_int_equal(pst_epoll_rewatch(&epoll, &edge.watch, EPOLLIN | EPOLLOUT | EPOLLET), 0);
	for (int i = 0; i < 2; i++)
		pst_loop_turn(&loop, false);
	assert_int_equal(edge.count, 2);
	assert_int_equal(edge.events, EPOLLIN | EPOLLOUT);
	seen_close(&level);
	seen_close(&edge);
	pst_loop_turn(&loop, false);
	assert_int_equal(level.count, 5);
}

static void watch_errors(void **state)
{
	struct seen seen = seen_new(true);
	struct pst_watch closed = {.on_event = seen_on_event, .fd = -1};

	(void)state;
	assert_int_equal(pst_epoll_watch(&epoll, &closed, EPOLLIN), -PST_E_IO);
	assert_int_equal(pst_epoll_rewatch(&epoll, &seen.watch, EPOLLIN), -PST_E_IO);
	assert_int_equal(pst_epoll_watch(&epoll, &seen.watch, EPOLLIN), 0);
	assert_int_equal(pst_epoll_watch(&epoll, &seen.watch, EPOLLIN), -PST_E_IO);
	pst_epoll_unwatch(&epoll, &seen.watch);
	pst_epoll_unwatch(&epoll, &seen.watch);
	pst_loop_turn(&loop, false);
	assert_int_equal(seen.count, 0);
	seen_close(&seen);
}

/* Whichever comes first takes the other out of the batch that both are in. */
static void forgotten_in_the_same_batch(void **state)
{
	struct seen a = seen_new(true), b = seen_new(true);

	(void)state;
	a.other = &b;
	b.other = &a;
	a.act = b.act = forget_other;
	assert_int_equal(pst_epoll_watch(&epoll, &a.watch, EPOLLIN), 0);
	assert_int_equal(pst_epoll_watch(&epoll, &b.watch, EPOLLIN), 0);
	pst_loop_turn(&loop, false);
	assert_int_equal(a.count + b.count, 1);
	pst_loop_turn(&loop, false);
	assert_int_equal(a.count + b.count, 1);
	seen_close(&a);
	seen_close(&b);
}

static struct seen *timer_victim;

static void timer_forgets(struct pst_timer *timer)
{
	(void)timer;
	seen_close(timer_victim);
	memset(timer_victim, 0, sizeof(*timer_victim));
}

/* A timer fires between poll and delivery; the watch it frees must not be called. */
static void forgotten_by_a_timer(void **state)
{
	struct seen seen = seen_new(true);
	struct pst_timer timer = {.on_due = timer_forgets};

	(void)state;
	timer_victim = &seen;
	assert_int_equal(pst_epoll_watch(&epoll, &seen.watch, EPOLLIN), 0);
	pst_timer_set(&loop, &timer, 1);
	pst_loop_turn(&loop, false);
	assert_int_equal(seen.count, 0);
	assert_false(pst_timer_armed(&timer));
}

static void more_ready_than_a_batch(void **state)
{
	static struct seen many[PST_EPOLL_BATCH + 20];
	int count = 0;

	(void)state;
	for (size_t i = 0; i < PST_COUNT(many); i++) {
		many[i] = seen_new(true);
		assert_int_equal(pst_epoll_watch(&epoll, &many[i].watch, EPOLLIN | EPOLLET), 0);
	}
	for (int i = 0; i < 2; i++)
		pst_loop_turn(&loop, false);
	for (size_t i = 0; i < PST_COUNT(many); i++) {
		count += many[i].count == 1;
		seen_close(&many[i]);
	}
	assert_int_equal(count, PST_COUNT(many));
}

static uint64_t fired_ms;

static void note_time(struct pst_timer *timer)
{
	(void)timer;
	fired_ms = loop.now_ms;
	pst_loop_stop(&loop);
}

static void timers_wait_and_are_not_early(void **state)
{
	struct pst_timer timer = {.on_due = note_time};
	uint64_t due_ms = loop.now_ms + 30;

	(void)state;
	pst_timer_set(&loop, &timer, due_ms);
	pst_loop_run(&loop);
	assert_true(fired_ms >= due_ms);
	/* One turn: it slept, and came up once. */
	assert_int_equal(loop.turn_count, 1);
}

static void clocks_make_sense(void **state)
{
	uint64_t before = epoll.poller.mono_ms(&epoll.poller);

	(void)state;
	assert_true(before > 0);
	assert_true(epoll.poller.mono_ms(&epoll.poller) >= before);
	/* After mid-2017: a clock that was never set shows 1970. */
	assert_true(epoll.poller.wall_ms(&epoll.poller) > UINT64_C(1500000000000));
}

static int signal_number, signal_count;

static void note_signal(struct pst_signals *signals, int number)
{
	(void)signals;
	signal_number = number;
	signal_count++;
}

static void signals_become_events(void **state)
{
	static const int numbers[] = {SIGUSR1, SIGUSR2, 0};
	struct pst_signals signals = {.on_signal = note_signal};

	(void)state;
	assert_int_equal(pst_signals_open(&epoll, &signals, numbers), 0);
	raise(SIGUSR2);
	assert_int_equal(signal_count, 0);
	pst_loop_turn(&loop, false);
	assert_int_equal(signal_number, SIGUSR2);
	raise(SIGUSR1);
	raise(SIGUSR2);
	for (int i = 0; i < 3; i++)
		pst_loop_turn(&loop, false);
	assert_int_equal(signal_count, 3);
	pst_signals_close(&epoll, &signals);
}

static void system_randomness(void **state)
{
	static uint8_t a[1000], b[1000];
	struct pst_rng rng;

	(void)state;
	pst_rng_system_init(&rng);
	rng.fill(&rng, a, 0);
	assert_int_equal(a[0], 0);
	for (size_t len = 100; len < sizeof(a); len += 150) {
		memset(a, 0, sizeof(a));
		rng.fill(&rng, a, len);
		/* Forty zero bytes in a row do not happen by chance. */
		memset(b, 0, 40);
		assert_memory_not_equal(a + len - 40, b, 40);
		assert_int_equal(a[len], 0);
	}
	assert_true(pst_rng_u64(&rng) != pst_rng_u64(&rng));
}

#define test(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(level_and_edge),
		test(watch_errors),
		test(forgotten_in_the_same_batch),
		test(forgotten_by_a_timer),
		test(more_ready_than_a_batch),
		test(timers_wait_and_are_not_early),
		test(clocks_make_sense),
		test(signals_become_events),
		test(system_randomness),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
