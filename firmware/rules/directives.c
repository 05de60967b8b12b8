/* rules/directives.c - what each keyword of a rule file does */
#include "rules/load_priv.h"

#define HITS_MAX 65535u

static void malformed(struct pst_rules_load *load, struct pst_span rule, const char *wanted)
{
	pst_rules_load_complain(load, PST_RULES_ERROR, rule, "malformed; write %s", wanted);
}

/* The rule's name in front of `value`, which must have something behind it. */
static struct pst_rules_name *take_named(
	struct pst_rules_load *load, struct pst_span *value, const char *wanted)
{
	struct pst_span word = pst_rules_take_word(value);

	if (value->len == 0 || word.len > PST_RULES_NAME_LEN_MAX) {
		malformed(load, word, wanted);
		return NULL;
	}
	return pst_rules_name_get(load, word);
}

/* -------------------------------------------------------------------------------------- scores */

/* "-1.5", or "(0.5)" to add to what was there before. */
static bool parse_score(struct pst_span text, pst_score *score, bool *relative)
{
	if (text.len > 2 && text.at[0] == '(' && text.at[text.len - 1] == ')') {
		text = pst_span_sub(text, 1, text.len - 2);
		*relative = true;
	}
	if (text.len == 0 || text.at[0] == '+' || text.at[0] == '.' ||
		text.at[text.len - 1] == '.' ||
		(text.len > 1 && text.at[0] == '-' && text.at[1] == '.'))
		return false;
	return pst_score_parse(text, score) == 0;
}

