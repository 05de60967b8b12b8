/* net/net_memory.h - the stream seam inside one process
 *
 * Layer: net (adapter). Uses: base, loop.
 * Concept: connect finds the listener of the same address and port; each direction is a bounded
 * buffer. Delivery happens in the loop's task phase, so everything is as asynchronous as a real
 * network, and deterministic. Used by tests, by `postern explain` and by the simulator's unit.
 * Memory: two buffers of `pipe_bytes` per connection, from the given allocator.
 */
#ifndef PST_NET_NET_MEMORY_H
#define PST_NET_NET_MEMORY_H

#include "net/net.h"

struct pst_net_memory {
	struct pst_net net;
	struct pst_mem *mem;
	struct pst_list listeners;
	uint32_t pipe_bytes; /* room per direction */
	uint16_t port_next;  /* for port 0 and for connecting ends */
	/* What the accepting end sees as the client's address; 127.0.0.1 at first. */
	struct pst_addr source;
	struct pst_net_syn syn; /* and how the client began; zeroed at first: nobody knows */
	/* Whose callback is running; NULL once that was closed in it. */
	struct pst_net_conn *current;
	struct pst_net_listener *accepting;
};

void pst_net_memory_init(struct pst_net_memory *memory, struct pst_loop *loop, struct pst_mem *mem,
			 uint32_t pipe_bytes);
/* Forgets the listeners; every connection must have been aborted. */
void pst_net_memory_fini(struct pst_net_memory *memory);

#endif
