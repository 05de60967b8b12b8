/* test_loop.c - turns, timers, tasks and hooks, in simulated time */
#include "support/check.h"

#include "loop/loop.h"
#include "support/alloc_fail.h"
#include "support/poller_sim.h"
#include "support/rng_seed.h"

static struct pst_alloc_fail alloc;
static struct pst_poller_sim sim;
static struct pst_loop loop;

/* What happened, a character each. */
static char story[256];
static size_t story_len;

static void tell(char c)
{
	assert_true(story_len < sizeof(story) - 1);
	story[story_len++] = c;
	story[story_len] = '\0';
}

static void check_story(const char *wanted)
{
	assert_string_equal(story, wanted);
	story_len = 0;
	story[0] = '\0';
}

static void begin(uint32_t timers_max)
{
	pst_alloc_fail_init(&alloc);
	pst_poller_sim_init(&sim, 1000);
	assert_int_equal(pst_loop_init(&loop, &sim.poller, &alloc.mem, timers_max), 0);
	story_len = 0;
	story[0] = '\0';
}

static int end(void **state)
{
	(void)state;
	pst_loop_fini(&loop);
	return alloc.block_count == 0 ? 0 : -1;
}

struct actor {
	struct pst_timer timer;
	struct pst_task task;
	struct pst_turn_hook hook;
	char name;
	struct actor *other;
	void (*act)(struct actor *actor);
	uint64_t fired_ms;
};

static void run_actor(struct actor *actor)
{
	tell(actor->name);
	actor->fired_ms = loop.now_ms;
	if (actor->act)
		actor->act(actor);
}

static void actor_on_due(struct pst_timer *timer)
{
	run_actor(PST_CONTAINER(timer, struct actor, timer));
}

static void actor_on_run(struct pst_task *task)
{
	run_actor(PST_CONTAINER(task, struct actor, task));
}

static void actor_on_turn_end(struct pst_turn_hook *hook)
{
	run_actor(PST_CONTAINER(hook, struct actor, hook));
}

static struct actor actor(char name, void (*act)(struct actor *actor))
{
	return (struct actor){
		.timer = {.on_due = actor_on_due},
		.task = {.on_run = actor_on_run},
		.hook = {.on_turn_end = actor_on_turn_end},
		.name = name,
		.act = act,
	};
}

static void resume_other(struct actor *self)
{
	pst_loop_resume(&loop, &self->other->task);
}

static void resume_self(struct actor *self)
{
	pst_loop_resume(&loop, &self->task);
}

static void forget_other(struct actor *self)
{
	pst_loop_forget(&self->other->task);
}

static void cancel_other(struct actor *self)
{
	pst_timer_cancel(&loop, &self->other->timer);
}

static void set_other_past(struct actor *self)
{
	pst_timer_set(&loop, &self->other->timer, 1);
}

static void arm_due_one(struct actor *self)
{
	pst_timer_set(&loop, &self->other->timer, loop.now_ms);
}

static void set_self_past(struct actor *self)
{
	pst_timer_set(&loop, &self->timer, 1);
}

static void set_self_later(struct actor *self)
{
	pst_timer_set(&loop, &self->timer, loop.now_ms + 10);
}

static void unhook_self(struct actor *self)
{
	pst_loop_unhook(&self->hook);
}

static void unhook_other(struct actor *self)
{
	pst_loop_unhook(&self->other->hook);
}

static void sim_tells(struct pst_poller_sim *poller)
{
	(void)poller;
	tell('i');
}

/* --- turns ---------------------------------------------------------------------------------- */

static void phases_in_order(void **state)
{
	struct actor timer = actor('t', NULL), hook = actor('h', NULL);
	struct actor task = actor('r', NULL);

	(void)state;
	begin(4);
	sim.on_deliver = sim_tells;
	timer.act = resume_other;
	timer.other = &task;
	pst_loop_hook(&loop, &hook.hook);
	pst_timer_set(&loop, &timer.timer, 1500);
	pst_loop_turn(&loop, true);
	check_story("tirh");
	assert_int_equal(loop.now_ms, 1500);
	assert_int_equal(sim.slept_ms, 500);
}

