/* link/link.h - one peer: a transport, TLS above it where asked for, and two pooled buffers
 *
 * Layer: link. Uses: net, tls, loop, base.
 * Concept: the owner sees unread bytes in `in` and appends to `out`; the link reads when there is
 * something to read, and sends everything that was appended in one write at the end of the turn.
 * An idle link holds no buffer: they come from pools when bytes come or go, and return empty.
 * Large data does not pass through `out`: pst_link_write takes spans and sends them behind it, in
 * the same system call.
 * TLS can begin at any point of a stream (pst_link_secure). Handshakes are worked on one step a
 * turn for the whole process, in the order they asked, because a step may cost milliseconds.
 * Lifetime: embedded in its owner; zeroed memory is a closed link. After pst_link_close there is no
 * further callback. The owner may close the link inside a callback, but not free the memory that
 * holds it before the turn ends.
 */
#ifndef PST_LINK_LINK_H
#define PST_LINK_LINK_H

#include "base/buf.h"
#include "net/net.h"
#include "tls/tls.h"

/* Sizes of the pooled buffers (Kconfig). */
#define PST_LINK_IN_BYTES ((uint32_t)CONFIG_POSTERN_LINK_IN_KIB * 1024)
#define PST_LINK_OUT_BYTES ((uint32_t)CONFIG_POSTERN_LINK_OUT_KIB * 1024)

/* A link that found no buffer looks again after so long: at once would be a turn without end. */
#define PST_LINK_RETRY_MS 20

/* Links that are read at a rate get what is due to them this often. */
#define PST_LINK_PACE_MS 100

/* Reads of one readiness at most, before others get their turn. */
#define PST_LINK_READS_MAX 4

/* What all links of a process share. */
struct pst_links {
	struct pst_loop *loop;
	struct pst_list pending; /* links with output to flush at the end of the turn */
	struct pst_turn_hook hook;
	struct pst_list starved; /* links that found no buffer */
	struct pst_timer retry;  /* when they look again */
	struct pst_list paced;   /* links that are read at a rate */
	struct pst_timer pace;   /* when they get more, */
	uint64_t paced_ms;       /* and when they last did */
	struct pst_list handshakes; /* links that can do a step now */
	struct pst_task handshake_task;
	uint32_t handshake_count; /* links between pst_link_secure and on_secured */
};

enum pst_link_mode {
	PST_LINK_PLAIN,
	PST_LINK_HANDSHAKE,
	PST_LINK_SECURE,
};

struct pst_link {
	struct pst_net_conn conn;
	struct pst_links *links;
	struct pst_pool *in_pool;
	struct pst_pool *out_pool;
	struct pst_buf in;
	struct pst_buf out;
	struct pst_node pending, hungry, paced;
	uint32_t pace_bytes_per_s; /* 0: read as it comes */
	uint64_t pace_credit;      /* thousandths of bytes that may be read now */
	struct pst_tls *tls;
	struct pst_buf raw;    /* records received and not opened yet */
	struct pst_buf sealed; /* records to be sent */
	struct pst_node handshake;
	struct pst_task task;  /* more plaintext may come of what was received */
	/* Bytes are in `in`, or `end` or `error` has just been set. Consume what can be consumed. */
	void (*on_input)(struct pst_link *link);
	/* After a connect, or after pst_link_write or a full `out` met their bound: there is room. */
	void (*on_room)(struct pst_link *link);
	/* The handshake is over: 0, or -PST_E_* with `error` set. */
	void (*on_secured)(struct pst_link *link, int result);
	uint8_t mode;      /* enum pst_link_mode */
	int error;         /* PST_E_*: the connection is broken, nothing can be sent */
	bool end;          /* the peer will send no more; what it sent is in `in` */
	bool raw_end;      /* with TLS: the same below it; what it sent may not be opened yet */
	bool unopened;     /* with TLS: `in` was full while there was more to open */
	bool reading;      /* the owner wants input */
	bool wants_room;   /* on_room is due when output has drained */
	bool connecting;   /* the outcome has not been told */
};

/* Takes two timers of the loop's. */
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

/* From now on read no more than this on the average, in bytes per second (with TLS: of records); 0: as it
 * comes. What the peer sends meanwhile is left with the transport, which shuts the peer's window. */
void pst_link_pace(struct pst_link *link, uint32_t bytes_per_s);

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

/* Begin TLS. Whatever of the peer's was read in the clear and not consumed is dropped (RFC 3207
 * section 6); what was written must have left. on_secured follows, never inside this call.
 *  in   peer: of a client; NULL for a server
 *  ret  0 | -PST_E_*: nothing was begun */
int pst_link_secure(struct pst_link *link, struct pst_tls_context *context,
		    const struct pst_tls_peer *peer) PST_MUST_CHECK;

/* What was read and not consumed is the beginning of a handshake: where TLS stands behind a header of
 * another kind. To be called just before pst_link_secure. */
void pst_link_unread_is_raw(struct pst_link *link);

/* Why the handshake failed, or the connection broke: a phrase for the log. */
const char *pst_link_tls_failure(const struct pst_link *link);

/* Nothing more will be sent: with TLS close_notify, then the transport's end. Reading goes on. */
void pst_link_shutdown(struct pst_link *link);

/* Give the buffers back and end the connection; what is unsent is lost. With `reset` the peer is
 * told that the stream was cut. Harmless on a closed link. */
void pst_link_close(struct pst_link *link, bool reset);
bool pst_link_is_open(const struct pst_link *link);

#endif
