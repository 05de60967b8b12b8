/* net/dgram.h - the datagram seam: UDP with one peer
 *
 * Layer: net (seam). Uses: base, loop.
 * Implementations: dgram_kernel (kernel sockets).
 * Concept: a socket speaks with one peer only, and what comes from elsewhere is never seen. Each open
 * takes a port of its own, at random. Datagrams get lost, here as on the way: a send that finds no
 * room counts as sent.
 * Lifetime: embedded by the owner, who may use its memory otherwise after close.
 * Re-entry: on_ready comes from the loop, while there is something to be received; it may call
 * anything, close included.
 */
#ifndef PST_NET_DGRAM_H
#define PST_NET_DGRAM_H

#include "base/addr.h"
#include "loop/loop.h"

struct pst_dgrams;
struct pst_dgram;

struct pst_dgram_ops {
	/* in  dgram->peer, dgram->on_ready
	 * ret 0 | -PST_E_UNREACH | -PST_E_NOMEM | -PST_E_IO */
	int (*open)(struct pst_dgrams *dgrams, struct pst_dgram *dgram);
	/* ret 0: sent, or lost | -PST_E_REFUSED, -PST_E_UNREACH: the peer's host says so */
	int (*send)(struct pst_dgram *dgram, struct pst_span data);
	/* One datagram; what is beyond `size` is cut.
	 * ret > 0 bytes | 0: nothing now | -PST_E_REFUSED, -PST_E_UNREACH */
	int64_t (*recv)(struct pst_dgram *dgram, void *area, uint32_t size);
	void (*close)(struct pst_dgram *dgram);
};

struct pst_dgrams {
	const struct pst_dgram_ops *ops;
};

struct pst_dgram {
	void (*on_ready)(struct pst_dgram *dgram);
	struct pst_addr peer, local;
	struct pst_dgrams *dgrams;
	union {
		struct pst_watch watch; /* dgram_kernel */
		void *impl;             /* the others */
	};
	bool open;
};

#endif
