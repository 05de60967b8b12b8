/* support/dns_zone.c - see dns_zone.h */
#include "support/dns_zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/span.h"

bool pst_dns_zone_type(struct pst_span text, enum pst_dns_type *type)
{
	static const struct {
		const char *name;
		enum pst_dns_type type;
	} types[] = {{"A", PST_DNS_A},	   {"AAAA", PST_DNS_AAAA}, {"TXT", PST_DNS_TXT},
		     {"MX", PST_DNS_MX},   {"PTR", PST_DNS_PTR},   {"NS", PST_DNS_NS}};

	for (uint32_t i = 0; i < PST_COUNT(types); i++)
		if (pst_span_eq_nocase(text, pst_span_text(types[i].name))) {
			*type = types[i].type;
			return true;
		}
	return false;
}

static bool read_status(const char *word, enum pst_dns_status *status)
{
	static const struct {
		const char *name;
		enum pst_dns_status status;
	} names[] = {{"servfail", PST_DNS_SERVFAIL},
		     {"timeout", PST_DNS_TIMEOUT},
		     {"ours", PST_DNS_OURS},
		     {"nodata", PST_DNS_NODATA}};

	for (uint32_t i = 0; i < PST_COUNT(names); i++)
		if (!strcmp(word, names[i].name)) {
			*status = names[i].status;
			return true;
		}
	return false;
}

/* Options stand at the end; what is in front of them is the data. */
static void read_options(char *text, struct pst_dns_zone_line *line)
{
	char *blank;

	while ((blank = strrchr(text, ' ')) &&
	       (sscanf(blank, " ttl=%u", &line->ttl_s) == 1 ||
		sscanf(blank, " after=%u", &line->after_ms) == 1))
		*blank = 0;
}

static bool read_data(struct pst_dns_zone_line *line)
{
	struct pst_span text = pst_span_text(line->data);
	unsigned preference;
	int used = 0;

	if (read_status(line->data, &line->status))
		return true;
	switch (line->type) {
	case PST_DNS_A:
	case PST_DNS_AAAA:
		/* An IPv4-mapped address is what somebody may well publish as AAAA. */
		return pst_addr_parse(text, &line->record.addr) == 0;
	case PST_DNS_MX:
		if (sscanf(line->data, "%u %n", &preference, &used) != 1)
			return false;
		line->record.preference = (uint16_t)preference;
		line->record.data = pst_span_sub(text, (uint32_t)used, text.len);
		return true;
	default:
		line->record.data = text;
		return true;
	}
}

static bool add_line(struct pst_dns_zone *zone, const char *text, size_t len)
{
	struct pst_dns_zone_line *line = calloc(1, sizeof(*line));
	char name[256], type[16], *copy = strndup(text, len);
	int used = 0;
	bool good = sscanf(copy, " %255s %15s %n", name, type, &used) == 2 && used > 0 &&
		    pst_dns_zone_type(pst_span_text(type), &line->type) &&
		    zone->line_count < PST_DNS_ZONE_LINES_MAX;

	line->ttl_s = 300;
	line->status = PST_DNS_OK;
	if (good) {
		snprintf(line->name, sizeof(line->name), "%s", name);
		read_options(copy + used, line);
		line->data = strdup(copy + used);
		good = read_data(line);
	}
	free(copy);
	if (!good) {
		free(line->data);
		free(line);
		return false;
	}
	zone->lines[zone->line_count++] = line;
	return true;
}

bool pst_dns_zone_add(struct pst_dns_zone *zone, const char *text)
{
	while (*text) {
		const char *end = strchr(text, '\n');
		size_t len = end ? (size_t)(end - text) : strlen(text);

		if (strspn(text, " \t") < len && !add_line(zone, text, len))
			return false;
		text += len + (end != NULL);
	}
	return true;
}

static bool is_below(struct pst_span name, const char *upper)
{
	struct pst_span at = pst_span_text(upper);

	return at.len > name.len + 1 && at.at[at.len - name.len - 1] == '.' &&
	       pst_span_eq_nocase(pst_span_sub(at, at.len - name.len, at.len), name);
}

