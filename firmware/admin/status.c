#include "admin/status.h"

#include "admin/json.h"
#include "net/interface_conf.h"

/* --- what all of them say ------------------------------------------------------------------- */

static const char *zone_state(const struct pst_zone_health *health)
{
	return health->why ? "rests" : "good";
}

/* 192.0.2.1:25, or tap0:25 */
static struct pst_span endpoint(const struct pst_status *status, const struct pst_addr *addr,
				uint8_t area[PST_ADDR_TEXT_MAX])
{
	struct pst_buf text;

	pst_buf_init(&text, area, PST_ADDR_TEXT_MAX);
	if (addr->via == 0)
		pst_addr_put_port(&text, addr);
	else
		PST_BUG_ON(pst_buf_printf(&text, "%s:%u", status->interfaces[addr->via - 1].name,
					  addr->port));
	return pst_buf_span(&text);
}

static struct pst_span score_text(pst_score score, uint8_t area[32])
{
	struct pst_buf text;

	pst_buf_init(&text, area, 32);
	PST_BUG_ON(pst_score_put(&text, score, 0));
	return pst_buf_span(&text);
}

static const struct {
	uint32_t cap;
	const char *name;
} caps[] = {
	{PST_SMTP_CAP_PIPELINING, "PIPELINING"}, {PST_SMTP_CAP_SIZE, "SIZE"},
	{PST_SMTP_CAP_8BITMIME, "8BITMIME"},	 {PST_SMTP_CAP_ENHANCEDSTATUSCODES, "ENHANCEDSTATUSCODES"},
	{PST_SMTP_CAP_STARTTLS, "STARTTLS"},	 {PST_SMTP_CAP_CHUNKING, "CHUNKING"},
	{PST_SMTP_CAP_SMTPUTF8, "SMTPUTF8"},	 {PST_SMTP_CAP_DSN, "DSN"},
	{PST_SMTP_CAP_XFORWARD, "XFORWARD"},	 {PST_SMTP_CAP_XCLIENT, "XCLIENT"},
	{PST_SMTP_CAP_LIMITS, "LIMITS"},	 {PST_SMTP_CAP_REQUIRETLS, "REQUIRETLS"},
	{PST_SMTP_CAP_AUTH, "AUTH"},
};

static const char *server_state(const struct pst_relay_report *server)
{
	if (server->down)
		return "down";
	return server->seen ? "up" : "not reached yet";
}

/* --- JSON ----------------------------------------------------------------------------------- */

static void json_listeners(struct pst_json *json, const struct pst_status *status)
{
	uint8_t area[PST_ADDR_TEXT_MAX];

	pst_json_open(json, "listeners", '[');
	for (uint32_t i = 0; i < status->listener_count; i++)
		pst_json_span(json, NULL, endpoint(status, &status->listeners[i], area));
	pst_json_close(json, ']');
}

static void json_servers(struct pst_json *json, const struct pst_status *status)
{
	struct pst_relay_report server;

	pst_json_open(json, "servers", '[');
	for (uint32_t i = 0; pst_relay_report(status->proxy.relay, i, &server); i++) {
		pst_json_open(json, NULL, '{');
		pst_json_addr(json, "address", &server.addr);
		pst_json_text(json, "protocol", server.lmtp ? "lmtp" : "smtp");
		pst_json_text(json, "state", server_state(&server));
		pst_json_u64(json, "connections", server.connection_count);
		pst_json_u64(json, "waiting", server.waiting_count);
		pst_json_open(json, "offers", '[');
		for (uint32_t k = 0; k < PST_COUNT(caps); k++)
			if (server.caps.set & caps[k].cap)
				pst_json_text(json, NULL, caps[k].name);
		pst_json_close(json, ']');
		pst_json_close(json, '}');
	}
	pst_json_close(json, ']');
}

static void json_lists(struct pst_json *json, const struct pst_status *status)
{
	const struct pst_zones *zones = status->proxy.zones;

	pst_json_open(json, "lists", '[');
	for (uint32_t i = 0; zones && i < zones->conf->zone_count; i++) {
		const struct pst_zone_health *health = &zones->health[i];

		pst_json_open(json, NULL, '{');
		/* Keyed zones have a name without the key. */
		pst_json_span(json, "zone", zones->conf->zones[i].shown);
		pst_json_span(json, "name", zones->conf->zones[i].name);
		pst_json_text(json, "state", zone_state(health));
		if (health->why)
			pst_json_text(json, "why", health->why);
		pst_json_bool(json, "dry_run", zones->conf->zones[i].dry);
		pst_json_u64(json, "asked", health->asked_count);
		pst_json_u64(json, "listed", health->listed_count);
		pst_json_close(json, '}');
	}
	pst_json_close(json, ']');
}

static void json_counters(struct pst_json *json, const struct pst_status *status)
{
	pst_json_open(json, "counters", '{');
	for (uint32_t i = 0; i < PST_COUNTER_COUNT; i++)
		pst_json_u64(json, pst_counter_name((enum pst_counter)i),
			     status->proxy.counters->value[i]);
	pst_json_close(json, '}');
}

