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

static bool read_type(const char *word, int *type)
{
	enum pst_dns_type known;

	if (!strcasecmp(word, "CNAME"))
		*type = PST_DNS_ZONE_CNAME;
	else if (!strcasecmp(word, "ANY"))
		*type = PST_DNS_ZONE_ANY;
	else if (pst_dns_zone_type(pst_span_text(word), &known))
		*type = (int)known;
	else
		return false;
	return true;
}

static bool read_data(struct pst_dns_zone_line *line, uint32_t len)
{
	struct pst_span text = {(const uint8_t *)line->data, len};
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

static struct pst_dns_zone_line *new_line(struct pst_dns_zone *zone, const char *name,
					  const char *type, struct pst_span data)
{
	struct pst_dns_zone_line *line = calloc(1, sizeof(*line));

	line->ttl_s = 300;
	line->status = PST_DNS_OK;
	snprintf(line->name, sizeof(line->name), "%s", name);
	line->data = calloc(1, data.len + 1);
	if (data.len)
		memcpy(line->data, data.at, data.len);
	if (zone->line_count < PST_DNS_ZONE_LINES_MAX && read_type(type, &line->type))
		return line;
	free(line->data);
	free(line);
	return NULL;
}

static bool keep_line(struct pst_dns_zone *zone, struct pst_dns_zone_line *line, uint32_t len)
{
	if (line && read_data(line, len)) {
		zone->lines[zone->line_count++] = line;
		return true;
	}
	if (line)
		free(line->data);
	free(line);
	return false;
}

bool pst_dns_zone_add_record(struct pst_dns_zone *zone, const char *name, const char *type,
			     struct pst_span data)
{
	return keep_line(zone, new_line(zone, name, type, data), data.len);
}

static bool add_line(struct pst_dns_zone *zone, const char *text, size_t len)
{
	char name[256], type[16], *copy = strndup(text, len);
	struct pst_dns_zone_line *line = NULL;
	int used = 0;

	if (sscanf(copy, " %255s %15s %n", name, type, &used) == 2 && used > 0)
		line = new_line(zone, name, type, pst_span_text(copy + used));
	free(copy);
	if (!line)
		return false;
	read_options(line->data, line);
	return keep_line(zone, line, (uint32_t)strlen(line->data));
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

/* What the lines of one owner ("*": of everybody) say.
 *  ret false: it has none */
static bool look(struct pst_dns_zone *zone, struct pst_span owner, int type,
		 struct pst_dns_record *records, struct pst_dns_answer *answer, uint32_t *after_ms,
		 struct pst_span *alias)
{
	bool stands = false;

	alias->len = 0;
	for (uint32_t i = 0; i < zone->line_count; i++) {
		const struct pst_dns_zone_line *line = zone->lines[i];

		if (!pst_span_eq_nocase(owner, pst_span_text(line->name)))
			continue;
		stands = true;
		if (line->type == PST_DNS_ZONE_CNAME)
			*alias = line->record.data;
		if (line->type == PST_DNS_ZONE_ANY && answer->record_count == 0)
			answer->status = line->status;
		if (line->type != type)
			continue;
		answer->status = line->status;
		answer->ttl_s = line->ttl_s;
		*after_ms = line->after_ms;
		if (line->status == PST_DNS_OK && answer->record_count < PST_DNS_RECORDS_MAX)
			records[answer->record_count++] = line->record;
	}
	if (stands && answer->status == PST_DNS_NXDOMAIN)
		answer->status = PST_DNS_NODATA;
	return stands;
}

struct pst_dns_answer pst_dns_zone_answer(struct pst_dns_zone *zone, struct pst_span name,
					  enum pst_dns_type type, struct pst_dns_record *records,
					  uint32_t *after_ms)
{
	struct pst_dns_answer answer = {.status = PST_DNS_NXDOMAIN, .records = records};
	struct pst_span alias;
	bool stands;

	*after_ms = 0;
	stands = look(zone, name, (int)type, records, &answer, after_ms, &alias);
	for (int step = 0; alias.len > 0 && answer.record_count == 0; step++) {
		if (step == 8) {
			answer.status = PST_DNS_SERVFAIL;
			return answer;
		}
		answer.status = PST_DNS_NXDOMAIN;
		(void)look(zone, alias, (int)type, records, &answer, after_ms, &alias);
	}
	if (!stands)
		stands = look(zone, PST_SPAN("*"), (int)type, records, &answer, after_ms, &alias);
	for (uint32_t i = 0; i < zone->line_count && !stands; i++)
		if (is_below(name, zone->lines[i]->name))
			answer.status = PST_DNS_NODATA;
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
	pst_dns_zone_clear(zone);
}

void pst_dns_zone_clear(struct pst_dns_zone *zone)
{
	for (uint32_t i = 0; i < zone->line_count; i++) {
		free(zone->lines[i]->data);
		free(zone->lines[i]);
	}
	zone->line_count = 0;
}
