/* rules/rule_lines.c - lines that define a rule
 *
 * A line that is not right leaves an earlier definition of the same name as it was, as SpamAssassin
 * does; a right one replaces it whole.
 */
#include "rules/load_priv.h"

static void refuse(struct pst_rules_load *load, struct pst_span rule, const char *why)
{
	pst_rules_load_complain(load, PST_RULES_ERROR, rule, "the rule is left out: %s", why);
}

static bool is_word(uint8_t c)
{
	return pst_is_alnum(c) || c == '_';
}

/* The name at the front of a rule line.
 *  ret false: it is none, and that was said */
static bool take_name(struct pst_rules_load *load, struct pst_span *value, struct pst_span *name)
{
	*name = pst_rules_take_word(value);
	if (!pst_rules_is_name(*name) || name->len > PST_RULES_NAME_LEN_MAX) {
		refuse(load, pst_span_sub(*name, 0, PST_RULES_NAME_LEN_MAX),
			"a name is up to 100 letters, digits and \"_\", without a digit in front");
		return false;
	}
	if (name->len > 40 && !pst_span_starts_nocase(*name, PST_SPAN("__")) &&
		!pst_span_starts_nocase(*name, PST_SPAN("T_")))
		pst_rules_load_complain(load, PST_RULES_WARNING, *name,
			"names of more than 40 letters make headers hard to read");
	if (value->len == 0) {
		refuse(load, *name, "there is nothing behind its name");
		return false;
	}
	return true;
}

/* Begin the definition: what an earlier line said of the rule itself is forgotten, its score, flags
 * and description are not. */
static struct pst_rules_name *define(
	struct pst_rules_load *load, struct pst_span text, enum pst_rules_kind kind)
{
	struct pst_rules_name *name = pst_rules_name_get(load, text);

	if (!name)
		return NULL;
	if (name->regex)
		pst_rules_regex_free(load->set->engine, name->regex);
	name->regex = NULL;
	name->kind = (uint8_t)kind;
	name->why = PST_RULES_RUNS;
	name->negated = name->exists = name->has_unset = false;
	name->target = name->body = name->unset = PST_SPAN_NONE;
	name->eval = NULL;
	name->arg_count = 0;
	name->file = load->stack[load->depth - 1].index;
	name->line = load->stack[load->depth - 1].line;
	return name;
}

/* ------------------------------------------------------------------------------------ patterns */

/* Take a pattern with its delimiters.
 *  out regex: NULL where it is too large for this build, or needs text that another rule captures
 *  ret false: it is none, and that was said */
static bool take_pattern(struct pst_rules_load *load, struct pst_span rule, struct pst_span text,
	struct pst_rules_pattern *pattern, struct pst_rules_regex **regex)
{
	uint8_t area[200];
	struct pst_buf why;
	const char *fault = NULL;
	int status;

	*regex = NULL;
	if (pst_rules_pattern_parse(text, true, pattern, &fault)) {
		refuse(load, rule, fault);
		return false;
	}
	pst_buf_init(&why, area, sizeof(area) - 1);
	status = pst_rules_regex_compile(load->set->engine, pattern, regex, &why);
	if (status == -PST_E_NOMEM)
		load->status = status;
	if (status == -PST_E_SYNTAX) {
		area[why.len] = 0;
		refuse(load, rule, (const char *)area);
	}
	return status == 0 || status == -PST_E_RANGE;
}

/* Is the line's pattern good? Of rules that do not run here, no more is wanted. */
static bool check_pattern(struct pst_rules_load *load, struct pst_span rule, struct pst_span text)
{
	struct pst_rules_pattern pattern;
	struct pst_rules_regex *regex;

	if (!take_pattern(load, rule, text, &pattern, &regex))
		return false;
	pst_rules_regex_free(load->set->engine, regex);
	return true;
}

/* "function(arguments)" behind "eval:". */
static bool take_call(struct pst_rules_load *load, struct pst_span rule, struct pst_span text,
	enum pst_rules_kind kind)
{
	struct pst_rules_name *name;
	uint32_t len = 0;

	while (len < text.len && is_word(text.at[len]))
		len++;
	if (len == 0 || text.len < len + 2 || text.at[len] != '(' || text.at[text.len - 1] != ')') {
		refuse(load, rule, "behind eval: stands function(arguments)");
		return false;
	}
	name = define(load, rule, kind);
	if (name)
		name->body = pst_rules_load_copy(load, text);
	return true;
}

static bool cut_prefix(struct pst_span *text, const char *prefix)
{
	struct pst_span wanted = pst_span_text(prefix);

	if (!pst_span_eq(pst_span_sub(*text, 0, wanted.len), wanted))
		return false;
	*text = pst_span_sub(*text, wanted.len, text->len);
	return true;
}

