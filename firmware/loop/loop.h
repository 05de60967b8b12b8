/* loop/loop.h - one thread, one turn at a time
 *
 * Layer: loop (seam). Uses: base.
 * Implementations of the poller: loop/loop_epoll.c (the system), host-tests/support (simulated).
 * Concept: a turn has a fixed order, in production and in simulation alike: sleep until the nearest
 * deadline or event; read the clock once; expired timers; ready I/O; resumed tasks, in the order
 * they asked; end-of-turn hooks (flush output, flush the log, reap the dead, in the order they were
 * added). Timers, tasks and hooks are embedded in their owners.
 * Memory: one array, made by pst_loop_init; nothing is allocated later.
 * Re-entry: every callback may arm, cancel or resume anything, itself included; none may turn the
 * loop.
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

/* A place in the heap. The key is the deadline that the heap was last told of: never later than the
 * timer's own. */
struct pst_timer_slot {
	uint64_t key_ms;
	struct pst_timer *timer;
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

/* A file descriptor's place in the poller. Zeroed with on_event and fd set: not watched. */
struct pst_watch {
	void (*on_event)(struct pst_watch *watch, uint32_t events); /* the poller's bits */
	int fd;
};

/* What waits and tells the time. Waiting and delivering are two calls, because the clock is read
 * and the timers fire between them. */
struct pst_poller {
	/* Wait at most `timeout_ms` (-1: for ever) and remember what is ready; no callback. */
	void (*poll)(struct pst_poller *self, int timeout_ms);
	/* Deliver what the last poll found. */
	void (*deliver)(struct pst_poller *self);
	uint64_t (*mono_ms)(struct pst_poller *self);
	uint64_t (*wall_ms)(struct pst_poller *self);
};

struct pst_loop {
	struct pst_poller *poller;
	struct pst_mem *mem;
	struct pst_timer_slot *heap; /* 4-ary */
	struct pst_timer **due;      /* the expired ones of this turn, in order */
	uint32_t heap_count, heap_size;
	uint32_t due_count;
	uint32_t unpolled_count;     /* turns since the last poll */
	struct pst_list tasks;
	struct pst_list hooks;
	uint64_t now_ms;  /* read once a turn */
	uint64_t wall_ms; /* likewise; 0 or a jump is possible: nothing may expire by it */
	uint64_t turn_count;
	uint64_t poll_count;
	uint32_t turn_ms_max; /* the longest turn so far, sleep excluded; may be set back to 0 */
	uint32_t turn_ms_last;
	bool stopping;
};

/*  in  timers_max: how many timers will ever be armed at once; the heap is made that large here,
 *      so that arming never fails
 *  ret 0 | -PST_E_NOMEM */
int pst_loop_init(struct pst_loop *loop, struct pst_poller *poller, struct pst_mem *mem,
		  uint32_t timers_max) PST_MUST_CHECK;
void pst_loop_fini(struct pst_loop *loop);

/* One turn. It does not sleep with `wait` false, with a task queued, or when stopping. While tasks
 * keep asking for another turn, I/O is looked at every PST_LOOP_UNPOLLED_MAX turns only: a chain of
 * tasks does not cost one system call per link. */
#define PST_LOOP_UNPOLLED_MAX 4
void pst_loop_turn(struct pst_loop *loop, bool wait);
/* Turns until pst_loop_stop, which ends it behind the current turn. */
void pst_loop_run(struct pst_loop *loop);
void pst_loop_stop(struct pst_loop *loop);

/* Arm, or move, a timer. A later deadline only changes the field (the heap learns of it when the
 * old one comes up), so re-arming at every byte is cheap. Deadlines in the past fire in the next
 * turn. More than `timers_max` armed at once is a bug. */
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
