/* check/spf_macro.c - see spf_macro.h */
#include "check/spf_macro.h"

#include <string.h>

#include "check/spf_parse.h"

#define EXPANDED_MAX 1024
#define LABELS_MAX 128

bool pst_spf_name_set(struct pst_spf_name *out, struct pst_span text)
{
	uint32_t label = 0;

	if (text.len > 0 && text.at[text.len - 1] == '.')
		text.len--;
	if (text.len == 0 || text.len > PST_DNS_NAME_MAX)
		return false;
	for (uint32_t i = 0; i < text.len; i++) {
		if (text.at[i] < ' ' || text.at[i] > '~')
			return false;
		label = text.at[i] == '.' ? 0 : label + 1;
		if (label > 63 || (text.at[i] == '.' && (i == 0 || text.at[i - 1] == '.')))
			return false;
	}
	out->len = (uint8_t)text.len;
	memcpy(out->at, text.at, text.len);
	return true;
}

static uint8_t hex_digit(uint8_t value)
{
	return (uint8_t)(value < 10 ? '0' + value : 'A' + value - 10);
}

void pst_spf_reverse_name(const struct pst_addr *addr, struct pst_spf_name *out)
{
	struct pst_buf text;

	pst_buf_init(&text, out->at, sizeof(out->at));
	if (addr->family == PST_FAMILY_IPV4) {
		for (int i = 3; i >= 0; i--)
			PST_BUG_ON(pst_buf_printf(&text, "%u.", addr->ip[i]));
		PST_BUG_ON(pst_buf_put_text(&text, "in-addr.arpa"));
	} else {
		for (int i = 15; i >= 0; i--) {
			PST_BUG_ON(pst_buf_put_byte(&text, hex_digit(addr->ip[i] & 15)) ||
				   pst_buf_put_byte(&text, '.') ||
				   pst_buf_put_byte(&text, hex_digit(addr->ip[i] >> 4)) ||
				   pst_buf_put_byte(&text, '.'));
		}
		PST_BUG_ON(pst_buf_put_text(&text, "ip6.arpa"));
	}
	out->len = (uint8_t)text.len;
}

/* The address as %{i} has it: an IPv6 one as nibbles with dots between. */
static int put_address(struct pst_buf *out, const struct pst_addr *addr)
{
	int ret = 0;

	if (addr->family != PST_FAMILY_IPV6) {
		pst_addr_put(out, addr);
		return 0;
	}
	for (uint32_t i = 0; i < 32 && !ret; i++) {
		uint8_t byte = addr->ip[i / 2];

		ret = i > 0 ? pst_buf_put_byte(out, '.') : 0;
		ret = ret ? ret : pst_buf_put_byte(out, hex_digit(i % 2 ? byte & 15 : byte >> 4));
	}
	return ret;
}

static struct pst_span local_of(const struct pst_spf *spf)
{
	return spf->params.local.len > 0 ? spf->params.local : PST_SPAN("postmaster");
}

static int put_value(const struct pst_spf *spf, struct pst_span domain, uint8_t letter,
		     struct pst_buf *out)
{
	const struct pst_spf_params *params = &spf->params;
	int ret;

	switch (letter) {
	case 's':
		ret = pst_buf_put(out, local_of(spf));
		ret = ret ? ret : pst_buf_put_byte(out, '@');
		return ret ? ret : pst_buf_put(out, params->domain);
	case 'l':
		return pst_buf_put(out, local_of(spf));
	case 'o':
		return pst_buf_put(out, params->domain);
	case 'd':
		return pst_buf_put(out, domain);
	case 'i':
		return put_address(out, &params->client);
	case 'p':
		return spf->p.len > 0 ? pst_buf_put(out, pst_spf_name_span(&spf->p))
				      : pst_buf_put_text(out, "unknown");
	case 'v':
		return pst_buf_put_text(out, params->client.family == PST_FAMILY_IPV6 ? "ip6"
										      : "in-addr");
	case 'h':
		return pst_buf_put(out, params->helo);
	case 'c':
		pst_addr_put(out, &params->client);
		return 0;
	case 'r':
		return params->receiver.len > 0 ? pst_buf_put(out, params->receiver)
						: pst_buf_put_text(out, "unknown");
	default:
		return pst_buf_put_u64(out, (uint64_t)PST_MAX(params->wall_s, 0));
	}
}

static bool is_delimiter(struct pst_span delimiters, uint8_t c)
{
	return delimiters.len > 0 ? pst_span_find(delimiters, c) >= 0 : c == '.';
}

