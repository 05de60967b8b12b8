/* rules/expr.h - arithmetic over rules: metas and the conditions of rule files
 *
 * Layer: rules (pure). Uses: base.
 * Concept: an expression in SpamAssassin's grammar (what its lexer takes and Perl then understands:
 * ! - * / + - < <= > >= == != ^ && || ?: and parentheses, chained comparisons) becomes a short code
 * for a stack machine. Numbers are fractions of two whole numbers, so that a third times three is
 * one without a floating point unit; what does not fit is an error of that evaluation, never a
 * trap.
 * && and || give the value that decided, as in Perl.
 * Memory: code goes into a buffer of the caller. Evaluation needs no memory.
 */
#ifndef PST_RULES_EXPR_H
#define PST_RULES_EXPR_H

#include "base/buf.h"

/* n / d, d > 0, without a common divisor. */
struct pst_rules_num {
	int32_t n, d;
};

#define PST_RULES_NUM(whole) ((struct pst_rules_num){(whole), 1})

/* Operands on the stack, open operators and parentheses. */
#define PST_RULES_EXPR_DEPTH_MAX 48
#define PST_RULES_EXPR_OPEN_MAX 128

/* An answer of `find`: the name stands for 1, always. */
#define PST_RULES_EXPR_ONE (-PST_E_COUNT)

/* What names stand for. */
struct pst_rules_expr_names {
	/*  ret the index of its value | PST_RULES_EXPR_ONE | -PST_E_NOENT: nothing by that name,
	 * its value is 0 */
	int64_t (*find)(struct pst_rules_expr_names *self, struct pst_span name);
	/* rules_matching(GLOB): one index after the other.
	 *  in/out  at: 0 to begin
	 *  ret an index | -PST_E_NOENT: no more */
	int64_t (*next_matching)(
		struct pst_rules_expr_names *self, struct pst_span glob, uint32_t *at);
};

/*  out code: appended
 *      why: our own text
 *  ret 0 | -PST_E_SYNTAX: *why says what is wrong | -PST_E_FULL: code has no room */
int pst_rules_expr_compile(struct pst_span text, struct pst_rules_expr_names *names,
	struct pst_buf *code, const char **why) PST_MUST_CHECK;

/*  in  values: by index
 *  ret 0 | -PST_E_RANGE: a division by zero, or a number that does not fit */
int pst_rules_expr_eval(struct pst_span code, const struct pst_rules_num *values,
	struct pst_rules_num *out) PST_MUST_CHECK;

/* Go through the names that code uses.
 *  in/out  at: 0 to begin
 *  ret an index | -PST_E_NOENT: no more */
int64_t pst_rules_expr_next_name(struct pst_span code, uint32_t *at);

/* Give a name of the code another index; `at` is where pst_rules_expr_next_name left off. */
void pst_rules_expr_set_name(uint8_t *code, uint32_t at, uint32_t index);

/* A name of a rule: a letter or "_", then letters, digits and "_". */
bool pst_rules_is_name(struct pst_span text);

#endif
