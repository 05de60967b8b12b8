/* mail/address.c - addresses and names out of From, To and their like */
#include "mail/address.h"
#include "mail/shape.h"

#define QUOTED_LOCAL "\"%[^\"]-\"" /* backslashes: see quoted_len */
#define LOCAL "%[^@ \t\n\r\f\v\\<>()[\\],:;]+"
#define DOMAIN "@<%[^\" \t\n\r\f\v\\<>()[\\],:;]+|[%[0-9:.]+]>"
#define MAILBOX "<" QUOTED_LOCAL "|" LOCAL ">" DOMAIN

static struct pst_span from(struct pst_span text, uint32_t at)
{
	return pst_span_sub(text, at, text.len);
}

static uint32_t space_len(struct pst_span text)
{
	uint32_t i = 0;

	while (i < text.len && pst_is_space(text.at[i]))
		i++;
	return i;
}

static struct pst_span trim_end(struct pst_span text)
{
	while (text.len && pst_is_space(text.at[text.len - 1]))
		text.len--;
	return text;
}

/* The length of "..." at the front with backslashes obeyed, or 0. */
static uint32_t quoted_len(struct pst_span text, uint8_t open, uint8_t close)
{
	if (text.len == 0 || text.at[0] != open)
		return 0;
	for (uint32_t i = 1; i < text.len; i++) {
		if (text.at[i] == '\\')
			i++;
		else if (text.at[i] == close)
			return i + 1;
		else if (text.at[i] == open)
			return 0;
	}
	return 0;
}

/* Quoted strings and bytes that are no separators. */
static uint32_t phrase_len(struct pst_span text)
{
	uint32_t i = 0;

	while (i < text.len) {
		uint8_t c = text.at[i];

		if (c == '"') {
			uint32_t len = quoted_len(from(text, i), '"', '"');

			if (!len)
				break;
			i += len;
		} else if (c == ',' || c == ';' || c == '<') {
			break;
		} else {
			i++;
		}
	}
	return i;
}

/* A comment and the separator: is the mailbox complete here? */
static bool ends(struct pst_span text, struct pst_span *comment, uint32_t *len)
{
	uint32_t i = space_len(text), round = quoted_len(from(text, i), '(', ')');

	*comment = PST_SPAN_NONE;
	if (round) {
		*comment = pst_span_sub(text, i + 1, round - 2);
		i += round;
		i += space_len(from(text, i));
	} else {
		i = space_len(text);
	}
	if (i < text.len && text.at[i] != ',' && text.at[i] != ';')
		return false;
	*len = PST_MIN(i + 1, text.len);
	return true;
}

/* Some write <a@b> <a@b>. */
static uint32_t repeats_len(struct pst_span text)
{
	struct pst_shape_found found;
	uint32_t i = 0;

	while (pst_shape_match("%[ \t\r\n]*\\<%[ \t]*%[^\\<> \t]*%[ \t]*\\>", from(text, i), &found))
		i += found.whole.len;
	return i;
}

/* What may stand between brackets: blanks only in front of the first '@'. */
static bool bracketed(struct pst_span inner)
{
	int64_t at = pst_span_find(inner, '@');

	for (uint32_t i = at < 0 ? inner.len : (uint32_t)at; i < inner.len; i++)
		if (pst_is_space(inner.at[i]))
			return false;
	return true;
}

static bool take_bracketed(struct pst_span text, struct pst_span *inner, struct pst_span *comment,
			   uint32_t *len)
{
	uint32_t start = 1 + space_len(from(text, 1)), stop = start;

	/* the farthest closing bracket that still makes sense */
	while (stop < text.len && text.at[stop] != '>')
		stop++;
	while (stop < text.len && !pst_is_space(text.at[stop]))
		stop++;
	if (stop == text.len && stop > start)
		stop--;
	for (uint32_t close = stop; close >= start && close < text.len; close--) {
		uint32_t more;

		if (text.at[close] != '>')
			continue;
		*inner = trim_end(pst_span_sub(text, start, close - start));
		more = repeats_len(from(text, close + 1));
		if (bracketed(*inner) && ends(from(text, close + 1 + more), comment, len)) {
			*len += close + 1 + more;
			return true;
		}
	}
	return false;
}

/* An address that quoting or a doubled '@' makes useless is none. */
static struct pst_span checked(struct pst_span address)
{
	uint32_t quotes = 0, at_count = 0;

	if (pst_span_starts_nocase(address, PST_SPAN("\"\"@")))
		return PST_SPAN_NONE;
	for (uint32_t i = 0; i < address.len; i++) {
		quotes += address.at[i] == '"';
		if (address.at[i] == '@' && ++at_count == 2)
			return quotes == 1 ? PST_SPAN_NONE : pst_span_sub(address, 0, i);
	}
	return quotes == 1 ? PST_SPAN_NONE : address;
}

static bool is_mailbox(struct pst_span text)
{
	return pst_shape_match(MAILBOX "%$", text, NULL);
}

/* Append the text without (comments). */
static int put_uncommented(struct pst_buf *work, struct pst_span text)
{
	int status = 0;

	for (uint32_t i = 0; i < text.len && !status;) {
		uint32_t round = quoted_len(from(text, i), '(', ')');

		if (round)
			i += round;
		else
			status = pst_buf_put_byte(work, text.at[i++]);
	}
	return status;
}

static int put_unquoted(struct pst_buf *work, struct pst_span text)
{
	int status = 0;

	for (uint32_t i = 0; i < text.len && !status; i++)
		if (text.at[i] != '\\')
			status = pst_buf_put_byte(work, text.at[i]);
	return status;
}

