/* base/utf8.c - is it UTF-8? */
#include "base/utf8.h"

uint32_t pst_utf8_len(struct pst_span text)
{
	static const struct {
		uint8_t first, last, second_min, second_max, len;
	} FORMS[] = {
		{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
		{0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3},
		{0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
		{0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
	};

	for (uint32_t i = 0; i < PST_COUNT(FORMS); i++) {
		if (text.at[0] < FORMS[i].first || text.at[0] > FORMS[i].last)
			continue;
		if (text.len < FORMS[i].len || text.at[1] < FORMS[i].second_min ||
		    text.at[1] > FORMS[i].second_max)
			return 0;
		for (uint32_t k = 2; k < FORMS[i].len; k++)
			if (text.at[k] < 0x80 || text.at[k] > 0xbf)
				return 0;
		return FORMS[i].len;
	}
	return 0;
}

bool pst_utf8_check(struct pst_span text)
{
	while (text.len > 0) {
		uint32_t len = pst_is_print(text.at[0]) ? 1 : pst_utf8_len(text);

		if (len == 0)
			return false;
		text = pst_span_sub(text, len, text.len);
	}
	return true;
}
