/* net/net_kernel.h - the stream seam over kernel sockets
 *
 * Layer: net (adapter). Uses: base, loop/loop_epoll.h. Linux.
 * Concept: one EPOLL_CTL_ADD per connection (edge-triggered), never a DEL; ready bits are kept here
 * and cleared by EAGAIN or a short read; a write is tried first and polled for only after the
 * kernel's buffer was full once. Accepting has a budget per turn. TCP_NODELAY and the buffer sizes
 * are set on the listener and inherited; TCP_DEFER_ACCEPT is never set, because we speak first.
 * Memory: the kernel's buffers are set explicitly, so that their sum is part of the printed bound.
 */
#ifndef PST_NET_NET_KERNEL_H
#define PST_NET_NET_KERNEL_H

#include "loop/loop_epoll.h"
#include "net/net.h"

struct pst_net_kernel {
	struct pst_net net;
	struct pst_epoll *epoll;
	/* SO_RCVBUF and SO_SNDBUF of accepted and of connected sockets (bytes as given to
	 * setsockopt: the kernel books twice that). 0 leaves the system's choice. */
	uint32_t accept_receive_bytes, accept_send_bytes;
	uint32_t connect_receive_bytes, connect_send_bytes;
	uint32_t accept_turn_max; /* clients accepted per listener and turn */
	uint32_t backlog_count;   /* clients that may wait in the kernel to be accepted */
	uint64_t pause_count;     /* how often accepting paused for want of descriptors or memory */
	/* Whose callback is running; NULL once that was closed in it. */
	struct pst_net_conn *current;
	struct pst_net_listener *accepting;
};

/* Sets defaults (the system's buffers, 16 clients per turn, a backlog of 128); the caller may
 * change the fields before it listens or connects. Nothing to give back. */
void pst_net_kernel_init(struct pst_net_kernel *kernel, struct pst_epoll *epoll,
			 struct pst_loop *loop);

#endif
