/* loop/loop_epoll.h - the system's poller: epoll, CLOCK_MONOTONIC, CLOCK_REALTIME, signals
 *
 * Layer: loop (adapter). Uses: base, loop/loop.h. Linux.
 * Concept: a watch is embedded in its owner and handed to epoll as it is, so an event costs no
 * look-up; closing the descriptor ends the watch. Signals arrive through a signalfd as ordinary
 * events.
 * Lifetime: a watch must not be freed while events of the current poll may still name it:
 * pst_epoll_forget marks it, and the rest of the batch passes it over.
 */
#ifndef PST_LOOP_LOOP_EPOLL_H
#define PST_LOOP_LOOP_EPOLL_H

#include "base/rng.h"
#include "loop/loop.h"

#define PST_EPOLL_BATCH 128

struct pst_epoll {
	struct pst_poller poller;
	int fd;
	int ready_count, ready_index; /* the batch being delivered */
	struct pst_watch *ready_watch[PST_EPOLL_BATCH];
	uint32_t ready_events[PST_EPOLL_BATCH];
};

int pst_epoll_init(struct pst_epoll *epoll) PST_MUST_CHECK;
void pst_epoll_fini(struct pst_epoll *epoll);
/*  in  events: EPOLL* bits; the caller adds EPOLLET where it wants edges
 *  ret 0 | -PST_E_NOMEM | -PST_E_IO */
int pst_epoll_watch(struct pst_epoll *epoll, struct pst_watch *watch, uint32_t events)
	PST_MUST_CHECK;
/* Change what is watched for; what is ready already counts as a new event. */
int pst_epoll_rewatch(struct pst_epoll *epoll, struct pst_watch *watch, uint32_t events)
	PST_MUST_CHECK;
/* No further on_event. Call before closing watch->fd, which ends the watch in the system. */
void pst_epoll_forget(struct pst_epoll *epoll, struct pst_watch *watch);
/* The same for a descriptor that stays open. Harmless when it is not watched. */
void pst_epoll_unwatch(struct pst_epoll *epoll, struct pst_watch *watch);

/* Block the signals and deliver them as events of this watch.
 *  in  signals: 0-terminated list of signal numbers */
struct pst_signals {
	struct pst_watch watch;
	void (*on_signal)(struct pst_signals *signals, int number);
};
int pst_signals_open(struct pst_epoll *epoll, struct pst_signals *signals, const int *numbers)
	PST_MUST_CHECK;
void pst_signals_close(struct pst_epoll *epoll, struct pst_signals *signals);

/* getrandom(2). */
void pst_rng_system_init(struct pst_rng *rng);

#endif
