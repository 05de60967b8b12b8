/* mail/word.c - encoded words and character sets */
#include <string.h>

#include "base/utf8.h"
#include "mail/shape.h"
#include "mail/word.h"

#define ENCODED "=?{c%[A-Za-z0-9*_\\-]+}?{e%[bqBQ]}?{t%[^?]*}?="

/* Windows-1252 between 0x80 and 0x9f; 0 where it has nothing. */
static const uint16_t HIGH_1252[32] = {
	0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
	0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
	0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178,
};

static int put_point(struct pst_buf *out, uint32_t point)
{
	uint8_t bytes[3];

	if (point < 0x80)
		return pst_buf_put_byte(out, (uint8_t)point);
	if (point < 0x800) {
		bytes[0] = (uint8_t)(0xc0 | point >> 6);
		bytes[1] = (uint8_t)(0x80 | (point & 0x3f));
		return pst_buf_put(out, (struct pst_span){bytes, 2});
	}
	bytes[0] = (uint8_t)(0xe0 | point >> 12);
	bytes[1] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
	bytes[2] = (uint8_t)(0x80 | (point & 0x3f));
	return pst_buf_put(out, (struct pst_span){bytes, 3});
}

static int put_1252(struct pst_span text, struct pst_buf *out)
{
	int status = 0;

	for (uint32_t i = 0; i < text.len && !status; i++) {
		uint32_t point = text.at[i];

		if (point >= 0x80 && point < 0xa0)
			point = HIGH_1252[point - 0x80] ? HIGH_1252[point - 0x80] : 0xfffd;
		status = put_point(out, point);
	}
	return status;
}

static int put_utf8(struct pst_span text, struct pst_buf *out)
{
	int status = 0;
	bool bad = false;

	for (uint32_t i = 0; i < text.len && !status;) {
		struct pst_span rest = pst_span_sub(text, i, text.len - i);
		uint32_t len = rest.at[0] < 0x80 ? 1 : pst_utf8_len(rest);

		if (len) {
			status = pst_buf_put(out, pst_span_sub(rest, 0, len));
			bad = false;
		} else {
			/* what is left of a broken sequence is not worth a sign of its own */
			if (!bad || (rest.at[0] & 0xc0) != 0x80)
				status = put_point(out, 0xfffd);
			bad = true;
			len = 1;
		}
		i += len;
	}
	return status;
}

static bool is_ascii(struct pst_span text)
{
	for (uint32_t i = 0; i < text.len; i++)
		if (text.at[i] >= 0x80)
			return false;
	return true;
}

static bool is_utf8(struct pst_span text)
{
	for (uint32_t i = 0; i < text.len;) {
		struct pst_span rest = pst_span_sub(text, i, text.len - i);
		uint32_t len = rest.at[0] < 0x80 ? 1 : pst_utf8_len(rest);

		if (!len)
			return false;
		i += len;
	}
	return true;
}

/* Sets whose first 128 codes are ASCII, so that ASCII text needs no conversion. */
static bool extends_ascii(struct pst_span name)
{
	struct pst_shape_found found;

	return pst_shape_match_nocase("<us-ascii|ascii|iso%[ \\-]?8859<-%d:1-2;|>|windows-%d:4;|utf-<8|>"
				      "|utf8|koi8-%[a-z]:1-2;|euc-%[a-z]:1-2;|big5|gbk"
				      "|gb%[ \\-]?18030>%$", name, &found);
}

int pst_mail_to_utf8(struct pst_span text, struct pst_span declared,
		     const struct pst_charset *charset, struct pst_buf *out)
{
	int status;

	if (is_ascii(text) && (declared.len == 0 || extends_ascii(declared)))
		return pst_buf_put(out, text);
	if (declared.len == 0)
		return is_utf8(text) ? pst_buf_put(out, text) : put_1252(text, out);
	if (pst_shape_match_nocase("<iso-8859-1|iso8859-1|windows-1252|cp1252>%$", declared, NULL))
		return put_1252(text, out);
	if (pst_shape_match_nocase("utf%[\\-]?8%$", declared, NULL))
		return put_utf8(text, out);
	if (charset) {
		status = charset->convert(charset, declared, text, out);
		if (status != -PST_E_NOENT)
			return status;
	}
	return is_ascii(text) ? pst_buf_put(out, text) : put_1252(text, out);
}

