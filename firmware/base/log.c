/* base/log.c - building log lines
 *
 * One line per message makes this a warm path: the date part of the stamp is made once a second, a
 * plain value costs one look at each byte and one copy, and nothing is formatted by printf but
 * pst_log_message's text.
 */
#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* Kept free in every line: " cut=1" and the line end. */
#define LINE_END 7

/* What a byte does to a value: ESCAPE it is written \xHH; QUOTE it puts the value into quotes. */
enum {
	ESCAPE = 1, /* controls, above 0x7e, backslash */
	QUOTE = 2,  /* space, '=' */
};

/* The quote is both. */
static const uint8_t class_of[256] = {
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
};

void pst_log_init(struct pst_log *log, void *area, uint32_t size)
{
	*log = (struct pst_log){.level_max = PST_LOG_INFO};
	pst_buf_init(&log->ring, area, size);
	pst_buf_init(&log->line, log->line_area, sizeof(log->line_area) - LINE_END);
}

static void put_decimal(uint8_t *at, uint32_t digits, uint32_t number)
{
	while (digits > 0) {
		at[--digits] = (uint8_t)('0' + number % 10);
		number /= 10;
	}
}

/* The proleptic Gregorian date of a day since 1970-01-01: years are counted from March, so that the
 * leap day ends one, and in cycles of 400 years, which all have 146,097 days. */
static void stamp_date(uint8_t *at, uint64_t day)
{
	uint64_t shifted = day + 719468; /* days since 0000-03-01 */
	uint32_t cycle_day = (uint32_t)(shifted % 146097);
	uint32_t cycle_year =
		(cycle_day - cycle_day / 1460 + cycle_day / 36524 - cycle_day / 146096) / 365;
	uint32_t year_day = cycle_day - (365 * cycle_year + cycle_year / 4 - cycle_year / 100);
	uint32_t march_month = (5 * year_day + 2) / 153;
	uint32_t month = march_month < 10 ? march_month + 3 : march_month - 9;
	uint32_t year = (uint32_t)(shifted / 146097) * 400 + cycle_year + (month <= 2 ? 1 : 0);

	put_decimal(at, 4, year);
	at[4] = '-';
	put_decimal(at + 5, 2, month);
	at[7] = '-';
	put_decimal(at + 8, 2, year_day - (153 * march_month + 2) / 5 + 1);
}

static void stamp_second(struct pst_log *log, uint64_t second)
{
	uint32_t day_second = (uint32_t)(second % 86400);

	stamp_date(log->stamp, second / 86400);
	log->stamp[10] = 'T';
	put_decimal(log->stamp + 11, 2, day_second / 3600);
	log->stamp[13] = ':';
	put_decimal(log->stamp + 14, 2, day_second / 60 % 60);
	log->stamp[16] = ':';
	put_decimal(log->stamp + 17, 2, day_second % 60);
	log->stamp_s = second;
	log->stamp_len = sizeof(log->stamp);
}

/* Appends what is known to fit. */
static void append(struct pst_buf *line, const void *bytes, uint32_t len)
{
	memcpy(line->area + line->len, bytes, len);
	line->len += len;
}

/* 9999-12-31T23:59:59.999Z: the stamp has four digits for the year. */
#define WALL_MS_MAX UINT64_C(253402300799999)

void pst_log_begin(struct pst_log *log, enum pst_log_level level, const char *event)
{
	const struct pst_span level_field[] = {
		[PST_LOG_ERROR] = PST_SPAN(" level=error"),
		[PST_LOG_WARNING] = PST_SPAN(" level=warning"),
		[PST_LOG_INFO] = PST_SPAN(""),
		[PST_LOG_DEBUG] = PST_SPAN(" level=debug"),
	};
	uint64_t wall_ms = PST_MIN(log->wall_ms, WALL_MS_MAX);
	uint8_t fraction[5] = ".000Z";

	PST_BUG_ON(log->open);
	PST_BUG_ON((size_t)level >= PST_COUNT(level_field));
	if (level > log->level_max)
		return;
	log->open = true;
	log->cut = false;
	log->level = (uint8_t)level;
	pst_buf_clear(&log->line);
	if (log->stamp_len == 0 || log->stamp_s != wall_ms / 1000)
		stamp_second(log, wall_ms / 1000);
	put_decimal(fraction + 1, 3, (uint32_t)(wall_ms % 1000));
	append(&log->line, log->stamp, log->stamp_len);
	append(&log->line, fraction, sizeof(fraction));
	append(&log->line, level_field[level].at, level_field[level].len);
	pst_log_text(log, "ev", event);
}

