/* support/poller_sim.h - a poller in which only the test makes time pass
 *
 * Concept: there is no I/O below it. A poll that may sleep lets the clock jump by the whole timeout,
 * which is to say to the next deadline; one that may not leaves it alone. A poll without a deadline
 * would wait for ever: it returns with `idle` set instead.
 */
#ifndef PST_SUPPORT_POLLER_SIM_H
#define PST_SUPPORT_POLLER_SIM_H

#include "loop/loop.h"

struct pst_poller_sim {
	struct pst_poller poller;
	uint64_t mono_ms;
	uint64_t wall_ms;      /* moves along with mono_ms; may be set, back too */
	uint64_t poll_count;
	uint64_t slept_ms;     /* the sum of all jumps */
	bool idle;             /* the last poll would have waited for ever */
	/* Called in the delivery phase of each polled turn; NULL for none. */
	void (*on_deliver)(struct pst_poller_sim *sim);
	void *owner;
};

/* Starts at `mono_ms`; the wall clock at 2026-11-21T21:00:00Z. */
void pst_poller_sim_init(struct pst_poller_sim *sim, uint64_t mono_ms);
/* Time passes, as if a callback had been slow. */
void pst_poller_sim_pass(struct pst_poller_sim *sim, uint64_t ms);

/* Turns the loop until `done` says so, nothing can happen any more, or `turns_max` are over.
 *  in  done: NULL: until nothing can happen any more
 *  ret true: done said so (with NULL: nothing is left to happen) */
bool pst_poller_sim_run(struct pst_poller_sim *sim, struct pst_loop *loop,
			bool (*done)(void *context), void *context, uint64_t turns_max);

#endif
