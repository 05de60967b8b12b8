/* check/spf_parse.c - see spf_parse.h */
#include "check/spf_parse.h"

bool pst_spf_is_record(struct pst_span text)
{
	const struct pst_span version = PST_SPAN("v=spf1");

	return pst_span_starts_nocase(text, version) &&
	       (text.len == version.len || text.at[version.len] == ' ');
}

/* ---- macro strings --------------------------------------------------------------------------- */

static bool is_one_of(uint8_t c, const char *set)
{
	for (; *set; set++)
		if ((uint8_t)*set == c)
			return true;
	return false;
}

uint32_t pst_spf_macro_len(struct pst_span text, bool is_explanation)
{
	uint32_t at = 3, digits = 0;
	bool zero = true;

	if (text.len >= 2 && is_one_of(text.at[1], "%_-"))
		return 2;
	if (text.len < 4 || text.at[1] != '{' ||
	    !is_one_of(pst_lower(text.at[2]), is_explanation ? "slodiphvcrt" : "slodiphv"))
		return 0;
	for (; at < text.len && pst_is_digit(text.at[at]); at++, digits++)
		zero = zero && text.at[at] == '0';
	if (digits > 0 && zero)
		return 0;
	if (at < text.len && pst_lower(text.at[at]) == 'r')
		at++;
	while (at < text.len && is_one_of(text.at[at], ".-+,/_="))
		at++;
	return at < text.len && text.at[at] == '}' ? at + 1 : 0;
}

bool pst_spf_macros_ok(struct pst_span text, bool is_explanation)
{
	for (uint32_t i = 0; i < text.len;) {
		uint32_t len = 1;

		if (text.at[i] == '%')
			len = pst_spf_macro_len(pst_span_sub(text, i, text.len), is_explanation);
		else if (text.at[i] < (is_explanation ? 0x20 : 0x21) || text.at[i] > 0x7e)
			len = 0;
		if (len == 0)
			return false;
		i += len;
	}
	return true;
}

/* ( *alphanum ALPHA *alphanum ) / ( 1*alphanum "-" *( alphanum / "-" ) alphanum ) */
static bool is_top_label(struct pst_span label)
{
	bool alpha = false, hyphen = false;

	if (label.len == 0 || !pst_is_alnum(label.at[0]) || !pst_is_alnum(label.at[label.len - 1]))
		return false;
	for (uint32_t i = 0; i < label.len; i++) {
		if (!pst_is_alnum(label.at[i]) && label.at[i] != '-')
			return false;
		alpha = alpha || pst_is_alpha(label.at[i]);
		hyphen = hyphen || label.at[i] == '-';
	}
	return alpha || hyphen;
}

/* Where the last macro of a well-formed macro-string ends; 0: there is none. */
static uint32_t behind_last_macro(struct pst_span text)
{
	uint32_t end = 0;

	for (uint32_t i = 0; i < text.len;) {
		uint32_t len = 1;

		if (text.at[i] == '%') {
			len = pst_spf_macro_len(pst_span_sub(text, i, text.len), false);
			end = text.at[i + 1] == '{' ? i + len : end;
		}
		i += len;
	}
	return end;
}

/* macro-string domain-end: it ends in a macro, or in a dot and a top label. */
static bool spec_ok(struct pst_span spec)
{
	uint32_t macro_end;
	struct pst_span tail;
	int64_t dot;

	if (spec.len == 0 || !pst_spf_macros_ok(spec, false))
		return false;
	macro_end = behind_last_macro(spec);
	if (macro_end == spec.len)
		return true;
	tail = pst_span_sub(spec, macro_end, spec.len);
	if (tail.at[tail.len - 1] == '.')
		tail.len--;
	dot = pst_span_rfind(tail, '.');
	return dot >= 0 && is_top_label(pst_span_sub(tail, (uint32_t)dot + 1, tail.len));
}

/* ---- arguments ------------------------------------------------------------------------------- */

/* Decimal without leading zeros. */
static bool read_bits(struct pst_span text, uint64_t max, uint8_t *bits)
{
	uint64_t number;

	if (text.len == 0 || (text.len > 1 && text.at[0] == '0') || text.len > 3 ||
	    pst_span_u64(text, max, &number))
		return false;
	*bits = (uint8_t)number;
	return true;
}

/* Digits behind the last slash of *text; *at is the slash. */
static bool bits_at_end(struct pst_span text, uint32_t *at)
{
	uint32_t i = text.len;

	while (i > 0 && pst_is_digit(text.at[i - 1]))
		i--;
	if (i == text.len || i == 0 || text.at[i - 1] != '/')
		return false;
	*at = i - 1;
	return true;
}

/* [ "/" ip4-cidr-length ] [ "//" ip6-cidr-length ] at the end of the argument.
 *  ret false: there are some, and they are not good */
static bool take_dual_cidr(struct pst_span *rest, struct pst_spf_term *term)
{
	uint32_t at;

	if (bits_at_end(*rest, &at) && at > 0 && rest->at[at - 1] == '/') {
		if (!read_bits(pst_span_sub(*rest, at + 1, rest->len), 128, &term->cidr6))
			return false;
		rest->len = at - 1;
	}
	if (bits_at_end(*rest, &at)) {
		if (!read_bits(pst_span_sub(*rest, at + 1, rest->len), 32, &term->cidr4))
			return false;
		rest->len = at;
	}
	return true;
}

/* An IPv4-mapped address of an ip6 term stays one: IPv4 clients are no matter of ip6 (section 5). */
static void map_again(struct pst_addr *addr)
{
	for (uint32_t i = 0; i < 4; i++) {
		addr->ip[12 + i] = addr->ip[i];
		addr->ip[i] = 0;
	}
	addr->ip[10] = addr->ip[11] = 0xff;
	addr->family = PST_FAMILY_IPV6;
}

