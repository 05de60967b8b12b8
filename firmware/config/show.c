#include "config/table_priv.h"

struct pst_config_printer {
	const struct pst_config *config;
	struct pst_config_writer *writer;
};

#define NAME_WIDTH 13 /* the longest directive's name and a blank */

static void write_text(struct pst_config_printer *printer, struct pst_span text)
{
	printer->writer->write(printer->writer, text);
}

static void show_name(struct pst_config_printer *printer,
		      const struct pst_config_directive *directive)
{
	static const struct pst_span blanks = {(const uint8_t *)"                ", NAME_WIDTH};
	struct pst_span name = pst_span_text(directive->name);

	write_text(printer, name);
	write_text(printer, pst_span_sub(blanks, 0, NAME_WIDTH - 1 - name.len));
}

/* A blank and the word, quoted if it would not come back as one word. */
static void show_word(struct pst_config_printer *printer, struct pst_span word)
{
	bool quote = word.len == 0 || word.at[0] == '#';

	for (uint32_t i = 0; i < word.len; i++)
		quote = quote || pst_is_blank(word.at[i]) || word.at[i] == '"';
	write_text(printer, PST_SPAN(" "));
	if (!quote) {
		write_text(printer, word);
		return;
	}
	write_text(printer, PST_SPAN("\""));
	for (uint32_t i = 0; i < word.len; i++) {
		if (word.at[i] == '"' || word.at[i] == '\\')
			write_text(printer, PST_SPAN("\\"));
		write_text(printer, pst_span_sub(word, i, 1));
	}
	write_text(printer, PST_SPAN("\""));
}

static void show_endpoint(struct pst_config_printer *printer, const struct pst_addr *addr,
			  const char *protocol)
{
	uint8_t area[PST_ADDR_TEXT_MAX + 8];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	PST_BUG_ON(pst_buf_put_text(&text, protocol));
	pst_addr_put_port(&text, addr);
	show_word(printer, pst_buf_span(&text));
}

/* Where a listener listens: an address of the system's, or an interface of ours. */
static void show_listener(struct pst_config_printer *printer, const struct pst_addr *addr)
{
	uint8_t area[PST_INTERFACE_NAME_MAX + 8];
	struct pst_buf text;

	if (addr->via == 0) {
		show_endpoint(printer, addr, "");
		return;
	}
	pst_buf_init(&text, area, sizeof(area));
	PST_BUG_ON(pst_buf_put(&text, pst_config_interface_name(printer->config, addr->via)));
	PST_BUG_ON(pst_buf_printf(&text, ":%u", addr->port));
	show_word(printer, pst_buf_span(&text));
}

static void show_cidrs(struct pst_config_printer *printer, const struct pst_cidr *cidrs,
		       uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint8_t area[PST_ADDR_TEXT_MAX];
		struct pst_buf text;

		pst_buf_init(&text, area, sizeof(area));
		pst_cidr_put(&text, &cidrs[i]);
		show_word(printer, pst_buf_span(&text));
	}
}

static void show_pins(struct pst_config_printer *printer, const struct pst_relay_security *security)
{
	uint8_t area[8 + PST_RELAY_PINS_MAX * 65];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	PST_BUG_ON(pst_buf_put_text(&text, "sha256:"));
	for (uint32_t p = 0; p < security->pin_count; p++) {
		PST_BUG_ON(p && pst_buf_put_byte(&text, ','));
		for (uint32_t i = 0; i < sizeof(security->pins[p]); i++)
			PST_BUG_ON(pst_buf_printf(&text, "%02x", security->pins[p][i]));
	}
	show_word(printer, pst_buf_span(&text));
}

/* A text that was not given is not shown: its name alone would say something else. */
static bool has_text(const struct pst_config_option *option, const void *base)
{
	const void *field = (const uint8_t *)base + option->offset;
	const struct pst_span *span = field;
	const struct pst_relay_security *security = field;

	if (option->kind == PST_CONFIG_VIA)
		return *(const uint8_t *)field != 0;
	return option->kind == PST_CONFIG_PINS ? security->pin_count > 0 : span->len > 0;
}

static void show_text(struct pst_config_printer *printer, const struct pst_config_option *option,
		      const void *base)
{
	const void *field = (const uint8_t *)base + option->offset;

	show_word(printer, pst_span_text(option->name));
	if (option->kind == PST_CONFIG_PINS)
		show_pins(printer, field);
	else if (option->kind == PST_CONFIG_VIA)
		show_word(printer, pst_config_interface_name(printer->config,
							     *(const uint8_t *)field));
	else
		show_word(printer, *(const struct pst_span *)field);
}

