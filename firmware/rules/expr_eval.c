/* rules/expr_eval.c - the stack machine of expressions
 *
 * Code comes from pst_rules_expr_compile alone, so it is believed; numbers are not.
 */
#include "rules/expr_priv.h"

struct machine {
	struct pst_span code;
	uint32_t at;
	struct pst_rules_num stack[PST_RULES_EXPR_DEPTH_MAX];
	uint32_t depth;
	const struct pst_rules_num *values;
	int status;
};

static uint32_t u32_at(struct pst_span code, uint32_t at)
{
	const uint8_t *b = code.at + at;

	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static uint32_t fetch(struct machine *machine)
{
	machine->at += 4;
	return u32_at(machine->code, machine->at - 4);
}

static int64_t magnitude(int64_t number)
{
	return number < 0 ? -number : number;
}

/* Both sides are below 2^63 in size. */
static int reduced(int64_t n, int64_t d, struct pst_rules_num *out)
{
	int64_t a = magnitude(n), b = magnitude(d);

	if (d == 0)
		return -PST_E_RANGE;
	while (b) {
		int64_t rest = a % b;

		a = b;
		b = rest;
	}
	n /= a;
	d /= a;
	if (d < 0) {
		n = -n;
		d = -d;
	}
	if (magnitude(n) > INT32_MAX || d > INT32_MAX)
		return -PST_E_RANGE;
	*out = (struct pst_rules_num){(int32_t)n, (int32_t)d};
	return 0;
}

/* <0, 0, >0 */
static int order(struct pst_rules_num a, struct pst_rules_num b)
{
	int64_t left = (int64_t)a.n * b.d, right = (int64_t)b.n * a.d;

	return (left > right) - (left < right);
}

static bool compares(uint8_t op, struct pst_rules_num a, struct pst_rules_num b)
{
	int is = order(a, b);

	switch (op) {
	case OP_LT:
		return is < 0;
	case OP_GT:
		return is > 0;
	case OP_LE:
		return is <= 0;
	case OP_GE:
		return is >= 0;
	case OP_EQ:
		return is == 0;
	default:
		return is != 0;
	}
}

static int arithmetic(uint8_t op, struct pst_rules_num a, struct pst_rules_num b,
		      struct pst_rules_num *out)
{
	switch (op) {
	case OP_MUL:
		return reduced((int64_t)a.n * b.n, (int64_t)a.d * b.d, out);
	case OP_DIV:
		return reduced((int64_t)a.n * b.d, (int64_t)a.d * b.n, out);
	case OP_ADD:
		return reduced((int64_t)a.n * b.d + (int64_t)b.n * a.d, (int64_t)a.d * b.d, out);
	case OP_SUB:
		return reduced((int64_t)a.n * b.d - (int64_t)b.n * a.d, (int64_t)a.d * b.d, out);
	case OP_XOR:
		/* whole numbers; Perl's are without a sign and as wide as a pointer */
		return reduced((int64_t)(a.n / a.d) ^ (int64_t)(b.n / b.d), 1, out);
	default:
		*out = PST_RULES_NUM(compares(op, a, b));
		return 0;
	}
}

static void push(struct machine *machine, struct pst_rules_num number)
{
	PST_BUG_ON(machine->depth == PST_RULES_EXPR_DEPTH_MAX);
	machine->stack[machine->depth++] = number;
}

static void chain(struct machine *machine)
{
	uint8_t op = machine->code.at[machine->at++];
	uint32_t target = fetch(machine);
	struct pst_rules_num *top = &machine->stack[machine->depth - 2];

	machine->depth--;
	if (compares(op, top[0], top[1])) {
		top[0] = top[1];
		return;
	}
	top[0] = PST_RULES_NUM(0);
	machine->at = target;
}

static void jump(struct machine *machine, uint8_t op)
{
	uint32_t target = fetch(machine);
	bool is_true = op != OP_JUMP && machine->stack[machine->depth - 1].n != 0;

	switch (op) {
	case OP_JUMP:
		machine->at = target;
		return;
	case OP_UNLESS:
		machine->depth--;
		if (!is_true)
			machine->at = target;
		return;
	default:
		if (is_true == (op == OP_OR))
			machine->at = target;
		else
			machine->depth--;
		return;
	}
}

static void step(struct machine *machine)
{
	uint8_t op = machine->code.at[machine->at++];
	struct pst_rules_num *top;
	uint32_t n;

	switch (op) {
	case OP_NUMBER:
		n = fetch(machine);
		push(machine, (struct pst_rules_num){(int32_t)n, (int32_t)fetch(machine)});
		return;
	case OP_VALUE:
		push(machine, machine->values[fetch(machine)]);
		return;
	case OP_NOTHING:
		return;
	case OP_NOT:
	case OP_NEGATE:
		top = &machine->stack[machine->depth - 1];
		*top = op == OP_NOT ? PST_RULES_NUM(top->n == 0) :
				      (struct pst_rules_num){-top->n, top->d};
		return;
	case OP_AND:
	case OP_OR:
	case OP_UNLESS:
	case OP_JUMP:
		jump(machine, op);
		return;
	case OP_CHAIN:
		chain(machine);
		return;
	default:
		top = &machine->stack[machine->depth - 2];
		machine->status = arithmetic(op, top[0], top[1], &top[0]);
		machine->depth--;
		return;
	}
}

int pst_rules_expr_eval(struct pst_span code, const struct pst_rules_num *values,
			struct pst_rules_num *out)
{
	struct machine machine = {.code = code, .values = values};

	while (machine.at < code.len && !machine.status)
		step(&machine);
	if (!machine.status)
		*out = machine.stack[0];
	return machine.status;
}

int64_t pst_rules_expr_next_name(struct pst_span code, uint32_t *at)
{
	while (*at < code.len) {
		uint8_t op = code.at[(*at)++];

		switch (op) {
		case OP_VALUE:
			*at += 4;
			return u32_at(code, *at - 4);
		case OP_NUMBER:
			*at += 8;
			break;
		case OP_AND:
		case OP_OR:
		case OP_UNLESS:
		case OP_JUMP:
			*at += 4;
			break;
		case OP_CHAIN:
			*at += 5;
			break;
		default:
			break;
		}
	}
	return -PST_E_NOENT;
}
