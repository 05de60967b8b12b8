/* config/checks.c - the directives about who is asked, and what the answers are worth */
#include <string.h>

#include "check/zones.h"
#include "config/table_priv.h"
#include "config/value_priv.h"
#include "rules/rules_conf.h"

static bool is(const struct pst_config_word *word, const char *text)
{
	return pst_span_eq(word->text, pst_span_text(text));
}

/* --- dns ------------------------------------------------------------------------------------ */

/* The order in the table: the readers below know it. */
enum { DNS_TROUBLE, DNS_CACHE, DNS_VIA, DNS_OPTIONS };

static bool read_resolver(struct pst_config_build *build, const struct pst_config_word *word)
{
	struct pst_dns_conf *dns = &build->config->proxy.dns;
	struct pst_addr addr;

	if (pst_addr_parse_port(word->text, &addr) && pst_addr_parse(word->text, &addr)) {
		pst_config_error(build, &word->place,
				 "\"%.*s\" is not a resolver's address; write one like 192.0.2.53, "
				 "[2001:db8::53]:5353, `system` for those of /etc/resolv.conf, or `off`",
				 PST_CONFIG_TEXT(word->text));
		return false;
	}
	if (dns->resolver_count == PST_DNS_RESOLVERS_MAX) {
		pst_config_error(build, &word->place, "more than %d resolvers",
				 PST_DNS_RESOLVERS_MAX);
		return false;
	}
	dns->resolvers[dns->resolver_count++] = addr;
	return true;
}

/*  ret words taken; 0 after a complaint */
static uint32_t read_dns_option(struct pst_config_build *build,
				const struct pst_config_directive *directive, uint32_t i,
				uint32_t option)
{
	uint64_t value;

	if (i + 1 == build->word_count) {
		pst_config_missing(build, directive, "a value is missing");
		return 0;
	}
	if (!pst_config_give(build, directive, option, &build->words[i].place))
		return 0;
	if (pst_config_is_text(&directive->options[option]))
		return pst_config_read_text(build, &directive->options[option], &build->words[i + 1],
					    (uint8_t *)build->config) ? 2 : 0;
	if (!pst_config_read_value(build, &directive->options[option], &build->words[i + 1],
				   &value))
		return 0;
	pst_config_store(pst_config_field(build->config, &directive->options[option]),
			 directive->options[option].width, value);
	return 2;
}

void pst_config_read_dns(struct pst_config_build *build, const struct pst_config_directive *directive)
{
	struct pst_dns_conf *dns = &build->config->proxy.dns;
	bool resolvers = false;

	if (build->word_count < 2) {
		pst_config_missing(build, directive, "whom to ask is missing");
		return;
	}
	for (uint32_t i = 1, taken = 1; i < build->word_count && taken; i += taken) {
		const struct pst_config_word *word = &build->words[i];

		taken = 1;
		if (is(word, "trouble"))
			taken = read_dns_option(build, directive, i, DNS_TROUBLE);
		else if (is(word, "cache"))
			taken = read_dns_option(build, directive, i, DNS_CACHE);
		else if (is(word, "via"))
			taken = read_dns_option(build, directive, i, DNS_VIA);
		else if (!resolvers && !pst_config_give(build, directive, DNS_OPTIONS, &word->place))
			return;
		else {
			if (!resolvers) {
				dns->resolver_count = 0;
				dns->off = is(word, "off");
			}
			resolvers = true;
			if (!is(word, "off") && !is(word, "system"))
				taken = read_resolver(build, word);
		}
	}
}

/* --- dnsbl ---------------------------------------------------------------------------------- */

struct zone_build {
	struct pst_dnsbl_zone zone;
	struct pst_dnsbl_code codes[PST_DNSBL_CODES_MAX];
	pst_score score;
	bool rejects, group, coded; /* a group is open; it has codes */
};

