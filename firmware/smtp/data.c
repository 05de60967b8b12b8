/* smtp/data.c - the decoder of DATA and BDAT
 *
 * A newline of the client's is unstuffed behind, a newline of ours is stuffed behind; the two are
 * not the same. Dots that the client added stand only behind CRLF (or at the very beginning), so
 * only there one is taken off; dots that come to stand at the start of a line because we made a
 * newline or dropped a NUL are content and get a second one.
 *
 * A CR is handed out as soon as it is seen, because whatever follows, a newline comes of it; the LF
 * is the input's own where there is one. So conforming input leaves as one span per piece however
 * it is cut. Only a dot, and a second CR, must be withheld until the next byte is known.
 */
#include <string.h>

#include "smtp/data.h"

enum {
	START,    /* behind CRLF, or at the very beginning: a dot here may be the client's */
	SOFT,     /* at the start of an output line, but not behind the client's CRLF */
	TEXT,     /* inside a line */
	CR,       /* a CR was handed out, its LF was not */
	CR_CR,    /* the same, and a second CR is withheld */
	DOT,      /* the dot at the start of a line is withheld */
	DOT_CR,   /* the dot and the CR behind it are withheld */
	END,
};

static const uint8_t STATIC_BYTES[] = "\r\n\r\n.";
#define BYTES_CR (struct pst_span){STATIC_BYTES, 1}
#define BYTES_CR_LF (struct pst_span){STATIC_BYTES, 2}
#define BYTES_LF (struct pst_span){STATIC_BYTES + 1, 1}
#define BYTES_LF_CR (struct pst_span){STATIC_BYTES + 1, 2}
#define BYTES_LF_CR_LF (struct pst_span){STATIC_BYTES + 1, 3}
#define BYTES_DOT (struct pst_span){STATIC_BYTES + 4, 1}

#define LITTLE_ENDIAN_WORDS (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

/* A machine word with every byte `value`. */
#define WORD(value) ((size_t)-1 / 0xff * (value))

/* The first byte at or behind `from` that is below 0x0e (CR, LF, NUL and a few harmless ones), or
 * above 127 where that is still news. The subtraction's borrow can mark a byte wrongly, but only one
 * more significant than a byte that is marked rightly. So the least significant mark holds: on a
 * little-endian machine that is the first in memory, on others the bytes are looked at again. */
static uint32_t scan(const uint8_t *at, uint32_t from, uint32_t len, bool eight_bit_known)
{
	const size_t high = eight_bit_known ? 0 : WORD(0x80);
	uint32_t i = from;

	while (len - i >= sizeof(size_t)) {
		size_t word, marks;

		memcpy(&word, at + i, sizeof(word));
		marks = (((word - WORD(0x0e)) & ~word) & WORD(0x80)) | (word & high);
		if (marks && LITTLE_ENDIAN_WORDS)
			return i + (uint32_t)__builtin_ctzll(marks) / 8;
		if (marks)
			break;
		i += (uint32_t)sizeof(word);
	}
	while (i < len && at[i] >= 0x0e && (at[i] < 0x80 || eight_bit_known))
		i++;
	return i;
}

static void line_grew(struct pst_smtp_data *data, uint32_t len)
{
	data->line_bytes += PST_MIN(len, UINT32_MAX - data->line_bytes);
	data->line_bytes_max = PST_MAX(data->line_bytes_max, data->line_bytes);
}

/* How far the input, from `from`, is its own wire form. Leaves the state as it is there. */
static uint32_t run(struct pst_smtp_data *data, struct pst_span in, uint32_t from)
{
	uint32_t i = from, line_from = from;
	uint8_t state = data->state;

	while (i < in.len) {
		uint8_t c = in.at[i];

		if (state == CR) {
			if (c != '\n')
				break;
			i++;
			line_from = i;
			state = START;
			continue;
		}
		if (c == '.' && state != TEXT) {
			if (state == SOFT || data->content || in.len - i < 2 ||
			    in.at[i + 1] != '.')
				break;
			i += 2;
			line_from = i - 1;
			state = TEXT;
			continue;
		}
		uint32_t stop = scan(in.at, i, in.len, data->eight_bit);

		if (stop > i)
			state = TEXT;
		i = stop;
		if (i == in.len)
			break;
		c = in.at[i];
		if (c == '\r') {
			line_grew(data, i - line_from);
			data->line_bytes = 0;
			i++;
			line_from = i;
			state = CR;
		} else if (c == '\n' || c == 0) {
			break;
		} else {
			if (c >= 0x80)
				data->eight_bit = true;
			i++;
			state = TEXT;
		}
	}
	line_grew(data, i - line_from);
	data->state = state;
	return i;
}

