/* rules/view.c - the header split into fields, targets, the cache of values
 *
 * mail/header.h walks headers in wire form and stops at the first line that is none; SpamAssassin
 * reads on over a few bad lines and takes any line ends, and rules are written for what it sees.
 */
#include <string.h>

#include "mail/shape.h"
#include "rules/view_priv.h"

#define NAME_LEN_MAX 256u
#define VALUE_LEN_MAX 8192u
#define HEADER_LEN_MAX 65536u
#define BAD_LINES_MAX 3u

static const struct {
	const char *name;
	uint8_t pseudo;
	bool nocase;
} PSEUDO[] = {
	{"ALL", PST_RULES_ALL, false},
	{"ALL-TRUSTED", PST_RULES_ALL_TRUSTED, false},
	{"ALL-UNTRUSTED", PST_RULES_ALL_UNTRUSTED, false},
	{"ALL-INTERNAL", PST_RULES_ALL_INTERNAL, false},
	{"ALL-EXTERNAL", PST_RULES_ALL_EXTERNAL, false},
	{"ToCc", PST_RULES_TOCC, true},
	{"MESSAGEID", PST_RULES_MESSAGEID, false},
	{"EnvelopeFrom", PST_RULES_ENVELOPE_FROM, true},
	{"X-Spam-Relays-Trusted", PST_RULES_RELAYS_TRUSTED, true},
	{"X-Spam-Relays-Untrusted", PST_RULES_RELAYS_UNTRUSTED, true},
	{"X-Spam-Relays-Internal", PST_RULES_RELAYS_INTERNAL, true},
	{"X-Spam-Relays-External", PST_RULES_RELAYS_EXTERNAL, true},
	{"X-Spam-Client-OS", PST_RULES_CLIENT_OS, true},
};

static const struct {
	const char *name;
	uint16_t mods;
} MODS[] = {
	{"raw", PST_RULES_MOD_RAW},       {"addr", PST_RULES_MOD_ADDR},
	{"name", PST_RULES_MOD_NAME},     {"host", PST_RULES_MOD_HOST},
	{"domain", PST_RULES_MOD_DOMAIN}, {"ip", PST_RULES_MOD_IP},
	{"revip", PST_RULES_MOD_REVIP},   {"first", PST_RULES_MOD_FIRST},
	{"last", PST_RULES_MOD_LAST},
};

static uint16_t mod_of(struct pst_span text)
{
	for (uint32_t i = 0; i < PST_COUNT(MODS); i++)
		if (pst_span_eq(text, pst_span_text(MODS[i].name)))
			return MODS[i].mods;
	return 0;
}

int pst_rules_target_parse(struct pst_span text, struct pst_rules_target *out)
{
	int64_t colon = pst_span_find(text, ':');
	struct pst_span rest = PST_SPAN_NONE;

	*out = (struct pst_rules_target){.name = text};
	if (colon >= 0) {
		out->name = pst_span_sub(text, 0, (uint32_t)colon);
		rest = pst_span_sub(text, (uint32_t)colon, text.len);
	}
	if (!pst_shape_match("%[A-Za-z0-9_.\\-]+%$", out->name, NULL))
		return -PST_E_SYNTAX;
	for (uint32_t count = 0; rest.len; count++) {
		uint32_t len = 1;
		uint16_t mod;

		while (len < rest.len && rest.at[len] != ':')
			len++;
		mod = mod_of(pst_span_sub(rest, 1, len - 1));
		if (!mod || count == 2)
			return -PST_E_SYNTAX;
		out->mods |= mod;
		rest = pst_span_sub(rest, len, rest.len);
	}
	for (uint32_t i = 0; i < PST_COUNT(PSEUDO); i++) {
		struct pst_span name = pst_span_text(PSEUDO[i].name);

		if (pst_span_eq(out->name, name) ||
		    (PSEUDO[i].nocase && pst_span_eq_nocase(out->name, name)))
			out->pseudo = PSEUDO[i].pseudo;
	}
	return 0;
}

bool pst_rules_target_eq(const struct pst_rules_target *a, const struct pst_rules_target *b)
{
	return a->mods == b->mods && a->pseudo == b->pseudo &&
	       (a->pseudo != PST_RULES_FIELD || pst_span_eq_nocase(a->name, b->name));
}

void *pst_rules_view_take(struct pst_rules_view *view, uint32_t size)
{
	static const uint8_t ZERO[16];
	uint32_t pad = (uint32_t)(-(uintptr_t)pst_buf_tail(&view->area) & 15);
	uint8_t *at;

	if (pst_buf_put(&view->area, (struct pst_span){ZERO, pad}) ||
	    pst_buf_tail_room(&view->area) < size)
		return NULL;
	at = pst_buf_tail(&view->area);
	memset(at, 0, size);
	pst_buf_commit(&view->area, size);
	return at;
}

/* -------------------------------------------------------------------------------- the header */

/* The header's bytes with LF as line end. CRLF counts as one if the first line has it. */
static int copy_lines(struct pst_rules_view *view, struct pst_span *text)
{
	struct pst_span in = pst_span_sub(view->input->header, 0, HEADER_LEN_MAX);
	int64_t newline = pst_span_find(in, '\n');
	bool crlf = newline > 0 && in.at[newline - 1] == '\r';
	uint8_t *at = pst_buf_tail(&view->area);
	uint32_t len = 0;

	if (view->input->header.len > HEADER_LEN_MAX)
		view->flags |= PST_RULES_VIEW_CUT_HEADER;
	if (pst_buf_tail_room(&view->area) < in.len + 1)
		return -PST_E_NOMEM;
	for (uint32_t i = 0; i < in.len; i++)
		if (!crlf || in.at[i] != '\r' || i + 1 == in.len || in.at[i + 1] != '\n')
			at[len++] = in.at[i];
	if (len && at[len - 1] != '\n')
		at[len++] = '\n';
	pst_buf_commit(&view->area, len);
	*text = (struct pst_span){at, len};
	return 0;
}