static bool add_code(struct pst_config_build *build, struct zone_build *z,
		     const struct pst_config_word *word, const char *text)
{
	struct pst_dnsbl_code *code = &z->codes[z->zone.code_count];
	int status;

	if (z->zone.code_count == PST_DNSBL_CODES_MAX) {
		pst_config_error(build, &word->place, "more than %d codes", PST_DNSBL_CODES_MAX);
		return false;
	}
	status = pst_dnsbl_code_parse(text ? pst_span_text(text) : word->text, code);
	if (status) {
		pst_config_error(build, &word->place,
				 "\"%.*s\" is not a list's code; write one like 127.0.0.2, "
				 "127.0.0.[2-9] or 127.0.[2-15].*",
				 PST_CONFIG_TEXT(word->text));
		return false;
	}
	code->score = z->score;
	code->rejects = z->rejects;
	z->zone.code_count++;
	z->coded = true;
	return true;
}

/* A group that named no codes has them all. */
static bool close_group(struct pst_config_build *build, struct zone_build *z,
			const struct pst_config_word *word)
{
	bool good = !z->group || z->coded || add_code(build, z, word, "127.*.*.*");

	z->group = false;
	return good;
}

static bool open_group(struct pst_config_build *build, struct zone_build *z,
		       const struct pst_config_word *word, pst_score score, bool rejects)
{
	if (!close_group(build, z, word))
		return false;
	z->score = score;
	z->rejects = rejects;
	z->group = true;
	z->coded = false;
	return true;
}

static bool is_name(struct pst_span text)
{
	for (uint32_t i = 0; i < text.len; i++)
		if (!pst_is_alnum(text.at[i]) && text.at[i] != '_')
			return false;
	return text.len > 0 && text.len <= 60;
}

/*  ret words taken; 0 after a complaint */
static uint32_t read_zone_word(struct pst_config_build *build,
			       const struct pst_config_directive *directive, struct zone_build *z,
			       uint32_t i)
{
	const struct pst_config_word *word = &build->words[i], *next = word + 1;
	bool last = i + 1 == build->word_count;
	uint32_t taken = 1;
	pst_score score;

	if (is(word, "domain")) {
		z->zone.is_domain = true;
	} else if (is(word, "direct")) {
		z->zone.direct = true;
	} else if (is(word, "dry-run")) {
		z->zone.dry = true;
	} else if (is(word, "reject")) {
		return open_group(build, z, word, 0, true);
	} else if (last) {
		pst_config_missing(build, directive, "a value is missing");
		return 0;
	} else if (is(word, "score")) {
		if (pst_score_parse(next->text, &score)) {
			pst_config_error(build, &next->place,
					 "\"%.*s\" is not a score, as in 3 or -1.5",
					 PST_CONFIG_TEXT(next->text));
			return 0;
		}
		return open_group(build, z, word, score, false) ? 2 : 0;
	} else if (is(word, "as") && is_name(next->text)) {
		z->zone.name = pst_config_copy(build, &build->config->arena, next->text);
		taken = 2;
	} else if (is(word, "selftest") && (is(next, "off") || is(next, "on"))) {
		z->zone.selftest = is(next, "on");
		taken = 2;
	} else if (is(word, "codes") && z->group) {
		for (; i + taken < build->word_count &&
		       pst_is_digit(build->words[i + taken].text.at[0]);
		     taken++)
			if (!add_code(build, z, &build->words[i + taken], NULL))
				return 0;
		if (taken == 1) {
			pst_config_usage(build, directive, &next->place, "codes are missing");
			return 0;
		}
	} else {
		pst_config_usage(build, directive, &word->place,
				 is(word, "codes") ? "`codes` stands behind a `score` or `reject`"
						   : "this is none of its words");
		return 0;
	}
	return taken;
}

static bool read_zone_name(struct pst_config_build *build, const struct pst_config_word *word,
			   struct zone_build *z)
{
	const struct pst_config_item *item;

	if (!pst_config_domain_ok(word->text) || word->text.len > PST_DNS_NAME_MAX - 70) {
		pst_config_error(build, &word->place,
				 "\"%.*s\" is not a list's zone, as in zen.example.org",
				 PST_CONFIG_TEXT(word->text));
		return false;
	}
	z->zone.zone = pst_config_lower_copy(build, word->text);
	for (item = build->zones.first; item; item = item->next)
		if (pst_span_eq(item->is.zone->zone, z->zone.zone)) {
			pst_config_error(build, &word->place, "this list was given before, at %.*s:%u",
					 PST_CONFIG_TEXT(item->place.file->name), item->place.line);
			return false;
		}
	return !build->nomem;
}

