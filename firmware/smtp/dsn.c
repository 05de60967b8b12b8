/* smtp/dsn.c - RFC 3461 section 4 */
#include "smtp/dsn.h"

static bool is_hex(uint8_t c)
{
	return pst_is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* "+" and two hexadecimal digits, or any visible character but "+" and "=". The grammar wants capital
 * digits; others are taken, for nobody reads them differently. */
static bool is_xtext(struct pst_span text, bool utf8)
{
	for (uint32_t i = 0; i < text.len; i++) {
		uint8_t c = text.at[i];

		if (c == '+') {
			if (text.len - i < 3 || !is_hex(text.at[i + 1]) || !is_hex(text.at[i + 2]))
				return false;
			i += 2;
		} else if (c == '=' || c == 0x7f || c <= 0x20 || (c > 0x7f && !utf8)) {
			return false;
		}
	}
	return text.len > 0;
}

bool pst_smtp_ret_check(struct pst_span value)
{
	return pst_span_eq_nocase(value, PST_SPAN("FULL")) ||
	       pst_span_eq_nocase(value, PST_SPAN("HDRS"));
}

bool pst_smtp_envid_check(struct pst_span value)
{
	return value.len <= PST_SMTP_ENVID_MAX && is_xtext(value, false);
}

static bool is_event(struct pst_span word)
{
	return pst_span_eq_nocase(word, PST_SPAN("SUCCESS")) ||
	       pst_span_eq_nocase(word, PST_SPAN("FAILURE")) ||
	       pst_span_eq_nocase(word, PST_SPAN("DELAY"));
}

bool pst_smtp_notify_check(struct pst_span value)
{
	int64_t comma;

	if (pst_span_eq_nocase(value, PST_SPAN("NEVER")))
		return true;
	/* One of each is all there can be, and keeps the list short. */
	for (uint32_t left = 3; left > 0; left--) {
		comma = pst_span_find(value, ',');
		if (comma < 0)
			return is_event(value);
		if (!is_event(pst_span_sub(value, 0, (uint32_t)comma)))
			return false;
		value = pst_span_sub(value, (uint32_t)comma + 1, value.len);
	}
	return false;
}

/* What an atom may hold (RFC 822 section 3.3): no blanks, specials or control characters. */
static bool is_type(struct pst_span type)
{
	static const struct pst_span specials = {(const uint8_t *)"()<>@,;:\\\".[]+=", 15};

	for (uint32_t i = 0; i < type.len; i++)
		if (!pst_is_print(type.at[i]) || type.at[i] == ' ' ||
		    pst_span_find(specials, type.at[i]) >= 0)
			return false;
	return type.len > 0;
}

bool pst_smtp_orcpt_check(struct pst_span value, bool utf8)
{
	int64_t end = pst_span_find(value, ';');
	struct pst_span type;

	if (end < 0 || value.len > PST_SMTP_ORCPT_MAX)
		return false;
	type = pst_span_sub(value, 0, (uint32_t)end);
	return is_type(type) &&
	       is_xtext(pst_span_sub(value, (uint32_t)end + 1, value.len),
			utf8 && pst_span_eq_nocase(type, PST_SPAN("utf-8")));
}
