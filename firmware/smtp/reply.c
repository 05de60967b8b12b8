/* smtp/reply.c - writing our replies, reading the internal server's */
#include <string.h>

#include "smtp/reply.h"

int pst_smtp_reply_put(struct pst_buf *out, const struct pst_smtp_reply *reply)
{
	uint8_t area[32];
	struct pst_buf head;
	int failed;

	PST_BUG_ON(reply->code < 200 || reply->code > 599);
	pst_buf_init(&head, area, sizeof(area));
	if (reply->enhanced.class)
		failed = pst_buf_printf(&head, "%u %u.%u.%u ", reply->code, reply->enhanced.class,
					reply->enhanced.subject, reply->enhanced.detail);
	else
		failed = pst_buf_printf(&head, "%u ", reply->code);
	PST_BUG_ON(failed);
	if (reply->text.len > UINT32_MAX - sizeof(area) ||
	    pst_buf_room(out) < head.len + reply->text.len + 2)
		return -PST_E_FULL;
	failed = pst_buf_put(out, pst_buf_span(&head));
	for (uint32_t i = 0; i < reply->text.len; i++) {
		uint8_t c = reply->text.at[i];

		/* Whatever a caller let through, a reply can not be split. */
		failed |= pst_buf_put_byte(out, pst_is_print(c) || c >= 0x80 ? c : '?');
	}
	failed |= pst_buf_put(out, PST_SPAN("\r\n"));
	PST_BUG_ON(failed);
	return 0;
}

/* One to three digits without a leading zero, cut off the front.
 *  ret the number, or -PST_E_SYNTAX */
static int number_take(struct pst_span *text)
{
	uint32_t len = 0;
	int number = 0;

	while (len < text->len && len < 3 && pst_is_digit(text->at[len])) {
		number = number * 10 + (text->at[len] - '0');
		len++;
	}
	if (len == 0 || (len > 1 && text->at[0] == '0'))
		return -PST_E_SYNTAX;
	*text = pst_span_sub(*text, len, text->len - len);
	return number;
}

static bool byte_take(struct pst_span *text, uint8_t byte)
{
	if (text->len == 0 || text->at[0] != byte)
		return false;
	*text = pst_span_sub(*text, 1, text->len - 1);
	return true;
}

struct pst_smtp_enhanced pst_smtp_enhanced_take(struct pst_span *text, uint16_t code)
{
	struct pst_smtp_enhanced none = {0, 0, 0};
	struct pst_span rest = *text;
	int class, subject, detail;

	class = number_take(&rest);
	if (class != code / 100 || class == 3 || !byte_take(&rest, '.'))
		return none;
	subject = number_take(&rest);
	if (subject < 0 || !byte_take(&rest, '.'))
		return none;
	detail = number_take(&rest);
	if (detail < 0 || (!byte_take(&rest, ' ') && rest.len))
		return none;
	*text = rest;
	return PST_SMTP_ENHANCED((uint8_t)class, (uint16_t)subject, (uint16_t)detail);
}

/* Cut the next line, without its CRLF, off the buffer.
 *  ret 1 | 0: none yet | -PST_E_PROTO */
static int line_take(struct pst_buf *in, struct pst_span *line)
{
	struct pst_span all = pst_buf_span(in);

	for (uint32_t i = 0; i < all.len; i++) {
		uint8_t c = all.at[i];

		if (c == 0 || c == '\n')
			return -PST_E_PROTO;
		if (c != '\r')
			continue;
		if (i + 1 == all.len)
			break;
		if (all.at[i + 1] != '\n' || i + 2 > PST_SMTP_REPLY_LINE_MAX)
			return -PST_E_PROTO;
		*line = pst_span_sub(all, 0, i);
		pst_buf_consume(in, i + 2);
		return 1;
	}
	/* A buffer that is not there yet is no full buffer. */
	if (all.len && (all.len >= PST_SMTP_REPLY_LINE_MAX || pst_buf_room(in) == 0))
		return -PST_E_PROTO;
	return 0;
}

int pst_smtp_reply_read(struct pst_smtp_reply_reader *reader, struct pst_buf *in,
			struct pst_smtp_reply_line *line)
{
	struct pst_span raw, text;
	uint16_t code;
	int ret = line_take(in, &raw);

	if (ret <= 0)
		return ret;
	if (raw.len < 3 || raw.at[0] < '2' || raw.at[0] > '5' || !pst_is_digit(raw.at[1]) ||
	    !pst_is_digit(raw.at[2]))
		return -PST_E_PROTO;
	code = (uint16_t)((raw.at[0] - '0') * 100 + (raw.at[1] - '0') * 10 + (raw.at[2] - '0'));
	if (raw.len > 3 && raw.at[3] != ' ' && raw.at[3] != '-')
		return -PST_E_PROTO;
	/* A code alone on its line is a reply without text (RFC 5321 section 4.2). */
	text = pst_span_sub(raw, 4, raw.len);
	line->text = text;
	line->first = !reader->unfinished;
	line->last = raw.len == 3 || raw.at[3] == ' ';
	if (line->first) {
		reader->code = code;
		reader->line_count = 0;
		reader->enhanced = pst_smtp_enhanced_take(&text, code);
		reader->text_len = (uint16_t)PST_MIN(text.len, PST_SMTP_REPLY_TEXT_MAX);
		if (reader->text_len)
			memcpy(reader->text, text.at, reader->text_len);
	} else if (code != reader->code) {
		return -PST_E_PROTO;
	}
	reader->line_count++;
	reader->unfinished = !line->last;
	if (reader->unfinished && reader->line_count >= PST_SMTP_REPLY_LINES_MAX)
		return -PST_E_PROTO;
	return 1;
}