static void clocks_are_read_once_a_turn(void **state)
{
	(void)state;
	begin(4);
	assert_int_equal(loop.now_ms, 1000);
	assert_true(loop.wall_ms > 0);
	pst_poller_sim_pass(&sim, 5);
	assert_int_equal(loop.now_ms, 1000);
	pst_loop_turn(&loop, false);
	assert_int_equal(loop.now_ms, 1005);
	sim.wall_ms = 0;
	pst_loop_turn(&loop, false);
	assert_int_equal(loop.wall_ms, 0);
	assert_int_equal(loop.now_ms, 1005);
}

static void no_sleep_unless_told(void **state)
{
	struct actor timer = actor('t', NULL);

	(void)state;
	begin(4);
	pst_timer_set(&loop, &timer.timer, 2000);
	pst_loop_turn(&loop, false);
	assert_int_equal(sim.slept_ms, 0);
	check_story("");
	pst_loop_turn(&loop, true);
	assert_int_equal(sim.slept_ms, 1000);
	check_story("t");
	pst_loop_turn(&loop, true);
	assert_true(sim.idle);
}

static void far_deadlines_do_not_overflow(void **state)
{
	struct actor timer = actor('t', NULL);

	(void)state;
	begin(4);
	pst_timer_set(&loop, &timer.timer, UINT64_MAX);
	pst_loop_turn(&loop, true);
	assert_int_equal(sim.slept_ms, INT32_MAX);
	check_story("");
}

static void sleep_does_not_count_as_turn(void **state)
{
	struct actor timer = actor('t', NULL);

	(void)state;
	begin(4);
	pst_timer_set(&loop, &timer.timer, 9000);
	pst_loop_turn(&loop, true);
	assert_int_equal(loop.turn_ms_max, 0);
	assert_int_equal(loop.turn_count, 1);
}

static void pass_25_ms(struct actor *self)
{
	(void)self;
	pst_poller_sim_pass(&sim, 25);
}

static void slow_callbacks_are_measured(void **state)
{
	struct actor slow = actor('s', pass_25_ms);

	(void)state;
	begin(4);
	pst_loop_resume(&loop, &slow.task);
	pst_loop_turn(&loop, true);
	assert_int_equal(loop.turn_ms_max, 25);
	assert_int_equal(loop.turn_ms_last, 25);
	pst_loop_turn(&loop, true);
	assert_int_equal(loop.turn_ms_max, 25);
	assert_int_equal(loop.turn_ms_last, 0);
}

static void stop_loop(struct actor *self)
{
	(void)self;
	pst_loop_stop(&loop);
}

static void run_until_stopped(void **state)
{
	struct actor stop = actor('s', stop_loop), task = actor('r', NULL), hook = actor('h', NULL);

	(void)state;
	begin(4);
	stop.act = stop_loop;
	pst_loop_hook(&loop, &hook.hook);
	pst_timer_set(&loop, &stop.timer, 1100);
	pst_timer_set(&loop, &task.timer, 1200);
	pst_loop_run(&loop);
	check_story("sh");
	assert_int_equal(loop.turn_count, 1);
	/* A stopped loop may still be turned, to clean up; it does not sleep. */
	pst_loop_turn(&loop, true);
	assert_int_equal(loop.now_ms, 1100);
	check_story("h");
}

/* --- tasks ---------------------------------------------------------------------------------- */

static void tasks_run_in_order_and_once(void **state)
{
	struct actor a = actor('a', NULL), b = actor('b', NULL), c = actor('c', NULL);

	(void)state;
	begin(4);
	pst_loop_resume(&loop, &b.task);
	pst_loop_resume(&loop, &a.task);
	pst_loop_resume(&loop, &b.task);
	pst_loop_resume(&loop, &c.task);
	pst_loop_forget(&a.task);
	pst_loop_forget(&a.task);
	pst_loop_turn(&loop, true);
	check_story("bc");
	pst_loop_turn(&loop, true);
	check_story("");
}

static void asking_while_running_waits_a_turn(void **state)
{
	struct actor a = actor('a', resume_self), b = actor('b', NULL), hook = actor('h', NULL);

	(void)state;
	begin(4);
	pst_loop_hook(&loop, &hook.hook);
	pst_loop_resume(&loop, &a.task);
	pst_loop_resume(&loop, &b.task);
	for (int i = 0; i < 3; i++)
		pst_loop_turn(&loop, true);
	check_story("abhahah");
	assert_int_equal(sim.slept_ms, 0);
}

