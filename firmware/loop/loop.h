/* loop/loop.h - one thread, one turn at a time
 *
 * Layer: loop (seam). Uses: base.
 * Implementations of the poller: loop/loop_epoll.c (the system), host-tests/support (simulated).
 * Concept: a turn has a fixed order, in production and in simulation alike: read the clock once;
 * expired timers; ready I/O; resumed tasks, in the order they asked; end-of-turn hooks (flush
 * output, flush the log, reap the dead, in the order they were added); sleep until the nearest
 * deadline. Timers, tasks and hooks are embedded in their owners; nothing is allocated per event
 * but the timer heap's array, which grows to the number of timers armed at once.
 * Re-entry: every callback may arm, cancel or resume anything, itself included.
 */
#ifndef PST_LOOP_LOOP_H
#define PST_LOOP_LOOP_H

#include "base/list.h"
#include "base/mem.h"

struct pst_loop;

/* A deadline. Zeroed memory with on_due set is a valid timer that is not armed. */
struct pst_timer {
	void (*on_due)(struct pst_timer *timer);
	uint64_t due_ms;
	uint32_t index; /* place in the heap + 1; 0: not armed */
};

/* A piece of work to be continued in this or the next turn. Zeroed with on_run set: not queued. */
struct pst_task {
	struct pst_node node;
	void (*on_run)(struct pst_task *task);
};

/* Called at the end of every turn. */
struct pst_turn_hook {
	struct pst_node node;
	void (*on_turn_end)(struct pst_turn_hook *hook);
};

/* What waits and tells the time. */
struct pst_poller {
	/* Wait at most `timeout_ms` (-1: for ever) and deliver what is ready. */
	void (*poll)(struct pst_poller *self, int timeout_ms);
	uint64_t (*mono_ms)(struct pst_poller *self);
	uint64_t (*wall_ms)(struct pst_poller *self);
};

struct pst_loop {
	struct pst_poller *poller;
	struct pst_mem *mem;
	struct pst_timer **heap; /* 4-ary */
	uint32_t heap_count, heap_size;
	struct pst_list tasks;
	struct pst_list hooks;
	uint64_t now_ms;  /* read once a turn */
	uint64_t wall_ms; /* likewise; 0 or a jump is possible: nothing may expire by it */
	uint64_t turn_count;
	uint32_t turn_ms_max; /* the longest turn so far, sleep excluded */
	bool stopping;
};

/*  in  timers_max: how many timers will ever be armed at once; the heap is made that large here,
 *      so that arming never fails
 *  ret 0 | -PST_E_NOMEM */
int pst_loop_init(struct pst_loop *loop, struct pst_poller *poller, struct pst_mem *mem,
		  uint32_t timers_max) PST_MUST_CHECK;
void pst_loop_fini(struct pst_loop *loop);

/* One turn. With `wait` false it does not sleep. */
void pst_loop_turn(struct pst_loop *loop, bool wait);
/* Turns until pst_loop_stop. */
void pst_loop_run(struct pst_loop *loop);
void pst_loop_stop(struct pst_loop *loop);

/* Arm, or move, a timer. A later deadline only changes the field (the heap learns of it when the
 * old one comes up), so re-arming at every byte is cheap. Deadlines in the past fire in the next
 * turn. */
void pst_timer_set(struct pst_loop *loop, struct pst_timer *timer, uint64_t due_ms);
void pst_timer_cancel(struct pst_loop *loop, struct pst_timer *timer); /* harmless when not armed */
bool pst_timer_armed(const struct pst_timer *timer);

/* Run the task in the "resumed" phase of this turn, or of the next if that phase has begun.
 * Asking twice is asking once. */
void pst_loop_resume(struct pst_loop *loop, struct pst_task *task);
void pst_loop_forget(struct pst_task *task); /* harmless when not queued */

void pst_loop_hook(struct pst_loop *loop, struct pst_turn_hook *hook);
void pst_loop_unhook(struct pst_turn_hook *hook);

#endif
