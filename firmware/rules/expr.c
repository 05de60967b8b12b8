/* rules/expr.c - expressions to code: a lexer like SpamAssassin's, operators by precedence
 *
 * Precedence climbing with an explicit stack of open operators: rule files are other people's, so
 * nothing here may recurse. Short circuits are jumps that are filled in when their right side ends.
 */
#include "rules/expr_priv.h"

struct open {
	uint8_t op; /* enum pst_rules_expr_op, or one of the two below */
	uint8_t level;
	bool prefix;
	uint32_t jump;	/* where a jump's target goes, UINT32_MAX without one */
	uint32_t chain; /* the first of the comparisons chained before this one */
};

enum { OPEN_PAREN = 200, OPEN_QUESTION };

enum level {
	LEVEL_PAREN,
	LEVEL_TERNARY,
	LEVEL_OR,
	LEVEL_AND,
	LEVEL_XOR,
	LEVEL_EQUAL,
	LEVEL_ORDER,
	LEVEL_SUM,
	LEVEL_PRODUCT,
	LEVEL_PREFIX
};

#define NO_JUMP UINT32_MAX

struct parse {
	struct pst_span rest;
	struct pst_rules_expr_names *names;
	struct pst_buf *code;
	struct open open[PST_RULES_EXPR_OPEN_MAX];
	uint32_t open_count, depth;
	bool want_operand;
	const char *why;
	int status;
};

static const struct {
	const char *text;
	uint8_t op, level;
} BINARY[] = {
	{"||", OP_OR, LEVEL_OR},
	{"&&", OP_AND, LEVEL_AND},
	{"^", OP_XOR, LEVEL_XOR},
	{"==", OP_EQ, LEVEL_EQUAL},
	{"!=", OP_NE, LEVEL_EQUAL},
	{"<=", OP_LE, LEVEL_ORDER},
	{">=", OP_GE, LEVEL_ORDER},
	{"<", OP_LT, LEVEL_ORDER},
	{">", OP_GT, LEVEL_ORDER},
	{"+", OP_ADD, LEVEL_SUM},
	{"-", OP_SUB, LEVEL_SUM},
	{"*", OP_MUL, LEVEL_PRODUCT},
	{"/", OP_DIV, LEVEL_PRODUCT},
};

static void fail(struct parse *parse, const char *why)
{
	if (!parse->status) {
		parse->status = -PST_E_SYNTAX;
		parse->why = why;
	}
}

/* -------------------------------------------------------------------------------------- output */

static void put(struct parse *parse, uint8_t byte)
{
	if (!parse->status && pst_buf_put_byte(parse->code, byte))
		parse->status = -PST_E_FULL;
}

static void put_u32(struct parse *parse, uint32_t number)
{
	for (uint32_t shift = 0; shift < 32; shift += 8)
		put(parse, (uint8_t)(number >> shift));
}

static uint32_t here(const struct parse *parse)
{
	return parse->code->len;
}

static void set_u32(uint8_t *at, uint32_t number)
{
	for (uint32_t i = 0; i < 4; i++)
		at[i] = (uint8_t)(number >> (8 * i));
}

static void land(struct parse *parse, uint32_t jump)
{
	if (!parse->status)
		set_u32(parse->code->area + parse->code->head + jump, here(parse));
}

static void pushed(struct parse *parse)
{
	if (++parse->depth > PST_RULES_EXPR_DEPTH_MAX)
		fail(parse, "the expression is nested too deep");
}

static void put_number(struct parse *parse, int32_t n, int32_t d)
{
	put(parse, OP_NUMBER);
	put_u32(parse, (uint32_t)n);
	put_u32(parse, (uint32_t)d);
	pushed(parse);
}

static void put_value(struct parse *parse, int64_t index)
{
	if (index < 0) {
		put_number(parse, index == PST_RULES_EXPR_ONE, 1);
		return;
	}
	put(parse, OP_VALUE);
	put_u32(parse, (uint32_t)index);
	pushed(parse);
}

/* ----------------------------------------------------------------------------------- operators */

