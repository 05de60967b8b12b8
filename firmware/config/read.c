#include "config/table_priv.h"
#include "config/value_priv.h"

/* NAME VALUE */
void pst_config_read_scalar(struct pst_config_build *build,
			    const struct pst_config_directive *directive)
{
	const struct pst_config_option *option = directive->options;
	uint64_t value;

	if (!pst_config_exactly_one(build, directive) ||
	    !pst_config_read_value(build, option, &build->words[1], &value) ||
	    !pst_config_give(build, directive, 0, &build->words[0].place))
		return;
	pst_config_store(pst_config_field(build->config, option), option->width, value);
}

static const struct pst_config_option *find_option(struct pst_config_build *build,
						   const struct pst_config_directive *directive,
						   const struct pst_config_word *word)
{
	struct pst_nearest nearest;

	pst_nearest_init(&nearest, word->text);
	for (uint32_t i = 0; i < directive->option_count; i++) {
		const char *name = directive->options[i].name;

		if (!name)
			continue;
		if (pst_span_eq(word->text, pst_span_text(name)))
			return &directive->options[i];
		pst_nearest_offer(&nearest, name);
	}
	if (nearest.best)
		pst_config_error(build, &word->place,
				 "`%s` has no option \"%.*s\"; did you mean "
				 "\"%s\"?",
				 directive->name, PST_CONFIG_TEXT(word->text), nearest.best);
	else
		pst_config_error(build, &word->place, "`%s` has no option \"%.*s\"; it has %s",
				 directive->name, PST_CONFIG_TEXT(word->text), directive->grammar);
	return NULL;
}

/* OPTION VALUE pairs from words[from] on, stored relative to `base`; `seen` is one bit each. */
static bool read_pairs(struct pst_config_build *build, const struct pst_config_directive *directive,
		       uint32_t from, uint8_t *base, uint32_t *seen)
{
	for (uint32_t i = from; i < build->word_count; i += 2) {
		const struct pst_config_word *word = &build->words[i];
		const struct pst_config_option *option = find_option(build, directive, word);
		uint32_t bit;
		uint64_t value;

		if (!option)
			return false;
		if (i + 1 == build->word_count) {
			pst_config_missing(build, directive, "a value is missing");
			return false;
		}
		if (!pst_config_is_text(option) &&
		    !pst_config_read_value(build, option, &build->words[i + 1], &value))
			return false;
		bit = 1u << (uint32_t)(option - directive->options);
		if (*seen & bit) {
			pst_config_error(build, &word->place, "\"%s\" stands twice in this line",
					 option->name);
			return false;
		}
		*seen |= bit;
		if (!directive->per_route &&
		    !pst_config_give(build, directive, (uint32_t)(option - directive->options),
				     &word->place))
			return false;
		if (!pst_config_is_text(option))
			pst_config_store(base + option->offset, option->width, value);
		else if (!pst_config_read_text(build, option, &build->words[i + 1], base))
			return false;
	}
	return true;
}

/* NAME OPTION VALUE … */
void pst_config_read_options(struct pst_config_build *build,
			     const struct pst_config_directive *directive)
{
	uint32_t seen = 0;

	if (build->word_count < 2)
		pst_config_missing(build, directive, "an option is missing");
	else
		read_pairs(build, directive, 1, (uint8_t *)build->config, &seen);
}

/* NAME on|off, OPTION VALUE …; the switch is the first of the directive's options. */
void pst_config_read_switch(struct pst_config_build *build,
			    const struct pst_config_directive *directive)
{
	const struct pst_config_option *option = directive->options;
	uint32_t seen = 0, from = 1;
	uint64_t value;

	if (build->word_count < 2) {
		pst_config_missing(build, directive, "`on` or `off` is missing");
		return;
	}
	if (pst_span_eq(build->words[1].text, PST_SPAN("on")) ||
	    pst_span_eq(build->words[1].text, PST_SPAN("off"))) {
		if (!pst_config_read_value(build, option, &build->words[1], &value) ||
		    !pst_config_give(build, directive, 0, &build->words[0].place))
			return;
		pst_config_store(pst_config_field(build->config, option), option->width, value);
		from = 2;
	}
	(void)read_pairs(build, directive, from, (uint8_t *)build->config, &seen);
}

