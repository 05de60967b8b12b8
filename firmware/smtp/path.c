/* smtp/path.c - the grammar of RFC 5321 section 4.1.2 and 4.1.3 */
#include <string.h>

#include "base/utf8.h"
#include "smtp/path.h"

#define LABEL_MAX 63

/* Reads from the front of `rest`; `over` remembers that a limit was passed, so that a long path is
 * told from a wrong one. */
struct cursor {
	struct pst_span rest;
	bool over;
	bool utf8;
};

static bool more(const struct cursor *cursor)
{
	return cursor->rest.len > 0;
}

static uint8_t front(const struct cursor *cursor)
{
	return cursor->rest.at[0];
}

static void skip(struct cursor *cursor, uint32_t len)
{
	cursor->rest = pst_span_sub(cursor->rest, len, cursor->rest.len - len);
}

static bool take(struct cursor *cursor, uint8_t byte)
{
	if (!more(cursor) || front(cursor) != byte)
		return false;
	skip(cursor, 1);
	return true;
}

/* What was read between two positions of the cursor. */
static struct pst_span since(struct pst_span from, const struct cursor *cursor)
{
	return pst_span_sub(from, 0, from.len - cursor->rest.len);
}

/* Take a UTF-8 sequence, if one is there. */
static bool take_utf8(struct cursor *cursor)
{
	uint32_t len;

	if (!more(cursor) || front(cursor) < 0x80)
		return false;
	len = pst_utf8_len(cursor->rest);
	if (!len)
		return false;
	cursor->utf8 = true;
	skip(cursor, len);
	return true;
}

static bool is_atext(uint8_t c)
{
	static const char SPECIALS[] = "!#$%&'*+-/=?^_`{|}~";

	return pst_is_alnum(c) || (c && memchr(SPECIALS, c, sizeof(SPECIALS) - 1));
}

static bool take_atom(struct cursor *cursor)
{
	uint32_t len = cursor->rest.len;

	while (more(cursor)) {
		if (is_atext(front(cursor)))
			skip(cursor, 1);
		else if (!take_utf8(cursor))
			break;
	}
	return cursor->rest.len < len;
}

/* The opening quote is in front. */
static bool take_quoted(struct cursor *cursor)
{
	skip(cursor, 1);
	while (more(cursor) && front(cursor) != '"') {
		if (take(cursor, '\\')) {
			if (!more(cursor) || !pst_is_print(front(cursor)))
				return false;
			skip(cursor, 1);
		} else if (pst_is_print(front(cursor))) {
			skip(cursor, 1);
		} else if (!take_utf8(cursor)) {
			return false;
		}
	}
	return take(cursor, '"');
}

static bool take_local(struct cursor *cursor, struct pst_smtp_path *path)
{
	struct pst_span from = cursor->rest;

	if (more(cursor) && front(cursor) == '"') {
		if (!take_quoted(cursor))
			return false;
		path->flags |= PST_SMTP_PATH_QUOTED;
	} else {
		do {
			if (!take_atom(cursor))
				return false;
		} while (take(cursor, '.'));
	}
	path->local = since(from, cursor);
	if (path->local.len > PST_SMTP_LOCAL_MAX)
		cursor->over = true;
	return true;
}

/* One label: letters, digits and hyphens, no hyphen at either end. */
static bool take_label(struct cursor *cursor)
{
	struct pst_span from = cursor->rest, label;

	while (more(cursor)) {
		if (pst_is_alnum(front(cursor)) || front(cursor) == '-')
			skip(cursor, 1);
		else if (!take_utf8(cursor))
			break;
	}
	label = since(from, cursor);
	if (label.len == 0 || label.at[0] == '-' || label.at[label.len - 1] == '-')
		return false;
	if (label.len > LABEL_MAX)
		cursor->over = true;
	return true;
}

static bool take_name(struct cursor *cursor)
{
	struct pst_span from = cursor->rest;

	do {
		if (!take_label(cursor))
			return false;
	} while (take(cursor, '.'));
	if (since(from, cursor).len > PST_SMTP_DOMAIN_MAX)
		cursor->over = true;
	return true;
}

/* RFC 5321 allows "::" only for two groups or more: at most six groups (four in front of an
 * IPv4 tail) may stand beside it, where other grammars take seven. */
static bool ipv6_groups_fit(struct pst_span text)
{
	uint32_t groups = 0;
	bool compressed = false, in_group = false;

	for (uint32_t i = 0; i < text.len; i++) {
		uint8_t c = text.at[i];

		if (c == ':') {
			compressed |= i > 0 && text.at[i - 1] == ':';
			in_group = false;
		} else if (!in_group) {
			in_group = true;
			groups++;
		}
	}
	if (pst_span_find(text, '.') >= 0)
		groups++;
	return !compressed || groups <= 6;
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]". Nobody has registered another tag. The
 * opening bracket is in front. */
