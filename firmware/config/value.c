#include "config/value_priv.h"

#include "base/utf8.h"

struct unit {
	const char *name;
	uint64_t factor;
};

/* Largest first: showing takes the first that divides. */
static const struct unit size_units[] = {
	{"G", 1024ull * 1024 * 1024}, {"M", 1024 * 1024}, {"K", 1024}, {"", 1}};
static const struct unit time_units[] = {
	{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
/* A bare number of a time is in seconds. */
static const struct unit bare_seconds = {"", 1000};

static int parse(struct pst_span text, const struct unit *units, uint32_t count,
		 const struct unit *bare, uint64_t *out)
{
	uint32_t digits = 0;
	const struct unit *unit = NULL;
	struct pst_span suffix;
	int status;

	while (digits < text.len && pst_is_digit(text.at[digits]))
		digits++;
	suffix = pst_span_sub(text, digits, text.len);
	if (bare && suffix.len == 0)
		unit = bare;
	for (uint32_t i = 0; i < count && !unit; i++)
		if (pst_span_eq_nocase(suffix, pst_span_text(units[i].name)))
			unit = &units[i];
	if (!unit)
		return -PST_E_SYNTAX;
	status = pst_span_u64(pst_span_sub(text, 0, digits), UINT64_MAX / unit->factor, out);
	if (status)
		return status;
	*out *= unit->factor;
	return 0;
}

static void put(struct pst_buf *out, const struct unit *units, uint32_t count, uint64_t value)
{
	uint32_t i = 0;

	while (i + 1 < count && (value == 0 || value % units[i].factor))
		i++;
	/* The caller's buffer holds any number with its unit. */
	PST_BUG_ON(pst_buf_put_u64(out, value / units[i].factor));
	PST_BUG_ON(pst_buf_put_text(out, units[i].name));
}

int pst_config_size_parse(struct pst_span text, uint64_t *bytes)
{
	return parse(text, size_units, PST_COUNT(size_units), NULL, bytes);
}

void pst_config_size_put(struct pst_buf *out, uint64_t bytes)
{
	put(out, size_units, PST_COUNT(size_units), bytes);
}

int pst_config_time_parse(struct pst_span text, uint64_t *ms)
{
	return parse(text, time_units, PST_COUNT(time_units), &bare_seconds, ms);
}

void pst_config_time_put(struct pst_buf *out, uint64_t ms)
{
	put(out, time_units, PST_COUNT(time_units), ms);
}

static bool domain_ok(struct pst_span text, bool utf8)
{
	uint32_t label_len = 0;
	bool digits_only = true;

	if (text.len == 0 || text.len > 253)
		return false;
	for (uint32_t i = 0; i < text.len; i++) {
		uint8_t c = text.at[i];

		if (c == '.') {
			if (label_len == 0 || text.at[i - 1] == '-')
				return false;
			label_len = 0;
			digits_only = true;
			continue;
		}
		if (c >= 0x80 && utf8) {
			uint32_t len = pst_utf8_len(pst_span_sub(text, i, text.len));

			if (len == 0)
				return false;
			label_len += len - 1;
			i += len - 1;
		} else if (!pst_is_alnum(c) && (c != '-' || label_len == 0)) {
			return false;
		}
		if (++label_len > 63)
			return false;
		digits_only = digits_only && pst_is_digit(c);
	}
	return label_len > 0 && !digits_only && text.at[text.len - 1] != '-';
}

bool pst_config_domain_ok(struct pst_span text)
{
	return domain_ok(text, false);
}

bool pst_config_mail_domain_ok(struct pst_span text)
{
	return domain_ok(text, true);
}

bool pst_config_mailbox_ok(struct pst_span text)
{
	int64_t at = pst_span_rfind(text, '@');

	if (at < 0 || at > 256)
		return false;
	for (int64_t i = 0; i < at; i++)
		if (text.at[i] == '<' || text.at[i] == '>')
			return false;
	return pst_utf8_check(pst_span_sub(text, 0, (uint32_t)at)) &&
	       pst_config_mail_domain_ok(pst_span_sub(text, (uint32_t)at + 1, text.len));
}