/* --- words that are names, addresses and networks ------------------------------------------ */

struct pst_span pst_config_lower_copy(struct pst_config_build *build, struct pst_span text)
{
	struct pst_span copy = pst_config_copy(build, &build->config->arena, text);
	uint8_t *at = (uint8_t *)(uintptr_t)copy.at;

	for (uint32_t i = 0; i < copy.len; i++)
		at[i] = pst_lower(at[i]);
	return copy;
}

/* The network that an address with bits behind its prefix lies in. */
static bool network_of(struct pst_span text, struct pst_cidr *cidr)
{
	int64_t slash = pst_span_find(text, '/');
	uint64_t bits, max;

	if (slash < 0 || pst_addr_parse(pst_span_sub(text, 0, (uint32_t)slash), &cidr->net))
		return false;
	max = cidr->net.family == PST_FAMILY_IPV4 ? 32 : 128;
	if (pst_span_u64(pst_span_sub(text, (uint32_t)slash + 1, text.len), max, &bits))
		return false;
	cidr->bits = (uint8_t)bits;
	for (uint32_t i = (uint32_t)bits; i < max; i++)
		cidr->net.ip[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
	return true;
}

static bool read_cidr(struct pst_config_build *build, const struct pst_config_word *word,
		      struct pst_cidr *cidr)
{
	int status = pst_cidr_parse(word->text, cidr);
	uint8_t area[PST_ADDR_TEXT_MAX];
	struct pst_buf meant;

	pst_buf_init(&meant, area, sizeof(area));
	if (status == -PST_E_RANGE && network_of(word->text, cidr)) {
		pst_cidr_put(&meant, cidr);
		pst_config_error(build, &word->place,
				 "\"%.*s\" has bits set behind its prefix; did "
				 "you mean %.*s?",
				 PST_CONFIG_TEXT(word->text),
				 PST_CONFIG_TEXT(pst_buf_span(&meant)));
	} else if (status == -PST_E_RANGE) {
		pst_config_error(build, &word->place,
				 "\"%.*s\": the prefix is longer than the "
				 "address",
				 PST_CONFIG_TEXT(word->text));
	} else if (status) {
		pst_config_error(build, &word->place,
				 "\"%.*s\" is not a network; write one like "
				 "192.0.2.0/24, 2001:db8::/32 or a single address",
				 PST_CONFIG_TEXT(word->text));
	}
	return status == 0;
}

/* The networks from words[from] on as an array of the generation.
 *  ret their number, 0 after a complaint */
static uint32_t read_cidrs(struct pst_config_build *build,
			   const struct pst_config_directive *directive, uint32_t from,
			   const struct pst_cidr **out)
{
	uint32_t count = build->word_count - from;
	struct pst_cidr *cidrs;

	if (build->word_count == from) {
		pst_config_missing(build, directive, "a network is missing");
		return 0;
	}
	if (count > PST_POLICY_CIDRS_MAX) {
		pst_config_error(build, &build->words[from + PST_POLICY_CIDRS_MAX].place,
				 "more than %d networks", PST_POLICY_CIDRS_MAX);
		return 0;
	}
	cidrs = pst_config_get(build, &build->config->arena, sizeof(*cidrs) * count);
	if (!cidrs)
		return 0;
	for (uint32_t i = 0; i < count; i++)
		if (!read_cidr(build, &build->words[from + i], &cidrs[i]))
			return 0;
	*out = cidrs;
	return count;
}

static bool starts(struct pst_span text, struct pst_span prefix)
{
	return pst_span_eq(pst_span_sub(text, 0, prefix.len), prefix);
}

/* IP:PORT; a name, a missing port or a missing bracket gets its own hint. */
static bool read_endpoint(struct pst_config_build *build, const struct pst_config_word *word,
			  struct pst_addr *addr)
{
	struct pst_span text = word->text;

	if (pst_addr_parse_port(text, addr) == 0)
		return true;
	if (pst_addr_parse(text, addr) == 0)
		pst_config_error(build, &word->place,
				 addr->family == PST_FAMILY_IPV6
					 ? "the port is missing; write [%.*s]:25"
					 : "the port is missing; write %.*s:25",
				 PST_CONFIG_TEXT(text));
	else
		pst_config_error(build, &word->place,
				 "\"%.*s\" is not an address with a port; "
				 "write one like 192.0.2.1:25 or [2001:db8::1]:25 (names are not "
				 "looked up)",
				 PST_CONFIG_TEXT(text));
	return false;
}

void pst_config_read_hostname(struct pst_config_build *build,
			      const struct pst_config_directive *directive)
{
	const struct pst_config_word *word = &build->words[1];

	if (!pst_config_exactly_one(build, directive))
		return;
	if (!pst_config_domain_ok(word->text)) {
		pst_config_error(build, &word->place,
				 "\"%.*s\" is not a host name; write one like "
				 "mx.example.org",
				 PST_CONFIG_TEXT(word->text));
		return;
	}
	if (pst_config_give(build, directive, 0, &word->place))
		build->config->proxy.hostname =
			pst_config_copy(build, &build->config->arena, word->text);
}

/* Whether there is one of this name is the machine's to say. */
void pst_config_read_user(struct pst_config_build *build,
			  const struct pst_config_directive *directive)
{
	const struct pst_config_word *word = &build->words[1];

	if (!pst_config_exactly_one(build, directive))
		return;
	if (word->text.len == 0 || word->text.len > PST_CONFIG_USER_LEN_MAX) {
		pst_config_error(build, &word->place, "a user's name has 1 to %d characters",
				 PST_CONFIG_USER_LEN_MAX);
		return;
	}
	if (pst_config_give(build, directive, 0, &word->place))
		build->config->user = pst_config_copy(build, &build->config->arena, word->text);
}

void pst_config_read_listen(struct pst_config_build *build,
			    const struct pst_config_directive *directive)
{
	struct pst_proxy_conf *conf = &build->config->proxy;
	const struct pst_config_word *last = &build->words[build->word_count - 1];
	bool tls = false, hop = false, submission = false;
	uint32_t end = build->word_count;

	for (; end > 1; end--) {
		struct pst_span word = build->words[end - 1].text;

		if (!tls && pst_span_eq(word, PST_SPAN("tls")))
			tls = true;
		else if (!hop && pst_span_eq(word, PST_SPAN("proxy")))
			hop = true;
		else if (!submission && pst_span_eq(word, PST_SPAN("submission")))
			submission = true;
		else
			break;
	}
	if (end < 2)
		pst_config_missing(build, directive, "an address is missing");
	if (tls && !build->listener_tls.file)
		build->listener_tls = last->place;
	if (submission && !build->listener_submission.file)
		build->listener_submission = last->place;
	for (uint32_t i = 1; i < end; i++) {
		const struct pst_config_word *word = &build->words[i];
		struct pst_addr addr;
		uint32_t same = 0;

		if (!pst_config_read_listen_via(build, word, &addr) &&
		    !read_endpoint(build, word, &addr))
			continue;
		while (same < conf->listener_count &&
		       !(pst_addr_eq(&conf->listeners[same], &addr) &&
			 conf->listeners[same].port == addr.port && addr.port &&
			 conf->listeners[same].via == addr.via))
			same++;
		if (same < conf->listener_count) {
			const struct pst_config_place *first = &build->listener_places[same];

			pst_config_error(build, &word->place,
					 "this address is listened on "
					 "already, by %.*s:%u",
					 PST_CONFIG_TEXT(first->file->name), first->line);
			continue;
		}
		if (conf->listener_count == PST_LISTENERS_MAX) {
			pst_config_error(build, &word->place, "more than %d addresses",
					 PST_LISTENERS_MAX);
			return;
		}
		build->listener_places[conf->listener_count] = word->place;
		conf->listener_tls[conf->listener_count] = tls;
		conf->listener_hop[conf->listener_count] = hop;
		conf->listener_submission[conf->listener_count] = submission;
		conf->listeners[conf->listener_count++] = addr;
	}
}

/* --- relay --------------------------------------------------------------------------------- */

static bool domain_ok(struct pst_span text)
{
	if (pst_span_eq(text, PST_SPAN("*")))
		return true;
	if (text.len && text.at[0] == '.')
		text = pst_span_sub(text, 1, text.len);
	return pst_config_mail_domain_ok(text);
}

static bool read_domain(struct pst_config_build *build, const struct pst_config_word *word,
			struct pst_span *out)
{
	struct pst_config_item *item;
	struct pst_addr addr;

	if (!domain_ok(word->text)) {
		bool is_addr = pst_addr_parse(word->text, &addr) == 0 ||
			       pst_addr_parse_port(word->text, &addr) == 0;

		pst_config_error(
			build, &word->place,
			is_addr ? "\"%.*s\" stands where the mail domains belong; the internal "
				  "server's address comes behind `to`"
				: "\"%.*s\" is not a mail domain; write one like example.org, "
				  ".example.org for all its subdomains, or * for every domain",
			PST_CONFIG_TEXT(word->text));
		return false;
	}
	for (item = build->domains.first; item; item = item->next) {
		if (!pst_span_eq_nocase(item->is.domain, word->text))
			continue;
		pst_config_error(build, &word->place, "\"%.*s\" has a route already, at %.*s:%u",
				 PST_CONFIG_TEXT(word->text),
				 PST_CONFIG_TEXT(item->place.file->name), item->place.line);
		return false;
	}
	*out = pst_config_lower_copy(build, word->text);
	item = pst_config_item_add(build, &build->domains, &word->place);
	if (item)
		item->is.domain = *out;
	return !build->nomem;
}

static bool read_domains(struct pst_config_build *build,
			 const struct pst_config_directive *directive, struct pst_route *route,
			 uint32_t count)
{
	struct pst_span *domains;
	bool good = true;

	if (count == 0) {
		pst_config_usage(build, directive, &build->words[1].place,
				 "the mail domains are missing");
		return false;
	}
	if (count > PST_ROUTE_DOMAINS_MAX) {
		pst_config_error(build, &build->words[1 + PST_ROUTE_DOMAINS_MAX].place,
				 "more than %d domains", PST_ROUTE_DOMAINS_MAX);
		return false;
	}
	domains = pst_config_get(build, &build->config->arena, sizeof(*domains) * count);
	if (!domains)
		return false;
	for (uint32_t i = 0; i < count; i++)
		good = read_domain(build, &build->words[1 + i], &domains[i]) && good;
	route->domains = domains;
	route->domain_count = count;
	return good;
}

static bool looks_like_option(struct pst_span text)
{
	return pst_is_alpha(text.len ? text.at[0] : 0) && pst_span_find(text, ':') < 0;
}

static bool is_option(const struct pst_config_directive *directive, struct pst_span text)
{
	for (uint32_t i = 0; i < directive->option_count; i++)
		if (pst_span_eq(text, pst_span_text(directive->options[i].name)))
			return true;
	return false;
}

/* Servers from words[from] on. *end is the first word that is none. */
static bool read_servers(struct pst_config_build *build,
			 const struct pst_config_directive *directive, struct pst_route *route,
			 uint32_t from, uint32_t *end)
{
	uint32_t i = from;

	for (; i < build->word_count && !looks_like_option(build->words[i].text); i++) {
		const struct pst_config_word *word = &build->words[i];
		struct pst_config_word bare = *word;
		bool lmtp = starts(word->text, PST_SPAN("lmtp:"));
		struct pst_config_item *item;
		struct pst_addr addr;

		if (lmtp)
			bare.text = pst_span_sub(word->text, 5, word->text.len);
		if (!read_endpoint(build, &bare, &addr))
			return false;
		if (route->server_count > 0 && route->lmtp != lmtp) {
			pst_config_error(build, &word->place,
					 "a route speaks either SMTP or LMTP with all its servers");
			return false;
		}
		route->lmtp = lmtp;
		if (addr.port == 0) {
			pst_config_error(build, &word->place, "port 0 cannot be connected to");
			return false;
		}
		if (route->server_count == PST_ROUTE_SERVERS_MAX) {
			pst_config_error(build, &word->place, "more than %d internal servers",
					 PST_ROUTE_SERVERS_MAX);
			return false;
		}
		route->servers[route->server_count++] = addr;
		item = pst_config_item_add(build, &build->servers, &word->place);
		if (item)
			item->is.addr = addr;
	}
	if (i == from && i < build->word_count && !is_option(directive, build->words[i].text)) {
		/* What stands there is meant to be the server: let it have its own complaint. */
		struct pst_addr addr;

		if (!read_endpoint(build, &build->words[i], &addr))
			return false;
	}
	if (i == from)
		pst_config_missing(build, directive, "the internal server is missing");
	*end = i;
	return i != from;
}

static void preset_route(const struct pst_config_directive *directive,
				    struct pst_route *route)
{
	for (uint32_t i = 0; i < directive->option_count; i++)
		if (!pst_config_is_text(&directive->options[i]))
			pst_config_store((uint8_t *)route + directive->options[i].offset,
					 directive->options[i].width,
					 directive->options[i].preset);
}

void pst_config_read_relay(struct pst_config_build *build,
			   const struct pst_config_directive *directive)
{
	struct pst_route route = {0};
	uint32_t to = 1, options, seen = 0;

	if (build->word_count < 2) {
		pst_config_missing(build, directive, "everything is missing");
		return;
	}
	while (to < build->word_count && !pst_span_eq(build->words[to].text, PST_SPAN("to")))
		to++;
	if (to == build->word_count) {
		pst_config_missing(build, directive, "`to` and the internal server are missing");
		return;
	}
	preset_route(directive, &route);
	if (!read_domains(build, directive, &route, to - 1) ||
	    !read_servers(build, directive, &route, to + 1, &options) ||
	    !read_pairs(build, directive, options, (uint8_t *)&route, &seen))
		return;
	for (uint32_t i = 0; i < route.server_count; i++)
		route.servers[i].via = route.via;
	pst_config_check_security(build, &route, &build->words[options],
				  build->word_count - options);
	if (build->route_count == PST_ROUTES_MAX) {
		pst_config_error(build, &build->words[0].place, "more than %d `relay` lines",
				 PST_ROUTES_MAX);
		return;
	}
	build->routes[build->route_count++] = route;
}

/* Where users log in: a route without domains. What they say to prove who they are goes there, so that it
 * goes by TLS is the default. */
void pst_config_read_submission(struct pst_config_build *build,
				const struct pst_config_directive *directive)
{
	struct pst_route *route = &build->submission;
	uint32_t options, seen = 0;

	if (build->word_count < 2 || !pst_span_eq(build->words[1].text, PST_SPAN("to"))) {
		pst_config_missing(build, directive, "`to` and the internal server are missing");
		return;
	}
	if (route->server_count > 0) {
		pst_config_error(build, &build->words[0].place,
				 "`submission` was given before; name all its servers in one line");
		return;
	}
	preset_route(directive, route);
	route->pass = PST_RELAY_PASS_NONE;
	route->security.tls = PST_RELAY_TLS_MUST;
	if (!read_servers(build, directive, route, 2, &options) ||
	    !read_pairs(build, directive, options, (uint8_t *)route, &seen))
		return;
	if (route->lmtp)
		pst_config_error(build, &build->words[2].place, "nobody logs in by LMTP");
	if (route->pass == PST_RELAY_PASS_PROXY)
		pst_config_error(build, &build->words[options].place,
				 "a login needs a connection that is kept: not `pass proxy`");
	pst_config_check_security(build, route, &build->words[options],
				  build->word_count - options);
}

/* --- trust, allow, deny, bare-newline ------------------------------------------------------ */

void pst_config_read_trust(struct pst_config_build *build,
			   const struct pst_config_directive *directive)
{
	if (build->word_count < 2)
		pst_config_missing(build, directive, "a network is missing");
	if (build->word_count > 1 && pst_span_eq(build->words[1].text, PST_SPAN("none"))) {
		build->trust_none = build->words[1].place;
		if (build->word_count > 2)
			pst_config_usage(build, directive, &build->words[2].place,
					 "`none` stands alone");
		return;
	}
	for (uint32_t i = 1; i < build->word_count; i++) {
		const struct pst_config_word *word = &build->words[i];
		struct pst_config_item *item;
		struct pst_cidr cidr;

		if (!read_cidr(build, word, &cidr))
			continue;
		if (build->trust.count == PST_POLICY_CIDRS_MAX) {
			pst_config_error(build, &word->place, "more than %d networks",
					 PST_POLICY_CIDRS_MAX);
			return;
		}
		item = pst_config_item_add(build, &build->trust, &word->place);
		if (!item)
			return;
		item->is.cidr = cidr;
	}
}

static void add_entry(struct pst_config_build *build, const struct pst_policy_entry *entry,
		      const struct pst_config_place *place)
{
	struct pst_config_item *item;

	if (build->entries.count == PST_POLICY_ENTRIES_MAX) {
		pst_config_error(build, place, "more than %d `allow` and `deny` entries",
				 PST_POLICY_ENTRIES_MAX);
		return;
	}
	item = pst_config_item_add(build, &build->entries, place);
	if (item)
		item->is.entry = *entry;
}

static void read_entry_addresses(struct pst_config_build *build, struct pst_policy_entry *entry,
				 uint32_t end)
{
	for (uint32_t i = 2; i < end; i++) {
		const struct pst_config_word *word = &build->words[i];

		if (!pst_config_mailbox_ok(word->text)) {
			pst_config_error(build, &word->place,
					 "\"%.*s\" is not a mail address; "
					 "write one like anna@example.org, or @example.org for "
					 "all of the domain",
					 PST_CONFIG_TEXT(word->text));
			continue;
		}
		entry->address = pst_config_lower_copy(build, word->text);
		add_entry(build, entry, &word->place);
	}
}

/* allow|deny sender ADDRESS … [from NETWORK …] and recipient ADDRESS … */
static void read_entry_of_mail(struct pst_config_build *build,
			       const struct pst_config_directive *directive,
			       struct pst_policy_entry *entry)
{
	uint32_t from = 2;

	while (from < build->word_count && !pst_span_eq(build->words[from].text, PST_SPAN("from")))
		from++;
	if (from == 2) {
		pst_config_missing(build, directive, "a mail address is missing");
		return;
	}
	if (from < build->word_count) {
		if (entry->kind == PST_ENTRY_RECIPIENT) {
			pst_config_usage(build, directive, &build->words[from].place,
					 "only `sender` takes `from`");
			return;
		}
		entry->network_count = read_cidrs(build, directive, from + 1, &entry->networks);
		if (entry->network_count == 0)
			return;
	} else if (entry->kind == PST_ENTRY_SENDER && entry->allow) {
		pst_config_warning(build, &build->words[1].place,
				   "anybody can write any sender address: without `from NETWORK` "
				   "this acts only once SPF has confirmed the sender");
	}
	read_entry_addresses(build, entry, from);
}

void pst_config_read_entry(struct pst_config_build *build,
			   const struct pst_config_directive *directive)
{
	static const struct pst_config_option kind_option = {.kind = PST_CONFIG_CHOICE,
							     .choices = pst_config_entry_kinds};
	struct pst_policy_entry entry = {
		.allow = pst_span_eq(pst_span_text(directive->name), PST_SPAN("allow"))};
	uint64_t kind;

	if (build->word_count < 2) {
		pst_config_missing(build, directive, "everything is missing");
		return;
	}
	if (!pst_config_read_choice(build, &kind_option, &build->words[1], &kind))
		return;
	entry.kind = (enum pst_entry_kind)kind;
	if (entry.kind != PST_ENTRY_CLIENT) {
		read_entry_of_mail(build, directive, &entry);
		return;
	}
	entry.network_count = read_cidrs(build, directive, 2, &entry.networks);
	if (entry.network_count)
		add_entry(build, &entry, &build->words[0].place);
}

void pst_config_read_bare_newline(struct pst_config_build *build,
				  const struct pst_config_directive *directive)
{
	static const struct pst_config_choice except_word[] = {{"except", true}, {NULL, 0}};
	static const struct pst_config_option except_option = {
		.kind = PST_CONFIG_CHOICE, .choices = except_word};
	struct pst_policy_conf *policy = &build->config->proxy.policy;
	const struct pst_config_option *option = directive->options;
	const struct pst_cidr *except = NULL;
	uint32_t except_count = 0;
	uint64_t value;

	if (build->word_count < 2) {
		pst_config_missing(build, directive, "a value is missing");
		return;
	}
	if (!pst_config_read_value(build, option, &build->words[1], &value))
		return;
	if (build->word_count > 2) {
		if (!value) {
			pst_config_usage(build, directive, &build->words[2].place,
					 "only `reject` takes exceptions");
			return;
		}
		if (!pst_config_read_choice(build, &except_option, &build->words[2], &value))
			return;
		except_count = read_cidrs(build, directive, 3, &except);
		if (except_count == 0)
			return;
	}
	if (!pst_config_give(build, directive, 0, &build->words[0].place))
		return;
	pst_config_store(pst_config_field(build->config, option), option->width, value);
	policy->bare_newline_except = except;
	policy->bare_newline_except_count = except_count;
}

/* --- log, include -------------------------------------------------------------------------- */

static const struct pst_span syslog_path = {(const uint8_t *)"/dev/log", 8};

void pst_config_read_log(struct pst_config_build *build,
			 const struct pst_config_directive *directive)
{
	const struct pst_config_option *option = directive->options;
	struct pst_span path = PST_SPAN_NONE;
	uint64_t kind;

	if (build->word_count < 2) {
		pst_config_missing(build, directive, "a value is missing");
		return;
	}
	if (!pst_config_read_value(build, option, &build->words[1], &kind))
		return;
	if (kind == PST_CONFIG_LOG_SYSLOG && !PST_CONFIG_SYSLOG) {
		pst_config_error(build, &build->words[1].place,
				 "this program was built without syslog (POSTERN_SYSLOG)");
		return;
	}
	if (build->word_count > 3 || (kind == PST_CONFIG_LOG_STDERR && build->word_count > 2)) {
		pst_config_usage(build, directive, &build->words[build->word_count - 1].place,
				 "that is a word too many");
		return;
	}
	if (build->word_count == 3)
		path = build->words[2].text;
	else if (kind == PST_CONFIG_LOG_SYSLOG)
		path = syslog_path;
	if (kind != PST_CONFIG_LOG_STDERR && path.len == 0) {
		pst_config_missing(build, directive, "the file's name is missing");
		return;
	}
	if (!pst_config_give(build, directive, 0, &build->words[0].place))
		return;
	pst_config_store(pst_config_field(build->config, option), option->width, kind);
	build->config->log_path = kind == PST_CONFIG_LOG_STDERR
					  ? PST_SPAN_NONE
					  : pst_config_copy(build, &build->config->arena, path);
}

#define CONTROL_PATH_MAX 107 /* of a Unix socket's address */

void pst_config_read_control(struct pst_config_build *build,
			     const struct pst_config_directive *directive)
{
	const struct pst_config_word *word = &build->words[1];
	struct pst_span path;

	if (!pst_config_exactly_one(build, directive))
		return;
	if (word->text.len == 0) {
		pst_config_usage(build, directive, &word->place, "the socket's name is missing");
		return;
	}
	if (!pst_config_give(build, directive, 0, &build->words[0].place))
		return;
	if (pst_span_eq(word->text, PST_SPAN("off"))) {
		build->config->control_path = PST_SPAN_NONE;
		return;
	}
	path = pst_config_path(build, &build->config->arena, word);
	if (path.len > CONTROL_PATH_MAX)
		pst_config_error(build, &word->place,
				 "a socket's name has at most %d octets, its folders included",
				 CONTROL_PATH_MAX);
	build->config->control_path = path;
}

void pst_config_read_include(struct pst_config_build *build,
			     const struct pst_config_directive *directive)
{
	struct pst_config_place place;
	struct pst_span path;

	if (!pst_config_exactly_one(build, directive))
		return;
	place = build->words[1].place;
	if (build->words[1].text.len == 0) {
		pst_config_usage(build, directive, &place, "the file's name is missing");
		return;
	}
	path = pst_config_path(build, &build->scratch, &build->words[1]);
	if (!build->nomem)
		pst_config_read(build, path, &place);
}
