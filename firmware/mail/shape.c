/* mail/shape.c - a small backtracking matcher over templates
 *
 * Recursion goes one level deeper for every repetition, alternative and capture of the shape, never
 * for the length of the text, so the stack is bounded by our own tables.
 */
#include <string.h>

#include "base/addr.h"
#include "mail/shape.h"

struct matcher {
	struct pst_span text;
	bool nocase;
	uint32_t steps;
	uint32_t end;
	struct pst_span capture[26];
};

static bool is_word(uint8_t c)
{
	return pst_is_alnum(c) || c == '_';
}

static bool at_edge(struct pst_span text, uint32_t i)
{
	bool before = i > 0 && is_word(text.at[i - 1]);
	bool behind = i < text.len && is_word(text.at[i]);

	return before != behind;
}

static bool is_hex(uint8_t c)
{
	return pst_is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static uint32_t ipv4_len(struct pst_span text, uint32_t at)
{
	uint32_t i = at;

	for (uint32_t part = 0; part < 4; part++) {
		uint32_t from = i, value = 0;

		if (part && (i >= text.len || text.at[i++] != '.'))
			return 0;
		from = i;
		while (i < text.len && i - from < 3 && pst_is_digit(text.at[i]))
			value = value * 10 + (text.at[i++] - '0');
		if (i == from || value > 255 || (text.at[from] == '0' && i - from > 1))
			return 0;
	}
	return i < text.len && is_word(text.at[i]) ? 0 : i - at;
}

static uint32_t ipv6_len(struct pst_span text, uint32_t at)
{
	struct pst_span rest = pst_span_sub(text, at, 60);
	uint32_t prefix = pst_span_starts_nocase(rest, PST_SPAN("ipv6:")) ? 5 : 0;
	uint32_t len = prefix, colons = 0, plain;
	struct pst_addr addr;

	while (len < rest.len && (is_hex(rest.at[len]) || rest.at[len] == ':'))
		colons += rest.at[len++] == ':';
	if (colons < 2)
		return 0;
	plain = len;
	while (len < rest.len && (pst_is_digit(rest.at[len]) || rest.at[len] == '.'))
		len++;
	if (len > plain && !pst_addr_parse(pst_span_sub(rest, prefix, len - prefix), &addr))
		return len;
	return pst_addr_parse(pst_span_sub(rest, prefix, plain - prefix), &addr) ? 0 : plain;
}

uint32_t pst_shape_ip_len(struct pst_span text, uint32_t at)
{
	uint8_t before = at > 0 ? text.at[at - 1] : ' ';

	if (at >= text.len)
		return 0;
	if (pst_is_digit(text.at[at]) && !is_word(before) && before != ':') {
		uint32_t len = ipv4_len(text, at);

		if (len)
			return len;
	}
	if ((text.at[at] | 0x20) != 'i' && (is_hex(before) || before == ':'))
		return 0;
	return ipv6_len(text, at);
}

/* One byte's class at `shape`; *next is behind it. */
static bool class_has(const char *shape, uint8_t c, const char **next)
{
	bool not = false, has = false;

	if (*shape != '[') {
		*next = shape + 1;
		switch (*shape) {
		case 's':
			return !pst_is_space(c);
		case 'd':
			return pst_is_digit(c);
		case 'n':
			return !pst_is_digit(c);
		case 'w':
			return is_word(c);
		default:
			return c != '\n';
		}
	}
	shape++;
	if (*shape == '^') {
		not = true;
		shape++;
	}
	do {
		uint8_t from, to;

		if (*shape == '\\')
			shape++;
		from = to = (uint8_t)*shape++;
		if (shape[0] == '-' && shape[1] != ']') {
			to = (uint8_t)shape[1];
			shape += 2;
		}
		has = has || (c >= from && c <= to);
	} while (*shape != ']');
	*next = shape + 1;
	return has != not;
}

static bool has_byte(const struct matcher *m, const char *class, uint32_t i)
{
	const char *next;
	uint8_t c;

	if (i >= m->text.len)
		return false;
	c = m->text.at[i];
	return class_has(class, c, &next) ||
	       (m->nocase && pst_is_alpha(c) && class_has(class, c ^ 0x20, &next));
}

struct repeat {
	uint32_t min, max;
	bool lazy;
};

static uint32_t number(const char **at)
{
	uint32_t value = 0;

	while (**at >= '0' && **at <= '9')
		value = value * 10 + (uint32_t)(*(*at)++ - '0');
	return value;
}

static const char *read_repeat(const char *shape, struct repeat *repeat)
{
	*repeat = (struct repeat){1, 1, false};
	switch (*shape) {
	case '+':
		repeat->max = UINT32_MAX;
		return shape + 1;
	case '*':
		*repeat = (struct repeat){0, UINT32_MAX, false};
		return shape + 1;
	case '?':
		repeat->min = 0;
		return shape + 1;
	case '-':
		*repeat = (struct repeat){0, UINT32_MAX, true};
		return shape + 1;
	case ':':
		shape++;
		repeat->min = repeat->max = number(&shape);
		if (*shape == '-') {
			shape++;
			repeat->max = number(&shape);
		}
		return shape + 1;
	default:
		return shape;
	}
}

/* The next place of the group that `shape` stands in: behind its next '|' (if bars count), or behind
 * the '>' that ends it.
 *  out ends: it is the latter */
static const char *group_next(const char *shape, bool bars, bool *ends)
{
	uint32_t depth = 0;

	*ends = true;
	for (; *shape; shape++) {
		switch (*shape) {
		case '\\':
			shape++;
			break;
		case '%':
			shape++;
			if (*shape != '[')
				break;
			while (*++shape != ']')
				if (*shape == '\\')
					shape++;
			break;
		case '<':
			depth++;
			break;
		case '>':
			if (depth-- == 0)
				return shape + 1;
			break;
		case '|':
			if (bars && depth == 0) {
				*ends = false;
				return shape + 1;
			}
			break;
		default:
			break;
		}
	}
	PST_BUG_ON(true);
	return shape;
}

static bool run(struct matcher *m, const char *shape, uint32_t i);

static bool same_byte(const struct matcher *m, uint8_t c, uint8_t wanted)
{
	return c == wanted || (m->nocase && pst_lower(c) == pst_lower(wanted));
}

/* The byte that must stand at the place of `shape`; false if it is not a single one. */
static bool literal_at(const char *shape, uint8_t *c)
{
	if (*shape == '\\')
		shape++;
	else if (*shape == 0 || *shape == '%' || *shape == '<' || *shape == '>' || *shape == '{' ||
		 *shape == '}' || *shape == '|')
		return false;
	*c = (uint8_t)*shape;
	return true;
}

/* Can what stands at `shape` begin at `i`? A quick no saves most of a search; yes decides nothing. */
static bool may_begin(const struct matcher *m, const char *shape, uint32_t i)
{
	bool ends = false;
	uint8_t c;

	for (;;) {
		if (*shape == '{') {
			shape += 2;
		} else if (shape[0] == '%' && shape[1] == 'b') {
			if (!at_edge(m->text, i))
				return false;
			shape += 2;
		} else {
			break;
		}
	}
	if (literal_at(shape, &c))
		return i < m->text.len && same_byte(m, m->text.at[i], c);
	if (*shape != '<')
		return true;
	shape++;
	while (!ends) {
		if (!literal_at(shape, &c) || (i < m->text.len && same_byte(m, m->text.at[i], c)))
			return true;
		shape = group_next(shape, true, &ends);
	}
	return false;
}

static bool run_repeat(struct matcher *m, const char *class, uint32_t i)
{
	const char *behind;
	struct repeat repeat;
	uint32_t count = 0;
	uint8_t next = 0;
	bool literal;

	(void)class_has(class, 0, &behind);
	behind = read_repeat(behind, &repeat);
	literal = literal_at(behind, &next);
	while (count < (repeat.lazy ? repeat.min : repeat.max) && has_byte(m, class, i + count))
		count++;
	if (count < repeat.min)
		return false;
	for (;;) {
		bool fits = !literal || (i + count < m->text.len &&
					 same_byte(m, m->text.at[i + count], next));

		if (fits && run(m, behind, i + count))
			return true;
		if (m->steps > PST_SHAPE_STEPS_MAX)
			return false;
		if (repeat.lazy) {
			if (count == repeat.max || !has_byte(m, class, i + count))
				return false;
			count++;
		} else if (count-- == repeat.min) {
			return false;
		}
	}
}

static bool run_group(struct matcher *m, const char *shape, uint32_t i)
{
	bool ends = false;

	while (!ends) {
		uint8_t c;

		if ((!literal_at(shape, &c) || (i < m->text.len && same_byte(m, m->text.at[i], c))) &&
		    run(m, shape, i))
			return true;
		shape = group_next(shape, true, &ends);
	}
	return false;
}

static bool run_capture(struct matcher *m, const char *shape, uint32_t i, bool opens)
{
	uint32_t slot = 0;
	struct pst_span old;

	if (opens) {
		/* the start is parked in the slot until the end is known */
		slot = (uint32_t)(*shape - 'a');
		old = m->capture[slot];
		m->capture[slot] = (struct pst_span){m->text.at + i, UINT32_MAX};
		if (run(m, shape + 1, i))
			return true;
		m->capture[slot] = old;
		return false;
	}
	while (m->capture[slot].len != UINT32_MAX)
		slot++;
	old = m->capture[slot];
	m->capture[slot].len = (uint32_t)(m->text.at + i - old.at);
	if (run(m, shape, i))
		return true;
	m->capture[slot] = old;
	return false;
}

static bool run_escape(struct matcher *m, const char *shape, uint32_t i)
{
	uint32_t len;

	switch (*shape) {
	case '$':
		return i == m->text.len && run(m, shape + 1, i);
	case 'b':
		return at_edge(m->text, i) && run(m, shape + 1, i);
	case 'i':
		len = pst_shape_ip_len(m->text, i);
		return len && run(m, shape + 1, i + len);
	default:
		return run_repeat(m, shape, i);
	}
}

static bool run(struct matcher *m, const char *shape, uint32_t i)
{
	bool ends;

	for (; *shape; shape++) {
		if (++m->steps > PST_SHAPE_STEPS_MAX)
			return false;
		switch (*shape) {
		case '%':
			return run_escape(m, shape + 1, i);
		case '<':
			return run_group(m, shape + 1, i);
		case '|':
			return run(m, group_next(shape + 1, false, &ends), i);
		case '>':
			continue;
		case '{':
			return run_capture(m, shape + 1, i, true);
		case '}':
			return run_capture(m, shape + 1, i, false);
		case '\\':
			shape++;
			break;
		default:
			break;
		}
		if (i >= m->text.len || !same_byte(m, m->text.at[i], (uint8_t)*shape))
			return false;
		i++;
	}
	m->end = i;
	return true;
}

/* The byte that every match begins with, or 0: lets a search skip ahead. */
static uint8_t first_byte(const char *shape, bool nocase)
{
	if (*shape == '\\')
		return nocase ? 0 : (uint8_t)shape[1];
	return nocase || memchr("%<{|", *shape, 4) ? 0 : (uint8_t)*shape;
}

static bool go(const char *shape, struct pst_span text, bool nocase, bool search,
	       struct pst_shape_found *found)
{
	struct matcher m;
	uint8_t first = search ? first_byte(shape, nocase) : 0;

	memset(&m, 0, sizeof(m));
	m.text = text;
	m.nocase = nocase;
	for (uint32_t from = 0; from <= text.len; from++) {
		if (first) {
			const uint8_t *at = from < text.len ?
				memchr(text.at + from, first, text.len - from) : NULL;

			if (!at)
				return false;
			from = (uint32_t)(at - text.at);
		}
		if ((!search || may_begin(&m, shape, from)) && run(&m, shape, from)) {
			if (found) {
				found->whole = pst_span_sub(text, from, m.end - from);
				memcpy(found->capture, m.capture, sizeof(m.capture));
			}
			return true;
		}
		if (!search || m.steps > PST_SHAPE_STEPS_MAX)
			return false;
	}
	return false;
}

bool pst_shape_match(const char *shape, struct pst_span text, struct pst_shape_found *found)
{
	return go(shape, text, false, false, found);
}

bool pst_shape_search(const char *shape, struct pst_span text, struct pst_shape_found *found)
{
	return go(shape, text, false, true, found);
}

bool pst_shape_match_nocase(const char *shape, struct pst_span text, struct pst_shape_found *found)
{
	return go(shape, text, true, false, found);
}

bool pst_shape_search_nocase(const char *shape, struct pst_span text, struct pst_shape_found *found)
{
	return go(shape, text, true, true, found);
}