static void queued_later_in_the_batch_runs_once(void **state)
{
	struct actor a = actor('a', resume_other), b = actor('b', NULL);

	(void)state;
	begin(4);
	a.other = &b;
	pst_loop_resume(&loop, &a.task);
	pst_loop_resume(&loop, &b.task);
	pst_loop_turn(&loop, true);
	pst_loop_turn(&loop, true);
	check_story("ab");
}

static void tasks_may_be_forgotten_by_others(void **state)
{
	struct actor a = actor('a', forget_other), b = actor('b', NULL), c = actor('c', NULL);

	(void)state;
	begin(4);
	a.other = &b;
	pst_loop_resume(&loop, &a.task);
	pst_loop_resume(&loop, &b.task);
	pst_loop_resume(&loop, &c.task);
	pst_loop_turn(&loop, true);
	check_story("ac");
}

static void queued_tasks_keep_the_loop_awake(void **state)
{
	struct actor a = actor('a', NULL), hook = actor('h', resume_other);

	(void)state;
	begin(4);
	hook.other = &a;
	pst_loop_hook(&loop, &hook.hook);
	pst_loop_turn(&loop, false);
	pst_loop_turn(&loop, true);
	check_story("hah");
	assert_false(sim.idle);
}

/* A task that always asks again costs no poll a turn, and keeps nobody from I/O for long. */
static void io_is_polled_between_tasks(void **state)
{
	struct actor a = actor('a', resume_self), timer = actor('t', NULL);

	(void)state;
	begin(4);
	sim.on_deliver = sim_tells;
	pst_timer_set(&loop, &timer.timer, 5000);
	pst_loop_resume(&loop, &a.task);
	for (int i = 0; i < 2 * (PST_LOOP_UNPOLLED_MAX + 1); i++)
		pst_loop_turn(&loop, true);
	check_story("aaaaiaaaaaia");
	assert_int_equal(sim.poll_count, 2);
	assert_int_equal(loop.poll_count, 2);
	assert_int_equal(sim.slept_ms, 0);
}

/* --- hooks ---------------------------------------------------------------------------------- */

static void hooks_run_in_order_of_addition(void **state)
{
	struct actor a = actor('a', NULL), b = actor('b', NULL), c = actor('c', NULL);

	(void)state;
	begin(4);
	pst_loop_hook(&loop, &b.hook);
	pst_loop_hook(&loop, &a.hook);
	pst_loop_hook(&loop, &c.hook);
	pst_loop_turn(&loop, false);
	pst_loop_turn(&loop, false);
	check_story("bacbac");
	pst_loop_unhook(&a.hook);
	pst_loop_unhook(&a.hook);
	pst_loop_turn(&loop, false);
	check_story("bc");
	check_bug(pst_loop_hook(&loop, &b.hook));
}

static void hooks_may_unhook(void **state)
{
	struct actor a = actor('a', unhook_self), b = actor('b', unhook_other);
	struct actor c = actor('c', NULL), d = actor('d', unhook_other);

	(void)state;
	begin(4);
	b.other = &c;
	d.other = &b;
	pst_loop_hook(&loop, &a.hook);
	pst_loop_hook(&loop, &b.hook);
	pst_loop_hook(&loop, &c.hook);
	pst_loop_hook(&loop, &d.hook);
	pst_loop_turn(&loop, false);
	check_story("abd");
	pst_loop_turn(&loop, false);
	check_story("d");
}

/* --- timers --------------------------------------------------------------------------------- */

static void timers_fire_in_order_of_deadlines(void **state)
{
	struct actor a = actor('a', NULL), b = actor('b', NULL), c = actor('c', NULL);

	(void)state;
	begin(4);
	pst_timer_set(&loop, &a.timer, 1300);
	pst_timer_set(&loop, &b.timer, 1100);
	pst_timer_set(&loop, &c.timer, 1200);
	assert_true(pst_timer_armed(&a.timer));
	assert_true(pst_poller_sim_run(&sim, &loop, NULL, NULL, 10));
	check_story("bca");
	assert_int_equal(a.fired_ms, 1300);
	assert_int_equal(b.fired_ms, 1100);
	assert_int_equal(c.fired_ms, 1200);
	assert_false(pst_timer_armed(&a.timer));
}

