/* proxy/message.c - collecting and walking a message
 *
 * Where the header ends is found while it is collected: the first empty line. Whether its lines are
 * fields at all is looked at afterwards (headers.c).
 */
#include "proxy/message.h"

#include <string.h>

#define HEADER_FIRST_BYTES 4096U

enum { PART_TRACE, PART_HEADER, PART_BODY, PART_DOT, PART_END };

static const struct pst_span dot_line = {(const uint8_t *)".\r\n", 3};

void pst_message_init(struct pst_message *message, struct pst_share *share,
		      uint32_t header_bytes_max)
{
	*message = (struct pst_message){.share = share, .header_bytes_max = header_bytes_max};
}

static uint32_t pages_for(uint32_t bytes)
{
	return (bytes + PST_PAGE_BYTES - 1) / PST_PAGE_BYTES;
}

static void header_free(struct pst_message *message)
{
	if (!message->header)
		return;
	pst_mem_free(message->share->hold->mem, message->header, message->header_size);
	pst_share_refund(message->share, pages_for(message->header_size));
	message->header = NULL;
	message->header_len = message->header_size = 0;
}

void pst_message_free(struct pst_message *message)
{
	struct pst_page *page;

	if (!message->share)
		return;
	header_free(message);
	while ((page = message->first)) {
		message->first = page->next;
		pst_share_return(message->share, page);
	}
	while ((page = message->edits)) {
		message->edits = page->next;
		pst_share_return(message->share, page);
	}
	if (message->trace)
		pst_share_return(message->share, message->trace);
	*message = (struct pst_message){.share = message->share};
}

static int header_grow(struct pst_message *message, uint32_t need)
{
	uint32_t size = PST_MAX(message->header_size, HEADER_FIRST_BYTES);
	uint8_t *grown;

	while (size < need)
		size *= 2;
	if (size == message->header_size)
		return 0;
	if (pst_share_charge(message->share, pages_for(size)) < 0)
		return -PST_E_NOMEM;
	grown = pst_mem_alloc(message->share->hold->mem, size);
	if (!grown) {
		pst_share_refund(message->share, pages_for(size));
		return -PST_E_NOMEM;
	}
	if (message->header_len > 0)
		memcpy(grown, message->header, message->header_len);
	need = message->header_len;
	header_free(message);
	message->header = grown;
	message->header_size = size;
	message->header_len = need;
	return 0;
}

static int body_append(struct pst_message *message, struct pst_span wire)
{
	while (wire.len > 0) {
		struct pst_page *page = message->last;
		uint32_t len;

		if (!page || page->len == sizeof(page->data)) {
			page = pst_share_page(message->share);
			if (!page)
				return -PST_E_NOMEM;
			if (message->last)
				message->last->next = page;
			else
				message->first = page;
			message->last = page;
		}
		len = PST_MIN(wire.len, (uint32_t)sizeof(page->data) - page->len);
		memcpy(&page->data[page->len], wire.at, len);
		page->len += len;
		message->body_bytes += len;
		wire = pst_span_sub(wire, len, wire.len);
	}
	return 0;
}

/* How many bytes of `wire` belong to the header, its empty line included; *done if it ends there.
 * What was collected so far ends anywhere, so the last bytes of it are looked at, too. */
static uint32_t header_part(const struct pst_message *message, struct pst_span wire, bool *done)
{
	static const uint8_t end[4] = {'\r', '\n', '\r', '\n'};
	uint32_t matched = 2; /* the message begins at a line's start */

	if (message->header_len >= 4) {
		const uint8_t *tail = &message->header[message->header_len];

		matched = tail[-1] == '\n' ? 2 : tail[-1] == '\r' ? (tail[-2] == '\n' ? 3 : 1) : 0;
	} else {
		for (uint32_t i = 0; i < message->header_len; i++)
			matched = message->header[i] == end[matched] ? matched + 1
				  : message->header[i] == '\r'	     ? 1
								     : 0;
	}
	for (uint32_t i = 0; i < wire.len;) {
		if (matched == 0) {
			int64_t cr = pst_span_find(pst_span_sub(wire, i, wire.len), '\r');

			if (cr < 0)
				return wire.len;
			i += (uint32_t)cr + 1;
			matched = 1;
			continue;
		}
		matched = wire.at[i] == end[matched] ? matched + 1 : wire.at[i] == '\r' ? 1 : 0;
		i++;
		if (matched == 4) {
			*done = true;
			return i;
		}
	}
	return wire.len;
}