static struct open *top(struct parse *parse)
{
	return parse->open_count ? &parse->open[parse->open_count - 1] : NULL;
}

static void push_open(struct parse *parse, struct open open)
{
	if (parse->open_count == PST_RULES_EXPR_OPEN_MAX) {
		fail(parse, "the expression is nested too deep");
		return;
	}
	parse->open[parse->open_count++] = open;
}

static bool is_comparison(const struct open *open)
{
	return open->level == LEVEL_EQUAL || open->level == LEVEL_ORDER;
}

static void land_chain(struct parse *parse, uint32_t chain)
{
	while (!parse->status && chain != NO_JUMP) {
		const uint8_t *at = parse->code->area + parse->code->head + chain;
		uint32_t next = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
				(uint32_t)at[3] << 24;

		land(parse, chain);
		chain = next;
	}
}

/* The operand behind the topmost operator is complete. */
static void close_top(struct parse *parse)
{
	struct open open = parse->open[--parse->open_count];

	if (open.op == OP_AND || open.op == OP_OR || open.op == OP_JUMP) {
		land(parse, open.jump);
		return;
	}
	if (open.op != OP_NOTHING)
		put(parse, open.op);
	if (!open.prefix)
		parse->depth--;
	if (is_comparison(&open))
		land_chain(parse, open.chain);
}

static void close_above(struct parse *parse, uint8_t level)
{
	while (parse->open_count && top(parse)->level > level)
		close_top(parse);
}

static uint32_t put_jump(struct parse *parse, uint8_t op)
{
	uint32_t at;

	put(parse, op);
	at = here(parse);
	put_u32(parse, NO_JUMP);
	return at;
}

static void take_binary(struct parse *parse, uint8_t op, uint8_t level)
{
	struct open open = {.op = op, .level = level, .jump = NO_JUMP, .chain = NO_JUMP};
	bool chains = level == LEVEL_EQUAL || level == LEVEL_ORDER;

	/* of equal level, the one on the left is done first; comparisons chain */
	close_above(parse, chains ? level : (uint8_t)(level - 1));
	if (chains && parse->open_count && top(parse)->level == level) {
		struct open before = parse->open[--parse->open_count];

		put(parse, OP_CHAIN);
		put(parse, before.op);
		open.chain = here(parse);
		put_u32(parse, before.chain);
		parse->depth--;
	}
	if (op == OP_AND || op == OP_OR) {
		open.jump = put_jump(parse, op);
		parse->depth--;
	}
	push_open(parse, open);
	parse->want_operand = true;
}

static void take_question(struct parse *parse)
{
	close_above(parse, LEVEL_TERNARY);
	push_open(parse, (struct open){.op = OPEN_QUESTION, .jump = put_jump(parse, OP_UNLESS)});
	parse->depth--;
	parse->want_operand = true;
}

static void take_colon(struct parse *parse)
{
	struct open question;

	close_above(parse, LEVEL_PAREN);
	if (!parse->open_count || top(parse)->op != OPEN_QUESTION) {
		fail(parse, "a : without a ?");
		return;
	}
	question = parse->open[--parse->open_count];
	push_open(parse,
		(struct open){
			.op = OP_JUMP, .level = LEVEL_TERNARY, .jump = put_jump(parse, OP_JUMP)});
	land(parse, question.jump);
	parse->depth--;
	parse->want_operand = true;
}

static void take_close(struct parse *parse)
{
	close_above(parse, LEVEL_PAREN);
	if (!parse->open_count || top(parse)->op != OPEN_PAREN) {
		fail(parse, "a ) without a (");
		return;
	}
	parse->open_count--;
}

/* ---------------------------------------------------------------------------------------- words */

static bool is_word(uint8_t c)
{
	return pst_is_alnum(c) || c == '_';
}

bool pst_rules_is_name(struct pst_span text)
{
	if (text.len == 0 || text.len > 128 || pst_is_digit(text.at[0]))
		return false;
	for (uint32_t i = 0; i < text.len; i++)
		if (!is_word(text.at[i]))
			return false;
	return true;
}

