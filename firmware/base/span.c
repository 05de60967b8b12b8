/* base/span.c - questions about borrowed bytes
 *
 * memcmp and memchr do the long work: they are the fastest scanners every libc has. They must not
 * see NULL, which an empty span may hold, so each use asks for the length first.
 */
#include "base/span.h"

#include <string.h>

struct pst_span pst_span_text(const char *text)
{
	if (!text)
		return PST_SPAN_NONE;
	return (struct pst_span){(const uint8_t *)text, (uint32_t)strlen(text)};
}

struct pst_span pst_span_sub(struct pst_span span, uint32_t from, uint32_t len)
{
	if (from >= span.len)
		return (struct pst_span){span.len ? span.at + span.len : span.at, 0};
	return (struct pst_span){span.at + from, PST_MIN(len, span.len - from)};
}

bool pst_span_eq(struct pst_span a, struct pst_span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static bool same_nocase(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		if (pst_lower(a[i]) != pst_lower(b[i]))
			return false;
	}
	return true;
}

bool pst_span_eq_nocase(struct pst_span a, struct pst_span b)
{
	return a.len == b.len && same_nocase(a.at, b.at, a.len);
}

bool pst_span_starts_nocase(struct pst_span span, struct pst_span prefix)
{
	return span.len >= prefix.len && same_nocase(span.at, prefix.at, prefix.len);
}

bool pst_span_ends_nocase(struct pst_span span, struct pst_span suffix)
{
	return suffix.len == 0 ||
	       (span.len >= suffix.len &&
		same_nocase(span.at + (span.len - suffix.len), suffix.at, suffix.len));
}

int64_t pst_span_find(struct pst_span span, uint8_t byte)
{
	const uint8_t *found = span.len ? memchr(span.at, byte, span.len) : NULL;

	return found ? found - span.at : -PST_E_NOENT;
}

int64_t pst_span_rfind(struct pst_span span, uint8_t byte)
{
	for (uint32_t i = span.len; i > 0; i--) {
		if (span.at[i - 1] == byte)
			return (int64_t)i - 1;
	}
	return -PST_E_NOENT;
}

struct pst_span pst_span_trim(struct pst_span span)
{
	while (span.len > 0 && pst_is_blank(span.at[span.len - 1]))
		span.len--;
	while (span.len > 0 && pst_is_blank(span.at[0])) {
		span.at++;
		span.len--;
	}
	return span;
}

struct pst_span pst_span_word(struct pst_span *rest)
{
	uint32_t from = 0;
	uint32_t end;
	struct pst_span word;

	while (from < rest->len && pst_is_blank(rest->at[from]))
		from++;
	end = from;
	while (end < rest->len && !pst_is_blank(rest->at[end]))
		end++;
	word = pst_span_sub(*rest, from, end - from);
	*rest = pst_span_sub(*rest, end, rest->len - end);
	return word;
}

int pst_span_u64(struct pst_span span, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;
	bool above = false;

	if (span.len == 0)
		return -PST_E_SYNTAX;
	for (uint32_t i = 0; i < span.len; i++) {
		uint64_t digit;

		if (!pst_is_digit(span.at[i]))
			return -PST_E_SYNTAX;
		digit = (uint64_t)span.at[i] - '0';
		/* Goes on behind an overflow: "99999999999999999999x" is a wrong text, not a large
		 * number. */
		if (above || value > (UINT64_MAX - digit) / 10)
			above = true;
		else
			value = value * 10 + digit;
	}
	if (above || value > max)
		return -PST_E_RANGE;
	*out = value;
	return 0;
}
