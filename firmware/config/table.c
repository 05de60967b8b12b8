#include "config/table_priv.h"

const struct pst_config_choice pst_config_entry_kinds[] = {
	{"client", PST_ENTRY_CLIENT},
	{"sender", PST_ENTRY_SENDER},
	{"recipient", PST_ENTRY_RECIPIENT},
	{NULL, 0},
};

#define KIB(n) ((uint64_t)(n) * 1024)
#define MIB(n) ((uint64_t)(n) * 1024 * 1024)
#define SECONDS(n) ((uint64_t)(n) * 1000)

#define WHERE(type, member) \
	.offset = offsetof(struct type, member), .width = sizeof(((struct type *)0)->member)
#define IN_CONFIG(member) WHERE(pst_config, member)
#define IN_ROUTE(member) WHERE(pst_route, member)

static const struct pst_config_choice pass_choices[] = {
	{"auto", PST_RELAY_PASS_AUTO},
	{"xforward", PST_RELAY_PASS_XFORWARD},
	{"none", PST_RELAY_PASS_NONE},
	{"proxy", PST_RELAY_PASS_PROXY},
	{NULL, 0},
};

static const struct pst_config_choice routing_choices[] = {{"refuse", 0}, {"allow", 1}, {NULL, 0}};
static const struct pst_config_choice text_choices[] = {{"own", 0}, {"pass", 1}, {NULL, 0}};

static const struct pst_config_choice relay_tls_choices[] = {
	{"may", PST_RELAY_TLS_MAY},
	{"off", PST_RELAY_TLS_OFF},
	{"must", PST_RELAY_TLS_MUST},
	{NULL, 0},
};

static const struct pst_config_choice tls_choices[] = {
	{"auto", PST_CONFIG_TLS_AUTO},
	{"off", PST_CONFIG_TLS_OFF},
	{NULL, 0},
};

static const struct pst_config_choice newline_choices[] = {
	{"normalize", 0}, {"reject", 1}, {NULL, 0}};

static const struct pst_config_choice mode_choices[] = {
	{"enforce", PST_MODE_ENFORCE},
	{"tag", PST_MODE_TAG},
	{"observe", PST_MODE_OBSERVE},
	{NULL, 0},
};

static const struct pst_config_choice log_choices[] = {
	{"stderr", PST_CONFIG_LOG_STDERR},
	{"file", PST_CONFIG_LOG_FILE},
	{"syslog", PST_CONFIG_LOG_SYSLOG},
	{NULL, 0},
};

static const struct pst_config_choice confine_choices[] = {{"on", true}, {"off", false}, {NULL, 0}};

#define RANGE(least, most, usual) .min = (least), .max = (most), .preset = (usual)
#define COUNT_OF(text, where, least, most, usual) \
	{text, PST_CONFIG_COUNT, where, RANGE(least, most, usual)}
#define SIZE_OF(text, where, least, most, usual) \
	{text, PST_CONFIG_SIZE, where, RANGE(least, most, usual)}
#define TIME_OF(text, where, most_s, usual_s) \
	{text, PST_CONFIG_TIME, where, RANGE(1, SECONDS(most_s), SECONDS(usual_s))}
#define CHOICE_OF(text, where, list, usual) \
	{text, PST_CONFIG_CHOICE, where, .choices = (list), .preset = (usual)}

#define TEXT_OF(text, kind, where) {text, kind, where, RANGE(0, 0, 0)}

static const struct pst_config_option relay_options[] = {
	CHOICE_OF("pass", IN_ROUTE(pass), pass_choices, PST_RELAY_PASS_AUTO),
	COUNT_OF("connections", IN_ROUTE(connection_max), 1, 10000, 16),
	CHOICE_OF("tls", IN_ROUTE(security.tls), relay_tls_choices, PST_RELAY_TLS_MAY),
	TEXT_OF("verify", PST_CONFIG_NAME, IN_ROUTE(security.name)),
	TEXT_OF("pin", PST_CONFIG_PINS, IN_ROUTE(security)),
	CHOICE_OF("routing", IN_ROUTE(routing_allow), routing_choices, false),
	CHOICE_OF("text", IN_ROUTE(text_pass), text_choices, false),
	{"via", PST_CONFIG_VIA, IN_ROUTE(via), RANGE(0, 0, 0)},
};

