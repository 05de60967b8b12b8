/* support/net_world.h - a loop and a network to test over, real or inside the process
 *
 * Concept: all kinds behave alike to the test. The kernel's sleeps in epoll and moves bytes through
 * the loopback device; the others jump through simulated time: pipes in memory, and lwIP with one
 * interface that reaches itself. A guard timer ends what would never end.
 * Memory: every allocation is counted; net_world_close checks that all came back, that no timer is
 * armed, no task queued, no descriptor open that was not open before.
 */
#ifndef PST_SUPPORT_NET_WORLD_H
#define PST_SUPPORT_NET_WORLD_H

#include "net/dgram_kernel.h"
#include "net/net_kernel.h"
#include "net/net_lwip.h"
#include "net/net_memory.h"
#include "support/alloc_fail.h"
#include "support/poller_sim.h"
#include "support/rng_seed.h"

#define NET_WORLD_PIPE_BYTES 4096

enum net_world_kind { NET_WORLD_KERNEL, NET_WORLD_MEMORY, NET_WORLD_LWIP };

struct net_world {
	enum net_world_kind kind;
	bool real; /* the kernel's */
	struct pst_alloc_fail alloc;
	struct pst_poller_sim sim;
	struct pst_epoll epoll;
	struct pst_loop loop;
	struct pst_net_kernel kernel;
	struct pst_net_memory memory;
	struct pst_rng_seed rng;
	struct pst_lwip lwip;
	struct pst_lwip_interface interface;
	struct pst_frames frames; /* lead nowhere */
	struct pst_net *net; /* the one to use */
	struct pst_dgrams *dgrams; /* likewise; NULL in memory */
	struct pst_dgram_kernel dgram_kernel;
	struct pst_timer guard;
	bool guard_fired;
	int fd_count;
};

void net_world_open(struct net_world *world, enum net_world_kind kind);
/*  ret NULL, or what is wrong */
const char *net_world_close(struct net_world *world);

/* Turns the loop until `done` says so.
 *  ret false: it did not within 10 s (of real or simulated time) */
bool net_world_run(struct net_world *world, bool (*done)(void *context), void *context);
/* Turns the loop for a time: long enough for all that is under way to arrive. */
void net_world_settle(struct net_world *world);

#endif