static void finish_zone(struct pst_config_build *build, struct zone_build *z)
{
	struct pst_dnsbl_code *codes;
	struct pst_dnsbl_zone *zone;
	struct pst_config_item *item;
	uint8_t name[64];

	z->zone.shown = pst_dnsbl_shown(z->zone.zone);
	if (z->zone.name.len == 0)
		z->zone.name = pst_config_copy(
			build, &build->config->arena,
			(struct pst_span){name, pst_dnsbl_name(z->zone.shown, z->zone.is_domain,
							       name, sizeof(name))});
	codes = pst_config_get(build, &build->config->arena, z->zone.code_count * sizeof(*codes));
	zone = pst_config_get(build, &build->scratch, sizeof(*zone));
	item = codes && zone ? pst_config_item_add(build, &build->zones, &build->words[1].place)
			     : NULL;
	if (!item)
		return;
	memcpy(codes, z->codes, z->zone.code_count * sizeof(*codes));
	*zone = z->zone;
	zone->codes = codes;
	item->is.zone = zone;
}

void pst_config_read_dnsbl(struct pst_config_build *build,
			   const struct pst_config_directive *directive)
{
	struct zone_build z = {.zone.selftest = true};
	uint32_t taken = 2;

	if (build->word_count < 2) {
		pst_config_missing(build, directive, "the list's zone is missing");
		return;
	}
	if (!read_zone_name(build, &build->words[1], &z))
		return;
	for (uint32_t i = 2; i < build->word_count; i += taken) {
		taken = read_zone_word(build, directive, &z, i);
		if (taken == 0)
			return;
	}
	if (!close_group(build, &z, &build->words[build->word_count - 1]))
		return;
	if (z.zone.code_count == 0)
		pst_config_missing(build, directive, "`score` or `reject` is missing");
	else if (build->zones.count == PST_DNSBL_ZONES_MAX)
		pst_config_error(build, &build->words[1].place, "more than %d lists",
				 PST_DNSBL_ZONES_MAX);
	else
		finish_zone(build, &z);
}

/* --- spf ------------------------------------------------------------------------------------ */

void pst_config_read_spf(struct pst_config_build *build, const struct pst_config_directive *directive)
{
	if (build->word_count == 2 && is(&build->words[1], "off"))
		build->config->proxy.spf.off = true;
	else
		pst_config_read_options(build, directive);
}

/* --- os ------------------------------------------------------------------------------------- */

void pst_config_read_os(struct pst_config_build *build, const struct pst_config_directive *directive)
{
	if (build->word_count != 2 || !is(&build->words[1], "off"))
		pst_config_read_options(build, directive);
	else if (pst_config_give(build, directive, 0, &build->words[0].place))
		build->config->os_path = PST_SPAN_NONE;
}

/* The signature of the line in build->words. */
static void add_signature(struct pst_config_build *build, struct pst_config_items *items)
{
	struct pst_config_place place = build->words[build->word_count - 1].place;
	struct pst_os_signature *signature = pst_config_get(build, &build->scratch, sizeof(*signature));
	struct pst_span words[PST_OS_WORDS_MAX];
	struct pst_config_item *item;
	struct pst_os_fault fault;

	for (uint32_t i = 0; i < PST_MIN(build->word_count, PST_OS_WORDS_MAX); i++)
		words[i] = build->words[i].text;
	if (!signature)
		return;
	if (pst_os_signature_parse(words, build->word_count, signature, &fault)) {
		if (fault.word < build->word_count)
			place = build->words[fault.word].place;
		else
			place.column += place.width;
		pst_config_error(build, &place, "%s", fault.text);
		return;
	}
	signature->label = pst_config_copy(build, &build->config->arena, signature->label);
	item = pst_config_item_add(build, items, &place);
	if (item)
		item->is.signature = signature;
}