static uint32_t line_len(struct pst_span text)
{
	int64_t newline = pst_span_find(text, '\n');

	return newline < 0 ? text.len : (uint32_t)newline + 1;
}

static void add_field(struct pst_rules_view *view, struct pst_span whole)
{
	int64_t colon = pst_span_find(whole, ':');
	struct pst_rules_field *field;

	if (colon < 0)
		return;
	if (view->field_count == PST_RULES_FIELDS_MAX) {
		view->flags |= PST_RULES_VIEW_CUT_HEADER;
		return;
	}
	field = &view->fields[view->field_count++];
	field->whole = whole;
	field->name = pst_span_sub(whole, 0, (uint32_t)colon);
	field->value = pst_span_sub(whole, (uint32_t)colon + 1, whole.len);
	while (field->name.len && pst_is_blank(field->name.at[field->name.len - 1]))
		field->name.len--;
	if (field->name.len > NAME_LEN_MAX || field->value.len > VALUE_LEN_MAX) {
		view->flags |= PST_RULES_VIEW_CUT_VALUE;
		field->name.len = PST_MIN(field->name.len, NAME_LEN_MAX);
		field->value.len = PST_MIN(field->value.len, VALUE_LEN_MAX);
	}
}

static bool is_field_line(struct pst_span line)
{
	uint32_t i = 0;

	while (i < line.len && line.at[i] > ' ' && line.at[i] < 0x7f && line.at[i] != ':')
		i++;
	if (i == 0)
		return false;
	while (i < line.len && pst_is_blank(line.at[i]))
		i++;
	return i < line.len && line.at[i] == ':';
}

static uint32_t separator_len(struct pst_span text)
{
	/* an mbox file's first line is no field */
	if (pst_shape_match("From%[ \t]+%[^: \t]", text, NULL))
		return line_len(text);
	return 0;
}

static void split(struct pst_rules_view *view, struct pst_span text)
{
	uint32_t start = separator_len(text), at = start, bad = 0;
	bool open = false;

	view->header = pst_span_sub(text, start, text.len);
	view->flags |= PST_RULES_VIEW_NO_EMPTY_LINE;
	while (at < text.len) {
		struct pst_span line = pst_span_sub(text, at, line_len(pst_span_sub(text, at, text.len)));

		if (pst_is_blank(line.at[0])) {
			open = true;
			at += line.len;
			continue;
		}
		if (open)
			add_field(view, pst_span_sub(text, start, at - start));
		open = true;
		start = at;
		if (line.at[0] == '\n') {
			view->flags &= ~(uint32_t)PST_RULES_VIEW_NO_EMPTY_LINE;
			open = false;
			break;
		}
		if (line.len >= 2 && line.at[0] == '-' && line.at[1] == '-') {
			open = false;
			break;
		}
		if (!is_field_line(line)) {
			view->flags |= PST_RULES_VIEW_MALFORMED_LINE;
			if (++bad > BAD_LINES_MAX) {
				open = false;
				break;
			}
		}
		at += line.len;
	}
	if (open)
		add_field(view, pst_span_sub(text, start, at - start));
	view->header.len = (uint32_t)(text.at + at - view->header.at);
}

int pst_rules_view_open(struct pst_rules_view *view, const struct pst_rules_input *input, void *area,
			uint32_t size)
{
	struct pst_span text;
	uint32_t lines = 2;
	int status;

	memset(view, 0, sizeof(*view));
	view->input = input;
	pst_buf_init(&view->area, area, size);
	status = copy_lines(view, &text);
	if (status)
		return status;
	for (uint32_t i = 0; i < text.len; i++)
		lines += text.at[i] == '\n';
	lines = PST_MIN(lines, PST_RULES_FIELDS_MAX);
	view->fields = pst_rules_view_take(view, lines * (uint32_t)sizeof(*view->fields));
	view->relays = pst_rules_view_take(view, PST_RULES_RELAYS_MAX * (uint32_t)sizeof(*view->relays));
	view->values = pst_rules_view_take(view, PST_RULES_VALUES_MAX * (uint32_t)sizeof(*view->values));
	if (!view->fields || !view->relays || !view->values)
		return -PST_E_NOMEM;
	split(view, text);
	return pst_rules_view_find_relays(view);
}

int pst_rules_view_get(struct pst_rules_view *view, const struct pst_rules_target *target,
		       struct pst_span *value)
{
	struct pst_rules_value kept = {.target = *target};

	for (uint32_t i = 0; i < view->value_count; i++)
		if (pst_rules_target_eq(&view->values[i].target, target)) {
			*value = view->values[i].span;
			return view->values[i].state;
		}
	kept.state = (int8_t)pst_rules_view_make(view, target, value);
	kept.span = *value;
	/* making one value may have kept others */
	if (view->value_count < PST_RULES_VALUES_MAX)
		view->values[view->value_count++] = kept;
	return kept.state;
}

int pst_rules_view_named(struct pst_rules_view *view, struct pst_span name, struct pst_span *value)
{
	struct pst_rules_target target;

	PST_BUG_ON(pst_rules_target_parse(name, &target));
	return pst_rules_view_get(view, &target, value);
}
