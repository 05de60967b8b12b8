/* proxy/message.h - a message on its way through: our trace, its header, its body in pages
 *
 * Layer: proxy. Uses: mail, base.
 * Concept: wire form (CRLF, dot-stuffed) as it came out of the decoder. The header is one
 * contiguous block, so that it can be looked at; the body is a chain of pages. A cursor walks trace,
 * header, body and the final dot line as spans for one gathering write. A held message keeps its
 * pages and can be walked again; a streamed one gives them back behind the cursor.
 * What BDAT carried can be had back as it came, for another BDAT: where the wire form differs from it is
 * kept beside it (but for the header, which goes on in wire form's newlines).
 * Memory: charged to the transaction's share. A header beyond `header_bytes_max` goes on unseen, as
 * body.
 */
#ifndef PST_PROXY_MESSAGE_H
#define PST_PROXY_MESSAGE_H

#include "base/buf.h"
#include "smtp/data.h"
#include "proxy/hold.h"

#define PST_MESSAGE_EDITS_MAX 16384 /* then there is no way back */

struct pst_message {
	struct pst_share *share;
	uint8_t *header;       /* header_size bytes; with the empty line behind it */
	uint32_t header_len, header_size, header_bytes_max;
	bool header_done;      /* complete, or given up as unseen */
	bool header_unseen;
	struct pst_page *first, *last;
	uint64_t body_bytes;   /* in pages now */
	uint64_t bytes;        /* appended in all */
	uint64_t header_bytes; /* of `bytes`, once it is done */
	struct pst_page *edits, *edits_last; /* uint64_t: place in the body, and cr_left_out in bit 0 */
	uint32_t edit_count;
	bool edits_lost;
	struct pst_page *trace; /* our header fields, written last, sent first */
};

struct pst_message_cursor {
	uint8_t part; /* 0 trace, 1 header, 2 body, 3 dot, 4 end */
	uint32_t off; /* in the trace, the header, the page or the dot line */
	struct pst_page *page;
};

void pst_message_init(struct pst_message *message, struct pst_share *share,
		      uint32_t header_bytes_max);
void pst_message_free(struct pst_message *message);

/* Append wire bytes.
 *  ret 0 | -PST_E_NOMEM: over a bound; nothing or part was appended, the message is of no use */
int pst_message_append(struct pst_message *message, struct pst_span wire) PST_MUST_CHECK;
/* Note where the wire form appended last differs from what came. */
void pst_message_edit(struct pst_message *message, const struct pst_smtp_edit *edit);
/* There will be no more: what was collected is header, even without an empty line. */
void pst_message_end(struct pst_message *message);

/* Could `bytes` more be kept now? */
bool pst_message_has_room(const struct pst_message *message, uint32_t bytes);

struct pst_span pst_message_header(const struct pst_message *message);
/* Replace the header by its first `len` bytes' rewrite in place (fields were taken out). */
void pst_message_header_cut(struct pst_message *message, uint32_t len);

/* The buffer for our own fields; NULL when over a bound. */
int pst_message_trace(struct pst_message *message, struct pst_buf *out) PST_MUST_CHECK;
void pst_message_trace_done(struct pst_message *message, const struct pst_buf *trace);

/* A walk over the same without the dot line, stuffing dots, and what the edits say. A zeroed one is at the
 * beginning. */
struct pst_message_raw {
	struct pst_message_cursor cursor;
	uint64_t body_off; /* wire bytes */
	struct pst_page *edits;
	uint32_t edit_off; /* in that page, in entries */
	bool begun, at_line_start;
};

/* The next piece, at most `max` bytes; empty at the end. */
struct pst_span pst_message_raw_next(const struct pst_message *message, struct pst_message_raw *raw,
				     uint64_t max);
/* All of it, in bytes. */
uint64_t pst_message_raw_bytes(const struct pst_message *message);

/* The next spans from the cursor; the dot line only if `with_dot`.
 *  ret number of spans, 0 to count_max */
uint32_t pst_message_spans(const struct pst_message *message,
			   const struct pst_message_cursor *cursor, bool with_dot,
			   struct pst_span *spans, uint32_t count_max);
/* Move on by `bytes` of what the spans were. With `give_back` the pages left behind are freed. */
void pst_message_advance(struct pst_message *message, struct pst_message_cursor *cursor,
			 uint64_t bytes, bool give_back);
/* Everything but the dot line was walked / the dot line too. */
bool pst_message_at_dot(const struct pst_message *message, const struct pst_message_cursor *cursor);
bool pst_message_at_end(const struct pst_message_cursor *cursor);

#endif