int pst_message_append(struct pst_message *message, struct pst_span wire)
{
	uint32_t part;
	bool done = false;

	message->bytes += wire.len;
	if (message->header_done)
		return body_append(message, wire);
	part = header_part(message, wire, &done);
	if (message->header_len + part > message->header_bytes_max) {
		/* Too long to be looked at: what there is of it stays in front, the rest is body. */
		message->header_unseen = true;
		message->header_done = true;
		message->header_bytes = message->header_len;
		return body_append(message, wire);
	}
	if (header_grow(message, message->header_len + part) < 0)
		return -PST_E_NOMEM;
	memcpy(&message->header[message->header_len], wire.at, part);
	message->header_len += part;
	message->header_done = done;
	message->header_bytes = message->header_len;
	return done ? body_append(message, pst_span_sub(wire, part, wire.len)) : 0;
}

#define EDITS_A_PAGE (sizeof(((struct pst_page *)0)->data) / sizeof(uint64_t))

void pst_message_edit(struct pst_message *message, const struct pst_smtp_edit *edit)
{
	struct pst_page *page = message->edits_last;
	uint64_t entry;

	if (!message->header_done || edit->at < message->header_bytes || message->edits_lost)
		return;
	if (!page || page->len == EDITS_A_PAGE * sizeof(entry)) {
		page = message->edit_count < PST_MESSAGE_EDITS_MAX ? pst_share_page(message->share)
								    : NULL;
		if (!page) {
			message->edits_lost = true;
			return;
		}
		if (message->edits_last)
			message->edits_last->next = page;
		else
			message->edits = page;
		message->edits_last = page;
	}
	entry = (edit->at - message->header_bytes) << 1 | edit->cr_left_out;
	memcpy(&page->data[page->len], &entry, sizeof(entry));
	page->len += (uint32_t)sizeof(entry);
	message->edit_count++;
}

void pst_message_end(struct pst_message *message)
{
	message->header_done = true;
}

bool pst_message_has_room(const struct pst_message *message, uint32_t bytes)
{
	uint32_t pages = pages_for(bytes) + 1;

	/* A growing header is for a moment there twice. */
	if (!message->header_done)
		pages += pages_for(PST_MAX(2 * message->header_size, HEADER_FIRST_BYTES));
	return pst_share_has_room(message->share, pages);
}

struct pst_span pst_message_header(const struct pst_message *message)
{
	return (struct pst_span){message->header, message->header_len};
}

void pst_message_header_cut(struct pst_message *message, uint32_t len)
{
	PST_BUG_ON(len > message->header_len);
	message->header_len = len;
}

int pst_message_trace(struct pst_message *message, struct pst_buf *out)
{
	if (!message->trace)
		message->trace = pst_share_page(message->share);
	if (!message->trace)
		return -PST_E_NOMEM;
	pst_buf_init(out, message->trace->data, sizeof(message->trace->data));
	return 0;
}

void pst_message_trace_done(struct pst_message *message, const struct pst_buf *trace)
{
	message->trace->len = trace->len;
}

/* What lies at the cursor, or the next part's beginning if this part is used up. */
static struct pst_span here(const struct pst_message *message, struct pst_message_cursor *cursor)
{
	struct pst_span span = PST_SPAN_NONE;

	for (;;) {
		switch (cursor->part) {
		case PART_TRACE:
			if (message->trace)
				span = (struct pst_span){message->trace->data, message->trace->len};
			break;
		case PART_HEADER:
			span = pst_message_header(message);
			break;
		case PART_BODY:
			if (!cursor->page && message->first) {
				cursor->page = message->first;
				cursor->off = 0;
			}
			if (cursor->page)
				span = (struct pst_span){cursor->page->data, cursor->page->len};
			break;
		case PART_DOT:
			span = dot_line;
			break;
		default:
			return PST_SPAN_NONE;
		}
		span = pst_span_sub(span, cursor->off, span.len);
		if (span.len > 0)
			return span;
		if (cursor->part == PART_BODY && cursor->page && cursor->page->next) {
			cursor->page = cursor->page->next;
			cursor->off = 0;
		} else if (cursor->part == PART_BODY) {
			/* The body may grow: stay, and let the caller see the dot behind it. */
			return PST_SPAN_NONE;
		} else {
			cursor->part++;
			cursor->off = 0;
		}
	}
}

uint32_t pst_message_spans(const struct pst_message *message,
			   const struct pst_message_cursor *cursor, bool with_dot,
			   struct pst_span *spans, uint32_t count_max)
{
	struct pst_message_cursor walk = *cursor;
	uint32_t count = 0;

	while (count < count_max) {
		struct pst_span span = here(message, &walk);

		if (span.len == 0) {
			if (walk.part != PART_BODY || !with_dot)
				break;
			walk = (struct pst_message_cursor){.part = PART_DOT};
			continue;
		}
		spans[count++] = span;
		walk.off += span.len;
	}
	return count;
}