static const struct pst_config_choice trouble_choices[] = {
	{"accept", false}, {"defer", true}, {NULL, 0}};
static const struct pst_config_choice label_choices[] = {
	{"label", false}, {"defer", true}, {NULL, 0}};

/* config/checks.c knows their order. */
static const struct pst_config_option dns_options[] = {
	CHOICE_OF("trouble", IN_CONFIG(proxy.dns.trouble_defers), trouble_choices, false),
	SIZE_OF("cache", IN_CONFIG(proxy.dns.cache_bytes), KIB(16), MIB(256), KIB(512)),
	{"via", PST_CONFIG_VIA, IN_CONFIG(dns_via), RANGE(0, 0, 0)},
};

#define SCORE_OF(text, where, usual) {text, PST_CONFIG_SCORE, where, .preset = (uint32_t)(usual)}
#define LINE_OF(text, where, usual) \
	{text, PST_CONFIG_SCORE, where, .preset = (uint32_t)(usual), .max = 1}
#define LINE(action) IN_CONFIG(proxy.policy.lines[PST_ACTION_##action])

static const struct pst_config_option verdict_options[] = {
	LINE_OF("tag", LINE(TAG), PST_SCORE(5)),
	LINE_OF("defer", LINE(DEFER), PST_SCORE_NEVER),
	LINE_OF("quarantine", LINE(QUARANTINE), PST_SCORE_NEVER),
	TEXT_OF("to", PST_CONFIG_MAILBOX, IN_CONFIG(proxy.policy.quarantine)),
	TEXT_OF("subject", PST_CONFIG_LABEL, IN_CONFIG(proxy.policy.subject)),
	LINE_OF("reject", LINE(REJECT), PST_SCORE(15)),
	LINE_OF("drop", LINE(DROP), PST_SCORE_NEVER),
};

static const struct pst_config_choice switch_choices[] = {{"off", false}, {"on", true}, {NULL, 0}};
static const struct pst_config_choice start_choices[] = {
	{"empty", false}, {"refuse", true}, {NULL, 0}};

static const struct pst_config_option store_options[] = {
	TEXT_OF("file", PST_CONFIG_PATH, IN_CONFIG(store.path)),
	SIZE_OF("size", IN_CONFIG(store.bytes), KIB(16), MIB(16), KIB(512)),
	TIME_OF("every", IN_CONFIG(store.every_ms), 86400, 60),
	CHOICE_OF("trouble", IN_CONFIG(store.trouble_refuses), start_choices, false),
};

/* read.c knows that the switch comes first. */
static const struct pst_config_option greylist_options[] = {
	CHOICE_OF(NULL, IN_CONFIG(proxy.greylist.on), switch_choices, false),
	SCORE_OF("from", IN_CONFIG(proxy.greylist.from), PST_SCORE(2)),
	TIME_OF("delay", IN_CONFIG(proxy.greylist.delay_ms), 86400, 120),
	TIME_OF("window", IN_CONFIG(proxy.greylist.window_ms), 7 * 86400, 48 * 3600),
	TIME_OF("pass", IN_CONFIG(proxy.greylist.pass_ms), 45 * 86400, 36 * 86400),
};

static const struct pst_config_option rate_options[] = {
	COUNT_OF("client", IN_CONFIG(proxy.rate_client_count_max), 0, 1000000, 0),
	COUNT_OF("sender", IN_CONFIG(proxy.rate_sender_count_max), 0, 1000000, 0),
	TIME_OF("per", IN_CONFIG(proxy.rate_period_ms), 86400, 3600),
};

#define SPF(result) IN_CONFIG(proxy.spf.scores[PST_SPF_##result])

