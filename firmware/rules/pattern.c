/* rules/pattern.c - delimiters, modifiers, and what Perl refuses */
#include "rules/pattern.h"

/* ------------------------------------------------------------------- delimiters and modifiers */

static uint8_t closing_of(uint8_t opening)
{
	static const uint8_t PAIRS[] = "{}()<>[]";

	for (uint32_t i = 0; i + 1 < sizeof(PAIRS) - 1; i += 2)
		if (PAIRS[i] == opening)
			return PAIRS[i + 1];
	return opening;
}

static bool is_word(uint8_t c)
{
	return pst_is_alnum(c) || c == '_';
}

/* Take the opening delimiter off.
 *  ret the closing one | 0: there is none */
static uint8_t open_delimiter(struct pst_span *text)
{
	uint32_t skip = 0;
	uint8_t c;

	if (text->len && text->at[0] == '/') {
		*text = pst_span_sub(*text, 1, text->len);
		return '/';
	}
	if (text->len && text->at[0] == 'm')
		skip = 1;
	else if (text->len > 1 && text->at[0] == 'q' && text->at[1] == 'r')
		skip = 2;
	if (skip == 0 || text->len <= skip)
		return 0;
	c = text->at[skip];
	if (is_word(c) || c == '\\')
		return 0;
	*text = pst_span_sub(*text, skip + 1, text->len);
	return closing_of(c);
}

static uint32_t mod_of(uint8_t c)
{
	switch (c) {
	case 'i':
		return PST_RULES_PATTERN_CASELESS;
	case 'm':
		return PST_RULES_PATTERN_MULTILINE;
	case 's':
		return PST_RULES_PATTERN_DOTALL;
	case 'x':
		return PST_RULES_PATTERN_EXTENDED;
	case 'n':
		return PST_RULES_PATTERN_NO_CAPTURE;
	default:
		return 0;
	}
}

/* Modifiers that Perl takes inside a pattern. Those of character sets change nothing: patterns see
 * bytes, whatever they say. */
static int take_mods(struct pst_span mods, uint32_t *out)
{
	uint32_t ascii_count = 0, sets = 0;

	for (uint32_t i = 0; i < mods.len; i++) {
		uint8_t c = mods.at[i];
		uint32_t mod = mod_of(c);

		if (mod == PST_RULES_PATTERN_EXTENDED && (*out & mod))
			mod |= PST_RULES_PATTERN_EXTENDED_MORE;
		*out |= mod;
		ascii_count += c == 'a';
		sets += c == 'l' || c == 'u' || c == 'd';
		if (!mod && c != 'a' && c != 'l' && c != 'u' && c != 'd' && c != 'p')
			return -PST_E_SYNTAX;
	}
	return ascii_count > 2 || sets + (ascii_count > 0) > 1 ? -PST_E_SYNTAX : 0;
}

static bool has_unescaped(struct pst_span text, uint8_t delimiter)
{
	for (uint32_t i = 0; i < text.len; i++) {
		if (text.at[i] == '\\')
			i++;
		else if (text.at[i] == delimiter)
			return true;
	}
	return false;
}

static int undelimited(struct pst_span in, struct pst_rules_pattern *out, const char **why)
{
	uint8_t end = open_delimiter(&in);
	int64_t at;

	if (!end) {
		*why = "no delimiters around the pattern";
		return -PST_E_SYNTAX;
	}
	at = pst_span_rfind(in, end);
	if (at < 0) {
		*why = "the pattern's closing delimiter is missing";
		return -PST_E_SYNTAX;
	}
	if (take_mods(pst_span_sub(in, (uint32_t)at + 1, in.len), &out->mods)) {
		*why = "unknown modifiers behind the pattern";
		return -PST_E_SYNTAX;
	}
	out->text = pst_span_sub(in, 0, (uint32_t)at);
	if (end != '}' && end != ')' && end != ']' && has_unescaped(out->text, end)) {
		*why = "the delimiter stands in the pattern without a backslash";
		return -PST_E_SYNTAX;
	}
	return 0;
}