static void json_series(struct pst_json *json, const struct pst_status *status, const char *key,
			uint32_t count,
			uint32_t (*look)(const struct pst_history *, uint64_t, uint32_t,
					 enum pst_history_kind))
{
	pst_json_open(json, key, '{');
	for (uint32_t kind = 0; kind < PST_HISTORY_KINDS; kind++) {
		pst_json_open(json, pst_history_kind_name((enum pst_history_kind)kind), '[');
		for (uint32_t back = count; back-- > 0;)
			pst_json_u64(json, NULL, look(status->proxy.history, status->proxy.now_ms, back,
						      (enum pst_history_kind)kind));
		pst_json_close(json, ']');
	}
	pst_json_close(json, '}');
}

static struct pst_span text_of(const struct pst_history_text *text)
{
	return (struct pst_span){text->at, text->len};
}

static void json_verdicts(struct pst_json *json, const struct pst_status *status)
{
	const struct pst_history_record *record;
	uint8_t area[32];

	pst_json_open(json, "verdicts", '[');
	for (uint32_t i = 0; (record = pst_history_record(status->proxy.history, i)) != NULL; i++) {
		pst_json_open(json, NULL, '{');
		pst_json_u64(json, "time_ms", record->wall_ms);
		pst_json_text(json, "id", (const char *)record->id);
		pst_json_addr(json, "client", &record->client);
		pst_json_span(json, "from", text_of(&record->from));
		pst_json_span(json, "to", text_of(&record->to));
		pst_json_text(json, "kind", pst_history_kind_name((enum pst_history_kind)record->kind));
		pst_json_text(json, "verdict", record->verdict);
		pst_json_text(json, "reason", record->reason);
		pst_json_text(json, "outcome", record->outcome);
		pst_json_span(json, "score", score_text(record->score, area));
		pst_json_span(json, "hits", text_of(&record->hits));
		pst_json_u64(json, "code", record->code);
		pst_json_close(json, '}');
	}
	pst_json_close(json, ']');
}

static int put_json(struct pst_buf *out, const struct pst_status *status)
{
	struct pst_json json;

	pst_json_init(&json, out);
	pst_json_open(&json, NULL, '{');
	pst_json_text(&json, "version", status->version);
	pst_json_u64(&json, "now_ms", status->proxy.wall_ms);
	pst_json_u64(&json, "uptime_s", status->uptime_ms / 1000);
	pst_json_u64(&json, "generation", status->proxy.generation);
	pst_json_text(&json, "mode", status->proxy.mode);
	pst_json_bool(&json, "overloaded", status->proxy.overloaded);
	pst_json_bool(&json, "draining", status->proxy.draining);
	pst_json_u64(&json, "sessions", status->proxy.session_count);
	pst_json_u64(&json, "sessions_max", status->proxy.session_count_max);
	pst_json_u64(&json, "memory_used", status->used_bytes);
	pst_json_u64(&json, "memory_bound", status->bound_bytes);
	pst_json_u64(&json, "log_lost", status->log_lost_count);
	json_listeners(&json, status);
	json_servers(&json, status);
	json_lists(&json, status);
	json_counters(&json, status);
	json_series(&json, status, "minutes", PST_HISTORY_MINUTES, pst_history_minute);
	json_series(&json, status, "hours", PST_HISTORY_HOURS, pst_history_hour);
	json_verdicts(&json, status);
	pst_json_close(&json, '}');
	return json.full || pst_buf_put_byte(out, '\n') < 0 ? -PST_E_FULL : 0;
}

/* --- for people ----------------------------------------------------------------------------- */

#define LAST_SHOWN 10

static int text_lists(struct pst_buf *out, const struct pst_status *status)
{
	const struct pst_zones *zones = status->proxy.zones;
	int full = 0;

	for (uint32_t i = 0; zones && i < zones->conf->zone_count; i++) {
		const struct pst_zone_health *health = &zones->health[i];

		full |= pst_buf_put_text(out, "list        ");
		full |= pst_buf_put(out, zones->conf->zones[i].shown);
		full |= pst_buf_printf(out, " %s%s%s, asked %llu times, listed %llu\n",
				       zone_state(health), health->why ? ": " : "",
				       health->why ? health->why : "",
				       (unsigned long long)health->asked_count,
				       (unsigned long long)health->listed_count);
	}
	return full;
}

static int text_servers(struct pst_buf *out, const struct pst_status *status)
{
	uint8_t area[PST_ADDR_TEXT_MAX];
	struct pst_relay_report server;
	int full = 0;

	for (uint32_t i = 0; i < status->listener_count; i++) {
		full |= pst_buf_put_text(out, "listens     ");
		full |= pst_buf_put(out, endpoint(status, &status->listeners[i], area));
		full |= pst_buf_put_byte(out, '\n');
	}
	for (uint32_t i = 0; pst_relay_report(status->proxy.relay, i, &server); i++) {
		struct pst_buf text;

		pst_buf_init(&text, area, sizeof(area));
		pst_addr_put_port(&text, &server.addr);
		full |= pst_buf_put_text(out, "server      ");
		full |= pst_buf_put(out, pst_buf_span(&text));
		full |= pst_buf_printf(out, "%s %s, %u connections, %u waiting\n",
				       server.lmtp ? " (LMTP)" : "", server_state(&server),
				       server.connection_count, server.waiting_count);
	}
	return full;
}

