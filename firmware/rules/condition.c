/* rules/condition.c - what `if` asks: versions, plugins, features
 *
 * plugin() is true for the plugins that SpamAssassin loads by default and of which every rule line
 * is understood here: such a rule either runs, or is skipped by its name together with the metas
 * above it. Were the answer false, files would define `meta NAME 0` in its place, and a name would
 * stand for "no" that means "not known".
 */
#include "rules/load_priv.h"

#define OUR_VERSION "4.000001"
#define OUR_PERL_VERSION "5.036000"

static const char *const PLUGINS[] = {
	"AskDNS",
	"AutoLearnThreshold",
	"Bayes",
	"BodyEval",
	"Check",
	"DKIM",
	"DMARC",
	"DNSEval",
	"FreeMail",
	"HashBL",
	"HeaderEval",
	"HTMLEval",
	"HTTPSMismatch",
	"ImageInfo",
	"MIMEEval",
	"MIMEHeader",
	"Pyzor",
	"Razor2",
	"RaciallyCharged",
	"RelayEval",
	"ReplaceTags",
	"SpamCop",
	"SPF",
	"URIDetail",
	"URIDNSBL",
	"URIEval",
	"VBounce",
	"WelcomeListSubject",
	"WLBLEval",
};

/* Features of the language itself, Mail::SpamAssassin::Conf::<name>. The one with "compat" is what
 * `enable_compat welcomelist_blocklist` switches on, as the init.pre that comes with SpamAssassin
 * does: old names of rules are not defined beside the new ones. */
static const char *const FEATURES[] = {
	"feature_originating_ip_headers",
	"feature_dns_local_ports_permit_avoid",
	"feature_bayes_auto_learn_on_error",
	"feature_uri_host_listed",
	"feature_yesno_takes_args",
	"feature_bug6558_free",
	"feature_edns",
	"feature_dns_query_restriction",
	"feature_registryboundaries",
	"feature_geodb",
	"feature_dns_block_rule",
	"feature_compile_regexp",
	"feature_meta_rules_matching",
	"feature_subjprefix",
	"feature_bayes_stopwords",
	"feature_get_host",
	"feature_blocklist_welcomelist",
	"feature_welcomelist_blocklist",
	"feature_header_address_parser",
	"feature_local_tests_only",
	"feature_header_first_last",
	"feature_header_match_many",
	"feature_capture_rules",
	"has_tflags_nosubject",
	"has_tflags_nolog",
	"perl_min_version_5010000",
	"compat_welcomelist_blocklist",
};

static const struct {
	const char *plugin, *feature;
} PLUGIN_FEATURES[] = {
	{"AskDNS", "has_tag_header"},
	{"BodyEval", "has_check_body_length"},
	{"BodyEval", "has_plaintext_body_sig_ratio"},
	{"DKIM", "has_arc"},
	{"DNSEval", "has_tflags_domains_only"},
	{"DNSEval", "has_tflags_ips_only"},
	{"HashBL", "has_hashbl_bodyre"},
	{"HashBL", "has_hashbl_bodyre_num"},
	{"HashBL", "has_hashbl_emails"},
	{"HashBL", "has_hashbl_uris"},
	{"HashBL", "has_hashbl_ignore"},
	{"HashBL", "has_hashbl_email_regex"},
	{"HashBL", "has_hashbl_email_welcomelist"},
	{"HashBL", "has_hashbl_email_whitelist"},
	{"HashBL", "has_hashbl_tag"},
	{"HashBL", "has_hashbl_sha256"},
	{"HashBL", "has_hashbl_attachments"},
	{"HashBL", "has_hashbl_email_domain"},
	{"HashBL", "has_hashbl_email_domain_alias"},
	{"MIMEEval", "has_check_for_ascii_text_illegal"},
	{"MIMEEval", "has_check_abundant_unicode_ratio"},
	{"MIMEEval", "has_check_qp_ratio"},
	{"MIMEHeader", "has_all_header"},
	{"MIMEHeader", "has_tflags_range"},
	{"MIMEHeader", "has_tflags_concat"},
	{"MIMEHeader", "has_tflags_multiple"},
	{"MIMEHeader", "has_capture_rules"},
	{"Pyzor", "has_fork"},
	{"Pyzor", "has_perl"},
	{"Razor2", "has_fork"},
	{"SPF", "has_check_for_spf_errors"},
	{"SPF", "has_check_spf_skipped_noenvfrom"},
	{"URIDetail", "has_host_key"},
	{"URIDNSBL", "has_tflags_domains_only"},
	{"URIDNSBL", "has_subtest_for_ranges"},
	{"URIDNSBL", "has_uridnsbl_for_a"},
	{"URIDNSBL", "has_uridnsbl_a_ns"},
	{"URIDNSBL", "has_tflags_notrim"},
	{"URIDNSBL", "has_uridnsbl_skip_mailto"},
};

static bool is(struct pst_span text, const char *literal)
{
	return pst_span_eq(text, pst_span_text(literal));
}

/* Without "Mail::SpamAssassin::Plugin::", names of old in today's form. */
static struct pst_span plugin_of(struct pst_span name)
{
	static const char PREFIX[] = "Mail::SpamAssassin::Plugin::";

