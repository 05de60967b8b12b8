/* test_ask.c - questions of several checks, and slots for fewer of them */
#include "support/check.h"

#include "proxy/ask.h"
#include "support/alloc_fail.h"
#include "support/dns_zone.h"
#include "support/poller_sim.h"

struct check {
	struct pst_ask ask;
	uint32_t question_count, answer_count;
	bool done;
};

static struct {
	struct pst_alloc_fail alloc;
	struct pst_poller_sim sim;
	struct pst_loop loop;
	struct pst_dns_zone zone;
	struct pst_asks asks;
	struct check checks[3];
} world;

static bool ask(void *check, struct pst_question *question)
{
	struct check *self = check;

	if (self->question_count == 0)
		return false;
	self->question_count--;
	*question = (struct pst_question){.type = PST_DNS_A, .name_len = 9};
	memcpy(question->name, "a.example", 9);
	return true;
}

static void answer(void *check, uint16_t id, const struct pst_dns_answer *given)
{
	(void)id, (void)given;
	((struct check *)check)->answer_count++;
}

static void on_answered(struct pst_ask *self)
{
	PST_CONTAINER(self, struct check, ask)->done = pst_ask_is_idle(self);
}

static const struct pst_ask_ops ops = {ask, answer, NULL};

static void begin(uint32_t index, uint32_t question_count)
{
	struct check *check = &world.checks[index];

	check->question_count = question_count;
	pst_ask_begin(&check->ask, &world.asks, &ops, check, UINT64_C(60000), on_answered);
}

static void open_world(uint32_t slot_count)
{
	memset(&world, 0, sizeof(world));
	pst_alloc_fail_init(&world.alloc);
	pst_poller_sim_init(&world.sim, 1000);
	assert_int_equal(pst_loop_init(&world.loop, &world.sim.poller, &world.alloc.mem, 8), 0);
	pst_dns_zone_init(&world.zone, &world.loop);
	pst_asks_init(&world.asks, &world.zone.dns, &world.loop, &world.alloc.mem, slot_count);
}

static void close_world(void)
{
	for (uint32_t i = 0; i < PST_COUNT(world.checks); i++)
		pst_ask_end(&world.checks[i].ask);
	pst_asks_fini(&world.asks);
	pst_dns_zone_fini(&world.zone);
	pst_loop_fini(&world.loop);
	assert_int_equal(world.alloc.block_count, 0);
}

static void turns(void)
{
	for (int i = 0; i < 20; i++)
		pst_loop_turn(&world.loop, false);
}

/* Slots are missing below the bound: the line moves as far as it can, and that is the end of the turn. */
static void without_memory_the_line_waits(void **state)
{
	(void)state;
	alarm(10);
	open_world(8);
	begin(0, 2);
	pst_alloc_fail_at(&world.alloc, 1, true);
	begin(1, 1);
	begin(2, 1);
	turns();
	for (uint32_t i = 0; i < PST_COUNT(world.checks); i++) {
		assert_true(world.checks[i].done);
		assert_int_equal(world.checks[i].answer_count, i == 0 ? 2 : 1);
	}
	close_world();
	alarm(0);
}

static void who_ends_makes_room(void **state)
{
	(void)state;
	open_world(1);
	assert_true(pst_dns_zone_add(&world.zone, "a.example A timeout"));
	begin(0, 1);
	begin(1, 1);
	assert_int_equal(world.zone.query_count, 1);
	pst_ask_end(&world.checks[0].ask);
	assert_int_equal(world.zone.query_count, 2);
	close_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_memory_the_line_waits),
		cmocka_unit_test(who_ends_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