static const struct pst_config_option spf_options[] = {
	SCORE_OF("fail", SPF(FAIL), PST_SCORE(2)),
	SCORE_OF("softfail", SPF(SOFTFAIL), PST_SCORE(1)),
	SCORE_OF("neutral", SPF(NEUTRAL), 0),
	SCORE_OF("none", SPF(NONE), 0),
	SCORE_OF("pass", SPF(PASS), 0),
	SCORE_OF("temperror", SPF(TEMPERROR), 0),
	SCORE_OF("permerror", SPF(PERMERROR), 0),
	CHOICE_OF("trouble", IN_CONFIG(proxy.spf.trouble_defers), label_choices, false),
	COUNT_OF("lookups", IN_CONFIG(proxy.spf.lookup_count_max), 1, 10, 10),
	COUNT_OF("voids", IN_CONFIG(proxy.spf.void_count_max), 0, 10, 2),
};

static const struct pst_config_option score_options[] = {
#define PST_FACT(name, fact, points, describe) \
	SCORE_OF(#name, IN_CONFIG(proxy.policy.fact_scores[PST_FACT_NAME_##name]), points),
#include "facts/facts.def"
#undef PST_FACT
#define PST_SYSTEM(name, points, describe) \
	SCORE_OF("OS_" #name, IN_CONFIG(proxy.policy.system_scores[PST_SYSTEM_##name]), points),
#include "facts/systems.def"
#undef PST_SYSTEM
};

static const struct pst_config_option os_option =
	TEXT_OF("signatures", PST_CONFIG_PATH, IN_CONFIG(os_path));

static const struct pst_config_option message_option =
	SIZE_OF(NULL, IN_CONFIG(proxy.policy.message_bytes_max), KIB(1), MIB(4096), MIB(50));
static const struct pst_config_option header_option =
	SIZE_OF(NULL, IN_CONFIG(proxy.header_bytes_max), KIB(1), MIB(4), KIB(128));
static const struct pst_config_option hold_option =
	SIZE_OF(NULL, IN_CONFIG(proxy.hold_bytes_max), KIB(1), MIB(256), KIB(256));
static const struct pst_config_option hold_pool_option =
	SIZE_OF(NULL, IN_CONFIG(proxy.hold_pool_bytes), KIB(64), MIB(4096), MIB(16));
static const struct pst_config_option ledger_option =
	COUNT_OF(NULL, IN_CONFIG(proxy.ledger_count_max), 0, 1000000, 4096);
static const struct pst_config_option recipients_option =
	COUNT_OF(NULL, IN_CONFIG(proxy.policy.recipient_count_max), 1, 50000, 1000);
static const struct pst_config_option hops_option =
	COUNT_OF(NULL, IN_CONFIG(proxy.policy.hop_count_max), 1, 1000, 100);
static const struct pst_config_option tarpit_option =
	SIZE_OF(NULL, IN_CONFIG(proxy.tarpit_bytes_per_s), 0, MIB(1), 0);
static const struct pst_config_option newline_option =
	CHOICE_OF(NULL, IN_CONFIG(proxy.policy.bare_newline_reject), newline_choices, false);
static const struct pst_config_option mode_option =
	CHOICE_OF(NULL, IN_CONFIG(proxy.policy.mode), mode_choices, PST_MODE_ENFORCE);
static const struct pst_config_option confine_option =
	CHOICE_OF(NULL, IN_CONFIG(confine), confine_choices, true);
static const struct pst_config_option log_option =
	CHOICE_OF(NULL, IN_CONFIG(log), log_choices, PST_CONFIG_LOG_STDERR);

#define IN_PROXY(member) IN_CONFIG(proxy.member)
#define SESSIONS CONFIG_POSTERN_SESSIONS_DEFAULT

/* config/tls.c knows their order. */
static const struct pst_config_option tls_options[] = {
	COUNT_OF("handshakes", IN_PROXY(handshake_count_max), 1, 65535, 16),
	TEXT_OF("state", PST_CONFIG_PATH, IN_CONFIG(tls.state)),
	TEXT_OF("ca", PST_CONFIG_PATH, IN_CONFIG(tls.ca)),
	CHOICE_OF(NULL, IN_CONFIG(tls.mode), tls_choices, PST_CONFIG_TLS_AUTO),
};

static const struct pst_config_option limit_options[] = {
	COUNT_OF("sessions", IN_PROXY(session_count_max), 1, 65535, SESSIONS),
	COUNT_OF("per-client", IN_PROXY(per_client_count_max), 1, 65535, 20),
	COUNT_OF("errors-soft", IN_PROXY(policy.error_soft_count), 1, 10000, 10),
	COUNT_OF("errors-hard", IN_PROXY(policy.error_hard_count), 1, 10000, 20),
	COUNT_OF("refusals", IN_PROXY(policy.refusal_count_max), 1, 10000, 2),
	COUNT_OF("relay-messages", IN_PROXY(relay.message_count_max), 1, 1000000, 100),
	COUNT_OF("relay-refusals", IN_PROXY(relay.refusal_count_max), 1, 1000000, 5),
	COUNT_OF("relay-noops", IN_PROXY(relay.noop_count_max), 0, 10000, 20),
};

static const struct pst_config_option timeout_options[] = {
	{"early-talk", PST_CONFIG_TIME, IN_PROXY(early_ms), RANGE(0, SECONDS(60), SECONDS(2))},
	TIME_OF("idle", IN_PROXY(idle_ms), 86400, 300),
	TIME_OF("transaction", IN_PROXY(transaction_ms), 86400, 3600),
	SIZE_OF("rate", IN_PROXY(rate_bytes_per_s), 0, MIB(1024), 500),
	TIME_OF("reply", IN_PROXY(reply_ms), 3600, 240),
	TIME_OF("drain", IN_PROXY(drain_ms), 3600, 30),
	TIME_OF("relay-connect", IN_PROXY(relay.connect_ms), 3600, 30),
	TIME_OF("relay-command", IN_PROXY(relay.command_ms), 3600, 300),
	TIME_OF("relay-data", IN_PROXY(relay.final_ms), 7200, 600),
	TIME_OF("relay-noop", IN_PROXY(relay.noop_ms), 3600, 60),
	TIME_OF("relay-idle", IN_PROXY(relay.idle_ms), 3600, 5),
	TIME_OF("relay-life", IN_PROXY(relay.life_ms), 86400, 300),
};

/* The order is the one `postern show` prints in. */
const struct pst_config_directive pst_config_table[] = {
	{"include", "FILE", pst_config_read_include, NULL, NULL, 0, false},
	{"hostname", "NAME", pst_config_read_hostname, pst_config_show_hostname, NULL, 0, false},
	{"interface",
	 "NAME [tap|packet] [address ADDRESS/BITS ...] [gateway ADDRESS] [dhcp] [slaac] "
	 "[mac auto|XX:XX:XX:XX:XX:XX]",
	 pst_config_read_interface, pst_config_show_interface, NULL, 0, false},
	{"listen", "ADDRESS:PORT|INTERFACE:PORT ... [proxy] [tls] [submission]",
	 pst_config_read_listen, pst_config_show_listen, NULL, 0, false},
	{"relay",
	 "DOMAIN ... to ADDRESS:PORT ... [pass auto|xforward|none|proxy] [connections N] "
	 "[tls may|off|must] [verify NAME | pin sha256:HEX,...] "
	 "[routing refuse|allow] [text own|pass] [via INTERFACE]",
	 pst_config_read_relay, pst_config_show_relay, relay_options, PST_COUNT(relay_options),
	 true},
	{"submission",
	 "to ADDRESS:PORT ... [pass auto|xforward|none] [connections N] [tls may|off|must] "
	 "[verify NAME | pin sha256:HEX,...] [text own|pass] [via INTERFACE]",
	 pst_config_read_submission, pst_config_show_submission, relay_options,
	 PST_COUNT(relay_options), true},
	{"tls",
	 "auto | off | cert FILE [key FILE] ... | state FOLDER | handshakes NUMBER | ca FILE | "
	 "require-from DOMAIN ...",
	 pst_config_read_tls, pst_config_show_tls, tls_options, PST_COUNT(tls_options), false},
	{"trust", "none | NETWORK ...", pst_config_read_trust, pst_config_show_trust, NULL, 0,
	 false},
	{"allow",
	 "client NETWORK ... | sender ADDRESS|@DOMAIN ... [from NETWORK ...] | "
	 "recipient ADDRESS|@DOMAIN ...",
	 pst_config_read_entry, pst_config_show_entries, NULL, 0, false},
	{"deny",
	 "client NETWORK ... | sender ADDRESS|@DOMAIN ... [from NETWORK ...] | "
	 "recipient ADDRESS|@DOMAIN ...",
	 pst_config_read_entry, NULL, NULL, 0, false},
	{"message", "SIZE", pst_config_read_scalar, pst_config_show_options, &message_option, 1,
	 false},
	{"header", "SIZE", pst_config_read_scalar, pst_config_show_options, &header_option, 1,
	 false},
	{"hold", "SIZE", pst_config_read_scalar, pst_config_show_options, &hold_option, 1, false},
	{"hold-pool", "SIZE", pst_config_read_scalar, pst_config_show_options, &hold_pool_option, 1,
	 false},
	{"ledger", "NUMBER", pst_config_read_scalar, pst_config_show_options, &ledger_option, 1, false},
	{"recipients", "NUMBER", pst_config_read_scalar, pst_config_show_options,
	 &recipients_option, 1, false},
	{"hops", "NUMBER", pst_config_read_scalar, pst_config_show_options, &hops_option, 1, false},
	{"bare-newline", "normalize | reject [except NETWORK ...]", pst_config_read_bare_newline,
	 pst_config_show_bare_newline, &newline_option, 1, false},
	{"limit",
	 "sessions|per-client|errors-soft|errors-hard|refusals|relay-messages|relay-refusals|relay-noops "
	 "NUMBER ...",
	 pst_config_read_options, pst_config_show_options, limit_options, PST_COUNT(limit_options),
	 false},
	{"tarpit", "BYTES", pst_config_read_scalar, pst_config_show_options, &tarpit_option, 1, false},
	{"timeout",
	 "early-talk|idle|transaction|reply|drain|relay-connect|relay-command|relay-data|relay-noop|"
	 "relay-idle|relay-life TIME ... | rate BYTES",
	 pst_config_read_options, pst_config_show_options, timeout_options,
	 PST_COUNT(timeout_options), false},
	{"rules", "PATH ...", pst_config_read_rules, pst_config_show_rules, NULL, 0, false},
	{"dns", "off | system | ADDRESS[:PORT] ... [trouble accept|defer] [cache SIZE] "
	 "[via INTERFACE]",
	 pst_config_read_dns, pst_config_show_dns, dns_options, PST_COUNT(dns_options), false},
	{"dnsbl",
	 "ZONE [score SCORE | reject [codes CODE ...]] ... [domain] [direct] [dry-run] "
	 "[selftest off] [as NAME]",
	 pst_config_read_dnsbl, pst_config_show_dnsbl, NULL, 0, false},
	{"spf",
	 "off | [fail|softfail|neutral|none|pass|temperror|permerror SCORE ...] "
	 "[trouble label|defer] [lookups NUMBER] [voids NUMBER]",
	 pst_config_read_spf, pst_config_show_spf, spf_options, PST_COUNT(spf_options), false},
	{"greylist", "off | on [from SCORE] [delay TIME] [window TIME] [pass TIME]",
	 pst_config_read_switch, pst_config_show_options, greylist_options,
	 PST_COUNT(greylist_options), false},
	{"rate", "[client NUMBER] [sender NUMBER] [per TIME]", pst_config_read_options,
	 pst_config_show_options, rate_options, PST_COUNT(rate_options), false},
	{"os", "off | signatures FILE", pst_config_read_os, pst_config_show_os, &os_option, 1, false},
	{"dry-run", "NAME ...", pst_config_read_dry_run, pst_config_show_dry_run, NULL, 0, false},
	{"store", "[file PATH] [size SIZE] [every TIME] [trouble empty|refuse]",
	 pst_config_read_options, pst_config_show_options, store_options,
	 PST_COUNT(store_options), false},
	{"verdict",
	 "[tag SCORE|off] [subject LABEL] [defer SCORE|off] [quarantine SCORE|off to ADDRESS] "
	 "[reject SCORE|off] [drop SCORE|off]",
	 pst_config_read_options, pst_config_show_options, verdict_options,
	 PST_COUNT(verdict_options), false},
	{"score", "FACT SCORE ...", pst_config_read_options, pst_config_show_options, score_options,
	 PST_COUNT(score_options), false},
	{"mode", "enforce | tag | observe", pst_config_read_scalar, pst_config_show_options,
	 &mode_option, 1, false},
	{"control", "off | PATH", pst_config_read_control, pst_config_show_control, NULL, 0, false},
	{"log", "stderr | file PATH | syslog [PATH]", pst_config_read_log, pst_config_show_log,
	 &log_option, 1, false},
	{"user", "NAME", pst_config_read_user, pst_config_show_user, NULL, 0, false},
	{"confine", "on | off", pst_config_read_scalar, pst_config_show_options, &confine_option, 1,
	 false},
};

const uint32_t pst_config_table_count = PST_COUNT(pst_config_table);

_Static_assert(PST_COUNT(pst_config_table) <= PST_CONFIG_DIRECTIVES_MAX, "given[] is too small");
_Static_assert(PST_COUNT(timeout_options) <= PST_CONFIG_OPTIONS_MAX, "given[] is too small");
_Static_assert(PST_COUNT(limit_options) <= PST_CONFIG_OPTIONS_MAX, "given[] is too small");
_Static_assert(PST_COUNT(score_options) <= PST_CONFIG_OPTIONS_MAX, "given[] is too small");

void pst_config_table_preset(struct pst_config *config)
{
	for (uint32_t d = 0; d < pst_config_table_count; d++) {
		const struct pst_config_directive *directive = &pst_config_table[d];

		for (uint32_t i = 0; !directive->per_route && i < directive->option_count; i++) {
			const struct pst_config_option *option = &directive->options[i];

			if (!pst_config_is_text(option))
				pst_config_store(pst_config_field(config, option), option->width,
						 option->preset);
		}
	}
}

void pst_config_table_read(struct pst_config_build *build)
{
	const struct pst_config_word *word = &build->words[0];
	struct pst_nearest nearest;
	uint8_t area[512];
	struct pst_buf known;

	pst_nearest_init(&nearest, word->text);
	pst_buf_init(&known, area, sizeof(area));
	for (uint32_t i = 0; i < pst_config_table_count; i++) {
		if (pst_span_eq(word->text, pst_span_text(pst_config_table[i].name))) {
			pst_config_table[i].read(build, &pst_config_table[i]);
			return;
		}
		pst_nearest_offer(&nearest, pst_config_table[i].name);
		PST_BUG_ON(pst_buf_printf(&known, "%s%s", i ? ", " : "", pst_config_table[i].name));
	}
	if (nearest.best)
		pst_config_error(build, &word->place,
				 "unknown directive \"%.*s\"; did you mean "
				 "\"%s\"?",
				 PST_CONFIG_TEXT(word->text), nearest.best);
	else
		pst_config_error(build, &word->place, "unknown directive \"%.*s\"; there are %.*s",
				 PST_CONFIG_TEXT(word->text),
				 PST_CONFIG_TEXT(pst_buf_span(&known)));
}

const struct pst_config_place *pst_config_table_given(const struct pst_config_build *build,
						      const char *directive, const char *option)
{
	for (uint32_t d = 0; d < pst_config_table_count; d++) {
		const struct pst_config_directive *row = &pst_config_table[d];
		uint32_t i = 0;

		if (!pst_span_eq(pst_span_text(row->name), pst_span_text(directive)))
			continue;
		while (option &&
		       !pst_span_eq(pst_span_text(row->options[i].name), pst_span_text(option))) {
			i++;
			PST_BUG_ON(i == row->option_count);
		}
		return &build->given[d][i];
	}
	PST_BUG_ON(true);
	return NULL;
}