/* ------------------------------------------------------------------------------------- headers */

static bool is_target_byte(uint8_t c)
{
	return is_word(c) || c == '.' || c == '-';
}

/* "Name:mod:mod" in front of "=~"; a colon without a modifier behind it means nothing.
 *  out target: without that colon
 *  ret false: the line is not of that form */
static bool take_target(struct pst_span *rest, struct pst_span *target)
{
	uint32_t len = 0, mods = 0, end;

	while (len < rest->len && is_target_byte(rest->at[len]))
		len++;
	end = len;
	while (len > 0 && len < rest->len && rest->at[len] == ':') {
		uint32_t mod = ++len;

		while (len < rest->len && rest->at[len] >= 'a' && rest->at[len] <= 'z')
			len++;
		if (len == mod) {
			if (mods)
				return false;
			break;
		}
		end = len;
		mods++;
	}
	*target = pst_span_sub(*rest, 0, end);
	*rest = pst_span_sub(*rest, len, rest->len);
	while (rest->len && pst_is_space(rest->at[0]))
		*rest = pst_span_sub(*rest, 1, rest->len);
	return end > 0 && mods <= 2;
}

static bool take_operator(struct pst_span *rest, bool *negated)
{
	if (rest->len < 2 || rest->at[1] != '~' || (rest->at[0] != '=' && rest->at[0] != '!'))
		return false;
	*negated = rest->at[0] == '!';
	*rest = pst_span_sub(*rest, 2, rest->len);
	while (rest->len && pst_is_space(rest->at[0]))
		*rest = pst_span_sub(*rest, 1, rest->len);
	return rest->len > 0;
}

/* Cut "[if-unset: text]" off the end. */
static bool take_unset(struct pst_span *pattern, struct pst_span *unset)
{
	struct pst_span mark = PST_SPAN("[if-unset:");

	if (pattern->len == 0 || pattern->at[pattern->len - 1] != ']')
		return false;
	for (uint32_t at = 1; at + mark.len + 1 < pattern->len; at++) {
		uint32_t from = at + mark.len, end = at;

		if (!pst_is_space(pattern->at[at - 1]) || !pst_is_space(pattern->at[from]) ||
			!pst_span_eq(pst_span_sub(*pattern, at, mark.len), mark))
			continue;
		while (from < pattern->len && pst_is_space(pattern->at[from]))
			from++;
		if (from + 1 >= pattern->len)
			return false;
		*unset = pst_span_sub(*pattern, from, pattern->len - 1 - from);
		while (end > 0 && pst_is_space(pattern->at[end - 1]))
			end--;
		*pattern = pst_span_sub(*pattern, 0, end);
		return true;
	}
	return false;
}

static void take_exists(struct pst_rules_load *load, struct pst_span rule, struct pst_span target)
{
	struct pst_rules_target parsed;
	struct pst_rules_name *name;

	if (target.len && target.at[target.len - 1] == ':')
		target.len--;
	if (pst_span_find(target, ':') >= 0 || pst_rules_target_parse(target, &parsed)) {
		refuse(load, rule, "behind exists: stands the name of a header field");
		return;
	}
	name = define(load, rule, PST_RULES_KIND_HEADER);
	if (!name)
		return;
	name->exists = true;
	name->target = pst_rules_load_copy(load, target);
}

static void take_header_pattern(
	struct pst_rules_load *load, struct pst_span rule, struct pst_span text)
{
	struct pst_span target, unset = PST_SPAN_NONE;
	struct pst_rules_target parsed;
	struct pst_rules_pattern pattern;
	struct pst_rules_regex *regex;
	struct pst_rules_name *name;
	bool negated, has_unset;

	if (!take_target(&text, &target) || !take_operator(&text, &negated)) {
		refuse(load, rule, "write FIELD =~ /pattern/, exists:FIELD or eval:function()");
		return;
	}
	if (pst_rules_target_parse(target, &parsed)) {
		refuse(load, rule,
			"unknown modifier; there are raw addr name host domain ip revip first "
			"last");
		return;
	}
	has_unset = take_unset(&text, &unset);
	if (!take_pattern(load, rule, text, &pattern, &regex))
		return;
	name = define(load, rule, PST_RULES_KIND_HEADER);
	if (!name) {
		pst_rules_regex_free(load->set->engine, regex);
		return;
	}
	name->regex = regex;
	name->negated = negated;
	name->has_unset = has_unset;
	name->target = pst_rules_load_copy(load, target);
	name->unset = pst_rules_load_copy(load, unset);
	name->body = pst_rules_load_copy(load, text);
	if (pattern.captures)
		name->priority = -10000;
	if (pattern.uses_tag)
		name->why = PST_RULES_CAPTURED;
	else if (!regex)
		name->why = PST_RULES_TOO_LARGE;
}

