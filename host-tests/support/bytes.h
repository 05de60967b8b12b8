/* support/bytes.h - bytes that grow as they must: what a test has sent, got or written down
 *
 * Memory: the system's; a test that runs out of it ends.
 */
#ifndef PST_SUPPORT_BYTES_H
#define PST_SUPPORT_BYTES_H

#include "base/span.h"

struct pst_bytes {
	uint8_t *at; /* a NUL stands behind the last byte */
	uint32_t len, size;
};

void pst_bytes_add(struct pst_bytes *bytes, const void *at, uint32_t len);
void pst_bytes_add_span(struct pst_bytes *bytes, struct pst_span span);
void pst_bytes_print(struct pst_bytes *bytes, const char *format, ...) PST_PRINTF(2, 3);
void pst_bytes_cut(struct pst_bytes *bytes, uint32_t len);
void pst_bytes_free(struct pst_bytes *bytes);

static inline struct pst_span pst_bytes_from(const struct pst_bytes *bytes, uint32_t from)
{
	PST_BUG_ON(from > bytes->len);
	return (struct pst_span){bytes->at ? bytes->at + from : NULL, bytes->len - from};
}

#endif
