/* rules/view_value.c - the value of one target */
#include <string.h>

#include "mail/address.h"
#include "mail/shape.h"
#include "mail/word.h"
#include "rules/lists.h"
#include "rules/view_priv.h"

#define ADDRESS_MODS (PST_RULES_MOD_ADDR | PST_RULES_MOD_NAME)
#define HOST_MODS (PST_RULES_MOD_HOST | PST_RULES_MOD_DOMAIN | PST_RULES_MOD_IP | PST_RULES_MOD_REVIP)
#define LIST_MODS (ADDRESS_MODS | HOST_MODS)

struct maker {
	struct pst_rules_view *view;
	const struct pst_rules_target *target;
	struct pst_span out; /* grows at the end of the area */
	uint32_t count;      /* values so far */
	bool joins;          /* values bring no newline: put one between them */
};

static bool has(const struct maker *m, uint16_t mods)
{
	return (m->target->mods & mods) != 0;
}

static int put(struct maker *m, struct pst_span text)
{
	struct pst_buf *area = &m->view->area;
	int status;

	if (!m->out.at)
		m->out.at = pst_buf_tail(area);
	status = pst_buf_put(area, text);
	m->out.len = (uint32_t)(pst_buf_tail(area) - m->out.at);
	return status;
}

/* Begin another value. */
static int next_value(struct maker *m)
{
	return m->count++ && m->joins ? put(m, PST_SPAN("\n")) : 0;
}

static struct pst_span trim(struct pst_span text)
{
	while (text.len && pst_is_space(text.at[0]))
		text = pst_span_sub(text, 1, text.len);
	while (text.len && pst_is_space(text.at[text.len - 1]))
		text.len--;
	return text;
}

/* A fold with all its blanks becomes one space. */
static int put_unfolded(struct pst_buf *out, struct pst_span value)
{
	int status = 0;

	for (uint32_t i = 0; i < value.len && !status; i++) {
		uint32_t next = i + 1;

		if (value.at[i] != '\n' || next == value.len || !pst_is_blank(value.at[next])) {
			status = pst_buf_put_byte(out, value.at[i]);
			continue;
		}
		while (next < value.len && pst_is_blank(value.at[next]))
			next++;
		i = next - 1;
		status = pst_buf_put_byte(out, ' ');
	}
	return status;
}

/* Scratch space at the far end of the area, given back by the caller. */
static int scratch(struct pst_buf *area, uint32_t size, struct pst_buf *out)
{
	if (pst_buf_tail_room(area) / 2 < size)
		return -PST_E_NOMEM;
	area->size -= size;
	pst_buf_init(out, area->area + area->size, size);
	return 0;
}

static int put_decoded(struct maker *m, const struct pst_rules_field *field)
{
	struct pst_buf *area = &m->view->area, work;
	uint32_t size = area->size;
	struct pst_span value = trim(field->value);
	int status = scratch(area, value.len + 1, &work);

	if (status)
		return status;
	status = put_unfolded(&work, value);
	if (!m->out.at)
		m->out.at = pst_buf_tail(area);
	if (!status)
		status = pst_mail_value_decode(pst_buf_span(&work), !pst_mail_field_is_plain(field->name),
					       m->view->input->charset, area);
	area->size = size;
	return status ? status : put(m, PST_SPAN("\n"));
}

static int put_raw(struct maker *m, const struct pst_rules_field *field, bool unfold)
{
	int status;

	if (!m->out.at)
		m->out.at = pst_buf_tail(&m->view->area);
	if (!unfold)
		return put(m, field->value);
	status = put_unfolded(&m->view->area, field->value);
	return status ? status : put(m, PST_SPAN_NONE);
}

/* ---------------------------------------------------------------------------------- modifiers */

static int put_name(struct maker *m, struct pst_span phrase)
{
	struct pst_buf *area = &m->view->area;
	uint32_t before = area->len, to = 0;
	uint8_t *at;
	struct pst_span text;
	int status;

	if (has(m, PST_RULES_MOD_RAW))
		return put(m, phrase);
	if (!m->out.at)
		m->out.at = pst_buf_tail(area);
	at = pst_buf_tail(area);
	status = pst_mail_value_decode(phrase, true, m->view->input->charset, area);
	if (status)
		return status;
	text = trim((struct pst_span){at, area->len - before});
	if (text.len == 0)
		return put(m, PST_SPAN_NONE);
	for (uint32_t i = 0; i < text.len; i++) {
		if (pst_is_space(text.at[i])) {
			if (!pst_is_space(text.at[i + 1]))
				at[to++] = ' ';
		} else {
			at[to++] = text.at[i];
		}
	}
	if (to >= 2 && at[0] == '\'' && at[to - 1] == '\'') {
		to -= 2;
		memmove(at, at + 1, to);
	}
	area->len = before + to;
	return put(m, PST_SPAN_NONE);
}

static struct pst_span find_host(struct maker *m, struct pst_span text)
{
	struct pst_shape_found found;
	struct pst_span rest = text;