struct pst_dns_answer pst_dns_zone_answer(struct pst_dns_zone *zone, struct pst_span name,
					  enum pst_dns_type type, struct pst_dns_record *records,
					  uint32_t *after_ms)
{
	struct pst_dns_answer answer = {.status = PST_DNS_NXDOMAIN, .records = records};
	bool stands = false;

	*after_ms = 0;
	for (int star = 0; star < 2 && !stands; star++)
		for (uint32_t i = 0; i < zone->line_count; i++) {
			const struct pst_dns_zone_line *line = zone->lines[i];

			if (!pst_span_eq_nocase(star ? PST_SPAN("*") : name,
						pst_span_text(line->name))) {
				if (!star && is_below(name, line->name) &&
				    answer.status == PST_DNS_NXDOMAIN)
					answer.status = PST_DNS_NODATA;
				continue;
			}
			stands = true;
			if (answer.status == PST_DNS_NXDOMAIN)
				answer.status = PST_DNS_NODATA;
			if (line->type != type)
				continue;
			answer.status = line->status;
			answer.ttl_s = line->ttl_s;
			*after_ms = line->after_ms;
			if (line->status == PST_DNS_OK && answer.record_count < PST_DNS_RECORDS_MAX)
				records[answer.record_count++] = line->record;
		}
	return answer;
}

static struct pst_dns_zone *zone_of(struct pst_dns *dns)
{
	return PST_CONTAINER(dns, struct pst_dns_zone, dns);
}

static void close_query(struct pst_dns_zone *zone, struct pst_dns_query *query)
{
	query->open = false;
	zone->open_count--;
	pst_timer_cancel(zone->loop, &query->timer);
	pst_loop_forget(&query->task);
}

static void tell(struct pst_dns_query *query, bool late)
{
	struct pst_dns_zone *zone = query->impl;
	struct pst_dns_record records[PST_DNS_RECORDS_MAX];
	uint32_t after_ms;
	struct pst_dns_answer answer =
		pst_dns_zone_answer(zone, query->name, query->type, records, &after_ms);

	if (late)
		answer = (struct pst_dns_answer){.status = PST_DNS_TIMEOUT};
	close_query(zone, query);
	query->on_answer(query, &answer);
}

static void on_task(struct pst_task *task)
{
	tell(PST_CONTAINER(task, struct pst_dns_query, task), false);
}

static void on_due(struct pst_timer *timer)
{
	struct pst_dns_query *query = PST_CONTAINER(timer, struct pst_dns_query, timer);
	struct pst_dns_zone *zone = query->impl;

	tell(query, zone->loop->now_ms >= query->deadline_ms);
}

static void zone_query(struct pst_dns *dns, struct pst_dns_query *query)
{
	struct pst_dns_zone *zone = zone_of(dns);
	struct pst_dns_record records[PST_DNS_RECORDS_MAX];
	struct pst_dns_answer answer;
	uint32_t after_ms;

	PST_BUG_ON(query->open);
	query->open = true;
	query->impl = zone;
	query->task.on_run = on_task;
	query->timer.on_due = on_due;
	zone->query_count++;
	zone->open_count++;
	zone->last_direct = query->servers != NULL;
	snprintf(zone->last_name, sizeof(zone->last_name), "%.*s", (int)query->name.len,
		 (const char *)query->name.at);
	answer = pst_dns_zone_answer(zone, query->name, query->type, records, &after_ms);
	if (answer.status == PST_DNS_TIMEOUT)
		pst_timer_set(zone->loop, &query->timer, query->deadline_ms);
	else if (after_ms > 0)
		pst_timer_set(zone->loop, &query->timer,
			      PST_MIN(query->deadline_ms, zone->loop->now_ms + after_ms));
	else
		pst_loop_resume(zone->loop, &query->task);
}

static void zone_cancel(struct pst_dns *dns, struct pst_dns_query *query)
{
	if (query->open)
		close_query(zone_of(dns), query);
}

static const struct pst_dns_ops ops = {.query = zone_query, .cancel = zone_cancel};

void pst_dns_zone_init(struct pst_dns_zone *zone, struct pst_loop *loop)
{
	memset(zone, 0, sizeof(*zone));
	zone->dns.ops = &ops;
	zone->loop = loop;
}

void pst_dns_zone_fini(struct pst_dns_zone *zone)
{
	PST_BUG_ON(zone->open_count > 0);
	for (uint32_t i = 0; i < zone->line_count; i++) {
		free(zone->lines[i]->data);
		free(zone->lines[i]);
	}
	zone->line_count = 0;
}
