/* check/dnsbl_conf.c - see dnsbl_conf.h */
#include "check/dnsbl_conf.h"

#define KEY_LEN_MIN 16

static bool take(struct pst_span *rest, uint8_t byte)
{
	if (rest->len == 0 || rest->at[0] != byte)
		return false;
	*rest = pst_span_sub(*rest, 1, rest->len);
	return true;
}

static bool take_number(struct pst_span *rest, uint8_t *out)
{
	uint32_t len = 0;
	uint64_t number;

	while (len < rest->len && pst_is_digit(rest->at[len]))
		len++;
	if (len == 0 || len > 3 || (len > 1 && rest->at[0] == '0') ||
	    pst_span_u64(pst_span_sub(*rest, 0, len), 255, &number))
		return false;
	*rest = pst_span_sub(*rest, len, rest->len);
	*out = (uint8_t)number;
	return true;
}

static bool take_octet(struct pst_span *rest, uint8_t *low, uint8_t *high)
{
	if (take(rest, '*')) {
		*low = 0;
		*high = 255;
		return true;
	}
	if (!take(rest, '[')) {
		bool good = take_number(rest, low);

		*high = *low;
		return good;
	}
	return take_number(rest, low) && take(rest, '-') && take_number(rest, high) &&
	       take(rest, ']') && *low <= *high;
}

int pst_dnsbl_code_parse(struct pst_span text, struct pst_dnsbl_code *out)
{
	for (uint32_t i = 0; i < 4; i++)
		if ((i > 0 && !take(&text, '.')) || !take_octet(&text, &out->low[i], &out->high[i]))
			return -PST_E_SYNTAX;
	if (text.len > 0)
		return -PST_E_SYNTAX;
	return out->low[0] == 127 && out->high[0] == 127 ? 0 : -PST_E_RANGE;
}

int pst_dnsbl_code_put(struct pst_buf *out, const struct pst_dnsbl_code *code)
{
	int ret = 0;

	for (uint32_t i = 0; i < 4 && !ret; i++) {
		const char *dot = i > 0 ? "." : "";

		if (code->low[i] == 0 && code->high[i] == 255)
			ret = pst_buf_printf(out, "%s*", dot);
		else if (code->low[i] == code->high[i])
			ret = pst_buf_printf(out, "%s%u", dot, code->low[i]);
		else
			ret = pst_buf_printf(out, "%s[%u-%u]", dot, code->low[i], code->high[i]);
	}
	return ret;
}

bool pst_dnsbl_code_has(const struct pst_dnsbl_code *code, const struct pst_addr *answer)
{
	for (uint32_t i = 0; i < 4; i++)
		if (answer->ip[i] < code->low[i] || answer->ip[i] > code->high[i])
			return false;
	return answer->family == PST_FAMILY_IPV4;
}

struct pst_span pst_dnsbl_shown(struct pst_span zone)
{
	int64_t dot = pst_span_find(zone, '.');
	bool digit = false, alpha = false;

	if (dot < KEY_LEN_MIN)
		return zone;
	for (uint32_t i = 0; i < (uint32_t)dot; i++) {
		digit = digit || pst_is_digit(zone.at[i]);
		alpha = alpha || pst_is_alpha(zone.at[i]);
	}
	return digit && alpha ? pst_span_sub(zone, (uint32_t)dot + 1, zone.len) : zone;
}

uint32_t pst_dnsbl_name(struct pst_span shown, bool is_domain, uint8_t *out, uint32_t size)
{
	struct pst_span front = is_domain ? PST_SPAN("DOMAIN_IN_") : PST_SPAN("RCVD_IN_");
	uint32_t len = 0;

	for (uint32_t i = 0; i < front.len && len < size; i++)
		out[len++] = front.at[i];
	for (uint32_t i = 0; i < shown.len && len < size; i++) {
		uint8_t c = shown.at[i];

		out[len++] = pst_is_digit(c) ? c : pst_is_alpha(c) ? (uint8_t)(c & ~0x20) : '_';
	}
	return len;
}