static void edit(struct pst_smtp_data *data, uint32_t off, bool cr_left_out)
{
	PST_BUG_ON(data->edit_count == PST_SMTP_EDITS_MAX);
	data->edits[data->edit_count++] =
		(struct pst_smtp_edit){data->out_bytes + off, cr_left_out};
}

/* A byte that is not its own wire form, in the state before it.
 *  out  out: what must be handed out in its place, or before it is looked at again
 *  ret  bytes consumed */
static uint32_t step(struct pst_smtp_data *data, uint8_t c, struct pst_span *out)
{
	switch (data->state) {
	case START:
	case SOFT:
	case TEXT:
		if (c == '.' && data->state == START && !data->content) {
			data->state = DOT;
			return 1;
		}
		if (c == '.') {
			*out = BYTES_DOT;
			data->state = TEXT;
			return 0;
		}
		if (c == 0) {
			data->nul_count++;
			if (data->state == START)
				data->state = SOFT;
			return 1;
		}
		data->bare_newline_count++;
		data->line_bytes = 0;
		data->state = SOFT;
		edit(data, c == '\n' ? 0 : 1, false);
		*out = BYTES_CR_LF;
		return 1;
	case CR:
		if (c == '\r') {
			data->state = CR_CR;
			return 1;
		}
		data->bare_newline_count++;
		data->state = SOFT;
		edit(data, 0, false);
		*out = BYTES_LF;
		return 0;
	case CR_CR:
		if (c == '\n') {
			data->bare_newline_count++;
			data->state = CR;
			edit(data, 0, true);
			return 0;
		}
		if (c == '\r') {
			data->bare_newline_count++;
			edit(data, 0, false);
			*out = BYTES_LF_CR;
			return 1;
		}
		data->bare_newline_count += 2;
		data->state = SOFT;
		edit(data, 0, false);
		edit(data, 2, false);
		*out = BYTES_LF_CR_LF;
		return 0;
	case DOT:
		data->state = c == '\r' ? DOT_CR : SOFT;
		return c == '\r';
	case DOT_CR:
		if (c == '\n') {
			data->state = END;
			return 1;
		}
		data->state = CR;
		*out = BYTES_CR;
		return 0;
	default:
		PST_BUG_ON(true);
	}
}

void pst_smtp_data_init(struct pst_smtp_data *data)
{
	memset(data, 0, sizeof(*data));
	data->state = START;
}

void pst_smtp_data_init_content(struct pst_smtp_data *data)
{
	pst_smtp_data_init(data);
	data->content = true;
}

int pst_smtp_data_next(struct pst_smtp_data *data, struct pst_span in, uint32_t *used,
		       struct pst_span *out)
{
	uint32_t i = 0;

	PST_BUG_ON(data->state == END);
	*out = PST_SPAN_NONE;
	data->edit_count = 0;
	while (i < in.len && out->len == 0 && data->state != END) {
		if (data->state <= CR) {
			uint32_t end = run(data, in, i);

			if (end > i) {
				*out = pst_span_sub(in, i, end - i);
				i = end;
				break;
			}
		}
		i += step(data, in.at[i], out);
	}
	*used = i;
	data->out_bytes += out->len;
	return data->state == END;
}

struct pst_span pst_smtp_data_finish(struct pst_smtp_data *data)
{
	struct pst_span owed = PST_SPAN_NONE;

	PST_BUG_ON(!data->content);
	data->edit_count = 0;
	switch (data->state) {
	case TEXT:
		edit(data, 0, false);
		edit(data, 1, false);
		owed = BYTES_CR_LF;
		break;
	case CR:
		data->bare_newline_count++;
		edit(data, 0, false);
		owed = BYTES_LF;
		break;
	case CR_CR:
		data->bare_newline_count += 2;
		edit(data, 0, false);
		edit(data, 2, false);
		owed = BYTES_LF_CR_LF;
		break;
	default:
		break;
	}
	data->state = END;
	data->out_bytes += owed.len;
	return owed;
}

struct pst_span pst_smtp_unstuff_next(struct pst_span *wire, bool *at_line_start)
{
	struct pst_span rest = *wire, run_span;
	uint32_t i = 0;

	if (rest.len && *at_line_start && rest.at[0] == '.') {
		*at_line_start = false;
		rest = pst_span_sub(rest, 1, rest.len - 1);
	}
	while (i < rest.len) {
		const uint8_t *newline = memchr(rest.at + i, '\n', rest.len - i);

		if (!newline) {
			i = rest.len;
			break;
		}
		i = (uint32_t)(newline - rest.at) + 1;
		if (i < rest.len && rest.at[i] == '.')
			break;
	}
	run_span = pst_span_sub(rest, 0, i);
	*wire = pst_span_sub(rest, i, rest.len - i);
	if (i)
		*at_line_start = rest.at[i - 1] == '\n';
	return run_span;
}