void pst_rules_line_header(struct pst_rules_load *load, struct pst_span value)
{
	struct pst_span rule;

	if (!take_name(load, &value, &rule))
		return;
	if (cut_prefix(&value, "eval:") || cut_prefix(&value, "rbleval:"))
		(void)take_call(load, rule, value, PST_RULES_KIND_HEADER_EVAL);
	else if (cut_prefix(&value, "exists:"))
		take_exists(load, rule, value);
	else
		take_header_pattern(load, rule, value);
}

/* -------------------------------------------------------------------------------------- others */

void pst_rules_line_body(
	struct pst_rules_load *load, enum pst_rules_kind kind, struct pst_span value)
{
	struct pst_rules_name *name;
	struct pst_span rule;

	if (!take_name(load, &value, &rule))
		return;
	if (kind != PST_RULES_KIND_URI && cut_prefix(&value, "eval:")) {
		(void)take_call(load, rule, value, kind + 1);
		return;
	}
	if (!check_pattern(load, rule, value))
		return;
	name = define(load, rule, kind);
	if (name)
		name->body = pst_rules_load_copy(load, value);
}

void pst_rules_line_mimeheader(struct pst_rules_load *load, struct pst_span value)
{
	struct pst_span rule, target, unset;
	struct pst_rules_name *name;
	uint32_t len = 0;
	bool negated;

	if (!take_name(load, &value, &rule))
		return;
	while (len < value.len && value.at[len] != ':' && !pst_is_space(value.at[len]) &&
		value.at[len] != '=' && value.at[len] != '!')
		len++;
	target = pst_span_sub(value, 0, len);
	value = pst_span_sub(value, len, value.len);
	if (!cut_prefix(&value, ":raw"))
		(void)cut_prefix(&value, ":");
	while (value.len && pst_is_space(value.at[0]))
		value = pst_span_sub(value, 1, value.len);
	if (target.len == 0 || !take_operator(&value, &negated)) {
		refuse(load, rule, "write FIELD =~ /pattern/");
		return;
	}
	(void)take_unset(&value, &unset);
	if (!check_pattern(load, rule, value))
		return;
	name = define(load, rule, PST_RULES_KIND_MIMEHEADER);
	if (name)
		name->body = pst_rules_load_copy(load, value);
}

void pst_rules_line_named(
	struct pst_rules_load *load, enum pst_rules_kind kind, struct pst_span value)
{
	struct pst_span rule = pst_rules_take_word(&value);
	struct pst_rules_name *known = pst_rules_name_find(load, rule);

	if (!pst_rules_is_name(rule) || rule.len > PST_RULES_NAME_LEN_MAX) {
		refuse(load, pst_span_sub(rule, 0, PST_RULES_NAME_LEN_MAX), "not a name of a rule");
		return;
	}
	if (kind == PST_RULES_KIND_EMPTY && known && known->kind != PST_RULES_KIND_NONE)
		return;
	if (kind != PST_RULES_KIND_EMPTY && value.len == 0) {
		refuse(load, rule, "there is nothing behind its name");
		return;
	}
	(void)define(load, rule, kind);
}

/* --------------------------------------------------------------------------------------- metas */

static int64_t any_name(struct pst_rules_expr_names *self, struct pst_span name)
{
	(void)self;
	(void)name;
	return -PST_E_NOENT;
}

static int64_t no_more(struct pst_rules_expr_names *self, struct pst_span glob, uint32_t *at)
{
	(void)self;
	(void)glob;
	(void)at;
	return -PST_E_NOENT;
}

void pst_rules_line_meta(struct pst_rules_load *load, struct pst_span value)
{
	struct pst_rules_expr_names names = {any_name, no_more};
	struct pst_rules_num result;
	struct pst_rules_name *name;
	struct pst_span rule;
	struct pst_buf code;
	const char *why = "the expression is too long";

	if (!take_name(load, &value, &rule))
		return;
	pst_buf_init(&code, load->expand_area[0], PST_RULES_META_BYTES_MAX);
	if (pst_rules_expr_compile(value, &names, &code, &why)) {
		refuse(load, rule, why);
		return;
	}
	/* with no rule hit, as SpamAssassin tries it */
	if (pst_rules_expr_eval(pst_buf_span(&code), NULL, &result)) {
		refuse(load, rule, "it divides by zero");
		return;
	}
	name = define(load, rule, PST_RULES_KIND_META);
	if (name)
		name->body = pst_rules_load_copy(load, value);
}