static void show_value(struct pst_config_printer *printer, const struct pst_config_option *option,
		       const void *base)
{
	uint8_t area[32];
	uint64_t value = pst_config_fetch((const uint8_t *)base + option->offset, option->width);

	if (option->name)
		show_word(printer, pst_span_text(option->name));
	show_word(printer, pst_config_value_text(option, value, area));
}

static void line_end(struct pst_config_printer *printer)
{
	write_text(printer, PST_SPAN("\n"));
}

static void show_mac(struct pst_config_printer *printer, const uint8_t mac[6])
{
	uint8_t area[18];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	for (uint32_t i = 0; i < 6; i++)
		PST_BUG_ON(pst_buf_printf(&text, "%s%02x", i ? ":" : "", mac[i]));
	show_word(printer, pst_buf_span(&text));
}

void pst_config_show_interface(struct pst_config_printer *printer,
			       const struct pst_config_directive *directive)
{
	for (uint32_t i = 0; i < printer->config->interface_count; i++) {
		const struct pst_interface_conf *conf = &printer->config->interfaces[i];

		show_name(printer, directive);
		show_word(printer, pst_span_text(conf->name));
		show_word(printer, conf->driver == PST_INTERFACE_TAP ? PST_SPAN("tap") : PST_SPAN("packet"));
		for (uint32_t k = 0; k < 1 + conf->ipv6_count; k++) {
			const struct pst_cidr *host = k ? &conf->ipv6[k - 1] : &conf->ipv4;

			if (host->net.family == PST_FAMILY_NONE)
				continue;
			show_word(printer, PST_SPAN("address"));
			show_cidrs(printer, host, 1);
		}
		if (conf->gateway.family != PST_FAMILY_NONE) {
			uint8_t area[PST_ADDR_TEXT_MAX];
			struct pst_buf text;

			pst_buf_init(&text, area, sizeof(area));
			pst_addr_put(&text, &conf->gateway);
			show_word(printer, PST_SPAN("gateway"));
			show_word(printer, pst_buf_span(&text));
		}
		if (conf->dhcp)
			show_word(printer, PST_SPAN("dhcp"));
		if (conf->slaac)
			show_word(printer, PST_SPAN("slaac"));
		show_word(printer, PST_SPAN("mac"));
		if (conf->mac_auto)
			show_word(printer, PST_SPAN("auto"));
		else
			show_mac(printer, conf->mac);
		line_end(printer);
	}
}

/* One line for each option: what a reader looks for stands alone. */
void pst_config_show_options(struct pst_config_printer *printer,
			     const struct pst_config_directive *directive)
{
	for (uint32_t i = 0; i < directive->option_count; i++) {
		const struct pst_config_option *option = &directive->options[i];

		if (pst_config_is_text(option) && !has_text(option, printer->config))
			continue;
		show_name(printer, directive);
		if (pst_config_is_text(option))
			show_text(printer, option, printer->config);
		else
			show_value(printer, option, printer->config);
		line_end(printer);
	}
}

void pst_config_show_hostname(struct pst_config_printer *printer,
			      const struct pst_config_directive *directive)
{
	show_name(printer, directive);
	show_word(printer, printer->config->proxy.hostname);
	line_end(printer);
}

void pst_config_show_listen(struct pst_config_printer *printer,
			    const struct pst_config_directive *directive)
{
	const struct pst_proxy_conf *conf = &printer->config->proxy;

	/* A line for each of: plain, proxy, tls, proxy tls, and the same for submission. */
	for (uint32_t kind = 0; kind < 8; kind++) {
		bool hop = kind & 1, tls = kind & 2, submission = kind & 4;
		uint32_t count = 0;

		for (uint32_t i = 0; i < conf->listener_count; i++) {
			if (conf->listener_tls[i] != tls || conf->listener_hop[i] != hop ||
			    conf->listener_submission[i] != submission)
				continue;
			if (count++ == 0)
				show_name(printer, directive);
			show_listener(printer, &conf->listeners[i]);
		}
		if (hop && count)
			show_word(printer, PST_SPAN("proxy"));
		if (tls && count)
			show_word(printer, PST_SPAN("tls"));
		if (submission && count)
			show_word(printer, PST_SPAN("submission"));
		if (count)
			line_end(printer);
	}
}

/* What stands behind a route's domains. */
static void show_target(struct pst_config_printer *printer,
			const struct pst_config_directive *directive, const struct pst_route *route)
{
	show_word(printer, PST_SPAN("to"));
	for (uint32_t s = 0; s < route->server_count; s++)
		show_endpoint(printer, &route->servers[s], route->lmtp ? "lmtp:" : "");
	for (uint32_t o = 0; o < directive->option_count; o++) {
		const struct pst_config_option *option = &directive->options[o];

		if (!pst_config_is_text(option))
			show_value(printer, option, route);
		else if (has_text(option, route))
			show_text(printer, option, route);
	}
	line_end(printer);
}