static void take_score(struct pst_rules_load *load, struct pst_span value, int which)
{
	static const char WANTED[] = "score NAME and one number, or four";
	struct pst_span text = pst_rules_take_word(&value), words[5];
	struct pst_rules_name *name;
	pst_score scores[4];
	bool relative = false;
	uint32_t count = 0;

	(void)which;
	while (value.len && count < 5)
		words[count++] = pst_rules_take_word(&value);
	if (text.len > PST_RULES_NAME_LEN_MAX || (count != 1 && count != 4)) {
		malformed(load, text, WANTED);
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		if (!parse_score(words[i], &scores[i], &relative)) {
			malformed(load, text, WANTED);
			return;
		}
	name = relative ? pst_rules_name_find(load, text) : pst_rules_name_get(load, text);
	if (relative && (!name || !name->scored)) {
		pst_rules_load_complain(load, PST_RULES_ERROR, text,
			"a relative score, but no score was given before");
		return;
	}
	if (!name)
		return;
	name->scored = true;
	for (uint32_t i = 0; i < 4; i++) {
		pst_score one = scores[count == 1 ? 0 : i];

		name->scores[i] = relative ? pst_score_add(name->scores[i], one) : one;
	}
}

/* -------------------------------------------------------------------------- what rules are like */

static void take_describe(struct pst_rules_load *load, struct pst_span value, int which)
{
	struct pst_rules_name *name = take_named(load, &value, "describe NAME and a text");

	(void)which;
	if (name)
		name->describe = pst_rules_load_copy(load, value);
}

static void take_tflags(struct pst_rules_load *load, struct pst_span value, int which)
{
	struct pst_rules_name *name = take_named(load, &value, "tflags NAME and flags");
	static const char MAXHITS[] = "maxhits=";

	(void)which;
	if (!name)
		return;
	name->tflags = 0;
	name->hits_max = 0;
	while (value.len) {
		struct pst_span word = pst_rules_take_word(&value);
		uint64_t number;

		if (pst_span_eq(word, PST_SPAN("net")))
			name->tflags |= PST_RULES_TFLAG_NET;
		else if (pst_span_eq(word, PST_SPAN("nice")))
			name->tflags |= PST_RULES_TFLAG_NICE;
		else if (pst_span_eq(word, PST_SPAN("learn")))
			name->tflags |= PST_RULES_TFLAG_LEARN;
		else if (pst_span_eq(word, PST_SPAN("multiple")))
			name->tflags |= PST_RULES_TFLAG_MULTIPLE;
		else if (pst_span_starts_nocase(word, pst_span_text(MAXHITS)) &&
			 pst_span_u64(pst_span_sub(word, sizeof(MAXHITS) - 1, word.len), HITS_MAX,
				 &number) == 0)
			name->hits_max = (uint32_t)number;
	}
}

static void take_priority(struct pst_rules_load *load, struct pst_span value, int which)
{
	struct pst_rules_name *name = take_named(load, &value, "priority NAME and a whole number");
	bool negative = value.len && value.at[0] == '-';
	uint64_t number;

	(void)which;
	if (!name)
		return;
	if (pst_span_u64(pst_span_sub(value, negative, value.len), INT32_MAX, &number)) {
		malformed(load, name->text, "priority NAME and a whole number");
		return;
	}
	name->priority = negative ? -(int32_t)number : (int32_t)number;
}

static void take_shortcircuit(struct pst_rules_load *load, struct pst_span value, int which)
{
	static const char *const WORDS[] = {"off", "on", "spam", "ham"};
	struct pst_rules_name *name =
		take_named(load, &value, "shortcircuit NAME on, off, spam or ham");

	(void)which;
	if (!name)
		return;
	for (uint32_t i = 0; i < PST_COUNT(WORDS); i++) {
		if (!pst_span_eq(value, pst_span_text(WORDS[i])))
			continue;
		name->shortcut = (uint8_t)i;
		if (i >= PST_RULES_SHORT_SPAM && name->priority == 0)
			name->priority = -200;
		if (i == PST_RULES_SHORT_HAM)
			name->tflags |= PST_RULES_TFLAG_NICE;
		return;
	}
	malformed(load, name->text, "shortcircuit NAME on, off, spam or ham");
}

/* ------------------------------------------------------------------------------- replace_* */

static void take_macro(struct pst_rules_load *load, struct pst_span value, int kind)
{
	struct pst_span name = pst_rules_take_word(&value);
	struct pst_rules_macro *macro;

	if (value.len == 0) {
		malformed(load, PST_SPAN_NONE, "the tag's name and what it stands for");
		return;
	}
	for (macro = load->macros; macro; macro = macro->next)
		if (macro->kind == kind && pst_span_eq(macro->name, name))
			break;
	if (!macro) {
		macro = pst_rules_load_get(load, sizeof(*macro));
		if (!macro)
			return;
		macro->kind = (uint8_t)kind;
		macro->name = pst_rules_load_copy(load, name);
		macro->next = load->macros;
		load->macros = macro;
	}
	macro->text = pst_rules_load_copy(load, value);
}

static void take_replace_rules(struct pst_rules_load *load, struct pst_span value, int which)
{
	(void)which;
	while (value.len) {
		struct pst_span word = pst_rules_take_word(&value);
		struct pst_rules_name *name =
			word.len <= PST_RULES_NAME_LEN_MAX ? pst_rules_name_get(load, word) : NULL;

		if (name)
			name->replaces = true;
	}
}

static void take_replace_mark(struct pst_rules_load *load, struct pst_span value, int is_end)
{
	if (value.len == 0)
		malformed(load, PST_SPAN_NONE, "the string that marks a tag");
	else if (is_end)
		load->replace_end = pst_rules_load_copy(load, value);
	else
		load->replace_start = pst_rules_load_copy(load, value);
}

/* --------------------------------------------------------------------------------------- others */

static void take_header(struct pst_rules_load *load, struct pst_span value, int which)
{
	(void)which;
	pst_rules_line_header(load, value);
}

static void take_mimeheader(struct pst_rules_load *load, struct pst_span value, int which)
{
	(void)which;
	pst_rules_line_mimeheader(load, value);
}

static void take_meta(struct pst_rules_load *load, struct pst_span value, int which)
{
	(void)which;
	pst_rules_line_meta(load, value);
}

static void take_body(struct pst_rules_load *load, struct pst_span value, int kind)
{
	pst_rules_line_body(load, (enum pst_rules_kind)kind, value);
}

static void take_rule_name(struct pst_rules_load *load, struct pst_span value, int kind)
{
	pst_rules_line_named(load, (enum pst_rules_kind)kind, value);
}

static const struct {
	const char *key;
	void (*take)(struct pst_rules_load *load, struct pst_span value, int which);
	int which;
} DIRECTIVES[] = {
	{"score", take_score, 0},
	{"describe", take_describe, 0},
	{"meta", take_meta, 0},
	{"header", take_header, 0},
	{"body", take_body, PST_RULES_KIND_BODY},
	{"rawbody", take_body, PST_RULES_KIND_RAWBODY},
	{"uri", take_body, PST_RULES_KIND_URI},
	{"full", take_body, PST_RULES_KIND_FULL},
	{"mimeheader", take_mimeheader, 0},
	{"uri_detail", take_rule_name, PST_RULES_KIND_URI_DETAIL},
	{"askdns", take_rule_name, PST_RULES_KIND_ASKDNS},
	{"reuse", take_rule_name, PST_RULES_KIND_EMPTY},
	{"tflags", take_tflags, 0},
	{"priority", take_priority, 0},
	{"shortcircuit", take_shortcircuit, 0},
	{"replace_tag", take_macro, PST_RULES_TAG},
	{"replace_pre", take_macro, PST_RULES_PRE},
	{"replace_inter", take_macro, PST_RULES_INTER},
	{"replace_post", take_macro, PST_RULES_POST},
	{"replace_rules", take_replace_rules, 0},
	{"replace_start", take_replace_mark, 0},
	{"replace_end", take_replace_mark, 1},
};

/* Taken without a word: reports, learning, look-ups, tuning of plugins. */
static const char *const IGNORED[] = {
	"add_header",
	"adsp_override",
	"allow_user_rules",
	"always_trust_envelope_sender",
	"asn_*",
	"authres_*",
	"auto_welcomelist_*",
	"auto_whitelist_*",
	"bayes_*",
	"blocklist_uri_host",
	"blacklist_uri_host",
	"body_part_scan_size",
	"clear_*",
	"country_db_*",
	"dcc_*",
	"dccifd_*",
	"dkim_*",
	"dmarc_*",
	"dns_*",
	"do_not_use_*",
	"enable_compat",
	"enlist_uri_host",
	"delist_uri_host",
	"envelope_sender_header",
	"extracttext_*",
	"fns_*",
	"fold_headers",
	"geodb_*",
	"hashbl_*",
	"ignore_received_spf_header",
	"inactive_languages",
	"loadplugin",
	"lock_method",
	"max_short_url*",
	"mbox_format_from_regex",
	"normalize_charset",
	"ok_languages",
	"ok_locales",
	"olemacro_*",
	"originating_ip_headers",
	"parse_dkim_uris",
	"phishing_*",
	"pyzor_*",
	"rawbody_part_scan_size",
	"razor_*",
	"rbl_headers",
	"rbl_timeout",
	"redirector_pattern",
	"remove_header",
	"report",
	"report_*",
	"required_hits",
	"required_score",
	"rewrite_header",
	"run_reuse_tests_only",
	"shortcircuit_*",
	"skip_rbl_checks",
	"skip_uribl_checks",
	"spamcop_*",
	"spf_timeout",
	"subjprefix",
	"test",
	"textcat_*",
	"time_limit",
	"trigger_*",
	"tryplugin",
	"txrep_*",
	"unsafe_report*",
	"uri_block_*",
	"uri_country_*",
	"uri_host_lists",
	"uridnsbl*",
	"uridnssub",
	"urifullns*",
	"urins*",
	"urirhs*",
	"url_shortener*",
	"use_*",
	"user_*",
	"version_tag",
	"welcomelist_uri_host",
	"whitelist_uri_host",
};

static bool ignored(struct pst_span key)
{
	for (uint32_t i = 0; i < PST_COUNT(IGNORED); i++)
		if (pst_rules_glob(pst_span_text(IGNORED[i]), key))
			return true;
	return false;
}

static void take_list(struct pst_rules_load *load, struct pst_span key, struct pst_span value)
{
	int status = pst_rules_lists_add(&load->set->lists, key, value);

	if (status == -PST_E_NOMEM)
		load->status = status;
	else if (status)
		pst_rules_load_complain(load, PST_RULES_ERROR, PST_SPAN_NONE, "%.*s: %s",
			(int)key.len, (const char *)key.at,
			status == -PST_E_FULL ? "the lists are full"
					      : "words are missing or malformed");
}

void pst_rules_directive(struct pst_rules_load *load, struct pst_span key, struct pst_span value)
{
	for (uint32_t i = 0; i < PST_COUNT(DIRECTIVES); i++)
		if (pst_span_eq(key, pst_span_text(DIRECTIVES[i].key))) {
			DIRECTIVES[i].take(load, value, DIRECTIVES[i].which);
			return;
		}
	if (pst_rules_lists_knows(key))
		take_list(load, key, value);
	else if (!ignored(key))
		pst_rules_load_complain(load, PST_RULES_ERROR, PST_SPAN_NONE,
			"unknown directive \"%.*s\"", (int)PST_MIN(key.len, 60u),
			(const char *)key.at);
}
