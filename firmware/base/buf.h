/* base/buf.h - a bounded byte buffer: append at the end, consume at the front
 *
 * Layer: base.
 * Concept: one contiguous area with a read offset. What is unread is always one span, so parsers
 * never see a seam. Consuming the last byte resets the offset; pst_buf_compact moves the rest to
 * the front when the tail has no room.
 * Memory: the area belongs to the caller (usually a pool block); the buffer never allocates.
 */
#ifndef PST_BASE_BUF_H
#define PST_BASE_BUF_H

#include <stdarg.h>

#include "base/span.h"

struct pst_buf {
	uint8_t *area; /* NULL: absent; size is 0 then */
	uint32_t size; /* capacity */
	uint32_t head; /* first unread byte */
	uint32_t len;  /* unread bytes */
};

void pst_buf_init(struct pst_buf *buf, void *area, uint32_t size);
void pst_buf_clear(struct pst_buf *buf);

/* The unread bytes, valid until the buffer is next changed. */
static inline struct pst_span pst_buf_span(const struct pst_buf *buf)
{
	return (struct pst_span){buf->area ? buf->area + buf->head : NULL, buf->len};
}

/* Bytes that can be appended without compacting / in all. */
static inline uint32_t pst_buf_tail_room(const struct pst_buf *buf)
{
	return buf->size - buf->head - buf->len;
}

static inline uint32_t pst_buf_room(const struct pst_buf *buf)
{
	return buf->size - buf->len;
}

void pst_buf_consume(struct pst_buf *buf, uint32_t len);
/* And overwrite all that is not unread: it was a secret. */
void pst_buf_consume_wiped(struct pst_buf *buf, uint32_t len);
void pst_buf_compact(struct pst_buf *buf);

/* Where a read may store bytes (pst_buf_tail_room of them), and the word that it did. NULL for an
 * absent buffer. */
uint8_t *pst_buf_tail(struct pst_buf *buf);
void pst_buf_commit(struct pst_buf *buf, uint32_t len);

/* Append all or nothing; compact first where that makes room.
 *  ret 0 | -PST_E_FULL: nothing was appended */
int pst_buf_put(struct pst_buf *buf, struct pst_span span) PST_MUST_CHECK;
int pst_buf_put_text(struct pst_buf *buf, const char *text) PST_MUST_CHECK;
int pst_buf_put_byte(struct pst_buf *buf, uint8_t byte) PST_MUST_CHECK;
int pst_buf_put_u64(struct pst_buf *buf, uint64_t number) PST_MUST_CHECK;
/* For our own text only; a `%s` never gets wire bytes. A text above PST_BUF_PRINTF_EXACT bytes
 * needs one byte of room more than it has. */
#define PST_BUF_PRINTF_EXACT 511
int pst_buf_printf(struct pst_buf *buf, const char *format, ...) PST_MUST_CHECK PST_PRINTF(2, 3);
int pst_buf_vprintf(struct pst_buf *buf, const char *format, va_list args) PST_MUST_CHECK;

/* Append peer bytes made harmless for a log or a reply: bytes outside printable ASCII, and the
 * quote and backslash, become \xHH; more than `max` bytes of input end in "...".
 * What does not fit is cut, never an error. */
void pst_buf_put_escaped(struct pst_buf *buf, struct pst_span span, uint32_t max);

#endif
