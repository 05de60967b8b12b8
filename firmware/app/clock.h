/* app/clock.h - the poller that a composition root gives to its loop: the system's, with the log's
 * clock set by it
 *
 * Layer: app. Uses: loop, base.
 * Concept: log lines carry the wall time of their turn. The loop reads that time once a turn,
 * before anything can be logged, through its poller; this one hands it on to the log as well.
 */
#ifndef PST_APP_CLOCK_H
#define PST_APP_CLOCK_H

#include "base/log.h"
#include "loop/loop.h"

struct pst_clock {
	struct pst_poller poller;
	struct pst_poller *inner;
	struct pst_log *log;
};

void pst_clock_init(struct pst_clock *clock, struct pst_poller *inner, struct pst_log *log);

#endif
