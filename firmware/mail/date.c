/* mail/date.c - dates of header fields -> seconds since 1970 */
#include "mail/date.h"
#include "mail/shape.h"

#define MONTH "{m<Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec>}"
#define GAP "%[ ,\t\r\n]+"
#define EDGE "<%$|%[ ,\t\r\n]>"

static const struct {
	const char *name;
	int16_t hhmm;
} ZONES[] = {
	{"UT", 0}, {"UTC", 0}, {"GMT", 0}, {"BST", 100}, {"IST", 530}, {"WET", 0}, {"WEST", 100},
	{"CET", 100}, {"CEST", 200}, {"MET", 100}, {"MEST", 200}, {"EET", 200}, {"EEST", 300}, {"MSK", 300},
	{"MSD", 400}, {"EST", -500}, {"EDT", -400}, {"CST", -600}, {"CDT", -500}, {"MST", -700},
	{"MDT", -600}, {"PST", -800}, {"PDT", -700}, {"AST", -400}, {"ADT", -300}, {"HST", -1000},
	{"AKST", -900}, {"AKDT", -800}, {"JST", 900}, {"KST", 900}, {"HKT", 800}, {"SGT", 800},
	{"AEST", 1000}, {"AEDT", 1100}, {"NZST", 1200}, {"NZDT", 1300}, {"NST", -330}, {"NDT", -230},
};

static uint32_t number(struct pst_span text)
{
	uint64_t value;

	return pst_span_u64(text, 99999, &value) ? 99999 : (uint32_t)value;
}

static uint32_t month_of(struct pst_span text)
{
	static const char NAMES[] = "janfebmaraprmayjunjulaugsepoctnovdec";

	for (uint32_t i = 0; i < 12; i++)
		if (pst_span_eq_nocase(text, (struct pst_span){(const uint8_t *)NAMES + 3 * i, 3}))
			return i + 1;
	return 1;
}

/* Days from 1970-01-01 to the first day of a month, Gregorian. */
static int64_t days(uint32_t year, uint32_t month, uint32_t day)
{
	static const uint16_t BEFORE[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	uint32_t past = year - 1970;
	int64_t sum = (int64_t)past * 365 + (year - 1969) / 4 + BEFORE[month - 1] + day - 1;

	return sum + (month > 2 && year % 4 == 0);
}

static int32_t zone_of(struct pst_span text)
{
	struct pst_shape_found found;

	if (pst_shape_search(GAP "{s%[+\\-]}{d%d:4;}" EDGE, text, &found)) {
		uint32_t hhmm = number(pst_shape_capture(&found, 'd'));
		int32_t minutes = (int32_t)(hhmm / 100 * 60 + hhmm % 100);

		return pst_shape_capture(&found, 's').at[0] == '-' ? -minutes : minutes;
	}
	if (pst_shape_search("%b{z%[A-Z]:2-4;}%b", text, &found))
		for (uint32_t i = 0; i < PST_COUNT(ZONES); i++)
			if (pst_span_eq(pst_shape_capture(&found, 'z'), pst_span_text(ZONES[i].name)))
				return ZONES[i].hhmm / 100 * 60 + ZONES[i].hhmm % 100;
	return 0;
}

int pst_mail_date_parse(struct pst_span text, int64_t *out_s)
{
	static const uint8_t LENGTH[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	struct pst_shape_found found;
	uint32_t year, month, day, hour = 0, minute = 0, second = 0;
	struct pst_span digits;

	if (!pst_shape_search_nocase("%b{d%d+}" GAP MONTH GAP "{y%d:4;}" EDGE, text, &found) &&
	    !pst_shape_search_nocase("%b" MONTH GAP "{d%d+}" GAP "%d+:%d+:%d+" GAP "{y%d:4;}" EDGE, text, &found) &&
	    !pst_shape_search_nocase("%b{d%d+}" GAP MONTH GAP "{y%d:2-3;}" EDGE, text, &found))
		return -PST_E_SYNTAX;
	digits = pst_shape_capture(&found, 'y');
	year = number(digits);
	if (digits.len == 2 && year < 50)
		year += 2000;
	else if (digits.len != 4)
		year += 1900;
	month = month_of(pst_shape_capture(&found, 'm'));
	day = number(pst_shape_capture(&found, 'd'));
	if (pst_shape_search("<%[ ,\t\r\n]>{h%d:1-2;}:{m%d:2;}<:{s%d:2;}|>" EDGE, text, &found)) {
		hour = PST_MIN(number(pst_shape_capture(&found, 'h')), 23u);
		minute = PST_MIN(number(pst_shape_capture(&found, 'm')), 59u);
		if (pst_shape_capture(&found, 's').at)
			second = PST_MIN(number(pst_shape_capture(&found, 's')), 59u);
	}
	if (day > LENGTH[month - 1] + (month == 2 && year % 4 == 0 ? 1u : 0u)) {
		day = 1;
		if (++month > 12) {
			month = 1;
			year++;
		}
	}
	year = PST_MIN(PST_MAX(year, 1970u), 2037u);
	*out_s = days(year, month, PST_MAX(day, 1u)) * 86400 + (int64_t)hour * 3600 + minute * 60 +
		 second - (int64_t)zone_of(text) * 60;
	return 0;
}