/* The display name without quotes and comments. */
static struct pst_span unquote(struct pst_buf *work, struct pst_span phrase)
{
	const uint8_t *at = pst_buf_tail(work);
	int status = 0;

	for (uint32_t i = 0; i < phrase.len && !status;) {
		uint32_t quoted = quoted_len(from(phrase, i), '"', '"'), plain = i;

		if (quoted) {
			status = put_unquoted(work, pst_span_sub(phrase, i + 1, quoted - 2));
			i += quoted;
			continue;
		}
		while (plain < phrase.len && (phrase.at[plain] != '"' || plain == i))
			plain++;
		status = put_uncommented(work, pst_span_sub(phrase, i, plain - i));
		i = plain;
	}
	return (struct pst_span){at, (uint32_t)(pst_buf_tail(work) - at)};
}

int pst_mail_addresses_init(struct pst_mail_addresses *addresses, struct pst_span value,
			    struct pst_buf *work)
{
	const uint8_t *at = pst_buf_tail(work);
	struct pst_shape_found group;
	int status = 0;

	if (pst_buf_tail_room(work) / 2 < value.len)
		return -PST_E_FULL;
	value = trim_end(value);
	for (uint32_t i = 0; i < value.len && !status; i++) {
		if (value.at[i] == '\\' && i + 1 < value.len && value.at[i + 1] == '\\')
			i++;
		else
			status = pst_buf_put_byte(work, value.at[i]);
	}
	*addresses = (struct pst_mail_addresses){.work = work};
	addresses->rest = (struct pst_span){at, (uint32_t)(pst_buf_tail(work) - at)};
	if (pst_shape_match("%[^\"()\\<>]+:%[ \t\r\n]*", addresses->rest, &group)) {
		addresses->rest = from(addresses->rest, group.whole.len);
		if (addresses->rest.len && addresses->rest.at[0] == ';')
			addresses->rest = PST_SPAN_NONE;
	}
	return status;
}

static bool next_bracket(struct pst_mail_addresses *addresses, struct pst_mail_address *out)
{
	struct pst_shape_found found;

	while (pst_shape_search("\\<{a" MAILBOX "}\\>", addresses->rest, &found)) {
		addresses->rest = from(addresses->rest, (uint32_t)(found.whole.at - addresses->rest.at) +
						      found.whole.len);
		out->address = checked(pst_shape_capture(&found, 'a'));
		out->phrase = PST_SPAN_NONE;
		if (out->address.at)
			return true;
	}
	return false;
}

static bool has_text(struct pst_span text)
{
	return space_len(text) < text.len;
}

/* One mailbox off the front. */
static bool take(struct pst_mail_addresses *a, struct pst_span *phrase, struct pst_span *address,
		 struct pst_span *comment)
{
	struct pst_span text = from(a->rest, space_len(a->rest));
	struct pst_shape_found found;
	uint32_t phrased = phrase_len(text), len;

	*phrase = *address = PST_SPAN_NONE;
	if (phrased < text.len && text.at[phrased] == '<' &&
	    take_bracketed(from(text, phrased), address, comment, &len)) {
		if (phrased)
			*phrase = pst_span_sub(text, 0, phrased);
		len += phrased;
		if (address->len && is_mailbox(*address))
			*address = checked(*address);
		else
			*address = PST_SPAN_NONE;
	} else if (pst_shape_match(MAILBOX, text, &found) &&
		   ends(from(text, found.whole.len), comment, &len)) {
		*address = checked(found.whole);
		len += found.whole.len;
	} else if (phrased && ends(from(text, phrased), comment, &len)) {
		*phrase = pst_span_sub(text, 0, phrased);
		len += phrased;
	} else {
		return false;
	}
	a->rest = from(text, len);
	return true;
}

bool pst_mail_addresses_next(struct pst_mail_addresses *a, struct pst_mail_address *out)
{
	struct pst_span phrase, address, comment;

	if (a->last_effort || !has_text(a->rest))
		return a->last_effort && next_bracket(a, out);
	if (!take(a, &phrase, &address, &comment)) {
		a->last_effort = true;
		return next_bracket(a, out);
	}
	a->count++;
	if (phrase.at)
		phrase = unquote(a->work, phrase);
	if (phrase.at && !address.at && is_mailbox(trim_end(phrase)) && checked(phrase).at &&
	    pst_mail_host_valid(from(phrase, (uint32_t)pst_span_rfind(phrase, '@') + 1))) {
		address = checked(phrase);
		phrase = PST_SPAN_NONE;
	}
	if (phrase.len == 0 || (address.at && pst_span_eq(phrase, address)))
		phrase = PST_SPAN_NONE;
	out->address = address;
	out->phrase = phrase.at ? phrase : comment;
	return true;
}

bool pst_mail_host_valid(struct pst_span host)
{
	uint32_t labels = 0;

	while (host.len && host.at[host.len - 1] == '.')
		host.len--;
	if (host.len > 253)
		return false;
	while (host.len) {
		int64_t dot = pst_span_find(host, '.');
		struct pst_span label = dot < 0 ? host : pst_span_sub(host, 0, (uint32_t)dot);

		if (!pst_shape_match("%[a-zA-Z0-9_]<%[a-zA-Z0-9_\\-]*%[a-zA-Z0-9_]|>%$", label, NULL) ||
		    label.len > 63)
			return false;
		labels++;
		host = dot < 0 ? PST_SPAN_NONE : from(host, (uint32_t)dot + 1);
	}
	return labels > 1;
}