/* ---------------------------------------------------------------------------- what Perl refuses */

/* What stands before the place that is looked at. */
enum before { NOTHING, ATOM, QUANTIFIER };

struct scan {
	struct pst_span text;
	uint32_t at;
	enum before before;
	const char *why;
	struct pst_rules_pattern *out;
};

static uint8_t peek(const struct scan *scan, uint32_t ahead)
{
	return scan->at + ahead < scan->text.len ? scan->text.at[scan->at + ahead] : 0;
}

static bool starts(const struct scan *scan, struct pst_span prefix)
{
	return pst_span_eq(pst_span_sub(scan->text, scan->at, prefix.len), prefix);
}

static void skip_to(struct scan *scan, uint8_t end)
{
	while (scan->at < scan->text.len && scan->text.at[scan->at++] != end)
		;
}

static bool is_control_letter(uint8_t c)
{
	return pst_is_alpha(c) || (c >= '[' && c <= '_') || c == '@' || c == '?';
}

static void scan_escape(struct scan *scan)
{
	uint8_t c = peek(scan, 1);

	if (c == 'Q' || c == 'E')
		scan->why = "\\Q and \\E mean nothing here";
	if (c == 'b' && peek(scan, 2) == '{')
		scan->why = "\\b{..} is not supported";
	if (c == 'c' && !is_control_letter(peek(scan, 2)))
		scan->why = "\\c without a letter";
	scan->at += 2;
	if (peek(scan, 0) == '{' &&
		(c == 'x' || c == 'p' || c == 'P' || c == 'N' || c == 'g' || c == 'k' || c == 'o'))
		skip_to(scan, '}');
	scan->before = ATOM;
}

static void scan_class(struct scan *scan)
{
	scan->at++;
	if (peek(scan, 0) == '^')
		scan->at++;
	if (peek(scan, 0) == ']')
		scan->at++;
	while (scan->at < scan->text.len && peek(scan, 0) != ']') {
		uint8_t next = peek(scan, 1);

		if (peek(scan, 0) == '\\') {
			scan->at += 2;
		} else if (peek(scan, 0) == '[' && (next == ':' || next == '.' || next == '=')) {
			scan->at += 2;
			while (scan->at < scan->text.len &&
				!(peek(scan, 0) == next && peek(scan, 1) == ']'))
				scan->at++;
			scan->at += 2;
		} else {
			scan->at++;
		}
	}
	scan->at++;
	scan->before = ATOM;
}

static bool is_upper(uint8_t c)
{
	return c >= 'A' && c <= 'Z';
}

static void scan_group(struct scan *scan)
{
	uint8_t c = peek(scan, 2);

	scan->before = NOTHING;
	if (peek(scan, 1) != '?') {
		scan->at++;
		if (peek(scan, 0) == '*')
			skip_to(scan, ')');
		return;
	}
	if (c == '{' || (c == '?' && peek(scan, 3) == '{') || c == 'C') {
		scan->why = "code in a pattern";
		return;
	}
	if (c == '#') {
		skip_to(scan, ')');
		return;
	}
	if (c == 'P')
		c = peek(scan, 3);
	if ((c == '<' || c == '\'') && is_upper(peek(scan, peek(scan, 2) == 'P' ? 4 : 3)))
		scan->out->captures = true;
	/* everything up to what the group holds */
	scan->at += 2;
	while (scan->at < scan->text.len) {
		c = scan->text.at[scan->at];
		if (c == ')')
			return;
		scan->at++;
		if (c == ':' || c == '=' || c == '!' || c == '>' || c == '|' || c == '(')
			return;
	}
}

/* "{2}", "{2,}", "{,3}", "{2,3}", blanks inside allowed.
 *  ret its length | 0: the brace is a literal one */
static uint32_t quantifier_len(const struct scan *scan)
{
	uint32_t at = 1, digits = 0, commas = 0;

	for (;; at++) {
		uint8_t c = peek(scan, at);

		if (pst_is_digit(c))
			digits++;
		else if (c == ',' && commas == 0)
			commas++;
		else if (c == '}')
			return digits ? at + 1 : 0;
		else if (!pst_is_blank(c))
			return 0;
	}
}

