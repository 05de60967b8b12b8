/* mail/received.c - see received.h */
#include "mail/received.h"

#include <string.h>

#include "base/addr.h"

#define TOKENS_MAX 64

enum token_kind { TOKEN_WORD, TOKEN_COMMENT };

struct token {
	enum token_kind kind;
	struct pst_span text; /* of a comment what is between the parentheses */
};

struct field {
	struct token tokens[TOKENS_MAX];
	uint32_t count;
	/* Indices of the clauses' words; 0: there is no such clause (from is always the first). */
	uint32_t by, via, with, id, rest;
};

/* What the words of the from clause turned out to be. */
struct from {
	struct pst_span first;  /* the word behind "from" */
	struct pst_span name;   /* another one, in a comment */
	uint32_t word_count;    /* outside of comments, addresses in brackets behind the first aside */
	struct pst_span bare;   /* an address without brackets, in a comment */
	struct pst_span helo;   /* said to be one */
	struct pst_span ip, ident;
	struct pst_span first_ip; /* the first word is, or holds, an address */
	bool bare_ip;           /* the address stood in parentheses alone, without brackets */
	bool quoted;            /* as a command in quotes */
	bool exim;              /* helo= or ident= are its words */
	bool open_ip;           /* the address stood outside of comments */
	bool asked_ident;       /* and heard nothing, or something */
	bool unknown;           /* the looked up name is said to be unknown */
};

static bool is(struct pst_span text, const char *word)
{
	return pst_span_eq_nocase(text, pst_span_text(word));
}

static bool starts(struct pst_span text, const char *word)
{
	return pst_span_starts_nocase(text, pst_span_text(word));
}

static struct pst_span behind(struct pst_span text, uint32_t at)
{
	return pst_span_sub(text, at, text.len);
}