/* " key=", and the value as it is when nothing in it needs care, else escaped and, where it would
 * not be one word, quoted; `max` bytes of it. A field that does not fit is left out whole. */
static void put_field(struct pst_log *log, const char *key, struct pst_span value, uint32_t max)
{
	struct pst_buf *line = &log->line;
	struct pst_span shown = {value.at, PST_MIN(value.len, max)};
	uint32_t key_len, len;
	uint32_t escape_count = 0;
	uint8_t class = shown.len ? 0 : QUOTE;

	if (!log->open)
		return;
	for (uint32_t i = 0; i < shown.len; i++) {
		uint8_t byte_class = class_of[shown.at[i]];

		class |= byte_class;
		escape_count += byte_class & ESCAPE;
	}
	key_len = pst_span_text(key).len;
	len = 1 + key_len + 1 + shown.len + 3 * escape_count + (class & QUOTE ? 2 : 0) +
	      (shown.len < value.len ? 3 : 0);
	if (len > pst_buf_room(line)) {
		log->cut = true;
		return;
	}
	append(line, " ", 1);
	append(line, key, key_len);
	append(line, "=\"", class & QUOTE ? 2 : 1);
	if (escape_count > 0)
		pst_buf_put_escaped(line, shown, shown.len);
	else if (shown.len > 0)
		append(line, shown.at, shown.len);
	if (shown.len < value.len)
		append(line, "...", 3);
	if (class & QUOTE)
		append(line, "\"", 1);
}

void pst_log_text(struct pst_log *log, const char *key, const char *value)
{
	put_field(log, key, pst_span_text(value), PST_LOG_VALUE_MAX);
}

void pst_log_u64(struct pst_log *log, const char *key, uint64_t value)
{
	uint8_t area[20];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	PST_BUG_ON(pst_buf_put_u64(&text, value));
	put_field(log, key, pst_buf_span(&text), sizeof(area));
}

void pst_log_addr(struct pst_log *log, const char *key, const struct pst_addr *value)
{
	uint8_t area[PST_ADDR_TEXT_MAX];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	pst_addr_put(&text, value);
	put_field(log, key, pst_buf_span(&text), sizeof(area));
}

void pst_log_endpoint(struct pst_log *log, const char *key, const struct pst_addr *value)
{
	uint8_t area[PST_ADDR_TEXT_MAX];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	pst_addr_put_port(&text, value);
	put_field(log, key, pst_buf_span(&text), sizeof(area));
}

void pst_log_span(struct pst_log *log, const char *key, struct pst_span value)
{
	put_field(log, key, value, PST_LOG_VALUE_MAX);
}

void pst_log_peer(struct pst_log *log, const char *key, struct pst_span value)
{
	put_field(log, key, value, PST_LOG_PEER_MAX);
}

void pst_log_end(struct pst_log *log)
{
	static const struct pst_span cut = {(const uint8_t *)" cut=1\n", LINE_END};
	static const struct pst_span whole = {(const uint8_t *)"\n", 1};
	struct pst_span end = log->cut ? cut : whole;
	uint32_t len = log->line.len;

	if (!log->open)
		return;
	log->open = false;
	memcpy(log->line_area + len, end.at, end.len);
	if (pst_buf_put(&log->ring, (struct pst_span){log->line_area, len + end.len}))
		log->lost_count++;
}

void pst_log_message(struct pst_log *log, enum pst_log_level level, const char *event,
		     const char *format, ...)
{
	char text[PST_LOG_VALUE_MAX + 2]; /* one more than is shown, so that a cut is seen */
	va_list args;

	if (level > log->level_max)
		return;
	va_start(args, format);
	PST_BUG_ON(vsnprintf(text, sizeof(text), format, args) < 0);
	va_end(args);
	pst_log_begin(log, level, event);
	pst_log_text(log, "msg", text);
	pst_log_end(log);
}