	if (has(m, PST_RULES_MOD_ADDR))
		return pst_shape_match("%.*@{h%s+}", text, &found) ? pst_shape_capture(&found, 'h') :
								     PST_SPAN_NONE;
	if (pst_shape_match("%.*@{h%[A-Za-z0-9._\\-]+.%[A-Za-z]%[A-Za-z0-9\\-]+}<%[^A-Za-z0-9._\\-]|%$>", text,
			    &found) &&
	    pst_mail_host_valid(pst_shape_capture(&found, 'h')))
		return pst_shape_capture(&found, 'h');
	while (pst_shape_search("%b{h%[A-Za-z0-9._\\-]+.%[A-Za-z]%[A-Za-z0-9\\-]+}<%[^A-Za-z0-9._\\-]|%$>",
				rest, &found)) {
		if (pst_mail_host_valid(pst_shape_capture(&found, 'h')))
			return pst_shape_capture(&found, 'h');
		rest = pst_span_sub(rest, (uint32_t)(found.whole.at - rest.at) + found.whole.len, rest.len);
	}
	return PST_SPAN_NONE;
}

static int put_reversed(struct maker *m, struct pst_span ip)
{
	struct pst_span part[4];
	uint32_t count = 0;
	int status = 0;

	while (ip.len && count < 4) {
		int64_t dot = pst_span_find(ip, '.');

		part[count++] = dot < 0 ? ip : pst_span_sub(ip, 0, (uint32_t)dot);
		ip = dot < 0 ? PST_SPAN_NONE : pst_span_sub(ip, (uint32_t)dot + 1, ip.len);
	}
	while (count-- && !status) {
		status = put(m, part[count]);
		if (!status && count)
			status = put(m, PST_SPAN("."));
	}
	return status;
}

static struct pst_span last_labels(struct pst_span host)
{
	uint32_t dots = 0;

	for (uint32_t i = host.len; i-- > 0;)
		if (host.at[i] == '.' && ++dots == 2)
			return pst_span_sub(host, i + 1, host.len);
	return host;
}

static int put_host(struct maker *m, struct pst_span text)
{
	struct pst_shape_found found;
	struct pst_span host;
	int status;

	if (!has(m, PST_RULES_MOD_HOST | PST_RULES_MOD_DOMAIN)) {
		if (!pst_shape_search("<%[^.]|>{i%i}<%[^.]|%$>", text, &found))
			return 0;
		status = next_value(m);
		host = pst_shape_capture(&found, 'i');
		if (status)
			return status;
		return has(m, PST_RULES_MOD_REVIP) ? put_reversed(m, host) : put(m, host);
	}
	host = find_host(m, text);
	if (host.len == 0)
		return 0;
	if (m->view->input->lists) {
		struct pst_span domain = pst_rules_lists_domain(m->view->input->lists, host);

		if (!domain.len && !has(m, PST_RULES_MOD_ADDR))
			return 0;
		if (domain.len && has(m, PST_RULES_MOD_DOMAIN))
			host = domain;
	} else if (has(m, PST_RULES_MOD_DOMAIN)) {
		host = last_labels(host);
	}
	status = next_value(m);
	if (!status)
		status = put(m, host);
	if (!status && has(m, PST_RULES_MOD_DOMAIN))
		for (uint8_t *at = pst_buf_tail(&m->view->area) - host.len, *end = at + host.len; at < end; at++)
			*at = pst_lower(*at);
	return status;
}

static int put_addresses(struct maker *m, struct pst_span value)
{
	struct pst_buf *area = &m->view->area, work;
	struct pst_mail_addresses addresses;
	struct pst_mail_address address;
	uint32_t size = area->size;
	int status = scratch(area, value.len * 2, &work);

	if (!status)
		status = pst_mail_addresses_init(&addresses, value, &work);
	while (!status && pst_mail_addresses_next(&addresses, &address)) {
		struct pst_span part = has(m, PST_RULES_MOD_ADDR) ? address.address : address.phrase;

		if (!part.at)
			continue;
		if (has(m, HOST_MODS)) {
			status = put_host(m, part);
			continue;
		}
		status = next_value(m);
		if (!status)
			status = has(m, PST_RULES_MOD_ADDR) ? put(m, part) : put_name(m, part);
	}
	area->size = size;
	return status;
}

/* ------------------------------------------------------------------------------------ targets */

/* What the modifiers read is made in scratch space first. */
static int put_modified(struct maker *m, const struct pst_rules_field *field)
{
	struct pst_rules_view *view = m->view;
	struct maker part = *m;
	struct pst_buf whole = view->area, work;
	int status = scratch(&whole, 10 * field->value.len + 64, &work);

	if (status)
		return status;
	part.out = PST_SPAN_NONE;
	view->area = work;
	status = has(m, PST_RULES_MOD_RAW) ? put_raw(&part, field, true) : put_decoded(&part, field);
	work = view->area;
	view->area = whole;
	if (!status)
		status = has(m, ADDRESS_MODS) ? put_addresses(m, part.out) : put_host(m, part.out);
	view->area.size = whole.size + work.size;
	return status;
}