/* "3", "0.25": at most nine digits, else it does not fit. */
static bool parse_number(struct pst_span text, int32_t *n, int32_t *d)
{
	uint32_t digits = 0, behind = 0;
	bool point = false;

	*n = 0;
	*d = 1;
	for (uint32_t i = 0; i < text.len; i++) {
		if (text.at[i] == '.' && !point && i > 0) {
			point = true;
			continue;
		}
		if (!pst_is_digit(text.at[i]) || ++digits > 9)
			return false;
		*n = *n * 10 + (text.at[i] - '0');
		*d *= point ? 10 : 1;
		behind += point;
	}
	for (int32_t prime = 2; prime <= 5; prime += 3)
		while (*n % prime == 0 && *d % prime == 0) {
			*n /= prime;
			*d /= prime;
		}
	return digits && (!point || behind);
}

static void take_signs(struct parse *parse, struct pst_span text)
{
	for (uint32_t i = 0; i < text.len; i++) {
		bool minus = text.at[i] == '-';

		if (parse->want_operand)
			push_open(parse, (struct open){.op = minus ? OP_NEGATE : OP_NOTHING,
						 .level = LEVEL_PREFIX,
						 .prefix = true});
		else
			take_binary(parse, minus ? OP_SUB : OP_ADD, LEVEL_SUM);
	}
}

/* A run of digits, points and signs, as the lexer takes them together. */
static void take_number(struct parse *parse, struct pst_span text)
{
	bool signs = text.len <= 2 && !pst_is_digit(text.at[0]) && text.at[0] != '.';
	int32_t n, d;

	/* "--" and "++" are other operators in Perl */
	if (signs && (text.len == 1 || (text.at[1] != text.at[0] &&
					       (text.at[1] == '+' || text.at[1] == '-')))) {
		take_signs(parse, text);
		return;
	}
	if (!parse_number(text, &n, &d)) {
		fail(parse, "a number must be digits, with blanks between it and a sign");
		return;
	}
	if (!parse->want_operand) {
		fail(parse, "an operator is missing between two values");
		return;
	}
	put_number(parse, n, d);
	parse->want_operand = false;
}

static struct pst_span cut(struct parse *parse, uint32_t len)
{
	struct pst_span text = pst_span_sub(parse->rest, 0, len);

	parse->rest = pst_span_sub(parse->rest, len, parse->rest.len);
	return text;
}

/* "rules_matching" is taken; is "(GLOB)" behind it? */
static bool take_matching(struct parse *parse)
{
	struct pst_span rest = parse->rest, glob;
	int64_t end = pst_span_find(rest, ')'), index;
	uint32_t at = 0;

	if (rest.len == 0 || rest.at[0] != '(' || end < 0)
		return false;
	glob = pst_span_trim(pst_span_sub(rest, 1, (uint32_t)end - 1));
	for (uint32_t i = 0; i < glob.len; i++)
		if (!is_word(glob.at[i]) && glob.at[i] != '*' && glob.at[i] != '?')
			return false;
	if (glob.len == 0 || pst_is_digit(glob.at[0]))
		return false;
	(void)cut(parse, (uint32_t)end + 1);
	put_number(parse, 0, 1);
	while ((index = parse->names->next_matching(parse->names, glob, &at)) >= 0) {
		put_value(parse, index);
		put(parse, OP_ADD);
		parse->depth--;
	}
	return true;
}

static void take_name(struct parse *parse, struct pst_span name)
{
	if (!pst_rules_is_name(name)) {
		fail(parse, "not a name of a rule");
		return;
	}
	if (!parse->want_operand) {
		fail(parse, "an operator is missing between two names");
		return;
	}
	parse->want_operand = false;
	if (pst_span_eq(name, PST_SPAN("rules_matching")) && take_matching(parse))
		return;
	put_value(parse, parse->names->find(parse->names, name));
}

