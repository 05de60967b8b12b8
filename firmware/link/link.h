/* link/link.h - one peer: a transport with two pooled buffers
 *
 * Layer: link. Uses: net, loop, base.
 * Concept: the owner sees unread bytes in `in` and appends to `out`; the link reads when there is
 * something to read, and sends everything that was appended in one write at the end of the turn.
 * An idle link holds no buffer: they come from pools when bytes come or go, and return empty.
 * Large data does not pass through `out`: pst_link_write takes spans and sends them behind it, in
 * the same system call.
 * Lifetime: embedded in its owner; zeroed memory is a closed link. After pst_link_close there is no
 * further callback. The owner may close the link inside a callback, but not free the memory that
 * holds it before the turn ends.
 */
#ifndef PST_LINK_LINK_H
#define PST_LINK_LINK_H

#include "base/buf.h"
#include "net/net.h"

/* Sizes of the pooled buffers (Kconfig). */
#define PST_LINK_IN_BYTES ((uint32_t)CONFIG_POSTERN_LINK_IN_KIB * 1024)
#define PST_LINK_OUT_BYTES ((uint32_t)CONFIG_POSTERN_LINK_OUT_KIB * 1024)

/* Reads of one readiness at most, before others get their turn. */
#define PST_LINK_READS_MAX 4

/* What all links of a process share. */
struct pst_links {
	struct pst_loop *loop;
	struct pst_list pending; /* links with output to flush at the end of the turn */
	struct pst_turn_hook hook;
};

struct pst_link {
	struct pst_net_conn conn;
	struct pst_links *links;
	struct pst_pool *in_pool;
	struct pst_pool *out_pool;
	struct pst_buf in;
	struct pst_buf out;
	struct pst_node pending;
	/* Bytes are in `in`, or `end` or `error` has just been set. Consume what can be consumed. */
	void (*on_input)(struct pst_link *link);
	/* After a connect, or after pst_link_write or a full `out` met their bound: there is room. */
	void (*on_room)(struct pst_link *link);
	int error;         /* PST_E_*: the connection is broken, nothing can be sent */
	bool end;          /* the peer will send no more; what it sent is in `in` */
	bool reading;      /* the owner wants input */
	bool wants_room;   /* on_room is due when output has drained */
	bool starved;      /* no buffer was to be had; tried again at the end of the turn */
};

void pst_links_init(struct pst_links *links, struct pst_loop *loop);
void pst_links_fini(struct pst_links *links);

/* Prepare a link; then give &link->conn to the net seam (as the answer to on_accept, or by
 * pst_link_connect). Pool blocks are `size` bytes of buffer. */
void pst_link_init(struct pst_link *link, struct pst_links *links, struct pst_pool *in_pool,
		   struct pst_pool *out_pool);

/* on_room tells of success; a failure comes as on_input with `error` set.
 *  ret 0 | -PST_E_*: nothing was begun */
int pst_link_connect(struct pst_link *link, struct pst_net *net, const struct pst_addr *peer)
	PST_MUST_CHECK;

/* Whether on_input shall come. Input that is already buffered is not told again: an owner that
 * left bytes in `in` looks at them itself, and calls this once more when it has consumed bytes
 * outside of on_input, so that a full buffer is read into again and an empty one goes back. */
void pst_link_read(struct pst_link *link, bool wanted);

/* The buffer for output, with at least `room` free bytes, to be flushed at the end of this turn;
 * NULL if there is not so much room, or no memory for it: on_room will come. */
struct pst_buf *pst_link_out(struct pst_link *link, uint32_t room) PST_MUST_CHECK;

/* Send spans behind what `out` holds, as far as the transport takes them now. When it does not take
 * all, on_room will come.
 *  ret >= 0 bytes taken of the spans | -PST_E_*: broken, link->error is set */
int64_t pst_link_write(struct pst_link *link, const struct pst_span *spans, uint32_t count)
	PST_MUST_CHECK;

/* Send what `out` holds now rather than at the end of the turn.
 *  ret true: all of it left */
bool pst_link_flush(struct pst_link *link);

/* Give the buffers back and end the connection; what is unsent is lost. With `reset` the peer is
 * told that the stream was cut. Harmless on a closed link. */
void pst_link_close(struct pst_link *link, bool reset);
bool pst_link_is_open(const struct pst_link *link);

#endif
