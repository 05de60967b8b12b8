/* loop/loop.c - turns, the timer heap, tasks and hooks
 *
 * The heap has four children a node: half the depth of a binary one, and the four lie in one or two
 * cache lines. Each place carries its own key, because a timer that is moved to a later deadline
 * only changes its field: the key stays, too early, and is put right when it comes up. A session
 * that moves its deadline at every command so pays for the heap once per deadline, not once per
 * command.
 * Rejected: a timer wheel (deadlines reach from 20 ms to an hour, and a wheel ticks or cascades
 * when idle).
 *
 * Expired timers are taken out of the heap first and fired then, so that a timer that is armed for
 * the past by a callback waits for the next turn and cannot keep this one from its end.
 */
#include "loop/loop.h"

#include <limits.h>

#define CHILDREN 4

/* A timer's `index`: 0, its place in the heap + 1, or that plus heap_size for one in `due`. */

static void place(struct pst_loop *loop, uint32_t at, struct pst_timer_slot slot)
{
	loop->heap[at] = slot;
	slot.timer->index = at + 1;
}

static void sift_up(struct pst_loop *loop, uint32_t at, struct pst_timer_slot slot)
{
	while (at > 0) {
		uint32_t parent = (at - 1) / CHILDREN;

		if (loop->heap[parent].key_ms <= slot.key_ms)
			break;
		place(loop, at, loop->heap[parent]);
		at = parent;
	}
	place(loop, at, slot);
}

static void sift_down(struct pst_loop *loop, uint32_t at, struct pst_timer_slot slot)
{
	for (;;) {
		uint32_t first = at * CHILDREN + 1;
		uint32_t end = PST_MIN(first + CHILDREN, loop->heap_count);
		uint32_t least = first;

		if (first >= loop->heap_count)
			break;
		for (uint32_t child = first + 1; child < end; child++) {
			if (loop->heap[child].key_ms < loop->heap[least].key_ms)
				least = child;
		}
		if (slot.key_ms <= loop->heap[least].key_ms)
			break;
		place(loop, at, loop->heap[least]);
		at = least;
	}
	place(loop, at, slot);
}

static void heap_remove(struct pst_loop *loop, uint32_t at)
{
	struct pst_timer_slot last = loop->heap[--loop->heap_count];

	if (at == loop->heap_count)
		return;
	if (at > 0 && last.key_ms < loop->heap[(at - 1) / CHILDREN].key_ms)
		sift_up(loop, at, last);
	else
		sift_down(loop, at, last);
}

void pst_timer_cancel(struct pst_loop *loop, struct pst_timer *timer)
{
	uint32_t index = timer->index;

	if (index == 0)
		return;
	timer->index = 0;
	if (index > loop->heap_size)
		loop->due[index - loop->heap_size - 1] = NULL;
	else
		heap_remove(loop, index - 1);
}

void pst_timer_set(struct pst_loop *loop, struct pst_timer *timer, uint64_t due_ms)
{
	struct pst_timer_slot slot = {.key_ms = due_ms, .timer = timer};

	if (timer->index > loop->heap_size)
		pst_timer_cancel(loop, timer);
	timer->due_ms = due_ms;
	if (timer->index == 0) {
		PST_BUG_ON(loop->heap_count == loop->heap_size);
		sift_up(loop, loop->heap_count++, slot);
	} else if (due_ms < loop->heap[timer->index - 1].key_ms) {
		sift_up(loop, timer->index - 1, slot);
	}
}

bool pst_timer_armed(const struct pst_timer *timer)
{
	return timer->index != 0;
}

static void collect_due(struct pst_loop *loop)
{
	loop->due_count = 0;
	while (loop->heap_count > 0 && loop->heap[0].key_ms <= loop->now_ms) {
		struct pst_timer_slot slot = loop->heap[0];

		if (slot.timer->due_ms > slot.key_ms) {
			slot.key_ms = slot.timer->due_ms;
			sift_down(loop, 0, slot);
			continue;
		}
		heap_remove(loop, 0);
		loop->due[loop->due_count++] = slot.timer;
		slot.timer->index = loop->heap_size + loop->due_count;
	}
}

static void fire_due(struct pst_loop *loop)
{
	collect_due(loop);
	for (uint32_t i = 0; i < loop->due_count; i++) {
		struct pst_timer *timer = loop->due[i];

		if (!timer)
			continue;
		timer->index = 0;
		timer->on_due(timer);
	}
	loop->due_count = 0;
}