static bool take_literal(struct cursor *cursor, struct pst_addr *address)
{
	const struct pst_span tag = PST_SPAN("IPv6:");
	struct pst_span inner;
	int64_t end;
	bool is_ipv6;

	skip(cursor, 1);
	end = pst_span_find(cursor->rest, ']');
	if (end < 0)
		return false;
	inner = pst_span_sub(cursor->rest, 0, (uint32_t)end);
	is_ipv6 = pst_span_starts_nocase(inner, tag);
	if (is_ipv6)
		inner = pst_span_sub(inner, tag.len, inner.len - tag.len);
	if (pst_addr_parse(inner, address))
		return false;
	if (is_ipv6 != (pst_span_find(inner, ':') >= 0) || (is_ipv6 && !ipv6_groups_fit(inner)))
		return false;
	skip(cursor, (uint32_t)end + 1);
	return true;
}

/* *( "@" domain "," ) "@" domain ":" */
static bool take_route(struct cursor *cursor)
{
	struct pst_addr address;

	do {
		if (!take(cursor, '@'))
			return false;
		if (more(cursor) && front(cursor) == '[') {
			if (!take_literal(cursor, &address))
				return false;
		} else if (!take_name(cursor)) {
			return false;
		}
	} while (take(cursor, ','));
	return take(cursor, ':');
}

static bool take_mailbox(struct cursor *cursor, struct pst_smtp_path *path)
{
	struct pst_span from = cursor->rest, domain_from;

	if (!take_local(cursor, path))
		return false;
	if (!take(cursor, '@')) {
		path->flags |= PST_SMTP_PATH_BARE;
		path->mailbox = path->local;
		return true;
	}
	domain_from = cursor->rest;
	if (more(cursor) && front(cursor) == '[') {
		if (!take_literal(cursor, &path->address))
			return false;
		path->flags |= PST_SMTP_PATH_LITERAL;
	} else if (!take_name(cursor)) {
		return false;
	}
	path->domain = since(domain_from, cursor);
	path->mailbox = since(from, cursor);
	return true;
}

int pst_smtp_path_parse(struct pst_span in, struct pst_smtp_path *path, struct pst_span *rest)
{
	struct cursor cursor = {.rest = in};
	uint32_t octets;

	memset(path, 0, sizeof(*path));
	if (!take(&cursor, '<'))
		return -PST_E_SYNTAX;
	if (take(&cursor, '>')) {
		path->flags = PST_SMTP_PATH_NULL;
		*rest = cursor.rest;
		return 0;
	}
	if (more(&cursor) && front(&cursor) == '@') {
		if (!take_route(&cursor))
			return -PST_E_SYNTAX;
		path->flags |= PST_SMTP_PATH_ROUTE;
	}
	if (!take_mailbox(&cursor, path) || !take(&cursor, '>'))
		return -PST_E_SYNTAX;
	if (cursor.utf8)
		path->flags |= PST_SMTP_PATH_UTF8;
	*rest = cursor.rest;
	octets = in.len - cursor.rest.len - 2;
	return cursor.over || octets > PST_SMTP_PATH_MAX ? -PST_E_RANGE : 0;
}

int pst_smtp_mailbox_parse(struct pst_span in, struct pst_smtp_path *path)
{
	struct cursor cursor = {.rest = in};

	memset(path, 0, sizeof(*path));
	if (!take_mailbox(&cursor, path) || more(&cursor))
		return -PST_E_SYNTAX;
	if (cursor.utf8)
		path->flags |= PST_SMTP_PATH_UTF8;
	return cursor.over || in.len > PST_SMTP_PATH_MAX ? -PST_E_RANGE : 0;
}

int pst_smtp_domain_check(struct pst_span domain, bool utf8)
{
	struct cursor cursor = {.rest = domain};
	struct pst_addr address;
	bool good;

	good = more(&cursor) && front(&cursor) == '[' ? take_literal(&cursor, &address)
						      : take_name(&cursor);
	if (!good || more(&cursor) || (cursor.utf8 && !utf8))
		return -PST_E_SYNTAX;
	return cursor.over ? -PST_E_RANGE : 0;
}

bool pst_smtp_local_routes(const struct pst_smtp_path *path)
{
	/* None of the three is a quote or a backslash, so the raw form holds one if and only if
	 * the plain form does. */
	return pst_span_find(path->local, '%') >= 0 || pst_span_find(path->local, '!') >= 0 ||
	       pst_span_find(path->local, '@') >= 0;
}

struct pst_span pst_smtp_local_plain(const struct pst_smtp_path *path, uint8_t *area)
{
	struct pst_span local = path->local;
	uint32_t len = 0;

	if (!(path->flags & PST_SMTP_PATH_QUOTED))
		return local;
	for (uint32_t i = 1; i + 1 < local.len && len < PST_SMTP_LOCAL_MAX; i++) {
		if (local.at[i] == '\\')
			i++;
		area[len++] = local.at[i];
	}
	return (struct pst_span){area, len};
}
