/* rules/rules_pcre2.h - patterns, compiled and matched by PCRE2
 *
 * Layer: rules (adapter). Uses: base.
 * Concept: an engine holds what all patterns of a set share: limits, character tables, one block of
 * match data, a stack for machine code. Patterns see bytes: no UTF, ASCII classes, but letters of
 * Latin-1 fold as Perl's do. A match that reaches a limit is neither a hit nor an error of the
 * pattern: -PST_E_TIMEOUT.
 * Memory: all through the engine's `struct pst_mem`, but machine code and its stack, which PCRE2
 * maps itself; both are counted.
 */
#ifndef PST_RULES_RULES_PCRE2_H
#define PST_RULES_RULES_PCRE2_H

#include "base/buf.h"
#include "base/mem.h"
#include "rules/pattern.h"

/* Longer subjects are cut. */
#define PST_RULES_SUBJECT_BYTES_MAX 65536u
/* Of the expanded text of one pattern. */
#define PST_RULES_PATTERN_BYTES_MAX (512u * 1024)

/* What one match may cost, in PCRE2's own steps. How many of them are 2 ms depends on the machine:
 * pst_rules_pcre2_spin finds out. */
struct pst_rules_limits {
	uint32_t steps;	    /* interpreted */
	uint32_t jit_steps; /* machine code; it counts fewer of them */
	uint32_t heap_kib;  /* of one match, interpreted */
};

/* Good for a slow board. */
#define PST_RULES_LIMITS_DEFAULT ((struct pst_rules_limits){20000, 20000, 256})

struct pst_rules_engine;
struct pst_rules_regex;

/*  in  mem: borrowed until pst_rules_engine_close
 *      jit: make machine code where pst_rules_regex_speed_up is called and the CPU and kernel allow
 *  ret 0 | -PST_E_NOMEM */
int pst_rules_engine_open(struct pst_mem *mem, const struct pst_rules_limits *limits, bool jit,
	struct pst_rules_engine **out) PST_MUST_CHECK;
/* Every pattern must have been freed. NULL is harmless. */
void pst_rules_engine_close(struct pst_rules_engine *engine);

/* Bytes taken from the `struct pst_mem`, and bytes of machine code and its stack. */
uint64_t pst_rules_engine_bytes(const struct pst_rules_engine *engine);
uint64_t pst_rules_engine_jit_bytes(const struct pst_rules_engine *engine);

/*  out why: PCRE2's message with the offset, where the result is -PST_E_SYNTAX; cut to its room
 *  ret 0 | -PST_E_SYNTAX: no pattern | -PST_E_RANGE: too large when compiled | -PST_E_NOMEM */
int pst_rules_regex_compile(struct pst_rules_engine *engine,
	const struct pst_rules_pattern *pattern, struct pst_rules_regex **out,
	struct pst_buf *why) PST_MUST_CHECK;
/* Make machine code of it, if the engine does so. Without it the pattern is interpreted. */
void pst_rules_regex_speed_up(struct pst_rules_engine *engine, struct pst_rules_regex *regex);
void pst_rules_regex_free(struct pst_rules_engine *engine, struct pst_rules_regex *regex);

/* Find the pattern in `subject` at or behind `from`.
 *  in/out  from: where to look; behind the match afterwards, so that the next call finds the next
 *          match as Perl's /g does (not twice the same empty one). NULL: the first match is enough
 *  ret 1: there | 0 | -PST_E_TIMEOUT: a limit was reached | -PST_E_NOMEM */
int pst_rules_regex_match(struct pst_rules_engine *engine, const struct pst_rules_regex *regex,
	struct pst_span subject, uint32_t *from) PST_MUST_CHECK;

/* Run into the limit with a pattern that has no end: whoever measures how long this takes knows
 * what a limit costs here. ret 0 | -PST_E_NOMEM */
int pst_rules_engine_spin(struct pst_rules_engine *engine, bool jit, uint32_t steps) PST_MUST_CHECK;

#endif