static void read_signatures(struct pst_config_build *build, const struct pst_config_place *place)
{
	struct pst_os_conf *os = &build->config->proxy.os;
	const struct pst_config_file *file = pst_config_open(build, build->config->os_path, place);
	uint32_t errors_before = build->error_count;
	struct pst_config_items items = {NULL, NULL, 0};
	struct pst_span rest = file ? file->text : PST_SPAN_NONE;
	struct pst_os_signature *signatures;

	for (uint32_t number = 1; rest.len && !build->nomem; number++) {
		struct pst_span line = pst_config_line(&rest);

		if (pst_config_lex(build, file, number, line))
			add_signature(build, &items);
	}
	if (!file || build->nomem || build->error_count > errors_before)
		return;
	if (items.count == 0 || items.count > PST_OS_SIGNATURES_MAX) {
		pst_config_error(build, place, items.count ? "%.*s: more than %d signatures" : "%.*s: no signatures",
				 PST_CONFIG_TEXT(file->name), PST_OS_SIGNATURES_MAX);
		return;
	}
	signatures = pst_config_get(build, &build->config->arena, items.count * sizeof(*signatures));
	for (const struct pst_config_item *item = items.first; signatures && item; item = item->next)
		signatures[os->signature_count++] = *item->is.signature;
	os->signatures = signatures;
}

/* --- dry-run -------------------------------------------------------------------------------- */

void pst_config_read_dry_run(struct pst_config_build *build,
			     const struct pst_config_directive *directive)
{
	if (build->word_count < 2)
		pst_config_missing(build, directive, "the name of a finding is missing");
	for (uint32_t i = 1; i < build->word_count; i++) {
		struct pst_config_item *item =
			pst_config_item_add(build, &build->dry_names, &build->words[i].place);

		if (item)
			item->is.domain = pst_config_copy(build, &build->config->arena,
							  build->words[i].text);
	}
}

/* What can be found besides the lists. */
static const char *const findings[] = {
#define PST_FACT(name, fact, points, describe) #name,
#include "facts/facts.def"
#undef PST_FACT
#define PST_SYSTEM(name, points, describe) "OS_" #name,
#include "facts/systems.def"
#undef PST_SYSTEM
#define PST_FINDING(name) #name,
#include "facts/findings.def"
#undef PST_FINDING
};

static bool names_any(const struct pst_proxy_conf *conf, struct pst_span pattern,
		      struct pst_nearest *nearest)
{
	for (uint32_t i = 0; i < PST_COUNT(findings); i++) {
		if (pst_policy_names(pattern, pst_span_text(findings[i])))
			return true;
		pst_nearest_offer(nearest, findings[i]);
	}
	for (uint32_t i = 0; i < conf->dnsbl.zone_count; i++)
		if (pst_policy_names(pattern, conf->dnsbl.zones[i].name))
			return true;
	return false;
}

/* A misspelt name would let its check refuse mail, and its owner think that it does not. */
static void finish_dry_run(struct pst_config_build *build)
{
	struct pst_proxy_conf *conf = &build->config->proxy;
	uint32_t count = 0;
	struct pst_span *names = pst_config_get(
		build, &build->config->arena, PST_MAX(build->dry_names.count, 1) * sizeof(*names));

	for (const struct pst_config_item *item = build->dry_names.first; names && item;
	     item = item->next) {
		struct pst_nearest nearest;

		pst_nearest_init(&nearest, item->is.domain);
		names[count++] = item->is.domain;
		if (names_any(conf, item->is.domain, &nearest))
			continue;
		pst_config_error(build, &item->place,
				 "no check finds \"%.*s\"; %s%s%s", PST_CONFIG_TEXT(item->is.domain),
				 nearest.best ? "did you mean \"" : "names are those of `hits` in the log",
				 nearest.best ? nearest.best : "", nearest.best ? "\"?" : "");
	}
	conf->policy.dry_names = names;
	conf->policy.dry_name_count = count;
}

/* --- rules ---------------------------------------------------------------------------------- */

