/* net/dgram_kernel.h - the datagram seam over kernel sockets
 *
 * Layer: net (adapter). Uses: base, loop/loop_epoll.h. Linux.
 */
#ifndef PST_NET_DGRAM_KERNEL_H
#define PST_NET_DGRAM_KERNEL_H

#include "loop/loop_epoll.h"
#include "net/dgram.h"

struct pst_dgram_kernel {
	struct pst_dgrams dgrams;
	struct pst_epoll *epoll;
	uint32_t receive_bytes; /* SO_RCVBUF of each socket, as given to setsockopt; 0: the system's */
};

/* Nothing to give back. */
void pst_dgram_kernel_init(struct pst_dgram_kernel *kernel, struct pst_epoll *epoll);

#endif
