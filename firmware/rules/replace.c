/* rules/replace.c - the tags of replace_rules
 *
 * "<inter W2><post P2>v<I>agra": first the three modifiers of a pattern are taken out, then what
 * lies between two tags, behind each or before each gets their text, then tags become what they
 * stand for; once more as long as that holds tags, six times at most.
 */
#include <string.h>

#include "rules/load_priv.h"

#define PASSES_MAX 6u

struct replacing {
	struct pst_rules_load *load;
	struct pst_span pre, post, inter;
	bool again, changed;
};

static struct pst_span macro_text(
	const struct pst_rules_load *load, enum pst_rules_macro_kind kind, struct pst_span name)
{
	for (const struct pst_rules_macro *macro = load->macros; macro; macro = macro->next)
		if (macro->kind == kind && pst_span_eq(macro->name, name))
			return macro->text;
	return PST_SPAN_NONE;
}

static int64_t find_text(struct pst_span text, uint32_t from, struct pst_span what)
{
	for (uint32_t at = from; at + what.len <= text.len; at++)
		if (pst_span_eq(pst_span_sub(text, at, what.len), what))
			return at;
	return -PST_E_NOENT;
}

/* Take "<inter W2>" and its like out of the text (in place): the first of its kind.
 *  out name: what it names, empty if there is none */
static void take_modifier(const struct pst_rules_load *load, uint8_t *bytes, struct pst_span *text,
	const char *word, uint8_t *name_area, struct pst_span *name)
{
	struct pst_span start = load->replace_start, end = load->replace_end,
			key = pst_span_text(word);
	int64_t at = -1, close;
	uint32_t from = 0;

	*name = PST_SPAN_NONE;
	while ((at = find_text(*text, from, start)) >= 0) {
		if (pst_span_eq(pst_span_sub(*text, (uint32_t)at + start.len, key.len), key))
			break;
		from = (uint32_t)at + 1;
	}
	if (at < 0)
		return;
	from = (uint32_t)at + start.len + key.len;
	close = find_text(*text, from + 1, end);
	if (close < 0 || (uint32_t)close - from > 64)
		return;
	*name = (struct pst_span){name_area, (uint32_t)close - from};
	memcpy(name_area, text->at + from, name->len);
	from = (uint32_t)close + end.len;
	memmove(bytes + at, bytes + from, text->len - from);
	text->len -= from - (uint32_t)at;
}

/* Is there "<...>" without another "<" or ">" inside, at the front of the text? */
static uint32_t tag_len(struct pst_span text)
{
	if (text.len < 3 || text.at[0] != '<')
		return 0;
	for (uint32_t i = 1; i < text.len; i++) {
		if (text.at[i] == '<')
			return 0;
		if (text.at[i] == '>')
			return i > 1 ? i + 1 : 0;
	}
	return 0;
}

static bool has_tag(struct pst_span text)
{
	for (uint32_t i = 0; i < text.len; i++)
		if (tag_len(pst_span_sub(text, i, text.len)))
			return true;
	return false;
}

static int put_tag(struct replacing *job, struct pst_span tag, struct pst_buf *out)
{
	const struct pst_rules_load *load = job->load;
	struct pst_span start = load->replace_start, end = load->replace_end, name, text;

	if (tag.len < start.len + end.len + 1 ||
		!pst_span_eq(pst_span_sub(tag, 0, start.len), start))
		return pst_buf_put(out, tag);
	name = pst_span_sub(tag, start.len, tag.len - start.len - end.len);
	text = macro_text(load, PST_RULES_TAG, name);
	if (pst_buf_put(out, job->pre))
		return -PST_E_FULL;
	if (text.len == 0)
		text = tag;
	else
		job->again = job->again || has_tag(text);
	job->changed = job->changed || !pst_span_eq(text, tag);
	return pst_buf_put(out, text) || pst_buf_put(out, job->post) ? -PST_E_FULL : 0;
}

static int pass(struct replacing *job, struct pst_span text, struct pst_buf *out)
{
	uint32_t at = 0;
	bool behind_tag = false;

	while (at < text.len) {
		uint32_t len = tag_len(pst_span_sub(text, at, text.len));

		/* pieces and tags alternate: between neighbours, a piece is empty */
		if (len && behind_tag && pst_buf_put(out, job->inter))
			return -PST_E_FULL;
		if (len ? put_tag(job, pst_span_sub(text, at, len), out)
			: pst_buf_put_byte(out, text.at[at]))
			return -PST_E_FULL;
		behind_tag = len > 0;
		at += len ? len : 1;
	}
	return 0;
}

int pst_rules_replace(struct pst_rules_load *load, struct pst_span text, struct pst_span *out)
{
	struct replacing job = {.load = load};
	uint8_t name_area[64];
	uint32_t side = 0;

	*out = text;
	if (text.len > PST_RULES_PATTERN_BYTES_MAX)
		return -PST_E_FULL;
	memcpy(load->expand_area[0], text.at, text.len);
	text.at = load->expand_area[0];
	job.again = true;
	for (uint32_t passes = 0; job.again && passes < PASSES_MAX; passes++) {
		struct pst_span name;
		struct pst_buf next;

		take_modifier(load, load->expand_area[side], &text, "pre ", name_area, &name);
		job.pre = macro_text(load, PST_RULES_PRE, name);
		job.changed = job.changed || name.len;
		take_modifier(load, load->expand_area[side], &text, "post ", name_area, &name);
		job.post = macro_text(load, PST_RULES_POST, name);
		job.changed = job.changed || name.len;
		take_modifier(load, load->expand_area[side], &text, "inter ", name_area, &name);
		job.inter = macro_text(load, PST_RULES_INTER, name);
		job.changed = job.changed || name.len;
		job.again = false;
		side = !side;
		pst_buf_init(&next, load->expand_area[side], PST_RULES_PATTERN_BYTES_MAX);
		if (pass(&job, text, &next))
			return -PST_E_FULL;
		text = pst_buf_span(&next);
	}
	*out = text;
	return job.changed;
}