int pst_loop_init(struct pst_loop *loop, struct pst_poller *poller, struct pst_mem *mem,
	uint32_t timers_max)
{
	uint32_t size = PST_MAX(timers_max, 1);
	size_t slot_bytes = sizeof(*loop->heap) + sizeof(*loop->due);

	PST_BUG_ON(size > UINT32_MAX / 2);
	*loop = (struct pst_loop){.poller = poller, .mem = mem, .heap_size = size};
	pst_list_init(&loop->tasks);
	pst_list_init(&loop->hooks);
	loop->heap = pst_mem_alloc(mem, size * slot_bytes);
	if (!loop->heap)
		return -PST_E_NOMEM;
	loop->due = (struct pst_timer **)(void *)(loop->heap + size);
	loop->now_ms = poller->mono_ms(poller);
	loop->wall_ms = poller->wall_ms(poller);
	return 0;
}

void pst_loop_fini(struct pst_loop *loop)
{
	pst_mem_free(loop->mem, loop->heap,
		loop->heap_size * (sizeof(*loop->heap) + sizeof(*loop->due)));
	*loop = (struct pst_loop){.mem = NULL};
}

/* Milliseconds until something must happen; -1 for never. */
static int sleep_ms(const struct pst_loop *loop, bool wait)
{
	uint64_t now_ms;

	if (!wait || loop->stopping || !pst_list_empty(&loop->tasks))
		return 0;
	if (loop->heap_count == 0)
		return -1;
	/* The turn took time; a sleep counted from its start would end late. */
	now_ms = loop->poller->mono_ms(loop->poller);
	if (loop->heap[0].key_ms <= now_ms)
		return 0;
	return (int)PST_MIN(loop->heap[0].key_ms - now_ms, (uint64_t)INT_MAX);
}

static void run_tasks(struct pst_loop *loop)
{
	struct pst_list batch;
	struct pst_node *node;

	pst_list_init(&batch);
	pst_list_move(&batch, &loop->tasks);
	while ((node = pst_list_pop(&batch)) != NULL) {
		struct pst_task *task = PST_CONTAINER(node, struct pst_task, node);

		task->on_run(task);
	}
}

static void run_hooks(struct pst_loop *loop)
{
	struct pst_list done;
	struct pst_node *node;

	/* Each hook moves to `done` before it runs: so one may unhook any, itself included. */
	pst_list_init(&done);
	while ((node = pst_list_pop(&loop->hooks)) != NULL) {
		struct pst_turn_hook *hook = PST_CONTAINER(node, struct pst_turn_hook, node);

		pst_list_append(&done, node);
		hook->on_turn_end(hook);
	}
	pst_list_move(&loop->hooks, &done);
}

void pst_loop_turn(struct pst_loop *loop, bool wait)
{
	struct pst_poller *poller = loop->poller;
	bool polled = pst_list_empty(&loop->tasks) || loop->unpolled_count >= PST_LOOP_UNPOLLED_MAX;

	if (polled) {
		poller->poll(poller, sleep_ms(loop, wait));
		loop->poll_count++;
		loop->unpolled_count = 0;
	} else {
		loop->unpolled_count++;
	}
	loop->now_ms = poller->mono_ms(poller);
	loop->wall_ms = poller->wall_ms(poller);
	loop->turn_count++;

	fire_due(loop);
	if (polled)
		poller->deliver(poller);
	run_tasks(loop);
	run_hooks(loop);

	loop->turn_ms_last = (uint32_t)(poller->mono_ms(poller) - loop->now_ms);
	loop->turn_ms_max = PST_MAX(loop->turn_ms_max, loop->turn_ms_last);
}

void pst_loop_run(struct pst_loop *loop)
{
	while (!loop->stopping)
		pst_loop_turn(loop, true);
}

void pst_loop_stop(struct pst_loop *loop)
{
	loop->stopping = true;
}

void pst_loop_resume(struct pst_loop *loop, struct pst_task *task)
{
	if (!pst_node_linked(&task->node))
		pst_list_append(&loop->tasks, &task->node);
}

void pst_loop_forget(struct pst_task *task)
{
	pst_list_remove(&task->node);
}

void pst_loop_hook(struct pst_loop *loop, struct pst_turn_hook *hook)
{
	pst_list_append(&loop->hooks, &hook->node);
}

void pst_loop_unhook(struct pst_turn_hook *hook)
{
	pst_list_remove(&hook->node);
}