static int text_verdicts(struct pst_buf *out, const struct pst_status *status)
{
	const struct pst_history_record *record;
	int full = 0;

	for (uint32_t i = 0;
	     i < LAST_SHOWN && (record = pst_history_record(status->proxy.history, i)) != NULL; i++) {
		uint8_t area[32];

		full |= pst_buf_printf(out, "%-9s   ",
				       pst_history_kind_name((enum pst_history_kind)record->kind));
		pst_addr_put(out, &record->client);
		full |= pst_buf_put_text(out, " from ");
		pst_buf_put_escaped(out, text_of(&record->from), PST_HISTORY_TEXT);
		full |= pst_buf_put_text(out, " to ");
		pst_buf_put_escaped(out, text_of(&record->to), PST_HISTORY_TEXT);
		full |= pst_buf_put_text(out, " score ");
		full |= pst_buf_put(out, score_text(record->score, area));
		full |= pst_buf_printf(out, " %s %s [%s]\n", record->outcome, record->reason,
				       (const char *)record->id);
	}
	return full;
}

static int put_text(struct pst_buf *out, const struct pst_status *status)
{
	const struct pst_proxy_report *proxy = &status->proxy;
	int full = 0;

	full |= pst_buf_printf(
		out, "postern     %s, up %llu s, configuration %u, mode %s%s%s\n", status->version,
		(unsigned long long)status->uptime_ms / 1000, proxy->generation, proxy->mode,
		proxy->overloaded ? ", overloaded" : "", proxy->draining ? ", draining" : "");
	full |= pst_buf_printf(out, "sessions    %u of %u\n", proxy->session_count,
			       proxy->session_count_max);
	full |= pst_buf_printf(out, "memory      %llu KiB of %llu KiB\n",
			       (unsigned long long)(status->used_bytes + 1023) / 1024,
			       (unsigned long long)(status->bound_bytes + 1023) / 1024);
	full |= text_servers(out, status);
	full |= text_lists(out, status);
	for (uint32_t kind = 0; kind < PST_HISTORY_KINDS; kind++) {
		uint64_t hour = 0, day = 0;

		for (uint32_t i = 0; i < PST_HISTORY_MINUTES; i++)
			hour += pst_history_minute(proxy->history, proxy->now_ms, i,
						   (enum pst_history_kind)kind);
		for (uint32_t i = 0; i < PST_HISTORY_HOURS; i++)
			day += pst_history_hour(proxy->history, proxy->now_ms, i,
						(enum pst_history_kind)kind);
		full |= pst_buf_printf(out, "%-9s   %llu in the last hour, %llu in the last day\n",
				       pst_history_kind_name((enum pst_history_kind)kind),
				       (unsigned long long)hour, (unsigned long long)day);
	}
	full |= text_verdicts(out, status);
	return full ? -PST_E_FULL : 0;
}

/* --- metrics -------------------------------------------------------------------------------- */

static int put_gauge(struct pst_buf *out, const char *name, const char *help, uint64_t value)
{
	return pst_buf_printf(out, "# HELP postern_%s %s\n# TYPE postern_%s gauge\npostern_%s %llu\n",
			      name, help, name, name, (unsigned long long)value);
}

static int put_metrics(struct pst_buf *out, const struct pst_status *status)
{
	int full = 0;

	for (uint32_t i = 0; i < PST_COUNTER_COUNT; i++) {
		const char *name = pst_counter_name((enum pst_counter)i);

		full |= pst_buf_printf(
			out, "# HELP postern_%s_total %s\n# TYPE postern_%s_total counter\n"
			     "postern_%s_total %llu\n",
			name, pst_counter_description((enum pst_counter)i), name, name,
			(unsigned long long)status->proxy.counters->value[i]);
	}
	full |= put_gauge(out, "sessions", "client connections now", status->proxy.session_count);
	full |= put_gauge(out, "memory_bytes", "memory taken now", status->used_bytes);
	full |= put_gauge(out, "memory_bound_bytes", "memory at most", status->bound_bytes);
	full |= put_gauge(out, "uptime_seconds", "since the start", status->uptime_ms / 1000);
	return full ? -PST_E_FULL : 0;
}

int pst_status_put(struct pst_buf *out, const struct pst_status *status,
		   enum pst_status_format format)
{
	switch (format) {
	case PST_STATUS_JSON:
		return put_json(out, status);
	case PST_STATUS_TEXT:
		return put_text(out, status);
	case PST_STATUS_METRICS:
		break;
	}
	return put_metrics(out, status);
}