void pst_config_show_relay(struct pst_config_printer *printer,
			   const struct pst_config_directive *directive)
{
	const struct pst_relay_conf *relay = &printer->config->proxy.relay;

	for (uint32_t i = 0; i < relay->route_count; i++) {
		const struct pst_route *route = &relay->routes[i];

		show_name(printer, directive);
		for (uint32_t d = 0; d < route->domain_count; d++)
			show_word(printer, route->domains[d]);
		show_target(printer, directive, route);
	}
}

void pst_config_show_submission(struct pst_config_printer *printer,
				const struct pst_config_directive *directive)
{
	const struct pst_route *route = printer->config->proxy.relay.submission;

	if (!route)
		return;
	show_name(printer, directive);
	show_target(printer, directive, route);
}

/* As many lines as it takes to stay below the limit of words in one. */
void pst_config_show_trust(struct pst_config_printer *printer,
			   const struct pst_config_directive *directive)
{
	const struct pst_policy_conf *policy = &printer->config->proxy.policy;

	show_name(printer, directive);
	if (policy->trust_count == 0)
		show_word(printer, PST_SPAN("none"));
	show_cidrs(printer, policy->trust, policy->trust_count);
	line_end(printer);
}

/* Both kinds, from `allow`'s row: their order among each other is the owner's. */
void pst_config_show_entries(struct pst_config_printer *printer,
			     const struct pst_config_directive *allow)
{
	const struct pst_policy_conf *policy = &printer->config->proxy.policy;
	const struct pst_config_directive *deny = allow + 1;

	for (uint32_t i = 0; i < policy->entry_count; i++) {
		const struct pst_policy_entry *entry = &policy->entries[i];

		show_name(printer, entry->allow ? allow : deny);
		show_word(printer, pst_span_text(pst_config_entry_kinds[entry->kind].name));
		if (entry->kind != PST_ENTRY_CLIENT)
			show_word(printer, entry->address);
		if (entry->kind == PST_ENTRY_SENDER && entry->network_count)
			show_word(printer, PST_SPAN("from"));
		show_cidrs(printer, entry->networks, entry->network_count);
		line_end(printer);
	}
}

void pst_config_show_bare_newline(struct pst_config_printer *printer,
				  const struct pst_config_directive *directive)
{
	const struct pst_policy_conf *policy = &printer->config->proxy.policy;

	show_name(printer, directive);
	show_value(printer, directive->options, printer->config);
	if (policy->bare_newline_except_count)
		show_word(printer, PST_SPAN("except"));
	show_cidrs(printer, policy->bare_newline_except, policy->bare_newline_except_count);
	line_end(printer);
}

void pst_config_show_tls(struct pst_config_printer *printer,
			 const struct pst_config_directive *directive)
{
	const struct pst_config *config = printer->config;
	const struct pst_config_tls *tls = &config->tls;

	pst_config_show_options(printer, directive);
	for (uint32_t i = 0; i < tls->pair_count; i++) {
		const struct pst_config_tls_pair *pair = &tls->pairs[i];

		show_name(printer, directive);
		show_word(printer, PST_SPAN("cert"));
		show_word(printer, pair->certificate);
		if (!pst_span_eq(pair->key, pair->certificate)) {
			show_word(printer, PST_SPAN("key"));
			show_word(printer, pair->key);
		}
		line_end(printer);
	}
	for (uint32_t i = 0; i < config->proxy.tls_domain_count; i++) {
		show_name(printer, directive);
		show_word(printer, PST_SPAN("require-from"));
		show_word(printer, config->proxy.tls_domains[i]);
		line_end(printer);
	}
}

void pst_config_show_rules(struct pst_config_printer *printer,
			   const struct pst_config_directive *directive)
{
	const struct pst_config_rules *rules = &printer->config->rules;

	for (uint32_t i = 0; i < rules->path_count; i++) {
		show_name(printer, directive);
		show_word(printer, rules->paths[i].path);
		line_end(printer);
	}
}

void pst_config_show_dns(struct pst_config_printer *printer,
			 const struct pst_config_directive *directive)
{
	const struct pst_dns_conf *dns = &printer->config->proxy.dns;

	show_name(printer, directive);
	if (dns->off)
		show_word(printer, PST_SPAN("off"));
	else if (dns->resolver_count == 0)
		show_word(printer, PST_SPAN("system"));
	for (uint32_t i = 0; i < dns->resolver_count; i++) {
		struct pst_addr resolver = dns->resolvers[i];

		resolver.port = resolver.port ? resolver.port : 53;
		show_endpoint(printer, &resolver, "");
	}
	line_end(printer);
	pst_config_show_options(printer, directive);
}

