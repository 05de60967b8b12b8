/* support/poller_sim.c - simulated time */
#include "support/poller_sim.h"

static struct pst_poller_sim *sim_of(struct pst_poller *poller)
{
	return PST_CONTAINER(poller, struct pst_poller_sim, poller);
}

static void sim_poll(struct pst_poller *poller, int timeout_ms)
{
	struct pst_poller_sim *sim = sim_of(poller);

	sim->poll_count++;
	sim->idle = timeout_ms < 0;
	if (timeout_ms > 0) {
		pst_poller_sim_pass(sim, (uint64_t)timeout_ms);
		sim->slept_ms += (uint64_t)timeout_ms;
	}
}

static void sim_deliver(struct pst_poller *poller)
{
	struct pst_poller_sim *sim = sim_of(poller);

	if (sim->on_deliver)
		sim->on_deliver(sim);
}

static uint64_t sim_mono_ms(struct pst_poller *poller)
{
	return sim_of(poller)->mono_ms;
}

static uint64_t sim_wall_ms(struct pst_poller *poller)
{
	return sim_of(poller)->wall_ms;
}

void pst_poller_sim_init(struct pst_poller_sim *sim, uint64_t mono_ms)
{
	*sim = (struct pst_poller_sim){
		.poller = {
			.poll = sim_poll,
			.deliver = sim_deliver,
			.mono_ms = sim_mono_ms,
			.wall_ms = sim_wall_ms,
		},
		.mono_ms = mono_ms,
		.wall_ms = UINT64_C(1795294800000),
	};
}

void pst_poller_sim_pass(struct pst_poller_sim *sim, uint64_t ms)
{
	sim->mono_ms += ms;
	sim->wall_ms += ms;
}

bool pst_poller_sim_run(struct pst_poller_sim *sim, struct pst_loop *loop,
	bool (*done)(void *context), void *context, uint64_t turns_max)
{
	for (uint64_t i = 0; i < turns_max; i++) {
		if (done && done(context))
			return true;
		pst_loop_turn(loop, true);
		if (sim->idle && pst_list_empty(&loop->tasks) && loop->heap_count == 0)
			return done ? done(context) : true;
	}
	return done && done(context);
}
