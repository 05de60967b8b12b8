/* base/span.h - a borrowed view of bytes, and the ASCII questions one asks of it
 *
 * Layer: base.
 * Concept: wire bytes are never C strings. A NUL, a lone CR or a byte above 127 is a byte like any
 * other here; the functions below are the only way the other modules look at them.
 * Memory: none. A span borrows.
 */
#ifndef PST_BASE_SPAN_H
#define PST_BASE_SPAN_H

#include "base/base.h"

struct pst_span {
	const uint8_t *at;
	uint32_t len;
};

/* A span over a string literal or a character array's literal, without its NUL. */
#define PST_SPAN(literal) ((struct pst_span){(const uint8_t *)("" literal), sizeof(literal) - 1})
#define PST_SPAN_NONE ((struct pst_span){NULL, 0})

/* A span over our own NUL-terminated text (never over wire bytes). NULL gives an empty span. */
struct pst_span pst_span_text(const char *text);

/* The part of `span` from `from`, at most `len` bytes; both are cut to what there is. */
struct pst_span pst_span_sub(struct pst_span span, uint32_t from, uint32_t len);

bool pst_span_eq(struct pst_span a, struct pst_span b);
/* Equal if ASCII letters are taken without case (RFC 5321 section 2.4, RFC 4343). */
bool pst_span_eq_nocase(struct pst_span a, struct pst_span b);
bool pst_span_starts_nocase(struct pst_span span, struct pst_span prefix);
bool pst_span_ends_nocase(struct pst_span span, struct pst_span suffix);

/* The offset of the first `byte`, or -PST_E_NOENT. */
int64_t pst_span_find(struct pst_span span, uint8_t byte);
/* The offset of the last `byte`, or -PST_E_NOENT. */
int64_t pst_span_rfind(struct pst_span span, uint8_t byte);

/* Without leading and trailing spaces and tabs. */
struct pst_span pst_span_trim(struct pst_span span);

/* Cut the next word (of non-blank bytes) off the front of `rest`. Empty when there is none. */
struct pst_span pst_span_word(struct pst_span *rest);

/* The whole span as an unsigned decimal number.
 *  ret 0 with *out set | -PST_E_SYNTAX: empty or not all digits | -PST_E_RANGE: above max */
int pst_span_u64(struct pst_span span, uint64_t max, uint64_t *out) PST_MUST_CHECK;

/* ASCII classes, independent of any locale. */
static inline bool pst_is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static inline bool pst_is_alpha(uint8_t c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static inline bool pst_is_alnum(uint8_t c)
{
	return pst_is_digit(c) || pst_is_alpha(c);
}

/* Space, tab. */
static inline bool pst_is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* Space, tab, line feed, vertical tab, form feed, carriage return. */
static inline bool pst_is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* 0x20 to 0x7e. */
static inline bool pst_is_print(uint8_t c)
{
	return c >= 0x20 && c <= 0x7e;
}

static inline uint8_t pst_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

#endif