static void overdue_timers_fire_in_order_too(void **state)
{
	struct actor a = actor('a', NULL), b = actor('b', NULL), c = actor('c', NULL);

	(void)state;
	begin(4);
	pst_timer_set(&loop, &a.timer, 1300);
	pst_timer_set(&loop, &b.timer, 1100);
	pst_timer_set(&loop, &c.timer, 1200);
	pst_poller_sim_pass(&sim, 1000);
	pst_loop_turn(&loop, true);
	check_story("bca");
}

static void not_a_millisecond_early(void **state)
{
	struct actor a = actor('a', NULL);

	(void)state;
	begin(4);
	pst_timer_set(&loop, &a.timer, 1100);
	pst_poller_sim_pass(&sim, 99);
	pst_loop_turn(&loop, false);
	check_story("");
	pst_poller_sim_pass(&sim, 1);
	pst_loop_turn(&loop, false);
	check_story("a");
}

static void later_deadline_is_lazy(void **state)
{
	struct actor a = actor('a', NULL), b = actor('b', NULL);

	(void)state;
	begin(4);
	pst_timer_set(&loop, &a.timer, 1100);
	pst_timer_set(&loop, &b.timer, 1150);
	for (uint64_t due_ms = 1101; due_ms <= 1400; due_ms++)
		pst_timer_set(&loop, &a.timer, due_ms);
	assert_int_equal(loop.heap[0].key_ms, 1100);
	assert_true(pst_poller_sim_run(&sim, &loop, NULL, NULL, 10));
	check_story("ba");
	assert_int_equal(b.fired_ms, 1150);
	assert_int_equal(a.fired_ms, 1400);
}

static void earlier_deadline_counts_at_once(void **state)
{
	struct actor a = actor('a', NULL), b = actor('b', NULL);

	(void)state;
	begin(4);
	pst_timer_set(&loop, &b.timer, 1150);
	pst_timer_set(&loop, &a.timer, 1400);
	pst_timer_set(&loop, &a.timer, 1500);
	pst_timer_set(&loop, &a.timer, 1120);
	assert_true(pst_poller_sim_run(&sim, &loop, NULL, NULL, 10));
	check_story("ab");
	assert_int_equal(a.fired_ms, 1120);
}

/* Later, then earlier again, but not earlier than the heap knows. */
static void deadline_back_and_forth(void **state)
{
	struct actor a = actor('a', NULL);

	(void)state;
	begin(4);
	pst_timer_set(&loop, &a.timer, 1100);
	pst_timer_set(&loop, &a.timer, 1500);
	pst_timer_set(&loop, &a.timer, 1200);
	assert_true(pst_poller_sim_run(&sim, &loop, NULL, NULL, 10));
	assert_int_equal(a.fired_ms, 1200);
	check_story("a");
}

static void cancelled_timers_stay_silent(void **state)
{
	struct actor a = actor('a', cancel_other), b = actor('b', NULL);

	(void)state;
	begin(4);
	pst_timer_cancel(&loop, &b.timer);
	pst_timer_set(&loop, &b.timer, 1100);
	pst_timer_cancel(&loop, &b.timer);
	pst_timer_cancel(&loop, &b.timer);
	assert_false(pst_timer_armed(&b.timer));
	pst_poller_sim_pass(&sim, 1000);
	pst_loop_turn(&loop, false);
	check_story("");
	/* Also one that is due in the same turn. */
	a.other = &b;
	pst_timer_set(&loop, &a.timer, 1001);
	pst_timer_set(&loop, &b.timer, 1002);
	pst_loop_turn(&loop, false);
	check_story("a");
	assert_false(pst_timer_armed(&b.timer));
	assert_true(pst_poller_sim_run(&sim, &loop, NULL, NULL, 10));
	check_story("");
}

static void past_deadlines_fire_in_the_next_turn(void **state)
{
	struct actor a = actor('a', set_self_past);

	(void)state;
	begin(4);
	pst_timer_set(&loop, &a.timer, 1);
	pst_loop_turn(&loop, true);
	check_story("a");
	pst_loop_turn(&loop, true);
	check_story("a");
	assert_int_equal(sim.slept_ms, 0);
	assert_int_equal(loop.now_ms, 1000);
}

