/* mail/charset_iconv.c - the charset seam through the C library's iconv */
#include <iconv.h>
#include <string.h>

#include "mail/charset_iconv.h"

#define ROOM_MIN 16u

/* Names that mail uses and the C library does not know, or knows as something narrower than what
 * senders mean. */
static const struct {
	const char *name, *means;
} ALIASES[] = {
	{"gb2312", "GBK"},
	{"x-gbk", "GBK"},
	{"ks_c_5601-1987", "CP949"},
	{"euc-kr", "CP949"},
	{"x-sjis", "CP932"},
	{"shift_jis", "CP932"},
	{"big5", "CP950"},
	{"iso-8859-8-i", "ISO-8859-8"},
};

static iconv_t open_set(struct pst_span name)
{
	char text[PST_CHARSET_NAME_MAX + 1];

	if (name.len == 0 || name.len > PST_CHARSET_NAME_MAX)
		return (iconv_t)-1;
	for (uint32_t i = 0; i < PST_COUNT(ALIASES); i++)
		if (pst_span_eq_nocase(name, pst_span_text(ALIASES[i].name)))
			name = pst_span_text(ALIASES[i].means);
	/* a slash asks iconv for a mode, which a sender has no business to choose */
	for (uint32_t i = 0; i < name.len; i++)
		if (!pst_is_alnum(name.at[i]) && name.at[i] != '-' && name.at[i] != '_')
			return (iconv_t)-1;
	memcpy(text, name.at, name.len);
	text[name.len] = 0;
	return iconv_open("UTF-8", text);
}

static int put_replacement(char **out, size_t *room)
{
	if (*room < 3)
		return -PST_E_FULL;
	memcpy(*out, "\xef\xbf\xbd", 3);
	*out += 3;
	*room -= 3;
	return 0;
}

static int convert(const struct pst_charset *self, struct pst_span name, struct pst_span text,
		   struct pst_buf *out)
{
	iconv_t set = open_set(name);
	char *in = (char *)(uintptr_t)text.at, *to;
	size_t left = text.len, room;
	int status = 0;

	(void)self;
	if (set == (iconv_t)-1)
		return -PST_E_NOENT;
	room = pst_buf_tail_room(out);
	to = (char *)pst_buf_tail(out);
	while (left && !status && iconv(set, &in, &left, &to, &room) == (size_t)-1) {
		/* no set of iconv's makes more of one character than this */
		if (room < ROOM_MIN) {
			status = -PST_E_FULL;
		} else {
			status = put_replacement(&to, &room);
			in++;
			left--;
		}
	}
	iconv_close(set);
	if (!status)
		pst_buf_commit(out, pst_buf_tail_room(out) - (uint32_t)room);
	return status;
}

const struct pst_charset pst_charset_iconv = {convert};