static bool holds(struct pst_span text, const char *part)
{
	struct pst_span wanted = pst_span_text(part);

	for (uint32_t i = 0; i + wanted.len <= text.len; i++)
		if (pst_span_eq_nocase(pst_span_sub(text, i, wanted.len), wanted))
			return true;
	return false;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

/* Blanks squeezed to single spaces. */
static struct pst_span squeeze(struct pst_span value, struct pst_buf *work)
{
	uint8_t *at = pst_buf_tail(work);
	uint32_t len = 0;

	for (uint32_t i = 0; i < value.len; i++) {
		uint8_t c = value.at[i];

		if (c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f')
			c = ' ';
		if (c != ' ' || (len > 0 && at[len - 1] != ' '))
			at[len++] = c;
	}
	if (len > 0 && at[len - 1] == ' ')
		len--;
	pst_buf_commit(work, len);
	return (struct pst_span){at, len};
}

/* The length of the comment at the front, its parentheses included; unbalanced ones end it all. */
static uint32_t comment_len(struct pst_span text)
{
	uint32_t depth = 0;

	for (uint32_t i = 0; i < text.len; i++) {
		if (text.at[i] == '(')
			depth++;
		else if (text.at[i] == ')' && --depth == 0)
			return i + 1;
	}
	return text.len;
}

static bool add_token(struct field *field, enum token_kind kind, struct pst_span text)
{
	if (field->count == TOKENS_MAX)
		return false;
	field->tokens[field->count++] = (struct token){kind, text};
	return true;
}

/* Words and comments, up to the date. A comment ends the word that it sticks to. */
static void split(struct field *field, struct pst_span text)
{
	uint32_t i = 0;

	while (i < text.len && text.at[i] != ';') {
		uint32_t from = i;

		if (text.at[i] == ' ') {
			i++;
		} else if (text.at[i] == '(') {
			uint32_t len = comment_len(behind(text, i));
			bool closed = len > 1 && text.at[i + len - 1] == ')';

			if (!add_token(field, TOKEN_COMMENT,
				       pst_span_sub(text, i + 1, len - 1 - closed)))
				return;
			i += len;
		} else {
			bool quoted = false;

			for (; i < text.len; i++) {
				if (text.at[i] == '"')
					quoted = !quoted;
				if (!quoted && (text.at[i] == ' ' || text.at[i] == '(' ||
						text.at[i] == ';'))
					break;
			}
			if (!add_token(field, TOKEN_WORD, pst_span_sub(text, from, i - from)))
				return;
		}
	}
}

static void find_clauses(struct field *field)
{
	for (uint32_t i = 1; i + 1 < field->count; i++) {
		struct pst_span word = field->tokens[i].text;

		if (field->tokens[i].kind == TOKEN_COMMENT)
			continue;
		if (!field->by && is(word, "by"))
			field->by = i + 1;
		else if (!field->via && is(word, "via"))
			field->via = i + 1;
		else if (field->by && !field->with && is(word, "with"))
			field->with = i + 1;
		else if (field->by && !field->id && pst_span_eq(word, PST_SPAN("id")))
			field->id = i + 1;
	}
}

/* ---- the from clause ------------------------------------------------------------------------- */

static struct pst_span address_in(struct pst_span text)
{
	struct pst_addr addr;

	if (starts(text, "IPv6:"))
		text = behind(text, 5);
	return pst_addr_parse(text, &addr) == 0 ? text : PST_SPAN_NONE;
}

/* "[192.0.2.1]" anywhere in a word; *before and *after are what sticks to it. */
static struct pst_span bracketed(struct pst_span word, struct pst_span *before)
{
	int64_t open = pst_span_find(word, '['), close;
	struct pst_span ip = PST_SPAN_NONE;

	while (open >= 0 && ip.len == 0) {
		struct pst_span inside = behind(word, (uint32_t)open + 1);

		close = pst_span_find(inside, ']');
		if (close < 0)
			break;
		ip = address_in(pst_span_sub(inside, 0, (uint32_t)close));
		*before = pst_span_sub(word, 0, (uint32_t)open);
		open = ip.len ? -1 : pst_span_find(inside, '[');
		if (open >= 0) {
			word = inside;
		}
	}
	return ip;
}

/* ident@ in front of an address or name; "IDENT:" says so once more. */
static struct pst_span take_ident(struct pst_span word, struct from *from)
{
	int64_t at = pst_span_find(word, '@');

	if (at < 0)
		return word;
	from->ident = pst_span_sub(word, 0, (uint32_t)at);
	if (starts(from->ident, "IDENT:"))
		from->ident = behind(from->ident, 6);
	return behind(word, (uint32_t)at + 1);
}

static bool looks_like_name(struct pst_span word)
{
	for (uint32_t i = 0; i < word.len; i++) {
		uint8_t c = word.at[i];

		if (!pst_is_alnum(c) && c != '-' && c != '.' && c != '_' && c != '~' && c < 0x80)
			return false;
	}
	return word.len > 0;
}

static bool is_between(uint8_t c)
{
	return c == ' ' || c == ',' || c == '"';
}

static struct pst_span take_word(struct pst_span *rest)
{
	uint32_t len = 0;
	struct pst_span word;

	while (rest->len > 0 && is_between(rest->at[0]))
		*rest = behind(*rest, 1);
	while (len < rest->len && !is_between(rest->at[len]))
		len++;
	word = pst_span_sub(*rest, 0, len);
	*rest = behind(*rest, len);
	return word;
}

/* One word of a comment of the from clause. */
static void read_word(struct pst_span word, struct from *from, bool alone)
{
	struct pst_span before = PST_SPAN_NONE, ip = bracketed(word, &before), bare;

	if (ip.len > 0) {
		if (from->ip.len == 0)
			from->ip = ip;
		if (pst_span_find(before, '@') >= 0) {
			/* ident@[address], without a name between */
			from->ident = pst_span_sub(before, 0, (uint32_t)pst_span_find(before, '@'));
			from->asked_ident = true;
			before = behind(before, from->ident.len + 1);
		}
		if (before.len > 0 && from->name.len == 0)
			from->name = before;
		/* "192.0.2.1 [192.0.2.1]": the first of them is meant for a name */
		if (from->bare.len > 0 && from->name.len == 0)
			from->name = from->bare;
		from->bare_ip = false;
		return;
	}
	bare = take_ident(word, from);
	ip = address_in(bare);
	if (ip.len > 0) {
		from->bare = bare;
		if (from->ip.len == 0 && alone) {
			from->ip = ip;
			from->bare_ip = true;
		}
		return;
	}
	if (is(bare, "unknown"))
		from->unknown = true;
	else if (from->name.len == 0 && from->ip.len == 0 && looks_like_name(bare))
		from->name = bare;
}

static void read_comment(struct pst_span comment, struct from *from)
{
	struct pst_span rest = comment, word;
	uint32_t count = 0;

	if (starts(comment, "envelope-") || starts(comment, "AUTH: ") || starts(comment, "using ") ||
	    starts(comment, "authenticated ") || starts(comment, "version="))
		return;
	while ((word = take_word(&rest)).len > 0) {
		count++;
		if (starts(word, "helo=")) {
			from->helo = behind(word, 5);
			from->exim = true;
		} else if (starts(word, "ident=")) {
			from->ident = behind(word, 6);
			from->exim = true;
		} else if (is(word, "HELO") || is(word, "EHLO") || is(word, "LHLO")) {
			/* In quotes it is a whole command, and the first word was not looked up. */
			from->quoted = word.at > comment.at && word.at[-1] == '"';
			from->helo = take_word(&rest);
		} else if (is(word, "may") || is(word, "account")) {
			return;
		} else if (is(word, "softdnserr")) {
			continue;
		} else {
			read_word(word, from, count == 1 && rest.len == 0);
		}
	}
}

static void read_from(const struct field *field, struct from *from)
{
	uint32_t end = field->by ? field->by - 1 : field->count;
	struct pst_span before = PST_SPAN_NONE, ip;

	for (uint32_t i = 1; i < end; i++) {
		const struct token *token = &field->tokens[i];

		if (token->kind == TOKEN_COMMENT) {
			read_comment(token->text, from);
			continue;
		}
		if (is(token->text, "via") || is(token->text, "with") || is(token->text, "for"))
			break;
		ip = bracketed(token->text, &before);
		if (i == 1) {
			from->first = token->text;
			from->first_ip = ip.len ? ip : address_in(token->text);
			from->word_count++;
		} else if (ip.len == 0) {
			from->word_count++;
		} else if (ip.len > 0 && from->ip.len == 0) {
			from->ip = ip;
			from->open_ip = true;
		}
	}
	/* An address in the first place is what the client said, if the server gives one of its own. */
	if (from->ip.len == 0 && from->bare.len > 0)
		from->ip = from->bare;
	if (from->ip.len == 0) {
		from->ip = from->first_ip;
		from->first = PST_SPAN_NONE;
	}
}

/* ---- who said which name --------------------------------------------------------------------- */

static void assign_names(const struct field *field, const struct from *from,
			 struct pst_mail_received *out)
{
	struct pst_span by_comment = PST_SPAN_NONE;
	bool exim = from->exim;
	/* qmail writes so, and says in its comment who it is, or has none. */
	bool qmail = field->with && !from->open_ip && !field->id && !field->via && !from->asked_ident &&
		     (pst_span_eq(field->tokens[field->with].text, PST_SPAN("SMTP")) ||
		      pst_span_eq(field->tokens[field->with].text, PST_SPAN("QMQP")));

	if (field->by && field->by + 1 < field->count &&
	    field->tokens[field->by + 1].kind == TOKEN_COMMENT)
		by_comment = field->tokens[field->by + 1].text;
	qmail = qmail && (by_comment.len == 0 || starts(by_comment, "qmail") ||
			  pst_span_eq(from->first, from->ip));
	for (uint32_t i = field->by; i < field->count; i++)
		exim = exim || (field->tokens[i].kind == TOKEN_COMMENT &&
				(starts(field->tokens[i].text, "Exim") ||
				 starts(field->tokens[i].text, "Microsoft Exchange")));
	out->ip = from->ip;
	out->ident = from->ident;
	out->helo = from->helo;
	if (from->first.len == 0) {
		out->helo = from->helo.len > 0 ? from->helo : from->name;
		return;
	}
	if (from->helo.len > 0) {
		if (!from->quoted)
			out->rdns = from->first; /* what was said stands apart: the first is what was found */
	} else if (from->name.len > 0) {
		out->helo = from->first;
		out->rdns = from->name;
	} else if (field->via && from->bare_ip) {
		out->rdns = from->first; /* a proxy that keeps HELO to itself */
	} else if (exim || from->bare_ip || qmail) {
		/* Exim and qmail leave HELO out where it is the name that they found. */
		out->rdns = from->first;
		out->helo = from->first;
	} else {
		out->helo = from->first;
		out->no_reverse_dns = from->unknown || by_comment.len > 0;
	}
	if (is(out->rdns, "unknown")) {
		out->rdns = PST_SPAN_NONE;
		out->no_reverse_dns = !(exim || from->bare_ip);
	}
}

/* Google tells a submission by its ids ("sm" between digits), not by the protocol. */
static struct pst_span google_auth(const struct field *field, struct pst_buf *work)
{
	struct pst_span id = field->id ? field->tokens[field->id].text : PST_SPAN_NONE, comment;
	const uint8_t *at = pst_buf_tail(work);
	uint32_t last = field->id + 1;
	bool submitted = false;
	int64_t cipher;

	for (uint32_t i = 1; i + 2 < id.len; i++)
		submitted = submitted ||
			    (id.at[i] == 's' && id.at[i + 1] == 'm' && pst_is_digit(id.at[i - 1]) &&
			     pst_is_digit(id.at[i + 2]));
	if (!submitted || !field->by || !is(field->tokens[field->by].text, "mx.google.com") ||
	    !field->with || !is(field->tokens[field->with].text, "ESMTPS") || last >= field->count ||
	    !starts(field->tokens[last].text, "version="))
		return PST_SPAN_NONE;
	comment = behind(field->tokens[last].text, 8);
	cipher = pst_span_find(comment, ' ');
	if (cipher < 0 || pst_buf_put_text(work, "GMail - transport=") ||
	    pst_buf_put(work, comment))
		return PST_SPAN_NONE;
	return (struct pst_span){at, (uint32_t)(pst_buf_tail(work) - at)};
}

/* RFC 3848: a protocol that ends in A was authenticated; others say it in words. */
static struct pst_span find_auth(const struct field *field, struct pst_buf *work)
{
	struct pst_span with = field->with ? field->tokens[field->with].text : PST_SPAN_NONE;

	if (is(with, "ESMTPA") || is(with, "ESMTPSA") || is(with, "UTF8SMTPA") ||
	    is(with, "UTF8SMTPSA") || is(with, "ASMTP") || is(with, "LMTPA") || is(with, "LMTPSA") ||
	    is(with, "HTTP") || is(with, "HTTPS") || is(with, "HTTPU"))
		return with;
	for (uint32_t i = 1; i < field->count; i++) {
		struct pst_span comment = field->tokens[i].text;

		if (field->tokens[i].kind != TOKEN_COMMENT)
			continue;
		if (starts(comment, "AUTH: ")) {
			struct pst_span rest = behind(comment, 6);

			return take_word(&rest);
		}
		if (field->by && i >= field->by)
			continue;
		if (starts(comment, "Authenticated sender: "))
			return PST_SPAN("Postfix");
		if (holds(comment, "authenticated"))
			return PST_SPAN("Sendmail");
	}
	return google_auth(field, work);
}

static void find_sender(struct pst_span text, struct pst_mail_received *out)
{
	static const char *const words[] = {"envelope-from ", "envelope-sender ", "return-path: ",
					    "return-path ", "envelope-from=", "envelope-sender="};

	for (uint32_t w = 0; w < PST_COUNT(words); w++) {
		struct pst_span word = pst_span_text(words[w]);

		for (uint32_t i = 0; i + word.len < text.len; i++) {
			struct pst_span rest = behind(text, i + word.len);
			uint32_t len = 0;

			if (!pst_span_eq_nocase(pst_span_sub(text, i, word.len), word))
				continue;
			while (len < rest.len && rest.at[len] != ' ' && rest.at[len] != ')' &&
			       rest.at[len] != ';')
				len++;
			rest.len = len;
			if (rest.len > 0 && rest.at[0] == '<')
				rest = behind(rest, 1);
			if (rest.len > 0 && rest.at[rest.len - 1] == '>')
				rest.len--;
			out->envfrom = rest;
			out->envfrom_known = true;
			return;
		}
	}
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* Bytes that would spoil the notation that rules see become '!'. */
static struct pst_span bang(struct pst_span text, struct pst_buf *work)
{
	static const struct pst_span bad = {(const uint8_t *)"\0#[]()<>| ", 10};
	uint8_t *at = pst_buf_tail(work);
	bool any = false;

	for (uint32_t i = 0; i < text.len; i++)
		any = any || pst_span_find(bad, text.at[i]) >= 0;
	if (!any || pst_buf_put(work, text))
		return text;
	for (uint32_t i = 0; i < text.len; i++)
		if (pst_span_find(bad, at[i]) >= 0)
			at[i] = '!';
	return (struct pst_span){at, text.len};
}

/* "::ffff:192.0.2.1" is an IPv4 address. */
static struct pst_span unmapped(struct pst_span ip)
{
	int64_t colon = pst_span_rfind(ip, ':');

	return starts(ip, "::ffff:") && pst_span_find(ip, '.') >= 0
		       ? behind(ip, (uint32_t)colon + 1)
		       : ip;
}

static void finish(const struct field *field, struct pst_mail_received *out, struct pst_buf *work)
{
	struct pst_span id = field->id ? field->tokens[field->id].text : PST_SPAN_NONE;

	if (field->by)
		out->by = field->tokens[field->by].text;
	/* "with mapi id 15.20": a protocol's version */
	if (field->with && field->id == field->with + 2 && is(field->tokens[field->with].text, "mapi"))
		id = PST_SPAN_NONE;
	if (id.len < 3)
		id = PST_SPAN_NONE;
	while (id.len > 0 && id.at[0] == '<')
		id = behind(id, 1);
	while (id.len > 0 && id.at[id.len - 1] == '>')
		id.len--;
	out->id = id;
	while (out->rdns.len > 0 && out->rdns.at[out->rdns.len - 1] == '.')
		out->rdns.len--;
	out->ip = unmapped(out->ip);
	out->envfrom = bang(out->envfrom, work);
	out->rdns = bang(out->rdns, work);
	out->helo = bang(out->helo, work);
	out->by = bang(out->by, work);
	out->ident = bang(out->ident, work);
}

static int hop(const struct field *field, const struct from *from, struct pst_buf *work,
	       struct pst_mail_received *out)
{
	assign_names(field, from, out);
	out->auth = find_auth(field, work);
	finish(field, out, work);
	return PST_MAIL_RECEIVED_HOP;
}

/* Does the server's name have a comment that says what it is? */
static bool is_named(const struct field *field)
{
	const struct token *next = &field->tokens[field->by + 1];

	return field->by + 1 < field->count && next->kind == TOKEN_COMMENT &&
	       pst_span_find(next->text, '[') != 0;
}

int pst_mail_received_parse(struct pst_span value, struct pst_buf *work,
			    struct pst_mail_received *out)
{
	struct field field = {.count = 0};
	struct from from = {.exim = false};
	struct pst_span text, with = PST_SPAN_NONE;

	*out = (struct pst_mail_received){.envfrom_known = false};
	if (pst_buf_tail_room(work) / 3 < value.len + 8)
		return -PST_E_FULL;
	text = squeeze(value, work);
	find_sender(text, out);
	split(&field, text);
	if (field.count < 2 || field.tokens[0].kind != TOKEN_WORD ||
	    !is(field.tokens[0].text, "from"))
		return PST_MAIL_RECEIVED_SKIP;
	find_clauses(&field);
	if (field.with)
		with = field.tokens[field.with].text;
	if (starts(with, "POP3") || starts(with, "IMAP"))
		return PST_MAIL_RECEIVED_FETCHER;
	if (is(with, "TCP"))
		return PST_MAIL_RECEIVED_UNKNOWN; /* no protocol of mail: who knows what it means */
	read_from(&field, &from);
	/* Several words, and none of them an address in brackets: it cannot be read. Windows' mail server
	 * calls the folder that it takes mail from a service. */
	if (is(field.tokens[1].text, "mail") && from.word_count == 3)
		return PST_MAIL_RECEIVED_SKIP;
	if (!field.by || (from.word_count > 1 && (from.ip.len == 0 || from.ip.at == from.first_ip.at)))
		return PST_MAIL_RECEIVED_UNKNOWN;
	if (from.ip.len == 0)
		return PST_MAIL_RECEIVED_SKIP;
	/* An address alone, without brackets, is no more than somebody's word, unless a protocol or the
	 * server's own words follow. */
	if (from.ip.at == from.first_ip.at && from.ip.at == field.tokens[1].text.at &&
	    field.by == 3 && field.with != field.by + 2 && !is_named(&field))
		return PST_MAIL_RECEIVED_SKIP;
	return hop(&field, &from, work, out);
}
