#include "app/clock.h"

static struct pst_clock *clock_of(struct pst_poller *poller)
{
	return PST_CONTAINER(poller, struct pst_clock, poller);
}

static void clock_poll(struct pst_poller *self, int timeout_ms)
{
	struct pst_poller *inner = clock_of(self)->inner;

	inner->poll(inner, timeout_ms);
}

static void clock_deliver(struct pst_poller *self)
{
	struct pst_poller *inner = clock_of(self)->inner;

	inner->deliver(inner);
}

static uint64_t clock_mono_ms(struct pst_poller *self)
{
	struct pst_poller *inner = clock_of(self)->inner;

	return inner->mono_ms(inner);
}

static uint64_t clock_wall_ms(struct pst_poller *self)
{
	struct pst_clock *clock = clock_of(self);

	clock->log->wall_ms = clock->inner->wall_ms(clock->inner);
	return clock->log->wall_ms;
}

void pst_clock_init(struct pst_clock *clock, struct pst_poller *inner, struct pst_log *log)
{
	*clock = (struct pst_clock){
		.poller = {.poll = clock_poll,
			   .deliver = clock_deliver,
			   .mono_ms = clock_mono_ms,
			   .wall_ms = clock_wall_ms},
		.inner = inner,
		.log = log,
	};
}