static void timers_may_move_each_other(void **state)
{
	struct actor a = actor('a', set_other_past), b = actor('b', NULL), c = actor('c', NULL);

	(void)state;
	begin(4);
	a.other = &b;
	pst_timer_set(&loop, &a.timer, 1000);
	pst_timer_set(&loop, &b.timer, 1000);
	pst_timer_set(&loop, &c.timer, 1000);
	pst_loop_turn(&loop, false);
	/* b was moved, so it waits for the next turn although it was due in this one. */
	check_story("ac");
	assert_true(pst_timer_armed(&b.timer));
	pst_loop_turn(&loop, false);
	check_story("b");
}

/* Lazily moved ones that have all come due: the order is that of the deadlines as they are now. */
static void moved_timers_fire_in_order(void **state)
{
	struct actor a = actor('a', NULL), b = actor('b', NULL), c = actor('c', NULL);

	(void)state;
	begin(4);
	pst_timer_set(&loop, &a.timer, 1010);
	pst_timer_set(&loop, &b.timer, 1020);
	pst_timer_set(&loop, &c.timer, 1030);
	pst_timer_set(&loop, &a.timer, 1025);
	pst_timer_set(&loop, &b.timer, 1040);
	pst_poller_sim_pass(&sim, 100);
	pst_loop_turn(&loop, false);
	check_story("acb");
}

/* A whole heap comes due at once, and the callbacks fill it again. */
static void heap_is_refilled_while_firing(void **state)
{
	struct actor a = actor('a', arm_due_one), b = actor('b', arm_due_one);

	(void)state;
	begin(2);
	a.other = &b;
	b.other = &a;
	pst_timer_set(&loop, &a.timer, 1000);
	pst_timer_set(&loop, &b.timer, 1000);
	pst_loop_turn(&loop, false);
	check_story("a");
	pst_loop_turn(&loop, false);
	check_story("b");
	pst_timer_cancel(&loop, &a.timer);
	pst_timer_cancel(&loop, &b.timer);
}

static void periodic_timer(void **state)
{
	struct actor a = actor('a', set_self_later);

	(void)state;
	begin(1);
	pst_timer_set(&loop, &a.timer, 1010);
	for (int i = 1; i <= 5; i++) {
		pst_loop_turn(&loop, true);
		assert_int_equal(a.fired_ms, 1000 + 10 * i);
	}
	check_story("aaaaa");
	pst_timer_cancel(&loop, &a.timer);
}

static void too_many_timers_are_a_bug(void **state)
{
	struct actor a = actor('a', NULL), b = actor('b', NULL), c = actor('c', NULL);

	(void)state;
	begin(2);
	pst_timer_set(&loop, &a.timer, 1100);
	pst_timer_set(&loop, &b.timer, 1100);
	pst_timer_set(&loop, &b.timer, 1050);
	check_bug(pst_timer_set(&loop, &c.timer, 1100));
	pst_timer_cancel(&loop, &a.timer);
	pst_timer_set(&loop, &c.timer, 1100);
	assert_true(pst_poller_sim_run(&sim, &loop, NULL, NULL, 10));
	check_story("bc");
}

static void no_memory_at_init(void **state)
{
	(void)state;
	pst_alloc_fail_init(&alloc);
	pst_poller_sim_init(&sim, 0);
	pst_alloc_fail_at(&alloc, 1, false);
	assert_int_equal(pst_loop_init(&loop, &sim.poller, &alloc.mem, 8), -PST_E_NOMEM);
	/* Made again for the common end; no timers at all are as good. */
	assert_int_equal(pst_loop_init(&loop, &sim.poller, &alloc.mem, 0), 0);
}

/* --- timers against a model ----------------------------------------------------------------- */

#define MODEL_TIMERS 10000

static struct model {
	struct pst_timer timer;
	uint64_t due_ms; /* 0: not armed */
	uint64_t turn;
} model[MODEL_TIMERS];
static uint64_t model_fired, model_last_due_ms, model_last_turn;