static void show_score(struct pst_config_printer *printer, pst_score score)
{
	uint8_t area[32];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	PST_BUG_ON(pst_score_put(&text, score, 0));
	show_word(printer, pst_buf_span(&text));
}

static void show_code(struct pst_config_printer *printer, const struct pst_dnsbl_code *code)
{
	uint8_t area[64];
	struct pst_buf text;

	pst_buf_init(&text, area, sizeof(area));
	PST_BUG_ON(pst_dnsbl_code_put(&text, code));
	show_word(printer, pst_buf_span(&text));
}

static void show_zone(struct pst_config_printer *printer, const struct pst_dnsbl_zone *zone)
{
	show_word(printer, zone->zone);
	for (uint32_t i = 0; i < zone->code_count; i++) {
		const struct pst_dnsbl_code *code = &zone->codes[i];

		if (i == 0 || code->score != code[-1].score || code->rejects != code[-1].rejects) {
			show_word(printer, code->rejects ? PST_SPAN("reject") : PST_SPAN("score"));
			if (!code->rejects)
				show_score(printer, code->score);
			show_word(printer, PST_SPAN("codes"));
		}
		show_code(printer, code);
	}
	if (zone->is_domain)
		show_word(printer, PST_SPAN("domain"));
	if (zone->direct)
		show_word(printer, PST_SPAN("direct"));
	if (zone->dry)
		show_word(printer, PST_SPAN("dry-run"));
	if (!zone->selftest) {
		show_word(printer, PST_SPAN("selftest"));
		show_word(printer, PST_SPAN("off"));
	}
	show_word(printer, PST_SPAN("as"));
	show_word(printer, zone->name);
}

void pst_config_show_dnsbl(struct pst_config_printer *printer,
			   const struct pst_config_directive *directive)
{
	const struct pst_dnsbl_conf *conf = &printer->config->proxy.dnsbl;

	for (uint32_t i = 0; i < conf->zone_count; i++) {
		show_name(printer, directive);
		show_zone(printer, &conf->zones[i]);
		line_end(printer);
	}
}

void pst_config_show_spf(struct pst_config_printer *printer,
			 const struct pst_config_directive *directive)
{
	if (!printer->config->proxy.spf.off) {
		pst_config_show_options(printer, directive);
		return;
	}
	show_name(printer, directive);
	show_word(printer, PST_SPAN("off"));
	line_end(printer);
}

void pst_config_show_os(struct pst_config_printer *printer,
			const struct pst_config_directive *directive)
{
	struct pst_span path = printer->config->os_path;

	show_name(printer, directive);
	if (path.len)
		show_word(printer, PST_SPAN("signatures"));
	show_word(printer, path.len ? path : PST_SPAN("off"));
	line_end(printer);
}

void pst_config_show_dry_run(struct pst_config_printer *printer,
			     const struct pst_config_directive *directive)
{
	const struct pst_policy_conf *policy = &printer->config->proxy.policy;

	for (uint32_t i = 0; i < policy->dry_name_count; i++) {
		show_name(printer, directive);
		show_word(printer, policy->dry_names[i]);
		line_end(printer);
	}
}

void pst_config_show_control(struct pst_config_printer *printer,
			     const struct pst_config_directive *directive)
{
	struct pst_span path = printer->config->control_path;

	show_name(printer, directive);
	show_word(printer, path.len ? path : PST_SPAN("off"));
	line_end(printer);
}

void pst_config_show_log(struct pst_config_printer *printer,
			 const struct pst_config_directive *directive)
{
	show_name(printer, directive);
	show_value(printer, directive->options, printer->config);
	if (printer->config->log_path.len)
		show_word(printer, printer->config->log_path);
	line_end(printer);
}

void pst_config_show_user(struct pst_config_printer *printer,
			  const struct pst_config_directive *directive)
{
	if (printer->config->user.len == 0)
		return;
	show_name(printer, directive);
	show_word(printer, printer->config->user);
	line_end(printer);
}

void pst_config_show(const struct pst_config *config, struct pst_config_writer *writer)
{
	struct pst_config_printer printer = {config, writer};

	for (uint32_t i = 0; i < pst_config_table_count; i++)
		if (pst_config_table[i].show)
			pst_config_table[i].show(&printer, &pst_config_table[i]);
}