/* Give back the pages in front of the cursor's. */
static void give_back_pages(struct pst_message *message, const struct pst_message_cursor *cursor)
{
	while (message->first && message->first != cursor->page) {
		struct pst_page *page = message->first;

		message->body_bytes -= page->len;
		message->first = page->next;
		if (!message->first)
			message->last = NULL;
		pst_share_return(message->share, page);
	}
}

void pst_message_advance(struct pst_message *message, struct pst_message_cursor *cursor,
			 uint64_t bytes, bool give_back)
{
	while (bytes > 0) {
		struct pst_span span = here(message, cursor);
		uint32_t step;

		if (span.len == 0) {
			PST_BUG_ON(cursor->part != PART_BODY);
			*cursor = (struct pst_message_cursor){.part = PART_DOT};
			continue;
		}
		step = (uint32_t)PST_MIN(bytes, span.len);
		cursor->off += step;
		bytes -= step;
	}
	(void)here(message, cursor);
	if (!give_back || cursor->part < PART_BODY)
		return;
	if (cursor->part == PART_BODY && cursor->page && cursor->page == message->last &&
	    cursor->off == cursor->page->len) {
		/* All of the last page is out: give it back, too; the next append takes a new one. */
		cursor->page = NULL;
		cursor->off = 0;
	}
	if (cursor->part > PART_BODY)
		cursor->page = NULL;
	give_back_pages(message, cursor);
	if (message->header && cursor->part >= PART_BODY)
		header_free(message);
}

bool pst_message_at_dot(const struct pst_message *message, const struct pst_message_cursor *cursor)
{
	struct pst_message_cursor walk = *cursor;

	return walk.part >= PART_DOT ||
	       (here(message, &walk).len == 0 && walk.part == PART_BODY);
}

bool pst_message_at_end(const struct pst_message_cursor *cursor)
{
	return cursor->part == PART_END;
}

/* ---- as it came ------------------------------------------------------------------------------ */

/*  ret false: there is none */
static bool next_edit(const struct pst_message_raw *raw, uint64_t *at, bool *cr_left_out)
{
	uint64_t entry;

	if (!raw->edits)
		return false;
	memcpy(&entry, &raw->edits->data[raw->edit_off * sizeof(entry)], sizeof(entry));
	*at = entry >> 1;
	*cr_left_out = entry & 1;
	return true;
}

static void pass_edit(struct pst_message_raw *raw)
{
	raw->edit_off++;
	if (raw->edit_off * sizeof(uint64_t) < raw->edits->len)
		return;
	raw->edits = raw->edits->next;
	raw->edit_off = 0;
}

static void pass_wire(struct pst_message_raw *raw, uint32_t len)
{
	if (raw->cursor.part == PART_BODY)
		raw->body_off += len;
	raw->cursor.off += len;
}

struct pst_span pst_message_raw_next(const struct pst_message *message, struct pst_message_raw *raw,
				     uint64_t max)
{
	static const struct pst_span cr = {(const uint8_t *)"\r", 1};

	if (!raw->begun) {
		raw->begun = true;
		raw->at_line_start = true;
		raw->edits = message->edits;
	}
	while (max > 0) {
		struct pst_span wire = here(message, &raw->cursor), rest, piece;
		bool in_body = raw->cursor.part == PART_BODY, cr_left_out;
		uint64_t at = 0;

		if (wire.len == 0)
			break;
		wire = pst_span_sub(wire, 0, (uint32_t)PST_MIN(max, wire.len));
		if (in_body && next_edit(raw, &at, &cr_left_out)) {
			if (at == raw->body_off && cr_left_out) {
				pass_edit(raw);
				return cr;
			}
			if (at == raw->body_off) {
				raw->at_line_start = wire.at[0] == '\n';
				pass_wire(raw, 1);
				pass_edit(raw);
				continue;
			}
			wire = pst_span_sub(wire, 0, (uint32_t)PST_MIN(wire.len, at - raw->body_off));
		}
		rest = wire;
		piece = pst_smtp_unstuff_next(&rest, &raw->at_line_start);
		pass_wire(raw, wire.len - rest.len);
		if (piece.len > 0)
			return piece;
	}
	return PST_SPAN_NONE;
}

uint64_t pst_message_raw_bytes(const struct pst_message *message)
{
	struct pst_message_raw raw = {0};
	uint64_t total = 0;
	uint32_t len;

	while ((len = pst_message_raw_next(message, &raw, UINT64_MAX).len) > 0)
		total += len;
	return total;
}
