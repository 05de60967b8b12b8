/* test_dgram.c - what net/dgram.h promises, over every implementation of it */
#include <string.h>

#include "support/check.h"
#include "support/echo.h"
#include "support/net_world.h"

static struct net_world *world;
static struct echo echo;

struct end {
	struct pst_dgram dgram;
	uint8_t got[2000];
	int64_t got_len;    /* of the last one */
	uint32_t area_size; /* given to recv */
	int told_count, got_count;
	int ignore_count;   /* calls in which nothing is taken */
	bool close_at_once;
};

static struct end asker;

static void on_ready(struct pst_dgram *dgram)
{
	struct end *end = PST_CONTAINER(dgram, struct end, dgram);
	int64_t len;

	assert_true(dgram->open);
	end->told_count++;
	if (end->close_at_once) {
		world->dgrams->ops->close(dgram);
		return;
	}
	if (end->told_count <= end->ignore_count)
		return;
	len = world->dgrams->ops->recv(dgram, end->got, end->area_size);
	if (len > 0) {
		end->got_len = len;
		end->got_count++;
	}
}

static int setup(void **state)
{
	static struct net_world the_world;

	world = &the_world;
	net_world_open(world, *(const enum net_world_kind *)*state);
	if (world->real)
		echo_open_kernel(&echo, &world->epoll);
	else
		echo_open_lwip(&echo);
	asker = (struct end){.dgram = {.on_ready = on_ready}, .area_size = sizeof(asker.got)};
	return 0;
}

static int teardown(void **state)
{
	const char *wrong;

	(void)state;
	if (asker.dgram.open)
		world->dgrams->ops->close(&asker.dgram);
	if (world->real)
		echo_close_kernel(&echo);
	else
		echo_close_lwip(&echo);
	wrong = net_world_close(world);
	if (wrong)
		print_error("%s\n", wrong);
	return wrong ? -1 : 0;
}

static void open_asker(void)
{
	assert_int_equal(pst_addr_parse(PST_SPAN("127.0.0.1"), &asker.dgram.peer), 0);
	asker.dgram.peer.port = echo.port;
	assert_int_equal(world->dgrams->ops->open(world->dgrams, &asker.dgram), 0);
	assert_true(asker.dgram.open);
	assert_true(asker.dgram.local.port > 0);
}

static void send_text(const char *text)
{
	assert_int_equal(world->dgrams->ops->send(&asker.dgram, pst_span_text(text)), 0);
}

static bool has_got(void *count)
{
	return asker.got_count >= *(int *)count;
}

static void await_count(int count)
{
	assert_true(net_world_run(world, has_got, &count));
}

static void asking_and_hearing(void **state)
{
	(void)state;
	open_asker();
	send_text("hello");
	assert_int_equal(asker.told_count, 0);
	await_count(1);
	assert_int_equal(asker.got_len, 5);
	assert_memory_equal(asker.got, "hello", 5);
	/* Nothing more: nothing is told, and there is nothing to take. */
	asker.told_count = 0;
	net_world_settle(world);
	assert_int_equal(asker.told_count, 0);
	assert_int_equal(world->dgrams->ops->recv(&asker.dgram, asker.got, 10), 0);
}

static void two_stay_two(void **state)
{
	(void)state;
	open_asker();
	send_text("2 of us");
	await_count(2);
	assert_int_equal(asker.got_len, 7);
}

static void from_elsewhere_is_not_seen(void **state)
{
	(void)state;
	open_asker();
	send_text("!forged");
	net_world_settle(world);
	assert_int_equal(asker.told_count, 0);
	send_text("true");
	await_count(1);
	assert_memory_equal(asker.got, "true", 4);
}

static void a_long_one_is_cut(void **state)
{
	(void)state;
	open_asker();
	asker.area_size = 4;
	send_text("longer than that");
	await_count(1);
	assert_int_equal(asker.got_len, 4);
	asker.told_count = 0;
	net_world_settle(world);
	assert_int_equal(asker.told_count, 0);
}

static void what_is_left_unread_is_told_again(void **state)
{
	(void)state;
	open_asker();
	asker.ignore_count = 3;
	send_text("patience");
	await_count(1);
	assert_true(asker.told_count >= 4);
}

static void each_open_has_its_own_port(void **state)
{
	uint16_t ports[8];

	(void)state;
	for (unsigned i = 0; i < PST_COUNT(ports); i++) {
		open_asker();
		ports[i] = asker.dgram.local.port;
		world->dgrams->ops->close(&asker.dgram);
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(ports[i], ports[k]);
	}
}

static void an_answer_to_one_who_has_closed(void **state)
{
	(void)state;
	open_asker();
	send_text("late");
	world->dgrams->ops->close(&asker.dgram);
	net_world_settle(world);
	assert_int_equal(asker.told_count, 0);
	open_asker();
	net_world_settle(world);
	assert_int_equal(asker.got_count, 0);
}

static bool is_closed(void *context)
{
	(void)context;
	return !asker.dgram.open;
}

static void closing_in_the_callback(void **state)
{
	(void)state;
	open_asker();
	asker.close_at_once = true;
	send_text("2 come, one is told");
	assert_true(net_world_run(world, is_closed, NULL));
	memset(&asker.dgram, 0, sizeof(asker.dgram));
	net_world_settle(world);
	assert_int_equal(asker.told_count, 1);
}

static bool is_answered(void *context)
{
	(void)context;
	return asker.got_len == strlen("still there?");
}

static void a_flood_is_lost_in_part(void **state)
{
	(void)state;
	open_asker();
	for (int i = 0; i < 2000; i++)
		send_text("2 for one");
	await_count(1);
	net_world_settle(world);
	assert_true(asker.got_count <= 4000);
	/* And it goes on as before; what a slow machine has not read yet may still take the room. */
	for (int i = 0; i < 100 && !is_answered(NULL); i++) {
		send_text("still there?");
		net_world_settle(world);
	}
	assert_true(is_answered(NULL));
}

static void out_of_memory_begins_nothing(void **state)
{
	(void)state;
	pst_alloc_fail_at(&world->alloc, 1, true);
	assert_int_equal(pst_addr_parse(PST_SPAN("127.0.0.1"), &asker.dgram.peer), 0);
	asker.dgram.peer.port = echo.port;
	if (world->dgrams->ops->open(world->dgrams, &asker.dgram))
		assert_false(asker.dgram.open);
	pst_alloc_fail_at(&world->alloc, 0, false);
}

static const enum net_world_kind over_kernel = NET_WORLD_KERNEL, over_lwip = NET_WORLD_LWIP;

#define CASE(function) \
	{#function " (kernel)", function, setup, teardown, (void *)(uintptr_t)&over_kernel}, \
	{#function " (lwip)", function, setup, teardown, (void *)(uintptr_t)&over_lwip}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(asking_and_hearing),
		CASE(two_stay_two),
		CASE(from_elsewhere_is_not_seen),
		CASE(a_long_one_is_cut),
		CASE(what_is_left_unread_is_told_again),
		CASE(each_open_has_its_own_port),
		CASE(an_answer_to_one_who_has_closed),
		CASE(closing_in_the_callback),
		CASE(a_flood_is_lost_in_part),
		CASE(out_of_memory_begins_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
