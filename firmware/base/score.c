#include "base/score.h"

int pst_score_parse(struct pst_span text, pst_score *out)
{
	int64_t value = 0;
	uint32_t at = 0, digits = 0, behind = 0;
	bool negative = false, point = false;

	if (at < text.len && (text.at[at] == '-' || text.at[at] == '+'))
		negative = text.at[at++] == '-';
	for (; at < text.len; at++) {
		uint8_t c = text.at[at];

		if (c == '.' && !point) {
			point = true;
			continue;
		}
		if (!pst_is_digit(c))
			return -PST_E_SYNTAX;
		digits++;
		if (!point || behind < 3)
			value = value * 10 + (c - '0');
		else if (behind == 3 && c >= '5')
			value++;
		if (point)
			behind++;
		if (value > PST_SCORE_MAX)
			return -PST_E_RANGE;
	}
	if (digits == 0)
		return -PST_E_SYNTAX;
	for (; behind < 3; behind++)
		value *= 10;
	if (value > PST_SCORE_MAX)
		return -PST_E_RANGE;
	*out = (pst_score)(negative ? -value : value);
	return 0;
}

static int put_fixed(struct pst_buf *out, int64_t thousandths, uint32_t digits)
{
	static const uint32_t steps[] = {1000, 100, 10, 1};
	uint64_t size = (uint64_t)(thousandths < 0 ? -thousandths : thousandths);
	const char *sign = thousandths < 0 ? "-" : "";

	if (digits == 0)
		return pst_buf_printf(out, "%s%u", sign, (unsigned)(size / 1000));
	return pst_buf_printf(out, "%s%u.%0*u", sign, (unsigned)(size / 1000), (int)digits,
			      (unsigned)(size % 1000 / steps[digits]));
}

int pst_score_put(struct pst_buf *out, pst_score score, uint32_t digits_min)
{
	uint32_t digits = score % 1000 == 0 ? 0 : score % 100 == 0 ? 1 : score % 10 == 0 ? 2 : 3;

	return put_fixed(out, score, PST_MAX(digits, digits_min));
}

int pst_score_put_rounded(struct pst_buf *out, pst_score score, uint32_t digits)
{
	static const int64_t steps[] = {1000, 100, 10, 1};
	int64_t half = steps[digits] / 2, step = steps[digits];
	int64_t size = score < 0 ? -(int64_t)score : score;

	size = (size + half) / step * step;
	return put_fixed(out, score < 0 ? -size : size, digits);
}