	if (pst_span_eq(pst_span_sub(name, 0, sizeof(PREFIX) - 1), pst_span_text(PREFIX)))
		name = pst_span_sub(name, sizeof(PREFIX) - 1, name.len);
	if (is(name, "Dmarc"))
		return PST_SPAN("DMARC");
	if (is(name, "WhiteListSubject"))
		return PST_SPAN("WelcomeListSubject");
	return name;
}

static bool has_plugin(struct pst_span name)
{
	name = plugin_of(name);
	for (uint32_t i = 0; i < PST_COUNT(PLUGINS); i++)
		if (is(name, PLUGINS[i]))
			return true;
	return false;
}

static bool has_feature(struct pst_span name)
{
	int64_t colon = pst_span_rfind(name, ':');
	struct pst_span feature, module;

	if (colon < 1)
		return false;
	feature = pst_span_sub(name, (uint32_t)colon + 1, name.len);
	module = pst_span_sub(name, 0, (uint32_t)colon - 1);
	if (is(module, "Mail::SpamAssassin::Conf")) {
		for (uint32_t i = 0; i < PST_COUNT(FEATURES); i++)
			if (is(feature, FEATURES[i]))
				return true;
		return false;
	}
	module = plugin_of(module);
	for (uint32_t i = 0; i < PST_COUNT(PLUGIN_FEATURES); i++)
		if (is(module, PLUGIN_FEATURES[i].plugin) &&
			is(feature, PLUGIN_FEATURES[i].feature))
			return true;
	return false;
}

/* ---------------------------------------------------------------------------------- expressions */

static bool is_name_byte(uint8_t c)
{
	return pst_is_alnum(c) || c == '_' || c == ':';
}

static struct pst_span take_name(struct pst_span *rest)
{
	uint32_t len = 0;
	struct pst_span name;

	while (len < rest->len && is_name_byte(rest->at[len]))
		len++;
	name = pst_span_sub(*rest, 0, len);
	*rest = pst_span_sub(*rest, len, rest->len);
	return name;
}

static void skip_space(struct pst_span *rest)
{
	while (rest->len && pst_is_space(rest->at[0]))
		*rest = pst_span_sub(*rest, 1, rest->len);
}

/* "(NAME)", quotes around the name allowed. */
static bool take_argument(struct pst_span *rest, struct pst_span *name)
{
	skip_space(rest);
	if (rest->len == 0 || rest->at[0] != '(')
		return false;
	*rest = pst_span_sub(*rest, 1, rest->len);
	skip_space(rest);
	*name = take_name(rest);
	skip_space(rest);
	if (rest->len == 0 || rest->at[0] != ')')
		return false;
	*rest = pst_span_sub(*rest, 1, rest->len);
	return true;
}

/* A word of the condition as a number.
 *  ret NULL: it is none that is known */
static const char *value_of(
	const struct pst_rules_load *load, struct pst_span word, struct pst_span *rest)
{
	struct pst_span name;

	if (is(word, "version"))
		return OUR_VERSION;
	if (is(word, "perl_version"))
		return OUR_PERL_VERSION;
	if (is(word, "local_tests_only"))
		return load->conf.score_set == 0 ? "1" : "0";
	if (is(word, "plugin"))
		return take_argument(rest, &name) ? (has_plugin(name) ? "1" : "0") : NULL;
	if (is(word, "can") || is(word, "has"))
		return take_argument(rest, &name) ? (has_feature(name) ? "1" : "0") : NULL;
	return NULL;
}

static int64_t no_name(struct pst_rules_expr_names *self, struct pst_span name)
{
	(void)self;
	(void)name;
	return -PST_E_NOENT;
}

static int64_t no_match(struct pst_rules_expr_names *self, struct pst_span glob, uint32_t *at)
{
	(void)self;
	(void)glob;
	(void)at;
	return -PST_E_NOENT;
}

/* The condition with every word replaced by its number. */
static int numbers_only(
	const struct pst_rules_load *load, struct pst_span text, struct pst_buf *out)
{
	while (text.len) {
		const char *value;

		if (!pst_is_alpha(text.at[0]) && text.at[0] != '_') {
			if (pst_buf_put_byte(out, text.at[0]))
				return -PST_E_FULL;
			text = pst_span_sub(text, 1, text.len);
			continue;
		}
		value = value_of(load, take_name(&text), &text);
		if (!value)
			return -PST_E_SYNTAX;
		if (pst_buf_printf(out, " %s ", value))
			return -PST_E_FULL;
	}
	return 0;
}

bool pst_rules_condition(struct pst_rules_load *load, struct pst_span text)
{
	struct pst_rules_expr_names names = {no_name, no_match};
	uint8_t text_area[1024], code_area[1024];
	struct pst_rules_num result = PST_RULES_NUM(0);
	struct pst_buf numbers, code;
	const char *why = "not a condition";
	int status;

	pst_buf_init(&numbers, text_area, sizeof(text_area));
	pst_buf_init(&code, code_area, sizeof(code_area));
	status = numbers_only(load, text, &numbers);
	if (!status)
		status = pst_rules_expr_compile(pst_buf_span(&numbers), &names, &code, &why);
	if (!status)
		status = pst_rules_expr_eval(pst_buf_span(&code), NULL, &result);
	if (status)
		pst_rules_load_complain(
			load, PST_RULES_ERROR, PST_SPAN_NONE, "if: %s; it is taken as false", why);
	return !status && result.n != 0;
}