/* Split, turn round, keep the last `keep` parts, join with dots. */
static int put_parts(struct pst_span value, struct pst_span delimiters, bool reverse, uint32_t keep,
		     struct pst_buf *out)
{
	struct pst_span parts[LABELS_MAX];
	uint32_t count = 0, from = 0;
	int ret = 0;

	for (uint32_t i = 0; i <= value.len; i++) {
		if (i < value.len && (!is_delimiter(delimiters, value.at[i]) || count + 1 == LABELS_MAX))
			continue;
		parts[count++] = pst_span_sub(value, from, i - from);
		from = i + 1;
	}
	keep = keep > 0 ? PST_MIN(keep, count) : count;
	for (uint32_t i = 0; i < keep && !ret; i++) {
		uint32_t index = count - keep + i;

		ret = i > 0 ? pst_buf_put_byte(out, '.') : 0;
		ret = ret ? ret : pst_buf_put(out, parts[reverse ? count - 1 - index : index]);
	}
	return ret;
}

/* RFC 3986 section 2.3: all but the unreserved ones. */
static int put_escaped(struct pst_span text, struct pst_buf *out)
{
	int ret = 0;

	for (uint32_t i = 0; i < text.len && !ret; i++) {
		uint8_t c = text.at[i];

		if (pst_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~')
			ret = pst_buf_put_byte(out, c);
		else
			ret = pst_buf_printf(out, "%%%02X", c);
	}
	return ret;
}

/* "%{" letter [digits] ["r"] *delimiter "}" */
static int put_macro(const struct pst_spf *spf, struct pst_span domain, struct pst_span macro,
		     struct pst_buf *out)
{
	uint8_t area[EXPANDED_MAX], split_area[EXPANDED_MAX];
	struct pst_buf value, split;
	uint32_t at = 3, keep = 0;
	bool reverse = false;
	int ret;

	for (; pst_is_digit(macro.at[at]); at++)
		keep = keep > LABELS_MAX ? keep : keep * 10 + macro.at[at] - '0';
	if (pst_lower(macro.at[at]) == 'r') {
		reverse = true;
		at++;
	}
	pst_buf_init(&value, area, sizeof(area));
	pst_buf_init(&split, split_area, sizeof(split_area));
	ret = put_value(spf, domain, pst_lower(macro.at[2]), &value);
	/* Turned round, the parts to keep are those at the right end of what came out. */
	ret = ret ? ret
		  : put_parts(pst_buf_span(&value), pst_span_sub(macro, at, macro.len - at - 1),
			      reverse, keep, &split);
	if (ret)
		return ret;
	if (macro.at[2] != pst_lower(macro.at[2]))
		return put_escaped(pst_buf_span(&split), out);
	return pst_buf_put(out, pst_buf_span(&split));
}

int pst_spf_expand(const struct pst_spf *spf, struct pst_span domain, struct pst_span text,
		   struct pst_buf *out)
{
	int ret = 0;

	for (uint32_t i = 0; i < text.len && !ret;) {
		struct pst_span rest = pst_span_sub(text, i, text.len);
		uint32_t len = 1;

		if (rest.at[0] != '%') {
			ret = pst_buf_put_byte(out, rest.at[0]);
		} else {
			len = pst_spf_macro_len(rest, true);
			PST_BUG_ON(len == 0);
			if (rest.at[1] == '{')
				ret = put_macro(spf, domain, pst_span_sub(rest, 0, len), out);
			else
				ret = pst_buf_put_text(out, rest.at[1] == '%'   ? "%"
							    : rest.at[1] == '_' ? " "
										: "%20");
		}
		i += len;
	}
	return ret;
}

bool pst_spf_expand_name(const struct pst_spf *spf, struct pst_span domain, struct pst_span spec,
			 struct pst_spf_name *out)
{
	uint8_t area[2 * EXPANDED_MAX];
	struct pst_buf text;
	struct pst_span name;

	if (spec.len == 0)
		return pst_spf_name_set(out, domain);
	pst_buf_init(&text, area, sizeof(area));
	if (pst_spf_expand(spf, domain, spec, &text) < 0)
		return false;
	name = pst_buf_span(&text);
	if (name.len > 0 && name.at[name.len - 1] == '.')
		name.len--;
	while (name.len > PST_DNS_NAME_MAX) {
		int64_t dot = pst_span_find(name, '.');

		if (dot < 0)
			return false;
		name = pst_span_sub(name, (uint32_t)dot + 1, name.len);
	}
	return pst_spf_name_set(out, name);
}

bool pst_spf_needs_p(struct pst_span text)
{
	for (uint32_t i = 0; i + 2 < text.len; i++)
		if (text.at[i] == '%') {
			if (text.at[i + 1] == '{' && pst_lower(text.at[i + 2]) == 'p')
				return true;
			i++;
		}
	return false;
}