void pst_config_read_rules(struct pst_config_build *build,
			   const struct pst_config_directive *directive)
{
	struct pst_config_rules *rules = &build->config->rules;

	if (!PST_RULES_BUILT) {
		pst_config_error(build, &build->words[0].place,
				 "this program was built without rules (POSTERN_RULES)");
		return;
	}
	if (build->word_count < 2) {
		pst_config_missing(build, directive, "the name of a file or folder is missing");
		return;
	}
	for (uint32_t i = 1; i < build->word_count; i++) {
		const struct pst_config_word *word = &build->words[i];
		struct pst_config_rules_path *path;

		if (rules->path_count == PST_CONFIG_RULES_MAX) {
			pst_config_error(build, &word->place, "more than %d files and folders",
					 PST_CONFIG_RULES_MAX);
			return;
		}
		path = &rules->paths[rules->path_count++];
		path->path = pst_config_path(build, &build->config->arena, word);
		path->file = pst_config_copy(build, &build->config->arena,
					     word->place.file->name);
		path->line = word->place.line;
	}
}

/* --- verdict -------------------------------------------------------------------------------- */

static bool takes(const struct pst_route *route, struct pst_span domain)
{
	for (uint32_t i = 0; i < route->domain_count; i++) {
		struct pst_span taken = route->domains[i];

		if (pst_span_eq(taken, PST_SPAN("*")) || pst_span_eq(taken, domain) ||
		    (taken.at[0] == '.' && pst_span_ends_nocase(domain, taken)))
			return true;
	}
	return false;
}

static void check_quarantine(struct pst_config_build *build)
{
	const struct pst_proxy_conf *conf = &build->config->proxy;
	struct pst_span address = conf->policy.quarantine, domain;
	bool routed = false;

	if (address.len == 0) {
		if (conf->policy.lines[PST_ACTION_QUARANTINE] != PST_SCORE_NEVER)
			pst_config_error(build, pst_config_table_given(build, "verdict", "quarantine"),
					 "where to? write: verdict quarantine SCORE to ADDRESS");
		return;
	}
	domain = pst_span_sub(address, (uint32_t)pst_span_rfind(address, '@') + 1, address.len);
	for (uint32_t i = 0; i < conf->relay.route_count; i++)
		routed = routed || takes(&conf->relay.routes[i], domain);
	if (!routed)
		pst_config_error(build, pst_config_table_given(build, "verdict", "to"),
				 "no `relay` line takes mail for %.*s", PST_CONFIG_TEXT(address));
}

/* --- store ---------------------------------------------------------------------------------- */

static void check_store(struct pst_config_build *build)
{
	if (build->config->store.path.len > PST_STORE_PATH_MAX)
		pst_config_error(build, pst_config_table_given(build, "store", "file"),
				 "the name is longer than %d bytes", PST_STORE_PATH_MAX);
}

/* --- the end -------------------------------------------------------------------------------- */

void pst_config_finish_checks(struct pst_config_build *build)
{
	struct pst_proxy_conf *conf = &build->config->proxy;
	struct pst_config_arena *arena = &build->config->arena;
	struct pst_dnsbl_zone *zones;
	uint32_t count = 0;

	zones = pst_config_get(build, arena, PST_MAX(build->zones.count, 1) * sizeof(*zones));
	conf->zones = pst_config_get(build, arena, sizeof(*conf->zones));
	if (!zones || !conf->zones)
		return;
	for (const struct pst_config_item *item = build->zones.first; item; item = item->next)
		zones[count++] = *item->is.zone;
	conf->dnsbl = (struct pst_dnsbl_conf){zones, count};
	finish_dry_run(build);
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < conf->policy.dry_name_count; k++)
			zones[i].dry |= pst_policy_names(conf->policy.dry_names[k], zones[i].name);
	check_store(build);
	if (build->config->os_path.len)
		read_signatures(build, pst_config_table_given(build, "os", "signatures"));
	pst_zones_init(conf->zones, &conf->dnsbl);
	check_quarantine(build);
	if (conf->dns.off && count > 0)
		pst_config_warning(build, &build->zones.first->place,
				   "lists are named, and `dns off` asks nobody");
}
