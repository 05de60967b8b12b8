/* net/net.h - the stream seam: listening, connecting, reading and writing byte streams
 *
 * Layer: net (seam). Uses: base, loop.
 * Implementations: net_kernel (epoll sockets), net_lwip (our own TCP/IP), net_memory (pipes inside
 * the process); one contract suite in host-tests/contract/test_net.c runs over each.
 * Concept: readiness and pull. The implementation keeps ready bits; the owner says with `want`
 * what it would like to hear of and is called back while that is ready (level-triggered to the
 * owner, whatever happens below). Bytes the owner does not read stay below and hold the peer back.
 * Lifetime: the owner embeds the connection; the implementation frees what it keeps besides in
 * abort. After abort there is no further callback and the memory is the owner's.
 * Re-entry: on_ready, on_accept and on_accepted come from the loop's I/O or task phase, never from
 * inside a call. Each may call anything, abort of the same or of another connection and unlisten
 * included; a listener's memory must outlive its callbacks, and on_accepted follows the on_accept
 * that gave a connection even if unlisten was called in it.
 * Timers: a listener arms one while it pauses; count it in the loop's timers_max.
 */
#ifndef PST_NET_NET_H
#define PST_NET_NET_H

#include "base/addr.h"
#include "loop/loop.h"
#include "net/syn.h"

enum {
	PST_NET_READ = 1,  /* bytes, or the peer's end, can be read */
	PST_NET_WRITE = 2, /* room to write; after connect: the outcome is known */
};

/* Spans of one write at most. */
#define PST_NET_SPANS_MAX 32

struct pst_net;
struct pst_net_conn;
struct pst_net_listener;

struct pst_net_ops {
	/* Open a listening endpoint and start accepting.
	 *  in  listener->local: address and port; port 0 takes any and writes it back
	 *  ret 0 | -PST_E_BUSY: in use | -PST_E_ACCESS | -PST_E_UNREACH: not our address
	 *      | -PST_E_NOMEM | -PST_E_IO */
	int (*listen)(struct pst_net *net, struct pst_net_listener *listener);
	/* Stop listening; accepted connections live on. */
	void (*unlisten)(struct pst_net *net, struct pst_net_listener *listener);
	/* Start connecting to conn->peer. The outcome is told by on_ready with PST_NET_WRITE (a
	 * `want` of it is implied): a write then gives > 0 (>= 0 for no bytes), or the error.
	 * Before that, reads and writes give 0. conn->local is set when connect returns 0.
	 *  ret 0 | -PST_E_*: nothing was begun, conn is untouched */
	int (*connect)(struct pst_net *net, struct pst_net_conn *conn);
	/* Take what has arrived, at most `size` bytes.
	 *  ret > 0 bytes | 0: nothing now | -PST_E_CLOSED: the peer has finished sending (all its
	 *      bytes were read) | other -PST_E_*: the connection is broken (what had arrived before
	 *      was read). An end or an error, once returned, is returned again, but on_ready does
	 *      not tell of it again. */
	int64_t (*read)(struct pst_net_conn *conn, void *area, uint32_t size);
	/* Hand over bytes, in order, as far as there is room (one system call for all spans).
	 *  in  spans: at most PST_NET_SPANS_MAX, borrowed for the call
	 *  ret >= 0 bytes taken | -PST_E_*: the connection is broken */
	int64_t (*write)(struct pst_net_conn *conn, const struct pst_span *spans, uint32_t count);
	/* Say which readiness shall be told; 0 for none (and none is wanted after an accept). An
	 * error makes both ready. */
	void (*want)(struct pst_net_conn *conn, uint32_t mask);
	/* Finish sending: the peer reads an end after all that was written. Reading goes on. */
	void (*shutdown)(struct pst_net_conn *conn);
	/* End the connection and free what lies behind it. With `reset` the peer gets an error, and
	 * what it had not been sent is gone; else what was written is still delivered, then an end.
	 * Legal at any time after listen's accept or a connect that returned 0, exactly once. */
	void (*abort)(struct pst_net_conn *conn, bool reset);
	/* How an accepted connection began; to be asked once, and where keep_syn was called before
	 * the client came. May be NULL where nobody can know.
	 *  out syn: ttl 0 if it is not known */
	void (*syn)(struct pst_net_conn *conn, struct pst_net_syn *syn);
	/* From now on remember how clients of this open listener begin, or no longer. NULL: it is
	 * remembered anyway. A system that cannot do so goes without. */
	void (*keep_syn)(struct pst_net_listener *listener, bool keep);
};

struct pst_net {
	const struct pst_net_ops *ops;
	struct pst_loop *loop;
};

/* One connection, embedded in its owner. The owner sets on_ready (and peer before a connect) and
 * reads peer and local; the rest is the implementation's. */
struct pst_net_conn {
	const struct pst_net_ops *ops;
	void (*on_ready)(struct pst_net_conn *conn, uint32_t ready);
	struct pst_addr peer, local;
	struct pst_net *net;
	union {
		struct pst_watch watch; /* net_kernel */
		void *impl;             /* the others */
	};
	struct pst_task task;
	uint8_t want, ready;
	uint8_t error; /* enum pst_err: what broke it, once something did */
	uint8_t flags;
	bool open; /* between a successful connect or accept and abort */
};

struct pst_net_listener {
	/* A client is there. Give the (zeroed or reusable) connection to attach it to, with
	 * on_ready set, or NULL to refuse it; *refusal, if set then, is sent as far as it fits at
	 * once before the client is closed. The connection is open when on_accepted is called. */
	struct pst_net_conn *(*on_accept)(struct pst_net_listener *listener,
					  const struct pst_addr *peer, struct pst_span *refusal);
	/* The connection given by on_accept is open and may be written to. */
	void (*on_accepted)(struct pst_net_listener *listener, struct pst_net_conn *conn);
	struct pst_addr local;
	void *owner;
	struct pst_net *net;
	union {
		struct pst_watch watch; /* net_kernel */
		void *impl;             /* the others */
	};
	struct pst_timer pause; /* while the system has no descriptors to accept with */
	uint64_t poll_last;     /* the loop's poll that last found a client, */
	uint32_t burst_count;   /* and how many were to be accepted then */
	bool open;
};

#endif
