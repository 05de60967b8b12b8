/* mail/header.c - fields of a message header */
#include <string.h>

#include "mail/header.h"

#define NAME_MAX 256

/* The length of the first line with its CRLF, or of the whole span where there is none. */
static uint32_t line_len(struct pst_span text)
{
	uint32_t i = 0;

	while (i < text.len) {
		const uint8_t *newline = memchr(text.at + i, '\n', text.len - i);

		if (!newline)
			break;
		i = (uint32_t)(newline - text.at) + 1;
		if (i >= 2 && text.at[i - 2] == '\r')
			return i;
	}
	return text.len;
}

/* The name's length, if a colon follows it; *colon is where. */
static uint32_t name_len(struct pst_span line, uint32_t *colon)
{
	uint32_t len = 0, i;

	while (len < line.len && len <= NAME_MAX && line.at[len] > ' ' && line.at[len] < 0x7f &&
	       line.at[len] != ':')
		len++;
	if (len == 0 || len > NAME_MAX)
		return 0;
	for (i = len; i < line.len && pst_is_blank(line.at[i]); i++)
		;
	*colon = i;
	return i < line.len && line.at[i] == ':' ? len : 0;
}

bool pst_mail_field_starts(struct pst_span line)
{
	uint32_t colon;

	return name_len(line, &colon) > 0;
}

bool pst_mail_header_next(struct pst_span *rest, struct pst_mail_field *field)
{
	uint32_t end = line_len(*rest), colon = 0, len;
	struct pst_span whole;

	len = name_len(pst_span_sub(*rest, 0, end), &colon);
	if (!len)
		return false;
	while (end < rest->len && pst_is_blank(rest->at[end]))
		end += line_len(pst_span_sub(*rest, end, rest->len - end));
	whole = pst_span_sub(*rest, 0, end);
	field->whole = whole;
	field->name = pst_span_sub(whole, 0, len);
	if (end >= 2 && whole.at[end - 2] == '\r' && whole.at[end - 1] == '\n')
		end -= 2;
	field->value = pst_span_sub(whole, colon + 1, end - colon - 1);
	*rest = pst_span_sub(*rest, whole.len, rest->len - whole.len);
	return true;
}

static bool is_fold(uint8_t c)
{
	return pst_is_blank(c) || c == '\r' || c == '\n';
}

/* Skip blanks, folds and (nested) comments. A comment that does not end swallows the rest. */
static uint32_t skip_cfws(struct pst_span text)
{
	uint32_t i = 0, depth = 0;

	for (; i < text.len; i++) {
		uint8_t c = text.at[i];

		if (c == '(')
			depth++;
		else if (depth && c == ')')
			depth--;
		else if (depth && c == '\\')
			i++;
		else if (!depth && !is_fold(c))
			break;
	}
	return PST_MIN(i, text.len);
}

/* RFC 2045 section 5.1, with bytes above 127 (RFC 6532). */
static bool is_token(uint8_t c)
{
	static const char SPECIALS[] = "()<>@,;:\\\"/[]?=";

	return c > ' ' && c != 0x7f && !memchr(SPECIALS, c, sizeof(SPECIALS) - 1);
}

struct pst_span pst_mail_authserv_id(struct pst_span value)
{
	uint32_t from = skip_cfws(value), to;

	if (from < value.len && value.at[from] == '"') {
		for (to = ++from; to < value.len && value.at[to] != '"'; to++)
			if (value.at[to] == '\\')
				to++;
		return to < value.len ? pst_span_sub(value, from, to - from) : PST_SPAN_NONE;
	}
	for (to = from; to < value.len && is_token(value.at[to]); to++)
		;
	return pst_span_sub(value, from, to - from);
}

/* Is the name ours, read without quoting backslashes and blanks, with or without a final dot? Who
 * reads the field behind us may be as lenient. */
static bool names_us(struct pst_span id, struct pst_span hostname)
{
	uint32_t k = 0;

	for (uint32_t i = 0; i < id.len; i++) {
		uint8_t c = id.at[i];

		if (c == '\\' && i + 1 < id.len)
			c = id.at[++i];
		if (is_fold(c))
			continue;
		if (k == hostname.len)
			return k > 0 && c == '.' && i + 1 == id.len;
		if (pst_lower(c) != pst_lower(hostname.at[k]))
			return false;
		k++;
	}
	return k == hostname.len && k > 0;
}

bool pst_mail_field_forged(const struct pst_mail_field *field, struct pst_span hostname)
{
	if (pst_span_starts_nocase(field->name, PST_SPAN("X-Spam-")))
		return true;
	return pst_span_eq_nocase(field->name, PST_SPAN("Authentication-Results")) &&
	       names_us(pst_mail_authserv_id(field->value), hostname);
}
