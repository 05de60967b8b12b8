/* sim/wire.h - hosts with our own TCP/IP on a wire that loses, delays, doubles and damages frames
 *
 * Concept: one lwIP, one interface for each address; frames go from each to all others by a queue in
 * simulated time, each with a fate drawn from the seed.
 */
#ifndef PST_SIM_WIRE_H
#define PST_SIM_WIRE_H

#include "sim/sim.h"

#define SIM_WIRE_TIMERS 8

struct pst_stage_wire *sim_wire_new(struct sim *sim);
void sim_wire_free(struct pst_stage_wire *wire);
/* From now on nothing gets lost. */
void sim_wire_calm(struct pst_stage_wire *wire);
/* Cut a host off for a while: what it sends, what is sent to it, or both.
 *  in  which: any number names one of them */
void sim_wire_part(struct pst_stage_wire *wire, uint32_t which, bool mute, bool deaf, uint64_t ms);

#endif