/* "{2}" and "{2,2}": there is nothing to be lazy about. */
static bool is_exact(const struct scan *scan, uint32_t len)
{
	struct pst_span inside = pst_span_sub(scan->text, scan->at + 1, len - 2);
	int64_t comma = pst_span_find(inside, ',');
	struct pst_span low = pst_span_sub(inside, 0, comma < 0 ? inside.len : (uint32_t)comma);

	return comma < 0 ||
	       pst_span_eq(pst_span_trim(low),
		       pst_span_trim(pst_span_sub(inside, (uint32_t)comma + 1, inside.len)));
}

static void scan_quantifier(struct scan *scan, uint32_t len)
{
	if (scan->before == QUANTIFIER)
		scan->why = "a quantifier behind a quantifier";
	if (len > 1 && peek(scan, len) == '?' && is_exact(scan, len))
		scan->why = "a ? behind a fixed number";
	scan->at += len;
	if (peek(scan, 0) == '?' || peek(scan, 0) == '+')
		scan->at++;
	scan->before = QUANTIFIER;
}

static void scan_brace(struct scan *scan)
{
	uint32_t len = quantifier_len(scan);

	if (len) {
		scan_quantifier(scan, len);
		return;
	}
	if (scan->before == ATOM)
		scan->why = "a literal { needs a backslash";
	scan->at++;
	scan->before = ATOM;
}

static bool is_tag(const struct scan *scan)
{
	return starts(scan, PST_SPAN("%{")) && is_upper(peek(scan, 2));
}

static void scan_next(struct scan *scan)
{
	uint8_t c = peek(scan, 0);

	switch (c) {
	case '\\':
		scan_escape(scan);
		return;
	case '[':
		scan_class(scan);
		return;
	case '(':
		scan_group(scan);
		return;
	case '{':
		scan_brace(scan);
		return;
	case '*':
	case '+':
	case '?':
		scan_quantifier(scan, 1);
		return;
	case '|':
	case '^':
		scan->before = NOTHING;
		break;
	default:
		if (is_tag(scan)) {
			scan->out->uses_tag = true;
			skip_to(scan, '}');
			scan->before = ATOM;
			return;
		}
		if ((scan->out->mods & PST_RULES_PATTERN_EXTENDED) && pst_is_space(c))
			break;
		if ((scan->out->mods & PST_RULES_PATTERN_EXTENDED) && c == '#') {
			skip_to(scan, '\n');
			return;
		}
		scan->before = ATOM;
		break;
	}
	scan->at++;
}

/* "(*UTF)" and its like would change what the whole pattern means; Perl knows none of them. */
static bool begins_with_option(struct pst_span text)
{
	static const char *const OPTIONS[] = {"(*UTF", "(*UCP", "(*NO", "(*LIMIT", "(*CR", "(*LF",
		"(*ANY", "(*NUL", "(*BSR", "(*CASELESS"};

	for (uint32_t i = 0; i < PST_COUNT(OPTIONS); i++) {
		struct pst_span option = pst_span_text(OPTIONS[i]);

		if (pst_span_eq(pst_span_sub(text, 0, option.len), option))
			return true;
	}
	return false;
}

int pst_rules_pattern_parse(
	struct pst_span in, bool delimited, struct pst_rules_pattern *out, const char **why)
{
	struct scan scan = {.out = out};

	*out = (struct pst_rules_pattern){.text = in};
	if (delimited && undelimited(in, out, why))
		return -PST_E_SYNTAX;
	scan.text = out->text;
	if (begins_with_option(out->text))
		scan.why = "an option that Perl does not know";
	while (scan.at < scan.text.len && !scan.why)
		scan_next(&scan);
	if (scan.why) {
		*why = scan.why;
		return -PST_E_SYNTAX;
	}
	return 0;
}