static bool read_network(struct pst_span rest, bool is_ipv6, struct pst_cidr *network)
{
	int64_t slash = pst_span_find(rest, '/');
	struct pst_span text = pst_span_sub(rest, 0, slash < 0 ? rest.len : (uint32_t)slash);
	uint8_t max = is_ipv6 ? 128 : 32;

	network->bits = max;
	if (slash >= 0 &&
	    !read_bits(pst_span_sub(rest, (uint32_t)slash + 1, rest.len), max, &network->bits))
		return false;
	if (pst_addr_parse(text, &network->net) < 0)
		return false;
	if (is_ipv6 && network->net.family == PST_FAMILY_IPV4 && pst_span_find(text, ':') >= 0)
		map_again(&network->net);
	return network->net.family == (is_ipv6 ? PST_FAMILY_IPV6 : PST_FAMILY_IPV4);
}

/* ":" domain-spec, or nothing where that is allowed. */
static bool read_spec(struct pst_span rest, bool needed, struct pst_spf_term *term)
{
	if (rest.len == 0)
		return !needed;
	term->spec = pst_span_sub(rest, 1, rest.len);
	return rest.at[0] == ':' && spec_ok(term->spec);
}

static int read_mechanism(struct pst_span name, struct pst_span rest, struct pst_spf_term *term)
{
	static const struct {
		const char *name;
		enum pst_spf_kind kind;
		bool is_ipv6;
	} names[] = {
		{"all", PST_SPF_ALL, false}, {"include", PST_SPF_INCLUDE, false},
		{"a", PST_SPF_A, false},     {"mx", PST_SPF_MX, false},
		{"ptr", PST_SPF_PTR, false}, {"ip4", PST_SPF_IP, false},
		{"ip6", PST_SPF_IP, true},   {"exists", PST_SPF_EXISTS, false},
	};
	bool good = false;

	for (uint32_t i = 0; i < PST_COUNT(names); i++) {
		if (!pst_span_eq_nocase(name, pst_span_text(names[i].name)))
			continue;
		term->kind = names[i].kind;
		if (term->kind == PST_SPF_ALL)
			good = rest.len == 0;
		else if (term->kind == PST_SPF_IP)
			good = rest.len > 0 && rest.at[0] == ':' &&
			       read_network(pst_span_sub(rest, 1, rest.len), names[i].is_ipv6,
					    &term->network);
		else if (term->kind == PST_SPF_A || term->kind == PST_SPF_MX)
			good = take_dual_cidr(&rest, term) && read_spec(rest, false, term);
		else
			good = read_spec(rest, term->kind != PST_SPF_PTR, term);
	}
	return good ? 1 : -PST_E_SYNTAX;
}

/* name = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." ) */
static uint32_t name_len(struct pst_span text)
{
	uint32_t len = 0;

	while (len < text.len && (pst_is_alnum(text.at[len]) || is_one_of(text.at[len], "-_.")))
		len++;
	return len > 0 && pst_is_alpha(text.at[0]) ? len : 0;
}

static int read_modifier(struct pst_span name, struct pst_span value, struct pst_spf_term *term)
{
	bool is_ours = true;

	if (pst_span_eq_nocase(name, PST_SPAN("redirect")))
		term->kind = PST_SPF_REDIRECT;
	else if (pst_span_eq_nocase(name, PST_SPAN("exp")))
		term->kind = PST_SPF_EXP;
	else
		is_ours = false;
	if (!is_ours) {
		term->kind = PST_SPF_UNKNOWN;
		return pst_spf_macros_ok(value, false) ? 1 : -PST_E_SYNTAX;
	}
	term->spec = value;
	return spec_ok(value) ? 1 : -PST_E_SYNTAX;
}

int pst_spf_next_term(struct pst_span record, uint32_t *at, struct pst_spf_term *term)
{
	uint32_t end, len;
	struct pst_span rest;

	while (*at < record.len && record.at[*at] == ' ')
		(*at)++;
	for (end = *at; end < record.len && record.at[end] != ' '; end++)
		;
	if (end == *at)
		return 0;
	*term = (struct pst_spf_term){
		.qualifier = '+',
		.text = pst_span_sub(record, *at, end - *at),
		.cidr4 = 32,
		.cidr6 = 128,
	};
	*at = end;
	rest = term->text;
	len = name_len(rest);
	if (len > 0 && len < rest.len && rest.at[len] == '=')
		return read_modifier(pst_span_sub(rest, 0, len),
				     pst_span_sub(rest, len + 1, rest.len), term);
	if (is_one_of(rest.at[0], "+-~?")) {
		term->qualifier = rest.at[0];
		rest = pst_span_sub(rest, 1, rest.len);
	}
	for (len = 0; len < rest.len && rest.at[len] != ':' && rest.at[len] != '/'; len++)
		;
	return read_mechanism(pst_span_sub(rest, 0, len), pst_span_sub(rest, len, rest.len), term);
}

int pst_spf_check_record(struct pst_span record)
{
	uint32_t at = 6, redirects = 0, explanations = 0;
	struct pst_spf_term term;
	int ret;

	while ((ret = pst_spf_next_term(record, &at, &term)) > 0) {
		redirects += term.kind == PST_SPF_REDIRECT;
		explanations += term.kind == PST_SPF_EXP;
	}
	return ret < 0 || redirects > 1 || explanations > 1 ? -PST_E_SYNTAX : 0;
}