/* One field into the value, as the modifiers say. */
static int put_field(struct maker *m, const struct pst_rules_field *field, bool unfold)
{
	if (has(m, ADDRESS_MODS) && m->target->pseudo == PST_RULES_FIELD)
		return put_addresses(m, field->value);
	if (has(m, LIST_MODS))
		return put_modified(m, field);
	m->count++;
	return has(m, PST_RULES_MOD_RAW) ? put_raw(m, field, unfold) : put_decoded(m, field);
}

static int put_named(struct maker *m, struct pst_span name, bool unfold)
{
	const struct pst_rules_view *view = m->view;
	int status = 0;
	int64_t last = -1;

	for (uint32_t i = 0; i < view->field_count && !status; i++) {
		if (!pst_rules_field_is(&view->fields[i], name))
			continue;
		last = i;
		if (has(m, PST_RULES_MOD_LAST) && !has(m, PST_RULES_MOD_FIRST))
			continue;
		status = put_field(m, &view->fields[i], unfold);
		if (has(m, PST_RULES_MOD_FIRST))
			break;
	}
	if (last >= 0 && has(m, PST_RULES_MOD_LAST) && !has(m, PST_RULES_MOD_FIRST))
		status = put_field(m, &view->fields[last], unfold);
	return status;
}

/* Several fields after one another, each looked up by name. */
static int put_each(struct maker *m, const char *const *names, uint32_t count)
{
	int status = 0;

	for (uint32_t i = 0; i < count && !status; i++)
		status = put_named(m, pst_span_text(names[i]), true);
	return status;
}

/* Fields `from` to `to` of those in Received order: -1 for the start, INT64_MAX for the end. */
static int put_all(struct maker *m, int64_t from, int64_t to)
{
	struct pst_rules_view *view = m->view;
	int64_t received = -1;
	int status = 0;

	for (uint32_t i = 0; i < view->field_count && !status; i++) {
		const struct pst_rules_field *field = &view->fields[i];

		if (pst_rules_field_is(field, PST_SPAN("Received")))
			received++;
		if (received < from)
			continue;
		if (received > to)
			break;
		m->count++;
		if (has(m, PST_RULES_MOD_RAW)) {
			status = put(m, field->whole);
		} else {
			status = put(m, field->name);
			if (!status)
				status = put(m, PST_SPAN(": "));
			if (!status)
				status = put_decoded(m, field);
		}
		if (received == to)
			break;
	}
	return status;
}

static int make(struct maker *m)
{
	static const char *const TOCC[] = {"To", "Cc"};
	static const char *const IDS[] = {"X-Message-Id", "Resent-Message-Id", "X-Original-Message-ID",
					  "Message-Id"};
	struct pst_rules_view *view = m->view;
	struct pst_span text;
	int status;

	switch (m->target->pseudo) {
	case PST_RULES_ALL:
		if (!has(m, PST_RULES_MOD_RAW))
			return put_all(m, -1, INT64_MAX);
		m->count = view->header.len ? 1 : 0;
		m->out = view->header;
		return 0;
	case PST_RULES_ALL_TRUSTED:
		return put_all(m, -1, view->received_trusted);
	case PST_RULES_ALL_INTERNAL:
		return put_all(m, -1, view->received_internal);
	case PST_RULES_ALL_UNTRUSTED:
		return put_all(m, view->received_trusted, INT64_MAX);
	case PST_RULES_ALL_EXTERNAL:
		return put_all(m, view->received_internal, INT64_MAX);
	case PST_RULES_TOCC:
		return put_each(m, TOCC, PST_COUNT(TOCC));
	case PST_RULES_MESSAGEID:
		return put_each(m, IDS, PST_COUNT(IDS));
	case PST_RULES_ENVELOPE_FROM:
		status = pst_rules_view_envelope_from(view, &text);
		if (status <= 0)
			return status;
		if (has(m, ADDRESS_MODS))
			return put_addresses(m, text);
		if (has(m, HOST_MODS))
			return put_host(m, text);
		m->count = 1;
		m->out = text;
		return 0;
	case PST_RULES_CLIENT_OS:
		if (view->input->peer)
			m->out = view->input->peer->os;
		m->count = m->out.len > 0;
		return 0;
	case PST_RULES_FIELD:
		return put_named(m, m->target->name, false);
	default:
		m->count = 1;
		m->out.at = pst_buf_tail(&view->area);
		status = pst_rules_view_put_relays(view, m->target->pseudo);
		m->out.len = (uint32_t)(pst_buf_tail(&view->area) - m->out.at);
		return status;
	}
}

int pst_rules_view_make(struct pst_rules_view *view, const struct pst_rules_target *target,
			struct pst_span *value)
{
	struct maker m = {.view = view, .target = target, .joins = (target->mods & LIST_MODS) != 0};
	int status = make(&m);

	*value = PST_SPAN_NONE;
	if (status < 0)
		return -PST_E_NOMEM;
	if (!m.count)
		return 0;
	*value = m.out;
	return 1;
}