static int sextet(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (pst_is_digit(c))
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Base64 as lenient as SpamAssassin: foreign bytes are left out, padding inside counts as zero bits
 * where the text is whole and as ones where it is not. */
static int put_base64(struct pst_span text, struct pst_buf *out)
{
	uint32_t bits = 0, have = 0, count = 0, last = 0, used = 0;
	bool whole = true;
	int status = 0;

	for (uint32_t i = 0; i < text.len; i++) {
		if (pst_is_space(text.at[i]))
			continue;
		if (sextet(text.at[i]) >= 0 || text.at[i] == '=')
			count++;
		else
			whole = false;
		if (sextet(text.at[i]) >= 0)
			last = count;
	}
	whole = whole && count % 4 == 0;
	if (last % 4 == 1)
		last--;
	for (uint32_t i = 0; i < text.len && used < last && !status; i++) {
		int value = sextet(text.at[i]);

		if (value < 0 && text.at[i] != '=')
			continue;
		used++;
		bits = bits << 6 | (uint32_t)(value >= 0 ? value : whole ? 0 : 63);
		have += 6;
		if (have >= 8) {
			have -= 8;
			status = pst_buf_put_byte(out, (uint8_t)(bits >> have));
		}
	}
	return status;
}

static int hex_value(uint8_t c)
{
	if (pst_is_digit(c))
		return c - '0';
	c = pst_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int put_quoted(struct pst_span text, struct pst_buf *out)
{
	int status = 0;

	for (uint32_t i = 0; i < text.len && !status; i++) {
		uint8_t c = text.at[i];

		if (c == '_') {
			c = ' ';
		} else if (c == '=' && i + 2 < text.len && hex_value(text.at[i + 1]) >= 0 &&
			   hex_value(text.at[i + 2]) >= 0) {
			c = (uint8_t)(hex_value(text.at[i + 1]) << 4 | hex_value(text.at[i + 2]));
			i += 2;
		}
		status = pst_buf_put_byte(out, c);
	}
	return status;
}

static int put_word(const struct pst_shape_found *word, struct pst_buf *out)
{
	struct pst_span text = pst_shape_capture(word, 't');

	return pst_lower(pst_shape_capture(word, 'e').at[0]) == 'b' ? put_base64(text, out) :
								     put_quoted(text, out);
}

static uint32_t space_len(struct pst_span text)
{
	uint32_t i = 0;

	while (i < text.len && pst_is_space(text.at[i]))
		i++;
	return i;
}

/* One run of encoded words of one set, and the blanks between and behind them that do not count. */
static int put_words(struct pst_span *rest, struct pst_shape_found word,
		     const struct pst_charset *charset, struct pst_buf *out, struct pst_buf *work)
{
	struct pst_span set = pst_shape_capture(&word, 'c'), name = set;
	int64_t star = pst_span_find(set, '*');
	int status;

	pst_buf_clear(work);
	for (;;) {
		struct pst_span behind;

		status = put_word(&word, work);
		*rest = pst_span_sub(*rest, word.whole.len, rest->len);
		behind = pst_span_sub(*rest, space_len(*rest), rest->len);
		if (status || !pst_shape_match(ENCODED, behind, &word))
			break;
		*rest = behind;
		if (!pst_span_eq_nocase(pst_shape_capture(&word, 'c'), set))
			break;
	}
	if (star >= 0)
		name = pst_span_sub(set, 0, (uint32_t)star);
	if (status)
		return status;
	return name.len ? pst_mail_to_utf8(pst_buf_span(work), name, charset, out) :
			  pst_buf_put(out, pst_buf_span(work));
}

static int put_decoded(struct pst_span text, const struct pst_charset *charset, struct pst_buf *out,
		       struct pst_buf *work)
{
	struct pst_shape_found word;
	int status = 0;

	while (text.len && !status) {
		int64_t at = pst_span_find(text, '=');

		if (at != 0) {
			uint32_t len = at < 0 ? text.len : (uint32_t)at;

			status = pst_buf_put(out, pst_span_sub(text, 0, len));
			text = pst_span_sub(text, len, text.len);
		} else if (pst_shape_match(ENCODED, text, &word)) {
			status = put_words(&text, word, charset, out, work);
		} else {
			status = pst_buf_put_byte(out, '=');
			text = pst_span_sub(text, 1, text.len);
		}
	}
	return status;
}

/* Line ends out; a tab behind one becomes a space. */
static int put_unfolded(struct pst_span value, struct pst_buf *out)
{
	int status = 0;

	for (uint32_t i = 0; i < value.len && !status; i++) {
		uint8_t c = value.at[i];

		if (c == '\r' && i + 1 < value.len && value.at[i + 1] == '\n')
			continue;
		if (c == '\n')
			continue;
		if (c == '\t' && i > 0 && value.at[i - 1] == '\n')
			c = ' ';
		status = pst_buf_put_byte(out, c);
	}
	return status;
}

static bool has_word_sign(struct pst_span text)
{
	for (uint32_t i = 0; i + 1 < text.len; i++)
		if (text.at[i] == '=' && text.at[i + 1] == '?')
			return true;
	return false;
}

static struct pst_buf split_off(struct pst_buf *buf, uint32_t size)
{
	struct pst_buf part;

	buf->size -= size;
	pst_buf_init(&part, buf->area + buf->size, size);
	return part;
}

int pst_mail_value_decode(struct pst_span value, bool words, const struct pst_charset *charset,
			  struct pst_buf *out)
{
	struct pst_buf whole = *out, flat, work;
	uint32_t before = out->len;
	int status;

	/* twice: a byte of Windows-1252 is up to three of UTF-8, then the joined words */
	if (value.len == 0)
		return 0;
	if (pst_buf_tail_room(out) / 7 < value.len)
		return -PST_E_FULL;
	work = split_off(&whole, value.len * 3);
	flat = split_off(&whole, value.len * 3);
	status = put_unfolded(value, &work);
	if (!status)
		status = pst_mail_to_utf8(pst_buf_span(&work), PST_SPAN_NONE, charset, &flat);
	if (!status && words && has_word_sign(pst_buf_span(&flat)))
		status = put_decoded(pst_buf_span(&flat), charset, &whole, &work);
	else if (!status)
		status = pst_buf_put(&whole, pst_buf_span(&flat));
	out->len = status ? before : whole.len;
	return status;
}

bool pst_mail_field_is_plain(struct pst_span name)
{
	return pst_shape_match_nocase("<received|<resent-|><message-id|date>|mime-version|references"
				      "|in-reply-to>%$", name, NULL) ||
	       pst_span_starts_nocase(name, PST_SPAN("list-"));
}