static void model_on_due(struct pst_timer *timer)
{
	struct model *it = PST_CONTAINER(timer, struct model, timer);

	assert_true(it->due_ms > 0 && it->due_ms <= loop.now_ms);
	assert_false(pst_timer_armed(timer));
	if (model_last_turn == loop.turn_count)
		assert_true(it->due_ms >= model_last_due_ms);
	model_last_turn = loop.turn_count;
	model_last_due_ms = it->due_ms;
	it->due_ms = 0;
	model_fired++;
}

static void heap_is_sound(void)
{
	for (uint32_t i = 0; i < loop.heap_count; i++) {
		assert_int_equal(loop.heap[i].timer->index, i + 1);
		assert_true(loop.heap[i].key_ms <= loop.heap[i].timer->due_ms);
		if (i > 0)
			assert_true(loop.heap[(i - 1) / 4].key_ms <= loop.heap[i].key_ms);
	}
}

/* 10,000 timers armed, moved and cancelled at random; a plain array knows which must have fired. */
static void random_timers_against_a_model(void **state)
{
	struct pst_rng_seed seed;
	uint64_t armed = 0;

	(void)state;
	begin(MODEL_TIMERS);
	pst_rng_seed_init(&seed, 4);
	memset(model, 0, sizeof(model));
	model_fired = model_last_due_ms = model_last_turn = 0;
	for (uint32_t i = 0; i < MODEL_TIMERS; i++)
		model[i].timer.on_due = model_on_due;
	for (int round = 0; round < 400; round++) {
		for (uint32_t i = 0; i < 500; i++) {
			struct model *it = &model[pst_rng_seed_below(&seed, MODEL_TIMERS)];

			if (pst_rng_seed_below(&seed, 5) == 0) {
				pst_timer_cancel(&loop, &it->timer);
				it->due_ms = 0;
				continue;
			}
			it->due_ms = loop.now_ms + pst_rng_seed_below(&seed, 3000) + 1;
			pst_timer_set(&loop, &it->timer, it->due_ms);
		}
		pst_poller_sim_pass(&sim, pst_rng_seed_below(&seed, 40));
		pst_loop_turn(&loop, pst_rng_seed_below(&seed, 2) == 0);
		armed = 0;
		for (uint32_t i = 0; i < MODEL_TIMERS; i++) {
			assert_int_equal(pst_timer_armed(&model[i].timer), model[i].due_ms != 0);
			assert_true(model[i].due_ms == 0 || model[i].due_ms > loop.now_ms);
			armed += model[i].due_ms != 0;
		}
		assert_int_equal(loop.heap_count, armed);
		if (round % 20 == 0)
			heap_is_sound();
	}
	assert_true(model_fired > 10000);
	armed += model_fired;
	assert_true(pst_poller_sim_run(&sim, &loop, NULL, NULL, 2 * MODEL_TIMERS));
	assert_int_equal(model_fired, armed);
}

#define test(function) cmocka_unit_test_teardown(function, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(phases_in_order),
		test(clocks_are_read_once_a_turn),
		test(no_sleep_unless_told),
		test(far_deadlines_do_not_overflow),
		test(sleep_does_not_count_as_turn),
		test(slow_callbacks_are_measured),
		test(run_until_stopped),
		test(tasks_run_in_order_and_once),
		test(asking_while_running_waits_a_turn),
		test(queued_later_in_the_batch_runs_once),
		test(tasks_may_be_forgotten_by_others),
		test(queued_tasks_keep_the_loop_awake),
		test(io_is_polled_between_tasks),
		test(hooks_run_in_order_of_addition),
		test(hooks_may_unhook),
		test(timers_fire_in_order_of_deadlines),
		test(overdue_timers_fire_in_order_too),
		test(not_a_millisecond_early),
		test(later_deadline_is_lazy),
		test(earlier_deadline_counts_at_once),
		test(deadline_back_and_forth),
		test(cancelled_timers_stay_silent),
		test(past_deadlines_fire_in_the_next_turn),
		test(timers_may_move_each_other),
		test(moved_timers_fire_in_order),
		test(heap_is_refilled_while_firing),
		test(periodic_timer),
		test(too_many_timers_are_a_bug),
		test(no_memory_at_init),
		test(random_timers_against_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