static void take_paren(struct parse *parse, bool opens)
{
	struct pst_span rest = parse->rest;

	if (opens && parse->want_operand) {
		push_open(parse, (struct open){.op = OPEN_PAREN, .level = LEVEL_PAREN});
		while (rest.len && pst_is_space(rest.at[0]))
			rest = pst_span_sub(rest, 1, rest.len);
		if (rest.len && rest.at[0] == ')') {
			put_number(parse, 0, 1);
			parse->want_operand = false;
		}
	} else if (!opens && !parse->want_operand) {
		take_close(parse);
	} else {
		fail(parse, opens ? "an operator is missing before a ("
				  : "a value is missing before a )");
	}
}

static void take_operator(struct parse *parse)
{
	for (uint32_t i = 0; i < PST_COUNT(BINARY); i++) {
		struct pst_span text = pst_span_text(BINARY[i].text);

		if (!pst_span_eq(pst_span_sub(parse->rest, 0, text.len), text))
			continue;
		(void)cut(parse, text.len);
		if (parse->want_operand)
			fail(parse, "a value is missing before an operator");
		else
			take_binary(parse, BINARY[i].op, BINARY[i].level);
		return;
	}
	/* SpamAssassin's lexer steps over what it does not know */
	(void)cut(parse, 1);
}

static bool is_number_byte(uint8_t c)
{
	return pst_is_digit(c) || c == '+' || c == '-' || c == '.';
}

static void take_token(struct parse *parse)
{
	uint8_t c = parse->rest.at[0];
	uint32_t len = 1;

	if (is_number_byte(c)) {
		while (len < parse->rest.len && is_number_byte(parse->rest.at[len]))
			len++;
		take_number(parse, cut(parse, len));
	} else if (is_word(c)) {
		while (len < parse->rest.len &&
			(is_word(parse->rest.at[len]) || parse->rest.at[len] == ':'))
			len++;
		take_name(parse, cut(parse, len));
	} else if (c == '(' || c == ')') {
		(void)cut(parse, 1);
		take_paren(parse, c == '(');
	} else if (c == '!' && (parse->rest.len == 1 || parse->rest.at[1] != '=')) {
		(void)cut(parse, 1);
		if (!parse->want_operand)
			fail(parse, "an operator is missing before a !");
		push_open(
			parse, (struct open){.op = OP_NOT, .level = LEVEL_PREFIX, .prefix = true});
	} else if (c == '?' || c == ':') {
		(void)cut(parse, 1);
		if (parse->want_operand)
			fail(parse, "a value is missing before ? or :");
		else if (c == '?')
			take_question(parse);
		else
			take_colon(parse);
	} else {
		take_operator(parse);
	}
}

static bool has_code(struct pst_span text)
{
	for (uint32_t i = 0; i < text.len; i++) {
		uint8_t c = text.at[i], next = i + 1 < text.len ? text.at[i + 1] : 0;

		if (c == '$' || c == '@' || c == '%' || c == ';' || c == '{' || c == '}' ||
			(c == ':' && next == ':') || (c == '-' && next == '>'))
			return true;
		if (c == '*') {
			while (i + 1 < text.len && pst_is_space(text.at[i + 1]))
				i++;
			if (i + 1 < text.len && text.at[i + 1] == '*')
				return true;
		}
	}
	return false;
}

int pst_rules_expr_compile(struct pst_span text, struct pst_rules_expr_names *names,
	struct pst_buf *code, const char **why)
{
	struct parse parse = {.rest = text, .names = names, .code = code, .want_operand = true};

	if (has_code(text))
		fail(&parse, "a character that has no place in an expression");
	while (parse.rest.len && !parse.status)
		take_token(&parse);
	if (!parse.status && parse.want_operand)
		fail(&parse, "a value is missing at the end");
	while (!parse.status && parse.open_count) {
		if (top(&parse)->level == LEVEL_PAREN)
			fail(&parse, "a ( or ? is never closed");
		else
			close_top(&parse);
	}
	if (parse.status)
		*why = parse.why;
	return parse.status;
}

void pst_rules_expr_set_name(uint8_t *code, uint32_t at, uint32_t index)
{
	set_u32(code + at - 4, index);
}
