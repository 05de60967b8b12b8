/* rules/pattern.h - a pattern as a rule file writes it
 *
 * Layer: rules (pure). Uses: base.
 * Concept: "/re/i", "m{re}x", "qr|re|": delimiters and modifiers are taken off, and what Perl (with
 * warnings made fatal, as SpamAssassin compiles) refuses although PCRE2 would take it is refused
 * here: a literal brace without a backslash, a quantifier behind a quantifier, \Q, code in a
 * pattern. Memory: none; the text is borrowed.
 */
#ifndef PST_RULES_PATTERN_H
#define PST_RULES_PATTERN_H

#include "base/span.h"

enum pst_rules_pattern_mod {
	PST_RULES_PATTERN_CASELESS = 1 << 0,	  /* i */
	PST_RULES_PATTERN_MULTILINE = 1 << 1,	  /* m: ^ and $ at every line */
	PST_RULES_PATTERN_DOTALL = 1 << 2,	  /* s: . takes a newline */
	PST_RULES_PATTERN_EXTENDED = 1 << 3,	  /* x: white space means nothing */
	PST_RULES_PATTERN_EXTENDED_MORE = 1 << 4, /* xx: nor does it in a class */
	PST_RULES_PATTERN_NO_CAPTURE = 1 << 5,	  /* n */
};

struct pst_rules_pattern {
	struct pst_span text;
	uint32_t mods; /* enum pst_rules_pattern_mod, added up */
	bool captures; /* has a group with a name that begins with a capital: it sets a tag */
	bool uses_tag; /* has %{TAG}: matches text that another rule captured */
};

/*  in  delimited: false takes the text as it is, without delimiters and modifiers
 *  out why: our own text
 *  ret 0 | -PST_E_SYNTAX: *why says what is wrong */
int pst_rules_pattern_parse(struct pst_span in, bool delimited, struct pst_rules_pattern *out,
	const char **why) PST_MUST_CHECK;

#endif
