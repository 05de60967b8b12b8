/* rules/expr_priv.h - the code of expressions
 *
 * Layer: rules.
 */
#ifndef PST_RULES_EXPR_PRIV_H
#define PST_RULES_EXPR_PRIV_H

#include "rules/expr.h"

/* One byte each; numbers behind it have four bytes, the lowest first. */
enum pst_rules_expr_op {
	OP_NUMBER,  /* n, d: push */
	OP_VALUE,   /* index: push the value of a name */
	OP_NOTHING, /* the sign + */
	OP_NOT,
	OP_NEGATE,
	OP_MUL, /* from here to OP_XOR: two operands, one result */
	OP_DIV,
	OP_ADD,
	OP_SUB,
	OP_LT,
	OP_GT,
	OP_LE,
	OP_GE,
	OP_EQ,
	OP_NE,
	OP_XOR,
	OP_AND,	   /* target: jump if the top is zero, else drop it */
	OP_OR,	   /* target: jump unless the top is zero, else drop it */
	OP_UNLESS, /* target: drop the top, jump if it is zero */
	OP_JUMP,   /* target */
	OP_CHAIN,  /* comparison, target: compare the top two and keep the right one; or false and
		      jump */
};

#endif
