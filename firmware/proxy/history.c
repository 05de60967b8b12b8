#include "proxy/history.h"

#include <string.h>

#define MINUTE_MS 60000
#define HOUR_MS 3600000

void pst_history_text_set(struct pst_history_text *text, struct pst_span from)
{
	text->len = (uint8_t)PST_MIN(from.len, (uint32_t)sizeof(text->at));
	if (text->len)
		memcpy(text->at, from.at, text->len);
}

/* Empties the places between the last one in use and this one. */
static void advance(uint32_t (*ring)[PST_HISTORY_KINDS], uint32_t size, uint64_t *last, uint64_t now)
{
	uint64_t gap = PST_MIN(now - *last, (uint64_t)size);

	for (uint64_t i = 0; i < gap; i++)
		memset(ring[(now - i) % size], 0, sizeof(ring[0]));
	*last = now;
}

void pst_history_add(struct pst_history *history, uint64_t now_ms,
		     const struct pst_history_record *record)
{
	advance(history->minutes, PST_HISTORY_MINUTES, &history->minute, now_ms / MINUTE_MS);
	advance(history->hours, PST_HISTORY_HOURS, &history->hour, now_ms / HOUR_MS);
	history->minutes[history->minute % PST_HISTORY_MINUTES][record->kind]++;
	history->hours[history->hour % PST_HISTORY_HOURS][record->kind]++;
	history->records[history->record_next] = *record;
	history->record_next = (history->record_next + 1) % PST_HISTORY_RECORDS;
	history->record_count = PST_MIN(history->record_count + 1, PST_HISTORY_RECORDS);
}

const struct pst_history_record *pst_history_record(const struct pst_history *history,
						    uint32_t back)
{
	if (back >= history->record_count)
		return NULL;
	return &history->records[(history->record_next + PST_HISTORY_RECORDS - 1 - back) %
				 PST_HISTORY_RECORDS];
}

static uint32_t look(const uint32_t (*ring)[PST_HISTORY_KINDS], uint32_t size, uint64_t last,
		     uint64_t now, uint32_t back, enum pst_history_kind kind)
{
	uint64_t wanted = now - back;

	if (back >= size || back > now || wanted > last || last - wanted >= size)
		return 0;
	return ring[wanted % size][kind];
}

uint32_t pst_history_minute(const struct pst_history *history, uint64_t now_ms, uint32_t back,
			    enum pst_history_kind kind)
{
	return look(history->minutes, PST_HISTORY_MINUTES, history->minute, now_ms / MINUTE_MS,
		    back, kind);
}

uint32_t pst_history_hour(const struct pst_history *history, uint64_t now_ms, uint32_t back,
			  enum pst_history_kind kind)
{
	return look(history->hours, PST_HISTORY_HOURS, history->hour, now_ms / HOUR_MS, back, kind);
}

const char *pst_history_kind_name(enum pst_history_kind kind)
{
	static const char *const names[] = {
		[PST_HISTORY_ACCEPTED] = "accepted",
		[PST_HISTORY_TAGGED] = "tagged",
		[PST_HISTORY_DEFERRED] = "deferred",
		[PST_HISTORY_REFUSED] = "refused",
	};

	return names[kind];
}
